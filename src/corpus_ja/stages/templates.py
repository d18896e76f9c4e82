"""Sentences cast in one mould: frames that come back with other words in them, and one term in every sentence.

A *frame* is what stays of a sentence or a clause when everything but its hiragana and its 、 becomes a slot, with the
endings of words and with short quotations: 札幌市で水漏れをお探しなら and 堺市で車検をお探しなら have one frame. Text that was filled
into a template repeats its frames although no ten characters of it stand twice, which repeated n-grams cannot see;
grammar alone hardly ever puts the same hiragana in the same places three times. One Numba loop over the flat code
points of a batch (`characters.code_points`) hashes the frames of sentences and clauses, and counts in how many
sentences of a window each term stands, how they end and how long they are.

Everything is compared inside windows of about 4,000 characters and added up, so a long document is measured like its
parts; 190 MB/s of processor time on Japanese prose. Rejected: n-grams over the frames (law and manuals reach what
templates have, 0.9), the same end of two frames (law 0.6), frames that stand twice (manuals 0.4 where three times give
0.3), and distances between neighbouring sentences (templates that take turns escape).
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus_ja.stages.characters import (
    CLOSING,
    DIGIT,
    END,
    HALF_KATAKANA,
    HIRAGANA,
    KANJI,
    KATAKANA,
    LATIN,
    NEWLINE,
    PARTICLE,
    SPACE,
    table,
)

WINDOW = 4_000
"""Characters without white space in a window, about: a sentence belongs to the window in which it begins."""
FRAME = 4
"""Least hiragana in a frame that counts."""
TAIL = 3
"""Most hiragana after a slot that belong to it, where a particle (のにはをがでともへ) or another slot follows."""
QUOTE = 20
"""Most characters between 「 and 」, or 『 and 』, that are a slot whatever they are; what is longer is speech."""
TIMES = 3
"""How often a frame must stand in a window before what has it counts, the first ones too: twice is grammar."""
SENTENCE = 10
"""Least characters without white space of a sentence whose terms, ending and length count."""

COUNTERS = (
    "framed_sentences",
    "framed_clauses",
    "term_sentences",
    "topic_sentences",
    "polite_sentences",
    "lengths",
    "squared_lengths",
)
"""The columns of `frames`: characters in sentences, and in clauses, whose frame stands three times in their window;
sentences of at least ten characters; of those, the ones with their window's most common term, and the ones that end
politely and not in the past (です, ます, ません, でしょう, ましょう or ください, か, ね or よ after it or not); the sum of their
lengths, and of the squares of these."""

MOST = 3_000
"""Most different frames, and most different terms, that are told apart in a window. It has 1,000 at most, unless its last
sentence goes on far beyond it."""

_SLOTS = 1 << 13


def frames(points: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Repeated frames, common terms, endings and lengths of sentences, shape (documents, 7): see `COUNTERS`.

    A term is a run of two or more katakana, of two or more kanji or of two or more Latin letters.
    """
    out = np.zeros((len(offsets) - 1, len(COUNTERS)), dtype=np.int64)
    _frames(points, offsets, table(), out)
    return out


@njit(cache=True, nogil=True)
def _mixed(value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    value ^= value >> np.uint64(29)
    value *= np.uint64(0xBF58476D1CE4E5B9)
    return value ^ (value >> np.uint64(32))


@njit(cache=True, nogil=True)
def _polite(points, table, first, last):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """Whether what stands from `first` to before `last` ends politely, not in the past; marks at its end do not count."""
    while last > first:
        c = points[last - 1]
        kind = table[c] & 15
        if kind in (SPACE, NEWLINE) or table[c] & (END | CLOSING):
            last -= 1
        else:
            break
    if last - first > 3 and (points[last - 1] == 0x304B or points[last - 1] == 0x306D or points[last - 1] == 0x3088):
        last -= 1  # か ね よ
    if last - first < 4:
        return False
    a, b, c, d = points[last - 4], points[last - 3], points[last - 2], points[last - 1]
    if d == 0x3059:  # です ます
        return c == 0x3067 or c == 0x307E
    if d == 0x3093:  # ません
        return c == 0x305B and b == 0x307E
    if d == 0x3046:  # でしょう ましょう
        return c == 0x3087 and b == 0x3057 and (a == 0x3067 or a == 0x307E)
    return d == 0x3044 and c == 0x3055 and b == 0x3060 and a == 0x304F  # ください


# Places are unsigned where they are read, because numba looks at every signed one whether it counts from the end.
@njit(cache=True, nogil=True)
def _frames(points, offsets, table, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    base = np.uint64(0x9E3779B97F4A7C15)
    unit_keys = np.zeros(_SLOTS, dtype=np.uint64)
    unit_stamps = np.zeros(_SLOTS, dtype=np.int64)
    unit_counts = np.zeros(_SLOTS, dtype=np.int64)
    unit_lengths = np.zeros(_SLOTS, dtype=np.int64)  # of those not yet counted
    unit_mask = np.uint64(_SLOTS - 1)
    tail = np.zeros(TAIL + 1, dtype=np.uint32)  # hiragana straight after a slot, not known yet to be none of it
    term_keys = np.zeros(_SLOTS, dtype=np.uint64)
    term_stamps = np.zeros(_SLOTS, dtype=np.int64)
    term_sentences = np.zeros(_SLOTS, dtype=np.int64)
    term_last = np.zeros(_SLOTS, dtype=np.int64)
    term_mask = np.uint64(_SLOTS - 1)
    stamp = 0
    sentence = 0
    for document in range(len(offsets) - 1):
        start, end = offsets[document], offsets[document + 1]
        total = 0
        for i in range(start, end):
            kind = table[points[np.uint64(i)]] & 15
            total += kind != SPACE and kind != NEWLINE
        if total == 0:
            continue
        windows = (total + WINDOW - 1) // WINDOW
        stamp += 1
        window = 0
        different = units = 0
        best = 0
        framed = np.zeros(2, dtype=np.int64)
        sentences = topics = polite = summed = squared = 0
        sentence += 1
        place = 0  # characters before this one
        # of the sentence and of the clause: hash, hiragana, characters, whether a slot is open
        hashes = np.zeros(2, dtype=np.uint64)
        hiragana = np.zeros(2, dtype=np.int64)
        lengths = np.zeros(2, dtype=np.int64)
        slot_open = False
        held = 0
        quoted_until = start
        # terms of a sentence count only once it is known to be long enough, so its first ones are entered again
        begin = start
        for i in range(start, end + 1):
            c = points[np.uint64(i)] if i < end else np.uint32(10)
            entry = table[c]
            kind = entry & 15
            closes = kind == NEWLINE
            comma = False
            if kind != SPACE and kind != NEWLINE:
                place += 1
                lengths[0] += 1
                lengths[1] += 1
                if i >= quoted_until and (c == 0x300C or c == 0x300E):
                    for j in range(i + 1, min(i + QUOTE + 2, end)):
                        if points[np.uint64(j)] == c + 1:
                            quoted_until = j
                        if points[np.uint64(j)] == c + 1 or points[np.uint64(j)] == 10:
                            break
                quoted = i < quoted_until
                comma = not quoted and (c == 0x3001 or c == 0xFF0C)
                if kind == HIRAGANA and not quoted and not slot_open:
                    for unit in range(2):
                        if hashes[unit]:  # hiragana before the first slot may be what is filled in
                            hashes[unit] = hashes[unit] * base + np.uint64(c)
                            hiragana[unit] += 1
                elif kind == HIRAGANA and not quoted:
                    # れ of 水漏れの is the slot's: up to three hiragana before a particle, or before another slot
                    tail[held] = c
                    held += 1
                    if entry & PARTICLE:
                        tail[0] = c
                        held = 1
                    if entry & PARTICLE or held > TAIL:
                        for unit in range(2):
                            for k in range(held):
                                hashes[unit] = hashes[unit] * base + np.uint64(tail[k])
                            hiragana[unit] += held
                        held = 0
                        slot_open = False
                elif comma:
                    for unit in range(2):
                        for k in range(held):
                            hashes[unit] = hashes[unit] * base + np.uint64(tail[k])
                        hiragana[unit] += held
                        hashes[unit] = hashes[unit] * base + np.uint64(c)
                    held = 0
                    slot_open = False
                else:
                    held = 0
                    if not slot_open:
                        hashes[0] = hashes[0] * base + np.uint64(1)
                        hashes[1] = hashes[1] * base + np.uint64(1)
                        slot_open = True
                if entry & END:
                    after = table[points[np.uint64(i + 1)]] if i + 1 < end else table[10]
                    after_kind = after & 15
                    if c == 0xFF0E:
                        closes = after_kind != DIGIT
                    elif c < 128:
                        closes = (
                            after_kind in (SPACE, NEWLINE) or (after & CLOSING) > 0 or HIRAGANA <= after_kind <= KANJI
                        )
                    else:
                        closes = True
            if not (closes or comma):
                continue
            for unit in range(0 if closes else 1, 2):
                for k in range(held):  # at the end of a line
                    hashes[unit] = hashes[unit] * base + np.uint64(tail[k])
                hiragana[unit] += held
                if hiragana[unit] >= FRAME:
                    key = _mixed(hashes[unit] * np.uint64(2) + np.uint64(unit))
                    slot = key & unit_mask
                    while unit_stamps[slot] == stamp and unit_keys[slot] != key:
                        slot = (slot + np.uint64(1)) & unit_mask
                    if unit_stamps[slot] == stamp:
                        unit_counts[slot] += 1
                        unit_lengths[slot] += lengths[unit]
                        if unit_counts[slot] >= TIMES:
                            framed[unit] += unit_lengths[slot]
                            unit_lengths[slot] = 0
                    elif units < MOST:
                        units += 1
                        unit_stamps[slot] = stamp
                        unit_keys[slot] = key
                        unit_counts[slot] = 1
                        unit_lengths[slot] = lengths[unit]
                hashes[unit] = np.uint64(0)
                hiragana[unit] = 0
            held = 0
            slot_open = False  # the next clause has frames of its own, and the next sentence too
            lengths[1] = 0
            if not closes:
                continue
            if lengths[0] >= SENTENCE:
                sentences += 1
                sentence += 1
                summed += lengths[0]
                squared += lengths[0] * lengths[0]
                polite += _polite(points, table, begin, min(i + 1, end))
                run_kind = -1  # no term is being read
                run_length = 0
                run_hash = np.uint64(0)
                for j in range(begin, i + 1):
                    d = points[np.uint64(j)] if j < end else np.uint32(10)
                    run = table[d] & 15
                    if run == HALF_KATAKANA:
                        run = KATAKANA
                    if run == run_kind and j < i:
                        run_hash = run_hash * base + np.uint64(d)
                        run_length += 1
                        continue
                    if run_length >= 2:
                        key = _mixed(run_hash)
                        slot = key & term_mask
                        while term_stamps[slot] == stamp and term_keys[slot] != key:
                            slot = (slot + np.uint64(1)) & term_mask
                        if term_stamps[slot] == stamp:
                            if term_last[slot] != sentence:
                                term_last[slot] = sentence
                                term_sentences[slot] += 1
                                best = max(best, term_sentences[slot])
                        elif different < MOST:
                            different += 1
                            term_stamps[slot] = stamp
                            term_keys[slot] = key
                            term_last[slot] = sentence
                            term_sentences[slot] = 1
                            best = max(best, 1)
                    run_kind = run if run in (KATAKANA, KANJI, LATIN) else -1
                    run_length = 1 if run_kind >= 0 else 0
                    run_hash = np.uint64(d)
            begin = i + 1
            lengths[0] = 0
            if place * windows >= (window + 1) * total:
                topics += best
                window = place * windows // total
                stamp += 1
                different = units = 0
                best = 0
        out[document, 0] = framed[0]
        out[document, 1] = framed[1]
        out[document, 2] = sentences
        out[document, 3] = topics
        out[document, 4] = polite
        out[document, 5] = summed
        out[document, 6] = squared
