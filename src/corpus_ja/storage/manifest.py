"""Fingerprints, stage records and the final manifest: what a build is, on disk.

A fingerprint is 16 hexadecimal digits of the SHA-256 over canonical JSON; a value that JSON cannot say exactly is
refused, because a permissive `str(value)` would fork fingerprints silently. A stage's `record.json` lies beside its
files; `manifest.json` is written last, so a folder without one is not a build. This module imports the standard
library and pydantic alone: training reads builds through it.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from corpus_ja.errors import ManifestError as ManifestError  # noqa: PLC0414 - training catches it from here

MANIFEST = "manifest.json"
FORMAT = 1


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces; raises TypeError for what it cannot say exactly (NaN, sets, objects)."""
    _refuse(value, "value")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _refuse(value: object, where: str) -> None:
    if value is None or isinstance(value, bool | int | str):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{where} is {value}, which a fingerprint cannot say exactly")
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r}, which is not a string; convert it first")
            _refuse(inner, f"{where}.{key}")
        return
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        for index, inner in enumerate(value):
            _refuse(inner, f"{where}[{index}]")
        return
    raise TypeError(f"{where} is a {type(value).__name__}; convert it to JSON values before taking a fingerprint")


def fingerprint(value: object) -> str:
    """16 hexadecimal digits that stand for a JSON value."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal; about 1 to 2 GB/s."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Counted(_Model):
    """Documents with their UTF-8 bytes and characters (code points)."""

    documents: int = 0
    bytes: int = 0
    characters: int = 0


class Kept(Counted):
    """Documents that stand in the build, with their tokens (end-of-text included) in one pass."""

    tokens: int = 0


class Taken(_Model):
    """What the training shards hold of a source: documents once, tokens over all passes."""

    documents: int = 0
    tokens: int = 0
    epochs: float = 0.0


class Asked(_Model):
    """What the mix asked of a source and what there was, in tokens of one pass."""

    asked_tokens: int = 0
    available_tokens: int = 0
    available_documents: int = 0
    heldout_documents: int = 0
    heldout_tokens: int = 0


class SourceReport(_Model):
    """The fate of one source: read = kept + the sum of dropped, in documents; `cleaned` is in characters taken out, by
    kind.
    """

    read: Counted = Field(default_factory=Counted)
    unreadable: dict[str, int] = Field(default_factory=dict)
    dropped: dict[str, int] = Field(default_factory=dict)
    cleaned: dict[str, int] = Field(default_factory=dict)
    kept: Kept = Field(default_factory=Kept)
    taken: Taken = Field(default_factory=Taken)
    mix: Asked = Field(default_factory=Asked)
    notes: list[str] = Field(default_factory=list)
    license: str | None = None
    inputs: list[str] = Field(default_factory=list)
    commit: str | None = None
    """The commit of the Hub that was read, where the source lies there."""
    removal: dict[str, int] = Field(default_factory=dict)
    """Documents that lived before duplicates were looked for (`living`), and how many left as `exact`, `url` and
    `near`."""
    repeats: dict[str, Any] = Field(default_factory=dict)
    """Lines or paragraphs taken out, where the source asks for it: how many, of how many kinds, and the most
    frequent."""
    evaluation: dict[str, int] = Field(default_factory=dict)
    """Documents that hold evaluation items (`items`) and that meet a context (`contexts`), whatever else became of
    them."""


class Shard(_Model):
    """One file of `shards/`."""

    name: str
    rows: int
    tokens: int
    sha256: str


class StageRecord(_Model):
    """What a stage did, summed over its tasks: seconds of work (wall and processor), text read (UTF-8 bytes), and the
    largest peak memory of a task.

    A task that an earlier run finished counts with what it did then; `tasks_now` and `text_bytes_read_now` are this
    run's own, so that a changed limit can be seen to read nothing.
    """

    stage: str
    source: str
    fingerprint: str
    tasks: int = 0
    tasks_now: int = 0
    rows: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    text_bytes_read: int = 0
    text_bytes_read_now: int = 0
    peak_memory_bytes: int = 0
    notes: list[str] = Field(default_factory=list)
    details: dict[str, Any] = Field(default_factory=dict)


class TokenizerReport(_Model):
    """The tokenizer that the shards were written with."""

    name: str
    revision: str | None
    sha256: str
    vocab_size: int
    eos_id: int
    eos_token: str
    bos_id: int | None


class Manifest(_Model):
    """Everything about a build that is not in its shards."""

    format: int = FORMAT
    name: str
    fingerprint: str
    sequence_length: int
    packing: str
    tokenizer: TokenizerReport
    source_names: list[str]
    sources: dict[str, SourceReport]
    train: list[Shard]
    validation: list[Shard]
    stages: list[StageRecord]
    packing_report: dict[str, Any] = Field(default_factory=dict)
    duplicates: dict[str, Any] = Field(default_factory=dict)
    """Clusters by size, and the largest with their texts."""
    evaluation: dict[str, Any] = Field(default_factory=dict)
    """Items and unprotected items by set; the files of the build that list hits and unprotected items."""
    rules: dict[str, list[dict[str, Any]]] = Field(default_factory=dict)
    """The rule sets that judged each source, in their order, as they were then, without their examples."""
    mix: dict[str, Any]
    work: dict[str, dict[str, str]] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)


def read_manifest(build: Path) -> Manifest:
    """The manifest of a build folder; raises ManifestError when the folder is no finished build."""
    path = build / MANIFEST
    if not build.is_dir():
        raise ManifestError(f"There is no folder {build}; name a build folder, for example builds/NAME.")
    if not path.is_file():
        raise ManifestError(f"{build} has no {MANIFEST}, so it is not a finished build; run the build again.")
    try:
        return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0]
        raise ManifestError(f"{path} cannot be read ({first}); it is damaged or from another version.") from error
