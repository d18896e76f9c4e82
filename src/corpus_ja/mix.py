"""What a mix may say: the keys of `mix.yaml`, their types and their defaults, composed of the stages' own settings.

Plain frozen models and nothing else; `mixfile` reads them from YAML, `config` reads what they name, docs/mix.md
explains every key.
"""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from corpus_ja.executors import ExecutorSettings
from corpus_ja.settings import Count, Settings, Share
from corpus_ja.stages.clean import Clean
from corpus_ja.stages.decontaminate import Decontamination
from corpus_ja.stages.lists import ListSettings
from corpus_ja.stages.minhash import NearDuplicates
from corpus_ja.stages.mixing import Shortage, Wish
from corpus_ja.stages.models import ModelSignal
from corpus_ja.stages.packing import Packing
from corpus_ja.stages.repeats import Repeats
from corpus_ja.stages.vocabulary import Extension
from corpus_ja.storage.sources import Reading

LANGUAGES_ELSEWHERE = {
    "jp": "ja", "jpn": "ja", "japanese": "ja", "ja_jp": "ja", "ja-jp": "ja", "eng": "en", "english": "en", "en_us": "en", "en-us": "en",
    "cn": "zh", "chi": "zh", "zho": "zh", "chinese": "zh", "kr": "ko", "kor": "ko", "korean": "ko", "ger": "de", "deu": "de", "german": "de",
    "fra": "fr", "fre": "fr", "french": "fr", "spa": "es", "spanish": "es", "rus": "ru", "russian": "ru",
}  # fmt: skip
"""Other names of languages; the model labels texts with ISO 639-1 codes, and a label it never gives would drop every
document."""

Duplicates = Literal["near", "exact", "none"]


ColumnName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
"""The name of a list or of a model's score; columns are called after it."""


class Source(Reading, Wish):
    """One source of text: what is read of it, how it is judged, and how much of it the mix wants."""

    fraction: Share = Field(default=1.0, gt=0)
    language: str | None = None
    filters: tuple[str, ...] | None = None
    clean: Clean = Clean()
    repeats: Repeats | None = None
    duplicates: Duplicates = "near"
    priority: int | None = Field(default=None, ge=-(2**31), lt=2**31)
    max_removal: Share | None = None
    license: str | None = None
    heldout: bool = False

    @field_validator("repeats", mode="before")
    @classmethod
    def _none_stays(cls, value: object) -> object:
        return None if value == "none" else value

    @field_validator("filters", mode="before")
    @classmethod
    def _none_is_no_filter(cls, value: object) -> object:
        if value == "none":
            return ()
        return (value,) if isinstance(value, str) else value

    @field_validator("language")
    @classmethod
    def _language_is_a_code(cls, value: str | None) -> str | None:
        known = LANGUAGES_ELSEWHERE.get((value or "").lower())
        if known is not None:
            raise ValueError(f"is {value!r}, and the language model writes {known!r}; write {known}")
        if value is not None and not re.fullmatch(r"[A-Za-z][A-Za-z_-]{1,19}", value):
            raise ValueError(f"is {value!r}, and should be a code like ja or en")
        return value


class DuplicateSettings(NearDuplicates):
    """Which duplicates leave: exact ones and near ones always, those of one URL by choice."""

    url: bool = False
    max_removal: Share = 0.6


class Mix(Settings):
    """A corpus, as its author writes it down."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    tokenizer: Annotated[str, Field(min_length=1)] | Extension
    tokenizer_revision: str | None = None
    eos: str | None = None
    bos: bool = False
    sequence_length: int = Field(default=1024, ge=8, le=1_048_576)
    budget: Count | None = None
    on_shortage: Shortage = "error"
    seed: int = Field(default=42, ge=0)
    validation: Share = Field(default=0.001, lt=1)
    validation_seed: int = Field(default=0, ge=0)
    heldout: tuple[str, ...] = ()
    packing: Packing = "best_fit"
    shards: Annotated[int, Field(ge=1, le=65_536)] | Literal["auto"] = "auto"
    language_model: str | None = None
    sources: dict[str, Source] = Field(min_length=1)
    duplicates: DuplicateSettings | None = DuplicateSettings()
    decontaminate: Decontamination | None = None
    lists: dict[ColumnName, ListSettings] = Field(default_factory=dict)
    signals: dict[ColumnName, ModelSignal | None] = Field(default_factory=dict)
    executor: ExecutorSettings = ExecutorSettings()

    @field_validator("duplicates", "decontaminate", mode="before")
    @classmethod
    def _none_is_off(cls, value: object) -> object:
        return None if value == "none" else value

    @field_validator("lists", mode="before")
    @classmethod
    def _a_list_is_a_path(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {name: {"path": given} if isinstance(given, str) else given for name, given in value.items()}

    @field_validator("signals", mode="before")
    @classmethod
    def _none_is_no_model(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {name: None if given == "none" else given for name, given in value.items()}

    @field_validator("sources")
    @classmethod
    def _names_are_plain(cls, value: dict[str, Source]) -> dict[str, Source]:
        for name in value:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
                raise ValueError(
                    f"the source name {name[:100]!r} may hold letters, digits, '_', '-' and '.' only, "
                    "at most 100 of them, and begins with a letter or a digit"
                )
            if re.fullmatch(r"heldout_\d+", name):
                raise ValueError(f"the source name {name!r} is one that the files of `heldout:` get; choose another")
        return value
