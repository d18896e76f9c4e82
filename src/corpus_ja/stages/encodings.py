"""Text read in the wrong encoding, found by what Japanese does not write: kanji outside its own character sets.

Bytes of one encoding read as another become kanji at random, and of all kanji most are ones that Japanese hardly uses or
does not have: 昨日は雨 in UTF-8 read as GBK is 鏄ㄦ棩銇洦. JIS X 0208 sorts what Japanese writes into a first level (everyday)
and a second (rare, and the old forms); what is in neither is Chinese, a rare name, or debris. One Numba loop weighs every
line, so a garbled paragraph inside a good page is seen as well as a garbled page. Of 12,473 good documents, old spelling
included (second level: up to 0.18 of the kanji), four have a line that counts, up to 0.015 of their text. 800 MB/s of
processor time on Japanese prose.

Rejected: probabilities of characters (a table to ship and to explain, for what the standard's own order says already), and
repairing the text (what was dropped on reading cannot come back).
"""

import functools

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus_ja.stages.characters import NEWLINE, SPACE, table

LEAST = 20
"""Least characters without white space of a line that is weighed."""
HEAVY = 5
"""A line is garbled when its debris, five times, is its length: a kanji of the second level, or of the vendors' rows,
weighs 1, one outside JIS X 0208 and U+FFFD weigh 2, and a pair of a broken run weighs 2."""
PAIRS = 3
"""Least pairs of a broken run: ､ or ･ with a half-width character (EUC-JP read as Shift_JIS), $ or % with an ASCII
character (ISO-2022-JP without its escapes)."""

COUNTERS = ("garbled_line_length", "odd_kanji")
"""The columns of `debris`: characters without white space on garbled lines, and kanji outside JIS X 0208 and the
vendors' rows."""

_MODERN = "𠮟塡剝頰"  # in the list of everyday kanji since 2010, though outside JIS X 0208


@functools.cache
def weights() -> npt.NDArray[np.uint8]:
    """What every code point weighs as debris, shape (1114112,): 0, 1 or 2; built once a process."""
    out = np.zeros(0x110000, dtype=np.uint8)
    for first, last in ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF)):
        out[first : last + 1] = 2
    # the second level and the vendors' rows first, then the first level over them: row 16 to 47
    for row in range(0x81, 0xFD):
        for cell in range(0x40, 0xFD):
            try:
                character = bytes((row, cell)).decode("cp932")
            except UnicodeDecodeError:
                continue
            if len(character) == 1 and out[ord(character)]:
                out[ord(character)] = (row, cell) >= (0x98, 0x9F)
    for character in _MODERN:
        out[ord(character)] = 0
    out[0xFFFD] = 2
    out.setflags(write=False)
    return out


def debris(points: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Garbled lines and odd kanji, shape (documents, 2): see `COUNTERS`."""
    out = np.zeros((len(offsets) - 1, len(COUNTERS)), dtype=np.int64)
    _debris(points, offsets, table(), weights(), out)
    return out


# Places are unsigned where they are read, because numba looks at every signed one whether it counts from the end.
@njit(cache=True, nogil=True)
def _debris(points, offsets, table, weights, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    for document in range(len(offsets) - 1):
        start, end = offsets[document], offsets[document + 1]
        garbled = odd = length = weight = 0
        family = pairs = 0  # of the run that is being read: 1 half-width, 2 ASCII
        skip = False
        for i in range(start, end + 1):
            c = points[np.uint64(i)] if i < end else np.uint32(10)
            kind = table[c] & 15
            if kind == NEWLINE:
                if pairs >= PAIRS:
                    weight += 2 * pairs
                if length >= LEAST and HEAVY * weight >= length:
                    garbled += length
                length = weight = family = pairs = 0
                skip = False
                continue
            if kind == SPACE:
                continue
            length += 1
            heavy = weights[c]
            weight += heavy
            odd += heavy == 2 and c != 0xFFFD
            if skip:
                skip = False
                continue
            following = points[np.uint64(i + 1)] if i + 1 < end else np.uint32(10)
            own = 0
            if (c == 0xFF64 or c == 0xFF65) and 0xFF61 <= following <= 0xFF9F:
                own = 1
            elif (c == 0x24 or c == 0x25) and 0x21 <= following <= 0x7E:
                own = 2
            if own and own == family:
                pairs += 1
            else:
                if pairs >= PAIRS:
                    weight += 2 * pairs
                family = own
                pairs = 1 if own else 0
            skip = own > 0
        out[document, 0] = garbled
        out[document, 1] = odd
