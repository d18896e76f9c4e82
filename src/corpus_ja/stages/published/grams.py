"""N-grams of characters and of words: the commonest, those that repeat, and how much of a text they cover.

The cost of an n-gram is its look-up in a table of all n-grams, so nearly none is looked up: every n-gram first adds to
a small *sketch* of counts, at the place its hash says, without a comparison. The count there is never less than
its own. Only n-grams whose place was hit twice can repeat, and only those whose place was hit nearly as often as the
fullest can be the commonest; these few are then counted exactly. What holds an n-gram seen once is itself seen once, so
each size looks only where the size before it found repeats. All hashes are differences of one running polynomial, so an
n-gram of any length costs one multiplication.

Documents of more than two million characters are counted in parts, by hash: their characters' 5- to 10-grams by
sorting, everything else as above. Memory for one text of 60 MB is said in `published`.
"""

import functools
from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

from corpus_ja.stages.measurement import Signal
from corpus_ja.stages.published.alphabet import (
    ALONE,
    ALPHA,
    FINEWEB2_STOP_WORDS,
    PUNCTUATION,
    RUN_HIRAGANA,
    RUN_KANJI,
    RUN_MARK,
    SPACE,
    STOP,
    WORD,
    marks,
)
from corpus_ja.stages.published.quotients import share

_LONG = 1 << 21  # characters of a document from which on its n-grams are counted in parts
_AT_ONCE = 1 << 19  # distinct n-grams counted in one walk over a document; more of them take more walks
_SORTED_AT_ONCE = 1 << 24  # hashes sorted in one walk over a long document: 128 MB
_FEW = 1 << 20  # places of a sketch that looks for the commonest
_MANY = 1 << 24  # places of a sketch that looks for repeats
_WINDOW = 6  # characters by which words are first told apart; at most 6, for 5 words have 5 characters and mostly 6
_BASE = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, nogil=True)
def _mixed(value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    value ^= value >> np.uint64(29)
    value *= np.uint64(0xBF58476D1CE4E5B9)
    return value ^ (value >> np.uint64(32))


@njit(cache=True, nogil=True)
def _raised(exponent):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    result, base = np.uint64(1), _BASE
    while exponent:
        if exponent & np.uint64(1):
            result *= base
        base *= base
        exponent >>= np.uint64(1)
    return result


@njit(cache=True, nogil=True)
def _powers():  # type: ignore[no-untyped-def]  # noqa: ANN202  # compiled
    powers = np.ones(256, dtype=np.uint64)
    for exponent in range(1, 256):
        powers[exponent] = powers[exponent - 1] * _BASE
    return powers


@njit(cache=True, nogil=True)
def _part(mixed, parts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """Which of the parts a hash belongs to."""
    return ((mixed >> np.uint64(32)) * np.uint64(parts)) >> np.uint64(32)


@njit(cache=True, nogil=True)
def _room(least, per, most):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """The power of two that holds `per` places for each of `least`, at most `most`."""
    size = 64
    while size < per * least and size < most:
        size *= 2
    return size


# ---------------------------------------------------------------------------------------------------- character n-grams

CHARACTER_GRAMS = (
    *(f"top_{n}" for n in (2, 3, 4)),
    *(f"{name}_{n}" for n in range(5, 11) for name in ("distinct", "repeated")),
    "frequent_5",
)


@njit(cache=True, nogil=True)
def _top_ngram(points, start, end, n, powers, sketch, slots, counts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """How often the commonest n-gram of characters stands in a document of any length; as `_top_ngrams`, by parts."""
    size = _room(end - start, 2, len(sketch))
    sketch[:size] = np.uint32(0)
    mask, inner = np.uint64(size - 1), np.uint64(len(slots) - 1)
    leaving = powers[n]
    opening = np.uint64(0)
    for i in range(start, start + n - 1):
        opening = opening * _BASE + np.uint64(points[i]) + np.uint64(1)
    first, last = np.uint64(start + n - 1), np.uint64(end)
    rolling = opening
    for i in range(first, last):
        rolling = rolling * _BASE + np.uint64(points[i]) + np.uint64(1)
        if i > first:
            rolling -= (np.uint64(points[i - np.uint64(n)]) + np.uint64(1)) * leaving
        sketch[_mixed(rolling) & mask] += np.uint32(1)
    fullest = np.uint32(0)
    for slot in range(size):
        fullest = max(fullest, sketch[slot])
    best, least = np.int64(1), (np.int64(3) * np.int64(fullest) + np.int64(3)) // np.int64(4)
    while best < least:
        limit = np.uint32(least)
        parts, part = 1, 0
        while part < parts:
            slots[:] = np.uint64(0)
            used = 0
            rolling = opening
            for i in range(first, last):
                rolling = rolling * _BASE + np.uint64(points[i]) + np.uint64(1)
                if i > first:
                    rolling -= (np.uint64(points[i - np.uint64(n)]) + np.uint64(1)) * leaving
                mixed = _mixed(rolling)
                if sketch[mixed & mask] < limit:
                    continue
                if parts > 1 and _part(mixed, parts) != np.uint64(part):
                    continue
                entry = mixed | np.uint64(1)  # zero marks an empty slot
                place = (mixed >> np.uint64(1)) & inner
                while slots[place] and slots[place] != entry:
                    place = (place + np.uint64(1)) & inner
                if slots[place]:
                    counts[place] += np.uint32(1)
                    best = max(best, np.int64(counts[place]))
                else:
                    slots[place] = entry
                    counts[place] = np.uint32(1)
                    used += 1
                    if 4 * used > 3 * len(slots):
                        break
            part += 1
            if 4 * used > 3 * len(slots):  # begin again in smaller parts; what is counted so far is not too much
                parts, part = 4 * parts, 0
        if best >= least - 1:  # what was not counted stands there less often than `least`
            break
        least = max(best + np.int64(1), least // np.int64(2))
    return best


@njit(cache=True, nogil=True)
def _top_ngrams(prefix, length, powers, sketch, at, chosen, slots, counts, tops):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """How often the commonest 2-, 3- and 4-gram of characters stands in a document of at most `_LONG`.

    An n-gram stands there at most as often as each pair in it. `at` and `chosen` lend room for a number a character.
    """
    pairs = np.uint64(length - 1)
    size = _room(length, 2, len(sketch))
    sketch[:size] = np.uint32(0)
    mask = np.uint64(size - 1)
    for place in range(pairs):
        at[place] = _mixed(prefix[place + np.uint64(2)] - prefix[place] * powers[2]) & mask
    for place in range(pairs):
        sketch[at[place]] += np.uint32(1)
    fullest = np.uint32(0)
    for slot in range(size):
        fullest = max(fullest, sketch[slot])
    most = (np.int64(3) * np.int64(fullest) + np.int64(3)) // np.int64(
        4
    )  # the fullest place holds more than one pair: begin a little lower
    for size in range(2, min(4, length) + 1):
        n = np.uint64(size)
        leaving = powers[size]
        best, least = np.int64(1), most
        while best < least:
            many, run, limit = np.uint64(0), np.uint64(0), np.uint32(least)
            for pair in range(pairs):
                run = (run + np.uint64(1)) * np.uint64(sketch[at[pair]] >= limit)
                chosen[many] = pair + np.uint64(2) - n
                many += np.uint64(run >= n - np.uint64(1))
            room = _room(np.int64(many), 2, len(slots))
            inner = np.uint64(room - 1)
            slots[:room] = np.uint64(0)
            for j in range(many):
                begin = np.uint64(chosen[j])
                mixed = _mixed(prefix[begin + n] - prefix[begin] * leaving)
                entry = mixed | np.uint64(1)  # zero marks an empty slot
                slot = (mixed >> np.uint64(1)) & inner
                while slots[slot] and slots[slot] != entry:
                    slot = (slot + np.uint64(1)) & inner
                if slots[slot]:
                    counts[slot] += np.uint32(1)
                    best = max(best, np.int64(counts[slot]))
                else:
                    slots[slot] = entry
                    counts[slot] = np.uint32(1)
            if best >= least - 1:  # what was not counted stands there less often than `least`
                break
            least = max(best + np.int64(1), least // np.int64(2))
        tops[size - 2] = best
        most = max(np.int64(2), (best + np.int64(1)) // np.int64(2)) if best > 1 else np.int64(1)


@njit(cache=True, nogil=True)
def _most_frequent(kept, few, many):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """The sum of the `kept` highest counts: `few[count]` n-grams have a count under 256, the others' stand in `many`."""
    ordered = np.sort(many)
    result = np.int64(0)
    for place in range(min(kept, len(ordered))):
        result += np.int64(ordered[len(ordered) - 1 - place])
    kept -= len(ordered)
    for count in range(255, 1, -1):
        if kept <= 0:
            break
        result += count * min(kept, few[count])
        kept -= few[count]
    return result


@njit(cache=True, nogil=True)
def _character_ngrams(points, offsets, wanted, rank, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """N-grams of all characters, white space too, as `CHARACTER_GRAMS` names them, for sizes that are `wanted` (n = 0 to 10).

    How often the commonest 2-, 3- and 4-gram stands; of longer ones the distinct and those of them seen twice, and with
    `rank` the places of the commonest 5-grams, as many as the square root of the distinct ones, none seen once. Of
    documents of more than `_LONG` characters only the first three.
    """
    longest = short = 0
    for document in range(len(offsets) - 1):
        length = offsets[document + 1] - offsets[document]
        longest = max(longest, length)
        if length <= _LONG:
            short = max(short, length)
    powers = _powers()
    sketch = np.zeros(_room(longest, 2, _FEW), dtype=np.uint32)
    places_hit = np.zeros(_room(short, 8, _MANY), dtype=np.uint8)
    room = _room(min(longest, _LONG), 2, 2 * _LONG)
    slots, counts = np.zeros(room, dtype=np.uint64), np.zeros(room, dtype=np.uint32)
    prefix = np.zeros(short + 1, dtype=np.uint64)
    places, where = np.zeros(short + 1, dtype=np.uint32), np.zeros(short + 1, dtype=np.uint32)
    for document in range(len(offsets) - 1):
        start, end = offsets[document], offsets[document + 1]
        length = end - start
        if length > _LONG:
            for n in (2, 3, 4):
                if wanted[n]:
                    out[document, n - 2] = _top_ngram(points, start, end, n, powers, sketch, slots, counts)
            continue
        value = np.uint64(0)
        for i in range(np.uint64(length)):
            value = value * _BASE + np.uint64(points[np.uint64(start) + i]) + np.uint64(1)
            prefix[i + np.uint64(1)] = value
        if length >= 2 and (wanted[2] or wanted[3] or wanted[4]):
            _top_ngrams(prefix, length, powers, sketch, where, places, slots, counts, out[document])
        known, chosen = 0, np.uint64(0)  # the size whose repeats `places` holds, and how many they are
        for n in (5, 6, 7, 8, 9, 10):
            total = length - n + 1
            if total <= 0 or not wanted[n]:
                continue
            leaving, size_of = powers[n], np.uint64(n)
            if not known:
                size = _room(total, 8, len(places_hit))
                places_hit[:size] = np.uint8(0)
                mask = np.uint64(size - 1)
                for place in range(np.uint64(total)):
                    where[place] = _mixed(prefix[place + size_of] - prefix[place] * leaving) & mask
                for place in range(np.uint64(total)):
                    slot = where[place]
                    places_hit[slot] = 1 + (places_hit[slot] > 0)
                for place in range(np.uint64(total)):
                    places[chosen] = place
                    chosen += np.uint64(places_hit[where[place]] > 1)
            else:
                further = np.uint64(n - known)
                kept = np.uint64(0)
                for j in range(max(chosen, further) - further):
                    place = places[j]
                    follows = places[j + further] == place + np.uint32(further)
                    places[kept] = place
                    kept += np.uint64(follows)
                chosen = kept
            size = _room(np.int64(chosen), 2, room)
            slots[:size] = np.uint64(0)
            mask = np.uint64(size - 1)
            distinct, repeated = total - np.int64(chosen), 0
            for j in range(chosen):
                begin = np.uint64(places[j])
                mixed = _mixed(prefix[begin + size_of] - prefix[begin] * leaving)
                entry = mixed | np.uint64(1)  # zero marks an empty slot
                slot = (mixed >> np.uint64(1)) & mask
                while slots[slot] and slots[slot] != entry:
                    slot = (slot + np.uint64(1)) & mask
                if slots[slot]:
                    counts[slot] += np.uint32(1)
                    repeated += counts[slot] == 2
                else:
                    slots[slot] = entry
                    counts[slot] = np.uint32(1)
                    distinct += 1
                where[j] = slot
            if rank and n == 5:
                few, many = np.zeros(256, dtype=np.int64), np.zeros(length // 256 + 1, dtype=np.uint32)
                filled = 0
                for slot in range(size):
                    if slots[slot]:
                        if counts[slot] < 256:
                            few[counts[slot]] += 1
                        else:
                            many[filled] = counts[slot]
                            filled += 1
                out[document, 15] = _most_frequent(min(np.int64(np.sqrt(distinct)), repeated), few, many[:filled])
            kept = np.uint64(0)
            for j in range(chosen):
                place = places[j]
                places[kept] = place
                kept += np.uint64(counts[where[j]] >= 2)
            chosen, known = kept, n
            out[document, 3 + 2 * (n - 5)] = distinct
            out[document, 4 + 2 * (n - 5)] = repeated


@njit(cache=True, nogil=True)
def _gather(points, place, end, n, powers, part, parts, hashes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """Hashes of the part's n-grams from `place` on, until there is no more room: how many, and the place to go on at."""
    filled = np.uint64(0)
    leaving = powers[n]
    rolling = np.uint64(0)
    for i in range(place, place + n - 1):
        rolling = rolling * _BASE + np.uint64(points[i]) + np.uint64(1)
    first = np.uint64(place + n - 1)
    for i in range(first, np.uint64(end)):
        rolling = rolling * _BASE + np.uint64(points[i]) + np.uint64(1)
        if i > first:
            rolling -= (np.uint64(points[i - np.uint64(n)]) + np.uint64(1)) * leaving
        mixed = _mixed(rolling)
        hashes[filled] = mixed
        filled += np.uint64(_part(mixed, parts) == np.uint64(part))
        if filled == len(hashes):
            return np.int64(filled), np.int64(i) - n + 2
    return np.int64(filled), end - n + 1


@njit(cache=True, nogil=True)
def _runs(hashes, times):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """Sorted hashes become distinct ones, in place, with how often each stood there; how many they are."""
    filled = 0
    for place in range(len(hashes)):
        if place and hashes[place] == hashes[filled - 1]:
            times[filled - 1] += np.uint32(1)
        else:
            hashes[filled] = hashes[place]
            times[filled] = np.uint32(1)
            filled += 1
    return filled


@njit(cache=True, nogil=True)
def _tally(times, few):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    for count in times:
        if count < 256:
            few[count] += 1


def _long_ngrams(points: npt.NDArray[np.uint32], start: int, end: int, n: int) -> tuple[int, int, int]:
    """Distinct n-grams of one long document, those seen twice, and the places of the commonest, as above.

    Hashes are sorted part by part; what stands there so often that a part overflows is summed up on the way.
    """
    total = end - start - n + 1
    parts = -(-total * 9 // (8 * _SORTED_AT_ONCE))
    hashes, times = np.empty(_SORTED_AT_ONCE, dtype=np.uint64), np.empty(_SORTED_AT_ONCE, dtype=np.uint32)
    few, many = np.zeros(256, dtype=np.int64), []
    powers = _powers()
    for part in range(parts):
        place = start
        seen: list[tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]] = []
        while place <= end - n:
            filled, place = _gather(points, place, end, n, powers, part, parts, hashes)
            found = hashes[:filled]
            found.sort()
            distinct = _runs(found, times)
            seen.append((hashes[:distinct], times[:distinct]))
            if place <= end - n:
                seen[-1] = (hashes[:distinct].copy(), times[:distinct].copy())
        counts = seen[0][1]
        if len(seen) > 1:
            together = np.concatenate([one for one, _ in seen])
            order = np.argsort(together)
            together = together[order]
            firsts = np.flatnonzero(np.concatenate(([True], together[1:] != together[:-1])))
            counts = np.add.reduceat(np.concatenate([one for _, one in seen])[order], firsts)
        _tally(counts, few)
        many.append(counts[counts > 255])
    most = np.concatenate(many)
    distinct, repeated = int(few.sum()) + len(most), int(few[2:].sum()) + len(most)
    return distinct, repeated, int(_most_frequent(min(int(distinct**0.5), repeated), few, most))


def count_characters(
    points: npt.NDArray[np.uint32],
    offsets: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.bool_],
    rank: bool,  # bound once, by the names that are wanted
    out: npt.NDArray[np.int64],
) -> None:
    """One row a document and a column an entry of `CHARACTER_GRAMS`; `sizes` says for n = 0 to 10 what is wanted."""
    _character_ngrams(points, offsets, sizes, rank, out)
    for document in np.flatnonzero(np.diff(offsets) > _LONG):
        for n in range(5, 11):
            if sizes[n]:
                distinct, repeated, places = _long_ngrams(points, int(offsets[document]), int(offsets[document + 1]), n)
                out[document, 3 + 2 * (n - 5) : 5 + 2 * (n - 5)] = distinct, repeated
                if rank and n == 5:
                    out[document, 15] = places


# ---------------------------------------------------------------------------------------------------------------- words

WORD_COUNTS = (
    *("words", "word_characters", "letter_words", "all_words"),
    *(f"top_{n}" for n in (2, 3, 4)),
    *(f"repeated_{n}" for n in (5, 6, 7, 8, 9, 10)),
    *("total_7", "single_7", "stop_words", "newlines", "hashes", "ellipses"),
)


_OUTSIDE = (
    16  # the state of `_transitions` between two words; inside one, twice its script, and 1 after the first letter
)


@functools.cache
def _transitions(by_script: bool) -> npt.NDArray[np.uint8]:
    """What a character makes of the word before it, shape (17 * 8,): at eight times the state, plus the character's
    script, twice the next state, and 1 where a word begins.
    """
    table = np.zeros(17 * 8, dtype=np.uint8)
    for state in range(17):
        for script in range(8):
            begins = state == _OUTSIDE
            if not begins and by_script and script != RUN_MARK:
                full = state % 2 and script in (RUN_KANJI, RUN_HIRAGANA)
                begins = script == ALONE or script != state // 2 or bool(full)
            table[8 * state + script] = 2 * (2 * script if begins else state | 1) + begins
    return table


@njit(cache=True, nogil=True)
def _cut(points, start, end, marks, transitions, powers, counted, before, prefix, windows):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """Cut a document into words: how many; `counted` gets the first four of `WORD_COUNTS` and the last four.

    Where there is room, `before` gets the characters (white space never counts) before each word, `prefix` their
    polynomial, both with one entry more for all of them, and `windows` a hash of the `_WINDOW` characters from each
    word's first on, words that come too late for that left out; how many windows there are is the second result.
    Nothing but white space branches: where words end is as good as chance to a processor.
    """
    store = len(before) > 0
    leaving = powers[_WINDOW]
    count = total = filled = length = dots = np.uint64(0)
    words = word_characters = letter_words = np.int64(0)
    newlines = hashes = ellipses = 0
    stops = np.uint32(0)
    value = np.uint64(0)
    state = np.uint32(_OUTSIDE)
    one = np.uint32(1)
    letter, more = np.uint32(0), np.uint32(0)  # whether the word has one; whether it is more than punctuation
    for i in range(np.uint64(start), np.uint64(end)):
        c = points[i]
        mark = marks[c]
        dots = (dots + np.uint64(1)) * np.uint64(c == 46)
        if dots == 3:
            ellipses += 1
            dots = np.uint64(0)
        if mark & np.uint32(SPACE):
            newlines += c == 10
            state = np.uint32(_OUTSIDE)
            continue
        step = np.uint32(transitions[np.uint32(8) * state + ((mark >> np.uint32(WORD)) & np.uint32(7))])
        begins = step & one
        state = step >> one
        hashes += c == 35
        ellipses += c == 0x2026
        stops |= one << ((mark >> np.uint32(STOP)) & np.uint32(15))
        if store:  # written for the word that may begin here, and kept if it does
            before[count] = total
            prefix[count] = value
        count += np.uint64(begins)
        goes_on = one - begins
        length = (length & (np.uint64(0) - np.uint64(goes_on))) + np.uint64(1)
        letter *= goes_on
        more *= goes_on
        lettered = letter | np.uint32((mark & np.uint32(ALPHA)) > 0)
        letter_words += np.int64(lettered ^ letter)
        letter = lettered
        beyond = more | np.uint32((mark & np.uint32(PUNCTUATION)) == 0)
        words += np.int64(beyond ^ more)
        waited = length & (np.uint64(0) - np.uint64(beyond))  # all of the word's characters that wait, or none
        word_characters += np.int64(waited)
        length -= waited
        more = beyond
        value = value * _BASE + np.uint64(c) + np.uint64(1)
        total += np.uint64(1)
        if store:  # written for the next word that waits for it, and kept once it is whole
            windows[filled] = np.uint32(_mixed(value - prefix[filled] * leaving) >> np.uint64(32))
            filled += np.uint64(total - np.uint64(before[filled]) == _WINDOW)
    if store:
        before[count] = total
        prefix[count] = value
    counted[0], counted[1], counted[2], counted[3] = words, word_characters, letter_words, np.int64(count)
    for place in range(1, 16):
        counted[15] += (stops >> np.uint32(place)) & one
    counted[16], counted[17], counted[18] = newlines, hashes, ellipses
    return np.int64(count), np.int64(filled)


# Places and lengths are unsigned, because numba looks at every signed index whether it counts from the end.
@njit(cache=True, nogil=True)
def _span(before, prefix, place, n, powers):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """The polynomial of the characters of n words in a row."""
    length = np.uint64(before[place + n] - before[place])
    power = powers[min(length, np.uint64(255))]
    if length > 255:
        power = _raised(length)
    return prefix[place + n] - prefix[place] * power


@njit(cache=True, nogil=True)
def _sequence(before, prefix, place, n, powers):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """Hash of n words in a row: of their characters, and of where one ends and the next begins."""
    first = before[place]
    cuts = np.uint64(0)
    for word in range(np.uint64(1), n):
        cuts = cuts * np.uint64(0xD6E8FEB86659FD93) + np.uint64(before[place + word] - first)
    return _mixed(_span(before, prefix, place, n, powers) ^ (cuts * np.uint64(0xA0761D6478BD642F)))


@njit(cache=True, nogil=True)
def _sketch_pairs(before, prefix, count, powers, sketch, at):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """Count two words in a row roughly: `at[place]` is where `sketch` holds at least their number; the fullest count."""
    size = _room(count, 2, len(sketch))
    sketch[:size] = np.uint32(0)
    mask = np.uint64(size - 1)
    for place in range(np.uint64(count - 1)):
        at[place] = _sequence(before, prefix, place, np.uint64(2), powers) & mask
    for place in range(np.uint64(count - 1)):
        sketch[at[place]] += np.uint32(1)
    fullest = np.uint32(0)
    for slot in range(size):
        fullest = max(fullest, sketch[slot])
    return np.int64(fullest)


@njit(cache=True, nogil=True)
def _top_sequence(before, prefix, count, n, powers, most, sketch, at, slots, counts, firsts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """How often the commonest n words in a row stand there, and the first place of the first of them.

    They stand there at most as often as each pair of them, and at most `most` times.
    """
    n = np.uint64(n)
    best, first = np.int64(1), np.int64(0)
    least = np.uint32(max(2, most))
    while most > 1:
        many, run = 0, np.uint64(0)
        for place in range(np.uint64(count - 1)):
            run = (run + np.uint64(1)) * np.uint64(sketch[at[place]] >= least)
            many += run >= n - np.uint64(1)
        room = _room(many, 2, len(firsts))
        inner = np.uint64(room - 1)
        parts, part = 1, 0
        while part < parts:
            slots[:room] = np.uint64(0)
            used = 0
            run = np.uint64(0)
            for end in range(np.uint64(count - 1)):
                run = (run + np.uint64(1)) * np.uint64(sketch[at[end]] >= least)
                if run < n - np.uint64(1):
                    continue
                place = end + np.uint64(2) - n
                mixed = _sequence(before, prefix, place, n, powers)
                if parts > 1 and _part(mixed, parts) != np.uint64(part):
                    continue
                entry = mixed | np.uint64(1)
                slot = (mixed >> np.uint64(1)) & inner
                while slots[slot] and slots[slot] != entry:
                    slot = (slot + np.uint64(1)) & inner
                if slots[slot]:
                    counts[slot] += np.uint32(1)
                    times = np.int64(counts[slot])
                    if times > best or (times == best and firsts[slot] < first):
                        best, first = times, np.int64(firsts[slot])
                else:
                    slots[slot] = entry
                    counts[slot] = np.uint32(1)
                    firsts[slot] = place
                    used += 1
                    if 4 * used > 3 * room:
                        break
            part += 1
            if 4 * used > 3 * room:  # begin again in smaller parts; what is counted so far is not too much
                parts, part = 4 * parts, 0
        if best >= least or least == 2:
            break
        # not best + 1: another may stand there as often, and earlier
        least = np.uint32(max(best, np.int64(least) // np.int64(2), np.int64(2)))
    return best, first


@njit(cache=True, nogil=True)
def _single_sequences(before, prefix, count, n, powers, candidates, slots):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """How many times n words in a row stand nowhere else. What stands at no candidate is known to stand once."""
    n, twice = np.uint64(n), np.uint64(2)
    chosen = len(candidates)
    while chosen and candidates[chosen - 1] + n > count:
        chosen -= 1
    room = _room(chosen, 2, len(slots))
    inner = np.uint64(room - 1)
    parts, part = 1, 0
    among = 0
    while part < parts:
        slots[:room] = np.uint64(0)
        used = 0
        for j in range(np.uint64(chosen)):
            mixed = _sequence(before, prefix, np.uint64(candidates[j]), n, powers)
            if parts > 1 and _part(mixed, parts) != np.uint64(part):
                continue
            entry = (mixed | np.uint64(1)) & ~twice
            slot = (mixed >> np.uint64(2)) & inner
            while slots[slot] and slots[slot] & ~twice != entry:
                slot = (slot + np.uint64(1)) & inner
            if not slots[slot]:
                slots[slot] = entry
                among += 1
                used += 1
                if 4 * used > 3 * room:
                    break
            elif not slots[slot] & twice:
                slots[slot] |= twice
                among -= 1
        part += 1
        if 4 * used > 3 * room:  # begin again in smaller parts
            parts, part, among = 4 * parts, 0, 0
    return count - np.int64(n) + 1 - chosen + among


@njit(cache=True, nogil=True)
def _repeated_characters(before, prefix, count, n, powers, candidates, slots):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """Characters of n words in a row whose characters stood before as n words in a row; one found is stepped over whole.

    What stands at no candidate is known to stand once. The table grows with what is distinct.
    """
    size = _room(len(candidates), 2, len(slots))
    slots = slots[:size]
    slots[:] = np.uint64(0)
    mask = np.uint64(size - 1)
    used, characters = 0, np.int64(0)
    free, n, count = np.uint64(0), np.uint64(n), np.uint64(count)
    for j in range(len(candidates)):
        place = np.uint64(candidates[j])
        if place < free:
            continue
        if place + n > count:
            break
        mixed = _mixed(_span(before, prefix, place, n, powers))
        entry = mixed | np.uint64(1)
        slot = (mixed >> np.uint64(1)) & mask
        while slots[slot] and slots[slot] != entry:
            slot = (slot + np.uint64(1)) & mask
        if slots[slot]:
            characters += np.int64(before[place + n] - before[place])
            free = place + n
            continue
        slots[slot] = entry
        used += 1
        if 8 * used > 7 * size:
            size *= 2
            mask = np.uint64(size - 1)
            larger = np.zeros(size, dtype=np.uint64)
            for one in slots:
                if one:
                    slot = (one >> np.uint64(1)) & mask
                    while larger[slot]:
                        slot = (slot + np.uint64(1)) & mask
                    larger[slot] = one
            slots = larger
    return characters


@njit(cache=True, nogil=True)
def _word_ngrams(points, offsets, marks, transitions, wanted, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """Words and what their n-grams repeat, as `WORD_COUNTS` names it; `wanted` says of n = 2 to 10 what is asked for."""
    powers = _powers()
    tops = wanted[2] or wanted[3] or wanted[4]
    singles = wanted[7] & 1
    steps = False
    for n in range(5, 11):
        steps = steps or wanted[n] & 2
    ngrams = tops or singles or steps
    before, prefix, windows = np.zeros(0, dtype=np.uint32), np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.uint32)
    sketch, places_hit = np.zeros(64, dtype=np.uint32), np.zeros(64, dtype=np.uint8)
    slots, counts, firsts = np.zeros(64, dtype=np.uint64), np.zeros(64, dtype=np.uint32), np.zeros(64, dtype=np.uint32)
    for document in range(len(offsets) - 1):
        start, end = offsets[document], offsets[document + 1]
        counted = out[document]
        if not ngrams:
            _cut(points, start, end, marks, transitions, powers, counted, before, prefix, windows)
            continue
        room = end - start
        if room > _LONG:  # rather one more walk than room for a word a character
            scratch = np.zeros(len(counted), dtype=np.int64)
            nothing, no_hashes = np.zeros(0, dtype=np.uint32), np.zeros(0, dtype=np.uint64)
            room, _ = _cut(points, start, end, marks, transitions, powers, scratch, nothing, no_hashes, nothing)
        if room + 2 > len(before):
            before, prefix = np.zeros(room + 2, dtype=np.uint32), np.zeros(room + 2, dtype=np.uint64)
            windows = np.zeros(room + 2, dtype=np.uint32)
        count, opened = _cut(points, start, end, marks, transitions, powers, counted, before, prefix, windows)
        if _room(count, 2, _FEW) > len(sketch):
            sketch = np.zeros(_room(count, 2, _FEW), dtype=np.uint32)
        if _room(count, 8, _MANY) > len(places_hit):
            places_hit = np.zeros(_room(count, 8, _MANY), dtype=np.uint8)
        if _room(count, 2, 2 * _AT_ONCE) > len(slots):
            size = _room(count, 2, 2 * _AT_ONCE)
            slots = np.zeros(size, dtype=np.uint64)
            counts, firsts = np.zeros(size, dtype=np.uint32), np.zeros(size, dtype=np.uint32)
        if steps or singles:
            size = _room(count, 8, len(places_hit))
            places_hit[:size] = np.uint8(0)
            mask = np.uint32(size - 1)
            for place in range(np.uint64(opened)):
                slot = windows[place] & mask
                places_hit[slot] = 1 + (places_hit[slot] > 0)
            chosen = np.uint64(0)
            for place in range(np.uint64(max(count - 4, 0))):
                # too late for a window, or too short for what fills it, may stand twice for all it says
                short = (before[place + np.uint64(5)] - before[place] < _WINDOW) | (place >= opened)
                twice = places_hit[windows[place] & mask] > 1
                windows[chosen] = place
                chosen += np.uint64(short | twice)
            candidates = windows[:chosen]
            for n in (5, 6, 7, 8, 9, 10):
                if wanted[n] & 2:
                    counted[2 + n] = _repeated_characters(before, prefix, count, n, powers, candidates, slots)
            if singles and count >= 7:
                counted[13] = count - 6
                counted[14] = _single_sequences(before, prefix, count, 7, powers, candidates, slots)
        if tops and count >= 2:
            most = _sketch_pairs(before, prefix, count, powers, sketch, windows)
            most = (3 * most + 3) // 4  # the fullest place holds more than one pair: begin a little lower
            for n in (2, 3, 4):
                if count >= n:
                    best, first = _top_sequence(
                        before, prefix, count, n, powers, most, sketch, windows, slots, counts, firsts
                    )
                    counted[2 + n] = best * (np.int64(before[first + n]) - np.int64(before[first]) + n - 1)
                    most = max(np.int64(2), (best + np.int64(1)) // np.int64(2)) if best > 1 else np.int64(1)


def count_words(
    by_script: bool,
    sizes: npt.NDArray[np.int64],
    points: npt.NDArray[np.uint32],
    offsets: npt.NDArray[np.int64],
    out: npt.NDArray[np.int64],
) -> None:
    """One row a document and a column an entry of `WORD_COUNTS`; `sizes`: see `word_sizes`."""
    _word_ngrams(points, offsets, marks(), _transitions(by_script), sizes, out)


def word_sizes(prefix: str, names: Collection[str]) -> npt.NDArray[np.int64]:
    """What `count_words` is to do with each size of n-gram: 1 count all, 2 step over what repeats."""
    wanted = np.zeros(11, dtype=np.int64)
    for n in (2, 3, 4):
        wanted[n] = f"{prefix}_top_{n}gram_characters" in names
    for n in range(5, 11):
        wanted[n] = 2 * (f"{prefix}_repeated_{n}gram_characters" in names)
    wanted[7] |= "hojichar_repeated_word_7gram_share" in names and prefix == "fineweb2"
    return wanted


# ------------------------------------------------------------------------------------------------------------- quotients


def of_characters(table: pl.DataFrame) -> pl.DataFrame:
    """The signals of `CHARACTER_NGRAM_SIGNALS` from the counts of `CHARACTER_GRAMS` and the column `characters`."""
    column = pl.col

    def grams(n: int) -> pl.Expr:
        return pl.max_horizontal(column("characters") - (n - 1), pl.lit(0))

    def or_zero(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
        return pl.when(whole > 0).then(part / whole).otherwise(0.0)

    return table.select(
        *(share(column(f"top_{n}"), grams(n)).alias(f"top_{n}gram_share") for n in (2, 3, 4)),
        *(
            or_zero(column(f"repeated_{n}"), column(f"distinct_{n}")).alias(f"repeated_distinct_{n}gram_share")
            for n in range(5, 11)
        ),
        frequent_5gram_share=or_zero(column("frequent_5"), grams(5)),
    )


def of_words(table: pl.DataFrame, prefix: str) -> pl.DataFrame:
    """The signals of `WORD_SIGNALS[prefix]` from the counts of `WORD_COUNTS` and the column `characters`."""
    column = pl.col
    by_script = prefix == "fineweb2"
    characters = column("characters")
    return table.select(
        column("words").alias(f"{prefix}_words"),
        share(column("word_characters"), column("words")).alias(f"{prefix}_mean_word_length"),
        share(column("letter_words"), column("all_words")).alias(f"{prefix}_letter_word_share"),
        share(column("hashes"), column("all_words")).alias(f"{prefix}_hashes_per_word"),
        share(column("ellipses"), column("all_words")).alias(f"{prefix}_ellipses_per_word"),
        share(column("newlines"), column("all_words")).alias(f"{prefix}_newlines_per_word"),
        *(share(column(f"top_{n}"), characters).alias(f"{prefix}_top_{n}gram_characters") for n in (2, 3, 4)),
        *(
            share(column(f"repeated_{n}"), characters).alias(f"{prefix}_repeated_{n}gram_characters")
            for n in range(5, 11)
        ),
        column("stop_words").alias("fineweb2_stop_words" if by_script else "stop_characters"),
        pl.when(column("total_7") > 0)
        .then((column("total_7") - column("single_7")) / column("total_7"))
        .otherwise(0.0)
        .alias("hojichar_repeated_word_7gram_share" if by_script else "repeated_word_7gram_share"),
    )


CHARACTER_NGRAM_SIGNALS = {
    **{
        f"top_{n}gram_share": Signal(
            pl.Float64, f"commonest {n}-gram of characters, of all {n}-grams; white space counts"
        )
        for n in (2, 3, 4)
    },
    **{
        f"repeated_distinct_{n}gram_share": Signal(
            pl.Float64, f"{n}-grams of characters seen twice or more, of distinct {n}-grams; white space counts"
        )
        for n in range(5, 11)
    },
    "frequent_5gram_share": Signal(
        pl.Float64, "5-grams of characters among the √distinct commonest that repeat, of all 5-grams (BigScience)"
    ),
}
WORD_SIGNALS = {
    prefix: {
        f"{prefix}_words": Signal(pl.UInt32, f"{words} with more than punctuation in them"),
        f"{prefix}_mean_word_length": Signal(
            pl.Float64, f"characters a word, of {words} with more than punctuation in them"
        ),
        f"{prefix}_letter_word_share": Signal(pl.Float64, f"words with a letter, of {words}"),
        f"{prefix}_hashes_per_word": Signal(pl.Float64, f"# per word; {words}"),
        f"{prefix}_ellipses_per_word": Signal(pl.Float64, f"... and … per word; {words}"),
        f"{prefix}_newlines_per_word": Signal(pl.Float64, f"newlines per word; {words}"),
        **{
            f"{prefix}_top_{n}gram_characters": Signal(
                pl.Float64,
                f"characters of the commonest {n} words in a row, all its places, spaces between them too, of all "
                f"characters; {words}",
            )
            for n in (2, 3, 4)
        },
        **{
            f"{prefix}_repeated_{n}gram_characters": Signal(
                pl.Float64,
                f"characters of {n} words in a row that stood before, stepped over whole, of all characters; {words}",
            )
            for n in range(5, 11)
        },
    }
    for prefix, words in (("gopher", "runs between white space"), ("fineweb2", "words in the character form"))
}
WORD_SIGNALS["fineweb2"] |= {
    "fineweb2_stop_words": Signal(pl.UInt32, f"how many of {FINEWEB2_STOP_WORDS} stand in the text, 0 to 15"),
    "hojichar_repeated_word_7gram_share": Signal(
        pl.Float64, "7 words in a row that stand there twice or more, of all; words in the character form"
    ),
}
