"""Word lists and host lists as signals: how much of a text stands on a list, and whether its address does.

All word lists of a mix are searched in one pass: one Aho-Corasick automaton over the UTF-8 bytes of a megabyte at a
time finds every occurrence, overlapping ones too; then, list by list, matches inside a longer word fall and of the rest
the leftmost longest stay, so one list's numbers do not depend on another's. A match lies inside a longer word where
katakana continues its katakana or Latin letters or digits continue its Latin letters or digits: アスパラガス holds no
アス, 1893 no 893. ASCII letters match in either case and full-width ones too; nothing else is folded. 65 MB/s with
1,837 words of five lists on 24 MB of Japanese prose and pages, one thread; memory is flat in the length of a text: 0.7
GB for one of 60 MB that is one word twenty million times.

Host lists are kept as sorted 64-bit hashes, 8 bytes an entry; an entry covers its subdomains, an entry with a path the
addresses below it. An archive of a folder of categories is read as a stream, member by member: nothing of it is written
anywhere, so no name in it can lead anywhere, and 300,000 entries a second are hashed with a few megabytes besides them.
Rejected: leftmost-longest over all lists at once (a word of one list hides a word of another), and sets of strings for
hosts (several times the memory).
"""

import lzma
import re
import tarfile
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
import xxhash
from pydantic import Field

from corpus_ja.settings import Settings

VERSION = 1

BLOCK = 1 << 20
"""Bytes searched at once; what one block's matches can take is bounded by it."""

EVIDENCE = 6
"""Different words of a list from which its hits are evidence: one word, or two, proves nothing."""

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
"""How the name of an archive ends."""

_CATEGORY = re.compile(r"[\w.-]{1,80}", re.ASCII)

_PLAIN_HOST = re.compile(r"(?:[a-z0-9_-]+\.)+[a-z][a-z0-9-]+")


class ListSettings(Settings):
    """A list of words or hosts as a mix names it."""

    path: str = Field(min_length=1)
    """A file, a folder of categories or a tar archive of one, `package:NAME/FILE` of an installed package, the name of
    a list of ours, or `none`."""
    kind: Literal["auto", "words", "hosts"] = "auto"
    """What the entries are; auto: hosts in a folder or an archive, and in a file whose every entry is a host name."""
    boundaries: bool = True
    """Whether words inside longer katakana or Latin words do not count."""
    categories: tuple[str, ...] | None = None
    """Of a folder or an archive, the categories that count; all of them where none are named."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A list's files on this machine, found and looked at: (category, path, SHA-256) each, one without a category for
    a file; the categories of an archive have one path.
    """

    name: str
    kind: Literal["words", "hosts"]
    files: tuple[tuple[str, str, str], ...]
    boundaries: bool = True
    categories: tuple[str, ...] | None = None

    @property
    def columns(self) -> dict[str, pl.DataType]:
        """The columns that the list gives."""
        if self.kind == "words":
            return word_columns(self.name)
        return host_columns(self.name, categories=any(category for category, _, _ in self.files))

    @property
    def meaning(self) -> list[object]:
        """What can change a number of its columns, for fingerprints; no path."""
        files = [[category, sha256] for category, _, sha256 in self.files]
        return [self.name, self.kind, files, self.boundaries, self.categories]


@dataclass(frozen=True, slots=True)
class Words:
    """A word list. `boundaries`: a match inside a longer katakana or Latin word does not count."""

    name: str
    words: tuple[str, ...]
    boundaries: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Hosts:
    """A host list: per category the sorted hashes of its entries, "" where there are no categories.

    `chosen` are the categories that `host_in_<name>` counts; all where it is None.
    """

    name: str
    entries: Mapping[str, npt.NDArray[np.uint64]]
    chosen: tuple[str, ...] | None = None


def parse_words(content: str) -> tuple[str, ...]:
    """The words of a list file, one a line, NFC, in order, each once; empty lines and lines that begin with "# " are
    none.
    """
    lines = (unicodedata.normalize("NFC", line.strip().lstrip("\ufeff")) for line in content.split("\n"))
    return tuple(dict.fromkeys(line for line in lines if line and not line.startswith("# ") and line != "#"))


def parse_hosts(content: str) -> npt.NDArray[np.uint64]:
    """The entries of a host file as sorted hashes: one host, or host and path, a line; hosts-file lines (0.0.0.0 host)
    too.
    """
    found = set()
    for line in content.split("\n"):
        entry = line.partition("#")[0].strip()
        if entry.startswith(("0.0.0.0 ", "127.0.0.1 ", "0.0.0.0\t", "127.0.0.1\t")):
            entry = entry.split()[1]
        if entry:
            found.add(_hash(_plain(entry)))
    return np.array(sorted(found), dtype=np.uint64)


def is_archive(name: str) -> bool:
    """Whether a file of this name is read as an archive of categories."""
    return name.lower().endswith(ARCHIVES)


def archive_categories(stream: IO[bytes]) -> tuple[str, ...]:
    """The categories of an archive, sorted; ValueError, in words to put after the file's name, where it cannot be read
    to its end or has none.
    """
    found: set[str] = set()
    links = _walk(stream, lambda category, _: found.add(category))
    return tuple(sorted(found | {link for link, target in links.items() if target in found}))


def parse_archive(stream: IO[bytes]) -> dict[str, npt.NDArray[np.uint64]]:
    """The entries of every category of an archive, as `parse_hosts` gives them; ValueError as `archive_categories`.

    Entries are CATEGORY/domains and CATEGORY/urls in whatever folders; a category that is a link to another, as UT1 has
    them, has that one's entries.
    """
    entries: dict[str, npt.NDArray[np.uint64]] = {}

    def take(category: str, content: IO[bytes]) -> None:
        parts = [entries.get(category, np.empty(0, dtype=np.uint64))]
        parts += [parse_hosts(text) for text in _blocks(content)]
        entries[category] = np.unique(np.concatenate(parts))

    links = _walk(stream, take)
    return entries | {link: entries[target] for link, target in links.items() if target in entries}


def _walk(stream: IO[bytes], take: Callable[[str, IO[bytes]], object]) -> dict[str, str]:
    """Hand every file of entries to `take`, in order; returns which categories are links to which."""
    links: dict[str, str] = {}
    seen = False
    try:
        with tarfile.open(fileobj=stream, mode="r|*") as archive:
            for member in archive:
                path = [part for part in member.name.split("/") if part not in {"", "."}]
                if (
                    member.isfile()
                    and len(path) >= 2
                    and path[-1] in {"domains", "urls"}
                    and _CATEGORY.fullmatch(path[-2])
                ):
                    content = archive.extractfile(member)
                    if content is not None:
                        take(path[-2], content)
                        seen = True
                elif member.issym() and path and _CATEGORY.fullmatch(path[-1]):
                    links[path[-1]] = member.linkname.rstrip("/").rpartition("/")[2]
                archive.members = []  # type: ignore[attr-defined]  # or the list of all members grows with the archive
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"cannot be read as a tar archive ({reason}); fetch it again.") from error
    if not seen:
        raise ValueError("holds no CATEGORY/domains and no CATEGORY/urls, as an archive of host lists does.")
    return links


def _blocks(content: IO[bytes]) -> Iterator[str]:
    """The lines of a file in pieces of about a megabyte; of a line longer than that only its end, which is no host."""
    rest = b""
    while piece := content.read(BLOCK):
        head, newline, tail = piece.rpartition(b"\n")
        if newline:
            yield (rest + head).decode("utf-8", "replace")
            rest = tail
        else:
            rest = (rest + tail)[-BLOCK:]
    yield rest.decode("utf-8", "replace")


def looks_like_hosts(content: str) -> bool:
    """Whether every entry of a list is a host name: then it is a host list."""
    entries = [line.partition("#")[0].strip().lower() for line in content.split("\n")]
    entries = [entry.split()[-1].partition("/")[0] for entry in entries if entry]
    return bool(entries) and all(_PLAIN_HOST.fullmatch(entry) for entry in entries)


def word_columns(name: str) -> dict[str, pl.DataType]:
    """The columns that a word list gives."""
    return {
        f"words_{name}_hits": pl.UInt32(),
        f"words_{name}_distinct": pl.UInt32(),
        f"words_{name}_coverage": pl.Float32(),
        f"words_{name}_of_japanese": pl.Float32(),
        f"words_{name}_per_1000": pl.Float32(),
        f"words_{name}_evidence": pl.Float32(),
    }


def host_columns(name: str, *, categories: bool) -> dict[str, pl.DataType]:
    """The columns that a host list gives."""
    columns: dict[str, pl.DataType] = {f"host_in_{name}": pl.UInt8()}
    return columns | ({f"host_categories_{name}": pl.List(pl.String())} if categories else {})


def describe(column: str) -> str:
    """What one of these columns says, in which unit; the length is in code points that are not white space."""
    endings = {
        "_hits": "words of the list in the text, the leftmost longest, none inside a longer word",
        "_distinct": "how many different words of the list stand in the text",
        "_coverage": "characters in words of the list, of the length; null without any",
        "_of_japanese": "the same, of hiragana, katakana (without ー), kanji and 。．！？、，; null without them",
        "_per_1000": "words of the list, per 1,000 of the length; null without any",
        "_evidence": f"the same, 0 unless at least {EVIDENCE} different words of the list stand in the text",
    }
    if column.startswith("host_categories_"):
        return "the categories of the list that hold the address; null without an address"
    if column.startswith("host_in_"):
        return "1 where the list holds the address, 0 where not; null without an address"
    return next((said for ending, said in endings.items() if column.endswith(ending)), "")


# ---------------------------------------------------------------------------------------------------------------- words

_KATAKANA, _LATIN = 1, 2


class WordSearch:
    """Word lists, ready to be searched for; build it once and use it for many texts."""

    def __init__(self, lists: Sequence[Words]) -> None:
        """Build the automaton: a few milliseconds for two thousand words."""
        import ahocorasick_rs

        self.lists = tuple(lists)
        patterns: dict[bytes, list[tuple[int, int]]] = {}
        self._characters = np.array([len(word) for one in lists for word in one.words], dtype=np.int64)
        number = 0
        for place, one in enumerate(lists):
            for word in one.words:
                patterns.setdefault(_plain_word(word), []).append((place, number))
                number += 1
        self._count = np.array([len(entries) for entries in patterns.values()], dtype=np.int64)
        self._first = np.concatenate(([0], np.cumsum(self._count)))
        flat = [entry for entries in patterns.values() for entry in entries]
        self._list = np.array([place for place, _ in flat], dtype=np.int64)
        self._word = np.array([word for _, word in flat], dtype=np.int64)
        self._bounded = np.array([one.boundaries for one in lists], dtype=bool)
        self._longest = max((len(pattern) for pattern in patterns), default=1)
        # the table of every state and byte class is the fastest, and grows with the words
        small = sum(map(len, patterns)) < 200_000
        way = ahocorasick_rs.Implementation.DFA if small else ahocorasick_rs.Implementation.ContiguousNFA
        self._automaton = ahocorasick_rs.BytesAhoCorasick(list(patterns), implementation=way) if patterns else None

    def measure(self, text: pl.Series) -> pl.DataFrame:
        """The columns of `word_columns` for every list, same rows; a null text counts as empty."""
        text = text.fill_null("")
        texts = [one.encode("utf-8", "surrogatepass") for one in text.to_list()]
        hits = np.zeros((len(self.lists), len(texts)), dtype=np.int64)
        covered = np.zeros((len(self.lists), len(texts)), dtype=np.int64)
        distinct = np.zeros((len(self.lists), len(texts)), dtype=np.int64)
        if self._automaton is not None:
            for rows, block in _batches(texts):
                self._count_block(rows, block, hits, covered, distinct)
        found = np.flatnonzero(hits.any(axis=0))
        # only texts with a word on them are worth counting characters in
        column = pl.col("text")
        some = pl.DataFrame({"text": text.gather(found)}).select(
            length=column.str.len_chars() - column.str.count_matches(r"\s"),
            japanese=column.str.replace_all(_NO_SWALLOW_LETTERS, "").str.len_chars(),
        )
        length, japanese = (np.zeros(len(texts), dtype=np.int64) for _ in range(2))
        length[found], japanese[found] = some["length"].to_numpy(), some["japanese"].to_numpy()
        frame = pl.DataFrame({"length": length, "japanese": japanese})
        empty = pl.DataFrame({"text": text}).select(~pl.col("text").str.contains(r"\S")).to_series()
        columns: list[pl.Series] = []
        for place, one in enumerate(self.lists):
            table = frame.with_columns(
                hits=pl.Series(hits[place]),
                covered=pl.Series(covered[place]),
                distinct=pl.Series(distinct[place]),
                empty=empty,
            )
            share = (
                pl.when(pl.col("length") > 0)
                .then(pl.col("covered") / pl.col("length"))
                .when(~pl.col("empty"))
                .then(0.0)
            )
            thousand = (
                pl.when(pl.col("length") > 0)
                .then(1000 * pl.col("hits") / pl.col("length"))
                .when(~pl.col("empty"))
                .then(0.0)
            )
            of_japanese = pl.when(pl.col("japanese") > 0).then(pl.col("covered") / pl.col("japanese"))
            values = table.select(
                hits="hits", distinct="distinct", coverage=share,
                of_japanese=pl.when(pl.col("hits") > 0).then(of_japanese).when(~pl.col("empty")).then(0.0),
                per_1000=thousand, evidence=pl.when(pl.col("distinct") >= EVIDENCE).then(thousand).otherwise(0.0),
            )  # fmt: skip
            for (name, dtype), value in zip(word_columns(one.name).items(), values.get_columns(), strict=True):
                columns.append(value.cast(dtype).alias(name))
        return pl.DataFrame(columns)

    def _count_block(
        self,
        rows: npt.NDArray[np.int64],
        texts: list[bytes],
        hits: npt.NDArray[np.int64],
        covered: npt.NDArray[np.int64],
        distinct: npt.NDArray[np.int64],
    ) -> None:
        """Count the words of some texts; `hits`, `covered` and `distinct` (lists × texts) are added to."""
        assert self._automaton is not None  # noqa: S101 - the caller checked
        starts = np.cumsum([3, *(len(one) + 3 for one in texts)])
        whole, starts = _folded(b"\0\0\0" + b"\0\0\0".join(texts) + b"\0\0\0", starts[:-1])
        until = [0] * len(self.lists)
        pairs: list[npt.NDArray[np.int64]] = []
        for begin in range(0, len(whole), BLOCK):
            # a match belongs to the block it begins in, and may reach into the next one
            part = whole[begin : begin + BLOCK + self._longest]
            matches = self._automaton.find_matches_as_indexes(part, overlapping=True)
            if not matches:
                continue
            found = np.array(matches, dtype=np.int64)
            found = found[found[:, 1] < BLOCK]
            count = self._count[found[:, 0]]
            entry = np.repeat(self._first[found[:, 0]], count) + _ramp(count)
            start, end = (np.repeat(found[:, column] + begin, count) for column in (1, 2))
            which = self._list[entry]
            keep = ~(_inside(whole, start, end) & self._bounded[which])
            entry, start, end, which = entry[keep], start[keep], end[keep], which[keep]
            order = np.lexsort((-end, start))
            taken = []
            for place, own, first, last in zip(
                order.tolist(), which[order].tolist(), start[order].tolist(), end[order].tolist(), strict=True
            ):
                if first >= until[own]:
                    until[own] = last
                    taken.append(place)
            chosen = np.array(taken, dtype=np.int64)
            document = rows[np.searchsorted(starts, start[chosen], side="right") - 1]
            word = self._word[entry[chosen]]
            np.add.at(hits, (which[chosen], document), 1)
            np.add.at(covered, (which[chosen], document), self._characters[word])
            pairs.append(np.unique(np.stack((which[chosen], document, word)), axis=1))
        if pairs:
            different = np.unique(np.concatenate(pairs, axis=1), axis=1)
            np.add.at(distinct, (different[0], different[1]), 1)


_NO_SWALLOW_LETTERS = (
    r"[^\x{3041}-\x{3096}\x{30A1}-\x{30FA}々〇〻\x{3400}-\x{9FFF}\x{F900}-\x{FAFF}\x{20000}-\x{3FFFF}、，。．！？]+"
)
"""What stands between the letters that Swallow's share of NG words is taken of (2024, quality.py): kana without ー,
kanji, and 、，。．！？."""


def _plain_word(word: str) -> bytes:
    """A word as it stands in a folded text: ASCII letters small, full-width letters and digits narrow."""
    narrow = "".join(chr(ord(one) - 0xFEE0) if one in _FULL_WIDTH else one for one in word)
    return narrow.encode("utf-8", "surrogatepass").lower()


_FULL_WIDTH = frozenset("".join(chr(code + 0xFEE0) for code in range(0x30, 0x7B) if chr(code).isalnum()))


def _folded(whole: bytes, starts: npt.NDArray[np.int64]) -> tuple[bytes, npt.NDArray[np.int64]]:
    """The bytes with small ASCII letters and narrow Latin letters and digits, and where its texts begin then."""
    data = np.frombuffer(whole.lower(), dtype=np.uint8)
    first = np.flatnonzero(data[:-2] == 0xEF)
    middle, last = data[first + 1], data[first + 2]
    upper = (middle == 0xBC) & (((last >= 0x90) & (last <= 0x99)) | ((last >= 0xA1) & (last <= 0xBA)))
    lower = (middle == 0xBD) & (last >= 0x81) & (last <= 0x9A)
    if not (upper | lower).any():
        return data.tobytes(), starts
    data, keep = data.copy(), np.ones(len(data), dtype=bool)
    # U+FF10-FF19 are digits; U+FF21-FF3A and U+FF41-FF5A both become small letters
    data[first[upper] + 2] = np.where(last[upper] < 0xA1, last[upper] - 0x60, last[upper] - 0x40)
    data[first[lower] + 2] = last[lower] - 0x20
    wide = first[upper | lower]
    keep[wide] = keep[wide + 1] = False
    return data[keep].tobytes(), starts - 2 * np.searchsorted(wide, starts)


def _batches(texts: list[bytes]) -> list[tuple[npt.NDArray[np.int64], list[bytes]]]:
    """The texts in groups of a few megabytes; a longer one alone."""
    groups: list[tuple[list[int], list[bytes]]] = [([], [])]
    size = 0
    for row, text in enumerate(texts):
        if size and size + len(text) > 8 * BLOCK:
            groups.append(([], []))
            size = 0
        groups[-1][0].append(row)
        groups[-1][1].append(text)
        size += len(text)
    return [(np.array(rows, dtype=np.int64), some) for rows, some in groups if some]


def _ramp(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """0, 1, ... count - 1 for every count, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - counts, counts)


def _inside(whole: bytes, start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether a match's own script goes on before it or after it: katakana by katakana, Latin and digits by the
    same.
    """
    data = np.frombuffer(whole, dtype=np.uint8)
    before = _script(data[start - 3], data[start - 2], data[start - 1])
    after = _script_after(data, end)
    first = _script_after(data, start)
    last = _script(data[end - 3], data[end - 2], data[end - 1])
    inside: npt.NDArray[np.bool_] = ((before > 0) & (before == first)) | ((after > 0) & (after == last))
    return inside


def _script_after(data: npt.NDArray[np.uint8], place: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """The script of the character that begins at a place; the buffer ends in three NULs."""
    one, two, three = (data[np.minimum(place + step, len(data) - 1)] for step in range(3))
    ascii_first = one < 0x80
    return np.where(ascii_first, _ascii(one), _wide(one, two, three)).astype(np.uint8)


def _script(
    one: npt.NDArray[np.uint8], two: npt.NDArray[np.uint8], three: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """The script of the character that ends in these three bytes."""
    return np.where(three < 0x80, _ascii(three), _wide(one, two, three)).astype(np.uint8)


def _ascii(byte: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    letter = ((byte | 0x20) >= 0x61) & ((byte | 0x20) <= 0x7A)
    return np.where(letter | ((byte >= 0x30) & (byte <= 0x39)), _LATIN, 0).astype(np.uint8)


def _wide(
    one: npt.NDArray[np.uint8], two: npt.NDArray[np.uint8], three: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    code = ((one & 0x0F).astype(np.int32) << 12) | ((two & 0x3F).astype(np.int32) << 6) | (three & 0x3F)
    triple = (one & 0xF0) == 0xE0
    katakana = (code >= 0x30A1) & (code <= 0x30FE) & (code != 0x30FB)
    katakana |= ((code >= 0x31F0) & (code <= 0x31FF)) | ((code >= 0xFF66) & (code <= 0xFF9F))
    return np.where(triple & katakana, _KATAKANA, 0).astype(np.uint8)


# ---------------------------------------------------------------------------------------------------------------- hosts


def measure_hosts(url: pl.Series, hosts: Hosts) -> pl.DataFrame:
    """`host_in_<name>`, and `host_categories_<name>` for a list with categories; same rows, null without an address."""
    different = url.drop_nulls().unique()
    categorised = set(hosts.entries) != {""}
    inside: list[int | None] = []
    categories: list[list[str] | None] = []
    for address in different.to_list():
        hashes = np.array([_hash(one) for one in _covering(address)], dtype=np.uint64)
        found = [name for name, entries in hosts.entries.items() if _any_in(hashes, entries)] if len(hashes) else []
        chosen = found if hosts.chosen is None else [name for name in found if name in hosts.chosen]
        inside.append(int(bool(chosen)) if len(hashes) else None)
        categories.append(sorted(found) if len(hashes) else None)
    answers = pl.DataFrame(
        {"url": different, "inside": inside, "categories": categories},
        schema={"url": pl.String, "inside": pl.UInt8, "categories": pl.List(pl.String)},
    )
    joined = pl.DataFrame({"url": url.cast(pl.String)}).join(answers, on="url", how="left", maintain_order="left")
    names = list(host_columns(hosts.name, categories=categorised))
    columns = [joined["inside"].alias(names[0])]
    if categorised:
        columns.append(joined["categories"].alias(names[1]))
    return pl.DataFrame(columns)


def _any_in(hashes: npt.NDArray[np.uint64], entries: npt.NDArray[np.uint64]) -> bool:
    if not len(entries):
        return False
    places = np.minimum(np.searchsorted(entries, hashes), len(entries) - 1)
    return bool((entries[places] == hashes).any())


def _covering(address: str) -> list[str]:
    """Every entry that would cover an address: its host, the domains above it, and each with every folder of its
    path.
    """
    rest = address.partition("://")[2] if "://" in address else address
    authority, _, path = rest.partition("/")
    host = _plain(re.split(r"[?#]", authority, maxsplit=1)[0].rpartition("@")[2].partition(":")[0])
    labels = host.split(".")
    if len(labels) < 2 or not all(labels):
        return []
    domains = [".".join(labels[place:]) for place in range(len(labels) - 1)]
    if re.fullmatch(r"[\d.]+", host):
        domains = [host]
    steps = [step for step in re.split(r"[?#]", path, maxsplit=1)[0].split("/") if step][:16]
    below = ["/".join(steps[:count]) for count in range(1, len(steps) + 1)]
    own = [host, host.removeprefix("www.")]
    return [*domains, *(f"{one}/{folder}".lower() for one in dict.fromkeys(own) for folder in below)]


def _plain(entry: str) -> str:
    """A host or host and path as lists write it: small letters, no dot or slash at the end, Unicode names as xn--."""
    entry = entry.strip().lower()
    entry = entry.partition("://")[2] or entry
    host, slash, path = entry.partition("/")
    host = host.strip(".").partition(":")[0]
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            host = host.encode("utf-8", "replace").decode("utf-8")
    return f"{host}{slash}{path}".rstrip("/")


def _hash(entry: str) -> int:
    return xxhash.xxh3_64_intdigest(entry.encode("utf-8", "surrogatepass"))
