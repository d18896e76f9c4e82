"""Kill builds at random moments and see whether the next one puts everything right.

    python benchmarks/kill.py                      # 20 parents and 20 workers of the quickstart, about ten minutes
    python benchmarks/kill.py --trials 3 --seed 7

First the mix is built undisturbed, which gives the shards' SHA-256 and the time a build takes. Each trial then starts a
build in an empty folder, sends SIGKILL to it (or to one of its workers) at a moment drawn uniformly from that time, and
looks: is a process of its session left five seconds later, did the death of a worker end the build with status 1 and a
sentence that names the task, and how long did that take. Then the same command runs again, and its shards must have the
same bytes. A worker that had no task when it was killed is missed by nobody: such a build ends well, counted as idle. A
moment that came after the end is counted as over and drawn again.
"""

import argparse
import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).resolve().parents[1]
LEFT_SECONDS = 5.0
"""How long after a kill a process of the build may still be there."""
SENTENCE = re.compile(
    r"corpus-ja: (.+): its worker was killed \(signal 9; out of memory\?\); .+run the same command again"
)


@dataclass(frozen=True, slots=True)
class Command:
    """A build: its mix, where it writes, and how wide it runs."""

    mix: Path
    folder: Path
    workers: int = 2

    @property
    def output(self) -> Path:
        """The build folder."""
        return self.folder / "builds" / "killed"

    def start(self) -> "Running":
        """Start it in a session of its own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        said = self.folder / f"said-{time.monotonic_ns()}"
        arguments = ["build", "--mix", self.mix, "--output", self.output, "--workers", str(self.workers)]
        with said.open("w", encoding="utf-8") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "corpus_ja.cli", *map(str, arguments)],
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        return Running(process, said)

    def shards(self) -> dict[str, str]:
        """The SHA-256 of every shard."""
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((self.output / "shards").iterdir())
        }


@dataclass(frozen=True, slots=True)
class Running:
    """A build that was started; what it prints goes to the file `said`."""

    process: subprocess.Popen[bytes]
    said: Path

    def wait(self, seconds: float = 300) -> int:
        """Its exit status."""
        return self.process.wait(timeout=seconds)

    def sleep_until(self, moment: float) -> bool:
        """Wait for a moment (of `time.monotonic`); False when the build ended before it."""
        while time.monotonic() < moment:
            if self.process.poll() is not None:
                return False
            time.sleep(0.002)
        return self.process.poll() is None

    def workers(self) -> list[psutil.Process]:
        """The processes it has started."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def left(self) -> list[str]:
        """What is still alive of its session after `LEFT_SECONDS`; a zombie that nobody collects is dead."""
        end = time.monotonic() + LEFT_SECONDS
        while alive := _session(self.process.pid):
            if time.monotonic() > end:
                return alive
            time.sleep(0.02)
        return []


def _session(leader: int) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid} {' '.join(process.cmdline())[:80]}")
        except (psutil.NoSuchProcess, ProcessLookupError, PermissionError):
            continue
    return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one kill came to: "killed", "over" (too late), or for a worker "sentence", "idle" or "wrong"."""

    what: str
    status: int
    left: list[str]
    seconds: float
    said: str


def kill_parent(command: Command, delay: float) -> Outcome:
    """Start a build and kill it after `delay` seconds."""
    running = command.start()
    hit = running.sleep_until(time.monotonic() + delay)
    running.process.kill()
    began = time.monotonic()
    status = running.wait()
    left = running.left()
    return Outcome(
        "killed" if hit else "over", status, left, time.monotonic() - began, running.said.read_text(encoding="utf-8")
    )


def kill_worker(command: Command, delay: float, choice: float) -> Outcome:
    """Start a build and kill one of its workers after `delay` seconds, or the first one that comes after that."""
    running = command.start()
    running.sleep_until(time.monotonic() + delay)
    workers: list[psutil.Process] = []
    while not workers and running.process.poll() is None:
        workers = running.workers()
    began = time.monotonic()
    if workers:
        workers[int(choice * len(workers))].kill()
    status = running.wait()
    seconds = time.monotonic() - began
    said = running.said.read_text(encoding="utf-8")
    if not workers:
        what = "over"
    elif status == 0:
        what = "idle"
    else:
        what = "sentence" if status == 1 and SENTENCE.search(said) and "Traceback" not in said else "wrong"
    return Outcome(what, status, running.left(), seconds, said)


def main() -> None:
    """Run the trials and print what they came to; exit status 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mix", type=Path, default=REPOSITORY / "recipes" / "quickstart" / "mix.yaml")
    parser.add_argument("--trials", type=int, default=20, help="of each kind")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    draw = random.Random(chosen.seed)  # noqa: S311 - moments, not secrets
    broken: list[str] = []
    with tempfile.TemporaryDirectory(prefix="kill-") as place:
        undisturbed = Command(chosen.mix, Path(place) / "undisturbed", chosen.workers)
        undisturbed.start().wait()  # compiles what Numba has not compiled yet
        shutil.rmtree(undisturbed.folder)
        began = time.monotonic()
        if undisturbed.start().wait() != 0:
            sys.exit("the undisturbed build failed")
        duration = time.monotonic() - began
        expected = undisturbed.shards()
        print(f"undisturbed: {duration:.1f} s, {len(expected)} shards, {chosen.workers} workers", flush=True)
        for kind in ("parent", "worker"):
            came: Counter[str] = Counter()
            answers: list[float] = []
            same = 0
            number = 0
            while number < chosen.trials:
                command = Command(chosen.mix, Path(place) / f"{kind}-{number}", chosen.workers)
                delay = draw.random() * duration
                outcome = (
                    kill_parent(command, delay) if kind == "parent" else kill_worker(command, delay, draw.random())
                )
                came[outcome.what] += 1
                if outcome.what == "over":
                    shutil.rmtree(command.folder)
                    continue
                number += 1
                if outcome.what in {"killed", "sentence"}:
                    answers.append(outcome.seconds)
                again = command.start()
                status = again.wait()
                place_of_trial = f"{kind} {number} at {delay:.2f} s"
                if status == 0 and command.shards() == expected:
                    same += 1
                else:
                    broken.append(f"{place_of_trial}: the next build ended {status}: {again.said.read_text()[-500:]}")
                    print(broken[-1], flush=True)
                if outcome.left or outcome.what == "wrong":
                    broken.append(f"{place_of_trial}: {outcome.status}, left {outcome.left}: {outcome.said[-500:]}")
                    print(broken[-1], flush=True)
                shutil.rmtree(command.folder)
            counts = ", ".join(f"{what} {count}" for what, count in sorted(came.items()))
            print(
                f"{kind}: {chosen.trials} killed ({counts}), {same} built again to the same bytes, "
                f"everything gone after at most {max(answers, default=0):.2f} s",
                flush=True,
            )
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
