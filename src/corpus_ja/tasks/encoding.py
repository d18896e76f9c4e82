"""Stage 5: the token ids of every document in the wanted language, sorted by bucket, and their counts beside the
documents.

Documents that rules or duplicates dropped are encoded too, so that another limit needs no text. A tokens file is
sorted by the `bucket` draw, so that a pack task reads only its range, and names the `row` of each document; `counts`
is a sidecar like every other.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus_ja.documents import check_aligned
from corpus_ja.stages import language
from corpus_ja.stages.tokens import Encoder, Tokenizer, encoder_for
from corpus_ja.storage.shards import iterate_frames, read_frame, replacing, write_frame
from corpus_ja.tasks import Job

VERSION = 1
TOKENS_PER_GROUP = 128_000
"""Tokens a row group of a tokens file holds, about. A pack task reads one or two groups more of every file than it
needs: with groups of a million, 71 shards over 27 files read their tokens five times."""

Encoded = tuple[np.ndarray[Any, Any], np.ndarray[Any, np.dtype[np.int64]], list[pl.DataFrame], list[pl.Series], int]
"""Flat ids, ids a document (0 for those in another language), bytes and characters, the documents' ids, and bytes of
text read."""


@dataclass(frozen=True, slots=True)
class Encode(Job):
    """Encode one documents file."""

    source: str
    part: str
    documents: Path
    language: Path
    chance: Path
    folder: Path
    wanted_language: str | None
    tokenizer: Tokenizer
    by_reference: bool = False

    @property
    def name(self) -> str:
        return f"tokens {self.source}/{self.part}"

    @property
    def report(self) -> Path:
        return self.folder / f"{self.part}.json"

    def run(self) -> dict[str, Any]:
        """Write the tokens file and the counts; report what the encoder had to say.

        Where the fast encoder is dropped half-way, everything is encoded again by the reference. `doubtful`: what
        earlier tasks encoded is in doubt too.
        """
        encoder = encoder_for(self.tokenizer)
        if self.by_reference:
            encoder.distrust()
        began_fast = encoder.fast
        foreign = language.judge(read_frame(self.language), self.wanted_language).is_not_null()
        bucket = read_frame(self.chance, ["bucket"])["bucket"].to_numpy()
        check_aligned(str(self.chance), len(bucket), len(foreign))
        encoded = self._encode(encoder, foreign)
        if encoded is None:
            encoded = self._encode(encoder, foreign)
        assert encoded is not None  # noqa: S101 - the reference is never dropped
        flat, lengths, sizes, ids, read = encoded
        rows = np.flatnonzero(~foreign.to_numpy())
        order = rows[np.argsort(bucket[rows], kind="stable")]
        self._write_tokens(flat, lengths, order, bucket, pl.concat(ids) if ids else pl.Series(dtype=pl.String))
        counts = pl.concat(sizes) if sizes else pl.DataFrame({"bytes": [], "characters": []})
        write_frame(
            self.folder / f"{self.part}.counts.parquet",
            counts.with_columns(tokens=pl.Series(lengths, dtype=pl.UInt32)),
        )
        return {
            "rows": len(lengths),
            "tokens": int(lengths.sum()),
            "text_bytes_read": read,
            "note": encoder.note,
            "encoder": "pieces" if encoder.fast else "reference",
            "doubtful": began_fast and encoder.doubtful,
        }

    def _encode(self, encoder: Encoder, foreign: pl.Series) -> Encoded | None:
        """Encode the documents of the wanted language; None where the fast encoder was dropped on the way."""
        began_fast = encoder.fast
        lengths = np.zeros(len(foreign), dtype=np.int64)
        sizes: list[pl.DataFrame] = []
        ids: list[pl.Series] = []
        chunks = [np.zeros(0, dtype=self.tokenizer.dtype)]
        first = read = 0
        for frame in iterate_frames(self.documents, ["id", "text"]):
            sizes.append(frame.select(bytes=pl.col("text").str.len_bytes(), characters=pl.col("text").str.len_chars()))
            ids.append(frame["id"])
            wanted = ~foreign[first : first + frame.height]
            chosen = frame.filter(wanted)
            read += int(chosen["text"].str.len_bytes().sum())
            flat, offsets = encoder.encode(chosen["text"].to_list(), chosen["id"].to_list())
            if encoder.fast != began_fast:
                return None
            lengths[first + np.flatnonzero(wanted.to_numpy())] = np.diff(offsets)
            chunks.append(flat.astype(self.tokenizer.dtype))
            first += frame.height
        return np.concatenate(chunks), lengths, sizes, ids, read

    @staticmethod
    def forget() -> None:
        """Drop the encoder with its cache."""
        encoder_for.cache_clear()

    def _write_tokens(
        self,
        flat: np.ndarray[Any, Any],
        lengths: np.ndarray[Any, np.dtype[np.int64]],
        order: np.ndarray[Any, np.dtype[np.int64]],
        bucket: np.ndarray[Any, np.dtype[np.uint64]],
        ids: pl.Series,
    ) -> None:
        starts = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(lengths)))
        token = pa.uint16() if self.tokenizer.dtype is np.uint16 else pa.uint32()
        schema = pa.schema(
            [
                ("bucket", pa.uint64()),
                ("row", pa.uint32()),
                ("id", pa.string()),
                ("input_ids", pa.list_(token)),
            ]
        )
        sorted_lengths = lengths[order]
        ends = np.cumsum(sorted_lengths)
        path = self.folder / f"{self.part}.parquet"
        # No dictionary: tokens of a whole group do not repeat enough; a fifth faster to write and a sixth smaller without.
        with (
            replacing(path) as temporary,
            pq.ParquetWriter(
                temporary, schema, compression="zstd", compression_level=1, use_dictionary=False
            ) as writer,
        ):
            first = 0
            while first < len(order):
                begun = ends[first - 1] if first else 0
                last = max(first + 1, int(np.searchsorted(ends, begun + TOKENS_PER_GROUP, side="right")))
                group = order[first:last]
                pieces = [flat[starts[row] : starts[row + 1]] for row in group]
                offsets = np.concatenate((np.zeros(1, dtype=np.int32), np.cumsum(sorted_lengths[first:last])))
                writer.write_table(
                    pa.table(
                        [
                            _arrow(bucket[group]),
                            _arrow(group.astype(np.uint32)),
                            ids.gather(group).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string()),
                            pa.ListArray.from_arrays(_arrow(offsets.astype(np.int32)), _arrow(np.concatenate(pieces))),
                        ],
                        schema=schema,
                    )
                )
                first = last


def _arrow(values: np.ndarray[Any, Any]) -> pa.Array:
    """An Arrow array of numbers. `pa.array` would import pandas first, a third of a second in every worker."""
    return pl.Series(values).to_arrow()
