"""`corpus-ja explain`: what it says of a document is what a build of the mix does with it."""

import io
import json
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console
from typer.testing import CliRunner

from corpus_ja import explaining
from corpus_ja.cli import app
from corpus_ja.config import load_mix
from corpus_ja.errors import ConfigError, SourceError
from corpus_ja.stages.rules import Rule
from tests.world import FRAGMENT, World, japanese


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World.make(tmp_path_factory.mktemp("explained"))
    (made.folder / "rain.txt").write_text("雨\n霧\n", encoding="utf-8")
    return made


CHANGES = {
    "lists": {"rain": "rain.txt"},
    "sources.river.where": "words_rain_hits < 4",
    "sources.hill.clean": {"urls": True},
}


def test_every_document_is_explained_as_the_build_judged_and_measured_it(world: World) -> None:
    built = world.build(changes=CHANGES)
    loaded = load_mix(world.mix(changes=CHANGES))
    table = built.table()
    verdicts = built.verdicts()
    signals = [name for name, kind in table.schema.items() if kind.is_numeric() and "word" in name]
    seen = set()
    for name in [
        "river/r3",
        "river/short",
        "river/chinese",
        "river/exclaiming",
        "hill/hill.parquet#4",
        "harbour/h5",
        "harbour/h0~2",
    ]:
        source, document = explaining.find(loaded, name)
        explanation = explaining.explain(loaded, source, document)
        built_verdict = verdicts[name]
        if built_verdict is None or not built_verdict.startswith(("duplicate", "decontaminate", "mix")):
            assert explanation.dropped_by == built_verdict
            seen.add(built_verdict)
        row = table.filter(pl.col("id") == name)
        for signal in signals:
            assert explanation.values[signal] == row[signal][0], (name, signal)
        assert explanation.language == row["language"][0]
    assert {None, "language", "tidy_ja.short", "tidy_ja.exclaiming"} <= seen


def test_a_text_is_cleaned_and_every_rule_says_value_limit_and_verdict(world: World) -> None:
    loaded = load_mix(world.mix(changes=CHANGES))
    explanation = explaining.explain(loaded, "hill", explaining.given_text(FRAGMENT + "\r\nhttps://example.com/\r\n"))
    assert explanation.cleaned["urls"] > 0
    rules = {one.name: one for one in explanation.rules}
    assert rules["tidy_ja.short"].verdict == "DROPS"
    assert rules["tidy_ja.short"].value == len(FRAGMENT)
    assert rules["tidy_ja.short"].limit == "≥ 60"
    assert rules["tidy_ja.exclaiming"].verdict == "keeps"
    assert explanation.dropped_by == "tidy_ja.short"
    out = io.StringIO()
    explaining.print_explanation(explanation, Console(file=out, width=120))
    shown = out.getvalue()
    assert "dropped by tidy_ja.short" in shown
    assert "words_rain_hits" in shown
    assert "The world's planted fragments are shorter." in shown


def test_a_rule_that_cannot_run_says_so(world: World, tmp_path: Path) -> None:
    rule = """
description: A rule on a list that the mix does without.
rules:
  - name: dry
    why: A test. (Ours)
    signal: words_desert_hits
    max: 0
    requires: desert
    examples: {keep: [{value: 0}], drop: [{value: 1}]}
"""
    (tmp_path / "dry.yaml").write_text(rule, encoding="utf-8")
    changes = {"lists": {"desert": "none"}, "sources.hill.filters": [str(tmp_path / "dry.yaml")]}
    loaded = load_mix(world.mix(changes=changes))
    explanation = explaining.explain(loaded, "hill", explaining.given_text(FRAGMENT))
    assert [one.verdict for one in explanation.rules] == ["not run"]
    assert explanation.dropped_by is None


def test_limits_are_written_in_signs() -> None:
    examples = {"keep": [{"value": 1}], "drop": [{"value": 2}]}
    rule = {"name": "a", "why": "b", "signal": "c", "examples": examples}
    assert explaining.limit_of(Rule.model_validate({**rule, "min": 0.15, "max": 3})) == "≥ 0.15 and ≤ 3"
    assert explaining.limit_of(Rule.model_validate({**rule, "none_of": ["x", "y"]})) == "none of x, y"


def test_an_id_that_is_not_there_is_one_sentence(world: World) -> None:
    loaded = load_mix(world.mix())
    with pytest.raises(SourceError, match="There is no document 'river/r99' in river"):
        explaining.find(loaded, "river/r99")
    with pytest.raises(SourceError, match=r"begins with no source of the mix; .* river, hill, harbour"):
        explaining.find(loaded, "lake/1")


def test_the_command_reads_a_file_standard_input_or_an_id_and_answers_in_json(world: World, tmp_path: Path) -> None:
    mix = str(world.mix(changes=CHANGES))
    page = tmp_path / "page.txt"
    page.write_text(japanese("page", 6), encoding="utf-8")
    runner = CliRunner()
    answers = [
        runner.invoke(app, ["explain", "--mix", mix, str(page), "--json"]),
        runner.invoke(app, ["explain", "--mix", mix, "-", "--source", "hill", "--json"], input=page.read_bytes()),
        runner.invoke(app, ["explain", "--mix", mix, "--id", "harbour/h3", "--json"]),
    ]
    assert [answer.exit_code for answer in answers] == [0, 0, 0]
    values = [json.loads(answer.stdout) for answer in answers]
    assert [value["source"] for value in values] == ["river", "hill", "harbour"]
    assert values[0]["signals"]["characters"] == values[1]["signals"]["characters"] == len(japanese("page", 6))


@pytest.mark.parametrize("arguments", [[], ["page.txt", "--id", "river/r1"]])
def test_one_document_at_a_time(world: World, arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["explain", "--mix", str(world.mix()), *arguments])
    assert isinstance(result.exception, ConfigError)


def test_a_source_that_does_not_exist_and_a_text_that_is_none_are_sentences(world: World, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["explain", "--mix", str(world.mix()), "-", "--source", "lake"], input=b"x")
    assert "the mix has no such source; it has: river, hill, harbour" in str(result.exception)
    (tmp_path / "latin1.txt").write_bytes("été".encode("latin-1"))
    with pytest.raises(SourceError, match="is not UTF-8 text"):
        explaining.text_of(str(tmp_path / "latin1.txt"), None)
