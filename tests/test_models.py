"""A classifier's score: a model trained here by gradient descent, written in fastText's own format, read by fastText.

The installed fastText predicts and cannot train. Its supervised model without subwords is a softmax over the mean of
word vectors; with as many dimensions as labels and the identity as output matrix, the word vectors are the weights of
a logistic regression over a bag of words, which NumPy trains in a moment. What fastText then says must be what NumPy
says.
"""

import json
import math
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from corpus_ja.config import load_mix
from corpus_ja.errors import ConfigError
from corpus_ja.stages import models
from corpus_ja.stages.models import Model, ModelSignal
from tests.world import World, japanese

LABELS = ("__label__hq", "__label__lq")
END = "</s>"
Weights = npt.NDArray[np.float32]


def train(texts: Sequence[str], classes: Sequence[int], steps: int = 300) -> tuple[list[str], Weights]:
    """A softmax regression over the mean of one-hot words: the vocabulary and its weights, words × labels."""
    vocabulary = [END, *sorted({word for text in texts for word in text.split()})]
    places = {word: place for place, word in enumerate(vocabulary)}
    bags = np.zeros((len(texts), len(vocabulary)), dtype=np.float64)
    for row, text in enumerate(texts):
        for word in (*text.split(), END):
            bags[row, places[word]] += 1 / (len(text.split()) + 1)
    wanted = np.eye(len(LABELS))[list(classes)]
    weights = np.zeros((len(vocabulary), len(LABELS)))
    for _ in range(steps):
        chances = np.exp(bags @ weights)
        chances /= chances.sum(axis=1, keepdims=True)
        weights += 20 / len(texts) * bags.T @ (wanted - chances)
    return vocabulary, weights.astype(np.float32)


def write_fasttext(path: Path, vocabulary: Sequence[str], weights: Weights) -> None:
    """The model in the format of fastText 0.9 (version 12): arguments, dictionary, input matrix, output matrix."""
    rows, labels = weights.shape
    with path.open("wb") as file:
        file.write(struct.pack("<ii", 793712314, 12))
        # dim, ws, epoch, minCount, neg, wordNgrams, loss: softmax, model: supervised, bucket, minn, maxn, rate, t
        file.write(struct.pack("<12id", labels, 5, 1, 1, 5, 1, 3, 3, 0, 0, 0, 100, 0.0))
        file.write(struct.pack("<iiiqq", rows + labels, rows, labels, rows, -1))
        # labels are ordered by how often they were seen, words before them
        for entry, kind in [*((word, 0) for word in vocabulary), *((label, 1) for label in LABELS[:labels])]:
            file.write(entry.encode() + b"\0" + struct.pack("<qb", 1, kind))
        file.write(struct.pack("<?qq", False, rows, labels) + weights.tobytes())
        file.write(struct.pack("<?qq", False, labels, labels) + np.eye(labels, dtype=np.float32).tobytes())


def expected(text: str, vocabulary: Sequence[str], weights: Weights) -> float:
    """The probability of the first label, from the weights alone."""
    rows = [weights[vocabulary.index(word)] for word in (*text.split(), END) if word in vocabulary]
    hidden = np.mean(rows, axis=0).astype(np.float64)
    return float(np.exp(hidden[0]) / np.exp(hidden).sum())


GOOD = ["光 は 直進 する", "酸素 と 水素 は 水 に なる", "力 は 質量 と 加速度 の 積 で ある", "光 は 波 で ある"]
BAD = ["激安 通販 今すぐ", "今すぐ 無料 登録", "激安 無料 の クーポン", "通販 で クーポン"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], Weights]:
    vocabulary, weights = train([*GOOD, *BAD], [0] * len(GOOD) + [1] * len(BAD))
    path = tmp_path_factory.mktemp("model") / "edu.bin"
    write_fasttext(path, vocabulary, weights)
    return path, vocabulary, weights


def scores(texts: Sequence[str | None], path: Path, **settings: object) -> list[float | None]:
    chosen = ModelSignal.model_validate({"fasttext": str(path), **settings})
    return models.score(pl.Series("text", texts, dtype=pl.String), Model("edu", str(path), chosen)).to_list()


def test_the_score_is_the_probability_of_the_label_that_the_trained_weights_give(
    trained: tuple[Path, list[str], Weights],
) -> None:
    path, vocabulary, weights = trained
    texts = [*GOOD, *BAD, "光 は 無料 で ある", "知らない 言葉 だけ"]
    found = [value for value in scores(texts, path, label="__label__hq") if value is not None]
    assert found == pytest.approx([expected(text, vocabulary, weights) for text in texts], abs=1e-4)
    assert min(found[: len(GOOD)]) > 0.9
    assert max(found[len(GOOD) : len(GOOD) + len(BAD)]) < 0.1


def test_newlines_are_spaces_and_blank_texts_have_no_score(trained: tuple[Path, list[str], Weights]) -> None:
    path, _, _ = trained
    broken, whole = scores(["光 は\n\n直進\r\nする\n", "光 は 直進 する"], path, label="__label__hq")
    assert broken == whole
    assert scores(["", None, " \n\t"], path, label="__label__hq") == [None, None, None]


def test_several_labels_give_the_expected_grade(trained: tuple[Path, list[str], Weights]) -> None:
    path, _, _ = trained
    (alone,) = scores([BAD[0]], path, label="__label__hq")
    (grade,) = scores([BAD[0]], path, labels={"__label__hq": 3, "__label__lq": 1})
    assert grade == pytest.approx(3 * alone + (1 - alone), abs=1e-3)  # type: ignore[operator]


def test_only_the_beginning_is_read_where_the_mix_says_so(trained: tuple[Path, list[str], Weights]) -> None:
    path, _, _ = trained
    text = GOOD[0] + " " * 100 + " ".join(BAD * 20)
    assert scores([text], path, label="__label__hq", characters=100) == scores([GOOD[0]], path, label="__label__hq")


RULE = """
description: One rule on a score.
rules:
  - name: unlearned
    why: A test drops what a model thinks little of. (Ours)
    signal: edu
    min: 0.5
    requires: edu
    examples: {keep: [{value: 0.9}], drop: [{value: 0.1}]}
"""


def test_rules_and_where_use_the_score_and_another_model_measures_only_itself(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    (world.folder / "edu.yaml").write_text(RULE, encoding="utf-8")
    texts = [" ".join(japanese(f"river {n}")) for n in range(8)]
    lines = [text.replace(" \n ", "\n") for text in texts]  # spaces between characters make words
    records = [{"id": f"r{n}", "text": line} for n, line in enumerate(lines)]
    (world.folder / "river" / "a.jsonl").write_text(
        "".join(json.dumps(one) + "\n" for one in records), encoding="utf-8"
    )
    (world.folder / "river" / "b.jsonl").unlink()
    half = [n % 2 for n in range(8)]
    vocabulary, weights = train(texts, half, steps=2000)
    write_fasttext(world.folder / "edu.bin", vocabulary, weights)
    changes = {
        "signals": {"edu": {"fasttext": "edu.bin", "label": "__label__hq"}},
        "sources.river.filters": ["edu.yaml"],
    }
    built = world.build(changes=changes)
    low = {f"river/r{n}" for n, text in enumerate(texts) if expected(text, vocabulary, weights) < 0.5}
    assert low
    assert len(low) < 8
    assert {name for name, verdict in built.verdicts().items() if verdict == "edu.unlearned"} == low
    chosen = world.build(changes={**changes, "sources.river.filters": "none", "sources.river.where": "edu >= 0.5"})
    assert {name for name, verdict in chosen.verdicts().items() if verdict == "where"} == low
    assert chosen.text_read == 0
    assert set(chosen.tasks_now("documents", "scores").values()) == {0}
    write_fasttext(world.folder / "edu.bin", vocabulary, -weights)
    opposite = world.build(changes=changes)
    fell = {name for name, verdict in opposite.verdicts().items() if verdict == "edu.unlearned"}
    assert fell == {f"river/r{n}" for n in range(8)} - low
    assert set(opposite.tasks_now("documents", "tokens").values()) == {0}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"fasttext": "edu.bin", "label": "__label__high"},
            "has no label '__label__high'; it has: __label__hq, __label__lq",
        ),
        ({"fasttext": "nowhere.bin", "label": "x"}, "there is no file .*nowhere.bin"),
        ({"fasttext": "broken.bin", "label": "x"}, "broken.bin is no fastText classifier"),
        ({"fasttext": "edu.bin"}, "says either `label"),
        ({"fasttext": "edu.bin", "label": "x", "labels": {"x": 1}}, "says either `label"),
        ({"fasttext": "edu.bin", "lable": "x"}, "did you mean `label`"),
        ({"fasttext": "edu.bin", "labels": {}}, "empty `labels`"),
    ],
)
def test_a_model_that_cannot_score_is_one_sentence(
    trained: tuple[Path, list[str], Weights], tmp_path: Path, given: dict[str, object], sentence: str
) -> None:
    world = World.make(tmp_path)
    (world.folder / "edu.bin").write_bytes(trained[0].read_bytes())
    (world.folder / "broken.bin").write_bytes(b"\0" * 100)
    with pytest.raises(ConfigError, match=sentence):
        load_mix(world.mix(changes={"signals": {"edu": given}}))


def test_a_score_may_not_be_called_like_a_signal(trained: tuple[Path, list[str], Weights], tmp_path: Path) -> None:
    world = World.make(tmp_path)
    signal = {"fasttext": str(trained[0]), "label": "__label__hq"}
    with pytest.raises(ConfigError, match="`characters` is a signal that every document has already"):
        load_mix(world.mix(changes={"signals": {"characters": signal}}))
    with pytest.raises(ConfigError, match="has a column `score` of its own, and the mix measures one of that name"):
        load_mix(world.mix(changes={"signals": {"score": signal}}))


def test_the_training_itself_converges() -> None:
    vocabulary, weights = train(["a", "b"], [0, 1])
    assert expected("a", vocabulary, weights) > 0.99
    assert math.isclose(expected("", vocabulary, weights), 0.5, abs_tol=0.01)
