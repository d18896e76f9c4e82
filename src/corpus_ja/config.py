"""`mix.yaml` into a frozen `Mix`, and everything small that it names into memory.

`load_mix` composes the settings of the stages and has no defaults of its own beyond what a mix is. YAML is read with the
safe loader; duplicate keys are errors; every complaint names the file, the line and the key, and suggests the right key, also for
the names that other tools use. `$NAME` and `${NAME:-other}` stand for environment variables in paths, and nowhere else.
Paths are relative to the mix file. Cost: milliseconds without the Hub. Rejected: OmegaConf and Hydra (interpolation is code, and a mix is data).
"""

import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl
import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from corpus_ja.errors import ConfigError
from corpus_ja.executors import ExecutorSettings
from corpus_ja.settings import Count, Settings, Share
from corpus_ja.stages import decontaminate, tokens
from corpus_ja.stages.clean import Clean
from corpus_ja.stages.decontaminate import Decontamination, Item
from corpus_ja.stages.language import default_model_path
from corpus_ja.stages.minhash import NearDuplicates
from corpus_ja.stages.mixing import Shortage, Wish
from corpus_ja.stages.packing import Packing
from corpus_ja.stages.rules import RuleSet, parse_rule_set
from corpus_ja.storage.evaluation import fetch_from_hub, read_jglue, read_jsonl
from corpus_ja.storage.manifest import sha256_of
from corpus_ja.storage.sources import Reading
from corpus_ja.storage.tokenizers import find_tokenizer

DEFAULT_FILTERS = {"ja": ("corpus_ja",), "en": ("corpus_en",)}

NAMES_ELSEWHERE = {
    "path": "parquet, jsonl, text, oscar or warc",
    "data_files": "parquet, jsonl, text, oscar or warc",
    "file": "parquet, jsonl or text",
    "files": "parquet, jsonl or text",
    "dataset": "hub",
    "repo": "hub",
    "repo_id": "hub",
    "hf": "hub",
    "subset": "config",
    "lang": "language",
    "ratio": "weight",
    "proportion": "weight",
    "probability": "weight",
    "text_column": "columns: {text: NAME}",
    "text_key": "columns: {text: NAME}",
    "text_field": "columns: {text: NAME}",
    "id_column": "columns: {id: NAME}",
    "filter": "filters",
    "sample": "fraction",
    "budget_tokens": "budget",
    "num_tokens": "budget",
    "total_tokens": "budget",
    "token_budget": "budget",
    "sequence_len": "sequence_length",
    "seq_len": "sequence_length",
    "seq_length": "sequence_length",
    "max_seq_length": "sequence_length",
    "max_length": "sequence_length",
    "context_length": "sequence_length",
    "block_size": "sequence_length",
    "datasets": "sources",
    "data": "sources",
    "dedup": "duplicates",
    "deduplication": "duplicates",
    "minhash": "duplicates",
    "decontamination": "decontaminate",
    "random_seed": "seed",
    "num_workers": "executor: {workers: N}",
    "workers": "executor: {workers: N}",
    "output_dir": "the option --output",
    "output": "the option --output",
    "tokenizer_name": "tokenizer",
    "tokenizer_name_or_path": "tokenizer",
    "eos_token": "eos",
    "add_bos": "bos",
    "valid": "validation",
    "validation_split": "validation",
    "num_shards": "shards",
    "epoch": "epochs",
    "upsample": "epochs",
    "repeat": "epochs",
    "num_perm": "bands and rows",
    "num_hashes": "bands and rows",
    "ngram": "characters",
    "ngrams": "characters",
    "ngram_size": "characters",
    "jaccard_threshold": "threshold",
    "revision_id": "revision",
    "commit": "revision",
}

Duplicates = Literal["near", "exact", "none"]


class Source(Reading, Wish):
    """One source of text: what is read of it, how it is judged, and how much of it the mix wants."""

    fraction: Share = Field(default=1.0, gt=0)
    language: str | None = None
    filters: tuple[str, ...] | None = None
    clean: Clean = Clean()
    duplicates: Duplicates = "near"
    priority: int | None = None
    max_removal: Share | None = None
    license: str | None = None
    heldout: bool = False

    @field_validator("filters", mode="before")
    @classmethod
    def _none_is_no_filter(cls, value: object) -> object:
        if value == "none":
            return ()
        return (value,) if isinstance(value, str) else value


class DuplicateSettings(NearDuplicates):
    """Which duplicates leave: exact ones and near ones always, those of one URL by choice."""

    url: bool = False
    max_removal: Share = 0.6


class Mix(Settings):
    """A corpus, as its author writes it down."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    tokenizer: str
    tokenizer_revision: str | None = None
    eos: str | None = None
    bos: bool = False
    sequence_length: int = Field(default=1024, ge=8, le=1_048_576)
    budget: Count | None = None
    on_shortage: Shortage = "error"
    seed: int = Field(default=42, ge=0)
    validation: Share = Field(default=0.001, lt=1)
    validation_seed: int = Field(default=0, ge=0)
    heldout: tuple[str, ...] = ()
    packing: Packing = "best_fit"
    shards: int | Literal["auto"] = "auto"
    language_model: str | None = None
    sources: dict[str, Source] = Field(min_length=1)
    duplicates: DuplicateSettings | None = DuplicateSettings()
    decontaminate: Decontamination | None = None
    executor: ExecutorSettings = ExecutorSettings()

    @field_validator("duplicates", "decontaminate", mode="before")
    @classmethod
    def _none_is_off(cls, value: object) -> object:
        return None if value == "none" else value

    @field_validator("sources")
    @classmethod
    def _names_are_plain(cls, value: dict[str, Source]) -> dict[str, Source]:
        for name in value:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
                raise ValueError(f"the source name {name!r} may hold letters, digits, '_', '-' and '.' only")
        return value

    @model_validator(mode="after")
    def _shards_is_positive(self) -> "Mix":
        if self.shards != "auto" and self.shards < 1:
            raise ValueError("shards should be auto or a number of files, at least 1")
        return self


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
    values, lines = _read_yaml(path)
    for override in overrides:
        _override(values, override)
    _complain_about_unknown_keys(values, Mix, (), path, lines)
    try:
        mix = Mix.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_sentence(error, path, lines)) from error
    folder = path.resolve().parent
    sources = {name: _expanded(source, name, path, lines) for name, source in mix.sources.items()}
    for number, address in enumerate(mix.heldout, start=1):
        sources[f"heldout_{number}"] = _heldout(address, path)
    hashes: dict[str, str] = {}
    rule_sets = {name: tuple(_rule_sets(source, folder, path, hashes)) for name, source in sources.items()}
    found = find_tokenizer(expand(mix.tokenizer), mix.tokenizer_revision, folder)
    tokenizer = tokens.describe(found.folder, mix.tokenizer, found.revision, found.sha256, mix.eos)
    if mix.bos and tokenizer.bos_id is None:
        raise ConfigError(f"{path}: bos: true, but the tokenizer {mix.tokenizer} names no beginning-of-text token.")
    return LoadedMix(
        mix=mix,
        folder=folder,
        sources=sources,
        rule_sets=rule_sets,
        hashes=hashes,
        tokenizer=tokenizer,
        language_model=_language_model(mix, folder, hashes),
        items=tuple(_evaluation_items(mix, folder, hashes)),
    )


def expand(text: str) -> str:
    """Put environment variables in place of `$NAME`, `${NAME}` and `${NAME:-other}`; an unset one without `other` is an error."""

    def value(match: re.Match[str]) -> str:
        name, fallback = match["braced"] or match["plain"], match["fallback"]
        found = os.environ.get(name) or fallback
        if found is None:
            raise ConfigError(f"{text} names the environment variable {name}, which is not set.")
        return found

    return re.sub(r"\$(?:\{(?P<braced>\w+)(?::-(?P<fallback>[^}]*))?\}|(?P<plain>[A-Za-z_]\w*))", value, text)


def filters_folder() -> Path:
    """Where the rule sets that corpus-ja ships lie, in a wheel or in a checkout."""
    here = Path(__file__).resolve().parent
    for folder in (here / "filters", here.parents[1] / "filters"):
        if folder.is_dir():
            return folder
    raise ConfigError("The rule sets of corpus-ja are not installed with it; install the package again.")


def _read_yaml(path: Path) -> tuple[dict[str, Any], dict[tuple[str, ...], int]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"There is no mix file {path}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text (byte {error.start}).") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[tuple[str, ...], int] = {}
        if node is not None:
            _lines_of(node, (), lines, path)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise ConfigError(f"{path}{where} is not YAML: {problem}.") from error
    except RecursionError as error:
        raise ConfigError(f"{path} is nested too deeply to be a mix.") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} is not a mix: it should hold `name:`, `tokenizer:` and `sources:`.")
    return values, lines


def _lines_of(node: yaml.Node, at: tuple[str, ...], lines: dict[tuple[str, ...], int], path: Path) -> None:
    lines[at] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = str(key.value)
            if (*at, name) in lines:
                raise ConfigError(
                    f"{path} line {key.start_mark.line + 1}: `{'.'.join((*at, name))}` stands twice "
                    f"(first on line {lines[(*at, name)]}); keep one."
                )
            _lines_of(value, (*at, name), lines, path)
            lines[(*at, name)] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _lines_of(value, (*at, str(index)), lines, path)


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}: write it as key=value, for example --set budget=1B.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: {text} is not a YAML value.") from error
    *parents, last = key.split(".")
    place = values
    for parent in parents:
        inner = place.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override}: `{parent}` holds a value, not settings.")
        place = inner
    place[last] = value


def _complain_about_unknown_keys(
    values: Mapping[str, Any], model: type[Settings], at: tuple[str, ...], path: Path, lines: Mapping[tuple[str, ...], int]
) -> None:
    """Misspelt keys first: their sentence is more useful than what follows from them (a missing kind, say)."""
    for key, value in values.items():
        name = str(key)
        field = model.model_fields.get(name)
        if field is None:
            raise ConfigError(f"{_where(path, (*at, name), lines)}: {unknown_key(name, at, model)}")
        if model is Mix and name == "sources" and isinstance(value, dict):
            for source, settings in value.items():
                if isinstance(settings, dict):
                    _complain_about_unknown_keys(settings, Source, (*at, name, str(source)), path, lines)
            continue
        inner = next((kind for kind in _models(field.annotation)), None)
        if inner is not None and isinstance(value, dict):
            _complain_about_unknown_keys(value, inner, (*at, name), path, lines)


def _models(annotation: object) -> Iterator[type[Settings]]:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        if isinstance(argument, type) and issubclass(argument, Settings):
            yield argument


def unknown_key(name: str, at: tuple[str, ...], model: type[Settings]) -> str:
    """The sentence for a key that does not exist, with the right one where it can be guessed."""
    where = f"`{'.'.join(at)}` has" if at else "a mix has"
    if at[:1] == ("sources",):
        where = f"the source `{at[1]}` has"
    close = difflib.get_close_matches(name, model.model_fields, n=1, cutoff=0.75)
    elsewhere = NAMES_ELSEWHERE.get(name)
    if close:
        return f"{where} no key `{name}`; did you mean `{close[0]}`?"
    if elsewhere is not None and any(word in model.model_fields for word in re.findall(r"\w+", elsewhere)):
        return f"{where} no key `{name}`; here it is called `{elsewhere}`."
    if elsewhere is not None and elsewhere.startswith("the option"):
        return f"{where} no key `{name}`; use {elsewhere}."
    return f"{where} no key `{name}`; it may have: {', '.join(model.model_fields)}."


def _where(path: Path, at: tuple[str, ...], lines: Mapping[tuple[str, ...], int]) -> str:
    for length in range(len(at), 0, -1):
        if at[:length] in lines:
            return f"{path} line {lines[at[:length]]}"
    return str(path)


def _sentence(error: ValidationError, path: Path, lines: Mapping[tuple[str, ...], int]) -> str:
    first = error.errors()[0]
    at = tuple(str(part) for part in first["loc"] if not str(part).startswith(("function-", "union", "literal")))
    place = tuple(part for part in at if "[" not in part)
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        message = "is missing"
    key = ".".join(place)
    given = first.get("input")
    shown = f" (it is {json.dumps(given, ensure_ascii=False, default=str)[:80]})" if _worth_showing(first["type"], given) else ""
    return f"{_where(path, place, lines)}: " + (f"`{key}` {_lower(message)}{shown}." if key else f"{message}.")


def _worth_showing(kind: str, given: object) -> bool:
    return kind not in {"missing", "value_error"} and isinstance(given, str | int | float | bool | None)


def _lower(message: str) -> str:
    return message.removeprefix("Input ").removesuffix(".") if message.startswith("Input ") else message.removesuffix(".")


def _expanded(source: Source, name: str, path: Path, lines: Mapping[tuple[str, ...], int]) -> Source:
    updates: dict[str, str] = {}
    for field in ("parquet", "jsonl", "text", "oscar", "warc", "sidecar"):
        address = getattr(source, field)
        if address is not None:
            try:
                updates[field] = expand(address)
            except ConfigError as error:
                raise ConfigError(f"{_where(path, ('sources', name, field), lines)}: {error}") from error
    return source.model_copy(update=updates) if updates else source


def _heldout(address: str, path: Path) -> Source:
    expanded = expand(address)
    ending = re.sub(r"\.(gz|zst)$", "", expanded)
    kind = "parquet" if ending.endswith(".parquet") else "text" if ending.endswith((".txt", ".md")) else "jsonl"
    try:
        return Source.model_validate({kind: expanded, "filters": "none", "heldout": True})
    except ValidationError as error:
        raise ConfigError(f"{path}: heldout: {address}: {error.errors()[0]['msg']}.") from error


def _rule_sets(source: Source, folder: Path, path: Path, hashes: dict[str, str]) -> Iterator[RuleSet]:
    names = source.filters
    if names is None:
        names = DEFAULT_FILTERS.get(source.language or "", ())
    columns = frozenset(source.extra_paths) | _sidecar_columns(source, folder)
    for name in names:
        shipped = filters_folder() / f"{name}.yaml"
        file = shipped if shipped.is_file() else folder / expand(name)
        if not file.is_file():
            known = sorted(rule_file.stem for rule_file in filters_folder().glob("*.yaml"))
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"there are: {', '.join(known)}."
            raise ConfigError(f"{path}: filters: there is no rule set `{name}` and no file {file}; {hint}")
        hashes[f"filters/{name}"] = sha256_of(file)
        try:
            content = file.read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError) as error:
            raise ConfigError(f"{path}: filters: {file} cannot be read as UTF-8 text.") from error
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
            raise ConfigError(f"language_model: there is no file {model}; name a fastText model (.bin or .ftz).")
    hashes["language_model"] = sha256_of(model)
    return str(model)


def _evaluation_items(mix: Mix, folder: Path, hashes: dict[str, str]) -> Iterator[Item]:
    if mix.decontaminate is None:
        return
    for evaluation in mix.decontaminate.sets:
        if (evaluation.path is None) == (evaluation.hub is None):
            raise ConfigError("decontaminate: every set names either a `path` or a dataset of the `hub`.")
        place = folder / expand(evaluation.path) if evaluation.path else fetch_from_hub(str(evaluation.hub))
        for file in read_jglue(place) if evaluation.form == "jglue" else read_jsonl(place):
            name = evaluation.name or file.name
            hashes[f"evaluation/{name}/{Path(file.file).name}"] = file.sha256
            if file.task is not None:
                yield from decontaminate.jglue_items(file.task, file.records, name, file.file)
            else:
                yield from decontaminate.jsonl_items(file.records, evaluation.fields, name, file.file)


__all__ = ["Duplicates", "LoadedMix", "Mix", "Source", "expand", "filters_folder", "load_mix", "unknown_key"]
