"""Documents of a build to read, with the reason why each was dropped: a seeded choice that reads only the texts chosen.

1. verdicts are read file by file (`rules`, `duplicates`, `mix`: a few bytes a document, no text), and of those that are
   asked for the `n` with the lowest number stay: a mixing of the document's own draw (`chance`, a hash of its id) with
   the seed, so the choice depends on neither workers nor the order of files, and is no generator's;
2. of these few, text, broken rules, the signals they compare, clusters and overlaps are read by row group;
3. `marking` says where in the text the offending part stands, and a long text is cut round the first of it.

Without a verdict asked for, every verdict is served in turn, the frequent ones first. Cost, processor time: of a million
documents 20 of one verdict 0.25 s and 0.28 GB, 20 of all in turn 0.9 s and 0.35 GB, the texts of a page's length among it.
Rejected: reading ids to hash them (half a second a million more).
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from corpus_ja.config import words_folder
from corpus_ja.errors import ConfigError, ManifestError
from corpus_ja.exports import Stored
from corpus_ja.marking import Document, Span, Words, joined, marks, overlap
from corpus_ja.report import limit_in_signs, visible
from corpus_ja.stages.lists import parse_words
from corpus_ja.storage.manifest import Manifest
from corpus_ja.storage.shards import read_frame, read_json, read_rows

KEPT = "kept"
"""What stands for the verdict of documents that were kept, where verdicts are named."""
CHARACTERS = 4000
"""Characters of a text that are shown unless another number is asked for."""
_BEFORE = 4
"""A cut text begins a quarter of what is shown before its first mark."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that a document broke: its signal's value and the limits as they were then.

    `value` is null where the signal is no number or missing (`found` says it in words then); `min` and `max` are the
    limits of the rule, also those it writes as `above` and `below`; `limit` is the whole of it in signs.
    """

    rule: str
    signal: str
    value: float | int | None
    min: float | None
    max: float | None
    limit: str = ""
    found: str | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """One document to read.

    `verdict` is null for a kept one. `text` is what is shown of it, `cut` the characters left out, `offset` those left
    out before it; `marks` are spans of code points in `text`: the offending part of the rule `marked` (for a
    contaminated document the evaluation item). `verdict_note` says in words what no number says.
    """

    source: str
    id: str
    url: str | None
    verdict: str | None
    broken: tuple[Broken, ...]
    text: str
    cut: int
    marks: tuple[Span, ...]
    offset: int = 0
    marked: str | None = None
    verdict_note: str | None = None


def read_samples(
    manifest: Manifest,
    work: Path,
    *,
    dropped_by: str | None = None,
    kept: bool = False,
    source: str | None = None,
    n: int,
    seed: int = 0,
    characters: int = CHARACTERS,
) -> list[Sample]:
    """Up to `n` documents of a build, by the order of their draws mixed with `seed`.

    `dropped_by` is a verdict (`corpus_ja.too_short`, `duplicate.near`, `language`, `unreadable/no_text`), a rule's name
    alone, or what stands before the point (`duplicate`); with `kept`, those that live; with neither, all verdicts in
    turn. Raises ConfigError for a verdict or source that the build does not know, ManifestError where the files of
    `work` are gone.
    """
    if dropped_by is not None and kept:
        raise ConfigError("A document is either kept or dropped: give --kept or --dropped-by, not both.")
    sources = _sources(manifest, source)
    wanted: set[str | None] | None = None
    if kept or dropped_by is not None:
        wanted = {None} if dropped_by is None else verdicts_named(manifest, dropped_by)
    build = _Build(manifest, work)
    best = pl.DataFrame(schema=_CHOSEN)
    for number, part in enumerate(build.parts):
        if part.source not in sources:
            continue
        frame = _with_rank(part, number, seed)
        best = _best(pl.concat([best, _of(frame, wanted)]), n, spread=wanted is None)
    for number, aside in enumerate(build.aside):
        if aside.source in sources and _may_hold(aside.reasons(manifest), wanted):
            best = _best(pl.concat([best, _of(aside.ranked(number, seed), wanted)]), n, spread=wanted is None)
    if wanted is None:
        best = _in_turn(best, verdict_counts(manifest, source)).head(n)
    return [_sample(build, row, characters) for row in _details(build, best)]


def verdict_counts(manifest: Manifest, source: str | None = None) -> dict[str, int]:
    """Documents by verdict (`kept` for those that live), of one source or of all, the most frequent first."""
    counts: dict[str, int] = {}
    for name in _sources(manifest, source):
        report = manifest.sources[name]
        own = {KEPT: report.kept.documents, **report.dropped}
        own |= {f"unreadable/{reason}": count for reason, count in report.unreadable.items()}
        for verdict, count in own.items():
            counts[verdict] = counts.get(verdict, 0) + count
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def verdicts_named(manifest: Manifest, name: str) -> set[str | None]:
    """The verdicts that a name stands for; ConfigError with the nearest where the build knows none of that name."""
    counted = set(verdict_counts(manifest)) - {KEPT}
    rules = {full for own in manifest.rules.values() for sets in own for full in _rules([sets])}
    known = counted | rules
    for stands in (
        {one for one in known if one == name},
        {one for one in known if one.startswith((f"{name}.", f"{name}/"))},
        {one for one in known if one.partition(".")[2] == name or one.partition("/")[2] == name},
    ):
        if stands & counted:
            return set(stands & counted)
        if stands:
            raise ConfigError(
                f"{name} is a rule of this build, and no document was dropped by it (those that break it were dropped "
                "by another before)."
            )
    close = difflib.get_close_matches(name[:200], [*known, *(one.partition(".")[2] for one in known)], n=1, cutoff=0.5)
    hint = (
        f"did you mean {close[0]}?"
        if close
        else f"it has: {', '.join(sorted(counted)) or 'none, nothing was dropped'}."
    )
    raise ConfigError(f"--dropped-by {name}: this build has no such verdict; {hint}")


def _sources(manifest: Manifest, source: str | None) -> list[str]:
    if source is None:
        return list(manifest.source_names)
    if source not in manifest.source_names:
        close = difflib.get_close_matches(source[:200], manifest.source_names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"it has: {', '.join(manifest.source_names)}."
        raise ConfigError(f"--source {source}: this build has no such source; {hint}")
    return [source]


def _rules(sets: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Rules by their full name, as the manifest keeps them."""
    return {f"{one['name']}.{rule['name']}": rule for one in sets for rule in one.get("rules", ())}


# ------------------------------------------------------------------------------------------------------------- choosing

_CHOSEN = pl.Schema({"aside": pl.Boolean, "part": pl.Int64, "row": pl.Int64, "verdict": pl.String, "rank": pl.UInt64})


@dataclass(frozen=True)
class _Build:
    """The files of a build's documents."""

    manifest: Manifest
    work: Path

    @cached_property
    def parts(self) -> list[Stored]:
        """Every documents file with its sidecars."""
        found: list[Stored] = []
        for source in self.manifest.source_names:
            folders = self.folders(source)
            missing = next((place for place in folders.values() if not place.is_dir()), None)
            if missing is not None:
                raise ManifestError(
                    f"The documents of this build are not in {self.work} ({missing.name} is missing); name their folder with --work, or build again."
                )
            for report in sorted(folders["documents"].glob("[0-9]*.json")):
                found += [Stored(source, part["name"], folders) for part in read_json(report)["parts"]]
        return found

    @cached_property
    def aside(self) -> list["_Aside"]:
        """Every file of records that never became documents."""
        return [
            _Aside(source, path)
            for source in self.manifest.source_names
            for name in (
                self.manifest.work["documents"].get(f"{source}, as read"),
                self.folders(source)["documents"].name,
            )
            if name is not None
            for path in sorted((self.work / "documents" / name).glob("*.set_aside.parquet"))
        ]

    def folders(self, source: str) -> dict[str, Path]:
        """Where each stage keeps its files of a source."""
        return {
            stage: self.work / stage / names[source]
            for stage, names in self.manifest.work.items()
            if source in names and stage != "shards"
        }

    @cached_property
    def items(self) -> dict[str, tuple[str, ...]]:
        """The parts of every evaluation item by its name; empty where the build looked for none."""
        name = self.manifest.work.get("overlaps", {}).get("items")
        place = self.work / "overlaps" / name if name is not None else None
        if place is None or not place.is_file():
            return {}
        return {f"{item['set']}/{item['id']}": tuple(item["parts"]) for item in read_json(place)["items"]}

    @cached_property
    def grams(self) -> int:
        """Characters of an n-gram by which evaluation items are found."""
        return int((self.manifest.mix.get("decontaminate") or {}).get("characters", 13))

    @cached_property
    def lists(self) -> dict[str, Words]:
        """The word lists that can be found again: those shipped with us, and files named by a path that opens here."""
        found: dict[str, Words] = {}
        named = {name: dict(settings) for name, settings in self.manifest.mix.get("lists", {}).items()}
        shipped = {path.stem: {"path": str(path)} for path in sorted(words_folder().glob("*.txt"))}
        for name, settings in {**shipped, **named}.items():
            place = Path(str(settings.get("path", "")))
            place = place if place.is_file() else words_folder() / f"{place.name}.txt"
            try:
                words = parse_words(place.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError):
                continue
            found[name] = Words(words, bool(settings.get("boundaries", True)))
        return found


@dataclass(frozen=True, slots=True)
class _Aside:
    """A file of records that are no documents (unreadable), or that reading left out (`where`, a fraction)."""

    source: str
    path: Path

    def reasons(self, manifest: Manifest) -> set[str]:
        """The verdicts that may stand in it, so that a file without the wanted one is not opened."""
        report = manifest.sources[self.source]
        return {f"unreadable/{reason}" for reason in report.unreadable} | set(report.dropped)

    def ranked(self, number: int, seed: int) -> pl.DataFrame:
        """Its records as `_CHOSEN`; they have no draw, so their place in the file is mixed in its stead."""
        reasons = read_frame(self.path, ["reason"])["reason"]
        place = np.arange(len(reasons), dtype=np.uint64) + (np.uint64(number) << np.uint64(40))
        return _chosen(number, reasons, _mixed(place, seed), aside=True)


def _may_hold(reasons: set[str], wanted: set[str | None] | None) -> bool:
    return bool(reasons if wanted is None else reasons & wanted)


def _with_rank(part: Stored, number: int, seed: int) -> pl.DataFrame:
    """The verdict and the rank of every document of one file."""
    drawn = part.read("chance", ["sample"])["sample"].to_numpy()
    return _chosen(number, part.verdict(), _mixed(drawn, seed), aside=False)


def _chosen(number: int, verdict: pl.Series, rank: npt.NDArray[np.uint64], *, aside: bool) -> pl.DataFrame:
    return pl.DataFrame({"verdict": verdict, "rank": rank}).select(
        pl.lit(aside).alias("aside"),
        pl.lit(number, dtype=pl.Int64).alias("part"),
        pl.int_range(pl.len(), dtype=pl.Int64).alias("row"),
        "verdict",
        "rank",
    )


def _mixed(drawn: npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.uint64]:
    """64-bit draws mixed with a seed (the finisher of SplitMix64), so that another seed gives another order."""
    value = drawn ^ np.uint64((seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) % 2**64)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: npt.NDArray[np.uint64] = value ^ (value >> np.uint64(31))
    return mixed


def _of(frame: pl.DataFrame, wanted: set[str | None] | None) -> pl.DataFrame:
    """The rows with one of the wanted verdicts."""
    if wanted is None:
        return frame
    named = [verdict for verdict in wanted if verdict is not None]
    condition = pl.col("verdict").is_in(named).fill_null(value=False)
    return frame.filter(condition | pl.col("verdict").is_null() if None in wanted else condition)


def _best(frame: pl.DataFrame, n: int, *, spread: bool) -> pl.DataFrame:
    """The lowest ranks: `n` of all, or of every verdict."""
    ordered = frame.sort("rank", "part", "row")
    return (
        ordered.group_by("verdict", maintain_order=True).head(n).select(_CHOSEN.names()) if spread else ordered.head(n)
    )


def _in_turn(best: pl.DataFrame, counts: Mapping[str, int]) -> pl.DataFrame:
    """One of every verdict, then a second one, and so on; verdicts with more documents first."""
    place = {verdict: place for place, verdict in enumerate(counts)}
    many = [place.get(verdict or KEPT, len(place)) for verdict in best["verdict"]]
    ordered = best.with_columns(
        turn=pl.col("rank").rank("ordinal").over("verdict"), place=pl.Series(many, dtype=pl.Int64)
    )
    return ordered.sort("turn", "place", "rank").select(_CHOSEN.names())


# -------------------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class _Row:
    """What is stored about one chosen document."""

    source: str
    verdict: str | None
    values: Mapping[str, Any]
    signals: Mapping[str, Any] = field(default_factory=dict)
    aside: bool = False


def _details(build: _Build, best: pl.DataFrame) -> list[_Row]:
    """The chosen documents in their order, each file opened once."""
    found: dict[tuple[bool, int, int], _Row] = {}
    for (aside, number), own in best.group_by("aside", "part", maintain_order=True):
        rows = np.sort(own["row"].to_numpy())
        verdicts = dict(own.select("row", "verdict").rows())
        if aside:
            file = build.aside[int(number)]
            values = read_rows(file.path, ["id", "file", "row", "reason", "detail"], rows).rows(named=True)
            more: Iterable[Mapping[str, Any]] = [{} for _ in values]
            source = file.source
        else:
            part = build.parts[int(number)]
            values, more = _stored(build, part, rows)
            source = part.source
        for row, value, own_signals in zip(rows.tolist(), values, more, strict=True):
            found[bool(aside), int(number), row] = _Row(source, verdicts[row], value, own_signals, bool(aside))
    return [found[key] for key in best.select("aside", "part", "row").iter_rows()]


def _stored(
    build: _Build, part: Stored, rows: npt.NDArray[np.int64]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Text, broken rules, cluster, overlaps, allotment and language of some documents; and the signals compared."""

    def some(stage: str, columns: Sequence[str]) -> pl.DataFrame:
        return read_rows(part.folders[stage] / f"{part.part}.parquet", columns, rows)

    frames = [some("documents", ["id", "text", "url"]), some("rules", ["broken"]), some("mix", ["times", "held_out"])]
    frames.append(some("language", ["language", "language_score"]))
    if "duplicates" in part.folders:
        frames.append(some("duplicates", ["cluster", "cluster_size"]))
    if "overlaps" in part.folders:
        frames.append(some("overlaps", ["evaluation_items"]))
    table = pl.concat(frames, how="horizontal")
    rules = _rules(build.manifest.rules.get(part.source, []))
    compared = {rules[name]["signal"] for names in table["broken"] for name in names if name in rules}
    found: list[pl.DataFrame] = []
    for stage in ("signals", "lists", "scores", "language", "documents"):
        if compared and stage in part.folders:
            schema = pl.read_parquet_schema(part.folders[stage] / f"{part.part}.parquet")
            here = [name for name in schema if name in compared]
            compared -= set(here)
            if here:
                found.append(some(stage, here))
    signals = pl.concat(found, how="horizontal").rows(named=True) if found else [{} for _ in range(table.height)]
    return table.rows(named=True), signals


def _sample(build: _Build, row: _Row, characters: int) -> Sample:
    """A stored document as it is shown."""
    if row.aside:
        return _unread(row, characters)
    values = row.values
    text = values["text"] or ""
    rules = _rules(build.manifest.rules.get(row.source, []))
    broken = tuple(_broken(name, rules.get(name), row.signals) for name in values["broken"] or ())
    own = build.manifest.mix.get("sources", {}).get(row.source, {})
    document = Document(text, own.get("language") or "ja", build.lists if _asks_for_words(broken) else {})
    marked, spans = _marked(build, row, broken, document)
    offset, shown, spans = _window(text, spans, characters)
    return Sample(
        source=row.source,
        id=values["id"],
        url=values["url"],
        verdict=row.verdict,
        broken=broken,
        text=shown,
        cut=len(text) - len(shown),
        marks=spans,
        offset=offset,
        marked=marked if spans else None,
        verdict_note=_note(row, own),
    )


def _unread(row: _Row, characters: int) -> Sample:
    values = row.values
    name = values["id"] or f"{row.source}/{values['file']}#{values['row']}"
    text = values["detail"] or ""
    note = "The record was never read as a document; this is how it begins, or what is wrong with it."
    if not (row.verdict or "").startswith("unreadable/"):
        note = "The record was left out while reading; its text is not kept."
    return Sample(
        row.source,
        name,
        None,
        row.verdict,
        (),
        text[:characters],
        max(0, len(text) - characters),
        (),
        verdict_note=note,
    )


def _broken(name: str, rule: Mapping[str, Any] | None, found: Mapping[str, Any]) -> Broken:
    """A broken rule with its limits, as the manifest keeps them; older manifests keep none."""
    if rule is None:
        return Broken(name, "", None, None, None)
    value = found.get(rule["signal"])
    number = value if isinstance(value, int | float) and not isinstance(value, bool) and value == value else None
    words = ", ".join(map(str, value)) if isinstance(value, list) else None if number is not None else str(value)
    low = next((float(rule[key]) for key in ("min", "above") if rule.get(key) is not None), None)
    high = next((float(rule[key]) for key in ("max", "below") if rule.get(key) is not None), None)
    return Broken(name, rule["signal"], number, low, high, limit_in_signs(rule), words, str(rule.get("why", "")))


def _asks_for_words(broken: Sequence[Broken]) -> bool:
    return any(one.signal.startswith("words_") for one in broken)


def _marked(
    build: _Build, row: _Row, broken: Sequence[Broken], document: Document
) -> tuple[str | None, tuple[Span, ...]]:
    """The offending part of what the verdict names; of the first other broken rule that has one where it has none."""
    verdict = row.verdict or ""
    if verdict.startswith("decontaminate."):
        items = [build.items[name] for name in row.values.get("evaluation_items") or () if name in build.items]
        return verdict, joined(span for parts in items for span in overlap(document.text, parts, build.grams))
    if verdict.startswith("duplicate."):
        return None, ()
    for one in sorted(broken, key=lambda one: one.rule != verdict):
        if one.value is None:
            continue
        spans = marks(one.signal, document, excess=one.max is not None and one.value >= one.max)
        if spans:
            return one.rule, spans
    return None, ()


def _window(text: str, spans: tuple[Span, ...], characters: int) -> tuple[int, str, tuple[Span, ...]]:
    """Where the shown part begins, the shown part, and the spans inside it."""
    offset = 0
    if len(text) > characters and spans and spans[0][1] > characters:
        offset = min(max(0, spans[0][0] - characters // _BEFORE), len(text) - characters)
    shown = text[offset : offset + characters]
    inside = joined((max(0, start - offset), min(len(shown), end - offset)) for start, end in spans)
    return offset, shown, inside


def _note(row: _Row, source: Mapping[str, Any]) -> str | None:
    """What the verdict means for this document, where no rule's number says it."""
    values = row.values
    verdict = row.verdict
    if verdict is None:
        if values["held_out"]:
            return "It is held out: it stands in the validation shards."
        times = int(values["times"])
        return f"It stands in the training shards {'once' if times == 1 else f'{times:,} times'}."
    if verdict == "language":
        score = values["language_score"]
        said = f" with probability {score:.2f}" if score is not None else ""
        return f"Its language is {values['language']}{said}; the source asks for {source.get('language')}."
    if verdict.startswith("duplicate."):
        size = values.get("cluster_size") or 0
        return f"{values.get('cluster')} stays, of {size:,} documents that say the same."
    if verdict.startswith("decontaminate."):
        names = values.get("evaluation_items") or []
        more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
        return f"It holds the evaluation items {', '.join(names[:3])}{more}."
    if verdict == "mix.not_sampled":
        return "Nothing is wrong with it; the budget asked for less than there was."
    if verdict == "where":
        return f"The source's `where` leaves it out: {source.get('where')}"
    return None


# -------------------------------------------------------------------------------------------------------------- showing

OPENS, CLOSES = "\u27e6", "\u27e7"
"""What stands round the offending part where a terminal has no colours, and in a pipe: ⟦ ⟧."""
_RULES_SHOWN = 4


def pieces(sample: Sample) -> Iterator[tuple[str, bool]]:
    """The shown text in pieces, each with whether it is marked; together they are `text`."""
    at = 0
    for start, end in sample.marks:
        if at < start:
            yield sample.text[at:start], False
        yield sample.text[start:end], True
        at = end
    if at < len(sample.text):
        yield sample.text[at:], False


def print_samples(samples: Sequence[Sample], console: Console) -> None:
    """Each document with its verdict, the rules it broke with value and limit, and its text, the offending part
    marked.

    Text is never markup: what a terminal would obey is shown as an escape.
    """
    plain = not console.is_terminal or console.no_color or console.color_system is None
    for number, sample in enumerate(samples, start=1):
        if number > 1:
            console.print()
        console.rule(f"{number} of {len(samples)}", align="left", style="dim")
        console.print(Text(visible(sample.id), style="bold"), soft_wrap=True)
        _print_reason(sample, console)
        console.print()
        console.print(Padding(_shown_text(sample, plain=plain), (0, 0, 0, 2)))


def _print_reason(sample: Sample, console: Console) -> None:
    verdict = "kept" if sample.verdict is None else f"dropped by {visible(sample.verdict)}"
    console.print(Text(verdict, style="bold"))
    if sample.url:
        console.print(Text(visible(sample.url), style="dim"), soft_wrap=True)
    if sample.verdict_note:
        console.print(Text(visible(sample.verdict_note)))
    for one in sample.broken[:_RULES_SHOWN]:
        value = f"{one.value:,.4g}" if one.value is not None else one.found or "not stored"
        told = (
            f"{one.signal} {value}, limit {one.limit}" if one.signal else "its limits are not in this build's manifest"
        )
        line = Text("  ")
        line.append(visible(one.rule), style="bold" if one.rule == sample.verdict else "")
        line.append(f": {visible(told)}")
        if one.rule == sample.marked:
            line.append(" (marked)")
        console.print(line)
        if one.rule == sample.verdict and one.why:
            console.print(Padding(Text(visible(" ".join(one.why.split())), style="dim"), (0, 0, 0, 4)))
    if len(sample.broken) > _RULES_SHOWN:
        more = ", ".join(visible(one.rule) for one in sample.broken[_RULES_SHOWN:])
        console.print(Text(f"  and {len(sample.broken) - _RULES_SHOWN:,} more: {more}"))


def _shown_text(sample: Sample, *, plain: bool) -> Text:
    text = Text()
    if sample.offset:
        text.append(f"[{sample.offset:,} characters before]\n", style="dim")
    for piece, marked in pieces(sample):
        shown = "\n".join(visible(line.replace("\t", "    ")) for line in piece.split("\n"))
        if marked and plain:
            shown = f"{OPENS}{shown}{CLOSES}"
        text.append(shown, style="reverse" if marked and not plain else "")
    after = sample.cut - sample.offset
    if after:
        text.append(f"\n[{after:,} characters after]", style="dim")
    return text


def as_json(sample: Sample) -> dict[str, Any]:
    """A sample as JSON-ready values."""
    return {
        "source": sample.source,
        "id": sample.id,
        "url": sample.url,
        "verdict": sample.verdict,
        "verdict_note": sample.verdict_note,
        "broken": [
            {"rule": one.rule, "signal": one.signal, "value": one.value, "found": one.found, "min": one.min, "max": one.max, "limit": one.limit, "why": one.why}
            for one in sample.broken
        ],
        "marked": sample.marked,
        "marks": [list(span) for span in sample.marks],
        "offset": sample.offset,
        "cut": sample.cut,
        "text": sample.text,
    }  # fmt: skip


def work_of(build: Path, work: Path | None) -> Path:
    """The work folder of a build: the one named, else `work` beside it; ManifestError where there is none."""
    place = work or build.resolve().parent / "work"
    if not place.is_dir():
        raise ManifestError(
            f"There is no work folder {place}, and the texts of a build lie there; name it with --work, or build again."
        )
    return place
