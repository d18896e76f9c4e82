"""What every executor shares: a task, the way its failure travels, the thread limits of a worker, a task's peak memory.

A task is a name, a function that stands in a module, and one picklable argument; it returns nothing, its results are
files. What goes wrong in it becomes a `Failure` (three strings) where it happened, because three strings cross any
border, a pipe, Ray's object store, a JSON file beside a Slurm log, while exceptions with constructors of their own do
not survive pickling. `Failure.error()` makes the exception again on the other side.

Rejected: returning values through the executor (a resumed build would need them stored anyway, so files are the one
way), and pickled exceptions (a Polars error raised in a worker cannot always be rebuilt; a lost failure is a hang).
"""

import contextlib
import dataclasses
import errno
import os
import pickle
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from corpus_ja import errors
from corpus_ja.errors import CorpusError, WorkerError

A = TypeVar("A")

_AGAIN = "run the same command again; nothing finished is lost"


@dataclasses.dataclass(frozen=True, slots=True)
class Task(Generic[A]):
    """One piece of work: `function(argument)` in some worker, writing files and returning nothing.

    `name` is what people read ("rules oscar_ja/00003"). `function` must be importable by its module's name in a fresh
    interpreter, so not a lambda, not a nested function and nothing from `__main__`.
    """

    name: str
    function: Callable[[A], None]
    argument: A

    def packed(self) -> bytes:
        """The task as bytes for a fresh interpreter; raises ValueError for a function of `__main__`."""
        if getattr(self.function, "__module__", None) == "__main__":
            raise ValueError(f"{self.name}: the function of a task must stand in a module that workers can import")
        return pickle.dumps((self.function, self.argument), protocol=pickle.HIGHEST_PROTOCOL)


class TaskError(WorkerError):
    """A task that stopped for a reason nobody wrote a sentence for; `details` holds the original traceback."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """Why a task stopped: the name of a class in `corpus_ja.errors`, its sentence, and the traceback as text."""

    kind: str
    message: str
    details: str

    @classmethod
    def of(cls, error: BaseException, name: str) -> Self:
        """Turn what task `name` raised into strings: a CorpusError keeps its sentence, everything else gets one."""
        details = "".join(traceback.format_exception(error))
        if isinstance(error, CorpusError):
            # a subclass defined elsewhere becomes its nearest relative in corpus_ja.errors
            kind = next(c.__name__ for c in type(error).__mro__ if getattr(errors, c.__name__, None) is c)
            return cls(kind, str(error), details)
        place = full_device(error)
        if place is not None:
            return cls("CorpusError", f"No space left{place} ({name}): free space and {_AGAIN}.", details)
        if isinstance(error, MemoryError):
            message = f"{name} ran out of memory: use fewer workers and {_AGAIN}."
        else:
            reason = " ".join(traceback.format_exception_only(error)[-1].split())
            message = f"{name} stopped with {reason}"
        return cls("WorkerError", message, details)

    def error(self) -> CorpusError:
        """The exception to raise on this side."""
        if self.kind == "WorkerError":
            return TaskError(self.message, self.details)
        kind = getattr(errors, self.kind, CorpusError)
        rebuilt: CorpusError = kind(self.message)
        return rebuilt


def full_device(error: BaseException) -> str | None:
    """Where no space was left (" on the device of FILE", or "" if unnamed); None when `error` is about something else.

    Polars and PyArrow wrap the operating system's error, sometimes only as text, so the whole chain is looked at.
    """
    seen: BaseException | None = error
    while seen is not None:
        numbered = isinstance(seen, OSError) and seen.errno in {errno.ENOSPC, errno.EDQUOT}
        if numbered or "No space left on device" in str(seen):
            name = getattr(seen, "filename", None)
            return f" on the device of {name}" if name else ""
        seen = seen.__cause__ or seen.__context__
    return None


def dead_worker(task: str, how: str, details: str = "") -> TaskError:
    """The error for a worker that died while it ran `task`; `how` completes "its worker ..."."""
    return TaskError(f"{task}: its worker {how}; with fewer workers if memory is short, {_AGAIN}.", details)


def run_packed(name: str, packed: bytes) -> Failure | None:
    """Run one packed task in this process; None when it went well. Whatever is raised comes back as a Failure."""
    try:
        function, argument = pickle.loads(packed)  # noqa: S301 - written by our own parent
        function(argument)
    except BaseException as error:  # noqa: BLE001 - a worker's last door: everything must become a sentence
        return Failure.of(error, name)
    return None


def thread_limits(threads: int) -> dict[str, str]:
    """Environment of a worker: libraries use `threads` threads each, so that workers do not fight for the cores.

    Must be set before Polars, Numba or NumPy's BLAS are imported: they read it once.
    """
    names = ("POLARS_MAX_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {**dict.fromkeys(names, str(threads)), "TOKENIZERS_PARALLELISM": "false"}


def available_cpus() -> int:
    """Cores this process may use: the smaller of its CPU affinity and its cgroup's quota (v2 or v1), at least 1."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for quota_file, period_file in (
        ("/sys/fs/cgroup/cpu.max", None),
        ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
    ):
        with contextlib.suppress(OSError, ValueError):
            words = Path(quota_file).read_text(encoding="ascii").split()
            if period_file is not None:
                words += Path(period_file).read_text(encoding="ascii").split()
            quota, period = (int(word) for word in words)  # "max 100000" has no number: no limit
            if quota > 0 and period > 0:
                cpus = min(cpus, -(-quota // period))
    return max(1, cpus)


class Executor(ABC):
    """Runs tasks in workers that live from the first `run` to the end of the `with` block."""

    workers: int
    """How many tasks run at once, for display; 0 where the cluster decides."""

    @abstractmethod
    def run(self, stage: str, tasks: Sequence[Task[Any]], on_done: Callable[[Task[Any]], None]) -> None:
        """Run `tasks` and return when all are done; tasks are begun in their order.

        `on_done` is called in this thread, once for each task that went well, in the order they end. When a task
        raises, nothing new is begun, what is running ends (and is reported through `on_done`), and the error of the
        first failed task in task order is raised: the same one for any number of workers. A CorpusError arrives with
        its sentence, anything else as a WorkerError whose `details` is the traceback. When a worker dies, what is
        running is stopped and a WorkerError names the task the dead one ran.
        """

    @abstractmethod
    def close(self) -> None:
        """End all workers now."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PeakMemory:
    """`with PeakMemory() as peak: ...; peak.bytes`: the largest resident memory of this process inside the block.

    Linux keeps the high-water mark as VmHWM, which a process may reset for itself (write 5 to clear_refs); where that
    is forbidden the mark covers the process's whole life, an upper bound. Elsewhere: getrusage, never reset.
    (getrusage is second choice on Linux also because its mark survives exec: a worker would start with its parent's.)
    """

    def __init__(self) -> None:
        self.bytes = 0

    def __enter__(self) -> Self:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return self

    def __exit__(self, *_: object) -> None:
        self.bytes = _high_water_mark()


def _high_water_mark() -> int:
    with contextlib.suppress(OSError, ValueError, IndexError), Path("/proc/self/status").open(encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
