"""What an evaluation found: kept as records, put together from several runs, and laid out as tables.

A results folder holds `results.json` (settings, scores, notes), `items.jsonl` (a record for each model and item, from
which everything else follows), `table.md`, `completions.jsonl` and `completions.md`. `read` and `merged` make one
comparison of several such folders, on the condition that all asked the same questions in the same way. A `Sheet` is
a table before it is drawn, so that terminal and Markdown show the same.
"""

import importlib.metadata
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from train import completions as pages
from train.comparison import (
    BITS,
    BITS_METRIC,
    METRICS,
    SHOWN,
    Difference,
    Metric,
    Record,
    Score,
    baselines,
    compare,
    score,
    warnings,
)
from train.completions import Completion, visible
from train.errors import TrainError
from train.jglue import TASKS

FORMAT = 1
NOTABLE_CUT = 0.01
"""The share of cut prompts from which a sentence says so."""

SHORT = {**TASKS, "jcommonsenseqa": "JCQA"}
"""Names for headings: seven columns of figures fit a terminal of 80."""

RESULTS, ITEMS = "results.json", "items.jsonl"


@dataclass(frozen=True, slots=True)
class Compared:
    """A row of a comparison: which group against the baseline, the figure's heading, and the difference."""

    group: str
    heading: str
    source: str | None
    difference: Difference


@dataclass
class Results:
    """Everything measured. `tasks` says how each task was asked, `corpus` on which held-out text bits were counted,
    `models` what was evaluated (in the table's order), `records` what came out: label, task, records.
    """

    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    corpus: dict[str, Any] | None = None
    models: list[dict[str, Any]] = field(default_factory=list)
    records: dict[str, dict[str, list[Record]]] = field(default_factory=dict)
    completions: dict[str, list[Completion]] = field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        """The models in the order of the table."""
        return [model["label"] for model in self.models]

    def of(self, label: str, task: str) -> list[Record]:
        """A model's records of a task; none where it was not asked."""
        return self.records.get(label, {}).get(task, [])

    def metrics(self) -> list[Metric]:
        """The figures of the tasks that were asked."""
        return [metric for metric in METRICS if metric.task in self.tasks]

    def sources(self) -> list[str]:
        """The sources of the held-out text."""
        return list(self.corpus["sources"]) if self.corpus else []

    def notes(self) -> list[str]:
        """What the figures alone do not say, in sentences."""
        found = [note for model in self.models for note in model.get("notes", [])]
        for model in self.models:
            found += [
                f"{model['label']}: {lengths['cut']:.1%} of {TASKS[task]}'s prompts do not fit its context of {model['context']:,} "
                "tokens and lost their beginning; part of its score is the cut's."
                for task, lengths in model.get("prompts", {}).items()
                if lengths["cut"] >= NOTABLE_CUT
            ]
        for label in self.labels:
            for task in self.tasks:
                found += warnings(label, task, self.of(label, task))
            broken = sum(record["bits"] is None for record in self.of(label, BITS))
            if broken:
                found.append(
                    f"{label}: {broken:,} held-out documents have no likelihood (NaN); the checkpoint is broken."
                )
        return found


def merged(parts: Sequence[tuple[str, Results]]) -> Results:
    """One comparison of several results, each with a name that tells equal labels apart; raises TrainError where they
    asked differently.
    """
    whole = Results()
    every = [label for _, part in parts for label in part.labels]
    asked: dict[str, tuple[str, dict[str, Any]]] = {}
    for name, part in parts:
        for task, how in {**part.tasks, **({BITS: part.corpus} if part.corpus else {})}.items():
            first, before = asked.setdefault(task, (name, how))
            differing = [key for key in _ASKED if before.get(key) != how.get(key)]
            if differing:
                what = ", ".join(f"{key} {before.get(key)} and {how.get(key)}" for key in differing)
                raise TrainError(
                    f"{first} and {name} were measured on different {TASKS.get(task, 'held-out text')} ({what}), so they cannot "
                    "stand in one table; evaluate them again with the same settings."
                )
        for model in part.models:
            label = model["label"] if every.count(model["label"]) == 1 else f"{name}/{model['label']}"
            if label in whole.records:
                raise TrainError(f"Two models are called {label}; give one another name with --model NAME=DIR.")
            whole.models.append({**model, "label": label})
            whole.records[label] = part.records.get(model["label"], {})
            if model["label"] in part.completions:
                whole.completions[label] = part.completions[model["label"]]
    whole.tasks = {task: asked[task][1] for task in TASKS if task in asked}
    whole.corpus = asked[BITS][1] if BITS in asked else None
    return whole


_ASKED = ("prompt", "shots", "pool", "split", "items", "of", "answer_tokens", "data", "fingerprint", "sources")
"""What must be equal for figures to be compared."""


def write(
    results: Results, folder: Path, groups: Mapping[str, Sequence[str]], baseline: str, rows: Sequence[Compared]
) -> None:
    """Write the folder's files, `results.json` last; each replaces the old one whole. Raises TrainError where it cannot."""
    try:
        _write(results, folder, groups, baseline, rows)
    except OSError as error:
        raise TrainError(
            f"The results cannot be written to {folder} ({error}); name another folder with --output."
        ) from error


def _write(
    results: Results, folder: Path, groups: Mapping[str, Sequence[str]], baseline: str, rows: Sequence[Compared]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = (
        json.dumps({"model": label, "task": task, **record}, ensure_ascii=False)
        for label, tasks in results.records.items()
        for task, records in tasks.items()
        for record in records
    )
    _replace(folder / ITEMS, "".join(f"{line}\n" for line in lines))
    if results.completions:
        pages.write(folder, results.completions)
    _replace(folder / "table.md", markdown(sheets(results, groups, baseline, rows), results.notes()))
    summary = {
        "format": FORMAT,
        "tasks": results.tasks,
        "corpus": results.corpus,
        "models": results.models,
        "scores": [
            {"model": label, "task": metric.task, "metric": metric.name, "value": _number(found.value), "error": _number(found.error), "items": found.items}
            for label in results.labels
            for metric in results.metrics()
            if (found := _score(results, label, metric))
        ],
        "bits_per_byte": [
            {"model": label, "source": source, "value": _number(found.value), "error": _number(found.error), "documents": found.items}
            for label in results.labels
            for source in [*results.sources(), None]
            if (found := _bits(results, label, source))
        ],
        "baselines": {task: baselines(task, _any_records(results, task)) for task in results.tasks},
        "groups": {name: list(members) for name, members in groups.items()},
        "differences": [
            {"group": row.group, "baseline": baseline, "task": one.metric.task, "metric": one.metric.name, "source": row.source, "baseline_value": _number(one.baseline), "value": _number(one.other), "difference": _number(one.value), "interval_95": [_number(one.low), _number(one.high)], "items": one.items}
            for row in rows
            for one in [row.difference]
        ],
        "notes": results.notes(),
        "versions": {name: importlib.metadata.version(name) for name in ("corpus-ja", "lm-eval", "transformers", "torch") if _installed(name)},
    }  # fmt: skip
    _replace(folder / RESULTS, json.dumps(summary, ensure_ascii=False, indent=1) + "\n")


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8", errors="replace")
    temporary.replace(path)


def read(folder: Path) -> Results:
    """The results in a folder; raises TrainError for one that holds none or damaged ones."""
    if not (folder / RESULTS).is_file():
        raise TrainError(f"{folder} holds no {RESULTS}; name a folder that an evaluation wrote with --output.")
    try:
        summary = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        if summary["format"] != FORMAT:
            raise TrainError(
                f"{folder / RESULTS} is of format {summary['format']}, this program writes {FORMAT}; evaluate again."
            )
        results = Results(summary["tasks"], summary["corpus"], summary["models"])
        for line in _lines(folder / ITEMS):
            record = json.loads(line)
            results.records.setdefault(record.pop("model"), {}).setdefault(record.pop("task"), []).append(record)
        if (folder / "completions.jsonl").is_file():
            for line in _lines(folder / "completions.jsonl"):
                made = json.loads(line)
                results.completions.setdefault(made.pop("model"), []).append(Completion(**made))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainError(f"The results in {folder} are damaged ({error}); evaluate again.") from error
    return results


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line]


def _score(results: Results, label: str, metric: Metric) -> Score | None:
    records = results.of(label, metric.task)
    return score(metric, records) if records else None


def _bits(results: Results, label: str, source: str | None) -> Score | None:
    records = _bit_records(results, label, source)
    return score(BITS_METRIC, records) if sum(record["bytes"] for record in records) else None


def _any_records(results: Results, task: str) -> list[Record]:
    return next((found for label in results.labels if (found := results.of(label, task))), [])


def compared(results: Results, groups: Mapping[str, Sequence[str]], baseline: str) -> list[Compared]:
    """Every group but the baseline against it: the tasks' figures, then bits per byte of each source and of all."""
    found: list[Compared] = []
    for name, members in groups.items():
        if name == baseline:
            continue
        for metric in results.metrics():
            sides = [[results.of(label, metric.task) for label in side] for side in (groups[baseline], members)]
            if all(records for side in sides for records in side):
                heading = f"{SHORT[metric.task]} {metric.heading}"
                found.append(Compared(name, heading, None, compare(metric, sides[0], sides[1])))
        for source in [*results.sources(), None]:
            sides = [[_bit_records(results, label, source) for label in side] for side in (groups[baseline], members)]
            if all(records for side in sides for records in side):
                difference = compare(BITS_METRIC, sides[0], sides[1])
                found.append(Compared(name, f"bits per byte, {source or 'all'}", source, difference))
    return found


def _bit_records(results: Results, label: str, source: str | None) -> list[Record]:
    return [record for record in results.of(label, BITS) if source in {None, record["source"]}]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table before it is drawn: cells are text, a line break in one parts a figure from its error."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def sheets(
    results: Results, groups: Mapping[str, Sequence[str]], baseline: str, rows: Sequence[Compared]
) -> list[Sheet]:
    """All tables of an evaluation."""
    found = [_asked(results), _article(results), _prompts(results)] if results.tasks else []
    if results.corpus:
        found.append(_bits_sheet(results))
    named = dict.fromkeys(row.group for row in rows)
    found += [_differences(groups, baseline, name, [row for row in rows if row.group == name]) for name in named]
    return found


def _asked(results: Results) -> Sheet:
    rows = []
    for task, how in results.tasks.items():
        examples = f"{how['shots']} from {how['pool']}" if how["shots"] else "none"
        items = f"{how['items']:,}" + (f" of {how['of']:,}" if how["of"] != how["items"] else "")
        rows.append((TASKS[task], how["prompt"], examples, f"{items} of {how['split']}", str(how["answer_tokens"])))
    return Sheet(
        "How the tasks were asked",
        ("task", "prompt", "examples", "items", "answer tokens"),
        tuple(rows),
        "Examples are drawn by each item's id, JNLI's one of each label. Prompt versions are those of Stability AI's harness.",
    )


def _article(results: Results) -> Sheet:
    shown = [metric for metric in results.metrics() if (metric.task, metric.name) in SHOWN]
    rows = []
    for label in results.labels:
        cells = [_cell(_score(results, label, metric), metric.digits) for metric in shown]
        rows.append((label, *cells))
    floors: dict[str, dict[tuple[str, str], float]] = {}
    for task in results.tasks:
        for name, values in _worth_showing(task, baselines(task, _any_records(results, task))).items():
            floors.setdefault(name, {}).update({(task, metric): value for metric, value in values.items()})
    for name, known in floors.items():
        cells = [
            f"{known[metric.task, metric.name]:.{metric.digits}f}" if (metric.task, metric.name) in known else "–"
            for metric in shown
        ]
        rows.append((name, *cells))
    return Sheet(
        "Scores",
        ("model", *(f"{SHORT[metric.task]} {metric.heading}" for metric in shown)),
        tuple(rows),
        "± is one standard error over the items; rows without it are what no knowledge scores on these items. JSQuAD: exact "
        "match and F1 of characters, of 100. acc: the likeliest choice is right; /char: the likeliest per character; bal.: "
        "balanced accuracy, the mean over the labels; JNLI F1: the mean over the labels.",
    )


def _worth_showing(task: str, floors: Mapping[str, Mapping[str, float]]) -> dict[str, Mapping[str, float]]:
    if task != "jcommonsenseqa":
        return dict(floors)
    fixed = {name: values for name, values in floors.items() if name != "chance"}
    best = max(fixed, key=lambda name: fixed[name]["acc"])
    return {"chance": floors["chance"], f"{best} (the best)": fixed[best]}


def _cell(found: Score | None, digits: int) -> str:
    if found is None:
        return "–"
    error = f"\n±{found.error:.{digits}f}" if math.isfinite(found.error) else ""
    return f"{found.value:.{digits}f}{error}"


def _prompts(results: Results) -> Sheet:
    rows: dict[tuple[str, ...], list[str]] = {}
    for model in results.models:
        for task, lengths in model.get("prompts", {}).items():
            cells = (
                TASKS[task],
                f"{lengths['median']:,}",
                f"{lengths['longest']:,}",
                f"{model['context']:,}",
                f"{lengths['cut']:.1%}",
            )
            rows.setdefault(cells, []).append(model["label"])
    named = tuple(
        ("all" if len(labels) == len(results.models) else ", ".join(labels), *cells) for cells, labels in rows.items()
    )
    return Sheet(
        "Prompts, in the model's tokens",
        ("model", "task", "median", "longest", "context", "cut"),
        named,
        "A prompt that does not fit beside its answer loses its beginning: the description, then the examples. Fewer "
        "examples (--shots) cut less.",
    )


def _bits_sheet(results: Results) -> Sheet:
    corpus = results.corpus or {}
    rows = [
        (source or "all", *(_cell(_bits(results, label, source), 4) for label in results.labels))
        for source in [*results.sources(), None]
    ]
    amounts = ", ".join(f"{name} {taken:,} of {held:,}" for name, (taken, held) in corpus.get("sources", {}).items())
    return Sheet(
        f"Bits per byte on the held-out text of {corpus.get('build', '')}",
        ("source", *results.labels),
        tuple(rows),
        f"Less is better; comparable across tokenizers. A document's first token and end-of-text are not counted. ± over "
        f"documents. Bytes read: {amounts}.",
    )


def _differences(groups: Mapping[str, Sequence[str]], baseline: str, name: str, rows: Sequence[Compared]) -> Sheet:
    cells = []
    for row in rows:
        one, digits = row.difference, row.difference.metric.digits
        verdict = ("better" if one.value * one.metric.better > 0 else "worse") if one.clear else "noise"
        interval = f"{one.low:+.{digits}f} to {one.high:+.{digits}f}"
        sides = [
            f"{mean:.{digits}f}" + (f"\n({', '.join(f'{run:.{digits}f}' for run in runs)})" if len(runs) > 1 else "")
            for mean, runs in zip((one.baseline, one.other), one.runs, strict=True)
        ]
        cells.append((row.heading, *sides, f"{one.value:+.{digits}f}", interval, verdict))
    several = [f"{group} is {', '.join(groups[group])}" for group in (baseline, name) if list(groups[group]) != [group]]
    pooled = (
        f" {'; '.join(several)}. The interval says nothing of how seeds differ: see each run's figure."
        if several
        else ""
    )
    return Sheet(
        f"{name} against {baseline}",
        ("figure", baseline, name, "difference", "95% interval", ""),
        tuple(cells),
        f"Paired bootstrap over items, 10,000 resamples; noise: the interval holds 0.{pooled}",
    )


def markdown(tables: Iterable[Sheet], notes: Sequence[str]) -> str:
    """The tables and notes as a Markdown page."""
    out = ["# Evaluation", ""]
    if notes:
        out += [*(f"- {_plain(note)}" for note in notes), ""]
    for sheet in tables:
        rule = "|---" + "|---:" * (len(sheet.headings) - 1) + "|"
        out += [f"## {_plain(sheet.title)}", "", _row(sheet.headings), rule, *(_row(row) for row in sheet.rows), ""]
        if sheet.note:
            out += [_plain(sheet.note), ""]
    return "\n".join(out)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(_plain(cell.replace(chr(10), ' ')) for cell in cells)} |"


def _plain(text: str) -> str:
    """Names of models and sources come from folders and files: no markup and no end of a cell in them."""
    shown = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return shown.replace("|", "&#124;").replace("[", "&#91;").replace("`", "&#96;")
