"""Word and host lists: against an obvious reference, at the boundaries, and through whole builds."""

import io
import re
import sys
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_ja import config
from corpus_ja.config import load_mix
from corpus_ja.errors import ConfigError, RuleError
from corpus_ja.stages import lists
from corpus_ja.stages.lists import Hosts, Words, WordSearch, measure_hosts, parse_hosts, parse_words
from corpus_ja.tasks.measuring import opened
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

    with tarfile.open(shared_data / "wordlists" / "ut1_subset.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    world = World.make(tmp_path / "world")
    listing = {"path": str(tmp_path / "blacklists"), "categories": ["gambling", "dating"]}
    loaded = load_mix(world.mix(changes={"lists": {"ut1": listing}}))
    assert loaded.lists[0].kind == "hosts"
    assert {"gambling", "blog"} <= {category for category, _, _ in loaded.lists[0].files}


# ------------------------------------------------------------------------------------------------------------- archives


Mode = Literal["w", "w:gz", "w:bz2", "w:xz"]
MODES: tuple[Mode, ...] = get_args(Mode)


def archive(files: Mapping[str, bytes | str], mode: Mode = "w:gz") -> bytes:
    """A tar archive: bytes are a file's content, a text is where a link points."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


UT1: dict[str, bytes | str] = {
    "blacklists/README": b"read me",
    "blacklists/adult/domains": b"bad.example\nworse.example\n",
    "blacklists/adult/urls": b"mixed.example/bad",
    "blacklists/press/domains": "新聞.example\n".encode(),
    "blacklists/porn": "adult",
    "blacklists/adult/usage": b"black",
}


@pytest.mark.parametrize("mode", MODES)
def test_an_archive_gives_what_its_files_give(mode: Mode) -> None:
    packed = archive(UT1, mode)
    assert lists.archive_categories(io.BytesIO(packed)) == ("adult", "porn", "press")
    entries = lists.parse_archive(io.BytesIO(packed))
    adult = parse_hosts("bad.example\nworse.example\nmixed.example/bad\n")
    assert {name: found.tolist() for name, found in entries.items()} == {
        "adult": adult.tolist(),
        "porn": adult.tolist(),
        "press": parse_hosts("新聞.example").tolist(),
    }


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("ab.\n", max_size=30), max_size=30), st.integers(1, 40))
def test_entries_are_the_same_wherever_a_block_ends(lines: list[str], block: int) -> None:
    content = "\n".join(lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "BLOCK", max(block, 31))  # a line longer than a block is no host
        found = lists.parse_archive(io.BytesIO(archive({"a/domains": content.encode()})))
    assert found["a"].tolist() == parse_hosts(content).tolist()


def test_nothing_of_an_archive_is_written_and_no_name_in_it_leads_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files: dict[str, bytes | str] = {
        "../../escape/domains": b"out.example",
        "/etc/urls": b"root.example/x",
        "ut1/../up/domains": b"up.example",
    }
    files |= {"a b/domains": b"odd.example", "domains": b"bare.example", "c/domains/x": b"deep.example"}
    links: dict[str, bytes | str] = {"evil": "/etc/passwd", "loop": "loop", "etc2": "../etc"}
    found = lists.parse_archive(io.BytesIO(archive(files | links)))
    assert set(found) == {"escape", "etc", "up", "etc2"}
    assert list(tmp_path.iterdir()) == []


def test_a_line_without_end_is_no_host_and_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "BLOCK", 1000)
    content = b"first.example\n" + b"x" * 5_000_000 + b"\nlast.example\n"
    found = lists.parse_archive(io.BytesIO(archive({"a/domains": content})))["a"]
    assert {*parse_hosts("first.example\nlast.example").tolist()} < {*found.tolist()}
    assert len(found) == 3


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_archive_is_a_sentence_and_never_anything_else(data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from(MODES))
    packed = bytearray(archive(UT1, mode))
    if data.draw(st.booleans()):
        del packed[data.draw(st.integers(0, len(packed) - 1)) :]
    else:
        for place in data.draw(st.lists(st.integers(0, min(len(packed), 3000) - 1), min_size=1, max_size=20)):
            packed[place] = data.draw(st.integers(0, 255))
    for read in (lists.archive_categories, lists.parse_archive):
        said = ""
        try:
            read(io.BytesIO(bytes(packed)))
        except ValueError as error:
            said = str(error)
        assert re.fullmatch(r"|cannot be read as a tar archive \(.+\); fetch it again\.|holds no CATEGORY/.+", said)


@pytest.mark.shared_data
def test_the_archive_of_ut1_says_what_its_folder_says(shared_data: Path, tmp_path: Path) -> None:
    packed = shared_data / "wordlists" / "ut1_subset.tar.gz"
    with tarfile.open(packed) as archived:
        archived.extractall(tmp_path, filter="data")
    world = World.make(tmp_path / "world")
    found = []
    for path in (packed, tmp_path / "blacklists"):
        loaded = load_mix(world.mix(changes={"lists": {"ut1": {"path": str(path), "categories": ["gambling"]}}}))
        assert loaded.lists[0].kind == "hosts"
        found.append((loaded.lists[0].columns, opened.__wrapped__(loaded.lists)[1][0]))
    assert found[0][0] == found[1][0]
    assert set(found[0][1].entries) == set(found[1][1].entries)
    assert all((found[0][1].entries[name] == entries).all() for name, entries in found[1][1].entries.items())


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


def test_an_archive_works_in_a_build_like_a_list(world: World) -> None:
    packed = archive({"ut1/weather/urls": b"river.example/3\nriver.example/4", "ut1/press/domains": b"paper.example"})
    (world.folder / "ut1.tar.gz").write_bytes(packed)
    built = world.build(changes={"lists": {"ut1": {"path": "ut1.tar.gz", "categories": ["weather"]}}})
    table = built.table()
    assert set(table.filter(pl.col("host_in_ut1") == 1)["id"]) == {"river/r3", "river/r4"}
    assert table.filter(pl.col("id") == "river/r3")["host_categories_ut1"].to_list() == [["weather"]]
    (world.folder / "ut1.tar.gz").write_bytes(packed[:100])
    with pytest.raises(ConfigError, match=r"ut1.tar.gz cannot be read as a tar archive \(.*\); fetch it again"):
        load_mix(world.mix(changes={"lists": {"ut1": "ut1.tar.gz"}}))


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
        ({"path": "ut1.tgz", "categories": ["adlut"]}, "ut1.tgz has no category adlut; did you mean adult"),
        ({"path": "ut1.tgz", "kind": "words"}, "ut1.tgz is an archive, and a word list is one file of text"),
        ("none.tar", "none.tar holds no CATEGORY/domains"),
        ("text.tar.xz", "text.tar.xz cannot be read as a tar archive"),
    ],
)
def test_a_list_that_cannot_be_had_is_one_sentence_with_the_line(world: World, given: object, sentence: str) -> None:
    (world.folder / "empty.txt").write_text("# nothing\n", encoding="utf-8")
    (world.folder / "latin1.txt").write_bytes("été".encode("latin-1"))
    (world.folder / "ut1.tgz").write_bytes(archive(UT1))
    (world.folder / "none.tar").write_bytes(archive({"ut1/README": b"nothing here"}, "w"))
    (world.folder / "text.tar.xz").write_text("bad.example\n", encoding="utf-8")
    (world.folder / "ut1" / "adult").mkdir(parents=True)
    (world.folder / "ut1" / "adult" / "domains").write_text("bad.example\n")
    with pytest.raises(ConfigError, match=sentence) as raised:
        load_mix(world.mix(changes={"lists": {"rain": given}}))
    assert "world.yaml line" in str(raised.value)
    assert "lists.rain" in str(raised.value) or "line" in str(raised.value)


def test_a_list_that_changes_after_loading_stops_the_build(world: World) -> None:
    loaded = config.load_mix(world.mix(changes={"lists": {"rain": "rain.txt"}}))
    (world.folder / "rain.txt").write_text("雪\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="has changed since the mix was loaded"):
        opened.__wrapped__(loaded.lists)
