"""Where in a text the offending part of a broken rule stands: what to highlight when a person reads the document.

A signal is a number over a whole document; `marks` answers with spans of code points, by the definitions of the stages
where these are local (a line is measured by `characters.count` alone, character classes come from the same table) and
by a plain reading of the text elsewhere (the commonest n-gram, the longest line). `MARKERS` says for each signal what is
marked where the number is too high and where it is too low; a signal that is not there, or a share that is merely
missing something, gives no marks. The first `LOOKED_AT` characters are looked at: about 50 ms for a page, 1 s for the
longest. Rejected: marks stored by the build (a hundred bytes a document for what a few people read of a few documents).
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import ahocorasick_rs
import numpy as np
import numpy.typing as npt
import polars as pl

from corpus_ja.stages import characters, encodings, published, signals, spam, templates
from corpus_ja.stages.exact import normal_form
from corpus_ja.stages.ngrams import LEAST, WINDOW

Span = tuple[int, int]
"""Code points from the first up to, and without, the last."""

LOOKED_AT = 1_000_000
"""Characters of a document that are searched for its offending part."""
_GRAMS_IN = 200_000
"""Characters or words in which n-grams are counted, one by one in Python."""
_UNITS = 3
"""Kinds of repeated lines, sentences or paragraphs that are marked: those that cover most."""


@dataclass(frozen=True, slots=True)
class Words:
    """A word list of the mix, as `lists.Words`: whether matches inside a longer word count is `boundaries`."""

    words: tuple[str, ...]
    boundaries: bool = True


@dataclass(frozen=True, slots=True)
class Document:
    """What a marker may look at: the text, the language its source was measured in, the mix's word lists by name."""

    text: str
    language: str = "ja"
    lists: Mapping[str, Words] = field(default_factory=dict)


Marker = Callable[[Document], Iterable[Span]]


@dataclass(frozen=True, slots=True)
class Markers:
    """What is marked where a signal is above its limit (`excess`) and where it is below it (`lack`)."""

    excess: Marker | None = None
    lack: Marker | None = None


def marks(signal: str, document: Document, *, excess: bool) -> tuple[Span, ...]:
    """The spans that make a signal too high (or too low), sorted, none touching another; none for unknown signals."""
    own = _of_list(signal) or MARKERS.get(signal)
    marker = None if own is None else own.excess if excess else own.lack
    if marker is None:
        return ()
    if len(document.text) > LOOKED_AT:
        document = Document(document.text[:LOOKED_AT], document.language, document.lists)
    return joined(marker(document))


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The spans in order, those that touch or overlap made one, empty ones left out."""
    result: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return tuple(result)


def overlap(text: str, parts: Sequence[str], grams: int) -> tuple[Span, ...]:
    """Where an evaluation item's parts stand in a text: what n-grams of the normal form (of `grams` characters) share.

    A part shorter than an n-gram is looked for whole.
    """
    text = text[:LOOKED_AT]
    form, places = _formed(text)
    if not form:
        return ()
    covered: list[Span] = []
    for part in normal_form(pl.Series(parts, dtype=pl.String)).to_list():
        size = min(grams, len(part))
        wanted = {part[at : at + size] for at in range(len(part) - size + 1)} if size else set()
        covered += [
            (places[at][0], places[at + size - 1][1])
            for at in range(len(form) - size + 1)
            if form[at : at + size] in wanted
        ]
    return joined(covered)


def _formed(text: str) -> tuple[str, list[Span]]:
    """The normal form of a text, and for each of its characters where in the text it comes from."""
    # A voicing or combining mark belongs to what stands before it: ｶﾞ is one letter.
    spans = [match.span() for match in re.finditer(r"(?s).[\u0300-\u036f\u3099\u309a\uff9e\uff9f]*", text)]
    forms = normal_form(pl.Series([text[start:end] for start, end in spans], dtype=pl.String)).to_list()
    places = [span for span, form in zip(spans, forms, strict=True) for _ in form]
    return "".join(forms), places


# ------------------------------------------------------------------------------------------------------- words of lists

_FULL_WIDTH = {code + 0xFEE0: chr(code).lower() for code in range(0x30, 0x7B) if chr(code).isalnum()}
_NARROW = _FULL_WIDTH | {code: chr(code).lower() for code in range(0x41, 0x5B)}
_KATAKANA = re.compile("[ァ-ヺー-ヾㇰ-ㇿｦ-ﾟ]")
_LATIN = re.compile("[a-z0-9]")


def _words(text: str, given: Words) -> Iterator[Span]:
    """The leftmost longest words of a list, letters in either case and width, none inside a longer word."""
    folded = text.translate(_NARROW)
    patterns = list(dict.fromkeys(word.translate(_NARROW) for word in given.words if word))
    if not patterns:
        return
    automaton = ahocorasick_rs.AhoCorasick(patterns)
    found = [(start, end) for _, start, end in automaton.find_matches_as_indexes(folded, overlapping=True)]
    until = 0
    for start, end in sorted(found, key=lambda span: (span[0], -span[1])):
        if start >= until and not (given.boundaries and _inside(folded, start, end)):
            until = end
            yield start, end


def _inside(text: str, start: int, end: int) -> bool:
    return any(
        script.match(text[inner]) and script.match(text[outer])
        for script in (_KATAKANA, _LATIN)
        for inner, outer in ((start, start - 1), (end - 1, end))
        if 0 <= outer < len(text)
    )


def _listed(words: Sequence[str], text: str) -> list[Span]:
    """The words of our own lists, as `signals` searches for them: the leftmost, in the order of the list."""
    automaton = ahocorasick_rs.AhoCorasick(list(words), matchkind=ahocorasick_rs.MatchKind.LeftmostFirst)
    return [(start, end) for _, start, end in automaton.find_matches_as_indexes(text)]


def _spam(document: Document) -> list[Span]:
    """What weighs most for spam: of overlapping n-grams the heaviest ones."""
    weights, _ = spam.read_weights()
    text = spam.folded(document.text)
    found = [
        (weight, begin, begin + n)
        for n in range(2, spam.LONGEST + 1)
        for begin in range(len(text) - n + 1)
        if (weight := weights.get(text[begin : begin + n], 0)) >= _HEAVY
    ]
    taken = bytearray(len(text))
    spans = []
    for _, begin, end in sorted(found, key=lambda one: (-one[0], one[1])):
        if not any(taken[begin:end]):
            taken[begin:end] = b"\1" * (end - begin)
            spans.append((begin, end))
    return sorted(spans)


_HEAVY = 100
"""Weight, in parts of spam.UNIT, from which on an n-gram is worth a mark: one in a hundred has it."""


def _shop(document: Document) -> list[Span]:
    if document.language == "en":
        return _listed(signals.ENGLISH_SHOP_WORDS, _lower(document.text))
    return _listed(signals.SHOP_WORDS, document.text)


def _menu(document: Document) -> list[Span]:
    if document.language == "en":
        return _listed(signals.ENGLISH_MENU_WORDS, _lower(document.text))
    return _listed(signals.MENU_WORDS, document.text)


def _lower(text: str) -> str:
    """Small letters, one for one, so that places stay."""
    return "".join(one if len(one := letter.lower()) == 1 else letter for letter in text)


def _of_list(signal: str) -> Markers | None:
    """The markers of a column `words_<list>_...`."""
    match = re.fullmatch(r"words_(.+)_(?:hits|distinct|coverage|of_japanese|per_1000|evidence)", signal)
    if match is None:
        return None
    name = match[1]

    def excess(document: Document) -> Iterable[Span]:
        return _words(document.text, document.lists[name]) if name in document.lists else ()

    return Markers(excess)


# ---------------------------------------------------------------------------------------------- characters and patterns

_JAPANESE = (characters.HIRAGANA, characters.KATAKANA, characters.HALF_KATAKANA, characters.KANJI)
_LETTERS = (*_JAPANESE, characters.LATIN, characters.LETTER)
_BLANK = (characters.SPACE, characters.NEWLINE)


def _points(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def _runs(mask: npt.NDArray[np.bool_]) -> list[Span]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _of_classes(*classes: int, other: bool = False) -> Marker:
    """Runs of these classes of characters, or of all others; spaces between two of them belong to the run."""

    def mark(document: Document) -> Iterator[Span]:
        kinds = characters.table()[_points(document.text)] & 15
        mask = np.isin(kinds, classes)
        if other:
            mask = ~mask & ~np.isin(kinds, _BLANK)
        last: Span | None = None
        for start, end in _runs(mask):
            if last is not None and not document.text[last[1] : start].strip(" \u3000"):
                last = (last[0], end)
            else:
                if last is not None:
                    yield last
                last = (start, end)
        if last is not None:
            yield last

    return mark


def _of_mark(mark_bits: int) -> Marker:
    """Single characters that carry a mark of the table of `characters`."""
    return lambda document: _runs((characters.table()[_points(document.text)] & mark_bits) > 0)


def _matching(pattern: str, flags: int = 0) -> Marker:
    compiled = re.compile(pattern, flags)
    return lambda document: [match.span() for match in compiled.finditer(document.text)]


def _longest(pattern: str) -> Marker:
    """The longest match of a pattern, the first of equals."""
    compiled = re.compile(pattern, re.DOTALL)

    def mark(document: Document) -> list[Span]:
        spans = [match.span() for match in compiled.finditer(document.text)]
        return [max(spans, key=lambda span: span[1] - span[0])] if spans else []

    return mark


def _mojibake(document: Document) -> list[Span]:
    entries = characters.table()[_points(document.text)]
    soup = [
        (start, end)
        for start, end in _runs((entries & characters.SOUP) > 0)
        if end - start >= 3 and (entries[start:end] & characters.SOUP_LETTER).any()
    ]
    return [*soup, *_runs((entries & characters.SJIS_SOUP) > 0)]


def _special(document: Document) -> list[Span]:
    table = np.zeros(0x110000, dtype=np.bool_)
    for one in published.SPECIAL_CHARACTERS.split():
        bounds = [int(bound, 16) for bound in one.split("-")]
        table[bounds[0] : bounds[-1] + 1] = True
    return _runs(table[_points(document.text)])


def _both(*markers: Marker) -> Marker:
    return lambda document: [span for marker in markers for span in marker(document)]


# ------------------------------------------------------------------------------------------------ lines, sentences, runs


def _split(text: str, between: str) -> list[Span]:
    """What stands between matches of a pattern, without white space at its ends; blank pieces left out."""
    found: list[Span] = []
    at = 0
    for start, end in [*(match.span() for match in re.finditer(between, text)), (len(text), len(text))]:
        piece = text[at:start]
        inner = piece.strip()
        if inner:
            begin = at + len(piece) - len(piece.lstrip())
            found.append((begin, begin + len(inner)))
        at = end
    return found


def _lines(text: str) -> list[Span]:
    return _split(text, "\n")


def _sentences(text: str) -> list[Span]:
    return _split(text, r"\n|(?<=[。．｡！？!?…‥])|(?<=[.])(?=\s)")


def _paragraphs(text: str) -> list[Span]:
    return _split(text, r"\n\s*\n")


_Counting = Callable[[npt.NDArray[np.uint32], npt.NDArray[np.int64]], npt.NDArray[np.int64]]


def _lines_with(
    counter: str,
    *,
    absent: bool = False,
    count: _Counting = characters.count,
    counters: Sequence[str] = characters.COUNTERS,
) -> Marker:
    """Lines of which a counting stage says that they count for a counter, each measured alone; or the others."""
    column = counters.index(counter)

    def mark(document: Document) -> list[Span]:
        # Measured with the white space at its ends (tabs are cells of a table), marked without.
        lines = pl.Series([line for line in document.text.split("\n") if line.strip()], dtype=pl.String)
        counts = [count(points, offsets)[:, column] for points, offsets in characters.code_points(lines)]
        counted = np.concatenate([*counts, np.empty(0, dtype=np.int64)])
        spans = _lines(document.text)
        return [span for span, own in zip(spans, counted, strict=True) if (own > 0) != absent]

    return mark


def _lines_like(pattern: str, *, absent: bool = False, units: Callable[[str], list[Span]] = _lines) -> Marker:
    compiled = re.compile(pattern)
    return lambda document: [
        span for span in units(document.text) if (compiled.search(document.text[slice(*span)]) is None) == absent
    ]


def _repeated(units: Callable[[str], list[Span]], least: int = LEAST) -> Marker:
    """The lines, sentences or paragraphs that stand there more than once and cover most: every place of them."""

    def mark(document: Document) -> list[Span]:
        spans = units(document.text)
        keys = ["".join(document.text[start:end].split()) for start, end in spans]
        counted = Counter(key for key in keys if len(key) >= least)
        worst = sorted(counted, key=lambda key: -(counted[key] - 1) * len(key))[:_UNITS]
        chosen = {key for key in worst if counted[key] > 1}
        return [span for span, key in zip(spans, keys, strict=True) if key in chosen]

    return mark


_SCRIPTS = r"[ぁ-ゖ]{1,2}|[\u3400-\u9fff\uf900-\ufaff々〇]{1,2}|[ァ-ヺー]+|[A-Za-zÀ-ɏ]+|[0-9]+|\S"
"""The words of the character form, nearly as `published` cuts them."""
_TERMS = r"[\u3400-\u9fff\uf900-\ufaff々]{2,}|[ァ-ヺー]{2,}|[A-Za-z]{2,}"
"""What `templates` takes for a term."""


def _covered(n: int, pieces: str = r"\S", window: int | None = None) -> Marker:
    """What is covered by an n-gram of pieces (characters, words) that stood before, in the same window."""
    compiled = re.compile(pieces, re.DOTALL)

    def mark(document: Document) -> Iterator[Span]:
        spans, keys = _pieces(compiled, document.text)
        size = window or max(len(keys), 1)
        for begin in range(0, len(keys), size):
            seen: set[tuple[str, ...]] = set()
            for at in range(begin, min(begin + size, len(keys)) - n + 1):
                gram = tuple(keys[at : at + n])
                if gram in seen:
                    yield spans[at][0], spans[at + n - 1][1]
                seen.add(gram)

    return mark


def _commonest(n: int, pieces: str = r".") -> Marker:
    """Every place of the commonest n-gram of pieces, the first of equals, if it stands there twice."""
    compiled = re.compile(pieces, re.DOTALL)

    def mark(document: Document) -> list[Span]:
        spans, keys = _pieces(compiled, document.text)
        grams = [tuple(keys[at : at + n]) for at in range(len(keys) - n + 1)]
        (common, count), *_ = Counter(grams).most_common(1) or [((), 0)]
        return [(spans[at][0], spans[at + n - 1][1]) for at, one in enumerate(grams) if one == common and count > 1]

    return mark


def _pieces(pattern: re.Pattern[str], text: str) -> tuple[list[Span], list[str]]:
    found = [match for match, _ in zip(pattern.finditer(text), range(_GRAMS_IN), strict=False)]
    return [match.span() for match in found], [match[0] for match in found]


def _longest_sentence(document: Document) -> list[Span]:
    spans = _sentences(document.text)
    return [max(spans, key=lambda span: span[1] - span[0])] if spans else []


def _framed(between: str) -> Marker:
    """Sentences or clauses that are cast in one mould: with a slot for everything but hiragana and 、, three or more are
    the same.
    """

    def mark(document: Document) -> list[Span]:
        spans = _split(document.text, between)
        frames = [re.sub("[^ぁ-ゖ、]+", " ", document.text[start:end].rstrip("。．！？!?")) for start, end in spans]
        counted = Counter(frame for frame in frames if len(re.sub("[^ぁ-ゖ]", "", frame)) >= templates.FRAME)
        return [span for span, frame in zip(spans, frames, strict=True) if counted[frame] >= templates.TIMES]

    return mark


def _odd_kanji(document: Document) -> list[Span]:
    points = _points(document.text)
    return _runs((encodings.weights()[points] == 2) & (points != 0xFFFD))


_SENTENCE_END = r"\n|(?<=[。．｡！？!?…‥])"
_PRICES = _matching(r"[0-9０-９][0-9０-９,.，]*\s*円|[¥￥$€£＄][0-9０-９][0-9０-９,.，]*")
_ELLIPSES = _matching(r"[…‥]+|\.{3,}")
_SWALLOW_SENTENCES = r"[^\n。．！？!?]+[。．！？!?]?"

MARKERS: Mapping[str, Markers] = {
    "space_share": Markers(_matching(r"[^\S\n]{2,}|\n{3,}")),
    "hiragana_share": Markers(_of_classes(characters.HIRAGANA)),
    "katakana_share": Markers(_of_classes(characters.KATAKANA, characters.HALF_KATAKANA)),
    "half_width_katakana_share": Markers(_of_classes(characters.HALF_KATAKANA)),
    "kanji_share": Markers(_of_classes(characters.KANJI)),
    "latin_share": Markers(_of_classes(characters.LATIN)),
    "other_letter_share": Markers(_of_classes(characters.LETTER)),
    "digit_share": Markers(_of_classes(characters.DIGIT)),
    "punctuation_share": Markers(_of_classes(characters.PUNCTUATION)),
    "symbol_share": Markers(_of_classes(characters.SYMBOL)),
    "letter_share": Markers(lack=_of_classes(*_LETTERS, characters.MARK, other=True)),
    "japanese_letter_share": Markers(lack=_of_classes(*_JAPANESE, other=True)),
    "japanese_of_letters": Markers(lack=_of_classes(characters.LATIN, characters.LETTER)),
    "hiragana_of_japanese_letters": Markers(
        _of_classes(characters.HIRAGANA),
        _of_classes(characters.KATAKANA, characters.HALF_KATAKANA, characters.KANJI),
    ),
    "sentence_ends_per_1000": Markers(_of_mark(characters.END)),
    "mean_sentence_length": Markers(_longest_sentence),
    "longest_sentence": Markers(_longest_sentence),
    "sentence_line_share": Markers(lack=_lines_with("sentence_line_length", absent=True)),
    "prose_line_share": Markers(lack=_lines_with("prose_line_length", absent=True)),
    "text_line_share": Markers(lack=_lines_with("text_line_length", absent=True)),
    "ended_line_share": Markers(lack=_lines_with("ended_lines", absent=True)),
    "ellipsis_line_share": Markers(_lines_with("ellipsis_lines")),
    "cut_off_line_share": Markers(_lines_with("cut_line_length")),
    "bullet_line_share": Markers(_lines_with("bullet_lines")),
    "short_line_share": Markers(_lines_with("short_lines_10")),
    "lines_under_30_share": Markers(_lines_with("short_lines_30")),
    "longest_line": Markers(_longest(r"[^\n]+")),
    "table_line_share": Markers(_lines_with("table_line_length")),
    "number_line_share": Markers(_lines_with("number_line_length")),
    "code_line_share": Markers(_lines_with("code_line_length")),
    "repeated_line_share": Markers(_repeated(_lines)),
    "repeated_lines_of_lines": Markers(_repeated(_lines)),
    "repeated_sentence_share": Markers(_repeated(_sentences)),
    "repeated_10gram_worst_window": Markers(_covered(10, window=WINDOW)),
    "repeated_5gram_worst_window": Markers(_covered(5, window=WINDOW)),
    "longest_character_run": Markers(_longest(r"(\S)\1*")),
    "replacement_character_share": Markers(_matching("\ufffd+")),
    "mojibake_share": Markers(_mojibake),
    "url_share": Markers(_matching(r"[A-Za-z]*://[!-~]*")),
    "prices_per_1000": Markers(_PRICES),
    "commas_per_1000": Markers(_of_mark(characters.COMMA)),
    "japanese_gaps_per_1000": Markers(_matching(r"(?<=[ぁ-ヿ一-鿿])[^\S\n](?=[ぁ-ヿ一-鿿])")),
    "curly_braces_per_1000": Markers(_matching(r"[{}]")),
    "longest_word": Markers(_longest(r"\S+")),
    "alphabetic_word_share": Markers(lack=_matching(r"(?<!\S)[\W\d_]+(?!\S)")),
    "hashes_per_word": Markers(_matching("#")),
    "ellipses_per_word": Markers(_ELLIPSES),
    "ellipses_per_1000": Markers(_ELLIPSES),
    "shop_words_per_1000": Markers(_shop),
    "distinct_shop_words": Markers(_shop),
    "shop_evidence_per_1000": Markers(_both(_shop, _PRICES)),
    "menu_words_per_1000": Markers(_menu),
    "distinct_menu_words": Markers(_menu),
    "menu_evidence_per_1000": Markers(_menu),
    "spam_score": Markers(_spam),
    "framed_sentence_share": Markers(_framed(_SENTENCE_END)),
    "framed_clause_share": Markers(_framed(rf"{_SENTENCE_END}|(?<=、)")),
    "common_term_share": Markers(_commonest(1, _TERMS)),
    "template_score": Markers(_both(_commonest(1, _TERMS), _spam)),
    "garbled_line_share": Markers(
        _lines_with("garbled_line_length", count=encodings.debris, counters=encodings.COUNTERS)
    ),
    "odd_kanji_of_kanji": Markers(_odd_kanji),
    "swallow_hiragana_share": Markers(_of_classes(characters.HIRAGANA), _of_classes(characters.HIRAGANA, other=True)),
    "swallow_katakana_share": Markers(_of_classes(characters.KATAKANA)),
    "swallow_japanese_share": Markers(lack=_of_classes(*_JAPANESE, other=True)),
    "swallow_repeated_line_share": Markers(_repeated(_lines, 1)),
    "swallow_repeated_line_characters": Markers(_repeated(_lines, 1)),
    "swallow_repeated_sentence_share": Markers(_repeated(_sentences, 1)),
    "swallow_repeated_sentence_characters": Markers(_repeated(_sentences, 1)),
    "swallow_mean_sentence_length": Markers(_longest(_SWALLOW_SENTENCES)),
    "swallow_longest_sentence": Markers(_longest(_SWALLOW_SENTENCES)),
    "swallow_ellipsis_sentence_share": Markers(_lines_like(r"[・…]\s*$", units=_sentences)),
    "special_character_share": Markers(_special),
    "longest_run": Markers(_longest(r"(.)\1*")),
    "gopher_repeated_line_share": Markers(_repeated(_lines, 1)),
    "gopher_repeated_line_characters": Markers(_repeated(_lines, 1)),
    "gopher_repeated_paragraph_share": Markers(_repeated(_paragraphs, 1)),
    "gopher_repeated_paragraph_characters": Markers(_repeated(_paragraphs, 1)),
    "gopher_bullet_line_share": Markers(_lines_like("^[•-]")),
    "gopher_ellipsis_line_share": Markers(_lines_like(r"(?:\.\.\.|…)$")),
    "fineweb_punctuated_line_share": Markers(lack=_lines_like(r"[.!?。！？．｡‼⁇⁈⁉]$", absent=True)),
    "fineweb_short_line_share": Markers(_lines_like(r"^.{1,30}$")),
    "fineweb_repeated_line_characters": Markers(_repeated(_lines, 1)),
    "hojichar_ellipsis_line_share": Markers(_lines_like(r"(?:\.\.\.|…)$")),
    "hojichar_short_line_share": Markers(_lines_like(r"^.{1,10}$")),
    **{f"top_{n}gram_share": Markers(_commonest(n)) for n in (2, 3, 4)},
    **{f"repeated_distinct_{n}gram_share": Markers(_covered(n, ".")) for n in range(5, 11)},
    "frequent_5gram_share": Markers(_covered(5, ".")),
    **{
        f"{prefix}_top_{n}gram_characters": Markers(_commonest(n, pieces))
        for prefix, pieces in (("gopher", r"\S+"), ("fineweb2", _SCRIPTS))
        for n in (2, 3, 4)
    },
    **{
        f"{prefix}_repeated_{n}gram_characters": Markers(_covered(n, pieces))
        for prefix, pieces in (("gopher", r"\S+"), ("fineweb2", _SCRIPTS))
        for n in range(5, 11)
    },
    **{
        f"{prefix}_{name}_per_word": Markers(marker)
        for prefix in ("gopher", "fineweb2")
        for name, marker in (("hashes", _matching("#")), ("ellipses", _ELLIPSES))
    },
    **{
        f"{prefix}_letter_word_share": Markers(lack=_matching(r"(?<!\S)[\W\d_]+(?!\S)"))
        for prefix in ("gopher", "fineweb2")
    },
    "hojichar_repeated_word_7gram_share": Markers(_covered(7, _SCRIPTS)),
    **{
        f"{prefix}_{name}": Markers(marker)
        for prefix in ("c4", "fineweb_c4")
        for name, marker in (
            ("lorem_ipsum", _matching("lorem ipsum", re.IGNORECASE)),
            ("curly_bracket", _matching(r"\{")),
        )
    },
}
"""For each signal, what is marked; a signal with nothing to point at (a length, a perplexity, a host) is not there."""
