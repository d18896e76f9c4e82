"""Stage 3: verdicts from measured columns; no text is read.

In this order: another language (such a document is not judged further), the rules of the source's sets in the order of the mix, and overlap with
an evaluation set. Contamination is decided here, before duplicates, so that a contaminated page is never the survivor for
which a clean copy leaves.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from corpus_ja.documents import check_aligned
from corpus_ja.stages import decontaminate, language, rules
from corpus_ja.stages.rules import RuleSet
from corpus_ja.storage.shards import read_frame, whole, write_frame
from corpus_ja.tasks import Job

VERSION = 1
NOT_SIGNALS = {"id", "repeat", "text", "url", "original_bytes", "original_characters"}


@dataclass(frozen=True, slots=True)
class Judge(Job):
    """Judge one documents file from its sidecars."""

    source: str
    part: str
    documents: Path
    language: Path
    signals: Path
    overlaps: Path | None
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
        columns = measured
        if own:
            columns = pl.concat([measured, read_frame(self.documents, own)], how="horizontal")
        foreign = language.judge(spoken, self.wanted_language)
        judged = rules.judge(columns, self.rule_sets)
        verdict = pl.DataFrame({"foreign": foreign, "rule": judged["dropped_by"], "broken": judged["broken"]})
        if self.overlaps is not None:
            overlap = read_frame(self.overlaps)
            check_aligned(str(self.overlaps), overlap.height, measured.height)
            verdict = verdict.with_columns(contaminated=decontaminate.judge(overlap))
        else:
            verdict = verdict.with_columns(contaminated=pl.lit(None, dtype=pl.String))
        is_foreign = pl.col("foreign").is_not_null()
        result = verdict.select(
            dropped_by=pl.coalesce("foreign", "rule", "contaminated"),
            broken=pl.when(is_foreign).then(pl.lit([], dtype=pl.List(pl.String))).otherwise(pl.col("broken")),
        )
        write_frame(self.folder / f"{self.part}.parquet", result)
        counts = result["dropped_by"].drop_nulls().value_counts()
        return {
            "rows": result.height,
            "text_bytes_read": 0,
            "dropped": dict(zip(counts["dropped_by"], counts["count"], strict=True)),
            "not_run": rules.not_run(self.rule_sets, columns.columns),
        }
