"""Packing loses nothing, pads nothing, fills every row but the last, and best_fit cuts hardly any short document."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_ja.stages.packing import Packing, pack, shuffle_rows

lengths_of_documents = st.lists(st.integers(1, 200), max_size=120)


def restored(lengths: list[int], size: int, packing: Packing, seed: int | None = None) -> None:
    pieces = pack(np.array(lengths, dtype=np.int64), size, packing)
    if seed is not None:
        pieces = shuffle_rows(pieces, size, seed)
    rows = pieces.rows
    filled = np.bincount(pieces.row, weights=pieces.length, minlength=rows)
    assert rows == -(-sum(lengths) // size)
    assert all(filled[:-1] == size)
    assert list(pieces.row) == sorted(pieces.row)
    for document, length in enumerate(lengths):
        own = sorted(
            (s, n) for d, s, n in zip(pieces.document, pieces.start, pieces.length, strict=True) if d == document
        )
        assert all(n > 0 for _, n in own)
        ends = [0, *[s + n for s, n in own]]
        assert [s for s, _ in own] == ends[:-1]
        assert ends[-1] == length


@settings(deadline=None, max_examples=300)
@given(lengths_of_documents, st.integers(1, 64), st.sampled_from(["concat", "best_fit"]), st.integers(0, 2**64 - 1))
def test_every_token_stands_in_exactly_one_row_and_only_the_last_row_is_short(
    lengths: list[int], size: int, packing: Packing, seed: int
) -> None:
    restored(lengths, size, packing)
    restored(lengths, size, packing, seed)


def test_concat_cuts_where_the_row_ends() -> None:
    pieces = pack(np.array([3, 4, 2]), 4, "concat")
    assert list(zip(pieces.row, pieces.document, pieces.start, pieces.length, strict=True)) == [
        (0, 0, 0, 3), (0, 1, 0, 1), (1, 1, 1, 3), (1, 2, 0, 1), (2, 2, 1, 1),
    ]  # fmt: skip


def test_best_fit_keeps_documents_whole_that_fit_together() -> None:
    pieces = pack(np.array([6, 7, 4, 3]), 10, "best_fit")
    assert pieces.rows == 2
    assert sorted(zip(pieces.document, pieces.length, strict=True)) == [(0, 6), (1, 7), (2, 4), (3, 3)]


def test_best_fit_cuts_long_documents_rather_than_short_ones() -> None:
    generator = np.random.default_rng(0)
    lengths = np.concatenate((generator.integers(1, 1025, 3000), generator.integers(1025, 9000, 400))).astype(np.int64)
    pieces = pack(lengths, 1024, "best_fit")
    per_document = np.bincount(pieces.document, minlength=len(lengths))
    assert (per_document[lengths <= 1024] > 1).sum() == 0
    concat = pack(lengths, 1024, "concat")
    assert (np.bincount(concat.document, minlength=len(lengths))[lengths <= 1024] > 1).mean() > 0.3


def test_best_fit_of_short_documents_alone_cuts_at_most_two_percent() -> None:
    lengths = np.random.default_rng(1).integers(1, 1025, 20_000).astype(np.int64)
    pieces = pack(lengths, 1024, "best_fit")
    assert (np.bincount(pieces.document) > 1).mean() <= 0.02


def test_an_empty_document_is_refused() -> None:
    with pytest.raises(ValueError, match="without tokens"):
        pack(np.array([3, 0]), 4, "concat")


def test_rows_are_shuffled_by_the_seed_and_a_short_row_stays_last() -> None:
    lengths = np.full(100, 10, dtype=np.int64)
    one = shuffle_rows(pack(lengths, 10, "best_fit"), 10, 1)
    assert list(one.document) == list(shuffle_rows(pack(lengths, 10, "best_fit"), 10, 1).document)
    assert list(one.document) != list(shuffle_rows(pack(lengths, 10, "best_fit"), 10, 2).document)
    short = shuffle_rows(pack(np.full(101, 9, dtype=np.int64), 10, "concat"), 10, 1)
    assert short.length[short.row == short.rows - 1].sum() == 9
