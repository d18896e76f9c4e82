"""Duplicates, repeated pieces and evaluation items through whole builds: what leaves, what is told, what changes
nothing.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from corpus_ja import verification
from corpus_ja.config import load_mix
from corpus_ja.errors import ConfigError, MixError
from corpus_ja.exports import export_kept
from corpus_ja.publishing import remove_unused
from corpus_ja.report import print_stats, stats
from corpus_ja.tasks import matching, reading, repeating
from tests.world import QUESTION, Built, Draws, World, japanese, local, restored, write_lines

PLAIN = {"validation": 0, "decontaminate": None}
KANJI = [chr(point) for point in range(0x4E00, 0x4E00 + 3000)]


def nonsense(name: str, length: int) -> str:
    """Characters in no order, the same for the same name: no two names share a shingle but by chance."""
    draws = Draws(name)
    return "".join(draws.one(KANJI) for _ in range(length))


def one_source(documents: Mapping[str, str], **source: object) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The changes of a mix with one source of these documents, and its records."""
    own = {"jsonl": "own.jsonl", "filters": "none", "max_removal": "100%"} | source
    return PLAIN | {"sources": {"own": own}}, [{"id": name, "text": text} for name, text in documents.items()]


@pytest.fixture
def fresh(tmp_path: Path) -> World:
    """A world that a test may change."""
    return World.make(tmp_path / "world")


def build(
    world: World, name: str, documents: Mapping[str, str], changes: dict[str, Any] | None = None, **source: object
) -> Built:
    """A build of one source."""
    mix, records = one_source(documents, **source)
    write_lines(world.folder / "own.jsonl", records)
    return world.build(name, mix | (changes or {}))


def dropped(built: Built) -> dict[str, str]:
    """The verdicts of what was dropped, by the ids its records brought."""
    return {name.partition("/")[2]: verdict for name, verdict in built.verdicts().items() if verdict is not None}


# ------------------------------------------------------------------------------------------------------ large buckets


def family(members: int) -> dict[str, str]:
    """Documents that share a long template and are not near each other, and a near pair among the worst-ranked."""
    template = nonsense("template", 600)
    documents = {f"m{n}": template + nonsense(f"own {n}", 260 - n) for n in range(members)}
    pair = template + nonsense("pair", 100)
    return documents | {"pair": pair, "pair again": pair[:-3]}


ONE_ROW = {"duplicates": {"threshold": 0.8, "bands": 3, "rows": 1, "max_comparisons": 1}}


def test_near_documents_of_a_large_bucket_meet_in_a_later_round(fresh: World) -> None:
    found = build(fresh, "rounds", family(10), ONE_ROW)
    assert dropped(found) == {"pair again": "duplicate.near"}
    assert found.manifest.duplicates["members_not_fully_compared"] == 0
    assert len([name for name, _ in found.watcher.begun if name == "duplicates: compare"]) > 1


def test_a_bucket_too_large_to_compare_is_told_and_costs_a_bounded_number_of_comparisons(fresh: World) -> None:
    found = build(fresh, "crowd", family(60), ONE_ROW)
    assert found.manifest.duplicates["members_not_fully_compared"] > 0
    assert any("were compared with the best of them only" in note for note in found.watcher.notes)
    (folder,) = (found.work / "duplicates").glob("gathered-*")
    pairs = sum(len(matching.load_array(path)) for path in folder.glob("pairs-*.npy"))
    assert pairs <= 3 * 15 * 62


def test_texts_that_differ_only_behind_the_cap_both_stay(fresh: World) -> None:
    head = nonsense("head", 500)
    documents = {"a": head + nonsense("a", 3000), "b": head + nonsense("b", 3000)}
    documents["c"] = documents["b"][:-30]
    capped = {"duplicates": {"threshold": 0.8, "max_characters": 500}}
    assert dropped(build(fresh, "cap", documents, capped)) == {"c": "duplicate.near"}


# ------------------------------------------------------------------------------------------------- what a build tells


def templated(copies: int) -> dict[str, str]:
    """A template with a short piece of its own in each document, and documents of no cluster."""
    template = nonsense("むかしむかし", 900)
    documents = {f"t{n:03d}": f"{template}{n:03d}" for n in range(copies)}
    return documents | {f"u{n}": nonsense(f"alone {n}", 200) for n in range(20)}


def test_an_absurd_cluster_is_told_with_its_source_and_template(fresh: World) -> None:
    found = build(fresh, "template", templated(130))
    begins = nonsense("むかしむかし", 900)[:80]
    (note,) = [note for note in found.manifest.sources["own"].notes if "template" in note]
    assert "129 documents leave for own/t000" in note
    assert begins in note
    assert f"own: {note}" in found.watcher.notes
    cluster = found.manifest.duplicates["largest"][0]
    assert (cluster["documents"], cluster["stays"], cluster["left"], cluster["near"]) == (
        130,
        "own/t000",
        {"own": 129},
        129,
    )
    assert cluster["text"] == begins
    assert [other["id"] for other in cluster["others"]] == ["own/t001", "own/t002"]
    assert found.manifest.duplicates["sizes"] == {"100": 1}
    assert found.manifest.sources["own"].removal == {"living": 150, "exact": 0, "near": 129, "url": 0}


def test_stats_show_what_duplicates_took_and_the_largest_clusters(
    fresh: World, capsys: pytest.CaptureFixture[str]
) -> None:
    found = build(fresh, "shown", templated(30))
    print_stats(found.manifest, Console(width=200))
    shown = capsys.readouterr().out
    assert "what duplicates took" in shown
    assert "58.0%" in shown
    assert f"30 documents, own/t000 stays: {nonsense('むかしむかし', 900)[:40]}" in shown
    assert json.loads(json.dumps(stats(found.manifest)))["duplicates"]["largest"][0]["documents"] == 30


def test_a_build_that_would_lose_too_much_names_the_template(fresh: World) -> None:
    begins = nonsense("むかしむかし", 900)[:80]
    with pytest.raises(
        MixError, match=rf"`own` \(86%\), more than `max_removal` allows \(60%\). The largest cluster: 129 .*{begins}"
    ):
        build(fresh, "lost", templated(130), max_removal=None)


def test_another_limit_shows_the_clusters_without_reading_text(fresh: World) -> None:
    first = build(fresh, "first", templated(30))
    second = build(fresh, "second", templated(30), {"duplicates": {"threshold": 0.8, "url": True}})
    assert second.text_read == 0
    assert second.manifest.duplicates == first.manifest.duplicates


# ---------------------------------------------------------------------------------------------------------- weights


def test_a_document_stands_as_often_as_the_weight_of_its_cluster(fresh: World) -> None:
    documents = {f"u{n}": nonsense(f"u{n}", 120) for n in range(6)}
    for size in (2, 3, 4, 7):
        text = nonsense(f"cluster of {size}", 120)
        documents |= {f"c{size}": text} | {f"c{size} again {n}": text for n in range(size - 1)}
    found = build(fresh, "weighted", documents, cluster_weights="fineweb-2")
    times = {name.partition("/")[2]: times for name, times in found.table().select("id", "times_taken").rows()}
    assert {name: count for name, count in times.items() if count} == {
        **{f"u{n}": 1 for n in range(6)}, "c2": 2, "c3": 3, "c4": 3, "c7": 5,
    }  # fmt: skip
    whole = restored(found.folder)
    assert {name: sum(key[0] == name for key in whole) for name, _ in whole} == {
        f"own/{name}": count for name, count in times.items() if count
    }
    own = found.manifest.sources["own"]
    assert own.taken.tokens == sum(map(len, whole.values())) == own.mix.available_tokens
    assert own.kept.documents == own.taken.documents == 10
    assert verification.check(found.folder) == []


def test_weights_of_ones_own_meet_a_budget_from_below(fresh: World) -> None:
    documents = {f"u{n}": nonsense(f"u{n}", 60) for n in range(30)}
    documents |= {f"{name} again": text for name, text in list(documents.items())[:10]}
    weights: dict[str, Any] = {"cluster_weights": {2: 4}}
    whole = build(fresh, "own", documents, **weights).manifest.sources["own"]
    budget = whole.taken.tokens // 2
    half = build(fresh, "half", documents, {"budget": budget}, **weights)
    taken = half.manifest.sources["own"].taken.tokens
    largest = max(len(tokens) for tokens in restored(half.folder).values())
    assert budget - 4 * largest < taken <= budget
    assert set(half.table()["times_taken"]) == {0, 1, 4}
    assert verification.check(half.folder) == []


# ---------------------------------------------------------------------------------------------------- repeated pieces

FOOTER = "この記事へのお問い合わせは編集部まで"


def pages(count: int) -> dict[str, str]:
    """Pages with a title, a body and a footer, and one of nothing but the footer."""
    return {f"p{n:02d}": f"第{n}回\n\n{japanese(f'page {n}')}\n{FOOTER}" for n in range(count)} | {"z": FOOTER}


def texts(built: Built, folder: Path) -> dict[str, str]:
    """The kept texts by id."""
    export_kept(built.folder, built.work, folder, "parquet")
    return {
        row[0].partition("/")[2]: row[1]
        for path in folder.iterdir()
        for row in pl.read_parquet(path).select("id", "text").rows()
    }


def test_repeated_lines_leave_all_documents_but_the_first_and_are_shown(
    fresh: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reading, "PART_BYTES", 3000)
    monkeypatch.setattr(repeating, "PIECES_A_RANGE", 7)
    found = build(fresh, "pages", pages(24), repeats={"documents": 20})
    kept = texts(found, tmp_path / "kept")
    for name, text in pages(24).items():
        if name != "z":
            assert kept[name] == (text if name == "p00" else text.removesuffix(f"\n{FOOTER}"))
    assert dropped(found) == {"z": "duplicate.pieces"}
    source = found.manifest.sources["own"]
    assert source.repeats == {
        "unit": "line", "kinds": 1, "removed": 24, "documents": 24, "bytes": 24 * len(FOOTER.encode()),
        "most": [{"text": FOOTER, "documents": 25}],
    }  # fmt: skip
    left = pl.concat([pl.read_parquet(path) for path in found.work.glob("documents/own-*/*.repeats.parquet")])
    assert set(left.rows()) == {(f"own/{name}", FOOTER) for name in pages(24) if name != "p00"}
    print_stats(found.manifest, Console(width=120))
    assert f"in 25 documents: {FOOTER}" in capsys.readouterr().out
    assert verification.check(found.folder) == []


def test_documents_as_read_stay_beside_those_without_repeated_lines(fresh: World, tmp_path: Path) -> None:
    without = build(fresh, "without", pages(24), repeats={"documents": 20})
    as_read = build(fresh, "as_read", pages(24))
    assert as_read.tasks_now("documents") == {"own": 0}
    assert texts(as_read, tmp_path / "kept") == pages(24)
    assert len(list(as_read.work.glob("documents/own-*"))) == 2
    assert remove_unused(fresh.folder / "builds", as_read.work, dry_run=True) == []
    fewer = build(fresh, "fewer", pages(24), repeats={"documents": 26})
    assert fewer.tasks_now("documents") == {"own": 0}
    assert fewer.manifest.sources["own"].repeats["removed"] == 0
    assert set(restored(fewer.folder)) == set(restored(as_read.folder)) != set(restored(without.folder))


def test_repeated_paragraphs_leave_by_choice(fresh: World, tmp_path: Path) -> None:
    shared = "最初の段落はどの文書でも同じことを言う。\n二つの行からできている。"
    documents = {f"d{n}": f"{nonsense(f'body {n}', 200)}\n\n{shared}" for n in range(3)}
    found = build(fresh, "paragraphs", documents, repeats={"unit": "paragraph", "documents": 3})
    assert texts(found, tmp_path / "kept") == {
        name: text if name == "d0" else text.split("\n")[0] for name, text in documents.items()
    }


# ------------------------------------------------------------------------------------------------------- evaluation


def test_items_and_contexts_in_documents_are_written_out_and_unprotected_items_listed(
    fresh: World, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "この町で最初に灯台を建てた人物の名前は何というか"
    squad = {
        "data": [
            {
                "paragraphs": [
                    {
                        "context": "題 [SEP] " + japanese("context", 3),
                        "qas": [
                            {"id": "q1", "question": long, "answers": [{"text": "田中"}]},
                            {"id": "q2", "question": "灯台が建ったのは何年?", "answers": [{"text": "明治三年"}]},
                            {"id": "q3", "question": "誰?", "answers": [{"text": "王"}]},
                        ],
                    }
                ]
            }
        ]
    }
    write_lines(fresh.folder / "jglue" / "jsquad" / "valid.json", [squad])
    found = build(
        fresh,
        "evaluated",
        {
            "long": f"{japanese('a')}{long}",
            "short with answer": f"{japanese('b')}灯台が建ったのは何年？ 答えは明治三年。",
            "short alone": f"{japanese('c')}灯台が建ったのは何年？",
            "context": f"{japanese('d')}{japanese('context', 3)}",
            "quiz": QUESTION,
        },
        {
            "decontaminate": {
                "sets": [
                    {"path": "jglue", "form": "jglue"},
                    {"path": "evaluation.jsonl", "form": "jsonl", "fields": ["question"], "name": "quiz"},
                ]
            }
        },
    )
    assert dropped(found) == {
        "long": "decontaminate.jsquad", "short with answer": "decontaminate.jsquad", "quiz": "decontaminate.quiz",
    }  # fmt: skip
    hits = pl.read_parquet(found.folder / "evaluation" / "hits.parquet")
    assert set(hits.select("id", "kind", "name", "dropped_by").rows()) == {
        ("own/long", "item", "jsquad/q1", "decontaminate.jsquad"),
        ("own/short with answer", "item", "jsquad/q2", "decontaminate.jsquad"),
        ("own/quiz", "item", "quiz/1", "decontaminate.quiz"),
        ("own/context", "context", "jsquad/q1", None),
    }
    unprotected = [
        json.loads(line) for line in (found.folder / "evaluation" / "unprotected.jsonl").read_text().splitlines()
    ]
    assert unprotected == [{"set": "jsquad", "id": "q3", "parts": ["誰?"]}]
    assert found.manifest.sources["own"].evaluation == {"items": 3, "contexts": 1}
    assert found.manifest.evaluation["sets"] == {
        "jsquad": {"items": 3, "unprotected": 1, "found": 2},
        "quiz": {"items": 1, "unprotected": 0, "found": 1},
    }
    rows = {row["id"]: row for row in found.table().iter_rows(named=True)}
    assert rows["own/long"]["evaluation_items"] == "jsquad/q1"
    assert rows["own/context"]["context_items"] == "jsquad/q1"
    print_stats(found.manifest, Console(width=200))
    told = capsys.readouterr().out
    assert "3 of 4 items stand in some document; 1 are too short" in told
    assert "context: own 1" in told


def test_a_build_without_evaluation_sets_has_no_list_of_them(fresh: World) -> None:
    first = fresh.build("listed")
    assert (first.folder / "evaluation" / "hits.parquet").is_file()
    again = fresh.build("listed", {"decontaminate": None})
    assert again.manifest.evaluation == {}
    assert not (again.folder / "evaluation").exists()


# -------------------------------------------------------------------------------------------------------- bad input


def test_empty_documents_and_one_character_ten_million_times_are_no_trouble(fresh: World) -> None:
    found = build(
        fresh,
        "odd",
        {
            "empty": "",
            "blank": " \n ",
            "long": "あ" * 10_000_000,
            "less": "あ" * 300_000,
            "again": "あ" * 300_000,
            "mark": "!!",
        },
    )
    assert found.manifest.sources["own"].unreadable == {"empty": 2}
    assert dropped(found) == {"less": "duplicate.near", "again": "duplicate.near"}


def test_of_documents_that_are_all_equal_one_is_left(fresh: World) -> None:
    found = build(fresh, "equal", {f"d{n:03d}": japanese("equal") for n in range(300)})
    assert found.manifest.sources["own"].kept.documents == 1
    assert set(dropped(found).values()) == {"duplicate.exact"}
    assert "d000" not in dropped(found)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"duplicates": {"threshold": 0.8, "bands": 14, "rows": 8}},
            r"14 bands of 8 rows find only 92.4%.*reach a threshold of 0.832",
        ),
        (
            {"decontaminate.sets.0.fields": ["questoin"]},
            r"evaluation.jsonl, line 1: .*no field questoin .*found question",
        ),
        (
            {"decontaminate.sets.0.form": "lm-eval", "decontaminate.sets.0.fields": []},
            r"evaluation.jsonl, line 1: .*no field doc_id, doc",
        ),
        ({"sources.river.repeats": {"documents": 1}}, r"repeats.documents.*greater than or equal to 2|at least 2"),
        ({"sources.river.cluster_weights": {2: 0}}, r"cluster_weights"),
        ({"sources.river.cluster_weights": "fineweb"}, r"cluster_weights"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_answered_by_a_sentence_before_anything_is_read(
    fresh: World, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load_mix(fresh.mix("wrong", changes))


# -------------------------------------------------------------------------------------------------------- determinism


def crowded(world: World) -> dict[str, Any]:
    """A mix with everything of this file: families, a template, exact copies, footers, weights."""
    documents = family(10) | templated(20) | pages(24)
    documents |= {f"{name} again": text for name, text in list(pages(24).items())[:5]}
    records = [{"id": name, "text": text} for name, text in documents.items()]
    for number in range(4):
        write_lines(world.folder / "own" / f"{number}.jsonl", records[number::4])
    own = {
        "jsonl": "own",
        "filters": "none",
        "repeats": {"documents": 20},
        "cluster_weights": "fineweb-2",
        "max_removal": "100%",
    }
    return ONE_ROW | {"sources.own": own, "sources.river.repeats": {"documents": 2, "characters": 5}}


def test_workers_ranges_and_chunks_change_no_byte(
    fresh: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = crowded(fresh)
    first = fresh.build("crowded", changes)
    for workers in (1, 3):
        place = tmp_path / str(workers)
        other = fresh.build("crowded", changes, output=place / "out", work=place / "work", executor=local(workers))
        assert other.shards == first.shards
    monkeypatch.setattr(matching, "DOCUMENTS_A_RANGE", 11)
    monkeypatch.setattr(matching, "CHUNK_CHARACTERS", 10_000)
    monkeypatch.setattr(repeating, "PIECES_A_RANGE", 13)
    cut = fresh.build("crowded", changes, output=tmp_path / "cut" / "out", work=tmp_path / "cut" / "work")
    assert len(list(cut.work.glob("duplicates/gathered-*/buckets-band_0-*.json"))) > 5
    assert len(list(cut.work.glob("duplicates/gathered-*/verified-00-*.json"))) > 5
    assert cut.shards == first.shards
    assert cut.manifest.duplicates == first.manifest.duplicates
    assert verification.check(first.folder) == []


def test_the_order_in_which_files_come_changes_no_verdict_of_duplicates(fresh: World, tmp_path: Path) -> None:
    changes = crowded(fresh)
    changes["sources.own"] = changes["sources.own"] | {"repeats": "none"}
    first = fresh.build("crowded", changes)
    for number, path in enumerate(sorted((fresh.folder / "own").iterdir(), reverse=True)):
        path.rename(path.with_name(f"{'abcd'[number]}.jsonl"))
    other = fresh.build("crowded", changes, output=tmp_path / "out", work=tmp_path / "work")
    assert other.verdicts() == first.verdicts()
    assert restored(other.folder) == restored(first.folder)
    assert other.manifest.duplicates == first.manifest.duplicates
