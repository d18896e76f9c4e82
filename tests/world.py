"""A small named world of sources for tests of whole builds, and a way to build it without starting processes.

`World.make(folder)` writes three sources of sentences put together from word lists (numbers drawn by a generator of our
own, so the text is the same for every version of Python) and a mix over them; planted documents have names that say
what they are. `Here` is an executor that runs every task in this process, packed and unpacked as for a real worker: a
build of the world takes under a second. `pieces` and `restored` read shards with PyArrow alone.
"""

import copy
import hashlib
import json
import pickle
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import yaml

from corpus_ja import pipeline
from corpus_ja.config import load_mix
from corpus_ja.executors import Executor, ExecutorSettings, Task, open_executor
from corpus_ja.exports import verdicts
from corpus_ja.storage.manifest import Manifest

REPOSITORY = Path(__file__).resolve().parents[1]
QUICKSTART = REPOSITORY / "recipes" / "quickstart"

Record = dict[str, Any]

WORDS = {
    "place": "港 川上 山里 市場 駅前 岬 学校 畑 神社 温泉 図書館 工場 半島 集落 橋 峠 湖 酒蔵 寺 広場",
    "person": "祖母 漁師 先生 医者 大工 少年 旅人 司書 船長 農夫 画家 職人 姉 駅長 料理人 庭師 学生 郵便屋 猟師 靴屋",
    "thing": "手紙 地図 時計 傘 釣り竿 帽子 楽器 薬草 古い本 写真 焼き物 提灯 自転車 鏡 織物 鍋 机 笛 切手 種",
    "doing": "を直していた を探しに来た をゆっくり眺めた を友人に渡した を棚に並べた を忘れて帰った を丁寧に磨いた "
    "をそっと包んだ を高く掲げた を静かに閉じた を売りに出した を大切にしまった",
    "time": "朝早く 夕方 雨の日に 夏の終わりに 雪の夜 祭りの前に 昼過ぎ 春先に 霧の朝 風の強い日に 月の夜 収穫のあと",
    "end": "その音は遠くまで聞こえた。 誰もそれを笑わなかった。 空には雲が流れていた。 次の日もまた同じだった。 "
    "水は冷たく澄んでいた。 犬がその後をついて行った。 茶を飲みながら長く話した。 道は細く続いていた。 "
    "灯りが一つ消えた。 それで皆は安心した。",
}
ENGLISH = {
    "who": "the keeper|my aunt|a young doctor|the old sailor|our teacher|the baker|a tired clerk|the gardener|"
    "his brother|the potter|a travelling judge|the miller",
    "did": "mended|carried|described|hid|painted|sold|remembered|weighed|borrowed|polished|counted|drew",
    "what": "the broken clock|a map of the coast|three letters|the copper kettle|an unfinished story|the long rope|"
    "a basket of plums|the silver flute|two wooden chairs|the harbour bell|a coat with no buttons|the winter accounts",
    "where": "beside the river|in the empty station|under the bridge|at the edge of the moor|behind the mill|"
    "on the upper road|near the lighthouse|in a quiet kitchen|above the bay|outside the library",
    "when": "before the rain came|on a Sunday|after the harvest|while the others slept|in the first week of spring|"
    "long after midnight|when the ferry had left|during the great frost",
}
CHINESE = "这是一篇关于城市发展的文章。我们在过去的十年里看到了许多变化，人们的生活水平不断提高，交通也越来越方便。" * 3


class Draws:
    """A stream of numbers that no library can change (SplitMix64)."""

    def __init__(self, name: str) -> None:
        self.state = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])

    def below(self, bound: int) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) % 2**64
        mixed = (self.state ^ (self.state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB % 2**64
        return (mixed ^ (mixed >> 31)) % bound

    def one(self, words: Sequence[str]) -> str:
        return words[self.below(len(words))]


def japanese(name: str, sentences: int = 0) -> str:
    """A little Japanese prose, the same for the same name; 4 to 12 sentences unless told."""
    draws = Draws(name)
    lines = []
    for _ in range(sentences or 4 + draws.below(9)):
        time, place, person, thing, doing = (
            draws.one(WORDS[kind].split()) for kind in ("time", "place", "person", "thing", "doing")
        )
        end = draws.one(WORDS["end"].split()) if draws.below(2) else ""
        lines.append(f"{time}、{place}の{person}は{thing}{doing}。{end}")
    return "\n".join(lines)


def english(name: str, sentences: int = 0) -> str:
    """A little English prose, the same for the same name."""
    draws = Draws(name)
    lines = []
    for _ in range(sentences or 4 + draws.below(9)):
        who, did, what, where, when = (draws.one(words.split("|")) for words in ENGLISH.values())
        lines.append(f"{who[0].upper()}{who[1:]} {did} {what} {where} {when}.")
    return " ".join(lines)


def touched(text: str, others: Callable[[str], str] = japanese) -> str:
    """A near copy: one more sentence at the end of a long text."""
    return f"{text}\n{others(text)[:24]}"


RULES = """
description: What the world's sources are asked.
language: LANGUAGE
rules:
  - name: short
    why: The world's planted fragments are shorter. (Ours)
    signal: characters_without_spaces
    min: 60
    examples:
      keep: [{text: "あいうえお。", times: 12}]
      drop: ["あ"]
  - name: exclaiming
    why: The world's planted advertising says the same again and again. (Ours)
    signal: repeated_line_share
    max: 0.5
    examples:
      keep: ["あいうえお。"]
      drop: [{text: "今だけお買い得。\\n", times: 9}]
"""
MIX: dict[str, Any] = {
    "name": "world",
    "tokenizer": "tokenizer",
    "sequence_length": 64,
    "seed": 42,
    "validation": "5%",
    "shards": 3,
    "sources": {
        "river": {
            "jsonl": "river/*.jsonl",
            "language": "ja",
            "filters": ["tidy_ja.yaml"],
            "columns": {"score": "score"},
        },
        "hill": {"parquet": "hill.parquet", "language": "ja", "filters": ["tidy_ja.yaml"]},
        "harbour": {"jsonl": "harbour.jsonl", "language": "en", "filters": ["tidy_en.yaml"]},
    },
    "duplicates": {"threshold": 0.8},
    "decontaminate": {"sets": [{"path": "evaluation.jsonl", "form": "jsonl", "fields": ["question"], "name": "quiz"}]},
    "executor": {"kind": "local", "workers": 1},
}
FRAGMENT = "昨日は雨だったので、家で本を読んでいました。"
QUESTION = "霧の深い朝に岬の灯台から最後の船を見送った老人が手に持っていた道具は何でしょうか"
RIVER, HILL, HARBOUR = 30, 24, 24
"""Ordinary documents of each source; the planted ones come on top."""


def river() -> list[Record]:
    """The records of `river`, in the order of its two files, broken lines not among them."""
    records = [
        {"id": f"r{n}", "text": japanese(f"river {n}"), "score": n % 5, "url": f"https://river.example/{n}"}
        for n in range(RIVER)
    ]
    long = japanese("long", 30)
    planted = {
        "same": records[6]["text"],
        "long": long,
        "near": touched(long),
        "chinese": CHINESE,
        "chinese and short": CHINESE[:30],
        "short": FRAGMENT,
        "short again": FRAGMENT,
        "exclaiming": "今だけお買い得、見に来てください。\n" * 12,
        "contaminated": f"{japanese('quiz', 5)}\n{QUESTION}\n{japanese('after', 5)}",
        "contaminated again": f"{japanese('quiz', 5)}\n{QUESTION}\n{japanese('after', 5)}",
    }
    return records + [{"id": name, "text": text, "score": 4, "url": None} for name, text in planted.items()]


BROKEN_LINES = [
    '{"id": "cut", "text": "途中で',
    '["no", "object"]',
    '{"id": "textless"}',
    '{"id": "number", "text": 5}',
]
"""Lines of the second file of `river` that are no documents."""


def write_lines(path: Path, records: Sequence[Record], broken: Sequence[str] = ()) -> None:
    """Write JSON lines, the broken ones first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [*broken, *(json.dumps(record, ensure_ascii=False) for record in records)]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@dataclass
class World:
    """A folder with sources, rules, a tokenizer and mixes; builds go to `builds/` and share `work/`."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "World":
        """Write the world's files."""
        folder.mkdir(parents=True, exist_ok=True)
        records = river()
        write_lines(folder / "river" / "a.jsonl", records[:17])
        write_lines(folder / "river" / "b.jsonl", records[17:], BROKEN_LINES)
        texts = [japanese(f"hill {n}") for n in range(HILL)]
        texts += [records[5]["text"], f"{japanese('long', 30)}\n{japanese('another end')[:24]}"]
        pl.DataFrame({"title": [f"丘{n}" for n in range(len(texts))], "text": texts}).write_parquet(
            folder / "hill.parquet"
        )
        # Two documents without an id of their own, two with the same one.
        harbour: list[Record] = [{"id": f"h{n}", "text": english(f"harbour {n}")} for n in range(HARBOUR)]
        harbour += [
            {"id": "h0", "text": english("second h0")},
            {"text": english("nameless")},
            {"id": "h0", "text": english("third h0")},
        ]
        write_lines(folder / "harbour.jsonl", harbour)
        for language in ("ja", "en"):
            (folder / f"tidy_{language}.yaml").write_text(RULES.replace("LANGUAGE", language), encoding="utf-8")
        write_lines(folder / "evaluation.jsonl", [{"question": QUESTION}])
        shutil.copytree(QUICKSTART / "tokenizer", folder / "tokenizer", dirs_exist_ok=True)
        return cls(folder)

    def mix(self, name: str = "world", changes: Mapping[str, Any] | None = None) -> Path:
        """Write a mix: the world's with some dotted keys set, or removed where the value is None."""
        values = copy.deepcopy(MIX)
        for key, value in {"name": name, **(changes or {})}.items():
            *parents, last = key.split(".")
            place: Any = values
            for parent in parents:
                place = place[int(parent)] if isinstance(place, list) else place.setdefault(parent, {})
            if isinstance(place, list):
                place[int(last)] = value
            elif value is None:
                place.pop(last, None)
            else:
                place[last] = value
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(values, allow_unicode=True, sort_keys=False), encoding="utf-8")
        return path

    def build(
        self,
        name: str = "world",
        changes: Mapping[str, Any] | None = None,
        *,
        executor: Executor | None = None,
        work: Path | None = None,
        output: Path | None = None,
        overrides: Sequence[str] = (),
    ) -> "Built":
        """Build the mix with these changes; in this process unless an executor is given."""
        loaded = load_mix(self.mix(name, changes), overrides)
        watcher = Watcher()
        target = output or self.folder / "builds" / name
        place = work or self.folder / "builds" / "work"
        with executor or Here() as runner:
            manifest, made = pipeline.run(loaded, target, place, runner, watcher)
        return Built(target, place, manifest, watcher, made)


@dataclass(frozen=True)
class Built:
    """A build, and what was done for it."""

    folder: Path
    work: Path
    manifest: Manifest
    watcher: "Watcher"
    made: bool = True

    @property
    def shards(self) -> dict[str, str]:
        """The SHA-256 of every shard by name, from the files."""
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((self.folder / "shards").iterdir())
        }

    @property
    def text_read(self) -> int:
        """Bytes of text that this run read, by the manifest's records."""
        return sum(record.text_bytes_read_now for record in self.manifest.stages)

    def tasks_now(self, *stages: str) -> dict[str, int]:
        """How many tasks of these stages this run did, by source."""
        found: dict[str, int] = {}
        for record in self.manifest.stages:
            if record.stage in stages:
                found[record.source] = found.get(record.source, 0) + record.tasks_now
        return found

    def verdicts(self) -> dict[str, str | None]:
        """Every document's verdict by id."""
        return {
            row[0]: row[1]
            for frame in verdicts(self.folder, self.work)
            for row in frame.select("id", "dropped_by").rows()
        }

    def table(self) -> pl.DataFrame:
        """Every document with its verdict, allotment, cluster and signals."""
        return pl.concat(verdicts(self.folder, self.work), how="diagonal_relaxed")

    def held_out(self) -> set[str]:
        """The ids in the validation shards."""
        return {name for name, _ in restored(self.folder, "validation")}


@dataclass
class Watcher:
    """An observer that remembers."""

    begun: list[tuple[str, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def begin(self, stage: str, tasks: int) -> None:
        self.begun.append((stage, tasks))

    def done(self, stage: str, report: Mapping[str, Any]) -> None:
        del stage, report

    def end(self, stage: str, skipped: int) -> None:
        del stage, skipped

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)


class Here(Executor):
    """Runs every task in this process, in order."""

    workers = 1

    def run(self, stage: str, tasks: Sequence[Task[Any]], on_done: Callable[[Task[Any]], None]) -> None:
        del stage
        for task in tasks:
            function, argument = pickle.loads(task.packed())  # noqa: S301 - packed here
            function(argument)
            on_done(task)

    def close(self) -> None:
        """Nothing was opened."""


def local(workers: int) -> Executor:
    """The real local executor."""
    return open_executor(ExecutorSettings(workers=workers), Path())


def pieces(build: Path, split: str = "train") -> Iterator[tuple[str, int, int, list[int]]]:
    """Every piece of a split: document id, epoch, start and tokens, in the order in which they stand."""
    for path in sorted((build / "shards").glob(f"{split}-*.parquet")):
        for row in pq.read_table(path).to_pylist():
            position = 0
            for index, length in enumerate(row["seq_lengths"]):
                tokens = row["input_ids"][position : position + length]
                yield row["document_ids"][index], row["epochs"][index], row["piece_starts"][index], tokens
                position += length
            assert position == len(row["input_ids"]), f"{path.name}: pieces and tokens of a row differ in length"


def restored(build: Path, split: str = "train") -> dict[tuple[str, int], list[int]]:
    """Every document's tokens by (id, epoch), its pieces put together in the order of their starts."""
    found: dict[tuple[str, int], list[int]] = {}
    for name, epoch, start, tokens in sorted(pieces(build, split)):
        whole = found.setdefault((name, epoch), [])
        assert len(whole) == start, f"{name}: a piece begins at {start}, but {len(whole)} tokens came before it"
        whole += tokens
    return found
