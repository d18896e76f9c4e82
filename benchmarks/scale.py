"""Does a build hold up when the data grows tenfold? Memory a worker, bytes a document in the gathers, time.

    .venv/bin/python benchmarks/scale.py                    # about five minutes on two cores, 2 GB of disk
    .venv/bin/python benchmarks/scale.py --copies 3         # a quick look

`shared-data` is built once as it is and once as N altered copies of itself, with the same recipe. A copy replaces two
runs of letters in five (hiragana, katakana, kanji, Latin, Hangul; at most four characters a run, twelve for Latin) by
another run of the same script and length from the same file, drawn by frequency. So a copy has the lengths, lines and
letter statistics of its original and still reads as its language, but shares few character 5-grams with any other copy.
That is checked in two ways: the Jaccard similarity of the copies of a sample of documents, and what the build itself
drops as duplicates.

The gathers hold every document of a mix at once. Their bytes a document are measured on made-up sidecars of one and of
three million documents, each task in a process of its own: the difference of the peaks over two million.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import yaml
import zstandard

REPOSITORY = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("CORPUS_JA_DATA") or REPOSITORY.parent / "shared" / "data")
RECIPE = REPOSITORY / "recipes" / "shared-data" / "mix.yaml"
FOLDERS = ("prose_ja", "prose_en", "noisy", "other", "oscar")
REPLACED = 0.4
PER_SHARD = ("documents", "chance", "measures", "rules", "duplicates", "tokens", "mix", "shards")
SCRIPTS = {
    1: ((0x3041, 0x3096), (0x309D, 0x309F)),
    2: ((0x30A1, 0x30FA), (0x30FC, 0x30FF)),
    3: ((0x3005, 0x3006), (0x3400, 0x4DBF), (0x4E00, 0x9FFF)),
    4: ((0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F)),
    5: ((0xAC00, 0xD7A3),),
}


# ------------------------------------------------------------------------------------------------------- altered copies


def script_table() -> npt.NDArray[np.uint8]:
    """The script of every code point: a key of `SCRIPTS`, or 0."""
    table = np.zeros(0x110000, dtype=np.uint8)
    for script, ranges in SCRIPTS.items():
        for first, last in ranges:
            table[first : last + 1] = script
    return table


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of letters of a text: where each begins, how long it is, and which others may stand in its place."""

    points: npt.NDArray[np.uint32]
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]
    group_first: npt.NDArray[np.int64]
    group_size: npt.NDArray[np.int64]

    @classmethod
    def of(cls, text: str) -> "Runs":
        """Find the runs of a text; those of a script and length can replace each other."""
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        script = script_table()[points]
        begins = np.flatnonzero(np.concatenate((np.ones(1, dtype=bool), script[1:] != script[:-1])))
        ends = np.append(begins[1:], len(points))
        letters = script[begins] > 0
        begins, ends = begins[letters], ends[letters]
        most = np.where(script[begins] == 4, 12, 4)
        pieces = -(-(ends - begins) // most)
        number = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        starts = np.repeat(begins, pieces) + number * np.repeat(most, pieces)
        lengths = np.minimum(np.repeat(ends, pieces) - starts, np.repeat(most, pieces))
        kind = script[starts].astype(np.int64) * 16 + lengths
        order = np.argsort(kind, kind="stable")
        size = np.bincount(kind, minlength=128)
        first = np.cumsum(size) - size
        return cls(points, starts, lengths, order, first[kind], size[kind])

    def altered(self, seed: int) -> str:
        """The text with `REPLACED` of its runs replaced."""
        chance = np.random.default_rng(seed)
        replaced = np.flatnonzero(chance.random(len(self.starts)) < REPLACED)
        donor = self.order[
            self.group_first[replaced] + (chance.random(len(replaced)) * self.group_size[replaced]).astype(np.int64)
        ]
        lengths = self.lengths[replaced]
        inside = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        result = self.points.copy()
        result[np.repeat(self.starts[replaced], lengths) + inside] = self.points[
            np.repeat(self.starts[donor], lengths) + inside
        ]
        return result.tobytes().decode("utf-32-le", "surrogatepass")


def write_copies(target: Path, copies: int) -> int:
    """Write altered copies of the data as `target/<copy>/<folder>/<file>`; returns the UTF-8 bytes of their texts."""
    written = 0
    for path in sorted(path for folder in FOLDERS for path in (DATA / folder).glob("*.jsonl.zst")):
        with zstandard.open(path, "rb") as file:
            records = [orjson.loads(line) for line in file.read().split(b"\n") if line]
        field = "content" if "content" in records[0] else "text"
        sizes = [len(record[field]) for record in records]
        runs = Runs.of("".join(record[field] for record in records))
        for copy in range(copies):
            text = runs.altered(seed=copy)
            place = target / str(copy) / path.parent.name / path.name
            place.parent.mkdir(parents=True, exist_ok=True)
            first = 0
            with zstandard.open(place, "wb", cctx=zstandard.ZstdCompressor(level=1)) as out:
                for record, size in zip(records, sizes, strict=True):
                    own = {**record, field: text[first : first + size]}
                    first += size
                    written += len(own[field].encode("utf-8", "surrogatepass"))
                    out.write(orjson.dumps(renamed(own, copy), option=orjson.OPT_APPEND_NEWLINE))
    return written


def renamed(record: dict[str, Any], copy: int) -> dict[str, Any]:
    """A record with an id and an address of its own, so that copies do not fall as the same page."""
    if "id" in record:
        record["id"] = f"{record['id']}@{copy}"
    if (record.get("meta") or {}).get("url"):
        record["meta"] = {**record["meta"], "url": f"{record['meta']['url']}/copy{copy}"}
    if "warc_headers" in record:
        headers = record["warc_headers"]
        own = {name: f"{headers[name]}/copy{copy}" for name in ("warc-target-uri", "warc-record-id") if name in headers}
        record["warc_headers"] = {**headers, **own}
    return record


def similarities(copies: Path, count: int, sample: int = 400) -> npt.NDArray[np.float64]:
    """Jaccard of character 5-grams between all pairs of copies of some documents (of 100 characters or more)."""
    found: list[float] = []
    chance = np.random.default_rng(0)
    for path in sorted((copies / "0").glob("*/*.jsonl.zst")):
        texts: list[list[str]] = []
        for copy in range(count):
            with zstandard.open(copies / str(copy) / path.parent.name / path.name, "rb") as file:
                lines = [line for line in file.read().split(b"\n") if line]
            if not texts:
                chosen = sorted(chance.choice(len(lines), min(len(lines), sample // 10), replace=False))
            records = [orjson.loads(lines[index]) for index in chosen]
            texts.append([record.get("text") or record.get("content") or "" for record in records])
        for versions in zip(*texts, strict=True):
            if len(versions[0]) < 100:
                continue
            shingles = [set(map("".join, zip(*(text[n:] for n in range(5)), strict=False))) for text in versions]
            found += [len(a & b) / len(a | b) for a, b in combinations(shingles, 2)]
    return np.array(found)


# --------------------------------------------------------------------------------------------------------------- builds


def write_mix(copies: Path, target: Path) -> Path:
    """The recipe with the copies in place of the data, whatever its sources are."""
    recipe = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    for source in recipe["sources"].values():
        for kind in ("jsonl", "oscar"):
            if kind in source:
                source[kind] = f"{copies}/*/" + source[kind].split("}/", 1)[1]
    recipe["name"] = "altered-copies"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(yaml.safe_dump(recipe, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return target


@dataclass(frozen=True, slots=True)
class Measured:
    """One build: wall and processor seconds of all its processes, and its manifest."""

    wall: float
    cpu: float
    manifest: dict[str, Any]

    def peak(self, stage: str) -> int:
        """The largest resident memory of a worker in a stage, bytes."""
        return max(
            (
                r["peak_memory_bytes"]
                for r in self.manifest["stages"]
                if r["stage"] == stage and r["source"] != "gathered"
            ),
            default=0,
        )

    def seconds(self, stage: str) -> float:
        """Processor seconds of a stage's tasks."""
        return sum(float(r["cpu_seconds"]) for r in self.manifest["stages"] if r["stage"] == stage)

    @property
    def read(self) -> int:
        """UTF-8 bytes of text read."""
        return sum(source["read"]["bytes"] for source in self.manifest["sources"].values())

    @property
    def documents(self) -> int:
        """Documents read."""
        return sum(source["read"]["documents"] for source in self.manifest["sources"].values())

    def dropped(self, verdict: str) -> int:
        """Documents with a verdict."""
        return sum(source["dropped"].get(verdict, 0) for source in self.manifest["sources"].values())


def build(mix: Path, output: Path, workers: int) -> Measured:
    """Build anew in an empty folder."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "corpus_ja.cli", "build", "--mix", mix, "--output", output, "--workers", str(workers)],
        check=True, stdout=subprocess.DEVNULL, env=os.environ | {"CORPUS_JA_DATA": str(DATA)},
    )  # fmt: skip
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(wall, cpu, json.loads((output / "manifest.json").read_text(encoding="utf-8")))


# -------------------------------------------------------------------------------------------------------------- gathers


def gathers(folder: Path) -> Iterator[tuple[str, str, float]]:
    """Name, unit, and bytes a document (or candidate) of every gathering task."""
    small, large = 1_000_000, 3_000_000
    for task, unit in (
        ("ids", "document"),
        ("buckets", "document"),
        ("pairs", "candidate"),
        ("survivors", "candidate"),
        ("plan", "document"),
    ):
        peaks = []
        for documents in (small, large):
            place = str(folder / f"{task}-{documents}")
            command = [sys.executable, __file__, "--gather", task, "--documents", str(documents), "--work", place]
            subprocess.run([*command, "--prepare"], check=True, stdout=subprocess.DEVNULL)
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            peaks.append(int(done.stdout.split()[-1]))
        yield task, unit, (peaks[1] - peaks[0]) / (large - small)


def gather(task: str, documents: int, folder: Path, *, prepare: bool) -> None:
    """Write the sidecars of made-up documents, or run one gathering task over them and print its peak memory."""
    import polars as pl

    from corpus_ja.executors import PeakMemory
    from corpus_ja.stages import clusters, mixing
    from corpus_ja.storage.shards import write_frame
    from corpus_ja.tasks import allotting, matching, reading

    a_part = 50_000
    parts = [f"{number:05d}" for number in range(documents // a_part)]
    chance = np.random.default_rng(1)
    if prepare:
        for number, part in enumerate(parts):
            first = number * a_part
            names = pl.Series([f"source/document-{first + row:012d}" for row in range(a_part)])
            draw = pl.DataFrame(
                {
                    name: chance.integers(0, 2**63, a_part, dtype=np.uint64)
                    for name in ("sample", "bucket", "validation")
                }
            )
            # Every document has a near duplicate, so that each is a candidate: the worst case.
            band = (np.arange(first, first + a_part, dtype=np.uint64) // 2 + 1) * np.uint64(0x9E3779B97F4A7C15)
            keys = {
                name: chance.integers(1, 2**63, a_part, dtype=np.uint64) for name in ("key_high", "key_low", "url_key")
            }
            ones = pl.Series([1], dtype=pl.UInt32).new_from_index(0, a_part)
            write_frame(folder / "documents" / f"{part}.parquet", pl.DataFrame({"id": names, "repeat": ones}))
            write_frame(folder / "chance" / f"{part}.parquet", draw)
            write_frame(
                folder / "rules" / f"{part}.parquet",
                pl.DataFrame({"dropped_by": pl.Series([None] * a_part, dtype=pl.String)}),
            )
            write_frame(
                folder / "signatures" / f"{part}.parquet",
                pl.DataFrame({**keys, "length": ones * 1000, "head": names, "band_0": band}),
            )
            write_frame(
                folder / "counts" / f"{part}.parquet",
                pl.DataFrame({"bytes": ones * 3000, "characters": ones * 1000, "tokens": ones * 1000}),
            )
        if task == "pairs":
            matching.FindBuckets(_match_parts(folder, parts, a_part), "band_0", folder).run()
        return
    with PeakMemory() as peak:
        if task == "ids":
            reading.NumberRepeats("source", folder / "documents", tuple(parts), None).run()
        elif task == "buckets":
            matching.FindBuckets(_match_parts(folder, parts, a_part), "band_0", folder).run()
        elif task == "pairs":
            matching.PairUp(_match_parts(folder, parts, a_part), ("band_0",), 8, folder, folder).run()
        elif task == "survivors":
            everyone = np.arange(documents)
            clusters.survivors(everyone.astype(np.uint32), everyone, everyone.reshape(-1, 2))
        else:
            places = tuple(
                allotting.MixPart(
                    "source", part, folder / "chance" / f"{part}.parquet", folder / "rules" / f"{part}.parquet", None,
                    folder / "counts" / f"{part}.parquet", 2**54,
                )
                for part in parts
            )  # fmt: skip
            # Three quarters of what there is, so that a cut-off has to be found.
            wish = (("source", mixing.Wish()),)
            allotting.PlanMix(places, wish, documents * 750, "fill", True, 1, folder).run()
    print(peak.bytes)


def _match_parts(folder: Path, parts: list[str], rows: int) -> Path:
    from corpus_ja.tasks.matching import Part, write_parts

    own = [
        Part(
            "source", part, rows, folder / "documents" / f"{part}.parquet", folder / "signatures" / f"{part}.parquet",
            folder / "rules" / f"{part}.parquet", folder / "chance" / f"{part}.parquet", "near", 0, 2**54,
        )
        for part in parts
    ]  # fmt: skip
    return write_parts(folder / "parts.json", own)


# ----------------------------------------------------------------------------------------------------------------- main


def main() -> None:
    """Measure, and say for every promise whether it holds; the exit status is the number of those that do not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path("builds") / "scale", help="where copies and builds go")
    parser.add_argument("--gather", choices=("ids", "buckets", "pairs", "survivors", "plan"), help=argparse.SUPPRESS)
    parser.add_argument("--documents", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--prepare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.gather:
        gather(options.gather, options.documents, options.work, prepare=options.prepare)
        return
    if not DATA.is_dir():
        sys.exit(f"The shared data is not at {DATA}; set CORPUS_JA_DATA to its folder.")
    work = options.work.resolve()
    if work.exists():
        sys.exit(f"{work} exists; remove it first, so that nothing of an earlier run is counted.")
    copies = work / "copies"
    size = write_copies(copies, options.copies)
    jaccard = similarities(copies, options.copies)
    print(f"{options.copies} altered copies, {size / 1e6:,.0f} MB of text.")
    print(
        f"Jaccard of 5-grams between copies, {len(jaccard):,} pairs: mean {jaccard.mean():.3f}, "
        f"99.9% below {np.quantile(jaccard, 0.999):.3f}, largest {jaccard.max():.3f}."
    )
    one = build(RECIPE, work / "one" / "out", options.workers)
    many = build(write_mix(copies, work / "many" / "mix.yaml"), work / "many" / "out", options.workers)
    for name, built in (("as it is", one), ("copies", many)):
        print(
            f"{name}: {built.documents:,} documents, {built.read / 1e6:,.0f} MB in {built.wall:,.1f} s "
            f"({built.cpu:,.1f} s of processor); "
            f"dropped as exact {built.dropped('duplicate.exact'):,}, near {built.dropped('duplicate.near'):,}, "
            f"url {built.dropped('duplicate.url'):,}, language {built.dropped('language'):,}."
        )
    print(
        f"\n{'stage':<12}{'MB as it is':>12}{'MB copies':>12}{'ratio':>8}{'processor s':>14}{'copies':>10}{'ratio':>8}"
    )
    for stage in PER_SHARD:
        a, b, s, t = one.peak(stage), many.peak(stage), one.seconds(stage), many.seconds(stage)
        print(
            f"{stage:<12}{a / 1e6:>12,.0f}{b / 1e6:>12,.0f}{b / max(a, 1):>8.2f}"
            f"{s:>14.2f}{t:>10.2f}{t / max(s, 1e-9):>8.1f}"
        )
    print("\ngathers, bytes of memory:")
    for task, unit, size_each in gathers(work / "gathers"):
        print(f"  {task:<10} {size_each:6.0f} a {unit}")
    worst = max(many.peak(stage) for stage in PER_SHARD)
    growth = worst / max(one.peak(stage) for stage in PER_SHARD)
    factor = many.read / one.read
    promises = (
        (f"peak memory of a worker {worst / 1e9:.2f} GB, at most 1.5", worst <= 1.5e9),
        (f"{growth:.2f} times that of the data as it is, at most 1.2", growth <= 1.2),
        (
            f"processor time {many.cpu / one.cpu:.1f} times for {factor:.1f} times the text",
            many.cpu <= one.cpu * factor,
        ),
        (f"wall time {many.wall / one.wall:.1f} times for {factor:.1f} times the text", many.wall <= one.wall * factor),
        (f"largest Jaccard between copies {jaccard.max():.2f}, below 0.8", jaccard.max() < 0.8),
    )
    print()
    for sentence, holds in promises:
        print(f"{'holds' if holds else 'FAILS'}: {sentence}")
    sys.exit(sum(not holds for _, holds in promises))


if __name__ == "__main__":
    main()
