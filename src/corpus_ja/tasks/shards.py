"""Stage 7: the documents of one bucket become one training shard.

A shard takes a contiguous range of the `bucket` draw, so that a task reads only its range of the sorted token files;
the range of a later epoch is rotated by a draw of its own, so a document's second pass stands in another shard than
its first. Within the shard documents stand in the order of `order/<epoch>`, packed over all sources, and the rows are
shuffled. So the shuffle is global and nobody holds the corpus.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import polars as pl
import xxhash

from corpus_ja.documents import draws
from corpus_ja.stages.packing import Packing, Pieces, pack, shuffle_rows
from corpus_ja.storage.manifest import sha256_of
from corpus_ja.storage.shards import read_frame, read_range, shard_schema, write_shard
from corpus_ja.tasks import Job

VERSION = 1
Split = str
COLUMNS = ("bucket", "row", "id", "input_ids")


@dataclass(frozen=True, slots=True)
class TokenPart:
    """Where the tokens and the allotment of one documents file lie; `source` is the source's number in the shards."""

    source: int
    tokens: Path
    mix: Path


@dataclass(frozen=True, slots=True)
class PackShard(Job):
    """Pack one shard of `total` of the split `train` or `validation`."""

    split: Split
    index: int
    total: int
    parts: tuple[TokenPart, ...]
    epochs: int
    seed: int
    sequence_length: int
    packing: Packing
    eos_id: int
    bos_id: int | None
    wide: bool
    metadata: dict[str, Any]
    folder: Path

    @property
    def file(self) -> str:
        """The shard's file name."""
        return f"{self.split}-{self.index:05d}-of-{self.total:05d}.parquet"

    @property
    def name(self) -> str:
        return f"pack {self.split}-{self.index:05d}"

    @property
    def report(self) -> Path:
        return self.folder / f"{self.file}.json"

    @property
    def done(self) -> bool:
        return self.report.is_file() and (self.folder / self.file).is_file()

    def run(self) -> dict[str, Any]:
        """Write the shard and report rows, tokens, checksum, and how documents were cut."""
        found = [frame for epoch in range(self.epochs) for frame in self._epoch(epoch)]
        if found:
            documents = pl.concat(found).sort("order", "source", "id", "epoch")
        else:
            documents = pl.DataFrame(
                schema={"id": pl.String, "input_ids": pl.List(pl.UInt32), "source": pl.UInt16, "epoch": pl.UInt16}
            )
        del found
        flat, starts, lengths = _flat_tokens(documents, self.bos_id, self.eos_id)
        pieces = pack(lengths, self.sequence_length, self.packing)
        pieces = shuffle_rows(pieces, self.sequence_length, xxhash.xxh3_64_intdigest(f"{self.seed}\0rows\0{self.file}"))
        tokens = _gather(flat, starts[pieces.document] + pieces.start, pieces.length)
        schema = shard_schema(np.uint32 if self.wide else np.uint16, self.metadata)
        rows = pieces.rows
        row_offsets = np.concatenate(
            (np.zeros(1, dtype=np.int64), np.cumsum(np.bincount(pieces.row, pieces.length, rows).astype(np.int64)))
        )
        piece_offsets = np.concatenate(
            (np.zeros(1, dtype=np.int64), np.cumsum(np.bincount(pieces.row, minlength=rows).astype(np.int64)))
        )
        write_shard(
            self.folder / self.file,
            schema,
            row_offsets,
            piece_offsets,
            {
                "input_ids": tokens.astype(np.uint32 if self.wide else np.uint16),
                "seq_lengths": pieces.length.astype(np.int32),
                "source_ids": documents["source"].to_numpy()[pieces.document],
                "document_ids": documents["id"].gather(pieces.document).to_list(),
                "piece_starts": pieces.start.astype(np.uint32),
                "epochs": documents["epoch"].to_numpy()[pieces.document],
            },
        )
        return {
            "name": self.file,
            "rows": rows,
            "tokens": len(tokens),
            "sha256": sha256_of(self.folder / self.file),
            "text_bytes_read": 0,
            "packing": _packing_report(pieces, lengths, self.sequence_length),
        }

    def _epoch(self, epoch: int) -> list[pl.DataFrame]:
        """The documents that stand in this shard in one pass, with their draw of the order."""
        turn = xxhash.xxh3_64_intdigest(f"{self.seed}\0bucket/{epoch}") % self.total if epoch else 0
        place = (self.index - turn) % self.total
        low, high = -(-place * 2**64 // self.total), -(-(place + 1) * 2**64 // self.total)
        if self.split != "train":
            low, high = -(-self.index * 2**64 // self.total), -(-(self.index + 1) * 2**64 // self.total)
        frames: list[pl.DataFrame] = []
        for part in self.parts:
            allotted = read_frame(part.mix, ["times", "held_out"])
            wanted = allotted["held_out"] if self.split != "train" else allotted["times"] > epoch
            if not wanted.any():
                continue
            frame = read_range(part.tokens, COLUMNS, "bucket", low, high)
            frame = frame.filter(wanted.gather(frame["row"]))
            if frame.height:
                frames.append(
                    frame.select(
                        "id",
                        "input_ids",
                        pl.lit(part.source, dtype=pl.UInt16).alias("source"),
                        pl.lit(epoch, dtype=pl.UInt16).alias("epoch"),
                        pl.Series("order", draws(self.seed, f"order/{epoch}", frame["id"])),
                    )
                )
        return frames


def _flat_tokens(
    documents: pl.DataFrame, bos_id: int | None, eos_id: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Flat tokens with bos and end-of-text round each document, and each document's start and length in them."""
    inner = documents["input_ids"].list.len().to_numpy().astype(np.int64)
    values = documents["input_ids"].list.explode(keep_nulls=False, empty_as_null=False).to_numpy().astype(np.uint32)
    lead = 0 if bos_id is None else 1
    lengths = inner + lead + 1
    starts = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(lengths)))
    flat = np.empty(int(starts[-1]), dtype=np.uint32)
    inside = np.ones(len(flat), dtype=bool)
    inside[starts[1:] - 1] = False
    flat[starts[1:] - 1] = eos_id
    if bos_id is not None:
        inside[starts[:-1]] = False
        flat[starts[:-1]] = bos_id
    flat[inside] = values
    return flat, starts[:-1], lengths


@numba.njit(cache=True)
def _gather(
    flat: npt.NDArray[np.uint32], starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint32]:  # pragma: no cover - compiled
    """Slices of `flat`, end to end."""
    result = np.empty(lengths.sum(), dtype=flat.dtype)
    position = 0
    for piece in range(len(starts)):
        for offset in range(lengths[piece]):
            result[position + offset] = flat[starts[piece] + offset]
        position += lengths[piece]
    return result


def _packing_report(pieces: Pieces, lengths: npt.NDArray[np.int64], size: int) -> dict[str, int]:
    """Counts that add up over shards: rows, tokens, pieces, documents that fit a row, and how many of them were cut."""
    per_document = np.bincount(pieces.document, minlength=len(lengths))
    short = lengths <= size
    # What `concat` would have cut: a short document is cut when a row ends inside it.
    ends = np.cumsum(lengths)
    concat_cut = (ends - lengths) // size != (ends - 1) // size
    return {
        "rows": pieces.rows,
        "tokens": int(lengths.sum()),
        "pieces": len(pieces.row),
        "short_documents": int(short.sum()),
        "short_documents_cut": int((per_document[short] > 1).sum()),
        "short_documents_cut_by_concat": int(concat_cut[short].sum()),
    }
