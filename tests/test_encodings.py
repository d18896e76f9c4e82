"""Debris of wrong encodings against the character sets' own order, and every common misreading of good text."""

import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_ja.stages import characters, encodings, signals
from tests.test_signals import script, space

GOOD = (
    "昨日は雨だったので、家で本を読んでいました。夕方になって空が明るくなり、隣の町まで歩いて新しい店を見に行きました。"
    "店の主人は若いころ船に乗っていて、遠い国の港の話をいくつも聞かせてくれました。"
)
PIECES = [
    *"亜腕弌國熙髙﨑銇鏄叹扦𠮟剝頰あア。 \n\n",
    "､ｳ",
    "､ﾎ",
    "･ﾚ",
    "$3",
    "$s",
    "%F",
    "$",
    "�",
    "昨日は雨だった",
    "ﾊﾟﾝ",
    "20字の行に届くまで",
]


def weight(character: str) -> int:
    """0 for what modern Japanese writes, 1 for the second level and the vendors' rows, 2 for kanji in neither."""
    if character == "\ufffd":
        return 2
    if script(character) != "kanji" or character in "々〇〻𠮟塡剝頰":
        return 0
    try:
        code = character.encode("euc_jp")
    except UnicodeEncodeError:
        code = b""
    if len(code) == 2:
        return int(code[0] >= 0xD0)
    try:
        character.encode("cp932")
    except UnicodeEncodeError:
        return 2
    return 1


def reference(text: str) -> list[int]:
    garbled = odd = 0
    for line in text.split("\n"):
        bare = [character for character in line if not space(character)]
        odd += sum(weight(character) == 2 and character != "\ufffd" for character in bare)
        debris = sum(weight(character) for character in bare)
        for run in re.findall(r"(?:[､･][｡-ﾟ] *)+|(?:[$%][!-~] *)+", line):
            pairs = len(run.replace(" ", "")) // 2
            debris += 2 * pairs if pairs >= 3 else 0
        garbled += len(bare) if len(bare) >= 20 and 5 * debris >= len(bare) else 0
    return [garbled, odd]


def measured(*rows: str) -> list[list[int]]:
    tables = [encodings.debris(*batch) for batch in characters.code_points(pl.Series("text", rows))]
    return [list(map(int, row)) for row in np.concatenate(tables)]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=50).map("".join), min_size=1, max_size=3))
def test_garbled_lines_and_odd_kanji_equal_a_plain_reference(rows: list[str]) -> None:
    assert measured(*rows) == [reference(row) for row in rows]


def test_every_kanji_weighs_what_the_standards_say() -> None:
    weights = encodings.weights()
    for first, last in ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x20FFF)):
        wrong = [chr(code) for code in range(first, last + 1) if weights[code] != weight(chr(code))]
        assert wrong == []
    assert not weights[:0x3400].any()


def share(*rows: str) -> pl.DataFrame:
    return signals.measure(pl.DataFrame({"text": rows}), "ja").select("garbled_line_share", "odd_kanji_of_kanji")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("utf-8", "gbk"),
        ("utf-8", "big5"),
        ("euc_jp", "cp932"),
        ("cp932", "gbk"),
        ("iso2022_jp", "ascii"),
        ("euc_jp", "gbk"),
    ],
)
@pytest.mark.parametrize("errors", ["replace", "ignore"])
def test_a_garbled_paragraph_is_seen_inside_a_good_page(written: str, read: str, errors: str) -> None:
    broken = GOOD.encode(written, "ignore").decode(read, errors).replace("\x1b", "")
    page = f"{GOOD}\n{broken}\n{GOOD}"
    measured_page = share(page).row(0)
    assert measured_page[0] > 0.05 or measured_page[1] > 0.06
    assert share(GOOD).row(0) == (0.0, 0.0)


def test_old_spelling_and_rare_names_are_no_debris() -> None:
    old = "國語の敎育に就いて論ずる者は、先づ其の歷史を繙いて、假名遣ひの變遷を學ばねばならぬと余は信ずるのである。"
    assert (
        share(old, "𠮟られて頰をふくらませ、剝がれた壁を塡める。髙﨑さんは德川家の墓を訪ねた。")[
            "garbled_line_share"
        ].sum()
        == 0
    )
