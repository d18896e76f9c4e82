"""JGLUE's items, prompts, examples and scores, from its files and from the Hub."""

import json
import os
import subprocess
import sys
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub_server import Dataset, HubServer
from tests.small_jglue import paragraphs, quiz, write_jglue
from train import jglue
from train.errors import TrainError
from train.jglue import DEFAULT_PROMPTS, FORMS, LABELS, TASKS, Item


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_jglue(tmp_path_factory.mktemp("jglue"))


def test_items_come_out_of_nested_flat_packed_and_parquet_files_alike(folder: Path, tmp_path: Path) -> None:
    nested = jglue.load_task(folder, "jsquad")
    assert len(nested.items) == 24
    first = nested.items[0]
    assert first.answers[1] == f"{first.answers[0]}です"
    assert "[SEP]" not in first.fields["context"]
    assert first.answers[0] in first.fields["context"]
    flat = [
        {"id": question["id"], "title": article["title"], "context": article["paragraphs"][0]["context"],
         "question": question["question"],
         "answers": {"text": [answer["text"] for answer in question["answers"]], "answer_start": [0, 0]}}
        for article in paragraphs("valid", 12)
        for question in article["paragraphs"][0]["qas"]
    ]  # fmt: skip
    for place, name in (("rows", "JSQuAD/validation/0000.parquet"), ("lines", "jsquad_valid.jsonl")):
        path = tmp_path / place / name
        path.parent.mkdir(parents=True)
        if path.suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist(flat), path)
        else:
            path.write_text("\n".join(json.dumps(row) for row in flat), encoding="utf-8")
        assert jglue.load_task(tmp_path / place, "jsquad").items == nested.items
    assert jglue.load_task(folder / "jsquad-v1.3", "jsquad").items == nested.items


def test_labels_are_names_or_numbers(tmp_path: Path) -> None:
    path = tmp_path / "jnli" / "valid.json"
    path.parent.mkdir()
    rows = [{"sentence_pair_id": n, "sentence1": "甲", "sentence2": f"乙{n}", "label": n} for n in range(3)]
    path.write_text(json.dumps(rows), encoding="utf-8")
    by_number = [item.gold for item in jglue.load_task(tmp_path, "jnli").items]
    path.write_text(json.dumps([{**row, "label": LABELS[n]} for n, row in enumerate(rows)]), encoding="utf-8")
    assert [item.gold for item in jglue.load_task(tmp_path, "jnli").items] == by_number == [0, 1, 2]


def test_examples_come_from_train_else_test_else_the_other_items(folder: Path, tmp_path: Path) -> None:
    assert jglue.load_task(folder, "jcommonsenseqa").pool_split == "train"
    assert jglue.load_task(folder, "jnli").pool_split == "test"
    lone = tmp_path / "jglue" / "jsquad"
    lone.mkdir(parents=True)
    (lone / "valid.json").write_bytes((folder / "jsquad-v1.3" / "valid-v1.3.json").read_bytes())
    data = jglue.load_task(lone.parent, "jsquad")
    assert data.pool_split == "valid"
    for item in data.items:
        examples = data.examples(item, 3)
        assert len({example.id for example in examples}) == 3
        assert all(example.fields["context"] != item.fields["context"] for example in examples)


def test_an_items_examples_depend_on_it_alone(folder: Path) -> None:
    data = jglue.load_task(folder, "jcommonsenseqa")
    some = {item.id: data.examples(item, 3) for item in data.sample(5)}
    every = {item.id: data.examples(item, 3) for item in reversed(data.items)}
    assert all(every[name] == examples for name, examples in some.items())
    assert len({tuple(example.id for example in examples) for examples in every.values()}) > 6
    assert data.examples(data.items[0], 0) == ()


def test_jnlis_examples_are_one_of_each_label_as_far_as_they_go(folder: Path) -> None:
    data = jglue.load_task(folder, "jnli")
    orders = set()
    for item in data.items:
        assert sorted(example.gold for example in data.examples(item, 3)) == [0, 1, 2]
        orders.add(tuple(example.gold for example in data.examples(item, 3)))
        assert max(Counter(example.gold for example in data.examples(item, 4)).values()) == 2
        assert len(data.examples(item, 8)) == 8  # two of a label alone are there: the rest is filled
    assert len(orders) > 2
    with pytest.raises(TrainError, match=r"9 examples are asked for, but its test file has 8 .* --shots jnli=8"):
        data.examples(data.items[0], 9)


def test_a_sample_is_the_same_whatever_else_is_asked_and_smaller_ones_are_part_of_it(folder: Path) -> None:
    data = jglue.load_task(folder, "jsquad")
    five, nine = data.sample(5), data.sample(9)
    assert {item.id for item in five} < {item.id for item in nine}
    assert list(five) == sorted(five, key=data.items.index)
    assert data.sample(0) == data.sample(99) == data.items
    assert five != data.items[:5]


ALPACA = "以下は、タスクを説明する指示と、文脈のある入力の組み合わせです。要求を適切に満たす応答を書きなさい。\n\n"
PROMPTS = {
    ("jsquad", "0.2"): "質問に対する回答を文章から一言で抽出してください。回答は名詞で答えてください。\n\n"
    "文章:雨が降る。{braces}\n質問:何が降る？\n回答:雨\n\n文章:風が吹く。\n質問:何が吹く？\n回答:",
    ("jsquad", "0.3"): ALPACA + "### 指示:\n与えられた文脈から、質問に対する答えを抜き出してください。\n\n### 入力:\n文脈：雨が降る。{braces}\n"
    "質問：何が降る？\n\n### 応答:\n雨\n\n### 指示:\n与えられた文脈から、質問に対する答えを抜き出してください。\n\n### 入力:\n文脈：風が吹く。\n"
    "質問：何が吹く？\n\n### 応答:\n",
}  # fmt: skip


@pytest.mark.parametrize(("task", "version"), PROMPTS)
def test_a_prompt_is_the_description_the_examples_with_their_answers_and_the_question(task: str, version: str) -> None:
    example = Item("1", {"context": "雨が降る。{braces}", "question": "何が降る？"}, answers=("雨", "雨です"))
    item = Item("2", {"context": "風が吹く。", "question": "何が吹く？"}, answers=("風",))
    assert FORMS[task][version].prompt(item, [example]) == PROMPTS[task, version]


def test_choices_are_shown_as_each_form_has_them(folder: Path) -> None:
    item = jglue.load_task(folder, "jcommonsenseqa").items[0]
    forms = FORMS["jcommonsenseqa"]
    dashed = "".join(f"- {choice}\n" for choice in item.choices)
    assert forms["0.2.1"].prompt(item).endswith(f"質問：{item.fields['question']}\n選択肢：\n{dashed}回答：")
    assert forms["0.2"].prompt(item).endswith(",3.提灯0,4.鏡0\n回答:")
    assert forms["0.2"].choices(item) == ("0", "1", "2", "3", "4")
    assert forms["0.2"].answer(item) == str(item.gold)
    assert forms["0.3"].prompt(item).endswith(f"{dashed}\n### 入力:\n{item.fields['question']}\n\n### 応答:\n")
    pair = jglue.load_task(folder, "jnli").items[0]
    for version in FORMS["jnli"]:
        assert FORMS["jnli"][version].choices(pair) == ("含意", "矛盾", "中立")
    assert FORMS["jnli"]["0.2"].prompt(pair).endswith(f"仮説:{pair.fields['hypothesis']}\n関係:")
    assert {task: version in FORMS[task] for task, version in DEFAULT_PROMPTS.items()} == dict.fromkeys(TASKS, True)


TEXT = st.text("あア亜ーA1、。 　！a", max_size=8)


@given(answer=TEXT, right=st.lists(TEXT, min_size=1, max_size=3))
def test_f1_is_that_of_the_characters_struck_out_one_by_one(answer: str, right: list[str]) -> None:
    def letters(text: str) -> list[str]:
        return [letter for letter in jglue.normal(text) if letter not in "、。 !！"]

    def slow(one: str) -> float:
        left, same = letters(one), 0
        for letter in letters(answer):
            if letter in left:
                left.remove(letter)
                same += 1
        if not same:
            return 0.0
        precision, recall = same / len(letters(answer)), same / len(letters(one))
        return 2 * precision * recall / (precision + recall)

    assert jglue.character_f1(answer, right) == pytest.approx(max(slow(one) for one in right))
    assert jglue.exact_match(answer, [*right, answer]) == 1.0


def test_answers_are_compared_without_width_emoji_and_space_between_wide_letters() -> None:
    assert jglue.exact_match(" １８６７年 ", ["1867年"]) == 1.0
    assert jglue.exact_match("ﾃﾚﾋﾞ 局", ["テレビ局"]) == 1.0
    assert jglue.exact_match("New  York", ["New York"]) == 1.0
    assert jglue.exact_match("山梨県🗻", ["山梨県"]) == 1.0
    assert jglue.exact_match("サ－バ‐", ["サ-バ-"]) == 1.0
    assert jglue.exact_match("", ["雨"]) == 0.0
    assert jglue.exact_match("雨が", ["雨"]) == 0.0
    assert jglue.character_f1("雨が", ["雨"]) == pytest.approx(2 / 3)


def damaged(folder: Path, task: str, content: str) -> str:
    place = folder / task
    place.mkdir(parents=True)
    (place / "valid.json").write_text(content, encoding="utf-8")
    with pytest.raises(TrainError) as caught:
        jglue.load_task(folder, task)
    return str(caught.value)


def test_what_is_wrong_with_a_file_is_a_sentence_that_names_it(folder: Path, tmp_path: Path) -> None:
    said = damaged(tmp_path / "a", "jnli", '{"sentence1": "甲", "sentence2": "乙", "label": "neutral"}')
    assert "valid.json, item 1 is not of JNLI: the field 'sentence_pair_id' is missing or wrong" in said
    said = damaged(tmp_path / "b", "jcommonsenseqa", json.dumps({**quiz("valid", 1)[0], "label": 5}))
    assert "item 1 is not of JCommonsenseQA: the field 'label'" in said
    assert "cannot be read" in damaged(tmp_path / "c", "jsquad", '{"data": [')
    assert "there are no items" in damaged(tmp_path / "d", "jsquad", '{"data": []}')
    one = {"sentence_pair_id": "7", "sentence1": "甲", "sentence2": "乙", "label": "neutral"}
    assert "the id 7 stands more than once" in damaged(tmp_path / "e", "jnli", json.dumps([one, one]))
    (tmp_path / "f").mkdir()
    with pytest.raises(TrainError, match=r"f lacks the file jnli-v1.3/valid-v1.3.json .*it holds nothing of JNLI"):
        jglue.load_task(tmp_path / "f", "jnli")
    (tmp_path / "f" / "jnli-test.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(TrainError, match="of JNLI it holds test only"):
        jglue.load_task(tmp_path / "f", "jnli")
    for version in ("v1.1", "v1.3"):
        (tmp_path / "g" / f"jnli-{version}").mkdir(parents=True)
        (tmp_path / "g" / f"jnli-{version}" / "valid.json").write_text(json.dumps([one]), encoding="utf-8")
    with pytest.raises(
        TrainError, match=r"more than one valid file of JNLI .*jnli-v1.1/valid.json, jnli-v1.3/valid.json"
    ):
        jglue.load_task(tmp_path / "g", "jnli")
    with pytest.raises(TrainError, match=r"no task 'jsqad'; .*did you mean jsquad\?"):
        jglue.chosen_tasks("jnli,jsqad")
    with pytest.raises(TrainError, match="names no task"):
        jglue.chosen_tasks(" , ")
    assert jglue.chosen_tasks("jnli, JSQuAD") == ["jsquad", "jnli"]
    with pytest.raises(TrainError, match="lacks the file"):
        jglue.load_task(folder, "jnli", "train")


@pytest.mark.shared_data
def test_the_published_files_have_the_published_numbers_of_items(shared_data: Path) -> None:
    sizes = {task: len(jglue.load_task(shared_data / "jglue", task).items) for task in TASKS}
    assert sizes == {"jsquad": 4442, "jcommonsenseqa": 1119, "jnli": 2434}


FETCH = """
import sys
from train import jglue
from train.errors import TrainError
for name in sys.argv[1:]:
    try:
        folder = jglue.fetch(name, ["jcommonsenseqa"])
        print(len(jglue.load_task(folder, "jcommonsenseqa").items), sorted(p.name for p in folder.rglob("*.parquet")))
    except TrainError as error:
        print("TrainError:", error)
"""


def asked(hub: HubServer, home: Path, *names: str, **environment: str) -> list[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING_FACE"))}
    own = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", FETCH, *names], env={**kept, **own, **environment}, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def parquet(rows: list[dict[str, Any]]) -> bytes:
    target = BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), target)
    return target.getvalue()


def test_tasks_come_from_the_hub_and_later_from_what_was_fetched(tmp_path: Path) -> None:
    files = {
        "README.md": b"#",
        "JCommonsenseQA/validation-00000-of-00001.parquet": parquet(quiz("valid", 7)),
        "JCommonsenseQA/train-00000-of-00001.parquet": parquet(quiz("train", 9)),
        "MARC-ja/train-00000-of-00001.parquet": b"not asked for",
    }
    sets = {
        "Rakuten/JGLUE": Dataset(files),
        "nobody/empty": Dataset({"README.md": b"#"}),
        "nobody/gated": Dataset(files, gated=401),
    }
    with HubServer(sets) as hub:
        fetched, nowhere, empty, gated = asked(
            hub, tmp_path, "Rakuten/JGLUE", "no/where", "nobody/empty", "nobody/gated"
        )
        assert fetched == "7 ['train-00000-of-00001.parquet', 'validation-00000-of-00001.parquet']"
        assert "no/where is neither a folder nor a data set of the Hub" in nowhere
        assert "holds no data of JCommonsenseQA" in empty
        assert "nobody/gated is gated" in gated
        assert not [request for request in hub.downloads() if "MARC" in request.path]
        before = len(hub.log)
        again, absent = asked(hub, tmp_path, "Rakuten/JGLUE", "a/b", HF_HUB_OFFLINE="1")
        assert again == fetched
        assert "The Hub cannot be reached for a/b" in absent
        assert len(hub.log) == before


def test_where_a_data_set_is_a_script_the_hubs_parquet_copy_is_taken(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    script = tmp_path / "script"
    script.mkdir()
    (script / "JGLUE.py").write_text("raise SystemExit", encoding="utf-8")
    seen = []

    def fetched(name: str, *, revision: str | None = None, **_: object) -> str:
        seen.append((name, revision))
        return str(folder if revision == "refs/convert/parquet" else script)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetched)
    assert jglue.fetch("shunk031/JGLUE", ["jnli"]) == folder
    assert seen == [("shunk031/JGLUE", None), ("shunk031/JGLUE", "refs/convert/parquet")]
