"""Tasks on this machine: one plain Python process a worker, one socket to each, one loop that listens to all.

A worker is `python -c "... serve()"` with a socket as its only link: it reads a packed task, runs it, answers None or
a Failure. The parent waits on all sockets at once; a socket that closes is a worker that died, and since a worker has
one task at a time the parent knows which. Workers end with their parent in two ways: the kernel kills them
(PR_SET_PDEATHSIG, works even while a kernel of Numba or fastText holds the interpreter lock), and a thread watches the
socket (other systems). Ctrl-C reaches only the parent, which stops the rest. Workers serve all stages of a build.

Costs, measured on two cores: 0.13 s until the first worker answers, 0.16 s for two (imports of the stages come on top,
once a build); 0.18 ms for an empty task; 18 MB of its own memory for an idle worker. No other process is started.

Rejected: `concurrent.futures.ProcessPoolExecutor`, first planned. It cannot say which task a dead worker ran and fails
every waiting one; its forkserver and resource tracker are two more processes that must not outlive a killed parent; it
imports the caller's `__main__` again in every worker, so a script without an `if __name__` guard starts itself anew.
The forkserver pays only when it preloads Polars, whose threads do not survive a fork. datatrove's LocalPipelineExecutor
waits for ever when a worker is killed.
"""

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import IO, Any

from corpus_ja.executors.tasks import Executor, Failure, Task, TaskError, dead_worker, run_packed, thread_limits

_START = (
    "import json, sys; link, parent = int(sys.argv[1]), int(sys.argv[2]); sys.path[:] = json.loads(sys.argv[3]); "
    "from corpus_ja.executors.local import serve; serve(link, parent)"
)
_CHECK_SECONDS = 1.0  # how often the parent asks after workers whose socket is silent


class LocalExecutor(Executor):
    """`workers` processes on this machine, each with `threads` threads a library."""

    def __init__(self, workers: int, threads: int = 1) -> None:
        self.workers = workers
        self._environment = os.environ | thread_limits(threads)
        self._crew: list[_Worker] = []

    def run(self, stage: str, tasks: Sequence[Task[Any]], on_done: Callable[[Task[Any]], None]) -> None:  # noqa: ARG002 - the interface's
        """See Executor.run; a dead worker stops the other running tasks at once."""
        packed = [task.packed() for task in tasks]
        busy: dict[_Worker, int] = {}  # worker: the number of its task
        failures: dict[int, Exception] = {}
        begun = 0
        try:
            idle = self._hire(min(self.workers, len(tasks)))
            while True:
                while idle and begun < len(tasks) and not failures:
                    worker = idle.pop()
                    busy[worker] = begun
                    worker.give(tasks[begun].name, packed[begun])
                    begun += 1
                if not busy:
                    break
                deaths = []
                for worker in _ready(busy):
                    number = busy[worker]
                    try:
                        failure = worker.answer()
                    except (EOFError, OSError):
                        deaths.append(number)
                        failures[number] = worker.obituary(tasks[number].name)
                        continue
                    del busy[worker]
                    idle.append(worker)
                    if failure is None:
                        on_done(tasks[number])
                    else:
                        failures[number] = failure.error()
                if deaths:
                    break
        finally:
            # left early (a death, Ctrl-C, an error of on_done): those still at work would answer into the next stage
            for worker in busy:
                worker.dismiss()
        if failures:
            raise failures[min(failures)]

    def close(self) -> None:
        """Kill all workers; they hold nothing that a kill could damage, files are renamed into place when complete."""
        while self._crew:
            self._crew.pop().dismiss()

    def _hire(self, count: int) -> "list[_Worker]":
        self._crew = [worker for worker in self._crew if worker.alive()]
        while len(self._crew) < count:
            self._crew.append(_Worker.start(self._environment))
        return self._crew[:count]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Worker:
    """The parent's end of one worker; what the worker prints goes to an unnamed file, read only if it dies."""

    process: subprocess.Popen[bytes]
    link: Connection
    prints: IO[bytes]

    @classmethod
    def start(cls, environment: dict[str, str]) -> "_Worker":
        ours, theirs = socket.socketpair()
        prints = tempfile.TemporaryFile()  # noqa: SIM115 - closed by dismiss
        with theirs, _interrupts_held():
            command = [sys.executable, "-P", "-c", _START, str(theirs.fileno()), str(os.getpid()), json.dumps(sys.path)]
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
                command,
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=prints,
                stderr=prints,
            )
        return cls(process, Connection(ours.detach()), prints)

    def alive(self) -> bool:
        return not self.link.closed and self.process.poll() is None

    def give(self, name: str, packed: bytes) -> None:
        with contextlib.suppress(OSError):  # dead already: the answer will say so
            self.link.send((name, packed))

    def answer(self) -> Failure | None:
        """What the worker says; EOFError or OSError when it is dead."""
        if not self.link.poll() and self.process.poll() is not None:
            raise EOFError
        answer: Failure | None = self.link.recv()
        return answer

    def obituary(self, task: str) -> TaskError:
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:  # it closed its socket and lives on: not ours any more
            self.process.kill()
            code = self.process.wait()
        self.prints.seek(0)
        said = self.prints.read()[-10_000:].decode(errors="replace").strip()
        if code == -signal.SIGKILL:
            how = "was killed (signal 9; out of memory?)"
        elif code < 0:
            how = f"was killed (signal {-code}, {signal.strsignal(-code)})"
        else:
            last = said.splitlines()[-1:]
            how = f"ended with exit code {code}" + (f" ({last[0].strip()})" if last else "")
        return dead_worker(task, how, said)

    def dismiss(self) -> None:
        self.process.kill()
        self.process.wait()
        self.link.close()
        self.prints.close()


def _ready(busy: dict[_Worker, int]) -> list[_Worker]:
    """Busy workers that have something to say or are dead, in the order of their tasks; waits for the first."""
    while True:
        speaking = wait([worker.link for worker in busy], timeout=_CHECK_SECONDS)
        # a socket can outlive its worker, held open by a process which the worker started: ask after the silent ones
        ready = [worker for worker in busy if worker.link in speaking or worker.process.poll() is not None]
        if ready:
            return sorted(ready, key=busy.__getitem__)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Block SIGINT for what is started inside, so that a Ctrl-C cannot hit a worker before it ignores the signal."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve(link: int, parent: int) -> None:
    """A worker's life: read tasks from socket `link` and answer them until process `parent` closes it or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.set_inheritable(link, False)
    _die_with(parent, link)
    connection = Connection(link)
    while True:
        try:
            name, packed = connection.recv()
        except (EOFError, OSError):
            os._exit(0)
        connection.send(run_packed(name, packed))


def _die_with(parent: int, link: int) -> None:
    import ctypes
    import select
    import threading

    if sys.platform == "linux":
        pr_set_pdeathsig = 1  # linux/prctl.h
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)
    hangup = select.poll()
    hangup.register(link, 0)  # nothing but the end of the other side

    def watch() -> None:
        hangup.poll()
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="watch the parent").start()
