"""The shards as others read them: docs/shards.md is run as it stands, against the build's own pieces."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_ja.documents import below, draws, is_below
from tests.world import Built, World, pieces

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "shards.md"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return World.make(tmp_path_factory.mktemp("shards")).build()


def run(heading: str, built: Built, more: str = "") -> dict[str, Any]:
    """Run the Python of a section of docs/shards.md with the build in place of builds/mine; `more` stands after
    report_to="none".
    """
    section = DOCUMENT.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    names: dict[str, Any] = {"__name__": "shown"}
    code = code.replace("builds/mine", str(built.folder)).replace('report_to="none",', f'report_to="none", {more}')
    exec(compile(code, f"{DOCUMENT.name}, {heading}", "exec"), names)  # noqa: S102 - our own document
    return names


def rows_of(built: Built) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in sorted((built.folder / "shards").glob("train-*.parquet"))])


def test_every_row_is_the_sum_of_its_pieces_and_only_a_files_last_is_short(built: Built) -> None:
    for path in sorted((built.folder / "shards").glob("*.parquet")):
        frame = pl.read_parquet(path)
        lengths = frame["input_ids"].list.len().to_list()
        assert lengths == frame["seq_lengths"].list.sum().to_list()
        assert all(length == 64 for length in lengths[:-1])
        for column in ("source_ids", "document_ids", "piece_starts", "epochs"):
            assert (frame[column].list.len() == frame["seq_lengths"].list.len()).all()


def test_the_types_are_those_of_the_contract(built: Built) -> None:
    for path in (built.folder / "shards").glob("*.parquet"):
        schema = pq.read_schema(path)
        assert [str(field.type).replace("element", "item") for field in schema] == [
            "list<item: uint16>", "list<item: int32>", "list<item: uint16>", "list<item: string>", "list<item: uint32>", "list<item: uint16>",
        ]  # fmt: skip
        assert b"corpus_ja" in schema.metadata


def test_the_report_of_packing_agrees_with_the_shards(built: Built) -> None:
    report = built.manifest.packing_report
    frame = rows_of(built)
    assert report["rows"] == frame.height
    assert report["tokens"] == frame["input_ids"].list.len().sum()
    assert report["pieces"] == frame["seq_lengths"].list.len().sum()
    lengths: dict[str, list[int]] = {}
    for name, epoch, _, tokens in pieces(built.folder):
        lengths.setdefault(f"{name}/{epoch}", []).append(len(tokens))
    short = [own for own in lengths.values() if sum(own) <= 64]
    assert report["short_documents"] == len(short)
    assert report["short_documents_cut"] == sum(len(own) > 1 for own in short)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32), name=st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=8))
def test_a_tenth_of_the_documents_fills_all_buckets_evenly(seed: int, name: str) -> None:
    """The sample and the bucket are draws of their own: of 20,000 documents the tenth with the lowest draws spreads over 20 shards as chance does."""
    ids = [f"{name}/{number}" for number in range(20_000)]
    chosen = is_below(draws(seed, "sample", ids), below(0.1))
    buckets = (draws(seed, "bucket/0", ids)[chosen] >> np.uint64(32)).astype(np.int64) * 20 >> 32
    counts = np.bincount(buckets, minlength=20)
    expected = chosen.sum() / 20
    # Chi-squared of 19 degrees of freedom: beyond 60 once in 250,000 draws.
    assert ((counts - expected) ** 2 / expected).sum() < 60
    smaller = is_below(draws(seed, "sample", ids), below(0.05))
    assert not (smaller & ~chosen).any()


def test_datasets_reads_them_streaming_and_not_as_documented(
    built: Built, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("datasets")
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path))
    datasets.disable_progress_bars()
    shown = run("datasets", built)
    frame = rows_of(built)
    assert shown["corpus"]["train"].num_rows == frame.height
    assert [row["input_ids"] for row in shown["stream"]] == frame["input_ids"].to_list()
    assert [row["seq_lengths"] for row in shown["corpus"]["train"]] == frame["seq_lengths"].to_list()


def test_polars_and_duckdb_read_them_as_documented(built: Built) -> None:
    assert run("Polars and DuckDB", built)["total"] == sum(shard.tokens for shard in built.manifest.train)


def test_ten_lines_of_pytorch_read_them_as_documented(built: Built) -> None:
    shown = run("PyTorch", built)
    frame = rows_of(built)
    shards = shown["shards"]
    assert len(shards) == frame.height
    for index in (0, len(shards) // 2, len(shards) - 1):
        tokens, lengths = shards[index]
        assert tokens.tolist() == frame["input_ids"][index].to_list()
        assert lengths.tolist() == frame["seq_lengths"][index].to_list()
    boundaries = np.concatenate(([0], np.cumsum(frame["seq_lengths"][0].to_numpy())))
    assert shown["boundaries"].tolist() == boundaries.tolist()
    assert (shown["labels"] == -100).nonzero().flatten().tolist() == boundaries[:-1].tolist()


@pytest.mark.filterwarnings(
    "ignore::FutureWarning:transformers", "ignore::UserWarning", "ignore::DeprecationWarning"
)  # TRL sets what transformers renames
def test_trl_keeps_the_pieces_apart_with_the_documented_settings(built: Built, tmp_path: Path) -> None:
    """Its collator's cumulative lengths are those of `seq_lengths`, in a real training step of a tiny model."""
    import torch
    from datasets import load_dataset
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from trl import SFTTrainer

    chosen = run("TRL", built, "use_cpu=True, bf16=False, max_steps=2,")["settings"]
    chosen.output_dir, chosen.per_device_train_batch_size, chosen.save_strategy = str(tmp_path), 3, "no"
    corpus = load_dataset(
        "parquet", data_files=str(built.folder / "shards" / "train-*.parquet"), split="train", cache_dir=str(tmp_path)
    )
    end = built.manifest.tokenizer.eos_token
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(built.folder / "tokenizer" / "tokenizer.json"), eos_token=end, pad_token=end
    )
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=built.manifest.tokenizer.vocab_size, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=1, max_position_embeddings=64,
        )
    )  # fmt: skip
    seen: list[dict[str, Any]] = []

    class Watched(SFTTrainer):
        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            seen.append(
                {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in inputs.items()}
            )
            return super().compute_loss(model, inputs, *args, **kwargs)

    trainer = Watched(model=model, args=chosen, train_dataset=corpus, processing_class=tokenizer)
    batch = trainer.data_collator([corpus[index] for index in range(3)])
    lengths = [length for index in range(3) for length in corpus[index]["seq_lengths"]]
    assert batch["cu_seq_lens_q"].tolist() == [0, *np.cumsum(lengths).tolist()]
    assert batch["max_length_q"] == max(lengths)
    assert "attention_mask" not in batch
    assert (batch["labels"] == -100).sum() == len(lengths)
    trainer.train()
    rows = {tuple(row["input_ids"]): row["seq_lengths"] for row in corpus}
    for inputs in seen:
        ids, ends = inputs["input_ids"][0].tolist(), inputs["cu_seq_lens_q"].tolist()
        position, expected = 0, [0]
        while position < len(ids):
            own = next(lengths for row, lengths in rows.items() if list(row) == ids[position : position + len(row)])
            expected += (position + np.cumsum(own)).tolist()
            position += sum(own)
        assert ends == expected
    assert len(seen) == 2
