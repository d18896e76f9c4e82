r"""Reads JSON lines, plain or compressed, so that one bad line costs one line.

A line ends at \n and nowhere else (U+2028 and its like stand unescaped in real files); a \r before it is dropped, as
is a byte order mark at the file's start. A record's row is the 0-based number of its line, blank lines counted; blank
lines themselves are no records. orjson parses; what it refuses is looked at again, once: bytes that are not UTF-8, lone
surrogates and NaN (both of which Python's own json writes), or really no JSON. A line that cannot hold a text within
`max_document_bytes` is skipped as it streams by. Measured on one core: 160 to 190 MB of Japanese text a second out of
jsonl.zst, batches built.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import orjson

from corpus_ja.storage.sources.files import Broken, chunks
from corpus_ja.storage.sources.records import MISSING, Batch, Json, Piece, Reading, Rows, getter, without_surrogates

BOM: Final = b"\xef\xbb\xbf"
_BLANK: Final = b" \t\r"
Fields: TypeAlias = tuple[Json, Json, Json, tuple[Json, ...]]
Shape: TypeAlias = Callable[[dict[str, Json]], Fields]
"""Finds a record's text, id, url and extra columns, MISSING for what it has not."""


@dataclass(frozen=True, slots=True)
class Overlong:
    """A line that was not kept: how it begins and how long it was."""

    head: bytes
    size: int


@dataclass(slots=True)
class Lines:
    r"""The lines of a file, cut at \n only, as (number of the first, lines) per chunk.

    Lines longer than `limit` bytes become `Overlong`. If the file breaks off, `broken` says how once the iteration is
    over, and the line it broke off in is `fragment`.
    """

    content: Iterator[bytes]
    limit: int
    broken: Broken | None = None
    fragment: bytes | None = None
    _held: list[bytes] = field(default_factory=list)
    _held_bytes: int = 0
    _skipped: Overlong | None = None

    def __iter__(self) -> Iterator[tuple[int, list[bytes | Overlong]]]:
        row = 0
        try:
            for chunk in self.content:
                lines: list[bytes | Overlong] = chunk.split(b"\n")  # type: ignore[assignment]
                last = lines.pop()
                assert isinstance(last, bytes)  # noqa: S101 - split gives bytes
                if lines:
                    lines[0] = self._ended(lines[0], row)  # type: ignore[arg-type]
                    yield row, lines
                    row += len(lines)
                self._hold(last)
        except Broken as broken:
            self.broken = broken
        end = self._ended(b"", row)
        if self.broken is not None and isinstance(end, bytes):
            self.fragment = end
        elif end:
            yield row, [end]

    def _hold(self, part: bytes) -> None:
        if not part:
            return
        if self._skipped is not None:
            self._skipped = Overlong(self._skipped.head, self._skipped.size + len(part))
            return
        self._held.append(part)
        self._held_bytes += len(part)
        if self._held_bytes > self.limit:
            self._skipped = Overlong(b"".join(self._held)[:1000], self._held_bytes)
            self._held, self._held_bytes = [], 0

    def _ended(self, rest: bytes, row: int) -> bytes | Overlong:
        self._hold(rest)
        line = self._skipped or b"".join(self._held)
        if row == 0 and isinstance(line, bytes):
            line = line.removeprefix(BOM)
        self._held, self._held_bytes, self._skipped = [], 0, None
        return line


def shape(reading: Reading, extra: list[str]) -> Shape:
    """Where a plain record keeps its fields: as `columns` says, else text, id (or curid) and url. `extra` by name."""
    text = getter(reading.columns.get("text", "text"))
    url = getter(reading.columns.get("url", "url"))
    paths = reading.extra_paths
    others = [getter(paths[name]) for name in extra if name in paths]
    declared = reading.columns.get("id")
    identifier = getter(declared) if declared else _default_id

    if not others:
        return lambda record: (text(record), identifier(record), url(record), ())
    return lambda record: (text(record), identifier(record), url(record), tuple(find(record) for find in others))


def _default_id(record: dict[str, Json]) -> Json:
    value = record.get("id", MISSING)
    return record.get("curid", MISSING) if value is MISSING else value


def read(piece: Piece, reading: Reading, rows: Rows, fields: Shape) -> Iterator[Batch]:
    """Read a file of JSON lines into `rows`, handing out batches as they fill."""
    name = piece.file.name
    lines = Lines(chunks(piece.file), 2 * reading.max_document_bytes + (1 << 20))
    rows.start(name)
    count = 0
    loads = orjson.loads
    for first, block in lines:
        row = first - 1
        for line in block:
            row += 1
            if not line:
                continue
            try:
                record = loads(line)  # type: ignore[arg-type]
            except orjson.JSONDecodeError:
                _second_look(line, row, rows, fields)
            else:
                if type(record) is dict:
                    text, identifier, url, extra = fields(record)
                    rows.add(row, record, text, identifier, url, extra, len(line))  # type: ignore[arg-type]
                else:
                    rows.refuse(row, "not_an_object", line, len(line))  # type: ignore[arg-type]
            if rows.full:
                yield rows.take()
        count = row + 1
    if lines.broken is not None:
        fragment = lines.fragment or b""
        # a line cut short is no JSON; one that is complete for all that is not lost
        if fragment and _is_object(fragment):
            _second_look(fragment, count, rows, fields)
            fragment = b""
        detail = f"{lines.broken}, after {count:,} whole lines; what followed is lost"
        rows.refuse(count, "truncated", detail, len(fragment))
    elif not piece.file.bytes:
        rows.refuse(0, "empty", "the file is empty", 0)
    rows.finish()


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _second_look(line: bytes | Overlong, row: int, rows: Rows, fields: Shape) -> None:
    """A line that orjson refused: blank, too long, not UTF-8, no JSON, or JSON of the kind only Python reads."""
    if isinstance(line, Overlong):
        rows.refuse(row, "too_long", line.head, line.size)
        return
    line = line.removesuffix(b"\r")
    if not line.strip(_BLANK):
        return
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        rows.refuse(row, "invalid_utf8", line[max(0, error.start - 40) :], len(line))
        return
    try:
        record, surrogates = without_surrogates(json.loads(text, parse_constant=lambda _: None))
    except (ValueError, RecursionError):
        rows.refuse(row, "not_json", text, len(line))
        return
    if not isinstance(record, dict):
        rows.refuse(row, "not_an_object", text, len(line))
        return
    found, identifier, url, extra = fields(record)
    rows.add(row, record, found, identifier, url, extra, len(line), surrogates)
