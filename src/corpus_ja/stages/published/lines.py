"""Lines, sentences and paragraphs as each published set cuts them, and what of them repeats."""

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

from corpus_ja.stages.measurement import Signal
from corpus_ja.stages.published.alphabet import (
    BREAK,
    HIRAGANA,
    KANJI,
    KATAKANA,
    KUTEN,
    LETTER_OR_MARK,
    SENTENCE_END,
    SPACE,
    SPECIAL,
    TERMINAL,
    TOTEN,
    marks,
)
from corpus_ja.stages.published.quotients import share

_SLOTS = 1 << 14
"""Slots of a set of hashes to begin with, lent to every document; only a longer set is made for one."""


@njit(cache=True, nogil=True)
def _begun(slots, characters):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """Empty as much of a set as a document of so many characters is likely to need; its size."""
    size = 64
    while 8 * size < characters and size < len(slots):
        size *= 2
    slots[:size] = np.uint64(0)
    return size


@njit(cache=True, nogil=True)
def _grown(slots, size):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """The same set with twice as many slots, of its own."""
    larger = np.zeros(2 * size, dtype=np.uint64)
    mask = np.uint64(2 * size - 1)
    for place in range(size):
        entry = slots[place]
        if entry:
            slot = (entry >> np.uint64(20)) & mask
            while larger[slot]:
                slot = (slot + np.uint64(1)) & mask
            larger[slot] = entry
    return larger


@njit(cache=True, nogil=True, forceinline=True)
def _new(slots, size, value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """Put a hash into a set with room for it; whether it was not there."""
    mask = np.uint64(size - 1)
    value |= np.uint64(1)  # zero marks an empty slot
    slot = (value >> np.uint64(20)) & mask
    while slots[slot]:
        if slots[slot] == value:
            return False
        slot = (slot + np.uint64(1)) & mask
    slots[slot] = value
    return True


@njit(cache=True, nogil=True)
def _length(first, after):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    return np.int64(after - first)


@njit(cache=True, nogil=True)
def _stepped(value, c):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    value = (value ^ (np.uint64(c) + np.uint64(1))) * np.uint64(0x9E3779B97F4A7C15)
    return value ^ (value >> np.uint64(31))


# ---------------------------------------------------------------------------------------- Swallow's characters and sentences

SWALLOW_COUNTS = (
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
    """Lines between newlines, blank ones too; sentences inside a line up to one of 。．！？!?; an end without a
    sentence is in neither.
    """
    places = offsets.astype(np.uint64)  # numba looks at every signed index whether it counts from the end
    lent_to_lines, lent = np.empty(_SLOTS, dtype=np.uint64), np.empty(_SLOTS, dtype=np.uint64)
    for document in range(len(offsets) - 1):
        start, end = offsets[document], offsets[document + 1]
        hiragana = katakana = japanese = lines = line_characters = sentences = sentence_characters = 0
        repeated_lines = repeated_line_characters = repeated_sentences = repeated_sentence_characters = longest = (
            ellipses
        ) = 0
        line_slots, slots = lent_to_lines, lent
        line_size, size = _begun(line_slots, end - start), _begun(slots, end - start)
        line_used = used = 0
        line_hash = np.uint64(0)
        line = 0
        first, last = places[document], places[document + 1]
        place = first
        while place <= last:
            sentence_hash = np.uint64(0)
            ending = newline = False
            while place < last and not (ending or newline):
                c = points[place]
                mark = marks[c]
                hiragana += (mark & HIRAGANA) > 0
                katakana += (mark & KATAKANA) > 0
                japanese += (mark & (HIRAGANA | KATAKANA | KANJI | KUTEN | TOTEN)) > 0
                ending = (mark & SENTENCE_END) > 0
                newline = c == 10
                before, sentence_hash = sentence_hash, _stepped(sentence_hash, c)
                place += np.uint64(1)
            after = place - np.uint64(newline)  # the end belongs to the sentence, the newline does not
            sentence = _length(first, after)
            if sentence > ending:
                if newline:
                    sentence_hash = before
                sentences += 1
                sentence_characters += sentence
                line += sentence
                longest = max(longest, sentence)
                final = after - np.uint64(1)
                while final > first and marks[points[final]] & SPACE:
                    final -= np.uint64(1)
                ellipses += points[final] == 0x30FB or points[final] == 0x2026
                # a line is its sentences, and the same characters are cut alike
                line_hash = line_hash * np.uint64(0xBF58476D1CE4E5B9) + sentence_hash
                if 2 * used >= size:
                    slots = _grown(slots, size)
                    size *= 2
                new = _new(slots, size, sentence_hash)
                used += new
                if not new:
                    repeated_sentences += 1
                    repeated_sentence_characters += sentence
            if not ending:
                lines += 1
                line_characters += line
                if 2 * line_used >= line_size:
                    line_slots = _grown(line_slots, line_size)
                    line_size *= 2
                new = _new(line_slots, line_size, line_hash)
                line_used += new
                if not new:
                    repeated_lines += 1
                    repeated_line_characters += line
                line = 0
                line_hash = np.uint64(0)
                if not newline:
                    break
            first = place
        # fmt: off
        out[document] = np.array((
            hiragana, katakana, japanese, lines, repeated_lines, repeated_line_characters, line_characters, sentences,
            repeated_sentences, repeated_sentence_characters, sentence_characters, longest, ellipses,
        ))
        # fmt: on


# ---------------------------------------------------------------------------- lines of Gopher, FineWeb, HojiChar, OSCAR

LINE_COUNTS = (
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
    places = offsets.astype(np.uint64)
    lent = np.empty(_SLOTS, dtype=np.uint64)
    for document in range(len(offsets) - 1):
        start, end = offsets[document], offsets[document + 1]
        newlines = 0
        for i in range(start, end):
            newlines += points[np.uint64(i)] == 10
        oscar_lines = newlines + (end > start and points[end - 1] != 10)
        fifth = oscar_lines // 5
        special = longest_run = run = gopher_lines = repeated_lines = repeated_line_characters = 0
        broken_lines = bullet_lines = ellipsis_lines = filled = terminal = to_30 = repeated_filled = 0
        ellipsis_newlines = to_10 = to_100 = header = footer = letters = 0
        slots, size, used = lent, _begun(lent, end - start), 0
        value = np.uint64(0)
        line_bytes = number = 0
        has_text = False
        first, last = places[document], places[document + 1]
        place = line_start = break_start = first
        before = np.uint32(0x110000)  # no character
        c = np.uint32(10)
        while place <= last:
            closes = False
            while place < last:
                c = points[place]
                mark = marks[c]
                special += (mark & SPECIAL) > 0
                letters += (mark & LETTER_OR_MARK) > 0
                run = run * (c == before) + 1
                longest_run = max(longest_run, run)
                closes = (mark & BREAK) > 0
                if closes:
                    break
                value = _stepped(value, c)
                line_bytes += 1 + int(c > 0x7F) + int(c > 0x7FF) + int(c > 0xFFFF)
                before = c
                place += np.uint64(1)
            if not closes:
                c = np.uint32(10)  # what closes the last line
            # lines as str.splitlines cuts them
            opening, closing = break_start, place
            while opening < place and marks[points[opening]] & SPACE:
                opening += np.uint64(1)
            while closing > opening and marks[points[closing - np.uint64(1)]] & SPACE:
                closing -= np.uint64(1)
            filled_break = closing > opening
            if (closes or place > break_start) and not (closes and c == 10 and before == 13):
                broken_lines += 1
                if filled_break:
                    bullet_lines += points[opening] == 0x2022 or points[opening] == 45
                    final = points[closing - np.uint64(1)]
                    ellipsis_lines += final == 0x2026 or (
                        final == 46
                        and closing >= break_start + np.uint64(3)
                        and points[closing - np.uint64(2)] == 46
                        and points[closing - np.uint64(3)] == 46
                    )
            break_start = place + np.uint64(1)
            has_text = has_text or filled_break
            # lines between newlines
            if c != 10:
                value = _stepped(value, c)
                line_bytes += 1 + int(c > 0x7F) + int(c > 0x7FF)
                has_text = has_text or not marks[c] & SPACE
            else:
                line = _length(line_start, place)
                if line:
                    gopher_lines += 1
                    if 2 * used >= size:
                        slots = _grown(slots, size)
                        size *= 2
                    new = _new(slots, size, value)
                    used += new
                    if not new:
                        repeated_lines += 1
                        repeated_line_characters += line
                    if has_text:
                        filled += 1
                        terminal += (marks[before] & TERMINAL) > 0
                        to_30 += line <= 30
                        if not new:
                            repeated_filled += line
                to_10 += line <= 10
                if closes:
                    ellipsis_newlines += line >= 1 and (
                        before == 0x2026
                        or (
                            line >= 3
                            and before == 46
                            and points[place - np.uint64(2)] == 46
                            and points[place - np.uint64(3)] == 46
                        )
                    )
                if closes or line:
                    returned = line > 0 and before == 13 and closes
                    to_100 += line - returned <= 100
                    header += number < fifth and line_bytes - returned < 100
                    footer += number >= oscar_lines - fifth and line_bytes - returned < 100
                    number += 1
                value = np.uint64(0)
                line_bytes = 0
                has_text = False
                line_start = place + np.uint64(1)
            before = c
            place += np.uint64(1)
        # the cut at runs of newlines leaves an empty line before a first and after a last newline
        if end > start:
            edges = (points[start] == 10) + (points[end - 1] == 10)
            gopher_lines += edges
            repeated_lines += edges == 2
        opening, closing = start, end
        while opening < closing and marks[points[opening]] & SPACE:
            opening += 1
        while closing > opening and marks[points[closing - 1]] & SPACE:
            closing -= 1
        paragraphs = repeated_paragraphs = repeated_paragraph_characters = paragraph = 0
        slots, size, used = lent, _begun(lent, end - start), 0
        value = np.uint64(0)
        i = opening
        while i <= closing:
            if i == closing or (points[np.uint64(i)] == 10 and points[np.uint64(i + 1)] == 10):
                paragraphs += 1
                if 2 * used >= size:
                    slots = _grown(slots, size)
                    size *= 2
                new = _new(slots, size, value)
                used += new
                if not new:
                    repeated_paragraphs += 1
                    repeated_paragraph_characters += paragraph
                value = np.uint64(0)
                paragraph = 0
                if i == closing:
                    break
                while points[np.uint64(i)] == 10:
                    i += 1
            else:
                value = _stepped(value, points[np.uint64(i)])
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


def count_swallow(points: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64], out: npt.NDArray[np.int64]) -> None:
    """One row a document and a column an entry of `SWALLOW_COUNTS`."""
    _swallow(points, offsets, marks(), out)


def count_lines(points: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64], out: npt.NDArray[np.int64]) -> None:
    """One row a document and a column an entry of `LINE_COUNTS`."""
    _lines(points, offsets, marks(), out)


def of_swallow(table: pl.DataFrame) -> pl.DataFrame:
    """The signals of `SWALLOW_SIGNALS` from the counts of `SWALLOW_COUNTS` and the column `characters`."""
    column = pl.col
    return table.select(
        swallow_japanese_letters=column("japanese"),
        swallow_japanese_share=share(column("japanese"), column("characters")),
        swallow_hiragana_share=share(column("hiragana"), column("japanese")),
        swallow_katakana_share=share(column("katakana"), column("japanese")),
        swallow_repeated_line_share=share(column("repeated_lines"), column("lines")),
        swallow_repeated_line_characters=share(column("repeated_line_characters"), column("line_characters")),
        swallow_repeated_sentence_share=share(column("repeated_sentences"), column("sentences")),
        swallow_repeated_sentence_characters=share(
            column("repeated_sentence_characters"), column("sentence_characters")
        ),
        swallow_mean_sentence_length=share(column("sentence_characters"), column("sentences")),
        swallow_longest_sentence=column("longest_sentence"),
        swallow_ellipsis_sentence_share=share(column("ellipsis_sentences"), column("sentences")),
    )


def of_lines(table: pl.DataFrame) -> pl.DataFrame:
    """The signals of `LINE_SIGNALS` from the counts of `LINE_COUNTS` and the column `characters`."""
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
        gopher_repeated_line_share=share(column("repeated_lines"), column("runs_of_newlines_lines")),
        gopher_repeated_line_characters=share(column("repeated_line_characters"), characters),
        gopher_repeated_paragraph_share=share(column("repeated_paragraphs"), column("paragraphs")),
        gopher_repeated_paragraph_characters=share(column("repeated_paragraph_characters"), characters),
        gopher_bullet_line_share=share(column("bullet_lines"), column("broken_lines")),
        gopher_ellipsis_line_share=share(column("ellipsis_lines"), column("broken_lines")),
        fineweb_punctuated_line_share=share(column("terminal_lines"), column("filled_lines")),
        fineweb_short_line_share=share(column("lines_to_30"), column("filled_lines")),
        fineweb_repeated_line_characters=share(
            pl.when(column("filled_lines") > 0).then(column("repeated_filled_characters")),
            characters - column("newlines"),
        ),
        hojichar_ellipsis_line_share=column("ellipsis_newlines") / pl.max_horizontal(column("newlines"), pl.lit(1)),
        hojichar_short_line_share=column("lines_to_10") / (column("newlines") + 1),
        header_short_line_share=share(column("header_short"), column("fifth")),
        footer_short_line_share=share(column("footer_short"), column("fifth")),
        oscar_warnings=pl.concat_list(
            pl.when(warning).then(pl.lit(name)).otherwise(pl.lit(None, dtype=pl.String))
            for name, warning in warnings.items()
        ).list.drop_nulls(),
    )


SWALLOW_SIGNALS = {
    "swallow_japanese_letters": Signal(pl.UInt32, "hiragana, katakana without ー, kanji, and 。．！？、，"),
    "swallow_japanese_share": Signal(pl.Float64, "Swallow's Japanese letters, of all characters"),
    "swallow_hiragana_share": Signal(pl.Float64, "hiragana, of Swallow's Japanese letters"),
    "swallow_katakana_share": Signal(pl.Float64, "katakana without ー, of Swallow's Japanese letters"),
    "swallow_repeated_line_share": Signal(
        pl.Float64, "lines that stood before, of lines; blank lines count, so all but the first are repeats"
    ),
    "swallow_repeated_line_characters": Signal(
        pl.Float64, "characters of lines that stood before, of characters of lines"
    ),
    "swallow_repeated_sentence_share": Signal(
        pl.Float64, "sentences (up to one of 。．！？!? in a line) that stood before, of sentences"
    ),
    "swallow_repeated_sentence_characters": Signal(
        pl.Float64, "characters of sentences that stood before, of characters of sentences"
    ),
    "swallow_mean_sentence_length": Signal(pl.Float64, "characters a sentence, its end included"),
    "swallow_longest_sentence": Signal(pl.UInt32, "characters of the longest sentence, its end included"),
    "swallow_ellipsis_sentence_share": Signal(pl.Float64, "sentences whose last character is ・ or …, of sentences"),
}
LINE_SIGNALS = {
    "special_character_share": Signal(
        pl.Float64, "punctuation, white space, emoji and other signs of HojiChar's list, of all characters"
    ),
    "longest_run": Signal(pl.UInt32, "longest run of one character, white space too"),
    "gopher_repeated_line_share": Signal(pl.Float64, "lines that stood before, of lines cut at runs of newlines"),
    "gopher_repeated_line_characters": Signal(pl.Float64, "characters of lines that stood before, of all characters"),
    "gopher_repeated_paragraph_share": Signal(
        pl.Float64, "paragraphs (between blank lines) that stood before, of paragraphs"
    ),
    "gopher_repeated_paragraph_characters": Signal(
        pl.Float64, "characters of paragraphs that stood before, of all characters"
    ),
    "gopher_bullet_line_share": Signal(pl.Float64, "lines that start with • or -, of lines, blank ones too"),
    "gopher_ellipsis_line_share": Signal(pl.Float64, "lines that end in ... or …, of lines, blank ones too"),
    "fineweb_punctuated_line_share": Signal(
        pl.Float64, "lines whose last character ends a sentence in some script (not 」 or …), of lines with text"
    ),
    "fineweb_short_line_share": Signal(pl.Float64, "lines of at most 30 characters, of lines with text"),
    "fineweb_repeated_line_characters": Signal(
        pl.Float64, "characters of lines that stood before, of all characters but newlines"
    ),
    "hojichar_ellipsis_line_share": Signal(pl.Float64, "newlines after ... or …, of newlines (at least one)"),
    "hojichar_short_line_share": Signal(pl.Float64, "lines of at most 10 characters, blank ones too, of lines"),
    "header_short_line_share": Signal(
        pl.Float64, "lines under 100 UTF-8 bytes, of the first fifth of the lines; null under 5 lines"
    ),
    "footer_short_line_share": Signal(
        pl.Float64, "lines under 100 UTF-8 bytes, of the last fifth of the lines; null under 5 lines"
    ),
    "oscar_warnings": Signal(
        pl.List(pl.String),
        "OSCAR's warnings by its own tests on the text: tiny, short_sentences, header, footer, noisy",
    ),
}
