"""Scores from records, their errors, what a constant answer would score, and paired bootstrap intervals.

Every figure here is a function of sums over items: an accuracy of (right, items), macro-F1 of the nine cells of a
confusion table, bits per byte of (bits, bytes). A resample of the items is a row of counts, so 10,000 resamples of all
figures are one matrix product, and the same row serves every model: differences are paired by construction. Several
runs of one group (seeds) are pooled by taking the mean of their figures in each resample.

The intervals are over items: they say what another draw of questions would change, not what another seed of training
would; that is what several runs of a group are printed for. Everything is computed from records alone, so a comparison
is made again without a model (`--from`).

Measured in November 2026: 10,000 resamples of 4,442 items for 6 runs take 0.8 s of processor time, for each further
figure over as many items 0.4 s. Rejected: bootstrapping each model alone (unpaired intervals are wider and hide real
differences), McNemar's test (says whether, not how much, and only of accuracies).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from train.errors import TrainError
from train.jglue import LABELS, TASKS

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.uint8]
Record = Mapping[str, Any]

RESAMPLES = 10_000
SEED = 42
CHUNK = 250
"""Resamples drawn at once: 250 rows of 4,442 counts are 9 MB."""

KEPT = 60_000_000
"""Counts, a byte each, that are kept for the next figure over as many items: JSQuAD's are 44 million."""

BITS = "bits_per_byte"
"""The name under which bits per byte stand beside the tasks."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of a task. `features` gives each item's row of numbers, `value` the figure from sums of rows [..., k];
    `mean` says that it is a plain mean, whose error needs no bootstrap.
    """

    task: str
    name: str
    heading: str
    digits: int
    features: Callable[[Sequence[Record]], Floats]
    value: Callable[[Floats], Floats]
    mean: bool = True
    better: int = 1


@dataclass(frozen=True, slots=True)
class Score:
    """A figure with its standard error over the items."""

    value: float
    error: float
    items: int


@dataclass(frozen=True, slots=True)
class Difference:
    """How much another group's figure is above the baseline's, with the 95% interval of the paired bootstrap."""

    metric: Metric
    baseline: float
    other: float
    low: float
    high: float
    items: int
    runs: tuple[tuple[float, ...], tuple[float, ...]]
    """The figure of each run: the baseline's, then the other's."""

    @property
    def value(self) -> float:
        """The difference."""
        return self.other - self.baseline

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def _means(name: str, scale: float) -> Callable[[Sequence[Record]], Floats]:
    def features(records: Sequence[Record]) -> Floats:
        return np.array([[record["scores"][name] * scale, 1.0] for record in records], dtype=np.float64).reshape(-1, 2)

    return features


def _ratio(sums: Floats) -> Floats:
    return _divided(sums[..., 0], sums[..., 1])


def _divided(above: Floats, below: Floats) -> Floats:
    out: Floats = np.full(np.broadcast(above, below).shape, np.nan)
    np.divide(above, below, out=out, where=below > 0)
    return out


def _confusion(records: Sequence[Record]) -> Floats:
    """Rows of 12: gold by answer, and gold where no choice was made."""
    size = len(LABELS)
    rows = np.zeros((len(records), size * (size + 1)))
    for row, record in enumerate(records):
        answer = record["answer"]
        rows[row, record["gold"] * (size + 1) + (answer if answer >= 0 else size)] = 1.0
    return rows


def _table(sums: Floats) -> Floats:
    return sums.reshape(*sums.shape[:-1], len(LABELS), len(LABELS) + 1)


def balanced_accuracy(sums: Floats) -> Floats:
    """The mean over the labels that occur of the share answered right."""
    table = _table(sums)
    right = np.diagonal(table[..., :-1], axis1=-2, axis2=-1)
    return _mean(_divided(right, table.sum(-1)))


def macro_f1(sums: Floats) -> Floats:
    """The mean F1 over the labels that occur among the right answers or the given ones."""
    table = _table(sums)
    right = np.diagonal(table[..., :-1], axis1=-2, axis2=-1)
    return _mean(_divided(2 * right, table.sum(-1) + table[..., :-1].sum(-2)))


def _mean(values: Floats) -> Floats:
    known = ~np.isnan(values)
    return _divided(np.where(known, values, 0.0).sum(-1), known.sum(-1).astype(np.float64))


def _bits(records: Sequence[Record]) -> Floats:
    rows = [[math.nan if record["bits"] is None else record["bits"], record["bytes"]] for record in records]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


METRICS = (
    Metric("jsquad", "exact_match", "EM", 2, _means("exact_match", 100.0), _ratio),
    Metric("jsquad", "f1", "F1", 2, _means("f1", 100.0), _ratio),
    Metric("jcommonsenseqa", "acc", "acc", 4, _means("acc", 1.0), _ratio),
    Metric("jcommonsenseqa", "acc_norm", "/char", 4, _means("acc_norm", 1.0), _ratio),
    Metric("jcommonsenseqa", "acc_bytes", "/byte", 4, _means("acc_bytes", 1.0), _ratio),
    Metric("jnli", "acc", "acc", 4, _means("acc", 1.0), _ratio),
    Metric("jnli", "acc_norm", "/char", 4, _means("acc_norm", 1.0), _ratio),
    Metric("jnli", "balanced_acc", "bal.", 4, _confusion, balanced_accuracy, mean=False),
    Metric("jnli", "macro_f1", "F1", 4, _confusion, macro_f1, mean=False),
)
"""All figures of the tasks: JSQuAD's of 100, as the original article's; the others of 1."""

SHOWN = (
    ("jsquad", "exact_match"),
    ("jsquad", "f1"),
    ("jcommonsenseqa", "acc"),
    ("jcommonsenseqa", "acc_norm"),
    ("jnli", "acc"),
    ("jnli", "balanced_acc"),
    ("jnli", "macro_f1"),
)
"""The columns of the printed table; `results.json` has all."""

BITS_METRIC = Metric(BITS, "bits_per_byte", "bits per byte", 4, _bits, _ratio, mean=False, better=-1)


def score(metric: Metric, records: Sequence[Record], resamples: int = RESAMPLES) -> Score:
    """A figure and its error: of a mean the sample's standard deviation over the root of n, else the bootstrap's."""
    features = metric.features(records)
    value = float(metric.value(features.sum(0)))
    if len(records) < 2:
        return Score(value, math.nan, len(records))
    if metric.mean:
        return Score(value, float(features[:, 0].std(ddof=1) / math.sqrt(len(records))), len(records))
    drawn = bootstrap(metric, [features], resamples)[:, 0]
    known = drawn[np.isfinite(drawn)]
    return Score(value, float(known.std(ddof=1)) if len(known) > 1 else math.nan, len(records))


def bootstrap(metric: Metric, runs: Sequence[Floats], resamples: int = RESAMPLES, seed: int = SEED) -> Floats:
    """The figure of each run in each resample, [resamples, runs]; every run sees the same items in a resample.

    `runs` are features [n, k] over the same items in the same order.
    """
    side = np.concatenate(runs, axis=1)
    found = np.empty((resamples, len(runs)))
    begin = 0
    for counts in _resamples(len(runs[0]), resamples, seed):
        sums = (counts.astype(np.float64) @ side).reshape(len(counts), len(runs), -1)
        found[begin : begin + len(counts)] = metric.value(sums)
        begin += len(counts)
    return found


def _resamples(items: int, resamples: int, seed: int) -> Iterable[Counts]:
    """How often each item is drawn, in blocks of resamples; kept for the next figure where they are small."""
    return _kept(items, resamples, seed) if items * resamples <= KEPT else _drawn(items, resamples, seed)


@lru_cache(maxsize=4)
def _kept(items: int, resamples: int, seed: int) -> tuple[Counts, ...]:
    return tuple(_drawn(items, resamples, seed))


def _drawn(items: int, resamples: int, seed: int) -> Iterator[Counts]:
    generator = np.random.default_rng(seed)
    for begin in range(0, resamples, CHUNK):
        rows = min(CHUNK, resamples - begin)
        drawn = generator.integers(items, size=(rows, items)) + (np.arange(rows) * items)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * items).reshape(rows, items)
        # one item drawn over 255 times of n: below 1e-500
        yield np.minimum(counts, 255).astype(np.uint8)


def compare(
    metric: Metric, baseline: Sequence[Sequence[Record]], other: Sequence[Sequence[Record]], resamples: int = RESAMPLES
) -> Difference:
    """The paired difference of two groups of runs: the mean figure of `other`'s runs less that of `baseline`'s.

    Raises TrainError unless all runs answered the same items.
    """
    named = [{_key(record): record for record in run} for run in (*baseline, *other)]
    keys = sorted(named[0])
    for run in named[1:]:
        if sorted(run) != keys:
            raise TrainError(
                f"The runs answered different items of {TASKS.get(metric.task, metric.task)} ({len(keys):,} and {len(run):,}, "
                f"{len(named[0].keys() & run.keys()):,} of them the same), so they cannot be paired; evaluate them with the "
                "same --limit, --split and data."
            )
    features = [metric.features([run[key] for key in keys]) for run in named]
    values = [float(metric.value(one.sum(0))) for one in features]
    drawn = bootstrap(metric, features, resamples)
    split = len(baseline)
    differences = drawn[:, split:].mean(1) - drawn[:, :split].mean(1)
    known = differences[np.isfinite(differences)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (math.nan, math.nan)
    return Difference(
        metric,
        float(np.mean(values[:split])),
        float(np.mean(values[split:])),
        float(low),
        float(high),
        len(keys),
        (tuple(values[:split]), tuple(values[split:])),
    )


def _key(record: Record) -> tuple[str, str]:
    return (str(record.get("source", "")), str(record["id"]))


def constants(task: str, records: Sequence[Record], choices: int) -> dict[str, list[Record]]:
    """The records of a model that always gives the same answer, by what it always says; none for JSQuAD."""
    if task == "jsquad":
        return {}
    made: dict[str, list[Record]] = {}
    for number in range(choices):
        name = LABELS[number] if task == "jnli" else f"choice {number}"
        made[f"always {name}"] = [
            {
                "id": record["id"],
                "gold": record["gold"],
                "answer": number,
                "scores": dict.fromkeys(("acc", "acc_norm", "acc_bytes"), float(record["gold"] == number)),
            }
            for record in records
        ]
    return made


CHOICES = {"jcommonsenseqa": 5, "jnli": len(LABELS)}


def baselines(task: str, records: Sequence[Record]) -> dict[str, dict[str, float]]:
    """What no knowledge scores, by row: chance (the expectation of a uniform draw), and each constant answer."""
    if task not in CHOICES:
        return {}
    found = {"chance": {metric.name: 1 / CHOICES[task] for metric in METRICS if metric.task == task}}
    if task == "jnli":
        # Macro-F1 of a uniform draw from its expected table: the labels' shares times a third each.
        gold = np.bincount([record["gold"] for record in records], minlength=len(LABELS)).astype(np.float64)
        table = np.concatenate([np.repeat(gold[:, None] / len(LABELS), len(LABELS), 1), np.zeros((len(LABELS), 1))], 1)
        found["chance"]["macro_f1"] = float(macro_f1(table.ravel()))
    for name, made in constants(task, records, CHOICES[task]).items():
        found[name] = {
            metric.name: float(metric.value(metric.features(made).sum(0))) for metric in METRICS if metric.task == task
        }
    return found


def warnings(label: str, task: str, records: Sequence[Record]) -> list[str]:
    """Sentences about a model's answers that its accuracy hides: no likelihoods, one answer to all, a score within
    noise of a constant answer's.
    """
    if task not in CHOICES or not records:
        return []
    said = [record["answer"] for record in records]
    broken = said.count(-1)
    if broken:
        return [
            f"{label}: {broken:,} of {len(said):,} answers to {TASKS[task]} have no likelihood (NaN); the checkpoint is broken."
        ]
    accuracy = score(_metric(task, "acc"), records).value
    right = np.array([record["scores"]["acc"] for record in records])
    close = []
    for name, made in constants(task, records, CHOICES[task]).items():
        difference = right - np.array([record["scores"]["acc"] for record in made])
        error = float(difference.std(ddof=1) / math.sqrt(len(difference))) if len(difference) > 1 else 0.0
        if abs(difference.mean()) <= 1.96 * error or not difference.any():
            close.append((name, float(right.mean() - difference.mean())))
    most = max(set(said), key=said.count)
    name = LABELS[most] if task == "jnli" else f"choice {most}"
    share = said.count(most) / len(said)
    usual = f"; it answers {name} to {share:.0%} of the items" if share > 0.8 else ""
    if close:
        constant, level = max(close, key=lambda one: one[1])
        more = "; its balanced accuracy says more" if task == "jnli" and not usual else ""
        return [
            f"{label}: {TASKS[task]}'s accuracy of {accuracy:.4f} is within noise of a constant answer, {constant} ({level:.4f}){usual}{more}."
        ]
    return [f"{label}: {TASKS[task]}'s accuracy is nearly one answer's share{usual}."] if usual else []


def _metric(task: str, name: str) -> Metric:
    return next(metric for metric in METRICS if (metric.task, metric.name) == (task, name))
