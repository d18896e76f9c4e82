"""Documents' tokens into rows of `sequence_length`: `concat` as the original run did, or `best_fit`.

Both lose nothing, pad nothing, and fill every row but a shard's last. A plan is made from lengths alone: pieces
(document, start, length) in row order; the tokens are then gathered once. `concat` lays the documents end to end and
cuts at every `sequence_length`. `best_fit` keeps documents that fit a row whole wherever arithmetic allows:

1. documents no longer than a row, longest first, each into the fullest row that still has room for it (best-fit
decreasing);
2. the tails of longer documents (length modulo row) likewise, into rows already begun;
3. what is left open is filled with cuts of the bodies of longer documents, the rest of which makes rows of its own;
4. without bodies left, the emptiest rows are taken apart to fill the others; one short row remains, and stands last.

Cost: a few dozen operations a piece in Numba. The search for the fullest row with room uses a two-level bitmap over
the room left. Rejected: first-fit (worse fill, slower), dropping or padding (tokens were paid for), and packing per
source (rows of one shard should mix sources).
"""

from dataclasses import dataclass
from typing import Literal

import numba
import numpy as np
import numpy.typing as npt

VERSION = 1

Packing = Literal["concat", "best_fit"]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces in row order: piece i is `length[i]` tokens of `document[i]` from token `start[i]`, in row `row[i]`.

    All int64 [pieces]; rows count from 0 without gaps; every row but the last holds exactly `sequence_length` tokens.
    """

    row: Int64
    document: Int64
    start: Int64
    length: Int64

    @property
    def rows(self) -> int:
        """How many rows the pieces make."""
        return int(self.row[-1]) + 1 if len(self.row) else 0


def pack(lengths: Int64, sequence_length: int, packing: Packing) -> Pieces:
    """Lay documents of these lengths (int64 [documents], each ≥ 1, in drawing order) into rows.

    Raises ValueError for an empty document: nothing could restore it from the shards.
    """
    if len(lengths) and int(lengths.min()) < 1:
        raise ValueError("a document without tokens cannot be packed")
    if packing == "concat":
        row, document, start, length = _concat(lengths, sequence_length)
    else:
        row, document, start, length = _best_fit(lengths, sequence_length)
    return Pieces(row, document, start, length)


def shuffle_rows(pieces: Pieces, sequence_length: int, seed: int) -> Pieces:
    """Put the full rows of a shard into an order drawn from `seed` (64 bits); a short row stays last."""
    rows = pieces.rows
    if rows < 2:
        return pieces
    filled = np.bincount(pieces.row, weights=pieces.length, minlength=rows).astype(np.int64)
    keys = _mix(np.arange(rows, dtype=np.uint64), np.uint64(seed))
    order = np.lexsort((keys, filled < sequence_length))
    rank = np.empty(rows, dtype=np.int64)
    rank[order] = np.arange(rows)
    by_row = np.argsort(rank[pieces.row], kind="stable")
    return Pieces(rank[pieces.row][by_row], pieces.document[by_row], pieces.start[by_row], pieces.length[by_row])


def _mix(values: npt.NDArray[np.uint64], seed: np.uint64) -> npt.NDArray[np.uint64]:
    """SplitMix64's finaliser: a stable, well mixed 64-bit hash of a counter."""
    with np.errstate(over="ignore"):
        mixed = values * np.uint64(0x9E3779B97F4A7C15) + seed
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(mixed ^ (mixed >> np.uint64(31)))


@numba.njit(cache=True)
def _concat(lengths: Int64, size: int) -> tuple[Int64, Int64, Int64, Int64]:  # pragma: no cover - compiled
    total = 0
    pieces = 0
    for length in lengths:
        first = total // size
        total += length
        pieces += (total - 1) // size - first + 1
    row = np.empty(pieces, np.int64)
    document = np.empty(pieces, np.int64)
    start = np.empty(pieces, np.int64)
    taken = np.empty(pieces, np.int64)
    position = 0
    piece = 0
    for index in range(len(lengths)):
        begin = 0
        while begin < lengths[index]:
            room = size - position % size
            part = min(room, lengths[index] - begin)
            row[piece] = position // size
            document[piece] = index
            start[piece] = begin
            taken[piece] = part
            piece += 1
            position += part
            begin += part
    return row, document, start, taken


@numba.njit(cache=True)
def _fullest_with_room(heads: Int64, blocks: npt.NDArray[np.int32], need: int) -> int:  # pragma: no cover - compiled
    """The smallest room ≥ need that some open row has, or -1; `blocks` counts the non-empty rooms of 64."""
    room = need
    size = len(heads)
    while room < size:
        if room % 64 == 0 and blocks[room // 64] == 0:
            room += 64
            continue
        if heads[room] != -1:
            return room
        room += 1
    return -1


@numba.njit(cache=True)
def _best_fit(lengths: Int64, size: int) -> tuple[Int64, Int64, Int64, Int64]:  # pragma: no cover - compiled
    documents = len(lengths)
    # Items: whole short documents and tails of long ones, by length (counting sort, stable), shorts before tails.
    short_count = np.zeros(size + 1, np.int64)
    tail_count = np.zeros(size + 1, np.int64)
    body = 0
    for index in range(documents):
        length = lengths[index]
        if length <= size:
            short_count[length] += 1
        else:
            body += length - length % size
            if length % size:
                tail_count[length % size] += 1
    shorts = short_count.sum()
    items = shorts + tail_count.sum()
    order = np.empty(items, np.int64)
    short_at = np.zeros(size + 2, np.int64)
    tail_at = np.zeros(size + 2, np.int64)
    place = 0
    for length in range(size, 0, -1):
        short_at[length] = place
        place += short_count[length]
    for length in range(size, 0, -1):
        tail_at[length] = place
        place += tail_count[length]
    for index in range(documents):
        length = lengths[index]
        if length <= size:
            order[short_at[length]] = index
            short_at[length] += 1
        elif length % size:
            order[tail_at[length % size]] = index
            tail_at[length % size] += 1
    # Open rows by the room they have left: one linked list a room.
    heads = np.full(size + 1, -1, np.int64)
    blocks = np.zeros(size // 64 + 1, np.int32)
    following = np.empty(items + 1, np.int64)
    item_row = np.empty(items, np.int64)
    room_left = np.empty(items + 1, np.int64)
    rows = 0
    for position in range(items):
        length = lengths[order[position]]
        if position >= shorts:
            length = length % size
        room = _fullest_with_room(heads, blocks, length)
        if room == -1:
            target = rows
            room = size
            rows += 1
        else:
            target = heads[room]
            heads[room] = following[target]
            if heads[room] == -1:
                blocks[room // 64] -= 1
        item_row[position] = target
        left = room - length
        room_left[target] = left
        if left:
            if heads[left] == -1:
                blocks[left // 64] += 1
            following[target] = heads[left]
            heads[left] = target
    # Pieces: items first, then fillers; rows are renumbered at the end.
    most = items + 2 * rows + 2 * documents + body // size + 4
    row = np.empty(most, np.int64)
    document = np.empty(most, np.int64)
    start = np.empty(most, np.int64)
    taken = np.empty(most, np.int64)
    piece = 0
    for position in range(items):
        index = order[position]
        length = lengths[index]
        row[piece] = item_row[position]
        document[piece] = index
        if position < shorts:
            start[piece] = 0
            taken[piece] = length
        else:
            start[piece] = length - length % size
            taken[piece] = length % size
        piece += 1
    # Bodies fill the open rows, fullest first, then make rows of their own.
    hole_rows = np.argsort(room_left[:rows], kind="mergesort")
    hole = 0
    while hole < rows and room_left[hole_rows[hole]] == 0:
        hole += 1
    current = -1
    current_room = 0
    for index in range(documents):
        length = lengths[index]
        if length <= size:
            continue
        begin = 0
        end = length - length % size
        while begin < end:
            if current_room == 0:
                if hole < rows:
                    current = hole_rows[hole]
                    current_room = room_left[current]
                    room_left[current] = 0
                    hole += 1
                else:
                    current = rows
                    rows += 1
                    hole += 1
                    current_room = size
            part = min(current_room, end - begin)
            row[piece] = current
            document[piece] = index
            start[piece] = begin
            taken[piece] = part
            piece += 1
            begin += part
            current_room -= part
    # Rows still open: take the emptiest apart to fill the fullest.
    filled = np.zeros(rows, np.int64)
    for position in range(piece):
        filled[row[position]] += taken[position]
    by_room = np.argsort(-filled, kind="mergesort")
    first_open = 0
    while first_open < rows and filled[by_room[first_open]] == size:
        first_open += 1
    if rows - first_open > 1:
        # Pieces of the open rows, chained by row.
        head = np.full(rows, -1, np.int64)
        chain = np.empty(most, np.int64)
        for position in range(piece - 1, -1, -1):
            if filled[row[position]] < size:
                chain[position] = head[row[position]]
                head[row[position]] = position
        low = first_open
        high = rows - 1
        while low < high:
            receiver = by_room[low]
            need = size - filled[receiver]
            while need > 0 and low < high:
                donor = by_room[high]
                moving = head[donor]
                if moving == -1:
                    high -= 1
                    continue
                if taken[moving] <= need:
                    head[donor] = chain[moving]
                    row[moving] = receiver
                    need -= taken[moving]
                    filled[donor] -= taken[moving]
                    filled[receiver] += taken[moving]
                else:
                    # Cut the piece: its first part fills the receiver, the rest stays where it is.
                    row[piece] = receiver
                    document[piece] = document[moving]
                    start[piece] = start[moving]
                    taken[piece] = need
                    piece += 1
                    start[moving] += need
                    taken[moving] -= need
                    filled[donor] -= need
                    filled[receiver] += need
                    need = 0
            if need == 0:
                low += 1
    # Renumber: full rows in order, the short one last; pieces of a row stay in the order they were laid.
    number = np.full(rows, -1, np.int64)
    count = 0
    for target in range(rows):
        if filled[target] == size:
            number[target] = count
            count += 1
    for target in range(rows):
        if 0 < filled[target] < size:
            number[target] = count
            count += 1
    final = np.empty(piece, np.int64)
    for position in range(piece):
        final[position] = number[row[position]]
    arranged = np.argsort(final, kind="mergesort")
    return final[arranged], document[:piece][arranged], start[:piece][arranged], taken[:piece][arranged]
