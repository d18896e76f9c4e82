"""How much a Japanese text is worded like spam: a linear model over pairs and triples of letters.

What fluent advertising and content-farm pages have in common is not repetition but wording: they promise, address,
praise, generalize and hardly ever tell. `spam_ja.tsv` holds the weights of 30,207 pairs and triples of kana,
kanji and punctuation. They were fitted by logistic regression (`benchmarks/spam.py`) on texts written for it by several
hands, spam and good texts near it, against good prose; n-grams that only a few of the kinds of spam have are left out,
so that topics weigh little. Each n-gram counts once a thousand characters at most; its count is taken a thousand
characters, with 300 added to the length so that short texts are judged with care. The score is the sum of weight times
rate, plus a bias: log-odds of spam among the texts that the model was taught.

One Numba pass packs up to three code points into a 64-bit key, so that a key is an n-gram and not a hash of it, and
looks three letters up only where two of them say that there may be something. What it costs and what it finds is in
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
_MOVES = 200
"""Entries moved for one until a larger table is tried."""
_PIECE = 2_048
"""Characters looked up at once."""
_MOST = (1 << 16) - 2
"""N-grams of a model, whose numbers have sixteen bits."""
FOLDED = {"!": "！", "?": "？"}
"""Letters that count as others."""
_FOLD = str.maketrans("".join(FOLDED), "".join(FOLDED.values()))


class Model(NamedTuple):
    """The weights in the form in which the kernel asks for them."""

    letters: npt.NDArray[np.uint16]
    """By code point under 65,536: the code point that it counts as, 0 for what stands in no n-gram; shape (65536,)."""
    pairs: npt.NDArray[np.uint64]
    """Open addressing, 0 where a slot is free, of every pair that is an n-gram or ends one: the pair in the upper half;
    below it, 1 where it ends one of three, times 65,536, plus its own number and 1, or 0 if it has none; shape (slots,)."""
    triples: npt.NDArray[np.uint64]
    """The same of n-grams of three: the three times 65,536, plus their number; shape (slots,)."""
    weights: npt.NDArray[np.int32]
    """In parts of `UNIT`, by number; shape (n-grams,)."""
    bias: int
    """In parts of `UNIT`."""


def make(weights: Mapping[str, int], bias: int) -> Model:
    """A model of n-grams (2 or 3 code points under 65,536, none of `FOLDED`, `_MOST` at most) and their weights."""
    if len(weights) > _MOST:
        raise ValueError(f"{len(weights):,} n-grams are more than {_MOST:,}")
    letters = np.zeros(1 << 16, dtype=np.uint16)
    for letter in {letter for gram in weights for letter in gram}:
        letters[ord(letter)] = ord(letter)
    for written, meant in FOLDED.items():
        letters[ord(written)] = letters[ord(meant)]
    pairs: dict[int, int] = {}
    triples: dict[int, int] = {}
    for number, gram in enumerate(weights):
        packed = functools.reduce(lambda key, letter: key << 16 | ord(letter), gram, 0)
        if len(gram) == LONGEST:
            triples[packed] = number
            pairs[packed & 0xFFFFFFFF] = pairs.get(packed & 0xFFFFFFFF, 0) | 1 << 16
        elif len(gram) == LONGEST - 1:
            pairs[packed] = pairs.get(packed, 0) | number + 1
        else:
            raise ValueError(f"{gram!r} has not 2 to {LONGEST} letters")
    values = np.array(list(weights.values()), dtype=np.int32)
    return Model(letters, _nests(pairs, 32), _nests(triples, 16), values, bias)


def _nests(entries: Mapping[int, int], width: int) -> npt.NDArray[np.uint64]:
    """A cuckoo table of keys with `width` bits of value below each: every key lies in one of two places, in the first
    row or in the second. Shape (2, slots).
    """
    slots = 1 << max(4, len(entries).bit_length())
    while True:
        table = [[0] * slots, [0] * slots]
        for key, value in entries.items():
            entry = key << width | value
            for turn in range(_MOVES):
                row = turn % 2
                mixed = (entry >> width) * 0x9E3779B97F4A7C15 & (1 << 64) - 1  # as the kernel reckons it
                place = mixed >> (40 if row else 20) & slots - 1
                entry, table[row][place] = table[row][place], entry
                if not entry:
                    break
            else:
                break
        else:
            return np.array(table, dtype=np.uint64)
        slots *= 2


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


@njit(cache=True, nogil=True, forceinline=True)
def _found(first, second, key, width, mask, gates):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """The key's entry, or 0, without a branch, which would be as good as chance: both of its places are looked at, and
    `gates` is 0 and all ones. (The compiler makes a branch of a product with a comparison, and takes twice as long.)
    """
    mixed = key * np.uint64(0x9E3779B97F4A7C15)
    one, other = first[(mixed >> np.uint64(20)) & mask], second[(mixed >> np.uint64(40)) & mask]
    return (one & gates[np.uint64(one >> width == key)]) | (other & gates[np.uint64(other >> width == key)])


@njit(cache=True, nogil=True)
def _score(points, offsets, kinds, letters, pairs, triples, weights, bias, smoothing, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    pair_mask, triple_mask = np.uint64(pairs.shape[1] - 1), np.uint64(triples.shape[1] - 1)
    pairs_first, pairs_second, triples_first, triples_second = pairs[0], pairs[1], triples[0], triples[1]
    one, half, quarter = np.uint64(1), np.uint64(32), np.uint64(16)
    number_of = np.uint64((1 << 16) - 1)
    tally = np.zeros(len(weights), dtype=np.int64)  # the last document with the n-gram times 2³², plus how often
    gates = np.array([0, (1 << 64) - 1], dtype=np.uint64)
    hits, keys = np.empty(2 * _PIECE, dtype=np.uint16), np.empty(_PIECE, dtype=np.uint64)
    for document in range(len(offsets) - 1):
        begin, end = np.uint64(offsets[document]), np.uint64(offsets[document + 1])
        length = 0
        for i in range(begin, end):
            kind = kinds[points[i]] & 15
            length += (kind != SPACE) & (kind != NEWLINE)
        most = (length + 999) // 1000
        total, none = np.int64(0), np.int64(document + 1) << 32
        key = np.uint64(0)
        for first in range(begin, end, np.uint64(_PIECE)):
            hit, waiting = np.uint64(0), np.uint64(0)
            for i in range(first, min(first + np.uint64(_PIECE), end)):
                c = points[i]
                # what is no letter is a 0, and no n-gram has one
                key = (key << quarter) | np.uint64(letters[c & np.uint32(0xFFFF)] * (c < 65536))
                entry = _found(pairs_first, pairs_second, key & np.uint64(0xFFFFFFFF), half, pair_mask, gates)
                hits[hit] = (entry & number_of) - one
                hit += np.uint64((entry & number_of) > 0)
                keys[waiting] = key & np.uint64((1 << 48) - 1)
                waiting += (entry >> quarter) & one
            for place in range(waiting):
                entry = _found(triples_first, triples_second, keys[place], quarter, triple_mask, gates)
                hits[hit] = entry & number_of
                hit += np.uint64(entry > 0)
            for place in range(hit):
                own = np.uint64(hits[place])
                count = max(tally[own], none)
                counts = count - none < most
                tally[own] = count + counts
                total += weights[own] * counts
        out[document] = bias + 1000.0 * total / (length + smoothing)
