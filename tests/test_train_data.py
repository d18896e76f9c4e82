"""Rows of a build as training reads them, and the batches made of them."""

import itertools
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.world import Built, World
from train.collate import IGNORED, Collator
from train.data import Packed, Rows, open_corpus
from train.errors import TrainError


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return World.make(tmp_path_factory.mktemp("data")).build()


def files(built: Built) -> list[Path]:
    return sorted((built.folder / "shards").glob("train-*.parquet"))


def packed(rows: list[list[list[int]]]) -> Packed:
    """Rows of pieces of token ids; the source of a piece is its number in the row."""
    pieces = [piece for row in rows for piece in row]
    return Packed(
        tokens=np.array([token for piece in pieces for token in piece], dtype=np.int64),
        row_lengths=np.array([sum(map(len, row)) for row in rows], dtype=np.int64),
        pieces=np.array([len(piece) for piece in pieces], dtype=np.int64),
        pieces_per_row=np.array([len(row) for row in rows], dtype=np.int64),
        sources=np.array([number for row in rows for number in range(len(row))], dtype=np.int64),
    )


def test_any_row_is_found_by_its_number_and_is_the_shards_own(built: Built, tmp_path: Path) -> None:
    rows = Rows(files(built), tmp_path)
    frame = pl.concat([pl.read_parquet(path) for path in files(built)])
    assert len(rows) == frame.height
    assert rows.tokens == frame["input_ids"].list.len().sum()
    assert rows.most_pieces == frame["seq_lengths"].list.len().max()
    wanted = [frame.height - 1, 0, 3, 3]
    batch = rows.__getitems__(wanted)
    assert batch.tokens.tolist() == [token for index in wanted for token in frame["input_ids"][index]]
    assert batch.row_lengths.tolist() == [len(frame["input_ids"][index]) for index in wanted]
    assert batch.pieces.tolist() == [length for index in wanted for length in frame["seq_lengths"][index]]
    assert batch.pieces_per_row.tolist() == [len(frame["seq_lengths"][index]) for index in wanted]
    assert batch.sources.tolist() == [source for index in wanted for source in frame["source_ids"][index]]


def test_a_damaged_shard_is_named_with_its_checksum(built: Built, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(built.folder, copy)
    shard = files(built)[0].name
    data = bytearray((copy / "shards" / shard).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / "shards" / shard).write_bytes(data)
    with pytest.raises(TrainError, match=rf"{shard} is damaged: its SHA-256 is [0-9a-f]{{16}}…, the manifest says"):
        open_corpus(copy, tmp_path / "cache")
    (copy / "shards" / shard).unlink()
    with pytest.raises(TrainError, match=f"{shard} cannot be read"):
        open_corpus(copy, tmp_path / "cache")


def test_a_folder_that_is_no_build_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="corpus-ja build"):
        open_corpus(tmp_path)
    with pytest.raises(TrainError, match="There is no folder"):
        open_corpus(tmp_path / "nowhere")


def reference(rows: list[list[list[int]]], width: int, filler: int, documents: str) -> list[dict[str, list[int]]]:
    """The batch row by row and token by token, as one would explain it."""
    out = []
    for row in rows:
        line: dict[str, list[int]] = {"input_ids": [], "labels": [], "position_ids": [], "token_sources": []}
        for source, piece in enumerate(row):
            for position, token in enumerate(piece):
                begins = position == 0 if documents == "separate" else not line["labels"]
                line["input_ids"].append(token)
                line["labels"].append(IGNORED if begins else token)
                line["position_ids"].append(position)
                line["token_sources"].append(source)
        for position in range(width - len(line["input_ids"])):
            line["input_ids"].append(filler)
            line["labels"].append(IGNORED)
            line["position_ids"].append(position)
            line["token_sources"].append(0)
        out.append(line)
    return out


@st.composite
def some_rows(draw: st.DrawFn) -> tuple[list[list[list[int]]], int]:
    width = draw(st.integers(1, 12))
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        total = draw(st.integers(1, width))
        cuts = sorted(draw(st.sets(st.integers(1, total - 1), max_size=4))) if total > 1 else []
        edges = [0, *cuts, total]
        rows.append([[draw(st.integers(0, 9)) for _ in range(end - begin)] for begin, end in itertools.pairwise(edges)])
    return rows, width


@settings(deadline=None, max_examples=200)
@given(some_rows(), st.sampled_from(["separate", "joined"]))
def test_a_batch_is_what_the_plain_reference_says(made: tuple[list[list[list[int]]], int], documents: str) -> None:
    rows, width = made
    batch = Collator(width, 6, 7, documents)(packed(rows))  # type: ignore[arg-type]
    expected = reference(rows, width, 7, documents)
    assert "attention_mask" not in batch
    names = ["input_ids", "labels", "token_sources", *(["position_ids"] if documents == "separate" else [])]
    for name in names:
        assert batch[name].tolist() == [line[name] for line in expected], name
    assert ("position_ids" in batch) == ("cu_seq_lens_q" in batch) == (documents == "separate")


@settings(deadline=None, max_examples=100)
@given(some_rows())
def test_boundaries_are_where_positions_begin_anew_and_their_number_never_changes(
    made: tuple[list[list[list[int]]], int],
) -> None:
    rows, width = made
    batch = Collator(width, 6, 7)(packed(rows))
    limits = batch["cu_seq_lens_q"]
    assert limits.dtype == torch.int32
    assert len(limits) == len(rows) * 7 + 1
    assert int(limits[-1]) == len(rows) * width
    assert (limits.diff() >= 0).all()
    begins = (batch["position_ids"].reshape(-1) == 0).nonzero().flatten().tolist()
    assert sorted(set(limits.tolist()) - {len(rows) * width}) == begins
    assert batch["max_length_q"] == width
    assert (batch["labels"].reshape(-1)[begins] == IGNORED).all()


def test_every_token_but_each_pieces_first_is_a_target_once(built: Built, tmp_path: Path) -> None:
    rows = Rows(files(built), tmp_path)
    collate = Collator(64, rows.most_pieces, built.manifest.tokenizer.eos_id)
    everything = rows.__getitems__(range(len(rows)))
    labels = collate(everything)["labels"]
    assert int((labels != IGNORED).sum()) == rows.tokens - len(everything.pieces)
