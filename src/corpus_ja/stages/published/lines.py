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
                hiragana += (mark & HIRAGANA) > 0
                katakana += (mark & KATAKANA) > 0
                japanese += (mark & (HIRAGANA | KATAKANA | KANJI | KUTEN | TOTEN)) > 0
                ending = (mark & SENTENCE_END) > 0
                if sentence or not ending:
                    sentence += 1
                    line += 1
                    sentence_hash = _stepped(sentence_hash, c)
                    line_hash = _stepped(line_hash, c)
                    if not mark & SPACE:
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
                special += (mark & SPECIAL) > 0
                letters += (mark & LETTER_OR_MARK) > 0
                run = run + 1 if i > start and c == before else 1
                longest_run = max(longest_run, run)
            # lines as str.splitlines cuts them
            if (i < end and mark & BREAK) or (i == end and i > break_start):
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
            elif i < end and not mark & SPACE:
                if first_in_break < 0:
                    first_in_break = i
                last_in_break = i
            # lines between newlines
            if c != 10:
                value = _stepped(value, c)
                line += 1
                line_bytes += 1 + int(c > 0x7F) + int(c > 0x7FF) + int(c > 0xFFFF)
                has_text = has_text or not mark & SPACE
            else:
                if line:
                    gopher_lines += 1
                    slots, used, new = _add(slots, used, value)
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
        while first < last and marks[points[first]] & SPACE:
            first += 1
        while last > first and marks[points[last - 1]] & SPACE:
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
