"""Finding a tokenizer: a folder on this machine, or a repository of the Hub fetched at one commit.

Only the files a tokenizer consists of are fetched, never code. The result is a local folder and its SHA-256, so that
stages load from disk and a fingerprint covers every byte that can change an id.
"""

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from corpus_ja.errors import ConfigError

FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class TokenizerFolder:
    """A tokenizer's files: what it is called (its Hub id, or its folder's own name), where they lie, of which commit,
    their SHA-256.
    """

    name: str
    folder: Path
    revision: str | None
    sha256: str


def find_tokenizer(name: str, revision: str | None, base: Path) -> TokenizerFolder:
    """The folder of a tokenizer: `name` is a folder (relative to `base`) or a Hub id; raises ConfigError otherwise."""
    try:
        local = base / Path(name).expanduser()
    except RuntimeError as error:  # ~nobody
        raise ConfigError(f"tokenizer: {name}: there is no such home folder.") from error
    if local.is_dir():
        return TokenizerFolder(local.resolve().name, local, None, sha256_of_files(local))
    if local.is_file():
        raise ConfigError(f"tokenizer: {name} is a file; name the folder it lies in.")
    if not _HUB_ID.fullmatch(name) or name.startswith("."):
        raise ConfigError(
            f"tokenizer: there is no folder {local}; name a folder with tokenizer.json, with vocab.json and merges.txt, "
            "or with a SentencePiece model, or a Hub id like ahxt/LiteLlama-460M-1T."
        )
    return _from_hub(name, revision)


def _from_hub(name: str, revision: str | None) -> TokenizerFolder:
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

    disable_progress_bars()  # a few small files; the build draws its own
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=list(FILES)))
    except GatedRepoError as error:
        raise ConfigError(
            f"tokenizer: {name} is gated; open its page on the Hub, accept the terms, then run `hf auth login` or set HF_TOKEN."
        ) from error
    except RevisionNotFoundError as error:
        raise ConfigError(f"tokenizer: {name} has no revision {revision} on the Hub.") from error
    except RepositoryNotFoundError as error:
        raise ConfigError(
            f"tokenizer: there is neither a folder {name} beside the mix nor a repository {name} on the Hub."
        ) from error
    except HFValidationError as error:
        raise ConfigError(f"tokenizer: {name} is no folder beside the mix, and no Hub id either ({error}).") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"tokenizer: {name} is no folder beside the mix, and the Hub cannot be reached ({reason}); "
            "name a folder, or try again with a connection."
        ) from error
    return TokenizerFolder(name, folder, folder.name, sha256_of_files(folder))


def copy_tokenizer(folder: Path, target: Path) -> None:
    """Copy a tokenizer's files, so that a build carries what its shards were written with."""
    target.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)


def sha256_of_files(folder: Path) -> str:
    """The SHA-256 over the names and contents of a tokenizer's files."""
    digest = hashlib.sha256()
    for name in FILES:
        path = folder / name
        if path.is_file():
            digest.update(f"{name}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
