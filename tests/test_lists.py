"""Word and host lists: against an obvious reference, at the boundaries, and through whole builds."""

import re
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_ja import config
from corpus_ja.config import load_mix
from corpus_ja.errors import ConfigError, RuleError
from corpus_ja.stages import lists
from corpus_ja.stages.lists import Hosts, Words, WordSearch, measure_hosts, parse_hosts, parse_words
from tests.conftest import REPOSITORY
from tests.world import World, japanese

OURS = sorted((REPOSITORY / "filters" / "words").glob("*.txt"))
KATAKANA = re.compile(r"[ァ-ヺー-ヾㇰ-ㇿｦ-ﾟ]")
LATIN = re.compile(r"[0-9A-Za-z０-９Ａ-Ｚａ-ｚ]")


def narrow(text: str) -> str:
    """Small ASCII for Latin letters and digits, full-width ones too; nothing else changes, so positions stay."""
    plain = "".join(
        chr(ord(c) - 0xFEE0) if "０" <= c <= "９" or "Ａ" <= c <= "Ｚ" or "ａ" <= c <= "ｚ" else c for c in text
    )
    return "".join(c.lower() if c.isascii() else c for c in plain)


def reference(text: str, words: list[str], *, boundaries: bool) -> tuple[int, int, int]:
    """Hits, distinct words and covered characters, one character after the other."""
    plain, hits, found, covered, place = narrow(text), 0, set(), 0, 0
    while place < len(plain):
        candidates = []
        for word in words:
            end = place + len(word)
            if plain[place:end] != narrow(word):
                continue
            inside = any(
                script.match(neighbour) and script.match(edge)
                for script in (KATAKANA, LATIN)
                for neighbour, edge in ((text[place - 1 : place], text[place]), (text[end : end + 1], text[end - 1]))
            )
            if not (boundaries and inside):
                candidates.append(word)
        if candidates:
            longest = max(candidates, key=len)
            hits, covered, place = hits + 1, covered + len(longest), place + len(longest)
            found.add(longest)
        else:
            place += 1
    return hits, len(found), covered


def one(text: str, words: list[str], *, boundaries: bool = True) -> dict[str, object]:
    found = WordSearch([Words("x", tuple(words), boundaries)]).measure(pl.Series("text", [text]))
    return {name.removeprefix("words_x_"): found[name][0] for name in found.columns}


ALPHABET = "アスパラガス・ーｱｽabAB1ａＢ１死ぬ。 \n𠮷é"
words_of = st.lists(
    st.text(st.sampled_from("アスパラガｱabB1ａ死ぬ𠮷é"), min_size=1, max_size=3), min_size=1, max_size=6
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.text(st.sampled_from(ALPHABET), max_size=25), min_size=1, max_size=4), words_of, words_of, st.booleans()
)
def test_every_list_counts_what_the_plain_reference_counts_whatever_else_is_searched(
    texts: list[str], first: list[str], second: list[str], boundaries: bool
) -> None:
    # two spellings of one word would be two words of a list to nobody
    first, second = (list({narrow(word): word for word in some}.values()) for some in (first, second))
    search = WordSearch([Words("a", tuple(first), boundaries), Words("b", tuple(second), True)])
    found = search.measure(pl.Series("text", texts))
    for name, words, bounded in (("a", first, boundaries), ("b", second, True)):
        for row, text in enumerate(texts):
            hits, distinct, covered = reference(text, words, boundaries=bounded)
            assert found[f"words_{name}_hits"][row] == hits
            assert found[f"words_{name}_distinct"][row] == distinct
            length = len(re.sub(r"\s", "", text))
            expected = pytest.approx(covered / length) if length else None
            assert found[f"words_{name}_coverage"][row] == expected


@pytest.mark.parametrize(
    ("text", "word", "hits"),
    [
        ("アスパラガスを茹でる。", "アス", 0),
        ("明日（アス）のこと。", "アス", 1),
        ("ガス・アス・パラ", "アス", 1),
        ("ピエロ本人が来た。", "エロ本", 0),
        ("1893年に生まれた。", "893", 0),
        ("８９３と名乗る。", "893", 1),
        ("ASMRの動画", "SM", 0),
        ("ＳＭの話", "sm", 1),
        ("スーパーの前", "パー", 0),
        ("ハッピーアワー", "ピーア", 0),
    ],
)
def test_a_word_inside_a_longer_katakana_or_latin_word_does_not_count(text: str, word: str, hits: int) -> None:
    assert one(text, [word])["hits"] == hits


def test_without_boundaries_every_occurrence_counts() -> None:
    assert one("アスパラガス", ["アス"], boundaries=False)["hits"] == 1


def test_a_shorter_word_is_found_where_the_longer_one_lies_inside_another_word() -> None:
    assert one("ガスガスa", ["ガス", "ガスガス"])["hits"] == 1
    assert one("死ぬほど", ["死", "死ぬ"])["hits"] == 1
    assert one("死ぬabc", ["死", "死ぬab"])["hits"] == 1


def test_shares_are_of_the_length_and_of_the_letters_that_swallow_counts() -> None:
    found = one("死 死。ab", ["死"])
    assert found["coverage"] == pytest.approx(2 / 5)
    assert found["of_japanese"] == pytest.approx(2 / 3)  # 死, 死 and 。
    assert found["per_1000"] == pytest.approx(400)
    assert found["evidence"] == 0  # one word is no evidence, however often it stands
    assert one("亜異宇絵尾火", list("亜異宇絵尾火"))["evidence"] == pytest.approx(1000)


def test_empty_texts_have_no_share_and_texts_without_a_word_have_zero() -> None:
    found = WordSearch([Words("x", ("死",))]).measure(pl.Series("text", ["", None, " \n", "生きる。"], dtype=pl.String))
    assert found["words_x_coverage"].to_list() == [None, None, None, 0]
    assert found["words_x_hits"].to_list() == [0, 0, 0, 0]


def test_words_are_found_across_the_borders_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "BLOCK", 7)
    text = "あ死ぬい死ぬほどう死" * 20
    hits, distinct, _ = reference(text, ["死", "死ぬ", "死ぬほど"], boundaries=True)
    found = one(text, ["死", "死ぬ", "死ぬほど"])
    assert (found["hits"], found["distinct"]) == (hits, distinct)


def test_a_long_text_of_one_word_takes_linear_time() -> None:
    def seconds(times: int) -> float:
        started = time.process_time()
        one("死" * times, ["死", "死死"])
        return time.process_time() - started

    seconds(1000)
    assert seconds(400_000) < 1 + 20 * seconds(40_000)


def test_a_list_file_has_comments_and_one_word_a_line() -> None:
    assert parse_words("# source, licence\n\nアス \r\nか\u3099\n#タグ\nアス\n") == ("アス", "が", "#タグ")


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_our_lists_say_where_they_come_from_and_hold_no_single_character_or_word_twice(path: Path) -> None:
    first, *rest = path.read_text(encoding="utf-8").split("\n")
    assert first.startswith("# ")
    assert "Source: " in first
    assert "Licence: " in first
    words = [line for line in rest if line]
    assert list(parse_words(path.read_text(encoding="utf-8"))) == words
    assert all(len(word) > 1 for word in words)


@pytest.mark.shared_data
def test_our_adult_list_is_no_evidence_against_good_prose(shared_data: Path) -> None:
    import orjson
    import zstandard

    path = shared_data / "prose_ja" / "living.jsonl.zst"
    with zstandard.open(path, "rb") as file:
        texts = [orjson.loads(line)["text"] for line in file.read().split(b"\n") if line]
    listed = [Words(path.stem, parse_words(path.read_text(encoding="utf-8"))) for path in OURS]
    found = WordSearch(listed).measure(pl.Series("text", texts))
    for one_list in listed:
        assert found[f"words_{one_list.name}_evidence"].max() == 0


# ---------------------------------------------------------------------------------------------------------------- hosts

BLOCKED = "# ours\nbad.example\n0.0.0.0 worse.example\nHTTP://www.Some.example/Shop/\n日本語.jp\n192.0.2.7\n"


@pytest.mark.parametrize(
    ("url", "inside"),
    [
        ("https://bad.example/", 1),
        ("https://a.b.bad.example:8080/page?x=1", 1),
        ("http://user@bad.example", 1),
        ("https://notbad.example/", 0),
        ("https://example/", None),
        ("http://worse.example/x", 1),
        ("https://www.some.example/shop/item", 1),
        ("https://www.some.example/shopping", 0),
        ("https://www.some.example/", 0),
        ("https://xn--wgv71a119e.jp/", 1),
        ("https://日本語.jp/案内", 1),
        ("http://192.0.2.7/x", 1),
        ("http://7.192.0.2/x", 0),
        ("mailto:someone", None),
        ("", None),
        (None, None),
    ],
)
def test_an_entry_covers_its_subdomains_and_the_addresses_below_its_path(url: str | None, inside: int | None) -> None:
    found = measure_hosts(pl.Series("url", [url], dtype=pl.String), Hosts("x", {"": parse_hosts(BLOCKED)}))
    assert found.columns == ["host_in_x"]
    assert found["host_in_x"].to_list() == [inside]


def test_categories_are_named_and_only_the_chosen_ones_count() -> None:
    entries = {"adult": parse_hosts("bad.example"), "blog": parse_hosts("bad.example\nfine.example")}
    urls = pl.Series("url", ["https://bad.example", "https://fine.example", "https://other.example", None])
    found = measure_hosts(urls, Hosts("ut1", entries, ("adult",)))
    assert found["host_in_ut1"].to_list() == [1, 0, 0, None]
    assert found["host_categories_ut1"].to_list() == [["adult", "blog"], ["blog"], [], None]


@pytest.mark.shared_data
def test_a_folder_of_ut1_is_read_as_it_comes(shared_data: Path, tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(shared_data / "wordlists" / "ut1_subset.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    world = World.make(tmp_path / "world")
    listing = {"path": str(tmp_path / "blacklists"), "categories": ["gambling", "dating"]}
    loaded = load_mix(world.mix(changes={"lists": {"ut1": listing}}))
    assert loaded.lists[0].kind == "hosts"
    assert {"gambling", "blog"} <= {category for category, _, _ in loaded.lists[0].files}


# ---------------------------------------------------------------------------------------------------------- in a build

RULE = """
description: One rule on a list.
rules:
  - name: rainy
    why: A test drops rain. (Ours)
    signal: words_rain_distinct
    max: 1
    requires: rain
    examples: {keep: [{value: 0}], drop: [{value: 2}]}
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World.make(tmp_path)
    (made.folder / "rain.txt").write_text("# ours, MIT\n雨\n霧\n", encoding="utf-8")
    (made.folder / "hosts.txt").write_text("river.example/3\n", encoding="utf-8")
    (made.folder / "rainy.yaml").write_text(RULE, encoding="utf-8")
    return made


def test_rules_and_where_use_the_lists_columns_and_a_new_list_measures_only_itself(world: World) -> None:
    rules = {"sources.river.filters": ["tidy_ja.yaml", "rainy.yaml"]}
    built = world.build(changes={"lists": {"rain": "rain.txt", "banned": "hosts.txt"}, **rules})
    table = built.table()
    wet = {f"river/r{n}" for n in range(30) if all(word in japanese(f"river {n}") for word in "雨霧")}
    assert wet
    fell = set(table.filter(pl.col("dropped_by") == "rainy.rainy")["id"])
    assert {name for name in fell if name.startswith("river/r")} == wet
    assert set(table.filter(pl.col("host_in_banned") == 1)["id"]) == {"river/r3"}
    (world.folder / "rain.txt").write_text("雨\n霧\n雪\n", encoding="utf-8")
    again = world.build(changes={"lists": {"rain": "rain.txt", "banned": "hosts.txt"}, **rules})
    assert set(again.tasks_now("documents", "chance", "tokens").values()) == {0}
    assert set(again.table().filter(pl.col("dropped_by") == "rainy.rainy")["id"]) > fell
    kept = {"sources.river.where": "host_in_banned = 0 AND score >= 1"}
    chosen = world.build(changes={"lists": {"rain": "rain.txt", "banned": "hosts.txt"}, **kept})
    assert set(chosen.tasks_now("documents", "lists").values()) == {0}
    verdicts = chosen.verdicts()
    assert verdicts["river/r3"] == verdicts["river/r5"] == "where"  # r5 has the score 0
    assert verdicts["river/r4"] is None


def test_a_list_that_is_done_without_is_recorded_and_one_that_is_forgotten_is_an_error(world: World) -> None:
    filters = {"sources.river.filters": ["rainy.yaml"]}
    built = world.build(changes={"lists": {"rain": "none"}, **filters})
    assert "the rule rainy.rainy did not run" in " ".join(built.manifest.sources["river"].notes)
    with pytest.raises(RuleError, match=r"rainy.yaml, rule rainy: it needs the list rain, .* `lists: \{rain: none\}`"):
        load_mix(world.mix(changes=filters))


def test_a_list_of_ours_that_a_rule_asks_for_is_there_without_a_word(world: World) -> None:
    rule = RULE.replace("words_rain_distinct", "words_adult_ja_evidence").replace("rain\n", "adult_ja\n")
    (world.folder / "rainy.yaml").write_text(rule, encoding="utf-8")
    built = world.build(changes={"sources.river.filters": ["rainy.yaml"]})
    assert built.table()["words_adult_ja_evidence"].max() == 0
    assert built.manifest.sources["river"].notes == []


def test_a_list_comes_out_of_an_installed_package(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    package = world.folder / "packages" / "wordy" / "dict"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("raise RuntimeError('never imported')")
    (package / "rain.txt").write_text("雨\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(world.folder / "packages"))
    assert load_mix(world.mix(changes={"lists": {"rain": "package:wordy/dict/rain.txt"}})).lists[0].kind == "words"
    assert "wordy" not in sys.modules


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("nowhere.txt", "there is no file or folder .*nowhere.txt; lists of ours are: adult_ja"),
        ("package:not_installed_here/x.txt", "the package 'not_installed_here' is not installed here"),
        ("package:polars/no_such_file", "the package polars holds no no_such_file"),
        ("empty.txt", "empty.txt holds no entry"),
        ("river", "river holds no CATEGORY/domains"),
        ("latin1.txt", "latin1.txt is not UTF-8 text"),
        ({"path": "rain.txt", "categories": ["adult"]}, "is one file and has no categories"),
        ({"path": "rain.txt", "kinds": "words"}, "did you mean `kind`"),
        ({"path": "ut1", "categories": ["adlut"]}, "has no category adlut; did you mean adult"),
        ({"path": "ut1", "kind": "words"}, "is a folder, and a word list is one file"),
    ],
)
def test_a_list_that_cannot_be_had_is_one_sentence_with_the_line(world: World, given: object, sentence: str) -> None:
    (world.folder / "empty.txt").write_text("# nothing\n", encoding="utf-8")
    (world.folder / "latin1.txt").write_bytes("été".encode("latin-1"))
    (world.folder / "ut1" / "adult").mkdir(parents=True)
    (world.folder / "ut1" / "adult" / "domains").write_text("bad.example\n")
    with pytest.raises(ConfigError, match=sentence) as raised:
        load_mix(world.mix(changes={"lists": {"rain": given}}))
    assert "world.yaml line" in str(raised.value)
    assert "lists.rain" in str(raised.value) or "line" in str(raised.value)


def test_a_list_that_changes_after_loading_stops_the_build(world: World) -> None:
    from corpus_ja.tasks.measuring import opened

    loaded = config.load_mix(world.mix(changes={"lists": {"rain": "rain.txt"}}))
    (world.folder / "rain.txt").write_text("雪\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="has changed since the mix was loaded"):
        opened.__wrapped__(loaded.lists)
