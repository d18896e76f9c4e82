"""A mix file as it is written: YAML into values with the line of every key, and complaints that name both.

The safe loader, duplicate keys are errors, anchors and merge keys work but what they expand to is bounded before
anything is built, so that a few lines cannot ask for gigabytes. A misspelt key is answered with the right one, also
where it is another tool's name for it. Cost: milliseconds. Rejected: OmegaConf and Hydra (interpolation is code, and a
mix is data), and pydantic's own messages (they know no lines).
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml
from pydantic import ValidationError

from corpus_ja.errors import ConfigError, CorpusError
from corpus_ja.mix import DuplicateSettings, Mix, Source
from corpus_ja.settings import Settings
from corpus_ja.stages.lists import ListSettings
from corpus_ja.stages.models import ModelSignal

MOST_BYTES = 5_000_000
"""Bytes of a mix file; real ones are a page or two, and a device file never ends."""
MOST_VALUES = 100_000
"""Keys and values of a mix after its anchors are expanded."""

_FILES = "parquet, jsonl, text, oscar or warc"
NAMES_ELSEWHERE = {
    "path": _FILES,
    "paths": _FILES,
    "data_files": _FILES,
    "data_path": _FILES,
    "data_dir": _FILES,
    "file": _FILES,
    "files": _FILES,
    "folder": _FILES,
    "directory": _FILES,
    "glob": _FILES,
    "uri": _FILES,
    "input": _FILES,
    "type": _FILES,
    "kind": _FILES,
    "format": _FILES,
    "loader": _FILES,
    "reader": _FILES,
    "csv": _FILES,
    "tsv": _FILES,
    "arrow": _FILES,
    "json": "jsonl",
    "ndjson": "jsonl",
    "jsonlines": "jsonl",
    "txt": "text",
    "wet": "warc",
    "cc": "warc",
    "dataset": "hub",
    "dataset_name": "hub",
    "repo": "hub",
    "repo_id": "hub",
    "hf": "hub",
    "huggingface": "hub",
    "subset": "config",
    "lang": "language",
    "ratio": "weight",
    "proportion": "weight",
    "probability": "weight",
    "weights": "weight",
    "text_column": "columns: {text: NAME}",
    "text_key": "columns: {text: NAME}",
    "text_field": "columns: {text: NAME}",
    "id_column": "columns: {id: NAME}",
    "id_key": "columns: {id: NAME}",
    "filter": "filters",
    "rules": "filters",
    "condition": "where",
    "query": "where",
    "sample": "fraction",
    "sampling": "fraction",
    "limit": "max_documents",
    "max_samples": "max_documents",
    "budget_tokens": "budget",
    "num_tokens": "budget",
    "total_tokens": "budget",
    "token_budget": "budget",
    "target_tokens": "budget",
    "max_train_tokens": "budget",
    "sequence_len": "sequence_length",
    "seq_len": "sequence_length",
    "seqlen": "sequence_length",
    "seq_length": "sequence_length",
    "max_seq_length": "sequence_length",
    "max_seq_len": "sequence_length",
    "max_length": "sequence_length",
    "context_length": "sequence_length",
    "chunk_size": "sequence_length",
    "block_size": "sequence_length",
    "datasets": "sources",
    "dataset_mix": "sources",
    "data": "sources",
    "dedup": "duplicates",
    "dedupe": "duplicates",
    "deduplicate": "duplicates",
    "deduplication": "duplicates",
    "minhash": "duplicates",
    "decontamination": "decontaminate",
    "benchmarks": "decontaminate",
    "random_seed": "seed",
    "num_workers": "executor: {workers: N}",
    "num_proc": "executor: {workers: N}",
    "workers": "executor: {workers: N}",
    "output_dir": "the option --output",
    "output": "the option --output",
    "work": "the option --work",
    "work_dir": "the option --work",
    "cache_dir": "the option --work",
    "tokenizer_path": "tokenizer",
    "tokenizer_name": "tokenizer",
    "tokenizer_name_or_path": "tokenizer",
    "vocab": "tokenizer",
    "eos_token": "eos",
    "add_bos": "bos",
    "valid": "validation",
    "validation_split": "validation",
    "validation_ratio": "validation",
    "val_split": "validation",
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
    "similarity": "threshold",
    "revision_id": "revision",
    "commit": "revision",
}
"""What other tools call our keys, and what is called so here."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where each key of a mix was written: a line of the file, or an option of the command line."""

    path: Path
    lines: dict[tuple[str, ...], int | str]

    def at(self, *keys: str) -> str:
        """Where a key stands, as in mix.yaml line 12: of the key, or of the nearest one above it."""
        for length in range(len(keys), 0, -1):
            found = self.lines.get(keys[:length])
            if found is not None:
                return f"{self.path} line {found}" if isinstance(found, int) else f"--set {found}"
        return str(self.path)

    @contextmanager
    def named(self, *keys: str) -> Iterator[None]:
        """Put the place of a key before the sentence of what is raised inside."""
        try:
            yield
        except CorpusError as error:
            raise type(error)(f"{self.at(*keys)}: {error}") from error


def read_mix(path: Path) -> tuple[dict[str, Any], Places]:
    """A mix file's values, and where each key stands; ConfigError for what is no YAML mapping of bounded size."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError(f"There is no mix file {path}.") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path} is a folder; name the mix file in it.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > MOST_BYTES:
        raise ConfigError(f"{path} is larger than {MOST_BYTES:,} bytes, too large to be a mix.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path} line {line} is not UTF-8 text (byte {error.start:,}); save the file as UTF-8."
        ) from error
    places = Places(path, {})
    values = _parsed(text, str(path), places.lines)
    if not isinstance(values, dict):
        what = (
            "empty" if values is None else "a list" if isinstance(values, list) else f"just a {type(values).__name__}"
        )
        raise ConfigError(f"{path} is not a mix but {what}: it should hold `name:`, `tokenizer:` and `sources:`.")
    return values, places


def _parsed(text: str, where: str, lines: dict[tuple[str, ...], int | str]) -> Any:  # noqa: ANN401 - YAML is anything
    """YAML as plain values that share nothing; `lines` takes the line of every key. Raises ConfigError, whatever the
    text is.
    """
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _check_size(node, {}, where)
            _note_lines(node, (), lines, where)
            return _unshared(loader.construct_document(node))
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        _explain_yaml(error, text, where)
    except (ValueError, TypeError, OverflowError, AttributeError, LookupError, ArithmeticError) as error:
        raise ConfigError(f"{where} is not YAML that can be read: {' '.join(str(error).split())[:200]}.") from error
    except RecursionError as error:
        raise ConfigError(f"{where} is nested too deeply to be a mix.") from error


class _Loader(yaml.SafeLoader):
    """The safe loader, whose every complaint says where.

    PyYAML lets ordinary errors escape for dates that do not exist, numbers too long to read, and tags on the wrong
    kind of value.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401 - YAML is anything
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, OverflowError, AttributeError, LookupError, ArithmeticError) as error:
            problem = f"{' '.join(str(error).split())[:100]}; put the value in quotes if it is text"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


def _explain_yaml(error: yaml.YAMLError, text: str, where: str) -> NoReturn:
    mark = getattr(error, "problem_mark", None)
    position = getattr(error, "position", None)
    line = mark.line + 1 if mark else text[:position].count("\n") + 1 if isinstance(position, int) else None
    place = f"{where} line {line}" if line else where
    problem = " ".join(str(getattr(error, "problem", None) or getattr(error, "reason", None) or error).split())
    if isinstance(position, int) and position < len(text):
        problem = f"it holds the control character U+{ord(text[position]):04X}"
    elif "'\\t'" in problem:
        problem = "a tab stands where YAML wants spaces; indent with spaces"
    elif "could not determine a constructor for the tag" in problem:
        tag = problem.rpartition("for the tag ")[2]
        raise ConfigError(
            f"{place}: the tag {tag} means nothing in a mix, which holds plain values only; remove it."
        ) from error
    elif "mapping values are not allowed" in problem:
        problem = "a colon stands where none may; put a value that holds `: ` in quotes, and check the indentation"
    elif "found undefined alias" in problem or "expected alphabetic or numeric character" in problem:
        problem += "; in YAML a * begins an alias, so put a glob that begins with * in quotes"
    raise ConfigError(f"{place} is not YAML: {problem}.") from error


def _check_size(node: yaml.Node, sizes: dict[int, int], where: str) -> int:
    """The values that a node expands to, each alias counted as what it stands for; ConfigError where that is too much
    or endless.
    """
    known = sizes.get(id(node))
    if known is not None:
        if not known:
            raise ConfigError(
                f"{where} line {node.start_mark.line + 1}: an anchor stands inside itself; a mix must end somewhere."
            )
        return known
    sizes[id(node)] = 0
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        children = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    elif any(0xD800 <= ord(character) <= 0xDFFF or character == "\0" for character in node.value):
        raise ConfigError(
            f"{where} line {node.start_mark.line + 1}: a value holds an escape that is no character (NUL, or half of a pair); remove it."
        )
    size = sizes[id(node)] = 1 + sum(_check_size(child, sizes, where) for child in children)
    if size > MOST_VALUES:
        raise ConfigError(
            f"{where} line {node.start_mark.line + 1}: this expands to more than {MOST_VALUES:,} values, too many for a mix; "
            "write fewer aliases."
        )
    return size


def _note_lines(node: yaml.Node, at: tuple[str, ...], lines: dict[tuple[str, ...], int | str], where: str) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else f"a {key.id}"
            line, earlier = key.start_mark.line + 1, lines.get((*at, name))
            if earlier is not None:
                raise ConfigError(
                    f"{where} line {line}: `{'.'.join((*at, name))}` stands twice (first on line {earlier}); keep one of the two."
                )
            _note_lines(value, (*at, name), lines, where)
            lines[(*at, name)] = line
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _note_lines(value, (*at, str(index)), lines, where)
            lines[(*at, str(index))] = value.start_mark.line + 1


def _unshared(value: Any) -> Any:  # noqa: ANN401 - YAML is anything
    """The same values with no mapping or list in two places, so that an override changes one of them."""
    if isinstance(value, dict):
        return {key: _unshared(inner) for key, inner in value.items()}
    return [_unshared(inner) for inner in value] if isinstance(value, list) else value


def override(values: dict[str, Any], places: Places, override: str) -> None:
    """Put a `key=value` of the command line (dotted keys, a YAML value) in place of what the file says."""
    key, equals, text = override.partition("=")
    keys = tuple(part.strip() for part in key.split("."))
    if not equals or not all(keys):
        raise ConfigError(
            f"--set {override}: write it as key=value, for example --set budget=1B or --set sources.NAME.weight=2."
        )
    value = _parsed(text, f"--set {override}", {})
    place: Any = values
    for depth, parent in enumerate(keys[:-1], start=1):
        if isinstance(place, list) and parent.isdecimal() and int(parent) < len(place):
            place = place[int(parent)]
        elif isinstance(place, dict):
            if place.get(parent) is None:
                place[parent] = {}
            place = place[parent]
        if not isinstance(place, dict | list):
            raise ConfigError(f"--set {override}: `{'.'.join(keys[:depth])}` holds a value, not settings.")
    if isinstance(place, list):
        if not keys[-1].isdecimal() or int(keys[-1]) >= len(place):
            raise ConfigError(
                f"--set {override}: `{'.'.join(keys[:-1])}` is a list of {len(place)}; its entries are numbered from 0, "
                "or set the whole list."
            )
        place[int(keys[-1])] = value
    else:
        place[keys[-1]] = value
    for known in [known for known in places.lines if known[: len(keys)] == keys]:
        del places.lines[known]
    places.lines[keys] = override


_NAMED: dict[str, type[Settings]] = {"sources": Source, "lists": ListSettings, "signals": ModelSignal}
"""The keys of a mix whose values are settings by a name of the author's."""


def complain_about_keys(values: Mapping[Any, Any], model: type[Settings], at: tuple[str, ...], places: Places) -> None:
    """Misspelt keys first: their sentence is more useful than what follows from them (a missing kind, say).

    And truths where a number belongs, which pydantic would take for 1 and 0.
    """
    for key, value in values.items():
        name = str(key)
        here = (*at, name)
        field = model.model_fields.get(name) or next(
            (one for one in model.model_fields.values() if one.alias == name), None
        )
        if field is None:
            raise ConfigError(f"{places.at(*here)}: {unknown_key(name, at, model)}")
        if isinstance(value, bool) and not _mentions(field.annotation, bool):
            raise ConfigError(
                f"{places.at(*here)}: `{'.'.join(here)}` should not be {str(value).lower()}; docs/mix.md says what it may be."
                if not _mentions(field.annotation, int) and not _mentions(field.annotation, float)
                else f"{places.at(*here)}: `{'.'.join(here)}` should be a number (it is {str(value).lower()})."
            )
        named = _NAMED.get(name) if model is Mix else None
        if named is not None and isinstance(value, dict):
            for own, settings in value.items():
                if isinstance(settings, dict):
                    complain_about_keys(settings, named, (*here, str(own)), places)
            continue
        inner = next((kind for kind in _models(field.annotation)), None)
        if inner is not None and isinstance(value, dict):
            complain_about_keys(value, inner, here, places)
        elif inner is not None and isinstance(value, list):
            for index, entry in enumerate(value):
                if isinstance(entry, dict):
                    complain_about_keys(entry, inner, (*here, str(index)), places)


def _models(annotation: object) -> Iterator[type[Settings]]:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        if isinstance(argument, type) and issubclass(argument, Settings):
            yield argument


def _mentions(annotation: object, kind: type) -> bool:
    return annotation is kind or any(_mentions(argument, kind) for argument in getattr(annotation, "__args__", ()))


def unknown_key(name: str, at: tuple[str, ...], model: type[Settings]) -> str:
    """The sentence for a key that does not exist, with the right one where it can be guessed."""
    short = name if len(name) <= 60 else name[:57] + "..."
    where = f"`{'.'.join(at)}` has" if at else "a mix has"
    if len(at) == 2 and at[0] == "sources":
        where = f"the source `{at[1]}` has"
    where += f" no key `{short}`"
    plain_name = short.strip().lower().replace("-", "_")
    if plain_name in model.model_fields:
        return f"{where}; did you mean `{plain_name}`?"
    elsewhere = NAMES_ELSEWHERE.get(plain_name)
    if elsewhere == _FILES and model is Source:
        return f"{where}; the key says what the files are: write `parquet`, `jsonl`, `text`, `oscar` or `warc`, or `hub` for a dataset of the Hub."
    if elsewhere is not None and elsewhere.split(":")[0].split(" ")[0] in model.model_fields:
        return f"{where}; here it is called `{elsewhere}`."
    if elsewhere is not None and elsewhere.startswith("the option"):
        return f"{where}; use {elsewhere}."
    close = difflib.get_close_matches(plain_name, model.model_fields, n=1, cutoff=0.7)
    if close:
        return f"{where}; did you mean `{close[0]}`?"
    for other, home in (
        (Mix, "at the top of the mix"),
        (Source, "under a source"),
        (DuplicateSettings, "under `duplicates`"),
    ):
        found = plain_name if plain_name in other.model_fields else elsewhere
        if other is not model and found is not None and found.split(":")[0] in other.model_fields:
            return f"{where}; `{found}` stands {home}."
    known = difflib.get_close_matches(plain_name, model.model_fields, n=1, cutoff=0.5)
    hint = f"did you mean `{known[0]}`? " if known else ""
    return f"{where}; {hint}it may have: {', '.join(model.model_fields)}."


_SAID = {
    "missing": "is missing",
    "string_type": "should be text",
    "dict_type": "should hold settings, one `key: value` a line",
    "model_type": "should hold settings, one `key: value` a line",
    "model_attributes_type": "should hold settings, one `key: value` a line",
    "list_type": "should be a list, like [one, two]",
    "tuple_type": "should be a list, like [one, two]",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_parsing_size": "should be a smaller number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "finite_number": "should be a finite number",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "too_short": "is empty; it needs at least one entry",
    "string_pattern_mismatch": "may hold letters, digits, '.', '_' and '-' only, and begins with a letter or a digit",
    "invalid_key": "has a key that is no text; put it in quotes",
}
"""Pydantic's kinds of error as a person says them; the others say it well themselves."""


def sentence(error: ValidationError, values: Mapping[str, Any], places: Places) -> str:
    """One sentence for the first thing that is wrong: the place, the key, what it should be, and what it is."""
    errors = error.errors(include_url=False)
    # Where a name or a mapping may stand and a mapping does, what is wrong inside it says more than that it is no name.
    inside = [one for one in errors if one["type"] != "string_type" or not isinstance(one["input"], dict)]
    errors = inside or errors
    found = [_found(one, values) for one in errors]
    keys, given = found[0]
    same = [one for one, (place, _) in zip(errors, found, strict=True) if place == keys]
    # A union complains once a branch: all of them say what it may be.
    messages = list(dict.fromkeys(said(one) for one in same))
    message = messages[0] + "".join(f", or {other.removeprefix('should be ')}" for other in messages[1:])
    kind = errors[0]["type"]
    leave = keys[-1:] == ("weight",) and kind == "greater_than"
    remedy = "; leave a source that should give nothing out of the mix" if leave else ""
    if errors[0]["loc"][-1:] == ("[key]",):
        return f"{places.at(*keys)}: the key `{'.'.join(keys)}` should be text; put it in quotes."
    shown = f" (it is {_shown(given)})" if kind not in {"missing", "value_error", "too_short", "invalid_key"} else ""
    key = f"`{'.'.join(keys)}` " if keys else ""
    if key and not message.startswith(("should", "is", "may", "has")):
        key = key.strip() + ": "
    return f"{places.at(*keys)}: {key}{message}{shown}{remedy}."


def _found(error: Any, values: Any) -> tuple[tuple[str, ...], Any]:  # noqa: ANN401 - pydantic's ErrorDetails; YAML is anything
    """The keys at which an error lies, without the names pydantic gives to branches and validators, and the value
    there.
    """
    keys: list[str] = []
    for part in error["loc"]:
        inside = isinstance(values, list) and isinstance(part, int) and part < len(values)
        if inside or (isinstance(values, dict) and part in values):
            values = values[part]
        elif error["type"] != "missing" or part != error["loc"][-1]:
            continue
        keys.append(str(part))
    return tuple(keys), values


def said(error: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    """What is wrong, in our words where pydantic's are not a sentence."""
    message = _SAID.get(error["type"]) or error["msg"].removeprefix("Value error, ").removeprefix(
        "Input "
    ).removesuffix(".")
    return str(message)


def _shown(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value if len(value) <= 80 else value[:77] + "...", ensure_ascii=False)
    if value is None or isinstance(value, bool):
        return {None: "empty", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return str(value) if value != value or abs(value) < 10**30 else "a very large number"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return f"a {type(value).__name__}; put it in quotes"
