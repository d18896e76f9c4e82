"""Ids are the reference's for every document, whatever the fast encoder does; one wrong id is found and the build is
still right.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus_ja.stages import tokens
from corpus_ja.stages.bpe import LONGEST, PieceEncoder
from corpus_ja.stages.proof import Joined, Proof, provable
from corpus_ja.storage.tokenizers import find_tokenizer
from tests.world import World, restored

TOKENIZER = Path(__file__).resolve().parents[1] / "recipes" / "quickstart" / "tokenizer"


def described(folder: Path) -> tokens.Tokenizer:
    found = find_tokenizer(str(folder), None, Path("/"))
    return tokens.describe(found.folder, found.name, found.revision, found.sha256, None)


@pytest.fixture(scope="module")
def small() -> Any:  # noqa: ANN401 - tokenizers carries no types
    tokenizer = described(TOKENIZER)
    reference = tokens.hugging_face_tokenizer(TOKENIZER, tokenizer.kind)
    reference.encode_special_tokens = True
    return reference


@pytest.fixture(scope="module")
def proof(small: Any) -> Proof:  # noqa: ANN401
    assert provable(small)
    return Proof(small)


def documents(folder: Path, *patterns: str, every: int = 1) -> list[str]:
    """Texts of the shared data: each n-th document of the files."""
    texts = []
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            with zstandard.open(path, "rb") as lines:
                texts += [orjson.loads(line)["text"] for line in lines.read().split(b"\n") if line]
    return texts[::every]


def flat(encoded: Sequence[Sequence[int]]) -> tuple[Any, Any]:
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(one) for one in encoded], out=offsets[1:])
    return np.array([number for one in encoded for number in one], dtype=np.uint32), offsets


def holds(proof: Proof, texts: Sequence[str], encoded: Sequence[Sequence[int]]) -> list[bool]:
    return [bool(one) for one in proof.holds(proof.join([text.encode() for text in texts]), *flat(encoded))]


# ----------------------------------------------------------------------------------------------------------------- proof

awkward = st.text(
    st.one_of(
        st.sampled_from("ab'sltrevmd 1２三の、。\n\t\u3000\u0085\u200b\u00a0é́👍ー!\"#"), st.characters(codec="utf-8")
    ),
    max_size=60,
)


@settings(deadline=None, max_examples=150)
@given(text=awkward)
@example(text="it's  they'll 'd '' 's\n\n x  \n")
@example(text="\u3000\u3000東京  \u3000は")
def test_words_are_those_of_the_reference(proof: Proof, small: Any, text: str) -> None:  # noqa: ANN401
    words = proof.words(text)
    assert "".join(words) == text
    # The reference gives the words in its byte alphabet, one character a byte.
    assert [len(word.encode()) for word in words] == [
        len(word) for word, _ in small.pre_tokenizer.pre_tokenize_str(text)
    ]


def test_every_short_text_of_every_kind_of_character_has_the_references_words(proof: Proof, small: Any) -> None:  # noqa: ANN401
    """The pattern looks no further than this: contractions, a space before each kind, spaces before and at the end."""
    for length in range(1, 6):
        for characters in product("'slr e1!\t\u3000", repeat=length):
            text = "".join(characters)
            words = [len(word) for word, _ in small.pre_tokenizer.pre_tokenize_str(text)]
            assert [len(word.encode()) for word in proof.words(text)] == words, repr(text)


@settings(deadline=None, max_examples=150)
@given(text=awkward)
def test_the_references_ids_are_proved(proof: Proof, small: Any, text: str) -> None:  # noqa: ANN401
    if "<|endoftext|>" not in text:
        assert holds(proof, [text], [small.encode(text).ids]) == [True]


@settings(deadline=None, max_examples=150)
@given(text=awkward.filter(bool), data=st.data())
def test_any_other_ids_are_refused(proof: Proof, small: Any, text: str, data: st.DataObject) -> None:  # noqa: ANN401
    """Another id, one less, one more, two exchanged, or one split into two others of the same bytes."""
    right = small.encode(text).ids
    wrong = list(right)
    place = data.draw(st.integers(0, len(wrong) - 1))
    way = data.draw(st.sampled_from(["other", "less", "more", "exchanged", "split"]))
    if way == "other":
        wrong[place] = data.draw(st.integers(0, small.get_vocab_size() + 10))
    elif way == "less":
        del wrong[place]
    elif way == "more":
        wrong.insert(place, data.draw(st.sampled_from(wrong)))
    elif way == "exchanged":
        wrong[place], wrong[-1] = wrong[-1], wrong[place]
    else:
        token = small.id_to_token(wrong[place])
        halves = [(token[:cut], token[cut:]) for cut in range(1, len(token))]
        known = [
            (small.token_to_id(a), small.token_to_id(b))
            for a, b in halves
            if small.token_to_id(a) is not None and small.token_to_id(b) is not None
        ]
        if known:
            wrong[place : place + 1] = data.draw(st.sampled_from(known))
    assert holds(proof, [text], [wrong]) == [wrong == right]


def bpe(merges: list[tuple[str, str]]) -> Any:  # noqa: ANN401
    """A byte-level BPE of these merges."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {token: number for number, token in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    for left, right in merges:
        vocabulary.setdefault(left + right, len(vocabulary))
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@st.composite
def merges_of_a_and_b(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Merges over two letters, where every rank, overlap and tie occurs; each token made by one merge."""
    tokens_, merges = ["a", "b"], []
    for _ in range(draw(st.integers(1, 8))):
        pair = (draw(st.sampled_from(tokens_)), draw(st.sampled_from(tokens_)))
        if "".join(pair) not in tokens_:
            merges.append(pair)
            tokens_.append("".join(pair))
    return merges


@settings(deadline=None, max_examples=60)
@given(merges=merges_of_a_and_b(), texts=st.lists(st.text("ab", min_size=1, max_size=12), min_size=1, max_size=12))
def test_of_all_ways_to_cut_a_word_only_the_references_is_proved(
    merges: list[tuple[str, str]], texts: list[str]
) -> None:
    """Brute force: every segmentation of short words under random merges."""
    tokenizer = bpe(merges)
    proof = Proof(tokenizer)
    vocabulary = {token: number for token, number in tokenizer.get_vocab().items() if set(token) <= {"a", "b"}}

    def cuts(word: str) -> list[list[int]]:
        if not word:
            return [[]]
        return [
            [vocabulary[word[:n]], *rest]
            for n in range(1, len(word) + 1)
            if word[:n] in vocabulary
            for rest in cuts(word[n:])
        ]

    for text in texts:
        right = tokenizer.encode(text).ids
        ways = cuts(text)[:500]
        assert holds(proof, [text] * len(ways), ways) == [way == right for way in ways]


def test_a_tokenizer_that_cannot_be_proved_is_told_apart() -> None:
    from tokenizers import Regex, normalizers, pre_tokenizers

    assert provable(bpe([("a", "b")]))
    assert not provable(bpe([("a", "b"), ("ab", "a"), ("b", "a"), ("a", "ba")]))  # two merges make "aba"
    for change in (
        {"pre_tokenizer": pre_tokenizers.ByteLevel(add_prefix_space=True)},
        {"pre_tokenizer": pre_tokenizers.Split(Regex(r"\d"), "isolated")},
        {"normalizer": normalizers.NFKC()},
    ):
        tokenizer = bpe([("a", "b")])
        for name, value in change.items():
            setattr(tokenizer, name, value)
        assert not provable(tokenizer)


# --------------------------------------------------------------------------------------------------------------- encoder


class Tampered(PieceEncoder):
    """The fast encoder, but for one wrong id in every so many documents."""

    every = 1000
    change = "id"
    seen = 0

    def encode(self, joined: Joined) -> tuple[Any, Any, Any]:
        values, offsets, left_out = super().encode(joined)
        ids = [values[a:b].tolist() for a, b in pairwise(offsets)]
        for own in ids:
            self.seen += len(own) > 0
            if self.seen % self.every == self.every - 1 and own:
                if self.change == "id":
                    own[len(own) // 2] ^= 1
                else:
                    del own[-1]
        return *flat(ids), left_out


def tamper(monkeypatch: pytest.MonkeyPatch, every: int, change: str = "id") -> None:
    monkeypatch.setattr(Tampered, "every", every)
    monkeypatch.setattr(Tampered, "change", change)
    monkeypatch.setattr(tokens, "PieceEncoder", Tampered)
    tokens.encoder_for.cache_clear()


@pytest.mark.parametrize("change", ["id", "fewer"])
def test_an_encoder_with_one_wrong_id_in_a_thousand_documents_is_dropped_and_no_wrong_id_remains(
    monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    tamper(monkeypatch, 1000, change)
    encoder = tokens.Encoder(described(TOKENIZER))
    assert encoder.fast
    texts = [f"第{n}話 霧の朝に港で地図を探した。The keeper mended {n} clocks." for n in range(1200)]
    expected = flat(encoder.reference.encode(texts))
    found = encoder.encode(texts, [f"d/{n}" for n in range(1200)])
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])
    assert not encoder.fast
    assert encoder.note
    assert "other ids than the reference" in encoder.note


def test_a_build_with_a_tampered_encoder_is_the_build_without_it_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world = World.make(tmp_path)
    tokens.encoder_for.cache_clear()
    honest = world.build("honest")
    tamper(monkeypatch, 60)
    tampered = world.build("tampered", {"name": "tampered"}, work=tmp_path / "other")
    tokens.encoder_for.cache_clear()
    assert restored(tampered.folder) == restored(honest.folder)
    assert restored(tampered.folder, "validation") == restored(honest.folder, "validation")
    assert any("the fast encoder gave other ids" in note for note in tampered.watcher.notes)
    assert not any("encoder" in note for note in honest.watcher.notes)


def test_where_the_reference_refutes_a_proof_every_file_is_encoded_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world = World.make(tmp_path)
    tokens.encoder_for.cache_clear()
    honest = world.build("honest")
    tamper(monkeypatch, 7)

    def believe_all(self: Proof, joined: Joined, flat: object, offsets: object) -> Any:  # noqa: ANN401
        del self, flat, offsets
        return np.ones(len(joined.ends) - 1, dtype=np.bool_)

    monkeypatch.setattr(Proof, "holds", believe_all)
    # Only the English source, the last, is looked at: what was written before it must be written again.
    monkeypatch.setattr(tokens, "_watched", lambda name: name.startswith("harbour"))
    monkeypatch.setattr(tokens, "PROBE", ("",))
    tampered = world.build("tampered", {"name": "tampered"}, work=tmp_path / "other")
    tokens.encoder_for.cache_clear()
    assert any("everything that it encoded is encoded again" in note for note in tampered.watcher.notes)
    assert {name: count.tokens for name, count in ((n, s.kept) for n, s in tampered.manifest.sources.items())} == {
        name: source.kept.tokens for name, source in honest.manifest.sources.items()
    }
    assert [record.source for record in tampered.manifest.stages if record.stage == "tokens"] == [
        "river",
        "hill",
        "harbour",
    ]


def test_the_string_of_a_special_token_in_a_text_does_not_end_it() -> None:
    tokenizer = described(TOKENIZER)
    encoder = tokens.Encoder(tokenizer)
    values, offsets = encoder.encode(["前<|endoftext|>後", "前後"], ["d/0", "d/1"])
    assert encoder.fast
    assert tokenizer.eos_id not in values
    assert encoder.reference.tokenizer.decode(list(values[: offsets[1]])) == "前<|endoftext|>後"  # type: ignore[attr-defined]


def test_the_probe_and_documents_of_every_kind_get_the_references_ids() -> None:
    encoder = tokens.Encoder(described(TOKENIZER))
    found = encoder.encode(tokens.PROBE, [f"d/{n}" for n in range(len(tokens.PROBE))])
    expected = flat(encoder.reference.encode(tokens.PROBE))
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])
    assert encoder.fast


def test_a_document_with_one_endless_word_is_left_to_the_reference_and_the_encoder_stays(tmp_path: Path) -> None:
    tokenizer = bpe([("a", "a"), ("=", "="), ("aa", "aa")])
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    encoder = tokens.Encoder(described(tmp_path))
    texts = ["港の朝。", f"前{'a' * (LONGEST + 1)}後 " * 2, "=" * LONGEST, "The keeper mended clocks."]
    expected = flat(encoder.reference.encode(texts))
    _, _, left_out = PieceEncoder(encoder.proof).encode(encoder.proof.join([text.encode() for text in texts]))
    assert left_out.tolist() == [False, True, False, False]
    found = encoder.encode(texts, ["a", "b", "c", "d"])
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])
    assert encoder.fast


@settings(deadline=None, max_examples=60)
@given(merges=merges_of_a_and_b(), texts=st.lists(st.text("ab ", max_size=40), min_size=1, max_size=8))
def test_pieces_are_merged_as_the_reference_merges(merges: list[tuple[str, str]], texts: list[str]) -> None:
    """Random merges: what is cut, remembered and merged by rank are the reference's ids, known pieces or not."""
    tokenizer = bpe(merges)
    proof = Proof(tokenizer)
    encoder = PieceEncoder(proof)
    expected = flat([tokenizer.encode(text).ids for text in texts])
    for _ in range(2):
        values, offsets, _ = encoder.encode(proof.join([text.encode() for text in texts]))
        assert np.array_equal(values, expected[0])
        assert np.array_equal(offsets, expected[1])


@st.composite
def merges_of_bytes(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Merges over the bytes of あ, い, é and a: tokens that end and begin inside characters."""
    from tokenizers import pre_tokenizers

    alphabet = sorted(
        {c for word, _ in pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str("あいéa") for c in word}
    )
    found, merges = list(alphabet), []
    for _ in range(draw(st.integers(1, 12))):
        pair = (draw(st.sampled_from(found)), draw(st.sampled_from(found)))
        if "".join(pair) not in found:
            merges.append(pair)
            found.append("".join(pair))
    return merges


@settings(deadline=None, max_examples=100)
@given(merges=merges_of_bytes(), texts=st.lists(st.text("あいéa", max_size=12), min_size=1, max_size=8))
def test_no_piece_ends_where_a_token_reaches_across(merges: list[tuple[str, str]], texts: list[str]) -> None:
    """Tokens that hold a part of one character and a part of the next, all of one, or more than two."""
    tokenizer = bpe(merges)
    proof = Proof(tokenizer)
    values, _, _ = PieceEncoder(proof).encode(proof.join([text.encode() for text in texts]))
    assert np.array_equal(values, flat([tokenizer.encode(text).ids for text in texts])[0])


def test_a_sentencepiece_model_needs_no_faster_encoder_and_other_tokenizers_say_why(tmp_path: Path) -> None:
    from tokenizers import pre_tokenizers

    tokenizer = bpe([("a", "b")])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    encoder = tokens.Encoder(described(tmp_path))
    assert not encoder.fast
    assert "no faster encoder could be proved" in (encoder.note or "")
    assert encoder.encode(["ab"], ["d"])[0].tolist() == tokenizer.encode("ab").ids


# ----------------------------------------------------------------------------------------------------------- shared data


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["gpt2", "llm-jp-v2.2-code10K_en20K_ja30K", "rinna-gpt2-ja"])
def test_ids_of_real_documents_are_the_references(shared_data: Path, name: str) -> None:
    """A 60th of shared/data here; benchmarks/tokens.py --all compares every document."""
    tokenizer = described(shared_data / "tokenizers" / name)
    encoder = tokens.Encoder(tokenizer)
    texts = documents(shared_data, "prose_*/*.jsonl.zst", "noisy/*.jsonl.zst", "other/*.jsonl.zst", every=60)
    expected = flat(encoder.reference.encode(texts))
    found = encoder.encode(texts, [str(n) for n in range(len(texts))])
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])
    assert encoder.fast == (name == "gpt2")


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["gpt2", "rinna-gpt2-ja"])
def test_ids_of_documents_longer_than_a_piece_are_the_references(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Cut or not: SentencePiece adds scores up over a whole text, and a cut changed one document."""
    tokenizer = described(shared_data / "tokenizers" / name)
    texts = [text for text in documents(shared_data, "prose_ja/aozora.jsonl.zst") if len(text) > 60_000][:4]
    assert texts
    monkeypatch.setattr(tokens, "PIECE_CHARACTERS", 20_000)
    encoder = tokens.Encoder(tokenizer)
    encoder.distrust()
    found = encoder.encode(texts, [str(n) for n in range(len(texts))])
    expected = flat(encoder.reference.encode(texts))
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])


@pytest.mark.shared_data
def test_an_unknown_character_is_no_end_of_text_with_rinnas_model(shared_data: Path) -> None:
    """Transformers' conversion makes </s> (2) of it; the `sentencepiece` library, our reference, <unk> (0)."""
    tokenizer = described(shared_data / "tokenizers" / "rinna-gpt2-ja")
    encoder = tokens.Encoder(tokenizer)
    values, _ = encoder.encode(["宇宙 👍 Ωffice"], ["d"])
    assert tokenizer.eos_id == 2
    assert 2 not in values
    assert 0 in values


def test_ids_do_not_depend_on_the_batch_they_are_encoded_in() -> None:
    encoder = tokens.Encoder(described(TOKENIZER))
    texts = [f"{n}番目の手紙。" * (n % 5) for n in range(40)]
    whole, offsets = encoder.encode(texts, [str(n) for n in range(40)])
    for number, text in enumerate(texts):
        own, _ = encoder.encode([text], [str(number)])
        assert np.array_equal(own, whole[offsets[number] : offsets[number + 1]])


def test_the_dtype_follows_the_vocabulary() -> None:
    tokenizer = described(TOKENIZER)
    assert replace(tokenizer, vocab_size=65_536).dtype is np.uint16
    assert replace(tokenizer, vocab_size=65_537).dtype is np.uint32
