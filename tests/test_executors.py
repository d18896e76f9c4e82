"""Executors keep their promises: every task once, errors as sentences, no wait for the dead, nobody left behind."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from corpus_ja.errors import ConfigError, CorpusError, SourceError, WorkerError
from corpus_ja.executors import (
    Executor,
    ExecutorSettings,
    Failure,
    PeakMemory,
    RaySettings,
    SlurmSettings,
    Task,
    TaskError,
    available_cpus,
    open_executor,
)

REPOSITORY = Path(__file__).resolve().parents[1]


# ---- tasks: they stand here because workers import them from here ----


@dataclass(frozen=True, slots=True)
class Note:
    """What a task is told: the file it writes, after how many seconds, and how it ends."""

    file: str
    seconds: float = 0.0
    end: str = "well"


def work(note: Note) -> None:
    time.sleep(note.seconds)
    if note.end == "corpus error":
        raise SourceError("wiki.jsonl, line 3: not JSON; delete the line.")
    if note.end == "bug":
        raise KeyError("a bug")
    if note.end == "full":
        raise RuntimeError("wrapped by a library") from OSError(errno.ENOSPC, "No space left on device", note.file)
    if note.end.startswith("signal "):
        os.kill(os.getpid(), int(note.end.split()[1]))
    if note.end.startswith("exit "):
        print("the last words", file=sys.stderr, flush=True)
        os._exit(int(note.end.split()[1]))
    limits = {name: os.environ.get(name) for name in ("POLARS_MAX_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS")}
    Path(note.file).write_text(json.dumps({"pid": os.getpid(), "polars": "polars" in sys.modules, **limits}))


def hold_the_interpreter(file: str) -> None:
    Path(file).touch()
    re.match(r"(a+)+b", "a" * 29)  # one call of some ten seconds that never lets another thread run


def name_node(folder: str) -> None:
    import ray

    time.sleep(0.3)
    node = ray.get_runtime_context().get_node_id()
    Path(folder, f"{node}-{os.getpid()}-{time.monotonic_ns()}").write_text(os.environ["POLARS_MAX_THREADS"])


# ---- helpers ----


@pytest.fixture(autouse=True)
def _tests_are_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY))


def notes(folder: Path, *ends: str, seconds: float = 0.0) -> list[Task[Note]]:
    return [
        Task(f"rules prose/{number:05d}", work, Note(str(folder / f"{number}"), seconds if end == "well" else 0.0, end))
        for number, end in enumerate(ends)
    ]


def run(executor: Executor, tasks: list[Task[Note]]) -> list[str]:
    """Run and return the names in the order they were reported."""
    done: list[str] = []
    executor.run("rules", tasks, lambda task: done.append(task.name))
    return done


def local(workers: int = 2) -> Executor:
    return open_executor(ExecutorSettings(workers=workers), Path())


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Executor]:
    """One executor for many tests, which is also the test that it survives all of them."""
    with local(2) as executor:
        yield executor


# ---- local ----


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_task_is_done_and_reported_once_with_any_number_of_workers(workers: int, tmp_path: Path) -> None:
    tasks = notes(tmp_path, *["well"] * 7)
    with local(workers) as executor:
        done = run(executor, tasks)
    assert sorted(done) == [task.name for task in tasks]
    assert sorted(path.name for path in tmp_path.iterdir()) == [str(number) for number in range(7)]
    if workers == 1:
        assert done == [task.name for task in tasks]


def test_no_tasks_are_done_at_once(two_workers: Executor) -> None:
    assert run(two_workers, []) == []


def test_workers_live_through_all_stages_and_have_their_thread_limits_before_polars_is_imported(tmp_path: Path) -> None:
    pids = set()
    with local(1) as executor:
        for stage in "ab":
            run(executor, notes(tmp_path, "well"))
            said = json.loads((tmp_path / "0").read_text())
            pids.add(said["pid"])
            assert not said["polars"], f"polars was imported before the limits could be checked in stage {stage}"
            assert said["POLARS_MAX_THREADS"] == said["NUMBA_NUM_THREADS"] == said["OMP_NUM_THREADS"] == "1"
    assert len(pids) == 1
    assert not psutil.pid_exists(pids.pop())


@pytest.mark.parametrize(
    ("end", "kind", "sentence"),
    [
        ("corpus error", SourceError, r"^wiki\.jsonl, line 3: not JSON; delete the line\.$"),
        ("bug", TaskError, r"^rules prose/00001 stopped with KeyError: 'a bug'$"),
        (
            "full",
            CorpusError,
            r"^No space left on the device of .*/1 \(rules prose/00001\): free space and run the same",
        ),
        ("signal 9", WorkerError, r"^rules prose/00001: its worker was killed \(signal 9; out of memory\?\)"),
        ("signal 11", WorkerError, r"^rules prose/00001: its worker was killed \(signal 11, Segmentation fault\)"),
        ("exit 3", WorkerError, r"^rules prose/00001: its worker ended with exit code 3 \(the last words\)"),
        ("exit 0", WorkerError, r"^rules prose/00001: its worker ended with exit code 0"),
    ],
)
def test_what_ends_a_task_badly_is_a_sentence(
    two_workers: Executor, end: str, kind: type[CorpusError], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(CorpusError, match=sentence) as caught:
        run(two_workers, notes(tmp_path, "well", end))
    assert type(caught.value) is kind or kind is WorkerError
    assert isinstance(caught.value, kind)
    assert run(two_workers, notes(tmp_path, "well", "well"))  # and the executor can be used again


def test_an_error_class_of_another_module_arrives_as_its_nearest_relative_in_errors() -> None:
    class OscarError(SourceError):
        def __init__(self, file: str, line: int) -> None:
            super().__init__(f"{file}, line {line}: wrong.")

    arrived = Failure.of(OscarError("a.jsonl", 3), "rules prose/00000").error()
    assert type(arrived) is SourceError
    assert str(arrived) == "a.jsonl, line 3: wrong."


def test_the_traceback_of_a_bug_is_kept(two_workers: Executor, tmp_path: Path) -> None:
    with pytest.raises(TaskError) as caught:
        run(two_workers, notes(tmp_path, "bug"))
    assert 'raise KeyError("a bug")' in caught.value.details


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_error_of_the_first_task_is_raised_even_if_a_later_one_fails_earlier(workers: int, tmp_path: Path) -> None:
    tasks = [
        Task("slow", work, Note(str(tmp_path / "a"), 0.3, "corpus error")),
        Task("quick", work, Note(str(tmp_path / "b"), 0.0, "bug")),
        Task("never", work, Note(str(tmp_path / "c"), 0.3)),
    ]
    with local(workers) as executor, pytest.raises(SourceError):
        run(executor, tasks)
    if workers < 3:
        assert not (tmp_path / "c").exists(), "nothing may begin after a failure"


def test_what_was_running_when_another_task_failed_is_still_reported(two_workers: Executor, tmp_path: Path) -> None:
    done: list[str] = []
    with pytest.raises(TaskError):
        two_workers.run("rules", notes(tmp_path, "well", "bug", seconds=0.3), lambda task: done.append(task.name))
    assert done == ["rules prose/00000"]


def test_a_dead_worker_is_answered_at_once_and_stops_the_others(tmp_path: Path) -> None:
    start = time.monotonic()
    before = set(psutil.Process().children(recursive=True))
    with local(2) as executor:
        with pytest.raises(WorkerError, match="rules prose/00001"):
            run(executor, notes(tmp_path, "well", "signal 9", seconds=30))
        assert time.monotonic() - start < 5
        assert set(psutil.Process().children(recursive=True)) <= before
        assert len(run(executor, notes(tmp_path, "well", "well"))) == 2


def test_an_error_of_the_caller_stops_what_is_running(two_workers: Executor, tmp_path: Path) -> None:
    def fail(task: Task[Any]) -> None:
        raise RuntimeError(task.name)

    slow = Task("slow", work, Note(str(tmp_path / "slow"), 30))
    with pytest.raises(RuntimeError, match="rules prose/00000"):
        two_workers.run("rules", [slow, *notes(tmp_path, "well")], fail)
    assert len(run(two_workers, notes(tmp_path, "well", "well"))) == 2


def test_a_function_that_workers_cannot_import_is_refused(
    two_workers: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "__module__", "__main__")
    with pytest.raises(ValueError, match="must stand in a module"):
        two_workers.run("rules", [Task("a", work, Note("b"))], print)


SCRIPT = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal, where the tests run in the background too
sys.path.insert(0, {repository!r})
from corpus_ja.executors import ExecutorSettings, Task, open_executor
from tests.test_executors import Note, hold_the_interpreter, work
tasks = [Task("a", work, Note("a", 60)), Task("b", hold_the_interpreter, "b")]
with open_executor(ExecutorSettings(workers=2), Path(".")) as executor:
    executor.run("warm up", [Task("c", work, Note("c"))] * 2, lambda task: None)
    print("ready", flush=True)
    executor.run("rules", tasks, lambda task: None)
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A script without an `if __name__` guard that has two workers at work, one of them never letting go."""
    (tmp_path / "script.py").write_text(SCRIPT.format(repository=str(REPOSITORY)))
    with subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.stderr and process.stderr.read()
        _until((tmp_path / "b").exists)
        yield process
        process.kill()


def _until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def test_workers_end_when_their_parent_is_killed(program: subprocess.Popen[str]) -> None:
    family = psutil.Process(program.pid).children(recursive=True)
    assert len(family) == 2
    program.kill()
    _, alive = psutil.wait_procs(family, timeout=2)
    # a process whose parent is gone may wait as a zombie where no init collects it
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


def test_ctrl_c_in_the_terminal_stops_everything_and_is_a_keyboard_interrupt(program: subprocess.Popen[str]) -> None:
    family = psutil.Process(program.pid).children(recursive=True)
    os.killpg(program.pid, signal.SIGINT)  # what a terminal does: the signal goes to the workers too
    _, errors = program.communicate(timeout=5)
    assert errors.count("KeyboardInterrupt") == 1
    assert errors.count("Traceback") == 1
    _, alive = psutil.wait_procs(family, timeout=2)
    assert alive == []


# ---- slurm: with commands of Slurm's names that run the array on this machine, one element after the other ----

FAKE_SLURM = {
    "sbatch": """
        for script; do :; done
        cp "$script" "$FAKE_SLURM/script"
        printf '%s\\n' "$@" > "$FAKE_SLURM/arguments"
        last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
        output=$(sed -n 's/^#SBATCH --output=//p' "$script")
        seq 0 "$last" > "$FAKE_SLURM/queue"
        export SLURM_ARRAY_JOB_ID=4711 SLURM_NODELIST=node1 RUN_OFFSET=0
        (
            for SLURM_ARRAY_TASK_ID in $(seq 0 "$last"); do
                export SLURM_ARRAY_TASK_ID
                [ -e "$FAKE_SLURM/cancelled" ] && break
                log=$(echo "$output" | sed "s/%A/4711/; s/%a/$SLURM_ARRAY_TASK_ID/")
                bash "$FAKE_SLURM/script" > "$log" 2>&1
                sed -i "/^$SLURM_ARRAY_TASK_ID\\$/d" "$FAKE_SLURM/queue"
            done
            : > "$FAKE_SLURM/queue"
        ) > "$FAKE_SLURM/noise" 2>&1 &
        echo "Submitted batch job 4711"
    """,
    "squeue": """printf '%s\\n' "$@" > "$FAKE_SLURM/asked"; cat "$FAKE_SLURM/queue" """,
    "scancel": """printf '%s\\n' "$@" >> "$FAKE_SLURM/cancelled" """,
    "sacct": """echo OUT_OF_MEMORY""",
    "scontrol": """echo node1""",
    "srun": """while [ "${1#-}" != "$1" ]; do [ "$1" = -n ] && shift; shift; done; exec "$@" """,
}


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the fake commands keep what they were asked."""
    commands, state = tmp_path / "commands", tmp_path / "state"
    commands.mkdir()
    state.mkdir()
    for name, text in FAKE_SLURM.items():
        (commands / name).write_text(f"#!/bin/bash\n{text}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(commands), prepend=os.pathsep)
    monkeypatch.setenv("FAKE_SLURM", str(state))
    return state


def on_slurm(folder: Path, changes: dict[str, Any] | None = None) -> Executor:
    settings = SlurmSettings(time="01:30:00", partition="cpu", poll_seconds=0.05, **(changes or {}))
    return open_executor(ExecutorSettings(kind="slurm", workers=8, slurm=settings), folder)


def test_slurm_runs_every_task_and_leaves_no_folder(slurm: Path, tmp_path: Path) -> None:
    tasks = notes(tmp_path, "well", "well", "well")
    with on_slurm(tmp_path / "work") as executor:
        assert run(executor, tasks) == [task.name for task in tasks]
    said = json.loads((tmp_path / "2").read_text())
    assert said["POLARS_MAX_THREADS"] == "1"
    assert list((tmp_path / "work" / ".slurm").iterdir()) == []
    assert not (slurm / "cancelled").exists()


def test_the_script_for_slurm_asks_for_what_the_settings_say(slurm: Path, tmp_path: Path) -> None:
    (tmp_path / "commands" / "sbatch").write_text(
        '#!/bin/bash\nfor script; do :; done\ncp "$script" "$FAKE_SLURM/script"\n'
        'printf \'%s\\n\' "$@" > "$FAKE_SLURM/arguments"\n: > "$FAKE_SLURM/queue"\n'
        "echo Submitted batch job 4711\n"
    )
    changes = {
        "cpus_per_task": 2,
        "mem_per_cpu_gb": 3,
        "qos": "high",
        "env_command": "source /opt/env/bin/activate",
        "sbatch_args": {"account": "nlp"},
    }
    with (
        on_slurm(tmp_path / "work", changes) as executor,
        pytest.raises(WorkerError, match=r"4711_0\) ended without a word, state OUT_OF_MEMORY; its log is .*0\.out"),
    ):
        run(executor, notes(tmp_path, *["well"] * 2001))
    script = (slurm / "script").read_text()
    for line in (
        "#SBATCH --array=0-666%8",  # 2001 tasks, three a job, eight jobs at once
        "#SBATCH --time=01:30:00",
        "#SBATCH --partition=cpu",
        "#SBATCH --cpus-per-task=2",
        "#SBATCH --mem-per-cpu=3G",
        "#SBATCH --qos=high",
        "#SBATCH --account=nlp",
        "#SBATCH --job-name=corpus-ja-rules",
    ):
        assert line in script.splitlines()
    assert re.search(r"^source /opt/env/bin/activate; .*export POLARS_MAX_THREADS=1", script, re.MULTILINE)
    assert re.search(
        r"^srun +-l -n 1 launch_pickled_pipeline \S+/work/\.slurm/rules-\w+/executor\.pik$", script, re.MULTILINE
    )
    assert "mail" not in script
    assert "--export=ALL,RUN_OFFSET=0" in (slurm / "arguments").read_text().split()
    assert "--jobs=4711" in (slurm / "asked").read_text().split()
    assert (slurm / "cancelled").read_text() == "4711\n"


def test_a_failure_on_slurm_arrives_as_its_sentence_and_the_rest_is_cancelled(slurm: Path, tmp_path: Path) -> None:
    done: list[str] = []
    tasks = notes(tmp_path, "well", "corpus error", "well", "well")
    with (
        on_slurm(tmp_path / "work") as executor,
        pytest.raises(SourceError, match=r"^wiki\.jsonl, line 3: not JSON; delete the line\.$"),
    ):
        executor.run("rules", tasks, lambda task: done.append(task.name))
    assert done[0] == tasks[0].name
    assert tasks[1].name not in done
    assert (slurm / "cancelled").read_text().startswith("--state=PENDING\n4711\n")
    assert not (tmp_path / "3").exists()


def test_a_worker_killed_on_slurm_is_named_with_its_log(slurm: Path, tmp_path: Path) -> None:  # noqa: ARG001
    with on_slurm(tmp_path / "work") as executor, pytest.raises(TaskError) as caught:
        run(executor, notes(tmp_path, "signal 9"))
    assert re.match(r"rules prose/00000: its worker \(Slurm job 4711_0\) ended without a word", str(caught.value))
    assert "launch_pickled_pipeline" in caught.value.details
    assert "4711_0.out" in str(caught.value)


def test_a_job_that_sbatch_refuses_is_a_sentence(slurm: Path, tmp_path: Path) -> None:  # noqa: ARG001
    (tmp_path / "commands" / "sbatch").write_text("#!/bin/bash\nexit 1\n")
    with (
        on_slurm(tmp_path / "work") as executor,
        pytest.raises(ConfigError, match=r"sbatch refused the job of stage rules .*launch_script\.slurm"),
    ):
        run(executor, notes(tmp_path, "well"))


def test_slurm_without_settings_or_commands_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"slurm: \{partition: NAME, time: '01:00:00'\}"):
        open_executor(ExecutorSettings(kind="slurm"), tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="sbatch, squeue, scancel cannot be found; start the build on a login node"):
        on_slurm(tmp_path)


# ---- ray ----


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a Ray cluster with two nodes of one CPU each."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    two_nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    two_nodes.add_node(num_cpus=1)
    yield two_nodes.address
    two_nodes.shutdown()  # type: ignore[no-untyped-call]  # Ray's


@pytest.mark.ray
def test_ray_spreads_tasks_over_the_nodes_and_answers_errors_and_deaths(cluster: str, tmp_path: Path) -> None:
    nodes = tmp_path / "nodes"
    nodes.mkdir()
    with open_executor(ExecutorSettings(kind="ray", ray=RaySettings(address=cluster)), tmp_path) as executor:
        assert executor.workers == 2
        executor.run("nodes", [Task(f"n{i}", name_node, str(nodes)) for i in range(6)], lambda _: None)
        assert len({path.name.split("-")[0] for path in nodes.iterdir()}) == 2
        assert len(list(nodes.iterdir())) == 6
        assert {path.read_text() for path in nodes.iterdir()} == {"1"}

        tasks = notes(tmp_path, *["well"] * 5)
        assert sorted(run(executor, tasks)) == [task.name for task in tasks]

        done: list[str] = []
        with pytest.raises(SourceError, match=r"^wiki\.jsonl, line 3: not JSON; delete the line\.$"):
            executor.run("rules", notes(tmp_path, "well", "corpus error"), lambda task: done.append(task.name))
        assert done == ["rules prose/00000"]
        with pytest.raises(TaskError, match="KeyError: 'a bug'"):
            run(executor, notes(tmp_path, "bug"))

        start = time.monotonic()
        with pytest.raises(WorkerError, match=r"rules prose/00001: its worker was killed"):
            run(executor, notes(tmp_path, "well", "signal 9", seconds=30))
        assert time.monotonic() - start < 10
        assert len(run(executor, notes(tmp_path, "well", "well"))) == 2


def test_a_missing_ray_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'corpus-ja\[ray\]'"):
        open_executor(ExecutorSettings(kind="ray"), tmp_path)


# ---- settings and measures ----


def test_auto_workers_are_the_cores_this_process_may_use() -> None:
    assert 1 <= available_cpus() <= len(os.sched_getaffinity(0))
    assert open_executor(ExecutorSettings(), Path()).workers == available_cpus()


def test_peak_memory_is_that_of_the_block_alone() -> None:
    with PeakMemory() as large:
        block = bytearray(200_000_000)
        block[::4096] = b"x" * len(block[::4096])
        del block
    with PeakMemory() as small:
        pass
    assert large.bytes > 200_000_000
    if os.access("/proc/self/clear_refs", os.W_OK):
        assert small.bytes < large.bytes - 150_000_000
