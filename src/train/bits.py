"""Bits per byte: how well a model predicts held-out text, on a scale that no tokenizer bends.

A loss per token cannot be compared once the vocabulary changes: a tokenizer with longer tokens has fewer and harder
ones. Bits per byte divides what the model needs for a text, -log2 of the probabilities it gives the tokens, by the
text's UTF-8 bytes; Japanese has three bytes a character, so its figures look low beside English ones.

What is counted: every token of a document but its first, which nothing precedes (training gives it no label either), so
neither its bits nor its bytes; end-of-text and other special tokens stand for no bytes and are not counted (a begin
token that the tokenizer puts before every text is context). Documents never see each other. A text longer than the
model's context is read in windows that share one token: the last of a window is the context of the next one's first.
The literal text of a special token is encoded as ordinary text.

Measured in November 2026 with SmolLM2-135M in float32 on two cores that others kept busy: 4,189 tokens in 37 s on the
clock. Rejected: half-overlapping windows (twice the work, and every model of a comparison is cut alike); scoring the
first token after an end-of-text token, which packed training never shows a model.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from corpus_ja.errors import ManifestError
from corpus_ja.storage.manifest import Manifest, read_manifest, sha256_of
from train.errors import TrainError, first_line

Ids = npt.NDArray[np.integer[Any]]

BATCH_TOKENS = 4096
"""Tokens of a batch, padding included: with 50,304 entries its logits are 0.8 GB in float32."""

DEFAULT_CONTEXT = 2048
"""The window of a model whose configuration names no longest input (recurrent models have none)."""


@dataclass(frozen=True, slots=True)
class BitsPerByte:
    """What a model needed for some text: `bits` for `tokens` tokens that stand for `bytes` UTF-8 bytes, in `documents`
    documents or pieces.
    """

    bits: float
    bytes: int
    tokens: int
    documents: int = 1

    @property
    def value(self) -> float:
        """Bits per byte; NaN where nothing could be scored."""
        return self.bits / self.bytes if self.bytes else math.nan

    def __add__(self, other: "BitsPerByte") -> "BitsPerByte":
        return BitsPerByte(
            self.bits + other.bits,
            self.bytes + other.bytes,
            self.tokens + other.tokens,
            self.documents + other.documents,
        )


NOTHING = BitsPerByte(0.0, 0, 0, 0)


def bits_per_byte(
    model: Any,
    tokenizer: Any,
    documents: Iterable[tuple[str, str]],
    *,
    context: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> dict[str, BitsPerByte]:
    """The bits per byte of each source over `(source, text)`; sources in the order of their first document."""
    listed = list(documents)
    scored = document_bits(model, tokenizer, [text for _, text in listed], context=context, batch_tokens=batch_tokens)
    return _by_source((source for source, _ in listed), scored)


def document_bits(
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    *,
    context: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> Iterator[BitsPerByte]:
    """The figures of each text, in order. An unknown token's bits are counted with the text's own bytes."""
    lengths = token_bytes(tokenizer)
    begin = _begin(tokenizer)
    encoded = [np.asarray([*begin, *encode(tokenizer, text)], dtype=np.int64) for text in texts]
    window = context or context_of(model.config)
    scored = piece_bits(model, encoded, context=window, batch_tokens=batch_tokens)
    for text, ids, bits in zip(texts, encoded, scored, strict=True):
        said = bits[len(begin) :]
        # A SentencePiece tokenizer may begin with a space that is not in the text; the text has no fewer bytes for it.
        size = len(text.encode("utf-8", "replace")) - int(lengths[ids[len(begin)]]) if len(said) else 0
        yield BitsPerByte(float(said.sum(dtype=np.float64)), max(size, 0), len(said))


def _begin(tokenizer: Any) -> list[int]:
    """What the tokenizer puts before every text: models that learned with a begin token predict badly without it."""
    ids = tokenizer("a", verbose=False)["input_ids"]
    return [ids[0]] if tokenizer.bos_token_id is not None and ids and ids[0] == tokenizer.bos_token_id else []


def score_pieces(
    model: Any,
    pieces: Iterable[tuple[str, Sequence[int] | Ids]],
    lengths: npt.NDArray[np.int32],
    *,
    context: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> dict[str, BitsPerByte]:
    """The bits per byte of each source over `(source, token ids)` of pieces that must not see each other.

    `lengths` is `token_bytes` of the tokenizer the ids are of; tokens without bytes are context but not counted.
    """
    listed = [(source, np.asarray(ids, dtype=np.int64)) for source, ids in pieces]
    window = context or context_of(model.config)
    scored = piece_bits(model, [ids for _, ids in listed], context=window, batch_tokens=batch_tokens)
    return _by_source(
        (source for source, _ in listed),
        (count(bits, ids[1:], lengths) for (_, ids), bits in zip(listed, scored, strict=True)),
    )


def count(bits: npt.NDArray[np.floating[Any]], ids: Ids, lengths: npt.NDArray[np.int32]) -> BitsPerByte:
    """The figures of one piece from the bits of its tokens and the tokens: the ones without bytes are left out."""
    sizes = lengths[ids]
    said = sizes > 0
    return BitsPerByte(float(bits[said].sum(dtype=np.float64)), int(sizes.sum()), int(said.sum()))


def _by_source(sources: Iterable[str], scored: Iterable[BitsPerByte]) -> dict[str, BitsPerByte]:
    sums: dict[str, BitsPerByte] = {}
    for source, one in zip(sources, scored, strict=True):
        sums[source] = sums.get(source, NOTHING) + one
    return sums


def piece_bits(
    model: Any,
    pieces: Sequence[Ids],
    *,
    context: int,
    batch_tokens: int = BATCH_TOKENS,
) -> Iterator[npt.NDArray[np.float32]]:
    """For each piece of n token ids the n - 1 bits of its tokens but the first, in the order of the pieces.

    Pieces are scored apart from each other, padded on the right, where a causal model never looks; neither a mask nor
    positions are passed. The model's mode (training or not) is put back.
    """
    import torch

    if context < 2:
        raise TrainError(f"A context of {context} token leaves nothing to predict; at least 2 are needed.")
    windows = [(number, start) for number, ids in enumerate(pieces) for start in range(0, len(ids) - 1, context - 1)]
    windows.sort(key=lambda at: -min(context, len(pieces[at[0]]) - at[1]))  # the longest first: memory fails at once
    found = [np.empty(max(len(ids) - 1, 0), dtype=np.float32) for ids in pieces]
    with _evaluating(model), torch.no_grad():
        for batch in _batches(windows, pieces, context, batch_tokens):
            rows = [
                torch.from_numpy(pieces[number][start : start + context].astype(np.int64)) for number, start in batch
            ]
            inputs = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(model.device)
            logits = model(input_ids=inputs, use_cache=False).logits
            for row, (number, start) in enumerate(batch):
                length = len(rows[row])
                bits = token_bits(logits[row, : length - 1], inputs[row, 1:length])
                found[number][start : start + length - 1] = bits.cpu().numpy()
    yield from found


def token_bits(logits: Any, labels: Any) -> Any:
    """-log2 p of each label: `logits` [..., V] of any float type, `labels` [...]; float32 [...], 0 where the label is
    -100.
    """
    import torch

    flat = torch.nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]).float(), labels.reshape(-1), reduction="none", ignore_index=-100
    )
    return flat.reshape(labels.shape) / math.log(2)


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _batches(
    windows: Sequence[tuple[int, int]], pieces: Sequence[Ids], context: int, batch_tokens: int
) -> Iterator[list[tuple[int, int]]]:
    batch: list[tuple[int, int]] = []
    longest = 0
    for number, start in windows:  # sorted, so the batch's first is its longest
        if batch and (len(batch) + 1) * longest > batch_tokens:
            yield batch
            batch = []
        if not batch:
            longest = min(context, len(pieces[number]) - start)
        batch.append((number, start))
    if batch:
        yield batch


def context_of(config: Any) -> int:
    """The longest input of a model in tokens, from its configuration."""
    inner = getattr(config, "text_config", None) or config
    for name in ("max_position_embeddings", "n_positions", "n_ctx"):
        value = getattr(inner, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return DEFAULT_CONTEXT


def encode(tokenizer: Any, text: str) -> list[int]:
    """The ids of a text without special tokens; what looks like one in the text is ordinary text."""
    return list(tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"])


def token_bytes(tokenizer: Any) -> npt.NDArray[np.int32]:
    """The UTF-8 bytes each id stands for, [highest id + 1]; special tokens and unused ids have 0.

    Knows byte-level BPE (each character of an entry is a byte) and SentencePiece (`▁` is a space, `<0xE3>` a byte);
    raises TrainError for others, whose entries do not say what text they stand for.
    """
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    added = tokenizer.added_tokens_decoder
    special = {*tokenizer.all_special_ids, *(number for number, token in added.items() if token.special)}
    kinds = _decoders(tokenizer)
    size = _bytes_of_character if "ByteLevel" in kinds else _bytes_of_piece
    if not kinds & {"ByteLevel", "ByteFallback", "Metaspace", "Replace"}:
        raise TrainError(
            f"Bits per byte cannot be counted for {type(tokenizer).__name__}: its entries are neither byte-level BPE nor "
            "SentencePiece, so the bytes of a token are unknown; leave out --corpus."
        )
    lengths = np.zeros(max(chain(vocabulary.values(), added), default=-1) + 1, dtype=np.int32)
    for token, number in vocabulary.items():
        lengths[number] = size(token)
    for number, token in added.items():
        lengths[number] = len(token.content.encode())
    lengths[sorted(special)] = 0
    return lengths


def _bytes_of_character(token: str) -> int:
    return len(token)


_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")


def _bytes_of_piece(token: str) -> int:
    return 1 if _BYTE.fullmatch(token) else len(token.replace("▁", " ").encode("utf-8", "replace"))


def _decoders(tokenizer: Any) -> set[str]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:  # a tokenizer in Python: SentencePiece's entries carry its sign for a space
        return {"Metaspace"} if any("▁" in token for token in tokenizer.get_vocab()) else set()

    def kinds(decoder: dict[str, Any] | None) -> Iterator[str]:
        if decoder:
            yield decoder["type"]
            for inner in decoder.get("decoders", []):
                yield from kinds(inner)

    return set(kinds(json.loads(backend.to_str())["decoder"]))


def validation_documents(build: Path) -> Iterator[tuple[str, str, Ids]]:
    """The held-out documents of a build: source, document id, token ids (end-of-text included).

    Put together from the pieces of its validation shards, in the order of source and id. Raises TrainError for a
    folder that is no build, one without validation shards and a shard that is not what the manifest says.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    manifest = manifest_of(build)
    if not manifest.validation:
        raise TrainError(f"{build} has no validation shards; build it with `validation:` above 0 in its mix.")
    found: dict[tuple[str, str], list[tuple[int, int, Ids]]] = {}
    for shard in manifest.validation:
        path = build / "shards" / shard.name
        if not path.is_file() or sha256_of(path) != shard.sha256:
            what = "is missing" if not path.is_file() else "is not the file the manifest names (its SHA-256 differs)"
            raise TrainError(f"{path} {what}; build again, `corpus-ja verify {build}` says what else is damaged.")
        try:
            table = pq.read_table(
                path, columns=["input_ids", "seq_lengths", "source_ids", "document_ids", "piece_starts", "epochs"]
            )
        except (pa.ArrowException, OSError) as error:
            raise TrainError(f"{path} cannot be read ({first_line(error)}); build again.") from error
        tokens = _flat(table["input_ids"])
        ends = np.cumsum(_flat(table["seq_lengths"]), dtype=np.int64)
        names = chain.from_iterable(table["document_ids"].to_pylist())
        columns = (_flat(table[name]) for name in ("source_ids", "piece_starts", "epochs"))
        for name, end, start, (source, first, epoch) in zip(
            names, ends, np.concatenate([[0], ends[:-1]]), zip(*columns, strict=True), strict=True
        ):
            key = (manifest.source_names[source], name)
            found.setdefault(key, []).append((int(epoch), int(first), tokens[start:end]))
    for (source, name), parts in sorted(found.items(), key=lambda item: item[0]):
        parts.sort(key=lambda part: part[:2])
        yield source, name, np.concatenate([ids for epoch, _, ids in parts if epoch == parts[0][0]])


def manifest_of(build: Path) -> Manifest:
    """The manifest of a build; raises TrainError where there is none."""
    try:
        return read_manifest(build)
    except ManifestError as error:
        raise TrainError(str(error)) from error


def _flat(column: Any) -> npt.NDArray[Any]:
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return np.concatenate(chunks) if chunks else np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Text:
    """A held-out document as text."""

    source: str
    id: str
    text: str


def validation_texts(build: Path, bytes_per_source: int = 0) -> tuple[list[Text], dict[str, tuple[int, int]]]:
    """The held-out documents as text, and (bytes taken, bytes held out) of each source.

    With `bytes_per_source`, whole documents in the order of a hash of their ids until a source has as many, so that
    every model is measured on the same ones and a smaller amount is part of a larger; 0 takes all.
    """
    import xxhash

    about = manifest_of(build).tokenizer
    decode = decoder(build / "tokenizer")
    every: dict[str, list[Text]] = {}
    for source, name, ids in validation_documents(build):
        inner = ids[int(len(ids) > 0 and ids[0] == about.bos_id) :]
        inner = inner[: len(inner) - int(len(inner) > 0 and inner[-1] == about.eos_id)]
        every.setdefault(source, []).append(Text(source, name, decode(inner.tolist())))
    taken: list[Text] = []
    amounts = {}
    for source, texts in every.items():
        sizes = {text.id: len(text.text.encode("utf-8", "replace")) for text in texts}
        held = sum(sizes.values())
        chosen: set[str] = set()
        amount = 0
        for name in sorted(sizes, key=lambda name: (xxhash.xxh3_64_intdigest(f"bits per byte\0{name}"), name)):
            if bytes_per_source and amount >= bytes_per_source:
                break
            chosen.add(name)
            amount += sizes[name]
        taken += [text for text in texts if text.id in chosen]
        amounts[source] = (amount, held)
    return taken, amounts


def decoder(folder: Path) -> Callable[[list[int]], str]:
    """The function from ids to text of a tokenizer folder: tokenizer.json, vocab.json with merges.txt, or a
    SentencePiece model; special tokens come out as their text.
    """
    if (folder / "tokenizer.json").is_file():
        import tokenizers

        loaded = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        return lambda ids: str(loaded.decode(ids, skip_special_tokens=False))
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        import tokenizers

        loaded = tokenizers.Tokenizer(
            tokenizers.models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
        )
        loaded.decoder = tokenizers.decoders.ByteLevel()
        return lambda ids: str(loaded.decode(ids, skip_special_tokens=False))
    for name in ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model"):
        if (folder / name).is_file():
            import sentencepiece

            processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / name))
            return lambda ids: str(processor.decode(ids))
    raise TrainError(f"{folder} holds no tokenizer, so the build's text cannot be read; build again.")
