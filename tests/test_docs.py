"""The documentation cannot lie: the README's file tree, the commands it names, and the recipes."""

import re

import pytest
import typer
import yaml

from corpus_ja.cli import app
from corpus_ja.config import DuplicateSettings, Mix, Source, filters_folder
from corpus_ja.executors import ExecutorSettings, SlurmSettings
from corpus_ja.stages.clean import Clean
from corpus_ja.stages.decontaminate import Decontamination, EvaluationSet
from corpus_ja.storage.sources import Amount
from tests.conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
TREE = re.search(r"## Files\n.*?```text\n(.*?)```", README, re.DOTALL)
COMMANDS = sorted(typer.main.get_group(app).commands)


def listed() -> set[str]:
    assert TREE is not None, "the README has a section Files with the tree in a text block"
    folders: list[str] = []
    found: set[str] = set()
    for line in TREE[1].splitlines():
        if not line.strip():
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        folders[depth:] = [name]
        found.add("".join(folders))
    return found


def test_every_file_in_the_readmes_tree_exists() -> None:
    missing = [name for name in sorted(listed()) if not (REPOSITORY / name).exists()]
    assert missing == []


def test_every_module_stands_in_the_readmes_tree() -> None:
    modules = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "src").rglob("*.py")}
    unlisted = {name for name in modules if not name.endswith("__init__.py")} - listed()
    assert unlisted == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_and_stands_in_the_readme(command: str) -> None:
    text = typer.main.get_group(app).commands[command].help or ""
    assert f"Example: corpus-ja {command}" in text
    assert f"corpus-ja {command}" in README


@pytest.mark.parametrize("path", sorted((REPOSITORY / "recipes").glob("*/mix.yaml")), ids=lambda path: path.parent.name)
def test_every_recipe_is_a_mix_whose_rule_sets_exist(path: object) -> None:
    mix = Mix.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))  # type: ignore[attr-defined]
    for source in mix.sources.values():
        for name in source.filters or ():
            assert (filters_folder() / f"{name}.yaml").is_file()


def test_the_original_experiments_arithmetic_holds() -> None:
    mix = Mix.model_validate(yaml.safe_load((REPOSITORY / "recipes/yonaguni/mix.yaml").read_text(encoding="utf-8")))
    assert mix.budget is not None
    assert mix.budget // (8 * 64 * mix.sequence_length) == 7438
    assert (mix.packing, mix.duplicates, mix.decontaminate) == ("concat", None, None)


def test_every_key_of_a_mix_stands_in_its_documentation() -> None:
    text = (REPOSITORY / "docs" / "mix.md").read_text(encoding="utf-8")
    keys = {
        name
        for model in (
            Mix,
            Source,
            DuplicateSettings,
            Decontamination,
            EvaluationSet,
            Clean,
            ExecutorSettings,
            SlurmSettings,
            Amount,
        )
        for name in model.model_fields
    }
    assert {key for key in keys if f"`{key}" not in text and f"{key}:" not in text and f"`{key}`" not in text} == set()
