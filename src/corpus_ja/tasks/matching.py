"""Stage 4: duplicates over all sources of a mix, as a short chain of gathers over hashes and maps over text.

1. `FindBuckets`, one task a hash column (each band, the exact key, the address key): which living documents share a value. 16 bytes a document are held.
2. `PairUp`, one task: ranks the documents of those buckets alone and pairs each with the best of its bucket.
3. `VerifyPairs`, a map: reads the text of the paired documents and computes the true Jaccard. What was computed for two texts is kept by
   their keys (40 bytes a pair), so a tightened limit or another threshold reads text only for pairs that no run has compared.
4. `Decide`, one task: who stays, by `clusters.survivors`.
5. `SpreadVerdicts`, a map: the verdicts as sidecars beside the documents.

Documents are numbered over all sources in the order of the mix, then of their files and rows. A document that a rule dropped is in no bucket.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from corpus_ja.documents import is_below
from corpus_ja.stages import clusters, exact, minhash
from corpus_ja.stages.minhash import NearDuplicates
from corpus_ja.storage.shards import read_frame, read_json, read_rows, replacing, rows_in, whole, write_frame
from corpus_ja.tasks import Job

VERSION = 1
PAIR_KEYS = ("high_a", "low_a", "high_b", "low_b")
"""The keys of a pair's two normal forms, the smaller first."""
CHUNK_CHARACTERS = 20_000_000
"""Characters of normal form whose shingles one verifying task holds at a time (8 bytes each, and their text)."""


@dataclass(frozen=True, slots=True)
class Part:
    """Where one documents file and its sidecars lie, and how its source treats duplicates."""

    source: str
    part: str
    documents: Path
    signatures: Path
    rules: Path
    chance: Path
    mode: str
    priority: int
    heldout: int
    """Bound on the validation draw below which a document is held out; 2**64 for a held-out source."""


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
    """Find the living documents that share a value of one hash column."""

    parts: tuple[Part, ...]
    column: str
    folder: Path

    @property
    def name(self) -> str:
        return f"duplicates, buckets of {self.column}"

    @property
    def report(self) -> Path:
        return self.folder / f"buckets-{self.column}.json"

    def run(self) -> dict[str, Any]:
        """Write the numbers and the values of the documents that are not alone with theirs."""
        numbers: list[npt.NDArray[np.int64]] = []
        values: list[npt.NDArray[np.uint64]] = []
        first = 0
        for part in self.parts:
            living = read_frame(part.rules, ["dropped_by"])["dropped_by"].is_null()
            column = read_frame(part.signatures, [self.column])[self.column]
            chosen = np.flatnonzero((living & column.is_not_null() & (column != 0)).to_numpy())
            numbers.append(chosen + first)
            values.append(column.gather(chosen).to_numpy().astype(np.uint64))
            first += len(living)
        number = np.concatenate(numbers) if numbers else np.zeros(0, dtype=np.int64)
        value = np.concatenate(values) if values else np.zeros(0, dtype=np.uint64)
        order = np.argsort(value, kind="stable")
        ordered = value[order]
        same = ordered[1:] == ordered[:-1]
        shared = np.zeros(len(order), dtype=bool)
        shared[1:] |= same
        shared[:-1] |= same
        kept = np.sort(order[shared])
        save_array(self.folder / f"buckets-{self.column}.numbers.npy", number[kept])
        save_array(self.folder / f"buckets-{self.column}.values.npy", value[kept])
        return {"documents": len(number), "in_buckets": len(kept), "text_bytes_read": 0}


@dataclass(frozen=True, slots=True)
class PairUp(Job):
    """Rank the documents that share a bucket, and write the pairs to verify, in chunks of bounded text."""

    parts: tuple[Part, ...]
    columns: tuple[str, ...]
    max_comparisons: int
    folder: Path

    @property
    def name(self) -> str:
        return "duplicates, pairs"

    @property
    def report(self) -> Path:
        return self.folder / "pairs.json"

    def run(self) -> dict[str, Any]:
        """Write `candidates.parquet` and `pairs-NNNNN.npy` (positions among the candidates)."""
        numbers = {column: load_array(self.folder / f"buckets-{column}.numbers.npy") for column in self.columns}
        candidates = np.unique(np.concatenate([*numbers.values(), np.zeros(0, dtype=np.int64)])).astype(np.int64)
        frame = _candidates(self.parts, candidates)
        rank = clusters.preference(frame["held_out"], frame["priority"], frame["length"], frame["id"])
        exact_group = clusters.groups(frame.select(pl.struct("key_high", "key_low")).to_series())
        url_group = (
            clusters.groups(frame["url_key"]) if "url_key" in self.columns else np.arange(frame.height, dtype=np.int64)
        )
        best = np.full(frame.height, np.iinfo(np.int64).max)
        np.minimum.at(best, exact_group, rank.astype(np.int64))
        leads = best[exact_group] == rank
        found: list[npt.NDArray[np.uint32]] = []
        for column in self.columns:
            if not column.startswith("band_"):
                continue
            band = np.zeros(frame.height, dtype=np.uint64)
            band[np.searchsorted(candidates, numbers[column])] = load_array(self.folder / f"buckets-{column}.values.npy")
            band[~leads] = 0
            found.append(clusters.candidate_pairs(band, rank, self.max_comparisons))
        pairs = clusters.unique_pairs(found).astype(np.int64)
        # The first of a pair is the one that would leave: its source must allow it, or the other be held out.
        held_out = frame["held_out"].to_numpy()
        near = (frame["mode"] == "near").to_numpy()
        swapped = rank[pairs[:, 0]] < rank[pairs[:, 1]]
        pairs[swapped] = pairs[swapped][:, ::-1]
        pairs = pairs[near[pairs[:, 0]] | (held_out[pairs[:, 1]] & ~held_out[pairs[:, 0]])]
        chunks = _chunks(pairs, frame["length"].to_numpy())
        for index, chunk in enumerate(chunks):
            save_array(self.folder / f"pairs-{index:05d}.npy", chunk)
        removable = pl.Series(frame["mode"] != "none")
        write_frame(
            self.folder / "candidates.parquet",
            frame.select("number", "id", "held_out", "key_high", "key_low").with_columns(
                rank=pl.Series(rank),
                exact=pl.Series(exact_group),
                url=pl.Series(url_group),
                removable=removable,
                near_removable=pl.Series(near),
            ),
        )
        return {"candidates": frame.height, "pairs": len(pairs), "chunks": len(chunks), "text_bytes_read": 0}


def _candidates(parts: Sequence[Part], candidates: npt.NDArray[np.int64]) -> pl.DataFrame:
    """Number, id, keys, length and treatment of the candidate documents, in order."""
    frames: list[pl.DataFrame] = []
    first = 0
    for part in parts:
        last = first + rows_in(part.documents)
        low, high = np.searchsorted(candidates, (first, last))
        if low < high:
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
                    length=pl.col("length").cast(pl.Int64),
                )
            )
        first = last
    if frames:
        return pl.concat(frames)
    return pl.DataFrame(
        schema={
            "id": pl.String, "key_high": pl.UInt64, "key_low": pl.UInt64, "url_key": pl.UInt64, "length": pl.Int64,
            "number": pl.Int64, "held_out": pl.Boolean, "priority": pl.Int64, "mode": pl.String,
        }
    )  # fmt: skip


def _chunks(pairs: npt.NDArray[np.int64], length: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Cut sorted pairs so that the documents of a chunk hold about `CHUNK_CHARACTERS`, each counted once a run of pairs."""
    if not len(pairs):
        return []
    pairs = pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))]
    new = np.concatenate((np.ones(1, dtype=bool), pairs[1:, 1] != pairs[:-1, 1]))
    cost = np.cumsum(length[pairs[:, 0]] + np.where(new, length[pairs[:, 1]], 0))
    chunk = cost // CHUNK_CHARACTERS
    return [pairs[chunk == value] for value in np.unique(chunk)]


@dataclass(frozen=True, slots=True)
class VerifyPairs(Job):
    """Compute the Jaccard of one chunk of pairs on their texts."""

    parts: tuple[Part, ...]
    index: int
    settings: NearDuplicates
    compared: Path
    """The folder of all similarities that were ever computed in this way."""
    folder: Path

    @property
    def name(self) -> str:
        return f"duplicates, comparing {self.index:05d}"

    @property
    def report(self) -> Path:
        return self.folder / f"verified-{self.index:05d}.json"

    def run(self) -> dict[str, Any]:
        """Write one float64 a pair."""
        pairs = load_array(self.folder / f"pairs-{self.index:05d}.npy")
        candidates = read_frame(self.folder / "candidates.parquet", ["number", "key_high", "key_low"])
        keys = _pair_keys(candidates, pairs)
        similarity = _known(keys, self.compared)
        unknown = np.flatnonzero(np.isnan(similarity))
        read = 0
        if len(unknown):
            members, position = np.unique(pairs[unknown], return_inverse=True)
            text, read = _texts(self.parts, candidates["number"].to_numpy()[members])
            sets = minhash.shingle_sets(exact.normal_form(text), self.settings)
            similarity[unknown] = minhash.jaccard(sets, position.reshape(-1, 2))
            new = keys.with_columns(similarity=pl.Series(similarity)).select(pl.all().gather(unknown))
            write_frame(self.compared / f"{self.folder.name}-{self.index:05d}.parquet", new)
        save_array(self.folder / f"verified-{self.index:05d}.npy", similarity)
        return {
            "pairs": len(pairs),
            "near": int((similarity >= self.settings.threshold).sum()),
            "compared": len(unknown),
            "text_bytes_read": read,
        }


def _pair_keys(candidates: pl.DataFrame, pairs: npt.NDArray[np.int64]) -> pl.DataFrame:
    """The keys of every pair, as `PAIR_KEYS` names them."""
    high, low = candidates["key_high"].to_numpy(), candidates["key_low"].to_numpy()
    first, second = pairs[:, 0], pairs[:, 1]
    swap = (high[first] > high[second]) | ((high[first] == high[second]) & (low[first] > low[second]))
    first, second = np.where(swap, second, first), np.where(swap, first, second)
    return pl.DataFrame(dict(zip(PAIR_KEYS, (high[first], low[first], high[second], low[second]), strict=True)))


def _known(keys: pl.DataFrame, compared: Path) -> npt.NDArray[np.float64]:
    """The similarity of every pair that an earlier run computed, NaN for the others."""
    files = sorted(compared.glob("gathered-*.parquet"))
    if not files:
        return np.full(keys.height, np.nan)
    with whole(compared / "gathered-*.parquet"):
        stored = pl.scan_parquet(files, glob=False).join(keys.lazy(), on=PAIR_KEYS, how="semi").collect()
    found = keys.join(stored.unique(PAIR_KEYS), on=PAIR_KEYS, how="left", maintain_order="left")
    return found["similarity"].fill_null(np.nan).to_numpy().copy()


def _texts(parts: Sequence[Part], numbers: npt.NDArray[np.int64]) -> tuple[pl.Series, int]:
    """The texts of some documents (sorted numbers), and their UTF-8 bytes."""
    texts: list[pl.Series] = []
    first = 0
    for part in parts:
        last = first + rows_in(part.documents)
        low, high = np.searchsorted(numbers, (first, last))
        if low < high:
            texts.append(read_rows(part.documents, ["text"], numbers[low:high] - first)["text"])
        first = last
    text = pl.concat(texts)
    return text, int(text.str.len_bytes().sum())


@dataclass(frozen=True, slots=True)
class Decide(Job):
    """Decide which of the candidates stay."""

    chunks: int
    threshold: float
    folder: Path

    @property
    def name(self) -> str:
        return "duplicates, survivors"

    @property
    def report(self) -> Path:
        return self.folder / "decided.json"

    def run(self) -> dict[str, Any]:
        """Write `verdicts.parquet`: number, dropped_by, cluster (the id that stays), cluster_size, for clusters of two or more."""
        frame = read_frame(self.folder / "candidates.parquet")
        near = [np.zeros((0, 2), dtype=np.int64)]
        for index in range(self.chunks):
            pairs = load_array(self.folder / f"pairs-{index:05d}.npy")
            near.append(pairs[load_array(self.folder / f"verified-{index:05d}.npy") >= self.threshold])
        result = clusters.survivors(
            frame["rank"].to_numpy(),
            frame["exact"].to_numpy(),
            np.concatenate(near),
            url=frame["url"].to_numpy(),
            held_out=frame["held_out"].to_numpy(),
            removable=frame["removable"].to_numpy(),
            near_removable=frame["near_removable"].to_numpy(),
        )
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
        return {"leaving": int(verdicts["dropped_by"].is_not_null().sum()), "text_bytes_read": 0}


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


def pairs_report(folder: Path) -> dict[str, Any]:
    """What `PairUp` reported, for the pipeline to know how many chunks there are."""
    report: dict[str, Any] = read_json(folder / "pairs.json")
    return report
