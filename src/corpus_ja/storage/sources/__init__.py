"""The readers: one module a kind of source, one door for all of them.

`list_files` says which files a source has, `cut_tasks` deals them out, `read_pieces` reads a task; `extra_columns`
says which columns a source has beyond its text, and `sidecar_file` and `sidecar_ids` answer for the table joined to it.
Files have relative names sorted as code points, so tasks, rows and ids are the same on every machine. Everything that
goes to a worker (`Reading`, `Piece`) pickles, and readers hold a batch at a time.
"""

import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import polars as pl
import xxhash

from corpus_ja.errors import SourceError
from corpus_ja.storage.sources import files as _files
from corpus_ja.storage.sources.records import (
    FRAME_COLUMNS,
    KINDS,
    OSCAR_COLUMNS,
    SET_ASIDE_COLUMNS,
    Amount,
    Batch,
    Condition,
    Kind,
    Piece,
    Reading,
    Rows,
    SourceFile,
)

__all__ = [
    "FRAME_COLUMNS",
    "KINDS",
    "OSCAR_COLUMNS",
    "SET_ASIDE_COLUMNS",
    "Amount",
    "Batch",
    "Piece",
    "Reading",
    "SourceFile",
    "cut_tasks",
    "extra_columns",
    "list_files",
    "located",
    "read_pieces",
    "sidecar_file",
    "sidecar_ids",
]

R = TypeVar("R", bound=Reading)

_SAMPLED_FILES: Final = 8
_SAMPLED_BYTES: Final = 4_000_000


def located(reading: R, base: Path) -> R:
    """The same reading with paths that any working folder can open; `base` is the folder of the mix file.

    For reading only: absolute paths have no place in a fingerprint.
    """
    update = {} if reading.sidecar is None else {"sidecar": _files.located(reading.sidecar, base)}
    if reading.kind != "hub":
        update[reading.kind] = _files.located(reading.address, base)
    return reading.model_copy(update=update)


def list_files(reading: Reading, base: Path, cache: dict[str, str]) -> list[SourceFile]:
    """The files of a source, sorted by relative name, after `read` has picked.

    `base` is the folder of the mix file. `cache` keeps the sha256 of local files by path, size and time of change;
    it is added to and can be stored as JSON. Names are relative to the folder before the first wild card, on the Hub by
    dataset id to the dataset. Raises SourceError where there is nothing to read, with what lies nearby.
    """
    if reading.kind == "hub":
        from corpus_ja.storage.sources.hub import list_dataset

        return list_dataset(reading)
    address = _files.located(reading.address, base)
    if address.startswith("hf://"):
        from corpus_ja.storage.sources.hub import list_address

        return list_address(reading)
    if _files.is_remote(address):
        return _files.list_store(address, reading.kind, reading.read)
    return _files.list_local(address, reading.kind, reading.read, cache)


def format_of(reading: Reading, file: SourceFile) -> Kind:
    """Which reader a file needs: the source's kind, or on the Hub what its name says."""
    if reading.kind != "hub":
        return reading.kind
    return "parquet" if file.name.lower().endswith(".parquet") else "jsonl"


def cut_tasks(files: Sequence[SourceFile], reading: Reading, task_bytes: int = 64_000_000) -> list[tuple[Piece, ...]]:
    """Deal files out to tasks of about `task_bytes` as stored, in the order of their names.

    Small files are joined, parquet files larger than a task are cut at row groups (their footers are read), no other
    file is cut. The same files give the same tasks.
    """
    tasks: list[tuple[Piece, ...]] = []
    current: list[Piece] = []
    held = 0
    # footers are many small waits on a store: a handful at once, answered in order
    with ThreadPoolExecutor(max_workers=8) as pool:
        cuts = list(pool.map(lambda file: _cut(file, reading, task_bytes), files))
    for cut in cuts:
        for piece, size in cut:
            if current and held + size > task_bytes:
                tasks.append(tuple(current))
                current, held = [], 0
            current.append(piece)
            held += size
    return [*tasks, tuple(current)] if current else tasks


def _cut(file: SourceFile, reading: Reading, task_bytes: int) -> list[tuple[Piece, int]]:
    if file.bytes <= task_bytes or format_of(reading, file) != "parquet":
        return [(Piece(file), file.bytes)]
    from corpus_ja.storage.sources.parquet import row_groups

    pieces: list[tuple[Piece, int]] = []
    first = first_row = row = held = 0
    groups = row_groups(file)
    for index, (rows, size) in enumerate(groups):
        if held and held + size > task_bytes:
            pieces.append((Piece(file, (first, index), first_row), held))
            first, first_row, held = index, row, 0
        row += rows
        held += size
    return [*pieces, (Piece(file, (first, len(groups)), first_row), held)] if groups else [(Piece(file), file.bytes)]


def extra_columns(files: Sequence[SourceFile], reading: Reading) -> dict[str, pl.DataType]:
    """The columns of a source beyond FRAME_COLUMNS and their types, in order.

    OSCAR's own first, then what `columns` declares, then the sidecar's. Numbers and truths are Float64, all else
    String; in JSON lines the first values found in the first records of the first files decide, and String if there is
    none. Ask once for a source and give the answer to `read_pieces`, so that all tasks agree.
    """
    columns = dict(OSCAR_COLUMNS) if reading.kind == "oscar" else {}
    columns |= _declared_types(files, reading)
    if reading.sidecar is not None:
        table = _sidecar(reading.sidecar)
        for name in table.columns:
            if name in columns or name == "source" or (name in FRAME_COLUMNS and name != "id"):
                raise SourceError(f"{reading.sidecar}: the column {name!r} exists in the source already; rename it.")
        columns |= {name: dtype for name, dtype in table.schema.items() if name != "id"}
    return columns


def _declared_types(files: Sequence[SourceFile], reading: Reading) -> dict[str, pl.DataType]:
    names = reading.extra_paths
    found: dict[str, pl.DataType] = {}
    if reading.kind == "warc":
        return dict.fromkeys(names, pl.String())
    for file in files[:_SAMPLED_FILES] if names else ():
        if format_of(reading, file) == "parquet":
            from corpus_ja.storage.sources.parquet import extra_types

            found |= {name: dtype for name, dtype in extra_types(file, reading).items() if name not in found}
        else:
            found |= _sampled_types(file, {name: path for name, path in names.items() if name not in found})
        if len(found) == len(names):
            break
    return {name: found.get(name, pl.String()) for name in names}


def _sampled_types(file: SourceFile, paths: dict[str, str]) -> dict[str, pl.DataType]:
    import orjson

    from corpus_ja.storage.sources.jsonl import Lines
    from corpus_ja.storage.sources.records import getter

    finders = {name: getter(path) for name, path in paths.items()}
    found: dict[str, pl.DataType] = {}
    seen = 0
    for _, lines in Lines(_files.chunks(file), 64_000_000):
        for line in lines:
            try:
                record = orjson.loads(line)  # type: ignore[arg-type]
            except orjson.JSONDecodeError:
                continue
            for name, find in finders.items() if isinstance(record, dict) else ():
                value = find(record)
                if name not in found and isinstance(value, int | float):
                    found[name] = pl.Float64()
                elif name not in found and isinstance(value, str | list | dict):
                    found[name] = pl.String()
            seen += len(line) if isinstance(line, bytes) else line.size
        if len(found) == len(paths) or seen > _SAMPLED_BYTES:
            break
    return found


def read_pieces(
    pieces: Sequence[Piece],
    reading: Reading,
    batch_bytes: int = 8_000_000,
    extra: dict[str, pl.DataType] | None = None,
) -> Iterator[Batch]:
    """Read a task as batches of about `batch_bytes`, records in the order of the pieces and their rows.

    `extra` is the answer of `extra_columns` for the whole source; without it, this task's files answer. A relative
    sidecar is taken from the working folder (see `located`).
    """
    columns = extra_columns([piece.file for piece in pieces], reading) if extra is None else extra
    table = _sidecar(reading.sidecar) if reading.sidecar is not None else None
    own = {name: dtype for name, dtype in columns.items() if table is None or name not in table.columns}
    for batch in _joined(_batches(pieces, reading, batch_bytes, own), batch_bytes):
        if table is None:
            yield batch
        else:
            frame = batch.frame.join(table, left_on="given_id", right_on="id", how="left", maintain_order="left")
            yield Batch(frame, batch.set_aside)


def _batches(
    pieces: Sequence[Piece], reading: Reading, batch_bytes: int, extra: dict[str, pl.DataType]
) -> Iterator[Batch]:
    from corpus_ja.storage.sources import jsonl, oscar, text, warc

    condition = Condition.parse(reading.where) if reading.where is not None else None
    rows = Rows(extra, condition, reading.max_document_bytes, batch_bytes)
    for piece in pieces:
        match format_of(reading, piece.file):
            case "parquet":
                from corpus_ja.storage.sources import parquet

                yield from parquet.read(piece, reading, condition, extra, batch_bytes)
            case "text":
                yield from text.read(piece, reading, rows)
            case "warc":
                yield from warc.read(piece, reading, rows)
            case "oscar":
                yield from jsonl.read(piece, reading, rows, oscar.shape(reading, list(extra)))
            case _:
                yield from jsonl.read(piece, reading, rows, jsonl.shape(reading, list(extra)))
    yield rows.take()


def _joined(batches: Iterator[Batch], batch_bytes: int) -> Iterator[Batch]:
    """Join small batches (of small files) until they are worth a step of their own; drop empty ones."""
    held: list[Batch] = []
    size = 0
    for batch in batches:
        if not batch.frame.height and not batch.set_aside.height:
            continue
        held.append(batch)
        size += int(batch.frame["text"].str.len_bytes().sum()) + 100 * batch.set_aside.height
        if 2 * size >= batch_bytes:
            yield _one(held)
            held, size = [], 0
    if held:
        yield _one(held)


def _one(batches: list[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    return Batch(pl.concat([batch.frame for batch in batches]), pl.concat([batch.set_aside for batch in batches]))


# ------------------------------------------------------------------------------------------------------------- sidecars


def sidecar_file(reading: Reading, base: Path, cache: dict[str, str]) -> SourceFile | None:
    """The sidecar as a file with an identity, for fingerprints; None if the source has none."""
    if reading.sidecar is None:
        return None
    found = list_files(Reading(parquet=reading.sidecar), base, cache)
    if len(found) != 1:
        raise SourceError(f"{reading.sidecar}: a sidecar is one parquet file, and here are {len(found)}.")
    return found[0]


def sidecar_ids(reading: Reading, prefix: str = "") -> pl.Series:
    """xxh3_64 of `prefix` and every id of the sidecar (UInt64), to be compared with those of the records; empty if
    there is none.

    The sidecar's address must be one that the working folder can open (see `located`).
    """
    ids = _sidecar(reading.sidecar)["id"] if reading.sidecar is not None else pl.Series([], dtype=pl.String)
    return pl.Series(
        "id", [xxhash.xxh3_64_intdigest((prefix + identifier).encode()) for identifier in ids], dtype=pl.UInt64
    )


@functools.lru_cache(maxsize=4)
def _sidecar(address: str) -> pl.DataFrame:
    """A sidecar in memory: `id` as text and its other columns, numbers as Float64. About 60 bytes a row and column."""
    from corpus_ja.storage.sources.parquet import open_file, whole_table

    file = list_files(Reading(parquet=address), Path.cwd(), {})[0]
    parquet = open_file(file)
    if isinstance(parquet, str):
        raise SourceError(f"{address}: {parquet}.")
    table = whole_table(parquet)
    if "id" not in table.columns:
        raise SourceError(f"{address}: a sidecar needs a column id; it has {', '.join(table.columns)}.")
    if table["id"].null_count():
        raise SourceError(f"{address}: {table['id'].null_count():,} rows of the sidecar have no id.")
    repeated = table["id"].filter(table["id"].is_duplicated())
    if repeated.len():
        raise SourceError(
            f"{address}: the sidecar has {repeated.len():,} rows whose ids repeat, as does {repeated[0]!r}."
        )
    return table
