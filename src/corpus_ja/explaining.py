"""One document under a mix's rules: every signal with its value, every rule with its limit and its verdict.

The text is cleaned, measured and judged as a build would do it, by the same functions; nothing is written. A document
is a file's text, standard input, or a record of a source by its id. Looking for an id reads the source from its
beginning, or only its file where the id says it (`source/file#row`). Duplicates and the mix's draws are no business of
one document.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

from corpus_ja.config import LoadedMix, Source
from corpus_ja.errors import SourceError
from corpus_ja.report import plain_table, printable
from corpus_ja.stages import language, lists, rules, signals
from corpus_ja.stages.clean import clean_counted
from corpus_ja.stages.published import PUBLISHED
from corpus_ja.stages.rules import Rule
from corpus_ja.storage.sources import cut_tasks, extra_columns, list_files, located, read_pieces
from corpus_ja.tasks.judging import excluded
from corpus_ja.tasks.measuring import measured_at_once

MORE_VALUES = 60
"""Characters of a text value that the table shows."""


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """One rule on one document: its signal's value, its limit in words, and what it says (kept, dropped, not run)."""

    name: str
    signal: str
    value: object
    limit: str
    verdict: str
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a mix says of one document; `dropped_by` is the verdict of language and rules, null where it is kept."""

    source: str
    characters: int
    cleaned: dict[str, int]
    language: str | None
    language_score: float | None
    dropped_by: str | None
    values: dict[str, object]
    rules: tuple[RuleVerdict, ...]


def explain(loaded: LoadedMix, name: str, document: pl.DataFrame) -> Explanation:
    """Judge a frame of one document (`text`, `url` and the source's own columns) as the source of that name would."""
    source = loaded.sources[name]
    text, cleaned = clean_counted(document["text"], source.clean)
    document = document.with_columns(text=text)
    measured = measured_at_once(
        document,
        source.language,
        loaded.language_model,
        rules.names_to_measure(loaded.rule_sets[name]),
        loaded.lists,
        loaded.models,
    )
    own = [column for column in document.columns if column not in {"text", "url", *measured.columns}]
    table = measured.hstack(document.select(own))
    foreign = language.judge(measured.select("language", "language_score"), source.language)[0]
    judged = rules.judge(table, loaded.rule_sets[name])
    left_out = excluded(table, loaded.conditions.get(name), name)[0]
    broken = set(judged["broken"][0])
    absent = set(rules.not_run(loaded.rule_sets[name], table.columns))
    values = {column: table[column][0] for column in table.columns if column not in {"language", "language_score"}}
    verdicts = []
    for rule_set in loaded.rule_sets[name]:
        for rule in rule_set.rules:
            full = f"{rule_set.name}.{rule.name}"
            verdict = "not run" if full in absent else "DROPS" if full in broken else "keeps"
            verdicts.append(RuleVerdict(full, rule.signal, values.get(rule.signal), limit_of(rule), verdict, rule.why))
    return Explanation(
        source=name,
        characters=len(text[0] or ""),
        cleaned=cleaned,
        language=measured["language"][0],
        language_score=measured["language_score"][0],
        dropped_by=left_out or foreign or judged["dropped_by"][0],
        values=values,
        rules=tuple(verdicts),
    )


def limit_of(rule: Rule) -> str:
    """A rule's limits in signs: ≥ 0.15, ≤ 0.3, none of noisy, tiny."""
    signs = {"min": "≥", "max": "≤", "above": ">", "below": "<"}
    limits = [f"{signs[key]} {number:g}" for key, number in rule.limits.items()]
    if rule.words is not None:
        limits.append(("none of " if rule.none_of is not None else "one of ") + ", ".join(rule.words))
    return " and ".join(limits)


def given_text(text: str) -> pl.DataFrame:
    """A document that is only a text."""
    return pl.DataFrame({"text": [text], "url": [None]}, schema={"text": pl.String, "url": pl.String})


def find(loaded: LoadedMix, wanted: str, source: str | None = None) -> tuple[str, pl.DataFrame]:
    """The source and the record of an id, as `explain` takes it; SourceError where there is none of that id.

    `~2` at the end of an id means the second record of that id in the source.
    """
    names = [source] if source is not None else [name for name in loaded.sources if wanted.startswith(f"{name}/")]
    if not names:
        raise SourceError(
            f"The id {wanted!r} begins with no source of the mix; ids read SOURCE/ID, and the sources are: "
            f"{', '.join(loaded.sources)}."
        )
    for name in names:
        found = _search(loaded, name, wanted.removeprefix(f"{name}/"))
        if found is not None:
            return name, found
    raise SourceError(
        f"There is no document {wanted!r} in {' or '.join(names)}; ids are as `corpus-ja export` gives them."
    )


def _search(loaded: LoadedMix, name: str, wanted: str) -> pl.DataFrame | None:
    resolved: Source = located(loaded.sources[name], loaded.folder)
    files = list_files(resolved, loaded.folder, {})
    extra = extra_columns(files, resolved)
    file = wanted.rpartition("#")[0]
    if any(one.name == file for one in files):
        chosen = [one for one in files if one.name == file]
        found = _nth(chosen, resolved, extra, wanted, 1)
        if found is not None:
            return found
    plain, tilde, number = wanted.rpartition("~")
    if tilde and number.isdecimal() and int(number) > 1:
        found = _nth(files, resolved, extra, plain, int(number))
        if found is not None:
            return found
    return _nth(files, resolved, extra, wanted, 1)


def _nth(
    files: Sequence[Any], resolved: Source, extra: dict[str, pl.DataType], wanted: str, number: int
) -> pl.DataFrame | None:
    identity = pl.coalesce("given_id", pl.col("file") + "#" + pl.col("row").cast(pl.String))
    matches = (
        batch.frame.filter(identity == wanted)
        for pieces in cut_tasks(files, resolved)
        for batch in read_pieces(pieces, resolved, extra=extra)
    )
    rows = (frame[row] for frame in matches for row in range(frame.height))
    found = next(islice(rows, number - 1, None), None)
    return None if found is None else found.select("text", "url", *extra)


# -------------------------------------------------------------------------------------------------------------- showing


def as_json(explanation: Explanation) -> dict[str, Any]:
    """The explanation as JSON-ready values."""
    return {
        "source": explanation.source,
        "dropped_by": explanation.dropped_by,
        "characters": explanation.characters,
        "cleaned": explanation.cleaned,
        "language": explanation.language,
        "language_score": explanation.language_score,
        "rules": [
            {
                "name": one.name,
                "signal": one.signal,
                "value": one.value,
                "limit": one.limit,
                "verdict": one.verdict,
                "why": one.why,
            }
            for one in explanation.rules
        ],
        "signals": explanation.values,
    }


def print_explanation(explanation: Explanation, console: Console) -> None:
    """The verdict, the rules, and every signal with what it means, in the terminal."""
    verdict = f"dropped by {explanation.dropped_by}" if explanation.dropped_by else "kept"
    score = f" ({explanation.language_score:.2f})" if explanation.language_score is not None else ""
    console.print(
        f"{printable(verdict)}; as a document of {printable(explanation.source)}: "
        f"{explanation.characters:,} characters, language {explanation.language or 'none'}{score}.",
        highlight=False,
    )
    if explanation.cleaned:
        taken = ", ".join(f"{kind} {number:,}" for kind, number in explanation.cleaned.items())
        console.print(f"Cleaning took characters: {taken}.", highlight=False)
    judged = plain_table("rules, in their order", "rule", "value", "limit", "verdict")
    for one in explanation.rules:
        judged.add_row(printable(one.name), _shown(one.value), printable(one.limit), one.verdict)
    console.print(judged)
    for one in explanation.rules:
        if one.verdict == "DROPS":
            console.print(f"{printable(one.name)}: {printable(' '.join(one.why.split()))}", highlight=False)
    listed = plain_table("signals", "signal", "value")
    listed.add_column("what it says", justify="left", overflow="fold")
    for name, value in explanation.values.items():
        listed.add_row(printable(name), _shown(value), printable(meaning_of(name)))
    console.print(listed)


def meaning_of(column: str) -> str:
    """What a column says, in which unit; a source's own says nothing here."""
    known = {**signals.SIGNALS, **PUBLISHED, **signals.SOURCE_SIGNALS}.get(column)
    return known.description if known is not None else lists.describe(column)


def _shown(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    words = str(value)
    return printable(words if len(words) <= MORE_VALUES else words[: MORE_VALUES - 1] + "…")


def text_of(place: str, stdin: Any) -> str:  # noqa: ANN401 - a binary stream
    """The text of a file, or of standard input for `-`, as UTF-8; SourceError says where it is none."""
    content = stdin.read() if place == "-" else Path(place).read_bytes()
    try:
        return str(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        shown = "standard input" if place == "-" else place
        raise SourceError(f"{shown} is not UTF-8 text (byte {error.start:,}).") from error
