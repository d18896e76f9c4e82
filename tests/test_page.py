"""The report page without a browser: its numbers are the manifest's, its data say what the rules say, and nothing that a
document says becomes markup.

What a browser does with it (sliders, tabs, search, hostile text) is in test_page_browser.py.
"""

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from corpus_ja import page, report
from corpus_ja.cli import app
from corpus_ja.errors import ConfigError, CorpusError, ManifestError
from corpus_ja.exports import stored
from corpus_ja.page import data
from corpus_ja.page.charts import FATES, specifications
from corpus_ja.page.words import WORDS, Language, words_in
from corpus_ja.storage.manifest import read_manifest
from tests.world import Built, World

RULES = """
description: What the page's world is asked, a rule of every kind.
language: ja
rules:
  - {name: short, why: "Fragments. (Ours) </script><b>", signal: characters_without_spaces, min: 100,
     examples: {keep: [{text: "あいうえお。", times: 30}], drop: ["あ"]}}
  - {name: exclaiming, why: "Advertising says the same again. (Ours)", signal: repeated_line_share, max: 0.5,
     examples: {keep: ["あいうえお。"], drop: [{text: "今だけお買い得。\\n", times: 9}]}}
  - {name: poor, why: "A column of the source. (Ours)", signal: score, above: 0,
     examples: {keep: [{value: 1}], drop: [{value: 0}]}}
  - {name: certain, why: "The language is certain, or it falls. (Ours)", signal: language_score, min: 0.3, below: 2, missing: drop,
     examples: {keep: [{value: 0.9}], drop: [{value: 0.1}]}}
  - {name: host, why: "One address. (Ours)", signal: host, none_of: [river.example], missing: keep,
     examples: {keep: [{value: "else.example"}], drop: [{value: "river.example"}]}}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    world = World.make(tmp_path_factory.mktemp("world"))
    (world.folder / "all_kinds.yaml").write_text(RULES, encoding="utf-8")
    return world.build(
        changes={
            "sources.river.filters": ["tidy_ja.yaml", "all_kinds.yaml"],
            "sources.river.license": "</script><script>",
        }
    )


@pytest.fixture(scope="module")
def content(built: Built) -> dict[str, Any]:
    return page.collect(built.manifest, built.folder, built.work)


class Parsed(HTMLParser):
    """Every element with its attributes, and the text inside scripts, styles and the title."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=False)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": [], "title": []}
        self._open: str | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in self.inside:
            self._open = tag
            self.inside[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._open:
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self.inside[self._open][-1] += data

    def by_id(self, wanted: str) -> str:
        scripts = [attributes for tag, attributes in self.tags if tag == "script"]
        return next(
            text
            for attributes, text in zip(scripts, self.inside["script"], strict=True)
            if attributes.get("id") == wanted
        )


def facts_of(html: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Parsed(html).by_id("facts"))
    return found


def plain(value: object) -> object:
    found: object = json.loads(json.dumps(value))
    return found


# ------------------------------------------------------------------------------------------------------------ one number


def test_the_page_the_terminal_and_the_manifest_say_the_same_numbers(built: Built, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    runner = CliRunner()
    assert runner.invoke(app, ["stats", str(built.folder), "--html", str(target), "--lang", "ja"]).exit_code == 0
    in_json = json.loads(runner.invoke(app, ["stats", str(built.folder), "--json"]).stdout)
    facts = facts_of(target.read_text(encoding="utf-8"))
    assert facts["stats"] == in_json == plain(report.stats(built.manifest))


def test_every_document_has_one_fate_and_the_sums_are_the_manifests(built: Built, content: dict[str, Any]) -> None:
    for name, source in built.manifest.sources.items():
        own = content["facts"]["funnel"][name]
        assert {verdict: tally["documents"] for verdict, tally in own.items() if verdict != "kept"} == source.dropped
        kept = {key: getattr(source.kept, key) for key in ("documents", "bytes", "tokens")}
        assert own.get("kept", {"documents": 0, "bytes": 0, "tokens": 0}) == kept
        assert sum(tally["documents"] for tally in own.values()) == source.read.documents


def test_what_reading_left_out_is_counted_with_its_bytes(tmp_path: Path) -> None:
    built = World.make(tmp_path).build(changes={"sources.river.where": "score >= 2", "sources.hill.fraction": "50%"})
    facts = page.collect(built.manifest, built.folder, built.work)["facts"]
    for name, verdict in (("river", "where"), ("hill", "mix.not_sampled")):
        found = facts["funnel"][name][verdict]
        assert found["documents"] == built.manifest.sources[name].dropped[verdict] > 0
        assert found["bytes"] > 0
        assert found["tokens"] == 0


def test_a_rule_drops_first_and_alone_what_the_verdicts_say(built: Built, content: dict[str, Any]) -> None:
    table = built.table()
    for rule in content["facts"]["rules"]:
        for source in rule["sources"]:
            own = table.filter(pl.col("source") == source)
            broken = [one.split(",") if one else [] for one in own["broken"]]
            expected = {
                "broken": sum(rule["name"] in one for one in broken),
                "first": sum(one[:1] == [rule["name"]] for one in broken),
                "alone": sum(one == [rule["name"]] for one in broken),
            }
            found = {kind: rule[kind].get(source, {"documents": 0})["documents"] for kind in expected}
            assert found == expected, rule["name"]
            assert expected["first"] == built.manifest.sources[source].dropped.get(rule["name"], 0)
    assert sum(sum(one["documents"] for one in rule["first"].values()) for rule in content["facts"]["rules"]) >= 4


def test_passing_is_everything_that_language_and_rules_did_not_drop(built: Built, content: dict[str, Any]) -> None:
    rules = {rule["name"] for rule in content["facts"]["rules"]}
    for name, source in built.manifest.sources.items():
        fell = sum(count for verdict, count in source.dropped.items() if verdict in rules | {"language", "where"})
        assert content["facts"]["passing"][name]["documents"] == source.read.documents - fell


# ------------------------------------------------------------------------------------------------------------ the sample


def unpacked(content: dict[str, Any]) -> dict[str, pl.DataFrame]:
    """The sample as the page's script reads it, by source: tokens, every column, and `fixed` rules by name."""
    raw = gzip.decompress(base64.b64decode(content["sample"]))
    kinds = {"f4": "<f4", "u4": "<u4", "f8": "<f8", "u1": "u1"}

    def array(at: int, length: int, kind: str) -> np.ndarray[Any, Any]:
        size = np.dtype(kinds[kind]).itemsize
        planes = np.frombuffer(raw, np.uint8, length * size, at).reshape(size, length)
        return np.ascontiguousarray(planes.T).reshape(-1).view(kinds[kind])

    found = {}
    for own in content["facts"]["sample"]["sources"]:
        length = own["documents"]
        columns = {name: array(one["at"], length, one["kind"]) for name, one in own["columns"].items()}
        fixed = {content["facts"]["rules"][rule]["name"]: array(at, length, "u1") for rule, at in own["fixed"].items()}
        found[own["name"]] = pl.DataFrame({"tokens": array(own["tokens"], length, "u4"), **columns, **fixed})
    return found


def test_the_sample_of_a_small_build_is_the_whole_in_the_builds_own_precision(
    built: Built, content: dict[str, Any]
) -> None:
    header = content["facts"]["sample"]
    assert header["documents"] == header["judged"]
    table = built.table().filter((pl.col("dropped_by") != "language").fill_null(value=True))
    for name, frame in unpacked(content).items():
        own = table.filter(pl.col("source") == name)
        assert frame.height == own.height
        for column in set(frame.columns) & set(own.columns):
            values = own[column].cast(pl.Float64).fill_null(float("nan")).sort()
            assert frame[column].cast(pl.Float64).sort().equals(values), (name, column)


def test_the_rules_judged_from_the_sample_break_what_the_build_says_they_break(content: dict[str, Any]) -> None:
    """The page's arithmetic, written down once more: no value is `missing`, a limit is rounded to single precision."""
    frames = unpacked(content)
    for rule in content["facts"]["rules"]:
        for source in rule["sources"]:
            frame = frames[source]
            if rule["words"]:
                broken = frame[rule["name"]].to_numpy().astype(bool)
            else:
                values = frame[rule["signal"]].to_numpy()
                limit = {key: np.asarray(one).astype(values.dtype) for key, one in rule["limits"].items()}
                broken = np.zeros(len(values), dtype=bool)
                with np.errstate(invalid="ignore"):
                    for key, compare in (
                        ("min", np.less),
                        ("max", np.greater),
                        ("above", np.less_equal),
                        ("below", np.greater_equal),
                    ):
                        if key in limit:
                            broken |= compare(values, limit[key])
                broken = np.where(np.isnan(values), rule["missing"] == "drop", broken)
            assert int(broken.sum()) == rule["broken"].get(source, {"documents": 0})["documents"], rule["name"]


def test_rules_of_words_and_of_numbers_both_fell_somewhere(content: dict[str, Any]) -> None:
    broken = {
        rule["name"]: sum(one["documents"] for one in rule["broken"].values()) for rule in content["facts"]["rules"]
    }
    assert min(broken[name] for name in ("all_kinds.short", "all_kinds.poor", "all_kinds.host")) > 0


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 10**7), max_size=12), st.integers(1, 50_000))
def test_a_sample_takes_all_or_at_most_what_it_may_and_never_more_than_there_is(
    judged: dict[str, int], most: int
) -> None:
    taken = data.quotas(judged, most)
    assert taken.keys() == judged.keys()
    assert all(0 <= taken[name] <= judged[name] for name in judged)
    if sum(judged.values()) <= most:
        assert taken == judged
    else:
        assert sum(taken.values()) <= most
        assert sum(taken.values()) >= most - 2 * len(judged)
        present = sum(count > 0 for count in judged.values())
        assert all(taken[name] >= min(judged[name], most // (2 * present)) for name in judged)


def test_a_sample_of_a_larger_build_is_seeded_and_grows_by_adding(built: Built) -> None:
    _, parts = stored(built.folder, built.work)
    facts = data.facts_by_source(built.manifest, built.work, parts)
    small, again, large = (data.draw_sample(built.manifest, facts, most) for most in (20, 20, 40))
    for one, same, more in zip(small, again, large, strict=True):
        assert one.frame.equals(same.frame)
        assert 0 < one.frame.height < one.judged
        assert one.frame.equals(more.frame.head(one.frame.height))
    whole = {one.source: one.frame for one in data.draw_sample(built.manifest, facts, 10_000)}
    for one in small:
        assert one.frame.equals(whole[one.source].head(one.frame.height))


def test_a_sample_too_large_for_the_page_shrinks_until_it_fits(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "SIGNALS_BYTES", 400)
    content = page.collect(built.manifest, built.folder, built.work)
    header = content["facts"]["sample"]
    assert len(content["sample"]) <= 400
    assert 0 < header["documents"] < header["judged"]
    assert {name: frame.height for name, frame in unpacked(content).items()} == {
        own["name"]: own["documents"] for own in header["sources"]
    }


# --------------------------------------------------------------------------------------------------------- one safe file


def test_the_page_asks_for_nothing_and_lets_only_its_own_scripts_run(content: dict[str, Any]) -> None:
    html = page.render(content, "ja")
    parsed = Parsed(html)
    policy = (
        next(one["content"] for tag, one in parsed.tags if one.get("http-equiv") == "Content-Security-Policy") or ""
    )
    rules = dict(part.strip().replace("&#x27;", "'").split(" ", 1) for part in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "unsafe" not in policy
    assert "http" not in policy

    def hashed(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    scripts = [one for tag, one in parsed.tags if tag == "script"]
    running = [text for one, text in zip(scripts, parsed.inside["script"], strict=True) if "type" not in one]
    assert rules["script-src"].split() == [hashed(text) for text in running]
    assert len(running) == 2
    assert rules["style-src"].split() == [hashed(text) for text in parsed.inside["style"]]
    for tag, attributes in parsed.tags:
        assert "style" not in attributes, tag
        assert not any(name.startswith("on") for name in attributes), tag
        for key in ("src", "href", "action", "data", "srcset", "poster"):
            assert (attributes.get(key) or "#").startswith(("#", "data:image/svg+xml,")), (tag, attributes)


def test_whatever_the_data_say_the_elements_are_the_same(content: dict[str, Any]) -> None:
    hostile = "</script><script>alert(1)</script><!--<script>]]>&lt;\u2028\u2029\u202e\u200b\x1b[31m\x00<img src=x onerror=alert(1)>"
    changed = json.loads(json.dumps(content))
    changed["facts"]["stats"]["name"] = hostile
    changed["facts"]["yaml"] = hostile
    changed["facts"]["samples"][0] |= {
        "text": hostile,
        "id": hostile,
        "url": hostile,
        "verdict": hostile,
        "group": hostile,
    }
    changed["facts"]["stats"]["sources"][hostile] = changed["facts"]["stats"]["sources"]["river"]
    before, after = Parsed(page.render(content, "en")), Parsed(page.render(changed, "en"))
    assert after.tags == before.tags
    assert json.loads(after.by_id("facts"))["stats"]["name"] == hostile
    assert not set("<>&\u2028\u2029") & set(after.by_id("facts"))


def test_the_title_is_text(content: dict[str, Any]) -> None:
    changed = json.loads(json.dumps(content))
    changed["facts"]["stats"]["name"] = "</title><script>alert(1)</script>\u202e"
    title = Parsed(page.render(changed, "en")).inside["title"]
    assert len(title) == 1
    assert "\u202e" not in page.render(changed, "en").split("</title>")[0]


def test_json_in_the_page_is_json_and_no_markup() -> None:
    value = {
        "</script>": [
            "<!--",
            "&amp;",
            "\u2028",
            "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
            0.1,
            None,
        ]
    }
    text = page._json(value)
    assert json.loads(text) == value
    assert not set("<>&\u2028\u2029") & set(text)


def test_the_vega_bundle_holds_its_interpreter_and_ends_no_script() -> None:
    bundle = page._vega()
    assert "expressionInterpreter" in bundle
    assert not re.search(r"</script|<!--", bundle, re.IGNORECASE)


def test_the_page_is_small_and_the_same_bytes_again(built: Built, tmp_path: Path) -> None:
    for language in ("ja", "en"):
        sizes = [
            page.write_page(built.manifest, built.folder, tmp_path / f"{language}{turn}.html", language, built.work)
            for turn in range(2)
        ]
        assert sizes[0] == (tmp_path / f"{language}0.html").stat().st_size < page.MOST_BYTES
        assert (tmp_path / f"{language}0.html").read_bytes() == (tmp_path / f"{language}1.html").read_bytes()


def test_no_path_of_this_machine_stands_in_the_page(built: Built, content: dict[str, Any]) -> None:
    assert str(built.folder.parents[1]) not in json.dumps(content["facts"])


# -------------------------------------------------------------------------------------------------------- documents, words


def test_every_verdict_has_documents_to_read_and_they_bear_it(built: Built, content: dict[str, Any]) -> None:
    verdicts = built.verdicts()
    shown = content["facts"]["samples"]
    for one in shown:
        if not (one["verdict"] or "").startswith("unreadable/"):
            assert verdicts[one["id"]] == one["verdict"]
        assert all(0 <= start < end <= len(one["text"]) for start, end in one["marks"])
    named = {one["verdict"] for one in shown}
    assert named >= set(verdicts.values())
    assert sum(one["verdict"] is None for one in shown) >= 10
    assert [one["id"] for one in shown][-1] in {name for name, verdict in verdicts.items() if verdict is None}


def test_the_largest_clusters_are_shown_with_the_document_that_stays_first(
    built: Built, content: dict[str, Any]
) -> None:
    found = content["facts"]["clusters"]
    assert set(found) == {cluster["stays"] for cluster in built.manifest.duplicates["largest"]} != set()
    table = built.table()
    for stays, members in found.items():
        assert members[0]["id"] == stays
        cluster = table.filter(pl.col("cluster") == stays)["id"].to_list()
        assert {one["id"] for one in members} <= {*cluster, stays}
        assert len(members) >= 2


def test_both_languages_say_everything_with_the_same_places() -> None:
    for key, (english, japanese) in WORDS.items():
        assert english.strip()
        assert japanese.strip()
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", japanese)), key
    kana = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
    alone = {key for key, (_, japanese) in WORDS.items() if not kana.search(japanese)}
    assert alone <= {"comma", "throughput"}


def test_the_page_uses_every_word_and_no_other() -> None:
    folder = files("corpus_ja.page")
    template, script = (folder.joinpath(name).read_text(encoding="utf-8") for name in ("template.html", "page.js"))
    charts = folder.joinpath("charts.py").read_text(encoding="utf-8")
    used = set(re.findall(r"\{\{(\w+)\}\}", template)) - {
        "lang",
        "title",
        "policy",
        "style",
        "facts",
        "sample",
        "vega",
        "script",
    }
    used |= set(re.findall(r'say\("(\w+)"', script)) | set(re.findall(r'words\["(\w+)"\]', charts))
    used |= set(
        re.findall(r'\bsay\([^()"]*\? "(\w+)" : "(\w+)"', script)
        and [word for pair in re.findall(r'\? "(\w+)" : "(\w+)"', script) for word in pair]
    ) & set(WORDS)
    prefixes = set(re.findall(r"say\(`(\w+_)\$", script)) | {"fate_"}
    missing = used - set(WORDS)
    assert not missing
    unused = {key for key in WORDS if key not in used and not key.startswith(tuple(prefixes))} - {
        "title",
        "none_of",
        "one_of",
    }
    assert not unused


@pytest.mark.parametrize("language", ["ja", "en"])
def test_every_chart_is_vega_lite_with_a_description_and_asks_for_no_address(language: Language) -> None:
    import vl_convert

    for name, chart in specifications(words_in(language)).items():
        assert chart.get("description"), name
        assert "url" not in json.dumps(chart)
        assert "marks" in vl_convert.vegalite_to_vega(chart)


def test_every_fate_has_a_colour_and_a_word() -> None:
    style = files("corpus_ja.page").joinpath("page.css").read_text(encoding="utf-8")
    for fate in FATES:
        assert style.count(f"--fate-{fate}:") == 3, "light, dark and print"
        assert f"fate_{fate}" in WORDS


# ------------------------------------------------------------------------------------------------------------- the command


@pytest.mark.parametrize(("locale", "language"), [("ja_JP.UTF-8", "ja"), ("en_GB.UTF-8", "en"), ("C.UTF-8", "en")])
def test_the_language_is_the_locales(locale: str, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", locale)
    assert page.default_language() == language
    monkeypatch.setenv("LC_ALL", "ja_JP.UTF-8")
    assert page.default_language() == "ja"


def test_what_cannot_be_written_is_a_sentence(built: Built, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        page.write_page(built.manifest, built.folder, tmp_path, "en", built.work)
    with pytest.raises(ManifestError, match="no work folder"):
        page.write_page(built.manifest, built.folder, tmp_path / "report.html", "en", tmp_path / "nowhere")
    for arguments in (["--lang", "ja"], ["--html", str(tmp_path / "r.html"), "--json"]):
        result = CliRunner().invoke(app, ["stats", str(built.folder), *arguments])
        assert isinstance(result.exception, CorpusError)


def test_a_build_made_before_rules_were_recorded_still_has_a_page(built: Built) -> None:
    manifest = built.manifest.model_copy(update={"rules": {}})
    content = page.collect(manifest, built.folder, built.work)
    assert content["facts"]["recorded"] is False
    assert content["facts"]["rules"] == []
    assert facts_of(page.render(content, "en"))["passing"] == content["facts"]["passing"]


def test_a_mix_without_duplicates_evaluation_or_rules_has_a_page(tmp_path: Path) -> None:
    changes = {
        "duplicates": "none",
        "decontaminate": None,
        **{f"sources.{name}.filters": "none" for name in ("river", "hill", "harbour")},
    }
    built = World.make(tmp_path).build(changes=changes)
    facts = page.collect(read_manifest(built.folder), built.folder, built.work)["facts"]
    assert facts["hits"] == {"total": 0, "rows": []}
    assert facts["rules"] == []
    assert facts["recorded"] is True


def test_the_origin_of_a_source_says_the_commit_that_was_read(built: Built) -> None:
    manifest = built.manifest.model_copy(deep=True)
    name = manifest.source_names[0]
    manifest.sources[name].commit = "0123abcd"
    said = {own["source"]: own["revision"] for own in data.provenance(manifest)}
    assert said == {other: "0123abcd" if other == name else None for other in manifest.source_names}
