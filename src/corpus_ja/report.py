"""A manifest as people and programs read it: one screen in the terminal, and the one JSON shape.

Everything shown comes from the manifest, so the numbers in the terminal, in `--json` and on disk are the same numbers;
where a table of exact numbers is wider than the terminal, it says 12.3M and `--json` says the rest. The screen is meant
for 80 columns and 50 lines whatever the number of sources: `SOURCES_SHOWN` rows a table, one line a topic. Names and
texts come from mixes, rule files and the web; characters that a terminal obeys, or that nobody sees (escapes, bidi
controls, zero width), are shown as escapes.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from corpus_ja.storage.manifest import Manifest, SourceReport

SOURCES_SHOWN = 7
"""Sources that a table names; the others are one row."""
LOSSES_SHOWN = 10
"""Verdicts that the table of losses names, fewer where there are many sources."""
NOTES_SHOWN = 2
"""Notes of sources that are told."""
LINES_A_TOPIC = 2
"""Lines that one topic below the tables may take; `--json` has all of it."""
_OBEYED = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


class _Shown(dict[int, str]):
    """What stands for every code point, found out when first asked for."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        seen = character
        if unicodedata.category(character) in _OBEYED:
            seen = character.encode("unicode_escape", "surrogatepass").decode()
        self[code] = seen
        return seen


_SHOWN = _Shown()


def visible(text: str) -> str:
    """A string that a terminal shows and does not obey: controls, bidi and invisible characters as escapes."""
    return text.translate(_SHOWN)


def printable(text: str) -> str:
    """The same for a string that goes through rich's markup."""
    return escape(visible(text))


def limit_in_signs(rule: Mapping[str, Any]) -> str:
    """The limits of a rule, as a manifest keeps it, in signs: ≥ 0.15 and ≤ 0.3, none of noisy, tiny."""
    signs = {"min": "≥", "max": "≤", "above": ">", "below": "<"}
    limits = [f"{sign} {rule[key]:g}" for key, sign in signs.items() if rule.get(key) is not None]
    words = (("none_of", "none of"), ("one_of", "one of"))
    return " and ".join([*limits, *(f"{said} {', '.join(rule[key])}" for key, said in words if rule.get(key))])


def stats(manifest: Manifest) -> dict[str, Any]:
    """The JSON shape of `corpus-ja stats --json`; read.documents = kept.documents + the sum of dropped, for every
    source.
    """
    seconds: dict[str, float] = {}
    for record in manifest.stages:
        seconds[record.stage] = round(seconds.get(record.stage, 0.0) + record.seconds, 3)
    return {
        "name": manifest.name,
        "fingerprint": manifest.fingerprint,
        "sequence_length": manifest.sequence_length,
        "packing": manifest.packing,
        "packing_report": manifest.packing_report,
        "tokenizer": manifest.tokenizer.model_dump(include={"name", "revision", "sha256", "vocab_size", "eos_id"}),
        "sources": {name: _source(source) for name, source in manifest.sources.items()},
        "shards": {
            "train": {
                "files": len(manifest.train),
                "rows": sum(shard.rows for shard in manifest.train),
                "tokens": sum(shard.tokens for shard in manifest.train),
            },
            "validation": {
                "files": len(manifest.validation),
                "rows": sum(shard.rows for shard in manifest.validation),
                "tokens": sum(shard.tokens for shard in manifest.validation),
            },
        },
        "duplicates": manifest.duplicates,
        "evaluation": manifest.evaluation,
        "seconds": seconds,
        "versions": manifest.versions,
        "peak_memory_bytes": max((record.peak_memory_bytes for record in manifest.stages), default=0),
    }


def _source(source: SourceReport) -> dict[str, Any]:
    kept = source.kept
    return {
        "read": source.read.model_dump(),
        "unreadable": source.unreadable,
        "dropped": source.dropped,
        "cleaned": source.cleaned,
        "kept": kept.model_dump(),
        "taken": source.taken.model_dump(),
        "mix": source.mix.model_dump(),
        "removal": source.removal,
        "repeats": source.repeats,
        "evaluation": source.evaluation,
        "tokens_per_character": round(kept.tokens / kept.characters, 4) if kept.characters else None,
        "bytes_per_token": round(kept.bytes / kept.tokens, 4) if kept.tokens else None,
        "license": source.license,
        "notes": source.notes,
    }


def print_stats(manifest: Manifest, console: Console) -> None:
    """What went in, what fell out and why, what the shards hold and what it took, in one screen."""
    version = manifest.versions.get("corpus-ja")
    console.print(
        f"{printable(manifest.name)} ({manifest.fingerprint}): tokenizer {printable(manifest.tokenizer.name)}, "
        f"{manifest.sequence_length:,} tokens a row{f', corpus-ja {version}' if version else ''}",
        style="bold", highlight=False, soft_wrap=True,
    )  # fmt: skip
    _print_funnel(manifest, console)
    _print_losses(manifest, console)
    _print_mix(manifest, console)
    _print_duplicates(manifest, console)
    _print_repeats(manifest, console)
    _print_evaluation(manifest, console)
    _print_cleaned(manifest, console)
    _print_shards(manifest, console)
    _print_work(manifest, console)
    _print_notes(manifest, console)


def plain_table(title: str, *headings: str) -> Table:
    """A table that fits 80 columns: the first column gives way, numbers never do."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1),
        collapse_padding=True,
    )
    for number, heading in enumerate(headings):
        if number:
            table.add_column(heading, justify="right", no_wrap=True, min_width=len(heading))
        else:
            table.add_column(heading, overflow="ellipsis", no_wrap=True, min_width=8)
    return table


def _groups(dropped: dict[str, int]) -> dict[str, int]:
    groups = dict.fromkeys(("language", "rules", "duplicates", "contaminated", "other"), 0)
    for verdict, count in dropped.items():
        if verdict == "language":
            groups["language"] += count
        elif verdict.startswith("duplicate."):
            groups["duplicates"] += count
        elif verdict.startswith("decontaminate."):
            groups["contaminated"] += count
        elif verdict in {"mix.not_sampled", "where"}:
            groups["other"] += count
        else:
            groups["rules"] += count
    return groups


def short(number: int) -> str:
    """A number in three digits and a letter from a hundred thousand on: 12.3M."""
    for size, letter in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size and number >= 100_000:
            scaled = number / size
            return f"{scaled:.{max(0, 2 - len(str(int(scaled))) + 1)}f}{letter}"
    return f"{number:,}"


def counted_table(
    title: str, headings: Sequence[str], rows: Sequence[tuple[str, Sequence[int | str]]], console: Console
) -> None:
    """Print a table of names and numbers, in exact numbers where they fit the terminal, else in short ones."""
    exact = [[f"{one:,}" if isinstance(one, int) else one for one in numbers] for _, numbers in rows]
    columns = list(zip(headings[1:], *exact, strict=True))
    width = 2 + 3 * len(columns) + sum(max(map(len, column)) for column in columns)
    named = max((len(name) for name, _ in rows), default=0)
    if width + min(named, 12) > console.width:
        exact = [[short(one) if isinstance(one, int) else one for one in numbers] for _, numbers in rows]
    table = plain_table(title, *headings)
    table.title = title or None
    table.show_edge = False
    for (name, _), numbers in zip(rows, exact, strict=True):
        table.add_row(printable(name), *numbers, style="bold" if name == ALL else None)
    console.print(table)
    console.print()


ALL = "all"
"""The name of a row of sums."""


def _few(manifest: Manifest, numbers: Mapping[str, Sequence[int]]) -> list[tuple[str, Sequence[int]]]:
    """The sources with most documents in the order of the mix, the others as one row, and their sum."""
    most = sorted(numbers, key=lambda name: (-manifest.sources[name].read.documents, name))
    shown = set(most if len(most) <= SOURCES_SHOWN else most[: SOURCES_SHOWN - 1])
    rows: list[tuple[str, Sequence[int]]] = [(name, own) for name, own in numbers.items() if name in shown]
    others = [own for name, own in numbers.items() if name not in shown]
    if others:
        rows.append((f"{len(others):,} more", [sum(column) for column in zip(*others, strict=True)]))
    if len(numbers) > 1:
        rows.append((ALL, [sum(column) for column in zip(*numbers.values(), strict=True)]))
    return rows


def _print_funnel(manifest: Manifest, console: Console) -> None:
    numbers = {}
    for name, source in manifest.sources.items():
        groups = _groups(source.dropped)
        numbers[name] = [
            sum(source.unreadable.values()),
            source.read.documents,
            *(groups[group] for group in ("language", "rules", "duplicates", "contaminated", "other")),
            source.kept.documents,
            source.kept.tokens,
        ]
    headings = ("source", "unread", "read", "lang.", "rules", "dupl.", "eval.", "other", "kept", "tokens")
    counted_table("what became of every document", headings, _few(manifest, numbers), console)


def _print_losses(manifest: Manifest, console: Console) -> None:
    totals: dict[str, int] = {}
    for source in manifest.sources.values():
        for verdict, count in source.dropped.items():
            totals[verdict] = totals.get(verdict, 0) + count
        for reason, count in source.unreadable.items():
            totals[f"unreadable/{reason}"] = totals.get(f"unreadable/{reason}", 0) + count
    read = sum(source.read.documents for source in manifest.sources.values())
    ordered = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    shown = LOSSES_SHOWN - min(max(0, len(manifest.sources) - 4), 5)
    rows: list[tuple[str, Sequence[int | str]]] = [
        (verdict, (count, f"{count / read:.2%}" if read else "")) for verdict, count in ordered[:shown]
    ]
    rest = ordered[shown:]
    if rest:
        rows.append((f"{len(rest)} more (see --json)", (sum(count for _, count in rest), "")))
    if rows:
        counted_table("what dropped most", ("verdict", "documents", "of read"), rows, console)


def _print_mix(manifest: Manifest, console: Console) -> None:
    numbers = {
        name: [
            source.mix.asked_tokens,
            source.mix.available_tokens,
            source.taken.tokens,
            source.mix.heldout_tokens,
            source.kept.tokens,
            source.kept.characters,
        ]
        for name, source in manifest.sources.items()
    }
    total = sum(source.taken.tokens for source in manifest.sources.values())
    asked = any(source.mix.asked_tokens != source.mix.available_tokens for source in manifest.sources.values())
    rows: list[tuple[str, Sequence[int | str]]] = []
    for name, (wanted, available, taken, held, tokens, characters) in _few(manifest, numbers):
        rows.append(
            (
                name,
                (
                    *((wanted,) if asked else ()),
                    available,
                    taken,
                    f"{taken / total:.1%}" if total else "",
                    f"{taken / available:.2f}" if available else "",
                    held,
                    f"{tokens / characters:.2f}" if characters else "",
                ),
            )
        )
    headings = (
        "source",
        *(("asked",) if asked else ()),
        "available",
        "taken",
        "share",
        "epochs",
        "held out",
        "per char.",
    )
    counted_table("what the shards hold, in tokens", headings, rows, console)


def _say(console: Console, sentence: str) -> None:
    """Tell one topic, in at most `LINES_A_TOPIC` lines; `sentence` is markup."""
    lines = Text.from_markup(sentence).wrap(console, console.width)
    shown = [line.plain.rstrip() for line in lines[:LINES_A_TOPIC]]
    if len(lines) > LINES_A_TOPIC:
        shown[-1] = f"{shown[-1][: console.width - 2]} …"
    console.print(Text("\n".join(shown)), highlight=False)


def _print_duplicates(manifest: Manifest, console: Console, most: int = 2) -> None:
    """What duplicates took of every source, and the largest clusters with how they begin."""
    removal = {name: source.removal for name, source in manifest.sources.items() if source.removal}
    told = []
    for name, own in removal.items():
        taken = {kind: own.get(kind, 0) for kind in ("exact", "url", "near") if own.get(kind)}
        if taken and own["living"]:
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in taken.items())
            told.append((sum(taken.values()), f"{printable(name)} {sum(taken.values()) / own['living']:.1%} ({kinds})"))
    if told:
        listed = "; ".join(sentence for _, sentence in sorted(told, key=lambda one: -one[0])[:SOURCES_SHOWN])
        _say(console, f"what duplicates took of the living: {listed}")
    largest = manifest.duplicates.get("largest", [])[:most]
    if largest:
        _say(console, f"the largest of {sum(manifest.duplicates['sizes'].values()):,} clusters:")
    for cluster in largest:
        text = " ".join(cluster["text"].split())[:40]
        console.print(
            f"  {cluster['documents']:,} documents, {printable(cluster['stays'])} stays: {printable(text)}",
            highlight=False, soft_wrap=not console.is_terminal, no_wrap=True, overflow="ellipsis",
        )  # fmt: skip


def _print_repeats(manifest: Manifest, console: Console, most: int = 1) -> None:
    """The lines or paragraphs that were taken out, most frequent first."""
    for name, source in list(manifest.sources.items())[:SOURCES_SHOWN]:
        if not source.repeats:
            continue
        own = source.repeats
        _say(
            console,
            f"{printable(name)}: {own['removed']:,} repeated {own['unit']}s of {own['kinds']:,} kinds left "
            f"{own['documents']:,} documents ({own['bytes'] / 1e6:,.1f} MB)",
        )
        for piece in own["most"][:most]:
            text = " ".join(piece["text"].split())[:50]
            console.print(
                f"  in {piece['documents']:,} documents: {printable(text)}",
                highlight=False, soft_wrap=not console.is_terminal, no_wrap=True, overflow="ellipsis",
            )  # fmt: skip


def _print_evaluation(manifest: Manifest, console: Console) -> None:
    """Which sets were looked for, how many of their items were found, and how many documents only meet a context."""
    sets = manifest.evaluation.get("sets", {})
    if not sets:
        return
    items, found, unprotected = (sum(own[key] for own in sets.values()) for key in ("items", "found", "unprotected"))
    met = ", ".join(
        f"{printable(name)} {source.evaluation['contexts']:,}"
        for name, source in manifest.sources.items()
        if source.evaluation.get("contexts")
    )
    _say(
        console,
        f"evaluation: {found:,} of {items:,} items stand in some document; {unprotected:,} are too short to tell from "
        f"ordinary language{f'; documents that meet a context: {met}' if met else ''} (lists: evaluation/)",
    )


def _print_cleaned(manifest: Manifest, console: Console) -> None:
    """What cleaning took out by choice, in characters; the form that every text gets alone is no news."""
    told = []
    for name, source in manifest.sources.items():
        kinds = {kind: count for kind, count in source.cleaned.items() if kind != "form"}
        if kinds:
            told.append(f"{printable(name)} {', '.join(f'{kind} {count:,}' for kind, count in kinds.items())}")
    if told:
        more = f"; and {len(told) - SOURCES_SHOWN} more sources" if len(told) > SOURCES_SHOWN else ""
        _say(console, f"cleaning took characters: {'; '.join(told[:SOURCES_SHOWN])}{more}")


def _print_shards(manifest: Manifest, console: Console) -> None:
    rows = sum(shard.rows for shard in manifest.train)
    tokens = sum(shard.tokens for shard in manifest.train)
    held = sum(shard.tokens for shard in manifest.validation)
    fill = tokens / (rows * manifest.sequence_length) if rows else 0.0
    packing = manifest.packing_report
    fitting, cut = packing.get("short_documents", 0), packing.get("short_documents_cut", 0)
    by_concat = packing.get("short_documents_cut_by_concat", 0)
    _say(
        console,
        f"shards: {tokens:,} training tokens in {rows:,} rows of {manifest.sequence_length:,} ({fill:.2%} full), "
        f"{held:,} held out; {manifest.packing} cut {cut:,} of {fitting:,} documents that fit a row "
        f"(concat: {by_concat:,}); {packing.get('pieces', 0) / rows if rows else 0:.2f} pieces a row",
    )


def _print_work(manifest: Manifest, console: Console, most: int = 4) -> None:
    """What it took: seconds of work by stage, whichever run did them, and the largest memory of a task."""
    seconds: dict[str, float] = {}
    for record in manifest.stages:
        seconds[record.stage] = seconds.get(record.stage, 0.0) + record.seconds
    slowest = sorted(seconds.items(), key=lambda item: -item[1])[:most]
    peak = max((record.peak_memory_bytes for record in manifest.stages), default=0)
    if slowest:
        listed = ", ".join(f"{printable(stage)} {own:,.1f}" for stage, own in slowest)
        _say(console, f"work: {sum(seconds.values()):,.1f} s ({listed}); at most {peak / 1e6:,.0f} MB in one task")


def _print_notes(manifest: Manifest, console: Console) -> None:
    notes = [(name, note) for name, source in manifest.sources.items() for note in source.notes]
    for name, note in notes[:NOTES_SHOWN]:
        _say(console, f"note: {printable(name)}: {printable(note)}")
    if len(notes) > NOTES_SHOWN:
        more = len(notes) - NOTES_SHOWN
        _say(console, f"{more:,} more {'note' if more == 1 else 'notes'} (see --json)")
