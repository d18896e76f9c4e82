"""The three JGLUE tasks of the original article: their items, prompts, few-shot examples and the score of an answer.

JSQuAD asks for a span of a Wikipedia paragraph (the model writes, the answer is compared); JCommonsenseQA has five
choices and JNLI three (the model's likeliest choice is its answer). Everything here is text and numbers: no model, no
harness, so that each rule can be read and tested alone.

Prompts are the published forms of Stability AI's Japanese harness, by its version numbers: 0.2 (the wording of Fintan's
comparison of ChatGPT and BERT) and 0.3 (that of Japanese Alpaca); for JCommonsenseQA the harness itself advises 0.2.1,
because 0.2 answers with a digit and scores low. A prompt is the description, the examples, then the item's question;
two line breaks follow each example. JNLI's labels are 含意, 矛盾 and 中立, as in the harness's version 1.3.

Where this differs from that harness, and so from the article: examples are drawn for each item by its id (not from one
stream over the data, which changes when items are left out), from train where it exists, else from test, else from the
other items; text is compared after NFKC (the harness: neologdn and an emoji list); F1 is over characters (the harness:
words by MeCab); an answer may have 32 tokens (the harness: as many as the longest right answer has, which tells the
model where to stop; `gold` asks for that). Data: JGLUE v1.1 to v1.3 files or Hub copies, JSQuAD nested or flat.
"""

import fnmatch
import gzip
import json
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from train.errors import TrainError, first_line

TASKS = {"jsquad": "JSQuAD", "jcommonsenseqa": "JCommonsenseQA", "jnli": "JNLI"}
"""The tasks in the order of the table, with the names people write."""

DEFAULT_SHOTS = {"jsquad": 1, "jcommonsenseqa": 3, "jnli": 3}
"""What fits 1,024 tokens of GPT-2's vocabulary: with prompt 0.2, 7.4% of JSQuAD's prompts exceed it with one example and
42% with the article's two; three examples of the others take at most 664 (reference, 500 items)."""

DEFAULT_PROMPTS = {"jsquad": "0.2", "jcommonsenseqa": "0.2.1", "jnli": "0.2"}

HUB = "Rakuten/JGLUE"
"""Where the tasks come from when no folder is given: the data set lm-eval's own Japanese tasks name."""

SEED = 42
"""The seed of Stability AI's harness."""

LABELS = ("entailment", "contradiction", "neutral")
JAPANESE_LABELS = ("含意", "矛盾", "中立")


@dataclass(frozen=True, slots=True)
class Item:
    """One question: what the prompt shows (`fields`), and either `choices` with the right one's index `gold`, or the
    `answers` that count as right.
    """

    id: str
    fields: Mapping[str, str]
    choices: tuple[str, ...] = ()
    gold: int = -1
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """A prompt form: `description` once at the top, `question` with the item's fields in braces; the answer follows it
    at once. `digits`: the answer is the number of the choice.
    """

    version: str
    description: str
    question: str
    digits: bool = False

    def choices(self, item: Item) -> tuple[str, ...]:
        """What the model may answer."""
        return tuple(str(number) for number in range(len(item.choices))) if self.digits else item.choices

    def answer(self, item: Item) -> str:
        """The right answer as an example shows it: of several, the first."""
        return self.choices(item)[item.gold] if item.choices else item.answers[0]

    def prompt(self, item: Item, examples: Sequence[Item] = ()) -> str:
        """The whole prompt of an item."""
        shown = "".join(f"{self.question.format_map(one.fields)}{self.answer(one)}\n\n" for one in examples)
        return f"{self.description}{shown}{self.question.format_map(item.fields)}"


_ALPACA = "以下は、タスクを説明する指示と、文脈のある入力の組み合わせです。要求を適切に満たす応答を書きなさい。\n\n"

FORMS: dict[str, dict[str, Form]] = {
    "jsquad": {
        "0.2": Form(
            "0.2",
            "質問に対する回答を文章から一言で抽出してください。回答は名詞で答えてください。\n\n",
            "文章:{context}\n質問:{question}\n回答:",
        ),
        "0.3": Form(
            "0.3",
            _ALPACA,
            "### 指示:\n与えられた文脈から、質問に対する答えを抜き出してください。\n\n"
            "### 入力:\n文脈：{context}\n質問：{question}\n\n### 応答:\n",
        ),
    },
    "jcommonsenseqa": {
        "0.2": Form(
            "0.2",
            "質問と回答の選択肢を入力として受け取り、選択肢から回答を選択してください。なお、回答は選択肢の番号(例:0)でするものとします。 \n\n",
            "質問:{question}\n選択肢:{numbered}\n回答:",
            digits=True,
        ),
        "0.2.1": Form(
            "0.2.1",
            "与えられた選択肢の中から、最適な答えを選んでください。 \n\n",
            "質問：{question}\n選択肢：\n{dashed}\n回答：",
        ),
        "0.3": Form(
            "0.3",
            _ALPACA,
            "### 指示:\n与えられた選択肢の中から、最適な答えを選んでください。出力は以下から選択してください：\n{dashed}\n\n"
            "### 入力:\n{question}\n\n### 応答:\n",
        ),
    },
    "jnli": {
        "0.2": Form(
            "0.2",
            "前提と仮説の関係を含意、矛盾、中立の中から回答してください。\n\n制約:\n"
            "- 前提から仮説が、論理的知識や常識的知識を用いて導出可能である場合は含意と出力\n"
            "- 前提と仮説が両立しえない場合は矛盾と出力\n- そのいずれでもない場合は中立と出力\n\n",
            "前提:{premise}\n仮説:{hypothesis}\n関係:",
        ),
        "0.3": Form(
            "0.3",
            _ALPACA,
            "### 指示:\n与えられた前提と仮説の関係を回答してください。\n\n出力は以下から選択してください：\n含意\n矛盾\n中立\n\n"
            "### 入力:\n前提：{premise}\n仮説：{hypothesis}\n\n### 応答:\n",
        ),
    },
}
"""The prompt forms of each task by the harness's version."""


@dataclass(frozen=True, slots=True)
class TaskData:
    """A task's items in the order of the file, the examples' pool with the split it is (`pool_split`), and the files."""

    task: str
    split: str
    items: tuple[Item, ...]
    pool: tuple[Item, ...]
    pool_split: str
    files: tuple[str, ...]

    def sample(self, limit: int) -> tuple[Item, ...]:
        """`limit` items by a hash of their ids, in the order of the file: the same for every model, and those of a
        smaller limit are among those of a larger; 0 takes all. Files are sorted by article, so that the first items
        would be about one subject.
        """
        import xxhash

        if not limit or limit >= len(self.items):
            return self.items
        drawn = sorted(self.items, key=lambda item: (xxhash.xxh3_64_intdigest(f"{self.task}\0{item.id}"), item.id))
        chosen = {item.id for item in drawn[:limit]}
        return tuple(item for item in self.items if item.id in chosen)

    def examples(self, item: Item, shots: int, seed: int = SEED) -> tuple[Item, ...]:
        """The examples shown before an item: drawn by its id, never itself or a question on its own paragraph.

        JNLI's are stratified: with three, one of each label. Raises TrainError where the pool is too small.
        """
        if not shots:
            return ()
        draw = random.Random(f"{seed}\0{self.task}\0{item.id}")  # noqa: S311 - a sample, no secret
        wanted = Counter[int]()
        if self.task == "jnli":
            every = range(len(LABELS))
            wanted.update(list(every) * (shots // len(LABELS)) + draw.sample(every, shots % len(LABELS)))
        chosen: list[Item] = []
        passed: list[Item] = []  # more of a label than wanted: taken where another label has too few
        seen: set[int] = set()
        while len(chosen) < shots and len(seen) < len(self.pool):
            number = draw.randrange(len(self.pool))
            one = self.pool[number]
            if number in seen or _same_text(one, item):
                seen.add(number)
                continue
            seen.add(number)
            if wanted and wanted[one.gold] < 1:
                passed.append(one)
                continue
            wanted[one.gold] -= bool(wanted)
            chosen.append(one)
        chosen += passed[: shots - len(chosen)]
        if len(chosen) < shots:
            raise TrainError(
                f"{TASKS[self.task]}: {shots} examples are asked for, but its {self.pool_split} file has {len(chosen)} that "
                f"may stand before item {item.id}; ask for fewer with --shots {self.task}={len(chosen)}."
            )
        draw.shuffle(chosen)
        return tuple(chosen)


def _same_text(one: Item, other: Item) -> bool:
    if one.id == other.id or one.fields == other.fields:
        return True
    return "context" in one.fields and one.fields["context"] == other.fields["context"]


def chosen_tasks(wish: str) -> list[str]:
    """The task names of a list with commas, in the table's order; raises TrainError for an unknown one."""
    asked = [name.strip().lower() for name in wish.split(",") if name.strip()]
    for name in asked:
        if name not in TASKS:
            near = get_close_matches(name, TASKS, 1)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise TrainError(f"--tasks: there is no task {name!r}; there are {', '.join(TASKS)}{hint}")
    if not asked:
        raise TrainError(f"--tasks names no task; there are {', '.join(TASKS)}.")
    return [name for name in TASKS if name in asked]


def load_task(folder: Path, task: str, split: str = "valid") -> TaskData:
    """A task's items from a folder with JGLUE's files, searched below it; raises TrainError, naming the files."""
    found = {name: _files(folder, task, name) for name in ("train", "valid", "test")}
    if not found[split]:
        others = [name for name, files in found.items() if files]
        known = (
            f"of {TASKS[task]} it holds {' and '.join(others)} only" if others else f"it holds nothing of {TASKS[task]}"
        )
        raise TrainError(
            f"{folder} lacks the file {task}-v1.3/{split}-v1.3.json (or .jsonl, .parquet, with .gz or .zst): {known}. "
            "Download JGLUE from github.com/yahoojapan/JGLUE, or leave the task out with --tasks."
        )
    items = _read(found[split], task)
    pool_split = next((name for name in ("train", "test", "valid") if found[name] and name != split), split)
    pool = items if pool_split == split else _read(found[pool_split], task)
    used = found[split] + (found[pool_split] if pool_split != split else [])
    return TaskData(
        task, split, items, pool, pool_split, tuple(sorted(path.relative_to(folder).as_posix() for path in used))
    )


_SUFFIXES = (".json", ".jsonl", ".parquet", ".json.gz", ".jsonl.gz", ".json.zst", ".jsonl.zst")
_SPLITS = {"train": ("train",), "valid": ("valid", "validation", "dev"), "test": ("test",)}


def _files(folder: Path, task: str, split: str) -> list[Path]:
    words = re.compile(rf"(?:^|[/_.-])(?:{'|'.join(_SPLITS[split])})(?:[/_.-]|$)")
    named: list[Path] = []
    for path in sorted(folder.rglob("*")):
        # the folder's own name counts, so that `--jglue jglue/jsquad-v1.3` does too
        name = f"{folder.resolve().name}/{path.relative_to(folder).as_posix()}".lower()
        if name.endswith(_SUFFIXES) and task in name and words.search(name.split(task, 1)[1]) and path.is_file():
            named.append(path)
    places = {path.parent if path.suffix == ".parquet" else path for path in named}
    if len(places) > 1:
        listed = ", ".join(path.relative_to(folder).as_posix() for path in named[:4])
        raise TrainError(
            f"{folder} holds more than one {split} file of {TASKS[task]} ({listed}); name the folder of one version with --jglue."
        )
    return named


def _read(paths: Sequence[Path], task: str) -> tuple[Item, ...]:
    items: list[Item] = []
    for path in paths:
        for number, record in enumerate(_records(path), start=1):
            try:
                items.append(_ITEMS[task](record))
            except (KeyError, TypeError, ValueError, IndexError) as error:
                what = f"the field {error}" if isinstance(error, KeyError) else str(error)
                raise TrainError(
                    f"{path}, item {number} is not of {TASKS[task]}: {what} is missing or wrong; download the file again."
                ) from error
    repeated = [name for name, times in Counter(item.id for item in items).items() if times > 1]
    if repeated or not items:
        what = f"the id {repeated[0]} stands more than once" if repeated else "there are no items"
        raise TrainError(f"{paths[0]}: {what}; download the file again.")
    return tuple(items)


def _records(path: Path) -> Iterable[dict[str, Any]]:
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
            return rows
        text = _text(path)
        try:
            whole = json.loads(text)
        except json.JSONDecodeError:
            whole = [json.loads(line) for line in text.split("\n") if line.strip()]
    except (OSError, EOFError, ValueError) as error:  # pyarrow's errors are ValueErrors or OSErrors
        raise TrainError(f"{path} cannot be read ({first_line(error)}); download the file again.") from error
    if isinstance(whole, dict) and "data" in whole:
        return _flattened(whole["data"])
    return whole if isinstance(whole, list) else [whole]


def _text(path: Path) -> str:
    if path.suffix == ".gz":
        with gzip.open(path, "rb") as file:
            return file.read().decode("utf-8")
    if path.suffix == ".zst":
        import zstandard

        with path.open("rb") as packed, zstandard.ZstdDecompressor().stream_reader(packed) as reader:
            return bytes(reader.read()).decode("utf-8")
    return path.read_text(encoding="utf-8")


def _flattened(articles: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"title": article.get("title", ""), "context": paragraph["context"], **question}
        for article in articles
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


def _jsquad(record: Mapping[str, Any]) -> Item:
    answers = record["answers"]
    texts = answers["text"] if isinstance(answers, Mapping) else [answer["text"] for answer in answers]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError("the field 'answers'")
    context = _string(record, "context").split("[SEP]")[-1].strip()  # `title [SEP] paragraph`
    return Item(str(record["id"]), {"context": context, "question": _string(record, "question")}, answers=tuple(texts))


def _jcommonsenseqa(record: Mapping[str, Any]) -> Item:
    choices = tuple(_string(record, f"choice{number}") for number in range(5))
    fields = {
        "question": _string(record, "question"),
        "dashed": "\n".join(f"- {choice}" for choice in choices),
        "numbered": ",".join(f"{number}.{choice}" for number, choice in enumerate(choices)),
    }
    return Item(str(record["q_id"]), fields, choices, _index(record["label"], len(choices)))


def _jnli(record: Mapping[str, Any]) -> Item:
    label = record["label"]
    gold = LABELS.index(label) if label in LABELS else _index(label, len(LABELS))
    fields = {"premise": _string(record, "sentence1"), "hypothesis": _string(record, "sentence2")}
    name = record.get("sentence_pair_id", record.get("pair_id"))
    if name is None:
        raise KeyError("sentence_pair_id")
    return Item(str(name), fields, JAPANESE_LABELS, gold)


def _string(record: Mapping[str, Any], key: str) -> str:
    if not isinstance(record[key], str):
        raise ValueError(f"the field {key!r}")
    return str(record[key])


def _index(label: object, size: int) -> int:
    if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < size:
        raise ValueError("the field 'label'")
    return label


_ITEMS = {"jsquad": _jsquad, "jcommonsenseqa": _jcommonsenseqa, "jnli": _jnli}


def fetch(name: str, tasks: Sequence[str], revision: str | None = None) -> Path:
    """The folder of a JGLUE data set of the Hub, with the files of these tasks.

    Where the data set holds no data but a loading script, which nothing runs any more, the Hub's own Parquet copy
    (`refs/convert/parquet`) is taken. With HF_HUB_OFFLINE, what an earlier run fetched. Raises TrainError.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    spelled = [word for task in tasks for word in (task, TASKS[task])]
    patterns = [f"*{word}*{suffix}" for word in spelled for suffix in _SUFFIXES]
    advice = "give a folder with JGLUE's files with --jglue"
    problem = ""
    for at in [revision] if revision else [None, "refs/convert/parquet"]:
        try:
            folder = Path(snapshot_download(name, repo_type="dataset", revision=at, allow_patterns=patterns))
        except GatedRepoError as error:
            raise TrainError(f"{name} is gated; accept its terms on the Hub and set HF_TOKEN, or {advice}.") from error
        except RevisionNotFoundError:
            continue
        except (RepositoryNotFoundError, HFValidationError) as error:
            raise TrainError(f"--jglue: {name} is neither a folder nor a data set of the Hub; {advice}.") from error
        except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError) as error:
            problem = problem or first_line(error)
            continue
        names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        if any(fnmatch.fnmatch(one, pattern) for one in names for pattern in patterns):
            return folder
    if problem:
        raise TrainError(f"The Hub cannot be reached for {name} ({problem}); {advice}.")
    raise TrainError(
        f"The data set {name} of the Hub holds no data of {', '.join(TASKS[task] for task in tasks)}; {advice}."
    )


_SPACES_AROUND_WIDE = re.compile(r"(?<=[^\x00-\x7f])\s+|\s+(?=[^\x00-\x7f])")
_VARIANTS = str.maketrans(
    dict.fromkeys("˗֊‐‑‒–⁃⁻₋−", "-") | dict.fromkeys("﹣—―─━", "ー") | dict.fromkeys("〜～∼∾", "~")
)


def normal(text: str) -> str:
    """The form in which answers are compared: NFKC, one kind of hyphen, long mark and tilde, no emoji, white space
    between words of ASCII letters alone.
    """
    folded = unicodedata.normalize("NFKC", text.translate(_VARIANTS))
    plain = "".join(letter for letter in folded if ord(letter) < 0x1F000 or unicodedata.category(letter) != "So")
    return _SPACES_AROUND_WIDE.sub("", " ".join(plain.split()))


def exact_match(answer: str, right: Sequence[str]) -> float:
    """1.0 when the answer equals one of the right ones in the normal form, else 0.0."""
    return float(any(normal(answer) == normal(one) for one in right))


def character_f1(answer: str, right: Sequence[str]) -> float:
    """The best F1 over the right answers, of characters as a multiset, white space and punctuation left out."""
    return max(_f1(_characters(answer), _characters(one)) for one in right)


def _characters(text: str) -> Counter[str]:
    return Counter(letter for letter in normal(text) if unicodedata.category(letter)[0] not in "PSZ")


def _f1(answer: Counter[str], right: Counter[str]) -> float:
    same = (answer & right).total()
    return 2 * same / (answer.total() + right.total()) if same else 0.0
