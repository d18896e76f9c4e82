"""Reads parquet: only the columns asked for, a row group at a time, cut into tasks at row groups.

A file without its footer (truncated in transfer) is one entry in what is set aside; a damaged row group costs that row
group. Texts are checked to be UTF-8 on their way to Polars, which would trust them: PyArrow reads whatever bytes a file
holds. Local files are read page by page; on the Hub the columns of a row group are fetched in one request each.
Measured with one core: 500 MB of text a second from zstd pages. Rejected: `pl.scan_parquet` (no row numbers within row
groups, aborts on bad UTF-8, its own notion of hf://).
"""

from collections.abc import Iterator
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus_ja.errors import SourceError
from corpus_ja.storage.sources.files import is_remote, opened
from corpus_ja.storage.sources.records import (
    FRAME_COLUMNS,
    SET_ASIDE_COLUMNS,
    Batch,
    Condition,
    Json,
    Piece,
    Reading,
    SourceFile,
    excluded,
    given_id,
    preview,
)

_BLANK: Final = r"^[\s\x1c-\x1f]*$"
_DAMAGE: Final = (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError)
"""What PyArrow raises for bytes that are not what the footer says. Our own SourceError passes through."""


def open_file(file: SourceFile) -> pq.ParquetFile | str:
    """The opened file, or how it is damaged. The caller closes it."""
    if file.bytes < 12:
        return "it is empty" if not file.bytes else "it ends too early"
    remote = is_remote(file.address)
    try:
        source = opened(file, sequential=False) if remote else file.address
        return pq.ParquetFile(source, pre_buffer=remote, buffer_size=0 if remote else 1 << 20)
    except FileNotFoundError as error:
        raise SourceError(f"{file.address}: the file is gone.") from error
    except PermissionError as error:
        raise SourceError(f"{file.address}: you may not read this file.") from error
    except _DAMAGE as error:
        return f"it has no readable parquet footer ({str(error).splitlines()[0][:100]})"


def row_groups(file: SourceFile) -> list[tuple[int, int]]:
    """Rows and stored bytes of each row group; empty for a damaged file."""
    parquet = open_file(file)
    if isinstance(parquet, str):
        return []
    with parquet:
        groups = [parquet.metadata.row_group(index) for index in range(parquet.num_row_groups)]
        return [(g.num_rows, sum(g.column(c).total_compressed_size for c in range(g.num_columns))) for g in groups]


def extra_type(kind: pa.DataType) -> pl.DataType:
    """What an extra column becomes: numbers and truths Float64, all else String (nested values as JSON)."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return pl.Float64() if number or pa.types.is_decimal(kind) else pl.String()


def field_of(schema: pa.Schema, path: str) -> tuple[list[str], pa.DataType] | None:
    """Where `path` stands in a schema: the column of that very name, else down its dots; None if neither."""
    for parts in ([path], path.split(".")):
        kind: pa.DataType = None
        for depth, part in enumerate(parts):
            holder = schema if depth == 0 else kind
            if depth and not pa.types.is_struct(kind):
                break
            index = holder.get_field_index(part)
            if index < 0:
                break
            kind = holder.field(index).type
        else:
            return parts, kind
    return None


def extra_types(file: SourceFile, reading: Reading) -> dict[str, pl.DataType]:
    """The types of the extra columns that `columns` declares, by the file's schema."""
    parquet = open_file(file)
    if isinstance(parquet, str):
        return {}
    with parquet:
        schema = parquet.schema_arrow
        return {name: extra_type(_declared(file, schema, path)[1]) for name, path in reading.extra_paths.items()}


def _declared(file: SourceFile, schema: pa.Schema, path: str) -> tuple[list[str], pa.DataType]:
    found = field_of(schema, path)
    if found is None:
        raise SourceError(f"{file.address}: there is no column {path!r}; the columns are {', '.join(schema.names)}.")
    return found


def read(
    piece: Piece, reading: Reading, condition: Condition | None, extra: dict[str, pl.DataType], batch_bytes: int
) -> Iterator[Batch]:
    """Read a piece of a parquet file as batches of about `batch_bytes` of text."""
    file = piece.file
    parquet = open_file(file)
    if isinstance(parquet, str):
        yield _truncated(piece, piece.first_row, f"{parquet}; nothing of it could be read", extra)
        return
    with parquet:
        schema = parquet.schema_arrow
        columns = _Columns(file, schema, reading, condition, extra)
        first, last = piece.row_groups or (0, parquet.num_row_groups)
        start, lost, lost_rows, reason = piece.first_row, -1, 0, ""
        for group in range(first, last):
            metadata = parquet.metadata.row_group(group)
            done = 0
            try:
                for record_batch in parquet.iter_batches(
                    batch_size=_rows_at_once(metadata, columns.projection, batch_bytes),
                    row_groups=[group],
                    columns=columns.projection,
                    use_threads=False,
                ):
                    yield columns.batch(record_batch, start + done)
                    done += record_batch.num_rows
            except _DAMAGE as error:
                lost = start + done if lost < 0 else lost
                lost_rows += metadata.num_rows - done
                reason = str(error).splitlines()[0][:100]
            start += metadata.num_rows
    if lost_rows:
        yield _truncated(piece, lost, f"{lost_rows:,} rows could not be read, the first is {lost:,} ({reason})", extra)


def _rows_at_once(metadata: pq.RowGroupMetaData, projection: list[str], batch_bytes: int) -> int:
    wanted = 0
    for index in range(metadata.num_columns):
        column = metadata.column(index)
        path = column.path_in_schema
        if any(path == name or path.startswith(f"{name}.") for name in projection):
            wanted += column.total_uncompressed_size
    rows: int = max(1, min(65_536, batch_bytes * metadata.num_rows // max(1, wanted)))
    return rows


def _truncated(piece: Piece, row: int, detail: str, extra: dict[str, pl.DataType]) -> Batch:
    values = (piece.file.name, row, None, "unreadable/truncated", preview(detail), 0, 0)
    aside = pl.DataFrame(
        [
            pl.Series(name, [value], dtype=kind)
            for (name, kind), value in zip(SET_ASIDE_COLUMNS.items(), values, strict=True)
        ]
    )
    return Batch(pl.DataFrame(schema={**FRAME_COLUMNS, **extra}), aside)


class _Columns:
    """Which columns of one file are read, and how a record batch of them becomes a `Batch`."""

    def __init__(
        self,
        file: SourceFile,
        schema: pa.Schema,
        reading: Reading,
        condition: Condition | None,
        extra: dict[str, pl.DataType],
    ) -> None:
        self.file = file
        self.max_document_bytes = reading.max_document_bytes
        self.condition = condition
        self.extra = extra
        names = reading.columns
        self.text, kind = _declared(file, schema, names.get("text", "text"))
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
            raise SourceError(
                f"{file.address}: the column {'.'.join(self.text)!r} holds {kind} and no text; name the column of the "
                f"text, as in columns: {{text: {schema.names[-1]}}}; the columns are {', '.join(schema.names)}."
            )
        self.id = self._path(schema, names.get("id"), "id", "curid")
        self.url = self._path(schema, names.get("url"), "url")
        self.extra_paths = {name: _declared(file, schema, path)[0] for name, path in reading.extra_paths.items()}
        self.asked = self._asked(schema)
        paths = [self.text, self.id, self.url, *self.extra_paths.values(), *self.asked.values()]
        self.projection = list(dict.fromkeys(".".join(path) for path in paths if path))

    def _path(self, schema: pa.Schema, declared: str | None, *defaults: str) -> list[str] | None:
        if declared is not None:
            return _declared(self.file, schema, declared)[0]
        return next(([name] for name in defaults if name in schema.names), None)

    def _asked(self, schema: pa.Schema) -> dict[tuple[str, ...], list[str]]:
        asked = {}
        for path in self.condition.paths if self.condition else ():
            found = field_of(schema, path[0])
            for part in path[1:]:
                holder = found[1] if found else None
                index = holder.get_field_index(part) if holder is not None and pa.types.is_struct(holder) else -1
                found = ([*found[0], part], holder.field(index).type) if found and holder and index >= 0 else None
            if found is None:
                raise SourceError(
                    f"{self.file.address}: where {self.condition.sql if self.condition else ''!r} names the column "
                    f"{'.'.join(path)!r}, which the file has not; its columns are {', '.join(schema.names)}."
                )
            asked[path] = found[0]
        return asked

    def batch(self, records: pa.RecordBatch, first: int) -> Batch:
        height = records.num_rows
        stored = _descend(records, self.text)
        stored = stored.dictionary_decode() if pa.types.is_dictionary(stored.type) else stored
        binary = pl.Series("text", pl.from_arrow(stored.cast(pa.large_binary())), dtype=pl.Binary)
        text = _decoded(binary)
        columns = [
            pl.repeat(self.file.name, height, dtype=pl.String, eager=True).alias("file"),
            pl.int_range(first, first + height, dtype=pl.UInt64, eager=True).alias("row"),
            _ids(records, self.id, height).alias("given_id"),
            text,
            _texts(_descend(records, self.url)).alias("url") if self.url else _nulls("url", pl.String(), height),
            pl.zeros(height, dtype=pl.UInt32, eager=True).alias("surrogates"),
            binary.bin.size().cast(pl.UInt64).fill_null(0).alias("_bytes"),
        ]
        for name, dtype in self.extra.items():
            path = self.extra_paths.get(name)
            value = _nulls(name, dtype, height) if path is None else self._extra(name, dtype, _descend(records, path))
            columns.append(value)
        frame = pl.DataFrame(columns)
        reason = (
            pl.when(binary.is_null()).then(pl.lit("unreadable/text_null"))
            .when(pl.col("text").is_null()).then(pl.lit("unreadable/invalid_utf8"))
            .when(pl.col("_bytes") > self.max_document_bytes).then(pl.lit("unreadable/too_long"))
            .when(pl.col("text").str.contains(_BLANK)).then(pl.lit("unreadable/empty"))
        )  # fmt: skip
        reasons = frame.select(reason.alias("reason"))["reason"]
        readable = reasons.is_null()
        asides = []
        if not readable.all():
            bad = frame.with_columns(reasons, binary.alias("stored")).filter(~readable)
            details = [preview(value or b"") for value in bad["stored"].bin.head(2_000)]
            detail = pl.Series("detail", details, dtype=pl.String)
            size = pl.col("_bytes").alias("bytes")
            nothing = pl.lit(0, dtype=pl.UInt64).alias("characters")
            asides.append(bad.select("file", "row", pl.col("given_id").alias("id"), "reason", detail, size, nothing))
            frame = frame.filter(readable)
        if self.condition is not None and frame.height:
            mask = self.condition.mask(self._question(records), self.file.name).filter(readable)
            asides.append(excluded(frame.filter(~mask)))
            frame = frame.filter(mask)
        return Batch(frame.drop("_bytes"), pl.concat([pl.DataFrame(schema=SET_ASIDE_COLUMNS), *asides]))

    def _extra(self, name: str, dtype: pl.DataType, values: pa.Array) -> pl.Series:
        kind = extra_type(values.type)
        if dtype == pl.Float64 and kind == pl.String and values.null_count < len(values):
            raise SourceError(
                f"{self.file.address}: the column {name!r} holds numbers in other files and {values.type} here; "
                "make it one or the other, or leave it out of columns."
            )
        if kind == pl.Float64:
            values = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
            number = pl.Series(name, pl.from_arrow(values)).cast(pl.Float64)
            return (
                number
                if dtype == pl.Float64
                else pl.Series(name, [_json(v) for v in values.to_pylist()], dtype=pl.String)
            )
        return _texts(values).cast(dtype).alias(name)

    def _question(self, records: pa.RecordBatch) -> list[pl.Series]:
        leaves = []
        for place in self.asked.values():
            values = _descend(records, place)
            text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
            leaves.append(_texts(values) if text else pl.Series(pl.from_arrow(values)))
        return leaves


def _descend(records: pa.RecordBatch, path: list[str]) -> pa.Array:
    column = records.column(path[0])
    return pc.struct_field(column, path[1:]) if len(path) > 1 else column


def _nulls(name: str, dtype: pl.DataType, height: int) -> pl.Series:
    return pl.repeat(None, height, dtype=dtype, eager=True).alias(name)


def _texts(values: pa.Array) -> pl.Series:
    """Any column as text: strings as they are (null where they are not UTF-8), other values as JSON."""
    values = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _decoded(pl.Series(pl.from_arrow(values.cast(pa.large_binary())), dtype=pl.Binary))
    return pl.Series([_json(value) for value in values.to_pylist()], dtype=pl.String)


def _decoded(stored: pl.Series) -> pl.Series:
    """Bytes as text, null where they are not UTF-8."""
    try:
        return stored.cast(pl.String)
    except pl.exceptions.ComputeError:  # Polars says that some are bad and not which
        return pl.Series(stored.name, [_text_or_none(value) for value in stored], dtype=pl.String)


def _text_or_none(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _json(value: Json) -> str | None:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return None if value is None else given_id(value)


def _ids(records: pa.RecordBatch, path: list[str] | None, height: int) -> pl.Series:
    if path is None:
        return _nulls("given_id", pl.String(), height)
    values = _descend(records, path)
    if pa.types.is_integer(values.type):
        return pl.Series(pl.from_arrow(values)).cast(pl.String)
    ids = _texts(values).alias("given_id")
    return ids.to_frame().select(pl.when(pl.col("given_id") != "").then(pl.col("given_id"))).to_series()


def whole_table(parquet: pq.ParquetFile) -> pl.DataFrame:
    """A parquet file as a frame of `id` as text and other columns as extra ones (see `extra_type`); closes it."""
    with parquet:
        table = parquet.read(use_threads=False).combine_chunks()
    columns = []
    for name, values in zip(table.column_names, table.columns, strict=True):
        flat = values.combine_chunks()
        if name != "id" and extra_type(flat.type) == pl.Float64:
            flat = flat.dictionary_decode() if pa.types.is_dictionary(flat.type) else flat
            columns.append(pl.Series(name, pl.from_arrow(flat)).cast(pl.Float64))
        else:
            columns.append(_texts(flat).alias(name))
    return pl.DataFrame(columns)
