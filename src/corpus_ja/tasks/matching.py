"""Stage 4: duplicates over all sources of a mix, as a short chain of gathers over hashes and maps over text.

1. `FindBuckets`, one task a hash column (each band, the exact key, the address key) and range of its values: which
   living documents share a value. A task holds `DOCUMENTS_A_RANGE` documents however many there are.
2. `PairUp`, one task: ranks the documents of those buckets alone and pairs each with the best of its bucket.
3. `VerifyPairs`, a map: reads the text of the paired documents and computes the true Jaccard. What was computed for two
   texts is kept by their keys (40 bytes a pair), so a tightened limit or another threshold reads text only for pairs
   that no run has compared. Where a bucket holds more documents than were compared, `PairAgain` proposes further pairs
   among those that stay, and 3 follows again: at most `ROUNDS` times with twice the comparisons each, so that a bucket
   of N costs at most 15 * `max_comparisons` * N.
4. `Decide`, one task: who stays, by `clusters.survivors`; which clusters are the largest, and how they begin.
5. `SpreadVerdicts`, a map: the verdicts as sidecars beside the documents.

Documents are numbered over all sources in the order of the mix, then of their files and rows. A document that a rule
dropped is in no bucket.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from corpus_ja.documents import is_below
from corpus_ja.stages import clusters, exact, minhash
from corpus_ja.stages.minhash import NearDuplicates
from corpus_ja.storage.shards import read_frame, read_json, read_rows, replacing, whole, write_frame, write_json
from corpus_ja.tasks import Job

VERSION = 2
PAIR_KEYS = ("high_a", "low_a", "high_b", "low_b")
"""The keys of a pair's two normal forms, the smaller first."""
PLACES = ("documents", "signatures", "rules", "chance")
CHUNK_CHARACTERS = 20_000_000
"""Characters of normal form whose shingles one verifying task holds at a time (8 bytes each, and their text)."""
DOCUMENTS_A_RANGE = 50_000_000
"""Documents whose hashes one `FindBuckets` holds at a time, about 40 bytes each."""
ROUNDS = 4
"""Rounds of pairing at most; the comparisons of a member double from one to the next: 8, 16, 32, 64."""
LARGEST = 10
"""Clusters that are described with their texts; and so many of each source."""


@dataclass(frozen=True, slots=True)
class Part:
    """Where one documents file and its sidecars lie, its rows, and how its source treats duplicates."""

    source: str
    part: str
    rows: int
    documents: Path
    signatures: Path
    rules: Path
    chance: Path
    mode: str
    priority: int
    heldout: int
    """Bound on the validation draw below which a document is held out; 2**64 for a held-out source."""


def write_parts(path: Path, parts: Sequence[Part]) -> Path:
    """Write the list of all parts for the tasks to read, which would else carry it each: 30,000 parts are 20 MB."""
    plain = [{name: getattr(part, name) for name in Part.__slots__} for part in parts]
    write_json(path, [{**part, **{name: str(part[name]) for name in PLACES}} for part in plain])
    return path


def read_parts(path: Path) -> tuple[Part, ...]:
    """What `write_parts` wrote, read once a process."""
    with whole(path):
        return _read_parts(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _read_parts(path: Path, written: int) -> tuple[Part, ...]:
    del written
    return tuple(Part(**{**part, **{name: Path(part[name]) for name in PLACES}}) for part in read_json(path))


def save_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an array as .npy, atomically."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def load_array(path: Path) -> npt.NDArray[Any]:
    """Read an array that `save_array` wrote."""
    with whole(path):
        return np.asarray(np.load(path, allow_pickle=False))


@dataclass(frozen=True, slots=True)
class FindBuckets(Job):
    """Find the living documents that share a value of one hash column, of the values of one range."""

    parts: Path
    column: str
    folder: Path
    index: int = 0
    ranges: int = 1

    @property
    def name(self) -> str:
        return f"duplicates, buckets of {self.column}, {self.index + 1} of {self.ranges}"

    @property
    def report(self) -> Path:
        return self.folder / f"buckets-{self.column}-{self.index:05d}.json"

    def run(self) -> dict[str, Any]:
        """Write the numbers and the values of the documents that are not alone with theirs."""
        numbers: list[npt.NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
        values: list[npt.NDArray[np.uint64]] = [np.zeros(0, dtype=np.uint64)]
        first = 0
        for part in read_parts(self.parts):
            living = read_frame(part.rules, ["dropped_by"])["dropped_by"].is_null()
            column = read_frame(part.signatures, [self.column])[self.column]
            chosen = (living & column.is_not_null() & (column != 0)).to_numpy()
            value = column.fill_null(0).to_numpy().astype(np.uint64)
            if self.ranges > 1:
                # The upper halves are shared out evenly: these are hashes.
                chosen = chosen & ((value >> np.uint64(32)) * np.uint64(self.ranges) >> np.uint64(32) == self.index)
            numbers.append(np.flatnonzero(chosen) + first)
            values.append(value[chosen])
            first += len(living)
        number = np.concatenate(numbers)
        value = np.concatenate(values)
        del numbers, values
        order = np.argsort(value, kind="stable")
        ordered = value[order]
        same = ordered[1:] == ordered[:-1]
        shared = np.zeros(len(order), dtype=bool)
        shared[1:] |= same
        shared[:-1] |= same
        kept = np.sort(order[shared])
        save_array(self.folder / f"buckets-{self.column}-{self.index:05d}.numbers.npy", number[kept])
        save_array(self.folder / f"buckets-{self.column}-{self.index:05d}.values.npy", value[kept])
        return {"documents": len(number), "in_buckets": len(kept), "text_bytes_read": 0}


def ranges_needed(documents: int) -> int:
    """In how many ranges the values of a hash column are looked at, so that a task's memory has a bound."""
    return max(1, -(-documents // DOCUMENTS_A_RANGE))


def _buckets(folder: Path, column: str, what: str) -> npt.NDArray[Any]:
    """What `FindBuckets` wrote for a column (`numbers` or `values`), over its ranges in order."""
    return np.concatenate([load_array(path) for path in sorted(folder.glob(f"buckets-{column}-*.{what}.npy"))])


@dataclass(frozen=True, slots=True)
class PairUp(Job):
    """Rank the documents that share a bucket, and write the pairs to verify, in chunks of bounded text."""

    parts: Path
    columns: tuple[str, ...]
    max_comparisons: int
    compared: Path
    """The folder of all similarities that were ever computed in this way."""
    folder: Path

    @property
    def name(self) -> str:
        return "duplicates, pairs"

    @property
    def report(self) -> Path:
        return self.folder / "pairs-00.json"

    def run(self) -> dict[str, Any]:
        """Write `candidates.parquet`, `pairs-00-NNNNN.npy` (positions among the candidates) and `proposed-00.npy`."""
        parts = read_parts(self.parts)
        shares = np.zeros(sum(part.rows for part in parts), dtype=bool)
        for column in self.columns:
            shares[_buckets(self.folder, column, "numbers")] = True
        candidates = np.flatnonzero(shares)
        del shares
        frame = _candidates(parts, candidates)
        rank = clusters.preference(frame["held_out"], frame["priority"], frame["length"], frame["id"])
        exact_group = clusters.groups(frame.select(pl.struct("key_high", "key_low")).to_series())
        url_group = (
            clusters.groups(frame["url_key"]) if "url_key" in self.columns else np.arange(frame.height, dtype=np.int64)
        )
        frame = frame.select("number", "id", "source", "held_out", "key_high", "key_low", "length").with_columns(
            rank=pl.Series(rank),
            exact=pl.Series(exact_group),
            url=pl.Series(url_group),
            removable=frame["mode"] != "none",
            near_removable=frame["mode"] == "near",
        )
        write_frame(self.folder / "candidates.parquet", frame)
        leads = clusters.to_compare(exact_group, rank)
        proposed = _propose(self.folder, self.compared, self.columns, frame, leads, self.max_comparisons, 0)
        return {"candidates": frame.height} | proposed


@dataclass(frozen=True, slots=True)
class PairAgain(Job):
    """Pair those that stay after the comparisons so far with others of their buckets; `chunks` of each round before."""

    columns: tuple[str, ...]
    max_comparisons: int
    threshold: float
    chunks: tuple[int, ...]
    compared: Path
    folder: Path

    @property
    def round(self) -> int:
        """The number of this round; `PairUp` is round 0."""
        return len(self.chunks)

    @property
    def name(self) -> str:
        return f"duplicates, pairs of round {self.round + 1}"

    @property
    def report(self) -> Path:
        return self.folder / f"pairs-{self.round:02d}.json"

    def run(self) -> dict[str, Any]:
        """Write `pairs-RR-NNNNN.npy` and `proposed-RR.npy`."""
        frame = read_frame(self.folder / "candidates.parquet")
        result = _survivors(frame, self.folder, self.chunks, self.threshold)
        stays = result.representative == np.arange(frame.height)
        # Protected copies stay beside each other; one of them stands for all.
        stays &= clusters.to_compare(frame["exact"].to_numpy(), frame["rank"].to_numpy(), stays)
        comparisons = self.max_comparisons << self.round
        return _propose(self.folder, self.compared, self.columns, frame, stays, comparisons, self.round)


def _propose(
    folder: Path,
    compared_before: Path,
    columns: Sequence[str],
    frame: pl.DataFrame,
    which: npt.NDArray[np.bool_],
    comparisons: int,
    number: int,
) -> dict[str, Any]:
    """Pair `which` of the candidates within their buckets, write the pairs in chunks of bounded text, and report.

    Pairs that another run compared are looked up here, all at once, and are in no chunk.
    """
    rank = frame["rank"].to_numpy()
    candidates = frame["number"].to_numpy()
    before = [load_array(folder / f"proposed-{earlier:02d}.npy") for earlier in range(number)]
    compared = np.sort(np.concatenate(before)) if before else None
    found = np.zeros(0, dtype=np.uint64)
    unfinished = 0
    for column in columns:
        if not column.startswith("band_"):
            continue
        band = np.zeros(frame.height, dtype=np.uint64)
        band[np.searchsorted(candidates, _buckets(folder, column, "numbers"))] = _buckets(folder, column, "values")
        band[~which] = 0
        proposed = clusters.candidate_pairs(band, rank, comparisons, compared)
        # Near documents meet in many bands: what is held is each pair once.
        found = np.union1d(found, clusters.packed([proposed.pairs]))
        unfinished = max(unfinished, proposed.unfinished)
    save_array(folder / f"proposed-{number:02d}.npy", found)
    pairs = clusters.unpacked(found).astype(np.int64)
    # The first of a pair is the one that would leave: its source must allow it, or the other be held out.
    held_out = frame["held_out"].to_numpy()
    near = frame["near_removable"].to_numpy()
    pairs = pairs[near[pairs[:, 0]] | (held_out[pairs[:, 1]] & ~held_out[pairs[:, 0]])]
    similarity = _known(frame, pairs, compared_before, folder)
    unknown = np.isnan(similarity)
    save_array(folder / f"pairs-{number:02d}-known.npy", pairs[~unknown])
    save_array(folder / f"verified-{number:02d}-known.npy", similarity[~unknown])
    chunks = _chunks(pairs[unknown], frame["length"].to_numpy())
    for index, chunk in enumerate(chunks):
        save_array(folder / f"pairs-{number:02d}-{index:05d}.npy", chunk)
    return {
        "pairs": len(pairs),
        "known": int((~unknown).sum()),
        "chunks": len(chunks),
        "unfinished": unfinished,
        "text_bytes_read": 0,
    }


def _survivors(frame: pl.DataFrame, folder: Path, chunks: Sequence[int], threshold: float) -> clusters.Clusters:
    """Who stays, by the pairs verified so far; `chunks` of each round."""
    near = [np.zeros((0, 2), dtype=np.int64)]
    for number, count in enumerate(chunks):
        for label in ("known", *(f"{index:05d}" for index in range(count))):
            pairs = load_array(folder / f"pairs-{number:02d}-{label}.npy")
            near.append(pairs[load_array(folder / f"verified-{number:02d}-{label}.npy") >= threshold])
    return clusters.survivors(
        frame["rank"].to_numpy(),
        frame["exact"].to_numpy(),
        np.concatenate(near),
        url=frame["url"].to_numpy(),
        held_out=frame["held_out"].to_numpy(),
        removable=frame["removable"].to_numpy(),
        near_removable=frame["near_removable"].to_numpy(),
    )


def source_names(parts: Sequence[Part]) -> list[str]:
    """The sources in the order of their parts."""
    return list(dict.fromkeys(part.source for part in parts))


def _candidates(parts: Sequence[Part], candidates: npt.NDArray[np.int64]) -> pl.DataFrame:
    """Number, id, keys, length and treatment of the candidate documents, in order."""
    frames: list[pl.DataFrame] = []
    sources = source_names(parts)
    first = 0
    for part in parts:
        last = first + part.rows
        low, high = np.searchsorted(candidates, (first, last))
        if low < high:
            number = sources.index(part.source)
            rows = candidates[low:high] - first
            draw = read_rows(part.chance, ["validation"], rows)["validation"].to_numpy()
            frames.append(
                pl.concat(
                    [
                        read_rows(part.documents, ["id"], rows),
                        read_rows(part.signatures, ["key_high", "key_low", "url_key", "length"], rows),
                    ],
                    how="horizontal",
                ).with_columns(
                    number=pl.Series(candidates[low:high]),
                    held_out=pl.Series(is_below(draw, part.heldout)),
                    priority=pl.lit(part.priority, dtype=pl.Int64),
                    mode=pl.lit(part.mode),
                    source=pl.lit(number, dtype=pl.UInt16),
                    length=pl.col("length").cast(pl.Int64),
                )
            )
        first = last
    if frames:
        return pl.concat(frames)
    return pl.DataFrame(
        schema={
            "id": pl.String, "key_high": pl.UInt64, "key_low": pl.UInt64, "url_key": pl.UInt64, "length": pl.Int64,
            "number": pl.Int64, "held_out": pl.Boolean, "priority": pl.Int64, "mode": pl.String, "source": pl.UInt16,
        }
    )  # fmt: skip


def _chunks(pairs: npt.NDArray[np.int64], length: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Cut pairs so that the documents of a chunk hold about `CHUNK_CHARACTERS`.

    All pairs of a member stand together, and members with the same first leader beside each other: members are many and
    are read once, the leaders of a bucket are few and are read once a chunk.
    """
    if not len(pairs):
        return []
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    member = np.concatenate((np.ones(1, dtype=bool), pairs[1:, 0] != pairs[:-1, 0]))
    lead = pairs[np.maximum.accumulate(np.where(member, np.arange(len(pairs)), 0)), 1]
    order = np.lexsort((pairs[:, 1], pairs[:, 0], lead))
    pairs, member, lead = pairs[order], member[order], lead[order]
    _, first_seen = np.unique(lead << np.int64(32) | pairs[:, 1], return_index=True)
    leader = np.zeros(len(pairs), dtype=bool)
    leader[first_seen] = True
    cost = np.cumsum(np.where(member, length[pairs[:, 0]], 0) + np.where(leader, length[pairs[:, 1]], 0))
    chunk = cost // CHUNK_CHARACTERS
    return [pairs[chunk == value] for value in np.unique(chunk)]


@dataclass(frozen=True, slots=True)
class VerifyPairs(Job):
    """Compute the Jaccard of one chunk of pairs on their texts."""

    parts: Path
    round: int
    index: int
    settings: NearDuplicates
    compared: Path
    folder: Path

    @property
    def name(self) -> str:
        return f"duplicates, comparing {self.label}"

    @property
    def report(self) -> Path:
        return self.folder / f"verified-{self.label}.json"

    @property
    def label(self) -> str:
        """Which round and chunk."""
        return f"{self.round:02d}-{self.index:05d}"

    def run(self) -> dict[str, Any]:
        """Write one float64 a pair, and beside all that were ever computed, with the keys of the two texts."""
        pairs = load_array(self.folder / f"pairs-{self.label}.npy")
        candidates = read_frame(self.folder / "candidates.parquet", ["number", "key_high", "key_low"])
        members, position = np.unique(pairs, return_inverse=True)
        text, read = _texts(read_parts(self.parts), candidates["number"].to_numpy()[members])
        similarity = minhash.similarity(exact.normal_form(text), self.settings, position.reshape(-1, 2))
        keys = _pair_keys(candidates, pairs)
        write_frame(
            self.compared / f"{self.folder.name}-{self.label}.parquet",
            keys.with_columns(similarity=pl.Series(similarity, dtype=pl.Float64)),
        )
        save_array(self.folder / f"verified-{self.label}.npy", similarity)
        return {
            "pairs": len(pairs),
            "near": int((similarity >= self.settings.threshold).sum()),
            "text_bytes_read": read,
        }


def _pair_keys(candidates: pl.DataFrame, pairs: npt.NDArray[np.int64]) -> pl.DataFrame:
    """The keys of every pair, as `PAIR_KEYS` names them."""
    high, low = candidates["key_high"].to_numpy(), candidates["key_low"].to_numpy()
    first, second = pairs[:, 0], pairs[:, 1]
    swap = (high[first] > high[second]) | ((high[first] == high[second]) & (low[first] > low[second]))
    first, second = np.where(swap, second, first), np.where(swap, first, second)
    return pl.DataFrame(dict(zip(PAIR_KEYS, (high[first], low[first], high[second], low[second]), strict=True)))


def _known(
    candidates: pl.DataFrame, pairs: npt.NDArray[np.int64], compared: Path, folder: Path
) -> npt.NDArray[np.float64]:
    """The similarity of every pair that another run computed, NaN for the others; this run's own rounds share no
    pair.
    """
    files = [
        path for path in sorted(compared.glob("gathered-*.parquet")) if not path.name.startswith(f"{folder.name}-")
    ]
    if not files or not len(pairs):
        return np.full(len(pairs), np.nan)
    keys = _pair_keys(candidates, pairs)
    with whole(compared / "gathered-*.parquet"):
        stored = pl.scan_parquet(files, glob=False).join(keys.lazy(), on=PAIR_KEYS, how="semi").collect()
    found = keys.join(stored.unique(PAIR_KEYS), on=PAIR_KEYS, how="left", maintain_order="left")
    return found["similarity"].fill_null(np.nan).to_numpy().copy()


def _texts(parts: Sequence[Part], numbers: npt.NDArray[np.int64]) -> tuple[pl.Series, int]:
    """The texts of some documents (sorted numbers), and their UTF-8 bytes."""
    texts: list[pl.Series] = []
    first = 0
    for part in parts:
        last = first + part.rows
        low, high = np.searchsorted(numbers, (first, last))
        if low < high:
            texts.append(read_rows(part.documents, ["text"], numbers[low:high] - first)["text"])
        first = last
    text = pl.concat(texts)
    return text, int(text.str.len_bytes().sum())


@dataclass(frozen=True, slots=True)
class Decide(Job):
    """Decide which of the candidates stay; `chunks` of each round."""

    parts: Path
    chunks: tuple[int, ...]
    threshold: float
    folder: Path

    @property
    def name(self) -> str:
        return "duplicates, survivors"

    @property
    def report(self) -> Path:
        return self.folder / "decided.json"

    def run(self) -> dict[str, Any]:
        """Write `verdicts.parquet`: number, dropped_by, cluster (the id that stays), cluster_size, for clusters of two
        or more.

        Reports how many clusters there are of which size, and the largest: of all, and in each source by what leaves
        it.
        """
        frame = read_frame(self.folder / "candidates.parquet")
        result = _survivors(frame, self.folder, self.chunks, self.threshold)
        size = result.size[result.representative] if frame.height else result.size
        verdicts = pl.DataFrame(
            {
                "number": frame["number"],
                "dropped_by": result.verdicts(),
                "cluster": frame["id"].gather(result.representative) if frame.height else frame["id"],
                "cluster_size": pl.Series(size, dtype=pl.UInt32),
            }
        ).filter(pl.col("cluster_size") > 1)
        write_frame(self.folder / "verdicts.parquet", verdicts)
        return {
            "leaving": int(verdicts["dropped_by"].is_not_null().sum()),
            "text_bytes_read": 0,
            "sizes": _sizes(size[result.representative == np.arange(frame.height)]),
            "largest": _largest(read_parts(self.parts), frame, result),
        }


SIZES = (2, 3, 4, 5, 10, 100, 1000, 10_000)
"""From which sizes clusters are counted together."""


def _sizes(size: npt.NDArray[np.int64]) -> dict[str, int]:
    counted = np.bincount(np.searchsorted(SIZES, size, side="right"), minlength=len(SIZES) + 1)
    return {str(least): int(counted[place]) for place, least in enumerate(SIZES, start=1) if counted[place]}


def _largest(parts: Sequence[Part], frame: pl.DataFrame, result: clusters.Clusters) -> list[dict[str, Any]]:
    """The clusters that most documents leave for, over all sources and in each: what stays, who left, and how they
    begin.
    """
    names = source_names(parts)
    left = pl.DataFrame(
        {
            "stays": result.representative,
            "source": frame["source"],
            "rank": frame["rank"],
            "near": result.kind == clusters.KINDS.index("near"),
            "position": np.arange(frame.height),
        }
    ).filter(pl.Series(result.kind > 0))
    counted = left.group_by("stays", "source").agg(pl.len().alias("left"), pl.col("near").sum().alias("near"))
    total = counted.group_by("stays").agg(pl.col("left").sum())
    chosen: list[int] = []
    for some in (total, *(counted.filter(pl.col("source") == source) for source in range(len(names)))):
        chosen += some.sort(["left", "stays"], descending=[True, False]).head(LARGEST)["stays"].to_list()
    found: list[dict[str, Any]] = []
    for stays in dict.fromkeys(chosen):
        members = left.filter(pl.col("stays") == stays).sort("rank").head(2)["position"].to_list()
        heads = _heads(parts, frame["number"].gather([stays, *members]).to_list())
        own = counted.filter(pl.col("stays") == stays).sort("source")
        found.append(
            {
                "documents": int(result.size[stays]),
                "stays": frame["id"][stays],
                "text": heads[0],
                "others": [{"id": frame["id"][at], "text": head} for at, head in zip(members, heads[1:], strict=True)],
                "left": {names[source]: count for source, count in own.select("source", "left").iter_rows()},
                "near": int(own["near"].sum()),
            }
        )
    return sorted(found, key=lambda cluster: (-cluster["documents"], cluster["stays"]))


def _heads(parts: Sequence[Part], numbers: Sequence[int]) -> list[str]:
    """How the texts of some documents begin."""
    first = 0
    heads: dict[int, str] = {}
    for part in parts:
        last = first + part.rows
        own = sorted({number for number in numbers if first <= number < last})
        if own:
            rows = np.array(own, dtype=np.int64) - first
            heads |= zip(own, read_rows(part.signatures, ["head"], rows)["head"], strict=True)
        first = last
    return [heads[number] for number in numbers]


@dataclass(frozen=True, slots=True)
class SpreadVerdicts(Job):
    """Write the verdicts of one documents file as its sidecar."""

    source: str
    part: str
    first: int
    rows: int
    gathered: Path
    folder: Path

    @property
    def name(self) -> str:
        return f"duplicates {self.source}/{self.part}"

    @property
    def report(self) -> Path:
        return self.folder / f"{self.part}.json"

    def run(self) -> dict[str, Any]:
        """Write `dropped_by`, `cluster` and `cluster_size` (null, null and 1 for a document that has no duplicate)."""
        numbers = pl.DataFrame({"number": pl.Series(range(self.first, self.first + self.rows), dtype=pl.Int64)})
        verdicts = self.gathered / "verdicts.parquet"
        own_rows = pl.col("number").is_between(self.first, self.first + self.rows - 1)
        with whole(verdicts):
            own = pl.scan_parquet(verdicts, glob=False).filter(own_rows).collect()
        result = numbers.join(own, on="number", how="left", maintain_order="left").select(
            "dropped_by", "cluster", pl.col("cluster_size").fill_null(1)
        )
        write_frame(self.folder / f"{self.part}.parquet", result)
        counts = result["dropped_by"].drop_nulls().value_counts()
        return {
            "rows": result.height,
            "text_bytes_read": 0,
            "dropped": dict(zip(counts["dropped_by"], counts["count"], strict=True)),
        }


def pairs_report(folder: Path, number: int) -> dict[str, Any]:
    """What `PairUp` (round 0) or `PairAgain` reported, for the pipeline to know how many chunks there are."""
    report: dict[str, Any] = read_json(folder / f"pairs-{number:02d}.json")
    return report
