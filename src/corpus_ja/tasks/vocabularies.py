"""Between duplicates and tokens: the mix's own text teaches a vocabulary new entries, where the mix asks for it.

One task over the documents that live after rules and duplicates and are not held out: of each source named by `from`
those with the lowest `sample` draws, the ones surest to stand in the mix, up to its part of `max_bytes`. The report
measures every source of the mix on documents that taught nothing: held-out ones first, then those with the highest
draws.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpus_ja.documents import is_below
from corpus_ja.stages import vocabulary
from corpus_ja.stages.tokens import Tokenizer
from corpus_ja.stages.vocabulary import Extension
from corpus_ja.storage.shards import read_frame, read_rows
from corpus_ja.tasks import Job

VERSION = 1
MEASURED_BYTES = 300_000
"""Text of each source (UTF-8 bytes) that the report measures: half a second a source, both vocabularies."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Where one documents file and its verdicts lie."""

    source: str
    documents: Path
    chance: Path
    rules: Path
    duplicates: Path | None
    heldout: int

    def read(self) -> pl.DataFrame:
        """Row, draw, bytes and whether it is held out, of the living documents."""
        frame = pl.concat(
            [
                read_frame(self.documents, ["original_bytes"]),
                read_frame(self.chance, ["sample", "validation"]),
                read_frame(self.rules, ["dropped_by"]).rename({"dropped_by": "rule"}),
            ],
            how="horizontal",
        ).with_row_index("row")
        if self.duplicates is not None:
            frame = frame.with_columns(read_frame(self.duplicates, ["dropped_by"])["dropped_by"].alias("duplicate"))
            frame = frame.filter(pl.col("duplicate").is_null())
        frame = frame.filter(pl.col("rule").is_null())
        return frame.select(
            "row",
            "sample",
            size=pl.col("original_bytes").cast(pl.Int64),
            held_out=pl.Series(is_below(frame["validation"].to_numpy(), self.heldout)),
        )


@dataclass(frozen=True, slots=True)
class LearnVocabulary(Job):
    """Extend a tokenizer; the folder then holds tokenizer.json, tokenizer_config.json and this task's report."""

    parts: tuple[Candidates, ...]
    extension: Extension
    tokenizer: Tokenizer
    folder: Path

    @property
    def name(self) -> str:
        return f"vocabulary, {self.extension.add:,} entries"

    @property
    def report(self) -> Path:
        return self.folder / "learned.json"

    def run(self) -> dict[str, Any]:
        """Learn, save and measure."""
        allowance = self.extension.max_bytes // len(self.extension.sources)
        taught: list[str] = []
        measured: dict[str, tuple[list[str], bool]] = {}
        for source in dict.fromkeys(part.source for part in self.parts):
            own = [part for part in self.parts if part.source == source]
            living = pl.concat(
                [part.read().with_columns(part=pl.lit(number, dtype=pl.UInt32)) for number, part in enumerate(own)]
            )
            ordered = living.sort("held_out", "sample", "part", "row")
            chosen = ordered.filter(~pl.col("held_out")).filter(pl.col("size").cum_sum() <= allowance)
            teaches = source in self.extension.sources
            if teaches:
                taught += _texts(own, chosen)
            rest = ordered.join(chosen, on=["part", "row"], how="anti", maintain_order="left") if teaches else ordered
            unseen = rest.height > 0
            shown = (rest if unseen else chosen).reverse()
            measured[source] = (
                list(
                    _texts(
                        own, shown.filter(pl.col("size").cum_sum() - pl.col("size") < MEASURED_BYTES), MEASURED_BYTES
                    )
                ),
                unseen,
            )
        extended = vocabulary.extend(self.tokenizer, taught, self.extension.add)
        self.folder.mkdir(parents=True, exist_ok=True)
        vocabulary.save(extended, self.tokenizer, self.folder)
        size = extended.get_vocab_size(with_added_tokens=True)
        return {
            "text_bytes_read": sum(len(text.encode()) for text in taught),
            "entries": size,
            "learned": size - self.tokenizer.vocab_size,
            "sources": {
                source: {**vocabulary.measure(self.tokenizer, extended, texts).as_json(), "unseen": unseen}
                for source, (texts, unseen) in measured.items()
            },
        }


def _texts(parts: list[Candidates], chosen: pl.DataFrame, most: int | None = None) -> Iterator[str]:
    """The texts of chosen documents, in the order of files and rows; `most` bytes, about, of each."""
    for number, part in enumerate(parts):
        rows = chosen.filter(pl.col("part") == number)["row"].sort().to_numpy().astype(np.int64)
        if len(rows):
            for text in read_rows(part.documents, ["text"], rows)["text"]:
                yield text if most is None else text[: most // 2]
