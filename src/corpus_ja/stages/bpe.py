"""Byte-level BPE by pieces that are looked up: text is cut where no token can reach across, and what stands between is
mostly known.

A merge joins neighbours, and all that it makes is an entry of the vocabulary. So where no entry holds the end of one
character and the beginning of the next, nothing on one side touches the other: BPE of the two sides is BPE of the
whole. With GPT-2's vocabulary that is so between most Japanese characters: pieces are 3.1 bytes long on average, and 8
MB of prose hold 26,000 different ones. A table of 2**17 rows of 32 bytes keeps a hash of 64 bits of a piece and its ids,
two rows to a place; what it does not hold is merged pair by pair, the lowest rank first. English is cut into its words
only, and an extended vocabulary leaves Japanese in long pieces: more of both must be merged.

Nothing here is believed: `proof` judges every document, a confusion of two hashes too. Words are cut by `proof`'s walk.
A document with a piece longer than `LONGEST` bytes, where merging by rank would take for ever, is left to the
reference.

Cost, one core of a busy machine, MB/s with GPT-2's vocabulary: Japanese 105, English 63; Japanese with 8,000 entries of its
own 27. 5 MB of memory, beside the proof's.
Rejected: the longest token first, going back where two do not fit (27 MB/s of Japanese, 42 of English); cutting by the
last byte and the first alone (3.7 bytes a piece, three times as many different ones).
"""

import numba
import numpy as np

from corpus_ja.stages.proof import (
    FACTOR,
    NEVER,
    Bytes,
    Flags,
    Int32,
    Int64,
    Joined,
    Number,
    Proof,
    Uint32,
    Uint64,
    code_point,
    mark_words,
    merge_rank,
)

LONGEST = 2048
"""Bytes of a piece that is merged here. Its time grows with their square: 0.16 ms for 512, 2.6 ms for these; the
reference takes that for a text of 10,000."""
_ROW_BITS = 17
"""2**17 rows, 4 MB. Measured with Japanese, English: 2**16 73 and 64 MB/s, 2**17 122 and 79, 2**18 99 and 68."""
_IDS = 6
"""Ids that a row holds; 0.8 in a thousand English words have more."""
_PAIR_BITS = 16
_CHARACTER_BITS = 21
"""Bits of a code point."""
_TAG_BITS = 2 * _CHARACTER_BITS - _PAIR_BITS
_TAG = np.uint32(0xFFFFFFF0)
"""Which bits of a row's second number are the hash's; the lower four are how many ids follow."""


class PieceEncoder:
    """Encodes documents as byte-level BPE does, remembering pieces; bounded memory."""

    def __init__(self, proof: Proof) -> None:
        """Take words, tokens and merges from the proof of the same tokenizer."""
        self._proof = proof
        starts = proof.token_starts
        single = np.flatnonzero(np.diff(starts) == 1)
        self._of_byte = np.zeros(256, dtype=np.uint32)
        self._of_byte[proof.token_bytes[starts[single]]] = single
        self._byte_ranks = _byte_ranks(self._of_byte, proof.merges, proof.shift)
        self._near = np.zeros((256, 256), dtype=np.bool_)
        self._spans = np.unique(_spans(proof.token_bytes, starts, self._near))
        self._pairs = np.zeros(1 << _PAIR_BITS, dtype=np.uint32)
        self._rows = np.zeros((1 << _ROW_BITS, 2 + _IDS), dtype=np.uint32)

    def encode(self, joined: Joined) -> tuple[Uint32, Int64, Flags]:
        """The ids of documents end to end, uint32 [tokens]; offsets int64 [documents + 1]; and which documents were left
        out for the reference, bool [documents], without ids.
        """
        proof = self._proof
        flat = np.empty(len(joined.data) + _IDS, dtype=np.uint32)
        offsets, left_out = _encode(
            joined.data, joined.ends, proof.classes, self._near, self._spans, self._pairs, self._rows, self._of_byte,
            self._byte_ranks, proof.merges, proof.shift, proof.made, flat,
        )  # fmt: skip
        return flat[: offsets[-1]], offsets, left_out


@numba.njit(cache=True)
def _byte_ranks(of_byte: Uint32, merges: Uint64, shift: np.uint64) -> Int32:  # pragma: no cover - compiled
    """The ranks of all pairs of bytes: the first that every merging asks for."""
    result = np.empty((256, 256), np.int32)
    for one in range(256):
        for other in range(256):
            result[one, other] = merge_rank(of_byte[one], of_byte[other], merges, shift)
    return result


@numba.njit(cache=True)
def _begins(byte: np.uint8) -> bool:  # pragma: no cover - compiled
    """Whether a byte of UTF-8 begins a character."""
    return bool((byte & 0xC0) != 0x80)


@numba.njit(cache=True)
def _spans(token_bytes: Bytes, starts: Int64, near: Flags) -> Uint64:  # pragma: no cover - compiled
    """Of every place in a token where one character ends and another begins: what the token holds of the two, four
    bytes and four; and in `near` the two bytes that meet.
    """
    found = np.empty(len(token_bytes), np.uint64)
    count = 0
    for token in range(len(starts) - 1):
        first, end = starts[token], starts[token + 1]
        for place in range(first + 1, end):
            near[token_bytes[place - 1], token_bytes[place]] = True
            if not _begins(token_bytes[place]):
                continue
            left = right = np.uint64(0)
            at = place
            while at > first and place - at < 4:
                at -= 1
                left |= np.uint64(token_bytes[at]) << np.uint64(8 * (place - 1 - at))
                if _begins(token_bytes[at]):
                    break
            at = place
            while at < end and at - place < 4 and (at == place or not _begins(token_bytes[at])):
                right = (right << np.uint64(8)) | np.uint64(token_bytes[at])
                at += 1
            found[count] = (left << np.uint64(32)) | right
            count += 1
    return found[:count]


@numba.njit(cache=True)
def _reached_across(
    data: Bytes, begin: Number, place: Number, end: Number, spans: Uint64
) -> bool:  # pragma: no cover - compiled
    """Whether a token may hold bytes of the character before `place` and of the one behind it."""
    left = np.uint64(0)
    at = place
    while at > begin:
        at -= 1
        left |= np.uint64(data[at]) << np.uint64(8 * (place - 1 - at))
        right = np.uint64(0)
        behind = place
        while behind < end and (behind == place or not _begins(data[behind])):
            right = (right << np.uint64(8)) | np.uint64(data[behind])
            behind += 1
            key = (left << np.uint64(32)) | right
            found = np.searchsorted(spans, key)
            if found < len(spans) and spans[found] == key:
                return True
        if _begins(data[at]):
            break
    return False


@numba.njit(cache=True)
def _merge(
    data: Bytes, first: Number, end: Number, of_byte: Uint32, byte_ranks: Int32, merges: Uint64, shift: np.uint64, made: Uint32,
    ids: Uint32, ranks: Int32,
) -> Number:  # pragma: no cover - compiled  # fmt: skip
    """BPE of a few bytes into `ids`; how many they are. `ranks` is room for those of neighbours."""
    count = end - first
    for place in range(count):
        ids[place] = of_byte[data[first + place]]
        ranks[place] = byte_ranks[data[first + place], data[first + place + 1]] if place + 1 < count else NEVER
    while True:
        best = NEVER
        at: Number = 0
        for place in range(count - 1):
            if ranks[place] < best:
                best, at = ranks[place], place
        if best == NEVER:
            return count
        ids[at] = made[best]
        count -= 1
        for place in range(at + 1, count):
            ids[place] = ids[place + 1]
            ranks[place] = ranks[place + 1]
        if at > 0:
            ranks[at - 1] = merge_rank(ids[at - 1], ids[at], merges, shift)
        ranks[at] = merge_rank(ids[at], ids[at + 1], merges, shift) if at + 1 < count else NEVER


@numba.njit(cache=True)
def _encode(
    data: Bytes, text_ends: Int64, classes: Bytes, near: Flags, spans: Uint64, pairs: Uint32, rows: Uint32, of_byte: Uint32,
    byte_ranks: Int32, merges: Uint64, shift: np.uint64, made: Uint32, flat: Uint32,
) -> tuple[Int64, Flags]:  # pragma: no cover - compiled  # fmt: skip
    documents = len(text_ends) - 1
    offsets = np.zeros(documents + 1, np.int64)
    left_out = np.zeros(documents, np.bool_)
    longest = 0
    for document in range(documents):
        longest = max(longest, text_ends[document + 1] - text_ends[document])
    ends = np.zeros(longest + 1, np.bool_)
    ids = np.empty(LONGEST, np.uint32)
    ranks = np.empty(LONGEST, np.int32)
    last_row = np.uint64(len(rows) - 1)
    pair_mask = (np.uint64(1) << np.uint64(2 * _CHARACTER_BITS)) - np.uint64(1)
    tag_mask = (np.uint64(1) << np.uint64(_TAG_BITS)) - np.uint64(1)
    written: Number = 0
    for document in range(documents):
        begin, end = text_ends[document], text_ends[document + 1]
        ends[: end - begin + 1] = False
        mark_words(data, begin, end, classes, ends)
        place = first = begin
        hashed = np.uint64(0)
        code: Number = 0
        width: Number = 0
        if place < end:
            code, width = code_point(data, place)
        while place < end:
            hashed = (hashed ^ np.uint64(code)) * FACTOR
            hashed ^= hashed >> np.uint64(32)
            place += width
            cut = ends[place - begin]
            if not cut:
                before = code
                code, width = code_point(data, place)
                cut = not near[data[place - 1], data[place]]
                if not cut and (before | code) >= 0x80:
                    # A product with an odd number: one to one, so place and tag together are the pair itself.
                    mixed = (((np.uint64(before) << np.uint64(_CHARACTER_BITS)) | np.uint64(code)) * FACTOR) & pair_mask
                    slot = mixed >> np.uint64(_TAG_BITS)
                    tag = ((mixed & tag_mask) << np.uint64(2)) | np.uint64(2)
                    if np.uint64(pairs[slot]) | np.uint64(1) != tag | np.uint64(1):
                        pairs[slot] = tag | np.uint64(_reached_across(data, begin, place, end, spans))
                    cut = (pairs[slot] & np.uint32(1)) == 0
            elif place < end:
                code, width = code_point(data, place)
            if not cut:
                continue
            row = hashed & last_row
            high, low = np.uint32(hashed >> np.uint64(32)), np.uint32(hashed) & _TAG
            if rows[row, 0] != high or (rows[row, 1] & _TAG) != low:
                row ^= np.uint64(1)
            count: Number = np.int64(rows[row, 1] & ~_TAG)
            if rows[row, 0] == high and (rows[row, 1] & _TAG) == low and count:
                # All of them, always: more than there are is overwritten, and a loop of known length is fast.
                for step in range(_IDS):
                    flat[written + step] = rows[row, 2 + step]
            elif place - first > LONGEST:
                left_out[document] = True
                break
            else:
                count = _merge(data, first, place, of_byte, byte_ranks, merges, shift, made, ids, ranks)
                for step in range(count):
                    flat[written + step] = ids[step]
                if count <= _IDS:
                    # The other row of the two was asked last; what stood in the first moves there.
                    rows[row] = rows[row ^ np.uint64(1)]
                    row ^= np.uint64(1)
                    rows[row, 0], rows[row, 1] = high, low | np.uint32(count)
                    for step in range(count):
                        rows[row, 2 + step] = ids[step]
            written += count
            first = place
            hashed = np.uint64(0)
        if left_out[document]:
            written = offsets[document]
        offsets[document + 1] = written
    return offsets, left_out
