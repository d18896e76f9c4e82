"""Two builds beside each other: which settings, rules and versions differ, and what that did to documents and tokens.

Both manifests say everything: the mix as run is compared key by key (`sources.web.weight`), rules limit by limit,
counts verdict by verdict; nothing else is read, so it takes milliseconds. Settings of the executor are left out, since
they change no byte. A manifest from before rules were kept in it compares everything but these, and says so.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from corpus_ja.report import ALL, counted_table, limit_in_signs, plain_table, printable
from corpus_ja.storage.manifest import Manifest, SourceReport

ABSENT = "(absent)"
"""What stands for a key or rule that one of the two has not."""
_SETTINGS_SHOWN = 15
_RULES_SHOWN = 12
_VERDICTS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs: its name, what it was in the first build and what it is in the second.

    None stands for a value that is not there; a null in the mix is null too, and then only one of the two is named.
    """

    name: str
    old: Any
    new: Any
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceDifference:
    """What became of one source in both builds; null where a build has no such source. `counts` are documents:
    `read`, `kept`, and every verdict; `tokens` are those kept, available, taken and held out; `stages` are those whose
    files are not the same ones.
    """

    counts: dict[str, tuple[int | None, int | None]]
    tokens: dict[str, tuple[int | None, int | None]]
    epochs: tuple[float | None, float | None]
    stages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Differences:
    """What differs between two builds, and the counts of both."""

    names: tuple[str, str]
    fingerprints: tuple[str, str]
    settings: tuple[Change, ...]
    rules: tuple[Change, ...]
    rules_known: bool
    tokenizer: tuple[Change, ...]
    versions: tuple[Change, ...]
    sources: dict[str, SourceDifference]
    shards: dict[str, tuple[int, int]]


def compare_builds(first: Manifest, second: Manifest) -> Differences:
    """Everything that differs between two builds."""
    known = bool(first.rules) and bool(second.rules)
    names = list(dict.fromkeys([*first.source_names, *second.source_names]))
    return Differences(
        names=(first.name, second.name),
        fingerprints=(first.fingerprint, second.fingerprint),
        settings=tuple(_changes(_flat(_settings(first)), _flat(_settings(second)))),
        rules=tuple(_rules(first, second)) if known else (),
        rules_known=known,
        tokenizer=tuple(_changes(first.tokenizer.model_dump(), second.tokenizer.model_dump())),
        versions=tuple(_changes(first.versions, second.versions)),
        sources={name: _source(name, first, second) for name in names},
        shards={
            kind: (_shards(first, kind), _shards(second, kind))
            for kind in ("train_tokens", "train_rows", "validation_tokens", "validation_rows")
        },
    )


def _settings(manifest: Manifest) -> dict[str, Any]:
    return {key: value for key, value in manifest.mix.items() if key != "executor"}


def _flat(value: object, path: str = "") -> dict[str, Any]:
    """A nested value by dotted paths; lists of plain values stay whole, of mappings are numbered."""
    if isinstance(value, Mapping) and value:
        return {
            key: one for name, inner in value.items() for key, one in _flat(inner, f"{path}.{name}".lstrip(".")).items()
        }
    if isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        return {key: one for place, inner in enumerate(value) for key, one in _flat(inner, f"{path}.{place}").items()}
    return {path: value}


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in dict.fromkeys([*old, *new]):
        if name not in old or name not in new or old[name] != new[name]:
            before, after = old.get(name, ABSENT), new.get(name, ABSENT)
            if {str(before), str(after)} != {ABSENT, "None"}:  # a setting that one version had not and nobody set
                yield Change(name, before, after)


def _rules(first: Manifest, second: Manifest) -> Iterator[Change]:
    """Rules that one of the builds has not, or that decide by something else; the same change in several sources is
    one.
    """
    found: dict[tuple[str, str, str], tuple[Change, list[str]]] = {}
    for source in dict.fromkeys([*first.rules, *second.rules]):
        if source not in first.rules or source not in second.rules:
            continue  # a source of one build alone is told as that
        both = {one["name"] for one in first.rules[source]} & {one["name"] for one in second.rules[source]}
        old, new = _deciding(first.rules[source], both), _deciding(second.rules[source], both)
        for change in _changes(old, new):
            key = (change.name, str(change.old), str(change.new))
            found.setdefault(key, (change, []))[1].append(source)
        common = [name for name in old if name in new]
        if common != [name for name in new if name in old]:
            change = Change("(the order of the rules)", ", ".join(common), ", ".join(n for n in new if n in old))
            found.setdefault((change.name, str(change.old), str(change.new)), (change, []))[1].append(source)
    for change, sources in found.values():
        yield Change(change.name, change.old, change.new, tuple(sources))


def _deciding(sets: Sequence[Mapping[str, Any]], in_both: Collection[str]) -> dict[str, str]:
    """What each rule decides by, by its full name; a set that only one of the builds has is named as a whole."""
    found: dict[str, str] = {}
    for one in sets:
        if one["name"] not in in_both:
            found[f"{one['name']} (the set)"] = f"{len(one.get('rules', ())):,} rules"
            continue
        for rule in one.get("rules", ()):
            missing = ", dropped where missing" if rule.get("missing") == "drop" else ""
            found[f"{one['name']}.{rule['name']}"] = f"{rule['signal']} {limit_in_signs(rule)}{missing}"
    return found


def _source(name: str, first: Manifest, second: Manifest) -> SourceDifference:
    reports = (first.sources.get(name), second.sources.get(name))
    counts = [_counts(report) for report in reports]
    tokens = [_tokens(report) for report in reports]
    epochs = tuple(report.taken.epochs if report is not None else None for report in reports)

    def beside(own: list[dict[str, int] | None]) -> dict[str, tuple[int | None, int | None]]:
        keys = dict.fromkeys(key for side in own if side is not None for key in side)
        return {key: (_of(own[0], key), _of(own[1], key)) for key in keys}

    stages = [
        stage
        for stage in dict.fromkeys([*first.work, *second.work])
        if first.work.get(stage, {}).get(name) != second.work.get(stage, {}).get(name)
    ]
    return SourceDifference(beside(counts), beside(tokens), (epochs[0], epochs[1]), tuple(stages))


def _of(side: dict[str, int] | None, key: str) -> int | None:
    return None if side is None else side.get(key, 0)


def _counts(report: SourceReport | None) -> dict[str, int] | None:
    if report is None:
        return None
    unreadable = {f"unreadable/{reason}": count for reason, count in report.unreadable.items()}
    return {"read": report.read.documents, "kept": report.kept.documents, **report.dropped, **unreadable}


def _tokens(report: SourceReport | None) -> dict[str, int] | None:
    if report is None:
        return None
    return {
        "kept": report.kept.tokens,
        "available": report.mix.available_tokens,
        "taken": report.taken.tokens,
        "held_out": report.mix.heldout_tokens,
    }


def _shards(manifest: Manifest, kind: str) -> int:
    shards = manifest.train if kind.startswith("train") else manifest.validation
    return sum(shard.tokens if kind.endswith("tokens") else shard.rows for shard in shards)


# -------------------------------------------------------------------------------------------------------------- showing


def as_json(found: Differences) -> dict[str, Any]:
    """The differences as JSON-ready values; pairs are [first build, second build]."""

    def listed(changes: Sequence[Change]) -> list[dict[str, Any]]:
        return [
            {"name": one.name, "old": one.old, "new": one.new} | ({"sources": list(one.sources)} if one.sources else {})
            for one in changes
        ]

    return {
        "names": list(found.names),
        "fingerprints": list(found.fingerprints),
        "settings": listed(found.settings),
        "rules": listed(found.rules),
        "rules_known": found.rules_known,
        "tokenizer": listed(found.tokenizer),
        "versions": listed(found.versions),
        "sources": {
            name: {
                "counts": {key: list(pair) for key, pair in own.counts.items()},
                "tokens": {key: list(pair) for key, pair in own.tokens.items()},
                "epochs": list(own.epochs),
                "stages": list(own.stages),
            }
            for name, own in found.sources.items()
        },
        "shards": {key: list(pair) for key, pair in found.shards.items()},
    }


def print_differences(found: Differences, console: Console, places: tuple[str, str] | None = None) -> None:
    """What changed, then what it did, in the terminal; `places` name the two builds (default: their names)."""
    old, new = places or found.names
    console.print(
        f"{printable(old)} ({found.fingerprints[0]})  →  {printable(new)} ({found.fingerprints[1]})",
        style="bold", highlight=False, soft_wrap=True,
    )  # fmt: skip
    if found.fingerprints[0] == found.fingerprints[1]:
        _say(console, "the same inputs, settings and stages: the same build")
    _print_changes("settings", found.settings, console, _SETTINGS_SHOWN)
    _print_changes("rules", found.rules, console, _RULES_SHOWN)
    if not found.rules_known:
        _say(console, "rules: not compared; the manifest of one of the two does not hold them (build it again)")
    _print_changes("tokenizer", found.tokenizer, console, _SETTINGS_SHOWN)
    _print_changes("versions", found.versions, console, _SETTINGS_SHOWN)
    unchanged = [
        name
        for name, changes in (
            ("settings", found.settings),
            ("rules", found.rules if found.rules_known else ("unknown",)),
            ("tokenizer", found.tokenizer),
            ("versions", found.versions),
        )
        if not changes
    ]
    if unchanged:
        _say(console, f"the same in both: {', '.join(unchanged)}")
    console.print()
    _print_counts(found, console)
    _print_tokens(found, console)
    for name, own in found.sources.items():
        _say(console, _told(name, own))


def _told(name: str, own: SourceDifference) -> str:
    sides = own.counts.get("read", (None, None))
    if sides[0] is None or sides[1] is None:
        return f"{printable(name)}: only in the {'second' if sides[0] is None else 'first'}"
    if not own.stages:
        return f"{printable(name)}: every stage's files are the same"
    return f"{printable(name)}: other files from {printable(own.stages[0])} on ({len(own.stages)} stages)"


def _print_changes(title: str, changes: Sequence[Change], console: Console, most: int) -> None:
    if not changes:
        return
    table = plain_table(title)
    table.show_edge = table.show_header = False
    for column in ("name", "old", "new"):
        table.add_column(column, overflow="fold", ratio=2 if column == "name" else 3)
    for one in changes[:most]:
        where = f" ({', '.join(one.sources)})" if one.sources else ""
        table.add_row(printable(one.name + where), printable(_value(one.old)), f"→ {printable(_value(one.new))}")
    console.print(table)
    if len(changes) > most:
        _say(console, f" and {len(changes) - most:,} more (see --json)")


def _value(value: object, most: int = 200) -> str:
    words = ", ".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)
    return words if len(words) <= most else words[: most - 1] + "…"


def _print_counts(found: Differences, console: Console) -> None:
    """Documents by verdict in both, those that differ most first."""
    rows: list[tuple[str, Sequence[int | str]]] = []
    every: list[tuple[int, str, int, int]] = []
    for name, own in found.sources.items():
        for key, (old, new) in own.counts.items():
            if (old or 0) != (new or 0):
                every.append((abs((new or 0) - (old or 0)), f"{name} {key}", old or 0, new or 0))
    every.sort(key=lambda one: (-one[0], one[1]))
    for _, name, old, new in every[:_VERDICTS_SHOWN]:
        rows.append((name, (old, new, _signed(new - old))))
    for key in ("read", "kept"):
        sums = [sum(own.counts.get(key, (0, 0))[side] or 0 for own in found.sources.values()) for side in (0, 1)]
        rows.append((f"{ALL} {key}", (*sums, _signed(sums[1] - sums[0]))))
    counted_table(
        "documents by verdict, where they differ", ("source and verdict", "first", "second", "change"), rows, console
    )
    if len(every) > _VERDICTS_SHOWN:
        _say(console, f"and {len(every) - _VERDICTS_SHOWN:,} more (see --json)\n")


def _print_tokens(found: Differences, console: Console) -> None:
    rows: list[tuple[str, Sequence[int | str]]] = []
    for name, own in found.sources.items():
        old, new = (own.tokens["taken"][side] or 0 for side in (0, 1))
        available = [own.tokens["available"][side] or 0 for side in (0, 1)]
        epochs = " → ".join("-" if one is None else f"{one:.2f}" for one in own.epochs)
        rows.append((name, (*available, old, new, _signed(new - old), epochs)))
    sums = [sum(int(row[1][column]) for row in rows) for column in range(4)]
    if len(rows) > 1:
        rows.append((ALL, (*sums, _signed(sums[3] - sums[2]), "")))
    headings = ("source", "avail. 1", "avail. 2", "taken 1", "taken 2", "change", "epochs")
    counted_table("training tokens", headings, rows, console)


def _signed(number: int) -> str:
    return "=" if number == 0 else f"{number:+,}"


def _say(console: Console, sentence: str) -> None:
    console.print(sentence, highlight=False)
