"""The recipe of a run: which corpus, which model, how documents are kept apart; everything else is the Trainer's.

`trainer:` holds arguments of transformers' `TrainingArguments` under their own names; they pass through as they are, and
an unknown one is refused with the nearest known. A recipe has few keys of its own, because the Trainer has names for the
rest that people know. On the command line `key=value` sets either kind: `learning_rate=1e-4` is the Trainer's,
`model.extend=true` is ours. Reading a recipe imports pydantic and YAML alone; transformers is imported to check names.
"""

import dataclasses
import difflib
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from train.errors import TrainError

PROMPTS = (
    "日本の首都は",
    "昨日の夜、家に帰ると、",
    "水は温度が下がると",
    "江戸時代の人々の暮らしは、",
    "おいしい味噌汁を作るには、まず",
    "「すみません、駅はどちらですか」と聞かれたので、",
    "The capital of Japan is",
    "Once upon a time,",
)

DECIDED: dict[str, Any] = {
    "remove_unused_columns": False,  # the collator needs every column
    "logging_nan_inf_filter": False,  # it reads the loss back from the device at every micro-batch
    "include_num_input_tokens_seen": "no",  # a read-back at every micro-batch too; tokens follow from steps
    "label_names": ["labels"],
    "use_cache": False,  # with a cache, transformers stops telling packed documents apart, without a word
}
"""Trainer arguments that keep documents apart or the device busy; a recipe cannot change them."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ModelChoice(_Settings):
    """A pretrained causal language model (`from`: a Hub id or a folder), or a new one (`new`: a transformers config)."""

    source: str | None = Field(default=None, alias="from")
    revision: str | None = None
    new: dict[str, Any] | None = None
    extend: bool = False
    """Give the model rows for a corpus tokenizer that extends its own."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the weights that the optimizer keeps; `bf16: true` of the Trainer computes in bfloat16 beside float32 weights."""

    @model_validator(mode="after")
    def _one_of_two(self) -> "ModelChoice":
        if (self.source is None) == (self.new is None):
            raise ValueError("say either `from` (a Hub id or folder) or `new` (a transformers config), and not both")
        if self.new is not None and "model_type" not in self.new:
            raise ValueError("`new` needs model_type, for example llama")
        return self


class Completions(_Settings):
    """Texts that the model continues at every evaluation, beside what the base model wrote."""

    prompts: tuple[str, ...] = PROMPTS
    tokens: int = Field(default=48, ge=0, le=1024)
    """New tokens each, chosen greedily; 0 writes none."""


class Evaluation(_Settings):
    """What `train.evaluate` is asked when the run is done: the base model, the checkpoints that were kept, and the last."""

    tasks: str = "jsquad,jcommonsenseqa,jnli"
    jglue: str = "Rakuten/JGLUE"
    """A folder with JGLUE's files, or a data set of the Hub."""
    limit: int = Field(default=0, ge=0)
    """Items of each task; 0 takes all."""


class Recipe(_Settings):
    """One training run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    corpus: Path
    """A build folder of `corpus-ja build`."""
    output: Path
    model: ModelChoice
    documents: Literal["separate", "joined"] = "separate"
    """`separate`: no document of a row sees another. `joined`: the original experiment's plain concatenation."""
    attention: Literal["auto", "flash_attention_2", "varlen", "flex_attention", "sdpa"] = "auto"
    loss: Literal["auto", "model"] = "auto"
    """`auto`: the head and the loss in slices, so that logits of a whole batch never exist; `model`: the model's own."""
    completions: Completions = Completions()
    evaluation: Evaluation | None = None
    """None: held-out bits per byte and completions alone."""
    peak_tflops: float | None = Field(default=None, gt=0)
    """Dense peak of the device in the training dtype, for MFU, where `train.throughput` does not know it."""
    trainer: dict[str, Any] = Field(default_factory=dict)


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads 5e-5 as text and `eval_strategy: no` as false; here they are a number and a word, as in YAML 1.2."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - a class's own table, as PyYAML keeps it
        first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:bool"]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that stands twice: the first would be lost without a word."""
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def recipes(root: Path = Path("recipes")) -> list[Path]:
    """The recipes that lie where the command is run."""
    return sorted(root.glob("*/train.yaml"))


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe with `key=value` overrides; paths in the file are relative to the file, those of overrides to where the
    command runs. Raises TrainError with the file and the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainError(f"{path} cannot be read: {error}; recipes here: {_listed(recipes())}.") from error
    data = _parse(text, str(path))
    if not isinstance(data, dict):
        raise TrainError(f"{path} is no mapping of settings; look at recipes/quickstart/train.yaml.")
    if isinstance(data.get("corpus"), str):
        data["corpus"] = str(path.parent / data["corpus"])
    source = data.get("model", {}).get("from") if isinstance(data.get("model"), dict) else None
    if isinstance(source, str) and source.startswith((".", "/")):
        data["model"]["from"] = str(path.parent / source)
    place = data.get("evaluation", {}).get("jglue") if isinstance(data.get("evaluation"), dict) else None
    if isinstance(place, str) and place.startswith((".", "/")):
        data["evaluation"]["jglue"] = str(path.parent / place)
    data.setdefault("name", path.parent.name)
    data.setdefault("output", str(Path("runs") / str(data["name"])))
    for override in overrides:
        _override(data, override)
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise TrainError(f"{path}: {key or 'the recipe'}: {_said(first, key)}") from error
    _check_trainer(recipe.trainer, path)
    return recipe


def resolved(recipe: Recipe, *, paths: bool = True) -> str:
    """The recipe as YAML, every setting written out; without `paths` what says where things lie on this machine is left
    out.
    """
    data = recipe.model_dump(mode="json", by_alias=True, exclude=set() if paths else {"corpus", "output"})
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise TrainError(f"{where} is not YAML: {' '.join(str(error).split())}") from error


def _override(data: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    if not equals or not name:
        raise TrainError(f"{override!r} is no setting; write key=value, for example learning_rate=1e-4.")
    keys = name.split(".")
    if keys[0] not in Recipe.model_fields:
        keys = ["trainer", *keys]
    place = data
    for key in keys[:-1]:
        place = place.setdefault(key, {})
        if not isinstance(place, dict):
            raise TrainError(f"{name}: {key} is a single value and holds no settings.")
    place[keys[-1]] = _parse(text, name)


def _check_trainer(arguments: Mapping[str, Any], path: Path) -> None:
    from transformers import TrainingArguments

    known = {field.name for field in dataclasses.fields(TrainingArguments) if field.init}
    kinds = typing.get_type_hints(TrainingArguments)
    for key, value in arguments.items():
        if key == "output_dir":
            raise TrainError(f"{path}: trainer.output_dir: say `output` beside `corpus` instead.")
        if key not in known:
            raise TrainError(
                f"{path}: {key} is a setting neither of a recipe nor of transformers' Trainer.{_nearest(key, {*known, *Recipe.model_fields})}"
            )
        try:
            TypeAdapter(kinds[key]).validate_python(value)
        except ValidationError as error:
            raise TrainError(f"{path}: trainer.{key}: {error.errors()[0]['msg']} (it is {value!r}).") from error
        if key in DECIDED and value != DECIDED[key]:
            raise TrainError(
                f"{path}: trainer.{key} must stay {DECIDED[key]!r}: it keeps documents apart or the device busy (train.config.DECIDED)."
            )


def _said(error: Mapping[str, Any], key: str) -> str:
    if error["type"] == "extra_forbidden":
        inside: dict[str, type[BaseModel]] = {
            "model": ModelChoice,
            "completions": Completions,
            "evaluation": Evaluation,
        }
        names = inside.get(key.split(".", maxsplit=1)[0], Recipe).model_fields
        return f"no such setting.{_nearest(key.rsplit('.', maxsplit=1)[-1], {'from' if name == 'source' else name for name in names})}"
    if error["type"] == "missing":
        return "is missing."
    message = str(error["msg"]).removeprefix("Value error, ")
    return message if key in {"", "model"} else f"{message} (it is {error['input']!r})."


def _nearest(word: str, known: Iterator[str] | set[str]) -> str:
    near = difflib.get_close_matches(word, sorted(known), n=1)
    return f" Did you mean {near[0]}?" if near else ""


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(str(path) for path in paths) or "none in this folder"
