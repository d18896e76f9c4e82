"""A vocabulary for the text at hand: a byte-level BPE learns more merges, and every id it had stays what it was.

GPT-2's vocabulary spends 1.4 tokens on a Japanese character. `extend` goes on training it where its makers stopped
(the package bpe-continue): new entries are put together from old ones, new merges rank after all old ones, so ids of
text that holds nothing new do not change and a trained embedding keeps its rows. Only East Asian characters are learnt
from (U+2E80 and up): no new entry holds a letter or mark of English, so English stays as it is, to the id.

`measure` says what it is worth: tokens and characters of texts before and after, with the reference encoder.

Cost (benchmarks/tokens.py --vocabulary 8000): 163 s of processor time for 8,000 entries from 16.3 million characters, on
a busy machine. On Japanese Wikipedia articles that taught nothing GPT-2's 1.412 tokens a character become 0.658; on
English not one token changes. The same texts in the same order give the same entries.
Rejected: a new vocabulary put beside the old one (the old merges would cut in first), and more than 48 bytes an entry
(boilerplate became single tokens).
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field

from corpus_ja.errors import ConfigError
from corpus_ja.settings import Bytes, Count, Settings
from corpus_ja.stages.tokens import Tokenizer, hugging_face_tokenizer

VERSION = 1
ENTRY_BYTES = 48
"""Longest new entry: sixteen kana or kanji."""
SIXTEEN_BITS = 65_536
_NOT_LEARNT = re.compile("[\x00-\u2e7f]+")
"""Letters and punctuation below the East Asian blocks; quotes and dashes too, which English novels are full of: with
them learnt 2.1% fewer tokens."""


class Extension(Settings):
    """`tokenizer: {base, add, from}`: a byte-level BPE and how many entries it learns from the kept text of which
    sources.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    base: str = Field(min_length=1)
    add: Count
    sources: tuple[str, ...] = Field(alias="from", min_length=1)
    max_bytes: Bytes = 40_000_000
    """UTF-8 bytes of kept text to learn from, shared evenly by the sources."""
    max_entries: Count = SIXTEEN_BITS
    """Largest vocabulary: 65,536 is what two bytes hold."""


@dataclass(frozen=True, slots=True)
class Fertility:
    """What some texts cost: characters, UTF-8 bytes, and tokens before and after."""

    characters: int
    bytes: int
    before: int
    after: int

    def as_json(self) -> dict[str, float]:
        """With the ratios that people compare."""
        return {
            "characters": self.characters,
            "bytes": self.bytes,
            "tokens_before": self.before,
            "tokens_after": self.after,
            "tokens_per_character_before": round(self.before / self.characters, 4) if self.characters else 0.0,
            "tokens_per_character_after": round(self.after / self.characters, 4) if self.characters else 0.0,
        }


def check(extension: Extension, tokenizer: Tokenizer, sources: Sequence[str]) -> None:
    """Raise ConfigError where the base cannot be extended so; `sources` are the names of the mix."""
    for name in extension.sources:
        if name not in sources:
            raise ConfigError(
                f"`from` names the source `{name}`, which the mix does not have; it has {', '.join(sources)}."
            )
    content = (
        {}
        if tokenizer.kind == "sentencepiece"
        else json.loads(hugging_face_tokenizer(Path(tokenizer.folder), tokenizer.kind).to_str())
    )
    if content.get("model", {}).get("type") != "BPE" or "ByteLevel" not in json.dumps(content["pre_tokenizer"]):
        raise ConfigError(
            f"{extension.base} is no byte-level BPE (as GPT-2's), and only such a vocabulary can be extended; leave `add` out."
        )
    if tokenizer.vocab_size + extension.add > extension.max_entries:
        raise ConfigError(
            f"{tokenizer.vocab_size:,} entries and {extension.add:,} more are {tokenizer.vocab_size + extension.add:,}, more than `max_entries` "
            f"allows ({extension.max_entries:,}); `add` at most {max(0, extension.max_entries - tokenizer.vocab_size):,}, or raise `max_entries` "
            f"(over {SIXTEEN_BITS:,} every token takes four bytes)."
        )


def package_version() -> str:
    """The installed version of bpe-continue, which decides the entries; empty where it is not installed."""
    try:
        return version("bpe-continue")
    except PackageNotFoundError:
        return ""


def extend(tokenizer: Tokenizer, texts: Sequence[str], add: int) -> Any:  # noqa: ANN401 - tokenizers.Tokenizer carries no types
    """The tokenizer with up to `add` more entries learnt from texts, as a `tokenizers` object.

    Raises ConfigError without the package bpe-continue, or where the texts hold nothing to learn.
    """
    try:
        from bpe_continue import continue_training
    except ImportError as error:
        raise ConfigError(
            "`add` needs the package bpe-continue; install the extra: pip install 'corpus-ja[vocab]'."
        ) from error
    base = hugging_face_tokenizer(Path(tokenizer.folder), tokenizer.kind)
    own = [_NOT_LEARNT.sub("\n", text) for text in texts]
    if not any(text.strip() for text in own):
        raise ConfigError("`add` finds no East Asian text in its sources; there is nothing to learn.")
    with _parallel():
        extended = continue_training(
            base,
            texts=own,
            vocab_size=tokenizer.vocab_size + add,
            min_frequency=2,
            max_token_length=ENTRY_BYTES,
            show_progress=False,
        )
    before, after = base.get_vocab(with_added_tokens=True), extended.get_vocab(with_added_tokens=True)
    moved = [token for token, number in before.items() if after.get(token) != number]
    if moved:
        raise ConfigError(
            f"bpe-continue moved {len(moved):,} ids of {tokenizer.name} (the first: {moved[0]!r}); it cannot be extended."
        )
    return extended


def save(extended: Any, tokenizer: Tokenizer, folder: Path) -> None:  # noqa: ANN401 - as above
    """Write a folder that `AutoTokenizer` loads: tokenizer.json, and tokenizer_config.json with the base's special
    tokens.
    """
    extended.save(str(folder / "tokenizer.json"))
    given = Path(tokenizer.folder) / "tokenizer_config.json"
    configured = json.loads(given.read_text(encoding="utf-8")) if given.is_file() else {}
    for name in ("vocab_file", "merges_file", "tokenizer_file", "auto_map", "name_or_path"):
        configured.pop(name, None)
    tokens_by_id = {number: token for token, number in extended.get_vocab(with_added_tokens=True).items()}
    configured |= {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "eos_token": tokenizer.eos_token,
    }
    if tokenizer.bos_id is not None:
        configured["bos_token"] = tokens_by_id[tokenizer.bos_id]
    (folder / "tokenizer_config.json").write_text(
        json.dumps(configured, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )


def measure(tokenizer: Tokenizer, extended: Any, texts: Sequence[str]) -> Fertility:  # noqa: ANN401 - as above
    """What texts cost before and after."""
    base = hugging_face_tokenizer(Path(tokenizer.folder), tokenizer.kind)
    counts = [
        sum(len(encoding.ids) for encoding in one.encode_batch_fast(list(texts), add_special_tokens=False))
        for one in (base, extended)
    ]
    return Fertility(sum(map(len, texts)), sum(len(text.encode()) for text in texts), counts[0], counts[1])


@contextmanager
def _parallel() -> Iterator[None]:
    """Let the trainer add its counts up as a tree, on however many threads RAYON_NUM_THREADS allows.

    A worker's TOKENIZERS_PARALLELISM=false makes it copy one growing set for every word: 9.5 s instead of 4.5 for 2.7
    MB, and more than 13 minutes for 40 MB. The entries are the same.
    """
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
