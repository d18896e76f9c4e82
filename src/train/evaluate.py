"""`python -m train.evaluate`: checkpoints side by side on JSQuAD, JCommonsenseQA, JNLI, held-out text and fixed prompts.

    python -m train.evaluate --model base=models/LiteLlama --model runs/yonaguni/checkpoint-* --jglue data/jglue \
        --corpus builds/yonaguni --output evaluations/yonaguni

One row a model: the table of the original article, beside it what no knowledge scores, standard errors, how many
prompts the context cuts, bits per byte of each source, completions, and every later model's difference to the first
with a paired bootstrap interval. `--group better=runs/a,runs/b --group plain=runs/c,runs/d` pools the seeds of a mix;
`--from evaluations/one evaluations/two` puts earlier results together without running a model.

With `--jglue` a folder nothing is fetched. Weights are read from safetensors alone and no code comes with them; scores
are computed in float32, because bfloat16 logits differ by an eighth where they are 16 or more, which decides between choices.

Measured in November 2026 with SmolLM2-135M in float32 on two cores that others kept busy: 16 items of each task take 284,
275 and 224 s on the clock, 4,189 tokens of held-out text 37 s; `--from` over what they left takes under a second.
"""

import argparse
import math
import re
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NoReturn

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from train import bits, checkpoints, harness, jglue
from train import completions as pages
from train.comparison import BITS
from train.completions import visible
from train.errors import TrainError
from train.jglue import DEFAULT_PROMPTS, DEFAULT_SHOTS, FORMS, TASKS
from train.results import RESULTS, Results, Sheet, compared, merged, read, sheets, write

USAGE = (
    "Which model? python -m train.evaluate --model DIR [--model DIR ...] [--jglue DIR] [--corpus BUILD], for example "
    "--model base=models/LiteLlama runs/mine/checkpoint-*; --help says the rest."
)


UNFINISHED = "unfinished"
"""Inside the output folder, until the last model is done: the results of those before it, which --from reads."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        unknown = re.match(r"unrecognized arguments: (--[\w-]+)", message)
        options = [option for action in self._actions for option in action.option_strings]
        near = get_close_matches(unknown[1], options, 1) if unknown else []
        raise TrainError(f"{message}{f'; did you mean {near[0]}?' if near else '; see --help.'}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m train.evaluate", description="Checkpoints side by side.", allow_abbrev=False)
    add = parser.add_argument
    add(
        "--model",
        nargs="+",
        action="extend",
        default=[],
        metavar="[NAME=]DIR",
        help="model folders or Hub ids, in the order of the table; a run's folder without a model of its own stands for its checkpoints",
    )
    add("--tasks", default=",".join(TASKS), help="of jsquad, jcommonsenseqa, jnli (default: all); none leaves them out")
    add("--jglue", metavar="DIR", help=f"a folder with JGLUE's files, or a data set of the Hub (default: {jglue.HUB})")
    add("--split", choices=("valid", "test"), default="valid")
    add(
        "--shots",
        default="",
        metavar="N|TASK=N,...",
        help=f"examples before an item (default: {','.join(f'{task}={shots}' for task, shots in DEFAULT_SHOTS.items())})",
    )
    add(
        "--prompt",
        default="",
        metavar="V|TASK=V,...",
        help="prompt form by the version of Stability AI's harness: 0.2 (default; 0.2.1 for jcommonsenseqa) or 0.3",
    )
    add(
        "--answer-tokens",
        default="32",
        metavar="N|gold",
        help="tokens a JSQuAD answer may have; gold: as many as the longest right answer, as the article's harness did",
    )
    add(
        "--limit",
        type=int,
        default=0,
        metavar="N",
        help="items of each task, drawn by a hash of their ids (default: all)",
    )
    add("--corpus", type=Path, metavar="BUILD", help="a build folder: bits per byte on its held-out documents")
    add(
        "--corpus-bytes",
        type=int,
        default=1_000_000,
        metavar="N",
        help="held-out UTF-8 bytes read of each source, whole documents (default: 1,000,000; 0: all)",
    )
    add(
        "--prompts",
        default="",
        metavar="FILE",
        help="prompts to complete, one a line (default: ours); none leaves them out",
    )
    add("--output", type=Path, default=Path("evaluation"), metavar="DIR", help="results go here (default: evaluation)")
    add("--batch-size", type=int, default=8, metavar="N")
    add("--device", default="auto", help="cpu, cuda, cuda:1 (default: cuda where there is one)")
    add("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    add("--baseline", metavar="NAME", help="what the others are compared with (default: the first)")
    add(
        "--group",
        action="append",
        default=[],
        metavar="NAME=RUN,RUN",
        help="runs of one kind (seeds), pooled in the comparison: models, or folders of earlier results",
    )
    add(
        "--from",
        dest="earlier",
        nargs="+",
        action="extend",
        type=Path,
        default=[],
        metavar="RESULTS",
        help="folders of earlier results to stand in the same table",
    )
    return parser  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate, print and write; 0, or 1 after one sentence about what is wrong."""
    console = Console(highlight=False, soft_wrap=False)
    try:
        asked = _parser().parse_args(arguments)
        _evaluate(asked, console)
    except (TrainError, RuntimeError) as error:
        if isinstance(error, RuntimeError):
            if "out of memory" not in str(error):
                raise
            error = TrainError(
                "The device ran out of memory; ask for less at once with --batch-size, or --dtype bfloat16."
            )
        print(visible(str(error)), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            f"Interrupted; the models that were finished stand in {UNFINISHED} of the output folder.", file=sys.stderr
        )
        return 130
    return 0


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model to evaluate and its name in the tables."""

    label: str
    place: str


@dataclass
class _Plan:
    """What the arguments ask for, before anything large is read."""

    models: list[ModelFolder] = field(default_factory=list)
    earlier: list[tuple[str, Results]] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=dict)


def _evaluate(asked: argparse.Namespace, console: Console) -> None:
    plan = _planned(asked)
    if (asked.output / RESULTS).exists():
        raise TrainError(f"{asked.output} holds results already; name another folder with --output.")
    if asked.output.exists() and not asked.output.is_dir():
        raise TrainError(f"--output: {asked.output} is a file; name a folder.")
    fresh = Results()
    if plan.models:
        _measure(asked, plan, fresh, console)
    results = _together(plan, fresh)
    groups, baseline = _groups(asked, plan, results)
    rows = compared(results, groups, baseline)
    for sheet in sheets(results, groups, baseline, rows):
        _print(sheet, console)
    for note in results.notes():
        _say(console, note)
    write(results, asked.output, groups, baseline, rows)
    shutil.rmtree(asked.output / UNFINISHED, ignore_errors=True)
    page = f", {asked.output / 'completions.md'}" if results.completions else ""
    _say(console, f"Written: {asked.output / 'table.md'}, {asked.output / RESULTS}{page}")


def _together(plan: _Plan, fresh: Results) -> Results:
    return merged([*plan.earlier, *([("this evaluation", fresh)] if fresh.models else [])])


def _planned(asked: argparse.Namespace) -> _Plan:
    if not asked.model and not asked.earlier and not asked.group:
        raise TrainError(USAGE)
    for name in ("limit", "corpus_bytes"):
        if getattr(asked, name) < 0:
            raise TrainError(
                f"--{name.replace('_', '-')} is {getattr(asked, name)}; give 0 for all, or a positive number."
            )
    if asked.batch_size < 1:
        raise TrainError(f"--batch-size is {asked.batch_size}; give at least 1.")
    plan = _Plan(earlier=[(folder.resolve().name, read(folder)) for folder in asked.earlier])
    for wish in asked.model:
        plan.models += _expanded(wish)
    plan.models = _by_step(plan.models)
    for wish in asked.group:
        name, equals, members = wish.partition("=")
        if not equals or not name or not all(members.split(",")):
            raise TrainError(f"--group {wish}: write NAME=RUN,RUN with model folders, labels or folders of results.")
        if name in plan.groups:
            raise TrainError(f"--group {name} is given twice; list its runs together.")
        plan.groups[name] = [label for member in members.split(",") for label in _member(member, plan)]
    _label(plan)
    return plan


def _member(member: str, plan: _Plan) -> list[str]:
    known = {model.label for model in plan.models} | {label for _, part in plan.earlier for label in part.labels}
    if member in known:
        return [member]
    folder = Path(member)
    if (folder / RESULTS).is_file():
        results = read(folder)
        if len(results.models) != 1:
            raise TrainError(
                f"{folder} holds results of {len(results.models)} models ({', '.join(results.labels)}); give it with --from and name "
                "the one you mean in --group."
            )
        label = folder.resolve().name
        [old] = results.labels
        results.records = {label: results.records.get(old, {})}
        results.completions = {label: results.completions[old]} if old in results.completions else {}
        results.models[0]["label"] = label
        plan.earlier.append((label, results))
        return [label]
    models = _expanded(member)
    plan.models += models
    return [model.label for model in models]


def _expanded(wish: str) -> list[ModelFolder]:
    label, equals, place = wish.partition("=")
    if not equals or Path(wish).exists():
        label, place = "", wish
    folder = Path(place)
    if not folder.exists():
        if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", place):
            return [ModelFolder(label or place, place)]  # a Hub id; it is looked up when its turn comes
        raise TrainError(f"--model: there is no folder {place}.")
    if not folder.is_dir():
        raise TrainError(f"--model: {place} is a file; name the folder it lies in.")
    if not (folder / "config.json").is_file():
        checkpoints = sorted((found for found in folder.glob("checkpoint-*") if _step(found) is not None), key=_step_of)
        if not checkpoints:
            raise TrainError(
                f"--model: {place} is no model folder: it has neither config.json nor checkpoint-* folders."
            )
        return [
            ModelFolder(f"{label or folder.resolve().name}/{found.name.removeprefix('checkpoint-')}", str(found))
            for found in checkpoints
        ]
    return [ModelFolder(label or folder.resolve().name, place)]


def _step(folder: Path) -> int | None:
    named = re.fullmatch(r"checkpoint-(\d+)", folder.name)
    return int(named[1]) if named else None


def _step_of(folder: Path) -> int:
    return _step(folder) or 0


def _by_step(models: Sequence[ModelFolder]) -> list[ModelFolder]:
    """Checkpoints of one run that stand together, in the order of their steps: a shell puts 10000 before 2000."""
    found: list[ModelFolder] = []
    begin = 0
    for at, model in enumerate(models):
        folder = Path(model.place)
        if at == 0 or _step(folder) is None or folder.parent != Path(models[at - 1].place).parent:
            begin = at
        found.append(model)
        if _step(Path(models[begin].place)) is not None:
            found[begin:] = sorted(found[begin:], key=lambda one: _step_of(Path(one.place)))
    return found


def _label(plan: _Plan) -> None:
    """Tell models of the same name apart by the folder above; the same folder twice is a mistake."""
    labels = [model.label for model in plan.models]
    for at, model in enumerate(plan.models):
        if labels.count(model.label) > 1:
            better = f"{Path(model.place).resolve().parent.name}/{model.label}"
            plan.models[at] = ModelFolder(better, model.place)
    labels = [model.label for model in plan.models]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice:
        raise TrainError(f"Two models are called {twice}; give one another name with --model NAME=DIR.")


def _groups(asked: argparse.Namespace, plan: _Plan, results: Results) -> tuple[dict[str, list[str]], str]:
    groups = plan.groups or {label: [label] for label in results.labels}
    for name, members in groups.items():
        for label in members:
            if label not in results.labels:
                raise TrainError(
                    f"--group {name}: no model is called {label}; there are {', '.join(results.labels)}. Name runs as the table does."
                )
    baseline = asked.baseline or next(iter(groups))
    if baseline not in groups:
        near = get_close_matches(baseline, groups, 1)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise TrainError(f"--baseline: nothing is called {baseline}; there are {', '.join(groups)}{hint}")
    return groups, baseline


def _measure(asked: argparse.Namespace, plan: _Plan, results: Results, console: Console) -> None:
    """Evaluate every model; the results so far are written after each, so that a long run loses nothing."""
    prepared = _prepared(asked, results)
    texts = _texts(asked, results)
    prompts = _prompts(asked)
    if not (prepared or texts or prompts):
        raise TrainError("There is nothing to evaluate: --tasks none, no --corpus and --prompts none.")
    for number, model in enumerate(plan.models, start=1):
        began = time.monotonic()
        _say(console, f"{model.label} ({number} of {len(plan.models)}): loading")
        _one(asked, model, prepared, texts, prompts, results, console)
        about = results.models[-1]
        what = f"{about['parameters']:,} parameters, context {about['context']:,}, {asked.dtype} on {about['device']}"
        _say(console, f"{model.label}: {what}, {time.monotonic() - began:,.0f} s in all")
        if number < len(plan.models):
            write(results, asked.output / UNFINISHED, {}, "", [])


def _say(console: Console, sentence: str) -> None:
    console.print(Text(visible(sentence)))


def _prepared(asked: argparse.Namespace, results: Results) -> list[harness.Prepared]:
    if asked.tasks.strip().lower() == "none":
        return []
    tasks = jglue.chosen_tasks(asked.tasks)
    shots = {
        **DEFAULT_SHOTS,
        **{task: _whole("--shots", value) for task, value in _each("--shots", asked.shots).items()},
    }
    forms = {**DEFAULT_PROMPTS, **_each("--prompt", asked.prompt)}
    if asked.prompt == "0.2":  # of the family 0.2, the harness advises 0.2.1 for this task
        forms["jcommonsenseqa"] = DEFAULT_PROMPTS["jcommonsenseqa"]
    for task in tasks:
        if forms[task] not in FORMS[task]:
            raise TrainError(f"--prompt: {task} has no form {forms[task]}; there are {', '.join(FORMS[task])}.")
    tokens: int | Literal["gold"] = (
        "gold" if asked.answer_tokens == "gold" else _whole("--answer-tokens", asked.answer_tokens, 1)
    )
    harness.require()
    if asked.jglue and Path(asked.jglue).exists():
        folder = Path(asked.jglue)
    elif asked.jglue and not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", asked.jglue):
        raise TrainError(f"--jglue: there is no folder {asked.jglue}.")
    else:
        folder = jglue.fetch(asked.jglue or jglue.HUB, tasks)
    made = []
    for task in tasks:
        data = jglue.load_task(folder, task, asked.split)
        one = harness.prepare(data, FORMS[task][forms[task]], shots[task], asked.limit, tokens)
        results.tasks[task] = {
            "prompt": one.form.version,
            "shots": one.shots,
            "pool": data.pool_split + (" (the item left out)" if data.pool_split == data.split else ""),
            "split": data.split,
            "items": len(one.items),
            "of": len(data.items),
            "answer_tokens": tokens if task == "jsquad" else "–",
            "data": list(data.files),
            "example": one.prompts[0],
        }
        made.append(one)
    return made


def _each(option: str, wish: str) -> dict[str, str]:
    """`3` for all tasks, or `jsquad=1,jnli=3`."""
    if not wish:
        return {}
    if "=" not in wish:
        return dict.fromkeys(TASKS, wish.strip())
    found = {}
    for part in wish.split(","):
        task, equals, value = part.partition("=")
        [name] = jglue.chosen_tasks(task) if equals and task.strip() else [""]
        if not name:
            raise TrainError(f"{option} {wish}: write one value for all tasks, or TASK=VALUE with commas.")
        found[name] = value.strip()
    return found


def _whole(option: str, value: str, least: int = 0) -> int:
    if not value.isdecimal() or int(value) < least:
        raise TrainError(f"{option}: {value} is no whole number of at least {least}.")
    return int(value)


def _texts(asked: argparse.Namespace, results: Results) -> list[bits.Text]:
    if asked.corpus is None:
        return []
    texts, amounts = bits.validation_texts(asked.corpus, asked.corpus_bytes)
    manifest = bits.manifest_of(asked.corpus)
    results.corpus = {
        "build": manifest.name,
        "fingerprint": manifest.fingerprint,
        "sources": {name: list(amount) for name, amount in amounts.items()},
    }
    return texts


def _prompts(asked: argparse.Namespace) -> list[str]:
    if asked.prompts.strip().lower() == "none":
        return []
    if asked.prompts:
        return pages.read_prompts(Path(asked.prompts))
    from train.config import PROMPTS

    return list(PROMPTS)


def _one(
    asked: argparse.Namespace,
    folder: ModelFolder,
    prepared: Sequence[harness.Prepared],
    texts: Sequence[bits.Text],
    prompts: Sequence[str],
    results: Results,
    console: Console,
) -> None:
    model, tokenizer, notes = checkpoints.load(folder.place, asked.device, asked.dtype)
    about: dict[str, Any] = {
        "label": folder.label,
        "path": folder.place,
        "parameters": model.num_parameters(),
        "context": bits.context_of(model.config),
        "dtype": asked.dtype,
        "device": str(model.device),
        "notes": [f"{folder.label}: {note}" for note in notes],
        "prompts": {},
    }
    records: dict[str, list[Any]] = {}
    if prepared:
        lm = harness.language_model(model, tokenizer, asked.batch_size)
        lengths = {one.task: harness.measure(lm, one) for one in prepared}
        for task, found in lengths.items():
            about["prompts"][task] = {"median": found.median, "longest": found.longest, "cut": found.share}
        for one in prepared:
            began = time.monotonic()
            made = harness.run(lm, [one])[one.task]
            records[one.task] = [
                {**record, "cut": cut} for record, cut in zip(made, lengths[one.task].cut, strict=True)
            ]
            _say(console, f"{folder.label}: {TASKS[one.task]}, {len(made):,} items, {time.monotonic() - began:,.0f} s")
    if texts:
        began = time.monotonic()
        scored = bits.document_bits(model, tokenizer, [text.text for text in texts])
        records[BITS] = [
            {
                "source": text.source,
                "id": text.id,
                "bits": one.bits if math.isfinite(one.bits) else None,
                "bytes": one.bytes,
                "tokens": one.tokens,
            }
            for text, one in zip(texts, scored, strict=True)
        ]
        _say(console, f"{folder.label}: bits per byte of {len(texts):,} documents, {time.monotonic() - began:,.0f} s")
    if prompts:
        results.completions[folder.label] = pages.complete(model, tokenizer, prompts)
    results.models.append(about)
    results.records[folder.label] = records


def _print(sheet: Sheet, console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    for at, heading in enumerate(sheet.headings):
        widest = max((len(line) for row in sheet.rows for line in row[at].split("\n")), default=0)
        # figures keep their width; names give way
        table.add_column(
            Text(visible(heading)),
            justify="right" if at else "left",
            overflow="fold",
            min_width=min(widest, 13 if at == 0 else 8),
        )
    for row in sheet.rows:
        table.add_row(*(Text("\n".join(visible(line) for line in cell.split("\n"))) for cell in row))
    console.print(Text(visible(sheet.title), style="bold"))
    console.print(table)
    _say(console, sheet.note)
    console.print()


if __name__ == "__main__":
    sys.exit(main())
