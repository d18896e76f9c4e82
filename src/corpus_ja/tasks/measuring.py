"""Stage 2: everything that reads text and gives no verdict, each kind in a sidecar of its own, from one pass over the text.

Language, signals, signatures (exact key, address key, MinHash bands) and overlaps with evaluation sets have a folder and a fingerprint
each, so another threshold or evaluation set measures only what changed; a task computes those that are missing and reads a
row group of text once for all of them. `DrawChance` reads ids alone: the draws of every purpose, 24 bytes a document.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from corpus_ja.documents import draws, raw_ids
from corpus_ja.stages import decontaminate, exact, language, minhash, signals
from corpus_ja.stages.decontaminate import Decontamination, Index, Item
from corpus_ja.stages.minhash import NearDuplicates
from corpus_ja.storage.shards import iterate_frames, read_frame, read_json, rows_in, write_frame, write_json
from corpus_ja.tasks import Job

VERSION = 1
KINDS = ("language", "signals", "signatures", "overlaps")


@dataclass(frozen=True, slots=True)
class Measure(Job):
    """Measure one documents file. `outputs` maps a kind to the folder its sidecar belongs in; finished kinds are skipped."""

    source: str
    part: str
    documents: Path
    outputs: tuple[tuple[str, Path], ...]
    language_model: str
    text_language: str | None
    near: NearDuplicates | None
    index: Path | None
    stamp: str

    @property
    def name(self) -> str:
        return f"measures {self.source}/{self.part}"

    @property
    def report(self) -> Path:
        # One report for this combination of kinds, beside the sidecars of the first; each kind has a report of its own.
        return self.outputs[0][1] / f"{self.part}.measured-{self.stamp}.json"

    @property
    def done(self) -> bool:
        return self.report.is_file() and all((folder / f"{self.part}.json").is_file() for _, folder in self.outputs)

    def run(self) -> dict[str, Any]:
        """Read the text once and write the sidecars that are missing."""
        missing = [(kind, folder) for kind, folder in self.outputs if not (folder / f"{self.part}.json").is_file()]
        measured: dict[str, list[pl.DataFrame]] = {kind: [] for kind, _ in missing}
        measures = self._measures()
        seconds: dict[str, float] = {}
        read = rows = 0
        if missing:
            for frame in iterate_frames(self.documents, ["text", "url"]):
                read += int(frame["text"].str.len_bytes().sum())
                rows += frame.height
                shared: dict[str, pl.Series] = {}
                for kind, _ in missing:
                    began = time.perf_counter()
                    measured[kind].append(measures[kind](frame, shared))
                    seconds[kind] = seconds.get(kind, 0.0) + time.perf_counter() - began
        for kind, folder in missing:
            frame = pl.concat(measured[kind])
            write_frame(folder / f"{self.part}.parquet", frame)
            write_json(folder / f"{self.part}.json", {"rows": frame.height})
        return {"rows": rows if missing else rows_in(self.documents), "text_bytes_read": read, "kinds": seconds}

    def _measures(self) -> dict[str, Callable[[pl.DataFrame, dict[str, pl.Series]], pl.DataFrame]]:
        return {
            "language": lambda frame, _: language.measure(frame["text"], self.language_model),
            "signals": lambda frame, _: signals.measure(frame, self.text_language or "ja"),
            "signatures": self._signatures,
            "overlaps": self._overlaps,
        }

    def _signatures(self, frame: pl.DataFrame, shared: dict[str, pl.Series]) -> pl.DataFrame:
        normal = _normal(frame, shared)
        key = exact.document_keys(frame["text"], normal).struct.unnest()
        result = pl.DataFrame(
            {
                "key_high": key["high"],
                "key_low": key["low"],
                "url_key": exact.url_keys(frame["url"]),
                "length": normal.str.len_chars(),
            }
        )
        if self.near is None:
            return result
        bands = minhash.signatures(normal, self.near)
        return result.with_columns(pl.Series(f"band_{band}", bands[:, band]) for band in range(bands.shape[1]))

    def _overlaps(self, frame: pl.DataFrame, shared: dict[str, pl.Series]) -> pl.DataFrame:
        if self.index is None:
            raise ValueError("overlaps were asked for without an index")
        return decontaminate.overlaps(frame["text"], _normal(frame, shared), _index(self.index))


def _normal(frame: pl.DataFrame, shared: dict[str, pl.Series]) -> pl.Series:
    if "normal" not in shared:
        shared["normal"] = exact.normal_form(frame["text"])
    return shared["normal"]


@lru_cache(maxsize=1)
def _index(path: Path) -> Index:
    """The evaluation index, built once a process from the items that the pipeline wrote."""
    content = read_json(path)
    items = [Item(**{**item, "parts": tuple(item["parts"])}) for item in content["items"]]
    return decontaminate.build_index(items, Decontamination.model_validate(content["settings"]))


@dataclass(frozen=True, slots=True)
class DrawChance(Job):
    """Draw every purpose's number for one documents file: `sample`, `bucket`, `validation` (uint64 each)."""

    source: str
    part: str
    documents: Path
    folder: Path
    seed: int
    validation_seed: int

    @property
    def name(self) -> str:
        return f"chance {self.source}/{self.part}"

    @property
    def report(self) -> Path:
        return self.folder / f"{self.part}.json"

    def run(self) -> dict[str, Any]:
        """Write the draws; reads no text."""
        ids = read_frame(self.documents, ["id", "repeat"])
        frame = pl.DataFrame(
            {
                "sample": draws(self.seed, "sample", ids["id"]),
                "bucket": draws(self.seed, "bucket", ids["id"]),
                "validation": draws(self.validation_seed, "validation", raw_ids(ids["id"], ids["repeat"])),
            }
        )
        write_frame(self.folder / f"{self.part}.parquet", frame)
        return {"rows": frame.height, "text_bytes_read": 0}
