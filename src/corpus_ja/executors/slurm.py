"""Tasks on Slurm: datatrove's SlurmPipelineExecutor submits one job array a stage, and this module waits for it.

Every `run` gets a folder `work/.slurm/<stage>-<random>`: the packed tasks, datatrove's pickled executor and its sbatch
script, `completions/00003` for each task that went well, `failures/00003.json` for each that raised (so that its
sentence arrives intact), and Slurm's logs. The folder goes when the stage is done and stays when something failed. The
driver looks at the two folders and at `squeue`: an array element that neither finished, nor failed, nor stands in the
queue at twelve looks in a row (a minute; network file systems show new files late) has died, and its log is named, with
the state that `sacct` gives if it exists.

Costs, measured: 0.3 s to import datatrove in each array element.
Array elements take ceil(tasks / 1000) tasks each, because Slurm's default limit of an array is 1,001 (MaxArraySize).
A driver that is killed with kill -9 leaves its jobs in the queue; they write only whole files, so a second build beside
them is safe. Ctrl-C cancels them.

Rejected: datatrove's merge_stats job (one more job a stage, for statistics that the tasks write themselves), its mails,
and its `depends` (gathers need the driver between stages).
"""

import contextlib
import json
import os
import pickle
import re
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datatrove.executor.slurm import SlurmPipelineExecutor
from loguru import logger

from corpus_ja.errors import ConfigError, WorkerError
from corpus_ja.executors.tasks import Executor, Failure, Task, dead_worker, run_packed, thread_limits

if TYPE_CHECKING:
    from corpus_ja.executors import SlurmSettings

_LARGEST_ARRAY = 1000
_LOOKS = 12  # in a row, at which a task must be missing before it is given up
_LOOKS_AFTER_FAILURE = 2  # the same when the build fails anyway
_SQUEUE_PATIENCE = 60  # looks in a row that squeue may refuse to answer: five minutes at the default pace


class SlurmExecutor(Executor):
    """At most `workers` array elements at once (0: no limit), each with `threads` threads a library."""

    def __init__(self, settings: "SlurmSettings", work: Path, workers: int, threads: int) -> None:
        missing = [command for command in ("sbatch", "squeue", "scancel") if shutil.which(command) is None]
        if missing:
            raise ConfigError(
                f"executor: kind is slurm, but {', '.join(missing)} cannot be found; "
                "start the build on a login node, or set executor.kind to local."
            )
        self.workers = workers
        self._settings = settings
        self._folder = work.absolute() / ".slurm"
        path = shlex.quote(str(Path(sys.executable).parent))
        limits = "; ".join(f"export {name}={value}" for name, value in thread_limits(threads).items())
        self._env_command = f"{settings.env_command or f'export PATH={path}:$PATH'}; {limits}"

    def run(self, stage: str, tasks: Sequence[Task[Any]], on_done: Callable[[Task[Any]], None]) -> None:
        """See Executor.run; after a failure, array elements that have not begun are cancelled."""
        if not tasks:
            return
        folder = self._folder / f"{re.sub(r'[^0-9A-Za-z_]+', '-', stage)}-{uuid.uuid4().hex[:8]}"
        _write_tasks(folder, tasks)
        job = self._submit(folder, stage, len(tasks))
        try:
            self._wait(job, folder, tasks, on_done)
        except BaseException:
            _ask("scancel", job.id)
            raise
        shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Nothing: no job outlives its run."""

    def _submit(self, folder: Path, stage: str, count: int) -> "_Job":
        settings = self._settings
        each = -(-count // _LARGEST_ARRAY)
        job = _JobArray(
            pipeline=[_RunTask(str(folder))],
            tasks=count,
            tasks_per_job=each,
            time=settings.time,
            partition=settings.partition,
            cpus_per_task=settings.cpus_per_task,
            mem_per_cpu_gb=settings.mem_per_cpu_gb,
            workers=self.workers or -1,
            job_name=f"corpus-ja {stage}".replace(" ", "-"),
            qos=settings.qos,
            env_command=self._env_command,
            sbatch_args=settings.sbatch_args,
            logging_dir=str(folder),
        )
        # datatrove tells its progress to standard error; it belongs into the stage's folder
        logger.remove()
        log = logger.add(folder / "driver.log")
        try:
            # SlurmPipelineExecutor.run would take a driver that itself runs inside a job array for one of the tasks
            job.launch_job()
        except subprocess.CalledProcessError as error:
            raise ConfigError(
                f"sbatch refused the job of stage {stage} (its reason stands above); "
                f"the script is {folder / 'launch_script.slurm'}: mend the executor's slurm settings."
            ) from error
        finally:
            logger.remove(log)
        return _Job(str(job.job_id), each)

    def _wait(
        self, job: "_Job", folder: Path, tasks: Sequence[Task[Any]], on_done: Callable[[Task[Any]], None]
    ) -> None:
        waiting = set(range(len(tasks)))
        failures: dict[int, Exception] = {}
        missing: dict[int, int] = {}  # number of a task: at how many looks in a row it was nowhere
        silence = 0
        while True:
            queued = _queued(job)  # first: what is in neither the queue nor the folders has died, not just ended
            silence = 0 if queued is not None else silence + 1
            for number in sorted(waiting & _numbers(folder / "completions")):
                waiting.remove(number)
                on_done(tasks[number])
            for number in sorted(waiting & _numbers(folder / "failures")):
                waiting.remove(number)
                failures[number] = _failure(folder, number).error()
                if len(failures) == 1:
                    _ask("scancel", "--state=PENDING", job.id)
            if not waiting:
                break
            if queued is not None:
                missing = {n: missing.get(n, 0) + 1 for n in sorted(waiting) if n // job.each not in queued}
                given_up = [
                    n for n, looks in missing.items() if looks >= (_LOOKS_AFTER_FAILURE if failures else _LOOKS)
                ]
                if given_up and not failures:
                    raise _died(tasks[given_up[0]].name, job, folder, given_up[0])
                if len(given_up) == len(waiting):  # what had not begun when the first task failed was cancelled
                    break
            elif silence >= _SQUEUE_PATIENCE:
                raise WorkerError(f"squeue has stopped answering about job {job.id}; its logs are in {folder}.")
            time.sleep(self._settings.poll_seconds)
        if failures:
            raise failures[min(failures)]


@dataclass(frozen=True, slots=True)
class _Job:
    """A submitted array: its id, and how many tasks each element runs."""

    id: str
    each: int


class _JobArray(SlurmPipelineExecutor):  # type: ignore[misc]  # published without types
    """datatrove's executor without the second job that merges statistics."""

    def launch_merge_stats(self) -> None:
        """Submit nothing."""


@dataclass(frozen=True, slots=True)
class _RunTask:
    """The one step of the pipeline datatrove runs on a node: task number `rank` of the stage's folder."""

    folder: str

    def __call__(self, data: object, rank: int, world_size: int) -> None:  # noqa: ARG002 - datatrove's signature
        folder = Path(self.folder)
        search, packed = pickle.loads((folder / "tasks.pickle").read_bytes())  # noqa: S301 - written by the driver
        sys.path += [entry for entry in search if entry not in sys.path]
        name, content = packed[rank]
        failure = run_packed(name, content)
        if failure is not None:
            (folder / "failures").mkdir(exist_ok=True)
            temporary = folder / f"failure-{rank}-{uuid.uuid4().hex}"
            temporary.write_text(json.dumps(asdict(failure)), encoding="utf-8")
            temporary.rename(folder / "failures" / f"{rank:05d}.json")
            raise failure.error()  # no completion; Slurm shows the element as failed


def _write_tasks(folder: Path, tasks: Sequence[Task[Any]]) -> None:
    folder.mkdir(parents=True)
    content = (sys.path, [(task.name, task.packed()) for task in tasks])
    (folder / "tasks.pickle").write_bytes(pickle.dumps(content))


def _numbers(folder: Path) -> set[int]:
    try:
        return {int(name[:5]) for name in os.listdir(folder)}  # noqa: PTH208 - listing anew makes NFS look again
    except FileNotFoundError:
        return set()


def _failure(folder: Path, number: int) -> Failure:
    return Failure(**json.loads((folder / "failures" / f"{number:05d}.json").read_text(encoding="utf-8")))


def _ask(*command: str) -> str | None:
    """The standard output of a Slurm command; None when it does not exist or fails."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout  # noqa: S603
    return None


def _queued(job: _Job) -> set[int] | None:
    """The array elements that wait or run; None when squeue gives no answer."""
    try:
        answer = subprocess.run(  # noqa: S603
            ["squeue", "--noheader", "--array", f"--jobs={job.id}", "--format=%K"],  # noqa: S607 - found on the PATH
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode != 0:  # a job that ended some minutes ago is forgotten
        return set() if "Invalid job id" in answer.stderr else None
    return {int(word) for word in answer.stdout.split() if word.isdigit()}


def _died(name: str, job: _Job, folder: Path, number: int) -> Exception:
    element = f"{job.id}_{number // job.each}"
    state = (
        _ask("sacct", "--noheader", "--allocations", "--parsable2", f"--jobs={element}", "--format=State") or ""
    ).split()
    log = folder / "slurm_logs" / f"{element}.out"
    last = ""
    with contextlib.suppress(OSError):
        last = log.read_text(encoding="utf-8", errors="replace")[-10_000:]
    how = f"(Slurm job {element}) ended without a word{f', state {state[0]}' if state else ''}; its log is {log}"
    return dead_worker(name, how, last)
