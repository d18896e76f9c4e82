"""Proves, document by document, that token ids are the ones a byte-level BPE would give, without encoding again.

Checking an answer is cheaper than finding it. Ids are the reference's exactly when
1. their bytes, end to end, are the document's;
2. no id reaches over the end of a word, as the pre-tokenizer cuts words;
3. each id, encoded alone, is itself; and
4. of two neighbours in a word, BPE would not have merged anything across the place where they meet.

That 3 and 4 suffice is a property of BPE: merges on either side of a place do not depend on each other until one
crosses it, so an encoding is right where every pair of neighbours is (the argument and the walk down two tokens'
merges are those of the Rust crate `bpe`, GitHub, 2024). It needs a vocabulary where every token is made by exactly one
merge; others are not provable, and are told so by `provable`. So one wrong id cannot pass: where it changes the text,
1 sees it, and where the bytes are the same, 2 or 4 does.

What a word is, is GPT-2's pattern, walked here over code points; whether a character is a letter, number, space or
neither is asked of the reference itself, once a character. Independent of the encoder that is judged: nothing here was
taken from it, and the merges are read from the reference's own files.

Cost, one core of a busy machine: 97 MB/s of Japanese (GPT-2: 1.4 tokens a character), 100 of English, after 0.3 s a
process for 3. Rejected: a second fast encoder beside the first (tiktoken 10 MB/s, and off where both inherit one
mistake), the reference on 1% of the documents (a wrong document in a thousand is among them in one batch of 40, at the
same cost), and Python's `regex` for the words (39 MB/s, and another Unicode).
"""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Uint32 = npt.NDArray[np.uint32]
Uint64 = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
Number = int | np.int64
"""A number in compiled code."""

LETTER, NUMBER, OTHER, SPACE, UNKNOWN, UNSEEN = 0, 1, 2, 3, 4, 255
_CODE_POINTS = 0x110000
_MET_BITS = 18
"""Pairs of neighbours found right are remembered in 2**18 places of 4 bytes; more would leave the processor's cache."""
_EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)


class Proof:
    """What is needed to judge ids of one tokenizer: bytes and merges of its tokens, and the classes of characters met
    so far.
    """

    def __init__(self, tokenizer: Any) -> None:  # noqa: ANN401 - tokenizers.Tokenizer carries no types
        """Read a tokenizer for which `provable` holds."""
        self._pre_tokenizer = tokenizer.pre_tokenizer
        content = json.loads(tokenizer.to_str())
        vocabulary: dict[str, int] = content["model"]["vocab"]
        merges = [
            tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in content["model"]["merges"]
        ]
        size = max(vocabulary.values()) + 1
        bytes_of = _byte_alphabet()
        texts = [b""] * size
        self._right = np.zeros(size, dtype=np.bool_)
        added = {token["content"] for token in content["added_tokens"]}
        for token, number in vocabulary.items():
            # A token whose own encoding is another can stand nowhere; special tokens are never made from text.
            if token not in added and all(character in bytes_of for character in token):
                texts[number] = bytes(bytes_of[character] for character in token)
                self._right[number] = [piece.id for piece in tokenizer.model.tokenize(token)] == [number]
        self._starts = np.zeros(size + 1, dtype=np.int64)
        np.cumsum([len(text) for text in texts], out=self._starts[1:])
        self._bytes = np.frombuffer(b"".join(texts), dtype=np.uint8)
        self._rank = np.full(size, -1, dtype=np.int32)
        self._left = np.arange(size, dtype=np.int32)
        self._right_half = np.arange(size, dtype=np.int32)
        self._keys = np.full(1 << max(4, (4 * len(merges)).bit_length()), _EMPTY, dtype=np.uint64)
        self._ranks = np.zeros(len(self._keys), dtype=np.int32)
        pairs = np.array([[vocabulary[left], vocabulary[right]] for left, right in merges], dtype=np.int64).reshape(
            -1, 2
        )
        for rank, ((left, right), (one, other)) in enumerate(zip(merges, pairs.tolist(), strict=True)):
            number = vocabulary[left + right]
            self._rank[number], self._left[number], self._right_half[number] = rank, one, other
        _fill(self._keys, self._ranks, pairs)
        self._met = np.zeros(1 << _MET_BITS, dtype=np.uint32)
        self._bits = max(int(size - 1).bit_length(), _MET_BITS // 2 + 1)
        self._classes = np.full(_CODE_POINTS, UNSEEN, dtype=np.uint8)

    def holds(self, encoded: Sequence[bytes], flat: Uint32, offsets: Int64) -> Flags:
        """Whether each document's ids are the reference's: bool [documents].

        `encoded` are the documents in UTF-8, without special tokens' strings; `flat` uint32 [tokens] and `offsets`
        int64 [documents + 1] are their ids end to end.
        """
        ends = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum([len(one) for one in encoded], out=ends[1:])
        data = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        self._learn(data)
        return np.asarray(
            _judge(
                data, ends, np.ascontiguousarray(flat), np.asarray(offsets, dtype=np.int64), self._classes, self._bytes, self._starts,
                self._right, self._rank, self._left, self._right_half, self._keys, self._ranks, self._met, self._bits,
            )
        )  # fmt: skip

    def words(self, text: str) -> list[str]:
        """The words of a text, as judged: for tests against the reference."""
        data = np.frombuffer(text.encode(), dtype=np.uint8)
        self._learn(data)
        ends = np.zeros(len(data) + 1, dtype=np.bool_)
        _mark_words(data, 0, len(data), self._classes, ends)
        places = [0, *np.flatnonzero(ends).tolist()]
        return [bytes(data[a:b]).decode() for a, b in pairwise(places)]

    def _learn(self, data: Bytes) -> None:
        """Ask the reference for the class of every character that was not met before."""
        for code in _unseen(data, self._classes):
            self._classes[code] = self._class_of(chr(int(code)))

    def _class_of(self, character: str) -> int:
        for known, kind in (("a", LETTER), ("1", NUMBER), ("!", OTHER), ("\t", SPACE)):
            if len(self._pre_tokenizer.pre_tokenize_str(known + character)) == 1:
                return kind
        return UNKNOWN


def provable(tokenizer: Any) -> bool:  # noqa: ANN401 - tokenizers.Tokenizer carries no types
    """Whether ids of a tokenizer can be proved: GPT-2's words, plain BPE over bytes, every token made by one merge."""
    content = json.loads(tokenizer.to_str())
    model, words = content["model"], content["pre_tokenizer"]
    if content["normalizer"] is not None or model["type"] != "BPE" or words is None or words["type"] != "ByteLevel":
        return False
    if words["add_prefix_space"] or not words.get("use_regex", True):
        return False
    if any(
        model.get(key)
        for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges")
    ):
        return False
    vocabulary = model["vocab"]
    if not set(_byte_alphabet()) <= set(vocabulary) or any(not token["special"] for token in content["added_tokens"]):
        return False
    merged = ["".join(merge.split(" ") if isinstance(merge, str) else merge) for merge in model["merges"]]
    return len(set(merged)) == len(merged) and set(merged) <= set(vocabulary)


def _byte_alphabet() -> dict[str, int]:
    """The character that stands for each byte in a byte-level vocabulary, as GPT-2 chose them."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(rest)}


@numba.njit(cache=True)
def _slot(key: np.uint64, size: Number) -> Number:  # pragma: no cover - compiled
    mixed = key * np.uint64(0x9E3779B97F4A7C15)
    return np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(size - 1))


@numba.njit(cache=True)
def _key(one: Number, other: Number) -> np.uint64:  # pragma: no cover - compiled
    return (np.uint64(one) << np.uint64(32)) | np.uint64(other)


@numba.njit(cache=True)
def _mixed(one: Number, other: Number, bits: Number) -> np.uint64:  # pragma: no cover - compiled
    """A pair of tokens as a number of 2 * bits bits, one to one: an odd factor loses nothing. Its high bits are well
    mixed.
    """
    pair = (np.uint64(one) << np.uint64(bits)) | np.uint64(other)
    return (pair * np.uint64(0x9E3779B97F4A7C15)) & ((np.uint64(1) << np.uint64(2 * bits)) - np.uint64(1))


@numba.njit(cache=True)
def _fill(keys: Uint64, ranks: Int32, pairs: Int64) -> None:  # pragma: no cover - compiled
    """Put merges into a table with open addresses, at most a quarter full."""
    size = len(keys)
    for rank in range(len(pairs)):
        key = _key(pairs[rank, 0], pairs[rank, 1])
        place = _slot(key, size)
        while keys[place] != _EMPTY:
            place = (place + 1) & (size - 1)
        keys[place] = key
        ranks[place] = rank


@numba.njit(cache=True)
def _merge_rank(one: Number, other: Number, keys: Uint64, ranks: Int32) -> Number:  # pragma: no cover - compiled
    """The rank at which two tokens merge, or -1."""
    size = len(keys)
    key = _key(one, other)
    place = _slot(key, size)
    while keys[place] != _EMPTY:
        if keys[place] == key:
            return np.int64(ranks[place])
        place = (place + 1) & (size - 1)
    return -1


@numba.njit(cache=True)
def _may_meet(
    one: Number, other: Number, rank: Int32, left: Int32, right: Int32, keys: Uint64, ranks: Int32
) -> bool:  # pragma: no cover - compiled
    """Whether BPE leaves two tokens apart: undo their merges, the latest first, and look for a merge across that comes
    earlier.

    Of two merges of one rank BPE does the left one first: so a merge across comes before an equal one on the right,
    after one on the left.
    """
    limit = np.int64(2**31)
    while True:
        across = _merge_rank(one, other, keys, ranks)
        if 0 <= across < limit:
            return False
        if rank[one] < 0 and rank[other] < 0:
            return True
        if rank[one] > rank[other]:
            limit = np.int64(rank[one])
            one = right[one]
        else:
            limit = np.int64(rank[other]) + 1
            other = left[other]


@numba.njit(cache=True)
def _code_point(data: Bytes, place: Number) -> tuple[Number, Number]:  # pragma: no cover - compiled
    """The character at a place of valid UTF-8, and how many bytes it takes."""
    first = np.int64(data[place])
    if first < 0x80:
        return int(first), 1
    if first < 0xE0:
        return ((first & 0x1F) << 6) | (np.int64(data[place + 1]) & 0x3F), 2
    if first < 0xF0:
        return ((first & 0x0F) << 12) | ((np.int64(data[place + 1]) & 0x3F) << 6) | (
            np.int64(data[place + 2]) & 0x3F
        ), 3
    return (
        ((first & 0x07) << 18) | ((np.int64(data[place + 1]) & 0x3F) << 12)
        | ((np.int64(data[place + 2]) & 0x3F) << 6) | (np.int64(data[place + 3]) & 0x3F)
    ), 4  # fmt: skip


@numba.njit(cache=True)
def _unseen(data: Bytes, classes: Bytes) -> list[np.int64]:  # pragma: no cover - compiled
    found = [np.int64(0) for _ in range(0)]
    place: Number = 0
    while place < len(data):
        code, width = _code_point(data, place)
        if classes[code] == 255:
            classes[code] = 4
            found.append(np.int64(code))
        place += width
    return found


@numba.njit(cache=True)
def _mark_words(
    data: Bytes, begin: Number, end: Number, classes: Bytes, ends: Flags
) -> None:  # pragma: no cover - compiled
    r"""Mark in `ends` (places relative to `begin`) where words end.

    GPT-2's pattern: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
    """
    place = begin
    while place < end:
        code, width = _code_point(data, place)
        kind = classes[code]
        if code == 0x27 and place + 1 < end:
            after = data[place + 1]
            long = data[place + 2] if place + 2 < end else np.uint8(0)
            if after == 0x73 or after == 0x74 or after == 0x6D or after == 0x64:  # 's 't 'm 'd
                place += 2
                ends[place - begin] = True
                continue
            if ((after == 0x72 or after == 0x76) and long == 0x65) or (after == 0x6C and long == 0x6C):  # 're 've 'll
                place += 3
                ends[place - begin] = True
                continue
        if kind == 3:
            # A run of spaces leaves its last one to what follows; a single blank before a word belongs to it.
            last = place
            count = 0
            following = np.uint8(3)
            while place < end:
                code, width = _code_point(data, place)
                if classes[code] != 3:
                    following = classes[code]
                    break
                last = place
                place += width
                count += 1
            if following == 3:
                ends[end - begin] = True
                return
            if count > 1:
                ends[last - begin] = True
            if data[last] != 0x20:
                ends[place - begin] = True
                continue
            kind = following
        while place < end:
            code, width = _code_point(data, place)
            if classes[code] != kind:
                break
            place += width
        ends[place - begin] = True


@numba.njit(cache=True)
def _judge(
    data: Bytes, text_ends: Int64, flat: Uint32, offsets: Int64, classes: Bytes, token_bytes: Bytes, token_starts: Int64,
    right: Flags, rank: Int32, left_half: Int32, right_half: Int32, keys: Uint64, ranks: Int32, met: Uint32, bits: int,
) -> Flags:  # pragma: no cover - compiled  # fmt: skip
    documents = len(text_ends) - 1
    result = np.ones(documents, np.bool_)
    longest = 0
    for document in range(documents):
        longest = max(longest, text_ends[document + 1] - text_ends[document])
    ends = np.zeros(longest + 1, np.bool_)
    size = len(rank)
    for document in range(documents):
        begin, end = text_ends[document], text_ends[document + 1]
        ends[: end - begin + 1] = False
        _mark_words(data, begin, end, classes, ends)
        place = begin
        before = np.int64(-1)
        fine = True
        for position in range(offsets[document], offsets[document + 1]):
            token = np.int64(flat[position])
            if token >= size or not right[token]:
                fine = False
                break
            first = token_starts[token]
            width = token_starts[token + 1] - first
            if place + width > end:
                fine = False
                break
            for step in range(width):
                if data[place + step] != token_bytes[first + step] or (step and ends[place - begin + step]):
                    fine = False
                    break
            if not fine:
                break
            if before >= 0 and not ends[place - begin]:
                mixed = _mixed(before, token, bits)
                slot, tag = (
                    mixed >> np.uint64(2 * bits - _MET_BITS),
                    np.uint32(mixed & ((np.uint64(1) << np.uint64(2 * bits - _MET_BITS)) - np.uint64(1)))
                    + np.uint32(1),
                )
                if met[slot] != tag:
                    if not _may_meet(before, token, rank, left_half, right_half, keys, ranks):
                        fine = False
                        break
                    met[slot] = tag
            before = token
            place += width
        result[document] = fine and place == end
    # A character of no known class could end a word anywhere.
    for document in range(documents):
        at: Number = text_ends[document]
        while result[document] and at < text_ends[document + 1]:
            code, taken = _code_point(data, at)
            if classes[code] == 4:
                result[document] = False
            at += taken
    return result
