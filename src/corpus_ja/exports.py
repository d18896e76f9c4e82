"""A build's documents, out of `work/`: the cleaned text of those kept, or the verdict and every signal of all of them.

Both stream, one documents file at a time. `work/` is found beside the build folder; a build whose work was cleaned
away can be made again from its mix, so its absence is a sentence.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson
import polars as pl
import zstandard

from corpus_ja.errors import ManifestError
from corpus_ja.storage.manifest import Manifest, read_manifest
from corpus_ja.storage.shards import FrameWriter, read_frame, read_json, replacing
from corpus_ja.tasks.judging import NOT_SIGNALS

Form = Literal["parquet", "jsonl.zst"]


@dataclass(frozen=True, slots=True)
class Stored:
    """One documents file of a build and where its sidecars lie."""

    source: str
    part: str
    folders: dict[str, Path]

    def read(self, stage: str, columns: list[str] | None = None) -> pl.DataFrame:
        """A sidecar, or an empty selection where the build had no such stage."""
        return read_frame(self.folders[stage] / f"{self.part}.parquet", columns)

    def columns(self) -> dict[str, pl.DataType]:
        """The columns of the documents file and their types."""
        return dict(pl.read_parquet_schema(self.folders["documents"] / f"{self.part}.parquet"))

    def verdict(self) -> pl.Series:
        """The document's verdict: the first in stage order, null for those kept."""
        found = [
            self.read(stage, ["dropped_by"])["dropped_by"]
            for stage in ("rules", "duplicates", "mix")
            if stage in self.folders
        ]
        frame = pl.DataFrame({str(number): series for number, series in enumerate(found)})
        return frame.select(pl.coalesce(pl.all())).to_series().alias("dropped_by")


def stored(build: Path, work: Path | None) -> tuple[Manifest, list[Stored]]:
    """The documents files of a build, in order."""
    manifest = read_manifest(build)
    folder = work or build.parent / "work"
    parts: list[Stored] = []
    for source in manifest.source_names:
        folders = {
            stage: folder / stage / names[source]
            for stage, names in manifest.work.items()
            if source in names and stage != "shards"
        }
        missing = next((place for place in folders.values() if not place.is_dir()), None)
        if missing is not None:
            raise ManifestError(
                f"The documents of {build} are not in {folder} ({missing.name} is missing); name its folder with --work, or build again."
            )
        for report in sorted(folders["documents"].glob("[0-9]*.json")):
            parts += [Stored(source, part["name"], folders) for part in read_json(report)["parts"]]
    return manifest, parts


def export_kept(build: Path, work: Path | None, target: Path, form: Form) -> int:
    """Write the cleaned text of every kept document to `target/<source>-NNNNN.<form>`; returns their number."""
    _, parts = stored(build, work)
    target.mkdir(parents=True, exist_ok=True)
    written = 0
    counters: dict[str, int] = {}
    for part in parts:
        number = counters[part.source] = counters.get(part.source, -1) + 1
        kept = part.read("documents").filter(part.verdict().is_null())
        kept = kept.drop("repeat", "original_bytes", "original_characters").with_columns(source=pl.lit(part.source))
        path = target / f"{part.source}-{number:05d}.{form}"
        if form == "parquet":
            writer = FrameWriter(path)
            writer.write(kept)
            writer.close()
        else:
            _write_jsonl(path, kept)
        written += kept.height
    return written


def _write_jsonl(path: Path, frame: pl.DataFrame) -> None:
    with (
        replacing(path) as temporary,
        temporary.open("wb") as raw,
        zstandard.ZstdCompressor(level=3).stream_writer(raw) as packed,
    ):
        for row in frame.iter_rows(named=True):
            packed.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


def verdicts(build: Path, work: Path | None) -> Iterator[pl.DataFrame]:
    """`id`, `source`, `dropped_by`, how often it was taken, its cluster, its broken rules and every signal, a file at
    a time.

    Columns that a source brings (its own, a sidecar's) are signals too, null for the others. Documents that `where` or
    `fraction` left out have a verdict and no signals.
    """
    manifest, parts = stored(build, work)
    brought = _brought_columns(parts)
    for part in parts:
        frame = part.read("documents", ["id"]).with_columns(
            part.verdict(), source=pl.lit(part.source), broken=part.read("rules", ["broken"])["broken"].list.join(",")
        )
        mix = part.read("mix")
        frame = frame.with_columns(times_taken=mix["times"], held_out=mix["held_out"])
        if "duplicates" in part.folders:
            frame = frame.hstack(part.read("duplicates", ["cluster", "cluster_size"]))
        if "overlaps" in part.folders:
            overlaps = part.read("overlaps", ["evaluation_items", "context_items"])
            frame = frame.hstack(overlaps.select(pl.all().list.join(",")))
        for kind in ("language", "signals", "lists", "scores"):
            if kind in part.folders:
                frame = frame.hstack(part.read(kind))
        own = part.read("documents", [name for name in part.columns() if name in brought])
        frame = frame.with_columns(
            (own[name] if name in own.columns else pl.lit(None)).cast(kind).alias(name)
            for name, kind in brought.items()
            if name not in frame.columns
        )
        yield frame.select("id", "source", "dropped_by", pl.exclude("id", "source", "dropped_by"))
    for source in manifest.source_names:
        folder = (work or build.parent / "work") / "documents" / manifest.work["documents"][source]
        for path in sorted(folder.glob("*.set_aside.parquet")):
            aside = read_frame(path, ["id", "reason"]).filter(~pl.col("reason").str.starts_with("unreadable/"))
            if aside.height:
                yield aside.select("id", pl.lit(source).alias("source"), pl.col("reason").alias("dropped_by"))


def _brought_columns(parts: list[Stored]) -> dict[str, pl.DataType]:
    """The columns of all sources beyond our own; text where two sources disagree about a type."""
    brought: dict[str, pl.DataType] = {}
    for part in parts:
        for name, kind in part.columns().items():
            if name not in NOT_SIGNALS and brought.setdefault(name, kind) != kind:
                brought[name] = pl.String()
    return brought


def export_verdicts(build: Path, work: Path | None, target: Path) -> int:
    """Write `verdicts` to one .parquet or .jsonl file, by its ending; returns the number of documents."""
    rows = 0
    first: pl.DataFrame | None = None
    if target.suffix == ".jsonl":
        with replacing(target) as temporary, temporary.open("wb") as file:
            for frame in verdicts(build, work):
                buffer = io.BytesIO()
                frame.write_ndjson(buffer)
                file.write(buffer.getvalue())
                rows += frame.height
        return rows
    writer = FrameWriter(target)
    for frame in verdicts(build, work):
        first = frame.clear() if first is None else first
        # Documents left out while reading have few columns; the file has one schema.
        writer.write(
            pl.concat(
                [first, frame.cast({n: t for n, t in first.schema.items() if n in frame.columns})], how="diagonal"
            )
        )
        rows += frame.height
    if first is None:
        writer.write(pl.DataFrame(schema=dict.fromkeys(("id", "source", "dropped_by"), pl.String)))
    writer.close()
    return rows
