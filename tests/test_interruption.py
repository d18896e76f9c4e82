"""Builds that are killed, interrupted, doubled or overtaken by a change: the next gives an undisturbed one's bytes.

`benchmarks/kill.py` does the same twenty times each on the quickstart.
"""

import fcntl
import importlib.util
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from corpus_ja import pipeline, publishing, verification
from corpus_ja.errors import CorpusError
from corpus_ja.storage.shards import TEMPORARY
from tests.world import REPOSITORY, World, japanese, write_lines

SEED = 20_240_607


@pytest.fixture(scope="module")
def kill() -> ModuleType:
    """benchmarks/kill.py."""
    spec = importlib.util.spec_from_file_location("kill", REPOSITORY / "benchmarks" / "kill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kill"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    place = World.make(tmp_path_factory.mktemp("world"))
    place.mix()
    return place


@pytest.fixture(scope="module")
def undisturbed(world: World, kill: ModuleType) -> tuple[dict[str, str], float]:
    """The shards of a build nobody touched, and the seconds it took."""
    command = kill.Command(world.folder / "world.yaml", world.folder / "undisturbed")
    began = time.monotonic()
    running = command.start()
    assert running.wait() == 0, running.said.read_text()
    return command.shards(), time.monotonic() - began


@pytest.fixture
def running(kill: ModuleType, world: World, tmp_path: Path) -> Iterator[Any]:
    """A build that holds its folder's lock."""
    command = kill.Command(world.folder / "world.yaml", tmp_path)
    started = command.start()
    until_locked(command.output)
    yield started
    started.process.kill()
    started.wait()


def until_locked(output: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if (output / ".lock").exists():
            with (output / ".lock").open("r+") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return
        time.sleep(0.002)
    pytest.fail("the build did not begin")


# --------------------------------------------------------------------------------------------------------------- killed


def test_a_build_killed_again_and_again_ends_in_the_same_bytes_and_leaves_no_process(
    kill: ModuleType, world: World, undisturbed: tuple[dict[str, str], float], tmp_path: Path
) -> None:
    shards, duration = undisturbed
    draw = random.Random(SEED)  # noqa: S311 - moments, not secrets
    command = kill.Command(world.folder / "world.yaml", tmp_path)
    for _ in range(3):
        outcome = kill.kill_parent(command, draw.random() * duration)
        assert outcome.left == []
    last = command.start()
    assert last.wait() == 0, last.said.read_text()
    assert command.shards() == shards
    assert verification.check(command.output) == []


def test_a_killed_worker_is_a_sentence_with_its_task_and_the_next_build_goes_on(
    kill: ModuleType, world: World, undisturbed: tuple[dict[str, str], float], tmp_path: Path
) -> None:
    shards, duration = undisturbed
    draw = random.Random(SEED)  # noqa: S311 - moments, not secrets
    command = kill.Command(world.folder / "world.yaml", tmp_path)
    sentences = 0
    for _ in range(3):
        # The first three quarters: a build at its end may have no task left for the worker that is killed.
        outcome = kill.kill_worker(command, draw.random() * duration * 0.75, draw.random())
        assert outcome.what in {"sentence", "idle", "over"}, outcome.said
        assert outcome.left == []
        assert outcome.seconds < 30
        sentences += outcome.what == "sentence"
    assert sentences
    last = command.start()
    assert last.wait() == 0, last.said.read_text()
    assert command.shards() == shards


def test_a_build_killed_while_it_publishes_only_has_to_publish_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World.make(tmp_path / "world")
    first = world.build(output=tmp_path / "first", work=tmp_path / "other work")
    taken = 0
    link = publishing._link

    def killed(origin: Path, target: Path) -> None:
        nonlocal taken
        if taken == 2:
            raise KeyboardInterrupt
        taken += 1
        link(origin, target)

    with monkeypatch.context() as patched:
        patched.setattr(publishing, "_link", killed)
        with pytest.raises(KeyboardInterrupt):
            world.build()
    assert list((world.folder / "builds" / "world").glob(f"{TEMPORARY}*"))
    again = world.build()
    assert again.shards == first.shards
    assert [record.stage for record in again.manifest.stages if record.tasks_now] == []
    assert not list(again.folder.glob(f"{TEMPORARY}*"))


def test_a_packed_shard_that_is_gone_from_the_work_is_packed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World.make(tmp_path / "world")
    first = world.build(output=tmp_path / "first", work=tmp_path / "other work")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "publish", killed)
        with pytest.raises(KeyboardInterrupt):
            world.build()
    next((world.folder / "builds" / "work" / "shards").glob("*/train-00001*.parquet")).unlink()
    again = world.build()
    assert again.shards == first.shards
    assert {record.stage: record.tasks_now for record in again.manifest.stages if record.tasks_now} == {"shards": 1}


def test_the_manifest_of_the_old_build_is_gone_before_its_shards_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World.make(tmp_path / "world")
    world.build()

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(publishing, "replacing", killed)
        with pytest.raises(KeyboardInterrupt):
            world.build(overrides=["seed=7"])
    output = world.folder / "builds" / "world"
    assert not (output / "manifest.json").exists(), "a folder without a manifest is no build"
    assert verification.check(world.build(overrides=["seed=7"]).folder) == []


# ---------------------------------------------------------------------------------------------------------- interrupted


def test_ctrl_c_is_a_sentence_and_status_130_and_leaves_no_process(running: Any) -> None:  # noqa: ANN401 - of kill.py
    while not running.workers():
        assert running.process.poll() is None
        time.sleep(0.01)
    os.killpg(running.process.pid, signal.SIGINT)  # what a terminal does: to the workers too
    assert running.wait(10) == 130
    said = running.said.read_text()
    assert "corpus-ja: stopped; run the same command again to go on where it was." in said
    assert "Traceback" not in said
    assert running.left() == []


# ---------------------------------------------------------------------------------------------------------- two at once


def test_a_second_build_into_the_same_folder_is_told_so(
    running: Any,  # noqa: ANN401 - of kill.py
    kill: ModuleType,
    world: World,
    tmp_path: Path,
) -> None:
    output = kill.Command(world.folder / "world.yaml", tmp_path).output
    with pytest.raises(
        CorpusError, match=rf"^Another build is writing to {output}; wait for it, or choose another folder"
    ):
        world.build(output=output, work=tmp_path / "other work")
    assert running.wait(60) == 0, running.said.read_text()
    assert verification.check(output) == []


def test_two_builds_that_share_their_work_both_give_the_same_bytes(
    kill: ModuleType, world: World, undisturbed: tuple[dict[str, str], float], tmp_path: Path
) -> None:
    shards, _ = undisturbed
    folders = [tmp_path / "builds" / name for name in ("one", "two")]
    command = [
        sys.executable,
        "-m",
        "corpus_ja.cli",
        "build",
        "--mix",
        str(world.folder / "world.yaml"),
        "--workers",
        "1",
    ]
    both = [
        kill.subprocess.Popen(
            [*command, "--output", str(folder)], stdout=kill.subprocess.PIPE, stderr=kill.subprocess.STDOUT, text=True
        )
        for folder in folders
    ]
    for process, folder in zip(both, folders, strict=True):
        said, _ = process.communicate(timeout=120)
        if process.returncode:  # the other one took the packed shards out of the work they share
            assert "run the same command again" in " ".join(said.split())
            assert "Traceback" not in said
            again = kill.subprocess.run([*command, "--output", str(folder)], check=True, capture_output=True)
            assert again.returncode == 0
        found = {
            path.name: kill.hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((folder / "shards").iterdir())
        }
        assert found == shards


def test_a_documents_file_whose_ids_were_numbered_is_not_replaced_by_a_slower_neighbour(tmp_path: Path) -> None:
    """Two builds share `work/`: one numbers repeated ids while the other still reads the same source."""
    world = World.make(tmp_path / "world")
    first = world.build()
    folder = next(first.work.glob("documents/harbour-*"))
    numbered = (folder / "00000.parquet").read_bytes()
    (folder / "00000.json").unlink()  # so that the reading task runs once more
    world.build(overrides=["seed=7"])
    assert (folder / "00000.parquet").read_bytes() == numbered


# -------------------------------------------------------------------------------------------------------------- changes


def test_a_changed_input_is_noticed_and_only_its_source_read_again(tmp_path: Path) -> None:
    world = World.make(tmp_path / "world")
    first = world.build()
    harbour = world.folder / "harbour.jsonl"
    before = harbour.stat()
    text = harbour.read_text(encoding="utf-8")
    harbour.write_text(text.replace("the lighthouse", "the lamphouse!"), encoding="utf-8")
    assert harbour.stat().st_size == before.st_size
    second = world.build()
    assert second.made
    assert second.manifest.fingerprint != first.manifest.fingerprint
    assert second.tasks_now("documents", "measures", "tokens") == {"river": 0, "hill": 0, "harbour": 4}
    harbour.write_text(text, encoding="utf-8")
    third = world.build()
    assert third.shards == first.shards
    assert third.tasks_now("documents", "measures", "tokens") == {"river": 0, "hill": 0, "harbour": 0}


def test_a_new_file_of_a_source_is_noticed(tmp_path: Path) -> None:
    world = World.make(tmp_path / "world")
    before = set(world.build().verdicts())
    write_lines(world.folder / "river" / "c.jsonl", [{"id": "new", "text": japanese("new")}])
    assert set(world.build().verdicts()) - before == {"river/new"}


def test_a_shard_that_is_gone_is_made_again(tmp_path: Path) -> None:
    world = World.make(tmp_path / "world")
    first = world.build()
    shards = first.shards
    (first.folder / "shards" / "train-00001-of-00003.parquet").unlink()
    again = world.build()
    assert again.made
    assert again.shards == shards
    assert again.text_read == 0


def test_leftovers_of_a_killed_run_go_after_a_day_and_not_before(tmp_path: Path) -> None:
    world = World.make(tmp_path / "world")
    first = world.build()
    folder = next(first.work.glob("documents/river-*"))
    young, old = folder / f"{TEMPORARY}young", folder / f"{TEMPORARY}old"
    young.write_bytes(b"x")
    old.write_bytes(b"x")
    os.utime(old, (time.time() - 100_000,) * 2)
    world.build(overrides=["seed=7"])
    assert young.exists()
    assert not old.exists()
