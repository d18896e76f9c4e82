"""A mix file into a `LoadedMix`: the settings, and everything small that they name, in memory.

`load_mix` is the one door: it reads the mix, its rule sets, its evaluation sets and its tokenizer, and answers every mistake with a sentence that
names the file, the line and the key. `$NAME` and `${NAME:-other}` stand for environment variables in paths, and nowhere else; paths are relative
to the mix file. Cost: milliseconds without the Hub.
"""

import difflib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from pydantic import ValidationError

from corpus_ja.errors import ConfigError
from corpus_ja.mix import DuplicateSettings, Mix, Source
from corpus_ja.mixfile import Places, complain_about_keys, override, read_mix, said, sentence
from corpus_ja.stages import decontaminate, tokens
from corpus_ja.stages.decontaminate import Item
from corpus_ja.stages.language import default_model_path
from corpus_ja.stages.rules import RuleSet, parse_rule_set
from corpus_ja.storage.evaluation import fetch_from_hub, read_jglue, read_jsonl
from corpus_ja.storage.manifest import sha256_of
from corpus_ja.storage.tokenizers import find_tokenizer

__all__ = ["DuplicateSettings", "LoadedMix", "Mix", "Source", "expand", "filters_folder", "load_mix"]

DEFAULT_FILTERS = {"ja": ("corpus_ja",), "en": ("corpus_en",)}


@dataclass(frozen=True, slots=True)
class LoadedMix:
    """A mix with every small file it names read: what the pipeline runs.

    `sources` are those of the mix, then one per file of `heldout`; `rule_sets` by source; `hashes` are the SHA-256 of all rule, list and
    model files by name; `folder` is what paths are relative to.
    """

    mix: Mix
    folder: Path
    sources: dict[str, Source]
    rule_sets: dict[str, tuple[RuleSet, ...]]
    hashes: dict[str, str]
    tokenizer: tokens.Tokenizer
    language_model: str
    items: tuple[Item, ...]


def load_mix(path: Path, overrides: Sequence[str] = ()) -> LoadedMix:
    """Read a mix file and every small file it names; `overrides` are `key=value` with dotted keys.

    Raises ConfigError (or RuleError) with one sentence that names the file, the line and the key.
    """
    values, places = read_mix(path)
    for setting in overrides:
        override(values, places, setting)
    complain_about_keys(values, Mix, (), places)
    try:
        mix = Mix.model_validate(values)
    except ValidationError as error:
        raise ConfigError(sentence(error, values, places)) from error
    try:
        return _load(mix, path, places)
    except OSError as error:
        name = str(error.filename or "a file that it names")
        shown = name if len(name) <= 200 else f"{name[:197]}..."
        raise ConfigError(f"{path}: {shown} cannot be read: {(error.strerror or str(error)).lower()}.") from error


def _load(mix: Mix, path: Path, places: Places) -> LoadedMix:
    """Read what a mix names."""
    folder = path.resolve().parent
    sources = {name: _expanded(source, name, places) for name, source in mix.sources.items()}
    for number, address in enumerate(mix.heldout):
        sources[f"heldout_{number + 1}"] = _heldout(address, places.at("heldout", str(number)))
    hashes: dict[str, str] = {}
    rule_sets = {
        name: tuple(_rule_sets(source, folder, places.at("sources", name, "filters"), hashes)) for name, source in sources.items()
    }
    with places.named("tokenizer"):
        found = find_tokenizer(expand(mix.tokenizer), mix.tokenizer_revision, folder)
        tokenizer = tokens.describe(found.folder, found.name, found.revision, found.sha256, mix.eos)
    if mix.bos and tokenizer.bos_id is None:
        raise ConfigError(f"{places.at('bos')}: bos: true, but the tokenizer {mix.tokenizer} names no beginning-of-text token.")
    with places.named("language_model"):
        model = _language_model(mix, folder, hashes)
    with places.named("decontaminate"):
        items = tuple(_evaluation_items(mix, folder, hashes))
    return LoadedMix(
        mix=mix,
        folder=folder,
        sources=sources,
        rule_sets=rule_sets,
        hashes=hashes,
        tokenizer=tokenizer,
        language_model=model,
        items=items,
    )


def expand(text: str) -> str:
    """Put environment variables in place of `$NAME`, `${NAME}` and `${NAME:-other}`; an unset one without `other` is an error."""

    def value(match: re.Match[str]) -> str:
        name, fallback = match["braced"] or match["plain"], match["fallback"]
        found = os.environ.get(name) or fallback
        if found is None:
            raise ConfigError(
                f"{text} names the environment variable {name}, which is not set; set it, or write ${{{name}:-PATH}} to say what stands in."
            )
        return found

    return re.sub(r"\$(?:\{(?P<braced>\w+)(?::-(?P<fallback>[^}]*))?\}|(?P<plain>[A-Za-z_]\w*))", value, text)


def filters_folder() -> Path:
    """Where the rule sets that corpus-ja ships lie, in a wheel or in a checkout."""
    here = Path(__file__).resolve().parent
    for folder in (here / "filters", here.parents[1] / "filters"):
        if folder.is_dir():
            return folder
    raise ConfigError("The rule sets of corpus-ja are not installed with it; install the package again.")


def _expanded(source: Source, name: str, places: Places) -> Source:
    updates: dict[str, str] = {}
    for field in ("parquet", "jsonl", "text", "oscar", "warc", "sidecar"):
        address = getattr(source, field)
        if address is not None:
            with places.named("sources", name, field):
                updates[field] = expand(address)
    return source.model_copy(update=updates) if updates else source


def _heldout(address: str, where: str) -> Source:
    try:
        expanded = expand(address)
    except ConfigError as error:
        raise ConfigError(f"{where}: heldout: {error}") from error
    ending = re.sub(r"\.(gz|zst)$", "", expanded)
    kind = "parquet" if ending.endswith(".parquet") else "text" if ending.endswith((".txt", ".md")) else "jsonl"
    try:
        return Source.model_validate({kind: expanded, "filters": "none", "heldout": True})
    except ValidationError as error:
        raise ConfigError(f"{where}: heldout: {said(error.errors()[0])}.") from error


def _rule_sets(source: Source, folder: Path, where: str, hashes: dict[str, str]) -> Iterator[RuleSet]:
    names = source.filters
    if names is None:
        names = DEFAULT_FILTERS.get(source.language or "", ())
    columns = frozenset(source.extra_paths) | _sidecar_columns(source, folder)
    for name in names:
        shipped = filters_folder() / f"{name}.yaml"
        try:
            file = shipped if shipped.is_file() else folder / expand(name)
        except ConfigError as error:
            raise ConfigError(f"{where}: filters: {error}") from error
        if not file.is_file():
            known = sorted(rule_file.stem for rule_file in filters_folder().glob("*.yaml"))
            close = difflib.get_close_matches(name[:100], known, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"there are: {', '.join(known)}."
            raise ConfigError(f"{where}: filters: there is no rule set `{name[:100]}` and no file {file}; {hint}")
        try:
            content = file.read_text(encoding="utf-8")
            hashes[f"filters/{name}"] = sha256_of(file)
        except UnicodeDecodeError as error:
            raise ConfigError(f"{where}: filters: {file} is not UTF-8 text (byte {error.start:,}).") from error
        yield parse_rule_set(file.stem, str(file), content, columns)


def _sidecar_columns(source: Source, folder: Path) -> frozenset[str]:
    """The columns a sidecar adds, which rules may name; one that cannot be read is reported when it is joined."""
    if source.sidecar is None:
        return frozenset()
    try:
        return frozenset(pl.read_parquet_schema(folder / source.sidecar))
    except (OSError, pl.exceptions.PolarsError):
        return frozenset()


def _language_model(mix: Mix, folder: Path, hashes: dict[str, str]) -> str:
    if mix.language_model is None:
        model = Path(default_model_path())
    else:
        model = folder / expand(mix.language_model)
        if not model.is_file():
            raise ConfigError(f"there is no file {model}; name a fastText model (.bin or .ftz).")
    hashes["language_model"] = sha256_of(model)
    return str(model)


def _evaluation_items(mix: Mix, folder: Path, hashes: dict[str, str]) -> Iterator[Item]:
    if mix.decontaminate is None:
        return
    if not mix.decontaminate.sets:
        raise ConfigError("`decontaminate` names no sets; give it some, or leave it out of the mix.")
    for evaluation in mix.decontaminate.sets:
        found = 0
        if (evaluation.path is None) == (evaluation.hub is None):
            raise ConfigError("every set of `decontaminate` names either a `path` or a dataset of the `hub`.")
        place = folder / expand(evaluation.path) if evaluation.path else fetch_from_hub(str(evaluation.hub))
        for file in read_jglue(place) if evaluation.form == "jglue" else read_jsonl(place):
            name = evaluation.name or file.name
            hashes[f"evaluation/{name}/{Path(file.file).name}"] = file.sha256
            if file.task is not None:
                items = decontaminate.jglue_items(file.task, file.records, name, file.file)
            else:
                items = decontaminate.jsonl_items(file.records, evaluation.fields, name, file.file)
            found += len(items)
            yield from items
        if not found:
            raise ConfigError(f"{place} holds no evaluation item; it protects nothing.")
