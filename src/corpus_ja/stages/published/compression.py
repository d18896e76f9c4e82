"""How far zlib compresses a text at level 9, to the byte, without compressing it.

A published rule compares that ratio, and zlib itself needs more time for it than all other signals together: level 9
walks, at each place, up to 4,096 earlier places that share three bytes, 19 MB/s. Only the size is wanted here, so
nothing is written: what zlib would emit (RFC 1951: literals, and matches of 3 to 258 bytes) is counted, and a block
costs what its Huffman codes say. The matches are zlib's own, because zlib takes the longest and of those the nearest,
and that is found faster: among the earlier places that share six bytes, then four, then three, each chain being a
table of last places and the distance from every place to the one before it. Two limits of zlib's search need its own
hash of three bytes: it counts the places that a search would have passed. 60 MB/s of processor time on Japanese prose
and pages, 3.2 times zlib, and a megabyte of tables whatever the text's length.

The size is that of zlib 1.2.13 as its authors publish it, on every machine. Python may be built with another, whose
sizes differ (zlib-ng's for a quarter of all texts), and what a build keeps must not depend on that. Rejected: another
library at level 9 (zlib-ng 25 MB/s, libdeflate 38: other sizes), skipping earlier places that follow the same byte
(right, but its links cost more than they save), chains of 5, 7 or 8 bytes instead of 6 (7 to 15% slower), and one of 12
besides (no gain).
"""

import functools
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from corpus_ja.stages.measurement import Signal

_PADDING = 16
"""Bytes that must follow the last text: the kernels read eight at once."""
_LITERALS, _DISTANCES, _RUNS = 286, 30, 19
"""Symbols of the three codes of a block: bytes, its end and lengths; distances; lengths of the other two codes."""
_SYMBOLS = 16_383
"""Literals and matches of a full block."""
_SHORTEST, _LONGEST, _FARTHEST = 3, 258, 32_768 - 262
_FARTHEST_OF_THREE = 4_096
"""A match of three bytes farther back is not worth its distance, says zlib."""
_CHAIN, _SHORT_CHAIN, _GOOD = 4_096, 1_024, 32
"""Places that a search passes at most, and once the place before has a match of `_GOOD` bytes."""
_RING = 1 << 16
_AHEAD = 8_192
"""Places linked at once, ahead of the search; with the 32,506 before it they fit into the ring."""
_MIXER = np.uint64(0x9E3779B97F4A7C15)
_RUN_ORDER = np.array([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15])
"""The order in which a block tells the lengths of its third code (RFC 1951, 3.2.7); trailing zeros are left out."""


ZLIB_SIGNALS = {"zlib_ratio": Signal(pl.Float64, "bytes after zlib at level 9, of UTF-8 bytes; null for empty text")}


def of_zlib(text: pl.Series) -> pl.DataFrame:
    """The signals of `ZLIB_SIGNALS` of texts without nulls, their bytes taken as they lie."""
    padded = pl.concat([text, pl.Series([_PADDING * "\0"])])  # what must follow the last text
    array = padded.to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    places = np.frombuffer(offsets, dtype=np.int64)[array.offset :][: len(text) + 1]
    sizes = deflated_bytes(np.frombuffer(data, dtype=np.uint8), places)
    ratios = pl.DataFrame({"after": sizes, "before": np.diff(places)}).select(
        zlib_ratio=pl.when(pl.col("before") > 0).then(pl.col("after") / pl.col("before"))
    )
    return ratios.cast({name: signal.dtype for name, signal in ZLIB_SIGNALS.items()})


class _Chains(NamedTuple):
    """Where the same bytes stood before, for one thread; places are taken modulo the ring."""

    heads: npt.NDArray[np.uint32]
    """The last place by a hash of three, four and six bytes, shape (3, 65536)."""
    links: npt.NDArray[np.uint16]
    """How far back the place before with the same hash lies, at most 65,535; shape (3, ring)."""
    seen: npt.NDArray[np.uint16]
    """How often zlib's hash of three bytes came, modulo 65,536; shape (32768,)."""
    ordinals: npt.NDArray[np.uint16]
    """The same, by place; shape (ring,)."""


def deflated_bytes(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """`len(zlib.compress(text, 9))` of each text `data[offsets[d]:offsets[d + 1]]`; at least 16 bytes follow the last.

    Raises ValueError where they do not.
    """
    if len(data) < offsets[-1] + _PADDING:
        raise ValueError(f"{_PADDING} bytes must follow the last text")
    out = np.empty(len(offsets) - 1, dtype=np.int64)
    chains = _Chains(
        heads=np.zeros((3, 1 << 16), dtype=np.uint32),
        links=np.zeros((3, _RING), dtype=np.uint16),
        seen=np.zeros(1 << 15, dtype=np.uint16),
        ordinals=np.zeros(_RING, dtype=np.uint16),
    )
    _deflated(data, offsets, *chains, *_symbols(), out)
    return out


@functools.cache
def _symbols() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """The symbol, from 0, of each length up to 258; of each distance less one under 256, then of its 128ths."""
    lengths, distances = np.zeros(_LONGEST + 1, dtype=np.uint8), np.zeros(512, dtype=np.uint8)
    first = _SHORTEST
    for symbol in range(28):
        last = first + (1 << max(0, (symbol - 4) // 4))
        lengths[first:last] = symbol
        first = last
    lengths[_LONGEST] = 28
    first = 0
    for symbol in range(_DISTANCES):
        last = first + (1 << max(0, (symbol - 2) // 2))
        if first < 256:
            distances[first:last] = symbol
        else:
            distances[256 + (first >> 7) : 256 + (last >> 7)] = symbol
        first = last
    return lengths, distances


def _eight_bytes(_, data, place):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001  # written as machine code
    """Eight bytes from a place on as one number, the first lowest; numba itself reads aligned numbers only."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        wide = context.get_value_type(types.uint64).as_pointer()
        value = builder.load(builder.bitcast(builder.gep(array.data, [arguments[1]]), wide))
        value.align = 1
        return value

    return types.uint64(data, types.uint64), generate


def _zeros(_, value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001  # written as machine code
    def generate(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return builder.cttz(arguments[0], cgutils.true_bit)

    return types.uint64(types.uint64), generate


_eight: Any = intrinsic(_eight_bytes)
_trailing_zeros: Any = intrinsic(_zeros)


# -------------------------------------------------------------------------------------------------------------- matches
# Places are unsigned, because numba looks at every signed index whether it counts from the end.


@njit(cache=True, nogil=True)
def _link(data, begin, end, heads, links, seen, ordinals):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """Link the places from `begin` to before `end` to those before them with the same three, four and six bytes."""
    in_ring, none = np.uint64(_RING - 1), np.uint32(_RING - 1)
    three, four, six = heads[0], heads[1], heads[2]
    three_links, four_links, six_links = links[0], links[1], links[2]
    for place in range(np.uint64(begin), np.uint64(end)):
        at = place & in_ring
        eight = _eight(data, place)
        low, middle, high = eight & np.uint64(31), (eight >> np.uint64(8)) & np.uint64(255), eight >> np.uint64(16)
        key = (low << np.uint64(10)) ^ (middle << np.uint64(5)) ^ (high & np.uint64(255))
        seen[key] += np.uint16(1)
        ordinals[at] = seen[key]
        # differences are modulo 2³², so that a table need not be emptied for a text
        back = np.uint32(place) - three[key]
        three[key] = place
        three_links[at] = min(back, none)
        key = ((eight << np.uint64(32)) * _MIXER) >> np.uint64(49)
        back = np.uint32(place) - four[key]
        four[key] = place
        four_links[at] = min(back, none)
        key = ((eight << np.uint64(16)) * _MIXER) >> np.uint64(48)
        back = np.uint32(place) - six[key]
        six[key] = place
        six_links[at] = min(back, none)


@njit(cache=True, nogil=True, forceinline=True)
def _common(data, one, other, most):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """How many bytes two places have in common, at most `most`."""
    length = np.uint64(0)
    while length < most:
        different = _eight(data, one + length) ^ _eight(data, other + length)
        if different:
            return min(length + (_trailing_zeros(different) >> np.uint64(3)), most)
        length += np.uint64(8)
    return most


@njit(cache=True, nogil=True, forceinline=True)
def _longer(data, place, start, links, ordinals, chain, farthest, length, enough, most):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """The longest match of more than `length` bytes down one chain, the nearest of those: its length, and how far back,
    0 for none. A match of `enough` ends the search; what zlib would not have reached is none.
    """
    in_ring, eight = np.uint64(_RING - 1), np.uint64(8)
    back = np.uint64(0)
    before = place
    while True:
        step = np.uint64(links[before & in_ring])
        before -= step
        distance = place - before
        if before <= start or distance > farthest:  # zlib never finds the first place of a text
            break
        if length >= eight:  # the eight bytes that a longer match ends with at least
            last = length - np.uint64(7)
            if _eight(data, before + last) != _eight(data, place + last):
                continue
        elif (_eight(data, before) ^ _eight(data, place)) << (np.uint64(56) - length * eight):
            continue
        found = _common(data, place, before, most)
        if found > length:
            passed = np.uint16(ordinals[place & in_ring] - ordinals[before & in_ring])
            if passed > chain or (distance == _FARTHEST and passed > 1):
                break
            length, back = found, distance
            if found >= enough:
                break
    return length, back


# --------------------------------------------------------------------------------------------------------------- blocks


@njit(cache=True, nogil=True, forceinline=True)
def _sink(heap, count, at):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """Move an entry down to where none below it is smaller; the lowest ten bits, the node, are not compared."""
    one, node = np.uint64(1), np.uint64(10)
    entry = heap[at]
    below = at << one
    while below <= count:
        if below < count and heap[below + one] >> node <= heap[below] >> node:
            below += one
        if entry >> node <= heap[below] >> node:
            break
        heap[at] = heap[below]
        at = below
        below <<= one
    heap[at] = entry


@njit(cache=True, nogil=True)
def _code_lengths(counts, limit, lengths, heap, order, parents):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """The bits of each symbol in the Huffman code of `counts`, none longer than `limit`; the last symbol in use.

    The shapes of equal codes differ in what it costs to tell their lengths, so ties fall as in zlib: nodes are ordered
    by count, then by depth, and two of them that are equal as the heap has them. There are at least two symbols.
    """
    symbols = np.uint64(len(counts))
    one, nodes, deeper, count_bits = np.uint64(1), np.uint64(1023), np.uint64(1 << 10), np.uint64(20)
    filled = np.uint64(0)
    last = np.int64(-1)
    for symbol in range(symbols):
        lengths[symbol] = 0
        if counts[symbol]:
            filled += one
            heap[filled] = (np.uint64(counts[symbol]) << count_bits) | symbol
            last = np.int64(symbol)
    while filled < 2:
        added = 0
        if last < 2:
            last += 1
            added = int(last)
        filled += one
        heap[filled] = (one << count_bits) | np.uint64(added)
    for at in range(np.int64(filled) // 2, 0, -1):
        _sink(heap, filled, np.uint64(at))
    joined = symbols
    first = np.uint64(len(order))  # nodes in the order of their joining, from the end
    while filled >= 2:
        rarest = heap[1]
        heap[1] = heap[filled]
        filled -= one
        _sink(heap, filled, one)
        next_rarest = heap[1]
        for entry in (rarest, next_rarest):
            first -= one
            order[first] = entry & nodes
            parents[entry & nodes] = joined
        depth = max(rarest & (nodes << np.uint64(10)), next_rarest & (nodes << np.uint64(10))) + deeper
        heap[1] = (((rarest >> count_bits) + (next_rarest >> count_bits)) << count_bits) | depth | joined
        joined += one
        _sink(heap, filled, one)
    lengths[heap[1] & nodes] = 0
    of_length = np.zeros(16, dtype=np.int64)
    too_long = 0
    for place in range(first, np.uint64(len(order))):
        node = order[place]
        bits = lengths[parents[node]] + 1
        if bits > limit:
            bits = limit
            too_long += 1
        lengths[node] = bits
        of_length[bits] += node < symbols
    if too_long:
        while too_long > 0:  # a leaf above the limit becomes a node with two leaves, one of them from the limit
            bits = limit - 1
            while of_length[bits] == 0:
                bits -= 1
            of_length[bits] -= 1
            of_length[bits + 1] += 2
            of_length[limit] -= 1
            too_long -= 2
        leaf = np.uint64(len(order))
        for bits in range(limit, 0, -1):
            for _ in range(of_length[bits]):
                leaf -= one
                while order[leaf] >= symbols:
                    leaf -= one
                lengths[order[leaf]] = bits
    return last


@njit(cache=True, nogil=True)
def _count_runs(lengths, last, counts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """Count the symbols that tell the lengths up to the last: 16 repeats one 3 to 6 times, 17 and 18 a zero."""
    before, times = -1, 0
    for symbol in range(last + 1):
        length = lengths[symbol]
        following = lengths[symbol + 1] if symbol < last else -1
        times += 1
        most = 138 if length == 0 else 6 if length == before else 7
        if times < most and length == following:
            continue
        if times < (3 if length == 0 or length == before else 4):
            counts[length] += times
        elif length:
            counts[length] += length != before
            counts[16] += 1
        else:
            counts[17 if times <= 10 else 18] += 1
        times = 0
        before = length


@njit(cache=True, nogil=True)
def _block(literals, distances, size, bits):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """The bits written once a block of these symbols has followed `bits`: stored as its `size` bytes, or with the fixed
    or its own codes, whichever takes fewer bytes. The counts are emptied.
    """
    literals[256] = 1
    heap = np.empty(_LITERALS + 4, dtype=np.uint64)
    order, parents = np.empty(2 * _LITERALS, dtype=np.uint16), np.empty(2 * _LITERALS, dtype=np.uint16)
    literal_lengths, distance_lengths = np.empty(2 * _LITERALS, dtype=np.int32), np.empty(64, dtype=np.int32)
    run_lengths, runs = np.empty(64, dtype=np.int32), np.zeros(_RUNS, dtype=np.int64)
    last_literal = _code_lengths(literals, 15, literal_lengths, heap, order, parents)
    last_distance = _code_lengths(distances, 15, distance_lengths, heap, order, parents)
    _count_runs(literal_lengths, last_literal, runs)
    _count_runs(distance_lengths, last_distance, runs)
    _code_lengths(runs, 7, run_lengths, heap, order, parents)
    told = _RUNS
    while told > 4 and run_lengths[_RUN_ORDER[told - 1]] == 0:
        told -= 1
    own, fixed = 5 + 5 + 4 + 3 * told, 0
    for run in range(_RUNS):
        own += runs[run] * (run_lengths[run] + (2 if run == 16 else 3 if run == 17 else 7 if run == 18 else 0))
    for symbol in range(_LITERALS):
        extra = (symbol - 261) // 4 if 265 <= symbol < 285 else 0
        own += literals[symbol] * (literal_lengths[symbol] + extra)
        width = 8 if symbol < 144 else 9 if symbol < 256 else 7 if symbol < 280 else 8
        fixed += literals[symbol] * (width + extra)
    for symbol in range(_DISTANCES):
        extra = (symbol - 2) // 2 if symbol >= 4 else 0
        own += distances[symbol] * (distance_lengths[symbol] + extra)
        fixed += distances[symbol] * (5 + extra)
    literals[:] = 0
    distances[:] = 0
    own_bytes, fixed_bytes = (own + 10) // 8, (fixed + 10) // 8
    if size + 4 <= min(own_bytes, fixed_bytes):
        return (bits + 3 + 7) // 8 * 8 + 32 + 8 * size
    return bits + 3 + (fixed if fixed_bytes <= own_bytes else own)


# ---------------------------------------------------------------------------------------------------------------- texts


@njit(cache=True, nogil=True)
def _deflated(data, offsets, heads, links, seen, ordinals, length_symbols, distance_symbols, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # compiled
    """The size of each text: two bytes of header, blocks, four of a checksum.

    A match waits for the search at the next place, which may find a longer one; then its first byte is a literal.
    """
    one, two, three, none = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(0)
    four, five, six = np.uint64(4), np.uint64(5), np.uint64(6)
    farthest, farthest_of_three = np.uint64(_FARTHEST), np.uint64(_FARTHEST_OF_THREE)
    three_links, four_links, six_links = links[0], links[1], links[2]
    literals, distances = np.zeros(_LITERALS, dtype=np.int64), np.zeros(_DISTANCES, dtype=np.int64)
    for text in range(len(offsets) - 1):
        start, end = np.uint64(offsets[text]), np.uint64(offsets[text + 1])
        bits, symbols = np.int64(0), 0
        block = linked = place = start
        length, back = two, none  # of the match at the last place; two is none
        waiting = False  # whether the byte before is not counted yet
        while place < end:
            if place + np.uint64(_LONGEST) >= linked and linked < end:
                begin, linked = linked, min(linked + np.uint64(_AHEAD), end)
                _link(data, begin, linked, heads, links, seen, ordinals)
            left = end - place
            before, before_back = length, back
            length = two
            if before < _LONGEST and left >= _SHORTEST:
                most = min(left, np.uint64(_LONGEST))
                chain = np.uint16(_SHORT_CHAIN) if before >= _GOOD else np.uint16(_CHAIN)
                longest, found = before, none
                if left >= six:
                    least = max(before, five)
                    longest, found = _longer(
                        data, place, start, six_links, ordinals, chain, farthest, least, most, most
                    )
                if found == 0 and before < five and left >= four:
                    least, enough = max(before, three), min(most, five)
                    longest, found = _longer(
                        data, place, start, four_links, ordinals, chain, farthest, least, enough, most
                    )
                if found == 0 and before == two:
                    longest, found = _longer(
                        data, place, start, three_links, ordinals, chain, farthest_of_three, two, three, most
                    )
                if found:
                    length, back = longest, found
            full = False
            if before >= three and length <= before:
                literals[257 + length_symbols[before]] += 1
                away = before_back - one
                distances[distance_symbols[away if away < 256 else np.uint64(256) + (away >> np.uint64(7))]] += 1
                symbols += 1
                place += before - two
                waiting = False
                length = two
                full = symbols == _SYMBOLS
                ended = place + one
            elif waiting:
                literals[data[place - one]] += 1
                symbols += 1
                full = symbols == _SYMBOLS
                ended = place
            else:
                waiting = True
            place += one
            if full:
                bits = _block(literals, distances, np.int64(ended - block), bits)
                block, symbols = ended, 0
        if waiting:
            literals[data[end - one]] += 1
        bits = _block(literals, distances, np.int64(end - block), bits)
        out[text] = 2 + (bits + 7) // 8 + 4
