"""The quickstart, built as a person builds it: which of its documents stay, which fall, and by what name."""

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
import zstandard
from tokenizers import Tokenizer

from corpus_ja import verification
from corpus_ja.storage.manifest import Manifest, read_manifest
from tests.world import QUICKSTART, REPOSITORY, restored

MIX = QUICKSTART / "mix.yaml"
GOOD = ("good", "good_in_menus")

NOT_PROSE = {
    "too_few_sentence_ends",
    "too_few_text_lines",
    "only_short_lines",
    "noisy",
    "too_few_particles",
    "too_little_hiragana",
}
MENU_RULES = NOT_PROSE | {
    "menu_words",
    "one_menu_word",
    "words_without_letters",
    "stop_words",
    "stop_word_share",
    "words_apart",
}
SHOP_RULES = NOT_PROSE | {"worded_like_spam", "shop_words", "prices", "menu_words"}
KEYWORD_RULES = NOT_PROSE | {"words_apart", "stop_words", "stop_word_share", "repeated_phrases"}
REPETITION_RULES = {
    "repeated_lines",
    "repeated_sentences",
    "repeated_phrases",
    "repeated_wording",
    "only_short_lines",
    "stop_words",
}
# A table of names and numbers has next to no kana, so the language model may take it for Chinese.
TABLE_RULES = NOT_PROSE | {
    "language",
    "table_lines",
    "number_lines",
    "too_little_hiragana_in_all",
    "words_without_letters",
}

FALLS: dict[str, set[str]] = {
    "copy_exact": {"duplicate.exact"},
    "copy_near": {"duplicate.near"},
    "cross_source": {"duplicate.exact", "duplicate.near"},
    "menu": MENU_RULES,
    "advertising": SHOP_RULES,
    "keywords": KEYWORD_RULES,
    "repeated": REPETITION_RULES,
    "fragment": {"too_short", "only_short_lines"},
    "table": TABLE_RULES,
    "stub": {"stub"},
    # fastText takes text in the wrong encoding for another language, before any rule looks at it.
    "mojibake": {"language", "mojibake", "broken_bytes", "garbled_lines", "odd_kanji", "half_width_soup"},
    # filler in good Japanese, made to be found
    "spam": {"worded_like_spam", "same_frames", "same_clauses", "one_term_everywhere", "made_from_a_template"},
    "chinese": {"language"},
    "korean": {"language"},
    "english": {"language"},
}
"""By label, the verdicts it may fall with; a rule goes by its name without its file's."""
CONTAMINATED = {"web-090": "jcommonsenseqa", "web-091": "jnli", "web-092": "jsquad"}


@dataclass(frozen=True)
class Quickstart:
    """The build, its manifest, and every document with its label and verdict."""

    folder: Path
    manifest: Manifest
    documents: dict[str, dict[str, Any]]
    said: str

    def labelled(self, *labels: str) -> Iterator[dict[str, Any]]:
        return (row for row in self.documents.values() if row["label"] in labels)


def corpus_ja(*arguments: str | Path, folder: Path) -> str:
    """Run the command line and return what it printed; a failure shows what it said."""
    command = [sys.executable, "-m", "corpus_ja.cli", *map(str, arguments)]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stderr == ""
    return run.stdout


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Quickstart:
    folder = tmp_path_factory.mktemp("quickstart")
    said = corpus_ja("build", "--mix", MIX, folder=folder)
    build = folder / "builds" / "quickstart"
    corpus_ja("export", build, "--verdicts", "verdicts.parquet", folder=folder)
    corpus_ja("export", build, "--kept", "kept", folder=folder)
    labels = [json.loads(line) for line in (QUICKSTART / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    verdicts = {row["id"]: row for row in pl.read_parquet(folder / "verdicts.parquet").iter_rows(named=True)}
    assert len(labels) == len(verdicts)
    documents = {label["id"]: {**verdicts[label["id"]], **label} for label in labels}
    return Quickstart(build, read_manifest(build), documents, said)


@pytest.fixture(scope="session")
def kept_texts(quickstart: Quickstart) -> dict[str, str]:
    files = sorted((quickstart.folder.parents[1] / "kept").iterdir())
    assert [path.name for path in files] == [
        f"{name}-00000.parquet" for name in sorted(quickstart.manifest.source_names)
    ]
    return dict(pl.concat([pl.read_parquet(path).select("id", "text") for path in files]).rows())


@pytest.fixture(scope="session")
def write() -> ModuleType:
    spec = importlib.util.spec_from_file_location("quickstart_write", QUICKSTART / "write.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["quickstart_write"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


# -------------------------------------------------------------------------------------------------- what it consists of


def test_there_are_at_least_150_documents_in_two_languages_and_every_planted_kind(quickstart: Quickstart) -> None:
    labels = {row["label"] for row in quickstart.documents.values()}
    assert len(quickstart.documents) >= 150
    assert labels == {*GOOD, *FALLS, "contaminated"}
    genres = {row["genre"] for row in quickstart.labelled(*GOOD)}
    assert {"literature", "encyclopedia", "news", "technical", "forum", "recipe"} <= genres
    assert list(quickstart.manifest.sources) == ["wikipedia_ja", "oscar_ja", "cosmopedia", "slimpajama"]


def test_the_data_files_hold_what_the_readable_texts_say(
    write: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    documents = write.read_texts()
    monkeypatch.setattr(write, "read_texts", lambda: documents)
    monkeypatch.setattr(write, "HERE", tmp_path)
    write.write()
    for made in sorted(path for path in tmp_path.rglob("*") if path.is_file()):
        stored = QUICKSTART / made.relative_to(tmp_path)
        assert content(made) == content(stored), (
            f"{stored.name} is not what recipes/quickstart/write.py writes: run it again"
        )
    assert {path.name for path in (tmp_path / "data").iterdir()} == {
        path.name for path in (QUICKSTART / "data").iterdir()
    }


def content(path: Path) -> object:
    """What a file says, whatever version of a library wrote it."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pydict()
    if path.suffix == ".zst":
        return zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    return path.read_bytes()


# -------------------------------------------------------------------------------------------------- who stays and falls


def test_every_good_document_is_kept_or_survives_as_one_of_its_cluster(quickstart: Quickstart) -> None:
    kept = {row["id"] for row in quickstart.documents.values() if row["dropped_by"] is None}
    for row in quickstart.labelled(*GOOD):
        if row["id"] not in kept:
            assert row["dropped_by"].startswith("duplicate."), f"{row['id']} fell as {row['dropped_by']}"
            assert row["cluster"] in kept
            assert quickstart.documents[row["cluster"]]["copy_of"] == row["id"]
    families: dict[str, set[str]] = {}
    for row in quickstart.documents.values():
        if row["copy_of"] is not None:
            families.setdefault(row["copy_of"], {row["copy_of"]}).add(row["id"])
    for family in families.values():
        assert len(family & kept) == 1, f"of {sorted(family)} exactly one should stay"


def test_no_rule_is_even_broken_by_a_good_document(quickstart: Quickstart) -> None:
    assert {row["id"]: row["broken"] for row in quickstart.labelled(*GOOD) if row["broken"]} == {}


@pytest.mark.parametrize("label", FALLS)
def test_what_was_planted_falls_by_a_name_that_fits(quickstart: Quickstart, label: str) -> None:
    rows = list(quickstart.labelled(label))
    assert len(rows) >= 2
    for row in rows:
        verdict = row["dropped_by"]
        if label == "copy_near" and verdict is None:  # it is the longer of the two: its original left for it
            verdict = quickstart.documents[row["copy_of"]]["dropped_by"]
            assert quickstart.documents[row["copy_of"]]["cluster"] == row["id"]
        assert verdict is not None, f"{row['id']} ({label}) was kept"
        assert re.sub(r"^(corpus|wikipedia|oscar)_(ja|en)\.", "", verdict) in FALLS[label], (
            f"{row['id']} ({label}) fell as {verdict}"
        )


def test_copies_meet_across_sources(quickstart: Quickstart) -> None:
    for row in quickstart.labelled("cross_source"):
        assert row["source"] == "slimpajama"
        assert row["cluster"] == row["copy_of"]
        assert row["copy_of"].startswith("cosmopedia/")


def test_a_page_with_an_evaluation_question_falls_by_the_name_of_its_set(quickstart: Quickstart) -> None:
    found = {row["id"].removeprefix("oscar_ja/"): row["dropped_by"] for row in quickstart.labelled("contaminated")}
    assert found == {page: f"decontaminate.{name}" for page, name in CONTAMINATED.items()}
    others = [
        row["id"] for row in quickstart.documents.values() if (row["dropped_by"] or "").startswith("decontaminate.")
    ]
    assert len(others) == len(found)


def test_broken_lines_are_set_aside_by_name_and_nothing_else_is(quickstart: Quickstart) -> None:
    unreadable = {name: source.unreadable for name, source in quickstart.manifest.sources.items() if source.unreadable}
    assert unreadable == {
        "oscar_ja": {"not_json": 1, "not_an_object": 1, "no_text": 1, "text_null": 1, "invalid_utf8": 1},
        "slimpajama": {"text_not_string": 1},
    }


# ------------------------------------------------------------------------------------------------ what is in the shards


def test_every_document_restored_from_the_shards_decodes_to_its_cleaned_text(
    quickstart: Quickstart, kept_texts: dict[str, str]
) -> None:
    tokenizer = Tokenizer.from_file(str(QUICKSTART / "tokenizer" / "tokenizer.json"))
    train, held = restored(quickstart.folder), restored(quickstart.folder, "validation")
    assert not set(train) & set(held)
    assert {name for name, _ in train} | {name for name, _ in held} == set(kept_texts)
    for (name, epoch), tokens in {**train, **held}.items():
        assert epoch == 0
        assert tokens[-1] == quickstart.manifest.tokenizer.eos_id
        assert tokenizer.decode(tokens[:-1], skip_special_tokens=False) == kept_texts[name], name


def test_the_laws_hold(quickstart: Quickstart) -> None:
    assert verification.check(quickstart.folder) == []
    for source in quickstart.manifest.sources.values():
        assert source.read.documents == source.kept.documents + sum(source.dropped.values())
        assert source.mix.heldout_documents >= 1


def test_menus_are_trimmed_from_good_pages_and_their_prose_is_not(
    write: ModuleType, quickstart: Quickstart, kept_texts: dict[str, str]
) -> None:
    original = {document.name: document.text for document in write.read_texts().values()}
    for row in quickstart.labelled("good_in_menus"):
        before = original[row["id"].removeprefix("oscar_ja/")]
        after = kept_texts[row["id"]]
        lines, left = before.split("\n"), after.split("\n")
        assert len(left) < len(lines), f"{row['id']}: no menu line went"
        following = iter(lines)
        assert all(line in following for line in left), "trimming takes lines away and does nothing else"
        prose = [line for line in lines if line.rstrip().endswith("。") and len(line) > 20]
        assert prose
        assert [line for line in prose if line not in left] == []
        gone = [line for line in lines if line not in left]
        assert not [line for line in gone if line.count("。") > 1]


def test_the_indentation_of_code_is_kept(write: ModuleType, kept_texts: dict[str, str]) -> None:
    original = {document.name: document.text for document in write.read_texts().values()}
    texts = "\n".join(kept_texts.values())
    indented = [
        line.rstrip()
        for document in write.read_texts().values()
        if document.header["label"] in GOOD
        for line in original[document.name].split("\n")
        if re.match(r" {2,}[a-z#}]", line)
    ]
    assert len(indented) > 20
    assert [line for line in indented if f"\n{line}\n" not in f"\n{texts}\n"] == []


# -------------------------------------------------------------------------------------------------- as a person sees it


def test_the_build_ends_with_the_funnel_and_the_path_of_the_shards(quickstart: Quickstart) -> None:
    lines = quickstart.said.rstrip().splitlines()
    assert lines[-1] == "Shards: builds/quickstart/shards"
    for name in quickstart.manifest.source_names:
        assert any(line.strip().startswith(name) for line in lines)


def test_a_second_build_redoes_nothing_and_says_so(quickstart: Quickstart) -> None:
    before = {path: path.stat().st_mtime_ns for path in quickstart.folder.rglob("*.*") if path.name != ".lock"}
    said = corpus_ja("build", "--mix", MIX, folder=quickstart.folder.parents[1])
    assert "Nothing to do: this build is complete, and neither its mix nor its inputs have changed." in " ".join(
        said.split()
    )
    assert before == {path: path.stat().st_mtime_ns for path in quickstart.folder.rglob("*.*") if path.name != ".lock"}


def test_nothing_of_this_machine_stands_in_the_build(quickstart: Quickstart) -> None:
    manifest = (quickstart.folder / "manifest.json").read_text(encoding="utf-8")
    for word in (str(REPOSITORY), str(quickstart.folder.parents[2])):
        assert word not in manifest
    for path in (quickstart.folder / "shards").iterdir():
        assert str(REPOSITORY) not in (pq.read_schema(path).metadata or {})[b"corpus_ja"].decode()
