"""Parquet files written whole or not at all, read by row group, and the training shards with their one schema.

Every file is written under a temporary name (process id and random bytes) beside its place and renamed when complete,
so a reader never sees half a file and two writers of the same file never meet. Row groups are cut by bytes (about 4 MB
of text), so a reader holds one at a time and a reader of a few rows skips the rest. The training shards are built from
flat values and offsets by PyArrow against a constant schema: Polars turns a frame of equally long lists into
fixed-size arrays, silently.
"""

import json
import os
import secrets
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus_ja.errors import CorpusError

ROW_GROUP_BYTES = 4_000_000
"""Text a row group of a documents file holds, about: what one read of a few rows costs."""
TEMPORARY = ".partial-"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to; it takes the place of `path` when the block ends, and vanishes when it raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: object) -> None:
    """Write JSON (sorted keys, readable) atomically."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:  # noqa: ANN401 - JSON is anything
    """Read a JSON file written by `write_json`; CorpusError if a lost disk or another program damaged it."""
    with whole(path):
        return json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def whole(path: Path) -> Iterator[None]:
    """A CorpusError that says what to delete, where a file of ours turns out to be damaged or gone.

    Files are renamed into place when complete, so this is a lost disk, a full one, or somebody's hand. Its folder
    holds one stage of one source: without it the build makes it again.
    """
    try:
        yield
    except (pl.exceptions.ComputeError, pa.ArrowInvalid, pa.ArrowException, EOFError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise CorpusError(
            f"{path} is damaged ({reason}): delete the folder {path.parent} and run the same command again, which makes it anew."
        ) from error
    except FileNotFoundError as error:
        raise CorpusError(
            f"{path} is gone, but the report of its stage is there: delete the folder {path.parent} and run the same command again."
        ) from error
    except OSError as error:
        if error.errno is not None:
            raise
        # PyArrow's word for pages that do not decode
        raise CorpusError(
            f"{path} is damaged ({' '.join(str(error).split())[:120]}): delete the folder {path.parent} and run the same command again, "
            "which makes it anew."
        ) from error


def write_frame(path: Path, frame: pl.DataFrame, rows_per_group: int | None = None) -> None:
    """Write a frame as one Parquet file, atomically."""
    with replacing(path) as temporary:
        frame.write_parquet(temporary, compression="zstd", compression_level=1, row_group_size=rows_per_group)


class FrameWriter:
    """Writes a Parquet file frame by frame, each frame one row group or more; `close` puts it in place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._context = replacing(path)
        self._temporary = self._context.__enter__()
        self._writer: pq.ParquetWriter | None = None

    def write(self, frame: pl.DataFrame) -> None:
        """Append a frame; all frames have the same columns and types."""
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._temporary, table.schema, compression="zstd", compression_level=1)
        self._writer.write_table(table.cast(self._writer.schema))
        self.rows += frame.height

    def close(self) -> None:
        """Finish the file and put it in place."""
        if self._writer is None:
            self.discard()
            return
        self._writer.close()
        self._context.__exit__(None, None, None)

    def discard(self) -> None:
        """Give the file up, leaving nothing behind."""
        if self._writer is not None:
            self._writer.close()
        self._temporary.unlink(missing_ok=True)


def read_frame(path: Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Read a whole Parquet file, or some of its columns."""
    with whole(path):
        return pl.read_parquet(
            path, columns=list(columns) if columns is not None else None, hive_partitioning=False, glob=False
        )


def iterate_frames(path: Path, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """The row groups of a Parquet file, one frame each, in order."""
    with whole(path):
        file = pq.ParquetFile(path)
    with file:
        for group in range(file.num_row_groups):
            with whole(path):
                frame = _frame(file.read_row_group(group, columns=list(columns), use_threads=False))
            yield frame


def read_rows(path: Path, columns: Sequence[str], rows: npt.NDArray[np.int64]) -> pl.DataFrame:
    """Some rows (sorted, unique positions) of a Parquet file, reading only the row groups they stand in."""
    parts: list[pl.DataFrame] = []
    with whole(path), pq.ParquetFile(path) as file:
        first = 0
        for group in range(file.num_row_groups):
            last = first + file.metadata.row_group(group).num_rows
            low, high = np.searchsorted(rows, (first, last))
            if low < high:
                frame = _frame(file.read_row_group(group, columns=list(columns), use_threads=False))
                parts.append(frame[rows[low:high] - first])
            first = last
    return pl.concat(parts) if parts else read_frame(path, columns).clear()


def read_range(path: Path, columns: Sequence[str], key: str, low: int, high: int) -> pl.DataFrame:
    """The rows of a file sorted by the uint64 column `key` with low ≤ key < high, by row-group statistics."""
    parts: list[pl.DataFrame] = []
    with whole(path), pq.ParquetFile(path) as file:
        names = [file.metadata.schema.column(index).path for index in range(file.metadata.num_columns)]
        column = names.index(key)

        def reach(group: int) -> tuple[int, int]:
            statistics = file.metadata.row_group(group).column(column).statistics
            return (statistics.min, statistics.max) if statistics is not None and statistics.has_min_max else (0, 2**64)

        # The file is sorted: few of its groups' statistics need to be looked at.
        groups = range(file.num_row_groups)
        for group in groups[bisect_left(groups, low, key=lambda group: reach(group)[1]) :]:
            if reach(group)[0] >= high:
                break
            frame = _frame(file.read_row_group(group, columns=list(columns), use_threads=False))
            kept = frame.filter(_within(key, low, high))
            if kept.height:
                parts.append(kept)
    return pl.concat(parts) if parts else read_frame(path, columns).clear()


def _within(key: str, low: int, high: int) -> pl.Expr:
    condition = pl.col(key) >= pl.lit(low, dtype=pl.UInt64)
    return condition if high >= 2**64 else condition & (pl.col(key) < pl.lit(high, dtype=pl.UInt64))


def rows_in(path: Path) -> int:
    """How many rows a Parquet file has, from its footer."""
    with whole(path):
        return int(pq.read_metadata(path).num_rows)


def _frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    if not isinstance(frame, pl.DataFrame):
        raise TypeError("a table became something else than a frame")
    return frame


def shard_schema(token_dtype: type[np.uint16] | type[np.uint32], metadata: Mapping[str, object]) -> pa.Schema:
    """The one schema of a build's training shards; `metadata` goes into the Parquet key `corpus_ja` as JSON."""
    token = pa.uint16() if token_dtype is np.uint16 else pa.uint32()
    return pa.schema(
        [
            pa.field("input_ids", pa.list_(token), nullable=False),
            pa.field("seq_lengths", pa.list_(pa.int32()), nullable=False),
            pa.field("source_ids", pa.list_(pa.uint16()), nullable=False),
            pa.field("document_ids", pa.list_(pa.string()), nullable=False),
            pa.field("piece_starts", pa.list_(pa.uint32()), nullable=False),
            pa.field("epochs", pa.list_(pa.uint16()), nullable=False),
        ],
        metadata={"corpus_ja": json.dumps(metadata, ensure_ascii=False, sort_keys=True)},
    )


def write_shard(
    path: Path,
    schema: pa.Schema,
    row_offsets: npt.NDArray[np.int64],
    piece_offsets: npt.NDArray[np.int64],
    columns: Mapping[str, Any],
    rows_per_group: int = 1000,
) -> None:
    """Write one training shard from flat values, atomically.

    `row_offsets` [rows + 1] cuts `columns["input_ids"]` into rows, `piece_offsets` [rows + 1] every other column.
    """
    arrays = []
    for field in schema:
        offsets = row_offsets if field.name == "input_ids" else piece_offsets
        values = pa.array(columns[field.name], type=field.type.value_type)
        arrays.append(pa.ListArray.from_arrays(pa.array(offsets, type=pa.int32()), values, type=field.type))
    with replacing(path) as temporary:
        pq.write_table(
            pa.Table.from_arrays(arrays, schema=schema),
            temporary,
            compression="zstd",
            compression_level=3,
            # A dictionary of tokens costs a tenth of the writing time and makes the file a tenth larger.
            use_dictionary=["source_ids.list.element", "document_ids.list.element", "epochs.list.element"],
            row_group_size=rows_per_group,
        )
