"""A whole build on a Ray cluster of two nodes, and on Slurm's array jobs, gives the bytes of a local one."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus_ja.executors import ExecutorSettings, RaySettings, SlurmSettings, open_executor
from tests.test_executors import FAKE_SLURM
from tests.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("world"))


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
def test_two_nodes_of_ray_give_the_same_bytes_as_this_process(world: World, cluster: str, tmp_path: Path) -> None:
    here = world.build()
    settings = ExecutorSettings(kind="ray", ray=RaySettings(address=cluster))
    executor = open_executor(settings, tmp_path / "work")
    assert executor.workers == 2
    there = world.build(executor=executor, output=tmp_path / "world", work=tmp_path / "work")
    assert there.shards == here.shards
    assert there.manifest.sources == here.manifest.sources
    assert there.manifest.fingerprint == here.manifest.fingerprint


RUN_AT_ONCE = """
for script; do :; done
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
pik=$(sed -n 's/^srun.* launch_pickled_pipeline \\(.*\\)$/\\1/p' "$script")
: > "$FAKE_SLURM/queue"
"$PYTHON" "$FAKE_SLURM/elements.py" "$pik" "$last" > "$FAKE_SLURM/noise" 2>&1
echo "Submitted batch job 4711"
"""
ARRAY = """
import os, sys
import dill
for number in range(int(sys.argv[2]) + 1):
    os.environ["SLURM_ARRAY_TASK_ID"] = str(number)
    os.environ.update(SLURM_ARRAY_JOB_ID="4711", SLURM_NODELIST="node1", RUN_OFFSET="0")
    with open(sys.argv[1], "rb") as file:
        dill.load(file).run()
"""
"""All elements of an array, one after the other in one interpreter: each would take two seconds to start its own."""


def test_the_array_jobs_of_slurm_give_the_same_bytes_as_this_process(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands, state = tmp_path / "commands", tmp_path / "state"
    commands.mkdir()
    state.mkdir()
    for name, text in {**FAKE_SLURM, "sbatch": RUN_AT_ONCE}.items():
        (commands / name).write_text(f"#!/bin/bash\n{text}\n")
        (commands / name).chmod(0o755)
    (state / "elements.py").write_text(ARRAY)
    monkeypatch.setenv("PATH", str(commands), prepend=":")
    monkeypatch.setenv("FAKE_SLURM", str(state))
    monkeypatch.setenv("PYTHON", sys.executable)
    # One source and no duplicates: every stage is a job, and every job imports everything anew.
    changes = {"sources.hill": None, "sources.river": None, "duplicates": "none", "decontaminate": "none", "shards": 2}
    here = world.build("slurm", changes)
    settings = ExecutorSettings(kind="slurm", slurm=SlurmSettings(time="1:00:00", partition="cpu", poll_seconds=0.05))
    with open_executor(settings, tmp_path / "work") as executor:
        there = world.build("slurm", changes, executor=executor, output=tmp_path / "slurm", work=tmp_path / "work")
    assert there.shards == here.shards
    assert there.manifest.sources == here.manifest.sources
    assert list((tmp_path / "work" / ".slurm").iterdir()) == []
