"""Items are found however they were typed; innocent text is left alone; a wrong file is answered by a sentence."""

import gzip
import json
import pickle
import unicodedata
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_ja.errors import ConfigError
from corpus_ja.stages import decontaminate
from corpus_ja.stages.decontaminate import Decontamination, Index, Item
from corpus_ja.stages.exact import normal_form

LONG = Item(
    "jsquad",
    "q1",
    ("日本で梅雨がないのは北海道とどこの諸島だと言われていますか。",),
    "梅雨は東アジアの広い範囲で見られる特有の気象で、五月から七月にかけて毎年めぐって来る曇りや雨の多い期間のことである。",
)
CHOICES = Item("jcommonsenseqa", "7", ("田んぼが広がる風景を何という？", "畑", "海", "田園", "地方", "牧場"))
PAIR = Item("jnli", "3", ("猫が窓辺で寝ています。", "窓辺に猫がいます。"))
SHORT = Item("jsquad", "q2", ("梅雨とは何季の一種か?",))
ENGLISH = Item(
    "arc", "e1", ("Which of the following changes would most likely make a plant grow more slowly than it did before?",)
)
ENGLISH_CHOICES = Item("arc", "e2", ("What makes the tides rise?", "the wind", "the moon", "a ship", "warm water"))
ITEMS = [LONG, CHOICES, PAIR, SHORT, ENGLISH, ENGLISH_CHOICES]
FILLER = "この町の図書館は駅から歩いて五分のところにあり、休みの日には多くの人が本を借りに来る。"


@pytest.fixture(scope="module")
def index() -> Index:
    return decontaminate.build_index(ITEMS, Decontamination())


def hits(index: Index, *texts: str) -> list[list[str]]:
    series = pl.Series(list(texts))
    found: list[list[str]] = decontaminate.overlaps(series, normal_form(series), index)["evaluation_items"].to_list()
    return found


def widened(text: str) -> str:
    """ASCII in full width, katakana as it is: what NFKC brings back."""
    return "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text)


def repunctuated(text: str) -> str:
    return text.replace("。", "．").replace("、", "，").replace("？", " ?! ").replace("\n", " ／ ").replace("の", "の ")


@pytest.mark.parametrize("item", [LONG, CHOICES, PAIR, ENGLISH, ENGLISH_CHOICES], ids=lambda item: item.name)
def test_an_item_is_found_verbatim_in_another_width_with_other_punctuation_and_inside_a_page(
    index: Index, item: Item
) -> None:
    text = "\n".join(item.parts)
    page = FILLER * 20 + text + FILLER * 20
    assert hits(index, text, widened(text), repunctuated(text), page) == [[item.name]] * 4


def test_an_item_is_found_with_its_choices_numbered(index: Index) -> None:
    numbered = "\n".join(f"({number}) {part}" for number, part in enumerate(CHOICES.parts))
    assert hits(index, numbered) == [["jcommonsenseqa/7"]]


def test_a_long_part_is_found_with_a_small_mistake_but_not_by_a_piece_of_it() -> None:
    long = (
        "夏目漱石が明治三十八年に雑誌に発表し大きな評判を呼んだ猫を語り手とする長い小説の題名は何というか答えてください"
    )
    own = decontaminate.build_index([Item("s", "1", (long,))], Decontamination())
    assert hits(own, FILLER + long[:-3] + "なさい" + FILLER) == [["s/1"]]
    assert hits(own, FILLER + long[:25] + FILLER) == [[]]


def test_pieces_of_a_part_scattered_over_a_page_are_not_the_part(index: Index) -> None:
    text = LONG.parts[0]
    pieces = [text[begin : begin + 14] for begin in range(0, len(text) - 13, 2)]
    assert hits(index, (FILLER * 5).join(pieces)) == [[]]


def test_a_short_part_counts_only_when_the_rest_of_the_item_is_near(index: Index) -> None:
    question, *choices = CHOICES.parts
    assert hits(index, FILLER + question + FILLER) == [[]]
    assert hits(index, question + "x" * 190 + " ".join(choices)) == [["jcommonsenseqa/7"]]
    assert hits(index, question + "x" * 400 + " ".join(choices)) == [[]]
    assert hits(index, PAIR.parts[0], PAIR.parts[1]) == [[], []]


def test_an_item_that_is_ordinary_language_is_listed_as_unprotected(index: Index) -> None:
    assert index.unprotected == ("jsquad/q2",)
    tiny = decontaminate.build_index(
        [Item("s", "1", ("夏？", "海", "山")), Item("s", "2", ("", "！"))], Decontamination()
    )
    assert tiny.unprotected == ("s/1", "s/2")
    assert hits(tiny, "夏は海、山") == [[]]


def test_a_context_is_reported_apart_and_drops_nothing(index: Index) -> None:
    assert LONG.context is not None
    text = pl.Series([FILLER + LONG.context[5:40] + FILLER, FILLER + LONG.context[5:25] + FILLER])
    found = decontaminate.overlaps(text, normal_form(text), index)
    assert found["context_items"].to_list() == [["jsquad/q1"], []]
    assert found["evaluation_items"].to_list() == [[], []]
    assert decontaminate.judge(found).to_list() == [None, None]


def test_the_verdict_names_the_first_set_and_the_overlaps_name_all_items(index: Index) -> None:
    text = pl.Series(["\n".join([*CHOICES.parts, *LONG.parts]), FILLER, ""])
    found = decontaminate.overlaps(text, normal_form(text), index)
    assert found.schema == decontaminate.OVERLAPS
    assert found["evaluation_items"].to_list() == [["jsquad/q1", "jcommonsenseqa/7"], [], []]
    assert decontaminate.judge(found).to_list() == ["decontaminate.jsquad", None, None]


def test_items_with_the_same_text_are_both_named() -> None:
    twice = decontaminate.build_index(
        [LONG, Item("other", "9", LONG.parts), PAIR, Item("other", "3", PAIR.parts)], Decontamination()
    )
    assert hits(twice, LONG.parts[0], "".join(PAIR.parts)) == [["jsquad/q1", "other/9"], ["jnli/3", "other/3"]]


def test_an_index_travels_to_workers_and_an_empty_one_finds_nothing(index: Index) -> None:
    assert hits(pickle.loads(pickle.dumps(index)), "\n".join(CHOICES.parts)) == [["jcommonsenseqa/7"]]  # noqa: S301
    assert hits(decontaminate.build_index([], Decontamination()), FILLER, "") == [[], []]
    assert decontaminate.overlaps(pl.Series([], dtype=pl.String), pl.Series([], dtype=pl.String), index).height == 0


def test_a_document_is_judged_alike_whatever_stands_beside_it(index: Index) -> None:
    texts = ["\n".join(item.parts) + FILLER * 200 for item in ITEMS] + [FILLER * 15_000, "", "あ" * 600_000]
    together = hits(index, *texts, *texts)
    assert together == [hits(index, text)[0] for text in texts] * 2


def test_jglue_records_become_items() -> None:
    choices = [{"q_id": 1, "question": "問", **{f"choice{at}": f"答{at}" for at in range(5)}, "label": 2}]
    assert decontaminate.jglue_items("jcommonsenseqa", choices, "c", "c.json") == [
        Item("c", "1", ("問", "答0", "答1", "答2", "答3", "答4"))
    ]
    pair = [{"sentence_pair_id": "5", "sentence1": "甲", "sentence2": "乙", "label": "neutral"}]
    assert decontaminate.jglue_items("jnli", pair, "n", "n.json") == [Item("n", "5", ("甲", "乙"))]
    squad = [{"data": [{"paragraphs": [{"context": "題 [SEP] 本文", "qas": [{"id": "a", "question": "何か"}]}]}]}]
    assert decontaminate.jglue_items("jsquad", squad, "s", "s.json") == [Item("s", "a", ("何か",), "本文")]


def test_records_of_any_form_become_items_by_named_fields() -> None:
    records = [{"id": "x", "q": "問", "options": ["甲", "乙"]}, {"q": "二", "options": []}]
    assert decontaminate.jsonl_items(records, ["q", "options"], "own", "own.jsonl") == [
        Item("own", "x", ("問", "甲", "乙")),
        Item("own", "2", ("二",)),
    ]


@pytest.mark.parametrize(
    ("task", "records", "sentence"),
    [
        (
            "jnli",
            [{"sentence1": "甲", "text": "乙"}],
            r"valid.json, line 1: .*no field sentence_pair_id, sentence2 .*found sentence1, text",
        ),
        ("jcommonsenseqa", [3], r"valid.json, line 1: .*JSON object with the fields q_id, question"),
        (
            "jnli",
            [{"sentence_pair_id": 1, "sentence1": None, "sentence2": "乙"}],
            r"line 1: the field sentence1 .*not None",
        ),
        ("jsquad", [{"data": {}}], r"valid.json, line 1: data should be a list"),
        ("jsquad", [{"data": [{"paragraphs": [{"qas": []}]}]}], r"no field context .*found qas"),
    ],
)
def test_a_file_with_the_wrong_fields_is_answered_by_a_sentence(
    task: decontaminate.Task, records: list[Any], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        decontaminate.jglue_items(task, records, "set", "valid.json")


def test_a_jsonl_set_without_fields_or_with_wrong_ones_is_answered_by_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"own.jsonl: .*needs `fields`"):
        decontaminate.jsonl_items([{"q": "問"}], [], "own", "own.jsonl")
    with pytest.raises(ConfigError, match=r"own.jsonl, line 2: .*no field q .*found question"):
        decontaminate.jsonl_items([{"q": "問"}, {"question": "問"}], ["q"], "own", "own.jsonl")


def test_a_short_question_counts_with_one_of_its_answers_and_not_alone() -> None:
    item = Item("jsquad", "q2", ("梅雨とは何季の一種か?",), None, ("雨季", "雨季の一種", "雨季"))
    own = decontaminate.build_index([item], Decontamination())
    assert own.unprotected == ()
    asked = item.parts[0]
    assert hits(own, FILLER + asked + FILLER, asked + "\n雨季", f"雨季。{asked}", asked + "x" * 400 + "雨季") == [
        [], ["jsquad/q2"], ["jsquad/q2"], [],
    ]  # fmt: skip
    # Question and answer together are still ordinary language.
    tiny = decontaminate.build_index([Item("s", "1", ("首都は?",), None, ("東京",))], Decontamination())
    assert tiny.unprotected == ("s/1",)


def test_squad_answers_are_taken_in_every_shape() -> None:
    def question(answers: object) -> list[Any]:
        return [
            {
                "data": [
                    {"paragraphs": [{"context": "文", "qas": [{"id": "a", "question": "何か", "answers": answers}]}]}
                ]
            }
        ]

    for answers in (
        [{"text": "雨", "answer_start": 1}, {"text": "雨"}, {"text": "雪"}],
        {"text": ["雨", "雪"]},
        ["雨", "雪"],
    ):
        (item,) = decontaminate.jglue_items("jsquad", question(answers), "s", "s.json")
        assert item.answers == ("雨", "雪")
    assert decontaminate.jglue_items("jsquad", question(None), "s", "s.json")[0].answers == ()


WORDS = [f"word{number}" for number in range(400)]


def test_english_is_found_by_its_words_in_any_case_punctuation_and_line() -> None:
    question = "In which year did the keeper of the northern lighthouse write down the names of all passing ships?"
    own = decontaminate.build_index([Item("s", "1", (question,))], Decontamination())
    page = " ".join(WORDS[:100])
    shouted = question.upper().replace(" ", "\n")
    commas = question.replace(" ", ", ").replace("?", " ... ?!")
    assert hits(own, question, f"{page} {question} {page}", shouted, commas) == [["s/1"]] * 4
    joined = question.replace(" ", "")
    pieces = " ".join(word + " " + " ".join(WORDS[:9]) for word in question.split())
    backwards = " ".join(reversed(question.split()))
    first_half = " ".join(question.split()[:12])
    assert hits(own, joined, pieces, backwards, first_half, page) == [[]] * 5


@given(st.integers(13, 60), st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_a_part_of_thirteen_words_or_more_is_found_wherever_it_stands(length: int, before: int, after: int) -> None:
    part = " ".join(WORDS[100 : 100 + length])
    own = decontaminate.build_index([Item("s", "1", (part,))], Decontamination())
    page = " ".join([*WORDS[:before], part, *WORDS[200 : 200 + after]])
    shorter = " ".join(WORDS[100 : 100 + length - 1 - length // 4])
    assert hits(own, page, shorter) == [["s/1"], []]


def test_twelve_words_alone_are_ordinary_language_and_count_beside_their_choices() -> None:
    question = " ".join(WORDS[:12])
    own = decontaminate.build_index(
        [Item("s", "1", (question,)), Item("s", "2", (question, "moon", "wind"))], Decontamination()
    )
    assert own.unprotected == ("s/1",)
    assert hits(own, question, f"{question} (a) Moon (b) Wind") == [[], ["s/2"]]


def test_words_and_share_are_the_mixs_to_choose() -> None:
    part = " ".join(WORDS[:20])
    strict = decontaminate.build_index([Item("s", "1", (part,))], Decontamination(words=8, share=1.0))
    assert hits(strict, part, " ".join([*WORDS[:10], "other", *WORDS[11:20]])) == [["s/1"], []]
    loose = decontaminate.build_index([Item("s", "1", (part,))], Decontamination(words=8, share=0.3))
    assert hits(loose, " ".join(WORDS[:12])) == [["s/1"]]


def lm_eval(number: int, **doc: object) -> dict[str, object]:
    """A record as `--log_samples` writes it."""
    prompt = "例題: ...\n\n質問: ...\n回答:"
    return {
        "doc_id": number, "doc": doc, "target": "0", "arguments": [[prompt, " 東京"]], "resps": [[["-1.5", "True"]]],
        "filtered_resps": [["-1.5", "True"]], "filter": "none", "acc": 1.0, "doc_hash": "00", "prompt_hash": "00",
    }  # fmt: skip


def test_lm_eval_dumps_become_items_by_what_their_documents_hold() -> None:
    records = [
        lm_eval(
            0,
            id="Mercury_1",
            question="Which gas?",
            choices={"text": ["air", "water"], "label": ["A", "B"]},
            answerKey="A",
        ),
        lm_eval(1, q_id=9, question="主に子ども向けのもので、何という？", choice0="世界", choice1="写真集", label=1),
        lm_eval(2, context="本文がここにある。", question="何か", answers={"text": ["本文"], "answer_start": [0]}),
        lm_eval(2, context="本文がここにある。", question="何か", answers={"text": ["本文"], "answer_start": [0]}),
        lm_eval(3, story="A story that is asked for by itself.", subject="x"),
        lm_eval(4, ctx="A man is", endings=["falling.", "rising."], ind=4, activity_label="Sailing"),
    ]
    assert decontaminate.lm_eval_items(records, [], "s", "samples.jsonl") == [
        Item("s", "0", ("Which gas?", "air", "water")),
        Item("s", "1", ("主に子ども向けのもので、何という？", "世界", "写真集")),
        Item("s", "2", ("何か",), "本文がここにある。", ("本文",)),
        Item("s", "3", ("A story that is asked for by itself.",)),
        Item("s", "4", ("A man is", "falling.", "rising.")),
    ]
    assert decontaminate.lm_eval_items(records[:1], ["doc.question", "doc.choices.text"], "s", "samples.jsonl") == [
        Item("s", "1", ("Which gas?", "air", "water"))
    ]
    with pytest.raises(ConfigError, match=r"samples.jsonl, line 1: .*no field doc_id"):
        decontaminate.lm_eval_items([{"question": "問"}], [], "s", "samples.jsonl")
    with pytest.raises(ConfigError, match=r"samples.jsonl, line 1: no text to look for in `doc` \(found id, label\)"):
        decontaminate.lm_eval_items([lm_eval(0, id=3, label=1)], [], "s", "samples.jsonl")
    with pytest.raises(ConfigError, match=r"samples.jsonl, line 1: .*no field choices .*found id, label"):
        decontaminate.lm_eval_items([lm_eval(0, id=3, label=1)], ["doc.choices.text"], "s", "samples.jsonl")


def jglue(folder: Path) -> list[Item]:
    items: list[Item] = []
    tasks: tuple[decontaminate.Task, ...] = ("jcommonsenseqa", "jnli", "jsquad")
    for task in tasks:
        for split in ("valid", "test"):
            path = folder / "jglue" / f"{task}-v1.3" / f"{split}-v1.3.json.gz"
            raw = gzip.decompress(path.read_bytes())
            records = [json.loads(raw)] if task == "jsquad" else [json.loads(line) for line in raw.split(b"\n") if line]
            items += decontaminate.jglue_items(task, records, f"{task}-{split}", path.name)
    return items


@pytest.mark.shared_data
def test_every_jglue_item_with_a_usable_part_is_found_and_good_documents_stay(shared_data: Path) -> None:
    items = jglue(shared_data)
    index = decontaminate.build_index(items, Decontamination())
    unprotected = set(index.unprotected)
    usable = [item for item in items if item.name not in unprotected][::5]
    # A question alone stands with an answer; 22 of 16,041 items are too short even so.
    assert len(unprotected) <= 30
    whole = ["\n".join([*item.parts, *(item.answers[:1] if len(item.parts) == 1 else ())]) for item in usable]
    forms = {
        "verbatim": whole,
        "width": [widened(text) for text in whole],
        "punctuation": [repunctuated(text) for text in whole],
        "page": [FILLER * 3 + text + FILLER * 3 for text in whole],
    }
    for form, least in (("verbatim", 0.99), ("width", 0.99), ("punctuation", 0.98), ("page", 0.99)):
        found = [item.name in names for item, names in zip(usable, hits(index, *forms[form]), strict=True)]
        assert sum(found) / len(found) >= least, form
    assert any(unicodedata.normalize("NFKC", text) != text for text in forms["width"])

    names, texts = [], []
    for path in sorted([*(shared_data / "prose_ja").glob("*.zst"), *(shared_data / "prose_en").glob("*.zst")]):
        for line in zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read().split(b"\n"):
            if line:
                record = json.loads(line)
                names.append(record["id"])
                texts.append(record["text"])
    text = pl.Series(texts)
    found_in = decontaminate.overlaps(text, normal_form(text), index)
    # Read: three laws that bear the title of the law a JSQuAD question names, and the Wikipedia article that its
    # questions were written from.
    assert decontaminate.judge(found_in).is_not_null().sum() <= 0.001 * len(texts)
    met = {name for name, contexts in zip(names, found_in["context_items"], strict=True) if len(contexts)}
    assert {"SkelterLabsInc/JaQuAD:article/オスマン帝国", "SkelterLabsInc/JaQuAD:article/アトランタ"} <= met
    assert sum("WikipediaAnnotatedCorpus" in name for name in met) == 6
