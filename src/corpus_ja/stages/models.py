"""A fastText classifier's score as a signal: education, quality, or whatever the model was trained to tell.

`score` gives the model's probability of one label, or the weighted sum of several (a model of grades 0 to 3 gives its
expected grade), as a Float32 column that rules and `where` use. The text is given as published classifiers take it:
whole, on one line, with newlines as spaces; `characters` takes only the beginning of long texts. Labels that the model
does not know are an error when the mix is loaded, not a score of zero. Any other model's scores come from a `sidecar`.
Cost: fastText's own; lid.176.ftz, a model with subwords, reads 7 MB/s on one thread.
Rejected: windows as for the language (a classifier's score is not the same for a part).
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import polars as pl
from pydantic import Field, model_validator

from corpus_ja.settings import Settings

VERSION = 1


class ModelSignal(Settings):
    """Where a score comes from: a model, and the label or labels whose probability counts."""

    fasttext: str = Field(min_length=1)
    """Path of a supervised fastText model (.bin or .ftz)."""
    label: str | None = None
    """The label whose probability is the score."""
    labels: dict[str, float] | None = None
    """Or several labels and their weights: the score is the sum of weight times probability."""
    characters: int | None = Field(default=None, ge=100)
    """Only so many characters of a text's beginning are read; all of it where none is given."""

    @model_validator(mode="after")
    def _one_way_to_score(self) -> Self:
        if (self.label is None) == (self.labels is None):
            raise ValueError('says either `label: "__label__..."` or `labels: {"__label__...": WEIGHT}`')
        if self.labels is not None and not self.labels:
            raise ValueError("has empty `labels`; name at least one label and its weight")
        return self

    @property
    def weights(self) -> Mapping[str, float]:
        """The labels that count and their weights."""
        return self.labels if self.labels is not None else {str(self.label): 1.0}


@dataclass(frozen=True, slots=True)
class Model:
    """A score's column name, the model's path on this machine, how it is read, and its SHA-256."""

    name: str
    path: str
    settings: ModelSignal
    sha256: str = ""


class _FastText(Protocol):
    def predict(self, text: str, k: int = 1) -> tuple[tuple[str, ...], tuple[float, ...]]: ...


@functools.lru_cache(maxsize=4)
def _loaded(path: str, sha256: str) -> _FastText:
    """The model, loaded once a process when first needed; another file of that path is another model."""
    del sha256
    return _opened(path)


def _opened(path: str) -> _FastText:
    import fasttext

    model: _FastText = fasttext.load_model(path)
    return model


def labels_of(path: str) -> tuple[str, ...]:
    """All labels of a model; empty where it is no supervised model. Raises ValueError for a file that is no model."""
    try:
        labels, _ = _opened(path).predict("a", k=-1)
    except (RuntimeError, MemoryError, OverflowError) as error:
        raise ValueError(str(error)) from error
    return tuple(labels)


def forget() -> None:
    """Drop the models from memory."""
    _loaded.cache_clear()


def score(text: pl.Series, model: Model) -> pl.Series:
    """The score of every text, Float32, same rows, named like the model; null for null and for texts of white space
    alone.
    """
    column = pl.col("text")
    if model.settings.characters is not None:
        column = column.str.head(model.settings.characters)
    # what fastText splits words at; it refuses newlines
    lines = (
        pl.DataFrame({"text": text})
        .select(column.str.replace_all(r"[\x00\n\r\t\x0B\x0C]", " ").str.strip_chars())
        .to_series()
    )
    network, weights = _loaded(model.path, model.sha256), model.settings.weights
    values: list[float | None] = []
    for line in lines.to_list():
        if not line:
            values.append(None)
            continue
        found, probabilities = network.predict(line, k=-1)
        chances = dict(zip(found, probabilities, strict=True))
        # fastText adds 1e-5 to each probability, so that a sure label reads 1.00001
        values.append(sum(weight * min(chances.get(label, 0.0), 1.0) for label, weight in weights.items()))
    return pl.Series(model.name, values, dtype=pl.Float32)
