"""How much a Japanese text is worded like spam: a linear model over pairs and triples of letters.

What fluent advertising and content-farm pages have in common is not repetition but wording: they promise, address,
praise, generalize and hardly ever tell. `spam_ja.tsv` holds the weights of 23,796 pairs and triples of kana,
kanji and punctuation. They were fitted by logistic regression (`benchmarks/spam.py`) on texts written for it by several
hands, spam and good texts near it, against good prose; n-grams that only a few of the kinds of spam have are left out,
so that topics weigh little. Each n-gram counts once a thousand characters at most; its count is taken a thousand
characters, with 300 added to the length so that short texts are judged with care. The score is the sum of weight times
rate, plus a bias: log-odds of spam among the texts that the model was taught.

One Numba pass packs up to three code points into a 64-bit key, so that a key is an n-gram and not a hash of it, and
asks a table of bits by pairs of letters before it looks one up. What it costs and what it finds is in
docs/decisions.md. Rejected: fastText's classifier (takes its n-grams word by word, and Japanese has no words), longer
n-grams (of unseen hands' texts they found no more), a few hundred n-grams instead of thousands (a quarter fewer found),
and lists of selling phrases (found 3% of unseen hands' advertisements).
"""

import functools
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus_ja.stages.characters import NEWLINE, SPACE, table

LONGEST = 3
"""Letters of an n-gram at most; the shortest has two."""
SMOOTHING = 300
"""Characters added to a text's length when its n-grams are counted a thousand characters."""
SHORTEST = 200
"""Characters without white space from which on the score says anything; shorter texts were not taught."""
UNIT = 1000
"""Parts of the file's weights: 250 is a weight of 0.25."""
_PAIRS = 1 << 17
FOLDED = {"!": "！", "?": "？"}
"""Letters that count as others."""
_FOLD = str.maketrans("".join(FOLDED), "".join(FOLDED.values()))


class Model(NamedTuple):
    """The weights in the form in which the kernel asks for them."""

    letters: npt.NDArray[np.uint16]
    """By code point under 65,536: the code point that it counts as, 0 for what stands in no n-gram; shape (65536,)."""
    keys: npt.NDArray[np.uint64]
    """Open addressing: packed n-grams, 0 where a slot is free; shape (slots,)."""
    places: npt.NDArray[np.int32]
    """The n-gram's number in each slot; shape (slots,)."""
    weights: npt.NDArray[np.int64]
    """In parts of `UNIT`, by number; shape (n-grams,)."""
    pairs: npt.NDArray[np.uint8]
    """By a pair of letters: bit n - 2 is set when an n-gram of n letters may end in it; shape (131072,)."""
    bias: int
    """In parts of `UNIT`."""


def make(weights: Mapping[str, int], bias: int) -> Model:
    """A model of n-grams (2 or 3 code points under 65,536, none of `FOLDED`) and their weights."""
    letters = np.zeros(1 << 16, dtype=np.uint16)
    for letter in {letter for gram in weights for letter in gram}:
        letters[ord(letter)] = ord(letter)
    for written, meant in FOLDED.items():
        letters[ord(written)] = letters[ord(meant)]
    slots = 1 << max(4, (4 * len(weights)).bit_length())
    keys = np.zeros(slots, dtype=np.uint64)
    places = np.zeros(slots, dtype=np.int32)
    pairs = np.zeros(_PAIRS, dtype=np.uint8)
    for number, gram in enumerate(weights):
        if not 2 <= len(gram) <= LONGEST:
            raise ValueError(f"{gram!r} has not 2 to {LONGEST} letters")
        key = 0
        for letter in gram:
            key = key << 16 | ord(letter)
        slot = _slot_of(key) & (slots - 1)
        while keys[slot]:
            slot = (slot + 1) & (slots - 1)
        keys[slot], places[slot] = key, number
        pairs[_slot_of(key & 0xFFFFFFFF) & (_PAIRS - 1)] |= 1 << len(gram) - 2
    return Model(letters, keys, places, np.array(list(weights.values()), dtype=np.int64), pairs, bias)


def folded(text: str) -> str:
    """The text with the letters that its n-grams are made of, one for one."""
    return text.translate(_FOLD)


@functools.cache
def read_weights() -> tuple[Mapping[str, int], int]:
    """The n-grams of `spam_ja.tsv` with their weights, and the bias, in parts of `UNIT`."""
    lines = resources.files(__package__).joinpath("spam_ja.tsv").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t") for line in lines if line and not line.startswith("#")]
    weights = {gram: int(weight) for gram, weight in pairs}
    bias = weights.pop("")
    return MappingProxyType(weights), bias


@functools.cache
def shipped() -> Model:
    """The model of `spam_ja.tsv`."""
    return make(*read_weights())


def score(
    points: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64], model: Model | None = None
) -> npt.NDArray[np.float64]:
    """Log-odds of spam of each document, shape (documents,); the bias alone for one that has none of the n-grams."""
    out = np.zeros(len(offsets) - 1)
    used = shipped() if model is None else model
    _score(points, offsets, table(), *used, SMOOTHING, out)
    return out / UNIT


def _slot_of(key: int) -> int:
    """Where a packed n-gram is looked for, before the table's size is known; as the kernel reckons it."""
    return (key * 0x9E3779B97F4A7C15 & (1 << 64) - 1) >> 32


@njit(cache=True, nogil=True)
def _score(points, offsets, kinds, letters, keys, places, weights, pairs, bias, smoothing, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    mask = np.uint64(len(keys) - 1)
    pair_mask = np.uint64(len(pairs) - 1)
    odd = np.uint64(0x9E3779B97F4A7C15)
    half = np.uint64(32)
    bits = np.uint64(16)
    widths = np.array([0, 0, (1 << 32) - 1, (1 << 48) - 1], dtype=np.uint64)
    stamps = np.full(len(weights), -1, dtype=np.int64)
    counts = np.zeros(len(weights), dtype=np.int64)
    for document in range(len(offsets) - 1):
        begin, end = offsets[document], offsets[document + 1]
        length = 0
        for i in range(begin, end):
            kind = kinds[points[i]] & 15
            length += kind != SPACE and kind != NEWLINE
        most = (length + 999) // 1000
        total = 0
        key = np.uint64(0)
        run = 0
        for i in range(begin, end):
            c = points[i]
            letter = letters[c] if c < 65536 else np.uint16(0)
            if letter == 0:
                run = 0
                continue
            run += 1
            key = (key << bits) | np.uint64(letter)
            if run < 2:
                continue
            lengths = pairs[(((key & widths[2]) * odd) >> half) & pair_mask]
            for n in range(2, min(run, 3) + 1):
                if not lengths >> (n - 2) & 1:
                    continue
                gram = key & widths[n]
                slot = ((gram * odd) >> half) & mask
                while keys[slot] != 0 and keys[slot] != gram:
                    slot = (slot + np.uint64(1)) & mask
                if keys[slot] == 0:
                    continue
                place = places[slot]
                if stamps[place] != document:
                    stamps[place] = document
                    counts[place] = 0
                if counts[place] < most:
                    counts[place] += 1
                    total += weights[place]
        out[document] = bias + 1000.0 * total / (length + smoothing)
