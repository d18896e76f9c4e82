"""One run of the pipeline: where it works, what it has found out so far, and how a list of jobs becomes reports and
records.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from corpus_ja.config import LoadedMix, Source
from corpus_ja.documents import below
from corpus_ja.executors import Executor, Task
from corpus_ja.storage.manifest import Counted, StageRecord
from corpus_ja.storage.shards import read_json, write_json
from corpus_ja.storage.sources import SourceFile
from corpus_ja.tasks import Job, perform


class Observer(Protocol):
    """Who watches a build; the command line draws progress with it."""

    def begin(self, stage: str, tasks: int) -> None:
        """A stage begins with this many tasks to do."""

    def done(self, stage: str, report: Mapping[str, Any]) -> None:
        """One task of the stage is done."""

    def end(self, stage: str, skipped: int) -> None:
        """The stage is complete; `skipped` tasks were done by an earlier run."""

    def note(self, sentence: str) -> None:
        """Something the person should know."""


@dataclass(slots=True)
class Build:
    """One run of the pipeline: where it works, and what it has found out so far."""

    loaded: LoadedMix
    output: Path
    work: Path
    executor: Executor
    observer: Observer
    records: list[StageRecord] = field(default_factory=list)
    folders: dict[str, dict[str, str]] = field(default_factory=dict)
    clusters: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)

    def folder(self, stage: str, source: str, print_: str) -> Path:
        """The folder of a stage and source; remembered for the manifest, so that `clean` knows what is in use."""
        self.folders.setdefault(stage, {})[source] = f"{source}-{print_}"
        return self.work / stage / f"{source}-{print_}"

    def run(self, stage: str, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """Run the jobs that no earlier run finished; the reports of all of them, in order."""
        waiting = [job for job in jobs if not job.done]
        self.observer.begin(stage, len(waiting))
        if waiting:
            by_name = {job.name: job for job in waiting}
            self.executor.run(
                stage,
                [Task(job.name, perform, job) for job in waiting],
                lambda task: self.observer.done(stage, read_json(by_name[task.name].report)),
            )
        self.observer.end(stage, len(jobs) - len(waiting))
        now = {job.report for job in waiting}
        return [{**read_json(job.report), "now": job.report in now} for job in jobs]

    def record(
        self, stage: str, source: str, print_: str, reports: Sequence[Mapping[str, Any]], notes: Sequence[str] = (),
        *, folder: str | None = None,
    ) -> None:  # fmt: skip
        """Sum up what a stage did for a source, in its `record.json` (in the stage's folder, or another) and for the
        manifest.
        """
        record = StageRecord(
            stage=stage,
            source=source,
            fingerprint=print_,
            tasks=len(reports),
            tasks_now=sum(bool(report["now"]) for report in reports),
            rows=sum(int(report.get("rows", 0)) for report in reports),
            seconds=round(sum(float(report["seconds"]) for report in reports), 3),
            cpu_seconds=round(sum(float(report.get("cpu_seconds", 0.0)) for report in reports), 3),
            text_bytes_read=sum(int(report.get("text_bytes_read", 0)) for report in reports),
            text_bytes_read_now=sum(int(report.get("text_bytes_read", 0)) for report in reports if report["now"]),
            peak_memory_bytes=max((int(report["peak_memory_bytes"]) for report in reports), default=0),
            notes=sorted(set(notes)),
            details={
                "dropped": summed(report.get("dropped", {}) for report in reports),
                "cleaned": summed(report.get("cleaned", {}) for report in reports),
                "seconds": {
                    kind: round(s, 3) for kind, s in summed(report.get("kinds", {}) for report in reports).items()
                },
                "cpu_seconds": {
                    kind: round(s, 3) for kind, s in summed(report.get("cpu_kinds", {}) for report in reports).items()
                },
            },
        )
        self.records.append(record)
        write_json(self.work / (folder or stage) / f"{source}-{print_}" / "record.json", record.model_dump())


@dataclass(slots=True)
class Reached:
    """How far one source has come: its fingerprints, its documents files, and what reading it reported."""

    name: str
    source: Source
    files: list[SourceFile]
    prints: dict[str, str] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)
    parts: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    read: Counted = field(default_factory=Counted)
    unreadable: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    cleaned: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    repeats: dict[str, Any] = field(default_factory=dict)
    removal: dict[str, int] = field(default_factory=dict)
    evaluation: dict[str, int] = field(default_factory=dict)

    def file(self, stage: str, part: str) -> Path:
        """A sidecar of one documents file."""
        return self.folders[stage] / f"{part}.parquet"


@dataclass(frozen=True, slots=True)
class Allotments:
    """The plan, and per source the sums of what became of its documents."""

    print: str
    plan: dict[str, Any]
    sums: dict[str, dict[str, Any]]


def place(build: Build, state: Reached, stage: str, print_: str) -> None:
    """Note where a source's files of a stage belong, and by which fingerprint."""
    state.prints[stage] = print_
    state.folders[stage] = build.folder(stage, state.name, print_)


def per_part(
    build: Build,
    stage: str,
    reached: Sequence[Reached],
    job: Callable[[Reached, str], Job],
    record_as: str | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Run one job a documents file, and record the stage for every source."""
    jobs = [(state, job(state, part)) for state in reached for part in state.parts]
    by_source: dict[str, list[dict[str, Any]]] = {state.name: [] for state in reached}
    for (state, _), report in zip(jobs, build.run(stage, [one for _, one in jobs]), strict=True):
        by_source[state.name].append(report)
    for state in reached:
        folder = record_as or stage
        build.record(stage, state.name, state.prints[folder], by_source[state.name], folder=folder)
    return by_source


def heldout_bound(loaded: LoadedMix, state: Reached) -> int:
    """The bound on the validation draw below which a document of the source is held out."""
    return 2**64 if state.source.heldout else below(loaded.mix.validation)


def priority(reached: Sequence[Reached], state: Reached) -> int:
    """The place in the file, unless the source says otherwise; a lower number is kept first."""
    own = state.source.priority
    return own if own is not None else [other.name for other in reached].index(state.name)


def summed(counts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts by name, added up over reports, in the order of their names."""
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(sorted(total.items()))
