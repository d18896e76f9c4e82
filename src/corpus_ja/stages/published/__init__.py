"""The numbers that published rule sets compare, by their own formulas, quirks included.

`measure` computes only what is asked for by name (`PUBLISHED`), because a build needs none of it unless its mix
names a published set. The text becomes code points once, and what is read off the same walk is counted together:
characters and sentences as Swallow counts them and lines and paragraphs as Gopher, FineWeb, HojiChar and OSCAR do
(`lines`), n-grams of characters and of words (`grams`), the marks of boards and C4's lines (`pages`); what zlib would
make of it is reckoned from its bytes (`compression`). Every value is an exact quotient in double precision, so a
document on a limit is judged as its authors' Python judges it; n-grams and lines are told apart by 62-bit hashes or
longer.

Cost, processor time of one thread of a shared machine, on 24 MB of Japanese prose: Swallow's set 108 MB/s, HojiChar's
84, FineWeb-2's 85, OSCAR's 305, llm-jp's 53; all together 23. Memory and time follow the longest document linearly. One
of 59 MB in a process of its own, libraries, text and default signals included, everything asked for: English 0.95 GB
and 45 s, Japanese 0.81 GB and 22 s.

Where a published rule counts words and Japanese has none, the *character form* is used: a word is a run of one
script, kanji and hiragana cut after every second character, any other character that is not white space alone. Its
n-grams repeat nearly as often as a segmenter's; a form of single characters would drop every long document, and a
segmenter is a hundred times slower. Units: characters are code points, shares are 0 to 1; whether white space
counts is said with each name.
"""

import functools
from collections.abc import Callable, Collection, Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from corpus_ja.stages.characters import code_points
from corpus_ja.stages.measurement import Signal
from corpus_ja.stages.published import compression, grams, lines, pages
from corpus_ja.stages.published.alphabet import FINEWEB2_STOP_WORDS, SPECIAL_CHARACTERS, TERMINAL_CHARACTERS
from corpus_ja.stages.published.pages import ADDRESS_SIGNALS

__all__ = [
    "ADDRESS_SIGNALS",
    "FINEWEB2_STOP_WORDS",
    "PUBLISHED",
    "SPECIAL_CHARACTERS",
    "TERMINAL_CHARACTERS",
    "VERSION",
    "Measuring",
    "measure",
]

VERSION = 1

PUBLISHED: Mapping[str, Signal] = {
    **lines.SWALLOW_SIGNALS,
    **lines.LINE_SIGNALS,
    **grams.CHARACTER_NGRAM_SIGNALS,
    **grams.WORD_SIGNALS["gopher"],
    **grams.WORD_SIGNALS["fineweb2"],
    **pages.BOARD_SIGNALS,
    **compression.ZLIB_SIGNALS,
    **pages.C4_SIGNALS,
    **ADDRESS_SIGNALS,
}
"""Every number only published sets compare: measured for a mix that names it."""

_Walk = Callable[[npt.NDArray[np.uint32], npt.NDArray[np.int64], npt.NDArray[np.int64]], None]


class Measuring:
    """The named numbers of `PUBLISHED` for a batch of texts, whose code points are given piece by piece.

    So that one walk over the pieces (`characters.code_points`) serves the default signals too.
    """

    def __init__(self, names: Collection[str]) -> None:
        """Raises ValueError for a name that is not in `PUBLISHED`."""
        self._wanted = set(names)
        unknown = self._wanted - set(PUBLISHED)
        if unknown:
            raise ValueError(f"no published signals: {sorted(unknown)}")
        self._walks = _walks(self._wanted)
        self._rows: dict[str, list[npt.NDArray[np.int64]]] = {name: [] for name in self._walks}

    def take(self, points: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64]) -> None:
        """Count the next piece."""
        for name, (columns, walk) in self._walks.items():
            out = np.zeros((len(offsets) - 1, len(columns)), dtype=np.int64)
            walk(points, offsets, out)
            self._rows[name].append(out)

    def table(self, text: pl.Series, url: pl.Series) -> pl.DataFrame:
        """The numbers of the texts (no nulls) that were taken, and of their addresses: same rows, columns in the order
        of `PUBLISHED`.
        """
        columns: dict[str, pl.Series] = {}
        sizes = {"characters": text.str.len_chars().cast(pl.Int64)}
        for name, family in (
            ("swallow", lines.of_swallow),
            ("lines", lines.of_lines),
            ("characters", grams.of_characters),
            ("gopher", functools.partial(grams.of_words, prefix="gopher")),
            ("fineweb2", functools.partial(grams.of_words, prefix="fineweb2")),
            ("boards", pages.of_boards),
            ("c4", pl.DataFrame.clone),
        ):
            if name in self._walks:
                names, _ = self._walks[name]
                stacked = np.concatenate([*self._rows[name], np.empty((0, len(names)), dtype=np.int64)])
                counted = {column: np.ascontiguousarray(stacked[:, place]) for place, column in enumerate(names)}
                table = family(pl.DataFrame(counted | sizes))
                columns.update({column.name: column for column in table if column.name in self._wanted})
        if self._wanted & set(compression.ZLIB_SIGNALS):
            columns |= compression.of_zlib(text).to_dict()
        if self._wanted & set(ADDRESS_SIGNALS):
            columns |= pages.of_addresses(url).to_dict()
        return pl.DataFrame(
            [
                (columns[name].fill_nan(None) if signal.dtype == pl.Float64 else columns[name]).cast(signal.dtype)
                for name, signal in PUBLISHED.items()
                if name in self._wanted
            ]
        )


def measure(text: pl.Series, url: pl.Series, names: Collection[str]) -> pl.DataFrame:
    """The named numbers of `PUBLISHED` alone, for every text (no nulls) and address; see `Measuring`."""
    measuring = Measuring(names)
    for points, offsets in code_points(text):
        measuring.take(points, offsets)
        del points, offsets  # else the last piece, 4 bytes a character, lives as long as what follows
    return measuring.table(text, url)


def _walks(wanted: set[str]) -> dict[str, tuple[tuple[str, ...], _Walk]]:
    """The walks over code points that the names need, with the names of what each counts."""
    walks: dict[str, tuple[tuple[str, ...], _Walk]] = {}
    if wanted & set(lines.SWALLOW_SIGNALS):
        walks["swallow"] = (lines.SWALLOW_COUNTS, lines.count_swallow)
    if wanted & set(lines.LINE_SIGNALS):
        walks["lines"] = (lines.LINE_COUNTS, lines.count_lines)
    ngrams = wanted & set(grams.CHARACTER_NGRAM_SIGNALS)
    if ngrams:
        sizes = np.array([any(f"_{n}gram_share" in name for name in ngrams) for n in range(11)])
        rank = "frequent_5gram_share" in wanted
        walks["characters"] = (
            grams.CHARACTER_GRAMS,
            lambda points, offsets, out: grams.count_characters(points, offsets, sizes, rank, out),
        )
    if wanted & set(pages.BOARD_SIGNALS):
        walks["boards"] = (pages.BOARD_COUNTS, pages.count_boards)
    if wanted & set(pages.C4_SIGNALS):
        walks["c4"] = (pages.C4_COUNTS, pages.count_c4)
    for prefix, own in grams.WORD_SIGNALS.items():
        if wanted & set(own):
            form = functools.partial(grams.count_words, prefix == "fineweb2", grams.word_sizes(prefix, wanted))
            walks[prefix] = (grams.WORD_COUNTS, form)
    return walks
