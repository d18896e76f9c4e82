"""Packed rows into a batch in which no document sees another.

Every piece begins at position 0; `cu_seq_lens_*` carry the pieces' boundaries over the flattened batch; the first token
of a piece is no target, because what stands before it in the row is another document's. There is never an
`attention_mask`: all ones is enough to make transformers attend across documents without a word.

Shapes never change, so a compiled model is compiled once: short rows (a shard's last) are filled with a piece of its
own that nothing learns from, and `cu_seq_lens_*` have as many entries as the corpus can need, the rest of them pieces of
no length. Costs 0.1 ms a batch of 8 rows of 1,024 (one core; `benchmarks/training.py`).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from train.data import Packed

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Collator:
    """`Packed` rows into what the model takes.

    `input_ids`, `labels`, `position_ids` and `token_sources` are int64 of [rows, sequence_length]; `cu_seq_lens_q` and
    `_k` int32 of [rows x most_pieces + 2]; `max_length_q` and `_k` the sequence length. `joined` leaves positions and
    boundaries out and targets every token but a row's first, as plain concatenation does.
    """

    sequence_length: int
    most_pieces: int
    filler: int
    """The token that fills a shard's short last rows (end of text)."""
    documents: Literal["separate", "joined"] = "separate"

    def __call__(self, rows: Packed) -> dict[str, Any]:
        """One batch."""
        count, width = len(rows.row_lengths), self.sequence_length
        filled = np.arange(width) < rows.row_lengths[:, None]
        tokens = np.full((count, width), self.filler, dtype=np.int64)
        tokens[filled] = rows.tokens
        sources = np.zeros((count, width), dtype=np.int64)
        sources[filled] = np.repeat(rows.sources, rows.pieces)

        # every row's pieces, and one more that fills it up (of no length in a full row)
        ends = np.cumsum(rows.pieces_per_row)
        lengths = np.insert(rows.pieces, ends, width - rows.row_lengths)
        boundaries = np.concatenate(([0], np.cumsum(lengths)))
        starts = boundaries[:-1][lengths > 0]
        labels = np.where(filled, tokens, IGNORED)
        if self.documents == "joined":
            labels[:, 0] = IGNORED
            return {"input_ids": _tensor(tokens), "labels": _tensor(labels), "token_sources": _tensor(sources)}
        labels.reshape(-1)[starts] = IGNORED
        nearest = np.zeros(count * width, dtype=np.int64)
        nearest[starts] = starts
        positions = np.arange(count * width) - np.maximum.accumulate(nearest)
        padded = np.full(count * (self.most_pieces + 1) + 1, count * width, dtype=np.int32)
        padded[: len(boundaries)] = boundaries
        limits = torch.from_numpy(padded)
        return {
            "input_ids": _tensor(tokens),
            "labels": _tensor(labels),
            "position_ids": _tensor(positions.reshape(count, width)),
            "token_sources": _tensor(sources),
            "cu_seq_lens_q": limits,
            "cu_seq_lens_k": limits,
            "max_length_q": width,
            "max_length_k": width,
        }


def _tensor(array: Any) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
