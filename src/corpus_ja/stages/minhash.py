"""MinHash signatures over character 5-grams of the normal form, and the exact Jaccard that verifies what they propose.

1. every run of `characters` code points of the normal form (its first `max_characters`) becomes a 64-bit hash;
2. rensa takes `bands * rows` minima over a document's hashes;
3. the `rows` minima of a band become one 64-bit number: documents that share it are candidates;
4. candidates are verified: the Jaccard of their sets of shingle hashes, on the same form and the same capped text.

A pair of Jaccard s shares a band with probability 1 - (1 - s^rows)^bands: for 20 x 8 that is 0.9746 at s = 0.8 (14 x 8,
FineWeb's choice, gives 0.924), 0.9983 at 0.85, 0.48 at 0.65. One scheme serves all languages, so that documents meet
across sources. Very long texts are read to `max_characters` only: their minima say little. Two texts that agree so far
and differ behind it are kept apart by the verification, which samples the shingles of whole texts.

Cost: 260 MB/s of Japanese text on one core for signatures, 55 for the sets that verify. Rejected: words (Japanese has
none without a segmenter, and documents under five of them escape), 32-bit band hashes (5 million documents would meet
3,000 times by chance in every band), and components of candidates instead of verified pairs.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numba
import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field, model_validator
from rensa import RMinHash

from corpus_ja.settings import Settings

VERSION = 1

UInt64 = npt.NDArray[np.uint64]
Int64 = npt.NDArray[np.int64]

FOUND_AT_THRESHOLD = 0.974
"""The share of pairs at exactly the threshold that the bands must find; 20 x 8 at 0.8 finds 0.9746."""

_MOST_HASHES = 200  # derived bands take no more: the signature's cost grows with them
_LEAST_SAMPLE = 1000  # hashes by which whole texts are compared, where they have so many
_SEED = 42
_BATCH = 500_000  # shingle hashes held at once: 4 MB stay in cache, and fresh memory costs more than hashing into it


def found(similarity: float, bands: int, rows: int) -> float:
    """The probability that two documents of this Jaccard similarity share at least one band."""
    return 1 - (1 - similarity**rows) ** bands


def _bands_needed(threshold: float, rows: int) -> int:
    shared = threshold**rows
    if shared < 1e-6:
        return 10**6  # more than any setting allows
    return 1 if shared == 1 else math.ceil(math.log1p(-FOUND_AT_THRESHOLD) / math.log1p(-shared))


class NearDuplicates(Settings):
    """How near duplicates are found: the threshold of the verified Jaccard, and the bands that propose candidates.

    `bands` and `rows` are derived from the threshold when omitted (20 x 8 at 0.8): the most rows, hence the fewest
    false candidates, with which at most 200 hashes find 97.4% of the pairs at exactly the threshold.
    """

    threshold: float = Field(default=0.8, gt=0, le=1)
    characters: int = Field(default=5, ge=1, le=64)
    """Length of a shingle in characters of the normal form."""
    bands: int | None = Field(default=None, ge=1, le=1024)
    rows: int | None = Field(default=None, ge=1, le=1024)
    max_characters: int = Field(default=200_000, ge=64)
    """How much of a normal form is read, by signatures and verification alike."""
    max_comparisons: int = Field(default=8, ge=1)
    """With how many of a bucket's best documents each of its members is compared."""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        bands, rows = self.shape
        if found(self.threshold, bands, rows) < FOUND_AT_THRESHOLD:
            reachable = math.ceil((1 - (1 - FOUND_AT_THRESHOLD) ** (1 / bands)) ** (1 / rows) * 1000) / 1000
            raise ValueError(
                f"{bands} bands of {rows} rows find only {found(self.threshold, bands, rows):.1%} of the pairs at the "
                f"threshold {self.threshold:g}; they reach a threshold of {reachable:g}: raise the threshold to it, or "
                "leave out bands and rows to have them derived"
            )
        return self

    @property
    def shape(self) -> tuple[int, int]:
        """(bands, rows), given or derived."""
        if self.bands and self.rows:
            return self.bands, self.rows
        if self.bands:
            rows = [rows for rows in range(1, 1025) if found(self.threshold, self.bands, rows) >= FOUND_AT_THRESHOLD]
            return self.bands, max(rows, default=1)
        if self.rows:
            return min(_bands_needed(self.threshold, self.rows), 1024), self.rows
        fitting = [r for r in range(1, _MOST_HASHES + 1) if _bands_needed(self.threshold, r) * r <= _MOST_HASHES]
        rows_derived = max(fitting, default=1)
        return min(_bands_needed(self.threshold, rows_derived), _MOST_HASHES), rows_derived


@dataclass(frozen=True, slots=True)
class ShingleSets:
    """Sets of shingle hashes: document i holds `hashes[offsets[i]:offsets[i + 1]]`, sorted, each once (uint64)."""

    hashes: UInt64
    offsets: Int64


def signatures(normal: pl.Series, settings: NearDuplicates) -> UInt64:
    """The band hashes of every document: uint64 [documents, bands].

    Documents shorter than a shingle have a row of zeros, which no other row holds (a band that would hash to 0 gets 1):
    they have no near duplicates and are compared exactly only.
    """
    bands, rows = settings.shape
    result = np.zeros((len(normal), bands), dtype=np.uint64)
    data, offsets = utf8(normal)
    counts = _shingle_counts(normal, settings.characters, settings.max_characters)
    for first, flat, ends in _hashed(data, offsets, counts, settings.characters):
        last = first + len(ends) - 1
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(flat, ends.astype(np.uint64), bands * rows, _SEED)
        digests = np.array(matrix.to_rows(), dtype=np.uint64).reshape(last - first, bands * rows)
        _hash_bands(digests, counts[first:last], rows, result[first:last])
    return result


def shingle_sets(normal: pl.Series, settings: NearDuplicates) -> ShingleSets:
    """The shingles of every document as sorted sets of 64-bit hashes; documents shorter than a shingle have none."""
    data, offsets = utf8(normal)
    counts = _shingle_counts(normal, settings.characters, settings.max_characters)
    parts = [np.zeros(0, dtype=np.uint64)]
    sizes = [np.zeros(1, dtype=np.int64)]
    for _, flat, ends in _hashed(data, offsets, counts, settings.characters):
        sizes.append(_sort_unique(flat, ends))
        parts.append(flat[: sizes[-1].sum()].copy())
    return ShingleSets(np.concatenate(parts), np.cumsum(np.concatenate(sizes)))


def jaccard(sets: ShingleSets, pairs: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """The Jaccard similarity of each pair ([pairs, 2] positions in `sets`): shared shingles over all shingles.

    Exact but for collisions of 64-bit hashes (two sets of 200,000: 4 chances in 10^9). Two empty sets have 0:
    nothing is known of documents shorter than a shingle.
    """
    return _jaccard(sets.hashes, sets.offsets, np.ascontiguousarray(pairs, dtype=np.int64).reshape(-1, 2))  # type: ignore[no-any-return]


def similarity(normal: pl.Series, settings: NearDuplicates, pairs: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """What verifies each pair ([pairs, 2] positions in `normal`): their Jaccard up to `max_characters`.

    Where one of the two goes on behind it, the smaller of that and the Jaccard of the whole texts, by a sample of their
    shingles: those whose hash is among the lowest 2^64 / 2^k, with k such that `max_characters` or fewer remain. The
    same ones of both, so that for distinct shingles the deviation is below 0.0015 (at 100,000 of them).
    """
    pairs = np.ascontiguousarray(pairs, dtype=np.int64).reshape(-1, 2)
    result = jaccard(shingle_sets(normal, settings), pairs)
    length = normal.str.len_chars().to_numpy().astype(np.int64)
    goes_on = np.flatnonzero((length[pairs] > settings.max_characters).any(axis=1))
    if len(goes_on):
        members, position = np.unique(pairs[goes_on], return_inverse=True)
        position = position.reshape(-1, 2)
        whole, halvings = _sampled_sets(normal.gather(members), settings, length[members])
        of_whole = _jaccard_sampled(whole.hashes, whole.offsets, position, halvings[position].max(axis=1))
        result[goes_on] = np.minimum(result[goes_on], of_whole)
    return result


def _sampled_sets(normal: pl.Series, settings: NearDuplicates, length: Int64) -> tuple[ShingleSets, UInt64]:
    """Like `shingle_sets` over whole texts, keeping of document i the hashes below 2^(64 - halvings[i]); and the
    halvings.

    `length` is that of each text. A text of so few distinct shingles that the sample would be small keeps all of them.
    """
    data, offsets = utf8(normal)
    halvings = np.ceil(np.log2(np.maximum(length / settings.max_characters, 1))).astype(np.uint64)
    parts = [np.zeros(0, dtype=np.uint64)]
    for document in range(len(normal)):
        text = data[offsets[document] : offsets[document + 1]]
        sample = _sample_shingles(text, settings.characters, halvings[document])
        if len(sample) < _LEAST_SAMPLE:
            halvings[document] = 0
            sample = _sample_shingles(text, settings.characters, halvings[document])
        parts.append(sample)
    return ShingleSets(np.concatenate(parts), np.cumsum([len(part) for part in parts])), halvings


def shingles(normal: pl.Series, characters: int) -> Iterator[tuple[int, UInt64, Int64]]:
    """The hash of every run of `characters` code points, in order of the text, a batch of documents at a time.

    Yields (first, hashes, starts): document `first + i` holds `hashes[starts[i]:starts[i + 1]]`, one for each position
    at which a run begins. The next batch overwrites `hashes`. 4 MB, or 8 bytes a character of a longer document.
    """
    data, offsets = utf8(normal)
    return _hashed(data, offsets, _shingle_counts(normal, characters, None), characters)


def utf8(text: pl.Series) -> tuple[npt.NDArray[np.uint8], Int64]:
    """The UTF-8 bytes of all texts end to end, and where each begins (int64 [texts + 1])."""
    array = text.to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    starts = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    return np.frombuffer(data, dtype=np.uint8) if data is not None else np.zeros(0, np.uint8), starts


def _shingle_counts(normal: pl.Series, characters: int, max_characters: int | None) -> Int64:
    length = normal.str.len_chars().to_numpy().astype(np.int64)
    if max_characters is not None:
        length = np.minimum(length, max_characters)
    return np.asarray(np.maximum(length - characters + 1, 0))


def _batches(counts: Int64) -> list[tuple[int, int]]:
    """Runs of documents holding about `_BATCH` shingles each, as (first, end)."""
    total = np.cumsum(counts)
    cuts = np.flatnonzero(np.diff(total // _BATCH, prepend=0, append=-1))
    ends = np.unique(np.concatenate([cuts, [len(counts)]]))
    starts = np.concatenate([[0], ends[:-1]])
    return [(int(a), int(b)) for a, b in zip(starts, ends, strict=True) if a < b]


def _hashed(
    data: npt.NDArray[np.uint8], offsets: Int64, counts: Int64, characters: int
) -> Iterator[tuple[int, UInt64, Int64]]:
    buffer = np.empty(0, dtype=np.uint64)
    for first, last in _batches(counts):
        ends = np.zeros(last - first + 1, dtype=np.int64)
        np.cumsum(counts[first:last], out=ends[1:])
        if len(buffer) < ends[-1]:
            buffer = np.empty(max(int(ends[-1]), _BATCH), dtype=np.uint64)
        flat = buffer[: ends[-1]]
        _hash_shingles(data, offsets[first : last + 1], ends, characters, flat)
        yield first, flat, ends


@numba.njit(cache=True, nogil=True)
def _hash_shingles(data, offsets, ends, characters, flat):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    # A polynomial over code points modulo 2^64, rolled forward, then mixed (the finaliser of MurmurHash3).
    base = np.uint64(0x9E3779B97F4A7C15)
    top = np.uint64(1)
    for _ in range(characters):
        top *= base
    ring = np.zeros(characters, dtype=np.uint64)
    for document in range(len(ends) - 1):
        out, end = ends[document], ends[document + 1]
        if out == end:
            continue
        at = offsets[document]
        rolled = np.uint64(0)
        ring[:] = 0
        slot = 0
        seen = 0
        while out < end:
            first = data[at]
            if first < 0x80:
                point = np.uint64(first)
                at += 1
            elif first < 0xE0:
                point = np.uint64((first & 0x1F) << 6 | (data[at + 1] & 0x3F))
                at += 2
            elif first < 0xF0:
                point = np.uint64((first & 0x0F) << 12 | (data[at + 1] & 0x3F) << 6 | (data[at + 2] & 0x3F))
                at += 3
            else:
                point = np.uint64(
                    (first & 0x07) << 18
                    | (data[at + 1] & 0x3F) << 12
                    | (data[at + 2] & 0x3F) << 6
                    | (data[at + 3] & 0x3F)
                )
                at += 4
            rolled = rolled * base + point - ring[slot] * top
            ring[slot] = point
            slot += 1
            if slot == characters:
                slot = 0
            seen += 1
            if seen >= characters:
                mixed = rolled
                mixed ^= mixed >> np.uint64(33)
                mixed *= np.uint64(0xFF51AFD7ED558CCD)
                mixed ^= mixed >> np.uint64(33)
                mixed *= np.uint64(0xC4CEB9FE1A85EC53)
                mixed ^= mixed >> np.uint64(33)
                flat[out] = mixed
                out += 1


@numba.njit(cache=True, nogil=True)
def _sample_shingles(data, characters, halvings):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    # The distinct hashes of `_hash_shingles` over one text below 2^(64 - halvings), sorted.
    highest = np.uint64(0xFFFFFFFFFFFFFFFF) >> halvings
    base = np.uint64(0x9E3779B97F4A7C15)
    top = np.uint64(1)
    for _ in range(characters):
        top *= base
    ring = np.zeros(characters, dtype=np.uint64)
    rolled = np.uint64(0)
    kept = np.empty(1 << 16, dtype=np.uint64)
    count = 0
    seen = 0
    at = 0
    while at < len(data):
        first = data[at]
        further = 0 if first < 0x80 else 1 if first < 0xE0 else 2 if first < 0xF0 else 3
        point = np.uint64(first & (0xFF >> (further + (further > 0))))
        for byte in data[at + 1 : at + 1 + further]:
            point = point << np.uint64(6) | np.uint64(byte & 0x3F)
        at += 1 + further
        rolled = rolled * base + point - ring[seen % characters] * top
        ring[seen % characters] = point
        seen += 1
        if seen < characters:
            continue
        mixed = rolled
        mixed ^= mixed >> np.uint64(33)
        mixed *= np.uint64(0xFF51AFD7ED558CCD)
        mixed ^= mixed >> np.uint64(33)
        mixed *= np.uint64(0xC4CEB9FE1A85EC53)
        mixed ^= mixed >> np.uint64(33)
        if mixed <= highest and (count == 0 or kept[count - 1] != mixed):
            if count == len(kept):
                # A text that repeats itself says the same again: room is made by what is distinct.
                distinct = np.unique(kept)
                kept = np.empty(max(len(kept), 2 * len(distinct)), dtype=np.uint64)
                kept[: len(distinct)] = distinct
                count = len(distinct)
            kept[count] = mixed
            count += 1
    return np.unique(kept[:count])


@numba.njit(cache=True, nogil=True)
def _jaccard_sampled(hashes, offsets, pairs, halvings):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    # Both sets are sorted, so the coarser of two samples is the beginning of the finer one.
    result = np.zeros(len(pairs), dtype=np.float64)
    for pair in range(len(pairs)):
        highest = np.uint64(0xFFFFFFFFFFFFFFFF) >> halvings[pair]
        a, a_end = offsets[pairs[pair, 0]], offsets[pairs[pair, 0] + 1]
        b, b_end = offsets[pairs[pair, 1]], offsets[pairs[pair, 1] + 1]
        shared = 0
        distinct = 0
        while a < a_end or b < b_end:
            left = hashes[a] if a < a_end else np.uint64(0xFFFFFFFFFFFFFFFF)
            right = hashes[b] if b < b_end else np.uint64(0xFFFFFFFFFFFFFFFF)
            if min(left, right) > highest:
                break
            in_left = b == b_end or (a < a_end and left <= right)
            in_right = a == a_end or (b < b_end and right <= left)
            shared += 1 if in_left and in_right else 0
            distinct += 1
            a += 1 if in_left else 0
            b += 1 if in_right else 0
        if distinct:
            result[pair] = shared / distinct
    return result


@numba.njit(cache=True, nogil=True)
def _hash_bands(digests, counts, rows, result):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    for document in range(len(counts)):
        if counts[document] == 0:
            continue
        for band in range(result.shape[1]):
            mixed = np.uint64(band + 1) * np.uint64(0x9E3779B97F4A7C15)
            for row in range(band * rows, band * rows + rows):
                mixed ^= digests[document, row]
                mixed *= np.uint64(0xFF51AFD7ED558CCD)
                mixed ^= mixed >> np.uint64(32)
            mixed *= np.uint64(0xC4CEB9FE1A85EC53)
            mixed ^= mixed >> np.uint64(33)
            result[document, band] = max(mixed, np.uint64(1))


@numba.njit(cache=True, nogil=True)
def _sort_unique(flat, ends):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    # Sorts each document's hashes, drops repeats, and moves what is left to the front of `flat`.
    sizes = np.zeros(len(ends) - 1, dtype=np.int64)
    write = 0
    for document in range(len(sizes)):
        hashes = np.sort(flat[ends[document] : ends[document + 1]])
        begin = write
        for value in hashes:
            if write == begin or flat[write - 1] != value:
                flat[write] = value
                write += 1
        sizes[document] = write - begin
    return sizes


@numba.njit(cache=True, nogil=True)
def _jaccard(hashes, offsets, pairs):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    result = np.zeros(len(pairs), dtype=np.float64)
    for pair in range(len(pairs)):
        a, a_end = offsets[pairs[pair, 0]], offsets[pairs[pair, 0] + 1]
        b, b_end = offsets[pairs[pair, 1]], offsets[pairs[pair, 1] + 1]
        sizes = (a_end - a) + (b_end - b)
        shared = 0
        while a < a_end and b < b_end:
            left, right = hashes[a], hashes[b]
            shared += left == right
            a += left <= right
            b += right <= left
        if sizes:
            result[pair] = shared / (sizes - shared)
    return result
