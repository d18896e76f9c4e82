"""What published sets read off a page besides: the marks of boards, C4's lines, the address."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

from corpus_ja.stages.measurement import Signal
from corpus_ja.stages.published.alphabet import BOARD, BOARD_WORDS, RUN_DIGIT, SPACE, WORD, marks
from corpus_ja.stages.published.quotients import share

# -------------------------------------------------------------------------------------------------------------- boards

BOARD_COUNTS = ("kana_in_first_50", "kuten", "marks")


def _as_rows(words: Sequence[str]) -> npt.NDArray[np.uint32]:
    """The words' code points, a row each, zeros after the end."""
    rows = np.zeros((len(words), max(map(len, words))), dtype=np.uint32)
    for row, word in zip(rows, words, strict=True):
        row[: len(word)] = [ord(character) for character in word]
    return rows


_WORDS = _as_rows(BOARD_WORDS)


@njit(cache=True, nogil=True)
def _is_digit(marks, c):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    return np.int64((marks[c] >> np.uint32(WORD)) & np.uint32(7)) == RUN_DIGIT


@njit(cache=True, nogil=True)
def _after_date(points, i, end, marks):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """Where a date ends that begins here, four digits, one or two, one or two, with - . / 年 or 月 between; else 0."""
    for place in range(i, i + 4):
        if place >= end or not _is_digit(marks, points[place]):
            return 0
    i += 4
    for part in range(2):
        sign = points[i] if i < end else np.uint32(0)
        if not (sign == 45 or sign == 46 or sign == 47 or sign == (0x6708 if part else 0x5E74)):
            return 0
        i += 1
        while i < end and points[i] == 32:
            i += 1
        if i >= end or not _is_digit(marks, points[i]):
            return 0
        i += 1
        i += i < end and _is_digit(marks, points[i])
    while i < end and points[i] == 0x65E5:
        i += 1
    return i


# Places are unsigned where they are read, because numba looks at every signed one whether it counts from the end.
@njit(cache=True, nogil=True)
def _boards(points, offsets, marks, words, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """HojiChar's board pages: dates, hyphens, episode numbers, weekdays in ASCII brackets, words of shops and boards."""
    for document in range(len(offsets) - 1):
        start, end = offsets[document], offsets[document + 1]
        for i in range(start, min(end, start + 50)):
            if 0x3041 <= points[np.uint64(i)] <= 0x3093 or 0x30A1 <= points[np.uint64(i)] <= 0x30F3:
                out[document, 0] = 1
        kuten = found = 0
        digits_end = i = start
        while i < end:
            c = points[np.uint64(i)]
            kuten += c == 0x3002
            mark = marks[c]
            following = i + 1
            if np.int64((mark >> np.uint32(WORD)) & np.uint32(7)) == RUN_DIGIT:
                after = _after_date(points, i, end, marks)
                if after:
                    following = after
                    found += 1
                else:
                    if digits_end <= i:
                        digits_end = i + 1
                        while digits_end < end and _is_digit(marks, points[digits_end]):
                            digits_end += 1
                    if digits_end < end and points[digits_end] == 0x8A71:
                        following = digits_end + 1
                        found += 1
            elif mark & BOARD:
                if c == 45:
                    found += 1
                elif c == 40:
                    if i + 2 < end and points[np.uint64(i + 2)] == 41:
                        day = points[np.uint64(i + 1)]
                        if (
                            (day == 0x6708 or day == 0x706B or day == 0x6C34 or day == 0x6728)
                            or day == 0x91D1
                            or (day == 0x571F or day == 0x65E5)
                        ):
                            following = i + 3
                            found += 1
                else:
                    for row in range(len(words)):
                        if words[row, 0] == c:
                            length = 1
                            while length < words.shape[1] and words[row, length]:
                                if i + length >= end or points[i + length] != words[row, length]:
                                    length = 0
                                    break
                                length += 1
                            if length:
                                following = i + length
                                found += 1
            i = following
        out[document, 1] = kuten
        out[document, 2] = found


def count_boards(points: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64], out: npt.NDArray[np.int64]) -> None:
    """One row a document and a column an entry of `BOARD_COUNTS`."""
    _boards(points, offsets, marks(), _WORDS, out)


def of_boards(table: pl.DataFrame) -> pl.DataFrame:
    """The signals of `BOARD_SIGNALS` from the counts of `BOARD_COUNTS` and the column `characters`."""
    return table.select(
        "kana_in_first_50",
        characters_per_kuten=share(pl.col("characters"), pl.col("kuten")),
        forum_marks=pl.col("marks"),
    )


# ------------------------------------------------------------------------------------------------------------------ C4

C4_COUNTS = tuple(
    f"{prefix}_{name}" for prefix in ("c4", "fineweb_c4") for name in ("sentences", "lorem_ipsum", "curly_bracket")
)
_POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_CITED = _as_rows(("edit]", "citation needed]"))
_PHRASES = np.array(
    [
        [int.from_bytes(part, "big") for part in (phrase.encode()[:-8], phrase.encode()[-8:])]
        for phrase in ("javascript", "lorem ipsum", *_POLICIES)
    ],
    dtype=np.uint64,
)
_MASKS = np.array(
    [
        [(1 << 8 * max(len(phrase) - 8, 0)) - 1, (1 << 8 * min(len(phrase), 8)) - 1]
        for phrase in ("javascript", "lorem ipsum", *_POLICIES)
    ],
    dtype=np.uint64,
)


@njit(cache=True, nogil=True)
def _after_citation(points, i, end, marks, cited):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """Where [12], [], [edit] or [citation needed] ends that begins at this bracket; else the bracket's place."""
    place = i + 1
    while place < end and _is_digit(marks, points[place]):
        place += 1
    if place < end and points[place] == 93:
        return place + 1
    for row in range(len(cited)):
        length = 0
        while length < cited.shape[1] and cited[row, length]:
            if i + 1 + length >= end or points[i + 1 + length] != cited[row, length]:
                length = -1
                break
            length += 1
        if length > 0:
            return i + 1 + length
    return i


@njit(cache=True, nogil=True)
def _c4(points, offsets, marks, cited, phrases, masks, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """C4's page rules after its line rules: once as published, once without the one about punctuation, as FineWeb
    runs it.

    The last sixteen characters of a line, in lower case, are two words of eight bytes, so that a phrase is one
    comparison and a line may be as long as it likes.
    """
    for document in range(len(offsets) - 1):
        last = offsets[document + 1]
        first = offsets[document]
        while first < last:
            end = first
            words = word = longest = 0
            start = stop = first
            while end < last and points[np.uint64(end)] != 10:
                if marks[points[np.uint64(end)]] & SPACE:
                    word = 0
                else:
                    if word == 0:
                        words += 1
                        if words == 1:
                            start = end
                    word += 1
                    longest = max(longest, word)
                    stop = end + 1
                end += 1
            first = end + 1
            if words < 3 or longest > 1000:
                continue
            early, late = np.uint64(0), np.uint64(0)
            javascript = lorem = policy = curly = waits = False
            sentences = 1
            i = start
            while i < stop:
                c = points[np.uint64(i)]
                if c == 91:
                    after = _after_citation(points, i, stop, marks, cited)
                    if after > i:
                        i = after
                        continue
                i += 1
                if waits and marks[c] & SPACE:
                    sentences += 1
                waits = c == 46 or c == 33 or c == 63 or (waits and (c == 34 or c == 39 or c == 41 or c == 93))
                curly = curly or c == 123
                if 65 <= c <= 90:
                    c |= np.uint32(32)
                elif c > 127:  # the only other character whose lower case is in ASCII is the sign of the kelvin
                    c = np.uint32(107) if c == 0x212A else np.uint32(255)
                early = (early << np.uint64(8)) | (late >> np.uint64(56))
                late = (late << np.uint64(8)) | np.uint64(c)
                if c == 116 or c == 109 or c == 101 or c == 121 or c == 115:
                    for phrase in range(len(phrases)):
                        if (
                            late & masks[phrase, 1] == phrases[phrase, 1]
                            and early & masks[phrase, 0] == phrases[phrase, 0]
                        ):
                            javascript = javascript or phrase == 0
                            lorem = lorem or phrase == 1
                            policy = policy or phrase > 1
            final = late & np.uint64(0xFF)
            ended = final == 46 or final == 63 or final == 33 or final == 34 or final == 39
            if late & np.uint64(0xFFFFFF) == 0x2E2E2E:
                ended = False
            for column in range(0 if ended else 3, 6, 3):
                out[document, column] += 0 if javascript or policy else sentences
                out[document, column + 1] |= lorem
                out[document, column + 2] |= curly and not javascript


def count_c4(points: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64], out: npt.NDArray[np.int64]) -> None:
    """One row a document and a column an entry of `C4_COUNTS`, which are the signals of `C4_SIGNALS`."""
    _c4(points, offsets, marks(), _CITED, _PHRASES, _MASKS, out)


# ------------------------------------------------------------------------------------------------------------- address


def of_addresses(url: pl.Series) -> pl.DataFrame:
    """The signals of `ADDRESS_SIGNALS`."""
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


BOARD_SIGNALS = {
    "kana_in_first_50": Signal(
        pl.UInt32, "whether hiragana or katakana (ぁ to ん, ァ to ン) stand among the first 50 characters, 0 or 1"
    ),
    "characters_per_kuten": Signal(pl.Float64, "characters per 。; null without any"),
    "forum_marks": Signal(
        pl.UInt32, "dates, hyphens, weekdays in brackets and words of shops and boards, as HojiChar counts them"
    ),
}
C4_SIGNALS = {
    f"{prefix}_{name}": Signal(pl.UInt32, f"{description}, on lines {lines}")
    for prefix, lines in (("c4", "that C4 keeps"), ("fineweb_c4", "that C4 keeps without its rule about punctuation"))
    for name, description in (
        ("sentences", "sentences"),
        ("lorem_ipsum", "whether lorem ipsum stands, 0 or 1"),
        ("curly_bracket", "whether { stands, 0 or 1"),
    )
}
ADDRESS_SIGNALS: Mapping[str, Signal] = {
    "tld": Signal(pl.String, "last label of the address's host, in lower case; null without an address"),
    "origin": Signal(
        pl.String, "the address up to the first / after its host, as it is written; null where there is none"
    ),
    "parent_hosts": Signal(
        pl.List(pl.String),
        "what the host lies in: for a.b.example also b.example and example; at most six; null without an address",
    ),
}
