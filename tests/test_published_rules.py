"""Published rule sets make the published decision: at, just under and just over every limit."""

import itertools
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from corpus_ja.errors import RuleError
from corpus_ja.stages import rules, signals
from corpus_ja.stages.rules import Rule, RuleSet
from tests.world import World

FILTERS = Path(__file__).resolve().parents[1] / "filters"
SETS = ["swallow_v1", "llmjp_v1", "llmjp_v1_strict", "hojichar", "fineweb2_ja", "fineweb_en", "gopher_en", "c4_en"]
SETS += ["oscar_lenient", "oscar_strict"]


@cache
def rule_set(name: str) -> RuleSet:
    path = FILTERS / f"{name}.yaml"
    return rules.parse_rule_set(name, f"filters/{name}.yaml", path.read_text(encoding="utf-8"))


def rule(set_name: str, name: str) -> Rule:
    return next(one for one in rule_set(set_name).rules if one.name == name)


# What is published, typed from the papers, configurations and sources: when a document is dropped.
GOPHER = {
    "repeated_lines": "> 0.3", "repeated_paragraphs": "> 0.3", "repeated_line_characters": "> 0.2",
    "repeated_paragraph_characters": "> 0.2",
    "top_2gram": "> 0.2", "top_3gram": "> 0.18", "top_4gram": "> 0.16", "repeated_5grams": "> 0.15",
    "repeated_6grams": "> 0.14",
    "repeated_7grams": "> 0.13", "repeated_8grams": "> 0.12", "repeated_9grams": "> 0.11",
    "repeated_10grams": "> 0.1",
    "length": "< 50 or > 100000", "word_length": "< 3 or > 10", "hashes": "> 0.1", "ellipses": "> 0.1",
    "bullets": "> 0.9",
    "ellipsis_lines": "> 0.3", "words_with_letters": "< 0.8", "stop_words": "< 2",
}  # fmt: skip
C4 = {"lorem_ipsum": "> 0", "curly_bracket": "> 0", "few_sentences": "< 5"}
LLMJP = {"empty": "< 1", "no_kana_at_the_start": "< 1", "advertising": "> 10"}
DROPPED = {
    "swallow_v1": {
        "too_short": "< 400", "repeated_lines": "> 0.3", "repeated_sentences": "> 0.3",
        "repeated_line_characters": "> 0.2",
        "repeated_sentence_characters": "> 0.2", "top_2gram": "> 0.2", "top_3gram": "> 0.18", "top_4gram": "> 0.16",
        "repeated_5grams": "> 0.15", "repeated_6grams": "> 0.14", "repeated_7grams": "> 0.13",
        "repeated_8grams": "> 0.12",
        "repeated_9grams": "> 0.11", "repeated_10grams": "> 0.1", "hiragana": "< 0.2", "katakana": "> 0.5",
        "japanese": "< 0.5",
        "few_japanese_letters": "< 400", "sentence_length": "< 20 or > 90", "longest_sentence": "> 200",
        "ellipsis": "> 0.2",
        "ng_words": ">= 0.05", "host": ">= 1",
    },
    "llmjp_v1": LLMJP | {
        "adult": "> 3", "discrimination": "> 3", "violence": "> 3", "few_kuten": "> 250",
        "compression": "< 0.3 or > 0.7",
    },
    "llmjp_v1_strict": LLMJP | {
        "adult": "> 2", "discrimination": "> 2", "violence": "> 2", "few_kuten": "> 80",
        "compression": "< 0.375 or > 0.7",
    },
    "hojichar": {
        "no_kana_at_the_start": "< 1", "few_kuten": "> 100", "board": "> 14", "advertising": "> 14",
        "adult": "> 0", "adult_en": "> 0",
        "discrimination": "> 0", "violence": "> 0", "nouns": ">= 0.8", "repeated_characters": ">= 0.33",
        "repeated_words": ">= 0.4",
        "special_characters": "> 0.4", "one_character_repeated": ">= 200", "ellipsis_lines": "> 0.7",
        "short_lines": "> 0.5",
        "language": "< 0.5",
    },
    "fineweb2_ja": {
        "glotlid": "< 0.886", "repeated_lines": "> 0.328", "top_2gram": "> 0.239", "top_3gram": "> 0.196",
        "top_4gram": "> 0.172",
        "repeated_5grams": "> 0.243", "repeated_6grams": "> 0.225", "repeated_7grams": "> 0.207",
        "repeated_8grams": "> 0.19",
        "repeated_9grams": "> 0.175", "repeated_10grams": "> 0.159", "punctuated_lines": "< 0.096",
        "repeated_line_characters": "> 0.1",
        "newlines": "> 0.13", "too_short": "< 50 or > 100000", "word_length": "< 1 or > 6", "hashes": "> 0.1",
        "ellipses": "> 0.1",
        "bullets": "> 0.9", "ellipsis_lines": "> 0.3", "words_with_letters": "< 0.759", "stop_words": "< 2",
    },
    "gopher_en": GOPHER,
    "c4_en": C4 | {"bad_words": "> 0"},
    "fineweb_en": GOPHER | C4 | {
        "host": "> 0", "language": "< 0.65", "punctuated_lines": "< 0.12", "short_lines": "> 0.67",
        "repeated_fineweb_line_characters": "> 0.01", "newlines": "> 0.3",
    },
    "oscar_lenient": {},
    "oscar_strict": {},
}  # fmt: skip


def column_type(signal: str) -> type[pl.DataType] | pl.DataType:
    if signal in rules.MEASURED:
        return rules.MEASURED[signal].dtype
    return pl.UInt32 if signal.endswith("_hits") or signal.startswith("host_in") else pl.Float32


def falls(one: Rule, values: list[object]) -> list[bool]:
    table = pl.DataFrame({one.signal: pl.Series(values, dtype=column_type(one.signal))})
    return table.select(rules.broken_by(one, table.schema[one.signal])).to_series().to_list()


@pytest.mark.parametrize(("set_name", "name"), [(one, name) for one, limits in DROPPED.items() for name in limits])
def test_a_number_on_a_limit_and_its_neighbours_get_the_published_decision(set_name: str, name: str) -> None:
    one = rule(set_name, name)
    dtype = column_type(one.signal)
    for condition in DROPPED[set_name][name].split(" or "):
        sign, said = condition.split()
        limit = float(said)
        if dtype.is_integer():
            values: list[float] = [int(value) for value in (limit - 1, limit, limit + 1) if value >= 0]
        else:
            at = np.float32(limit) if dtype == pl.Float32 else np.float64(limit)
            values = [
                float(np.nextafter(at, -np.inf, dtype=at.dtype)),
                float(at),
                float(np.nextafter(at, np.inf, dtype=at.dtype)),
            ]
            limit = float(at)
        decisions: dict[str, Callable[[float, float], bool]] = {
            "<": float.__lt__, ">": float.__gt__, ">=": float.__ge__,
        }  # fmt: skip
        assert falls(one, list(values)) == [decisions[sign](float(value), limit) for value in values]


@pytest.mark.parametrize("name", SETS)
def test_every_number_that_a_set_compares_is_one_that_was_published(name: str) -> None:
    compared = {one.name for one in rule_set(name).rules if one.limits}
    assert compared == set(DROPPED[name])
    for one in rule_set(name).rules:
        published = {float(number) for number in re.findall(r"[\d.]+", DROPPED[name].get(one.name, ""))}
        assert {float(number) for number in one.limits.values()} <= published | {
            1.0 if "host" in one.name else 0.0
        } | published


# --------------------------------------------------------------------------------------------- texts worked out by hand


def letters(first: int = 0x4E00) -> Iterator[str]:
    """Characters that never come twice."""
    return (chr(point) for point in itertools.count(first))


def new_words() -> Iterator[str]:
    """Words of four small letters that never come twice."""
    return ("".join(word) for word in itertools.product("qrstuvwxyz", "klmnopabcd", "abcdefghij", "klmnopqrst"))


def lines(different: int, repeats: int, width: int = 12, end: str = "\n") -> str:
    """So many different units of so many characters (an end counts, a newline not), and the first again."""
    fresh = letters()
    body = width - (end != "\n")
    units = ["".join(itertools.islice(fresh, body)) for _ in range(different)]
    return end.join([*units, *[units[0]] * repeats]) + ("" if end == "\n" else end)


def top(n: int, times: int, length: int) -> str:
    """A text of so many characters in which one n-gram stands so many times, and no other twice."""
    fresh = letters()
    phrase = "".join(itertools.islice(letters(0x3400), n))
    text = "".join(phrase + next(fresh) for _ in range(times))
    return text + "".join(itertools.islice(fresh, length - len(text)))


def seen_twice(n: int, repeated: int, distinct: int) -> str:
    """A text with so many distinct n-grams of which so many stand there twice."""
    fresh = letters()
    phrase = "".join(itertools.islice(letters(0x3400), n + repeated - 1))
    text = phrase + next(fresh) + phrase
    return text + "".join(itertools.islice(fresh, distinct + repeated + n - 1 - len(text)))


def phrases(n: int, times: int, length: int) -> str:
    """English: n words of two letters, so many times, a new word after each; so many characters in all."""
    fresh = new_words()
    phrase = " ".join("abcdefghij"[place] * 2 for place in range(n))
    text = " ".join(f"{phrase} {next(fresh)}" for _ in range(times)) + " "
    assert length > len(text)
    return text + "z" * (length - len(text))


def kinds(*shares: tuple[str, int]) -> str:
    return "".join(unit * times for unit, times in shares)


LONG = "長" * 101
WORDS = list(itertools.islice(new_words(), 200))

CASES: dict[str, dict[str, list[tuple[str, bool]]]] = {
    "swallow_v1": {
        "too_short": [("あ" * 399, True), ("あ" * 400, False), ("あ" * 399 + "\n", False)],
        "few_japanese_letters": [("あ" * 399 + "ー", True), ("あ" * 399 + "、", False), ("あ" * 399 + "𠮷", True)],
        "repeated_lines": [
            (lines(7, 3), False),
            (lines(8, 3), False),
            (lines(9, 4), True),
            ("一\n\n二\n\n三\n\n四", False),
            ("一\n\n二\n\n三\n\n四\n\n五", True),
        ],
        "repeated_sentences": [(lines(7, 3, end="。"), False), (lines(9, 4, end="。"), True)],
        "repeated_line_characters": [(lines(8, 2), False), (lines(7, 2), True), (lines(9, 2), False)],
        "repeated_sentence_characters": [(lines(8, 2, end="！"), False), (lines(7, 2, end="！"), True)],
        "top_2gram": [(top(2, 3, 16), False), (top(2, 3, 15), True), (top(2, 3, 17), False)],
        "top_3gram": [(top(3, 9, 52), False), (top(3, 9, 51), True), (top(3, 9, 53), False)],
        "top_4gram": [(top(4, 4, 28), False), (top(4, 4, 27), True), (top(4, 4, 29), False)],
        "repeated_5grams": [(seen_twice(5, 3, 20), False), (seen_twice(5, 3, 19), True), (seen_twice(5, 3, 21), False)],
        "repeated_6grams": [(seen_twice(6, 7, 50), False), (seen_twice(6, 7, 49), True), (seen_twice(6, 7, 51), False)],
        "repeated_7grams": [
            (seen_twice(7, 13, 100), False),
            (seen_twice(7, 13, 99), True),
            (seen_twice(7, 13, 101), False),
        ],
        "repeated_8grams": [(seen_twice(8, 3, 25), False), (seen_twice(8, 3, 24), True), (seen_twice(8, 3, 26), False)],
        "repeated_9grams": [
            (seen_twice(9, 11, 100), False),
            (seen_twice(9, 11, 99), True),
            (seen_twice(9, 11, 101), False),
        ],
        "repeated_10grams": [
            (seen_twice(10, 2, 20), False),
            (seen_twice(10, 2, 19), True),
            (seen_twice(10, 2, 21), False),
        ],
        "hiragana": [
            (kinds(("あ", 200), ("字", 800)), False),
            (kinds(("あ", 199), ("字", 801)), True),
            (kinds(("あ", 201), ("字", 799)), False),
        ],
        "katakana": [
            (kinds(("ア", 500), ("字", 500)), False),
            (kinds(("ア", 501), ("字", 499)), True),
            (kinds(("ア", 499), ("字", 501)), False),
        ],
        "japanese": [
            (kinds(("字", 500), ("x", 500)), False),
            (kinds(("字", 499), ("x", 501)), True),
            (kinds(("字", 499), ("ー", 501)), True),
        ],
        "sentence_length": [
            ("雨" * 19 + "。", False),
            ("雨" * 18 + "。", True),
            ("雨" * 89 + "。", False),
            ("雨" * 90 + "。", True),
            ("え！？" + "雨" * 37 + "。", False),
        ],
        "longest_sentence": [
            ("雨" * 199 + "。", False),
            ("雨" * 200 + "。", True),
            ("雨" * 200, False),
            ("雨" * 150 + "\n" + "雨" * 150, False),
        ],
        "ellipsis": [
            ("雨…\n" + "雨。" * 4, False),
            ("雨…\n" + "雨。" * 3, True),
            ("雨・ \n" + "雨。" * 3, True),
            ("雨…。" * 5, False),
        ],
    },
    "llmjp_v1": {
        "empty": [("\n　", True), ("a", False)],
        "no_kana_at_the_start": [
            ("字" * 49 + "ん", False),
            ("字" * 50 + "ん", True),
            ("ゔ", True),
            ("ン", False),
            ("ヴ", True),
        ],
        "few_kuten": [
            ("雨" * 249 + "。", False),
            ("雨" * 250 + "。", True),
            ("雨" * 248 + "。", False),
            ("雨！", True),
        ],
    },
    "llmjp_v1_strict": {"few_kuten": [("雨" * 79 + "。", False), ("雨" * 80 + "。", True), ("雨" * 78 + "。", False)]},
    "hojichar": {
        "no_kana_at_the_start": [("a" * 49 + "あ", False), ("a" * 50 + "あ", True)],
        "few_kuten": [("雨" * 99 + "。", False), ("雨" * 100 + "。", True), ("雨" * 98 + "。", False)],
        "board": [
            ("投稿" * 14, False),
            ("投稿" * 15, True),
            ("-" * 15, True),
            ("2020-01-02" * 14, False),
            ("2020年 1月2日" * 15, True),
            ("(月)" * 15, True),
            ("（月）" * 15, False),
        ],
        "repeated_characters": [
            ("a" * 37 + "".join(itertools.islice(letters(), 67)), True),
            ("a" * 37 + "".join(itertools.islice(letters(), 68)), False),
            ("a" * 37 + "".join(itertools.islice(letters(), 66)), True),
        ],
        "repeated_words": [
            (" ".join([*WORDS[:14], "middle", *WORDS[:14], *WORDS[20:37]]), True),
            (" ".join([*WORDS[:14], "middle", *WORDS[:14], *WORDS[20:38]]), False),
            (" ".join([*WORDS[:14], "middle", *WORDS[:14], *WORDS[20:36]]), True),
        ],
        "special_characters": [
            ("★★★★雨雨雨雨雨雨", False),
            ("★★★★雨雨雨雨雨", True),
            ("士士士士１雨雨雨雨雨", True),
            ("2345雨雨雨雨雨", False),
            ("😀😀　\n雨雨雨雨雨", True),
        ],
        "one_character_repeated": [
            ("雨" * 199, False),
            ("雨" * 200, True),
            (" " * 200, True),
            ("雨" * 199 + "\n" + "雨" * 199, False),
        ],
        "ellipsis_lines": [
            ("雨…\n" * 7 + "雨。\n" * 3, False),
            ("雨...\n" * 8 + "雨。\n" * 3, True),
            ("雨…\n" * 6 + "雨。\n" * 3 + "雨…", False),
        ],
        "short_lines": [
            (("雨" * 10 + "\n" + "雨" * 11 + "\n") * 4 + "雨" * 11 + "\n" + "雨", False),
            ("雨\n" + "雨" * 11 + "\n雨", True),
            ("\n\n" + "雨" * 11, True),
        ],
    },
    "fineweb2_ja": {
        "repeated_lines": [(lines(84, 41), False), (lines(83, 41), True), (lines(85, 41), False)],
        "top_2gram": [(phrases(2, 239, 5000), False), (phrases(2, 239, 4999), True), (phrases(2, 239, 5001), False)],
        "top_3gram": [(phrases(3, 49, 2000), False), (phrases(3, 49, 1999), True), (phrases(3, 49, 2001), False)],
        "top_4gram": [(phrases(4, 43, 2750), False), (phrases(4, 43, 2749), True), (phrases(4, 43, 2751), False)],
        "repeated_5grams": [
            (phrases(5, 244, 10_000), False),
            (phrases(5, 244, 9_999), True),
            (phrases(5, 244, 10_001), False),
        ],
        "repeated_6grams": [(phrases(6, 4, 160), False), (phrases(6, 4, 159), True), (phrases(6, 4, 161), False)],
        "repeated_7grams": [
            (phrases(7, 208, 14_000), False),
            (phrases(7, 208, 13_999), True),
            (phrases(7, 208, 14_001), False),
        ],
        "repeated_8grams": [(phrases(8, 20, 1600), False), (phrases(8, 20, 1599), True), (phrases(8, 20, 1601), False)],
        "repeated_9grams": [(phrases(9, 8, 720), False), (phrases(9, 8, 719), True), (phrases(9, 8, 721), False)],
        "repeated_10grams": [
            (phrases(10, 160, 20_000), False),
            (phrases(10, 160, 19_999), True),
            (phrases(10, 160, 20_001), False),
        ],
        "punctuated_lines": [
            ("雨。\n" * 12 + "雨\n" * 113, False),
            ("雨。\n" * 12 + "雨\n" * 114, True),
            ("雨」\n" * 12 + "雨\n" * 112, True),
        ],
        "repeated_line_characters": [
            (lines(9, 1, width=20), False),
            (lines(8, 1, width=20), True),
            (lines(10, 1, width=20), False),
        ],
        "newlines": [
            (" ".join(WORDS[:100]) + "\n" * 13, False),
            (" ".join(WORDS[:99]) + "\n" * 13, True),
            (" ".join(WORDS[:101]) + "\n" * 13, False),
        ],
        "too_short": [
            (" ".join(WORDS[:50]), False),
            (" ".join(WORDS[:49]) + "。", True),
            ("a " * 100_000, False),
            ("a " * 100_001, True),
            ("雨" * 99, False),
            ("雨" * 98, True),
        ],
        "word_length": [("abcdef", False), ("abcdef abcdefg", True), ("abcdef abcde", False), ("雨", False)],
        "hashes": [("#" + " a" * 9, False), ("#" + " a" * 8, True), ("#" + " a" * 10, False)],
        "ellipses": [
            ("…" + " a" * 9, False),
            ("…" + " a" * 8, True),
            ("... " + " a" * 7, False),
            ("... " + " a" * 6, True),
        ],
        "bullets": [("- a\n" * 9 + "a", False), ("• a\n" * 10 + "a", True), ("- a\n" * 8 + "a", False)],
        "ellipsis_lines": [
            ("a...\n" * 3 + "a\n" * 7, False),
            ("a…\n" * 3 + "a\n" * 6, True),
            ("a…\n" * 3 + "a\n" * 8, False),
        ],
        "words_with_letters": [
            ("a " * 759 + "1 " * 241, False),
            ("a " * 758 + "1 " * 242, True),
            ("a " * 760 + "1 " * 240, False),
        ],
        "stop_words": [("の字", True), ("の字の", True), ("の年", False), ("の年・", False)],
    },
    "gopher_en": {
        "repeated_lines": [(lines(7, 3), False), (lines(9, 4), True), (lines(8, 3), False)],
        "repeated_paragraphs": [
            (lines(7, 3).replace("\n", "\n\n"), False),
            (lines(9, 4).replace("\n", "\n\n\n"), True),
            (lines(9, 4), False),
        ],
        "repeated_line_characters": [
            (lines(40, 10, width=9) + "一" * 1, False),
            (lines(3, 1, width=12), True),
            (lines(5, 1, width=12), False),
        ],
        "repeated_paragraph_characters": [
            (lines(3, 1, width=12).replace("\n", "\n\n"), True),
            (lines(5, 1, width=12).replace("\n", "\n\n"), False),
        ],
        "top_2gram": [(phrases(2, 2, 50), False), (phrases(2, 2, 49), True), (phrases(2, 2, 51), False)],
        "top_3gram": [(phrases(3, 9, 400), False), (phrases(3, 9, 399), True), (phrases(3, 9, 401), False)],
        "top_4gram": [(phrases(4, 16, 1100), False), (phrases(4, 16, 1099), True), (phrases(4, 16, 1101), False)],
        "repeated_5grams": [(phrases(5, 4, 200), False), (phrases(5, 4, 199), True), (phrases(5, 4, 201), False)],
        "repeated_6grams": [(phrases(6, 8, 600), False), (phrases(6, 8, 599), True), (phrases(6, 8, 601), False)],
        "repeated_7grams": [(phrases(7, 14, 1400), False), (phrases(7, 14, 1399), True), (phrases(7, 14, 1401), False)],
        "repeated_8grams": [(phrases(8, 4, 400), False), (phrases(8, 4, 399), True), (phrases(8, 4, 401), False)],
        "repeated_9grams": [(phrases(9, 12, 1800), False), (phrases(9, 12, 1799), True), (phrases(9, 12, 1801), False)],
        "repeated_10grams": [(phrases(10, 2, 200), False), (phrases(10, 2, 199), True), (phrases(10, 2, 201), False)],
        "length": [
            ("word " * 50, False),
            ("word " * 49 + "- … !", True),
            ("a " * 100_000, False),
            ("a " * 100_001, True),
        ],
        "word_length": [("abc", False), ("abc ab", True), ("abcdefghij", False), ("abcdefghij abcdefghijk", True)],
        "hashes": [("#" + " a" * 9, False), ("#" + " a" * 8, True)],
        "ellipses": [("a" + " a..." + " a" * 8, False), ("a…" + " a" * 8, True)],
        "bullets": [("- a\n" * 9 + "a", False), ("• a\n" * 10 + "a", True)],
        "ellipsis_lines": [
            ("a...\n" * 3 + "a\n" * 7, False),
            ("a…\n" * 3 + "a\n" * 6, True),
            ("a…\n" * 3 + "\n" * 7, False),
        ],
        "words_with_letters": [("a a a a 1", False), ("a a a 1", True)],
        "stop_words": [("The the", True), ("The cat and dog", False), ("the and of", False)],
    },
    "c4_en": {
        "lorem_ipsum": [("Lorem ipsum dolor.", True), ("Lorem ipsum.", False), ("lorem ipsum dolor sit", False)],
        "curly_bracket": [("a b { c.", True), ("a b } c.", False), ("javascript a { b.", False)],
        "few_sentences": [
            ("One two three. " * 4, True),
            ("One two three. " * 5, False),
            ("One two three.\n" * 4 + "One two", True),
            ("One two three.\n" * 4 + 'He said "no"', False),
            ("One two three.\n" * 4 + "One two three...", True),
            ("One two three.\n" * 4 + "See our privacy policy.", True),
            ("One two three.\n" * 4 + "a b " + "c" * 1001 + ".", True),
        ],
    },
    "fineweb_en": {
        "few_sentences": [("One two three\n" * 5, False), ("One two three\n" * 4, True)],
        "punctuated_lines": [
            ("a.\n" * 3 + "a\n" * 22, False),
            ("a.\n" * 3 + "a\n" * 23, True),
            ('a."\n' * 4 + "a\n" * 20, True),
        ],
        "short_lines": [
            ("a" * 30 + "\n" + "a\n" * 66 + ("a" * 31 + "\n") * 33, False),
            ("a\n" * 67 + ("a" * 31 + "\n") * 32, True),
            ("a\n" * 67 + ("a" * 31 + "\n") * 34, False),
        ],
        "repeated_fineweb_line_characters": [(lines(99, 1), False), (lines(98, 1), True), (lines(100, 1), False)],
        "newlines": [
            (" ".join(WORDS[:10]) + "\n" * 3, False),
            (" ".join(WORDS[:9]) + "\n" * 3, True),
            (" ".join(WORDS[:11]) + "\n" * 3, False),
        ],
    },
    "oscar_strict": {
        "tiny": [("雨\n" * 4, True), ("雨\n" * 5, False), ("雨\n" * 4 + "雨", False), ("雨\n" * 3 + "雨", True)],
        "noisy": [
            ("雨雨12", False),
            ("雨雨123", True),
            ("雨雨雨123", False),
            ("雨雨1234", True),
            ("雨雨12\n3", True),
            ("か\u30991", False),
        ],
        "header": [
            ("雨" * 33 + "\n" + f"{LONG}\n" * 4, True),
            ("雨" * 33 + "a\n" + f"{LONG}\n" * 4, False),
            ("雨\n" + f"{LONG}\n" * 3, False),
            ("雨\n" + f"{LONG}\n" * 9, False),
            ("雨\n雨\n" + f"{LONG}\n" * 8, True),
        ],
        "footer": [
            (f"{LONG}\n" * 4 + "雨" * 33, True),
            (f"{LONG}\n" * 4 + "雨" * 33 + "a", False),
            (f"{LONG}\n" * 9 + "雨", False),
            (f"{LONG}\n" * 8 + "雨\n雨", True),
        ],
        "short_sentences": [
            (("雨" * 100 + "\n") * 5 + f"{LONG}\n" * 5, False),
            (("雨" * 100 + "\n") * 6 + f"{LONG}\n" * 5, True),
            (f"{LONG}\n" * 3, False),
        ],
    },
}
CASES["oscar_lenient"] = {name: CASES["oscar_strict"][name] for name in ("tiny", "noisy")}
CASES["fineweb_en"] = CASES["gopher_en"] | CASES["fineweb_en"]


@pytest.mark.parametrize(("set_name", "name"), [(one, name) for one, cases in CASES.items() for name in cases])
def test_a_text_worked_out_by_hand_gets_the_published_decision(set_name: str, name: str) -> None:
    one = rule(set_name, name)
    texts, expected = zip(*CASES[set_name][name], strict=True)
    table = signals.measure(
        pl.DataFrame({"text": texts}), rule_set(set_name).language, rules.names_to_measure([rule_set(set_name)])
    )
    broken = table.select(rules.broken_by(one, table.schema[one.signal])).to_series().to_list()
    assert broken == list(expected), table[one.signal].to_list()
    assert len(set(broken)) == 2


def test_every_rule_on_text_has_texts_worked_out_by_hand() -> None:
    by_number = {"compression", "language", "host", "wikipedia", "wikipedia_itself", "tld", "board_5ch", "category"}
    for name in SETS:
        for one in rule_set(name).rules:
            if one.requires is None and one.name not in by_number | {
                "empty",
                "no_kana_at_the_start",
                "lorem_ipsum",
                "curly_bracket",
            }:
                assert one.name in CASES[name], f"{name}.{one.name}"


@pytest.mark.parametrize(
    ("set_name", "address", "expected"),
    [
        ("swallow_v1", "https://hayabusa.5ch.net/test", ["board_5ch"]),
        ("swallow_v1", "https://5ch.net/", []),
        ("swallow_v1", "https://ja.wikipedia.org/wiki/x", ["wikipedia"]),
        ("swallow_v1", "http://wikipedia.org", ["wikipedia_itself"]),
        ("swallow_v1", "https://example.org/ja.wikipedia.org", []),
        ("swallow_v1", None, []),
        ("llmjp_v1", "https://ja.wikipedia.org/wiki/x", ["wikipedia"]),
        ("llmjp_v1", "http://ja.wikipedia.org/wiki/x", []),
        ("llmjp_v1", "https://example.co.jp/x", []),
        ("llmjp_v1", "https://example.ru:80/x", ["tld"]),
        ("llmjp_v1_strict", "https://example.xyz/", []),
        ("llmjp_v1_strict", "https://example.dev/", ["tld"]),
        ("llmjp_v1", None, []),
    ],
)
def test_addresses_get_the_published_decision(set_name: str, address: str | None, expected: list[str]) -> None:
    wanted = {"tld", "wikipedia", "wikipedia_itself", "board_5ch"}
    chosen = rule_set(set_name).model_copy(
        update={"rules": [one for one in rule_set(set_name).rules if one.name in wanted]}
    )
    frame = pl.DataFrame({"text": ["a"], "url": [address]}, schema={"text": pl.String, "url": pl.String})
    broken = rules.judge(signals.measure(frame, "ja", rules.names_to_measure([chosen])), [chosen])["broken"][
        0
    ].to_list()
    assert broken == [f"{set_name}.{name}" for name in expected]


def test_what_cannot_be_shipped_is_required_by_name_and_recorded_as_not_run() -> None:
    required = {name: {one.requires for one in rule_set(name).rules if one.requires} for name in SETS}
    assert required == {
        "swallow_v1": {"swallow_ng_words", "swallow_ut1"},
        "llmjp_v1": {"hojichar_ads", "llmjp_adult", "llmjp_discrimination", "llmjp_violence"},
        "llmjp_v1_strict": {"hojichar_ads", "llmjp_adult", "llmjp_discrimination", "llmjp_violence"},
        "hojichar": {
            "hojichar_ads",
            "hojichar_adult",
            "hojichar_adult_en",
            "hojichar_discrimination",
            "hojichar_violence",
            "noun_share",
        },
        "fineweb2_ja": {"glotlid"},
        "fineweb_en": {"fineweb_hosts"},
        "gopher_en": set(),
        "c4_en": {"ldnoobw_en"},
        "oscar_lenient": set(),
        "oscar_strict": set(),
    }
    for name in SETS:
        chosen = rule_set(name)
        table = signals.measure(pl.DataFrame({"text": ["これは文です。"]}), "ja", rules.names_to_measure([chosen]))
        without = {one.name for one in chosen.rules if one.requires or one.signal in signals.SOURCE_SIGNALS}
        assert set(rules.not_run([chosen], table.columns)) == {f"{name}.{one}" for one in without}


@pytest.mark.shared_data
def test_measured_warnings_are_those_that_oscar_wrote(shared_data: Path) -> None:
    import json

    import zstandard

    for language in ("ja", "en"):
        packed = (shared_data / "oscar" / f"constructed_oscar2301_{language}.jsonl.zst").read_bytes()
        records = [json.loads(line) for line in zstandard.ZstdDecompressor().stream_reader(packed).read().splitlines()]
        table = signals.measure(
            pl.DataFrame({"text": [one["content"] for one in records]}), language, {"oscar_warnings"}
        )
        for record, warnings in zip(records, table["oscar_warnings"].to_list(), strict=True):
            assert warnings == (record["metadata"]["quality_warnings"] or []), record["content"][:100]


def test_a_build_measures_published_signals_only_where_a_set_names_them(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    plain = world.build("plain")
    published = world.build("published", {"sources.river.filters": ["oscar_lenient", "llmjp_v1"], "lists": NO_LISTS})
    assert set(published.table().columns) - set(plain.table().columns) >= {"oscar_warnings", "zlib_ratio", "tld"}
    assert any(verdict == "oscar_lenient.tiny" for verdict in published.verdicts().values())
    told = [note for source in published.manifest.sources.values() for note in source.notes if "llmjp_v1.adult" in note]
    assert told == ["the rule llmjp_v1.adult did not run: its signal is not there."]
    again = world.build("again", {"sources.river.filters": ["llmjp_v1", "oscar_lenient"], "lists": NO_LISTS})
    assert again.text_read == 0


NO_LISTS = dict.fromkeys(["hojichar_ads", "llmjp_adult", "llmjp_discrimination", "llmjp_violence"], "none")

SMALL = """
description: A set with one rule.
rules:
  - name: one
    why: Because.
    signal: top_2gram_share
    below: 0.2
    examples:
      keep: ["あいうえおかきくけこ"]
      drop: ["ああああああ"]
"""


def test_a_rule_may_leave_its_limit_out_and_may_name_the_words_that_stay() -> None:
    small = rules.parse_rule_set("small", "small.yaml", SMALL)
    assert rules.check_examples(small) == []
    assert falls(small.rules[0], [0.1, 0.2, None]) == [False, True, False]
    above = rules.parse_rule_set("small", "small.yaml", SMALL.replace("below: 0.2", "above: -1\n    below: 0.2"))
    assert falls(above.rules[0], [-1.0, 0.0]) == [True, False]
    content = SMALL.replace("signal: top_2gram_share", "signal: tld").replace("below: 0.2", "one_of: [jp, com]")
    content = content.replace('["あいうえおかきくけこ"]', "[{value: jp}]").replace('["ああああああ"]', "[{value: ru}]")
    words = rules.parse_rule_set("small", "small.yaml", content)
    assert rules.check_examples(words) == []
    assert falls(words.rules[0], ["com", "org", None]) == [False, True, False]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("below: 0.2", "below: 0.2\n    max: 0.2"), "`max` and `below` say the same thing twice"),
        (("below: 0.2", "below: 0.2\n    min: 0.2"), "`min` 0.2 is above `below` 0.2, so nothing could be kept"),
        (("below: 0.2", "below: .nan"), "`below`"),
        (("below: 0.2", "below: little"), "`below` should be a plain number"),
        (("below: 0.2", "one_of: [a]"), "is a number"),
        (("below: 0.2", "one_of: [a]\n    none_of: [b]"), "`none_of` and `one_of` together"),
        (("below: 0.2", "one_of: [a]\n    max: 1"), "`one_of` compares words"),
        (("signal: top_2gram_share", "signal: words_mine_hits"), "there is no signal 'words_mine_hits'"),
        (("signal: top_2gram_share", "signal: words_mine_hit\n    requires: mine"), "did you mean 'words_mine_hits'?"),
        (("signal: top_2gram_share", "signal: tld"), "holds words"),
    ],
)
def test_a_mistake_with_the_new_keys_is_one_sentence(change: tuple[str, str], expected: str) -> None:
    with pytest.raises(RuleError) as caught:
        rules.parse_rule_set("small", "filters/small.yaml", SMALL.replace(*change))
    assert str(caught.value).startswith("filters/small.yaml, rule one: ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
