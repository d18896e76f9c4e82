"""Reads text files: one file is one document, plain or compressed.

The file's relative name is the document's id. A file that is not UTF-8, too long, or breaks off is set aside whole:
half a document is none. A byte order mark is dropped. At most `max_document_bytes` and a chunk are held.
"""

from collections.abc import Iterator

from corpus_ja.storage.sources.files import Broken, chunks
from corpus_ja.storage.sources.jsonl import BOM
from corpus_ja.storage.sources.records import Batch, Piece, Reading, Rows


def read(piece: Piece, reading: Reading, rows: Rows) -> Iterator[Batch]:
    """Read a text file into `rows`, handing out a batch when they are full."""
    rows.start(piece.file.name)
    _add(piece, reading, rows)
    rows.finish()
    if rows.full:
        yield rows.take()


def _add(piece: Piece, reading: Reading, rows: Rows) -> None:
    name = piece.file.name
    parts: list[bytes] = []
    size = 0
    try:
        for chunk in chunks(piece.file):
            parts.append(chunk)
            size += len(chunk)
            if size > reading.max_document_bytes + len(BOM):
                rows.refuse(0, "too_long", parts[0], piece.file.bytes, name)
                return
    except Broken as broken:
        rows.refuse(0, "truncated", f"{broken}; a document cut short is not kept", piece.file.bytes, name)
        return
    content = b"".join(parts).removeprefix(BOM)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        rows.refuse(0, "invalid_utf8", content[max(0, error.start - 40) :], piece.file.bytes, name)
        return
    rows.add(0, {}, text, name, None, (), len(content))
