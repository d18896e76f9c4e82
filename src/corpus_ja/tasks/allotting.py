"""Stage 6: counts and wishes become a plan, and the plan becomes each document's last verdict.

`PlanMix` is one task over thin columns (draw, tokens and bytes of the living documents; 155 bytes each at its peak).
`Allot` writes beside every documents file how often a document is taken, whether it is held out, and `mix.not_sampled`
for those the mix has no room for, and sums up the fate of all of them.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpus_ja.documents import is_below
from corpus_ja.errors import MixError
from corpus_ja.stages.mixing import Share, Shortage, Supply, Wish, cluster_weights, plan, times_taken
from corpus_ja.storage.shards import read_frame, write_frame
from corpus_ja.tasks import Job

VERSION = 2
MOST_TIMES = 65_535
"""How often a document can stand in the shards: passes are counted in 16 bits."""


@dataclass(frozen=True, slots=True)
class MixPart:
    """Where the thin columns of one documents file lie."""

    source: str
    part: str
    chance: Path
    rules: Path
    duplicates: Path | None
    counts: Path
    heldout: int

    def read(self, extra_tokens: int) -> pl.DataFrame:
        """Draws, counts, `dropped_by` and `cluster_size` of every document; `tokens` with what stands round each
        document.
        """
        rules = read_frame(self.rules, ["dropped_by"]).rename({"dropped_by": "rule"})
        counts = read_frame(self.counts)
        frame = pl.concat([read_frame(self.chance), counts, rules], how="horizontal")
        if self.duplicates is None:
            frame = frame.with_columns(duplicate=pl.lit(None, dtype=pl.String), cluster_size=pl.lit(1, dtype=pl.UInt32))
        else:
            duplicates = read_frame(self.duplicates, ["dropped_by", "cluster_size"]).rename({"dropped_by": "duplicate"})
            frame = pl.concat([frame, duplicates], how="horizontal")
        return frame.with_columns(
            dropped_by=pl.coalesce("rule", "duplicate"),
            tokens=pl.col("tokens").cast(pl.Int64) + extra_tokens,
            held_out=pl.Series(is_below(frame["validation"].to_numpy(), self.heldout)),
        )


@dataclass(frozen=True, slots=True)
class PlanMix(Job):
    """Decide how much every source gives. `extra_tokens` stand round each document (end-of-text, bos)."""

    parts: tuple[MixPart, ...]
    wishes: tuple[tuple[str, Wish], ...]
    budget: int | None
    on_shortage: Shortage
    validation: bool
    extra_tokens: int
    folder: Path

    @property
    def name(self) -> str:
        return "mix, plan"

    @property
    def report(self) -> Path:
        return self.folder / "plan.json"

    def run(self) -> dict[str, Any]:
        """Plan; the report is the plan. Raises MixError with both numbers where wishes and supply contradict each
        other.
        """
        supplies: dict[str, Supply] = {}
        chosen: dict[str, list[str | int] | None] = {}
        most: dict[str, int] = {}
        for source, wish in self.wishes:
            most[source] = 1
            living: list[pl.DataFrame] = []
            for part in self.parts:
                if part.source == source:
                    frame = part.read(self.extra_tokens).with_row_index("row").with_columns(part=pl.lit(part.part))
                    living.append(
                        frame.filter(pl.col("dropped_by").is_null()).select(
                            "sample", "tokens", "bytes", "held_out", "validation", "cluster_size", "part", "row"
                        )
                    )
            frame = pl.concat(living) if living else pl.DataFrame()
            chosen[source] = None
            if frame.is_empty():
                supplies[source] = Supply(np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64))
                continue
            heldout_source = any(part.heldout == 2**64 for part in self.parts if part.source == source)
            if self.validation and not heldout_source and not frame["held_out"].any() and frame.height > 1:
                # At least one a source: the lowest draw among those without a near duplicate, else of all.
                lowest = frame.sort(pl.col("cluster_size") > 1, "validation", "part", "row").row(0, named=True)
                chosen[source] = [lowest["part"], lowest["row"]]
                frame = frame.filter((pl.col("part") != lowest["part"]) | (pl.col("row") != lowest["row"]))
            frame = frame.filter(~pl.col("held_out"))
            weights = cluster_weights(frame["cluster_size"].to_numpy(), wish.steps)
            most[source] = int(weights.max(initial=1))
            supplies[source] = Supply(
                frame["sample"].to_numpy(),
                frame["tokens"].to_numpy() * weights,
                frame["bytes"].cast(pl.Int64).to_numpy(),
            )
        shares = plan(supplies, dict(self.wishes), self.budget, self.on_shortage)
        for source, share in shares.items():
            if share.passes * most[source] > MOST_TIMES:
                raise MixError(
                    f"The source `{source}` would stand {share.passes * most[source]:,} times in the shards, which count to {MOST_TIMES:,}; "
                    "lower its `epochs` or `cluster_weights`."
                )
        return {
            "text_bytes_read": 0,
            "chosen": chosen,
            "shares": {
                name: {
                    # 64-bit bounds as strings: JSON readers round large numbers.
                    "pool": str(share.pool),
                    "full_epochs": share.full_epochs,
                    "cutoff": str(share.cutoff),
                    "asked": share.asked,
                    "available": share.available,
                    "available_documents": share.available_documents,
                    "tokens": share.tokens,
                    "documents": share.documents,
                    # A document of weight 3 stands in three passes for one of the plan's.
                    "passes": share.passes * most[name],
                }
                for name, share in shares.items()
            },
        }


def share_from(report: dict[str, Any], source: str) -> Share:
    """A source's share out of the plan's report."""
    values = dict(report["shares"][source])
    values["pool"], values["cutoff"] = int(values["pool"]), int(values["cutoff"])
    return Share(**values)


@dataclass(frozen=True, slots=True)
class Allot(Job):
    """Write what the plan means for one documents file."""

    place: MixPart
    share: Share
    steps: tuple[tuple[int, int], ...]
    chosen_row: int | None
    extra_tokens: int
    folder: Path

    @property
    def name(self) -> str:
        return f"mix {self.place.source}/{self.place.part}"

    @property
    def report(self) -> Path:
        return self.folder / f"{self.place.part}.json"

    def run(self) -> dict[str, Any]:
        """Write `dropped_by`, `times` and `held_out`; report the sums a manifest needs."""
        frame = self.place.read(self.extra_tokens)
        held_out = frame["held_out"].to_numpy().copy()
        if self.chosen_row is not None:
            held_out[self.chosen_row] = True
        living = frame["dropped_by"].is_null().to_numpy()
        times = np.where(living & ~held_out, times_taken(self.share, frame["sample"].to_numpy()), 0)
        times = times * cluster_weights(frame["cluster_size"].to_numpy(), self.steps)
        passed_over = living & ~held_out & (times == 0)
        result = pl.DataFrame(
            {
                "dropped_by": pl.select(pl.when(pl.Series(passed_over)).then(pl.lit("mix.not_sampled"))).to_series(),
                "times": pl.Series(times, dtype=pl.UInt16),
                "held_out": pl.Series(living & held_out),
            }
        )
        write_frame(self.folder / f"{self.place.part}.parquet", result)
        verdict = frame.select(pl.coalesce("dropped_by", pl.lit(result["dropped_by"]))).to_series()
        kept = verdict.is_null().to_numpy()
        tokens = frame["tokens"].to_numpy()
        return {
            "rows": frame.height,
            "text_bytes_read": 0,
            "dropped": dict(Counter(verdict.drop_nulls())),
            "kept": {
                "documents": int(kept.sum()),
                "bytes": int(frame["bytes"].to_numpy()[kept].sum()),
                "characters": int(frame["characters"].to_numpy()[kept].sum()),
                "tokens": int(tokens[kept].sum()),
            },
            "taken": {"documents": int((times > 0).sum()), "tokens": int((times * tokens).sum())},
            "heldout": {"documents": int((living & held_out).sum()), "tokens": int(tokens[living & held_out].sum())},
        }
