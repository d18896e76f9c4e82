"""Reads web archives: the text of WET files (`conversion` records), and of WARC pages (`response` records).

warcio parses the records and trafilatura finds a page's text; both belong to the extra `warc`. Decompression is ours,
so that an archive that breaks off is named and everything before it is kept. A record's row counts all records of the
file; those that are no documents (warcinfo, request, metadata, revisit) are passed over. `where` sees a record's WARC
headers in lower case: `"warc-identified-content-language" = 'jpn'`. trafilatura takes milliseconds a page.
"""

import io
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from corpus_ja.errors import SourceError
from corpus_ja.storage.sources.files import Broken, chunks
from corpus_ja.storage.sources.oscar import record_id, target_uri
from corpus_ja.storage.sources.records import Batch, Piece, Reading, Rows

Record: TypeAlias = Any
"""A record of warcio, which has no types."""
_REMEDY: Final = "pip install 'corpus-ja[warc]'"
_PAGES: Final = ("text/html", "application/xhtml+xml")


class _Content(io.RawIOBase):
    """The decompressed bytes of an archive as a stream; `broken` says how it broke off, if it did."""

    def __init__(self, content: Iterator[bytes]) -> None:
        self._content = content
        self._rest = memoryview(b"")
        self.broken: Broken | None = None

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer with what comes next."""
        while not self._rest:
            try:
                chunk = next(self._content, None)
            except Broken as broken:
                self.broken, chunk = broken, None
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def read(piece: Piece, reading: Reading, rows: Rows) -> Iterator[Batch]:
    """Read a web archive into `rows`, handing out batches as they fill."""
    try:
        from warcio.archiveiterator import ArchiveIterator
        from warcio.exceptions import ArchiveLoadFailed
    except ImportError as error:
        raise SourceError(f"{piece.file.address}: web archives need the package warcio; {_REMEDY}.") from error
    rows.start(piece.file.name)
    content = _Content(chunks(piece.file))
    row = -1
    failure = ""
    if piece.file.bytes == 0:
        failure = "it is empty"
    try:
        archive = ArchiveIterator(io.BufferedReader(content, 1 << 20), no_record_parse=False)
        for row, record in enumerate(archive):
            if record.rec_type in ("conversion", "response"):
                failure = _add(piece, reading, rows, row, record) or failure
            if rows.full:
                yield rows.take()
            if failure:
                break
    except (ArchiveLoadFailed, EOFError, ValueError) as error:
        failure = (
            f"what follows record {row} is no WARC record ({str(error).splitlines()[0][:80] if str(error) else 'end'})"
        )
    if content.broken is not None or failure:
        detail = f"{content.broken or failure}, after {max(row, 0):,} whole records; what followed is lost"
        rows.refuse(row + 1, "truncated", detail, 0)
    rows.finish()


def _add(piece: Piece, reading: Reading, rows: Rows, row: int, record: Record) -> str:
    """Take one record; how it breaks off, or ""."""
    headers = {name.lower(): value for name, value in record.rec_headers.headers}
    if record.format != "warc" or not hasattr(record.raw_stream, "limit"):
        return f"record {row} has no WARC header that says its length"
    identifier = record_id(headers.get("warc-record-id"))
    length = int(headers.get("content-length") or 0)
    limit = 2 * reading.max_document_bytes + (1 << 20)
    if length > limit:
        rows.refuse(row, "too_long", record.raw_stream.read(1000), length, identifier)
        return ""
    raw = record.content_stream() if record.rec_type == "response" else record.raw_stream
    body = raw.read()
    if record.raw_stream.limit > 0:
        return f"record {row} has {length - record.raw_stream.limit:,} of {length:,} bytes"
    if record.rec_type == "response":
        text = _page_text(piece, rows, row, record, body, identifier)
        if text is None:
            return ""
    else:
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            rows.refuse(row, "invalid_utf8", body[max(0, error.start - 40) :], length, identifier)
            return ""
    extra = (headers.get(path) for path in reading.extra_paths.values())
    rows.add(row, headers, text, identifier, target_uri(headers.get("warc-target-uri")), extra, length)
    return ""


def _page_text(piece: Piece, rows: Rows, row: int, record: Record, body: bytes, identifier: str | None) -> str | None:
    try:
        import trafilatura
    except ImportError as error:
        raise SourceError(
            f"{piece.file.address}: record {row} is a web page, whose text the package trafilatura finds; {_REMEDY}, "
            "or read the WET file of the same crawl."
        ) from error
    http = record.http_headers
    kind = (http.get_header("content-type") or "").partition(";")[0].strip().lower() if http else ""
    status = http.get_statuscode() if http else ""
    if kind not in _PAGES or status != "200":
        rows.refuse(row, "no_text", f"HTTP {status}, {kind or 'no content type'}: no page", len(body), identifier)
        return None
    text = trafilatura.extract(body, include_comments=True, favor_recall=True)
    if not text:
        rows.refuse(row, "no_text", "trafilatura finds no text in the page", len(body), identifier)
        return None
    return str(text)
