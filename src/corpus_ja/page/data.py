"""What the page shows, read from a build's manifest and work folder: counts of all documents, signals of a sample.

Two passes over thin columns and none over text: the first adds up what became of every document (verdict, bytes,
tokens, broken rules) and notes the draw of each document that the rules judged; the second reads the signals that the
build's rules compare, for the documents of the sample alone. A build of at most `MOST` judged documents is its own
sample; of a larger one each source gives a share by the draw of its buckets, which no signal and no verdict knows:
half of the sample in equal parts, so that a small source is seen, and half in proportion.

The sample travels as arrays in the precision of the build (limits are compared in it, see `stages/rules.py`), byte
planes apart and deflated: 2 to 3 bytes a value. Rejected: texts of values in JSON (12 bytes each), rounding (a document
on the limit would change sides), and exact histograms of every document (the sliders need the documents themselves).
"""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from corpus_ja.errors import CorpusError
from corpus_ja.explaining import meaning_of
from corpus_ja.exports import Stored
from corpus_ja.storage.manifest import Manifest
from corpus_ja.storage.shards import read_frame, read_rows
from corpus_ja.tasks.judging import NOT_SIGNALS

MOST = 20_000
"""Judged documents up to which the sample is the whole; of more, about so many are drawn."""
HITS = 200
"""Contaminated documents that the page lists."""
INPUTS = 20
"""Input files of a source that the page names."""
MEMBERS, CLUSTER_CHARACTERS = 2, 600
"""Documents of a large cluster that are shown besides the one that stays, and characters of each."""
UNJUDGED = ("where", "language")
"""Verdicts of documents that the rules never saw."""

Bytes = npt.NDArray[np.uint8]


@dataclass(slots=True)
class Tally:
    """Documents, with their bytes as cleaned and their tokens (with what stands round each document)."""

    documents: int = 0
    bytes: int = 0
    tokens: int = 0

    def add(self, documents: int, size: int, tokens: int) -> None:
        """Count some more."""
        self.documents += documents
        self.bytes += size
        self.tokens += tokens

    def as_json(self) -> dict[str, int]:
        """As JSON values."""
        return {"documents": self.documents, "bytes": self.bytes, "tokens": self.tokens}


@dataclass(slots=True)
class SourceFacts:
    """What the first pass finds out about a source."""

    fates: dict[str, Tally] = field(default_factory=dict)
    """By verdict, "kept" for those in the build."""
    passing: Tally = field(default_factory=Tally)
    """Documents that language and rules keep, whatever became of them later."""
    judged: int = 0
    first: dict[str, Tally] = field(default_factory=dict)
    alone: dict[str, Tally] = field(default_factory=dict)
    broken: dict[str, Tally] = field(default_factory=dict)
    density: list[npt.NDArray[np.float32]] = field(default_factory=list)
    draws: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    rows: list[npt.NDArray[np.int64]] = field(default_factory=list)
    parts: list[Stored] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class JudgedRule:
    """A rule as it judged some sources; equal ones of several sources are one."""

    name: str
    rule: Mapping[str, Any]
    sources: tuple[str, ...]

    @property
    def limits(self) -> dict[str, float]:
        """The numbers it compares with, by key."""
        return {key: self.rule[key] for key in ("min", "max", "above", "below") if key in self.rule}


@dataclass(frozen=True, slots=True)
class Sampled:
    """The sample of one source in the order of its draws: `tokens`, the columns its rules compare, and `broken`."""

    source: str
    judged: int
    frame: pl.DataFrame


def extra_tokens(manifest: Manifest) -> int:
    """Tokens that stand round each document: end-of-text, and bos by choice."""
    return 1 + int(bool(manifest.mix.get("bos")))


def facts_by_source(manifest: Manifest, work: Path, parts: Sequence[Stored]) -> dict[str, SourceFacts]:
    """The first pass: every document's fate, in the order of the sources."""
    facts = {name: SourceFacts() for name in manifest.source_names}
    extra = extra_tokens(manifest)
    for part in parts:
        _read_part(part, facts[part.source], extra)
    for name, folder in manifest.work.get("documents", {}).items():
        if name in facts:
            _add_set_aside(facts[name], work / "documents" / folder)
    return facts


def _read_part(part: Stored, facts: SourceFacts, extra: int) -> None:
    rules = part.read("rules", ["dropped_by", "broken"])
    counts = read_frame(part.folders["tokens"] / f"{part.part}.counts.parquet")
    bucket = part.read("chance", ["bucket"])["bucket"]
    if not rules.height == counts.height == bucket.len():
        raise CorpusError(
            f"{part.folders['rules']}: its files do not have the rows of their documents; delete the folder and run the build again."
        )
    frame = pl.DataFrame(
        {
            "rule": rules["dropped_by"],
            "broken": rules["broken"],
            "verdict": part.verdict(),
            "bytes": counts["bytes"].cast(pl.Int64),
            "characters": counts["characters"],
            "tokens": counts["tokens"].cast(pl.Int64) + extra,
        }
    ).with_columns(
        unjudged=pl.col("rule").is_in(UNJUDGED).fill_null(value=False), rules_broken=pl.col("broken").list.len()
    )
    # A document in another language was never encoded: it has no tokens, not even those round it.
    frame = frame.with_columns(tokens=pl.when(pl.col("rule") == "language").then(0).otherwise(pl.col("tokens")))
    facts.parts.append(part)
    _add(facts.fates, frame.select(pl.col("verdict").fill_null("kept").alias("name"), "bytes", "tokens"))
    failing = frame.filter(pl.col("rules_broken") > 0)
    own = failing.select(pl.col("broken").list.first().alias("name"), "rules_broken", "bytes", "tokens")
    _add(facts.first, own)
    _add(facts.alone, own.filter(pl.col("rules_broken") == 1))
    _add(facts.broken, failing.select(pl.col("broken").alias("name"), "bytes", "tokens").explode("name"))
    passing = frame.filter(~pl.col("unjudged") & (pl.col("rules_broken") == 0))
    facts.passing.add(passing.height, int(passing["bytes"].sum()), int(passing["tokens"].sum()))
    kept = frame.filter(pl.col("verdict").is_null() & (pl.col("characters") > 0))
    facts.density.append((kept["tokens"] / kept["characters"]).cast(pl.Float32).to_numpy())
    judged = np.flatnonzero(~frame["unjudged"].to_numpy())
    facts.judged += len(judged)
    facts.draws.append(bucket.to_numpy()[judged])
    facts.rows.append(judged)


def _add(tallies: dict[str, Tally], frame: pl.DataFrame) -> None:
    grouped = frame.group_by("name").agg(pl.len(), pl.col("bytes").sum(), pl.col("tokens").sum()).sort("name")
    for name, documents, size, tokens in grouped.rows():
        tallies.setdefault(name, Tally()).add(documents, size, tokens)


def _add_set_aside(facts: SourceFacts, documents: Path) -> None:
    """Documents that reading left out (`where`, `fraction`, all of whose pieces repeat), by verdict; they have no
    tokens.
    """
    for path in sorted(documents.glob("*.set_aside.parquet")):
        frame = read_frame(path, ["reason", "bytes"]).filter(~pl.col("reason").str.starts_with("unreadable/"))
        _add(facts.fates, frame.select(pl.col("reason").alias("name"), "bytes", tokens=pl.lit(0, dtype=pl.Int64)))


def rules_of(manifest: Manifest) -> list[JudgedRule]:
    """The rules of all sources, in their order; equal ones of several sources are one."""
    found: dict[str, JudgedRule] = {}
    for source, sets in manifest.rules.items():
        for one in sets:
            for rule in one["rules"]:
                name = f"{one['name']}.{rule['name']}"
                key = json.dumps([name, rule], sort_keys=True)
                before = found[key].sources if key in found else ()
                found[key] = JudgedRule(name, rule, (*before, source))
    return list(found.values())


# ---------------------------------------------------------------------------------------------------------------- sample


def quotas(judged: Mapping[str, int], most: int) -> dict[str, int]:
    """How many documents of each source the sample takes: all where they are at most `most`, else half of them in
    equal parts and the rest in proportion, never more than there are.
    """
    total = sum(judged.values())
    if total <= most:
        return dict(judged)
    equal = most // (2 * max(1, sum(count > 0 for count in judged.values())))
    base = {name: min(count, equal) for name, count in judged.items()}
    left, rest = most - sum(base.values()), total - sum(base.values())
    return {name: base[name] + (left * (count - base[name]) // rest if rest else 0) for name, count in judged.items()}


def draw_sample(manifest: Manifest, facts: Mapping[str, SourceFacts], most: int) -> list[Sampled]:
    """The second pass: the columns that rules compare, for the documents with the lowest draws of each source."""
    wanted = quotas({name: own.judged for name, own in facts.items()}, most)
    compared = {
        source: sorted({rule["signal"] for one in sets for rule in one["rules"]})
        for source, sets in manifest.rules.items()
    }
    extra = extra_tokens(manifest)
    return [
        Sampled(name, own.judged, _sampled(own, wanted[name], compared.get(name, []), extra))
        for name, own in facts.items()
    ]


def _sampled(facts: SourceFacts, count: int, signals: Sequence[str], extra: int) -> pl.DataFrame:
    draws = np.concatenate(facts.draws) if facts.draws else np.zeros(0, dtype=np.uint64)
    chosen = np.sort(np.argsort(draws, kind="stable")[:count])
    frames: list[pl.DataFrame] = []
    first = 0
    for part, rows in zip(facts.parts, facts.rows, strict=True):
        low, high = np.searchsorted(chosen, (first, first + len(rows)))
        own = rows[chosen[low:high] - first]
        if len(own):
            frames.append(_columns(part, own, signals, extra))
        first += len(rows)
    if not frames:
        return pl.DataFrame(schema={"tokens": pl.UInt32, "broken": pl.List(pl.String)})
    # Parts of one source agree, but for a column of the source's own that is null throughout a file.
    frame = pl.concat(frames, how="diagonal_relaxed")
    return frame[np.argsort(draws[chosen], kind="stable")]


def _columns(part: Stored, rows: npt.NDArray[np.int64], signals: Sequence[str], extra: int) -> pl.DataFrame:
    """What rules compare, from whichever sidecar has it, in the order in which the build looks."""
    counts = read_frame(part.folders["tokens"] / f"{part.part}.counts.parquet", ["tokens"])
    frame = pl.DataFrame({"tokens": counts["tokens"] + extra, "broken": part.read("rules", ["broken"])["broken"]})[rows]
    missing = list(signals)
    for kind in ("signals", "lists", "scores", "documents", "language"):
        if kind not in part.folders or not missing:
            continue
        there = pl.read_parquet_schema(part.folders[kind] / f"{part.part}.parquet")
        own = [
            name
            for name in missing
            if name in there
            and (kind != "documents" or name not in NOT_SIGNALS)
            and (kind != "language" or name == "language_score")
        ]
        if own:
            frame = frame.hstack(part.read(kind, own).select(own)[rows])
            missing = [name for name in missing if name not in own]
    return frame


@dataclass(slots=True)
class _Arrays:
    """Arrays one after the other, each as its byte planes; a header says where each begins."""

    pieces: list[bytes] = field(default_factory=list)
    length: int = 0

    def add(self, values: npt.NDArray[Any]) -> int:
        """Append an array; the offset of its first byte."""
        at = self.length
        little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
        planes = little.view(np.uint8).reshape(len(values), values.itemsize).T
        self.pieces.append(planes.tobytes())
        self.length += values.nbytes
        return at


def encode(samples: Sequence[Sampled], rules: Sequence[JudgedRule]) -> tuple[dict[str, Any], str]:
    """The sample as a header and as base64 of gzipped arrays.

    Numeric signals are `f4`, `u4` or `f8` (NaN where there is none); a rule that compares words is one byte a document.
    """
    arrays = _Arrays()
    sources = []
    for sample in samples:
        frame = sample.frame.sort("tokens", maintain_order=True)
        own = [number for number, rule in enumerate(rules) if sample.source in rule.sources]
        columns: dict[str, dict[str, Any]] = {}
        fixed: dict[int, int] = {}
        for number in own:
            signal = rules[number].rule["signal"]
            if signal not in frame.columns:
                continue
            if not rules[number].limits:
                fixed[number] = arrays.add(
                    frame["broken"].list.contains(rules[number].name).fill_null(value=False).to_numpy().astype(np.uint8)
                )
            elif signal not in columns:
                kind, values = _numbers(frame[signal])
                columns[signal] = {"kind": kind, "at": arrays.add(values)}
        sources.append(
            {
                "name": sample.source,
                "judged": sample.judged,
                "documents": frame.height,
                "tokens": arrays.add(frame["tokens"].to_numpy().astype(np.uint32)),
                "rules": own,
                "columns": columns,
                "fixed": fixed,
            }
        )
    packed = gzip.compress(b"".join(arrays.pieces), compresslevel=9, mtime=0)
    header = {
        "sources": sources,
        "judged": sum(sample.judged for sample in samples),
        "documents": sum(sample.frame.height for sample in samples),
    }
    return header, base64.b64encode(packed).decode("ascii")


def _numbers(values: pl.Series) -> tuple[str, npt.NDArray[Any]]:
    """A column as the page compares it, in its own precision; see `rules.broken_by`."""
    if values.dtype == pl.Float32:
        return "f4", values.fill_null(float("nan")).to_numpy().astype(np.float32)
    if values.dtype in {pl.UInt8, pl.UInt16, pl.UInt32} and not values.null_count():
        return "u4", values.to_numpy().astype(np.uint32)
    return "f8", values.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()


# ----------------------------------------------------------------------------------------------------------------- facts


def rule_facts(rules: Sequence[JudgedRule], facts: Mapping[str, SourceFacts], samples: Sequence[Sampled]) -> list[Any]:
    """Every rule with what it dropped first, alone, and what broke it, by source."""
    held = {sample.source: set(sample.frame.columns) for sample in samples}

    def counted(kind: str, rule: JudgedRule) -> dict[str, dict[str, int]]:
        found = {source: getattr(facts[source], kind).get(rule.name) for source in rule.sources}
        return {source: tally.as_json() for source, tally in found.items() if tally is not None}

    return [
        {
            "name": rule.name,
            "signal": rule.rule["signal"],
            "meaning": meaning_of(rule.rule["signal"]),
            "why": rule.rule["why"],
            "limits": rule.limits,
            "words": {key: rule.rule[key] for key in ("none_of", "one_of") if key in rule.rule},
            "missing": rule.rule.get("missing", "keep"),
            "sources": list(rule.sources),
            "run": any(rule.rule["signal"] in held[source] or not facts[source].judged for source in rule.sources),
            "first": counted("first", rule),
            "alone": counted("alone", rule),
            "broken": counted("broken", rule),
        }
        for rule in rules
    ]


def density(facts: SourceFacts) -> dict[str, float] | None:
    """Tokens per character of the kept documents: the 10th, 50th and 90th of a hundred; None where none is kept."""
    values = np.concatenate(facts.density) if facts.density else np.zeros(0, dtype=np.float32)
    if not len(values):
        return None
    low, middle, high = np.quantile(values, (0.1, 0.5, 0.9))
    return {"low": round(float(low), 4), "middle": round(float(middle), 4), "high": round(float(high), 4)}


def hits_of(manifest: Manifest, build: Path) -> dict[str, Any]:
    """Which evaluation items stand in which documents: the number of hits, and the first `HITS`."""
    name = next((name for name in manifest.evaluation.get("files", ()) if name.endswith("hits.parquet")), None)
    if name is None or not (build / name).is_file():
        return {"total": 0, "rows": []}
    frame = read_frame(build / name).filter(pl.col("kind") == "item")
    return {
        "total": frame.height,
        "documents": frame["id"].n_unique(),
        "rows": frame.head(HITS).select("id", "source", "name", "dropped_by").rows(),
    }


def cluster_texts(manifest: Manifest, parts: Sequence[Stored]) -> dict[str, list[dict[str, Any]]]:
    """How the largest clusters read: for each, by the document that stays, its text and those of `MEMBERS` others."""
    wanted = [cluster["stays"] for cluster in manifest.duplicates.get("largest", ())]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in wanted}
    for part in parts:
        if not wanted or "duplicates" not in part.folders:
            continue
        frame = part.read("duplicates", ["cluster", "dropped_by"]).with_row_index("row")
        own = frame.filter(pl.col("cluster").is_in(wanted))
        # One who stays has no verdict; it comes first, whichever file it stands in.
        own = (
            own.sort(pl.col("dropped_by").is_not_null(), "row")
            .group_by("cluster", maintain_order=True)
            .head(MEMBERS + 1)
        )
        rows = np.sort(own["row"].to_numpy().astype(np.int64))
        if not len(rows):
            continue
        texts = read_rows(part.folders["documents"] / f"{part.part}.parquet", ["id", "text"], rows)
        clusters = dict(own.select("row", "cluster").rows())
        for row, (name, text) in zip(rows, texts.rows(), strict=True):
            found[clusters[int(row)]].append(
                {"id": name, "text": text[:CLUSTER_CHARACTERS], "cut": max(0, len(text) - CLUSTER_CHARACTERS)}
            )
    return {name: sorted(members, key=lambda one: one["id"] != name)[: MEMBERS + 1] for name, members in found.items()}


def stages_of(manifest: Manifest) -> list[dict[str, Any]]:
    """Work by stage over all sources: seconds, processor seconds, text read, largest peak memory, in order."""
    found: dict[str, dict[str, Any]] = {}
    for record in manifest.stages:
        own = found.setdefault(
            record.stage,
            {"stage": record.stage, "tasks": 0, "seconds": 0.0, "cpu_seconds": 0.0, "bytes": 0, "memory": 0},
        )
        own["tasks"] += record.tasks
        own["seconds"] = round(own["seconds"] + record.seconds, 3)
        own["cpu_seconds"] = round(own["cpu_seconds"] + record.cpu_seconds, 3)
        own["bytes"] += record.text_bytes_read
        own["memory"] = max(own["memory"], record.peak_memory_bytes)
    return list(found.values())


KINDS = ("hub", "parquet", "jsonl", "text", "oscar", "warc")


def provenance(manifest: Manifest) -> list[dict[str, Any]]:
    """Where every source comes from, as the mix says it, with its licence and the files that were read."""
    return [
        {
            "source": name,
            "kind": next((kind for kind in KINDS if of_mix.get(kind)), None),
            "address": next((str(of_mix[kind]) for kind in KINDS if of_mix.get(kind)), None),
            "revision": source.commit or of_mix.get("revision"),
            "language": of_mix.get("language"),
            "license": source.license,
            "inputs": source.inputs[:INPUTS],
            "more_inputs": max(0, len(source.inputs) - INPUTS),
            "notes": source.notes,
        }
        for name, source in manifest.sources.items()
        for of_mix in [manifest.mix.get("sources", {}).get(name, {})]
    ]


def without_nothing(value: Any) -> Any:  # noqa: ANN401 - JSON is anything
    """A JSON value without the keys that hold null, or nothing at all."""
    if isinstance(value, dict):
        kept = {key: without_nothing(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner is not None and inner not in ({}, [])}
    if isinstance(value, list):
        return [without_nothing(inner) for inner in value]
    return value
