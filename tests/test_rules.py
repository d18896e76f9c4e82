"""Rules: verdicts as visible tables, null and NaN as decisions, and rule files that nobody should have written."""

import copy
import random

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_ja.errors import RuleError
from corpus_ja.stages import rules
from corpus_ja.stages.rules import RuleSet, check_examples, judge, not_run, parse_rule_set

GOOD = """
description: Is this Japanese prose at all?
rules:
  - name: too_short
    why: Fragments teach little.
    signal: characters
    min: 20
    max: 100
    examples:
      keep: ["昨日は雨だったので、家で本を読んでいました。"]
      drop: ["短い", {text: "長い文です。", times: 50}]
  - name: category
    why: Some hosts are listed.
    signal: oscar_categories
    none_of: [adult, gambling]
    examples:
      keep: [{value: [blog]}]
      drop: [{value: [blog, adult]}]
  - name: other_lines
    why: Most lines are in another language.
    signal: oscar_other_language_lines
    max: 0.5
    missing: drop
    examples:
      keep: [{value: 0.5}]
      drop: [{value: 0.6}]
"""


def parse(content: str) -> RuleSet:
    return parse_rule_set("prose", "filters/prose.yaml", content)


def parsed(content: str) -> RuleSet | str:
    """The rule set, or the sentence that refuses it; anything else fails the test."""
    try:
        return parse(content)
    except RuleError as error:
        return str(error)


def refusal(content: str) -> str:
    with pytest.raises(RuleError) as refused:
        parse(content)
    sentence = str(refused.value)
    assert sentence.startswith("filters/prose.yaml")
    assert "\n" not in sentence
    return sentence


def test_the_first_broken_rule_in_order_is_the_verdict_and_all_are_kept() -> None:
    table = pl.DataFrame(
        {
            "characters": [19, 20, 100, 101, 50, None],
            "oscar_categories": [["adult"], ["blog"], None, [], ["gambling", "press"], ["adult"]],
            "oscar_other_language_lines": [0.9, 0.5, 0.1, float("nan"), None, 0.0],
        },
        schema_overrides={"characters": pl.UInt32, "oscar_other_language_lines": pl.Float32},
    )
    judged = judge(table, [parse(GOOD)])
    assert judged.to_dict(as_series=False) == {
        "dropped_by": ["prose.too_short", None, None, "prose.too_short", "prose.category", "prose.category"],
        "broken": [
            ["prose.too_short", "prose.category", "prose.other_lines"],
            [],
            [],
            ["prose.too_short", "prose.other_lines"],  # NaN is missing, and this rule drops what is missing
            ["prose.category", "prose.other_lines"],
            ["prose.category"],  # null characters: this rule keeps what is missing
        ],
    }
    assert judged.schema == {"dropped_by": pl.String, "broken": pl.List(pl.String)}


def test_rules_on_absent_columns_drop_nothing_and_are_named() -> None:
    table = pl.DataFrame({"characters": [5, 50]})
    assert judge(table, [parse(GOOD)])["dropped_by"].to_list() == ["prose.too_short", None]
    assert not_run([parse(GOOD)], table.columns) == ["prose.category", "prose.other_lines"]
    assert judge(table.select(x=pl.lit(1)), [parse(GOOD)]).to_dict(as_series=False) == {
        "dropped_by": [None],
        "broken": [[]],
    }


def test_sets_are_judged_in_the_order_given() -> None:
    second = parse_rule_set("other", "other.yaml", GOOD)
    table = pl.DataFrame({"characters": [5]})
    assert judge(table, [second, parse(GOOD)])["broken"].to_list() == [["other.too_short", "prose.too_short"]]


def test_a_value_on_the_limit_is_kept_also_in_single_precision() -> None:
    content = (
        GOOD.replace("signal: characters", "signal: hiragana_share")
        .replace("min: 20", "min: 0.1")
        .replace("max: 100", "max: 0.7")
    )
    table = pl.DataFrame({"hiragana_share": [0.1, 0.7, 0.0999, 0.7001]}, schema={"hiragana_share": pl.Float32})
    assert judge(table, [parse(content)])["dropped_by"].to_list() == [None, None, "prose.too_short", "prose.too_short"]


@given(
    st.lists(st.one_of(st.none(), st.floats(width=32), st.integers(-10, 200)), max_size=20),
    st.sampled_from(["keep", "drop"]),
)
@settings(deadline=None)
def test_every_verdict_is_the_plain_comparison(values: list[float | None], missing: str) -> None:
    rule_set = parse(
        GOOD.replace("min: 20", f"missing: {missing}\n    min: 20").replace(
            "signal: characters", "signal: hiragana_share"
        )
    )
    table = pl.DataFrame({"hiragana_share": values}, schema={"hiragana_share": pl.Float64}, strict=False)
    for value, verdict in zip(table["hiragana_share"], judge(table, [rule_set])["dropped_by"], strict=True):
        dropped = missing == "drop" if value is None or value != value else not 20 <= value <= 100
        assert verdict == ("prose.too_short" if dropped else None)


def test_examples_are_measured_and_judged_by_their_own_rule_alone() -> None:
    assert check_examples(parse(GOOD)) == []
    wrong = GOOD.replace('drop: ["短い",', 'drop: ["これは二十文字より長いので、実際には残ってしまう例です。",')
    (sentence,) = check_examples(parse(wrong))
    assert sentence.startswith("prose, rule too_short: example 1 under `drop` is kept; its characters is ")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            ("signal: characters", "signal: charactrs"),
            "rule too_short: there is no signal 'charactrs'; did you mean 'characters'?",
        ),
        (("signal: characters", "signal: zzz"), "there is no signal 'zzz'"),
        (("min: 20", "min: 200"), "rule too_short: `min` 200 is above `max` 100"),
        (("min: 20", "min: twenty"), "rule too_short: `min` should be a plain number, not 'twenty'"),
        (("min: 20", "min: true"), "rule too_short: `min` should be a plain number"),
        (("min: 20", "min: .nan"), "rule too_short: `min`"),
        (("min: 20", "min: .inf"), "rule too_short: `min`"),
        (("min: 20", "minimum: 20"), "rule too_short: unknown key 'minimum'"),
        (
            ("min: 20\n    max: 100", "missing: keep"),
            "rule too_short: nothing to compare with; give `min`, `max` or `none_of`",
        ),
        (("name: category", "name: too_short"), "rule too_short: this name stands twice"),
        (("name: category", "name: Bad Name"), "rule Bad Name: `name` should be a word of small letters, digits and _"),
        (("why: Fragments teach little.", "why: ''"), "rule too_short: `why` should not be empty"),
        (("    why: Fragments teach little.\n", ""), "rule too_short: `why` is missing"),
        (
            ('      keep: ["昨日は雨だったので、家で本を読んでいました。"]\n', ""),
            "rule too_short: `examples.keep` is missing",
        ),
        (("keep: [{value: [blog]}]", "keep: []"), "rule category: `examples.keep` should have at least one entry"),
        (
            ("keep: [{value: [blog]}]", "keep: [some text]"),
            "rule category: 'oscar_categories' is a column of the source",
        ),
        (("missing: drop", "missing: perhaps"), "rule other_lines: `missing` should be keep or drop, not 'perhaps'"),
        (("none_of: [adult, gambling]", "min: 3"), "rule category: 'oscar_categories' holds words"),
        (("min: 20\n    max: 100", "none_of: [a]"), "rule too_short: 'characters' is a number"),
        (("description:", "descripton:"), "unknown key 'descripton'; did you mean `description`?"),
        (("rules:", "rules: ["), "not YAML"),
        (("min: 20", "min: 20\n    min: 30"), "the key 'min' stands twice"),
        (("min: 20", "min: 2020-13-45"), "not YAML that can be read"),
        (("times: 50", "times: 1000000"), "rule too_short: `examples.drop.1.times`"),
    ],
)
def test_a_mistake_is_answered_by_one_sentence_with_file_and_rule(change: tuple[str, str], expected: str) -> None:
    assert change[0] in GOOD
    content = GOOD.replace(*change, 1)
    assert expected in refusal(content)


NO_RULE_FILES = [
    "",
    "null",
    "[]",
    "just words",
    "- a\n- b",
    "rules: 3",
    "\x00",
    "description: x\nrules: []",
    "1: 2",
    "name: x",
]
NO_RULE_FILES += [
    "!!python/object/apply:os.getcwd []",
    "&a [*a]",
    "? {a: b}\n: c",
    "a: &b {c: *b}\nrules: *b",
    "[" * 5000,
]
NO_RULE_FILES += ["description: x\nrules: [1, [2], null]"]


@pytest.mark.parametrize("content", NO_RULE_FILES)
def test_what_is_no_rule_file_is_refused(content: str) -> None:
    refusal(content)


def test_a_nest_of_aliases_is_refused_without_unfolding_it() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 12)]
    refusal("\n".join([*lines, "rules: *a11", "description: *a11"]))


VALUES: list[object] = [
    None,
    True,
    0,
    -1,
    1e308,
    float("nan"),
    "",
    "x",
    [],
    {},
    [None],
    {"a": 1},
    10**400,
    "characters",
    ["a", 1],
    b"x",
]


def mutated(data: object, chance: random.Random) -> object:
    """The same structure with one thing removed, renamed, doubled or replaced."""
    data = copy.deepcopy(data)
    places: list[tuple[object, object]] = []

    def walk(node: object) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                places.append((node, key))
                walk(value)
        elif isinstance(node, list):
            for place, value in enumerate(node):
                places.append((node, place))
                walk(value)

    walk(data)
    for _ in range(chance.randrange(1, 4)):
        node, key = chance.choice(places)
        assert isinstance(node, dict | list)
        match chance.randrange(4):
            case 0 if isinstance(node, dict):
                node.pop(key, None)
            case 1 if isinstance(node, dict):
                node[chance.choice(["min", "nmae", "none_of", "requires", 3, None, "text"])] = node.get(key)
            case 2 if isinstance(node, list):
                node.extend(node[:2])
            case _ if isinstance(node, dict):
                node[key] = chance.choice(VALUES)
            case _ if isinstance(key, int) and key < len(node):
                node[key] = chance.choice(VALUES)
            case _:
                pass
    return data


def test_thousands_of_mutated_rule_files_never_give_a_traceback() -> None:
    chance = random.Random(7)  # noqa: S311  # test data
    data = yaml.safe_load(GOOD)
    accepted = refused = 0
    for round_number in range(3000):
        if round_number % 2:
            content = yaml.safe_dump(mutated(data, chance), allow_unicode=True)
        else:
            letters = list(GOOD)
            for _ in range(chance.randrange(1, 6)):
                place = chance.randrange(len(letters))
                letters[place] = chance.choice(
                    [*"[]{}:-*&!|>'\"%@#,? \n\t0x.", "", "あ", letters[place] * 2, "\x07", "<<: "]
                )
            content = "".join(letters)
        outcome = parsed(content)
        if isinstance(outcome, str):
            refused += 1
            assert outcome.startswith("filters/prose.yaml")
            assert "\n" not in outcome
            assert len(outcome) < 900
        else:
            accepted += 1
            judged = judge(pl.DataFrame({"characters": [5], "oscar_categories": [["adult"]]}), [outcome])
            assert judged.height == 1
    assert accepted > 100
    assert refused > 1000


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80))
def test_any_text_at_all_is_refused_or_parsed(content: str) -> None:
    outcome = parsed(content)
    assert isinstance(outcome, RuleSet) or outcome.startswith("filters/prose.yaml")


def test_a_column_of_the_mix_is_a_signal_when_it_is_named() -> None:
    content = (
        GOOD.replace("signal: characters", "signal: edu")
        .replace('keep: ["昨日は雨だったので、家で本を読んでいました。"]', "keep: [{value: 30}]")
        .replace('drop: ["短い", {text: "長い文です。", times: 50}]', "drop: [{value: 1}]")
    )
    assert "there is no signal 'edu'" in refusal(content)
    rule_set = rules.parse_rule_set("prose", "filters/prose.yaml", content, frozenset({"edu"}))
    assert check_examples(rule_set) == []
