"""Which documents contain evaluation items: an index of the items, one pass over the normal form, and the verdict.

An item is what its set asks: a question with its choices (JCommonsenseQA), both sentences (JNLI), the question (JSQuAD).
Everything is compared in the normal form of `exact`, so that width, spaces and punctuation make no difference.

1. A *long* part of an item (20 characters of Japanese, 13 words of English) counts alone: it is found where at least
   `share` of its n-grams (13 characters; English: 13 words) stand close together, in a stretch hardly longer than itself.
2. An item with no long part is found where all its parts stand whole, within 200 characters of the longest of them.
3. Contexts (JSQuAD's are Wikipedia) are measured apart and drop nothing: a context is met where 26 characters in a row are
   shared.

An item with neither long part nor a second part cannot be told from ordinary language and is listed as unprotected.

Rejected: one shared 13-gram (hits 46 of 8,241 innocent documents: 「している様子が写っています」 is in the JNLI sentences), and
searching every part whole (JCommonsenseQA has questions of two characters, which stand in 647 innocent documents).
"""

import functools
from collections.abc import Mapping, Sequence
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
from corpus_ja.stages.exact import normal_form
from corpus_ja.stages.minhash import shingles

VERSION = 1

UInt64 = npt.NDArray[np.uint64]
Int64 = npt.NDArray[np.int64]

Task = Literal["jcommonsenseqa", "jnli", "jsquad"]

NEAR = 200
"""How far from the longest part of an item, in normalised characters, its other parts may stand."""
_LONG = 20  # characters of the normal form with which a Japanese part counts alone
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
    form: Literal["jglue", "jsonl"] = "jglue"
    fields: list[str] = Field(default_factory=list)
    """For `jsonl`: the fields that make an item, each a part (a list of strings makes a part each)."""
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
    """One evaluation item: the parts of its question, and the passage it is asked about, if any."""

    set: str
    id: str
    parts: tuple[str, ...]
    context: str | None = None

    @property
    def name(self) -> str:
        """`<set>/<id>`, as the overlaps name it."""
        return f"{self.set}/{self.id}"


@dataclass(frozen=True, slots=True)
class Grams:
    """The n-grams of all parts: the sorted distinct hashes, a bitmap that answers most absences, and where each stands.

    Gram i of `hashes` stands at `offset[j]` of part `part[j]` for j in `starts[i]:starts[i + 1]`. Part p holds `length[p]` grams.
    """

    hashes: UInt64
    bitmap: npt.NDArray[np.uint8]
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
    share: float
    long_parts: Grams
    long_part_item: tuple[int, ...]
    contexts: Grams
    context_name: tuple[str, ...]
    anchors: tuple[str, ...]
    anchored: tuple[tuple[tuple[int, tuple[str, ...]], ...], ...]


OVERLAPS = pl.Schema(
    {"evaluation_set": pl.String, "evaluation_items": pl.List(pl.String), "context_items": pl.List(pl.String)}
)
"""What `overlaps` returns: the first set hit or null, the names of all items hit, and of the items whose context is met."""


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
                items.append(Item(name, str(asked["id"]), (_string(asked, "question", file, line),), context))
    return items


def jsonl_items(records: Sequence[object], fields: Sequence[str], name: str, file: str) -> list[Item]:
    """The items of any file of JSON lines: each of `fields` is a part; a field holding a list of strings is several.

    The item's id is the record's `id` when it has one, else its line number. Raises ConfigError naming the file, the line and the
    missing field.
    """
    if not fields:
        raise ConfigError(
            f"{file}: an evaluation set of form jsonl needs `fields`: the names of the fields that make an item"
        )
    items = []
    for line, record in enumerate(records, start=1):
        checked = _checked(record, tuple(fields), file, line)
        parts: list[str] = []
        for key in fields:
            value = checked[key]
            if isinstance(value, list) and all(isinstance(each, str) for each in value):
                parts += value
            else:
                parts.append(_string(checked, key, file, line))
        items.append(Item(name, str(checked.get("id", line)), tuple(parts)))
    return items


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
        raise ConfigError(f"{file}, line {line}: the field {key} of an evaluation item should be a string, not {value!r:.60}")
    return value


def _list(value: object, key: str, file: str, line: int) -> list[object]:
    if not isinstance(value, list):
        raise ConfigError(f"{file}, line {line}: {key} should be a list, not {value!r:.60}")
    return value


def build_index(items: Sequence[Item], settings: Decontamination) -> Index:
    """Make the items searchable. Items of equal text are kept apart, so that each is named when found."""
    sets = tuple(dict.fromkeys(item.set for item in items))
    parts = normal_form(pl.Series([part for item in items for part in item.parts], dtype=pl.String)).to_list()
    long_parts: list[str] = []
    long_part_item: list[int] = []
    anchored: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
    unprotected: list[str] = []
    at = 0
    for number, item in enumerate(items):
        own = [part for part in parts[at : at + len(item.parts)] if part]
        at += len(item.parts)
        long = [part for part in own if len(part) >= max(_LONG, settings.characters)]
        if long:
            long_parts += long
            long_part_item += [number] * len(long)
        elif len(own) > 1:
            anchor = max(own, key=len)
            others = tuple(part for part in own if part is not anchor)
            anchored.setdefault(anchor, []).append((number, others))
        else:
            unprotected.append(item.name)
    contexts: dict[str, str] = {}
    for item in items:
        if item.context is not None:
            contexts.setdefault(item.context, item.name)
    return Index(
        sets=sets,
        names=tuple(item.name for item in items),
        unprotected=tuple(unprotected),
        item_set=tuple(sets.index(item.set) for item in items),
        characters=settings.characters,
        share=settings.share,
        long_parts=_grams(pl.Series(long_parts, dtype=pl.String), settings.characters),
        long_part_item=tuple(long_part_item),
        contexts=_grams(normal_form(pl.Series(list(contexts), dtype=pl.String)), settings.characters),
        context_name=tuple(contexts.values()),
        anchors=tuple(anchored),
        anchored=tuple(tuple(entries) for entries in anchored.values()),
    )


def _grams(parts: pl.Series, characters: int) -> Grams:
    hashes, starts = shingles(parts, characters)
    length = np.diff(starts)
    part = np.repeat(np.arange(len(parts)), length)
    offset = np.arange(len(hashes)) - starts[part]
    order = np.argsort(hashes, kind="stable")
    hashes = hashes[order]
    first = np.flatnonzero(np.concatenate([np.ones(1, dtype=np.bool_), hashes[1:] != hashes[:-1]])[: len(hashes)])
    distinct = hashes[first]
    bits = max(16, int(len(distinct) * 16).bit_length())
    bitmap = np.zeros(1 << (bits - 3), dtype=np.uint8)
    slot = (distinct >> np.uint64(64 - bits)).astype(np.int64)
    np.bitwise_or.at(bitmap, slot >> 3, (1 << (slot & 7)).astype(np.uint8))
    return Grams(distinct, bitmap, np.append(first, len(hashes)), part[order], offset[order], length)


def overlaps(text: pl.Series, normal: pl.Series, index: Index) -> pl.DataFrame:
    """Which items stand in which documents: a frame of `OVERLAPS`, one row a document.

    `normal` is `normal_form(text)`. Lists are empty where nothing was found; names are sorted by set and item.
    """
    del text
    flat, ends = shingles(normal, index.characters)
    found: list[set[int]] = [set() for _ in range(len(normal))]
    for document, part in _parts_met(flat, ends, index.long_parts, index.share, None):
        found[document].add(index.long_part_item[part])
    met: list[set[int]] = [set() for _ in range(len(normal))]
    run = _CONTEXT_RUN - index.characters + 1
    for document, part in _parts_met(flat, ends, index.contexts, index.share, max(run, 1)):
        met[document].add(part)
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


def _parts_met(
    flat: UInt64, ends: Int64, grams: Grams, share: float, run: int | None
) -> list[tuple[int, int]]:
    """(document, part) pairs: `share` of the part's grams stand together, or `run` consecutive ones in a row."""
    if not len(grams.hashes):
        return []
    position, gram = _probe(flat, grams.hashes, grams.bitmap)
    if not len(position):
        return []
    # One row for each place of each gram that was hit.
    counts = grams.starts[gram + 1] - grams.starts[gram]
    which = np.repeat(np.arange(len(gram)), counts)
    places = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts) + grams.starts[gram][which]
    part, offset, at = grams.part[places], grams.offset[places], position[which]
    document = np.searchsorted(ends, at, side="right") - 1
    if run is not None:
        diagonal = at - offset
        order = np.lexsort((at, diagonal, part, document))
        document, part, diagonal, at = document[order], part[order], diagonal[order], at[order]
        step = np.ones(len(at), dtype=np.bool_)
        step[1:] = (
            (document[1:] != document[:-1])
            | (part[1:] != part[:-1])
            | (diagonal[1:] != diagonal[:-1])
            | (at[1:] != at[:-1] + 1)
        )
        begin = np.flatnonzero(step)
        long_enough = begin[np.diff(np.append(begin, len(at))) >= run]
        return sorted({(int(document[i]), int(part[i])) for i in long_enough})
    order = np.lexsort((at, part, document))
    document, part, at, offset = document[order], part[order], at[order], offset[order]
    step = np.ones(len(at), dtype=np.bool_)
    step[1:] = (document[1:] != document[:-1]) | (part[1:] != part[:-1])
    begin = np.flatnonzero(step)
    end = np.append(begin[1:], len(at))
    need = np.ceil(grams.length[part[begin]] * share).astype(np.int64)
    enough = np.flatnonzero(end - begin >= need)
    begin, end, need = begin[enough], end[enough], need[enough]
    close = _stand_together(begin, end, need, grams.length[part[begin]], at, offset)
    return [(int(document[i]), int(part[i])) for i in begin[close]]


def _find_short(normal: pl.Series, index: Index, found: list[set[int]]) -> None:
    automaton = _automaton(index.anchors)
    for document, form in enumerate(normal):
        for anchor, start, end in automaton.find_matches_as_indexes(form, overlapping=True):
            around = form[max(start - NEAR, 0) : end + NEAR]
            for item, others in index.anchored[anchor]:
                if all(other in around for other in others):
                    found[document].add(item)


@functools.lru_cache(maxsize=2)  # cannot be pickled, so that every worker builds it once
def _automaton(anchors: tuple[str, ...]) -> ahocorasick_rs.AhoCorasick:
    return ahocorasick_rs.AhoCorasick(list(anchors), implementation=ahocorasick_rs.Implementation.DFA)


@numba.njit(cache=True, nogil=True)
def _probe(flat, hashes, bitmap):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - compiled
    shift = np.uint64(64)
    size = len(bitmap) * 8
    while size > 1:
        shift -= np.uint64(1)
        size >>= 1
    room = 1024
    position = np.empty(room, dtype=np.int64)
    gram = np.empty(room, dtype=np.int64)
    hits = 0
    for at in range(len(flat)):
        slot = flat[at] >> shift
        if not bitmap[slot >> np.uint64(3)] >> (slot & np.uint64(7)) & np.uint64(1):
            continue
        low, high = 0, len(hashes)
        while low < high:
            middle = (low + high) >> 1
            if hashes[middle] < flat[at]:
                low = middle + 1
            else:
                high = middle
        if low < len(hashes) and hashes[low] == flat[at]:
            if hits == room:
                position = np.concatenate((position, np.empty(room, dtype=np.int64)))
                gram = np.concatenate((gram, np.empty(room, dtype=np.int64)))
                room *= 2
            position[hits] = at
            gram[hits] = low
            hits += 1
    return position[:hits], gram[:hits]


@numba.njit(cache=True, nogil=True)
def _stand_together(begin, end, need, length, at, offset):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - compiled
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
