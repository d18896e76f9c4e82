"""How fast is the whole `corpus-ja build`, per core, beside what others run on Japanese? Text in, shards out.

    .venv/bin/python benchmarks/build.py                                    # ours alone, about a minute
    .venv/bin/python benchmarks/build.py --peers .peers/bin/python      # about three minutes

The documents are all of prose_ja and noisy/pages_ja of the shared data. Ours is the command itself with one worker on
all of them, several times, everything counted: starting Python, loading the mix, models and evaluation sets, all
stages, the manifest. The peers run on samples of the same documents (every document with the same chance), with the
clock started after their imports, models and dictionaries are loaded:

- datatrove with FineWeb-2's Japanese steps and limits: language, repetition, FineWeb and Gopher quality, MinHash,
  tokens;
- HojiChar's Japanese filters and deduplication, then `tokenizers`, then rows of 1,024 tokens.

Processor seconds (all processes) are the measure, because machines are shared; wall seconds stand beside them. The
peers drop more documents before they encode than we do: that spares them work, and is counted as text done.
"""

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml
import zstandard

REPOSITORY = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("CORPUS_JA_DATA") or REPOSITORY.parent / "shared" / "data")
ONE_CORE = {
    **dict.fromkeys(("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), "1"),
    "TOKENIZERS_PARALLELISM": "false",
}
SAMPLES = {"datatrove": 4_000_000, "hojichar": 16_000_000}
"""UTF-8 bytes each peer is given: about half a minute and ten seconds."""
MAKE_PEERS = (
    "The peers were not measured. For an environment of their own: python -m venv .peers && "
    ".peers/bin/pip install -r benchmarks/peers.txt; then --peers .peers/bin/python."
)


@dataclass(frozen=True, slots=True)
class Speed:
    """What one pipeline did: UTF-8 bytes of text in, seconds, and documents in and out."""

    name: str
    size: int
    cpu: float
    wall: float
    documents: int
    kept: int

    @property
    def rate(self) -> float:
        """MB of text a processor second."""
        return self.size / 1e6 / self.cpu


def build(folder: Path) -> tuple[Speed, dict[str, Any]]:
    """One build from nothing, with one worker."""
    rules = {"language": "ja", "filters": ["corpus_ja"]}
    mix = {
        "name": "ja",
        "tokenizer": str(DATA / "tokenizers" / "gpt2"),
        "sequence_length": 1024,
        "packing": "best_fit",
        "sources": {
            "prose_ja": {"jsonl": str(DATA / "prose_ja" / "*.jsonl.zst"), **rules},
            "pages_ja": {"jsonl": str(DATA / "noisy" / "pages_ja.jsonl.zst"), "clean": {"menus": True}, **rules},
        },
        "duplicates": {"threshold": 0.8},
        "decontaminate": {"sets": [{"path": str(DATA / "jglue"), "form": "jglue"}]},
    }
    path = folder / "mix.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(mix, allow_unicode=True), encoding="utf-8")
    command = [sys.executable, "-m", "corpus_ja.cli", "build", "--mix", str(path), "--output", str(folder / "out")]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*command, "--workers", "1"], check=True, stdout=subprocess.DEVNULL, env=os.environ | ONE_CORE)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    manifest = json.loads((folder / "out" / "manifest.json").read_text(encoding="utf-8"))
    sources = manifest["sources"].values()
    size = sum(source["read"]["bytes"] for source in sources)
    documents, kept = (sum(source[key]["documents"] for source in sources) for key in ("read", "kept"))
    return Speed("corpus-ja build", size, cpu, wall, documents, kept), manifest


def stages(manifests: list[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Per stage the median over runs of its processor and wall seconds, over all sources."""
    cpu: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(manifests))
    wall: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(manifests))
    for run, manifest in enumerate(manifests):
        for record in manifest["stages"]:
            cpu[record["stage"]][run] += record["cpu_seconds"]
            wall[record["stage"]][run] += record["seconds"]
            for kind, seconds in record["details"].get("seconds", {}).items():
                wall[f"  {kind}"][run] += seconds
    return {name: (statistics.median(cpu[name]), statistics.median(wall[name])) for name in wall}


def write_sample(target: Path, size: int) -> None:
    """About `size` bytes of the documents, drawn evenly."""
    documents: list[dict[str, Any]] = []
    for path in [*sorted((DATA / "prose_ja").glob("*.jsonl.zst")), DATA / "noisy" / "pages_ja.jsonl.zst"]:
        with zstandard.open(path, "rb") as file:
            documents += [orjson.loads(line) for line in file.read().split(b"\n") if line]
    random.Random(1).shuffle(documents)  # noqa: S311 - a sample, not a secret
    written = 0
    with target.open("wb") as out:
        for document in documents:
            if written >= size:
                break
            out.write(orjson.dumps({"id": document["id"], "text": document["text"]}, option=orjson.OPT_APPEND_NEWLINE))
            written += len(document["text"].encode("utf-8", "surrogatepass"))


def peer(name: str, interpreter: Path, folder: Path, tokenizer: Path) -> Speed:
    """Run one peer on its sample, in its own interpreter."""
    sample = folder / f"{name}.jsonl"
    write_sample(sample, SAMPLES[name])
    command = [str(interpreter), str(Path(__file__).with_name("peers.py")), name, str(sample), str(folder / name)]
    command += [str(tokenizer), str((DATA / "lid" / "lid.176.ftz").resolve())]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | ONE_CORE)
    if done.returncode:
        sys.exit(f"{name} did not run under {interpreter}:\n{done.stderr[-2000:]}")
    result = json.loads(done.stdout.splitlines()[-1])
    titles = {"datatrove": "datatrove, FineWeb-2's Japanese steps", "hojichar": "HojiChar + tokenizers"}
    return Speed(
        titles[name],
        result["bytes"],
        result["cpu_seconds"],
        result["seconds"],
        result["documents"],
        result["kept"],
    )


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--peers", type=Path, help="an interpreter that has benchmarks/peers.txt")
    parser.add_argument("--runs", type=int, default=3, help="builds of ours; the median counts")
    options = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"The shared data is not at {DATA}; set CORPUS_JA_DATA to its folder.")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        build(folder / "warm-up")  # compiles the kernels once for this machine
        made = [build(folder / f"run-{number}") for number in range(options.runs)]
        ours = sorted((speed for speed, _ in made), key=lambda speed: speed.cpu)[len(made) // 2]
        print("corpus-ja build, one worker; processor seconds of each run:", *(f"{s.cpu:.2f}" for s, _ in made))
        print(f"\n{'stage':<14}{'processor s':>12}{'MB/s':>8}{'wall s':>9}{'MB/s':>8}")
        total = 0.0
        for name, (cpu, wall) in stages([manifest for _, manifest in made]).items():
            total += cpu
            figures = f"{cpu:>12.2f}{ours.size / 1e6 / cpu:>8.0f}" if cpu > 0 else " " * 20
            print(f"{name:<14}{figures}{wall:>9.2f}{ours.size / 1e6 / max(wall, 1e-3):>8.0f}")
        print(f"{'all else':<14}{ours.cpu - total:>12.2f}   (starting, loading the mix, evaluation sets, manifest)\n")
        table = [ours]
        if options.peers is not None:
            from corpus_ja.stages.tokens import hugging_face_tokenizer

            tokenizer = folder / "tokenizer.json"
            tokenizer.write_text(
                hugging_face_tokenizer(DATA / "tokenizers" / "gpt2", "vocab+merges").to_str(), encoding="utf-8"
            )
            table += [peer(name, options.peers.absolute(), folder, tokenizer) for name in SAMPLES]
        heads = ("MB in", "documents", "kept", "cpu s", "wall s", "MB/s a core", "ours")
        print(
            f"{'pipeline':<40}",
            *(f"{head:>{width}}" for head, width in zip(heads, (8, 11, 6, 8, 8, 13, 9), strict=True)),
        )
        for one in table:
            print(
                f"{one.name:<40} {one.size / 1e6:>8.1f} {one.documents:>11,} {one.kept / one.documents:>6.0%}"
                f" {one.cpu:>8.1f} {one.wall:>8.1f} {one.rate:>13.2f} {ours.rate / one.rate:>8.1f}x"
            )
        if options.peers is None:
            print(f"\n{MAKE_PEERS}")
        print(f"\nThe promise is 2 MB/s a core: {'holds' if ours.rate >= 2 else 'FAILS'}.")
        sys.exit(ours.rate < 2)


if __name__ == "__main__":
    main()
