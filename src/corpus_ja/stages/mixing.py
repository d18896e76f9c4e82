"""Counts and wishes into an exact plan: how many tokens each source gives, how often, and which documents.

No I/O: the gather hands in, per source, three arrays over the living documents that are not held out. Documents are
taken in the order of their `sample` draw, so a smaller wish is a subset of a larger one. Whole epochs come before a
fraction, and a document stands at most once in an epoch: a source that gives 2.4 epochs gives every document twice and
those with the lowest draws a third time. Every wish is met within one document, from below: what a person asks for is
never exceeded.

The rule for the amounts, in order:
1. `max_bytes` and `max_documents` cut the pool (in sampling order); `max_tokens` and `max_epochs` bound what it gives;
`epochs` asks for that many passes.
2. `budget` with weights: sources without a weight that say `epochs` or `max_tokens` are served first, the rest of the
budget is shared by weight. `budget` without weights scales all sources alike. Weights without `budget` give the
largest total with these proportions. 3. `cluster_weights` lets a pass take a document several times, by how many
duplicates it stands for: what is available grows by it. 4. What cannot be met is an error that names asked and
available, unless `on_shortage` is `shrink` (keep the proportions, give less) or `fill` (keep the budget: what one
source lacks, the others give by weight).

Cost: one sort of 8 bytes a document; the arrays are 16 bytes a document. Rejected: sampling with a generator (not
nested), and rounding to whole epochs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from corpus_ja.documents import Draws, is_below
from corpus_ja.errors import MixError
from corpus_ja.settings import Bytes, Count, Settings

VERSION = 1

Shortage = Literal["error", "shrink", "fill"]
EVERYTHING = 2**64
FINEWEB_2 = {1: 1, 2: 2, 3: 3, 5: 5, 100: 8, 1000: 1}
"""How often FineWeb-2 takes a document whose cluster has at least so many members (its README, "rehydration")."""


class Wish(Settings):
    """What a mix asks of one source, on what lives there. None means: no such wish."""

    max_bytes: Bytes | None = None
    max_documents: Count | None = None
    max_tokens: Count | None = None
    # a shard counts passes in 16 bits
    epochs: float | None = Field(default=None, gt=0, le=65_535)
    max_epochs: float = Field(default=1.0, gt=0, le=65_535)
    weight: float | None = Field(default=None, gt=0)
    cluster_weights: (
        Literal["fineweb-2"] | dict[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1, le=1000)]] | None
    ) = None
    """How often a pass takes a document, by the least size of its cluster of duplicates."""

    @property
    def steps(self) -> tuple[tuple[int, int], ...]:
        """`cluster_weights` as sorted pairs of least size and weight; none: every document once."""
        chosen = FINEWEB_2 if self.cluster_weights == "fineweb-2" else self.cluster_weights or {}
        return tuple(sorted(chosen.items()))


def cluster_weights(size: npt.NDArray[np.integer], steps: Sequence[tuple[int, int]]) -> npt.NDArray[np.int64]:
    """How often a pass takes each document, by the size of its cluster (1: it has no duplicate); 1 below the first
    step.
    """
    least = np.array([0, *(step[0] for step in steps)])
    weights = np.array([1, *(step[1] for step in steps)], dtype=np.int64)
    return weights[np.searchsorted(least, size, side="right") - 1]


@dataclass(frozen=True, slots=True)
class Supply:
    """The living documents of a source that are not held out: one entry a document in each array.

    `sample` uint64: the draw that orders them; `tokens` int64: ids with end-of-text (and bos); `bytes` int64: kept
    UTF-8 bytes.
    """

    sample: Draws
    tokens: npt.NDArray[np.int64]
    bytes: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Share:
    """What the plan takes of a source.

    A document whose draw is below `pool` stands in each of `full_epochs` passes, and once more where its draw is below
    `cutoff`. `asked` is the number of tokens the wishes come to; `available` what one pass over the pool holds;
    `tokens` and `documents` what is taken, over all passes; `epochs` = tokens / available.
    """

    pool: int
    full_epochs: int
    cutoff: int
    asked: int
    available: int
    available_documents: int
    tokens: int
    documents: int
    passes: int

    @property
    def epochs(self) -> float:
        """Passes over the pool, in tokens."""
        return self.tokens / self.available if self.available else 0.0


def times_taken(share: Share, sample: Draws) -> npt.NDArray[np.int64]:
    """How often each document (by its draw) stands in the training shards."""
    in_pool = is_below(sample, share.pool)
    more = in_pool & is_below(sample, share.cutoff)
    return np.asarray(in_pool * share.full_epochs + more, dtype=np.int64)


def plan(
    supplies: Mapping[str, Supply], wishes: Mapping[str, Wish], budget: int | None, on_shortage: Shortage
) -> dict[str, Share]:
    """Decide what every source gives. Raises MixError when wishes and supply contradict each other."""
    pools = {name: _Pool(supply, wishes[name]) for name, supply in supplies.items()}
    asked = _asked(pools, wishes, budget, on_shortage)
    return {name: pool.take(asked[name]) for name, pool in pools.items()}


class _Pool:
    """A source's documents in sampling order, cut to its `max_bytes` and `max_documents`."""

    def __init__(self, supply: Supply, wish: Wish) -> None:
        order = np.argsort(supply.sample, kind="stable")
        self.sample = supply.sample[order]
        count = len(order)
        if wish.max_documents is not None:
            count = min(count, wish.max_documents)
        if wish.max_bytes is not None:
            count = min(count, int(np.searchsorted(np.cumsum(supply.bytes[order]), wish.max_bytes, side="right")))
        self.bound = EVERYTHING if count == len(order) else int(self.sample[count])
        self.totals = np.cumsum(supply.tokens[order][:count])
        self.documents = count
        self.tokens = int(self.totals[-1]) if count else 0
        passes = wish.epochs if wish.epochs is not None else wish.max_epochs
        self.most = int(Fraction(passes).limit_denominator(10**9) * self.tokens)
        if wish.max_tokens is not None:
            self.most = min(self.most, wish.max_tokens)

    def take(self, asked: int) -> Share:
        whole, rest = divmod(asked, self.tokens) if self.tokens else (0, 0)
        more = int(np.searchsorted(self.totals, rest, side="right"))
        cutoff = 0 if more == 0 else (int(self.sample[more]) if more < len(self.sample) else EVERYTHING)
        extra = int(self.totals[more - 1]) if more else 0
        return Share(
            pool=self.bound,
            full_epochs=whole,
            cutoff=cutoff,
            asked=asked,
            available=self.tokens,
            available_documents=self.documents,
            tokens=whole * self.tokens + extra,
            documents=self.documents if whole else more,
            passes=whole + (1 if more else 0),
        )


def _asked(
    pools: Mapping[str, _Pool], wishes: Mapping[str, Wish], budget: int | None, on_shortage: Shortage
) -> dict[str, int]:
    weights = {name: Fraction(wish.weight) for name, wish in wishes.items() if wish.weight is not None}
    if not weights:
        if budget is None:
            return {name: pool.most for name, pool in pools.items()}
        total = sum(pool.most for pool in pools.values())
        if budget > total:
            if on_shortage == "error":
                raise MixError(
                    f"The budget asks for {budget:,} tokens, but the sources hold {total:,} "
                    f"({_listed({name: pool.most for name, pool in pools.items()})}). "
                    "Lower `budget`, raise `max_epochs`, or say `on_shortage: shrink`."
                )
            budget = total
        return _shared({name: Fraction(pool.most) for name, pool in pools.items()}, budget)
    asked = {name: pool.most for name, pool in pools.items() if name not in weights}
    for name in asked:
        if wishes[name].epochs is None and wishes[name].max_tokens is None and wishes[name].max_documents is None \
                and wishes[name].max_bytes is None:  # fmt: skip
            raise MixError(
                f"Other sources have a weight, but the source `{name}` has none: "
                f"give it `weight`, `epochs` or `max_tokens`."
            )
    limits = {name: pools[name].most for name in weights}
    if budget is None:
        scale = min((limits[name] / weight for name, weight in weights.items()), default=Fraction(0))
        return asked | {name: int(weight * scale) for name, weight in weights.items()}
    rest = budget - sum(asked.values())
    if rest < 0:
        raise MixError(
            f"The sources without a weight ask for {sum(asked.values()):,} tokens, more than the budget of {budget:,}. "
            "Raise `budget` or lower their `epochs` or `max_tokens`."
        )
    return asked | _weighted(weights, limits, rest, on_shortage)


def _weighted(
    weights: Mapping[str, Fraction], limits: Mapping[str, int], budget: int, on_shortage: Shortage
) -> dict[str, int]:
    wanted = _shared(weights, budget)
    short = {name: amount for name, amount in wanted.items() if amount > limits[name]}
    if not short:
        return wanted
    if on_shortage == "error":
        name = max(short, key=lambda key: wanted[key] - limits[key])
        raise MixError(
            f"The mix asks for {wanted[name]:,} tokens of the source `{name}`, but it can give {limits[name]:,} "
            f"(`max_epochs` and `max_tokens` included); asked of all: {_listed(wanted)}. Lower `budget` or its `weight`, raise `max_epochs`, "
            "or say `on_shortage: shrink` (keep the weights) or `on_shortage: fill` (keep the budget)."
        )
    if on_shortage == "shrink":
        scale = min(limits[name] / weight for name, weight in weights.items())
        return {name: int(weight * scale) for name, weight in weights.items()}
    given: dict[str, int] = {}
    open_weights = dict(weights)
    rest = budget
    while open_weights:
        wanted = _shared(open_weights, rest)
        full = [name for name, amount in wanted.items() if amount >= limits[name]]
        if not full:
            return given | wanted
        for name in full:
            given[name] = limits[name]
            rest -= limits[name]
            del open_weights[name]
    raise_short = rest > 0
    if raise_short:
        raise MixError(
            f"The budget asks for {budget:,} tokens of the weighted sources, but they can give {budget - rest:,} "
            f"({_listed(given)}). Lower `budget` or raise `max_epochs`."
        )
    return given


def _shared(weights: Mapping[str, Fraction], amount: int) -> dict[str, int]:
    """Share an amount by weight, in whole tokens; the rounding goes to the largest remainders, then by name."""
    total = sum(weights.values())
    if total == 0:
        return dict.fromkeys(weights, 0)
    exact = {name: weight * amount / total for name, weight in weights.items()}
    floors = {name: int(value) for name, value in exact.items()}
    left = amount - sum(floors.values())
    for name in sorted(exact, key=lambda key: (floors[key] - exact[key], key))[:left]:
        floors[name] += 1
    return floors


def _listed(amounts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {amount:,}" for name, amount in amounts.items())
