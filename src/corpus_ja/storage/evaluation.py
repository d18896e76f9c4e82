"""Reading evaluation sets: JGLUE's folders as they are published, or any file of JSON lines.

A JGLUE folder holds `jcommonsenseqa*`, `jnli*` and `jsquad*` folders or files with valid and test parts (.json,
.jsonl, gzip allowed); train parts are not read: a model may see them. What is not JSON, or holds nothing to protect,
is an error that names the file and the line: a decontamination that protects nothing must not look like one that found
nothing.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from corpus_ja.errors import ConfigError
from corpus_ja.storage.sources.files import Broken, chunks
from corpus_ja.storage.sources.records import SourceFile, without_surrogates

Task = Literal["jcommonsenseqa", "jnli", "jsquad"]
TASKS: tuple[Task, ...] = ("jcommonsenseqa", "jnli", "jsquad")
_ENDING = re.compile(r"\.(json|jsonl)(\.gz|\.zst)?$")


@dataclass(frozen=True, slots=True)
class EvaluationFile:
    """One file of an evaluation set: `task` for JGLUE's, its parsed lines (JSQuAD: one object), and its SHA-256."""

    task: Task | None
    name: str
    file: str
    records: list[object]
    sha256: str


def read_jglue(folder: Path) -> Iterator[EvaluationFile]:
    """The valid and test files of the three JGLUE tasks below a folder."""
    if not folder.is_dir():
        raise ConfigError(f"decontaminate: there is no folder {folder}; name the folder that holds JGLUE's files.")
    found = 0
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        task = next((task for task in TASKS if task in relative.lower()), None)
        if task is None or not path.is_file() or not _ENDING.search(path.name):
            continue
        if not re.search(r"valid|test|dev", path.name.lower()):
            continue
        found += 1
        records, sha256 = _records(path, whole=task == "jsquad")
        yield EvaluationFile(task, task, str(path), records, sha256)
    if not found:
        raise ConfigError(
            f"decontaminate: {folder} holds no valid or test file of jcommonsenseqa, jnli or jsquad "
            "(expected like jnli-v1.3/valid-v1.3.json)."
        )


def read_jsonl(path: Path) -> Iterator[EvaluationFile]:
    """A file of JSON lines, or every such file in a folder."""
    if path.is_file():
        files = [path]
    else:
        files = sorted(file for file in path.rglob("*") if file.is_file() and _ENDING.search(file.name))
    if not files:
        raise ConfigError(f"decontaminate: there is no file {path} and no .json or .jsonl file in such a folder.")
    for file in files:
        records, sha256 = _records(file, whole=False)
        name = _ENDING.sub("", file.name)
        yield EvaluationFile(None, name, str(file), records, sha256)


def fetch_from_hub(name: str) -> Path:
    """Fetch the JSON files of a dataset of the Hub; raises ConfigError with the remedy where that fails."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    patterns = [f"*.{ending}{packed}" for ending in ("json", "jsonl") for packed in ("", ".gz", ".zst")]
    try:
        return Path(snapshot_download(name, repo_type="dataset", allow_patterns=patterns))
    except GatedRepoError as error:
        raise ConfigError(
            f"decontaminate: {name} is gated; open its page on the Hub, accept the terms, then run `hf auth login` or set HF_TOKEN."
        ) from error
    except RepositoryNotFoundError as error:
        raise ConfigError(f"decontaminate: there is no dataset {name} on the Hub.") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"decontaminate: {name} cannot be fetched from the Hub ({reason}).") from error


def _records(path: Path, *, whole: bool) -> tuple[list[object], str]:
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        # The sources' own reader: it says when a file breaks off, where zstandard's gives what there is.
        text = b"".join(chunks(SourceFile(str(path), path.name, path.stat().st_size, sha256))).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"decontaminate: {path} is not UTF-8 text (byte {error.start}).") from error
    except (OSError, Broken) as error:
        raise ConfigError(f"decontaminate: {path} cannot be read: {error}.") from error
    if whole:
        return [_parsed(text, str(path))], sha256
    records: list[object] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            records.append(_parsed(line, f"{path} line {number}"))
    if not records:
        raise ConfigError(f"decontaminate: {path} is empty; it protects nothing.")
    return records, sha256


def _parsed(text: str, where: str) -> object:
    try:
        value: object = without_surrogates(json.loads(text))[0]
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"decontaminate: {where} is not JSON: {error}.") from error
    return value
