"""A manifest as people and programs read it: the funnel in the terminal, and the one JSON shape.

Everything shown comes from the manifest, so the numbers in the terminal, in `--json` and on disk are the same numbers.
Names come from mix files and rule files; control characters in them are shown as escapes, since a terminal obeys what
it is sent.
"""

import re
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from corpus_ja.storage.manifest import Manifest, SourceReport

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """A string that a terminal shows and does not obey: control and bidi characters as escapes."""
    return escape(_CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text))


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
        "removal": source.removal,
        "repeats": source.repeats,
        "evaluation": source.evaluation,
        "tokens_per_character": round(kept.tokens / kept.characters, 4) if kept.characters else None,
        "bytes_per_token": round(kept.bytes / kept.tokens, 4) if kept.tokens else None,
    }


def print_stats(manifest: Manifest, console: Console) -> None:
    """The funnel of every source, what dropped how much, and the shards, in one screen."""
    funnel = plain_table(
        f"{printable(manifest.name)}: what became of every document",
        "source", "unread", "read", "lang.", "rules", "dupl.", "eval.", "other", "kept", "tokens",
    )  # fmt: skip
    for name, source in manifest.sources.items():
        groups = _groups(source.dropped)
        funnel.add_row(
            printable(name),
            f"{sum(source.unreadable.values()):,}",
            f"{source.read.documents:,}",
            *(f"{groups[group]:,}" for group in ("language", "rules", "duplicates", "contaminated", "other")),
            f"{source.kept.documents:,}",
            f"{source.kept.tokens:,}",
        )
    console.print(funnel)
    _print_losses(manifest, console)
    _print_duplicates(manifest, console)
    _print_repeats(manifest, console)
    _print_evaluation(manifest, console)
    _print_cleaned(manifest, console)
    _print_mix(manifest, console)
    for name, source in manifest.sources.items():
        for note in source.notes:
            console.print(f"{printable(name)}: {printable(note)}", highlight=False)


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


def _print_losses(manifest: Manifest, console: Console, most: int = 12) -> None:
    losses = plain_table("what dropped most", "verdict", "documents", "of read")
    totals: dict[str, int] = {}
    for source in manifest.sources.values():
        for verdict, count in source.dropped.items():
            totals[verdict] = totals.get(verdict, 0) + count
        for reason, count in source.unreadable.items():
            totals[f"unreadable/{reason}"] = totals.get(f"unreadable/{reason}", 0) + count
    read = sum(source.read.documents for source in manifest.sources.values())
    ordered = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    for verdict, count in ordered[:most]:
        losses.add_row(printable(verdict), f"{count:,}", f"{count / read:.2%}" if read else "")
    if len(ordered) > most:
        rest = ordered[most:]
        losses.add_row(f"{len(rest)} more (see --json)", f"{sum(count for _, count in rest):,}", "")
    if ordered:
        console.print(losses)


def _print_duplicates(manifest: Manifest, console: Console, most: int = 5) -> None:
    """What duplicates took of every source, and the largest clusters with how they begin."""
    removal = {name: source.removal for name, source in manifest.sources.items() if source.removal}
    if any(count for own in removal.values() for kind, count in own.items() if kind != "living"):
        table = plain_table("what duplicates took", "source", "living", "exact", "url", "near", "of living")
        for name, own in removal.items():
            taken = [own.get(kind, 0) for kind in ("exact", "url", "near")]
            living = own["living"]
            table.add_row(
                printable(name),
                f"{living:,}",
                *(f"{n:,}" for n in taken),
                f"{sum(taken) / living:.1%}" if living else "",
            )
        console.print(table)
    largest = manifest.duplicates.get("largest", [])[:most]
    if largest:
        console.print(f"largest of {sum(manifest.duplicates['sizes'].values()):,} clusters of duplicates", style="bold")
        for cluster in largest:
            text = " ".join(cluster["text"].split())[:40]
            console.print(
                f"  {cluster['documents']:,} documents, {printable(cluster['stays'])} stays: {printable(text)}",
                highlight=False, soft_wrap=True,
            )  # fmt: skip
        console.print()


def _print_repeats(manifest: Manifest, console: Console, most: int = 5) -> None:
    """The lines or paragraphs that were taken out, most frequent first."""
    for name, source in manifest.sources.items():
        if not source.repeats:
            continue
        own = source.repeats
        console.print(
            f"{printable(name)}: {own['removed']:,} repeated {own['unit']}s of {own['kinds']:,} kinds left "
            f"{own['documents']:,} documents ({own['bytes'] / 1e6:,.1f} MB):",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
        for piece in own["most"][:most]:
            text = " ".join(piece["text"].split())[:50]
            console.print(f"  in {piece['documents']:,} documents: {printable(text)}", highlight=False, soft_wrap=True)
        console.print()


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
    console.print(
        f"evaluation: {found:,} of {items:,} items stand in some document; {unprotected:,} are too short to be told from "
        f"ordinary language; documents that share text with a context: {met or 'none'} (evaluation/ in the build lists all).\n",
        highlight=False,
    )


def _print_cleaned(manifest: Manifest, console: Console) -> None:
    """What cleaning took out by choice, in characters; the form that every text gets alone is no news."""
    kinds = sorted({kind for source in manifest.sources.values() for kind in source.cleaned} - {"form"})
    if not kinds:
        return
    table = plain_table("what cleaning took out or changed, in characters", "source", *kinds, "form")
    for name, source in manifest.sources.items():
        if set(source.cleaned) - {"form"}:
            table.add_row(printable(name), *(f"{source.cleaned.get(kind, 0):,}" for kind in (*kinds, "form")))
    console.print(table)


def _print_mix(manifest: Manifest, console: Console) -> None:
    mixed = plain_table(
        "what the shards hold, in tokens",
        "source",
        "available",
        "taken",
        "share",
        "epochs",
        "held out",
        "per character",
    )
    total = sum(source.taken.tokens for source in manifest.sources.values())
    for name, source in manifest.sources.items():
        kept = source.kept
        mixed.add_row(
            printable(name),
            f"{source.mix.available_tokens:,}",
            f"{source.taken.tokens:,}",
            f"{source.taken.tokens / total:.1%}" if total else "",
            f"{source.taken.epochs:.2f}",
            f"{source.mix.heldout_tokens:,}",
            f"{kept.tokens / kept.characters:.2f}" if kept.characters else "",
        )
    console.print(mixed)
    rows = sum(shard.rows for shard in manifest.train)
    tokens = sum(shard.tokens for shard in manifest.train)
    held = sum(shard.tokens for shard in manifest.validation)
    fill = tokens / (rows * manifest.sequence_length) if rows else 0.0
    packing = manifest.packing_report
    short, cut = packing.get("short_documents", 0), packing.get("short_documents_cut", 0)
    by_concat = packing.get("short_documents_cut_by_concat", 0)
    console.print(
        f"{tokens:,} training tokens in {rows:,} rows of {manifest.sequence_length:,} ({fill:.2%} full), {held:,} held out; "
        f"{manifest.packing} cut {cut:,} of {short:,} documents that fit a row (concat: {by_concat:,}); "
        f"{packing.get('pieces', 0) / rows if rows else 0:.2f} pieces a row.",
        highlight=False,
    )
