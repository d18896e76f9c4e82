"""The spam model: the kernel against a plain count, its table, and what the shipped weights make of texts never taught."""

import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_ja.stages import signals, spam
from corpus_ja.stages.characters import code_points

WEIGHTS = {"無料": 448, "円。": 440, "今だ": -20, "今だけ": 300, "ああ": 7, "あああ": -900, "すぐ！": 60, "った": -150}


def scored(texts: list[str], model: spam.Model | None = None) -> list[float]:
    parts = [spam.score(points, offsets, model) for points, offsets in code_points(pl.Series(texts, dtype=pl.String))]
    return [float(value) for part in parts for value in part]


def plainly(text: str, weights: dict[str, int], bias: int) -> float:
    """The same by counting substrings."""
    length = len(re.sub(r"\s", "", text))
    most = -(-length // 1000)
    folded = text.replace("!", "！").replace("?", "？")
    counts = {gram: len(re.findall(f"(?={re.escape(gram)})", folded)) for gram in weights}
    total = sum(weight * min(counts[gram], most) for gram, weight in weights.items())
    return (bias + 1000 * total / (length + 300)) / 1000


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(["無料", "円。", "今だけ", "あ", "すぐ!", "すぐ！", "行った", "x", "\n", "　", "𠮟", "\U0010ffff", "だ"]), max_size=60).map("".join),
        min_size=1, max_size=4,
    )
)  # fmt: skip
def test_the_score_is_what_a_plain_count_of_substrings_gives(texts: list[str]) -> None:
    model = spam.make(WEIGHTS, -321)
    assert scored(texts, model) == pytest.approx([plainly(text, WEIGHTS, -321) for text in texts])


def test_an_ngram_counts_once_a_thousand_characters_however_often_it_stands() -> None:
    model = spam.make(WEIGHTS, 0)
    often, twice_as_long = "無料、" * 300, "無料、" * 600
    assert scored([often], model)[0] == pytest.approx(448 / 1200)
    assert scored([twice_as_long], model)[0] == pytest.approx(2 * 448 / 2100)


def test_the_shipped_model_is_looked_up_whole() -> None:
    weights, bias = spam.read_weights()
    assert 10_000 < len(weights) < 100_000
    model = spam.shipped()
    assert model.bias == bias
    numbers = {
        entry >> width: (entry & 0xFFFF) - own
        for table, width, own in ((model.pairs, 32, 1), (model.triples, 16, 0))
        for entry in table.ravel().tolist()
        if entry and entry & 0xFFFF >= own
    }
    packed = [sum(ord(letter) << 16 * place for place, letter in enumerate(reversed(gram))) for gram in weights]
    assert [model.weights[numbers.pop(key)] for key in packed] == list(weights.values())
    assert not numbers
    text = "朝の港には誰もいなかった。船は出たあとで、網だけが干してあった！" * 9
    assert scored([text])[0] == pytest.approx(plainly(text, dict(weights), bias))


def test_what_does_not_fit_a_key_is_refused() -> None:
    for gram in ("あ", "今だけ無"):
        with pytest.raises(ValueError, match="2 to 3 letters"):
            spam.make({gram: 1}, 0)
    many = {chr(one) + chr(other): 1 for one in range(0x4E00, 0x4F00) for other in range(0x5000, 0x5100)}
    with pytest.raises(ValueError, match="65,536 n-grams are more than 65,534"):
        spam.make(many, 0)


PITCH = """肩こりに悩んで二十年、ようやく出会えました。寝るだけで首が楽になると評判の枕が、いまなら初回に限り四千九百八十円でお求めいただけます。
工場から直接お届けするので、この価格が実現できました。万が一お体に合わない場合は、三十日以内なら全額をお返しします。
すでに五万人を超えるお客様から喜びの声をいただいています。「もっと早く知りたかった」「家族の分も注文しました」など、うれしいお便りが毎日届きます。
お申し込みはお電話か、下のボタンからどうぞ。在庫がなくなり次第、終了とさせていただきます。この機会をどうぞお見逃しなく。
さらに今月中にご注文の方には、洗い替えのカバーを一枚、無料でお付けします。ご自分へのごほうびにも、大切な方への贈り物にも最適です。"""
TOLD = """肩こりがひどいので、先週の土曜に商店街の寝具店で枕を買った。店の主人は七十を過ぎた人で、首の高さを竹の物差しで測ってくれた。
測ってみると、いままで使っていた枕は三センチも高すぎたらしい。値段は四千円ほどで、思っていたより安かったが、そば殻が詰まっていて重い。
帰りの電車で膝に載せていたら、隣の子どもが不思議そうに見ていた。その晩は匂いが気になってなかなか眠れず、失敗したかと思った。
三日目あたりから慣れてきて、朝起きたときの首の痛みは少し軽くなった。ただ、寝返りを打つたびに音がするので、妻は文句を言っている。
主人の話では、そば殻は二年で潰れるから、そのときは中身だけ替えればいいという。それまで店が続いていればの話だ、と笑っていた。"""


def test_a_pitch_scores_above_the_limit_of_the_rules_and_the_same_matter_told_far_below() -> None:
    pitch, told = scored([PITCH, TOLD])
    assert pitch > -0.7
    assert told < -3


def test_the_signal_is_null_where_a_text_is_short_or_has_no_hiragana() -> None:
    rows = ["ぜひお試しください。", "", "無料体験実施中" * 60, "Buy now. " * 90, PITCH, None]
    values = signals.measure(pl.DataFrame({"text": rows}), "ja")["spam_score"].to_list()
    assert values[:4] == [None] * 4
    assert values[4] == pytest.approx(scored([PITCH])[0], rel=1e-6)
    assert values[5] is None


def test_a_document_scores_the_same_alone_and_in_a_batch() -> None:
    texts = [PITCH, "", TOLD, PITCH + TOLD]
    assert np.array_equal(scored(texts), [scored([text])[0] for text in texts])
