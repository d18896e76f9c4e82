"""A vocabulary learns from kept text alone, keeps every id it had, and is the same however it is made."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from corpus_ja.config import load_mix
from corpus_ja.errors import ConfigError
from corpus_ja.stages import tokens, vocabulary
from corpus_ja.storage.tokenizers import find_tokenizer
from tests.test_tokens import TOKENIZER, bpe, described, documents
from tests.world import Built, World, english, japanese, local, restored

pytest.importorskip("bpe_continue")

EXTENDED: dict[str, Any] = {"tokenizer": {"base": "bytes", "add": 300, "from": ["river", "hill"]}}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world with a vocabulary of bytes and a few merges of English, so that Japanese has something to gain."""
    world = World.make(tmp_path_factory.mktemp("vocab"))
    tokenizer = bpe([("t", "h"), ("th", "e"), ("o", "n"), ("Ġ", "the")])
    tokenizer.add_special_tokens(["<|endoftext|>"])
    (world.folder / "bytes").mkdir()
    tokenizer.save(str(world.folder / "bytes" / "tokenizer.json"))
    return world


@pytest.fixture(scope="module")
def built(world: World) -> Built:
    return world.build("extended", EXTENDED)


def base_of(world: World) -> tokens.Tokenizer:
    return described(world.folder / "bytes")


def learned(built: Built) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(next(built.work.glob("vocabulary/*/learned.json")).read_text())
    return found


def test_a_build_extends_its_tokenizer_and_carries_it(built: Built, world: World) -> None:
    extended = described(built.folder / "tokenizer")
    base = base_of(world)
    assert built.manifest.tokenizer.vocab_size == extended.vocab_size == base.vocab_size + 300
    assert built.manifest.tokenizer.eos_id == base.eos_id
    assert built.manifest.tokenizer.name == "bytes+300"
    old = tokens.hugging_face_tokenizer(world.folder / "bytes", "tokenizer.json").get_vocab(with_added_tokens=True)
    new = tokens.hugging_face_tokenizer(built.folder / "tokenizer", "tokenizer.json").get_vocab(with_added_tokens=True)
    assert {token: new[token] for token in old} == old


def test_the_shards_hold_the_ids_of_the_extended_tokenizer(built: Built) -> None:
    tokenizer = tokens.hugging_face_tokenizer(built.folder / "tokenizer", "tokenizer.json")
    for (name, _), ids in restored(built.folder).items():
        text = tokenizer.decode(ids[:-1], skip_special_tokens=False)
        assert tokenizer.encode(text).ids == ids[:-1], name


def test_japanese_shrinks_english_keeps_its_ids_and_the_report_says_so(built: Built, world: World) -> None:
    report = learned(built)
    for name in ("river", "hill"):
        assert report["sources"][name]["tokens_after"] < 0.5 * report["sources"][name]["tokens_before"]
    assert report["sources"]["harbour"]["tokens_after"] == report["sources"]["harbour"]["tokens_before"]
    assert any("river: 3" in note or "river: 2" in note for note in built.watcher.notes)
    old = tokens.hugging_face_tokenizer(world.folder / "bytes", "tokenizer.json")
    new = tokens.hugging_face_tokenizer(built.folder / "tokenizer", "tokenizer.json")
    text = english("any other") + " def f(x):\n\treturn x ** 2"
    assert new.encode(text).ids == old.encode(text).ids


def test_new_entries_are_of_characters_beyond_ascii(built: Built, world: World) -> None:
    old = tokens.hugging_face_tokenizer(world.folder / "bytes", "tokenizer.json").get_vocab()
    new = tokens.hugging_face_tokenizer(built.folder / "tokenizer", "tokenizer.json")
    for token, number in new.get_vocab().items():
        if token not in old:
            assert not any(character.isascii() for character in new.decode([number]) if character != "�")


def test_ids_of_the_extended_vocabulary_can_be_proved(built: Built) -> None:
    assert tokens.Encoder(described(built.folder / "tokenizer")).fast


def test_held_out_and_dropped_documents_teach_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    taught: list[str] = []
    honest = vocabulary.extend

    def spy(tokenizer: tokens.Tokenizer, texts: Any, add: int) -> Any:  # noqa: ANN401
        taught.extend(texts)
        return honest(tokenizer, texts, add)

    monkeypatch.setattr(vocabulary, "extend", spy)
    built = world.build("spied", EXTENDED, work=tmp_path / "work")
    table = built.table()
    living = {name for name, verdict in built.verdicts().items() if verdict is None} - built.held_out()
    assert len(taught) == len([name for name in living if not name.startswith("harbour/")])
    assert not table.is_empty()
    for name in built.held_out():
        number = name.rsplit("/r", 1)
        if len(number) == 2 and number[1].isdigit():
            assert japanese(f"river {number[1]}") not in taught


def test_another_worker_count_and_another_folder_give_the_same_tokenizer(
    built: Built, world: World, tmp_path: Path
) -> None:
    with local(2) as executor:
        again = world.build(
            "extended", EXTENDED, executor=executor, work=tmp_path / "work", output=tmp_path / "extended"
        )
    assert again.shards == built.shards
    assert again.manifest.tokenizer.sha256 == built.manifest.tokenizer.sha256


def test_a_second_build_learns_nothing_and_another_size_reads_only_what_it_must(built: Built, world: World) -> None:
    again = world.build("extended_2", {**EXTENDED, "budget": 500})
    assert sum(again.tasks_now("vocabulary").values()) == 0
    more = world.build("extended_3", {"tokenizer": {**EXTENDED["tokenizer"], "add": 200}})
    assert sum(more.tasks_now("vocabulary").values()) == 1
    assert sum(more.tasks_now("documents", "measures", "rules", "language").values()) == 0
    assert more.manifest.tokenizer.vocab_size == built.manifest.tokenizer.vocab_size - 100


def test_the_folder_loads_with_auto_tokenizer(built: Built) -> None:
    program = (
        "import sys; from transformers import AutoTokenizer; t = AutoTokenizer.from_pretrained(sys.argv[1]);"
        "print(t.encode('霧の朝に港で'), t.eos_token_id, len(t), t.decode(t.encode('霧の朝に港で')))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(built.folder / "tokenizer")], capture_output=True, text=True, timeout=120, check=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    ids = tokens.hugging_face_tokenizer(built.folder / "tokenizer", "tokenizer.json").encode("霧の朝に港で").ids
    described_ = built.manifest.tokenizer
    assert done.stdout.strip() == f"{ids} {described_.eos_id} {described_.vocab_size} 霧の朝に港で"


def test_the_command_writes_the_tokenizer_alone(built: Built, world: World, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "corpus_ja.cli", "vocab", "--mix", str(world.mix("extended", EXTENDED)), "--output", str(tmp_path / "alone"),
        "--work", str(built.work), "--workers", "1",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert find_tokenizer(str(tmp_path / "alone"), None, Path("/")).sha256 == built.manifest.tokenizer.sha256
    assert json.loads((tmp_path / "alone" / "report.json").read_text())["learned"] == 300


@pytest.mark.parametrize(
    ("tokenizer", "sentence"),
    [
        ({"base": "bytes", "add": 300, "from": ["lake"]}, "names the source `lake`, which the mix does not have"),
        ({"base": "bytes", "add": 66_000, "from": ["river"]}, "more than `max_entries` allows"),
        ({"base": "bytes", "add": 300, "from": []}, "from"),
        ({"base": "bytes", "add": 300}, "from"),
        ({"base": "bytes", "ad": 300, "from": ["river"]}, "did you mean `add`"),
    ],
)
def test_what_cannot_be_extended_is_said_while_loading(world: World, tokenizer: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_mix(world.mix("wrong", {"tokenizer": tokenizer}))
    assert sentence in str(caught.value)
    assert "wrong.yaml" in str(caught.value)


def test_a_vocabulary_that_is_no_byte_level_bpe_is_refused() -> None:
    tokenizer = replace(described(TOKENIZER), kind="sentencepiece")
    with pytest.raises(ConfigError, match="no byte-level BPE"):
        vocabulary.check(vocabulary.Extension(base="x", add=10, sources=("river",)), tokenizer, ["river"])


@pytest.mark.shared_data
def test_gpt2_learns_japanese_from_a_little_real_text(shared_data: Path) -> None:
    """500 entries from 1 MB; benchmarks/tokens.py --vocabulary measures the promise of 8,000."""
    gpt2 = described(shared_data / "tokenizers" / "gpt2")
    texts = documents(shared_data, "prose_ja/wikipedia_jaquad.jsonl.zst", every=10)
    extended = vocabulary.extend(gpt2, [text[:3000] for text in texts], 500)
    other = vocabulary.measure(gpt2, extended, documents(shared_data, "prose_ja/wikipedia_leads.jsonl.zst", every=9))
    assert other.after < 0.85 * other.before
    prose = vocabulary.measure(
        gpt2,
        extended,
        [text[:20_000] for text in documents(shared_data, "prose_en/standardebooks.jsonl.zst", every=40)],
    )
    assert abs(prose.after - prose.before) <= 0.001 * prose.before
