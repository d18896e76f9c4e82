"""Tasks on Ray: one plain Ray task each, spread over the nodes, one CPU each, never tried twice.

Without an address Ray looks for a cluster itself (RAY_ADDRESS, `ray start` on this machine) and else starts one here. A
cluster that the program already talks to (`ray.init` called before) is used and left running. Tasks arrive packed, with
the driver's search path, and answer None or a Failure; files are the results, so `work` must be shared by all nodes.

Costs, measured on two cores: 5 to 7 s to start a cluster here, 2.5 s until the first worker answers, 1.6 ms for an
empty task. When the driver is killed with kill -9, Ray ends its tasks within 4 s; of a cluster started here two of
Ray's own agents, which touch no file of ours, were seen to stay for more than 100 s. When a worker dies, Ray prints a
paragraph of its own beside our sentence.

Rejected: datatrove's RayPipelineExecutor, first planned. It runs every task in a `multiprocess.Pool` inside an actor,
and a pool whose child is killed waits for ever; a task that failed is submitted up to three more times, then skipped
with a logged warning and a normal return, so neither its sentence nor its failure arrives; each task starts an actor
and a placement group. Nothing of it would have been left but its name.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from corpus_ja.errors import ConfigError, WorkerError
from corpus_ja.executors.tasks import Executor, Failure, Task, dead_worker, run_packed, thread_limits

if TYPE_CHECKING:
    from corpus_ja.executors import RaySettings


class RayExecutor(Executor):
    """At most `workers` tasks at once (0: as many as the cluster has CPUs), each with `threads` threads a library."""

    def __init__(self, settings: "RaySettings", workers: int, threads: int) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a build tells nobody
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else a warning about GPUs nobody asked for
        try:
            import ray
        except ImportError as error:
            raise ConfigError(
                "executor: kind is ray, but Ray is not installed: pip install 'corpus-ja[ray]'."
            ) from error
        self._ours = not ray.is_initialized()
        if self._ours:
            try:
                ray.init(
                    address=settings.address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False
                )
            except (ConnectionError, ValueError, TimeoutError) as error:
                raise ConfigError(
                    f"executor.ray.address: no Ray cluster answers at {settings.address!r} "
                    f"({' '.join(str(error).split())[:200]}); start it, or leave the address out."
                ) from error
        self._limit = workers
        self.workers = self._width()
        self._remote = ray.remote(_run).options(
            num_cpus=1,
            max_retries=0,
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": thread_limits(threads)},
        )

    def run(self, stage: str, tasks: Sequence[Task[Any]], on_done: Callable[[Task[Any]], None]) -> None:  # noqa: ARG002 - the interface's
        """See Executor.run; a dead worker stops the other running tasks at once."""
        import ray

        packed = [task.packed() for task in tasks]
        running: dict[Any, int] = {}  # Ray's reference: the number of its task
        failures: dict[int, Exception] = {}
        begun = 0
        width = self._width()
        try:
            while True:
                while len(running) < width and begun < len(tasks) and not failures:
                    running[self._remote.remote(tasks[begun].name, packed[begun], sys.path)] = begun
                    begun += 1
                if not running:
                    break
                ready, _ = ray.wait(list(running), num_returns=1)
                for reference in ready:
                    number = running.pop(reference)
                    try:
                        failure: Failure | None = ray.get(reference)
                    except ray.exceptions.RayError as error:
                        raise _death(tasks[number].name, error) from None
                    if failure is None:
                        on_done(tasks[number])
                    else:
                        failures[number] = failure.error()
        finally:
            for reference in running:
                with contextlib.suppress(ray.exceptions.RayError):
                    ray.cancel(reference, force=True)
        if failures:
            raise failures[min(failures)]

    def _width(self) -> int:
        """Tasks at once, now: a cluster may have grown since the last stage."""
        import ray

        cpus = int(ray.cluster_resources().get("CPU", 0))  # type: ignore[no-untyped-call]  # Ray's
        if cpus < 1:
            raise ConfigError("executor: the Ray cluster has no CPU to run tasks on; add a node with CPUs.")
        return min(self._limit or cpus, cpus)

    def close(self) -> None:
        """Leave the cluster, and end it if it was started here."""
        import ray

        if self._ours:
            ray.shutdown()
            self._ours = False


def _run(name: str, packed: bytes, search: list[str]) -> Failure | None:
    """What runs on a node."""
    sys.path += [entry for entry in search if entry not in sys.path]
    return run_packed(name, packed)


def _death(name: str, error: Exception) -> WorkerError:
    import ray

    if isinstance(error, ray.exceptions.OutOfMemoryError):
        how = "was killed by Ray (its node ran out of memory)"
    elif isinstance(error, ray.exceptions.NodeDiedError):
        how = "was lost with its node"
    else:
        how = "was killed (out of memory?)"
    return dead_worker(name, how, str(error))
