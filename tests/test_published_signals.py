"""Published signals: every one against an obvious Python reference of its set's formula, whatever the text; memory "
"and time on one long text.
"""

import re
import unicodedata
import zlib
from collections import Counter
from itertools import groupby, pairwise

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from datatrove.pipeline.filters.gopher_repetition_filter import (
    find_all_duplicate,
    find_duplicates,
    find_top_duplicate,
    get_n_grams,
)
from datatrove.utils.text import TERMINAL_PUNCTUATION
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_ja.stages import characters, published, signals
from corpus_ja.stages.published import alphabet, grams

PIECES = [
    *(
        "今日は",
        "雨だ。",
        "「行く」",
        "カフェー",
        "ﾊﾟﾝ",
        "the ",
        "end. ",
        "3.5",
        "！？",
        "…",
        "...",
        "、",
        "，",
        "．",
        "・",
        "士",
        "１",
        "々",
        "〇",
    ),
    *(
        "\n",
        "\n\n",
        "\n\n\n",
        " ",
        "　",
        "\t",
        "\r\n",
        "\u2028",
        "- ",
        "•",
        "#",
        "{",
        "é",
        "か\u3099",
        "𠮷野家",
        "👩‍👩‍👧",
        "😀",
        "한국어",
        "コメント",
    ),
    *(
        "2020年 1月2日",
        "(月)",
        "12話",
        "-",
        "SOLD OUT",
        "Lorem ipsum dolor. ",
        "JavaScript is off. ",
        "privacy policy here. ",
        "[12]",
        "a b c. ",
    ),
    *(
        "同じ文をもう一度。\n",
        "The same sentence again.\n",
        "経済産業省の",
        "ひらがなばかり",
        "\x1c",
        "\x85",
        "\u0660",
        "⸮",
        "長" * 40,
    ),
]
texts = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=40).map("".join),
    st.lists(st.sampled_from(["あ", "い", " ", "\n", "。"]), max_size=120).map("".join),
    st.lists(st.sampled_from(["a", "b", "ab"]), max_size=60).map(" ".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
)


def measured(*rows: str, url: str | None = None) -> list[dict[str, object]]:
    frame = pl.DataFrame({"text": rows, "url": [url] * len(rows)}, schema={"text": pl.String, "url": pl.String})
    table = signals.measure(frame, "ja", published.PUBLISHED)
    return table.select(list(published.PUBLISHED)).rows(named=True)


def share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def repeats(items: list[str]) -> tuple[int, int]:
    counted = Counter(items)
    return sum(times - 1 for times in counted.values()), sum(len(item) * (times - 1) for item, times in counted.items())


def swallow(text: str) -> dict[str, object]:
    sentences_by_line = [re.findall("[^。．！？!?]+[。．！？!?]?", line) for line in text.split("\n")]
    lines = ["".join(sentences) for sentences in sentences_by_line]
    sentences = [sentence for one in sentences_by_line for sentence in one]
    hiragana = sum(0x3041 <= ord(c) <= 0x3096 for c in text)
    katakana = sum(0x30A1 <= ord(c) <= 0x30FA for c in text)
    kanji = len(re.findall("[々〇〻\u3400-\u9fff\uf900-\ufaff]", text))
    japanese = hiragana + katakana + kanji + sum(c in "、，。．！？" for c in text)
    expected: dict[str, object] = {
        "swallow_japanese_letters": japanese,
        "swallow_japanese_share": share(japanese, len(text)),
        "swallow_hiragana_share": share(hiragana, japanese),
        "swallow_katakana_share": share(katakana, japanese),
        "swallow_repeated_line_share": share(repeats(lines)[0], len(lines)),
        "swallow_repeated_line_characters": share(repeats(lines)[1], sum(map(len, lines))),
        "swallow_repeated_sentence_share": share(repeats(sentences)[0], len(sentences)),
        "swallow_repeated_sentence_characters": share(repeats(sentences)[1], sum(map(len, sentences))),
        "swallow_mean_sentence_length": share(sum(map(len, sentences)), len(sentences)),
        "swallow_longest_sentence": max(map(len, sentences), default=0),
        "swallow_ellipsis_sentence_share": share(
            sum(one.strip().endswith(("・", "…")) for one in sentences), len(sentences)
        ),
    }
    for n in range(2, 11):
        grams = Counter(text[place : place + n] for place in range(len(text) - n + 1))
        if n <= 4:
            expected[f"top_{n}gram_share"] = share(max(grams.values(), default=0), grams.total())
        else:
            expected[f"repeated_distinct_{n}gram_share"] = (
                share(sum(times > 1 for times in grams.values()), len(grams)) or 0.0
            )
        if n == 5:
            ordered = sorted(grams.values(), reverse=True)
            kept = min(int(len(ordered) ** 0.5), sum(times > 1 for times in ordered))
            expected["frequent_5gram_share"] = share(sum(ordered[:kept]), sum(ordered)) or 0.0
    return expected


def character_form(text: str) -> list[str]:
    """Runs of one script, kanji and hiragana cut at two characters; marks stay with what they follow."""
    words: list[str] = []
    run = None
    for character in text:
        category, point = unicodedata.category(character), ord(character)
        if character.isspace():
            run = None
            continue
        if (
            0x3400 <= point <= 0x9FFF
            or 0xF900 <= point <= 0xFAFF
            or 0x20000 <= point <= 0x3FFFF
            or character in "々〇〻"
        ):
            script = "kanji"
        elif 0x3041 <= point <= 0x3096 or 0x309D <= point <= 0x309F:
            script = "hiragana"
        elif 0x30A1 <= point <= 0x30FA or 0x30FC <= point <= 0x30FF or 0xFF66 <= point <= 0xFF9F:
            script = "katakana"
        elif (category[0] == "L" and unicodedata.name(character, "").startswith(("LATIN", "FULLWIDTH LATIN"))) and (
            point < 0x250 or 0x1E00 <= point <= 0x1EFF or point >= 0xFF21
        ):
            script = "alone" if character in "ªº" else "latin"
        elif category == "Nd":
            script = "digit"
        elif category[0] == "L":
            script = "letter"
        elif category[0] == "M" and run is not None:
            words[-1] += character
            continue
        else:
            script = "mark" if category[0] == "M" else "alone"
        if script == run and script != "alone" and (script not in ("kanji", "hiragana") or len(words[-1]) < 2):
            words[-1] += character
        else:
            words.append(character)
            run = script
    return words


def punctuation(character: str) -> bool:
    return unicodedata.category(character)[0] == "P" or character in "$+<=>^`|~"


def of_words(text: str, prefix: str, words: list[str]) -> dict[str, object]:
    plain = [word for word in words if any(not punctuation(c) for c in word)]
    expected: dict[str, object] = {
        f"{prefix}_words": len(plain),
        f"{prefix}_mean_word_length": share(sum(map(len, plain)), len(plain)),
        f"{prefix}_letter_word_share": share(sum(any(c.isalpha() for c in word) for word in words), len(words)),
        f"{prefix}_hashes_per_word": share(text.count("#"), len(words)),
        f"{prefix}_ellipses_per_word": share(text.count("...") + text.count("…"), len(words)),
        f"{prefix}_newlines_per_word": share(text.count("\n"), len(words)),
    }
    for n in (2, 3, 4):
        grams = get_n_grams(words, n)
        expected[f"{prefix}_top_{n}gram_characters"] = share(find_top_duplicate(grams) if grams else 0, len(text))
    for n in range(5, 11):
        expected[f"{prefix}_repeated_{n}gram_characters"] = share(find_all_duplicate(words, n), len(text))
    return expected


def of_lines(text: str) -> dict[str, object]:
    lines = re.split("\n+", text)
    paragraphs = re.split("\n{2,}", re.sub(r"\A\s+|\s+\Z", "", text) if text.strip() else "")
    broken = text.splitlines()
    filled = [line for line in text.split("\n") if line.strip()]
    bare = len(text.replace("\n", ""))
    split = text.split("\n")
    records = [line.removesuffix("\r") for line in split[:-1]] + ([split[-1]] if split[-1] else [])
    fifth = len(records) // 5
    header = sum(len(line.encode()) < 100 for line in records[:fifth])
    footer = sum(len(line.encode()) < 100 for line in records[len(records) - fifth :])
    noise = sum(unicodedata.category(c)[0] not in "LM" for c in text)
    special = {chr(c) for one in published.SPECIAL_CHARACTERS.split() for c in _points(one)}
    return {
        "special_character_share": share(sum(c in special for c in text), len(text)) or 0.0,
        "longest_run": max((len(list(run)) for _, run in groupby(text)), default=0),
        "gopher_repeated_line_share": find_duplicates(lines)[0] / len(lines) if text else None,
        "gopher_repeated_line_characters": share(find_duplicates(lines)[1], len(text)),
        "gopher_repeated_paragraph_share": find_duplicates(paragraphs)[0] / len(paragraphs),
        "gopher_repeated_paragraph_characters": share(find_duplicates(paragraphs)[1], len(text)),
        "gopher_bullet_line_share": share(sum(line.lstrip().startswith(("•", "-")) for line in broken), len(broken)),
        "gopher_ellipsis_line_share": share(sum(line.rstrip().endswith(("...", "…")) for line in broken), len(broken)),
        "fineweb_punctuated_line_share": share(
            sum(line.endswith(tuple(TERMINAL_PUNCTUATION)) for line in filled), len(filled)
        ),
        "fineweb_short_line_share": share(sum(len(line) <= 30 for line in filled), len(filled)),
        "fineweb_repeated_line_characters": share(find_duplicates(filled)[1], bare) if filled else None,
        "hojichar_ellipsis_line_share": len(re.findall("(?:\\.{3}|…)\n", text)) / max(text.count("\n"), 1),
        "hojichar_short_line_share": sum(len(line) <= 10 for line in split) / len(split),
        "header_short_line_share": share(header, fifth),
        "footer_short_line_share": share(footer, fifth),
        "oscar_warnings": [
            name
            for name, said in {
                "tiny": len(records) < 5,
                "short_sentences": sum(len(line) <= 100 for line in records) > int(0.5 * len(records)),
                "header": header > int(0.5 * fifth),
                "footer": footer > int(0.5 * fifth),
                "noisy": noise > int(0.5 * len(text)),
            }.items()
            if said
        ],
    }


def _points(one: str) -> range:
    bounds = [int(bound, 16) for bound in one.split("-")]
    return range(bounds[0], bounds[-1] + 1)


def c4(text: str, *, punctuated: bool) -> tuple[int, int, int]:
    sentences = lorem = curly = 0
    for raw in text.split("\n"):
        line = raw.strip()
        words = line.split()
        if any(len(word) > 1000 for word in words):
            continue
        line = re.sub(r"\[\d*\]|\[edit\]|\[citation needed\]", "", line)
        if punctuated and (not line.endswith((".", "?", "!", '"', "'")) or line.endswith("...")):
            continue
        if len(words) < 3:
            continue
        lorem |= "lorem ipsum" in line.lower()
        if "javascript" in line.lower():
            continue
        curly |= "{" in line
        policies = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
        if not any(policy in line.lower() for policy in policies):
            sentences += 1 + len(re.findall(r"""[.!?]["')\]]*\s""", line))
    return sentences, int(lorem), int(curly)


def patterns(text: str) -> dict[str, object]:
    forum = r"\d{4}[年.\-/][ ]*\d{1,2}[月.\-/][ ]*\d{1,2}日*|コメント|SOLD OUT|レビュー|投稿|ページ|"
    forum += r"\([月火水木金土日]\)|質問|\d+話|楽天市場|-"
    encoded = text.encode()
    return {
        "kana_in_first_50": int(any("ぁ" <= c <= "ん" or "ァ" <= c <= "ン" for c in text[:50])),
        "characters_per_kuten": share(len(text), text.count("。")),
        "forum_marks": len(re.findall(forum, text)),
        "zlib_ratio": share(len(zlib.compress(encoded, 9)), len(encoded)),
        "fineweb2_stop_words": len(set(text) & set("のにをはたてがとで年し・月れさ")),
        **dict(zip(("c4_sentences", "c4_lorem_ipsum", "c4_curly_bracket"), c4(text, punctuated=True), strict=True)),
        **dict(
            zip(
                ("fineweb_c4_sentences", "fineweb_c4_lorem_ipsum", "fineweb_c4_curly_bracket"),
                c4(text, punctuated=False),
                strict=True,
            )
        ),
    }


def expected(text: str) -> dict[str, object]:
    japanese = character_form(text)
    sevens = Counter(tuple(japanese[place : place + 7]) for place in range(len(japanese) - 6))
    return {
        **swallow(text),
        **of_lines(text),
        **of_words(text, "gopher", text.split()),
        **of_words(text, "fineweb2", japanese),
        **patterns(text),
        "hojichar_repeated_word_7gram_share": share(
            sum(times for times in sevens.values() if times > 1), sevens.total()
        )
        or 0.0,
    }


@settings(max_examples=80, deadline=None)
@given(st.lists(texts, min_size=1, max_size=4))
def test_every_published_signal_equals_a_plain_reference_of_its_formula(rows: list[str]) -> None:
    for row, values in zip(rows, measured(*rows), strict=True):
        wanted = expected(row)
        assert set(wanted) | set(published.ADDRESS_SIGNALS) == set(published.PUBLISHED)
        for name, value in wanted.items():
            assert values[name] == value, name


def test_addresses_are_taken_apart_as_the_sets_compare_them() -> None:
    (one,) = measured("a", url="https://User@Blog.Example.co.jp:80/a/b?c")
    assert (one["tld"], one["parent_hosts"]) == ("jp", ["example.co.jp", "co.jp", "jp"])
    assert measured("a", url="https://ja.wikipedia.org/wiki/x")[0]["origin"] == "https://ja.wikipedia.org/"
    assert measured("a", url="https://example.jp")[0]["origin"] is None
    assert measured("a")[0]["parent_hosts"] is None


def test_only_what_is_asked_for_is_measured_and_an_unknown_name_is_refused() -> None:
    frame = pl.DataFrame({"text": ["これは文です。"]})
    table = signals.measure(frame, "ja", {"zlib_ratio", "top_2gram_share"})
    assert table.columns == [*signals.SIGNALS, "top_2gram_share", "zlib_ratio"]
    assert signals.measure(frame, "ja").columns == list(signals.SIGNALS)
    with pytest.raises(ValueError, match="no published signals"):
        signals.measure(frame, "ja", {"zlib"})


def test_types_and_names_stand_for_no_rows_too() -> None:
    frame = pl.DataFrame({"text": [], "url": []}, schema={"text": pl.String, "url": pl.String})
    table = signals.measure(frame, "ja", published.PUBLISHED)
    assert dict(table.schema) == {
        name: signal.dtype for name, signal in {**signals.SIGNALS, **published.PUBLISHED}.items()
    }
    assert not set(signals.SIGNALS) & set(published.PUBLISHED)


def test_a_row_does_not_depend_on_its_neighbours_or_on_what_else_is_asked_for() -> None:
    rows = [
        "これは文です。これは文です。\n" * 30,
        "",
        "English here, the end. {} a b a b a b a b a b",
        "|\t\n「はい」",
        "あ" * 500,
    ]
    together = measured(*rows)
    assert together == [measured(row)[0] for row in rows]
    for name in published.PUBLISHED:
        alone = signals.measure(pl.DataFrame({"text": rows}), "ja", {name})
        assert alone[name].to_list() == [one[name] for one in together], name


def test_ngrams_of_a_text_longer_than_one_walk_counts_are_still_exact() -> None:
    import random

    chance = random.Random(5)  # noqa: S311  # test data
    text = "".join(chance.choice("あいうえおかきくけこ。\n") for _ in range(2_300_000))
    names = {"top_3gram_share", "repeated_distinct_10gram_share", "frequent_5gram_share"}
    values = signals.measure(pl.DataFrame({"text": [text]}), "ja", names).row(0, named=True)
    for n, name in ((3, "top_3gram_share"), (5, "frequent_5gram_share"), (10, "repeated_distinct_10gram_share")):
        grams = Counter(text[place : place + n] for place in range(len(text) - n + 1))
        ordered = sorted(grams.values(), reverse=True)
        kept = min(int(len(ordered) ** 0.5), sum(times > 1 for times in ordered))
        answers = {
            3: ordered[0] / grams.total(),
            5: sum(ordered[:kept]) / grams.total(),
            10: sum(times > 1 for times in ordered) / len(ordered),
        }
        assert values[name] == pytest.approx(
            answers[n], rel=1e-4
        )  # 44 bits tell two million n-grams apart but for a handful


def points_of(text: str) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    return next(iter(characters.code_points(pl.Series([text]))))


@settings(max_examples=60, deadline=None)
@given(st.lists(texts, min_size=1, max_size=5))
def test_code_points_are_those_of_the_texts(rows: list[str]) -> None:
    slices = list(characters.code_points(pl.Series(rows)))
    found = ["".join(map(chr, points[start:end])) for points, bounds in slices for start, end in pairwise(bounds)]
    assert found == rows


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.sampled_from("あいab。 \n"), min_size=1, max_size=300),
    st.integers(2, 10),
    st.integers(1, 4),
    st.integers(7, 60),
)
def test_ngrams_counted_in_parts_are_those_counted_at_once(text: str, n: int, repeats: int, room: int) -> None:
    text *= repeats
    counted = Counter(text[place : place + n] for place in range(len(text) - n + 1))
    if not counted:
        return
    points, _ = points_of(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grams, "_SORTED_AT_ONCE", room)
        distinct, repeated, places = grams._long_ngrams(points, 0, len(text), n)
    ordered = sorted(counted.values(), reverse=True)
    twice = sum(times > 1 for times in ordered)
    assert (distinct, repeated) == (len(ordered), twice)
    assert places == sum(ordered[: min(int(len(ordered) ** 0.5), twice)])
    small = (np.zeros(64, dtype=np.uint32), np.zeros(64, dtype=np.uint64), np.zeros(64, dtype=np.uint32))
    assert grams._top_ngram(points, 0, len(text), n, grams._powers(), *small) == ordered[0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=12, max_size=400), st.sampled_from([2, 3, 4]), st.integers(1, 300))
def test_word_ngrams_counted_with_little_room_are_those_counted_with_much(
    numbers: list[int], n: int, longest: int
) -> None:
    words = [("a" * longest if number == 60 else "xyz"[number % 3] + str(number)) for number in numbers]
    points, _ = points_of(" ".join(words))
    before, windows = np.zeros(len(words) + 2, dtype=np.uint32), np.zeros(len(words) + 2, dtype=np.uint32)
    prefix, powers = np.zeros(len(words) + 2, dtype=np.uint64), grams._powers()
    count, _ = grams._cut(
        points,
        0,
        len(points),
        alphabet.marks(),
        grams._transitions(False),
        powers,
        np.zeros(len(grams.WORD_COUNTS), dtype=np.int64),
        before,
        prefix,
        windows,
    )
    assert count == len(words)
    sketch, slots = np.zeros(64, dtype=np.uint32), np.zeros(64, dtype=np.uint64)
    counts, firsts = np.zeros(64, dtype=np.uint32), np.zeros(64, dtype=np.uint32)
    most = grams._sketch_pairs(before, prefix, count, powers, sketch, windows)
    best, first = grams._top_sequence(before, prefix, count, n, powers, most, sketch, windows, slots, counts, firsts)
    sequences = [tuple(words[place : place + n]) for place in range(count - n + 1)]
    (commonest, times) = Counter(sequences).most_common(1)[0]
    assert (best, sequences[first]) == (times, commonest)
    assert first == sequences.index(commonest)
    places = np.arange(count, dtype=np.uint32)
    single = grams._single_sequences(before, prefix, count, n, powers, places, slots)
    assert single == sum(times == 1 for times in Counter(sequences).values())
    assert grams._repeated_characters(before, prefix, count, n, powers, places, slots) == find_all_duplicate(words, n)


@pytest.mark.parametrize(
    "text", ["ab c d e f g abc d e f g h", "東京都庁 東 京都庁 " * 7, "word " * 40, "a" * 700 + " b c d e " * 9]
)
def test_words_joined_alike_but_cut_elsewhere_are_repeats_and_other_words(text: str) -> None:
    (values,) = measured(text)
    for name, value in {
        **of_words(text, "gopher", text.split()),
        **of_words(text, "fineweb2", character_form(text)),
    }.items():
        assert values[name] == value, name
