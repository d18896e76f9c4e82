"""The tasks an executor runs: each joins one stage's pure functions to the files they read and write.

A task is a frozen dataclass of plain values with `run() -> dict`; `perform` runs it and writes its report, a small
JSON file that comes last: where it lies, everything else of the task lies too, so a killed build resumes at what has
no report. Reports carry wall and processor seconds, peak memory and counts; no shard byte depends on them.
"""

import contextlib
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from corpus_ja.executors import PeakMemory
from corpus_ja.storage.shards import write_json

GIVEN_BACK_OVER = 600_000_000
"""Peak memory of a task from which the worker gives back what it has freed; below, the pages are better kept."""


class Job(ABC):
    """One task's arguments; subclasses are frozen dataclasses with picklable fields."""

    __slots__ = ()

    @property
    @abstractmethod
    def name(self) -> str:
        """What a person reads when it fails: "signals oscar_ja/00003"."""

    @property
    @abstractmethod
    def report(self) -> Path:
        """Where its report lies once it is done."""

    @property
    def done(self) -> bool:
        """Whether an earlier run finished it."""
        return self.report.is_file()

    @abstractmethod
    def run(self) -> dict[str, Any]:
        """Do the work, write the files, and return what the report should say."""

    @staticmethod
    def forget() -> None:
        """Drop what tasks of this kind keep in memory for the next of them (models, caches); another kind comes."""


_kinds: list[type[Job]] = []
"""The kind of task this process ran last; at most one."""


def perform(job: Job) -> None:
    """Run a job in a worker and write its report; a job whose report exists was done by an earlier run."""
    if job.done:
        return
    if _kinds and _kinds[0] is not type(job):
        _kinds.pop().forget()
        _give_memory_back()
    _kinds[:] = [type(job)]
    began, cpu = time.perf_counter(), time.process_time()
    with PeakMemory() as peak:
        result = job.run()
    result["seconds"] = time.perf_counter() - began
    result["cpu_seconds"] = time.process_time() - cpu
    result["peak_memory_bytes"] = peak.bytes
    write_json(job.report, result)
    if peak.bytes > GIVEN_BACK_OVER:
        _give_memory_back()


def _give_memory_back() -> None:
    """Hand freed memory to the system: a 60 MB document leaves 0.9 GB behind in the allocators, and the next task
    begins with it.
    """
    import ctypes

    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)
