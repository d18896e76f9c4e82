"""Repeated lines and paragraphs: against an obvious reading in Python, and what must never leave."""

import unicodedata
from collections import defaultdict

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_ja.stages import repeats
from corpus_ja.stages.exact import normal_form
from corpus_ja.stages.repeats import Repeats

LINES = st.lists(
    st.sampled_from(["無断転載を禁じます", "ホーム", "本文です。", "-----", "", "ＡＢＣ", "abc", "一行め、二行め"]),
    max_size=8,
)
TEXTS = st.lists(LINES.map("\n".join), min_size=1, max_size=8)


def apply(texts: list[str], chosen: Repeats) -> tuple[list[str], list[tuple[int, str]]]:
    """All steps on texts of one file."""
    series = pl.Series(texts, dtype=pl.String)
    _, document, keys = repeats.pieces(series, chosen)
    found, counts, first = repeats.documents_with(document, keys)
    many = counts >= chosen.documents
    text, left = repeats.without(series, chosen, found[many], first[many])
    return text.to_list(), left.rows()


def expected(texts: list[str], chosen: Repeats) -> list[tuple[int, str]]:
    """What should leave, by sets of documents per normalised piece."""
    holders: dict[str, set[int]] = defaultdict(set)
    pieces = [(at, piece) for at, text in enumerate(texts) for piece in text.split(chosen.between)]
    forms = [normal_form(pl.Series([piece]))[0] for _, piece in pieces]
    for (at, _), form in zip(pieces, forms, strict=True):
        if len(form) >= chosen.characters:
            holders[form].add(at)
    return [
        (at, piece)
        for (at, piece), form in zip(pieces, forms, strict=True)
        if len(form) >= chosen.characters and len(holders[form]) >= chosen.documents and at != min(holders[form])
    ]


@given(TEXTS, st.integers(2, 4), st.integers(1, 6))
@settings(max_examples=200, deadline=None)
def test_the_lines_that_leave_are_those_of_a_dictionary_of_lines(
    texts: list[str], documents: int, characters: int
) -> None:
    chosen = Repeats(documents=documents, characters=characters)
    text, left = apply(texts, chosen)
    gone = expected(texts, chosen)
    assert left == gone
    for at, (before, after) in enumerate(zip(texts, text, strict=True)):
        own = [piece for document, piece in gone if document == at]
        kept = before.split("\n")
        for piece in own:
            kept.remove(piece)
        assert after == before if not own else after.replace("\n", "") == "".join(kept)


def test_a_line_of_many_documents_stays_in_the_first_and_short_or_wordless_lines_stay_everywhere() -> None:
    footer = "Copyright (c) 図書館だより編集部"
    texts = [f"{title}\n本文はどれもちがう。{title}\n------------\n{footer}" for title in ("春", "夏", "秋", "冬")]
    text, left = apply(texts, Repeats(documents=4))
    assert text[0] == texts[0]
    assert text[1] == "夏\n本文はどれもちがう。夏\n------------"
    assert left == [(1, footer), (2, footer), (3, footer)]
    assert apply(texts, Repeats(documents=5))[0] == texts


def test_width_and_punctuation_make_no_difference_and_voicing_does() -> None:
    lines = ["お問い合わせはこちらから", "お問い合わせは、こちらから！", "お問い合わせはこぢらから"]
    assert apply([unicodedata.normalize("NFD", line) for line in lines], Repeats(documents=2))[0][1:] == [
        "",
        unicodedata.normalize("NFD", lines[2]),
    ]


def test_a_paragraph_leaves_as_a_whole_and_its_lines_do_not() -> None:
    shared = "この文書は自由に使うことができます。\nただし次のことを守ってください。"
    texts = [
        f"一つめの文書の本文です。\n\n{shared}\n\nおわり",
        f"{shared}\n\n二つめの文書の本文です。",
        shared.split("\n", maxsplit=1)[0],
    ]
    text, left = apply(texts, Repeats(unit="paragraph", documents=2))
    assert text == [texts[0], "二つめの文書の本文です。", texts[2]]
    assert left == [(1, shared)]


def test_a_document_of_nothing_but_repeated_lines_becomes_empty() -> None:
    assert apply(["二度めに同じことを書く行"] * 3, Repeats(documents=3))[0] == ["二度めに同じことを書く行", "", ""]


def test_no_documents_and_a_slice_are_no_trouble() -> None:
    assert apply([], Repeats()) == ([], [])
    series = pl.Series(["x", "長い行がここにひとつ", "長い行がここにひとつ"]).slice(1)
    _, document, keys = repeats.pieces(series, Repeats(documents=2))
    assert document.tolist() == [0, 1]
    assert keys[0] == keys[1] != 0
    assert repeats.documents_with(document, keys)[1].tolist() == [2]


def test_keys_do_not_change() -> None:
    # Raise VERSION together with this number: counts of an older version would silently stop meeting new ones.
    _, _, keys = repeats.pieces(pl.Series(["無断転載を禁じます。ご了承ください"]), Repeats())
    assert keys.dtype == np.uint64
    assert keys.tolist() == [14533334121142832975]
    assert repeats.VERSION == 1


@pytest.mark.parametrize("wrong", [{"documents": 1}, {"characters": 0}, {"unit": "word"}, {"lines": 20}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Repeats.model_validate(wrong)
