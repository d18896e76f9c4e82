"""One normal form for comparing texts, and the keys of documents and addresses made from it.

The normal form keeps what a text says and drops how it was typed: NFKC (half-width ｶﾞ is ガ, ① is 1), lower case, and
of that only letters, marks and digits. Voicing marks are marks and stay: が is not か, also where が came as か and a
combining mark. Document keys, shingles and decontamination all read this one form.

1. nearly every code point maps alone, through a table that Polars' own Unicode functions fill when first needed
   (0.25 s): 220 MB/s of Japanese on one core, where those functions one after another take 37;
2. texts with a code point that may join the one before it (combining marks, Jamo) or grow (㍿ is 株式会社) go through
   those functions: 0.4% of the Japanese documents measured.

Rejected: datatrove's `simplify_text`, which strips U+3099 and so folds が into か; NFKC_Casefold, which folds ß into ss
and needs a second pass to settle; Python's `unicodedata` (22 MB/s, and its tables change with the interpreter).
"""

import functools
import re
from urllib.parse import urlsplit

import numba
import numpy as np
import numpy.typing as npt
import polars as pl
import xxhash

VERSION = 1

KEY = pl.Struct({"high": pl.UInt64, "low": pl.UInt64})
"""The type of a document key: the two halves of an xxh3_128."""

_DROPPED = r"[^\p{L}\p{M}\p{N}]+"
# Variation selectors choose a glyph, not a character: 葛 with and without one is the same word.
_SELECTORS = r"[\x{FE00}-\x{FE0F}\x{E0100}-\x{E01EF}\x{180B}-\x{180F}]+"
_POINTS = 0x40000  # above it stand tags, selectors and private use only
_TOGETHER = 255  # the mark of a code point whose text goes through Polars' functions


def normal_form(text: pl.Series) -> pl.Series:
    """The normal form of every text (String, nulls stay null); applying it twice changes nothing."""
    return _form(text, "")


def word_form(text: pl.Series) -> pl.Series:
    """The normal form with one space wherever something was dropped: the words of a text that separates them."""
    return _form(text, " ")


def _form(text: pl.Series, gap: str) -> pl.Series:
    import pyarrow as pa

    array = text.to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    if data is None or not len(array):
        return text
    starts = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    packed, length = _table(gap)
    formed = np.empty(int(starts[-1] - starts[0]), dtype=np.uint8)
    ends = np.zeros(len(array) + 1, dtype=np.int64)
    alone = _map_points(np.frombuffer(data, dtype=np.uint8), starts, packed, length, formed, ends)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(formed[: ends[-1]])]
    result = pl.Series(text.name, pa.Array.from_buffers(pa.large_string(), len(array), buffers))
    together = np.flatnonzero(~alone)
    if len(together):
        result = result.scatter(together, _reference_form(text.gather(together), gap))
    return result if text.null_count() == 0 else result.set(text.is_null(), None)


def _reference_form(text: pl.Series, gap: str = "") -> pl.Series:
    """The normal form by Polars' own Unicode functions; `gap` stands where something was dropped."""
    folded = text.str.normalize("NFKC").str.replace_all(_SELECTORS, "").str.to_lowercase()
    # Polars lowers a final sigma by its place in the word, which the dropping of spaces would change.
    return folded.str.replace_all("ς", "σ", literal=True).str.replace_all(_DROPPED, gap).str.normalize("NFC")


@functools.cache
def _table(gap: str) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8]]:
    """What each code point below `_POINTS` becomes: its UTF-8 bytes, first byte lowest, and how many."""
    points = [chr(point) if not 0xD800 <= point < 0xE000 else "" for point in range(_POINTS)]
    single = pl.Series(points, dtype=pl.String)
    form = _reference_form(single, gap)
    # Whatever stands second in some canonical decomposition may join what stands before it.
    joining = form.str.contains(r"\p{M}") | form.str.contains_any(_joining(single))
    grown = form.str.len_bytes() > single.str.len_bytes()
    mixed = form.str.contains(" ", literal=True) & (form != " ")
    encoded = form.str.encode("hex").str.replace_all(" ", "").to_list()
    length = form.str.len_bytes().clip(upper_bound=4).to_numpy().astype(np.uint8)
    length[single.str.contains(_SELECTORS).to_numpy()] = 0
    length[(joining | grown | mixed).to_numpy()] = _TOGETHER
    packed = np.array([int.from_bytes(bytes.fromhex(text)[:4], "little") for text in encoded], dtype=np.uint32)
    return packed, length


def _joining(single: pl.Series) -> list[str]:
    apart = single.str.normalize("NFD").str.slice(1)
    return sorted(set("".join(apart.filter(apart != ""))))


@numba.njit(cache=True, nogil=True)
def _map_points(data, starts, packed, length, formed, ends):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    # Returns which texts were mapped; one that was not leaves nothing behind.
    alone = np.ones(len(starts) - 1, dtype=np.bool_)
    write = 0
    for text in range(len(alone)):
        begin = write
        at = starts[text]
        end = starts[text + 1]
        while at < end:
            first = np.uint32(data[at])
            if first < 0x80:
                point = first
                at += 1
            elif first < 0xE0:
                point = (first & np.uint32(0x1F)) << np.uint32(6) | (np.uint32(data[at + 1]) & np.uint32(0x3F))
                at += 2
            else:
                point = (np.uint32(data[at + 1]) & np.uint32(0x3F)) << np.uint32(6) | (
                    np.uint32(data[at + 2]) & np.uint32(0x3F)
                )
                if first < 0xF0:
                    point |= (first & np.uint32(0x0F)) << np.uint32(12)
                    at += 3
                else:
                    point = point << np.uint32(6) | (np.uint32(data[at + 3]) & np.uint32(0x3F))
                    point |= (first & np.uint32(0x07)) << np.uint32(18)
                    at += 4
            if point >= len(length):  # a selector like those below, or dropped as NUL is
                point = np.uint32(0xFE00) if 0xE0100 <= point <= 0xE01EF else np.uint32(0)
            size = length[point]
            if size == _TOGETHER:
                alone[text] = False
                write = begin
                break
            bytes_left = packed[point]
            if size == 1 and bytes_left == 0x20 and write > begin and formed[write - 1] == 0x20:
                continue
            for _ in range(size):
                formed[write] = bytes_left & np.uint32(0xFF)
                bytes_left >>= np.uint32(8)
                write += 1
        ends[text + 1] = write
    return alone


def document_keys(text: pl.Series, normal: pl.Series) -> pl.Series:
    """The exact-duplicate key of every document, of type `KEY` (16 bytes): xxh3_128 of the normal form.

    `normal` is `normal_form(text)`. A text without letters or digits has an empty normal form; its key is that of the
    raw text behind a prefix no normal form can begin with, so that only identical ones meet.
    """
    digests = b"".join(
        xxhash.xxh3_128_digest(form) if form else xxhash.xxh3_128_digest("\0" + raw)
        for form, raw in zip(normal, text, strict=True)
    )
    halves = np.frombuffer(digests, dtype=">u8").astype(np.uint64).reshape(-1, 2)
    return pl.DataFrame({"high": halves[:, 0], "low": halves[:, 1]}).to_struct(text.name)


def url_keys(url: pl.Series) -> pl.Series:
    """The key of every address (UInt64; null for null and blank): xxh3_64 of `normal_url`."""
    keys = [xxhash.xxh3_64_intdigest(normal_url(value)) if value and not value.isspace() else None for value in url]
    return pl.Series(url.name, keys, dtype=pl.UInt64)


_DEFAULT_PORT = re.compile(r":(?:80|443)?$")


def normal_url(url: str) -> str:
    """An address without what tells no pages apart: scheme, fragment, trailing slash, default port, case of the host.

    The query is kept: on many sites it is the page. What cannot be parsed is compared as it stands.
    """
    url = url.strip()
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
    except ValueError:
        return url
    user, at, host = parts.netloc.rpartition("@")
    query = f"?{parts.query}" if parts.query else ""
    return f"{user}{at}{_DEFAULT_PORT.sub('', host.lower())}{parts.path.rstrip('/')}{query}"
