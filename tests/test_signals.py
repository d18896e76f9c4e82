"""Signals: every counter against an obvious Python reference, repetition against sets, and the shape of the table."""

import re
import time
import unicodedata
from itertools import groupby

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_ja.stages import characters, ngrams, published, signals

WORDS = [
    "今日は",
    "雨だ。",
    "「行く」",
    "と言った",
    "カフェ",
    "ﾊﾟﾝ",
    "the ",
    "end. ",
    "x != y",
    "3.5",
    "！？",
    "…",
    "...",
    "1,200円",
    "¥500",
    "|",
    "\t",
]
WORDS += [
    "\n",
    "\n\n",
    " ",
    "　",
    "・",
    "- ",
    "https://a.example/b",
    "#",
    "{",
    "é",
    "ã‚",
    "�",
    "縺",
    "すべての人々は、その日の風向きについて、",
    "the cat and the dog that have to be with us ",
    "👩‍👩‍👧",
    "か\u3099",
    "𠮷野家",
    "한국어",
    "of and ",
    "．",
]
texts = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=30).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
)


def measure(*rows: str | None, language: str = "ja") -> pl.DataFrame:
    return signals.measure(pl.DataFrame({"text": rows}, schema={"text": pl.String}), language)


def within(character: str, *ranges: tuple[int, int]) -> bool:
    return any(first <= ord(character) <= last for first, last in ranges)


def script(character: str) -> str:
    category = unicodedata.category(character)
    if character == "\n":
        return "newline"
    if within(character, (0x3041, 0x3096), (0x309D, 0x309F)):
        return "hiragana"
    if within(character, (0xFF66, 0xFF9F)):
        return "half_katakana"
    if within(character, (0x30A1, 0x30FA), (0x30FC, 0x30FF), (0x31F0, 0x31FF)):
        return "katakana"
    if character in "々〇〻" or within(
        character, (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)
    ):
        return "kanji"
    if category.startswith("L") and (
        within(
            character, (0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x1E00, 0x1EFF), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A)
        )
    ):
        return "latin"
    if category[0] == "Z" or character in "\t\x0b\x0c\r":
        return "space"
    if ord(character) >= 0x20000:
        return "other"
    return {"L": "letter", "M": "mark", "P": "punctuation", "S": "symbol"}.get(
        category[0], "digit" if category == "Nd" else "other"
    )


def space(character: str) -> bool:
    return script(character) in {"space", "newline"}


@settings(max_examples=400, deadline=None)
@given(st.lists(texts, min_size=1, max_size=4))
def test_script_shares_lengths_and_lines_equal_a_plain_reference(rows: list[str]) -> None:
    table = measure(*rows)
    for row, values in zip(rows, table.iter_rows(named=True), strict=True):
        kinds = [script(character) for character in row]
        length = sum(not space(character) for character in row)
        assert values["characters"] == len(row)
        assert values["characters_without_spaces"] == length
        assert values["utf8_bytes"] == len(row.encode())
        for name, wanted in {
            "hiragana_share": {"hiragana"},
            "katakana_share": {"katakana", "half_katakana"},
            "half_width_katakana_share": {"half_katakana"},
            "kanji_share": {"kanji"},
            "latin_share": {"latin"},
            "other_letter_share": {"letter"},
            "digit_share": {"digit"},
            "punctuation_share": {"punctuation"},
            "symbol_share": {"symbol"},
            "japanese_letter_share": {"hiragana", "katakana", "half_katakana", "kanji"},
        }.items():
            expected = sum(kind in wanted for kind in kinds) / length if length else None
            assert values[name] == (None if expected is None else pytest.approx(expected, rel=1e-6)), name
        lines = [line for line in row.split("\n") if any(not space(character) for character in line)]
        assert values["lines"] == len(lines)
        widths = []
        for line in lines:
            places = [place for place, character in enumerate(line) if not space(character)]
            widths.append(places[-1] - places[0] + 1)
        assert values["longest_line"] == max(widths, default=0)
        assert values["mean_line_length"] == (pytest.approx(np.mean(widths)) if widths else None)
        assert values["short_line_share"] == (
            pytest.approx(np.mean([width <= 10 for width in widths])) if widths else None
        )
        runs = [len(list(run)) for character, run in groupby(row) if not space(character)]
        assert values["longest_character_run"] == max(runs, default=0)
        tokens = "".join(" " if space(character) else character for character in row).split(" ")
        tokens = [token for token in tokens if token]
        assert values["words"] == len(tokens)
        assert values["mean_word_length"] == (
            pytest.approx(np.mean([len(token) for token in tokens])) if tokens else None
        )
        assert values["curly_braces_per_1000"] == (
            pytest.approx(1000 * (row.count("{") + row.count("}")) / length) if length else None
        )


def repeated_ngrams(text: str, n: int) -> float:
    """The definition in plain sets: windows of equal size, n-grams seen before, characters they cover."""
    kept = [character for character in text if not space(character)]
    if len(kept) < 2 * n:
        return float("nan")
    windows = -(-len(kept) // ngrams.WINDOW)
    shares = []
    for place in range(windows):
        window = kept[len(kept) * place // windows : len(kept) * (place + 1) // windows]
        seen: set[tuple[str, ...]] = set()
        covered: set[int] = set()
        for start in range(len(window) - n + 1):
            gram = tuple(window[start : start + n])
            if gram in seen:
                covered.update(range(start, start + n))
            seen.add(gram)
        shares.append(len(covered) / len(window))
    return max(shares)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("あいう \n", max_size=120), min_size=1, max_size=4), st.sampled_from([(2,), (5, 10), (10, 2)]))
def test_repeated_ngrams_equal_the_definition_in_sets(rows: list[str], sizes: tuple[int, ...]) -> None:
    for points, offsets in characters.code_points(pl.Series("text", rows)):
        shares = ngrams.repeated_ngrams(points, offsets, sizes)
        np.testing.assert_allclose(shares, [[repeated_ngrams(row, n) for n in sizes] for row in rows])


def test_the_worst_window_decides_and_every_window_starts_afresh() -> None:
    import random

    chance = random.Random(3)  # noqa: S311  # test data
    fresh = "".join(chr(chance.randrange(0x4E00, 0x9FFF)) for _ in range(45_000))
    text = fresh[:30_000] + fresh[:15_000]  # repeats only across windows
    for points, offsets in characters.code_points(pl.Series("text", [text, fresh[:100] * 300])):
        shares = ngrams.repeated_ngrams(points, offsets, (10,))[:, 0]
        np.testing.assert_allclose(shares, [repeated_ngrams(text, 10), repeated_ngrams(fresh[:100] * 300, 10)])
        assert shares[0] < 0.001
        assert shares[1] > 0.99


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["あいうえおかきくけこさ", "短い行", "ABCDEFGHIJ KLMN", "", "  あいうえおかきくけこさ", "文です。文です。"]
        ),
        max_size=20,
    )
)
def test_repeated_lines_equal_the_definition_in_sets(lines: list[str]) -> None:
    values = measure("\n".join(lines)).row(0, named=True)
    seen: set[str] = set()
    repeated = counted = 0
    for line in lines:
        bare = "".join(character for character in line if not space(character))
        if len(bare) >= 10:
            counted += 1
            repeated += len(bare) if bare in seen else 0
            seen.add(bare)
    length = sum(not space(character) for line in lines for character in line)
    assert values["repeated_line_share"] == (pytest.approx(repeated / length) if length else None)
    assert (values["repeated_lines_of_lines"] is None) == (counted == 0)


def test_lines_and_sentences_that_differ_in_one_character_are_no_repeats() -> None:
    said = "今日も朝から雨が降っている"
    for place in (0, 6, len(said) - 1):
        lines = [said[:place] + chr(0x4E00 + number) + said[place + 1 :] for number in range(300)]
        for text in ("\n".join(lines), "。".join(lines), "".join(line + "。\n" for line in lines)):
            table = signals.measure(pl.DataFrame({"text": [text]}), "ja", published.PUBLISHED)
            values = table.row(0, named=True)
            for name in ("repeated_line_share", "repeated_sentence_share", "gopher_repeated_line_characters"):
                assert values[name] == 0, (name, place)
            assert values["swallow_repeated_sentence_share"] == values["swallow_repeated_line_share"] == 0


END, CLOSING, BULLETS = "。．｡！？!?…‥.", "」』）)】》〉”’\"'］]｣＞≫", "•‣·・●○■□◆◇▪▫►▶★☆※➢◎▲△▼▽-*+–—"
JAPANESE = {"hiragana", "katakana", "half_katakana", "kanji"}
LETTERS = {*JAPANESE, "latin", "letter"}


def ends_sentence(text: str, place: int) -> bool:
    """Whether this character may end a sentence where it stands."""
    character, after = text[place], text[place + 1 : place + 2] or "\n"
    if character not in END:
        return False
    if ord(character) < 128:
        return space(after) or after in CLOSING or script(after) in JAPANESE
    return character != "．" or script(after) != "digit"


def sentences(text: str) -> tuple[int, int, list[bool], list[int]]:
    """Sentence ends, the longest run, and of each line with text: does one end after 8 letters, how does it close."""
    ends = longest = since = place = 0
    has_end, closed = [], []
    for line in text.split("\n"):
        letters = run = 0
        found, closing = False, 0
        for offset, character in enumerate(line):
            if space(character):
                continue
            run += 1
            if script(character) in LETTERS:
                since, letters, closing = since + 1, letters + 1, 0
            elif script(character) == "digit":
                closing = 0
            elif ends_sentence(text, place + offset):
                if since:
                    ends, since, found = ends + 1, 0, found or letters >= 8
                    longest, run = max(longest, run), 0
                dots = character == "." and place + offset > 0 and text[place + offset - 1] == "."
                closing = 2 if dots or character in "…‥" else 1
            elif character in END or character not in CLOSING:
                closing = 0
        bare = [character for character in line if not space(character)]
        if bare:
            if bare[-1] in "」』" and since:
                ends, since, closing, found = ends + 1, 0, 1, found or letters >= 8
            longest = max(longest, run)
            has_end.append(found)
            closed.append(closing)
        place += len(line) + 1
    return ends, longest, has_end, closed


@settings(max_examples=200, deadline=None)
@given(st.lists(texts, min_size=1, max_size=3))
def test_sentences_and_kinds_of_lines_equal_a_plain_reference(rows: list[str]) -> None:
    for row, values in zip(rows, measure(*rows).iter_rows(named=True), strict=True):
        kept = [character for character in row if not space(character)]
        lines = [line for line in row.split("\n") if any(not space(character) for character in line)]
        ends, longest, has_end, closed = sentences(row)
        expected: dict[str, float | None] = {"longest_sentence": longest, "longest_word": 0}

        def share(name: str, part: float, whole: float, expected: dict[str, float | None] = expected) -> None:
            expected[name] = part / whole if whole else None

        share("sentence_ends_per_1000", 1000 * ends, len(kept))
        share("mean_sentence_length", len(kept), ends)
        share("ended_line_share", sum(one > 0 for one in closed), len(lines))
        share("ellipsis_line_share", sum(one == 2 for one in closed), len(lines))
        solid = ["".join(character for character in line if not space(character)) for line in lines]
        stripped = [line.rstrip("".join(filter(space, line))) for line in lines]
        ends_cut = [one == 2 or line.endswith("・・") for one, line in zip(closed, stripped, strict=True)]
        long = [(len(bare), cut) for bare, cut in zip(solid, ends_cut, strict=True) if len(bare) >= 20]
        share("cut_off_line_share", sum(size for size, cut in long if cut), sum(size for size, _ in long))
        kinds = ("sentence", "table", "number", "code", "prose", "text")
        sums = dict.fromkeys((f"{kind}_line_share" for kind in kinds), 0)
        bullets = under_30 = 0
        for line, found in zip(lines, has_end, strict=True):
            bare = "".join(character for character in line if not space(character))
            places = [place for place, character in enumerate(line) if not space(character)]
            under_30 += places[-1] - places[0] < 30
            after = line[places[0] + 1 : places[0] + 2] or "\n"
            bullets += bare[0] in BULLETS and (ord(bare[0]) >= 128 or (space(after) and after != "\n"))
            sums["sentence_line_share"] += len(bare) * found
            sums["table_line_share"] += len(bare) * (not found and sum(line.count(cell) for cell in "|｜\t") >= 2)
            digits = sum(script(character) == "digit" for character in bare)
            sums["number_line_share"] += len(bare) * (not found and 10 * digits >= 3 * len(bare))
            code = sum(character in "{};=<>(_" for character in bare)
            sums["code_line_share"] += len(bare) * (not found and 100 * code >= 8 * len(bare))
            words = re.findall("[A-Za-z]+", line)
            stops = sum(word.lower() in characters.ENGLISH_STOP_WORDS for word in words)
            own = sum(script(character) in JAPANESE for character in bare)
            prose = own >= 20 and 5 * sum(script(character) == "hiragana" for character in bare) >= own
            prose = prose or (len(words) >= 8 and 20 * stops >= 3 * len(words))
            sums["prose_line_share"] += len(bare) * prose
            sums["text_line_share"] += len(bare) * (prose or found)
        for name, total in sums.items():
            share(name, total, len(kept))
        words = re.findall("[A-Za-z]+", row)
        share(
            "english_stop_word_share", sum(word.lower() in characters.ENGLISH_STOP_WORDS for word in words), len(words)
        )
        seen: set[str] = set()
        repeated, sentence = 0, ""
        for place, character in enumerate(row + "\n"):
            sentence += "" if space(character) else character
            if character == "\n" or ends_sentence(row, place):
                if len(sentence) >= 10:
                    repeated += len(sentence) * (sentence in seen)
                    seen.add(sentence)
                sentence = ""
        share("repeated_sentence_share", repeated, len(kept))
        share("bullet_line_share", bullets, len(lines))
        share("lines_under_30_share", under_30, len(lines))
        all_lines = row.split("\n")
        if all_lines[-1] == "":
            all_lines.pop()
        japanese = sum(script(character) in JAPANESE for character in row)
        letters = sum(script(character) in LETTERS for character in row)
        share("japanese_of_letters", japanese, letters)
        share("hiragana_of_japanese_letters", sum(script(character) == "hiragana" for character in row), japanese)
        share("letter_share", letters + sum(script(character) == "mark" for character in row), len(row))
        share("space_share", len(row) - len(kept), len(row))
        share("replacement_character_share", row.count("\ufffd"), len(kept))
        share("commas_per_1000", 1000 * sum(row.count(comma) for comma in "、，,"), len(kept))
        tokens = "".join(" " if space(character) else character for character in row).split(" ")
        tokens = [token for token in tokens if token]
        expected["longest_word"] = max(map(len, tokens), default=0)
        share("alphabetic_word_share", sum(any(script(c) in LETTERS for c in token) for token in tokens), len(tokens))
        share("hashes_per_word", row.count("#"), len(tokens))
        pairs = list(zip("\n" + row, row, strict=False))
        particles = [
            after
            for before, after in pairs
            if after in "のにはをがでともへ"
            and script(before) in {"katakana", "half_katakana", "kanji", "latin", "letter", "digit"}
        ]
        share("particles_per_1000", 1000 * len(particles), japanese)
        expected["distinct_particles"] = len(set(particles))
        gaps = sum(
            script(one) in JAPANESE and script(two) == "space" and script(three) in JAPANESE
            for one, two, three in zip(row, row[1:], row[2:], strict=False)
        )
        share("japanese_gaps_per_1000", 1000 * gaps, len(kept))
        prices = sum(script(before) == "digit" and after == "円" for before, after in pairs)
        prices += sum(before in "¥￥$€£＄" and script(after) == "digit" for before, after in pairs)
        share("prices_per_1000", 1000 * prices, len(kept))
        for name, value in expected.items():
            assert values[name] == (None if value is None else pytest.approx(value, rel=1e-6)), name


def ends(text: str) -> int:
    share = measure(text)["sentence_ends_per_1000"].to_list()[0]
    return round(float(share) * sum(not space(character) for character in text) / 1000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("雨だ。風だ。", 2),
        ("え！？ほんとう？！", 2),
        ("「行こう。」と言った。", 2),
        ("「行こう」\n「どこへ」", 2),
        ("「行こう」と言って黙った", 0),
        ("彼は……黙った。", 2),
        ("It is late. He left! Why?", 3),
        ("version 3.11 of a.b.c", 0),
        ("if a != b and c?.d", 0),
        ("値は３．５です．次に進む．", 2),
        ("です.次に", 1),
        ("Wait... what?", 2),
        ("。。。！！！", 0),
        ('She said "yes." Then (no!) she left.', 3),
    ],
)
def test_sentence_ends_are_counted_as_the_definition_says(text: str, expected: int) -> None:
    assert ends(text) == expected


def test_mojibake_of_every_common_misreading_is_seen_and_european_text_is_not() -> None:
    text = "昨日は雨だったので、家で本を読んでいました。夕方になって空が明るくなりました。"
    broken = [
        text.encode().decode("latin-1"),
        text.encode().decode("cp1252", "replace"),
        text.encode().decode("cp932", "replace"),
    ]
    broken += [text.encode("cp932").decode("latin-1"), text.encode("euc-jp").decode("latin-1")]
    assert measure(*broken)["mojibake_share"].min() > 0.1  # type: ignore[operator]
    european = "Où est le café ? Über Größe naïve façade señor “quoted”—dash… ‘x’ £10 §5 «mot» Ça déjà élève"
    assert measure(european, text)["mojibake_share"].to_list() == [0.0, 0.0]


def test_prices_addresses_and_word_lists_are_counted() -> None:
    values = measure("りんごは120円、なしは¥300。送料無料と送料無料。https://a.example/b?c=d を見る").row(0, named=True)
    length = values["characters_without_spaces"]
    assert values["prices_per_1000"] == pytest.approx(2000 / length)
    assert values["shop_words_per_1000"] == pytest.approx(2000 / length)
    assert values["distinct_shop_words"] == 1
    assert values["shop_evidence_per_1000"] == 0
    assert values["url_share"] == pytest.approx(len("https://a.example/b?c=d") / length)


def test_the_eight_words_of_gopher_are_counted_once_each_whatever_their_case() -> None:
    table = measure("The cat and THE dog", "to be of that with have and the", "them there android", "", language="en")
    assert table["english_stop_words"].to_list() == [2, 8, 0, 0]
    assert table["english_stop_word_share"][0] == pytest.approx(3 / 5)
    assert table["english_stop_word_share"][3] is None


def test_hosts_are_read_from_addresses_and_nothing_else() -> None:
    frame = pl.DataFrame(
        {"text": ["a"] * 4, "url": ["https://User@Www.Example:80/x", "nothing", None, "http://例え.example?q"]}
    )
    assert signals.measure(frame, "ja")["host"].to_list() == ["www.example", None, None, "例え.example"]


@pytest.mark.parametrize("language", ["ja", "en", "de"])
def test_every_language_has_exactly_the_promised_columns_also_for_no_rows(language: str) -> None:
    expected = {name: signal.dtype for name, signal in signals.SIGNALS.items()}
    assert dict(measure("これは。", None, "", language=language).schema) == expected
    assert dict(measure(language=language).schema) == expected
    assert all(signal.description for signal in signals.SIGNALS.values())


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    rows = ["これは文です。これは文です。", "", "English here, the end. {}", "||\t\n「はい」", "あ" * 500]
    together = measure(*rows)
    alone = pl.concat([measure(row) for row in rows])
    assert together.equals(alone)


def test_meaningless_signals_are_null_and_never_nan() -> None:
    values = measure("", "12345", "abc").with_columns(pl.exclude(pl.String).cast(pl.Float64))
    assert values["hiragana_of_japanese_letters"].to_list() == [None, None, None]
    assert values["repeated_10gram_worst_window"].to_list() == [None, None, None]
    assert not values.select(pl.any_horizontal(pl.col(pl.Float64).is_nan().any())).item()


@pytest.mark.parametrize("unit", ["あ", "\n", "。", "ab ", "あ\n", "http://"])
def test_time_is_linear_in_one_thing_repeated(unit: str) -> None:
    def seconds(times: int) -> float:
        started = time.perf_counter()
        measure(unit * times)
        return time.perf_counter() - started

    seconds(10)
    short, long = seconds(100_000), seconds(1_000_000)
    assert long < 2 + 40 * short
