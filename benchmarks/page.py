"""Does the report page of a million documents take under 30 s and 1.5 GB?

    .venv/bin/python benchmarks/page.py                         # a million documents, about a minute and 0.8 GB of disk
    .venv/bin/python benchmarks/page.py --documents 100000 --keep page-build

The quickstart is built once; its work files are then written again and again until there are so many documents, in files
of `A_FILE` documents as a build of long texts has them, with the real columns and types: texts and ids as they are (an
id gets a number), draws anew, every signal off by up to a tenth, so that a limit cuts elsewhere in every copy, judged
by the recipe's own rules; duplicates and the mix fall where they fell. The manifest counts what the files hold. Then
`corpus-ja stats --html` runs as a process of its own: seconds, processor seconds, peak resident memory, bytes of the page.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpus_ja.config import LoadedMix, load_mix
from corpus_ja.stages import language, rules
from corpus_ja.storage.manifest import Counted, Kept, Manifest, read_manifest
from corpus_ja.storage.shards import FrameWriter, write_frame, write_json

REPOSITORY = Path(__file__).resolve().parents[1]
RECIPE = REPOSITORY / "recipes" / "quickstart" / "mix.yaml"
A_FILE = 25_000
COPIED = ("language", "signatures", "overlaps", "lists", "scores")
TEXTS_A_GROUP = 2_000
"""Rows of a documents file read at once: 4 MB of text in a real one."""


def multiply(loaded: LoadedMix, build: Path, work: Path, target: Path, wanted: int) -> None:
    """Write a build of `wanted` documents to `target/large` and its work files to `target/work`."""
    manifest = read_manifest(build)
    read = {name: manifest.sources[name].read.documents for name in manifest.source_names}
    copies = max(1, round(wanted / sum(read.values())))
    generator = np.random.default_rng(1)
    for name in manifest.source_names:
        folders = {stage: names[name] for stage, names in manifest.work.items() if name in names}
        parts = [
            path.stem
            for path in sorted((work / "documents" / folders["documents"]).glob("[0-9]*.parquet"))
            if "." not in path.stem
        ]
        small = {
            stage: pl.concat(
                [
                    pl.read_parquet(
                        work / stage / folders[stage] / f"{part}{'.counts' if stage == 'tokens' else ''}.parquet"
                    )
                    for part in parts
                ]
            )
            for stage in folders
        }
        rows = small["documents"].height
        counts: Counter[str] = Counter()
        kept: Counter[str] = Counter()
        totals: Counter[str] = Counter()
        done = files = 0
        while done < copies:
            times = min(copies - done, max(1, A_FILE // rows))
            large = {stage: pl.concat([frame] * times) for stage, frame in small.items()}
            write(
                loaded,
                name,
                large,
                {stage: target / "work" / stage / folder for stage, folder in folders.items()},
                f"{files:05d}",
                done,
                generator,
            )
            verdict = large["rules"]["dropped_by"]
            later = pl.DataFrame(
                {"1": verdict, "2": large["duplicates"]["dropped_by"], "3": large["mix"]["dropped_by"]}
            )
            final = later.select(pl.coalesce(pl.all())).to_series()
            counts.update(final.drop_nulls().to_list())
            own = large["tokens"].filter(final.is_null())
            kept.update(
                documents=own.height,
                bytes=int(own["bytes"].sum()),
                characters=int(own["characters"].sum()),
                tokens=int(own["tokens"].sum()) + own.height,
            )
            totals.update(
                documents=verdict.len(),
                bytes=int(large["documents"]["original_bytes"].sum()),
                characters=int(large["documents"]["original_characters"].sum()),
            )
            done += times
            files += 1
        source = manifest.sources[name]
        source.read, source.kept, source.dropped = Counted(**totals), Kept(**kept), dict(sorted(counts.items()))
    (target / "large").mkdir(parents=True)
    (target / "large" / "manifest.json").write_text(manifest.model_dump_json(indent=1), encoding="utf-8")


def write(
    loaded: LoadedMix,
    source: str,
    large: dict[str, pl.DataFrame],
    folders: dict[str, Path],
    part: str,
    first: int,
    generator: np.random.Generator,
) -> None:
    """Write one documents file and all its sidecars; `large["rules"]` is replaced by what the rules say now."""
    rows = large["documents"].height
    for stage in COPIED:
        if stage in large:
            write_frame(folders[stage] / f"{part}.parquet", large[stage])
    noise = generator.uniform(0.9, 1.1, rows).astype(np.float32)
    signals = large["signals"].with_columns(
        (pl.col(name) * pl.Series(noise)).alias(name)
        for name, kind in large["signals"].schema.items()
        if kind == pl.Float32
    )
    write_frame(folders["signals"] / f"{part}.parquet", signals)
    columns = [signals, large["language"].select("language_score")]
    columns += [large[kind] for kind in ("lists", "scores") if kind in large]
    own = [
        name
        for name in large["documents"].columns
        if name not in {"id", "repeat", "text", "url", "original_bytes", "original_characters", *signals.columns}
    ]
    judged = rules.judge(
        pl.concat([*columns, large["documents"].select(own)], how="horizontal"), loaded.rule_sets[source]
    )
    foreign = language.judge(large["language"], loaded.sources[source].language)
    large["rules"] = pl.DataFrame(
        {"foreign": foreign, "rule": judged["dropped_by"], "broken": judged["broken"]}
    ).select(
        dropped_by=pl.coalesce("foreign", "rule"),
        broken=pl.when(pl.col("foreign").is_null())
        .then(pl.col("broken"))
        .otherwise(pl.lit([], dtype=pl.List(pl.String))),
    )
    write_frame(folders["rules"] / f"{part}.parquet", large["rules"])
    for stage in ("duplicates", "mix"):
        write_frame(folders[stage] / f"{part}.parquet", large[stage])
    write_frame(
        folders["chance"] / f"{part}.parquet",
        large["chance"].with_columns(
            pl.Series(name, generator.integers(0, 2**64, rows, dtype=np.uint64)) for name in large["chance"].columns
        ),
    )
    write_frame(folders["tokens"] / f"{part}.counts.parquet", large["tokens"])
    writer = FrameWriter(folders["documents"] / f"{part}.parquet")
    texts = large["documents"].with_columns(id=pl.col("id") + "~" + (pl.int_range(pl.len()) + first).cast(pl.String))
    for frame in texts.iter_slices(TEXTS_A_GROUP):
        writer.write(frame)
    writer.close()
    write_json(folders["documents"] / f"{part}.json", {"parts": [{"name": part, "rows": rows}]})


def measure(build: Path, page: Path) -> dict[str, Any]:
    """`corpus-ja stats --html` in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "corpus_ja.cli", "stats", str(build), "--html", str(page), "--lang", "ja"], check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    manifest = read_manifest(build)
    return {
        "documents": sum(source.read.documents for source in manifest.sources.values()),
        "seconds": round(time.perf_counter() - began, 1),
        "processor_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak_memory_mb": round(after.ru_maxrss / 1024),
        "page_bytes": page.stat().st_size,
    }


def prepare(folder: Path, documents: int) -> Manifest:
    """Build the quickstart and multiply it, unless an earlier run did; the large manifest."""
    if not (folder / "large" / "manifest.json").is_file():
        small = folder / "small" / "quickstart"
        if not (small / "manifest.json").is_file():
            subprocess.run(
                [sys.executable, "-m", "corpus_ja.cli", "build", "--mix", str(RECIPE), "--output", str(small)],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        multiply(load_mix(RECIPE), small, folder / "small" / "work", folder, documents)
    return read_manifest(folder / "large")


def folders(keep: Path | None) -> Iterator[Path]:
    """The folder to work in: one that stays, or one that vanishes."""
    if keep is not None:
        yield keep
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)


def main() -> None:
    """Measure, and end with 1 where the promise does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="Work in this folder and leave it there; again: only measure.")
    arguments = parser.parse_args()
    for folder in folders(arguments.keep):
        prepare(folder, arguments.documents)
        found = measure(folder / "large", folder / "report.html")
        print(json.dumps({**found, "processors": os.cpu_count(), "load": os.getloadavg()[0]}))
        if found["seconds"] > 30 or found["peak_memory_mb"] > 1500 or found["page_bytes"] > 5_000_000:
            sys.exit("The promise (30 s, 1.5 GB, 5 MB) does not hold.")


if __name__ == "__main__":
    main()
