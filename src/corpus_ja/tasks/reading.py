"""Stage 1: records of a source become cleaned documents with unique ids; what cannot be read is set aside by name.

`ReadDocuments` streams a task's files in batches of about 8 MB and writes documents files of about 64 MB of text each
(a compressed file is never cut for reading, but what comes out of it is), beside them `NNNNN.set_aside.parquet` with
every line that is no document: file, line, id where it has one, reason, and the first characters. `NumberRepeats` then
looks at the ids of the whole source (a hash each; 63 bytes a document at its peak) and rewrites the rare files in
which an id repeats an earlier one.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import xxhash

from corpus_ja.documents import DOCUMENTS, draws, is_below
from corpus_ja.errors import SourceError
from corpus_ja.stages.clean import Clean, clean_counted
from corpus_ja.storage.shards import FrameWriter, iterate_frames, read_frame, replacing, whole, write_frame
from corpus_ja.storage.sources import SET_ASIDE_COLUMNS, Batch, Piece, Reading, read_pieces, sidecar_ids
from corpus_ja.tasks import Job

VERSION = 1
PART_BYTES = 64_000_000
"""Text a documents file holds, about (UTF-8 bytes)."""

LOSSES_NAMED = 20
"""Files that broke off, named in a task's report; all of them stand in its set-aside file."""

OURS = ("file", "row", "given_id", "text", "url", "surrogates")


@dataclass(frozen=True, slots=True)
class ReadDocuments(Job):
    """Read one task's pieces of a source. `fraction` and `validation` are bounds on 64-bit draws."""

    source: str
    index: int
    pieces: tuple[Piece, ...]
    reading: Reading
    cleaning: Clean
    fraction: int
    seed: int
    validation: int
    validation_seed: int
    extra: tuple[tuple[str, pl.DataType], ...]
    folder: Path

    @property
    def name(self) -> str:
        return f"documents {self.source}/{self.index:05d}"

    @property
    def report(self) -> Path:
        return self.folder / f"{self.index:05d}.json"

    def run(self) -> dict[str, Any]:
        """Write the documents files and the set-aside file; report counts of both."""
        writer = _Parts(self.folder, self.index)
        aside: list[pl.DataFrame] = []
        read: Counter[str] = Counter()
        cleaned: Counter[str] = Counter()
        seen = 0
        try:
            for batch in self.batches():
                documents, lost, removed = self._documents(batch)
                cleaned.update(removed)
                seen += documents.height
                read["surrogates"] += int(batch.frame["surrogates"].sum() or 0)
                aside.append(lost)
                writer.write(documents)
            parts = writer.close()
        except BaseException:
            writer.discard()
            raise
        lost = pl.concat([pl.DataFrame(schema=SET_ASIDE_COLUMNS), *aside])
        write_frame(self.folder / f"{self.index:05d}.set_aside.parquet", lost)
        unreadable = lost.filter(pl.col("reason").str.starts_with("unreadable/"))
        dropped = lost.filter(~pl.col("reason").str.starts_with("unreadable/"))
        broken = lost.filter(pl.col("reason") == "unreadable/truncated").head(LOSSES_NAMED)
        return {
            "losses": [f"{file}: {detail}" for file, detail in broken.select("file", "detail").rows()],
            "parts": parts,
            "rows": sum(part["rows"] for part in parts),
            "read": {
                "documents": dropped.height + sum(part["rows"] for part in parts),
                "bytes": int(dropped["bytes"].sum()) + sum(part["original_bytes"] for part in parts),
                "characters": int(dropped["characters"].sum()) + sum(part["original_characters"] for part in parts),
            },
            "unreadable": dict(Counter(reason.removeprefix("unreadable/") for reason in unreadable["reason"])),
            "dropped": dict(Counter(dropped["reason"])),
            "cleaned": dict(sorted(cleaned.items())),
            "surrogates": read["surrogates"],
            "text_bytes_read": sum(part["original_bytes"] for part in parts) + int(dropped["bytes"].sum()),
        }

    def batches(self) -> Iterator[Batch]:
        """The records to be read; a plan reads a sample of them instead."""
        return read_pieces(self.pieces, self.reading, extra=dict(self.extra))

    def _documents(self, batch: Batch) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, int]]:
        """The documents of a batch, all its records that are none, and the characters that cleaning took out by
        kind.
        """
        frame = batch.frame
        fallback = pl.col("file") + "#" + pl.col("row").cast(pl.String)
        identified = frame.with_columns(
            id=pl.lit(f"{self.source}/") + pl.coalesce(pl.col("given_id"), fallback),
            original_bytes=pl.col("text").str.len_bytes().cast(pl.UInt64),
            original_characters=pl.col("text").str.len_chars().cast(pl.UInt64),
        )
        names = pl.when(pl.col("reason") == "where").then(
            pl.lit(f"{self.source}/") + pl.coalesce(pl.col("id"), fallback)
        ).otherwise(pl.col("id"))  # fmt: skip
        lost = [batch.set_aside.with_columns(id=names)]
        if self.fraction < 2**64:
            wanted = pl.Series(
                is_below(draws(self.seed, "sample", identified["id"]), self.fraction)
                | is_below(draws(self.validation_seed, "validation", identified["id"]), self.validation)
            )
            lost.append(_records(identified.filter(~wanted), "mix.not_sampled"))
            identified = identified.filter(wanted)
        texts, removed = clean_counted(identified["text"], self.cleaning)
        cleaned = identified.with_columns(text=texts)
        empty = cleaned["text"].str.len_bytes() == 0
        if empty.any():
            lost.append(_records(cleaned.filter(empty), "unreadable/empty"))
            cleaned = cleaned.filter(~empty)
        extra = [name for name in frame.columns if name not in OURS]
        documents = cleaned.select(
            "id",
            pl.lit(1, dtype=pl.UInt32).alias("repeat"),
            "text",
            "url",
            "original_bytes",
            "original_characters",
            *extra,
        )
        return documents, pl.concat(lost), removed


def _records(frame: pl.DataFrame, reason: str) -> pl.DataFrame:
    return frame.select(
        pl.col("file"),
        pl.col("row").cast(pl.UInt64),
        pl.col("id"),
        pl.lit(reason).alias("reason"),
        pl.lit("").alias("detail"),
        pl.col("original_bytes").alias("bytes"),
        pl.col("original_characters").alias("characters"),
    )


class _Parts:
    """Documents files of about `PART_BYTES`, named NNNNN, NNNNN-0001, NNNNN-0002, ..."""

    def __init__(self, folder: Path, index: int) -> None:
        self.folder = folder
        self.index = index
        self.parts: list[dict[str, Any]] = []
        self._writer: FrameWriter | None = None
        self._bytes = 0

    def write(self, frame: pl.DataFrame) -> None:
        """Append documents, beginning a new file whenever one is full."""
        while frame.height:
            sizes = frame["text"].str.len_bytes().cast(pl.Int64).cum_sum()
            count = max(1, int((sizes <= PART_BYTES - self._bytes).sum()))
            if self._bytes and int(sizes[0]) > PART_BYTES - self._bytes:
                self._finish()
                continue
            self._append(frame.head(count), int(sizes[count - 1]))
            frame = frame.slice(count)

    def _append(self, frame: pl.DataFrame, size: int) -> None:
        if self._writer is None:
            number = len(self.parts)
            stem = f"{self.index:05d}" if number == 0 else f"{self.index:05d}-{number:04d}"
            self._writer = FrameWriter(self.folder / f"{stem}.parquet")
            self.parts.append({"name": stem, "rows": 0, "bytes": 0, "original_bytes": 0, "original_characters": 0})
        part = self.parts[-1]
        part["rows"] += frame.height
        part["bytes"] += size
        part["original_bytes"] += int(frame["original_bytes"].sum())
        part["original_characters"] += int(frame["original_characters"].sum())
        self._writer.write(frame)
        self._bytes += size

    def _finish(self) -> None:
        if self._writer is not None and self._writer.path.exists():
            # Another build was first, and may have numbered the ids of its file since: it stays.
            self._writer.discard()
        elif self._writer is not None:
            self._writer.close()
        self._writer, self._bytes = None, 0

    def close(self) -> list[dict[str, Any]]:
        """Finish the last file and describe them all; a task without documents has none."""
        self._finish()
        return self.parts

    def discard(self) -> None:
        """Give up the file being written."""
        if self._writer is not None:
            self._writer.discard()


@dataclass(frozen=True, slots=True)
class NumberRepeats(Job):
    """Number the documents of a source whose id repeats an earlier one: `~2`, `~3` in row order."""

    source: str
    folder: Path
    parts: tuple[str, ...]
    sidecar: Reading | None

    @property
    def name(self) -> str:
        return f"ids {self.source}"

    @property
    def report(self) -> Path:
        return self.folder / "ids.json"

    def run(self) -> dict[str, Any]:
        """Rewrite the files that hold repeated ids; 16 bytes a document are held."""
        hashes = [self._hashes(part) for part in self.parts]
        sizes = [len(part) for part in hashes]
        everything = np.concatenate(hashes) if hashes else np.zeros(0, dtype=np.uint64)
        order = np.argsort(everything, kind="stable")
        ordered = everything[order]
        same = (
            np.concatenate((np.zeros(1, dtype=bool), ordered[1:] == ordered[:-1]))
            if len(ordered)
            else np.zeros(0, bool)
        )
        starts = np.flatnonzero(~same)
        place = np.arange(len(ordered)) - np.repeat(starts, np.diff(np.append(starts, len(ordered))))
        numbers = np.empty(len(ordered), dtype=np.uint32)
        numbers[order] = place + 1
        taken = set(everything[numbers == 1].tolist()) if (numbers > 1).any() else set()
        first = 0
        for part, size in zip(self.parts, sizes, strict=True):
            own = numbers[first : first + size]
            if (own > 1).any():
                self._rewrite(part, own, taken)
            first += size
        return {
            "repeated": int((numbers > 1).sum()),
            "documents": len(ordered),
            "unknown_sidecar_ids": self._unknown_ids(ordered) if self.sidecar is not None else 0,
        }

    def _unknown_ids(self, ordered: np.ndarray[Any, np.dtype[np.uint64]]) -> int:
        """How many ids of the sidecar belong to no document read, nor to one that `where` or `fraction` left out."""
        assert self.sidecar is not None  # noqa: S101 - the caller checked
        aside = [
            read_frame(path, ["id"])["id"].drop_nulls() for path in sorted(self.folder.glob("*.set_aside.parquet"))
        ]
        known = [xxhash.xxh3_64_intdigest(name) for names in aside for name in names]
        everyone = np.union1d(ordered, np.array(known, dtype=np.uint64))
        ids = sidecar_ids(self.sidecar, f"{self.source}/").to_numpy()
        return int((~np.isin(ids, everyone)).sum())

    def _hashes(self, part: str) -> np.ndarray[Any, np.dtype[np.uint64]]:
        frame = read_frame(self.folder / f"{part}.parquet", ["id", "repeat"])
        raw = frame.select(
            pl.when(pl.col("repeat") > 1)
            .then(pl.col("id").str.strip_suffix(pl.lit("~") + pl.col("repeat").cast(pl.String)))
            .otherwise(pl.col("id"))
        ).to_series()
        return np.fromiter((xxhash.xxh3_64_intdigest(name) for name in raw), dtype=np.uint64, count=len(raw))

    def _rewrite(self, part: str, numbers: np.ndarray[Any, np.dtype[np.uint32]], taken: set[int]) -> None:
        path = self.folder / f"{part}.parquet"
        with whole(path):
            columns = list(pl.read_parquet_schema(path))
        first = 0
        with replacing(path) as temporary:
            writer = FrameWriter(temporary)
            for frame in iterate_frames(path, columns):
                own = numbers[first : first + frame.height]
                first += frame.height
                names, repeats = [], []
                for name, already, number in zip(frame["id"], frame["repeat"], own.tolist(), strict=True):
                    raw = name.removesuffix(f"~{already}") if already > 1 else name
                    # An id that a record itself brought may already read `x~2`: then the next free number.
                    while number > 1 and xxhash.xxh3_64_intdigest(f"{raw}~{number}") in taken:
                        number += 1  # noqa: PLW2901 - the number is what is looked for
                    names.append(raw if number == 1 else f"{raw}~{number}")
                    repeats.append(number)
                    if number > 1:
                        taken.add(xxhash.xxh3_64_intdigest(names[-1]))
                writer.write(
                    frame.with_columns(id=pl.Series(names, dtype=pl.String), repeat=pl.Series(repeats, dtype=pl.UInt32))
                )
            writer.close()


def check_documents(frame: pl.DataFrame, source: str) -> None:
    """Raise if a documents frame does not have the shape the stages rely on."""
    for name, kind in DOCUMENTS.items():
        if frame.schema.get(name) != kind:
            raise SourceError(f"{source}: the column `{name}` should be {kind}, not {frame.schema.get(name)}.")
