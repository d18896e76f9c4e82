"""Scores, errors and intervals from records, against scikit-learn, loops and arithmetic."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train import comparison
from train.comparison import BITS_METRIC, METRICS, RESAMPLES, SEED, Metric
from train.errors import TrainError

Record = dict[str, Any]


def metric(task: str, name: str) -> Metric:
    return next(one for one in METRICS if (one.task, one.name) == (task, name))


def answers(pairs: list[tuple[int, int]]) -> list[Record]:
    """Records of JNLI from (right answer, given answer)."""
    return [
        {"id": str(number), "gold": gold, "answer": said, "scores": dict.fromkeys(("acc", "acc_norm", "acc_bytes"), float(gold == said))}
        for number, (gold, said) in enumerate(pairs)
    ]  # fmt: skip


def drawn(seed: int, items: int, right: float) -> list[Record]:
    generator = np.random.default_rng(seed)
    gold = generator.integers(3, size=items)
    said = np.where(generator.random(items) < right, gold, generator.integers(3, size=items))
    return answers(list(zip(gold.tolist(), said.tolist(), strict=True)))


PAIRS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30)


@settings(deadline=None)
@given(PAIRS)
def test_balanced_accuracy_and_macro_f1_are_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    from sklearn.metrics import f1_score, recall_score

    gold, said = zip(*pairs, strict=True)
    records = answers(pairs)
    labels = sorted(set(gold))  # scikit-learn's balanced accuracy: recall over the labels that occur
    balanced = recall_score(gold, said, labels=labels, average="macro", zero_division=0.0)
    assert comparison.score(metric("jnli", "balanced_acc"), records, 2).value == pytest.approx(balanced)
    f1 = f1_score(gold, said, average="macro", zero_division=0.0)
    assert comparison.score(metric("jnli", "macro_f1"), records, 2).value == pytest.approx(f1)
    accuracy = sum(one == other for one, other in pairs) / len(pairs)
    assert comparison.score(metric("jnli", "acc"), records).value == pytest.approx(accuracy)


def test_an_answer_never_given_is_wrong_for_its_label_and_nobodys_false_alarm() -> None:
    records = answers([(0, -1), (0, 0), (1, 1), (2, 2)])
    assert comparison.score(metric("jnli", "balanced_acc"), records, 2).value == pytest.approx((0.5 + 1 + 1) / 3)
    assert comparison.score(metric("jnli", "macro_f1"), records, 2).value == pytest.approx((2 / 3 + 1 + 1) / 3)


def test_the_error_of_a_mean_is_the_samples_and_the_bootstraps_agrees() -> None:
    records = drawn(1, 400, 0.4)
    right = [record["scores"]["acc"] for record in records]
    found = comparison.score(metric("jnli", "acc"), records)
    assert found.error == pytest.approx(np.std(right, ddof=1) / math.sqrt(400))
    features = metric("jnli", "acc").features(records)
    assert comparison.bootstrap(metric("jnli", "acc"), [features]).std() == pytest.approx(found.error, rel=0.05)
    balanced = comparison.score(metric("jnli", "balanced_acc"), records)
    assert balanced.error == pytest.approx(found.error, rel=0.15)  # balanced labels: nearly the same figure
    assert math.isnan(comparison.score(metric("jnli", "acc"), records[:1]).error)


@pytest.mark.parametrize("name", ["acc", "balanced_acc", "macro_f1"])
def test_a_resample_is_the_figure_of_the_items_drawn_the_same_for_every_run(name: str) -> None:
    runs = [drawn(seed, 40, 0.5) for seed in (1, 2)]
    one = metric("jnli", name)
    found = comparison.bootstrap(one, [one.features(run) for run in runs], resamples=6)
    drawn_items = np.random.default_rng(SEED).integers(40, size=(6, 40))
    for row, items in enumerate(drawn_items):
        for column, run in enumerate(runs):
            again = [run[item] for item in items]
            assert found[row, column] == pytest.approx(comparison.score(one, again, 2).value)
    assert np.array_equal(found, comparison.bootstrap(one, [one.features(run) for run in runs], resamples=6))


def test_an_interval_is_that_of_differences_resampled_in_a_loop() -> None:
    plain, better = drawn(1, 150, 0.3), drawn(1, 150, 0.6)
    found = comparison.compare(metric("jnli", "acc"), [plain], [better])
    differences = [b["scores"]["acc"] - a["scores"]["acc"] for a, b in zip(plain, better, strict=True)]
    generator = np.random.default_rng(99)
    means = sorted(
        sum(differences[item] for item in generator.integers(150, size=150).tolist()) / 150 for _ in range(4000)
    )
    assert found.value == pytest.approx(sum(differences) / 150)
    assert found.low == pytest.approx(means[100], abs=0.02)
    assert found.high == pytest.approx(means[3899], abs=0.02)
    assert found.clear
    assert RESAMPLES == 10_000


def test_seeds_are_pooled_by_the_mean_of_their_figures_and_order_and_gaps_do_not_matter() -> None:
    plain = [drawn(seed, 120, 0.3) for seed in (1, 2)]
    for run in plain[1:]:
        for record, gold in zip(run, plain[0], strict=True):
            record["gold"] = gold["gold"]
            record["scores"] = dict.fromkeys(record["scores"], float(record["answer"] == gold["gold"]))
    better = [list(reversed(run)) for run in plain]
    same = comparison.compare(metric("jnli", "macro_f1"), plain, better)
    assert (same.value, same.low, same.high) == pytest.approx((0, 0, 0), abs=1e-12)
    assert not same.clear
    one = comparison.compare(metric("jnli", "acc"), [plain[0]], plain)
    values = [comparison.score(metric("jnli", "acc"), run).value for run in plain]
    assert one.other == pytest.approx(sum(values) / 2)
    assert [*one.runs[0], *one.runs[1]] == pytest.approx([values[0], *values])
    with pytest.raises(TrainError, match=r"different items of JNLI .120 and 119, 119 of them the same."):
        comparison.compare(metric("jnli", "acc"), [plain[0]], [plain[1][1:]])


def test_bits_per_byte_are_summed_before_they_are_divided_and_paired_by_document() -> None:
    first: list[Record] = [
        {"source": "hill", "id": f"hill/{n}", "bits": 10.0 + n, "bytes": 5 + n % 3} for n in range(40)
    ]
    second = [{**record, "bits": record["bits"] * 0.9} for record in reversed(first)]
    expected = sum(record["bits"] for record in first) / sum(record["bytes"] for record in first)
    assert comparison.score(BITS_METRIC, first).value == pytest.approx(expected)
    found = comparison.compare(BITS_METRIC, [first], [second])
    assert found.value == pytest.approx(-0.1 * expected)
    assert found.high < 0
    # far narrower than either one's own error: the documents are the same
    assert found.high - found.low < comparison.score(BITS_METRIC, first).error


def test_constants_and_chance_are_arithmetic() -> None:
    records = answers([(0, 0)] * 1 + [(1, 0)] * 3 + [(2, 0)] * 6)
    floors = comparison.baselines("jnli", records)
    assert floors["chance"]["acc"] == pytest.approx(1 / 3)
    assert floors["chance"]["balanced_acc"] == pytest.approx(1 / 3)
    f1 = [2 * share / 3 / (share + 1 / 3) for share in (0.1, 0.3, 0.6)]
    assert floors["chance"]["macro_f1"] == pytest.approx(sum(f1) / 3)
    assert [floors[f"always {name}"]["acc"] for name in ("entailment", "contradiction", "neutral")] == [0.1, 0.3, 0.6]
    assert floors["always neutral"]["balanced_acc"] == pytest.approx(1 / 3)
    assert floors["always neutral"]["macro_f1"] == pytest.approx(2 * 0.6 / 1.6 / 3)
    assert comparison.baselines("jsquad", []) == {}


def test_a_constant_answer_a_score_near_one_and_no_likelihoods_are_said() -> None:
    golds = [0] * 15 + [1] * 30 + [2] * 55
    constant = answers([(gold, 2) for gold in golds])
    [said] = comparison.warnings("base", "jnli", constant)
    assert said == (
        "base: JNLI's accuracy of 0.5500 is within noise of a constant answer, always neutral (0.5500); it answers neutral "
        "to 100% of the items."
    )
    mixed = answers([(gold, gold if number % 2 else (gold + 1) % 3) for number, gold in enumerate(golds)])
    [said] = comparison.warnings("base", "jnli", mixed)
    assert "within noise of a constant answer, always neutral (0.5500); its balanced accuracy says more." in said
    good = answers([(gold, gold if number % 10 else 0) for number, gold in enumerate(golds)])
    assert comparison.warnings("base", "jnli", good) == []
    broken = answers([(gold, -1) for gold in golds])
    [said] = comparison.warnings("base", "jnli", broken)
    assert said == "base: 100 of 100 answers to JNLI have no likelihood (NaN); the checkpoint is broken."
    assert comparison.warnings("base", "jsquad", []) == []
