"""What repeats inside a document: lines, sentences, character n-grams, as shares of its characters.

Numba loops over the flat code points of a batch (`characters.code_points`), one after the other. Characters that are
not white space are hashed; a line, a sentence or an n-gram counts as repeated when the same stood before it in the same
document (or the same window), so the first occurrence is never counted and a text said twice has a share of one half.
N-grams are looked for in windows of at most 20,000 characters and the worst window decides: a share over a whole
document grows with its length until every novel looks repetitive. Time is linear in the characters, also for one
character repeated ten million times: every window's table is stamped, not cleared.
Rejected: the share of distinct n-grams that repeat (drops 61% of good reference manuals), and sorting the hashes
(four times slower than the table).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus_ja.stages.characters import CLOSING, DIGIT, END, HIRAGANA, KANJI, NEWLINE, SPACE, table

WINDOW = 20_000
"""Longest window in which n-grams are compared, in characters without white space."""
LEAST = 10
"""Lines and sentences shorter than this many characters without white space may repeat freely."""

COUNTERS = ("repeated_lines", "repeated_line_length", "counted_lines", "repeated_sentence_length")
"""The columns of `repeated_units`: lines, characters in them, all lines of at least ten characters; characters."""

_SLOTS = 1 << 16  # a power of two over three times the window, so that probing stays short
_STAMPS = 1 << 20


def repeated_ngrams(
    points: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64], sizes: Sequence[int]
) -> npt.NDArray[np.float64]:
    """Share of characters covered by an n-gram seen before in its window, in the worst window, a column a size of
    n-gram; shape (documents, sizes).

    A document is cut into equal windows of at most `WINDOW` characters without white space; NaN below 2 n characters.
    """
    out = np.full((len(offsets) - 1, len(sizes)), np.nan, dtype=np.float64)
    wanted = np.array(sizes, dtype=np.int64)
    _repeated_ngrams(points, offsets, table(), wanted, np.empty(WINDOW, dtype=np.uint32), out)
    return out


def repeated_units(points: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Repeated lines and sentences of at least ten characters, shape (documents, 4): see `COUNTERS`."""
    out = np.zeros((len(offsets) - 1, len(COUNTERS)), dtype=np.int64)
    longest = int(np.diff(offsets).max(initial=0))
    slots = np.zeros(_capacity(longest), dtype=np.uint64)
    _repeated_units(points, offsets, table(), slots, out)
    return out


def _capacity(characters: int) -> int:
    """Slots for the lines or sentences of a document of that many characters, at most half of them in use."""
    return 1 << max(4, (2 * (characters // LEAST + 1)).bit_length())


@njit(cache=True, nogil=True)
def _repeated_ngrams(points, offsets, table, sizes, kept, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    slots = np.zeros(_SLOTS, dtype=np.uint64)
    stamp = np.uint64(0)
    base = np.uint64(0x9E3779B97F4A7C15)
    one = np.uint64(1)
    stamps = np.uint64(_STAMPS - 1)
    mask = np.uint64(_SLOTS - 1)
    least = 2 * sizes.min()
    for document in range(len(offsets) - 1):
        # unsigned places, because numba looks at every signed one whether it counts from the end
        first, last = np.uint64(offsets[document]), np.uint64(offsets[document + 1])
        length = 0
        for i in range(first, last):
            kind = table[points[i]] & np.uint32(15)
            length += (kind != SPACE) & (kind != NEWLINE)
        if length < least:
            continue
        windows = (length + WINDOW - 1) // WINDOW
        place = first
        for w in range(windows):
            end = np.uint64(length * (w + 1) // windows - length * w // windows)
            filled = np.uint64(0)
            while filled < end:
                c = points[place]
                kind = table[c] & np.uint32(15)
                kept[filled] = c  # overwritten by the next one where it is white space
                filled += np.uint64((kind != SPACE) & (kind != NEWLINE))
                place += one
            for column in range(len(sizes)):
                size = np.uint64(sizes[column])
                if length < 2 * sizes[column]:
                    continue
                leading = one
                for _ in range(size):
                    leading *= base
                stamp += one
                if stamp == stamps:
                    slots[:] = np.uint64(0)
                    stamp = one
                covered = covered_until = np.uint64(0)
                rolling = np.uint64(0)
                for i in range(min(size - one, end)):
                    rolling = rolling * base + np.uint64(kept[i]) + one
                for i in range(size - one, end):
                    rolling = rolling * base + np.uint64(kept[i]) + one
                    if i >= size:
                        rolling -= (np.uint64(kept[i - size]) + one) * leading
                    mixed = rolling ^ (rolling >> np.uint64(29))
                    mixed *= np.uint64(0xBF58476D1CE4E5B9)
                    mixed ^= mixed >> np.uint64(32)
                    entry = (mixed & ~stamps) | stamp
                    slot = mixed & mask
                    while (slots[slot] & stamps) == stamp and slots[slot] != entry:
                        slot = (slot + one) & mask
                    if slots[slot] == entry:
                        begin = max(covered_until, i + one - size)
                        covered += i + one - begin
                        covered_until = i + one
                    else:
                        slots[slot] = entry
                share = np.int64(covered) / np.int64(end)
                if not share <= out[document, column]:  # none yet, or less
                    out[document, column] = share


@njit(cache=True, nogil=True)
def _seen(slots, mask, value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """Whether a text with this polynomial stands in the table already; it does afterwards."""
    value ^= value >> np.uint64(29)  # else the last character is the lowest bits alone
    value *= np.uint64(0xBF58476D1CE4E5B9)
    value ^= value >> np.uint64(32)
    value |= np.uint64(1)  # zero marks an empty slot
    slot = (value >> np.uint64(20)) & mask
    while slots[slot] != np.uint64(0):
        if slots[slot] == value:
            return True
        slot = (slot + np.uint64(1)) & mask
    slots[slot] = value
    return False


@njit(cache=True, nogil=True)
def _repeated_units(points, offsets, table, slots, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    base = np.uint64(0x9E3779B97F4A7C15)
    for document in range(len(offsets) - 1):
        start, end = offsets[document], offsets[document + 1]
        size = 16
        while size < 2 * ((end - start) // LEAST + 1):
            size *= 2
        mask = np.uint64(size - 1)
        for sentences in range(2):
            slots[:size] = np.uint64(0)
            rolling = np.uint64(0)
            length = 0
            may_close = np.uint32(END if sentences else 0)
            place, last = np.uint64(start), np.uint64(end)
            while place <= last:
                entry = table[10]
                while place < last:
                    entry = table[points[place]]
                    if (entry & np.uint32(15) == NEWLINE) | ((entry & may_close) > 0):
                        break
                    if entry & np.uint32(15) != SPACE:
                        rolling = rolling * base + np.uint64(points[place]) + np.uint64(1)
                        length += 1
                    place += np.uint64(1)
                closes = True
                if place < last and entry & np.uint32(15) != NEWLINE:
                    c = points[place]
                    rolling = rolling * base + np.uint64(c) + np.uint64(1)
                    length += 1
                    after = table[points[place + np.uint64(1)]] if place + np.uint64(1) < last else table[10]
                    after_kind = after & 15
                    if c == 0xFF0E:
                        closes = after_kind != DIGIT
                    elif c < 128:
                        closes = (
                            after_kind in (SPACE, NEWLINE) or (after & CLOSING) > 0 or HIRAGANA <= after_kind <= KANJI
                        )
                place += np.uint64(1)
                if closes:
                    if length >= LEAST:
                        repeated = _seen(slots, mask, rolling)
                        if sentences:
                            out[document, 3] += length if repeated else 0
                        else:
                            out[document, 2] += 1
                            if repeated:
                                out[document, 0] += 1
                                out[document, 1] += length
                    rolling = np.uint64(0)
                    length = 0
