"""Where tasks run: in processes of this machine, on Slurm, or on Ray. The stages do not know.

`open_executor(settings, work, threads)` gives an `Executor`; the pipeline calls `run(stage, tasks, on_done)` once a
stage and learns of results through the files that tasks write. The three promise the same: an error arrives as its
sentence, a dead worker is a sentence and never a wait, and nothing depends on how many workers there are.

Light to import (no Polars, Ray or datatrove): the settings are part of every mix.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from corpus_ja.errors import ConfigError
from corpus_ja.executors.tasks import Executor, Failure, PeakMemory, Task, TaskError, available_cpus
from corpus_ja.settings import Settings

__all__ = [
    "Executor",
    "ExecutorSettings",
    "Failure",
    "PeakMemory",
    "RaySettings",
    "SlurmSettings",
    "Task",
    "TaskError",
    "available_cpus",
    "open_executor",
]


class SlurmSettings(Settings):
    """What sbatch needs to know; `work` must lie on a file system that all nodes share."""

    time: str
    """Time limit of one task, as Slurm writes it ("01:00:00")."""
    partition: str
    cpus_per_task: PositiveInt = 1
    mem_per_cpu_gb: PositiveInt = 2
    qos: str | None = None
    env_command: str | None = None
    """Shell line that makes `launch_pickled_pipeline` found; default: this interpreter's folder goes first in PATH."""
    sbatch_args: dict[str, str] = Field(default_factory=dict)
    """Further options of sbatch, without the dashes: {account: nlp}."""
    poll_seconds: PositiveFloat = 5.0
    """How often the driver looks at the job."""


class RaySettings(Settings):
    """Which Ray cluster."""

    address: str | None = None
    """"host:port", "ray://host:port" or "auto"; without one, what Ray finds (RAY_ADDRESS), else a new local one."""


class ExecutorSettings(Settings):
    """Where and how wide to run; never part of a fingerprint."""

    kind: Literal["local", "slurm", "ray"] = "local"
    workers: PositiveInt | Literal["auto"] = "auto"
    """Tasks at once; auto: the cores this process may use (local), the cluster's CPUs (ray), no limit (slurm)."""
    slurm: SlurmSettings | None = None
    ray: RaySettings = RaySettings()


def open_executor(settings: ExecutorSettings, work: Path, threads: int = 1) -> Executor:
    """The executor `settings` ask for; use it in a `with` block.

    `work` is where Slurm keeps its scripts and logs (`work/.slurm`); `threads` is how many threads a library may use
    in a worker. Raises ConfigError when what the kind needs is not installed or not set.
    """
    if settings.kind == "local":
        from corpus_ja.executors.local import LocalExecutor

        return LocalExecutor(available_cpus() if settings.workers == "auto" else settings.workers, threads)
    workers = 0 if settings.workers == "auto" else settings.workers
    if settings.kind == "slurm":
        if settings.slurm is None:
            raise ConfigError(
                "executor: kind is slurm, but its settings are missing; write "
                "executor: {kind: slurm, slurm: {partition: NAME, time: '01:00:00'}}."
            )
        from corpus_ja.executors.slurm import SlurmExecutor

        return SlurmExecutor(settings.slurm, work, workers, threads)
    from corpus_ja.executors.ray import RayExecutor

    return RayExecutor(settings.ray, workers, threads)
