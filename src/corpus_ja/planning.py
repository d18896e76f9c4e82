"""`corpus-ja plan`: what a mix will give, from a sample, before anything long begins.

Of every source a few thousand documents, those with the lowest draws of a hash of their ids, go through the build's
own stages in a temporary folder: reading, cleaning, measures, rules, duplicates, tokens. What became of them is scaled
by bytes and not by documents: kept tokens a byte of text, times the bytes there are (a ratio estimate). Texts differ
in length a thousandfold and in tokens a byte hardly, so its error is a fraction of the other's. The bytes are exact
where a source is read whole, which a plan does up to `READ_BYTES`; beyond, what was read stands for the rest by its
share of the bytes as stored. Intervals are for 99%, from the spread of the sample's documents round the ratio and the
finite number of documents, so a source that fits the sample has none.

Repeated lines (`repeats`) are counted in everything that was read and leave the sample's documents; where a part of a
source was read, the number of documents that makes a line boilerplate shrinks with it, and the plan says so. A
vocabulary to be extended learns from the sample. What it then costs is too little, for it knows that text, and what an
extension from one half costs on the other half is too much; the truth lies between (measured: 8,000 entries from 1,000
documents 0.559 tokens a character, half on half 0.589, learnt from 4,000 documents 0.568).

Duplicates are the one thing a sample hardly shows: of two copies it mostly holds one. The copies found are divided by
the sampled share, the upper end leaves them as found, and the lower end is what Poisson's law allows when so few were
found, over all sources of the same language.

Cost: reading (60 to 100 MB/s), and the build's own work on the sample: 15 s of processor time for 2,000 documents each
of shared/data's six sources. Rejected: the first N documents (files are sorted by something), scaling by documents,
and a bootstrap (the ratio's own formula says the same).
"""

import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import xxhash
import zstandard
from rich.console import Console

from corpus_ja import pipeline
from corpus_ja.building import Build, Observer, Reached, heldout_bound, place, summed
from corpus_ja.config import LoadedMix
from corpus_ja.documents import below, draws, is_below
from corpus_ja.errors import ConfigError, MixError
from corpus_ja.executors import Executor
from corpus_ja.report import plain_table, printable
from corpus_ja.stages import mixing, repeats, vocabulary
from corpus_ja.stages.clean import clean_counted
from corpus_ja.stages.repeats import Repeats
from corpus_ja.stages.tokens import hugging_face_tokenizer
from corpus_ja.storage.manifest import Counted, fingerprint
from corpus_ja.storage.shards import read_frame, read_json, read_rows, write_frame, write_json
from corpus_ja.storage.sources import Batch, Piece, cut_tasks, extra_columns, read_pieces
from corpus_ja.tasks import Job, reading, repeating, vocabularies

SAMPLE = 2_000
"""Documents of each source that a plan looks at, unless told otherwise."""
READ_BYTES = 256_000_000
"""Text (UTF-8 bytes) of a source after which a plan reads no further, and scales by what is stored."""
LEARN_BYTES = 3_000_000
"""Text that teaches an extended vocabulary of a plan, all its sources together: 9 s of processor time for 8,000
entries, learnt twice. A build learns from up to 40 MB."""
LEARNING_GROWS = 1.3
"""The power of the text with which learning's time grows: 1.1 MB 1.9 s, 2.7 MB 3.9, 6.9 MB 12 to 13, 24 MB 64."""
SIGMAS = 2.576
"""Standard errors on either side of an estimate: 99% of a normal distribution."""
UNSEEN = 4.6
"""Copies that may be there when none is found, in units of one over the share looked at: exp(-4.6) is 1%."""
POOR_BYTES_PER_TOKEN = 2.6
"""Below this a vocabulary hardly fits a language. GPT-2's: English 4.0 to 4.5, Japanese 1.9 to 2.1; llm-jp's: Japanese
4.9 (all on shared/data)."""
BYTES_PER_TOKEN_ON_DISK = 1.5
"""Of a training shard: ids of 16 bits under zstd, with ids of documents (training.md, section 1: 1.34 without)."""

ORDER = "plan_order"
"""A column of the sample: the documents' places among the build's rows."""
_ROW_BITS = 40


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and the interval it should lie in."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> "Estimate":
        """The same, scaled."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """What a source holds and what the mix takes of it.

    `share` of its documents was looked at; `whole`: all of it was read, so `bytes` and `documents` are exact.
    `dropped` are shares of the sampled documents, by verdict. `available` tokens in one pass; `asked` and `taken`
    tokens over all passes.
    """

    name: str
    documents: float
    bytes: float
    sampled: int
    share: float
    whole: bool
    dropped: dict[str, float]
    kept: Estimate
    tokens_per_character: float | None
    bytes_per_token: float | None
    weight: float | None
    available: int
    asked: int
    taken: int
    epochs: float
    most: int

    @property
    def dry(self) -> bool:
        """Whether the mix takes everything that this source may give."""
        return self.most > 0 and self.taken >= 0.999 * self.most


@dataclass(frozen=True, slots=True)
class Plan:
    """What the mix comes to; `conflict` is why the build would refuse it, `warnings` are sentences for a person."""

    name: str
    sources: dict[str, SourcePlan]
    tokens: int
    budget: int | None
    conflict: str | None
    warnings: tuple[str, ...]
    hours: float
    workers: int
    memory_bytes: int
    disk_bytes: int

    def as_json(self) -> dict[str, Any]:
        """The JSON shape of `corpus-ja plan --json`."""
        return {
            "name": self.name,
            "budget": self.budget,
            "tokens": self.tokens,
            "conflict": self.conflict,
            "warnings": list(self.warnings),
            "hours": round(self.hours, 4),
            "workers": self.workers,
            "memory_bytes": self.memory_bytes,
            "disk_bytes": self.disk_bytes,
            "sources": {
                name: {
                    "documents": round(source.documents),
                    "bytes": round(source.bytes),
                    "sampled_documents": source.sampled,
                    "read_whole": source.whole,
                    "dropped": {verdict: round(share, 5) for verdict, share in source.dropped.items()},
                    "kept_tokens": {
                        "estimate": round(source.kept.value), "low": round(source.kept.low), "high": round(source.kept.high),
                    },
                    "tokens_per_character": source.tokens_per_character,
                    "bytes_per_token": source.bytes_per_token,
                    "weight": source.weight,
                    "available_tokens": source.available,
                    "asked_tokens": source.asked,
                    "taken_tokens": source.taken,
                    "epochs": round(source.epochs, 4),
                    "runs_dry": source.dry,
                }
                for name, source in self.sources.items()
            },
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReadSample(reading.ReadDocuments):
    """Read the `count` documents of a source with the lowest draws, and how much there is besides.

    `most_bytes` of text are read; pieces come in the order of a hash of their names, so that what is read is no
    beginning.
    """

    count: int = SAMPLE
    most_bytes: int = READ_BYTES
    repeated: Repeats | None = None

    @property
    def seen_report(self) -> Path:
        """Where the numbers of everything that was read lie."""
        return self.folder / f"{self.index:05d}.seen.json"

    @property
    def seen_pieces(self) -> Path:
        """Where the pieces of everything that was read lie, if the source asks for `repeats`: `key`, `documents`,
        `first` (a document's `order`).
        """
        return self.folder / f"{self.index:05d}.seen.parquet"

    def batches(self) -> Iterator[Batch]:
        """One batch: the sample."""
        seen = {"documents": 0, "bytes": 0, "stored": 0.0, "whole": True, "where": 0, "unreadable": 0}
        kept: list[Batch] = []
        pieces = [pl.DataFrame(schema={"key": pl.UInt64, "documents": pl.Int64, "first": pl.Int64})]
        per_file: dict[str, int] = {}
        for piece in self.pieces:
            per_file[piece.file.name] = per_file.get(piece.file.name, 0) + 1
        ordered = sorted(
            enumerate(self.pieces),
            key=lambda one: xxhash.xxh3_64_intdigest(f"{self.seed}\0plan\0{one[1].file.name}\0{one[1].row_groups}"),
        )
        for number, piece in ordered:
            if seen["bytes"] >= self.most_bytes:
                seen["whole"] = False
                break
            share = self._read(number, piece, seen, kept, pieces)
            seen["stored"] += share * piece.file.bytes / per_file[piece.file.name]
        batch = _lowest(kept, self.count)
        write_json(self.seen_report, seen)
        if self.repeated is not None:
            write_frame(self.seen_pieces, _added(pieces))
        if batch is not None:
            # In the build's order, by which equal copies and new entries are chosen.
            frame = batch.frame.sort(ORDER).drop("draw")
            yield Batch(frame if self.repeated is not None else frame.drop(ORDER), batch.set_aside)

    def _read(
        self, number: int, piece: Piece, seen: dict[str, Any], kept: list[Batch], pieces: list[pl.DataFrame]
    ) -> float:
        """Read a piece into `kept`; the share of it that was read, estimated where that is not all."""
        text = packed = 0
        for batch in read_pieces((piece,), self.reading, extra=dict(self.extra)):
            ids = (
                f"{self.source}/"
                + batch.frame.select(
                    pl.coalesce("given_id", pl.col("file") + "#" + pl.col("row").cast(pl.String))
                ).to_series()
            )
            mine = is_below(draws(self.seed, "sample", ids), self.fraction) | is_below(
                draws(self.validation_seed, "validation", ids), self.validation
            )
            frame = batch.frame.with_columns(draw=pl.Series(draws(self.seed, "plan", ids))).filter(pl.Series(mine))
            # The order of the build's rows: by piece, then by row.
            frame = frame.with_columns((pl.lit(number << _ROW_BITS) + pl.col("row").cast(pl.Int64)).alias(ORDER))
            if self.repeated is not None:
                pieces.append(self._count(frame))
                if sum(one.height for one in pieces) > 2 * repeating.PIECES_A_RANGE:
                    pieces[:] = [_added(pieces)]
            size = int(frame["text"].str.len_bytes().sum())
            reasons = batch.set_aside["reason"]
            seen["documents"] += frame.height
            seen["bytes"] += size
            seen["where"] += int((reasons == "where").sum())
            seen["unreadable"] += int(reasons.str.starts_with("unreadable/").sum())
            kept.append(Batch(frame, batch.set_aside.clear()))
            if sum(one.frame.height for one in kept) > 4 * self.count:
                lowest = _lowest(kept, self.count)
                kept[:] = [lowest] if lowest is not None else []
            text += int(batch.frame["text"].str.len_bytes().sum())
            if seen["bytes"] >= self.most_bytes and piece.row_groups is None:
                if piece.file.name.endswith((".gz", ".zst")):
                    joined = "\n".join(batch.frame["text"]).encode()
                    packed = int(len(zstandard.compress(joined, 3)) / max(1, len(joined)) * text)
                else:
                    packed = text
                if packed < 0.9 * piece.file.bytes:
                    seen["whole"] = False
                    return packed / piece.file.bytes
        return 1.0

    def _count(self, frame: pl.DataFrame) -> pl.DataFrame:
        """In how many of these documents each piece stands, and the first of them, as the build counts it: after
        cleaning.
        """
        assert self.repeated is not None  # noqa: S101 - asked by the caller
        order = frame[ORDER].to_numpy()
        _, document, keys = repeats.pieces(clean_counted(frame["text"], self.cleaning)[0], self.repeated)
        key, documents, first = repeats.documents_with(document, keys)
        return pl.DataFrame({"key": key, "documents": documents, "first": order[first]})


def _added(pieces: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Counts added up, the first document of each piece, sorted by key."""
    return pl.concat(pieces).group_by("key").agg(pl.col("documents").sum(), pl.col("first").min()).sort("key")


def _lowest(batches: Sequence[Batch], count: int) -> Batch | None:
    """The records with the lowest draws."""
    if not batches:
        return None
    frame = pl.concat([batch.frame for batch in batches])
    if frame.height > count:
        bound = frame["draw"].sort()[count - 1]
        frame = frame.filter(pl.col("draw") <= bound)
    return Batch(frame, batches[0].set_aside)


def make_plan(
    loaded: LoadedMix,
    executor: Executor,
    observer: Observer,
    sample: int = SAMPLE,
    cache: Path | None = None,
    scratch: Path | None = None,
) -> Plan:
    """Plan a mix from `sample` documents a source.

    `cache`: a work folder whose `inputs.json` knows checksums of files already; `scratch`: where the temporary folder
    is made. Raises SourceError and its kin for what could not be built either.
    """
    folder = Path(tempfile.mkdtemp(prefix="corpus-ja-plan-", dir=scratch))
    try:
        if cache is not None and (cache / "inputs.json").is_file():
            shutil.copyfile(cache / "inputs.json", folder / "inputs.json")
        return _planned(loaded, Build(loaded, folder / "build", folder, executor, observer), sample)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _planned(loaded: LoadedMix, build: Build, sample: int) -> Plan:
    reached = pipeline.list_sources(loaded, build.work)
    warnings: list[str] = []
    seen = _read_samples(build, reached, sample)
    warnings += _drop_repeats(build, reached, seen)
    pipeline.chance(build, reached)
    pipeline.measures(build, reached)
    pipeline.judge(build, reached)
    try:
        pipeline.duplicates(build, reached)
    except MixError as error:
        warnings.append(f"Of the sample: {error}")
    learnt = _learn(build, reached, seen)
    warnings += learnt.sentences
    pipeline.encode(build, reached)
    frames = {state.name: _fates(build, state, seen[state.name]) for state in reached}
    shares = {state.name: _share(state, seen[state.name]) for state in reached}
    sources: dict[str, SourcePlan] = {}
    for state in reached:
        # Copies stand in sources of the same language.
        alike = [
            one.name
            for one in reached
            if None in {one.source.language, state.source.language} or one.source.language == state.source.language
        ]
        partner = min(
            min(1.0, frames[name].height * shares[name] / max(1, seen[name]["documents"]))
            for name in alike
            if frames[name].height or name == state.name
        )
        sources[state.name] = _source_plan(
            loaded, state, frames[state.name], seen[state.name], shares[state.name], partner, learnt.factor(state.name)
        )
    sources, tokens, conflict = _mixed(loaded, sources, frames)
    warnings += _hidden_clusters(loaded, sources, frames)
    warnings += _warnings(build.loaded, sources)
    hours, memory, disk = _costs(build, sources, seen, frames, tokens)
    hours += learnt.build_seconds / 3600
    return Plan(
        name=loaded.mix.name,
        sources=sources,
        tokens=tokens,
        budget=loaded.mix.budget,
        conflict=conflict,
        warnings=tuple(warnings),
        hours=hours / build.executor.workers,
        workers=build.executor.workers,
        memory_bytes=memory,
        disk_bytes=disk,
    )


def _read_samples(build: Build, reached: Sequence[Reached], sample: int) -> dict[str, dict[str, Any]]:
    """Stage 1 on a sample: fills in what the later stages ask of a source; what was read of each, by name."""
    mix = build.loaded.mix
    jobs: list[ReadSample] = []
    for state in reached:
        folder = state.folders["documents"] = build.folder("documents", state.name, state.prints["documents"])
        jobs.append(
            ReadSample(
                source=state.name,
                index=0,
                pieces=tuple(piece for task in cut_tasks(state.files, state.source) for piece in task),
                reading=state.source,
                cleaning=state.source.clean,
                fraction=below(state.source.fraction),
                seed=mix.seed,
                validation=heldout_bound(build.loaded, state),
                validation_seed=mix.validation_seed,
                extra=tuple(extra_columns(state.files, state.source).items()),
                folder=folder,
                count=sample,
                most_bytes=READ_BYTES,
                repeated=state.source.repeats,
            )
        )
    numbering: list[Job] = []
    seen: dict[str, dict[str, Any]] = {}
    for state, job, report in zip(reached, jobs, build.run("documents, a sample", jobs), strict=True):
        state.parts = [part["name"] for part in report["parts"]]
        state.rows = {part["name"]: part["rows"] for part in report["parts"]}
        state.read = Counted(**report["read"])
        state.unreadable, state.dropped = report["unreadable"], report["dropped"]
        seen[state.name] = {
            **read_json(job.seen_report),
            "pieces": job.seen_pieces,
            "sample": report["read"],
            "cpu_seconds": report["cpu_seconds"],
            "empty": sum(report["unreadable"].values()),
        }
        build.record("documents", state.name, state.prints["documents"], [report])
        numbering.append(reading.NumberRepeats(state.name, job.folder, tuple(state.parts), None))
    build.run("ids", numbering)
    return seen


def _drop_repeats(build: Build, reached: Sequence[Reached], seen: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """Take the pieces that many documents of a source repeat out of its sample; sentences where that is a guess.

    Counted was everything that was read; the sample's documents are then written anew by the build's own task.
    Documents of which nothing is left go into `seen` ("emptied": a row of `_fates` each).
    """
    for state in reached:
        settings = state.source.repeats
        if settings is None or not state.parts:
            continue
        own, read = seen[state.name], _share(state, seen[state.name])
        least = settings.documents if read == 1 else max(2, math.ceil(read * settings.documents))
        counted = read_frame(own["pieces"]).filter(pl.col("documents") >= least)
        as_read = state.folders["documents"]
        place(build, state, "documents", fingerprint([state.prints["documents"], "without repeats"]))
        folder = state.folders["documents"]
        rows = pl.concat([read_frame(as_read / f"{part}.parquet", [ORDER]) for part in state.parts]).with_row_index(
            "at"
        )
        keeps = counted.join(rows, left_on="first", right_on=ORDER, how="left", maintain_order="left")
        write_frame(folder / "repeated.parquet", keeps.select("key", row=pl.col("at").cast(pl.Int64).fill_null(-1)))
        job = repeating.DropRepeats(state.name, "00000", tuple(state.parts), 0, as_read, settings, folder)
        report = build.run("repeats: drop", [job])[0]
        build.record("repeats", state.name, state.prints["documents"], [report], folder="documents")
        state.parts = [part["name"] for part in report["parts"]]
        state.rows = {part["name"]: part["rows"] for part in report["parts"]}
        aside = read_frame(folder / "00000.set_aside.parquet", ["reason", "bytes"])
        own["emptied"] = aside.filter(pl.col("reason") == repeating.VERDICT)["bytes"]
        if read < 1:
            yield (
                f"{state.name}: `repeats` takes out what stands in {settings.documents:,} documents of the source; {read:.1%} of it was read, and what "
                f"stands in {least:,} of that was taken for such. What leaves may be more or less."
            )


@dataclass(frozen=True, slots=True)
class Learnt:
    """How far the sample's extension misjudges the tokens of a build that learns from more text.

    `sources` taught it; `excess`: how many times more tokens one half of that text costs with an extension learnt from
    the other half. `build_seconds`: processor seconds that the build's learning takes.
    """

    sources: tuple[str, ...] = ()
    excess: float = 1.0
    build_seconds: float = 0.0
    sentences: tuple[str, ...] = ()

    def factor(self, source: str) -> Estimate:
        """What tokens counted with the sample's extension are to be multiplied by.

        A source that taught it: the build's costs more on that text, less than the excess. Another: less, if anything.
        """
        if source in self.sources:
            return Estimate(self.excess**0.5, 1.0, self.excess)
        return Estimate(1.0, 1 / self.excess, 1.0)


@dataclass(frozen=True, slots=True)
class LearnTwice(vocabularies.LearnVocabulary):
    """Extend the tokenizer by the sample, and by half of it to see what the other half then costs."""

    def run(self) -> dict[str, Any]:
        """Learn and save; the report of that, with `taught` and `living` (bytes of text that taught, and that could
        have) and `excess`.
        """
        report = super(LearnTwice, self).run()
        teaching = [part for part in self.parts if part.source in self.extension.sources]
        most = self.extension.max_bytes // len(self.extension.sources)
        texts = [text for part in teaching for text in _living(part, most)]
        half = vocabulary.extend(self.tokenizer, texts[::2], self.extension.add)
        whole = hugging_face_tokenizer(self.folder, "tokenizer.json")
        costs = [
            sum(len(one.ids) for one in encoder.encode_batch_fast(texts[1::2], add_special_tokens=False))
            for encoder in (half, whole)
        ]
        taught = sum(len(text.encode()) for text in texts)
        living = sum(int(part.read().filter(~pl.col("held_out"))["size"].sum()) for part in teaching)
        return {**report, "taught": taught, "living": living, "excess": max(1.0, costs[0] / max(1, costs[1]))}


def _living(part: vocabularies.Candidates, most: int) -> list[str]:
    """Texts that are kept and not held out, those with the lowest draws, up to so many bytes."""
    chosen = part.read().filter(~pl.col("held_out")).sort("sample")
    rows = chosen.filter(pl.col("size").cum_sum() <= most)["row"].to_numpy().astype(np.int64)
    return read_rows(part.documents, ["text"], np.sort(rows))["text"].to_list()


def _learn(build: Build, reached: Sequence[Reached], seen: Mapping[str, Mapping[str, Any]]) -> Learnt:
    """Extend the tokenizer by the sample where the mix asks for it; `build` goes on with the extended one."""
    loaded = build.loaded
    extension = loaded.mix.tokenizer
    if isinstance(extension, str):
        return Learnt()
    here = extension.model_copy(update={"max_bytes": min(LEARN_BYTES, extension.max_bytes)})
    folder = build.folder("vocabulary", "sample", "0")
    try:
        task = LearnTwice(pipeline.candidates(build, reached), here, loaded.tokenizer, folder)
        report = build.run("vocabulary", [task])[0]
    except ConfigError as error:
        return Learnt(sentences=(f"Planned with {loaded.tokenizer.name} as it is. Of the sample: {error}",))
    pipeline.go_on_with(build, extension, folder)
    teachers = [state for state in reached if state.name in extension.sources]
    there = {state.name: seen[state.name]["bytes"] / _share(state, seen[state.name]) for state in teachers}
    grown = sum(there.values()) / max(1, sum(seen[name]["sample"]["bytes"] for name in there))
    of_build = min(report["living"] * grown, extension.max_bytes)
    # The whole was learnt from, and then half of it.
    seconds = report["cpu_seconds"] / 1.5 * (of_build / max(1, report["taught"])) ** LEARNING_GROWS
    uncut = here.max_bytes == extension.max_bytes or max(there.values()) <= here.max_bytes // len(teachers)
    if uncut and all(seen[name]["documents"] == seen[name]["sample"]["documents"] for name in there):
        # The build learns from the same text.
        return Learnt(extension.sources, build_seconds=seconds)
    return Learnt(
        sources=extension.sources,
        excess=report["excess"],
        build_seconds=seconds,
        sentences=(
            (
                f"Planned with {report['learned']:,} entries learnt from {report['taught'] / 1e6:,.1f} MB of the sample, where the build learns from "
                f"about {of_build / 1e6:,.1f} MB: tokens of {', '.join(extension.sources)} are uncertain by {report['excess'] - 1:.1%} more."
            ),
        ),
    )


def _fates(build: Build, state: Reached, seen: Mapping[str, Any]) -> pl.DataFrame:
    """One row a sampled document: draws, bytes, characters, tokens, verdict, whether it is held out."""
    parts = []
    for part in state.parts:
        judged = pipeline.mix_part(build, state, part).read(1 + int(build.loaded.mix.bos))
        original = read_frame(state.file("documents", part), ["original_bytes"])
        parts.append(pl.concat([judged, original], how="horizontal"))
    emptied = seen.get("emptied", [])
    gone = pl.DataFrame(
        {
            "sample": [0] * len(emptied),
            "dropped_by": [repeating.VERDICT] * len(emptied),
            "original_bytes": emptied,
            **{name: [0] * len(emptied) for name in ("bytes", "characters", "tokens")},
            "cluster_size": [1] * len(emptied),
            "held_out": [False] * len(emptied),
        },
        schema_overrides={
            "sample": pl.UInt64, "bytes": pl.UInt32, "characters": pl.UInt32, "tokens": pl.Int64, "dropped_by": pl.String,
            "held_out": pl.Boolean, "original_bytes": pl.UInt64, "cluster_size": pl.UInt32,
        },
    )  # fmt: skip
    return pl.concat([*(part.select(gone.columns) for part in parts), gone])


def _share(state: Reached, seen: Mapping[str, Any]) -> float:
    """The share of the source's stored bytes that was read; 1 where all of it was."""
    stored = sum(file.bytes for file in state.files)
    return 1.0 if seen["whole"] or not stored else max(seen["stored"] / stored, 1e-12)


def ratio(
    parts: np.ndarray[Any, np.dtype[np.float64]],
    wholes: np.ndarray[Any, np.dtype[np.float64]],
    total: float,
    share: float,
) -> tuple[float, float]:
    """A ratio estimate of the sum of `parts` over all documents, and its standard error.

    `parts` and `wholes` (float64 [sampled documents]) are what is asked and the bytes of each, `total` the bytes of
    all documents, `share` the sampled share of the documents. With parts equal to a constant times wholes the error is
    zero.
    """
    if not len(parts) or not wholes.sum():
        return 0.0, 0.0
    rate = parts.sum() / wholes.sum()
    count = len(parts)
    spread = float(((parts - rate * wholes) ** 2).sum()) / max(1, count - 1)
    error = (max(0.0, 1 - share) * spread / count) ** 0.5 / (wholes.sum() / count)
    return float(rate * total), float(error * total)


def _source_plan(
    loaded: LoadedMix,
    state: Reached,
    frame: pl.DataFrame,
    seen: Mapping[str, Any],
    read: float,
    partner: float,
    learnt: Estimate,
) -> SourcePlan:
    documents, size = seen["documents"] / read, seen["bytes"] / read
    looked_at = frame.height + seen["empty"]
    share = min(1.0, looked_at / documents) if documents else 1.0
    living = frame["dropped_by"].is_null().to_numpy()
    tokens = frame["tokens"].to_numpy().astype(np.float64)
    wholes = frame["original_bytes"].to_numpy().astype(np.float64)
    value, error = ratio(tokens * living, wholes, size, share)
    verdict = frame["dropped_by"].fill_null("")
    copies = (verdict.str.starts_with("duplicate.") & (verdict != repeating.VERDICT)).to_numpy()
    found, _ = ratio(tokens * copies, wholes, size, share)
    expected = min(found * (1 / max(share, 1e-9) - 1), 0.5 * value) if share < 1 else 0.0
    most_unseen = 0.0
    if partner < 1 and loaded.mix.duplicates is not None and state.source.duplicates != "none":
        # Of the copies in what was not sampled a share `partner` shows: so many may there be, by Poisson's law, that so few were found.
        count = int(copies.sum())
        unseen = (count + SIGMAS * count**0.5 + UNSEEN) / partner - count
        most_unseen = min(unseen * float(tokens[living].mean()) if living.any() else 0.0, 0.9 * value)
    # What was not read may be other text: a tenth, when only a part of the files was.
    doubt = SIGMAS * error + (0.0 if seen["whole"] else 0.1 * value)
    kept = Estimate(
        (value - expected) * learnt.value,
        max(0.0, value - max(expected, most_unseen) - doubt) * learnt.low,
        (value + doubt) * learnt.high,
    )
    verdicts = frame["dropped_by"].drop_nulls().value_counts().rows()
    characters = int(frame.filter(living)["characters"].sum())
    inner = int(frame.filter(living)["tokens"].sum())
    text = int(frame.filter(living)["bytes"].sum())
    return SourcePlan(
        name=state.name,
        documents=documents,
        bytes=size,
        sampled=frame.height,
        share=share,
        whole=bool(seen["whole"]),
        dropped={
            name: count / max(1, frame.height) for name, count in sorted(verdicts, key=lambda row: (-row[1], row[0]))
        },
        kept=kept,
        tokens_per_character=round(inner * learnt.value / characters, 4) if characters else None,
        bytes_per_token=round(text / (inner * learnt.value), 4) if inner else None,
        weight=loaded.sources[state.name].weight,
        available=0,
        asked=0,
        taken=0,
        epochs=0.0,
        most=0,
    )


def _mixed(
    loaded: LoadedMix, sources: Mapping[str, SourcePlan], frames: Mapping[str, pl.DataFrame]
) -> tuple[dict[str, SourcePlan], int, str | None]:
    """What the mix takes of each source, from supplies as large as estimated; and why a build would refuse, if it
    would.
    """
    mix = loaded.mix
    supplies: dict[str, mixing.Supply] = {}
    wishes: dict[str, mixing.Wish] = {}
    for name, source in loaded.sources.items():
        if source.heldout:
            continue
        frame = frames[name].filter(pl.col("dropped_by").is_null() & ~pl.col("held_out"))
        weights = mixing.cluster_weights(frame["cluster_size"].to_numpy(), pipeline.wish_of(source).steps)
        tokens, size = (
            frame["tokens"].to_numpy() * weights.astype(np.float64),
            frame["bytes"].to_numpy().astype(np.float64),
        )
        living = float(frames[name].filter(pl.col("dropped_by").is_null())["tokens"].cast(pl.Int64).to_numpy().sum())
        factor = sources[name].kept.value / living if living else 0.0
        supplies[name] = mixing.Supply(
            frame["sample"].to_numpy(),
            np.maximum(weights > 0, np.round(tokens * factor)).astype(np.int64),
            np.round(size * factor).astype(np.int64),
        )
        wish = pipeline.wish_of(source)
        if wish.max_documents is not None and factor:
            wish = wish.model_copy(update={"max_documents": max(1, round(wish.max_documents / factor))})
        wishes[name] = wish
    conflict: str | None = None
    try:
        shares = mixing.plan(supplies, wishes, mix.budget, mix.on_shortage)
    except MixError as error:
        conflict = str(error)
        try:
            shares = mixing.plan(supplies, wishes, mix.budget, "shrink")
        except MixError:  # not a matter of amounts
            return dict(sources), 0, conflict
    result = dict(sources)
    for name, share in shares.items():
        passes = wishes[name].epochs or wishes[name].max_epochs
        most = int(passes * share.available)
        limit = wishes[name].max_tokens
        result[name] = replace(
            sources[name], available=share.available, asked=share.asked, taken=share.asked, epochs=share.asked / share.available if share.available else 0.0,
            most=min(most, limit) if limit is not None else most,
        )  # fmt: skip
    return result, sum(share.asked for share in shares.values()), conflict


def _hidden_clusters(
    loaded: LoadedMix, sources: Mapping[str, SourcePlan], frames: Mapping[str, pl.DataFrame]
) -> Iterator[str]:
    """What a sample cannot say of `cluster_weights`: of a cluster's documents it mostly holds one."""
    for name, source in loaded.sources.items():
        steps = pipeline.wish_of(source).steps
        if not steps or sources[name].share >= 1:
            continue
        frame = frames[name].filter(pl.col("dropped_by").is_null() & ~pl.col("held_out"))
        weights = mixing.cluster_weights(frame["cluster_size"].to_numpy(), steps)
        tokens = frame["tokens"].to_numpy()
        times = float((tokens * weights).sum() / max(1, tokens.sum()))
        most = max(weight for _, weight in steps)
        yield (
            f"{name}: `cluster_weights` goes by how many copies a document has, and a sample of {sources[name].share:.1%} hides most of them. Planned with "
            f"the clusters inside the sample, by which a pass takes a document {times:.2f} times; the build, which sees all copies, up to {most}."
        )


def _warnings(loaded: LoadedMix, sources: Mapping[str, SourcePlan]) -> Iterator[str]:
    for name, source in sources.items():
        if not source.sampled:
            yield f"{name}: not one document could be read."
            continue
        if not source.kept.value:
            most = next(iter(source.dropped), "nothing")
            yield f"{name}: not one sampled document survives; most fall as {most}."
        if source.bytes_per_token is not None and source.bytes_per_token < POOR_BYTES_PER_TOKEN:
            yield (
                f"The vocabulary of {loaded.tokenizer.name} does not fit {name}: a token holds {source.bytes_per_token:.2f} bytes, and a character costs "
                f"{source.tokens_per_character:.2f} tokens. A budget buys and a row holds that much less text; "
                + (
                    "`tokenizer: {base: ..., add: 8000, from: [" + name + "]}` halves what it costs."
                    if isinstance(loaded.mix.tokenizer, str)
                    else "The entries to come halve it."
                )
            )
        if source.dry and loaded.mix.budget is not None:
            yield f"{name} runs dry: the mix takes all of the {source.most:,} tokens that it may give ({source.epochs:.2f} epochs)."
        asked, low = source.asked, source.kept.low / max(source.kept.value, 1) * source.most
        if not source.dry and source.asked and asked > low:
            yield f"{name} may run dry: the mix asks for {asked:,} tokens, and it gives between {low:,.0f} and {source.most:,}."


def _costs(
    build: Build,
    sources: Mapping[str, SourcePlan],
    seen: Mapping[str, Mapping[str, Any]],
    frames: Mapping[str, pl.DataFrame],
    tokens: int,
) -> tuple[float, int, int]:
    """Processor hours, memory and disk of the whole build, by what the sample took."""
    sampled = sum(int(frame["original_bytes"].sum()) for frame in frames.values())
    total = sum(source.bytes for source in sources.values())
    scale = total / max(1, sampled)
    read = sum(
        one["cpu_seconds"] * source.bytes / max(1, one["bytes"])
        for one, source in zip(seen.values(), sources.values(), strict=True)
    )
    others = sum(record.cpu_seconds for record in build.records if record.stage != "documents")
    stored = sum(file.stat().st_size for file in build.work.rglob("*") if file.is_file())
    documents = sum(source.documents for source in sources.values())
    # A packing task holds its shard, about ten bytes a token; a gather of duplicates some 200 bytes a document (docs/decisions.md).
    peak = max((record.peak_memory_bytes for record in build.records), default=0)
    packing = 10 * pipeline.TOKENS_A_SHARD + 400_000_000
    memory = max(build.executor.workers * max(peak, packing), int(200 * documents))
    return (read + others * scale) / 3600, memory, int(stored * scale + BYTES_PER_TOKEN_ON_DISK * tokens)


# -------------------------------------------------------------------------------------------------------------- printing


def print_plan(plan: Plan, console: Console) -> None:
    """The plan for a person, in one screen."""
    supply = plain_table(
        f"{printable(plan.name)}: what there is",
        "source",
        "documents",
        "MB",
        "survive",
        "kept tokens",
        "between",
        "and",
        "tok/char",
    )
    for name, source in plan.sources.items():
        mark = "" if source.whole else "~"
        supply.add_row(
            printable(name),
            f"{mark}{source.documents:,.0f}",
            f"{mark}{source.bytes / 1e6:,.1f}",
            f"{1 - sum(source.dropped.values()):.0%}" if source.sampled else "",
            _short(source.kept.value), _short(source.kept.low), _short(source.kept.high),
            f"{source.tokens_per_character:.2f}" if source.tokens_per_character else "",
        )  # fmt: skip
    console.print(supply)
    lost = plain_table("what will fall", "verdict", "of all", "most in", "of it")
    documents = sum(source.documents for source in plan.sources.values())
    total = summed(
        {name: share * source.documents for name, share in source.dropped.items()} for source in plan.sources.values()
    )
    for verdict in sorted(total, key=lambda name: (-total[name], name))[:10]:
        worst = max(plan.sources.values(), key=lambda source: source.dropped.get(verdict, 0.0))
        lost.add_row(
            printable(verdict),
            f"{total[verdict] / documents:.1%}",
            printable(worst.name),
            f"{worst.dropped[verdict]:.1%}",
        )
    if total:
        console.print(lost)
    mixed = plain_table(
        "what the mix takes, in tokens", "source", "weight", "available", "asked", "share", "epochs", ""
    )
    for name, source in plan.sources.items():
        mixed.add_row(
            printable(name),
            f"{source.weight:g}" if source.weight else "",
            _short(source.available), _short(source.asked),
            f"{source.asked / plan.tokens:.1%}" if plan.tokens else "",
            f"{source.epochs:.2f}", "runs dry" if source.dry and plan.budget else "",
        )  # fmt: skip
    console.print(mixed)
    asked = f" of {plan.budget:,} asked" if plan.budget is not None else ""
    console.print(
        f"{plan.tokens:,} training tokens{asked}; about {_duration(plan.hours)} with {plan.workers} worker{'s' if plan.workers != 1 else ''}, "
        f"{plan.memory_bytes / 1e9:,.1f} GB of memory, {plan.disk_bytes / 1e9:,.2f} GB of disk.",
        highlight=False,
    )
    for warning in plan.warnings:
        console.print(f"- {printable(warning)}", highlight=False, soft_wrap=True)


def _short(tokens: float) -> str:
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if tokens >= size:
            return f"{tokens / size:,.2f}{unit}"
    return f"{tokens:,.0f}"


def _duration(hours: float) -> str:
    if hours < 1 / 60:
        return f"{hours * 3600:,.0f} s"
    return f"{hours * 60:,.0f} min" if hours < 2 else f"{hours:,.1f} h"
