"""What a folder or file of text holds, before there is any mix or build: `corpus-ja stats PATH`.

The readers of `storage.sources` read everything once, batch by batch: Parquet, JSON lines and text files, plain or
compressed, several kinds in one folder. Documents, bytes and characters are exact; lengths are counted in a histogram
that is exact up to `EXACT` characters and 0.4% wide above it; languages are those of the documents with the lowest
draws of a hash of their place (all of them, where there are no more than the sample); tokens, with a tokenizer, are
exact and without end-of-text tokens. Memory is a batch and the longest document a process. Where there is much to read,
tasks of `TASK_BYTES` are counted by processes; their tallies, taken together in order, are the same as one's. Cost:
docs/decisions.md. Rejected: a sample of documents for the counts (a folder is read in a minute),
and Polars' lazy scans (they read neither .gz and .zst lines nor a file that breaks off).
"""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl
from rich.console import Console

from corpus_ja.building import Observer
from corpus_ja.documents import draws
from corpus_ja.errors import SourceError
from corpus_ja.executors import ExecutorSettings, Task, open_executor
from corpus_ja.report import counted_table, printable
from corpus_ja.stages import language, tokens
from corpus_ja.storage.manifest import Counted
from corpus_ja.storage.shards import read_json
from corpus_ja.storage.sources import Batch, Piece, Reading, cut_tasks, read_pieces
from corpus_ja.storage.sources.files import ENDINGS, Broken, chunks, wanted
from corpus_ja.storage.sources.records import Kind, SourceFile
from corpus_ja.storage.tokenizers import find_tokenizer
from corpus_ja.tasks import Job, perform

SAMPLE = 10_000
"""Documents whose language is looked at, unless told otherwise: a share of 1% is then off by 0.2 points (2 σ)."""
TASK_BYTES = 16_000_000
"""What one task reads, as stored: small, since no file is written."""
ALONE_BYTES = 32_000_000
"""Stored bytes under which no processes are started: they take a second to begin."""
EXACT = 1 << 16
"""Lengths up to which the histogram has a bin a character."""
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_KINDS: Final[tuple[Kind, ...]] = ("parquet", "jsonl", "text")
_TEXT_COLUMNS: Final = ("text", "content", "body", "raw_content", "document", "article", "passage", "completion")
"""Where the text is looked for, in this order, when nobody says where it is."""
_STEPS: Final = 256  # bins of a doubling above EXACT
NO_COLUMN = "unreadable/no_text_column"
"""The reason under which whole files are counted that have no column a text could stand in."""
_COLUMNS_NAMED = 6
_LINES_LOOKED_AT = 100
_FILES_SHOWN = 10
_REASONS_SHOWN = 6
_NAMED = 3


@dataclass(slots=True)
class Lengths:
    """A histogram of lengths in characters."""

    bins: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(EXACT + 48 * _STEPS, dtype=np.int64))
    least: int = 0
    most: int = 0

    def add(self, lengths: npt.NDArray[np.int64]) -> None:
        """Count some more lengths."""
        if not len(lengths):
            return
        self.least = int(lengths.min()) if not self.bins.any() else min(self.least, int(lengths.min()))
        self.most = max(self.most, int(lengths.max()))
        above = EXACT + np.floor(np.log2(np.maximum(lengths, EXACT) / EXACT) * _STEPS).astype(np.int64)
        self.bins += np.bincount(np.where(lengths < EXACT, lengths, above), minlength=len(self.bins))

    def take(self, other: "Lengths") -> None:
        """Count what another histogram has counted."""
        if other.bins.any():
            self.least = min(self.least, other.least) if self.bins.any() else other.least
            self.most = max(self.most, other.most)
            self.bins += other.bins

    def quantile(self, share: float) -> int:
        """The length that this share of the documents does not exceed (nearest rank)."""
        total = int(self.bins.sum())
        if share <= 0 or not total:
            return self.least
        place = int(np.searchsorted(np.cumsum(self.bins), max(1, -(-share * total // 1))))
        length = place if place < EXACT else round(EXACT * 2 ** ((place - EXACT + 0.5) / _STEPS))
        return min(max(length, self.least), self.most)


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is: counts (of documents that could be read), per file and in all.

    `languages` counts the documents of the sample by language (`none`: without letters); `tokens` is null without a
    tokenizer and counts no end-of-text; `unreadable` counts by reason, `named` says where the first of each stand.
    """

    path: str
    kinds: dict[str, int]
    stored_bytes: int
    total: Counted
    files: dict[str, Counted]
    quantiles: dict[float, int]
    languages: dict[str, int]
    sampled: int
    tokens: int | None
    tokenizer: str | None
    unreadable: dict[str, int]
    named: dict[str, list[str]]
    text_columns: dict[str, str]


@dataclass(slots=True)
class Tally:
    """What was counted in some of the files; tallies of parts, taken together in order, are the tally of the whole."""

    languages: "Languages"
    files: dict[str, Counted] = field(default_factory=dict)
    lengths: Lengths = field(default_factory=Lengths)
    reasons: Counter[str] = field(default_factory=Counter)
    named: dict[str, list[str]] = field(default_factory=dict)
    encoded: int = 0

    def add(self, batch: Batch, kind: Kind, encoder: tokens.Encoder | None) -> None:
        """Count a batch of records."""
        _count(batch.frame, self.files, self.lengths)
        self.languages.add(batch.frame)
        if encoder is not None:
            ids = (batch.frame["file"] + "#" + batch.frame["row"].cast(pl.String)).to_list()
            self.encoded += len(encoder.encode(batch.frame["text"].to_list(), ids)[0])
        for file, row, reason, detail in batch.set_aside.select("file", "row", "reason", "detail").rows():
            whole = kind == "text" or reason.endswith(("truncated", "empty"))
            self.refuse(reason, f"{file}: {detail}" if whole else f"{file}#{row}")

    def refuse(self, reason: str, where: str) -> None:
        """Count a record, or a file, that cannot be read."""
        self.reasons[reason] += 1
        if self.reasons[reason] <= _NAMED:
            self.named.setdefault(reason, []).append(where)

    def take(self, other: "Tally") -> None:
        """Count what another tally has counted, of records after these."""
        for name, one in other.files.items():
            own = self.files.setdefault(name, Counted())
            own.documents += one.documents
            own.bytes += one.bytes
            own.characters += one.characters
        self.lengths.take(other.lengths)
        self.languages.take(other.languages)
        for reason, count in other.reasons.items():
            self.reasons[reason] += count
            self.named[reason] = [*self.named.get(reason, ()), *other.named[reason]][:_NAMED]
        self.encoded += other.encoded

    def as_json(self) -> dict[str, Any]:
        """The tally as JSON-ready values."""
        filled = np.flatnonzero(self.lengths.bins)
        return {
            "files": {name: [one.documents, one.bytes, one.characters] for name, one in self.files.items()},
            "lengths": [filled.tolist(), self.lengths.bins[filled].tolist(), self.lengths.least, self.lengths.most],
            "languages": [self.languages.drawn.tolist(), self.languages.found, dict(self.languages.all)],
            "reasons": dict(self.reasons),
            "named": self.named,
            "tokens": self.encoded,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], sample: int) -> "Tally":
        """The tally that `as_json` wrote."""
        places, counts, least, most = values["lengths"]
        lengths = Lengths(least=least, most=most)
        lengths.bins[places] = counts
        drawn, found, every = values["languages"]
        languages = Languages(sample)
        languages.drawn, languages.found, languages.all = np.array(drawn, dtype=np.uint64), found, Counter(every)
        files = {
            name: Counted(documents=documents, bytes=size, characters=characters)
            for name, (documents, size, characters) in values["files"].items()
        }
        return cls(languages, files, lengths, Counter(values["reasons"]), values["named"], values["tokens"])


@dataclass(frozen=True, slots=True)
class LookAt(Job):
    """Count some pieces of files."""

    number: int
    pieces: tuple[Piece, ...]
    reading: Reading
    sample: int
    tokenizer: tokens.Tokenizer | None
    folder: Path

    @property
    def name(self) -> str:
        """The task's name."""
        return f"reading {self.pieces[0].file.name}"

    @property
    def report(self) -> Path:
        """Where its tally lies."""
        return self.folder / f"{self.number}.json"

    def run(self) -> dict[str, Any]:
        """The tally of the pieces."""
        tally = self.tally()
        read = tally.files.values()
        return {
            **tally.as_json(),
            "rows": sum(one.documents for one in read),
            "text_bytes_read": sum(one.bytes for one in read),
        }

    def tally(self) -> Tally:
        """The same, for this process."""
        tally = Tally(Languages(self.sample))
        encoder = _encoder(self.tokenizer) if self.tokenizer is not None else None
        for batch in read_pieces(self.pieces, self.reading, extra={}):
            tally.add(batch, self.reading.kind, encoder)
        return tally


@lru_cache(maxsize=1)
def _encoder(tokenizer: tokens.Tokenizer) -> tokens.Encoder:
    return tokens.encoder_for(tokenizer)


def survey(
    path: Path,
    tokenizer: str | None = None,
    sample: int = SAMPLE,
    text_column: str | None = None,
    *,
    workers: int | None = None,
    observer: Observer | None = None,
) -> Survey:
    """Read a file or all of a folder.

    `tokenizer` is a folder or a Hub id; `sample` documents have their language looked at, 0 for all; `text_column`
    says where a record's text stands (default: the first of text, content, body and so on); `workers` processes read
    (default: all cores), one where there is little to read. Raises SourceError where there is nothing to read,
    ConfigError for a tokenizer that is none.
    """
    files = _files(path)
    described = None
    if tokenizer is not None:
        found = find_tokenizer(tokenizer, None, Path.cwd())
        described = tokens.describe(found.folder, found.name, found.revision, found.sha256, None)
    groups, without = _by_column(files, text_column)
    tally = Tally(Languages(sample))
    for file, detail in without:
        tally.refuse(NO_COLUMN, f"{file.name} ({detail})")
    with tempfile.TemporaryDirectory(prefix="corpus-ja-stats-") as folder:
        jobs: list[LookAt] = []
        for (kind, column), own in groups.items():
            reading = _reading(kind, column)
            jobs += [
                LookAt(number, pieces, reading, sample, described, Path(folder))
                for number, pieces in enumerate(cut_tasks(own, reading, TASK_BYTES), start=len(jobs))
            ]
        for part in _tallies(jobs, workers, observer):
            tally.take(part)
    total = Counted(
        documents=sum(one.documents for one in tally.files.values()),
        bytes=sum(one.bytes for one in tally.files.values()),
        characters=sum(one.characters for one in tally.files.values()),
    )
    counts = tally.languages.counts()
    return Survey(
        path=str(path),
        kinds={kind: len(own) for kind, own in files.items()},
        stored_bytes=sum(file.bytes for own in files.values() for file in own),
        total=total,
        files={file.name: tally.files.get(file.name, Counted()) for own in files.values() for file in own},
        quantiles={share: tally.lengths.quantile(share) for share in QUANTILES},
        languages=counts,
        sampled=sum(counts.values()),
        tokens=tally.encoded if described is not None else None,
        tokenizer=described.name if described is not None else None,
        unreadable=dict(sorted(tally.reasons.items(), key=lambda item: (-item[1], item[0]))),
        named=tally.named,
        text_columns={file.name: column for (_, column), own in groups.items() for file in own if column is not None},
    )


def _tallies(jobs: Sequence[LookAt], workers: int | None, observer: Observer | None) -> Iterator[Tally]:
    """The tallies of all jobs, in order: by processes where there is much to read, else here."""
    stored = sum(piece.file.bytes for job in jobs for piece in job.pieces)
    if len(jobs) == 1 or workers == 1 or stored < ALONE_BYTES:
        yield from (job.tally() for job in jobs)
        return
    by_name = {f"{number} {job.name}": job for number, job in enumerate(jobs)}
    settings = ExecutorSettings(workers=workers or "auto")

    def done(task: Task[LookAt]) -> None:
        if observer is not None:
            observer.done("reading", read_json(by_name[task.name].report))

    if observer is not None:
        observer.begin("reading", len(jobs))
    with open_executor(settings, jobs[0].folder) as executor:
        executor.run("reading", [Task(name, perform, job) for name, job in by_name.items()], done)
    if observer is not None:
        observer.end("reading", 0)
    yield from (Tally.from_json(read_json(job.report), job.sample) for job in jobs)


def _files(path: Path) -> dict[Kind, list[SourceFile]]:
    """The files to read by kind, sorted by name relative to the folder; hidden ones are passed over."""
    if not path.exists():
        raise SourceError(f"There is no file or folder {path}.")
    names = [path.name] if path.is_file() else sorted(_walk(path))
    folder = path.parent if path.is_file() else path
    found: dict[Kind, list[SourceFile]] = {}
    for name in names:
        kind = next((kind for kind in _KINDS if wanted(name, kind, "")), None)
        if kind is None and path.is_file():
            kind = next((kind for kind in _KINDS if name.lower().endswith(ENDINGS[kind])), None)
        if kind is not None:
            place = folder / name
            found.setdefault(kind, []).append(SourceFile(str(place.resolve()), name, place.stat().st_size, ""))
    if not found:
        endings = ", ".join(ending for kind in _KINDS for ending in ENDINGS[kind])
        what = "is no file" if path.is_file() else "holds neither a finished build (manifest.json) nor a file"
        raise SourceError(f"{path} {what} that can be read as text; these can: {endings}.")
    return {kind: found[kind] for kind in _KINDS if kind in found}


def _walk(folder: Path) -> Iterator[str]:
    for current, _, names in os.walk(folder):
        for name in names:
            relative = (Path(current) / name).relative_to(folder).as_posix()
            if relative.isprintable():
                yield relative


def _by_column(
    files: Mapping[Kind, Sequence[SourceFile]], text_column: str | None
) -> tuple[dict[tuple[Kind, str | None], list[SourceFile]], list[tuple[SourceFile, str]]]:
    """The files by kind and the column their text stands in, and those without one, with what they have instead.

    SourceError where no file at all has one.
    """
    groups: dict[tuple[Kind, str | None], list[SourceFile]] = {}
    without: list[tuple[SourceFile, str]] = []
    for kind, own in files.items():
        for file in own:
            names = _columns(kind, file) if kind != "text" and text_column is None else []
            column = next((one for one in _TEXT_COLUMNS if one in names), None)
            if names and column is None:
                without.append((file, ", ".join(names[:_COLUMNS_NAMED])))
                continue
            groups.setdefault((kind, None if kind == "text" else column or text_column or "text"), []).append(file)
    if not groups:
        raise SourceError(
            f"{without[0][0].address}: its records have no text under {', '.join(_TEXT_COLUMNS)}; they have {without[0][1]}. "
            "Name the one to read with --text-column."
        )
    return groups, without


def _reading(kind: Kind, column: str | None) -> Reading:
    """How files of a kind are read whose text stands in a column."""
    if kind == "text":
        return Reading(text=".")
    columns = {} if column in {None, "text"} else {"text": str(column)}
    return Reading(parquet=".", columns=columns) if kind == "parquet" else Reading(jsonl=".", columns=columns)


def _columns(kind: Kind, file: SourceFile) -> list[str]:
    """The columns of a file's first records; none where they cannot be told, which the reader will say better."""
    if kind == "parquet":
        try:
            return list(pl.read_parquet_schema(file.address))
        except (OSError, pl.exceptions.PolarsError):
            return []
    head = b""
    try:
        for chunk in chunks(file):
            head += chunk
            if head.count(b"\n") > _LINES_LOOKED_AT or len(head) > 4_000_000:
                break
    except Broken:
        pass  # what came before the break says what the records look like
    names: dict[str, None] = {}
    for line in head.split(b"\n"):
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(record, dict):
            names |= dict.fromkeys(record)
    return list(names)


def _count(frame: pl.DataFrame, each: dict[str, Counted], lengths: Lengths) -> None:
    """Add a batch to the counts of its files and to the histogram."""
    text = pl.col("text")
    counted = frame.select("file", bytes=text.str.len_bytes(), characters=text.str.len_chars())
    lengths.add(counted["characters"].to_numpy().astype(np.int64))
    sums = counted.group_by("file").agg(pl.len().alias("documents"), pl.col("bytes", "characters").cast(pl.Int64).sum())
    for name, documents, size, characters in sums.select("file", "documents", "bytes", "characters").rows():
        own = each.setdefault(name, Counted())
        own.documents += documents
        own.bytes += size
        own.characters += characters


class Languages:
    """The languages of the documents with the lowest draws: measured as they come, while they are among the lowest.

    `drawn` and `found` are theirs; with a sample of 0 every document is one, and `all` counts them.
    """

    def __init__(self, sample: int) -> None:
        self.drawn = np.zeros(0, dtype=np.uint64)
        self.found: list[str] = []
        self.all: Counter[str] = Counter()
        self._sample = sample
        self._bound = 2**64
        self._model = str(language.default_model_path())

    def add(self, frame: pl.DataFrame) -> None:
        """Look at a batch."""
        if not self._sample:
            self.all.update(self._measured(frame["text"]))
            return
        drawn = draws(0, "survey", (frame["file"] + "#" + frame["row"].cast(pl.String)).to_list())
        rows = np.flatnonzero(drawn < np.uint64(self._bound)) if self._bound < 2**64 else np.arange(len(drawn))
        if len(rows):
            self._keep(drawn[rows], self._measured(frame["text"].gather(rows)))

    def take(self, other: "Languages") -> None:
        """Take the documents of another."""
        self.all.update(other.all)
        self._keep(other.drawn, other.found)

    def _measured(self, text: pl.Series) -> list[str]:
        return language.measure(text, self._model)["language"].fill_null("none").to_list()

    def _keep(self, drawn: npt.NDArray[np.uint64], found: list[str]) -> None:
        self.drawn = np.concatenate((self.drawn, drawn))
        self.found += found
        if len(self.drawn) > 2 * self._sample:
            self._cut()

    def _cut(self) -> None:
        """Keep the lowest draws alone."""
        order = np.argsort(self.drawn, kind="stable")[: self._sample]
        self._bound = int(self.drawn[order[-1]]) if len(order) else 2**64
        self.drawn, self.found = self.drawn[order], [self.found[place] for place in order.tolist()]

    def counts(self) -> dict[str, int]:
        """Documents of the sample by language, the most frequent first."""
        if len(self.drawn) > self._sample:
            self._cut()
        return dict(sorted((Counter(self.found) + self.all).items(), key=lambda item: (-item[1], item[0])))


# -------------------------------------------------------------------------------------------------------------- showing


def as_json(found: Survey) -> dict[str, Any]:
    """The survey as JSON-ready values."""
    return {
        "path": found.path,
        "files": {name: one.model_dump() for name, one in found.files.items()},
        "kinds": found.kinds,
        "text_columns": found.text_columns,
        "stored_bytes": found.stored_bytes,
        **found.total.model_dump(),
        "characters_a_document": {f"{share:.0%}": length for share, length in found.quantiles.items()},
        "languages": found.languages,
        "language_sample": found.sampled,
        "tokenizer": found.tokenizer,
        "tokens": found.tokens,
        "tokens_per_character": _ratio(found.tokens, found.total.characters),
        "bytes_per_token": _ratio(found.total.bytes, found.tokens),
        "unreadable": found.unreadable,
        "unreadable_examples": found.named,
    }


def _ratio(part: int | None, whole: int | None) -> float | None:
    return round(part / whole, 4) if part is not None and whole else None


def print_survey(found: Survey, console: Console) -> None:
    """The survey in one screen."""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in found.kinds.items())
    others = sorted(set(found.text_columns.values()) - {"text"})
    columns = f"; text also under {printable(', '.join(others))}" if others else ""
    console.print(f"{printable(found.path)}: no build, read as text", style="bold", highlight=False, soft_wrap=True)
    _say(console, f"files: {kinds} ({found.stored_bytes / 1e6:,.1f} MB as stored){columns}")
    rows = _rows(found.files)
    counted_table("", ("file", "documents", "UTF-8 bytes", "characters"), rows, console)
    lengths = ", ".join(f"{_quantile(share)} {length:,}" for share, length in found.quantiles.items())
    _say(console, f"characters a document: {lengths}")
    _say(console, _languages_said(found))
    if found.tokens is not None:
        per = _ratio(found.tokens, found.total.characters)
        a_token = _ratio(found.total.bytes, found.tokens)
        shown = (
            f" ({per:.3f} a character, {a_token:.2f} bytes a token)" if per is not None and a_token is not None else ""
        )
        _say(
            console,
            f"tokens with {printable(str(found.tokenizer))}: {found.tokens:,}{shown}, end-of-text tokens not counted",
        )
    if found.unreadable:
        _say(console, f"unreadable: {sum(found.unreadable.values()):,}")
        for reason, count in list(found.unreadable.items())[:_REASONS_SHOWN]:
            some = "; ".join(printable(one) for one in found.named.get(reason, ()))
            more = "; ..." if count > len(found.named.get(reason, ())) else ""
            _say(console, f"  {count:,} {printable(reason.removeprefix('unreadable/'))}: {some}{more}")


def _rows(files: Mapping[str, Counted]) -> list[tuple[str, Sequence[int | str]]]:
    """The largest files, the others as one row, and the sum."""
    most = sorted(files, key=lambda name: (-files[name].bytes, name))
    shown = most if len(most) <= _FILES_SHOWN else most[: _FILES_SHOWN - 1]
    rows: list[tuple[str, Sequence[int | str]]] = [
        (name, (files[name].documents, files[name].bytes, files[name].characters)) for name in sorted(shown)
    ]
    groups = [(f"{len(most) - len(shown):,} more", most[len(shown) :])] if len(most) > len(shown) else []
    for label, names in [*groups, ("all", most)] if len(most) > 1 else groups:
        own = [files[name] for name in names]
        sums = (sum(one.documents for one in own), sum(one.bytes for one in own), sum(one.characters for one in own))
        rows.append((label, sums))
    return rows


def _quantile(share: float) -> str:
    return {0.0: "least", 0.5: "median", 1.0: "most"}.get(share, f"{share:.0%}")


def _languages_said(found: Survey, most: int = 8) -> str:
    whole = found.sampled == found.total.documents
    scope = "all documents" if whole else f"{found.sampled:,} documents drawn of {found.total.documents:,}"
    if not found.sampled:
        return "languages: no document to look at"
    listed = ", ".join(f"{name} {count / found.sampled:.1%}" for name, count in list(found.languages.items())[:most])
    rest = len(found.languages) - most
    return f"languages ({scope}): {listed}{f', and {rest} more' if rest > 0 else ''}"


def _say(console: Console, sentence: str) -> None:
    console.print(sentence, highlight=False)
