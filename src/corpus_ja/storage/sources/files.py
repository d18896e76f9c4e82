"""Finds and opens files: on this machine, on the Hub, or in any store that fsspec knows.

Local paths are opened directly; `hf://` goes to `hub.py`; everything else to fsspec, whose missing drivers are named
with the command that installs them. `chunks` decompresses by the ending (.gz, .zst) in pieces of at most about a
megabyte, so that a small file holding gigabytes of one letter takes no more memory than any other, and raises `Broken`
where a file breaks off, after everything before it has been handed out. zstd is walked block by block (820 MB/s of text
measured): zstandard's own stream reader ends a truncated file without a word, and its decompression object hands out at
once whatever a chunk expands to.
"""

import difflib
import hashlib
import io
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, cast

import xxhash

from corpus_ja.errors import SourceError
from corpus_ja.storage.sources.records import Amount, Kind, SourceFile

_COMPRESSED: Final = ("", ".gz", ".zst")
ENDINGS: Final[dict[Kind, tuple[str, ...]]] = {
    "hub": (".parquet", *(e + c for e in (".jsonl", ".ndjson") for c in _COMPRESSED), ".json.gz", ".json.zst"),
    "parquet": (".parquet",),
    "jsonl": (*(e + c for e in (".jsonl", ".ndjson") for c in _COMPRESSED), ".json.gz", ".json.zst"),
    "text": tuple(e + c for e in (".txt", ".md") for c in _COMPRESSED),
    "oscar": (*(e + c for e in (".jsonl", ".ndjson") for c in _COMPRESSED), ".json.gz", ".json.zst"),
    "warc": tuple(e + c for e in (".warc", ".wet") for c in _COMPRESSED),
}
"""What a folder is searched for. A file named in full, or a glob with an ending of its own, may have any other."""
_PROTOCOL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?:::|://)")
_GLOB: Final = re.compile(r"[*?\[]")
_CHUNK: Final = 1 << 20


class Broken(Exception):  # noqa: N818 - no error of ours: the reader turns it into a document's verdict
    """A compressed file that breaks off or is damaged; `str` says how."""


# ----------------------------------------------------------------------------------------------------------- addresses


def is_remote(address: str) -> bool:
    """Whether an address is a store's (`s3://...`) and no path on this machine."""
    return _PROTOCOL.match(address) is not None and not address.startswith("file://")


def located(address: str, base: Path) -> str:
    """An address as any working folder can open it: paths made absolute from `base`, stores' as they are."""
    if is_remote(address):
        return address
    try:
        path = Path(address.removeprefix("file://")).expanduser()
    except RuntimeError as error:  # ~nobody
        raise SourceError(f"{address}: there is no such home folder.") from error
    return str(path if path.is_absolute() else (base / path).resolve())


def split_glob(path: str) -> tuple[str, str]:
    """The folder before the first wild card, and the pattern after it ("" if there is none)."""
    parts = path.split("/")
    for index, part in enumerate(parts):
        if _GLOB.search(part):
            return "/".join(parts[:index]), "/".join(parts[index:])
    return path, ""


def matches(name: str, pattern: str) -> bool:
    """Whether a relative name matches a glob in which `**` stands for any number of folders."""
    return _glob_expression(pattern).fullmatch(name) is not None


def _glob_expression(pattern: str) -> re.Pattern[str]:
    expression, position = "", 0
    while position < len(pattern):
        if pattern.startswith("**/", position):
            expression, position = expression + "(?:[^/]+/)*", position + 3
        elif pattern.startswith("**", position):
            expression, position = expression + ".*", position + 2
        elif pattern[position] == "*":
            expression, position = expression + "[^/]*", position + 1
        elif pattern[position] == "?":
            expression, position = expression + "[^/]", position + 1
        elif pattern[position] == "[" and (end := pattern.find("]", position + 2)) > 0:
            inside = pattern[position + 1 : end].replace("\\", "\\\\")
            inside = "^" + inside[1:] if inside.startswith("!") else inside
            expression, position = expression + f"[{inside}]", end + 1
        else:
            expression, position = expression + re.escape(pattern[position]), position + 1
    return re.compile(expression, flags=re.DOTALL)


def wanted(name: str, kind: Kind, pattern: str) -> bool:
    """Whether a file under the folder belongs to the source: by the glob, by the kind's endings, and not hidden."""
    if pattern and not matches(name, pattern):
        return False
    own_ending = PurePosixPath(pattern).suffix if pattern else ""
    if own_ending and not _GLOB.search(own_ending):
        return True
    hidden = any(part.startswith(".") for part in name.split("/"))
    return not hidden and name.lower().endswith(ENDINGS[kind])


def nothing_found(where: str, kind: Kind, pattern: str, existing: list[str]) -> SourceError:
    """The sentence for an address under which there is nothing to read."""
    if pattern:
        message = f"{where}: no file matches {pattern!r}."
    else:
        message = f"{where}: the folder holds no file for {kind} (endings {', '.join(ENDINGS[kind])})."
    near = difflib.get_close_matches(pattern or kind, existing, n=3, cutoff=0.3) or sorted(existing)[:3]
    return SourceError(message + (f" It holds {', '.join(near)}." if near else " It is empty."))


def u(name: str) -> int:
    """The hash by which `read` picks files: stable, and blind to the order of names."""
    return xxhash.xxh3_64_intdigest(name.encode())


def picked(files: list[tuple[str, int]], amount: Amount | None) -> list[tuple[str, int]]:
    """The (name, bytes) that `read` asks for, sorted by name: in hash order, until the next would be too much."""
    if amount is None:
        return sorted(files)
    taken: list[tuple[str, int]] = []
    total = 0
    for name, size in sorted(files, key=lambda file: (u(file[0]), file[0])):
        too_many = amount.files is not None and len(taken) >= amount.files
        too_much = amount.max_bytes is not None and taken and total + size > amount.max_bytes
        if too_many or too_much:
            break
        taken.append((name, size))
        total += size
    return sorted(taken)


# ------------------------------------------------------------------------------------------------------- this machine


def list_local(address: str, kind: Kind, amount: Amount | None, cache: dict[str, str]) -> list[SourceFile]:
    """The files of a local path, folder or glob; see `list_files` of the package for the rules."""
    path = Path(address)
    if path.is_file():
        folder, pattern, names = path.parent, "", [path.name]
    elif path.is_dir():
        folder, pattern, names = path, "", list(_walk(path))
    else:
        before, pattern = split_glob(address)
        folder = Path(before or "/")
        if not pattern or not folder.is_dir():
            raise _missing(path if not pattern else folder)
        names = list(_walk(folder, deep="**" in pattern or "/" in pattern))
    if not path.is_file():
        existing = names
        names = [name for name in names if wanted(name, kind, pattern)]
        if not names:
            raise nothing_found(str(folder), kind, pattern, existing)
    for name in names:
        if any(0xD800 <= ord(character) <= 0xDFFF for character in name):
            shown = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
            raise SourceError(f"{folder}/{shown}: the file's name is not UTF-8; rename it.")
    sized = [(name, (folder / name).stat().st_size) for name in names]
    return [
        SourceFile(str(folder / name), name, size, _content(folder / name, cache))
        for name, size in picked(sized, amount)
    ]


def _walk(folder: Path, *, deep: bool = True) -> Iterator[str]:
    """The files under a folder as posix names relative to it; links to folders are followed, once each."""
    visited: set[str] = set()
    for current, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(current)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        for name in names:
            yield (Path(current) / name).relative_to(folder).as_posix()
        if not deep:
            return


def _missing(path: Path) -> SourceError:
    parent = path.parent
    while not parent.is_dir():
        path, parent = parent, parent.parent
    near = difflib.get_close_matches(path.name, [child.name for child in parent.iterdir()], n=3, cutoff=0.4)
    hint = f" There is {', '.join(near)} beside it." if near else ""
    return SourceError(f"{path}: there is no such file or folder.{hint}")


def _content(path: Path, cache: dict[str, str]) -> str:
    stat = path.stat()
    key = f"{path}|{stat.st_size}|{stat.st_mtime_ns}"
    if key not in cache:
        try:
            with path.open("rb") as stream:
                cache[key] = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise unreadable(str(path), error) from error
    return f"sha256:{cache[key]}"


# ------------------------------------------------------------------------------------------------------- other stores


def store(address: str) -> tuple[Any, str]:
    """The fsspec file system of an address and the path within it; a sentence if it is unknown or has no driver."""
    import fsspec
    from fsspec.registry import known_implementations

    protocol = re.split("::|://", address, maxsplit=1)[0]
    try:
        system, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        remedy = known_implementations.get(protocol, {}).get("err", "") or str(error)
        raise SourceError(
            f"{address}: reading {protocol}:// needs a driver that is not installed: {remedy}."
        ) from error
    except ValueError as error:
        raise SourceError(f"{address}: {protocol}:// is no kind of address that can be read ({error}).") from error
    return system, str(path)


def list_store(address: str, kind: Kind, amount: Amount | None) -> list[SourceFile]:
    """The files of an fsspec path, folder or glob."""
    system, path = store(address)
    before, pattern = split_glob(path)
    try:
        details: dict[str, dict[str, Any]] = system.find(before, detail=True)
        if not details and not pattern and not system.exists(path):
            raise SourceError(f"{address}: there is no such file or folder.")
        single = not pattern and system.isfile(path)
    except (OSError, ValueError) as error:
        raise unreadable(address, error) from error
    folder = before.rpartition("/")[0] if single else before.rstrip("/")
    names = {key[len(folder) :].lstrip("/"): info for key, info in details.items()}
    chosen = [name for name in names if single or wanted(name, kind, pattern)]
    if not chosen:
        raise nothing_found(address, kind, pattern, list(names))
    files = []
    for name, size in picked([(name, int(names[name]["size"] or 0)) for name in chosen], amount):
        info = names[name]
        mark = next(
            (info[key] for key in ("ETag", "etag", "md5Hash", "md5", "crc32c", "checksum") if info.get(key)), None
        )
        mark = mark if mark is not None else system.ukey(info["name"])
        files.append(SourceFile(system.unstrip_protocol(info["name"]), name, size, f"{name}|{size}|{mark}"))
    return files


# ------------------------------------------------------------------------------------------------------------- opening


def unreadable(where: str, error: BaseException) -> SourceError:
    """The sentence for a file that cannot be opened or read."""
    reasons: list[tuple[type[BaseException], str]] = [
        (FileNotFoundError, "the file is gone"),
        (PermissionError, "you may not read this file"),
        (IsADirectoryError, "this is a folder"),
    ]
    reason = next((text for kind, text in reasons if isinstance(error, kind)), f"it cannot be read ({error})")
    return SourceError(f"{where}: {reason}.")


def opened(file: SourceFile, *, sequential: bool = True) -> BinaryIO:
    """The file's stored bytes as a stream; `sequential` if it is read from start to end, else pieces by seeking."""
    try:
        if not is_remote(file.address):
            return Path(file.address).open("rb", buffering=0 if sequential else -1)
        if file.address.startswith("hf://"):
            from corpus_ja.storage.sources.hub import HubFile

            return cast(BinaryIO, HubFile(file.address, file.bytes, sequential=sequential))
        system, path = store(file.address)
        return cast(BinaryIO, system.open(path, "rb"))
    except OSError as error:
        raise unreadable(file.address, error) from error


def chunks(file: SourceFile) -> Iterator[bytes]:
    """The file's content, decompressed by its ending, in chunks of about 1 MiB at most; `Broken` if it breaks off."""
    name = file.name.lower()
    with opened(file) as stream:
        try:
            if name.endswith(".gz"):
                yield from _gzip(stream)
            elif name.endswith(".zst"):
                with io.BufferedReader(cast(io.RawIOBase, stream), _CHUNK) as buffered:
                    yield from _zstd(buffered)
            else:
                while chunk := stream.read(_CHUNK):
                    yield chunk
        except OSError as error:
            raise unreadable(file.address, error) from error


def _gzip(stream: BinaryIO) -> Iterator[bytes]:
    """Any number of gzip members; zero bytes between or after them are padding, as gzip itself has it."""
    member, data, any_member = None, b"", False
    while True:
        if not data:
            data = stream.read(_CHUNK)
            if not data:
                break
        if member is None:
            data = data.lstrip(b"\0") if any_member else data
            if not data:
                continue
            member, any_member = zlib.decompressobj(wbits=31), True
        try:
            out = member.decompress(data, _CHUNK)
        except zlib.error as error:
            raise Broken(f"its gzip data is damaged ({error})") from error
        if out:
            yield out
        if member.eof:
            data, member = member.unused_data, None
        else:
            data = member.unconsumed_tail
            if not data and len(out) == _CHUNK:
                # all input is taken, but more output may wait inside
                while rest := member.decompress(b"", _CHUNK):
                    yield rest
                if member.eof:
                    data, member = member.unused_data, None
    if member is not None:
        raise Broken("its gzip data ends too early")
    if not any_member:
        raise Broken("it is empty, so it is no gzip file")


def _zstd(stream: "io.BufferedReader[io.RawIOBase]") -> Iterator[bytes]:
    """Any number of zstd frames, block by block (a block holds at most 128 KiB); RFC 8878 gives the layout."""
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 31)

    def exactly(count: int) -> bytes:
        data = stream.read(count)
        if len(data) < count:
            raise Broken("its zstd data ends too early")
        return data

    if not stream.peek(1):
        raise Broken("it is empty, so it is no zstd file")
    while magic := stream.read(4):
        number = int.from_bytes(magic, "little")
        if number & 0xFFFFFFF0 == 0x184D2A50 and len(magic) == 4:  # a skippable frame: its length, then anything
            left = int.from_bytes(exactly(4), "little")
            while left:
                left -= len(exactly(min(left, _CHUNK)))
            continue
        if number != 0xFD2FB528:
            raise Broken("its zstd data ends too early" if len(magic) < 4 else "its bytes are not zstd data")
        descriptor = exactly(1)[0]
        single = descriptor >> 5 & 1
        header = (1 - single) + (0, 1, 2, 4)[descriptor & 3] + (single, 2, 4, 8)[descriptor >> 6]
        frame = decompressor.decompressobj()
        try:
            frame.decompress(magic + bytes([descriptor]) + exactly(header))
            last = False
            while not last:
                head = exactly(3)
                block = int.from_bytes(head, "little")
                last = bool(block & 1)
                if out := frame.decompress(head + exactly(1 if block >> 1 & 3 == 1 else block >> 3)):
                    yield out
            if descriptor & 4 and (out := frame.decompress(exactly(4))):
                yield out
        except zstandard.ZstdError as error:
            raise Broken(f"its zstd data is damaged ({error})") from error
