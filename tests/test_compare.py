"""`corpus-ja compare`: rule sets on the same documents, counted here from what builds with each of them say."""

import io
import json
from itertools import product

import pytest
from rich.console import Console
from typer.testing import CliRunner

from corpus_ja import comparing
from corpus_ja.cli import app
from corpus_ja.config import load_mix
from corpus_ja.errors import ConfigError, RuleError
from tests.world import World

LENIENT = """
description: Nothing of at least one character falls.
rules:
  - {name: empty, why: A test. (Ours), signal: characters, min: 1, examples: {keep: ["あ"], drop: [""]}}
"""
STRICT = """
description: Short documents fall, and those in which it rains.
rules:
  - name: short
    why: A test. (Ours)
    signal: characters
    min: 250
    examples: {keep: [{text: "あ", times: 250}], drop: ["あ"]}
  - name: wet
    why: A test. (Ours)
    signal: words_rain_hits
    max: 2
    requires: rain
    examples: {keep: [{value: 0}], drop: [{value: 3}]}
"""
NAMES = ("tidy_ja.yaml", "lenient.yaml", "strict.yaml")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World.make(tmp_path_factory.mktemp("compared"))
    (made.folder / "lenient.yaml").write_text(LENIENT, encoding="utf-8")
    (made.folder / "strict.yaml").write_text(STRICT, encoding="utf-8")
    (made.folder / "rain.txt").write_text("雨\n霧\n", encoding="utf-8")
    return made


CHANGES = {"lists": {"rain": "rain.txt"}, "duplicates": "none", "decontaminate": "none", "validation": 0}


@pytest.fixture(scope="module")
def compared(world: World) -> comparing.Comparison:
    return comparing.compare(load_mix(world.mix(changes=CHANGES)), NAMES, sample=1000)


def test_each_set_keeps_what_a_build_with_it_keeps(world: World, compared: comparing.Comparison) -> None:
    assert compared.left_out == ("harbour",)
    verdicts = {}
    for name in NAMES:
        filters = {f"sources.{source}.filters": [name] for source in ("river", "hill")}
        built = world.build(changes={**CHANGES, **filters})
        verdicts[name] = {key: value for key, value in built.verdicts().items() if not key.startswith("harbour")}
        for source in ("river", "hill"):
            kept = built.manifest.sources[source].kept
            found = compared.kept[name][source]
            assert (found.documents, found.bytes, found.tokens) == (kept.documents, kept.bytes, kept.tokens)
    judged = [key for key, verdict in verdicts[NAMES[0]].items() if verdict != "language"]
    assert sum(compared.documents.values()) == len(judged)
    assert sum(compared.foreign.values()) == len(verdicts[NAMES[0]]) - len(judged) > 0
    for one, other in product(NAMES, NAMES):
        same = sum((verdicts[one][key] is None) == (verdicts[other][key] is None) for key in judged)
        assert compared.agreement[one, other] == pytest.approx(same / len(judged))
    for parting in compared.partings:
        assert verdicts[parting.keeps][parting.id] is None
        assert verdicts[parting.drops][parting.id] == parting.broken[0]
    parted = {(one.keeps, one.drops) for one in compared.partings}
    expected = {
        (one, other)
        for one, other in product(NAMES, NAMES)
        if any(verdicts[one][key] is None and verdicts[other][key] is not None for key in judged)
    }
    assert parted == expected
    assert len(expected) >= 3


def test_a_larger_sample_holds_the_smaller_one(world: World) -> None:
    loaded = load_mix(world.mix(changes=CHANGES))
    small, large = (set(comparing._sample(loaded, "river", size)["id"]) for size in (5, 12))
    assert len(small) == 5
    assert len(large) == 12
    assert small < large


def test_the_terminal_shows_every_set_its_worst_rules_and_where_they_part(compared: comparing.Comparison) -> None:
    out = io.StringIO()
    comparing.print_comparison(compared, Console(file=out, width=140))
    shown = out.getvalue()
    for piece in (
        "documents kept",
        "tokens kept",
        "agreement",
        "strict.yaml breaks most: short",
        "left out: harbour",
        "drops it",
    ):
        assert piece in shown


def test_the_command_answers_in_json(world: World) -> None:
    mix = str(world.mix(changes=CHANGES))
    result = CliRunner().invoke(
        app,
        [
            "compare",
            "--mix",
            mix,
            "--filters",
            "tidy_ja.yaml, lenient.yaml",
            "--sample",
            "10",
            "--source",
            "river",
            "--json",
        ],
    )
    assert result.exit_code == 0, result.exception
    value = json.loads(result.stdout)
    assert value["documents"]["river"] + value["in_another_language"]["river"] == 10
    assert value["agreement"]["tidy_ja.yaml"]["tidy_ja.yaml"] == 1


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["tidy_ja.yaml", "tidy_ja.yaml"], "names the rule set tidy_ja.yaml twice"),
        ([], "names no rule set"),
        (["corpus_jp"], "did you mean `corpus_ja`"),
    ],
)
def test_sets_that_cannot_be_compared_are_one_sentence(world: World, names: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        comparing.compare(load_mix(world.mix(changes=CHANGES)), names, sample=5)


def test_a_set_whose_list_the_mix_does_not_give_is_one_sentence(world: World) -> None:
    with pytest.raises(RuleError, match=r"strict\.yaml, rule wet: it needs the list rain"):
        comparing.compare(load_mix(world.mix()), ["strict.yaml"], sample=5)


def test_sets_for_another_language_than_any_sources_are_one_sentence(world: World) -> None:
    loaded = load_mix(world.mix(changes={**CHANGES, "sources.river": None, "sources.hill": None}))
    with pytest.raises(ConfigError, match="made for ja, and no source of the mix is in that language"):
        comparing.compare(loaded, ["lenient.yaml"], sample=5)
