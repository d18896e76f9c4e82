"""recipes/shared-data, built end to end on real text: the shards, the laws, and what a changed limit costs.

The recipe is built once for all tests of this file (half a minute on two cores).
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import yaml

from corpus_ja.exports import export_kept, verdicts
from corpus_ja.stages.tokens import hugging_face_tokenizer
from corpus_ja.storage.manifest import Manifest, read_manifest
from corpus_ja.verification import check

pytestmark = pytest.mark.shared_data

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "shared-data" / "mix.yaml"
PIECES = ("document_ids", "epochs", "piece_starts", "seq_lengths", "source_ids")
READS_TEXT = ("documents", "measures", "tokens")


def build(mix: Path, output: Path, *settings: str) -> Manifest:
    """Build by the command, and read what it says it did."""
    command = [
        sys.executable,
        "-m",
        "corpus_ja.cli",
        "build",
        "--mix",
        str(mix),
        "--output",
        str(output),
        "--workers",
        "2",
    ]
    for setting in settings:
        command += ["--set", setting]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return read_manifest(output)


@pytest.fixture(scope="module")
def folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the one build."""
    place = tmp_path_factory.mktemp("shared-data")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CORPUS_JA_DATA", str(shared_data.resolve()))
        build(RECIPE, place / "out")
        yield place / "out"


@pytest.fixture(scope="module")
def manifest(folder: Path) -> Manifest:
    """What the build says of itself."""
    return read_manifest(folder)


@pytest.fixture(scope="module")
def rows(folder: Path) -> pl.DataFrame:
    """All rows of all shards, training before validation."""
    return pl.concat([pl.read_parquet(path) for path in sorted((folder / "shards").glob("*.parquet"))])


def test_datasets_polars_and_duckdb_agree_with_the_manifest(
    folder: Path, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    from datasets import load_dataset

    splits = {"train": manifest.train, "validation": manifest.validation}
    patterns = {split: str(folder / "shards" / f"{split}-*.parquet") for split in splits}
    opened = load_dataset("parquet", data_files=patterns, cache_dir=str(tmp_path))
    for split, shards in splits.items():
        expected = (sum(shard.rows for shard in shards), sum(shard.tokens for shard in shards))
        assert expected[0] > 0
        table = opened[split].data.table
        by_datasets = (opened[split].num_rows, sum(len(chunk.values) for chunk in table["input_ids"].chunks))
        frame = pl.scan_parquet(patterns[split]).select(pl.len(), pl.col("input_ids").list.len().sum()).collect()
        query = "select count(*), sum(len(input_ids)), sum(list_sum(seq_lengths)) from read_parquet(?)"
        by_duckdb = duckdb.execute(query, [patterns[split]]).fetchone()
        assert by_duckdb is not None
        assert by_datasets == expected
        assert frame.row(0) == expected
        assert (by_duckdb[0], by_duckdb[1]) == expected
        assert by_duckdb[2] == expected[1]
    ids = opened["train"][0]["input_ids"]
    assert len(ids) == manifest.sequence_length
    assert ids == pl.read_parquet(folder / "shards" / manifest.train[0].name)["input_ids"][0].to_list()


def test_pieces_in_order_restore_every_kept_document_to_its_cleaned_text(
    folder: Path, manifest: Manifest, rows: pl.DataFrame, shared_data: Path, tmp_path: Path
) -> None:
    flat = rows["input_ids"].explode().to_numpy()
    pieces = (
        rows.select(*PIECES)
        .explode(*PIECES)
        .with_columns(end=pl.col("seq_lengths").cast(pl.Int64).cum_sum())
        .sort("document_ids", "epochs", "piece_starts")
    )
    assert pieces["epochs"].max() == 0
    documents = pieces.group_by("document_ids", maintain_order=True).agg(
        "seq_lengths", "end", "piece_starts", "source_ids"
    )
    restored: dict[str, npt.NDArray[np.uint16]] = {}
    for name, lengths, ends, starts, sources in documents.iter_rows():
        assert starts == [0, *np.cumsum(lengths)[:-1].tolist()], name
        assert {manifest.source_names[source] for source in sources} == {name.split("/", 1)[0]}
        restored[name] = np.concatenate([flat[end - length : end] for length, end in zip(lengths, ends, strict=True)])
    export_kept(folder, None, tmp_path / "kept", "parquet")
    kept = pl.concat(
        [pl.read_parquet(path, columns=["id", "text"]) for path in sorted((tmp_path / "kept").glob("*.parquet"))]
    )
    assert kept.height == sum(source.kept.documents for source in manifest.sources.values())
    assert set(kept["id"]) == set(restored)
    assert kept["id"].n_unique() == kept.height
    tokenizer = hugging_face_tokenizer(shared_data / "tokenizers" / "gpt2", "vocab+merges")
    eos = manifest.tokenizer.eos_id
    ids = [restored[name] for name in kept["id"]]
    assert all(own[-1] == eos and not (own[:-1] == eos).any() for own in ids)
    for first in range(0, kept.height, 500):
        decoded = tokenizer.decode_batch(
            [own[:-1].tolist() for own in ids[first : first + 500]], skip_special_tokens=False
        )
        assert decoded == kept["text"][first : first + 500].to_list()


def test_the_laws_hold_for_every_source(folder: Path, manifest: Manifest) -> None:
    assert check(folder) == []
    seen: dict[str, dict[str | None, int]] = {name: {} for name in manifest.source_names}
    for frame in verdicts(folder, None):
        for source, verdict in frame.select("source", "dropped_by").iter_rows():
            seen[source][verdict] = seen[source].get(verdict, 0) + 1
    for name, source in manifest.sources.items():
        assert source.read.documents == source.kept.documents + sum(source.dropped.values())
        assert seen[name].pop(None, 0) == source.kept.documents
        assert seen[name] == source.dropped
        assert source.kept.tokens == source.taken.tokens + source.mix.heldout_tokens


def test_other_languages_fall_as_language_and_repeats_as_duplicates(manifest: Manifest) -> None:
    other = manifest.sources["other"]
    assert other.dropped == {"language": other.read.documents}
    assert other.read.documents == 440
    repeats = manifest.sources["oscar_ja"]
    duplicates = sum(count for verdict, count in repeats.dropped.items() if verdict.startswith("duplicate."))
    # The constructed OSCAR records repeat pages of noisy/ byte for byte.
    assert repeats.kept.documents == 0
    assert duplicates >= 0.9 * repeats.read.documents
    prose = manifest.sources["prose_ja"]
    assert prose.kept.bytes > 0.95 * prose.read.bytes


def test_best_fit_cuts_hardly_any_document_that_fits_a_row(manifest: Manifest, rows: pl.DataFrame) -> None:
    training = rows.head(sum(shard.rows for shard in manifest.train))
    fill = training["input_ids"].list.len().sum() / (training.height * manifest.sequence_length)
    assert fill >= 0.999
    pieces = training.select("document_ids", "seq_lengths").explode("document_ids", "seq_lengths")
    documents = pieces.group_by("document_ids").agg(
        pl.len().alias("pieces"), pl.col("seq_lengths").sum().alias("tokens")
    )
    short = documents.filter(pl.col("tokens") <= manifest.sequence_length)
    assert short.height > 1000
    cut = short.filter(pl.col("pieces") > 1).height
    assert cut <= 0.005 * short.height
    report = manifest.packing_report
    assert (report["short_documents"], report["short_documents_cut"]) == (short.height, cut)


def test_a_tightened_limit_reads_no_text(folder: Path, manifest: Manifest, tmp_path: Path) -> None:
    text = (RECIPE.parents[2] / "filters" / "corpus_ja.yaml").read_text(encoding="utf-8")
    rules = yaml.safe_load(text)
    rule = next(one for one in rules["rules"] if one["name"] == "too_short")
    rule["min"] *= 2
    rule["examples"] = {"keep": ["昨日は雨だったので、家で本を読んでいました。" * rule["min"]], "drop": ["短い。"]}
    tightened = tmp_path / "corpus_ja.yaml"
    tightened.write_text(yaml.safe_dump(rules, allow_unicode=True), encoding="utf-8")
    again = build(RECIPE, folder.parent / "tightened", f"sources.prose_ja.filters=[{tightened}]")
    name = "corpus_ja.too_short"
    assert again.sources["prose_ja"].dropped[name] > manifest.sources["prose_ja"].dropped[name]
    assert again.sources["prose_en"].kept == manifest.sources["prose_en"].kept
    assert {record.stage for record in again.stages if record.tasks_now} >= {"rules", "duplicates", "mix", "shards"}
    assert sum(record.text_bytes_read_now for record in again.stages) == 0
    first = {(record.stage, record.source): record.text_bytes_read_now for record in manifest.stages}
    assert all(first[stage, "prose_ja"] > 0 for stage in READS_TEXT)
