"""What a source is asked for and what its readers hand back: settings, files, pieces, batches.

A `Reading` says which files are read and what a record means; `SourceFile` and `Piece` name what one task reads; `Rows`
collects records into `Batch` frames and names what it sets aside. Nothing here opens a file. Records pass one by one
through plain lists, which Polars turns into columns a batch at a time: about 1 µs a record beside its parsing.
Rejected: Polars' own ndjson reader (one bad line loses the file, a number becomes a text silently) and handing frames
of raw records on (a nested column changes its type with every batch).
"""

import itertools
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self, TypeAlias

import orjson
import polars as pl
from pydantic import Field, field_validator, model_validator

from corpus_ja.errors import SourceError
from corpus_ja.settings import Bytes, Settings

Json: TypeAlias = Any
"""A value out of a record, whatever it is; only the readers that took it apart know."""
Kind: TypeAlias = Literal["hub", "parquet", "jsonl", "text", "oscar", "warc"]
KINDS: Final[tuple[Kind, ...]] = ("hub", "parquet", "jsonl", "text", "oscar", "warc")
"""The kinds of source, in the order in which messages name them."""
FRAME_COLUMNS: Final[dict[str, pl.DataType]] = {
    "file": pl.String(),
    "row": pl.UInt64(),
    "given_id": pl.String(),
    "text": pl.String(),
    "url": pl.String(),
    "surrogates": pl.UInt32(),
}
"""The columns of every `Batch.frame`, before the extra ones."""
SET_ASIDE_COLUMNS: Final[dict[str, pl.DataType]] = {
    "file": pl.String(),
    "row": pl.UInt64(),
    "id": pl.String(),
    "reason": pl.String(),
    "detail": pl.String(),
    "bytes": pl.UInt64(),
    "characters": pl.UInt64(),
}
"""The columns of every `Batch.set_aside`: bytes as stored, or of the text for what `where` left out, which alone has
characters."""
OSCAR_COLUMNS: Final[dict[str, pl.DataType]] = {
    "oscar_language": pl.String(),
    "oscar_probability": pl.Float64(),
    "oscar_quality_warnings": pl.List(pl.String()),
    "oscar_categories": pl.List(pl.String()),
    "oscar_harmful_pp": pl.Float64(),
    "oscar_other_language_lines": pl.Float64(),
}
"""The extra columns every OSCAR source has; `oscar.py` says what they mean."""
PREVIEW_CHARACTERS: Final = 200
"""Longest `detail` of what is set aside, in characters."""
_OWN_NAMES: Final = frozenset({"text", "id", "url"})
_TAKEN_NAMES: Final = (frozenset(FRAME_COLUMNS) | {"source"}) - _OWN_NAMES
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class _Missing:
    """The absence of a key, which is not the same as null."""


MISSING: Final = _Missing()


# ---------------------------------------------------------------------------------------------------- what is asked for


class Amount(Settings):
    """How much of a source is read: whole files, in the hash order of their names, so that 2 GB never reads 181."""

    files: int | None = Field(default=None, gt=0)
    max_bytes: Bytes | None = None


class Reading(Settings):
    """The part of a source that says what is read. Exactly one of `hub parquet jsonl text oscar warc` names it.

    Addresses are paths relative to the mix file, folders, globs, or anything fsspec opens (`hf://datasets/...`,
    `s3://...`). `columns` maps our name to the record's, dots descend into nested objects; names other than `text`,
    `id` and `url` become extra columns. `where` is a Polars SQL condition over the record's own columns; where it is
    null, the record is excluded. `sidecar` is a parquet file with `id` and columns to join by the record's given id.
    """

    hub: str | None = None
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    parquet: str | None = None
    jsonl: str | None = None
    text: str | None = None
    oscar: str | None = None
    warc: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    where: str | None = None
    sidecar: str | None = None
    read: Amount | None = None
    max_document_bytes: Bytes = 64_000_000

    @field_validator("where")
    @classmethod
    def _where_is_a_condition(cls, value: str | None) -> str | None:
        if value is not None:
            Condition.parse(value)
        return value

    @field_validator("columns")
    @classmethod
    def _columns_have_usable_names(cls, value: dict[str, str]) -> dict[str, str]:
        for ours, theirs in value.items():
            if not ours or not theirs:
                raise ValueError("columns maps our name to the record's, as in {text: body}; neither may be empty")
            if ours in _TAKEN_NAMES:
                raise ValueError(
                    f"columns cannot use the name {ours!r}, which every source has already; choose another"
                )
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            found = f"it has {' and '.join(given)}" if given else "it has none"
            raise ValueError(f"a source names exactly one of {', '.join(KINDS)}; {found}")
        if not self.address.strip():
            raise ValueError(f"{self.kind} is empty; give a path, a folder, a glob or a dataset id")
        for key in ("config", "split"):
            if key in self.model_fields_set and self.kind != "hub":
                raise ValueError(f"{key} belongs to a source of the kind hub; {self.kind} names its files directly")
        if self.revision is not None and self.kind != "hub" and not self.address.startswith("hf://"):
            raise ValueError("revision belongs to hub and to hf:// addresses; other files have no revisions")
        if self.kind == "text" and (self.columns or self.where):
            raise ValueError("a source of text files has no columns, so it takes neither columns nor where")
        fixed = sorted(set(self.columns) & (set(OSCAR_COLUMNS) | {"text"})) if self.kind == "oscar" else []
        fixed = sorted(set(self.columns) & _OWN_NAMES) if self.kind == "warc" else fixed
        if fixed:
            raise ValueError(f"columns cannot set {fixed[0]}: the kind {self.kind} says where it stands")
        return self

    @property
    def kind(self) -> Kind:
        """Which of the kinds this source is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def address(self) -> str:
        """The path, folder, glob, address or dataset id that names the source."""
        return str(getattr(self, self.kind))

    @property
    def extra_paths(self) -> dict[str, str]:
        """The declared columns beyond text, id and url: our name and the record's."""
        return {ours: theirs for ours, theirs in self.columns.items() if ours not in _OWN_NAMES}


# -------------------------------------------------------------------------------------------------------- what is read


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source.

    `address` opens it (an absolute path or an fsspec address); `name` is relative and posix, the one that ids use;
    `bytes` is its size as stored; `identity` changes whenever its content may have (sha256, Hub commit and path, ETag).
    """

    address: str
    name: str
    bytes: int
    identity: str


@dataclass(frozen=True, slots=True)
class Piece:
    """What one task reads of one file: all of it, or the parquet row groups `[first, last)` from `first_row` on."""

    file: SourceFile
    row_groups: tuple[int, int] | None = None
    first_row: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Records read (`frame`, the columns of FRAME_COLUMNS and the extra ones) and what could not be (`set_aside`)."""

    frame: pl.DataFrame
    set_aside: pl.DataFrame


# ---------------------------------------------------------------------------------------------------------- conditions

_QUOTED: Final = re.compile(r"'(?:[^']|'')*'")
_PATH: Final = re.compile(
    r'(?<![\w.])(?:"(?:[^"]|"")+"|`[^`]+`|[^\W\d]\w*)(?:\s*\.\s*(?:"(?:[^"]|"")+"|`[^`]+`|[^\W\d]\w*))*'
)
_PART: Final = re.compile(r'"((?:[^"]|"")+)"|`([^`]+)`|([^\W\d]\w*)')
# Functions over many rows would answer by batch, and the clock by day; both break "the same input, the same bytes".
_MANY_ROWS: Final = re.compile(
    r"(?<!\.list)(?<!\.arr)\.(?:over|sum|mean|count|first|last|max|min|median|quantile|std|var|n_unique|implode|explode|"
    r"int_range|rank|shift|any|all|cum_\w+|arg_\w+)\(|(?<![.\w])len\(\)"
)
_BARE_COLUMN: Final = re.compile(r"col\(_\)(?:\.struct\.field_by_name\([^()]*\)\(\))*")


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed `where`: its Polars expression, and the paths of its columns (`meta.url` is `("meta", "url")`)."""

    sql: str
    expression: pl.Expr
    paths: tuple[tuple[str, ...], ...]

    @classmethod
    def parse(cls, sql: str) -> "Condition":
        """Parse a Polars SQL condition; a ValueError says in a sentence why it is none."""
        example = "write a condition over the record's columns, as in score >= 2.5"
        if re.search(r"\bselect\b", _QUOTED.sub("", sql), flags=re.IGNORECASE):
            raise ValueError(f"where {sql!r} holds a sub-query, which has no table to ask; {example}")
        try:
            expression = pl.sql_expr(sql)
            rendered = re.sub(r'"(?:[^"\\]|\\.)*"', "_", str(expression))
            roots = set(expression.meta.root_names())
        except (pl.exceptions.PolarsError, ValueError, TypeError) as error:
            raise ValueError(f"where {sql!r} cannot be read ({str(error).splitlines()[0]}); {example}") from error
        if not expression.meta.undo_aliases().meta.eq(expression):
            raise ValueError(f"where {sql!r} gives a name (AS) instead of asking a question; {example}")
        if not roots:
            raise ValueError(f"where {sql!r} names no column; {example}")
        if _BARE_COLUMN.fullmatch(rendered):
            raise ValueError(
                f"where {sql!r} is a column and no condition; write {sql.strip()} = true if it holds truths"
            )
        if re.search(r"\b(?:now|current_\w+|localtime\w*)\b", _QUOTED.sub("", sql), flags=re.IGNORECASE):
            raise ValueError(f"where {sql!r} asks the clock, so it would not give the same documents twice; {example}")
        if _MANY_ROWS.search(rendered):
            raise ValueError(f"where {sql!r} looks at many records at once; a condition may look at its own only")
        paths = _named_paths(sql, roots)
        # AND and OR of truths are a condition; anything else that is true or false only of truths (LOWER, ROUND) is not
        tried = [
            dtype
            for dtype in _TRIED_TYPES
            if dtype != pl.Boolean or re.search(r"\) [&|] \(|\] [&|] |[&|] \[", rendered)
        ]
        answers = [answer for dtype in tried if (answer := _answer(expression, paths, dtype)) is not None]
        if answers and pl.Boolean not in answers:
            raise ValueError(f"where {sql!r} is a value and no condition; {example}")
        return cls(sql, expression, paths)

    def mask(self, leaves: Sequence[pl.Series], source: str) -> pl.Series:
        """Which records the condition keeps, given the columns under its `paths`; null counts as no.

        `source` names the file in errors.
        """
        failure: BaseException | None = None
        # A column that is null throughout has no type of its own, and any that fits gives the same answer.
        untyped = [index for index, leaf in enumerate(leaves) if leaf.dtype == pl.Null]
        for types in itertools.islice(itertools.product(_TRIED_TYPES, repeat=len(untyped)), 200):
            typed = list(leaves)
            for index, dtype in zip(untyped, types, strict=True):
                typed[index] = leaves[index].cast(dtype)
            try:
                answer = nested(self.paths, typed).select(self.expression).to_series()
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
                failure = failure or error
                continue
            if answer.dtype != pl.Boolean:
                raise SourceError(f"{source}: where {self.sql!r} gives {answer.dtype} and no yes or no.")
            return answer.fill_null(value=False)
        reason = str(failure).strip().splitlines()[0]
        raise SourceError(f"{source}: where {self.sql!r} does not fit the data: {reason}.") from failure


_TRIED_TYPES: Final[tuple[pl.DataType, ...]] = (
    pl.Float64(), pl.String(), pl.Boolean(), pl.List(pl.String()), pl.Datetime()
)  # fmt: skip


def _named_paths(sql: str, roots: set[str]) -> tuple[tuple[str, ...], ...]:
    paths = set()
    for match in _PATH.finditer(_QUOTED.sub("''", sql)):
        parts = [(a.replace('""', '"') or b or c) for a, b, c in _PART.findall(match[0])]
        if parts[0] in roots:
            paths.add(tuple(parts))
    # a path that another one begins with is read whole, and the other with it
    shortest = {path for path in paths if not any(path[: len(other)] == other for other in paths if other != path)}
    return tuple(sorted(shortest | {(root,) for root in roots if root not in {path[0] for path in paths}}))


def _answer(expression: pl.Expr, paths: Sequence[tuple[str, ...]], dtype: pl.DataType) -> pl.DataType | None:
    """The type the condition would have if all its columns had `dtype`; None where Polars cannot tell."""
    leaves = [pl.Series([], dtype=dtype) for _ in paths]
    try:
        return nested(paths, leaves).lazy().select(expression).collect_schema().dtypes()[0]
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None


# ------------------------------------------------------------------------------------------------------------- records


def getter(path: str) -> Callable[[dict[str, Json]], Json]:
    """A function that finds `path` in a record: the key of that very name, else down its dots; MISSING if neither."""
    parts = path.split(".")
    if len(parts) == 1:
        return lambda record: record.get(path, MISSING)

    def find(record: dict[str, Json]) -> Json:
        if path in record:
            return record[path]
        return descend(record, parts)

    return find


def descend(record: Json, parts: Sequence[str]) -> Json:
    """The value under `parts`, one key after the other; null where a parent is null, MISSING where a key is not."""
    for part in parts:
        if record is None:
            return None
        if not isinstance(record, dict):
            return MISSING
        record = record.get(part, MISSING)
    return record


def given_id(value: Json) -> str | None:
    """A record's id as text: strings as they are, whole numbers in digits, anything else as JSON; none if null."""
    if value is MISSING or value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    return as_json(value)


def as_json(value: Json) -> str:
    """A value as compact JSON, whatever it is: orjson refuses what is nested 255 deep and whole numbers over 64
    bits.
    """
    try:
        return orjson.dumps(value, default=str).decode()
    except TypeError:
        try:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
        except (RecursionError, ValueError):
            return "(nested too deeply)"


def as_number(value: float) -> float:
    """A number as a float; infinite where its whole part has more than 308 digits."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def without_surrogates(value: Json) -> tuple[Any, int]:
    """A JSON value with every lone surrogate replaced by U+FFFD, and how many there were."""
    if isinstance(value, str):
        return _LONE_SURROGATE.subn("\ufffd", value)
    if isinstance(value, dict):
        pairs = [(without_surrogates(key), without_surrogates(child)) for key, child in value.items()]
        return {key[0]: child[0] for key, child in pairs}, sum(key[1] + child[1] for key, child in pairs)
    if isinstance(value, list):
        children = [without_surrogates(child) for child in value]
        return [child for child, _ in children], sum(count for _, count in children)
    return value, 0


def preview(value: str | bytes) -> str:
    """At most PREVIEW_CHARACTERS of a broken record on one line, control characters and bad bytes escaped."""
    text = value[: 4 * PREVIEW_CHARACTERS].decode(errors="backslashreplace") if isinstance(value, bytes) else value
    head = text[:PREVIEW_CHARACTERS]
    shown = "".join(c if c.isprintable() or c == "\u3000" else c.encode("unicode_escape").decode() for c in head)
    return shown[:PREVIEW_CHARACTERS]


@dataclass(slots=True)
class Rows:
    """Collects records of any number of files and turns them into batches.

    A reader calls `start` for a file, `add` for a record, `refuse` for what is not one, `finish` at the file's end, and
    yields `take()` whenever `full`. Extra columns are typed by `extra`: numbers and truths in Float64 columns (whole
    numbers beyond 2^53 lose digits), everything in String columns (what is no text as JSON).
    """

    extra: dict[str, pl.DataType]
    condition: Condition | None
    max_document_bytes: int
    batch_bytes: int
    _file: str = ""
    _bytes: int = 0
    _columns: dict[str, list[Json]] = field(default_factory=dict)
    _aside: dict[str, list[Json]] = field(default_factory=dict)
    _asked: list[list[Json]] = field(default_factory=list)
    _seen: list[bool] = field(default_factory=list)
    _records: int = 0

    def __post_init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._bytes = 0
        self._columns = {name: [] for name in (*FRAME_COLUMNS, "_bytes", *self.extra)}
        self._aside = {name: [] for name in SET_ASIDE_COLUMNS}
        self._asked = [[] for _ in (self.condition.paths if self.condition else ())]

    def start(self, file: str) -> None:
        """Begin a file; `file` is its relative name."""
        self._file = file
        self._records = 0
        self._seen = [False] * (len(self.condition.paths) if self.condition else 0)

    def finish(self) -> None:
        """End a file; SourceError if `where` names a column that none of its records has."""
        if self.condition is None or not self._records:
            return
        for path, seen in zip(self.condition.paths, self._seen, strict=True):
            if not seen:
                raise SourceError(
                    f"{self._file}: where {self.condition.sql!r} names the column {'.'.join(path)!r}, which none of "
                    f"the file's {self._records:,} records has."
                )

    @property
    def full(self) -> bool:
        """Whether enough has been collected for a batch."""
        return self._bytes >= self.batch_bytes

    def refuse(self, row: int, reason: str, detail: str | bytes, size: int, identifier: str | None = None) -> None:
        """Set a record aside: `reason` without its `unreadable/`, `size` in bytes as stored."""
        for name, value in zip(
            SET_ASIDE_COLUMNS,
            (self._file, row, identifier, f"unreadable/{reason}", preview(detail), size, 0),
            strict=True,
        ):
            self._aside[name].append(value)
        self._bytes += 200

    def add(
        self,
        row: int,
        record: dict[str, Json],
        text: Json,
        identifier: Json,
        url: Json,
        extra: Iterable[Json],
        size: int,
        surrogates: int = 0,
    ) -> None:
        """Take a record, or set it aside if its text is missing, null, no string, too long or blank.

        `record` is asked by `where`; the other arguments are its fields, MISSING where it has none; `extra` in the
        order of the extra columns; `size` the bytes it takes as stored; `surrogates` the lone ones replaced in it.
        """
        given = given_id(identifier)
        if type(text) is not str:
            if text is MISSING:
                keys = ", ".join(map(str, record)) or "nothing"
                self.refuse(row, "no_text", f"the record has {keys}", size, given)
            elif text is None:
                self.refuse(row, "text_null", "", size, given)
            else:
                self.refuse(row, "text_not_string", as_json(text), size, given)
            return
        # 4 bytes is the longest UTF-8 character: only texts that could be too long are measured
        if len(text) * 4 > self.max_document_bytes and len(text.encode()) > self.max_document_bytes:
            self.refuse(row, "too_long", text, size, given)
            return
        if not text or text.isspace():
            self.refuse(row, "empty", text, size, given)
            return
        self._records += 1
        if self.condition is not None:
            for index, path in enumerate(self.condition.paths):
                value = descend(record, path)
                if value is MISSING:
                    value = None
                else:
                    self._seen[index] = True
                self._asked[index].append(value)
        columns = self._columns
        columns["file"].append(self._file)
        columns["row"].append(row)
        columns["given_id"].append(given)
        columns["text"].append(text)
        columns["url"].append(url if type(url) is str else None)
        columns["surrogates"].append(surrogates)
        columns["_bytes"].append(size)
        for (name, dtype), value in zip(self.extra.items(), extra, strict=True):
            columns[name].append(self._typed(name, dtype, value))
        self._bytes += size + 100

    def _typed(self, name: str, dtype: pl.DataType, value: Json) -> Json:
        if value is None or value is MISSING:
            return None
        if dtype == pl.Float64:
            if isinstance(value, int | float):
                return as_number(value)
            raise SourceError(
                f"{self._file}: the column {name!r} holds numbers elsewhere and {as_json(value)[:60]} here; "
                "make it one or the other, or leave it out of columns."
            )
        if dtype == pl.String and not isinstance(value, str):
            return as_json(value)
        return value

    def take(self) -> Batch:
        """Everything collected since the last call."""
        types = {**FRAME_COLUMNS, "_bytes": pl.UInt64(), **self.extra}
        frame = pl.DataFrame([pl.Series(name, self._columns[name], dtype=dtype) for name, dtype in types.items()])
        aside = pl.DataFrame([pl.Series(n, self._aside[n], dtype=dtype) for n, dtype in SET_ASIDE_COLUMNS.items()])
        if self.condition is not None and frame.height:
            paths = [".".join(path) for path in self.condition.paths]
            leaves = [_column(values, path, self._file) for values, path in zip(self._asked, paths, strict=True)]
            mask = self.condition.mask(leaves, self._file)
            aside = pl.concat([aside, excluded(frame.filter(~mask))])
            frame = frame.filter(mask)
        self._clear()
        return Batch(frame.drop("_bytes"), aside)


def excluded(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows that `where` does not keep, as rows of `set_aside`, with the size of their texts."""
    return frame.select(
        "file",
        "row",
        pl.col("given_id").alias("id"),
        pl.lit("where").alias("reason"),
        pl.lit("").alias("detail"),
        pl.col("text").str.len_bytes().cast(pl.UInt64).alias("bytes"),
        pl.col("text").str.len_chars().cast(pl.UInt64).alias("characters"),
    )


def nested(paths: Sequence[tuple[str, ...]], leaves: Sequence[pl.Series]) -> pl.DataFrame:
    """A frame in which each leaf stands under its path: `("meta", "url")` is the field url of the struct meta."""
    columns = []
    for name in dict.fromkeys(path[0] for path in paths):
        below = [(path[1:], leaf) for path, leaf in zip(paths, leaves, strict=True) if path[0] == name]
        if len(below) == 1 and not below[0][0]:
            columns.append(below[0][1].alias(name))
        else:
            columns.append(nested([path for path, _ in below], [leaf for _, leaf in below]).to_struct(name))
    return pl.DataFrame(columns)


def _column(values: list[Json], name: str, file: str) -> pl.Series:
    """Values of JSON as a column: truths, whole numbers, numbers, texts, lists of texts, or whatever Polars makes."""
    kinds = {type(value) for value in values} - {type(None)}
    if not kinds:
        return pl.Series(values, dtype=pl.Null)
    if kinds == {bool}:
        return pl.Series(values, dtype=pl.Boolean)
    if kinds == {int} and all(value is None or -(2**63) <= value < 2**63 for value in values):
        return pl.Series(values, dtype=pl.Int64)
    if kinds <= {int, float, bool}:
        return pl.Series([None if value is None else as_number(value) for value in values], dtype=pl.Float64)
    if kinds == {str}:
        return pl.Series(values, dtype=pl.String)
    if kinds == {list} and all(isinstance(item, str) for value in values for item in value or ()):
        return pl.Series(values, dtype=pl.List(pl.String))
    if len(kinds) > 1:
        raise SourceError(f"{file}: the column {name!r}, which where names, holds values of several types, as does "
                          f"{' and '.join(sorted(kind.__name__ for kind in kinds))}.")  # fmt: skip
    return pl.Series(values, strict=False)
