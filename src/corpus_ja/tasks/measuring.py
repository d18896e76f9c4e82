"""Stage 2: everything that reads text and gives no verdict, each kind in a sidecar of its own, from one pass over the
text.

Language, signals, the columns of word and host lists, classifiers' scores, signatures (exact key, address key, MinHash
bands) and overlaps with evaluation sets have a folder and a fingerprint each, so another threshold or evaluation set
measures only what changed; a task computes those that are missing and reads a row group of text once for all of them.
`DrawChance` reads ids alone: the draws of every purpose, 24 bytes a document.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpus_ja.documents import draws, raw_ids
from corpus_ja.errors import ConfigError
from corpus_ja.stages import decontaminate, exact, language, lists, minhash, models, signals
from corpus_ja.stages.decontaminate import Decontamination, Index, Item
from corpus_ja.stages.lists import Hosts, Listing, Words, WordSearch
from corpus_ja.stages.minhash import NearDuplicates
from corpus_ja.stages.models import Model
from corpus_ja.storage.manifest import sha256_of
from corpus_ja.storage.shards import iterate_frames, read_frame, read_json, rows_in, write_frame, write_json
from corpus_ja.tasks import Job

VERSION = 1
HEAD = 80
"""Characters of every text kept beside its signature, so that a large cluster can be shown without reading texts."""
KINDS = ("language", "signals", "lists", "scores", "signatures", "overlaps")


@dataclass(frozen=True, slots=True)
class Measure(Job):
    """Measure one documents file. `outputs` maps a kind to the folder its sidecar belongs in; finished kinds are
    skipped.
    """

    source: str
    part: str
    documents: Path
    outputs: tuple[tuple[str, Path], ...]
    language_model: str
    text_language: str | None
    names: tuple[str, ...]
    near: NearDuplicates | None
    index: Path | None
    stamp: str
    lists: tuple[Listing, ...] = ()
    models: tuple[Model, ...] = ()

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
        processor: dict[str, float] = {}
        read = rows = 0
        if missing:
            for frame in iterate_frames(self.documents, ["text", "url"]):
                read += int(frame["text"].str.len_bytes().sum())
                rows += frame.height
                shared: dict[str, pl.Series] = {}
                for kind, _ in missing:
                    began, cpu = time.perf_counter(), time.process_time()
                    measured[kind].append(measures[kind](frame, shared))
                    processor[kind] = processor.get(kind, 0.0) + time.process_time() - cpu
                    seconds[kind] = seconds.get(kind, 0.0) + time.perf_counter() - began
        for kind, folder in missing:
            frame = pl.concat(measured[kind])
            write_frame(folder / f"{self.part}.parquet", frame)
            write_json(folder / f"{self.part}.json", {"rows": frame.height})
        return {
            "rows": rows if missing else rows_in(self.documents),
            "text_bytes_read": read,
            "kinds": seconds,
            "cpu_kinds": processor,
        }

    @staticmethod
    def forget() -> None:
        """Drop the evaluation index, the lists and the models."""
        _index.cache_clear()
        opened.cache_clear()
        models.forget()

    def _measures(self) -> dict[str, Callable[[pl.DataFrame, dict[str, pl.Series]], pl.DataFrame]]:
        return {
            "language": lambda frame, _: language.measure(frame["text"], self.language_model),
            "signals": lambda frame, _: signals.measure(frame, self.text_language or "ja", self.names),
            "lists": lambda frame, _: listed(frame, self.lists),
            "scores": lambda frame, _: scored(frame, self.models),
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
                "head": frame["text"].str.slice(0, HEAD),
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


def measured_at_once(
    frame: pl.DataFrame,
    spoken: str | None,
    language_model: str,
    names: tuple[str, ...],
    listings: tuple[Listing, ...],
    classifiers: tuple[Model, ...],
) -> pl.DataFrame:
    """All columns that rules may compare, beside the source's own, for a few documents (`text` cleaned, `url`) and no
    files.

    What a build measures, by the same functions: `language`, `language_score`, the signals (`names` of those wanted
    besides), the lists' columns and the classifiers' scores. `spoken` is the language of the source.
    """
    columns = [language.measure(frame["text"], language_model), signals.measure(frame, spoken or "ja", names)]
    if listings:
        columns.append(listed(frame, listings))
    if classifiers:
        columns.append(scored(frame, classifiers))
    return pl.concat(columns, how="horizontal")


def listed(frame: pl.DataFrame, listings: tuple[Listing, ...]) -> pl.DataFrame:
    """The columns of all word and host lists for a frame of `text` and `url`, same rows, in the order of the lists."""
    search, hosts = opened(listings)
    found = {}
    if search.lists:
        found = {column.name: column for column in search.measure(frame["text"])}
    for one in hosts:
        found |= {column.name: column for column in lists.measure_hosts(frame["url"], one)}
    return pl.DataFrame([found[name] for listing in listings for name in listing.columns])


def scored(frame: pl.DataFrame, classifiers: tuple[Model, ...]) -> pl.DataFrame:
    """The score of every classifier for a frame of `text`, same rows."""
    return pl.DataFrame([models.score(frame["text"], model) for model in classifiers])


@lru_cache(maxsize=1)
def opened(listings: tuple[Listing, ...]) -> tuple[WordSearch, tuple[Hosts, ...]]:
    """The lists, read once a process; ConfigError where a file is not what it was when the mix was loaded."""
    words: list[Words] = []
    hosts: list[Hosts] = []
    for listing in listings:
        entries: dict[str, list[np.ndarray[Any, np.dtype[np.uint64]]]] = {}
        for path, sha256 in dict.fromkeys((path, sha256) for _, path, sha256 in listing.files):
            if sha256_of(Path(path)) != sha256:
                raise ConfigError(
                    f"{path} (the list {listing.name}) has changed since the mix was loaded; run the command again."
                )
        for category, path, _ in listing.files:
            if lists.is_archive(path) and listing.kind == "hosts":
                continue
            content = Path(path).read_text(encoding="utf-8", errors="replace")
            if listing.kind == "words":
                words.append(Words(listing.name, lists.parse_words(content), listing.boundaries))
            else:
                entries.setdefault(category, []).append(lists.parse_hosts(content))
        if listing.kind == "hosts":
            for path in dict.fromkeys(path for _, path, _ in listing.files if lists.is_archive(path)):
                with Path(path).open("rb") as stream:
                    entries |= {category: [found] for category, found in lists.parse_archive(stream).items()}
            joined = {category: np.unique(np.concatenate(parts)) for category, parts in entries.items()}
            hosts.append(Hosts(listing.name, joined, listing.categories))
    return WordSearch(words), tuple(hosts)


def _normal(frame: pl.DataFrame, shared: dict[str, pl.Series]) -> pl.Series:
    if "normal" not in shared:
        shared["normal"] = exact.normal_form(frame["text"])
    return shared["normal"]


@lru_cache(maxsize=1)
def _index(path: Path) -> Index:
    """The evaluation index, built once a process from the items that the pipeline wrote."""
    content = read_json(path)
    items = [Item(**item) for item in content["items"]]
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
