"""Lists and reads datasets on the Hugging Face Hub at a pinned commit, through its plain HTTP interface.

Listing goes through `HfApi`: the revision becomes a commit, the README's `configs:` (which the Hub serves parsed) say
which files belong to a config and a split, and without them names do (`data/train-00000-of-00005.parquet`). Reading is
one streamed GET a file, taken up again where it broke; parquet asks for ranges. HF_ENDPOINT and HF_TOKEN are
huggingface_hub's business, so mirrors and tests work. 429 and 5xx are answered by waiting (1, 2, 4, 8, 16 s, or what
Retry-After asks; the environment variable CORPUS_JA_RETRY_WAIT sets the first wait), everything else by a sentence.

Rejected: `load_dataset` (refuses OSCAR's script, caches everything on disk), Polars' own `hf://` (ignores HF_ENDPOINT),
and reading through `HfFileSystem` (a request for the repository before each file in each worker, 5 MB a request against
the Hub's limit on requests, one retry a stream, and waits nobody can set); xet's protocol (the Hub serves every
file over plain HTTP ranges as well).
"""

import importlib
import io
import itertools
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import PurePosixPath
from typing import Final, TypeVar

from corpus_ja.errors import SourceError
from corpus_ja.storage.sources.files import matches, nothing_found, picked, split_glob, wanted
from corpus_ja.storage.sources.records import Json, Reading, SourceFile

T = TypeVar("T")
_ADDRESS: Final = re.compile(
    r"hf://datasets/(?P<repo>[^/@]+/[^/@]+)(?:@(?P<revision>refs/(?:convert|pr)/[^/]+|[^/]+))?(?:/(?P<path>.*))?"
)
_RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_TRIES: Final = 6
_LONGEST_WAIT: Final = 300.0
_DATA: Final = (".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".json.gz", ".json.zst")
# the words by which `datasets` knows a split in a file's or folder's name (datasets/data_files.py, SPLIT_KEYWORDS)
_SPLIT_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}


# ------------------------------------------------------------------------------------------------------------ patience


def patiently(action: Callable[[], T], repo: str, what: str) -> T:
    """Do `action`, again after a wait where the Hub is busy or the line broken; SourceError when that is no use."""
    for attempt in itertools.count():
        try:
            return action()
        except Exception as error:  # _wait raises what is not the network's
            wait = _wait(error, attempt)
            if wait is None or attempt == _TRIES - 1:
                raise sentence(error, repo, what, attempt + 1) from error
            time.sleep(wait)
    raise AssertionError


def _wait(error: Exception, attempt: int) -> float | None:
    """Seconds to wait before the next attempt; None if none would help; anything but the network's errors is raised."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    if isinstance(error, HfHubHTTPError):
        response = error.response
        if response.status_code not in _RETRIED:
            return None
        return max(_own_wait(attempt), _asked_wait(response.headers.get("Retry-After")))
    if isinstance(error, OfflineModeIsEnabled | HFValidationError):
        return None
    if isinstance(error, (*transport_errors(), ConnectionError, TimeoutError)):
        return _own_wait(attempt)
    raise error


def _own_wait(attempt: int) -> float:
    first = float(os.environ.get("CORPUS_JA_RETRY_WAIT", "1"))
    return float(first * 2**attempt)


def _asked_wait(header: str | None) -> float:
    """Retry-After in seconds, given as a number or a date; at most five minutes."""
    if not header:
        return 0.0
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except ValueError:
            return 0.0
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def transport_errors() -> tuple[type[Exception], ...]:
    """What the HTTP client of huggingface_hub raises when a connection fails (httpx in 1.x, httpx2 in 2.x)."""
    from huggingface_hub import get_session

    module = importlib.import_module(type(get_session()).__module__.partition(".")[0])
    return (module.TransportError,)


def sentence(error: Exception, repo: str, what: str, attempts: int = 1) -> SourceError:
    """What a failed request means for the person who asked for `what` of the dataset `repo`."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    page = f"{constants.ENDPOINT}/datasets/{repo}"
    login = "run `hf auth login` or set HF_TOKEN"
    if isinstance(error, GatedRepoError):
        return SourceError(f"The dataset {repo} is gated: open {page}, accept its terms, then {login}.")
    if isinstance(error, RepositoryNotFoundError):
        return SourceError(
            f"There is no dataset {repo} at {constants.ENDPOINT}: check its name, or, if it is private, {login}."
        )
    if isinstance(error, RevisionNotFoundError):
        return SourceError(
            f"The dataset {repo} has no revision like the one asked for ({what}); {page}/commits names them."
        )
    if isinstance(error, EntryNotFoundError):
        return SourceError(f"The dataset {repo} has no {what}; {page}/tree/main shows its files.")
    if isinstance(error, HFValidationError):
        return SourceError(f"{repo!r} is no dataset id, which looks like OWNER/NAME; for a path use parquet or jsonl.")
    if isinstance(error, OfflineModeIsEnabled):
        return SourceError(f"The dataset {repo} cannot be read while HF_HUB_OFFLINE is set; unset it.")
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403):
            return SourceError(
                f"The Hub refuses the token for {repo} (HTTP {status}): {login} with one that may read it."
            )
        if status == 429:
            return SourceError(
                f"The Hub limits requests (HTTP 429) and still did after {attempts} tries for {repo}: wait some "
                "minutes, use a token (they have higher limits), or fewer workers."
            )
        if status in _RETRIED:
            return SourceError(
                f"{constants.ENDPOINT} answers HTTP {status}, {attempts} times in a row, for {what} of {repo}; "
                "try again later."
            )
        return SourceError(f"{constants.ENDPOINT} answers HTTP {status} for {what} of {repo}.")
    return SourceError(
        f"{constants.ENDPOINT} could not be reached in {attempts} tries for {what} of {repo} ({error}); "
        "check the network."
    )


# ------------------------------------------------------------------------------------------------------------- listing


@dataclass(frozen=True, slots=True)
class Place:
    """Where an hf:// address points: a dataset, perhaps a revision, and a path within it."""

    repo: str
    revision: str | None
    path: str


def place(address: str) -> Place:
    """Take an hf:// address apart."""
    match = _ADDRESS.fullmatch(address.replace("%2F", "/"))
    if match is None:
        raise SourceError(
            f"{address}: an address on the Hub looks like hf://datasets/OWNER/NAME/PATH, or, with a revision, "
            "hf://datasets/OWNER/NAME@REVISION/PATH."
        )
    return Place(match["repo"], match["revision"], match["path"] or "")


@dataclass(frozen=True, slots=True)
class Pinned:
    """A dataset at one commit, and what its README's front matter says of its files (None if nothing)."""

    repo: str
    commit: str
    configs: list[Json] | None

    def file(self, path: str, name: str, size: int) -> SourceFile:
        """A file of the dataset at this commit."""
        address = f"hf://datasets/{self.repo}@{self.commit}/{path}"
        return SourceFile(address, name, size, f"{self.repo}@{self.commit}/{path}")


def pin(repo: str, revision: str | None) -> Pinned:
    """Resolve a revision (a branch, tag or commit; None is main) to its commit; gated datasets are tried at once."""
    from huggingface_hub import HfApi

    api = HfApi()
    what = f"revision {revision}" if revision else "description"
    info = patiently(lambda: api.dataset_info(repo, revision=revision), repo, what)
    if info.gated:
        patiently(lambda: api.auth_check(repo, repo_type="dataset"), repo, what)
    if not info.sha:
        raise SourceError(f"The dataset {repo} has no commit yet; it is empty.")
    configs = info.card_data.get("configs") if info.card_data else None
    # the repository may have been renamed: ids and identities follow what the mix says, so that they do not change
    return Pinned(repo, info.sha, configs if isinstance(configs, list) else None)


def tree(pinned: Pinned, folder: str = "") -> dict[str, int]:
    """Paths and sizes of all files under a folder of a dataset; empty if there is no such folder."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import EntryNotFoundError

    def listed() -> dict[str, int]:
        try:
            entries = list(
                HfApi().list_repo_tree(
                    pinned.repo, folder or None, recursive=True, revision=pinned.commit, repo_type="dataset"
                )
            )
        except EntryNotFoundError:
            return {}
        return {entry.path: entry.size for entry in entries if hasattr(entry, "size")}

    return patiently(listed, pinned.repo, folder or "file list")


def list_address(reading: Reading) -> list[SourceFile]:
    """The files of an hf:// path, folder or glob."""
    where = place(reading.address)
    pinned = pin(where.repo, reading.revision or where.revision)
    folder, pattern = split_glob(where.path)
    folder = folder.strip("/")
    sizes = tree(pinned, folder)
    if not sizes and not pattern:  # perhaps a file: its folder knows
        folder, _, name = folder.rpartition("/")
        sizes = {path: size for path, size in tree(pinned, folder).items() if path == where.path.strip("/")}
        if not sizes:
            raise SourceError(
                f"{reading.address}: the dataset has no such file or folder; its page shows which it has."
            )
        pattern = name
        names = dict.fromkeys([name], sizes[where.path.strip("/")])
    else:
        names = {path[len(folder) :].lstrip("/"): size for path, size in sizes.items()}
    chosen = [(name, size) for name, size in names.items() if name == pattern or wanted(name, reading.kind, pattern)]
    if not chosen:
        raise nothing_found(reading.address, reading.kind, pattern, list(names))
    return [pinned.file(f"{folder}/{name}".lstrip("/"), name, size) for name, size in picked(chosen, reading.read)]


def list_dataset(reading: Reading) -> list[SourceFile]:
    """The files of a config and split of a dataset on the Hub."""
    repo = reading.address.strip()
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise SourceError(
            f"hub: {repo!r} is no dataset id, which looks like OWNER/NAME; for a path use parquet or jsonl."
        )
    pinned = pin(repo, reading.revision)
    sizes = tree(pinned)
    chosen = _chosen(pinned, sizes, reading)
    data = [path for path in chosen if path.lower().endswith(_DATA)]
    if not data:
        raise _no_data(repo, list(sizes), chosen)
    parquet = [path for path in data if path.lower().endswith(".parquet")]
    return [
        pinned.file(name, name, size) for name, size in picked([(p, sizes[p]) for p in parquet or data], reading.read)
    ]


def _no_data(repo: str, paths: list[str], chosen: list[str]) -> SourceError:
    others = sorted({PurePosixPath(path).suffix or path for path in chosen or paths if not path.startswith(".")})
    return SourceError(
        f"The dataset {repo} holds no parquet or JSON lines to read (it has {', '.join(others[:6]) or 'no files'}); "
        "name files with parquet: or jsonl: hf://datasets/..., or try revision: refs/convert/parquet, the Hub's own "
        "copy."
    )


def _chosen(pinned: Pinned, sizes: dict[str, int], reading: Reading) -> list[str]:
    repo, config, split = pinned.repo, reading.config, reading.split
    described = [entry for entry in pinned.configs or [] if isinstance(entry, dict) and "config_name" in entry]
    with_files = [entry for entry in described if "data_files" in entry or "data_dir" in entry]
    paths = [path for path in sizes if not any(part.startswith((".", "__")) for part in path.split("/"))]
    if with_files:
        names = [str(entry["config_name"]) for entry in with_files]
        if config is None:
            default = [entry for entry in with_files if entry.get("default") or entry["config_name"] == "default"]
            if not default and len(with_files) > 1:
                raise SourceError(
                    f"The dataset {repo} has several configs; choose one with config: {', '.join(names)}."
                )
            entry = (default or with_files)[0]
        else:
            entry = next((entry for entry in with_files if entry["config_name"] == config), {})
            if not entry:
                raise SourceError(f"The dataset {repo} has no config {config!r}; it has {', '.join(names)}.")
        folder = str(entry.get("data_dir") or "").strip("/").removeprefix("./")
        inside = [path for path in paths if not folder or path.startswith(f"{folder}/")]
        if "data_files" not in entry:
            return _by_name(repo, inside, split)
        return _by_patterns(repo, paths, folder, entry["data_files"], split)
    script = f"{repo.rpartition('/')[2]}.py"
    if script in sizes:
        raise _has_script(repo, paths)
    if config is not None and config != "default":
        paths = [path for path in paths if config in PurePosixPath(path).parts[:-1]]
        if not paths:
            raise SourceError(
                f"The dataset {repo} has no config {config!r}: no configs in its README, no folder of that name."
            )
    return _by_name(repo, paths, split)


def _has_script(repo: str, paths: list[str]) -> SourceError:
    message = f"The dataset {repo} is read by a script of its own, which is never run; name its files instead, as in "
    if repo.partition("/")[0] == "oscar-corpus":
        return SourceError(f"{message}oscar: hf://datasets/{repo}/ja_meta/*.jsonl.zst.")
    data = sorted(path for path in paths if path.lower().endswith(_DATA))
    if not data:
        return SourceError(
            f"The dataset {repo} is read by a script of its own, which is never run; try revision: "
            "refs/convert/parquet, the Hub's own parquet copy."
        )
    example = PurePosixPath(data[0])
    kind = "parquet" if data[0].lower().endswith(".parquet") else "jsonl"
    ending = "".join(example.suffixes[-2:]) if example.suffix in (".gz", ".zst") else example.suffix
    return SourceError(f"{message}{kind}: hf://datasets/{repo}/{(example.parent / '*').as_posix()}{ending}.")


def _by_patterns(repo: str, paths: list[str], folder: str, declared: Json, split: str) -> list[str]:
    """The files that a README's data_files names for a split: a glob, globs, or a list of {split, path}."""
    if isinstance(declared, dict):
        by_split = {str(name): value for name, value in declared.items()}
    elif isinstance(declared, list) and any(isinstance(entry, dict) for entry in declared):
        by_split = {
            str(entry.get("split", "train")): entry.get("path") for entry in declared if isinstance(entry, dict)
        }
    else:
        by_split = {"train": declared}
    if split not in by_split:
        raise SourceError(f"The dataset {repo} has no split {split!r} in this config; it has {', '.join(by_split)}.")
    value = by_split[split]
    found: dict[str, None] = {}
    for pattern in value if isinstance(value, list) else [value]:
        full = f"{folder}/{pattern}".lstrip("/").removeprefix("./")
        full = full + "**" if full.endswith("/") else full
        found.update(dict.fromkeys(path for path in paths if path == full or matches(path, full)))
    if not found:
        raise SourceError(f"The dataset {repo}: its README names {value} for the split {split}, and no file matches.")
    return list(found)


def _by_name(repo: str, paths: list[str], split: str) -> list[str]:
    """The data files whose names say the split; all of them if none says any and train is wanted."""
    data = [path for path in paths if path.lower().endswith(_DATA)]
    by_split: dict[str, list[str]] = {}
    for path in data:
        by_split.setdefault(_split_of(path), []).append(path)
    if split in by_split:
        return by_split[split]
    if split == "train" and set(by_split) <= {""}:
        return data
    named = sorted(name for name in by_split if name) or ["train"]
    raise (
        SourceError(f"The dataset {repo} has no split {split!r} by its files' names; it has {', '.join(named)}.")
        if data
        else _no_data(repo, paths, [])
    )


def _split_of(path: str) -> str:
    """The split a path names: NAME-00000-of-00001, or one of the usual words between separators; "" if none."""
    if match := re.search(r"(?:^|/)([A-Za-z0-9_.]+)-\d{5}-of-\d{5}[^/]*$", path):
        return match[1]
    words = set(re.split(r"[-._ /\d]+", path.lower()))
    return next((split for split, names in _SPLIT_WORDS.items() if words & set(names)), "")


# ------------------------------------------------------------------------------------------------------------- reading


class HubFile(io.RawIOBase):
    """A file of a dataset as a stream that takes itself up where a connection broke.

    Sequential reading holds one GET open to the file's end; otherwise each `read` is a range of its own. `read(n)`
    gives n bytes except at the end, as PyArrow expects. The commit in the address makes the content immutable.
    """

    def __init__(self, address: str, size: int, *, sequential: bool) -> None:
        from huggingface_hub import hf_hub_url

        where = place(address)
        self._repo, self._path, self._size = where.repo, where.path, size
        self._url = hf_hub_url(where.repo, where.path, repo_type="dataset", revision=where.revision)
        self._sequential = sequential
        self._position = 0
        self._stream: Iterator[bytes] | None = None
        self._context: Json = None
        self._rest = b""

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; a stream that does not lead there is given up."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset != self._position:
            self._drop()
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer, as far as the file goes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int | None = -1) -> bytes:
        """The next `size` bytes, fewer only at the end; SourceError when the Hub cannot be moved to give them."""
        end = self._size if size is None or size < 0 else min(self._size, self._position + size)
        parts: list[bytes] = []
        failures = 0
        while self._position < end:
            try:
                if self._stream is None:
                    self._open(self._size if self._sequential else end)
                part = self._rest or self._next()
            except Exception as error:  # _wait raises what is not the network's
                self._drop()
                wait = _wait(error, failures)
                failures += 1
                if wait is None or failures == _TRIES:
                    raise sentence(error, self._repo, self._path, failures) from error
                time.sleep(wait)
                continue
            failures = 0
            taken = part[: end - self._position]
            self._rest = part[len(taken) :]
            self._position += len(taken)
            parts.append(taken)
        if not self._sequential:
            self._drop()
        return b"".join(parts)

    def _open(self, end: int) -> None:
        from huggingface_hub import constants, get_session
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if self._position or end < self._size:
            headers["Range"] = f"bytes={self._position}-{end - 1}"
        self._context = get_session().stream(
            "GET", self._url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT, follow_redirects=True
        )
        response = self._context.__enter__()
        if response.status_code >= 400:
            response.read()
        hf_raise_for_status(response)
        self._stream = response.iter_raw()
        if self._position and response.status_code != 206:  # a mirror that knows no ranges: pass over what we have
            left = self._position
            while left:
                part = self._next()
                self._rest = part[left:]
                left -= min(left, len(part))

    def _next(self) -> bytes:
        part = next(self._stream or iter(()), b"")
        if not part:
            raise ConnectionError(f"the connection ended at byte {self._position:,} of {self._size:,}")
        return part

    def _drop(self) -> None:
        context, self._context, self._stream, self._rest = self._context, None, None, b""
        if context is not None:
            context.__exit__(None, None, None)

    def close(self) -> None:
        """Let go of the connection."""
        if not self.closed:
            self._drop()
        super().close()
