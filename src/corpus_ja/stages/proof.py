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
neither is asked of the reference itself, once a character. The encoder that is judged (`bpe`) cuts words with the same
walk, so the walk is tested apart, on every text of up to five characters of every kind, and the reference encodes one
document in five hundred besides. The merges are read from the reference's own files.

Cost, one core of a busy machine: 105 MB/s of Japanese (GPT-2: 1.4 tokens a character), 95 of English, after 0.8 s a
process. Rejected: a second fast encoder beside the first (tiktoken 10 MB/s, and off where both inherit one
mistake), the reference on 1% of the documents (a wrong document in a thousand is among them in one batch of 40, at the
same cost), and Python's `regex` for the words (39 MB/s, and another Unicode).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
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
NEVER = 2**30
"""The rank of two tokens that do not merge: later than any."""
FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""An odd number that mixes: 2**64 over the golden ratio."""
_CODE_POINTS = 0x110000
_ID_BITS, _RANK_BITS = 20, 24
"""A place of the table of merges holds two ids and a rank: 64 bits."""
_MET_BITS = 18
"""Pairs of neighbours found right are remembered in 2**18 places of 4 bytes; more would leave the processor's cache."""
_EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Joined:
    """Documents in UTF-8 end to end, the classes of all their characters known.

    `data` uint8 [bytes]; `ends` int64 [documents + 1], where each begins and the last ends.
    """

    data: Bytes
    ends: Int64


class Proof:
    """What is needed to judge ids of one tokenizer: bytes and merges of its tokens, and the classes of characters met
    so far.

    For the encoder too: `token_bytes` uint8 and `token_starts` int64 [ids + 1], every token's bytes end to end;
    `merges` uint64, the ranks of pairs by open addresses (`merge_rank` reads it with `shift`); `made` uint32 [merges],
    what each makes; `classes` uint8 by code point.
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
        self.token_bytes, self.token_starts = _end_to_end(texts)
        self._rank = np.full(size, -1, dtype=np.int32)
        self._left = np.arange(size, dtype=np.int32)
        self._right_half = np.arange(size, dtype=np.int32)
        bits = max(4, (2 * len(merges)).bit_length())
        self.merges = np.full(1 << bits, _EMPTY, dtype=np.uint64)
        self.shift = np.uint64(64 - bits)
        self.made = np.zeros(len(merges), dtype=np.uint32)
        pairs = np.array([[vocabulary[left], vocabulary[right]] for left, right in merges], dtype=np.int64).reshape(
            -1, 2
        )
        for rank, ((left, right), (one, other)) in enumerate(zip(merges, pairs.tolist(), strict=True)):
            number = vocabulary[left + right]
            self._rank[number], self._left[number], self._right_half[number] = rank, one, other
            self.made[rank] = number
        _fill(self.merges, self.shift, pairs)
        self._met = np.zeros(1 << _MET_BITS, dtype=np.uint32)
        self._bits = max(int(size - 1).bit_length(), _MET_BITS // 2 + 1)
        self.classes = np.full(_CODE_POINTS, UNSEEN, dtype=np.uint8)
        self._unknown = False

    def join(self, encoded: Sequence[bytes]) -> Joined:
        """Documents in UTF-8, without special tokens' strings, made ready for `holds` and the encoder."""
        joined = Joined(*_end_to_end(encoded))
        for code in _unseen(joined.data, self.classes):
            self.classes[code] = self._class_of(chr(int(code)))
            self._unknown |= bool(self.classes[code] == UNKNOWN)
        return joined

    def holds(self, joined: Joined, flat: Uint32, offsets: Int64) -> Flags:
        """Whether each document's ids are the reference's: bool [documents].

        `flat` uint32 [tokens] and `offsets` int64 [documents + 1] are their ids end to end.
        """
        result = np.asarray(
            _judge(
                joined.data, joined.ends, np.ascontiguousarray(flat), np.asarray(offsets, dtype=np.int64), self.classes,
                self.token_bytes, self.token_starts, self._right, self._rank, self._left, self._right_half, self.merges,
                self.shift, self._met, self._bits,
            )
        )  # fmt: skip
        # A character of no known class could end a word anywhere.
        return result & ~_with_unknown(joined.data, joined.ends, self.classes) if self._unknown else result

    def words(self, text: str) -> list[str]:
        """The words of a text, as judged: for tests against the reference."""
        data = self.join([text.encode()]).data
        ends = np.zeros(len(data) + 1, dtype=np.bool_)
        mark_words(data, 0, len(data), self.classes, ends)
        places = [0, *np.flatnonzero(ends).tolist()]
        return [bytes(data[a:b]).decode() for a, b in pairwise(places)]

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
    if max(vocabulary.values()) >= 1 << _ID_BITS:
        return False
    if not set(_byte_alphabet()) <= set(vocabulary) or any(not token["special"] for token in content["added_tokens"]):
        return False
    merged = ["".join(merge.split(" ") if isinstance(merge, str) else merge) for merge in model["merges"]]
    return len(set(merged)) == len(merged) and set(merged) <= set(vocabulary)


def _byte_alphabet() -> dict[str, int]:
    """The character that stands for each byte in a byte-level vocabulary, as GPT-2 chose them."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(rest)}


def _end_to_end(parts: Sequence[bytes]) -> tuple[Bytes, Int64]:
    """Bytes end to end, and where each begins."""
    starts = np.zeros(len(parts) + 1, dtype=np.int64)
    np.cumsum([len(part) for part in parts], out=starts[1:])
    return np.frombuffer(b"".join(parts), dtype=np.uint8), starts


@numba.njit(cache=True)
def _key(one: Number, other: Number) -> np.uint64:  # pragma: no cover - compiled
    return (np.uint64(one) << np.uint64(_ID_BITS)) | np.uint64(other)


@numba.njit(cache=True)
def _mixed(one: Number, other: Number, bits: Number) -> np.uint64:  # pragma: no cover - compiled
    """A pair of tokens as a number of 2 * bits bits, one to one: an odd factor loses nothing. Its high bits are well
    mixed.
    """
    pair = (np.uint64(one) << np.uint64(bits)) | np.uint64(other)
    return (pair * FACTOR) & ((np.uint64(1) << np.uint64(2 * bits)) - np.uint64(1))


@numba.njit(cache=True)
def _fill(merges: Uint64, shift: np.uint64, pairs: Int64) -> None:  # pragma: no cover - compiled
    """Put merges into a table with open addresses, at most half full."""
    last = np.uint64(len(merges) - 1)
    for rank in range(len(pairs)):
        key = _key(pairs[rank, 0], pairs[rank, 1])
        place = (key * FACTOR) >> shift
        while merges[place] != _EMPTY:
            place = (place + np.uint64(1)) & last
        merges[place] = (key << np.uint64(_RANK_BITS)) | np.uint64(rank)


@numba.njit(cache=True)
def merge_rank(one: Number, other: Number, merges: Uint64, shift: np.uint64) -> Number:  # pragma: no cover - compiled
    """The rank at which two tokens merge, or `NEVER`."""
    last = np.uint64(len(merges) - 1)
    key = _key(one, other)
    place = (key * FACTOR) >> shift
    while merges[place] != _EMPTY:
        if merges[place] >> np.uint64(_RANK_BITS) == key:
            return np.int64(merges[place] & np.uint64((1 << _RANK_BITS) - 1))
        place = (place + np.uint64(1)) & last
    return NEVER


@numba.njit(cache=True)
def _may_meet(
    one: Number, other: Number, rank: Int32, left: Int32, right: Int32, merges: Uint64, shift: np.uint64
) -> bool:  # pragma: no cover - compiled
    """Whether BPE leaves two tokens apart: undo their merges, the latest first, and look for a merge across that comes
    earlier.

    Of two merges of one rank BPE does the left one first: so a merge across comes before an equal one on the right,
    after one on the left.
    """
    limit = np.int64(NEVER)
    while True:
        if merge_rank(one, other, merges, shift) < limit:
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
def code_point(data: Bytes, place: Number) -> tuple[Number, Number]:  # pragma: no cover - compiled
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
        code, width = code_point(data, place)
        if classes[code] == 255:
            classes[code] = 4
            found.append(np.int64(code))
        place += width
    return found


@numba.njit(cache=True)
def mark_words(
    data: Bytes, begin: Number, end: Number, classes: Bytes, ends: Flags
) -> None:  # pragma: no cover - compiled
    r"""Mark in `ends` (places relative to `begin`) where words end.

    GPT-2's pattern: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
    """
    place = begin
    while place < end:
        code, width = code_point(data, place)
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
                code, width = code_point(data, place)
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
            code, width = code_point(data, place)
            if classes[code] != kind:
                break
            place += width
        ends[place - begin] = True


@numba.njit(cache=True)
def _judge(
    data: Bytes, text_ends: Int64, flat: Uint32, offsets: Int64, classes: Bytes, token_bytes: Bytes, token_starts: Int64,
    right: Flags, rank: Int32, left_half: Int32, right_half: Int32, merges: Uint64, shift: np.uint64, met: Uint32, bits: int,
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
        mark_words(data, begin, end, classes, ends)
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
                    if not _may_meet(before, token, rank, left_half, right_half, merges, shift):
                        fine = False
                        break
                    met[slot] = tag
            before = token
            place += width
        result[document] = fine and place == end
    return result


@numba.njit(cache=True)
def _with_unknown(data: Bytes, text_ends: Int64, classes: Bytes) -> Flags:  # pragma: no cover - compiled
    """Which documents hold a character of no known class."""
    result = np.zeros(len(text_ends) - 1, np.bool_)
    for document in range(len(result)):
        at: Number = text_ends[document]
        while not result[document] and at < text_ends[document + 1]:
            code, taken = code_point(data, at)
            result[document] = classes[code] == 4
            at += taken
    return result
