"""Bits per byte: against one forward pass a token, against bytes counted from text, and over a build's shards."""

# ruff: noqa: ANN401 - models and tokenizers of transformers are untyped here

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tiny_models import FORMS, tiny, tokenizer
from tests.world import Built, World, restored
from train import bits
from train.errors import TrainError


def by_hand(model: Any, ids: list[int]) -> list[float]:
    """-log2 p of each token but the first, one prefix at a time."""
    import torch

    found = []
    with torch.no_grad():
        for end in range(1, len(ids)):
            logits = model(input_ids=torch.tensor([ids[:end]]), use_cache=False).logits[0, -1].double()
            found.append(-float(torch.log_softmax(logits, -1)[ids[end]]) / math.log(2))
    return found


@pytest.mark.parametrize("form", FORMS)
def test_bits_are_those_of_one_forward_pass_a_token_whatever_stands_beside_a_piece_in_the_batch(form: str) -> None:
    model = tiny(form)
    generator = np.random.default_rng(1)
    pieces = [generator.integers(4096, size=size) for size in (7, 1, 12, 2, 0, 30, 12)]
    for batch_tokens in (1, 24, 4096):
        found = list(bits.piece_bits(model, pieces, context=64, batch_tokens=batch_tokens))
        for piece, bits_of_piece in zip(pieces, found, strict=True):
            np.testing.assert_allclose(bits_of_piece, by_hand(model, piece.tolist()), rtol=1e-4, atol=1e-4)


def test_a_piece_longer_than_the_context_is_read_in_windows_that_share_one_token() -> None:
    model = tiny("llama", context=16)
    ids = np.random.default_rng(2).integers(4096, size=53)
    [found] = bits.piece_bits(model, [ids], context=16)
    expected = [one for start in range(0, 52, 15) for one in by_hand(model, ids[start : start + 16].tolist())]
    assert len(expected) == 52
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_model_that_knows_nothing_needs_the_logarithm_of_its_vocabulary_for_every_token() -> None:
    model, tokens = tiny("llama"), tokenizer()
    model.lm_head.weight.data.zero_()
    text = "霧の朝、岬の漁師は古い本を棚に並べた。🐟 Fish."
    found = bits.bits_per_byte(model, tokens, [("sea", text), ("hill", "山"), ("sea", text)])
    ids = tokens(text)["input_ids"]
    assert found["sea"].tokens == 2 * (len(ids) - 1)
    assert found["sea"].bits == pytest.approx(2 * 12 * (len(ids) - 1))
    assert found["sea"].bytes == 2 * (len(text.encode()) - len(tokens.decode(ids[:1]).encode()))
    assert found["sea"].value == pytest.approx(found["sea"].bits / found["sea"].bytes)
    assert found["hill"].documents == 1
    assert found["sea"].documents == 2
    assert math.isnan(bits.NOTHING.value)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(codec="utf-8"), max_size=60))
def test_the_bytes_of_a_byte_level_tokenizers_ids_are_those_of_the_text(text: str) -> None:
    assert bits.token_bytes(TOKENIZER)[bits.encode(TOKENIZER, text)].sum() == len(text.encode())


TOKENIZER = tokenizer()


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["mistral-v1", "llm-jp-v2.2-code10K_en20K_ja30K"])
def test_the_bytes_of_sentencepiece_ids_are_those_of_the_text_but_for_a_space_before_it(
    shared_data: Path, name: str
) -> None:
    from transformers import AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(str(shared_data / "tokenizers" / name))
    lengths = bits.token_bytes(tokens)
    for text in ("日本語の文章です。", "東京 is a city 🐟", "鑑真和上坐像\n二行目", "<s>ではない"):
        extra = lengths[bits.encode(tokens, text)].sum() - len(text.encode())
        assert extra in {0, 1}
    assert lengths[tokens.eos_token_id] == 0


def test_end_of_text_and_special_tokens_stand_for_no_bytes_and_are_not_counted() -> None:
    model = tiny("llama")
    lengths = bits.token_bytes(TOKENIZER)
    ids = bits.encode(TOKENIZER, "祖母は手紙を友人に渡した。")
    assert lengths[0] == 0
    plain = bits.score_pieces(model, [("hill", ids)], lengths)["hill"]
    ended = bits.score_pieces(model, [("hill", [*ids, 0])], lengths)["hill"]
    assert (ended.bytes, ended.tokens) == (plain.bytes, plain.tokens)
    assert ended.bits == pytest.approx(plain.bits, rel=1e-5)
    two = bits.score_pieces(model, [("hill", [*ids, 0]), ("hill", ids), ("sea", ids[:1])], lengths)
    assert two["hill"].bits == pytest.approx(2 * plain.bits, rel=1e-5)  # they do not see each other
    assert two["sea"].tokens == 0


def test_the_literal_text_of_a_special_token_is_ordinary_text() -> None:
    text = "終わりは<|endoftext|>と書く"
    assert 0 not in bits.encode(TOKENIZER, text)
    assert TOKENIZER.decode(bits.encode(TOKENIZER, text)) == text


def test_a_begin_token_that_the_tokenizer_puts_before_every_text_is_context_alone() -> None:
    from tokenizers import processors

    model, beginning = tiny("llama"), tokenizer()
    beginning.add_special_tokens({"bos_token": "<s>"})
    beginning.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", beginning.bos_token_id)]
    )
    model.resize_token_embeddings(4160, mean_resizing=False)
    text = "猟師は笛を静かに閉じた。"
    ids = bits.encode(TOKENIZER, text)
    [found] = bits.document_bits(model, beginning, [text])
    assert found.bits == pytest.approx(sum(by_hand(model, [beginning.bos_token_id, *ids])[1:]), rel=1e-4)
    [plain] = bits.document_bits(model, TOKENIZER, [text])
    assert (found.bytes, found.tokens) == (plain.bytes, plain.tokens)


def test_scoring_leaves_a_model_in_the_mode_it_was_in() -> None:
    model = tiny("llama").train()
    list(bits.piece_bits(model, [np.arange(5)], context=8))
    assert model.training
    with pytest.raises(TrainError, match="at least 2"):
        list(bits.piece_bits(model, [np.arange(5)], context=1))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    world = World.make(tmp_path_factory.mktemp("bits"))
    return world.build("held", {"validation": "30%"})


def test_held_out_documents_are_put_together_from_their_pieces(built: Built) -> None:
    expected = {name: ids for (name, _), ids in restored(built.folder, "validation").items()}
    found = {name: ids.tolist() for _, name, ids in bits.validation_documents(built.folder)}
    assert found == expected
    assert any(len(ids) > 64 for ids in found.values()), "no document was cut by a row, so nothing was put together"
    order = [(source, name) for source, name, _ in bits.validation_documents(built.folder)]
    assert order == sorted(order)
    assert all(name.startswith(f"{source}/") for source, name in order)


def test_held_out_text_is_the_documents_text_and_a_smaller_amount_is_part_of_a_larger(built: Built) -> None:
    texts, amounts = bits.validation_texts(built.folder)
    for text in texts:
        assert "<|endoftext|>" not in text.text
        ids = next(ids for _, name, ids in bits.validation_documents(built.folder) if name == text.id)
        assert [*bits.encode(TOKENIZER, text.text), 0] == ids.tolist()
    assert {source: held for source, (_, held) in amounts.items()} == {
        source: sum(len(text.text.encode()) for text in texts if text.source == source) for source in amounts
    }
    few, small = bits.validation_texts(built.folder, 1)
    more, larger = bits.validation_texts(built.folder, 1500)
    assert {text.id for text in few} < {text.id for text in more} < {text.id for text in texts}
    assert len(few) == len(amounts)
    assert all(small[source][0] <= larger[source][0] <= held for source, (_, held) in amounts.items())


def test_windows_are_those_of_the_text_not_of_the_rows(built: Built) -> None:
    model = tiny("llama", context=32)
    texts, _ = bits.validation_texts(built.folder)
    one = texts[0].text
    [found] = bits.document_bits(model, TOKENIZER, [one])
    ids = bits.encode(TOKENIZER, one)
    expected = sum(sum(by_hand(model, ids[start : start + 32])) for start in range(0, len(ids) - 1, 31))
    assert found.bits == pytest.approx(expected, rel=1e-4)
    assert [len(ids[a:b]) for a, b in pairwise([0, len(ids)])] == [found.tokens + 1]


def test_a_build_that_cannot_be_read_is_a_sentence(built: Built, tmp_path: Path) -> None:
    import shutil

    with pytest.raises(TrainError, match="There is no folder"):
        list(bits.validation_documents(tmp_path / "nowhere"))
    broken = shutil.copytree(built.folder, tmp_path / "broken")
    shard = next((broken / "shards").glob("validation-*"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(TrainError, match=rf"{shard.name} is not the file the manifest names"):
        list(bits.validation_documents(broken))
    shard.unlink()
    with pytest.raises(TrainError, match=rf"{shard.name} is missing"):
        list(bits.validation_documents(broken))
    shutil.rmtree(broken / "tokenizer")
    with pytest.raises(TrainError, match="holds no tokenizer"):
        bits.validation_texts(broken)


def test_a_tokenizer_whose_entries_hide_their_bytes_is_refused() -> None:
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))  # noqa: S106
    words.decoder = decoders.WordPiece()
    with pytest.raises(TrainError, match="neither byte-level BPE nor SentencePiece"):
        bits.token_bytes(PreTrainedTokenizerFast(tokenizer_object=words))
