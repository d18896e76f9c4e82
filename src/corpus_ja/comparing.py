"""Rule sets beside each other on the same documents: what each keeps, where they agree, and documents on which they
part.

A sample of every source is drawn by the hash of ids (a bigger sample holds the smaller one), out of at most `POOL`
times as many documents from the source's files in the order of their hashed names; it is cleaned as the source says
and measured once. Documents in another language than the source's are counted and set aside: no rule judges them.
Tokens are the mix's tokenizer's, end-of-text included. Cost: reading the pool, measuring and encoding the sample;
nothing is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console

from corpus_ja.config import LoadedMix, rule_sets_of, with_lists_for
from corpus_ja.documents import draws
from corpus_ja.errors import ConfigError
from corpus_ja.report import plain_table, printable
from corpus_ja.stages import language, rules, tokens
from corpus_ja.stages.clean import clean
from corpus_ja.storage.sources import cut_tasks, extra_columns, list_files, located, read_pieces
from corpus_ja.storage.sources.files import u
from corpus_ja.tasks.measuring import measured_at_once

POOL = 10
"""So many times the sample are read of a source at most; the sample is drawn from them."""
BROKEN_SHOWN = 3
"""Broken rules named for a document on which sets part."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a rule set keeps of a source, and the rules that drop most, alone or with others."""

    documents: int
    bytes: int
    tokens: int
    broken: dict[str, int]
    not_run: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parting:
    """A document on which two rule sets part: who keeps it, who drops it, for which rules, and how it begins."""

    id: str
    keeps: str
    drops: str
    broken: tuple[str, ...]
    opening: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rule sets on the same documents; `agreement` is the share of judged documents that two sets both keep or both
    drop.
    """

    names: tuple[str, ...]
    documents: dict[str, int]
    foreign: dict[str, int]
    bytes: dict[str, int]
    tokens: dict[str, int]
    kept: dict[str, dict[str, Kept]]
    agreement: dict[tuple[str, str], float]
    partings: tuple[Parting, ...]
    left_out: tuple[str, ...] = ()


def compare(
    loaded: LoadedMix, names: Sequence[str], sample: int, source: str | None = None, examples: int = 2
) -> Comparison:
    """Judge a sample of `sample` documents of every source (or of one) by each of the rule sets.

    ConfigError where a set is not there, stands twice, or needs a list that the mix does not give.
    """
    repeated = next((name for name in names if list(names).count(name) > 1), None)
    if repeated is not None or not names:
        raise ConfigError(
            f"--filters names the rule set {repeated} twice." if repeated else "--filters names no rule set."
        )
    loaded = with_lists_for(loaded, names)
    judged: list[pl.DataFrame] = []
    foreign: dict[str, int] = {}
    kept: dict[str, dict[str, Kept]] = {name: {} for name in names}
    chosen, left_out = _sources_for(loaded, names, source)
    for own in chosen:
        frame, foreign[own], sets = _judged(loaded, own, names, sample)
        judged.append(frame)
        for name, (broken, not_run) in sets.items():
            living = frame.filter(pl.col(name))
            counted = broken.explode("broken").drop_nulls().to_series().value_counts(sort=True).rows()
            kept[name][own] = Kept(
                living.height, int(living["bytes"].sum()), int(living["tokens"].sum()), dict(counted), not_run
            )
    everything = pl.concat(judged)
    pairs = {
        (one, other): float((everything[one] == everything[other]).mean() or 0.0) if everything.height else 1.0  # type: ignore[arg-type]
        for one in names
        for other in names
    }
    return Comparison(
        names=tuple(names),
        documents={own: everything.filter(pl.col("source") == own).height for own in foreign},
        foreign=foreign,
        bytes={own: int(everything.filter(pl.col("source") == own)["bytes"].sum()) for own in foreign},
        tokens={own: int(everything.filter(pl.col("source") == own)["tokens"].sum()) for own in foreign},
        kept=kept,
        agreement=pairs,
        partings=tuple(_partings(everything, names, examples)),
        left_out=left_out,
    )


def _sources_for(loaded: LoadedMix, names: Sequence[str], source: str | None) -> tuple[list[str], tuple[str, ...]]:
    """The sources to judge, and those left out because no rule set is made for their language."""
    if source is not None:
        return [source], ()
    any_source = next(iter(loaded.sources.values()))
    spoken = {rule_set.language for rule_set in rule_sets_of(loaded, any_source, names, "--filters")}
    chosen = [name for name, own in loaded.sources.items() if own.language is None or own.language in spoken]
    if not chosen:
        raise ConfigError(
            f"--filters: these rule sets are made for {' and '.join(sorted(spoken))}, and no source of the mix is in "
            "that language; name one with --source to try them all the same."
        )
    return chosen, tuple(name for name in loaded.sources if name not in chosen)


Sets = dict[str, tuple[pl.DataFrame, tuple[str, ...]]]


def _judged(loaded: LoadedMix, own: str, names: Sequence[str], sample: int) -> tuple[pl.DataFrame, int, Sets]:
    """A source's sample: id, source, opening, bytes, tokens, a truth a set and its broken rules; and the sets' broken
    rules.
    """
    source = loaded.sources[own]
    documents = _sample(loaded, own, sample)
    documents = documents.with_columns(text=clean(documents["text"], source.clean))
    documents = documents.filter(pl.col("text") != "")
    by_name = {name: rule_sets_of(loaded, source, [name], "--filters") for name in names}
    wanted = rules.names_to_measure([one for sets in by_name.values() for one in sets])
    measured = measured_at_once(documents, source.language, loaded.language_model, wanted, loaded.lists, loaded.models)
    extra = [column for column in documents.columns if column not in {"id", "text", "url", *measured.columns}]
    table = measured.hstack(documents.select(extra))
    wrong = language.judge(measured.select("language", "language_score"), source.language).is_not_null()
    table, documents = table.filter(~wrong), documents.filter(~wrong)
    frame = documents.select(
        "id",
        source=pl.lit(own),
        opening=pl.col("text").str.head(90).str.replace_all(r"\s+", " "),
        bytes=pl.col("text").str.len_bytes(),
        tokens=pl.Series(_tokens(loaded, documents), dtype=pl.Int64),
    )
    sets: Sets = {}
    for name, rule_sets in by_name.items():
        judged = rules.judge(table, rule_sets)
        frame = frame.with_columns(judged["dropped_by"].is_null().alias(name), judged["broken"].alias(f"broken {name}"))
        sets[name] = judged.select("broken"), tuple(rules.not_run(rule_sets, table.columns))
    return frame, int(wrong.sum()), sets


def _sample(loaded: LoadedMix, own: str, sample: int) -> pl.DataFrame:
    """The documents of a source with the smallest draws out of its first files in hash order."""
    resolved = located(loaded.sources[own], loaded.folder)
    files = list_files(resolved, loaded.folder, {})
    extra = extra_columns(files, resolved)
    drawn: list[pl.DataFrame] = []
    read = 0
    for file in sorted(files, key=lambda one: (u(one.name), one.name)):
        for pieces in cut_tasks([file], resolved):
            for batch in read_pieces(pieces, resolved, extra=extra):
                identity = pl.coalesce("given_id", pl.col("file") + "#" + pl.col("row").cast(pl.String))
                frame = batch.frame.head(POOL * sample - read).select(
                    (pl.lit(f"{own}/") + identity).alias("id"), "text", "url", *extra
                )
                read += frame.height
                chance = pl.Series("chance", draws(loaded.mix.seed, "sample", frame["id"]))
                drawn = [
                    pl.concat([*drawn, frame.with_columns(chance)]).sort("chance", maintain_order=True).head(sample)
                ]
                if read >= POOL * sample:
                    return drawn[0].drop("chance")
    if not drawn:
        return pl.DataFrame(schema={"id": pl.String, "text": pl.String, "url": pl.String, **extra})
    return drawn[0].drop("chance")


def _tokens(loaded: LoadedMix, documents: pl.DataFrame) -> list[int]:
    """The tokens of every document, end-of-text included."""
    encoder = tokens.encoder_for(loaded.tokenizer)
    _, offsets = encoder.encode(documents["text"].to_list(), documents["id"].to_list())
    return [int(length) + 1 for length in np.diff(offsets)]


def _partings(table: pl.DataFrame, names: Sequence[str], examples: int) -> list[Parting]:
    """For every ordered pair of sets, documents that the first keeps and the second drops, those with the fewest
    broken rules first.
    """
    found = []
    for keeps in names:
        for drops in names:
            parted = table.filter(pl.col(keeps) & ~pl.col(drops)).with_columns(
                count=pl.col(f"broken {drops}").list.len()
            )
            for row in parted.sort("count", maintain_order=True).head(examples).rows(named=True):
                found.append(Parting(row["id"], keeps, drops, tuple(row[f"broken {drops}"]), row["opening"]))  # noqa: PERF401 - readable
    return found


# -------------------------------------------------------------------------------------------------------------- showing


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON-ready values."""
    return {
        "documents": comparison.documents,
        "in_another_language": comparison.foreign,
        "left_out": list(comparison.left_out),
        "bytes": comparison.bytes,
        "tokens": comparison.tokens,
        "kept": {
            name: {
                own: {
                    "documents": kept.documents,
                    "bytes": kept.bytes,
                    "tokens": kept.tokens,
                    "broken": kept.broken,
                    "not_run": list(kept.not_run),
                }
                for own, kept in sources.items()
            }
            for name, sources in comparison.kept.items()
        },
        "agreement": {
            one: {other: comparison.agreement[one, other] for other in comparison.names} for one in comparison.names
        },
        "partings": [
            {"id": one.id, "keeps": one.keeps, "drops": one.drops, "broken": list(one.broken), "opening": one.opening}
            for one in comparison.partings
        ],
    }


def print_comparison(comparison: Comparison, console: Console) -> None:
    """What each set keeps a source, the agreement of every two, the rules that drop most, and documents where they
    part.
    """
    names = [printable(name) for name in comparison.names]
    documents = plain_table("documents kept, of those judged", "source", "judged", *names)
    taken = plain_table("tokens kept", "source", "judged", *names)
    for own, judged in comparison.documents.items():
        parts = [comparison.kept[name][own] for name in comparison.names]
        documents.add_row(printable(own), f"{judged:,}", *(_share(one.documents, judged) for one in parts))
        taken.add_row(
            printable(own),
            f"{comparison.tokens[own]:,}",
            *(_share(one.tokens, comparison.tokens[own]) for one in parts),
        )
    for table, totals in ((documents, comparison.documents), (taken, comparison.tokens)):
        whole = sum(totals.values())
        sums = [
            sum(one.documents if table is documents else one.tokens for one in comparison.kept[name].values())
            for name in comparison.names
        ]
        table.add_section()
        table.add_row("all", f"{whole:,}", *(_share(one, whole) for one in sums))
        console.print(table)
    agreement = plain_table("agreement: documents that both keep or both drop", "", *names)
    for one in comparison.names:
        agreement.add_row(printable(one), *(f"{comparison.agreement[one, other]:.1%}" for other in comparison.names))
    console.print(agreement)
    for name in comparison.names:
        _print_broken(name, comparison, console)
    for parting in comparison.partings:
        shown = ", ".join(parting.broken[:BROKEN_SHOWN]) + (", …" if len(parting.broken) > BROKEN_SHOWN else "")
        console.print(
            f"{printable(parting.id)}: {printable(parting.keeps)} keeps it, {printable(parting.drops)} drops it "
            f"({printable(shown)})\n"
            f"    {printable(parting.opening)}",
            highlight=False,
        )
    if comparison.left_out:
        names_left = ", ".join(printable(name) for name in comparison.left_out)
        console.print(f"In a language that no set is made for, and left out: {names_left}.", highlight=False)
    foreign = sum(comparison.foreign.values())
    if foreign:
        console.print(f"{foreign:,} documents are in another language and were not judged.", highlight=False)


def _print_broken(name: str, comparison: Comparison, console: Console, most: int = 5) -> None:
    broken: dict[str, int] = {}
    for kept in comparison.kept[name].values():
        for rule, count in kept.broken.items():
            broken[rule] = broken.get(rule, 0) + count
    worst = sorted(broken.items(), key=lambda item: (-item[1], item[0]))[:most]
    if worst:
        listed = ", ".join(f"{rule.partition('.')[2]} {count:,}" for rule, count in worst)
        console.print(f"{printable(name)} breaks most: {printable(listed)}", highlight=False)
    missing = sorted(set.intersection(*(set(kept.not_run) for kept in comparison.kept[name].values())))
    if missing:
        console.print(f"{printable(name)} did not run: {printable(', '.join(missing))}", highlight=False)


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({part / whole:.0%})" if whole else f"{part:,}"
