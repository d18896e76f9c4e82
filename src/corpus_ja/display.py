"""Progress of a build: bars where there is a terminal, plain lines where there is none.

A stage shows its documents, its text a second and what remains, estimated from the tasks done. Plain lines come at a
stage's begin and end and at most every ten seconds between, so that a log stays readable. Nothing here is part of any
result.
"""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from corpus_ja.report import printable

QUIET_SECONDS = 10.0


class Display:
    """Watches a build for a person; use it in a `with` block."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.began = time.monotonic()
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._stage = ""
        self._total = self._done = self._documents = self._bytes = 0
        self._spoke = 0.0
        if console.is_terminal:
            self._progress = Progress(
                SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(), console=console, transient=True,
            )  # fmt: skip

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def begin(self, stage: str, tasks: int) -> None:
        """A stage begins."""
        self._stage, self._total, self._done, self._documents, self._bytes = stage, tasks, 0, 0, 0
        self._began = self._spoke = time.monotonic()
        if self._progress is not None and tasks:
            self._task = self._progress.add_task(stage, total=tasks, rate="")

    def done(self, stage: str, report: Mapping[str, Any]) -> None:
        """One task is done."""
        del stage
        self._done += 1
        self._documents += int(report.get("rows", 0))
        self._bytes += int(report.get("text_bytes_read", 0))
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=self._done, rate=self._rate())
        elif time.monotonic() - self._spoke > QUIET_SECONDS:
            self._spoke = time.monotonic()
            elapsed = self._spoke - self._began
            remaining = elapsed / self._done * (self._total - self._done)
            self.console.print(
                f"{self._stage}: {self._done:,} of {self._total:,} tasks, {self._rate()}, about {remaining:,.0f} s left",
                highlight=False,
            )

    def end(self, stage: str, skipped: int) -> None:
        """The stage is complete."""
        if self._progress is not None and self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        if self._total:
            seconds = time.monotonic() - self._began
            earlier = f" ({skipped:,} more were done before)" if skipped else ""
            self.console.print(
                f"{stage}: {self._total:,} task{'s' if self._total != 1 else ''} in {seconds:,.1f} s, {self._rate()}{earlier}",
                highlight=False,
            )

    def note(self, sentence: str) -> None:
        """Something the person should know."""
        self.console.print(printable(sentence), highlight=False)

    def _rate(self) -> str:
        seconds = max(time.monotonic() - self._began, 1e-6)
        speed = f", {self._bytes / 1e6 / seconds:,.1f} MB/s" if self._bytes else ""
        return f"{self._documents:,} documents{speed}"
