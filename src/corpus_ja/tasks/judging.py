"""Stage 3: verdicts from measured columns; no text is read.

In this order: a `where` that asks for a measured score, another language (such a document is not judged further), the
rules of the source's sets in the order of the mix, and overlap with an evaluation set. Contamination is decided here,
before duplicates, so that a contaminated page is never the survivor for which a clean copy leaves.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpus_ja.documents import check_aligned
from corpus_ja.stages import decontaminate, language, rules
from corpus_ja.stages.decontaminate import Decontamination, Item
from corpus_ja.stages.rules import RuleSet
from corpus_ja.storage.shards import read_frame, read_json, read_rows, replacing, whole, write_frame
from corpus_ja.storage.sources.records import Condition
from corpus_ja.tasks import Job

VERSION = 2
HITS = {"id": pl.String, "source": pl.String, "dropped_by": pl.String, "kind": pl.String, "name": pl.String}
NOT_SIGNALS = {"id", "repeat", "text", "url", "original_bytes", "original_characters"}


@dataclass(frozen=True, slots=True)
class ListOverlaps(Job):
    """Write down which evaluation items and contexts stand in which documents, and which items nothing can find."""

    parts: tuple[tuple[str, Path, Path, Path], ...]
    """Source, documents file, overlaps, verdicts of the rules, for every documents file."""
    index: Path
    folder: Path

    @property
    def name(self) -> str:
        return "evaluation items"

    @property
    def report(self) -> Path:
        return self.folder / "listed.json"

    def run(self) -> dict[str, Any]:
        """Write `hits.parquet` (id, source, dropped_by, kind: item or context, name) and `unprotected.jsonl` (set, id,
        parts).
        """
        rows = [pl.DataFrame(schema=HITS)]
        for source, documents, overlaps, verdicts in self.parts:
            found = read_frame(overlaps, ["evaluation_items", "context_items"])
            hit = np.flatnonzero(
                found.select(
                    (pl.col("evaluation_items").list.len() + pl.col("context_items").list.len()) > 0
                ).to_series()
            )
            if not len(hit):
                continue
            own = pl.concat(
                [read_rows(documents, ["id"], hit), read_rows(verdicts, ["dropped_by"], hit), found[hit]],
                how="horizontal",
            )
            for kind, column in (("item", "evaluation_items"), ("context", "context_items")):
                each = own.filter(pl.col(column).list.len() > 0).explode(column)
                rows.append(
                    each.select(
                        "id",
                        pl.lit(source).alias("source"),
                        "dropped_by",
                        pl.lit(kind).alias("kind"),
                        pl.col(column).alias("name"),
                    )
                )
        hits = pl.concat(rows)
        write_frame(self.folder / "hits.parquet", hits)
        content = read_json(self.index)
        items = [Item(**item) for item in content["items"]]
        unprotected = set(
            decontaminate.build_index(items, Decontamination.model_validate(content["settings"])).unprotected
        )
        sets: dict[str, dict[str, int]] = {}
        with replacing(self.folder / "unprotected.jsonl") as temporary, temporary.open("w", encoding="utf-8") as file:
            for item in items:
                own_set = sets.setdefault(item.set, {"items": 0, "unprotected": 0, "found": 0})
                own_set["items"] += 1
                if item.name in unprotected:
                    own_set["unprotected"] += 1
                    file.write(
                        json.dumps({"set": item.set, "id": item.id, "parts": list(item.parts)}, ensure_ascii=False)
                        + "\n"
                    )
        set_of = {item.name: item.set for item in items}
        for name in hits.filter(pl.col("kind") == "item")["name"].unique():
            sets[set_of[name]]["found"] += 1
        return {"sets": sets, "text_bytes_read": 0}


@dataclass(frozen=True, slots=True)
class Judge(Job):
    """Judge one documents file from its sidecars."""

    source: str
    part: str
    documents: Path
    language: Path
    signals: Path
    overlaps: Path | None
    scores: tuple[Path, ...]
    condition: str | None
    folder: Path
    wanted_language: str | None
    rule_sets: tuple[RuleSet, ...]

    @property
    def name(self) -> str:
        return f"rules {self.source}/{self.part}"

    @property
    def report(self) -> Path:
        return self.folder / f"{self.part}.json"

    def run(self) -> dict[str, Any]:
        """Write `dropped_by` and `broken`; report the counts of both."""
        with whole(self.documents):
            own = [name for name in pl.read_parquet_schema(self.documents) if name not in NOT_SIGNALS]
        measured = read_frame(self.signals)
        spoken = read_frame(self.language)
        check_aligned(str(self.language), spoken.height, measured.height)
        beside = [read_frame(path) for path in self.scores]
        if own:
            beside.append(read_frame(self.documents, own))
        for path, frame in zip((*self.scores, self.documents), beside, strict=False):
            check_aligned(str(path), frame.height, measured.height)
        if "language_score" not in own:
            beside.append(spoken.select("language_score"))
        columns = pl.concat([measured, *beside], how="horizontal")
        foreign = language.judge(spoken, self.wanted_language)
        judged = rules.judge(columns, self.rule_sets)
        met: dict[str, int] = {}
        verdict = pl.DataFrame({"foreign": foreign, "rule": judged["dropped_by"], "broken": judged["broken"]})
        if self.overlaps is not None:
            overlap = read_frame(self.overlaps)
            check_aligned(str(self.overlaps), overlap.height, measured.height)
            verdict = verdict.with_columns(contaminated=decontaminate.judge(overlap))
            met = {
                "items": int((overlap["evaluation_items"].list.len() > 0).sum()),
                "contexts": int((overlap["context_items"].list.len() > 0).sum()),
            }
        else:
            verdict = verdict.with_columns(contaminated=pl.lit(None, dtype=pl.String))
        verdict = verdict.with_columns(excluded=excluded(columns, self.condition, self.source))
        unjudged = pl.col("excluded").is_not_null() | pl.col("foreign").is_not_null()
        result = verdict.select(
            dropped_by=pl.coalesce("excluded", "foreign", "rule", "contaminated"),
            broken=pl.when(unjudged).then(pl.lit([], dtype=pl.List(pl.String))).otherwise(pl.col("broken")),
        )
        write_frame(self.folder / f"{self.part}.parquet", result)
        counts = result["dropped_by"].drop_nulls().value_counts()
        return {
            "rows": result.height,
            "text_bytes_read": 0,
            "dropped": dict(zip(counts["dropped_by"], counts["count"], strict=True)),
            "evaluation": met,
            "not_run": rules.not_run(self.rule_sets, columns.columns),
        }


def excluded(columns: pl.DataFrame, condition: str | None, source: str) -> pl.Series:
    """The verdict of a `where` that asks for measured scores: "where" for those it leaves out, null for the others."""
    if condition is None:
        return pl.Series([None] * columns.height, dtype=pl.String)
    parsed = Condition.parse(condition)
    kept = parsed.mask([columns[path[0]] for path in parsed.paths], source)
    return pl.DataFrame({"kept": kept}).select(pl.when(~pl.col("kept")).then(pl.lit("where"))).to_series()
