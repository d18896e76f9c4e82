"""The numbers that published rule sets compare, by their own formulas, quirks included.

`measure` computes only what is asked for by name (`PUBLISHED`), because a build needs none of it unless its mix
names a published set. Names that are read off the same walk over the text are computed together: characters and
sentences as Swallow counts them, lines and paragraphs as Gopher, FineWeb, HojiChar and OSCAR do, character n-grams
of one size, words and word n-grams; the rest is a regular expression each, or zlib. Every value is an exact
quotient in double precision, so a document on a limit is judged as its authors' Python judges it; n-grams and lines
are told apart by 44-bit hashes or longer. Memory follows the longest document: 12 bytes an n-gram up to two million
of them, then several walks; a Japanese document of 60 MB passes in 0.9 GB, its text included.

Cost, CPU time of one thread of a shared machine, on 16 MB of Japanese prose: Swallow's set 27 MB/s, HojiChar's 39,
FineWeb-2's 21, llm-jp's 16 (zlib), OSCAR's 199; on 10 MB of English prose Gopher's 22, C4's 47, FineWeb's 15.

Where a published rule counts words and Japanese has none, the *character form* is used: a word is a run of one
script, kanji and hiragana cut after every second character, any other character that is not white space alone. Its
n-grams repeat nearly as often as a segmenter's; a form of single characters would drop every long document, and a
segmenter is a hundred times slower. Units: characters are code points, shares are 0 to 1; whether white space
counts is said with each name.
"""

import functools
import unicodedata
import zlib
from collections.abc import Callable, Collection, Mapping

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

from corpus_ja.stages.characters import code_points
from corpus_ja.stages.measurement import Signal

VERSION = 1

SPECIAL_CHARACTERS = (
    "9-D 20-2F 3A-40 5B-60 7B-7E 81-85 91-93 95-99 9C-9D A1-AB AD-B4 B7-BF D7 F7-F8 131 26A 2BA-2BC 2C8 "
    "2CC 2D0 2D8 2DA 2DC 3C0 413 60C 647 66A 66C 6E9 93E 940 947 94D 97D 9BE E51 2002-2003 2005 2008-200B "
    "2010-2011 2013-2016 2018-201A 201C-2020 2022 2024 2026 202F-2030 2032-2033 2039-203A 203C 203F "
    "2043-2044 2049 20A8 20AA 20AC 2103 2122 2139 2194-2199 21A9-21AA 21D3 2206 2208 2212 221A 221E-221F "
    "2248 2256 2264-2265 2295 22C5 231A-231B 2328 23CF 23E9-23F3 23F8-23FA 24C2 2550 25A0 25AA-25AC 25B2 "
    "25B4 25B6-25B7 25BA-25BC 25C0 25C6 25CF 25E6 25FB-25FE 2600-2606 260E 2611 2614-2615 2618 261B 261D "
    "2620 2622-2623 2626 262A 262E-262F 2638-263B 2640 2642 2648-2653 265F-2661 2663 2665-2666 2668 266B "
    "267B 267E-267F 2692-2697 2699 269B-269C 26A0-26A1 26A7 26AA-26AB 26B0-26B1 26BD-26BE 26C4-26C5 26C8 "
    "26CE-26CF 26D1 26D3-26D4 26E9-26EA 26F0-26F5 26F7-26FA 26FD 2702 2705 2708-270D 270F 2712-2714 2716 "
    "271D 2721 2726 2728 2731 2733-2734 2744 2747 274C 274E 2753-2757 2763-2764 2795-2797 27A1 27A4 27A9 "
    "27B0 27BF 2800 2934-2935 2B05-2B07 2B1B-2B1C 2B50 2B55 3000-3002 300A-300D 3010-3011 3030 303D 309C "
    "3297 3299 58EB FD3E-FD3F FEFF FF01 FF08-FF09 FF0C FF0E FF11 FF1A-FF1B FF1F FF3E FF5E FFFC-FFFD 1F004 "
    "1F0CF 1F170-1F171 1F17E-1F17F 1F18E 1F191-1F19A 1F201-1F202 1F21A 1F22F 1F232-1F23A 1F250-1F251 "
    "1F300-1F321 1F324-1F393 1F396-1F397 1F399-1F39B 1F39E-1F3F0 1F3F3-1F3F5 1F3F7-1F4FD 1F4FF-1F53D "
    "1F549-1F54E 1F550-1F567 1F56F-1F570 1F573-1F57A 1F587 1F58A-1F58D 1F590 1F595-1F596 1F5A4-1F5A5 "
    "1F5A8 1F5B1-1F5B2 1F5BC 1F5C2-1F5C4 1F5D1-1F5D3 1F5DC-1F5DE 1F5E1 1F5E3 1F5E8 1F5EF 1F5F3 "
    "1F5FA-1F64F 1F680-1F6C5 1F6CB-1F6D2 1F6D5-1F6D9 1F6DC-1F6E5 1F6E9 1F6EB-1F6EC 1F6F0 1F6F3-1F6FC "
    "1F7E0-1F7EB 1F7F0 1F90C-1F93A 1F93C-1F945 1F947-1F9FF 1FA70-1FA7C 1FA80-1FAC6 1FAC8 1FACC-1FADD "
    "1FADF-1FAEB 1FAEF-1FAFA"
)
"""HojiChar's special characters as code points: ASCII punctuation and white space, BigScience's list (which holds "
    "士 and １ by mistake), and single emoji."""

TERMINAL_CHARACTERS = (
    "21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E 1735-1736 "
    "17D4-17D6 17D9-17DA 1803 1809 1944-1945 1AA8-1AAB 1B5A-1B5B 1B5E-1B5F 1B7D-1B7E 1C3B-1C3C 1C7E-1C7F "
    "203C-203D 2047-2049 2E2E 2E3C 2E53-2E54 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 A8CE-A8CF A92F "
    "A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB FE52 FE56-FE57 FF01 FF0E FF1F FF61 10A56-10A57 10F55-10F59 "
    "10F86-10F89 11047-11048 110BE-110C1 11141-11143 111C5-111C6 111CD 111DE-111DF 11238-11239 "
    "1123B-1123C 112A9 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642 1173C-1173E 11944 11946 "
    "11A42-11A43 11A9B-11A9C 11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F 16AF5 16B37-16B38 16B44 "
    "16E98 1BC9F 1DA88"
)
"""Where a line may end for FineWeb, as code points: close to Unicode's sentence terminals; 。！？．｡ are among "
    "them, 」 and … are not."""

FINEWEB2_STOP_WORDS = "のにをはたてがとで年し・月れさ"
"""The Japanese stop words of FineWeb-2: all are single characters, so no word has to be found."""

(
    _SPACE,
    _BREAK,
    _ALPHA,
    _LETTER_OR_MARK,
    _SENTENCE_END,
    _HIRAGANA,
    _KATAKANA,
    _KANJI,
    _KUTEN,
    _TOTEN,
    _SPECIAL,
    _TERMINAL,
    _PUNCTUATION,
) = (1 << bit for bit in range(13))
_WORD = 16  # bits 16 to 18: what a word may run over; 0 stands alone
_ALONE, _RUN_KANJI, _RUN_HIRAGANA, _RUN_KATAKANA, _RUN_LATIN, _RUN_DIGIT, _RUN_LETTER, _RUN_MARK = range(8)
_STOP = 20  # bits 20 to 23: place among FINEWEB2_STOP_WORDS, from 1

_AT_ONCE = 1 << 21  # n-grams counted in one walk over a document; more of them take more walks
_STAMPS = 1 << 20


@functools.cache
def marks() -> npt.NDArray[np.uint32]:
    """What each code point is to the published formulas, as bits, shape (1114112,); 4.4 MB, built once a process in "
    "about 0.15 s.
    """
    entries = np.zeros(0x110000, dtype=np.uint32)
    letters = {"L": _ALPHA | _LETTER_OR_MARK, "M": _LETTER_OR_MARK, "P": _PUNCTUATION}
    for point in (*range(0x34000), *range(0xE0000, 0xE0200)):
        character = chr(point)
        category = unicodedata.category(character)
        entry = letters.get(category[0], 0)
        kind = {"L": _RUN_LETTER, "M": _RUN_MARK}.get(category[0], _RUN_DIGIT if category == "Nd" else _ALONE)
        if character.isspace():
            entry |= _SPACE
        entries[point] = entry | kind << _WORD
    for first, last, mark, kind in (
        (0x3041, 0x3096, _HIRAGANA, _RUN_HIRAGANA),
        (0x309D, 0x309F, 0, _RUN_HIRAGANA),
        (0x30A1, 0x30FA, _KATAKANA, _RUN_KATAKANA),
        (0x30FC, 0x30FF, 0, _RUN_KATAKANA),
        (0xFF66, 0xFF9F, 0, _RUN_KATAKANA),
        (0x3400, 0x9FFF, _KANJI, _RUN_KANJI),
        (0xF900, 0xFAFF, _KANJI, _RUN_KANJI),
        (0x20000, 0x3FFFF, 0, _RUN_KANJI),  # Swallow looks for surrogate pairs, which Python's strings do not have
        (0x3005, 0x3005, _KANJI, _RUN_KANJI),
        (0x3007, 0x3007, _KANJI, _RUN_KANJI),
        (0x303B, 0x303B, _KANJI, _RUN_KANJI),
        *(
            (first, last, 0, _RUN_LATIN)
            for first, last in ((0x41, 0x5A), (0x61, 0x7A), (0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x24F))
        ),
        *((first, last, 0, _RUN_LATIN) for first, last in ((0x1E00, 0x1EFF), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A))),
    ):
        entries[first : last + 1] = entries[first : last + 1] & ~np.uint32(7 << _WORD) | np.uint32(mark | kind << _WORD)
    for characters, mark in (
        ("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029", _BREAK),
        ("。．！？!?", _SENTENCE_END),
        ("。．！？", _KUTEN),
        ("、，", _TOTEN),
        ("$+<=>^`|~", _PUNCTUATION),
    ):
        for character in characters:
            entries[ord(character)] |= mark
    for place, character in enumerate(FINEWEB2_STOP_WORDS, start=1):
        entries[ord(character)] |= place << _STOP
    for ranges, mark in ((SPECIAL_CHARACTERS, _SPECIAL), (TERMINAL_CHARACTERS, _TERMINAL)):
        for one in ranges.split():
            bounds = [int(bound, 16) for bound in one.split("-")]
            entries[bounds[0] : bounds[-1] + 1] |= np.uint32(mark)
    entries.setflags(write=False)
    return entries


# -------------------------------------------------------------------------------------------------- tables in the loops


@njit(cache=True, nogil=True)
def _add(slots, used, value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """Put a hash into a growing set: the set, how many it holds, and whether the hash was new."""
    if 2 * used >= len(slots):
        old = slots
        slots = np.zeros(2 * len(old), dtype=np.uint64)
        mask = np.uint64(len(slots) - 1)
        for entry in old:
            if entry:
                slot = (entry >> np.uint64(20)) & mask
                while slots[slot]:
                    slot = (slot + np.uint64(1)) & mask
                slots[slot] = entry
    mask = np.uint64(len(slots) - 1)
    value |= np.uint64(1)  # zero marks an empty slot
    slot = (value >> np.uint64(20)) & mask
    while slots[slot]:
        if slots[slot] == value:
            return slots, used, False
        slot = (slot + np.uint64(1)) & mask
    slots[slot] = value
    return slots, used + 1, True


@njit(cache=True, nogil=True)
def _mixed(value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    value ^= value >> np.uint64(29)
    value *= np.uint64(0xBF58476D1CE4E5B9)
    return value ^ (value >> np.uint64(32))


@njit(cache=True, nogil=True)
def _stepped(value, c):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    value = (value ^ (np.uint64(c) + np.uint64(1))) * np.uint64(0x9E3779B97F4A7C15)
    return value ^ (value >> np.uint64(31))


# ----------------------------------------------------------------------------------- Swallow's characters and sentences

_SWALLOW = (
    *(
        "hiragana",
        "katakana",
        "japanese",
        "lines",
        "repeated_lines",
        "repeated_line_characters",
        "line_characters",
        "sentences",
    ),
    *(
        "repeated_sentences",
        "repeated_sentence_characters",
        "sentence_characters",
        "longest_sentence",
        "ellipsis_sentences",
    ),
)


@njit(cache=True, nogil=True)
def _swallow(points, offsets, marks, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """Lines between newlines, blank ones too; sentences inside a line up to one of 。．！？!?; an end without a "
    "sentence is in neither.
    """
    for document in range(len(offsets) - 1):
        start, end = offsets[document], offsets[document + 1]
        hiragana = katakana = japanese = lines = line_characters = sentences = sentence_characters = 0
        repeated_lines = repeated_line_characters = repeated_sentences = repeated_sentence_characters = longest = (
            ellipses
        ) = 0
        line_slots, line_used = np.zeros(64, dtype=np.uint64), 0
        slots, used = np.zeros(64, dtype=np.uint64), 0
        line_hash = sentence_hash = np.uint64(0)
        line = sentence = 0
        last = np.uint32(0)
        for i in range(start, end + 1):
            c = points[i] if i < end else np.uint32(10)
            mark = marks[c]
            closes = False
            if c == 10:
                closes = sentence > 0
            else:
                hiragana += (mark & _HIRAGANA) > 0
                katakana += (mark & _KATAKANA) > 0
                japanese += (mark & (_HIRAGANA | _KATAKANA | _KANJI | _KUTEN | _TOTEN)) > 0
                ending = (mark & _SENTENCE_END) > 0
                if sentence or not ending:
                    sentence += 1
                    line += 1
                    sentence_hash = _stepped(sentence_hash, c)
                    line_hash = _stepped(line_hash, c)
                    if not mark & _SPACE:
                        last = c
                    closes = ending
            if closes:
                sentences += 1
                sentence_characters += sentence
                longest = max(longest, sentence)
                ellipses += last == 0x30FB or last == 0x2026
                slots, used, new = _add(slots, used, sentence_hash)
                if not new:
                    repeated_sentences += 1
                    repeated_sentence_characters += sentence
                sentence = 0
                sentence_hash = np.uint64(0)
                last = np.uint32(0)
            if c == 10:
                lines += 1
                line_characters += line
                line_slots, line_used, new = _add(line_slots, line_used, line_hash)
                if not new:
                    repeated_lines += 1
                    repeated_line_characters += line
                line = 0
                line_hash = np.uint64(0)
        # fmt: off
        out[document] = np.array((
            hiragana, katakana, japanese, lines, repeated_lines, repeated_line_characters, line_characters, sentences,
            repeated_sentences, repeated_sentence_characters, sentence_characters, longest, ellipses,
        ))
        # fmt: on


# ---------------------------------------------------------------------------- lines of Gopher, FineWeb, HojiChar, OSCAR

_LINES = (
    *(
        "newlines",
        "special",
        "longest_run",
        "runs_of_newlines_lines",
        "repeated_lines",
        "repeated_line_characters",
        "paragraphs",
    ),
    *(
        "repeated_paragraphs",
        "repeated_paragraph_characters",
        "broken_lines",
        "bullet_lines",
        "ellipsis_lines",
        "filled_lines",
    ),
    *(
        "terminal_lines",
        "lines_to_30",
        "repeated_filled_characters",
        "ellipsis_newlines",
        "lines_to_10",
        "oscar_lines",
        "lines_to_100",
    ),
    *("fifth", "header_short", "footer_short", "letters_and_marks"),
)


@njit(cache=True, nogil=True)
def _lines(points, offsets, marks, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """Every count over lines and paragraphs but Swallow's; a line means what each set means by it."""
    for document in range(len(offsets) - 1):
        start, end = offsets[document], offsets[document + 1]
        newlines = 0
        for i in range(start, end):
            newlines += points[i] == 10
        oscar_lines = newlines + (end > start and points[end - 1] != 10)
        fifth = oscar_lines // 5
        special = longest_run = run = gopher_lines = repeated_lines = repeated_line_characters = 0
        broken_lines = bullet_lines = ellipsis_lines = filled = terminal = to_30 = repeated_filled = 0
        ellipsis_newlines = to_10 = to_100 = header = footer = letters = 0
        slots, used = np.zeros(64, dtype=np.uint64), 0
        value = np.uint64(0)
        line = line_bytes = number = 0
        has_text = False
        first_in_break = last_in_break = -1
        break_start = start
        before = np.uint32(10)
        for i in range(start, end + 1):
            c = points[i] if i < end else np.uint32(10)
            mark = marks[c]
            if i < end:
                special += (mark & _SPECIAL) > 0
                letters += (mark & _LETTER_OR_MARK) > 0
                run = run + 1 if i > start and c == before else 1
                longest_run = max(longest_run, run)
            # lines as str.splitlines cuts them
            if (i < end and mark & _BREAK) or (i == end and i > break_start):
                if not (c == 10 and i < end and i > start and before == 13):
                    broken_lines += 1
                    if first_in_break >= 0:
                        opening = points[first_in_break]
                        bullet_lines += opening == 0x2022 or opening == 45
                        closing = points[last_in_break]
                        ellipsis_lines += closing == 0x2026 or (
                            closing == 46
                            and last_in_break - 2 >= break_start
                            and points[last_in_break - 1] == 46
                            and points[last_in_break - 2] == 46
                        )
                break_start = i + 1
                first_in_break = last_in_break = -1
            elif i < end and not mark & _SPACE:
                if first_in_break < 0:
                    first_in_break = i
                last_in_break = i
            # lines between newlines
            if c != 10:
                value = _stepped(value, c)
                line += 1
                line_bytes += 1 + int(c > 0x7F) + int(c > 0x7FF) + int(c > 0xFFFF)
                has_text = has_text or not mark & _SPACE
            else:
                if line:
                    gopher_lines += 1
                    slots, used, new = _add(slots, used, value)
                    if not new:
                        repeated_lines += 1
                        repeated_line_characters += line
                    if has_text:
                        filled += 1
                        terminal += (marks[before] & _TERMINAL) > 0
                        to_30 += line <= 30
                        if not new:
                            repeated_filled += line
                to_10 += line <= 10
                if i < end:
                    ellipsis_newlines += line >= 1 and (
                        before == 0x2026 or (line >= 3 and before == 46 and points[i - 2] == 46 and points[i - 3] == 46)
                    )
                if i < end or line:
                    returned = line > 0 and before == 13 and i < end
                    to_100 += line - returned <= 100
                    header += number < fifth and line_bytes - returned < 100
                    footer += number >= oscar_lines - fifth and line_bytes - returned < 100
                    number += 1
                value = np.uint64(0)
                line = line_bytes = 0
                has_text = False
            before = c
        # the cut at runs of newlines leaves an empty line before a first and after a last newline
        if end > start:
            edges = (points[start] == 10) + (points[end - 1] == 10)
            gopher_lines += edges
            repeated_lines += edges == 2
        first, last = start, end
        while first < last and marks[points[first]] & _SPACE:
            first += 1
        while last > first and marks[points[last - 1]] & _SPACE:
            last -= 1
        paragraphs = repeated_paragraphs = repeated_paragraph_characters = paragraph = 0
        slots, used = np.zeros(64, dtype=np.uint64), 0
        value = np.uint64(0)
        i = first
        while i <= last:
            if i == last or (points[i] == 10 and points[i + 1] == 10):
                paragraphs += 1
                slots, used, new = _add(slots, used, value)
                if not new:
                    repeated_paragraphs += 1
                    repeated_paragraph_characters += paragraph
                value = np.uint64(0)
                paragraph = 0
                if i == last:
                    break
                while points[i] == 10:
                    i += 1
            else:
                value = _stepped(value, points[i])
                paragraph += 1
                i += 1
        # fmt: off
        out[document] = np.array((
            newlines, special, longest_run, gopher_lines, repeated_lines, repeated_line_characters, paragraphs,
            repeated_paragraphs, repeated_paragraph_characters, broken_lines, bullet_lines, ellipsis_lines, filled,
            terminal, to_30, repeated_filled, ellipsis_newlines, to_10, oscar_lines, to_100,
            fifth, header, footer, letters,
        ))
        # fmt: on


# ---------------------------------------------------------------------------------------------------- character n-grams

_GRAM_COUNTS = ("total", "top", "distinct", "repeated")
_GRAMS = (*(f"{name}_{n}" for n in range(2, 11) for name in _GRAM_COUNTS), "frequent_5")


@njit(cache=True, nogil=True)
def _character_ngrams(points, offsets, wanted, rank, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """N-grams of all characters, white space too: how many, the commonest's count, distinct ones, those seen twice.

    `wanted` says for n = 0 to 10 whether that size is asked for. What holds an n-gram seen once is itself seen once, so
    each size looks up only where the size before it found repeats. With `rank` also the places of the commonest
    5-grams, as many as the square root of the distinct ones, none seen once.
    """
    longest = 0
    for document in range(len(offsets) - 1):
        longest = max(longest, offsets[document + 1] - offsets[document])
    room = 64
    while room < 2 * min(longest, _AT_ONCE):
        room *= 2
    slots, counts = np.zeros(room, dtype=np.uint64), np.zeros(room, dtype=np.uint32)
    where = np.zeros(min(longest, _AT_ONCE), dtype=np.uint32)
    again = np.zeros(min(longest, _AT_ONCE), dtype=np.bool_)
    nowhere = np.uint32(0xFFFFFFFF)
    stamp = np.uint64(0)
    stamps = np.uint64(_STAMPS - 1)
    base = np.uint64(0x9E3779B97F4A7C15)
    places = np.zeros(64, dtype=np.uint32)
    found = np.zeros(64, dtype=np.uint32)
    for document in range(len(offsets) - 1):
        start, end = offsets[document], offsets[document + 1]
        known = 0  # the size whose repeats `again` holds
        for n in (2, 3, 4, 5, 6, 7, 8, 9, 10):
            total = end - start - n + 1
            if total <= 0 or not wanted[n]:
                continue
            leading = np.uint64(1)
            for _ in range(n):
                leading *= base
            parts = (total + _AT_ONCE - 1) // _AT_ONCE
            remembers = end - start <= _AT_ONCE
            size = 64
            while size < 2 * min(total, _AT_ONCE):
                size *= 2
            mask = np.uint64(size - 1)
            top, distinct, repeated = 1, 0, 0
            for part in range(parts):
                stamp += np.uint64(1)
                if stamp == stamps:
                    slots[:] = np.uint64(0)
                    stamp = np.uint64(1)
                twice = 0
                rolling = np.uint64(0)
                for i in range(start, start + n - 1):
                    rolling = rolling * base + np.uint64(points[i]) + np.uint64(1)
                for place in range(total):
                    i = start + place + n - 1
                    rolling = rolling * base + np.uint64(points[i]) + np.uint64(1)
                    if place:
                        rolling -= (np.uint64(points[i - n]) + np.uint64(1)) * leading
                    if known and not (again[place] and again[place + n - known]):
                        where[place] = nowhere
                        distinct += 1
                        continue
                    mixed = _mixed(rolling)
                    if parts > 1 and (mixed >> np.uint64(40)) % np.uint64(parts) != np.uint64(part):
                        continue
                    entry = (mixed & ~stamps) | stamp
                    slot = mixed & mask
                    while (slots[slot] & stamps) == stamp and slots[slot] != entry:
                        slot = (slot + np.uint64(1)) & mask
                    if slots[slot] == entry:
                        counts[slot] += np.uint32(1)
                        seen = int(counts[slot])
                        top = max(top, seen)
                        if seen == 2:
                            if rank and n == 5:
                                if twice == len(places):
                                    more = np.zeros(2 * twice, dtype=np.uint32)
                                    more[:twice] = places
                                    places = more
                                places[twice] = slot
                            twice += 1
                    else:
                        slots[slot] = entry
                        counts[slot] = np.uint32(1)
                        distinct += 1
                    if remembers:
                        where[place] = slot
                if rank and n == 5:
                    if repeated + twice > len(found):
                        more = np.zeros(2 * (repeated + twice), dtype=np.uint32)
                        more[:repeated] = found[:repeated]
                        found = more
                    for place in range(twice):
                        found[repeated + place] = counts[places[place]]
                repeated += twice
            if remembers:
                for place in range(total):
                    again[place] = where[place] != nowhere and counts[where[place]] >= 2
                known = n
            if rank and n == 5:
                kept = min(int(np.sqrt(distinct)), repeated)
                ordered = np.sort(found[:repeated])
                for place in range(kept):
                    out[document, 36] += ordered[repeated - 1 - place]
            first = 4 * (n - 2)
            out[document, first] = total
            out[document, first + 1] = top
            out[document, first + 2] = distinct
            out[document, first + 3] = repeated


# ---------------------------------------------------------------------------------------------------------------- words

_WORDS = (
    *("words", "word_characters", "letter_words", "all_words"),
    *(f"top_{n}" for n in (2, 3, 4)),
    *(f"repeated_{n}" for n in (5, 6, 7, 8, 9, 10)),
    *("total_7", "single_7", "stop_words"),
)


@njit(cache=True, nogil=True)
def _cut(points, start, end, marks, by_script, hashes, lengths, letters, plain):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """The words of a document: how many; their hashes, lengths, and whether one has a letter and is more than "
    "punctuation.
    """
    base = np.uint64(0x9E3779B97F4A7C15)
    store = len(hashes) > 0
    count = length = 0
    value = np.uint64(0)
    run = -1
    has_letter = has_more = False
    for i in range(start, end + 1):
        mark = marks[points[i]] if i < end else np.uint32(_SPACE)
        space = (mark & _SPACE) > 0
        kind = int((mark >> _WORD) & 7)
        if length:
            cut = space
            if by_script and not space and kind != _RUN_MARK:
                cut = kind == _ALONE or kind != run or (length >= 2 and kind in (_RUN_KANJI, _RUN_HIRAGANA))
            if cut:
                if store:
                    hashes[count] = value
                    lengths[count] = length
                    letters[count] = has_letter
                    plain[count] = not has_more
                count += 1
                length = 0
        if not space:
            if length == 0:
                value = np.uint64(0)
                has_letter = has_more = False
                run = kind
            value = value * base + np.uint64(points[i]) + np.uint64(1)
            length += 1
            has_letter = has_letter or bool(mark & _ALPHA)
            has_more = has_more or not mark & _PUNCTUATION
    return count


@njit(cache=True, nogil=True)
def _powered(exponent, powers):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    if exponent < len(powers):
        return powers[exponent]
    result, base = np.uint64(1), powers[1]
    while exponent:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result


@njit(cache=True, nogil=True)
def _word_ngrams(points, offsets, marks, by_script, wanted, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """Words and what their n-grams repeat; `wanted` says it of n = 2 to 10, at 0 of stop words."""
    slots, counts = np.zeros(64, dtype=np.uint64), np.zeros(64, dtype=np.uint32)
    firsts = np.zeros(64, dtype=np.uint32)
    stamp = np.uint64(0)
    stamps = np.uint64(_STAMPS - 1)
    powers = np.ones(64, dtype=np.uint64)
    for exponent in range(1, 64):
        powers[exponent] = powers[exponent - 1] * np.uint64(0x9E3779B97F4A7C15)
    nothing = np.zeros(0, dtype=np.uint64)
    no_lengths = np.zeros(0, dtype=np.int32)
    no_flags = np.zeros(0, dtype=np.bool_)
    hashes, lengths, letters, plain = nothing, no_lengths, no_flags, no_flags
    for document in range(len(offsets) - 1):
        start, end = offsets[document], offsets[document + 1]
        if end - start <= _AT_ONCE:
            room = end - start
        else:  # rather one more walk than room for a word a character
            room = _cut(points, start, end, marks, by_script, nothing, no_lengths, no_flags, no_flags)
        if room > len(hashes):
            hashes, lengths = np.zeros(room, dtype=np.uint64), np.zeros(room, dtype=np.int32)
            letters, plain = np.zeros(room, dtype=np.bool_), np.zeros(room, dtype=np.bool_)
        count = _cut(points, start, end, marks, by_script, hashes, lengths, letters, plain) if room else 0
        for word in range(count):
            out[document, 0] += not plain[word]
            out[document, 1] += 0 if plain[word] else lengths[word]
            out[document, 2] += letters[word]
        out[document, 3] = count
        if wanted[0]:
            bits = 0
            for i in range(start, end):
                bits |= 1 << int((marks[points[i]] >> _STOP) & 15)
            for place in range(1, 16):
                out[document, 15] += (bits >> place) & 1
        for n in (2, 3, 4, 5, 6, 7, 8, 9, 10):
            total = count - n + 1
            if total <= 0:
                continue
            if wanted[n] & 1:  # n-grams that may overlap, counted: the commonest, and those seen once
                parts = (total + _AT_ONCE - 1) // _AT_ONCE
                size = 64
                while size < 2 * min(total, _AT_ONCE):
                    size *= 2
                if size > len(slots):
                    slots, counts, stamp = (
                        np.zeros(size, dtype=np.uint64),
                        np.zeros(size, dtype=np.uint32),
                        np.uint64(0),
                    )
                if size > len(firsts):
                    firsts = np.zeros(size, dtype=np.uint32)
                if len(counts) < len(slots):
                    counts = np.zeros(len(slots), dtype=np.uint32)
                mask = np.uint64(size - 1)
                best = best_first = single = 0
                for part in range(parts):
                    stamp += np.uint64(1)
                    if stamp == stamps:
                        slots[:] = np.uint64(0)
                        stamp = np.uint64(1)
                    for place in range(total):
                        value = np.uint64(0)
                        for word in range(place, place + n):
                            value = (value + hashes[word]) * np.uint64(0xD6E8FEB86659FD93)
                            value ^= value >> np.uint64(32)
                        mixed = _mixed(value)
                        if parts > 1 and (mixed >> np.uint64(40)) % np.uint64(parts) != np.uint64(part):
                            continue
                        entry = (mixed & ~stamps) | stamp
                        slot = mixed & mask
                        while (slots[slot] & stamps) == stamp and slots[slot] != entry:
                            slot = (slot + np.uint64(1)) & mask
                        if slots[slot] == entry:
                            counts[slot] += np.uint32(1)
                            single -= counts[slot] == 2
                        else:
                            slots[slot] = entry
                            counts[slot] = np.uint32(1)
                            firsts[slot] = place
                            single += 1
                        seen, first = int(counts[slot]), int(firsts[slot])
                        if seen > best or (seen == best and first < best_first):
                            best, best_first = seen, first
                if n <= 4:
                    characters = n - 1  # joined with a space between two words
                    for word in range(best_first, best_first + n):
                        characters += lengths[word]
                    out[document, 2 + n] = characters * best
                if n == 7:
                    out[document, 13] = total
                    out[document, 14] = single
            if n >= 5 and wanted[n] & 2:  # a repeated n-gram is stepped over whole
                size = 64
                while 2 * size < 3 * total:
                    size *= 2
                if size > len(slots):
                    slots, stamp = np.zeros(size, dtype=np.uint64), np.uint64(0)
                mask = np.uint64(size - 1)
                stamp += np.uint64(1)
                if stamp == stamps:
                    slots[:] = np.uint64(0)
                    stamp = np.uint64(1)
                place = 0
                while place < total:
                    value = np.uint64(0)
                    characters = 0
                    for word in range(place, place + n):
                        value = value * _powered(lengths[word], powers) + hashes[word]
                        characters += lengths[word]
                    mixed = _mixed(value)
                    entry = (mixed & ~stamps) | stamp
                    slot = mixed & mask
                    while (slots[slot] & stamps) == stamp and slots[slot] != entry:
                        slot = (slot + np.uint64(1)) & mask
                    if slots[slot] == entry:
                        out[document, 2 + n] += characters
                        place += n
                    else:
                        slots[slot] = entry
                        place += 1


# ------------------------------------------------------------------------------------------------------------- families


def _share(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """The quotient, null where the whole is zero."""
    return pl.when(whole > 0).then(part / whole)


_Walk = Callable[[npt.NDArray[np.uint32], npt.NDArray[np.int64], npt.NDArray[np.int64]], None]


def _walked(text: pl.Series, walks: Mapping[str, tuple[tuple[str, ...], _Walk]]) -> dict[str, pl.DataFrame]:
    """Every walk's counters, one row a document; a slice of the texts becomes code points once for all walks."""
    rows: dict[str, list[npt.NDArray[np.int64]]] = {name: [] for name in walks}
    for points, offsets in code_points(text):
        for name, (columns, walk) in walks.items():
            out = np.zeros((len(offsets) - 1, len(columns)), dtype=np.int64)
            walk(points, offsets, out)
            rows[name].append(out)
    tables = {}
    sizes = {"characters": text.str.len_chars().cast(pl.Int64)}
    for name, (columns, _) in walks.items():
        stacked = np.concatenate([*rows[name], np.empty((0, len(columns)), dtype=np.int64)])
        counted = {column: np.ascontiguousarray(stacked[:, place]) for place, column in enumerate(columns)}
        tables[name] = pl.DataFrame(counted | sizes)
    return tables


def _of_swallow(table: pl.DataFrame) -> pl.DataFrame:
    column = pl.col
    return table.select(
        swallow_japanese_letters=column("japanese"),
        swallow_japanese_share=_share(column("japanese"), column("characters")),
        swallow_hiragana_share=_share(column("hiragana"), column("japanese")),
        swallow_katakana_share=_share(column("katakana"), column("japanese")),
        swallow_repeated_line_share=_share(column("repeated_lines"), column("lines")),
        swallow_repeated_line_characters=_share(column("repeated_line_characters"), column("line_characters")),
        swallow_repeated_sentence_share=_share(column("repeated_sentences"), column("sentences")),
        swallow_repeated_sentence_characters=_share(
            column("repeated_sentence_characters"), column("sentence_characters")
        ),
        swallow_mean_sentence_length=_share(column("sentence_characters"), column("sentences")),
        swallow_longest_sentence=column("longest_sentence"),
        swallow_ellipsis_sentence_share=_share(column("ellipsis_sentences"), column("sentences")),
    )


def _of_lines(table: pl.DataFrame) -> pl.DataFrame:
    column = pl.col
    characters = column("characters")
    half = column("oscar_lines") // 2
    warnings = {
        "tiny": column("oscar_lines") < 5,
        "short_sentences": column("lines_to_100") > half,
        "header": column("header_short") > column("fifth") // 2,
        "footer": column("footer_short") > column("fifth") // 2,
        "noisy": characters - column("letters_and_marks") > characters // 2,
    }
    return table.select(
        special_character_share=pl.when(characters > 0).then(column("special") / characters).otherwise(0.0),
        longest_run=column("longest_run"),
        gopher_repeated_line_share=_share(column("repeated_lines"), column("runs_of_newlines_lines")),
        gopher_repeated_line_characters=_share(column("repeated_line_characters"), characters),
        gopher_repeated_paragraph_share=_share(column("repeated_paragraphs"), column("paragraphs")),
        gopher_repeated_paragraph_characters=_share(column("repeated_paragraph_characters"), characters),
        gopher_bullet_line_share=_share(column("bullet_lines"), column("broken_lines")),
        gopher_ellipsis_line_share=_share(column("ellipsis_lines"), column("broken_lines")),
        fineweb_punctuated_line_share=_share(column("terminal_lines"), column("filled_lines")),
        fineweb_short_line_share=_share(column("lines_to_30"), column("filled_lines")),
        fineweb_repeated_line_characters=_share(
            pl.when(column("filled_lines") > 0).then(column("repeated_filled_characters")),
            characters - column("newlines"),
        ),
        hojichar_ellipsis_line_share=column("ellipsis_newlines") / pl.max_horizontal(column("newlines"), pl.lit(1)),
        hojichar_short_line_share=column("lines_to_10") / (column("newlines") + 1),
        header_short_line_share=_share(column("header_short"), column("fifth")),
        footer_short_line_share=_share(column("footer_short"), column("fifth")),
        oscar_warnings=pl.concat_list(
            pl.when(warning).then(pl.lit(name)).otherwise(pl.lit(None, dtype=pl.String))
            for name, warning in warnings.items()
        ).list.drop_nulls(),
    )


def _of_character_ngrams(table: pl.DataFrame) -> pl.DataFrame:
    column = pl.col

    def share(part: str, whole: str) -> pl.Expr:
        return pl.when(column(whole) > 0).then(column(part) / column(whole)).otherwise(0.0)

    return table.select(
        *(_share(column(f"top_{n}"), column(f"total_{n}")).alias(f"top_{n}gram_share") for n in (2, 3, 4)),
        *(share(f"repeated_{n}", f"distinct_{n}").alias(f"repeated_distinct_{n}gram_share") for n in range(5, 11)),
        frequent_5gram_share=share("frequent_5", "total_5"),
    )


def _count_words(
    by_script: bool,  # bound once, by name of the set
    sizes: npt.NDArray[np.int64],
    points: npt.NDArray[np.uint32],
    offsets: npt.NDArray[np.int64],
    out: npt.NDArray[np.int64],
) -> None:
    _word_ngrams(points, offsets, marks(), by_script, sizes, out)


def _word_sizes(prefix: str, names: Collection[str]) -> npt.NDArray[np.int64]:
    """What `_word_ngrams` is to do with each size: 1 count all, 2 step over what repeats."""
    wanted = np.zeros(11, dtype=np.int64)
    wanted[0] = "fineweb2_stop_words" in names
    for n in (2, 3, 4):
        wanted[n] = f"{prefix}_top_{n}gram_characters" in names
    for n in range(5, 11):
        wanted[n] = 2 * (f"{prefix}_repeated_{n}gram_characters" in names)
    wanted[7] |= "hojichar_repeated_word_7gram_share" in names and prefix == "fineweb2"
    return wanted


def _of_words(table: pl.DataFrame, text: pl.Series, prefix: str) -> pl.DataFrame:
    column = pl.col
    by_script = prefix == "fineweb2"
    characters = column("characters")
    ellipses = text.str.count_matches("...", literal=True) + text.str.count_matches("…", literal=True)
    return table.with_columns(
        text.str.count_matches("\n", literal=True).cast(pl.Int64).alias("newlines"),
        text.str.count_matches("#", literal=True).cast(pl.Int64).alias("hashes"),
        ellipses.cast(pl.Int64).alias("ellipses"),
    ).select(
        column("words").alias(f"{prefix}_words"),
        _share(column("word_characters"), column("words")).alias(f"{prefix}_mean_word_length"),
        _share(column("letter_words"), column("all_words")).alias(f"{prefix}_letter_word_share"),
        _share(column("hashes"), column("all_words")).alias(f"{prefix}_hashes_per_word"),
        _share(column("ellipses"), column("all_words")).alias(f"{prefix}_ellipses_per_word"),
        _share(column("newlines"), column("all_words")).alias(f"{prefix}_newlines_per_word"),
        *(_share(column(f"top_{n}"), characters).alias(f"{prefix}_top_{n}gram_characters") for n in (2, 3, 4)),
        *(
            _share(column(f"repeated_{n}"), characters).alias(f"{prefix}_repeated_{n}gram_characters")
            for n in range(5, 11)
        ),
        column("stop_words").alias("fineweb2_stop_words" if by_script else "stop_characters"),
        pl.when(column("total_7") > 0)
        .then((column("total_7") - column("single_7")) / column("total_7"))
        .otherwise(0.0)
        .alias("hojichar_repeated_word_7gram_share" if by_script else "repeated_word_7gram_share"),
    )


_FORUM_MARKS = (
    r"\d{4}[-./年] *\d{1,2}[-./月] *\d{1,2}日*|-|\d+話|\([月火水木金土日]\)|"
    r"コメント|レビュー|投稿|質問|ページ|楽天市場|SOLD OUT"
)
"""Dates, hyphens, episode numbers, weekdays in ASCII brackets, words of shops and boards: HojiChar's board pages."""


def _of_patterns(text: pl.Series) -> pl.DataFrame:
    table = pl.DataFrame({"text": text})
    column = pl.col("text")
    kuten = column.str.count_matches("。", literal=True)
    return table.select(
        kana_in_first_50=column.str.slice(0, 50).str.contains("[ぁ-んァ-ン]").cast(pl.Int64),
        characters_per_kuten=_share(column.str.len_chars(), kuten),
        forum_marks=column.str.count_matches(_FORUM_MARKS),
    )


def _of_zlib(text: pl.Series) -> pl.DataFrame:
    ratios: list[float | None] = []
    for one in text:
        encoded = one.encode()
        ratios.append(len(zlib.compress(encoded, 9)) / len(encoded) if encoded else None)
    return pl.DataFrame({"zlib_ratio": pl.Series(ratios, dtype=pl.Float64)})


_POLICIES = "terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies"


def _of_c4(text: pl.Series) -> pl.DataFrame:
    """C4's page rules after its line rules: once as published, once without the one about punctuation, as FineWeb "
    "runs it.
    """
    line = pl.col("line")
    lines = (
        pl.DataFrame({"text": text.str.replace_all("[\x1c-\x1f]", " ").str.split("\n")})  # white space to Python
        .with_row_index("document")
        .explode("text", empty_as_null=True)
        .select("document", line=pl.col("text").str.strip_chars())
        .filter(line.str.contains(" ", literal=True) | line.str.contains(r"\S\s+\S"))
    )
    long = lines["line"].str.len_chars() > 1000
    too_long = pl.Series(
        [
            value and any(len(word) > 1000 for word in one.split())
            for one, value in zip(lines["line"], long, strict=True)
        ]
    )
    lines = (
        lines.filter(~too_long.cast(pl.Boolean))
        .with_columns(
            words=line.str.count_matches(r"\S+"), line=line.str.replace_all(r"\[(?:\d*|edit|citation needed)\]", "")
        )
        .filter(pl.col("words") >= 3)
        .with_columns(
            lower=line.str.to_lowercase(), ended=line.str.contains(r"""[.?!"']\z""") & ~line.str.ends_with("...")
        )
        .with_columns(javascript=pl.col("lower").str.contains("javascript", literal=True))
        .select(
            "document",
            "ended",
            lorem=pl.col("lower").str.contains("lorem ipsum", literal=True),
            curly=line.str.contains("{", literal=True) & ~pl.col("javascript"),
            sentences=pl.when(~pl.col("javascript") & ~pl.col("lower").str.contains(_POLICIES))
            .then(1 + line.str.count_matches(r"""[.!?]["')\]]*\s"""))
            .otherwise(0),
        )
    )
    result = pl.DataFrame({"document": pl.Series(range(len(text)), dtype=pl.get_index_type())})
    for prefix, some in (("c4", lines.filter("ended")), ("fineweb_c4", lines)):
        counted = some.group_by("document").agg(
            pl.col("sentences").sum().alias(f"{prefix}_sentences"),
            pl.col("lorem").any().cast(pl.Int64).alias(f"{prefix}_lorem_ipsum"),
            pl.col("curly").any().cast(pl.Int64).alias(f"{prefix}_curly_bracket"),
        )
        result = result.join(counted, on="document", how="left", maintain_order="left")
    return result.drop("document").fill_null(0)


def _of_addresses(url: pl.Series) -> pl.DataFrame:
    address = pl.col("url")
    host = address.str.extract(r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?([^/?#:]+)").str.to_lowercase()
    labels = pl.col("host").str.split(".")
    return (
        pl.DataFrame({"url": url})
        .with_columns(host=host)
        .select(
            tld=labels.list.last(),
            origin=address.str.extract(r"^([A-Za-z][A-Za-z0-9+.-]*://[^/]*/)"),
            # parents.example.org lies in example.org and org
            parent_hosts=pl.concat_list(
                pl.col("host").str.extract(rf"^(?:[^.]+\.){{{skipped}}}(.+)$") for skipped in range(1, 7)
            ).list.drop_nulls(),
        )
        .with_columns(parent_hosts=pl.when(pl.col("tld").is_not_null()).then("parent_hosts"))
    )


# ---------------------------------------------------------------------------------------------------------------- names

_N, _F, _S, _L = pl.UInt32, pl.Float64, pl.String, pl.List(pl.String)

_SWALLOW_SIGNALS = {
    "swallow_japanese_letters": Signal(_N, "hiragana, katakana without ー, kanji, and 。．！？、，"),
    "swallow_japanese_share": Signal(_F, "Swallow's Japanese letters, of all characters"),
    "swallow_hiragana_share": Signal(_F, "hiragana, of Swallow's Japanese letters"),
    "swallow_katakana_share": Signal(_F, "katakana without ー, of Swallow's Japanese letters"),
    "swallow_repeated_line_share": Signal(
        _F, "lines that stood before, of lines; blank lines count, so all but the first are repeats"
    ),
    "swallow_repeated_line_characters": Signal(_F, "characters of lines that stood before, of characters of lines"),
    "swallow_repeated_sentence_share": Signal(
        _F, "sentences (up to one of 。．！？!? in a line) that stood before, of sentences"
    ),
    "swallow_repeated_sentence_characters": Signal(
        _F, "characters of sentences that stood before, of characters of sentences"
    ),
    "swallow_mean_sentence_length": Signal(_F, "characters a sentence, its end included"),
    "swallow_longest_sentence": Signal(_N, "characters of the longest sentence, its end included"),
    "swallow_ellipsis_sentence_share": Signal(_F, "sentences whose last character is ・ or …, of sentences"),
}
_LINE_SIGNALS = {
    "special_character_share": Signal(
        _F, "punctuation, white space, emoji and other signs of HojiChar's list, of all characters"
    ),
    "longest_run": Signal(_N, "longest run of one character, white space too"),
    "gopher_repeated_line_share": Signal(_F, "lines that stood before, of lines cut at runs of newlines"),
    "gopher_repeated_line_characters": Signal(_F, "characters of lines that stood before, of all characters"),
    "gopher_repeated_paragraph_share": Signal(_F, "paragraphs (between blank lines) that stood before, of paragraphs"),
    "gopher_repeated_paragraph_characters": Signal(_F, "characters of paragraphs that stood before, of all characters"),
    "gopher_bullet_line_share": Signal(_F, "lines that start with • or -, of lines, blank ones too"),
    "gopher_ellipsis_line_share": Signal(_F, "lines that end in ... or …, of lines, blank ones too"),
    "fineweb_punctuated_line_share": Signal(
        _F, "lines whose last character ends a sentence in some script (not 」 or …), of lines with text"
    ),
    "fineweb_short_line_share": Signal(_F, "lines of at most 30 characters, of lines with text"),
    "fineweb_repeated_line_characters": Signal(
        _F, "characters of lines that stood before, of all characters but newlines"
    ),
    "hojichar_ellipsis_line_share": Signal(_F, "newlines after ... or …, of newlines (at least one)"),
    "hojichar_short_line_share": Signal(_F, "lines of at most 10 characters, blank ones too, of lines"),
    "header_short_line_share": Signal(
        _F, "lines under 100 UTF-8 bytes, of the first fifth of the lines; null under 5 lines"
    ),
    "footer_short_line_share": Signal(
        _F, "lines under 100 UTF-8 bytes, of the last fifth of the lines; null under 5 lines"
    ),
    "oscar_warnings": Signal(
        _L, "OSCAR's warnings by its own tests on the text: tiny, short_sentences, header, footer, noisy"
    ),
}
_CHARACTER_NGRAM_SIGNALS = {
    **{
        f"top_{n}gram_share": Signal(_F, f"commonest {n}-gram of characters, of all {n}-grams; white space counts")
        for n in (2, 3, 4)
    },
    **{
        f"repeated_distinct_{n}gram_share": Signal(
            _F, f"{n}-grams of characters seen twice or more, of distinct {n}-grams; white space counts"
        )
        for n in range(5, 11)
    },
    "frequent_5gram_share": Signal(
        _F, "5-grams of characters among the √distinct commonest that repeat, of all 5-grams (BigScience)"
    ),
}
_WORD_SIGNALS = {
    prefix: {
        f"{prefix}_words": Signal(_N, f"{words} with more than punctuation in them"),
        f"{prefix}_mean_word_length": Signal(_F, f"characters a word, of {words} with more than punctuation in them"),
        f"{prefix}_letter_word_share": Signal(_F, f"words with a letter, of {words}"),
        f"{prefix}_hashes_per_word": Signal(_F, f"# per word; {words}"),
        f"{prefix}_ellipses_per_word": Signal(_F, f"... and … per word; {words}"),
        f"{prefix}_newlines_per_word": Signal(_F, f"newlines per word; {words}"),
        **{
            f"{prefix}_top_{n}gram_characters": Signal(
                _F,
                f"characters of the commonest {n} words in a row, all its places, spaces between them too, of all "
                f"characters; {words}",
            )
            for n in (2, 3, 4)
        },
        **{
            f"{prefix}_repeated_{n}gram_characters": Signal(
                _F,
                f"characters of {n} words in a row that stood before, stepped over whole, of all characters; {words}",
            )
            for n in range(5, 11)
        },
    }
    for prefix, words in (("gopher", "runs between white space"), ("fineweb2", "words in the character form"))
}
_WORD_SIGNALS["fineweb2"] |= {
    "fineweb2_stop_words": Signal(_N, f"how many of {FINEWEB2_STOP_WORDS} stand in the text, 0 to 15"),
    "hojichar_repeated_word_7gram_share": Signal(
        _F, "7 words in a row that stand there twice or more, of all; words in the character form"
    ),
}
_PATTERN_SIGNALS = {
    "kana_in_first_50": Signal(
        _N, "whether hiragana or katakana (ぁ to ん, ァ to ン) stand among the first 50 characters, 0 or 1"
    ),
    "characters_per_kuten": Signal(_F, "characters per 。; null without any"),
    "forum_marks": Signal(
        _N, "dates, hyphens, weekdays in brackets and words of shops and boards, as HojiChar counts them"
    ),
}
_ZLIB_SIGNALS = {"zlib_ratio": Signal(_F, "bytes after zlib at level 9, of UTF-8 bytes; null for empty text")}
_C4_SIGNALS = {
    f"{prefix}_{name}": Signal(_N, f"{description}, on lines {lines}")
    for prefix, lines in (("c4", "that C4 keeps"), ("fineweb_c4", "that C4 keeps without its rule about punctuation"))
    for name, description in (
        ("sentences", "sentences"),
        ("lorem_ipsum", "whether lorem ipsum stands, 0 or 1"),
        ("curly_bracket", "whether { stands, 0 or 1"),
    )
}
ADDRESS_SIGNALS: Mapping[str, Signal] = {
    "tld": Signal(_S, "last label of the address's host, in lower case; null without an address"),
    "origin": Signal(_S, "the address up to the first / after its host, as it is written; null where there is none"),
    "parent_hosts": Signal(
        _L, "what the host lies in: for a.b.example also b.example and example; at most six; null without an address"
    ),
}

PUBLISHED: Mapping[str, Signal] = {
    **_SWALLOW_SIGNALS,
    **_LINE_SIGNALS,
    **_CHARACTER_NGRAM_SIGNALS,
    **_WORD_SIGNALS["gopher"],
    **_WORD_SIGNALS["fineweb2"],
    **_PATTERN_SIGNALS,
    **_ZLIB_SIGNALS,
    **_C4_SIGNALS,
    **ADDRESS_SIGNALS,
}
"""Every number only published sets compare: measured for a mix that names it."""


def measure(text: pl.Series, url: pl.Series, names: Collection[str]) -> pl.DataFrame:
    """The named numbers of `PUBLISHED` for every text (no nulls) and address, same rows; columns in the order of "
    "`PUBLISHED`.
    """
    wanted = set(names)
    unknown = wanted - set(PUBLISHED)
    if unknown:
        raise ValueError(f"no published signals: {sorted(unknown)}")
    columns: dict[str, pl.Series] = {}

    def add(table: pl.DataFrame) -> None:
        columns.update({column.name: column for column in table if column.name in wanted})

    walks: dict[str, tuple[tuple[str, ...], _Walk]] = {}
    if wanted & set(_SWALLOW_SIGNALS):
        walks["swallow"] = (_SWALLOW, lambda points, offsets, out: _swallow(points, offsets, marks(), out))
    if wanted & set(_LINE_SIGNALS):
        walks["lines"] = (_LINES, lambda points, offsets, out: _lines(points, offsets, marks(), out))
    if wanted & set(_CHARACTER_NGRAM_SIGNALS):
        grams = wanted & set(_CHARACTER_NGRAM_SIGNALS)
        sizes = np.array([any(f"_{n}gram_share" in name for name in grams) for n in range(11)])
        rank = "frequent_5gram_share" in wanted
        walks["ngrams"] = (_GRAMS, lambda points, offsets, out: _character_ngrams(points, offsets, sizes, rank, out))
    for prefix, own in _WORD_SIGNALS.items():
        if wanted & set(own):
            walks[prefix] = (_WORDS, functools.partial(_count_words, prefix == "fineweb2", _word_sizes(prefix, wanted)))
    tables = _walked(text, walks) if walks else {}
    for name, family in (("swallow", _of_swallow), ("lines", _of_lines), ("ngrams", _of_character_ngrams)):
        if name in tables:
            add(family(tables[name]))
    for prefix in _WORD_SIGNALS:
        if prefix in tables:
            add(_of_words(tables[prefix], text, prefix))
    for own, read in ((_PATTERN_SIGNALS, _of_patterns), (_ZLIB_SIGNALS, _of_zlib), (_C4_SIGNALS, _of_c4)):
        if wanted & set(own):
            add(read(text))
    if wanted & set(ADDRESS_SIGNALS):
        add(_of_addresses(url))
    return pl.DataFrame(
        [
            (columns[name].fill_nan(None) if signal.dtype == _F else columns[name]).cast(signal.dtype)
            for name, signal in PUBLISHED.items()
            if name in wanted
        ]
    )
