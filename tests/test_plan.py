"""A plan says from a sample what the build then does, and refuses what the build would refuse."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_ja.config import load_mix
from corpus_ja.planning import Plan, make_plan, ratio
from tests.world import MIX, Here, Watcher, World, english, japanese, write_lines


def planned(mix: Path, sample: int = 2000, *overrides: str) -> Plan:
    return make_plan(load_mix(mix, overrides), Here(), Watcher(), sample)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World.make(tmp_path_factory.mktemp("plan"))
    write_lines(
        world.folder / "large.jsonl", [{"id": f"l{n}", "text": japanese(f"large {n}", 1 + n % 23)} for n in range(1500)]
    )
    write_lines(
        world.folder / "english.jsonl", [{"id": f"e{n}", "text": english(f"large {n}", 1 + n % 23)} for n in range(600)]
    )
    return world


LARGE: dict[str, Any] = {
    "sources": {
        "ja": {"jsonl": "large.jsonl", "language": "ja", "filters": ["tidy_ja.yaml"]},
        "en": {"jsonl": "english.jsonl", "language": "en", "filters": ["tidy_en.yaml"]},
    },
    "decontaminate": None,
}


def test_a_plan_that_looks_at_everything_says_exactly_what_the_build_keeps(world: World) -> None:
    plan = planned(world.mix())
    built = world.build()
    for name, source in built.manifest.sources.items():
        estimate = plan.sources[name].kept
        assert round(estimate.value) == source.kept.tokens
        assert (estimate.low, estimate.high) == (estimate.value, estimate.value)
        shares = {verdict: count / plan.sources[name].sampled for verdict, count in source.dropped.items()}
        assert plan.sources[name].dropped == pytest.approx(shares)
        assert plan.sources[name].whole
    assert plan.conflict is None


def test_a_sample_predicts_the_build_within_its_interval_and_five_percent(world: World) -> None:
    plan = planned(world.mix("large", LARGE), 400)
    built = world.build("large", LARGE)
    for name, source in built.manifest.sources.items():
        found = plan.sources[name]
        assert found.sampled == 400
        assert found.kept.low <= source.kept.tokens <= found.kept.high
        assert found.kept.value == pytest.approx(source.kept.tokens, rel=0.05)
        assert found.documents == source.read.documents
        assert found.bytes == source.read.bytes
    assert plan.tokens == pytest.approx(
        sum(source.taken.tokens for source in built.manifest.sources.values()), rel=0.05
    )


def test_the_same_plan_comes_twice_and_a_larger_sample_holds_the_smaller(world: World) -> None:
    mix = world.mix("large", LARGE)
    once = planned(mix, 100).as_json()["sources"]
    assert once == planned(mix, 100).as_json()["sources"]
    assert planned(mix, 300).sources["ja"].kept.low >= planned(mix, 50).sources["ja"].kept.low * 0.8


def test_a_plan_leaves_nothing_behind(world: World, tmp_path: Path) -> None:
    make_plan(load_mix(world.mix()), Here(), Watcher(), 10, scratch=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_mix_that_asks_for_more_than_exists_is_refused_with_both_numbers_and_still_planned(world: World) -> None:
    changes = {**LARGE, "budget": "100M"}
    plan = planned(world.mix("large", changes), 200)
    assert plan.conflict is not None
    assert "100,000,000 tokens" in plan.conflict
    assert 0 < plan.tokens < 100_000_000
    assert all(source.dry for source in plan.sources.values())
    assert any("ja runs dry" in warning for warning in plan.warnings)


def test_the_source_that_runs_dry_is_named_and_the_other_is_not(world: World) -> None:
    sources = {
        name: {**source, "weight": weight, "max_epochs": 1}
        for (name, source), weight in zip(LARGE["sources"].items(), (1, 9), strict=True)
    }
    plan = planned(world.mix("large", {**LARGE, "sources": sources, "budget": "500k", "on_shortage": "shrink"}), 200)
    assert [name for name, source in plan.sources.items() if source.dry] == ["en"]


def test_a_vocabulary_that_does_not_fit_the_language_is_warned_of(world: World, tmp_path: Path) -> None:
    """Bytes alone: three tokens a Japanese character."""
    from tests.test_tokens import bpe

    tokenizer = bpe([("e", "r")])
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    plan = planned(world.mix("large", {**LARGE, "tokenizer": str(tmp_path)}), 50)
    assert any("does not fit ja" in warning and "2." in warning for warning in plan.warnings)
    assert plan.sources["ja"].tokens_per_character == pytest.approx(2.9, abs=0.3)


def test_the_command_prints_json_and_ends_with_one_where_the_build_would_refuse(world: World) -> None:
    command = [
        sys.executable,
        "-m",
        "corpus_ja.cli",
        "plan",
        "--mix",
        str(world.mix()),
        "--json",
        "--sample",
        "20",
        "--workers",
        "1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=world.folder)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)["sources"]) == set(MIX["sources"])
    done = subprocess.run(
        [*command, "--set", "budget=1B"], capture_output=True, text=True, timeout=120, check=False, cwd=world.folder
    )
    assert done.returncode == 1
    assert "1,000,000,000 tokens" in done.stderr
    assert json.loads(done.stdout)["conflict"]


@settings(deadline=None)
@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=50), st.floats(0.01, 2))
def test_a_constant_ratio_is_estimated_without_error(sizes: list[int], rate: float) -> None:
    wholes = np.array(sizes, dtype=np.float64)
    value, error = ratio(rate * wholes, wholes, 1e6, 0.1)
    assert value == pytest.approx(rate * 1e6)
    assert error == pytest.approx(0, abs=1e-3 * rate * 1e6)


def test_the_intervals_hold_as_often_as_they_say() -> None:
    """Heavy-tailed documents, a fifth of them dropped: of 400 samples of 500 documents, at least 97% hold the truth
    (99% are meant).
    """
    generator = np.random.default_rng(0)
    wholes = generator.lognormal(7, 1.2, 10_000)
    parts = wholes * generator.normal(0.5, 0.05, 10_000) * (generator.random(10_000) > 0.2)
    held = 0
    for _ in range(400):
        chosen = generator.choice(10_000, 500, replace=False)
        value, error = ratio(parts[chosen], wholes[chosen], wholes.sum(), 0.05)
        held += abs(value - parts.sum()) <= 2.576 * error
    assert held >= 388


@pytest.mark.shared_data
def test_two_thousand_documents_a_source_predict_the_tokens_of_the_shared_data(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against what the build of recipes/shared-data keeps (its rules may change: then so may these, within 5%)."""
    monkeypatch.setenv("CORPUS_JA_DATA", str(shared_data.resolve()))
    recipe = Path(__file__).resolve().parents[1] / "recipes" / "shared-data" / "mix.yaml"
    overrides = [
        "duplicates=none",
        "decontaminate=none",
        *(f"sources.{name}.filters=none" for name in ("prose_ja", "prose_en", "noisy")),
    ]
    if os.environ.get("CORPUS_JA_WHOLE_PLAN"):
        overrides = []
    plan = planned(recipe, 2000, *overrides)
    assert plan.sources["prose_ja"].documents == 12_473
    assert plan.sources["prose_ja"].kept.value == pytest.approx(34_000_000, rel=0.06)
    assert plan.sources["prose_en"].kept.value == pytest.approx(6_780_000, rel=0.05)
    assert plan.sources["other"].kept.value == 0
