"""Documents of a build to read: the right ones, the same ones for a seed, with the reason and the offending part."""

import io
import itertools
import json
import re
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from corpus_ja import marking, samples
from corpus_ja.cli import app
from corpus_ja.config import filters_folder, words_folder
from corpus_ja.errors import ConfigError, ManifestError
from corpus_ja.marking import MARKERS, Document, marks
from corpus_ja.report import printable, visible
from corpus_ja.samples import Sample, pieces, print_samples, read_samples, verdict_counts
from corpus_ja.stages import characters, lists, signals
from corpus_ja.stages.published import PUBLISHED
from corpus_ja.stages.rules import Example, Rule, parse_rule_set
from corpus_ja.storage.shards import read_rows
from tests.world import FRAGMENT, QUESTION, Built, World, japanese, write_lines

HOSTILE = (
    "\x1b[31m赤\x1b[0m \u202e\u2066逆\u2069 零\u200b幅\ufeff [bold]太字[/bold] <script>alert(1)</script> \x07\u2028"
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World.make(tmp_path_factory.mktemp("read"))
    (made.folder / "dock.txt").write_text("灯台\n羅針盤\n錨\n", encoding="utf-8")
    rule = """
description: One rule on a word list of the mix, and one that nothing breaks.
rules:
  - {name: docks, why: A test. (Ours), signal: words_dock_hits, max: 4, examples: {keep: [{value: 0}], drop: [{value: 9}]}}
  - {name: endless, why: A test. (Ours), signal: longest_line, max: 900000, examples: {keep: ["あ"], drop: [{text: "あいうえおかきくけこ", times: 10000}]}}
"""
    (made.folder / "docks.yaml").write_text(rule, encoding="utf-8")
    return made


CHANGES = {
    "lists": {"dock": "dock.txt"},
    "sources.river.filters": ["tidy_ja.yaml", "docks.yaml"],
    "sources.harbour.where": "id != 'h7'",
    "budget": 2500,
}


@pytest.fixture(scope="module")
def built(world: World) -> Built:
    text = f"{japanese('docks', 6)}\n灯台、羅針盤、錨、灯台、錨、羅針盤。"
    write_lines(world.folder / "river" / "c.jsonl", [{"id": "docks", "text": text}])
    return world.build(changes=CHANGES)


def chosen(built: Built, n: int = 1000, **given_: object) -> list[Sample]:
    return read_samples(built.manifest, built.work, n=n, **given_)  # type: ignore[arg-type]


def test_every_document_can_be_read_with_the_verdict_and_the_text_that_the_build_has(built: Built) -> None:
    verdicts = built.verdicts()
    texts = {
        row[0]: row[1]
        for path in built.work.glob("documents/*/[0-9]*.parquet")
        if "set_aside" not in path.name
        for row in pl.read_parquet(path).select("id", "text").rows()
    }
    found = {one.id: one for one in chosen(built) if not (one.verdict or "").startswith("unreadable/")}
    assert {name: one.verdict for name, one in found.items()} == verdicts
    assert {name: one.text for name, one in found.items() if name in texts} == texts
    assert all(one.cut == 0 and one.offset == 0 for one in found.values())
    assert all(one.source == one.id.partition("/")[0] for one in found.values())


def test_the_counts_are_those_of_the_documents_that_can_be_read(built: Built) -> None:
    counted = verdict_counts(built.manifest)
    for verdict, count in counted.items():
        wanted = {"kept": True} if verdict == "kept" else {"dropped_by": verdict}
        assert len(chosen(built, **wanted)) == count, verdict
    assert list(counted.values()) == sorted(counted.values(), reverse=True)


def test_a_seed_chooses_and_more_documents_hold_fewer(built: Built) -> None:
    ids = [one.id for one in chosen(built, kept=True)]
    assert [one.id for one in chosen(built, 5, kept=True)] == ids[:5]
    assert [one.id for one in chosen(built, kept=True, seed=7)] != ids
    assert sorted(one.id for one in chosen(built, kept=True, seed=7)) == sorted(ids)
    of_hill = [one.id for one in chosen(built, kept=True, source="hill")]
    assert of_hill == [name for name in ids if name.startswith("hill/")]


def test_without_a_verdict_every_verdict_comes_once_before_any_comes_twice(built: Built) -> None:
    counted = verdict_counts(built.manifest)
    first = [one.verdict or "kept" for one in chosen(built, len(counted))]
    assert first == list(counted)
    some = [one.verdict or "kept" for one in chosen(built, 2)]
    assert some == list(counted)[:2]


def test_a_broken_rule_has_the_value_that_was_measured_and_the_limit_as_it_was(built: Built) -> None:
    table = built.table()
    for one in chosen(built, dropped_by="tidy_ja"):
        row = table.filter(pl.col("id") == one.id).row(0, named=True)
        assert [broken.rule for broken in one.broken] == row["broken"].split(",")
        for broken in one.broken:
            assert broken.value == row[broken.signal]
            limits = {"tidy_ja.short": (60.0, None, "≥ 60"), "tidy_ja.exclaiming": (None, 0.5, "≤ 0.5")}
            if broken.rule in limits:
                assert (broken.min, broken.max, broken.limit) == limits[broken.rule]
    (one,) = chosen(built, dropped_by="exclaiming")
    assert one.marked == "tidy_ja.exclaiming"
    assert {piece for piece, marked in pieces(one) if marked} == {"今だけお買い得、見に来てください。"}


def test_the_words_of_a_list_of_the_mix_are_marked(built: Built, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.folder)
    (one,) = chosen(built, dropped_by="docks")
    assert one.id == "river/docks"
    assert {piece for piece, marked in pieces(one) if marked} == {"灯台", "羅針盤", "錨"}
    monkeypatch.chdir("/")
    (one,) = chosen(built, dropped_by="docks")
    assert "羅針盤" not in {piece for piece, marked in pieces(one) if marked}


def test_the_evaluation_item_is_marked_in_a_contaminated_document(built: Built) -> None:
    (one,) = [one for one in chosen(built, dropped_by="decontaminate") if one.verdict == "decontaminate.quiz"][:1]
    assert [piece for piece, marked in pieces(one) if marked] == [QUESTION]
    assert "quiz/1" in (one.verdict_note or "")


def test_notes_say_which_document_stays_and_which_language_was_found(built: Built) -> None:
    table = {row["id"]: row for row in built.table().rows(named=True)}
    for one in chosen(built, dropped_by="duplicate"):
        assert (one.verdict_note or "").startswith(f"{table[one.id]['cluster']} stays")
        assert one.marks == ()
    for one in chosen(built, dropped_by="language"):
        assert f"language is {table[one.id]['language']}" in (one.verdict_note or "")
        assert "asks for ja" in (one.verdict_note or "")
    held = built.held_out()
    for one in chosen(built, kept=True):
        assert ("held out" in (one.verdict_note or "")) == (one.id in held)
    left = chosen(built, dropped_by="where")
    assert "harbour/h7" in {one.id for one in left}
    assert all("left out while reading" in (one.verdict_note or "") for one in left)


def test_records_that_could_not_be_read_are_shown_by_how_they_begin(built: Built) -> None:
    found = {one.verdict: one for one in chosen(built, dropped_by="unreadable")}
    assert found["unreadable/not_json"].text.startswith('{"id": "cut", "text": "途中で')
    assert found["unreadable/not_json"].id == "river/b.jsonl#0"
    assert [one.id for one in chosen(built, dropped_by="not_json")] == ["river/b.jsonl#0"]


def test_only_the_texts_that_are_shown_are_read(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    original = read_rows

    def counting(path: Path, columns: list[str], rows: npt.NDArray[np.int64]) -> pl.DataFrame:
        if "text" in columns:
            read.append(len(rows))
        return original(path, columns, rows)

    monkeypatch.setattr(samples, "read_rows", counting)
    assert len(chosen(built, 3, kept=True)) == sum(read) == 3


def test_a_verdict_or_source_that_is_not_there_is_a_sentence_with_a_suggestion(built: Built) -> None:
    with pytest.raises(ConfigError, match=r"no such verdict; did you mean exclaiming\?"):
        chosen(built, dropped_by="exclaming")
    with pytest.raises(ConfigError, match=r"no such source; did you mean river\?"):
        chosen(built, source="rivr")
    with pytest.raises(ConfigError, match="is a rule of this build, and no document was dropped by it"):
        chosen(built, dropped_by="endless")
    with pytest.raises(ConfigError, match="not both"):
        chosen(built, dropped_by="language", kept=True)
    with pytest.raises(ManifestError, match="There is no work folder"):
        samples.work_of(built.folder, built.folder / "nowhere")
    with pytest.raises(ManifestError, match=r"are not in .* build again"):
        read_samples(built.manifest, built.folder, n=1)


def test_a_manifest_of_an_older_version_gives_samples_without_limits(built: Built) -> None:
    old = built.manifest.model_copy(update={"rules": {}})
    (one,) = read_samples(old, built.work, n=9, dropped_by="tidy_ja.exclaiming")
    assert [(broken.rule, broken.signal, broken.value) for broken in one.broken] == [("tidy_ja.exclaiming", "", None)]
    out = io.StringIO()
    print_samples([one], Console(file=out, width=80))
    assert "its limits are not in this build's manifest" in out.getvalue()


# ---------------------------------------------------------------------------------------------------------------- marks


def drop_examples() -> list[tuple[str, Rule, str]]:
    found = []
    for file in sorted(filters_folder().glob("*.yaml")):
        rule_set = parse_rule_set(file.stem, str(file), file.read_text(encoding="utf-8"))
        for rule in rule_set.rules:
            for example in rule.examples.drop:
                text = example if isinstance(example, str) else (example.text or "") * example.times
                if text and rule.signal in MARKERS:
                    found.append((rule_set.language, rule, text))
    return found


def test_something_is_marked_in_every_example_that_a_shipped_rule_with_a_marker_drops() -> None:
    tried = set()
    for language, rule, text in drop_examples():
        value = signals.measure(pl.DataFrame({"text": [text]}), language, {rule.signal} & set(PUBLISHED))[rule.signal][
            0
        ]
        if value is None:
            continue
        high = rule.max if rule.max is not None else rule.below
        excess = high is not None and value >= high
        own = MARKERS[rule.signal]
        if (own.excess if excess else own.lack) is None:
            continue
        spans = marks(rule.signal, Document(text, language), excess=excess)
        assert spans, (rule.name, rule.signal, text[:80])
        assert all(0 <= start < end <= len(text) for start, end in spans)
        assert all(one[1] < other[0] for one, other in itertools.pairwise(spans))
        tried.add(rule.signal)
    assert len(tried) > 50


def test_every_marker_belongs_to_a_signal_and_an_unknown_signal_gives_no_marks() -> None:
    assert set(MARKERS) <= set(signals.SIGNALS) | set(PUBLISHED)
    assert marks("no_such_signal", Document("なにか"), excess=True) == ()
    assert marks("words_unknown_hits", Document("なにか"), excess=True) == ()
    assert marks("characters", Document("なにか"), excess=False) == ()


@settings(deadline=None)
@given(st.text(alphabet="アスパラガス今だけセールabs893１円送料無料ー \n", max_size=60))
def test_as_many_words_are_marked_as_the_list_counts(text: str) -> None:
    words = ("アス", "パラ", "ガス", "今だけ", "セール", "abs", "893", "ア", "ス")
    for boundaries in (True, False):
        search = lists.WordSearch([lists.Words("own", words, boundaries)])
        hits = search.measure(pl.Series([text]))["words_own_hits"][0]
        spans = list(marking._words(text, marking.Words(words, boundaries)))
        assert len(spans) == hits
    counted = signals._word_counts(pl.Series([text]), "ja")[0][0]
    assert len(marking._shop(Document(text))) == counted


@pytest.mark.parametrize(
    ("signal", "counter"),
    [
        ("table_line_share", "table_line_length"),
        ("number_line_share", "number_line_length"),
        ("code_line_share", "code_line_length"),
    ],
)
@settings(deadline=None)
@given(text=st.text(alphabet="あい1|\t{;=。 \n", max_size=80))
def test_marked_lines_hold_just_the_length_that_the_signal_counts(signal: str, counter: str, text: str) -> None:
    counts = [characters.count(points, offsets) for points, offsets in characters.code_points(pl.Series([text]))]
    spans = marks(signal, Document(text), excess=True)
    length = sum(len(re.sub(r"\s", "", text[start:end])) for start, end in spans)
    assert length == counts[0][0, characters.COUNTERS.index(counter)]


@pytest.mark.parametrize(
    ("signal", "excess", "text", "marked"),
    [
        ("url_share", True, "詳しくは https://example.com/a?b=1 を見る。", ["https://example.com/a?b=1"]),
        ("prices_per_1000", True, "定価 1,980円、送料 ¥500 です。", ["1,980円", "¥500"]),
        ("digit_share", True, "２０２４年、12月", ["２０２４", "12"]),
        ("longest_character_run", True, "ああ！！！！！おわり", ["！！！！！"]),
        ("replacement_character_share", True, "文\ufffd\ufffd字", ["\ufffd\ufffd"]),
        ("mojibake_share", True, "前 ã“ã‚“ã 後", ["ã“ã‚“ã"]),
        ("bullet_line_share", True, "・ひとつ\n本文です。\n・ふたつ", ["・ひとつ", "・ふたつ"]),
        ("ellipsis_line_share", True, "続きは…\n本文です。", ["続きは…"]),
        ("cut_off_line_share", True, "続きは…\n雨は昼過ぎからみぞれに変わり、駅前の時計は四時を・・・", ["雨は昼過ぎからみぞれに変わり、駅前の時計は四時を・・・"]),
        ("longest_sentence", True, "短い。とても長い文がここに続いている。短い。", ["とても長い文がここに続いている。"]),
        ("repeated_sentence_share", True, "同じことを何度も言います。別の話です。同じことを何度も言います。", ["同じことを何度も言います。"] * 2),
        ("ended_line_share", False, "終わる。\n終わらない", ["終わらない"]),
        ("japanese_letter_share", False, "日本語 and English 語", ["and English"]),
        ("repeated_5gram_worst_window", True, "あいうえおかきくけこあいうえおさしすせそ", ["あいうえお"]),
        ("top_2gram_share", True, "ああかさ、かさい、かさう", ["かさ"] * 3),
        ("gopher_repeated_5gram_characters", True, "a b c d e x a b c d e", ["a b c d e"]),
        ("c4_lorem_ipsum", True, "Then Lorem Ipsum dolor", ["Lorem Ipsum"]),
        ("shop_words_per_1000", True, "本日は送料無料のセール", ["送料無料", "セール"]),
    ],
)  # fmt: skip
def test_the_offending_part_is_what_a_person_would_point_at(
    signal: str, excess: bool, text: str, marked: list[str]
) -> None:
    assert [text[start:end] for start, end in marks(signal, Document(text), excess=excess)] == marked


def test_an_item_is_found_across_spaces_width_and_voicing() -> None:
    text = "前置き。ｶﾞﾗｽの ＡＢＣ を、静かに\n運んだ日の記録。後書き。"
    spans = marking.overlap(text, ["ガラスのABCを静かに運んだ日の記録"], 13)
    assert [text[start:end] for start, end in spans] == ["ｶﾞﾗｽの ＡＢＣ を、静かに\n運んだ日の記録"]
    assert marking.overlap("関係のない文。", ["おたま", "しゃもじ"], 13) == ()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=12))
def test_joined_spans_cover_the_same_places_and_never_touch(spans: list[tuple[int, int]]) -> None:
    result = marking.joined(spans)
    assert {place for start, end in result for place in range(start, end)} == {
        place for start, end in spans for place in range(start, end)
    }
    assert all(one[1] < other[0] for one, other in itertools.pairwise(result))


@settings(deadline=None)
@given(st.integers(0, 120), st.lists(st.tuples(st.integers(0, 119), st.integers(1, 9)), max_size=5), st.integers(1, 60))
def test_a_cut_text_shows_its_first_mark_and_marks_the_same_characters(
    length: int, given_: list[tuple[int, int]], shown: int
) -> None:
    text = "".join(chr(0x4E00 + place) for place in range(length))
    spans = marking.joined((start, min(start + size, length)) for start, size in given_)
    offset, window, inside = samples._window(text, spans, shown)
    assert window == text[offset : offset + shown]
    assert len(window) == min(shown, length)
    whole = {text[place] for start, end in spans for place in range(start, end)}
    assert {window[place] for start, end in inside for place in range(start, end)} == whole & set(window)
    if spans:
        assert text[spans[0][0]] in window


def test_a_very_long_document_is_marked_and_cut_in_little_time() -> None:
    text = "ふつうの文がここにあります。" * 400_000 + "https://example.com/" + "あ" * 100
    began = time.process_time()
    for signal in (
        "url_share",
        "repeated_line_share",
        "repeated_10gram_worst_window",
        "short_line_share",
        "top_3gram_share",
    ):
        spans = marks(signal, Document(text), excess=True)
        offset, shown, _ = samples._window(text, spans, 4000)
        assert len(shown) == 4000
        assert offset + 4000 <= len(text)
    assert time.process_time() - began < 10


# -------------------------------------------------------------------------------------------------------------- showing


def hostile_sample() -> Sample:
    broken = samples.Broken(f"x.{HOSTILE}", HOSTILE, 1.0, None, 0.5, HOSTILE, None, HOSTILE)
    return Sample(
        HOSTILE, f"web/{HOSTILE}", f"http://{HOSTILE}", f"x.{HOSTILE}", (broken,), f"{HOSTILE}\n\t{HOSTILE}", 0,
        ((3, 9),), verdict_note=HOSTILE,
    )  # fmt: skip


@pytest.mark.parametrize("terminal", [True, False])
def test_hostile_text_is_shown_and_obeyed_by_nobody(terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=terminal, color_system="standard" if terminal else None)
    print_samples([hostile_sample()], console)
    shown = out.getvalue()
    ours = re.sub(r"\x1b\[[0-9;]*m", "", shown) if terminal else shown
    assert "\\x1b[31m" in ours.replace("\n", "").replace(" ", "")
    assert "\\u202e" in ours
    assert "[bold]太字[/bold]" in ours
    assert "<script>alert(1)</script>" in ours
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]", ours)
    # the only escapes are rich's own, for styles that we chose; none sets a colour of the text's
    assert "\x1b[31m" not in shown


@settings(deadline=None)
@given(st.text(max_size=40))
def test_what_is_visible_holds_nothing_that_a_terminal_obeys_and_keeps_the_rest(text: str) -> None:
    shown = visible(text)
    assert all(one.isprintable() or one.isspace() for one in shown)
    assert not re.search("[\x00-\x1f\x7f-\x9f]", shown)
    if text.isprintable():
        assert shown == text
    assert "[" in text or "\\" in text or printable(text) == shown


def test_a_pipe_gets_brackets_round_the_marks_and_a_terminal_gets_none(built: Built) -> None:
    (one,) = chosen(built, dropped_by="tidy_ja.exclaiming")
    texts = {}
    for terminal in (True, False):
        out = io.StringIO()
        print_samples(
            [one],
            Console(
                file=out,
                width=80,
                force_terminal=terminal,
                color_system="standard" if terminal else None,
                no_color=None,
            ),
        )
        texts[terminal] = out.getvalue()
    assert texts[False].count(samples.OPENS) == len(one.marks) == 12
    assert "\x1b" not in texts[False]
    assert samples.OPENS not in texts[True]
    assert "\x1b[7m" in texts[True]
    for text in texts.values():
        assert "dropped by tidy_ja.exclaiming" in text
        assert "limit ≤ 0.5 (marked)" in text
        assert "The world's planted advertising says the same again and again." in " ".join(text.split())


def test_the_command_shows_json_and_text_and_takes_the_newest_build(
    built: Built, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.folder)
    runner = CliRunner()
    answer = runner.invoke(app, ["samples", "--dropped-by", "short", "-n", "1", "--json"])
    assert answer.exit_code == 0
    (one,) = json.loads(answer.stdout)
    assert "builds/world, the newest build" in answer.stderr
    assert (one["verdict"], one["text"]) == ("tidy_ja.short", FRAGMENT)
    assert one["broken"][0]["value"] == len(FRAGMENT)
    assert json.loads(answer.stdout) == [samples.as_json(sample) for sample in chosen(built, 1, dropped_by="short")]
    shown = runner.invoke(app, ["samples", str(built.folder), "--kept", "--source", "hill", "-n", "2"])
    assert shown.exit_code == 0
    assert shown.stdout.count("kept") >= 2
    assert max(map(len, shown.stdout.splitlines())) <= 80
    wrong = runner.invoke(app, ["samples", str(built.folder), "--dropped-by", "shrt"])
    assert isinstance(wrong.exception, ConfigError)


def test_the_lists_that_are_shipped_can_be_marked() -> None:
    names = {path.stem for path in words_folder().glob("*.txt")}
    assert names
    for name in names:
        words = lists.parse_words((words_folder() / f"{name}.txt").read_text(encoding="utf-8"))
        text = f"前。{words[0]}。後"
        spans = marks(f"words_{name}_hits", Document(text, lists={name: marking.Words(words)}), excess=True)
        assert [text[start:end] for start, end in spans] == [words[0]]


def test_examples_with_text_are_examples() -> None:
    assert any(isinstance(one, Example) for _, rule, _ in drop_examples() for one in rule.examples.drop)
