"""The data card of a build: `DATACARD.md`, in the form the Hugging Face Hub reads, written with every build.

Everything in it comes from the manifest, so a card can be written again at any time and is the same bytes for the same
build (no time, host, path or duration stands in it). The metadata is made by huggingface_hub's own `DatasetCardData`
and read back by its `DatasetCard`; what neither of them knows, whether the Hub accepts it, only the Hub can say
(`ask_hub`, one request). What nobody stated, a licence above all, is said to be unknown. Names and addresses are
escaped for Markdown. Cost: 0.3 s, nearly all of it the import. Rejected: the Hub's own template (forty headings of
"[More Information Needed]"), and a licence guessed from a data set's name.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from corpus_ja.errors import CorpusError, ManifestError
from corpus_ja.storage.manifest import Manifest, SourceReport, read_manifest

CARD = "DATACARD.md"
_KINDS: Final = ("hub", "parquet", "jsonl", "text", "oscar", "warc")
_RULES_LISTED = 30
_SIZES: Final = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
    (10**10, "1B<n<10B"),
    (10**11, "10B<n<100B"),
    (10**12, "100B<n<1T"),
)
"""The Hub's size categories, by rows (hub-docs, datasetcard.md)."""
LICENSES: Final = frozenset(
    (
        "afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear",
        "bsl-1.0", "c-uda", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0",
        "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0",
        "cc-by-sa-3.0", "cc-by-sa-4.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0", "ecl-2.0", "epl-1.0", "epl-2.0",
        "etalab-2.0", "eupl-1.1", "eupl-1.2", "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "isc", "lgpl", "lgpl-2.1", "lgpl-3.0", "mit", "mpl-2.0",
        "ms-pl", "ncsa", "odbl", "odc-by", "ofl-1.1", "openrail", "osl-3.0", "pddl", "postgresql", "unlicense", "wtfpl", "zlib",
    )
)  # fmt: skip
"""Identifiers of licences that the Hub knows and text is published under (hub-docs, repositories-licenses.md)."""


def card_of(manifest: Manifest) -> str:
    """The whole card: metadata between two lines of ---, then Markdown."""
    from huggingface_hub import DatasetCard, DatasetCardData

    data = DatasetCardData(**metadata(manifest))
    content = f"---\n{data.to_yaml()}\n---\n\n{body(manifest)}"
    read = DatasetCard(content)
    if read.data.to_dict() != data.to_dict():  # type: ignore[no-untyped-call]
        raise CorpusError(
            "The data card does not read back as it was written; this is a fault of corpus-ja, please report it."
        )
    return content


def metadata(manifest: Manifest) -> dict[str, Any]:
    """The card's metadata as `DatasetCardData` takes it."""
    rows = sum(shard.rows for shard in [*manifest.train, *manifest.validation])
    files = [
        {"split": split, "path": f"shards/{split}-*.parquet"}
        for split, shards in (("train", manifest.train), ("validation", manifest.validation))
        if shards
    ]
    known: dict[str, Any] = {
        "language": sorted({code for name in manifest.sources if (code := _mix_of(manifest, name).get("language"))}),
        "license": sorted({one for source in manifest.sources.values() for one in license_ids(source.license)}),
        "source_datasets": sorted(
            {str(own) for name in manifest.sources if (own := _mix_of(manifest, name).get("hub"))}
        ),
    }
    return {
        **{key: value for key, value in known.items() if value},
        "pretty_name": manifest.name,
        "size_categories": [next((name for bound, name in _SIZES if rows < bound), "n>1T")],
        "task_categories": ["text-generation"],
        "tags": ["corpus-ja", "pretraining", "tokenized", "packed"],
        "configs": [{"config_name": "default", "data_files": files}],
    }


def license_ids(stated: str | None) -> list[str]:
    """The Hub's identifiers for a licence as a mix states it: `unknown` where it states none, `other` where the Hub
    knows none of that name.
    """
    if stated is None or not stated.strip():
        return ["unknown"]
    found: list[str] = []
    for one in re.split(r"\s*(?:[,;|+]|\band\b|\bor\b|\s/\s)\s*", stated.strip()):
        plain = re.sub(r"[\s_-]+", "-", one.strip().lower()).removesuffix("-license").removesuffix("-licence")
        plain = plain.removesuffix("-international").removesuffix("-unported")
        plain = {"cc0": "cc0-1.0", "apache2": "apache-2.0", "odc-by-1.0": "odc-by", "gplv3": "gpl-3.0"}.get(
            plain, plain
        )
        if one:
            found.append(plain if plain in LICENSES else "other")
    return found or ["other"]


def _mix_of(manifest: Manifest, name: str) -> Mapping[str, Any]:
    """What the mix says of a source; of a file of `heldout` only where it is."""
    own = manifest.mix.get("sources", {}).get(name)
    if isinstance(own, Mapping):
        return own
    held = manifest.mix.get("heldout") or []
    number = name.removeprefix("heldout_")
    place = str(held[int(number) - 1]) if number.isdecimal() and 0 < int(number) <= len(held) else ""
    ending = re.sub(r"\.(gz|zst)$", "", place)
    kind = "parquet" if ending.endswith(".parquet") else "text" if ending.endswith((".txt", ".md")) else "jsonl"
    return {kind: place, "heldout": True}


# ------------------------------------------------------------------------------------------------------------- the text


def plain_markdown(text: str) -> str:
    """A name as Markdown that shows it: one line, what nobody sees left out, every sign of Markdown and HTML
    escaped.
    """
    line = "".join(one if one.isprintable() else " " for one in text)
    line = " ".join(line.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*\[\]|~$]|(?<!\w)_|_(?!\w))", r"\\\1", line)


def body(manifest: Manifest) -> str:
    """The card's Markdown."""
    parts = [
        _summary(manifest),
        _sources(manifest),
        _processing(manifest),
        _counts(manifest),
        _rules(manifest),
        _loading(manifest),
        _limits(manifest),
        _unknown(manifest),
    ]
    return "\n".join("\n".join(lines).rstrip() + "\n" for lines in parts if lines)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table, columns of numbers to the right."""
    rows = list(rows)
    numbers = [all(re.fullmatch(r"[\d.,%]*", row[place]) for row in rows) for place in range(len(headings))]
    aligned = ["--:" if number else ":--" for number in numbers]
    return [f"| {' | '.join(row)} |" for row in [headings, aligned, *rows]] + [""]


def _summary(manifest: Manifest) -> list[str]:
    tokens = sum(shard.tokens for shard in manifest.train)
    held = sum(shard.tokens for shard in manifest.validation)
    rows = sum(shard.rows for shard in manifest.train)
    version = manifest.versions.get("corpus-ja")
    return [
        f"# {plain_markdown(manifest.name)}",
        "",
        (
            f"Token ids for pretraining a language model: {tokens:,} training tokens in {rows:,} rows of at most "
            f"{manifest.sequence_length:,}, and {held:,} held-out tokens, from {len(manifest.sources):,} "
            f"{'source' if len(manifest.sources) == 1 else 'sources'}. "
            f"Made by corpus-ja{f' {version}' if version else ''}; fingerprint `{manifest.fingerprint}`. "
            "This card was written from the build's `manifest.json`, which says more."
        ),
        "",
    ]


def _sources(manifest: Manifest) -> list[str]:
    total = sum(source.taken.tokens for source in manifest.sources.values())
    rows = []
    for name, source in manifest.sources.items():
        own = _mix_of(manifest, name)
        rows.append(
            (
                plain_markdown(name),
                _origin(own),
                _revision(own, source),
                plain_markdown(source.license) if source.license else "not stated in the mix",
                plain_markdown(str(own.get("language") or "any")),
                f"{source.taken.tokens:,}",
                f"{source.taken.tokens / total:.1%}" if total else "",
                f"{source.taken.epochs:.2f}",
            )
        )
    headings = ("source", "from", "revision", "licence", "language", "training tokens", "share", "epochs")
    return ["## Sources", "", *_table(headings, rows)]


def _origin(own: Mapping[str, Any]) -> str:
    """Where a source comes from; of a path on somebody's machine only the last part."""
    kind = next((kind for kind in _KINDS if own.get(kind)), "")
    address = str(own.get(kind) or "")
    held = "held-out " if own.get("heldout") else ""
    if kind == "hub":
        config = f", config {plain_markdown(str(own['config']))}" if own.get("config") else ""
        return f"{held}{plain_markdown(address)} (Hub{config}, split {plain_markdown(str(own.get('split', 'train')))})"
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", address) and not address.startswith("file://"):
        return f"{held}{plain_markdown(address)} ({kind})"
    return f"{held}local files {plain_markdown(PurePosixPath(address).name)} ({kind})"


def _revision(own: Mapping[str, Any], source: SourceReport) -> str:
    if source.commit:
        return f"`{plain_markdown(source.commit)}`"
    return plain_markdown(str(own["revision"])) if own.get("revision") else "none"


def _processing(manifest: Manifest) -> list[str]:
    """What was done, in order, as the mix asked for it."""
    mix = manifest.mix
    lines = ["## Processing", ""]
    steps: list[str] = [*_cleaning(manifest)]
    wanted = sorted(
        {str(own["language"]) for name in manifest.sources if (own := _mix_of(manifest, name)).get("language")}
    )
    if wanted:
        steps.append(
            f"Language: identified by fastText on windows of each document; a source with a language ({', '.join(map(plain_markdown, wanted))}) "
            "keeps documents in it alone."
        )
    sets = sorted({str(one["name"]) for own in manifest.rules.values() for one in own})
    steps.append(
        f"Rules: the sets {', '.join(map(plain_markdown, sets))}; what each dropped stands below."
        if sets
        else "Rules: none are recorded."
    )
    duplicates = mix.get("duplicates")
    steps.append(
        f"Duplicates: exact ones, and near ones from a similarity (Jaccard, character {duplicates.get('characters')}-grams) of "
        f"{duplicates.get('threshold')} on{', and those of one address' if duplicates.get('url') else ''}, over all sources."
        if isinstance(duplicates, Mapping)
        else "Duplicates: not looked for."
    )
    found = manifest.evaluation.get("sets", {})
    steps.append(
        "Decontamination: documents that hold an item of "
        + ", ".join(
            f"{plain_markdown(name)} ({own['items']:,} items, {own['found']:,} found)" for name, own in found.items()
        )
        + " were dropped."
        if found
        else "Decontamination: none; evaluation sets may stand in the text."
    )
    share = mix.get("validation")
    steps.append(
        f"Held out: {share:.2%} of the documents of each source, by a hash of their ids, make the validation split."
        if isinstance(share, int | float) and share
        else "Held out: no share of the sources."
    )
    steps.append(
        f"Tokens: {plain_markdown(manifest.tokenizer.name)}"
        + (f" at {plain_markdown(manifest.tokenizer.revision)}" if manifest.tokenizer.revision else "")
        + f", {manifest.tokenizer.vocab_size:,} entries, SHA-256 `{manifest.tokenizer.sha256}`; the token "
        f"{plain_markdown(manifest.tokenizer.eos_token)} ({manifest.tokenizer.eos_id}) once after every document. "
        "The files lie in `tokenizer/`."
    )
    budget = mix.get("budget")
    steps.append(
        f"Mix: {f'a budget of {budget:,} tokens' if budget else 'no budget'}; shares and passes stand in the table of sources. "
        f"Packing: {plain_markdown(manifest.packing)}, documents shuffled with seed {mix.get('seed')}."
    )
    return [*lines, *(f"{number}. {step}" for number, step in enumerate(steps, start=1)), ""]


def _cleaning(manifest: Manifest) -> Iterator[str]:
    ways: dict[str, list[str]] = {}
    for name in manifest.sources:
        own = _mix_of(manifest, name).get("clean")
        if isinstance(own, Mapping):
            chosen = [
                f"{key}: {value}" if value is not True else key
                for key, value in own.items()
                if value not in {False, "none"}
            ]
            ways.setdefault(", ".join(chosen) or "nothing", []).append(name)
    for way, names in ways.items():
        yield f"Cleaning of {', '.join(map(plain_markdown, names))}: {plain_markdown(way)}; control characters and blank lines."
    for name, source in manifest.sources.items():
        if source.repeats:
            own = source.repeats
            yield (
                f"Repeated {own['unit']}s of {plain_markdown(name)}: {own['removed']:,} taken out of {own['documents']:,} documents."
            )


def _counts(manifest: Manifest) -> list[str]:
    rows = []
    for name, source in manifest.sources.items():
        groups = {"language": 0, "duplicate": 0, "decontaminate": 0, "mix": 0, "where": 0}
        for verdict, count in source.dropped.items():
            group = verdict.partition(".")[0]
            groups[group if group in groups else "rules"] = groups.get(group if group in groups else "rules", 0) + count
        rows.append(
            (
                plain_markdown(name),
                f"{sum(source.unreadable.values()):,}",
                f"{source.read.documents:,}",
                f"{groups['language']:,}",
                f"{groups.get('rules', 0):,}",
                f"{groups['duplicate']:,}",
                f"{groups['decontaminate']:,}",
                f"{groups['mix'] + groups['where']:,}",
                f"{source.kept.documents:,}",
                f"{source.kept.bytes:,}",
                f"{source.kept.tokens:,}",
            )
        )
    headings = (
        "source", "unreadable", "documents read", "other language", "rules", "duplicates", "contaminated", "not asked for",
        "kept", "kept UTF-8 bytes", "kept tokens",
    )  # fmt: skip
    return ["## Documents", "", *_table(headings, rows)]


def _rules(manifest: Manifest) -> list[str]:
    """For each source the rules that dropped something, most first, with their limits."""
    lines: list[str] = []
    for name, source in manifest.sources.items():
        limits = {
            f"{one['name']}.{rule['name']}": rule
            for one in manifest.rules.get(name, ())
            for rule in one.get("rules", ())
        }
        dropped = sorted(
            ((rule, count) for rule, count in source.dropped.items() if rule in limits),
            key=lambda one: (-one[1], one[0]),
        )
        if not limits:
            continue
        idle = len(limits) - len(dropped)
        lines += [f"### {plain_markdown(name)}", ""]
        if dropped:
            rows = [
                (plain_markdown(rule), plain_markdown(f"{limits[rule]['signal']} {_limit(limits[rule])}"), f"{count:,}")
                for rule, count in dropped[:_RULES_LISTED]
            ]
            lines += _table(("rule", "keeps", "documents dropped"), rows)
        more = (
            f"{len(dropped) - _RULES_LISTED:,} more rules dropped documents. " if len(dropped) > _RULES_LISTED else ""
        )
        lines += [f"{more}{idle:,} of {len(limits):,} rules dropped nothing here.", ""]
    return ["## What each rule dropped", "", *lines] if lines else []


def _limit(rule: Mapping[str, Any]) -> str:
    signs = {"min": "≥", "max": "≤", "above": ">", "below": "<"}
    limits = [f"{sign} {rule[key]:g}" for key, sign in signs.items() if rule.get(key) is not None]
    words = (("none_of", "none of"), ("one_of", "one of"))
    return " and ".join([*limits, *(f"{said} {', '.join(rule[key])}" for key, said in words if rule.get(key))])


def _loading(manifest: Manifest) -> list[str]:
    return [
        "## Loading",
        "",
        "With this card as `README.md` beside `shards/`, a repository of the Hub or a folder loads as it is:",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        'corpus = load_dataset("OWNER/NAME")  # or the path of the folder',
        "```",
        "",
        "| column | type | meaning |",
        "| :-- | :-- | :-- |",
        (
            f"| `input_ids` | list of uint{16 if manifest.tokenizer.vocab_size <= 65_536 else 32} | "
            f"at most {manifest.sequence_length:,} token ids, nothing padded |"
        ),
        "| `seq_lengths` | list of int32 | lengths of the pieces of documents in the row; attention should not cross them |",
        "| `source_ids` | list of uint16 | the source of each piece, by its place in the table of sources, from 0 |",
        "| `document_ids` | list of string | the document of each piece |",
        "| `piece_starts` | list of uint32 | the piece's first token within its document |",
        "| `epochs` | list of uint16 | which pass over the source |",
        "",
    ]


def _limits(manifest: Manifest) -> list[str]:
    """What the processing does not do, as far as the manifest can tell."""
    lines = ["## Known limits", ""]
    sources = [_mix_of(manifest, name) for name in manifest.sources]
    if not all((own.get("clean") or {}).get("mask_pii") for own in sources):
        lines.append(
            "- Personal data was not masked in every source: names, addresses and numbers stand as they were written."
        )
    else:
        lines.append(
            "- E-mail addresses, Japanese telephone numbers and postal codes were masked by patterns; names were not."
        )
    lines.append("- Rules judge documents by measurements; harmful, false or machine-written text can pass them.")
    unprotected = sum(own["unprotected"] for own in manifest.evaluation.get("sets", {}).values())
    if unprotected:
        lines.append(
            f"- {unprotected:,} evaluation items are too short to be told from ordinary language and were not looked for."
        )
    met = sum(source.evaluation.get("contexts", 0) for source in manifest.sources.values())
    if met:
        lines.append(
            f"- {met:,} documents share text with a passage that evaluation questions are asked about, and were not dropped for it."
        )
    if manifest.duplicates.get("members_not_fully_compared"):
        lines.append(
            f"- {manifest.duplicates['members_not_fully_compared']:,} documents were compared with some of their likely duplicates only."
        )
    repeated = [name for name, source in manifest.sources.items() if source.taken.epochs > 1]
    if repeated:
        lines.append(
            f"- Documents of {', '.join(map(plain_markdown, repeated))} stand in the training split more than once."
        )
    lines.append("- Language identification by windows errs on short and on mixed documents.")
    notes = [
        f"- {plain_markdown(name)}: {plain_markdown(note)}"
        for name, source in manifest.sources.items()
        for note in source.notes[:3]
    ]
    return [*lines, *notes, ""]


def _unknown(manifest: Manifest) -> list[str]:
    lines = []
    silent = [name for name, source in manifest.sources.items() if source.license is None]
    if silent:
        lines.append(f"- The licence of {', '.join(map(plain_markdown, silent))}: not stated in the mix.")
    local = [
        name
        for name, source in manifest.sources.items()
        if not source.commit and not _mix_of(manifest, name).get("revision")
    ]
    if local:
        lines.append(
            f"- The revision of {', '.join(map(plain_markdown, local))}: these are files without one; the build knows them by their SHA-256."
        )
    lines.append("- Who wrote the documents, and whether they consented to this use.")
    return ["## Not known", "", *lines, ""]


# -------------------------------------------------------------------------------------------------------------- the Hub


def read_card(build: Path) -> str:
    """The card of a build; made from its manifest where an older version wrote none."""
    manifest = read_manifest(build)
    path = build / CARD
    if not path.is_file():
        return card_of(manifest)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8 text; delete it and run the build again.") from error


def ask_hub(content: str) -> str | None:
    """What the Hub finds wrong with a card's metadata, or null: one request to its `/api/validate-yaml`.

    Sends the card and nothing else. CorpusError where the card has no metadata that can be read, or the Hub cannot be
    asked.
    """
    from huggingface_hub import DatasetCard, constants
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    from corpus_ja.storage.sources.hub import transport_errors

    unreachable: tuple[type[BaseException], ...] = (HfHubHTTPError, *transport_errors(), OSError)
    try:
        card = DatasetCard(content)
    except Exception as error:  # a YAML error of any kind, or a ValueError
        reason = " ".join(str(error).split())[:200]
        raise CorpusError(
            f"The metadata of the data card cannot be read ({reason}); delete {CARD} and run the build again."
        ) from error
    try:
        card.validate()
    except ValueError as error:
        return " ".join(str(error).split())[:500] or "it gives no reason"
    except OfflineModeIsEnabled as error:
        raise CorpusError(
            "The Hub cannot be asked about the data card while HF_HUB_OFFLINE is set; unset it."
        ) from error
    except unreachable as error:
        reason = " ".join((str(error) or type(error).__name__).split())[:200]
        raise CorpusError(
            f"{constants.ENDPOINT} cannot be asked about the data card ({reason}); try again with a connection."
        ) from error
    return None
