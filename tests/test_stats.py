"""`corpus-ja stats`: a build in one screen, two builds beside each other, and any folder of text."""

import gzip
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from corpus_ja import surveying
from corpus_ja.cli import app
from corpus_ja.differences import as_json, compare_builds, print_differences
from corpus_ja.errors import ConfigError, ManifestError, SourceError
from corpus_ja.report import print_stats, short, stats
from corpus_ja.stages import language
from corpus_ja.stages.tokens import hugging_face_tokenizer
from corpus_ja.storage.manifest import MANIFEST, Manifest, read_manifest
from corpus_ja.surveying import Lengths, print_survey, survey
from tests.world import BROKEN_LINES, CHINESE, QUICKSTART, Built, Here, Watcher, World, english, japanese, write_lines


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("told"))


@pytest.fixture(scope="module")
def built(world: World) -> Built:
    return world.build()


@pytest.fixture(scope="module")
def other(world: World) -> Built:
    rules = (world.folder / "tidy_ja.yaml").read_text(encoding="utf-8")
    (world.folder / "stricter").mkdir()
    (world.folder / "stricter" / "tidy_ja.yaml").write_text(rules.replace("min: 60", "min: 100"), encoding="utf-8")
    return world.build(
        "other", {"sources.river.filters": ["stricter/tidy_ja.yaml"], "sources.harbour.weight": 2, "budget": 3000,
                  "sources.river.weight": 1, "sources.hill": None, "on_shortage": "shrink"},
    )  # fmt: skip


def shown(manifest: Manifest, width: int = 80) -> str:
    out = io.StringIO()
    print_stats(manifest, Console(file=out, width=width))
    return out.getvalue()


def numbers_of(line: str) -> list[str]:
    return re.findall(r"[\d,]+(?:\.\d+)?%?", line)


# ------------------------------------------------------------------------------------------------------------- one build


def test_the_terminal_json_and_the_manifest_say_the_same_numbers(built: Built) -> None:
    manifest = json.loads((built.folder / MANIFEST).read_text(encoding="utf-8"))
    told = json.loads(json.dumps(stats(built.manifest)))
    text = shown(built.manifest)
    rows = [line for line in text.splitlines() if line.startswith(("river", "hill", "harbour", "all"))]
    funnel, mixed = rows[:4], rows[4:8]
    for row in funnel[:3]:
        name = row.split()[0]
        own = manifest["sources"][name]
        assert told["sources"][name]["read"] == own["read"]
        assert told["sources"][name]["dropped"] == own["dropped"]
        assert told["sources"][name]["kept"] == own["kept"]
        seen = [int(one.replace(",", "")) for one in numbers_of(row)]
        assert seen[0] == sum(own["unreadable"].values())
        assert seen[1] == own["read"]["documents"]
        assert sum(seen[2:7]) == sum(own["dropped"].values())
        assert seen[7:] == [own["kept"]["documents"], own["kept"]["tokens"]]
    for row in mixed[:3]:
        name = row.split()[0]
        own = manifest["sources"][name]
        assert told["sources"][name]["mix"] == own["mix"]
        assert told["sources"][name]["taken"] == own["taken"]
        seen_text = numbers_of(row)
        assert seen_text[0] == f"{own['mix']['available_tokens']:,}"
        assert seen_text[1] == f"{own['taken']['tokens']:,}"
        assert seen_text[4] == f"{own['mix']['heldout_tokens']:,}"
    train = sum(shard["tokens"] for shard in manifest["train"])
    assert told["shards"]["train"]["tokens"] == train
    assert f"{train:,} training tokens" in text
    assert f"{sum(shard['tokens'] for shard in manifest['validation']):,} held out" in " ".join(text.split())
    sums = [int(one.replace(",", "")) for one in numbers_of(funnel[3])]
    assert sums[1] == sum(own["read"]["documents"] for own in manifest["sources"].values())
    dropped: dict[str, int] = {}
    for own in manifest["sources"].values():
        for verdict, count in own["dropped"].items():
            dropped[verdict] = dropped.get(verdict, 0) + count
    for verdict, count in dropped.items():
        assert re.search(rf"^{re.escape(verdict)} +{count:,} ", text, re.MULTILINE), verdict


def swollen(manifest: Manifest, sources: int, factor: int) -> Manifest:
    """A manifest as of a build with many sources and very large numbers."""
    values = json.loads(manifest.model_dump_json())

    def grown(value: Any) -> Any:  # noqa: ANN401 - JSON is anything
        if isinstance(value, dict):
            return {key: grown(inner) for key, inner in value.items()}
        return value * factor if isinstance(value, int) else value

    report = grown(values["sources"]["river"])
    report["notes"] = ["a long note about a template that stands in so many documents " * 2] * 2
    values["sources"] = {f"a_source_of_a_rather_long_name_{number}": report for number in range(sources)}
    values["source_names"] = list(values["sources"])
    values["train"][0]["tokens"] *= factor
    return Manifest.model_validate(values)


@pytest.mark.parametrize(("sources", "factor"), [(1, 1), (4, 1000), (12, 1), (12, 10_000_000), (40, 10**9)])
def test_any_build_is_told_in_one_screen(built: Built, sources: int, factor: int) -> None:
    text = shown(swollen(built.manifest, sources, factor))
    lines = [line.rstrip() for line in text.splitlines()]
    assert len(lines) <= 54
    assert max(map(len, lines)) <= 80 or factor == 10**9
    assert "what became of every document" in text


def test_large_numbers_are_short_only_where_they_do_not_fit(built: Built) -> None:
    large = swollen(built.manifest, 2, 10_000_000)
    count = large.sources[large.source_names[0]].kept.tokens
    assert f"{count:,}" not in shown(large, 80).split("what dropped most")[0]
    assert f"{count:,}" in shown(large, 200)
    assert [short(one) for one in (99_999, 123_456, 3_900_000_000, 12_345_678)] == ["99,999", "123k", "3.90B", "12.3M"]


def test_without_a_path_the_newest_build_is_shown_and_named(
    world: World, built: Built, other: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.folder)
    os.utime(built.folder / MANIFEST, (2e9, 2e9))
    answer = CliRunner().invoke(app, ["stats", "--json"])
    assert "builds/world, the newest build" in answer.stderr
    assert json.loads(answer.stdout) == json.loads(json.dumps(stats(built.manifest)))
    os.utime(other.folder / MANIFEST, (2.1e9, 2.1e9))
    assert "builds/other, the newest" in CliRunner().invoke(app, ["stats"]).stderr
    monkeypatch.chdir(world.folder / "river")
    empty = CliRunner().invoke(app, ["stats"])
    assert isinstance(empty.exception, ManifestError)


# ------------------------------------------------------------------------------------------------------------ two builds


def test_two_builds_differ_in_what_their_mixes_said_otherwise(built: Built, other: Built) -> None:
    found = compare_builds(built.manifest, other.manifest)
    settings = {one.name: (one.old, one.new) for one in found.settings}
    assert settings["budget"] == (None, 3000)
    assert settings["sources.harbour.weight"] == (None, 2.0)
    assert settings["sources.river.filters"] == (["tidy_ja.yaml"], ["stricter/tidy_ja.yaml"])
    assert settings["on_shortage"] == ("error", "shrink")
    assert not any(name.startswith("executor") for name in settings)
    (rule,) = found.rules
    assert (rule.name, rule.sources) == ("tidy_ja.short", ("river",))
    assert (rule.old, rule.new) == ("characters_without_spaces ≥ 60", "characters_without_spaces ≥ 100")
    assert found.versions == found.tokenizer == ()
    assert found.sources["hill"].counts["read"] == (26, None)
    river = found.sources["river"]
    assert river.stages[0] == "rules"
    assert "signals" not in river.stages
    for verdict, (old, new) in river.counts.items():
        if verdict not in {"read", "kept"} and not verdict.startswith("unreadable/"):
            assert old == built.manifest.sources["river"].dropped.get(verdict, 0)
            assert new == other.manifest.sources["river"].dropped.get(verdict, 0)
    assert river.tokens["taken"] == (
        built.manifest.sources["river"].taken.tokens,
        other.manifest.sources["river"].taken.tokens,
    )


def test_what_differs_one_way_differs_the_other_way_round(built: Built, other: Built) -> None:
    there, back = (
        as_json(compare_builds(built.manifest, other.manifest)),
        as_json(compare_builds(other.manifest, built.manifest)),
    )
    for kind in ("settings", "rules", "tokenizer", "versions"):
        one = {(each["name"], str(each["old"]), str(each["new"])) for each in there[kind]}
        assert one == {(each["name"], str(each["new"]), str(each["old"])) for each in back[kind]}
    for name, own in there["sources"].items():
        for kind in ("counts", "tokens"):
            assert own[kind] == {key: pair[::-1] for key, pair in back["sources"][name][kind].items()}


def test_a_build_does_not_differ_from_itself(built: Built) -> None:
    found = compare_builds(built.manifest, built.manifest)
    assert found.settings == found.rules == found.tokenizer == found.versions == ()
    assert all(own.stages == () for own in found.sources.values())
    out = io.StringIO()
    print_differences(found, Console(file=out, width=80))
    assert "the same build" in out.getvalue()


def test_a_manifest_without_rules_is_compared_without_them(built: Built, other: Built) -> None:
    old = built.manifest.model_copy(update={"rules": {}})
    found = compare_builds(old, other.manifest)
    assert not found.rules_known
    out = io.StringIO()
    print_differences(found, Console(file=out, width=80))
    assert "rules: not compared" in out.getvalue()


def test_the_command_compares_two_builds_in_text_and_json(built: Built, other: Built) -> None:
    runner = CliRunner()
    both = [str(built.folder), str(other.folder)]
    text = runner.invoke(app, ["stats", *both]).stdout
    assert "tidy_ja.short (river)" in text
    assert "budget" in text
    assert "hill: only in the first" in text
    assert json.loads(runner.invoke(app, ["stats", *both, "--json"]).stdout)["rules_known"] is True
    three = runner.invoke(app, ["stats", *both, str(built.folder)])
    assert isinstance(three.exception, ConfigError)
    assert isinstance(runner.invoke(app, ["stats", both[0], "--tokenizer", "gpt2"]).exception, ConfigError)


# ------------------------------------------------------------------------------------------------------------ plain text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents in every form, some records that are none, and files that are nobody's business."""
    place = tmp_path_factory.mktemp("plain")
    records = [{"id": f"j{n}", "text": japanese(f"plain {n}")} for n in range(20)]
    lines = "".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in records)
    write_lines(place / "a.jsonl", records, BROKEN_LINES)
    (place / "b.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (place / "sub").mkdir()
    content = lines.replace('"text"', '"content"')
    (place / "sub" / "c.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(content.encode()))
    pl.DataFrame({"title": ["a"] * 12, "body": [english(f"plain {n}") for n in range(12)]}).write_parquet(
        place / "d.parquet"
    )
    (place / "e.txt").write_text(CHINESE, encoding="utf-8")
    (place / "broken.txt").write_bytes("途中".encode("euc-jp"))
    (place / "notes.csv").write_text("a,b\n", encoding="utf-8")
    (place / ".hidden.txt").write_text("x", encoding="utf-8")
    write_lines(place / "labels.jsonl", [{"label": 1}])
    return place


TEXTS = [
    *[japanese(f"plain {n}") for n in range(20)] * 3,
    *[english(f"plain {n}") for n in range(12)],
    CHINESE,
]  # fmt: skip


def test_a_folder_of_text_is_counted_to_the_character(folder: Path) -> None:
    found = survey(folder)
    assert found.kinds == {"parquet": 1, "jsonl": 4, "text": 2}
    assert found.total.documents == len(TEXTS)
    assert found.total.bytes == sum(len(text.encode()) for text in TEXTS)
    assert found.total.characters == sum(map(len, TEXTS))
    assert found.files["b.jsonl.gz"].documents == 20
    assert found.text_columns["sub/c.jsonl.zst"] == "content"
    assert found.quantiles[1.0] == max(map(len, TEXTS))
    assert found.quantiles[0.5] == sorted(map(len, TEXTS))[(len(TEXTS) + 1) // 2 - 1]
    labels = language.measure(pl.Series(TEXTS), str(language.default_model_path()))["language"].to_list()
    assert found.languages == {name: labels.count(name) for name in found.languages}
    assert found.sampled == len(TEXTS)
    assert found.tokens is None
    reasons = {reason.removeprefix("unreadable/"): count for reason, count in found.unreadable.items()}
    assert reasons == {
        "not_json": 1,
        "not_an_object": 1,
        "no_text": 1,
        "text_not_string": 1,
        "invalid_utf8": 1,
        "no_text_column": 1,
    }
    assert found.named["unreadable/not_json"] == ["a.jsonl#0"]
    assert found.named["unreadable/no_text_column"] == ["labels.jsonl (label)"]
    assert found.named["unreadable/invalid_utf8"][0].startswith("broken.txt: ")


def test_tokens_are_those_of_the_reference_encoder(folder: Path) -> None:
    tokenizer = QUICKSTART / "tokenizer"
    reference = hugging_face_tokenizer(tokenizer, "tokenizer.json")
    found = survey(folder, str(tokenizer))
    assert found.tokens == sum(len(one.ids) for one in reference.encode_batch(TEXTS, add_special_tokens=False))
    assert found.tokenizer == "tokenizer"


def test_a_sample_of_languages_says_how_many_documents_it_saw(folder: Path) -> None:
    found = survey(folder, sample=10)
    assert found.sampled == sum(found.languages.values()) == 10
    assert survey(folder, sample=10).languages == found.languages
    out = io.StringIO()
    print_survey(found, Console(file=out, width=80))
    text = " ".join(out.getvalue().split())
    assert f"languages (10 documents drawn of {len(TEXTS)})" in text
    assert "1 no_text_column: labels.jsonl (label)" in text
    assert all(len(line) <= 80 for line in out.getvalue().splitlines())
    assert len(out.getvalue().splitlines()) <= 50


def test_processes_count_what_one_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = str(QUICKSTART / "tokenizer")
    for sample in (0, 10, 10_000):
        alone = survey(folder, tokenizer, sample, workers=1)
        monkeypatch.setattr(surveying, "ALONE_BYTES", 0)
        monkeypatch.setattr(surveying, "TASK_BYTES", 2000)
        monkeypatch.setattr(surveying, "open_executor", lambda *_: Here())
        watcher = Watcher()
        together = survey(folder, tokenizer, sample, workers=2, observer=watcher)
        assert watcher.begun[0][1] > 3
        assert together == alone
        monkeypatch.undo()


def test_one_file_is_read_alone_and_a_column_can_be_named(folder: Path, tmp_path: Path) -> None:
    assert survey(folder / "e.txt").total.characters == len(CHINESE)
    pl.DataFrame({"summary": ["あ"] * 3, "long": ["いう"] * 3}).write_parquet(tmp_path / "own.parquet")
    assert survey(tmp_path / "own.parquet", text_column="long").total.characters == 6
    with pytest.raises(SourceError, match=r"they have summary, long\. Name the one to read with --text-column"):
        survey(tmp_path / "own.parquet")


def test_the_command_reads_a_plain_folder_and_answers_in_json(folder: Path) -> None:
    answer = CliRunner().invoke(app, ["stats", str(folder), "--json", "--tokenizer", str(QUICKSTART / "tokenizer")])
    assert answer.exit_code == 0
    told = json.loads(answer.stdout)
    assert told["documents"] == len(TEXTS)
    assert told["bytes"] == sum(len(text.encode()) for text in TEXTS)
    assert told["tokens_per_character"] == round(told["tokens"] / told["characters"], 4)
    assert "no build, read as text" in CliRunner().invoke(app, ["stats", str(folder)]).stdout


def test_what_is_no_text_and_no_build_is_a_sentence(tmp_path: Path) -> None:
    runner = CliRunner()
    (tmp_path / "only.csv").write_text("a", encoding="utf-8")
    for path, sentence in (
        (tmp_path, "holds neither a finished build (manifest.json) nor a file"),
        (tmp_path / "only.csv", "is no file that can be read as text"),
        (tmp_path / "nowhere", "There is no folder"),
    ):
        assert sentence in str(runner.invoke(app, ["stats", str(path)]).exception), path
    (tmp_path / ".lock").touch()
    assert "is not a finished build" in str(runner.invoke(app, ["stats", str(tmp_path)]).exception)
    (tmp_path / "good.txt").write_text("文", encoding="utf-8")
    wrong = runner.invoke(app, ["stats", str(tmp_path / "good.txt"), "--tokenizer", str(tmp_path)])
    assert isinstance(wrong.exception, ConfigError)
    assert isinstance(runner.invoke(app, ["stats", str(tmp_path / "good.txt"), "--check-card"]).exception, ConfigError)


def test_hostile_names_are_shown_as_text(tmp_path: Path) -> None:
    name = "[red]x[bold] <b>.txt"
    (tmp_path / name).write_text("文です。", encoding="utf-8")
    (tmp_path / "逆\u202e.txt").write_text("文です。", encoding="utf-8")
    out = io.StringIO()
    print_survey(survey(tmp_path), Console(file=out, width=80))
    assert name in out.getvalue()
    assert "\u202e" not in out.getvalue()


def test_an_empty_file_has_no_documents(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    found = survey(tmp_path)
    assert found.total.documents == 0
    out = io.StringIO()
    print_survey(found, Console(file=out, width=80))
    assert "no document to look at" in out.getvalue()


@settings(deadline=None)
@given(st.lists(st.integers(0, 5_000_000), min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_of_the_histogram_is_the_nearest_rank(lengths: list[int], share: float) -> None:
    histogram = Lengths()
    half = len(lengths) // 2
    for part in (lengths[:half], lengths[half:]):
        histogram.add(np.array(part, dtype=np.int64))
    ordered = sorted(lengths)
    exact = ordered[max(0, int(np.ceil(share * len(ordered))) - 1)]
    assert histogram.quantile(share) == pytest.approx(exact, rel=0.004)
    assert ordered[0] <= histogram.quantile(share) <= ordered[-1]


def test_the_manifest_on_disk_is_the_one_that_is_told(built: Built) -> None:
    assert stats(read_manifest(built.folder)) == stats(built.manifest)
