"""The model fits its corpus or is refused; what it lacks is mended and said."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.hub_server import Dataset, HubServer
from tests.world import Built, World
from train.config import ModelChoice
from train.data import Corpus, open_corpus
from train.errors import TrainError
from train.model import extend, load, mend_special_ids


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return World.make(tmp_path_factory.mktemp("model")).build()


@pytest.fixture(scope="module")
def corpus(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return open_corpus(built.folder, tmp_path_factory.mktemp("cache"))


def tiny(entries: int, positions: int = 64, tied: bool = False) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=entries, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=positions, tie_word_embeddings=tied,
        )
    )  # fmt: skip


@pytest.fixture
def folder(corpus: Corpus, tmp_path: Path) -> Path:
    """A model that speaks the corpus's tokenizer."""
    place = tmp_path / "model"
    tiny(corpus.manifest.tokenizer.vocab_size).save_pretrained(place)
    for file in corpus.tokenizer.iterdir():
        shutil.copy(file, place)
    return place


def choice(source: Path | str, **more: Any) -> ModelChoice:
    return ModelChoice.model_validate({"from": str(source), **more})


def test_a_model_with_the_corpus_s_tokenizer_is_taken(folder: Path, corpus: Corpus) -> None:
    loaded = load(choice(folder), corpus, "sdpa", 0)
    eos = corpus.manifest.tokenizer.eos_id
    assert loaded.model.config.eos_token_id == loaded.model.generation_config.eos_token_id == eos
    assert loaded.model.config.pad_token_id == eos
    assert not loaded.model.config.use_cache
    assert any("special ids mended" in note and f"eos_token_id 2 ▸ {eos}" in note for note in loaded.notes)


def test_litellamas_special_ids_are_mended_and_said() -> None:
    model = tiny(60)
    model.config.bos_token_id, model.config.eos_token_id, model.config.pad_token_id = 1, 2, 0
    (said,) = mend_special_ids(model, 56, None)
    assert (
        said == "special ids mended to the tokenizer's: bos_token_id 1 ▸ 56, eos_token_id 2 ▸ 56, pad_token_id 0 ▸ 56"
    )
    for place in (model.config, model.generation_config):
        assert (place.bos_token_id, place.eos_token_id, place.pad_token_id) == (56, 56, 56)
    assert mend_special_ids(model, 56, None) == []


def test_another_tokenizer_is_refused_by_an_entry_that_differs(folder: Path, corpus: Corpus) -> None:
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = data["model"]["vocab"]
    one, other = list(vocabulary)[300:302]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(TrainError, match=r"written with another tokenizer .* 2 of [\d,]+ entries differ"):
        load(choice(folder), corpus, "sdpa", 0)


def test_rows_longer_than_the_model_reaches_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    tiny(corpus.manifest.tokenizer.vocab_size, positions=32).save_pretrained(tmp_path / "short")
    with pytest.raises(
        TrainError, match="rows of 64 tokens, the model 32 positions; build the corpus with sequence_length: 32"
    ):
        load(choice(tmp_path / "short"), corpus, "sdpa", 0)


def test_a_vocabulary_larger_than_the_embeddings_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    tiny(100).save_pretrained(tmp_path / "small")
    with pytest.raises(TrainError, match="entries, the model 100 rows and no tokenizer of its own"):
        load(choice(tmp_path / "small"), corpus, "sdpa", 0)


def test_weights_that_can_carry_code_are_not_read(corpus: Corpus, tmp_path: Path) -> None:
    model = tiny(corpus.manifest.tokenizer.vocab_size)
    model.config.save_pretrained(tmp_path / "pickled")
    torch.save(model.state_dict(), tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(TrainError, match=r"pytorch_model\.bin, a pickle, which can run code"):
        load(choice(tmp_path / "pickled"), corpus, "sdpa", 0)


def test_code_that_comes_with_a_model_is_not_run(folder: Path, corpus: Corpus, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {
        "model_type": "unheard_of",
        "auto_map": {"AutoConfig": "code.Own", "AutoModelForCausalLM": "code.OwnModel"},
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", encoding="utf-8")
    with pytest.raises(TrainError, match="cannot be loaded"):
        load(choice(folder), corpus, "sdpa", 0)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("damage", ["truncated", "no config", "empty config"])
def test_a_damaged_model_is_one_sentence(folder: Path, corpus: Corpus, damage: str) -> None:
    if damage == "truncated":
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "no config":
        (folder / "config.json").unlink()
    else:
        (folder / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(TrainError) as error:
        load(choice(folder), corpus, "sdpa", 0)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_that_is_not_there_is_named(corpus: Corpus) -> None:
    with pytest.raises(TrainError, match=r"\./nowhere is neither a folder nor a model of the Hub"):
        load(choice("./nowhere"), corpus, "sdpa", 0)


@pytest.fixture(scope="module")
def grown(built: Built, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, list[int]]:
    """The corpus's tokenizer, the same with 40 more entries, and their ids."""
    from transformers import AutoTokenizer

    base = AutoTokenizer.from_pretrained(str(built.folder / "tokenizer"))
    data = json.loads((built.folder / "tokenizer" / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary, merges = data["model"]["vocab"], data["model"]["merges"]
    known, number = list(vocabulary), len(base)
    new: list[int] = []
    for left in known[260:400]:
        for right in known[400:420]:
            if left + right not in vocabulary and len(new) < 40:
                vocabulary[left + right] = number
                merges.append([left, right] if isinstance(merges[0], list) else f"{left} {right}")
                new.append(number)
                number += 1
    place = tmp_path_factory.mktemp("grown")
    for file in (built.folder / "tokenizer").iterdir():
        shutil.copy(file, place)
    (place / "tokenizer.json").write_text(json.dumps(data), encoding="utf-8")
    return base, AutoTokenizer.from_pretrained(str(place)), new


@pytest.mark.parametrize("tied", [False, True])
def test_new_entries_begin_as_the_mean_of_their_pieces_and_old_rows_stay(
    grown: tuple[Any, Any, list[int]], tied: bool
) -> None:
    base, extended, new = grown
    model = tiny(len(base) + 7, tied=tied)  # LiteLlama has rows that stand for no entry, too
    before = [table.weight.detach().clone() for table in (model.get_input_embeddings(), model.get_output_embeddings())]
    said = extend(model, base, extended, new)
    assert f"{len(new)} new entries" in said
    tables = [model.get_input_embeddings().weight, model.get_output_embeddings().weight]
    assert tables[0].shape[0] % 64 == 0
    assert (tables[0] is tables[1]) == tied
    for table, old in zip(tables, before, strict=True):
        assert torch.equal(table[: len(base)], old[: len(base)])
        for number in new:
            text = extended.convert_ids_to_tokens(number)
            pieces = [token.id for token in base.backend_tokenizer.model.tokenize(text)]
            assert len(pieces) > 1
            torch.testing.assert_close(table[number], torch.stack([old[piece] for piece in pieces]).mean(0))


def test_an_extended_corpus_needs_the_models_consent(
    folder: Path, corpus: Corpus, grown: tuple[Any, Any, list[int]], tmp_path: Path
) -> None:
    _, extended, new = grown
    build = tmp_path / "extended"
    build.mkdir()
    extended.save_pretrained(build / "tokenizer")
    settings = corpus.manifest.tokenizer.model_copy(update={"vocab_size": len(extended)})
    larger = Corpus(build, corpus.manifest.model_copy(update={"tokenizer": settings}), corpus.train, None)
    with pytest.raises(TrainError, match=f"{len(new)} entries that .* never learned .* set model.extend=true"):
        load(choice(folder), larger, "sdpa", 0)
    loaded = load(choice(folder, extend=True), larger, "sdpa", 0)
    assert loaded.model.get_input_embeddings().weight.shape[0] >= len(extended)
    assert loaded.model.config.vocab_size == loaded.model.get_input_embeddings().weight.shape[0]
    assert any("vocabulary grown" in note for note in loaded.notes)


def test_work_is_counted_as_stated() -> None:
    """LiteLlama-460M's shape: 461,685,760 parameters and 2.763 GFLOP a token at 1,024."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from train.throughput import flops_per_token

    with torch.device("meta"):
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=50304, hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, num_key_value_heads=2, max_position_embeddings=1024,
            )
        )  # fmt: skip
    assert model.num_parameters() == 461_685_760
    assert flops_per_token(model, 1024) == pytest.approx(2.763e9, rel=1e-3)


FROM_THE_HUB = """
import sys
from pathlib import Path
from train.config import ModelChoice
from train.data import open_corpus
from train.errors import TrainError
from train.model import load
corpus = open_corpus(Path(sys.argv[1]))
for name in sys.argv[2:]:
    try:
        loaded = load(ModelChoice.model_validate({"from": name}), corpus, "sdpa", 0)
        print(loaded.model.num_parameters(), len(loaded.tokenizer))
    except TrainError as error:
        print("TrainError:", error)
"""


def test_a_model_comes_from_the_hub_as_safetensors_alone(built: Built, folder: Path, tmp_path: Path) -> None:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    pickled = {name: content for name, content in files.items() if not name.endswith(".safetensors")} | {
        "pytorch_model.bin": b"x"
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    with HubServer({"maker/tiny": Dataset(files), "maker/pickled": Dataset(pickled)}) as hub:
        own = {
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(tmp_path / "home"),
            "NO_PROXY": "127.0.0.1",
            "HF_HUB_DISABLE_XET": "1",
        }
        done = subprocess.run(
            [sys.executable, "-c", FROM_THE_HUB, str(built.folder), "maker/tiny", "maker/pickled", "no/where"], env={**kept, **own},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        tiny_one, pickled_one, nowhere = done.stdout.splitlines()
        assert tiny_one == f"{tiny(len(built_tokenizer(built))).num_parameters()} {len(built_tokenizer(built))}"
        assert "maker/pickled holds no weights" in pickled_one
        assert "no/where is neither a folder nor a model of the Hub" in nowhere
        assert not [request for request in hub.downloads() if request.path.endswith(".bin")]


def built_tokenizer(built: Built) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(built.folder / "tokenizer"))
