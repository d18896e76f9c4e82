"""Frames, terms, endings and lengths of sentences against a plain reference, and the signals made of them."""

import re
from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from unittest.mock import patch

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_ja.stages import characters, signals, templates
from tests.test_signals import CLOSING, END, ends_sentence, script, space

PIECES = [
    "札幌市",
    "堺市",
    "みかん",
    "の",
    "で",
    "車検を",
    "お探しなら",
    "おすすめです",
    "、",
    "，",
    "。",
    "！",
    "\n",
    " ",
]
PIECES += [
    "カフェ",
    "ﾊﾟﾝ",
    "iPhone",
    "15",
    "「",
    "」",
    "ください",
    "でしたか",
    "ませんね。",
    "でしょう",
    "３．５",
    "a.b",
    "は",
    "東京",
]
texts = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


def measured(*rows: str) -> list[list[int]]:
    tables = [templates.frames(*batch) for batch in characters.code_points(pl.Series("text", rows))]
    return [list(map(int, row)) for row in np.concatenate(tables)]


def frame(unit: str) -> str:
    """Hiragana and commas after the first other character, everything else one slot with the endings of its words."""
    out = ""
    kinds = ["、" if one in "、，" else "ひ" if script(one) == "hiragana" else "□" for one in unit]
    runs = ["".join(one for one, _ in run) for _, run in groupby(zip(unit, kinds, strict=True), itemgetter(1))]
    for place, run in enumerate(runs):
        if run[0] in "、，":
            out += run
        elif script(run[0]) != "hiragana":
            out += "" if out.endswith("□") else "□"
        elif out.endswith("□"):
            ending = re.match("[^のにはをがでともへ]{0,3}(?=[のにはをがでともへ])", run)
            last = place + 1 == len(runs) or runs[place + 1][0] in "、，"
            out += run[ending.end() :] if ending else run if len(run) > 3 or last else ""
        elif out:
            out += run
    return out


def polite(sentence: str) -> bool:
    body = sentence
    while body and (space(body[-1]) or body[-1] in END + CLOSING):
        body = body[:-1]
    if len(body) > 3 and body[-1] in "かねよ":
        body = body[:-1]
    return len(body) >= 4 and body.endswith(("です", "ます", "ません", "でしょう", "ましょう", "ください"))


def reference(text: str, window: int = templates.WINDOW) -> list[int]:
    """The definitions in plain strings: sentences sorted into windows, each counted on its own."""
    total = sum(not space(character) for character in text)
    windows: dict[int, list[tuple[str, str]]] = {}
    masked = re.sub("「[^」\n]{0,20}」|『[^』\n]{0,20}』", lambda quote: "■" * len(quote.group()), text) + "\n"
    sentence, hidden, begun, place = "", "", 0, 0
    for index, character in enumerate(text + "\n"):
        sentence += character
        hidden += character if space(character) else masked[index]
        place += not space(character)
        if character == "\n" or ends_sentence(text, index):
            if total and begun < total:
                windows.setdefault(begun * -(-total // window) // total, []).append((sentence, hidden))
            sentence, hidden, begun = "", "", place
    out = [0] * len(templates.COUNTERS)
    for inside in windows.values():
        bare, covered = (
            ["".join(character for character in one if not space(character)) for one in ones]
            for ones in zip(*inside, strict=True)
        )
        clauses = [clause for one in covered for clause in re.findall("[^、，]*[、，]|[^、，]+", one)]
        for column, units in enumerate((covered, clauses)):
            count = Counter(frame(unit) for unit in units)
            for unit in units:
                hiragana = sum(script(character) == "hiragana" for character in frame(unit))
                out[column] += len(unit) * (hiragana >= 4 and count[frame(unit)] >= 3)
        terms: Counter[str] = Counter()
        for (whole, _), one in zip(inside, bare, strict=True):
            if len(one) >= 10:
                kinds = {"katakana": "カ", "half_katakana": "カ", "kanji": "漢", "latin": "A"}
                marks = "".join(kinds.get(script(character), " ") for character in whole)
                runs = re.finditer("カ{2,}|漢{2,}|A{2,}", marks)
                terms.update({whole[run.start() : run.end()] for run in runs})
                for column, value in ((2, 1), (4, polite(whole)), (5, len(one)), (6, len(one) ** 2)):
                    out[column] += value
        out[3] += max(terms.values(), default=0)
    return out


@settings(max_examples=400, deadline=None)
@given(st.lists(texts, min_size=1, max_size=3))
def test_frames_terms_endings_and_lengths_equal_a_plain_reference(rows: list[str]) -> None:
    assert measured(*rows) == [reference(row) for row in rows]


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_any_text_is_measured_as_the_reference_measures_it(text: str) -> None:
    assert measured(text) == [reference(text)]


def test_a_long_text_is_cut_into_windows_that_do_not_see_each_other() -> None:
    filler = "".join(f"{chr(0x4E00 + place)}{chr(0x5E00 + place)}という言葉を見た。" for place in range(300))
    text = "水戸市で車検をお探しなら当社へ。" + filler + "津市で車検をお探しなら当社へ。" + filler
    text += "堺市で車検をお探しなら当社へ。" * 3
    assert len(text) > templates.WINDOW
    assert measured(text) == [reference(text)]
    assert measured(text * 7) == [reference(text * 7)]


def test_a_sentence_without_end_neither_grows_nor_stops_the_count() -> None:
    endless = "".join(f"{chr(0x4E00 + place % 20_000)}{place}という言葉を見たと、" for place in range(20_000))
    values = measured(endless, "短い文がここにあります。")
    assert values[0][2] == 1
    assert values[1] == reference("短い文がここにあります。")


WORDS = [
    *"のは、。",
    "人気",
    "です",
    "商品",
    "最安",
    "値",
    "送料",
    "無料",
    "今すぐ",
    "お申し込み",
    "続きを読む",
    "メニュー",
    "期間限定",
    "価格",
]
LISTS = {
    "shop": signals.SHOP_WORDS,
    "menu": [word for word in signals.MENU_WORDS if word != "メニュー"],  # manuals of programs say it too
}


def searched(text: str, words: Iterable[str]) -> list[str]:
    """The leftmost longest words of a text."""
    return re.findall("|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)), text)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=25).map("".join), min_size=1, max_size=3),
    st.sampled_from((1, 20, 1 << 22)),
)
def test_the_words_of_all_lists_are_what_a_plain_search_finds(rows: list[str], block: int) -> None:
    with patch.object(signals, "_BLOCK", block):
        table = signals.measure(pl.DataFrame({"text": rows}), "ja")
    for row, values in zip(rows, table.iter_rows(named=True), strict=True):
        hits = searched(row, {word for own in LISTS.values() for word in own})
        for name, own in LISTS.items():
            found = [word for hit in hits for word in searched(hit, own)]
            assert values[f"distinct_{name}_words"] == len(set(found))
            assert values[f"{name}_words_per_1000"] == pytest.approx(1000 * len(found) / len(row), rel=1e-6)


def shares(text: str) -> dict[str, float | None]:
    return signals.measure(pl.DataFrame({"text": [text]}), "ja").row(0, named=True)


def test_only_what_stands_three_times_is_framed_and_hiragana_may_be_filled_in() -> None:
    said = "{}のカロリーはどれくらいですか。"
    twice = shares(said.format("りんご") + said.format("柿"))
    assert twice["framed_sentence_share"] == 0
    thrice = shares(said.format("りんご") + said.format("もも") + said.format("すいか"))
    assert thrice["framed_sentence_share"] == pytest.approx(1)
    halves = shares(
        "".join(f"{name}を飼うなら、{rest}。" for name, rest in (("犬", "散歩"), ("猫", "爪"), ("鳥", "籠と水")))
    )
    assert halves["framed_sentence_share"] == 0
    assert halves["framed_clause_share"] == pytest.approx(21 / 30)


def test_the_score_is_the_sum_that_its_description_says_and_null_where_there_are_few_sentences() -> None:
    text = "\n".join(
        f"第{place}の町では、祭りのおすすめ料理が人気です。雨の日にも{'歌' * place}を歌う。" for place in range(1, 11)
    )
    values = shares(text)
    parts = {name: float(value) for name, value in values.items() if isinstance(value, int | float)}
    framed = max(parts["framed_sentence_share"], parts["framed_clause_share"])
    expected = 1.5 * parts["common_term_share"] + parts["polite_present_share"] + 2 * framed
    expected += parts["spam_score"] - 2 * min(parts["sentence_length_variation"], 0.7)
    assert parts["template_score"] == pytest.approx(expected, rel=1e-5)
    lengths = [len(line) for one in text.split("\n") for line in re.findall("[^。]+。", one) if len(line) >= 10]
    assert parts["sentence_length_variation"] == pytest.approx(np.std(lengths) / np.mean(lengths), rel=1e-5)
    for few in ("", "短い文です。" * 3, "This is a sentence of English words. " * 20):
        values = shares(few)
        for name in ("common_term_share", "polite_present_share", "sentence_length_variation", "template_score"):
            assert values[name] is None, (few[:20], name)
