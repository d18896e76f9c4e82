"""Counts over the code points of a batch: scripts, lines, sentence ends, words, prices, links, in one pass.

A batch of texts becomes one flat array of code points with offsets (`code_points`); a table of 1,114,112 entries gives
each code point its class and its marks; one Numba loop then walks every document once and fills one row of counters a
document, named by `COUNTERS`. Memory is 4 bytes a character of one slice, whatever the batch.
Rejected: one regular expression a signal (each reads the text again; 30 of them cost more than this loop), and word
segmentation (rule authors mean words, Japanese has none, and a segmenter costs a hundred times this loop).

Terms used by every counter. *Length*: code points that are not white space. *Letter*: a Japanese letter or any other
alphabetic character. *Japanese letter*: hiragana, katakana (with ー and half-width forms) or kanji (with 々〇〻).
*Line*: what stands between newlines and has at least one character that is not white space. *Sentence end*: one of
。．｡！？!?…‥ or a full stop, after at least one letter since the sentence end before it, so 「え！？」 is
one; a full stop, ! or ? in ASCII must stand before white space, a closing bracket or quote, or Japanese; ． not before
a digit; and 」 or 』 at the end of a line is a sentence end too.
"""

import functools
import unicodedata
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

(
    OTHER,
    SPACE,
    NEWLINE,
    HIRAGANA,
    KATAKANA,
    HALF_KATAKANA,
    KANJI,
    LATIN,
    LETTER,
    DIGIT,
    PUNCTUATION,
    SYMBOL,
    CONTROL,
    MARK,
) = range(14)
"""Classes of code points: the low four bits of a table entry."""

END = 1 << 4  # ends a sentence
CLOSING = 1 << 5  # may stand between a sentence end and the end of its line
CORNER = 1 << 6  # 」 』
BULLET = 1 << 7
PARTICLE = 1 << 8
CURRENCY = 1 << 9
SOUP = 1 << 10  # what a byte over 0x7F becomes when read as Latin-1 or Windows-1252
SOUP_LETTER = 1 << 11  # the letters among SOUP that Western languages own
SJIS_SOUP = 1 << 12  # 縺 繧 繝 and their like: UTF-8 kana read as Shift_JIS; 鐃 锟: U+FFFD read as EUC-JP and GBK
ELLIPSIS = 1 << 13
COMMA = 1 << 14
CELL = 1 << 15  # what separates the cells of a table in plain text: | ｜ tab

COUNTERS = (
    "characters",
    "length",
    "hiragana",
    "katakana",
    "half_katakana",
    "kanji",
    "latin",
    "other_letters",
    "digits",
    "punctuation",
    "symbols",
    "marks",
    "replacement",
    "latin_soup",
    "sjis_soup",
    "lines",
    "blank_lines",
    "short_lines_10",
    "short_lines_30",
    "line_characters",
    "longest_line",
    "bullet_lines",
    "ellipsis_lines",
    "ended_lines",
    "sentence_line_length",
    "prose_line_length",
    "text_line_length",
    "table_line_length",
    "number_line_length",
    "code_line_length",
    "ends",
    "longest_sentence",
    "sentence_length",
    "commas",
    "japanese_gaps",
    "particles",
    "distinct_particles",
    "prices",
    "url_characters",
    "curly",
    "words",
    "word_characters",
    "letter_words",
    "stop_words",
    "latin_words",
    "gopher_words",
    "hashes",
    "ellipses",
    "longest_run",
    "longest_word",
    "long_line_length",
    "cut_line_length",
)
"""The columns of `count`, in order; characters and lengths unless the name says lines, words or ends."""

LONG_LINE = 20
"""Characters without white space from which on a line is long: a headline, a date or もっと読む is not."""

ENGLISH_STOP_WORDS = (
    # the eight that Gopher counts come first, and their order is their bit
    *("the", "be", "to", "of", "and", "that", "have", "with"),
    *(
        "a",
        "in",
        "is",
        "it",
        "for",
        "as",
        "was",
        "on",
        "are",
        "by",
        "this",
        "at",
        "from",
        "or",
        "an",
        "not",
        "but",
        "we",
        "you",
    ),
    *(
        "he",
        "she",
        "they",
        "his",
        "her",
        "which",
        "were",
        "has",
        "had",
        "will",
        "can",
        "if",
        "when",
        "its",
        "my",
        "i",
        "your",
    ),
    *(
        "their",
        "there",
        "what",
        "would",
        "been",
        "all",
        "one",
        "so",
        "no",
        "do",
        "who",
        "them",
        "him",
        "me",
        "our",
        "than",
    ),
)

_SLICE = 4_000_000  # characters handed to a kernel at once: 16 MB of code points, whatever the batch


@functools.cache
def table() -> npt.NDArray[np.uint32]:
    """Class and marks of every code point, shape (1114112,); 4.4 MB, built once a process in about 20 ms."""
    entries = np.zeros(0x110000, dtype=np.uint32)
    by_category = {"L": LETTER, "M": MARK, "P": PUNCTUATION, "S": SYMBOL, "Z": SPACE}
    for point in range(0x20000):
        category = unicodedata.category(chr(point))
        entries[point] = (
            DIGIT if category == "Nd" else CONTROL if category == "Cc" else by_category.get(category[0], OTHER)
        )
    for first, last, kind in (
        *((0x41, 0x5A, LATIN), (0x61, 0x7A, LATIN), (0xC0, 0xD6, LATIN), (0xD8, 0xF6, LATIN), (0xF8, 0x24F, LATIN)),
        *((0x1E00, 0x1EFF, LATIN), (0xFF21, 0xFF3A, LATIN), (0xFF41, 0xFF5A, LATIN)),
        *((0x3041, 0x3096, HIRAGANA), (0x309D, 0x309F, HIRAGANA)),
        *(
            (0x30A1, 0x30FA, KATAKANA),
            (0x30FC, 0x30FF, KATAKANA),
            (0x31F0, 0x31FF, KATAKANA),
            (0xFF66, 0xFF9F, HALF_KATAKANA),
        ),
        *((0x3400, 0x4DBF, KANJI), (0x4E00, 0x9FFF, KANJI), (0xF900, 0xFAFF, KANJI), (0x20000, 0x3FFFF, KANJI)),
        *((0x3005, 0x3005, KANJI), (0x3007, 0x3007, KANJI), (0x303B, 0x303B, KANJI)),
        *((0x09, 0x09, SPACE), (0x0B, 0x0D, SPACE), (0x0A, 0x0A, NEWLINE), (0xE000, 0xF8FF, OTHER)),
    ):
        entries[first : last + 1] = kind
    for marked, mark in (
        ("。．｡！？!?…‥.", END),
        ("」』）)】》〉”’\"'］]｣＞≫", CLOSING),
        ("」』", CORNER),
        ("•‣·・●○■□◆◇▪▫►▶★☆※➢◎▲△▼▽-*+–—", BULLET),
        ("のにはをがでともへ", PARTICLE),
        ("¥￥$€£＄", CURRENCY),
        ("縺繧繝譁譛荳蜷莨鐃锟", SJIS_SOUP),
        ("…‥", ELLIPSIS),
        ("、，,", COMMA),
        ("|｜\t", CELL),
        ("€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ", SOUP),
    ):
        for character in marked:
            entries[ord(character)] |= mark
    entries[0x80:0x100] |= SOUP
    entries[0xC0:0x100] |= SOUP_LETTER
    entries[[0xA0, 0xD7, 0xF7]] &= ~np.uint32(SOUP | SOUP_LETTER)
    entries.setflags(write=False)
    return entries


@functools.cache
def _stop_words() -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """The stop words as an open-addressing table of packed ASCII keys, and each one's place in the list."""
    keys, places = np.zeros(256, dtype=np.uint64), np.full(256, -1, dtype=np.int64)
    for place, word in enumerate(ENGLISH_STOP_WORDS):
        key = int.from_bytes(word.encode("ascii"), "big")
        slot = ((key * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF) >> 56
        while places[slot] >= 0:
            slot = (slot + 1) & 255
        keys[slot], places[slot] = key, place
    return keys, places


def code_points(text: pl.Series) -> Iterator[tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]]:
    """The batch as slices of (code points, offsets): document d of a slice is `points[offsets[d]:offsets[d + 1]]`.

    Null counts as empty. A slice holds at most four million characters or one document, whichever is more, so memory
    follows the longest document and not the batch.
    """
    text = text.fill_null("")
    lengths = text.str.len_chars().to_numpy().astype(np.int64)
    first = 0
    while first < len(lengths):
        ends = np.cumsum(lengths[first:])
        last = first + max(1, int(np.searchsorted(ends, _SLICE, side="right")))
        count = min(last, len(lengths)) - first
        points = np.empty(int(ends[count - 1]), dtype=np.uint32)
        # a copy in one piece: offsets and the bytes of all texts
        array = text.slice(first, count).to_arrow(compat_level=pl.CompatLevel.oldest())
        _, places, data = array.buffers()
        bounds = np.frombuffer(places, dtype=np.int64)[array.offset :]
        if len(points):
            _decode(np.frombuffer(data, dtype=np.uint8), bounds[0], bounds[count], points)
        offsets = np.zeros(count + 1, dtype=np.int64)
        offsets[1:] = ends[:count]
        del array, places, data, bounds  # as large as the texts, and whoever takes the slice keeps us waiting
        yield points, offsets
        first = last


@njit(cache=True, nogil=True)
def _decode(data, place, end, points):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """UTF-8 to code points; Polars holds nothing that is not valid."""
    six, low = np.uint32(6), np.uint32(63)
    filled = 0
    while place < end:
        point = np.uint32(data[place])
        if point < 0x80:
            place += 1
        elif point < 0xE0:
            point = (point & np.uint32(31)) << six | np.uint32(data[place + 1]) & low
            place += 2
        elif point < 0xF0:
            point = (point & np.uint32(15)) << six | np.uint32(data[place + 1]) & low
            point = point << six | np.uint32(data[place + 2]) & low
            place += 3
        else:
            point = (point & np.uint32(7)) << six | np.uint32(data[place + 1]) & low
            point = point << six | np.uint32(data[place + 2]) & low
            point = point << six | np.uint32(data[place + 3]) & low
            place += 4
        points[filled] = point
        filled += 1


def count(points: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """One row a document and one column a counter (`COUNTERS`), shape (documents, counters)."""
    out = np.zeros((len(offsets) - 1, len(COUNTERS)), dtype=np.int64)
    _count(points, offsets, table(), *_stop_words(), out)
    return out


# The loop below is long on purpose: every branch reads what the others just computed about the same character. Places are
# unsigned where they are read, because numba looks at every signed one whether it counts from the end.
@njit(cache=True, nogil=True)
def _count(points, offsets, table, stop_keys, stop_places, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    for document in range(len(offsets) - 1):
        start, end = offsets[document], offsets[document + 1]
        hiragana = katakana = half_katakana = kanji = latin = letters = digits = punctuation = symbols = marks = 0
        replacement = latin_soup = sjis_soup = spaces = lines = blank_lines = short_10 = short_30 = line_characters = 0
        longest_line = bullet_lines = ellipsis_lines = ended_lines = sentence_lines = prose_lines = text_lines = 0
        table_lines = 0
        number_lines = code_lines = ends = longest_sentence = sentence_length = commas = gaps = particles = 0
        particle_bits = prices = url_characters = curly = words = word_characters = letter_words = stops = 0
        latin_words = 0
        gopher_bits = hashes = ellipses = longest_run = longest_word = 0
        long_lines = cut_lines = 0
        # state of the line
        line_length = line_letters = line_japanese = line_hiragana = line_digits = line_cells = line_words = (
            line_stops
        ) = 0
        line_code = 0
        first_in_line = last_in_line = -1
        line_has_end = line_bullet = False
        closed_end = 0  # 1: the last thing but closing brackets was a sentence end; 2: an ellipsis
        # state of the sentence, the word, the run
        since_end = 0
        sentence = 0
        token = token_letters = 0
        key = np.uint64(0)
        key_length = 0
        run = 0
        soup_run = soup_letters = 0
        url_until = start
        before = np.uint32(10)  # the code point before this one
        before_entry = table[10]
        for i in range(start, end + 1):
            c = points[np.uint64(i)] if i < end else np.uint32(10)
            entry = table[c]
            kind = entry & 15
            following = points[np.uint64(i + 1)] if i + 1 < end else np.uint32(10)

            # words of Latin letters: packed into eight bytes to be looked up among the stop words
            if c < 128 and kind == LATIN:
                key = (key << np.uint64(8)) | np.uint64(c | 32)
                key_length += 1
            elif key_length:
                latin_words += 1
                line_words += 1
                if key_length <= 7:
                    slot = (key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(56)
                    while stop_places[slot] >= 0:
                        if stop_keys[slot] == key:
                            stops += 1
                            line_stops += 1
                            if stop_places[slot] < 8:
                                gopher_bits |= 1 << stop_places[slot]
                            break
                        slot = (slot + np.uint64(1)) & np.uint64(255)
                key = np.uint64(0)
                key_length = 0

            # runs of debris
            if entry & SOUP:
                soup_run += 1
                if entry & SOUP_LETTER:
                    soup_letters += 1
            elif soup_run:
                if soup_run >= 3 and soup_letters:
                    latin_soup += soup_run
                soup_run = soup_letters = 0

            if kind in (SPACE, NEWLINE):
                if token:
                    words += 1
                    word_characters += token
                    letter_words += token_letters > 0
                    longest_word = max(longest_word, token)
                    token = token_letters = 0
                run = 0
                if kind == SPACE:
                    spaces += 1
                    line_cells += (entry & CELL) > 0
                    if HIRAGANA <= (before_entry & 15) <= KANJI and HIRAGANA <= (table[following] & 15) <= KANJI:
                        gaps += 1
                else:
                    if line_length == 0:
                        blank_lines += i < end
                    else:
                        lines += 1
                        width = last_in_line - first_in_line + 1
                        line_characters += width
                        longest_line = max(longest_line, width)
                        short_10 += width <= 10
                        short_30 += width <= 30
                        bullet_lines += line_bullet
                        if table[points[last_in_line]] & CORNER and since_end > 0:
                            ends += 1
                            since_end = 0
                            closed_end = 1
                            line_has_end = line_has_end or line_letters >= 8
                        ellipsis_lines += closed_end == 2
                        if line_length >= LONG_LINE:
                            long_lines += line_length
                            dots = points[last_in_line] == 0x30FB and points[last_in_line - 1] == 0x30FB
                            if closed_end == 2 or dots:
                                cut_lines += line_length
                        ended_lines += closed_end > 0
                        if line_has_end:
                            sentence_lines += line_length
                            text_lines += line_length
                        if (line_japanese >= 20 and 5 * line_hiragana >= line_japanese) or (
                            line_words >= 8 and 20 * line_stops >= 3 * line_words
                        ):
                            prose_lines += line_length
                            if not line_has_end:
                                text_lines += line_length
                        if line_cells >= 2 and not line_has_end:
                            table_lines += line_length
                        if 10 * line_digits >= 3 * line_length and not line_has_end:
                            number_lines += line_length
                        if 100 * line_code >= 8 * line_length and not line_has_end:
                            code_lines += line_length
                        if sentence:
                            longest_sentence = max(longest_sentence, sentence)
                            sentence_length += sentence
                    sentence = 0
                    line_length = line_letters = line_japanese = line_hiragana = line_digits = line_cells = 0
                    line_words = line_stops = line_code = 0
                    first_in_line = last_in_line = -1
                    line_has_end = line_bullet = False
                    closed_end = 0
            else:
                if first_in_line < 0:
                    first_in_line = i
                    if entry & BULLET and (c >= 0x80 or (table[following] & 15) == SPACE):
                        line_bullet = True
                last_in_line = i
                line_length += 1
                token += 1
                sentence += 1
                run = run + 1 if c == before else 1
                if run > longest_run:
                    longest_run = run
                if i >= url_until and c == 58 and following == 47 and i + 2 < end and points[np.uint64(i + 2)] == 47:
                    url_until = i
                    while url_until < end and 32 < points[url_until] < 127:
                        url_until += 1
                    url_characters += url_until - i + 5
                if HIRAGANA <= kind <= KANJI:
                    line_japanese += 1
                    line_letters += 1
                    since_end += 1
                    token_letters += 1
                    if kind == HIRAGANA:
                        hiragana += 1
                        line_hiragana += 1
                        if entry & PARTICLE and KATAKANA <= (before_entry & 15) <= DIGIT:
                            particles += 1
                            particle_bits |= 1 << int(c % np.uint32(61))
                    elif kind == KATAKANA:
                        katakana += 1
                    elif kind == HALF_KATAKANA:
                        half_katakana += 1
                    else:
                        kanji += 1
                        if c == 0x5186 and (before_entry & 15) == DIGIT:
                            prices += 1
                    if entry & SJIS_SOUP:
                        sjis_soup += 1
                    closed_end = 0
                elif kind in (LATIN, LETTER):
                    if kind == LATIN:
                        latin += 1
                    else:
                        letters += 1
                    line_letters += 1
                    since_end += 1
                    token_letters += 1
                    closed_end = 0
                elif kind == DIGIT:
                    digits += 1
                    line_digits += 1
                    closed_end = 0
                else:
                    if kind == PUNCTUATION:
                        punctuation += 1
                    elif kind == SYMBOL:
                        symbols += 1
                    elif kind == MARK:
                        marks += 1
                    if c == 0xFFFD:
                        replacement += 1
                    if entry & CURRENCY and (table[following] & 15) == DIGIT:
                        prices += 1
                    if entry & COMMA:
                        commas += 1
                    if entry & CELL:
                        line_cells += 1
                    if c == 35:
                        hashes += 1
                    if c == 123 or c == 125:
                        curly += 1
                    if c < 128 and (
                        c == 123 or c == 125 or c == 59 or c == 61 or c == 60 or c == 62 or c == 40 or c == 95
                    ):
                        line_code += 1
                    if entry & ELLIPSIS and c != before:
                        ellipses += 1
                    if c == 46 and following == 46 and before != 46 and i + 2 < end and points[np.uint64(i + 2)] == 46:
                        ellipses += 1
                    if entry & END:
                        after = table[following]
                        after_kind = after & 15
                        open_right = (
                            after_kind in (SPACE, NEWLINE) or (after & CLOSING) > 0 or HIRAGANA <= after_kind <= KANJI
                        )
                        if c < 128:
                            ending = open_right
                        elif c == 0xFF0E:
                            ending = after_kind != DIGIT
                        else:
                            ending = True
                        if ending:
                            if since_end > 0:
                                ends += 1
                                since_end = 0
                                if line_letters >= 8:
                                    line_has_end = True
                                longest_sentence = max(longest_sentence, sentence)
                                sentence_length += sentence
                                sentence = 0
                            closed_end = 2 if entry & ELLIPSIS or (c == 46 and before == 46) else 1
                        else:
                            closed_end = 0
                    elif not entry & CLOSING:
                        closed_end = 0
            before = c
            before_entry = entry
        distinct = 0
        while particle_bits:
            distinct += particle_bits & 1
            particle_bits >>= 1
        gopher = 0
        while gopher_bits:
            gopher += gopher_bits & 1
            gopher_bits >>= 1
        # the virtual newline at the end is no character
        newlines = 0
        for i in range(start, end):
            newlines += points[np.uint64(i)] == 10
        # fmt: off
        out[document] = np.array((
            end - start, end - start - spaces - newlines, hiragana, katakana, half_katakana, kanji, latin, letters,
            digits, punctuation, symbols, marks, replacement, latin_soup, sjis_soup, lines, blank_lines, short_10,
            short_30, line_characters, longest_line, bullet_lines, ellipsis_lines, ended_lines, sentence_lines,
            prose_lines, text_lines, table_lines, number_lines, code_lines, ends, longest_sentence, sentence_length,
            commas, gaps, particles, distinct, prices, url_characters, curly, words, word_characters, letter_words,
            stops, latin_words, gopher, hashes, ellipses, longest_run, longest_word, long_lines, cut_lines,
        ))
        # fmt: on
