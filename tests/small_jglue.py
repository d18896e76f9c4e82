"""JGLUE in small: the three tasks' files in the shapes of the published ones, with items of our own."""

import gzip
import json
from pathlib import Path
from typing import Any

from tests.world import Draws, japanese

LABELS = ("neutral", "neutral", "contradiction", "entailment")
"""Half neutral, a quarter each of the others."""


def paragraphs(split: str, count: int) -> list[dict[str, Any]]:
    """Articles of one paragraph with two questions each; the answer stands in the paragraph."""
    articles = []
    for number in range(count):
        text = japanese(f"{split} paragraph {number}", 2)
        place = text.split("、")[1].split("の")[0]
        questions = [
            {"id": f"{split}{number}q{one}", "question": f"{number}番目の話の{what}はどこですか。", "is_impossible": False,
             "answers": [{"text": place, "answer_start": text.index(place)}, {"text": f"{place}です", "answer_start": 0}]}
            for one, what in enumerate(("場所", "土地"))
        ]  # fmt: skip
        articles.append(
            {"title": f"話{number}", "paragraphs": [{"context": f"話{number} [SEP] {text}", "qas": questions}]}
        )
    return articles


def quiz(split: str, count: int) -> list[dict[str, Any]]:
    """Questions with five choices; the right one's number goes round."""
    return [
        {"q_id": number + 1000 * len(split), "question": f"{japanese(f'{split} quiz {number}', 1)[:12]}は何？",
         **{f"choice{one}": f"{name}{number}" for one, name in enumerate(("傘", "古い本", "帽子", "提灯", "鏡"))},
         "label": Draws(f"{split} {number}").below(5)}
        for number in range(count)
    ]  # fmt: skip


def pairs(split: str, count: int) -> list[dict[str, Any]]:
    """Pairs of sentences."""
    return [
        {"sentence_pair_id": f"{split}{number}", "yjcaptions_id": "0", "sentence1": japanese(f"{split} one {number}", 1),
         "sentence2": japanese(f"{split} two {number}", 1), "label": LABELS[number % 4]}
        for number in range(count)
    ]  # fmt: skip


def write_jglue(folder: Path, valid: int = 12, other: int = 8) -> Path:
    """The files as yahoojapan/JGLUE has them: JSQuAD nested, the others JSON lines; some packed."""
    for task, make in (("jsquad", paragraphs), ("jcommonsenseqa", quiz), ("jnli", pairs)):
        place = folder / f"{task}-v1.3"
        place.mkdir(parents=True)
        splits = ("train", "valid", "test") if task == "jcommonsenseqa" else ("valid", "test")
        for split in splits:
            records = make(split, valid if split == "valid" else other)
            text = (
                json.dumps({"version": "1.3", "data": records}, ensure_ascii=False)
                if task == "jsquad"
                else "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
            )
            if task == "jnli":
                (place / f"{split}-v1.3.json.gz").write_bytes(gzip.compress(text.encode()))
            else:
                (place / f"{split}-v1.3.json").write_text(text, encoding="utf-8")
    return folder
