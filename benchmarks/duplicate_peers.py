"""The deduplicators that benchmarks/duplicates.py compares with; runs in environments of their own, never in ours.

    PYTHON benchmarks/duplicate_peers.py datatrove|text-dedup DOCUMENTS.jsonl WORK

DOCUMENTS has `id` and `text` a line. Writes WORK/kept.json, the ids that stay, and prints one line of JSON: seconds of
this process, wall and processor, imports included, and its largest resident memory.

datatrove: its MinHash as it comes (14 bands of 8 hashes over five words), with its Japanese word splitter. text-dedup:
its MinHash as it comes (five pieces between non-letters), at a threshold of 0.8.
"""

import contextlib
import json
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path


def datatrove(documents: Path, work: Path) -> list[str]:
    """Signatures, buckets, clusters, filter: one worker."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.base import PipelineStep
    from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashDedupBuckets
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter
    from loguru import logger

    logger.remove()
    reader = JsonlReader(str(documents.parent), glob_pattern=documents.name)

    def run(*steps: PipelineStep, tasks: int = 1, logs: str) -> None:
        LocalPipelineExecutor(list(steps), tasks=tasks, workers=1, logging_dir=str(work / "logs" / logs)).run()

    run(reader, MinhashDedupSignature(str(work / "signatures"), language="jpn"), logs="signatures")
    run(MinhashDedupBuckets(str(work / "signatures"), str(work / "buckets")), tasks=14, logs="buckets")
    run(MinhashDedupCluster(str(work / "buckets"), str(work / "remove")), logs="clusters")
    run(
        reader, MinhashDedupFilter(str(work / "remove")), JsonlWriter(str(work / "kept"), compression=None), logs="kept"
    )
    return [json.loads(line)["id"] for path in (work / "kept").glob("*.jsonl") for line in path.open(encoding="utf-8")]


def text_dedup(documents: Path, work: Path) -> list[str]:
    """Its command for MinHash, one process."""
    from datasets import load_from_disk

    command = [
        "--path",
        "json",
        "--data_files",
        str(documents),
        "--split",
        "train",
        "--column",
        "text",
        "--num_proc",
        "1",
    ]
    command += ["--threshold", "0.8", "--output", str(work / "kept"), "--cache_dir", str(work / "cache")]
    from text_dedup.minhash import main as minhash

    with contextlib.redirect_stdout(sys.stderr):
        minhash(command, standalone_mode=False)
    return list(load_from_disk(str(work / "kept"))["id"])


PEERS: dict[str, Callable[[Path, Path], list[str]]] = {"datatrove": datatrove, "text-dedup": text_dedup}


def peak() -> int:
    """The largest resident memory of this process, bytes; `ru_maxrss` would begin with its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def main() -> None:
    """Run one peer on the clock."""
    name, documents, work = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    began = time.perf_counter()
    kept = PEERS[name](documents, work)
    wall = time.perf_counter() - began
    (work / "kept.json").write_text(json.dumps(kept), encoding="utf-8")
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(one.ru_utime + one.ru_stime for one in usage)
    print(json.dumps({"seconds": wall, "cpu_seconds": cpu, "memory": peak()}))


if __name__ == "__main__":
    main()
