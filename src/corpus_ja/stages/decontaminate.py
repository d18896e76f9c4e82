"""Which documents contain evaluation items: an index of the items, one pass over the normal form, and the verdict.

An item is what its set asks: a question with its choices (JCommonsenseQA), both sentences (JNLI), the question
(JSQuAD). All is compared in the normal form of `exact`, so that width, spaces and punctuation make no difference.

1. A *long* part of an item (20 characters of Japanese, 13 words of English) counts alone: it is found where at least
   `share` of its n-grams (13 characters; English: 13 words) stand together, in a stretch hardly longer than itself.
2. An item with no long part is found where all its parts stand whole, within 200 characters (and their own length) of
   the longest of them. A question alone (JSQuAD's short ones) counts with one of its answers in place of a second part.
3. Contexts (JSQuAD's are Wikipedia) are measured apart and drop nothing: a context is met where 26 characters in a row
   are shared.

An item with neither long part nor a second part cannot be told from ordinary language and is listed as unprotected.

Rejected: one shared 13-gram (hits 46 of 8,241 innocent documents), and searching every part whole (JCommonsenseQA has
questions of two characters, which stand in 647 innocent documents).
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import ahocorasick_rs
import numba
import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from corpus_ja.errors import ConfigError
from corpus_ja.settings import Settings, Share
from corpus_ja.stages.exact import normal_form, word_form
from corpus_ja.stages.minhash import shingles, utf8

VERSION = 2

UInt64 = npt.NDArray[np.uint64]
Int64 = npt.NDArray[np.int64]

Task = Literal["jcommonsenseqa", "jnli", "jsquad"]

NEAR = 200
"""How far from the longest part of an item, in normalised characters, its other parts may stand."""
_LEAST = (
    10  # characters of all parts together, below which an item is ordinary language (JCommonsenseQA's shortest: 10)
)
_LONG = 20  # characters of the normal form with which a Japanese part counts alone
_JAPANESE = r"[\p{Hiragana}\p{Katakana}\p{Han}]"  # a part without any has words that stand apart
_WORD_DOCUMENTS = 256  # texts hashed by words at once
_CONTEXT_RUN = 26  # twice the 13 characters; the overlaps of shared/data share 30 raw characters

_FIELDS: dict[Task, tuple[str, ...]] = {
    "jcommonsenseqa": ("q_id", "question", "choice0", "choice1", "choice2", "choice3", "choice4"),
    "jnli": ("sentence_pair_id", "sentence1", "sentence2"),
    "jsquad": ("data",),
}


class EvaluationSet(Settings):
    """One evaluation set to keep out of the training text: where it is, and how its records are made."""

    path: str | None = None
    hub: str | None = None
    form: Literal["jglue", "jsonl", "lm-eval"] = "jglue"
    fields: list[str] = Field(default_factory=list)
    """For `jsonl`, and for `lm-eval` in place of our own choice: the fields that make an item, each a part (a list of
    strings makes a part each); a dot descends: `doc.choices.text`."""
    name: str | None = None


class Decontamination(Settings):
    """The evaluation sets and what counts as finding one of their items."""

    sets: list[EvaluationSet] = Field(default_factory=list)
    characters: int = Field(default=13, ge=4, le=64)
    """Length of a Japanese n-gram in characters of the normal form."""
    words: int = Field(default=13, ge=2, le=64)
    """Length of an English n-gram in words."""
    share: Share = 0.8
    """The share of a long part's n-grams that must stand together."""


@dataclass(frozen=True, slots=True)
class Item:
    """One evaluation item: the parts of its question, the passage it is asked about, if any, and its answers.

    Lists in place of tuples, as JSON gives them, are taken too.
    """

    set: str
    id: str
    parts: tuple[str, ...]
    context: str | None = None
    answers: tuple[str, ...] = ()
    """Answers that make a short question findable: it counts where it stands with one of them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        object.__setattr__(self, "answers", tuple(self.answers))

    @property
    def name(self) -> str:
        """`<set>/<id>`, as the overlaps name it."""
        return f"{self.set}/{self.id}"


@dataclass(frozen=True, slots=True)
class Grams:
    """The n-grams of all parts: the sorted distinct hashes, a Bloom filter answering most absences, and their places.

    Gram i of `hashes` stands at `offset[j]` of part `part[j]`, j in `starts[i]:starts[i + 1]`; part p has `length[p]`.
    """

    hashes: UInt64
    bloom: UInt64
    starts: Int64
    part: Int64
    offset: Int64
    length: Int64


@dataclass(frozen=True, slots=True)
class Index:
    """All items made ready for searching; plain arrays and strings, so that it can be sent to workers.

    unprotected: the names of items that cannot be found, since they are too short to tell from ordinary language.
    """

    sets: tuple[str, ...]
    names: tuple[str, ...]
    unprotected: tuple[str, ...]
    item_set: tuple[int, ...]
    characters: int
    words: int
    share: float
    japanese: Grams
    """The parts of `japanese_item`, and after them the contexts of `context_name`: one search finds both."""
    japanese_item: tuple[int, ...]
    english: Grams
    english_item: tuple[int, ...]
    context_name: tuple[str, ...]
    anchors: tuple[str, ...]
    anchored: tuple[tuple[tuple[int, tuple[str, ...]], ...], ...]


OVERLAPS = pl.Schema(
    [
        ("evaluation_set", pl.String()),
        ("evaluation_items", pl.List(pl.String())),
        ("context_items", pl.List(pl.String())),
    ]
)
"""What `overlaps` returns: the first set hit or null, the names of the items hit, and of those whose context is met."""


def jglue_items(task: Task, records: Sequence[object], name: str, file: str) -> list[Item]:
    """The items of one JGLUE file: `records` are its parsed lines (JSQuAD: the one parsed object).

    Raises ConfigError naming the file, the line and the missing field.
    """
    items: list[Item] = []
    for line, record in enumerate(records, start=1):
        fields = _checked(record, _FIELDS[task], file, line)
        if task == "jcommonsenseqa":
            parts = tuple(_string(fields, key, file, line) for key in _FIELDS[task][1:])
            items.append(Item(name, str(fields["q_id"]), parts))
        elif task == "jnli":
            parts = tuple(_string(fields, key, file, line) for key in _FIELDS[task][1:])
            items.append(Item(name, str(fields["sentence_pair_id"]), parts))
        else:
            items += _squad_items(fields["data"], name, file, line)
    return items


def _squad_items(data: object, name: str, file: str, line: int) -> list[Item]:
    items = []
    for article in _list(data, "data", file, line):
        for paragraph in _list(_checked(article, ("paragraphs",), file, line)["paragraphs"], "paragraphs", file, line):
            fields = _checked(paragraph, ("context", "qas"), file, line)
            # "title [SEP] paragraph": the title alone is nobody's test question.
            context = _string(fields, "context", file, line).rpartition(" [SEP] ")[2]
            for question in _list(fields["qas"], "qas", file, line):
                asked = _checked(question, ("id", "question"), file, line)
                answers = _answers(asked.get("answers"))
                items.append(Item(name, str(asked["id"]), (_string(asked, "question", file, line),), context, answers))
    return items


def _answers(value: object) -> tuple[str, ...]:
    """The distinct texts of SQuAD's list of answers, or of any answer that is a string or a list of strings."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Mapping):  # SQuAD as the Hub has it: {"text": [...], "answer_start": [...]}
        value = value.get("text")
    if not isinstance(value, list):
        return ()
    texts = [one.get("text") if isinstance(one, Mapping) else one for one in value]
    return tuple(dict.fromkeys(text for text in texts if isinstance(text, str)))


def jsonl_items(records: Sequence[object], fields: Sequence[str], name: str, file: str) -> list[Item]:
    """The items of any file of JSON lines: each of `fields` is a part; a field holding a list of strings is several.

    A dot descends into a field. The item's id is the record's `id` when it has one, else its line number. Raises
    ConfigError naming the file, the line and the missing field.
    """
    if not fields:
        raise ConfigError(
            f"{file}: an evaluation set of form jsonl needs `fields`: the names of the fields that make an item"
        )
    items = []
    for line, record in enumerate(records, start=1):
        checked = _checked(record, tuple(key for key in fields if "." not in key), file, line)
        parts: list[str] = []
        for key in fields:
            value = checked.get(key)
            if value is None and "." in key:
                value = _descended(checked, key, file, line)
            if isinstance(value, list) and all(isinstance(each, str) for each in value):
                parts += value
            else:
                parts.append(_string({key: value}, key, file, line))
        items.append(Item(name, str(checked.get("id", line)), tuple(parts)))
    return items


def _descended(record: Mapping[str, object], key: str, file: str, line: int) -> object:
    value: object = record
    for step in key.split("."):
        value = _checked(value, (step,), file, line)[step]
    return value


_CONTEXTS = frozenset(("context", "passage", "article", "story", "document", "support", "paragraph"))
_ANSWERS = frozenset(
    (
        "answer", "answers", "answerkey", "label", "labels", "gold", "target", "correct", "correct_answers",
        "best_answer", "output", "solution", "aliases", "normalized_aliases",
    )
)  # fmt: skip
_NO_PARTS = frozenset(
    (
        "id", "idx", "ind", "doc_id", "q_id", "qid", "question_id", "sentence_pair_id", "yjcaptions_id", "source_id",
        "title", "subject", "category", "split", "split_type", "type", "level", "language", "dataset", "source",
        "activity_label", "meta", "metadata",
    )
)  # fmt: skip


def lm_eval_items(records: Sequence[object], fields: Sequence[str], name: str, file: str) -> list[Item]:
    """The items of what lm-evaluation-harness writes with `--log_samples`: one record an evaluated document.

    With `fields` (`doc.question`, ...) as in `jsonl_items`. Without, the record's `doc` (the data set's own record) is
    taken apart: strings and lists of strings are parts, but for names that say they are passages (the context),
    answers, or no text (ids, subjects). A passage is the context only beside some other part; without one it is what
    is asked. The id is `doc_id`. Documents evaluated several times (a filter each) are one item.
    """
    if fields:
        return jsonl_items(records, fields, name, file)
    items: dict[str, Item] = {}
    for line, record in enumerate(records, start=1):
        fields_of = _checked(record, ("doc_id", "doc"), file, line)
        document = _checked(fields_of["doc"], (), file, line)
        parts: list[str] = []
        contexts: list[str] = []
        answers: list[str] = []
        for key, value in document.items():
            kind = key.lower()
            if kind in _NO_PARTS:
                continue
            if kind in _ANSWERS:
                answers += _answers(value)
            else:
                (contexts if kind in _CONTEXTS else parts).extend(_strings(value))
        if not parts:
            parts, contexts = contexts, []
        if not parts:
            found = ", ".join(map(str, document)) or "nothing"
            raise ConfigError(
                f"{file}, line {line}: no text to look for in `doc` (found {found}); "
                "name the fields of the set, like `fields: [doc.question]`"
            )
        number = str(fields_of["doc_id"])
        # An answer of one letter is the name of a choice.
        told = tuple(answer for answer in answers if len(answer) > 1)
        items.setdefault(number, Item(name, number, tuple(parts), "\n".join(contexts) or None, told))
    return list(items.values())


def _strings(value: object) -> list[str]:
    """The strings in a value: itself, those of a list, or those under `text` of a record (the choices of ARC)."""
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, Mapping):
        return _strings(value.get("text"))
    if isinstance(value, list):
        return [each for one in value for each in _strings(one)]
    return []


def _checked(record: object, expected: tuple[str, ...], file: str, line: int) -> Mapping[str, object]:
    wanted = ", ".join(expected)
    if not isinstance(record, Mapping):
        raise ConfigError(f"{file}, line {line}: an evaluation item should be a JSON object with the fields {wanted}")
    missing = [key for key in expected if key not in record]
    if missing:
        raise ConfigError(
            f"{file}, line {line}: the evaluation item has no field {', '.join(missing)} (expected {wanted}; "
            f"found {', '.join(map(str, record)) or 'none'}); check the set's `form` and `fields`"
        )
    return record


def _string(fields: Mapping[str, object], key: str, file: str, line: int) -> str:
    value = fields[key]
    if not isinstance(value, str):
        raise ConfigError(
            f"{file}, line {line}: the field {key} of an evaluation item should be a string, not {value!r:.60}"
        )
    return value


def _list(value: object, key: str, file: str, line: int) -> list[object]:
    if not isinstance(value, list):
        raise ConfigError(f"{file}, line {line}: {key} should be a list, not {value!r:.60}")
    return value


def build_index(items: Sequence[Item], settings: Decontamination) -> Index:
    """Make the items searchable. Items of equal text are kept apart, so that each is named when found."""
    sets = tuple(dict.fromkeys(item.set for item in items))
    raw = pl.Series([part for item in items for part in item.parts], dtype=pl.String)
    parts = normal_form(raw).to_list()
    spaced = word_form(raw).str.strip_chars(" ").to_list()
    english = (~raw.str.contains(_JAPANESE)).to_list()
    japanese_parts: list[str] = []
    japanese_item: list[int] = []
    english_parts: list[str] = []
    english_item: list[int] = []
    anchored: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
    unprotected: list[str] = []
    at = 0
    for number, item in enumerate(items):
        own = [index for index in range(at, at + len(item.parts)) if parts[index]]
        at += len(item.parts)
        is_long = False
        for index in own:
            if english[index]:
                if spaced[index].count(" ") + 1 >= settings.words:
                    english_parts.append(spaced[index])
                    english_item.append(number)
                    is_long = True
            elif len(parts[index]) >= max(_LONG, settings.characters):
                japanese_parts.append(parts[index])
                japanese_item.append(number)
                is_long = True
        if is_long:
            continue
        anchor = max(own, key=lambda index: len(parts[index]), default=-1)
        if len(own) > 1:
            beside = [tuple(parts[index] for index in own if index != anchor)]
        else:
            beside = [
                (answer,) for answer in dict.fromkeys(normal_form(pl.Series(item.answers, dtype=pl.String))) if answer
            ]
        beside = [others for others in beside if own and len(parts[anchor]) + sum(map(len, others)) >= _LEAST]
        for others in beside:
            anchored.setdefault(parts[anchor], []).append((number, others))
        if not beside:
            unprotected.append(item.name)
    contexts: dict[str, str] = {}
    for item in items:
        if item.context is not None:
            contexts.setdefault(item.context, item.name)
    japanese_forms = pl.Series(japanese_parts, dtype=pl.String)
    context_forms = normal_form(pl.Series(list(contexts), dtype=pl.String))
    return Index(
        sets=sets,
        names=tuple(item.name for item in items),
        unprotected=tuple(unprotected),
        item_set=tuple(sets.index(item.set) for item in items),
        characters=settings.characters,
        words=settings.words,
        share=settings.share,
        japanese=_grams(shingles(pl.concat([japanese_forms, context_forms]), settings.characters)),
        japanese_item=tuple(japanese_item),
        english=_grams(_word_runs(pl.Series(english_parts, dtype=pl.String), settings.words)),
        english_item=tuple(english_item),
        context_name=tuple(contexts.values()),
        anchors=tuple(anchored),
        anchored=tuple(tuple(entries) for entries in anchored.values()),
    )


Batches = Iterator[tuple[int, UInt64, Int64]]


def _word_runs(spaced: pl.Series, words: int) -> Batches:
    """Like `shingles`, of runs of words: one for each word at which a run begins."""
    for first in range(0, len(spaced), _WORD_DOCUMENTS):
        data, starts = utf8(spaced.slice(first, _WORD_DOCUMENTS))
        hashes = np.empty((int(starts[-1] - starts[0]) + 1) // 2 + 1, dtype=np.uint64)
        ends = np.zeros(len(starts), dtype=np.int64)
        _hash_words(data, starts, words, hashes, ends)
        yield first, hashes[: ends[-1]], ends


def _grams(batches: Batches) -> Grams:
    hashes, parts, offsets, lengths = ([np.zeros(0, dtype=np.int64)] for _ in range(4))
    for first, flat, starts in batches:
        lengths.append(np.diff(starts))
        part = np.repeat(np.arange(len(lengths[-1])), lengths[-1])
        hashes.append(flat.view(np.int64).copy())
        parts.append(first + part)
        offsets.append(np.arange(len(flat)) - starts[part])
    every = np.concatenate(hashes).view(np.uint64)
    order = np.argsort(every, kind="stable")
    every = every[order]
    first_of = np.flatnonzero(np.concatenate([np.ones(1, dtype=np.bool_), every[1:] != every[:-1]])[: len(every)])
    distinct = every[first_of]
    words = 1 << max(10, (len(distinct) // 4).bit_length())
    bloom = np.zeros(words, dtype=np.uint64)
    _mark(distinct, bloom)
    return Grams(
        hashes=distinct,
        bloom=bloom,
        starts=np.append(first_of, len(every)),
        part=np.concatenate(parts)[order],
        offset=np.concatenate(offsets)[order],
        length=np.concatenate(lengths),
    )


def overlaps(text: pl.Series, normal: pl.Series, index: Index) -> pl.DataFrame:
    """Which items stand in which documents: a frame of `OVERLAPS`, one row a document.

    `normal` is `normal_form(text)`; `text` itself is read only for English items, whose words need its spaces.
    Lists are empty where nothing was found; names come in the order of the items.
    """
    found: list[set[int]] = [set() for _ in range(len(normal))]
    met: list[set[int]] = [set() for _ in range(len(normal))]
    run = max(_CONTEXT_RUN - index.characters + 1, 1)
    items = len(index.japanese_item)
    if items or index.context_name:
        for first, flat, starts in shingles(normal, index.characters):
            places = _places(flat, starts, index.japanese)
            for document, part in _parts_together(places.only(places.part < items), index.japanese, index.share):
                found[first + document].add(index.japanese_item[part])
            for document, part in _runs_shared(places.only(places.part >= items), run):
                met[first + document].add(part - items)
    if index.english_item:
        for first, flat, starts in _word_runs(word_form(text), index.words):
            places = _places(flat, starts, index.english)
            for document, part in _parts_together(places, index.english, index.share):
                found[first + document].add(index.english_item[part])
    if index.anchors:
        _find_short(normal, index, found)
    rows = [sorted(numbers) for numbers in found]
    return pl.DataFrame(
        {
            "evaluation_set": [index.sets[min(index.item_set[n] for n in row)] if row else None for row in rows],
            "evaluation_items": [[index.names[number] for number in row] for row in rows],
            "context_items": [[index.context_name[number] for number in sorted(numbers)] for numbers in met],
        },
        schema=OVERLAPS,
    )


def judge(found: pl.DataFrame) -> pl.Series:
    """`decontaminate.<set>` for documents that contain an item, null for the others; contexts drop nothing."""
    return found.select(dropped_by=pl.lit("decontaminate.") + pl.col("evaluation_set"))["dropped_by"]


@dataclass(frozen=True, slots=True)
class _Places:
    """Where grams of parts stand in documents: int64 [places]; `at` is a place in the batch, `offset` in the part."""

    document: Int64
    part: Int64
    at: Int64
    offset: Int64

    def only(self, which: npt.NDArray[np.bool_] | Int64) -> "_Places":
        return _Places(self.document[which], self.part[which], self.at[which], self.offset[which])


def _places(flat: UInt64, starts: Int64, grams: Grams) -> _Places:
    """Every place of every gram that stands in the documents."""
    position, gram = _probe(flat, grams.hashes, grams.bloom)
    counts = grams.starts[gram + 1] - grams.starts[gram]
    which = np.repeat(np.arange(len(gram)), counts)
    entries = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts) + grams.starts[gram][which]
    at = position[which]
    document = np.searchsorted(starts, at, side="right") - 1
    return _Places(document, grams.part[entries], at, grams.offset[entries])


def _begins(*keys: Int64) -> Int64:
    """Where a new combination of these sorted keys begins."""
    new = np.ones(len(keys[0]), dtype=np.bool_)
    new[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    return np.flatnonzero(new)


def _parts_together(places: _Places, grams: Grams, share: float) -> list[tuple[int, int]]:
    """(document, part) wherever `share` of the part's grams stand in a stretch hardly longer than the part."""
    if not len(places.at):
        return []
    places = places.only(np.lexsort((places.at, places.part, places.document)))
    begin = _begins(places.document, places.part)
    end = np.append(begin[1:], len(places.at))
    length = grams.length[places.part[begin]]
    need = np.ceil(length * share - 1e-9).astype(np.int64)
    enough = end - begin >= need
    begin = begin[enough]
    together = _stand_together(begin, end[enough], need[enough], length[enough], places.at, places.offset)
    return [(int(places.document[i]), int(places.part[i])) for i in begin[together]]


def _runs_shared(places: _Places, run: int) -> list[tuple[int, int]]:
    """(document, part) wherever `run` consecutive grams of the part stand in a row."""
    if not len(places.at):
        return []
    places = places.only(np.lexsort((places.at, places.at - places.offset, places.part, places.document)))
    # Consecutive places on one diagonal have the same position less their place in the order.
    serial = places.at - np.arange(len(places.at))
    begin = _begins(places.document, places.part, places.at - places.offset, serial)
    whole = begin[np.diff(np.append(begin, len(places.at))) >= run]
    return sorted({(int(places.document[i]), int(places.part[i])) for i in whole})


def _find_short(normal: pl.Series, index: Index, found: list[set[int]]) -> None:
    automaton = _automaton(index.anchors)
    for document, form in enumerate(normal):
        for anchor, start, end in automaton.find_matches_as_indexes(form, overlapping=True):
            for item, others in index.anchored[anchor]:
                reach = NEAR + sum(map(len, others))
                around = form[max(start - reach, 0) : end + reach]
                if all(other in around for other in others):
                    found[document].add(item)


@functools.lru_cache(maxsize=2)  # cannot be pickled, so that every worker builds it once
def _automaton(anchors: tuple[str, ...]) -> ahocorasick_rs.AhoCorasick:
    return ahocorasick_rs.AhoCorasick(list(anchors), implementation=ahocorasick_rs.Implementation.DFA)


@numba.njit(cache=True, nogil=True)
def _hash_words(data, starts, words, hashes, ends):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    # A polynomial over word hashes modulo 2^64, rolled forward, then mixed; a word's hash is one over its bytes.
    base = np.uint64(0x9E3779B97F4A7C15)
    top = np.uint64(1)
    for _ in range(words):
        top *= base
    ring = np.zeros(words, dtype=np.uint64)
    out = 0
    for text in range(len(starts) - 1):
        rolled = np.uint64(0)
        ring[:] = 0
        seen = 0
        word = np.uint64(0)
        for at in range(starts[text], starts[text + 1] + 1):
            if at < starts[text + 1] and data[at] != 0x20:
                word = (word + np.uint64(data[at]) + np.uint64(1)) * np.uint64(0xFF51AFD7ED558CCD)
                word ^= word >> np.uint64(32)
                continue
            if word == 0:
                continue
            rolled = rolled * base + word - ring[seen % words] * top
            ring[seen % words] = word
            word = np.uint64(0)
            seen += 1
            if seen >= words:
                mixed = rolled
                mixed ^= mixed >> np.uint64(33)
                mixed *= np.uint64(0xC4CEB9FE1A85EC53)
                mixed ^= mixed >> np.uint64(33)
                hashes[out] = mixed
                out += 1
        ends[text + 1] = out


@numba.njit(cache=True, nogil=True)
def _mark(hashes, bloom):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    # Three bits of one word for each hash: of 1,000 absent grams about 6 pass, and each costs one read.
    one, sixth = np.uint64(1), np.uint64(63)
    for value in hashes:
        bits = one << (value & sixth) | one << (value >> np.uint64(6) & sixth) | one << (value >> np.uint64(12) & sixth)
        bloom[value >> np.uint64(20) & np.uint64(len(bloom) - 1)] |= bits


@numba.njit(cache=True, nogil=True)
def _probe(flat, hashes, bloom):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    one, sixth = np.uint64(1), np.uint64(63)
    last = np.uint64(len(bloom) - 1)
    room = 64
    position = np.empty(room, dtype=np.int64)
    gram = np.empty(room, dtype=np.int64)
    hits = 0
    for at in range(len(flat)):
        value = flat[at]
        bits = one << (value & sixth) | one << (value >> np.uint64(6) & sixth) | one << (value >> np.uint64(12) & sixth)
        if bloom[value >> np.uint64(20) & last] & bits != bits:
            continue
        low, high = 0, len(hashes)
        while low < high:
            middle = (low + high) >> 1
            if hashes[middle] < value:
                low = middle + 1
            else:
                high = middle
        if low < len(hashes) and hashes[low] == value:
            if hits == room:
                position = np.concatenate((position, np.empty(room, dtype=np.int64)))
                gram = np.concatenate((gram, np.empty(room, dtype=np.int64)))
                room *= 2
            position[hits] = at
            gram[hits] = low
            hits += 1
    return position[:hits], gram[:hits]


@numba.njit(cache=True, nogil=True)
def _stand_together(begin, end, need, length, at, offset):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    # Two ends of a window slide over a part's hits in one document; `seen` counts each of its grams inside.
    result = np.zeros(len(begin), dtype=np.bool_)
    for group in range(len(begin)):
        width = length[group] + max(length[group] // 4, 8)
        seen = np.zeros(length[group], dtype=np.int64)
        distinct = 0
        left = begin[group]
        for right in range(begin[group], end[group]):
            seen[offset[right]] += 1
            distinct += seen[offset[right]] == 1
            while at[right] - at[left] >= width:
                seen[offset[left]] -= 1
                distinct -= seen[offset[left]] == 0
                left += 1
            if distinct >= need[group]:
                result[group] = True
                break
    return result
