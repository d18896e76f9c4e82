"""From keys, band hashes and verified pairs to one survivor per cluster, on hashes and numbers alone.

1. every document gets a rank: held out first, then its source's priority, then length, then id;
2. of each group of same texts the best is looked at; those that share a band hash are a bucket, and each is paired with
   the best-ranked of its bucket;
3. (elsewhere) the pairs are verified by the Jaccard of their texts; where a bucket had more members than were compared,
   2 and 3 are done again among those that stay, with more comparisons each;
4. in order of rank, a document leaves when it is the same text as, has the same address as, or is verified to be near a
   document that stays; otherwise it stays.

Clusters are therefore stars round their survivor, and nothing leaves without a partner that stays and that it was
itself compared with. Rejected: connected components, which chain (a near b near c removes c for a document it may share
nothing with; in a public report templated pages merged whole sources that way, a median of 76% of documents lost) and
need caps of their own. Stars remove fewer: c stays, because b, the only document it is near, is gone.

Cost, measured on 5 million documents of which a third have a partner in every band: 1 s a band, 2 s for the groups, 3 s
for the survivors; 1.35 GB at the highest, which is 270 bytes a document, one band's 8 bytes among them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numba
import numpy as np
import numpy.typing as npt
import polars as pl

VERSION = 1

UInt64 = npt.NDArray[np.uint64]
Int64 = npt.NDArray[np.int64]
UInt32 = npt.NDArray[np.uint32]
Bool = npt.NDArray[np.bool_]

Kind = Literal["exact", "url", "near"]
KINDS: tuple[Kind | None, ...] = (None, "exact", "url", "near")
"""What the numbers of `Clusters.kind` mean; the verdict is `duplicate.<kind>`."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """What became of every document: arrays [documents].

    representative: int64, the document that stays for it, itself when it stays, -1 when it was not eligible.
    kind: uint8, position in `KINDS`: why it leaves, 0 when it stays or was not eligible.
    size: int64, how many documents the representative stands for, itself included; 0 when not eligible.
    """

    representative: Int64
    kind: npt.NDArray[np.uint8]
    size: Int64

    def verdicts(self) -> pl.Series:
        """`duplicate.exact|url|near` for those that leave, null for the others."""
        names = pl.Series([f"duplicate.{kind}" if kind else None for kind in KINDS], dtype=pl.String)
        return names.gather(pl.Series(self.kind, dtype=pl.UInt32)).alias("dropped_by")


def preference(held_out: pl.Series, priority: pl.Series, length: pl.Series, ids: pl.Series) -> UInt32:
    """The rank of every document, 0 the best to keep (uint32 [documents]), whatever order they come in.

    Held-out documents come first, so that their duplicates leave training; then the lower number of the source's
    priority, the longer text, the smaller id.
    """
    order = (
        pl.DataFrame({"held_out": held_out, "priority": priority, "length": length, "id": ids})
        .with_row_index("row")
        .sort(["held_out", "priority", "length", "id"], descending=[True, False, True, False])["row"]
        .to_numpy()
    )
    rank = np.empty(len(order), dtype=np.uint32)
    rank[order] = np.arange(len(order), dtype=np.uint32)
    return rank


def groups(keys: pl.Series) -> Int64:
    """The first row that holds the same key, for every row; a null key stands alone (int64 [documents])."""
    row = pl.col("row")
    found = (
        pl.DataFrame({"key": keys})
        .with_row_index("row")
        .select(pl.when(pl.col("key").is_null()).then(row).otherwise(row.min().over("key")).alias("first"))
    )
    return found["first"].to_numpy().astype(np.int64)


def to_compare(exact: Int64, rank: UInt32, eligible: Bool | None = None) -> Bool:
    """Which documents need signatures compared: of each exact group the best-ranked eligible one (bool [documents]).

    Set the band hashes of the others to 0 before `candidate_pairs`: their texts are the same in the normal form, and a
    bucket's few comparisons would be spent on copies, or on documents that are gone.
    """
    alive = np.arange(len(rank)) if eligible is None else np.flatnonzero(eligible)
    best = np.full(len(rank), len(rank), dtype=np.int64)
    np.minimum.at(best, exact[alive], rank[alive])
    result = np.zeros(len(rank), dtype=np.bool_)
    result[alive] = best[exact[alive]] == rank[alive]
    return result


@dataclass(frozen=True, slots=True)
class Proposed:
    """Pairs to verify, uint32 [pairs, 2]: each a member of a bucket and a better-ranked one of it.

    unfinished: how many members met more better-ranked ones than they were paired with.
    """

    pairs: UInt32
    unfinished: int


def candidate_pairs(band: UInt64, rank: UInt32, max_comparisons: int, compared: UInt64 | None = None) -> Proposed:
    """Pairs to verify from one band.

    `band` is uint64 [documents], 0 for no signature. A member is paired with the `max_comparisons` best-ranked members
    of its bucket, so that a bucket of a million documents costs eight million comparisons and not half a billion.
    Two of its members may be near each other but near none of its best: hence further rounds, on the band hashes of
    those that stay alone, with `compared`, the pairs of earlier rounds (`packed`), which are passed over.
    Memory: 24 bytes a document beside `band` and `rank`, and 8 a pair.
    """
    # One sort of plain numbers instead of one by hash and rank: the rank replaces the hash's low bits, and documents
    # that meet by the rest of the hash alone are told apart afterwards.
    low_bits = np.uint64((1 << max(len(rank) - 1, 1).bit_length()) - 1)
    signed = np.flatnonzero(band)
    keys = (band[signed] & ~low_bits) | rank[signed]
    keys.sort()
    order = np.empty(len(rank), dtype=np.uint32)
    order[rank] = np.arange(len(rank), dtype=np.uint32)
    before = np.zeros(0, dtype=np.uint64) if compared is None else compared
    pairs, unfinished = _leaders(band, order, keys, low_bits, max_comparisons, before)
    return Proposed(pairs, int(unfinished))


def packed(parts: Sequence[UInt32 | Int64]) -> UInt64:
    """All pairs, each once, sorted, as one number each: the first document above the second."""
    one = [part[:, 0].astype(np.uint64) << np.uint64(32) | part[:, 1].astype(np.uint64) for part in parts]
    whole = np.concatenate([np.zeros(0, dtype=np.uint64), *one])
    whole.sort()  # np.unique hashes: ten times slower here
    return whole[np.concatenate([np.ones(1, dtype=np.bool_), whole[1:] != whole[:-1]])] if len(whole) else whole


def unpacked(pairs: UInt64) -> UInt32:
    """What `packed` packed (uint32 [pairs, 2])."""
    return np.stack([pairs >> np.uint64(32), pairs & np.uint64(0xFFFFFFFF)], axis=1).astype(np.uint32)


def unique_pairs(parts: Sequence[UInt32]) -> UInt32:
    """All pairs, each once, sorted (uint32 [pairs, 2])."""
    return unpacked(packed(parts))


def survivors(
    rank: UInt32,
    exact: Int64,
    pairs: npt.NDArray[np.integer],
    *,
    url: Int64 | None = None,
    held_out: Bool | None = None,
    removable: Bool | None = None,
    near_removable: Bool | None = None,
    eligible: Bool | None = None,
) -> Clusters:
    """Decide, in order of rank, which documents stay.

    rank: as `preference` gives it, a permutation of 0..documents - 1.
    exact, url: as `groups` gives them; `url=None` compares no addresses.
    pairs: [pairs, 2] documents verified to be near each other, in any order.
    removable: False for documents that their source protects: they leave only as duplicates of a held-out document.
    near_removable: False for documents whose source gives up exact duplicates only: near a held-out one they leave.
    eligible: False for documents already dropped: they neither leave nor make others leave.

    The members of an exact group share their near pairs, for their texts are the same in the normal form: it is enough
    that one of each group was paired. Among several survivors that would do, the same text comes before the address,
    that before a near text, and then the better rank.
    """
    documents = len(rank)
    everyone = np.ones(documents, dtype=np.bool_)
    nobody = np.zeros(documents, dtype=np.bool_)
    starts, neighbours = _adjacency(exact, np.asarray(pairs, dtype=np.int64).reshape(-1, 2))
    order = np.empty(documents, dtype=np.int64)
    order[rank] = np.arange(documents)
    representative, kind, size = _decide(
        order,
        rank.astype(np.int64),
        exact,
        np.arange(documents) if url is None else url,
        starts,
        neighbours,
        nobody if held_out is None else held_out,
        everyone if removable is None else removable,
        everyone if near_removable is None else near_removable,
        everyone if eligible is None else eligible,
    )
    return Clusters(representative, kind, size)


def _adjacency(exact: Int64, pairs: Int64) -> tuple[Int64, Int64]:
    """Near neighbours of every exact group: those of group g are `neighbours[starts[g]:starts[g + 1]]`."""
    linked = exact[pairs]
    linked = linked[linked[:, 0] != linked[:, 1]]
    linked = np.concatenate([linked, linked[:, ::-1]])
    linked = linked[np.argsort(linked[:, 0], kind="stable")]
    starts = np.zeros(len(exact) + 1, dtype=np.int64)
    np.cumsum(np.bincount(linked[:, 0], minlength=len(exact)), out=starts[1:])
    return starts, np.ascontiguousarray(linked[:, 1])


@numba.njit(cache=True, nogil=True)
def _leaders(band, order, keys, low_bits, most, compared):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    pairs = 0
    unfinished = 0
    result = np.empty((0, 2), dtype=np.uint32)
    for filling in range(2):  # first counts, then fills
        if filling:
            result = np.empty((pairs, 2), dtype=np.uint32)
            pairs = 0
        begin = 0
        for at in range(1, len(keys)):
            if keys[at] | low_bits != keys[begin] | low_bits:
                begin = at
                continue
            member = order[keys[at] & low_bits]
            met = 0
            for before in range(begin, at):
                leader = order[keys[before] & low_bits]
                if band[leader] != band[member]:
                    continue
                if len(compared):
                    pair = np.uint64(member) << np.uint64(32) | np.uint64(leader)
                    place = np.searchsorted(compared, pair)
                    if place < len(compared) and compared[place] == pair:
                        continue
                if met == most:
                    unfinished += not filling
                    break
                if filling:
                    result[pairs, 0] = member
                    result[pairs, 1] = leader
                pairs += 1
                met += 1
    return result, unfinished


@numba.njit(cache=True, nogil=True)
def _decide(order, rank, exact, url, starts, neighbours, held_out, removable, near_removable, eligible):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    documents = len(order)
    representative = np.full(documents, -1, dtype=np.int64)
    kind = np.zeros(documents, dtype=np.uint8)
    size = np.zeros(documents, dtype=np.int64)
    same_text = np.full(documents, -1, dtype=np.int64)  # the best-ranked survivor of each exact group
    same_url = np.full(documents, -1, dtype=np.int64)
    for document in order:
        if not eligible[document]:
            continue
        # A protected document leaves for a held-out one only; held-out documents protect nobody from themselves.
        bound = not removable[document]
        group = exact[document]
        stays_for = np.int64(-1)
        why = 0
        other = same_text[group]
        if other >= 0 and (not bound or (held_out[other] and not held_out[document])):
            stays_for, why = other, 1
        if why == 0:
            other = same_url[url[document]]
            if other >= 0 and (not bound or (held_out[other] and not held_out[document])):
                stays_for, why = other, 2
        if why == 0:
            bound = bound or not near_removable[document]
            for at in range(starts[group], starts[group + 1]):
                other = same_text[neighbours[at]]
                if other < 0 or (bound and (not held_out[other] or held_out[document])):
                    continue
                if why == 0 or rank[other] < rank[stays_for]:
                    stays_for, why = other, 3
        if why == 0:
            stays_for = document
            if same_text[group] < 0:
                same_text[group] = document
            if same_url[url[document]] < 0:
                same_url[url[document]] = document
        representative[document] = stays_for
        kind[document] = why
        size[stays_for] += 1
    for document in order:
        if representative[document] >= 0:
            size[document] = size[representative[document]]
    return representative, kind, size
