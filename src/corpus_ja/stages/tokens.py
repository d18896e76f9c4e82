"""Token ids of every document, by the fastest encoder whose every id is proved.

The reference is the model's own tokenizer: Hugging Face `tokenizers` (a tokenizer.json, or GPT-2's vocab.json with
merges.txt), or the `sentencepiece` library for a bare SentencePiece model. For byte-level BPE with GPT-2's words, the
vocabularies extended by `add` among them, a faster encoder stands beside it (`bpe`). It is believed in nothing: it
must give the reference's ids on a fixed hard set when a process starts, `proof` then proves the ids of every single
document, and one document in five hundred is encoded by the reference all the same, so that the proof too is watched.
A document whose ids cannot be proved is encoded by the reference; where that gives other ids, the fast encoder is
dropped for the rest of the process and its task begins again with the reference. Documents that contain the string of
a special token always go to the reference, where `<|endoftext|>` in a text is ordinary text. Every other tokenizer is
encoded by its reference: an encoder that cannot be proved is not used.

Cost, one core of a busy machine, MB of UTF-8 a second with GPT-2's vocabulary (benchmarks/tokens.py): Japanese 42, proof
included, reference 3.0; English 32, reference 2.0; Japanese with 8,000 entries of its own 16. SentencePiece's own library
needs no help: 20 to 30. For a SentencePiece model it is the reference, and not transformers' conversion: of rinna's model
that makes the end-of-text token (2) of every unknown character, in 642 of 852 documents. Rejected: the package gigatoken
(Japanese 26 and English 200 without the proof; its cache grows by 3 bytes a byte of distinct Japanese, so it had to be
built anew every 64 MB), kitoken (two ids off in 600 documents), tiktoken (a third of the speed), and comparing 1%
instead of proving (a wrong document in a thousand passes a batch of 2,500 unseen 97 times of 100).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import xxhash

from corpus_ja.errors import ConfigError
from corpus_ja.stages.bpe import PieceEncoder
from corpus_ja.stages.proof import Proof, provable

VERSION = 2
CHECKED_SHARE = 0.002
"""Share of the documents that the reference encodes besides, to watch the proof: 3% of the time."""
CHECKED_CHARACTERS = 10_000
"""How much of a longer document the reference encodes for that."""
PIECE_CHARACTERS = 250_000
"""Text the reference is given at once, about: it holds some 310 bytes a token, so a document of 60 MB whole would need
6 GB."""
_NEAR = 500
"""Characters on either side of a line end that are encoded to see whether a document may be cut there."""

PROBE: tuple[str, ...] = (
    "",
    " ",
    "\n\n\n \t \n",
    "吾輩は猫である。名前はまだ無い。",
    "東京都千代田区１２３－４５６、ｶﾞｷﾞｸﾞｹﾞｺﾞとガギグゲゴとがきくけこ゛",
    "「どこへ行くの？」「さあ……」――彼は、そう言って（笑）黙った。",
    "👩‍👩‍👧‍👦 🇯🇵 👍🏽 ☕️ ①②③ ㍿ ﷽ 𠮷野家 𩸽",
    "e\u0301 \u0301 か\u3099 ﾊ\u309a \u200d\u200b\ufeff",
    "\x00\x01\x1f\x7f\x80\x85\u2028\u2029 ",
    "   leading,  double  and trailing   ",
    "　全角　空白　　",
    "It's I'll we've they're DON'T 'quoted' ''",
    "def f(x):\n\treturn {'a': x ** 2, \"b\": [1, 2, 3]}  # コメント\n\n    if x != 0x1F:\n        pass\n",
    "https://example.org/パス?q=%E6%97%A5%E6%9C%AC&n=1#見出し",
    "1234567890 3.14159 1,000,000円 ２０２６年11月23日",
    "a" * 500,
    "あ" * 500,
    "ー" * 200 + "…" * 200 + "=" * 200,
    "<|endoftext|> <s></s><unk>[CLS][SEP]<|im_start|>",
    "Ünïcödé naïve façade ẞ ß ﬁ Å Ω Ω",
    "한국어 문장입니다. 简体中文句子。繁體中文。ประโยค привет مرحبا שלום",
)

IdArray = npt.NDArray[np.uint32]
OffsetArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """A tokenizer as files on this machine plus what the shards must say about it.

    `kind` is "tokenizer.json", "vocab+merges" or "sentencepiece"; `folder` holds the files; `sha256` is over the files'
    names and contents; `vocab_size` is one more than the largest id; ids are of single tokens.
    """

    name: str
    revision: str | None
    folder: str
    kind: str
    sha256: str
    vocab_size: int
    eos_token: str
    eos_id: int
    bos_id: int | None
    special_tokens: tuple[str, ...]

    @property
    def dtype(self) -> type[np.uint16] | type[np.uint32]:
        """uint16 where every id fits (vocabulary ≤ 65,536), else uint32."""
        return np.uint16 if self.vocab_size <= 65_536 else np.uint32


class Reference(Protocol):
    """The encoder whose ids are right by definition."""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, no special token added, special-token strings taken as ordinary text."""
        ...


class _HuggingFaceReference:
    def __init__(self, tokenizer: Any) -> None:  # noqa: ANN401 - tokenizers.Tokenizer carries no types
        self.tokenizer = tokenizer
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.tokenizer.encode_special_tokens = True

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


class _SentencePieceReference:
    def __init__(self, processor: Any) -> None:  # noqa: ANN401 - sentencepiece carries no types
        self.processor = processor

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        result: list[list[int]] = self.processor.encode(list(texts), num_threads=1)
        return result


def hugging_face_tokenizer(folder: Path, kind: str) -> Any:  # noqa: ANN401 - tokenizers.Tokenizer carries no types
    """Build the `tokenizers` object of a folder; raises whatever that library raises on damaged files."""
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers

    if kind == "tokenizer.json":
        return tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    # GPT-2's two files: byte-level BPE with GPT-2's splitting, as transformers' GPT2Tokenizer builds it.
    tokenizer = tokenizers.Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if tokenizer.token_to_id("<|endoftext|>") is not None:
        tokenizer.add_special_tokens([tokenizers.AddedToken("<|endoftext|>", normalized=False, special=True)])
    return tokenizer


def reference_encoder(tokenizer: Tokenizer) -> Reference:
    """Load the reference encoder of a tokenizer."""
    folder = Path(tokenizer.folder)
    if tokenizer.kind == "sentencepiece":
        import sentencepiece

        model = next(path for name in SENTENCEPIECE_NAMES if (path := folder / name).is_file())
        return _SentencePieceReference(sentencepiece.SentencePieceProcessor(model_file=str(model)))
    return _HuggingFaceReference(hugging_face_tokenizer(folder, tokenizer.kind))


SENTENCEPIECE_NAMES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")


class Encoder:
    """Encodes batches of documents; `note` is the sentence to record when a fast encoder was dropped or could not be
    had.

    The ids are the reference's whatever the fast encoder does; only the speed differs. `fast` says whether it is in
    use. `doubtful`: the reference gave other ids than were proved, so what this process encoded before is in doubt too
    (never seen; the proof would be wrong).
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.reference = reference_encoder(tokenizer)
        self.note: str | None = None
        self.doubtful = False
        self._fast: PieceEncoder | None = None
        if not isinstance(self.reference, _HuggingFaceReference):
            return
        if not provable(self.reference.tokenizer):
            self.note = (
                f"the reference encodes with the tokenizer {tokenizer.name}: it is no byte-level BPE with GPT-2's words, "
                "so no faster encoder could be proved right."
            )
            return
        self.proof = Proof(self.reference.tokenizer)
        self._fast = PieceEncoder(self.proof)
        probe = [text for text in PROBE if not self._has_special(text)]
        flat, offsets, _ = self._fast.encode(self.proof.join([text.encode() for text in probe]))
        self._same(probe, flat, offsets, "the probe")

    @property
    def fast(self) -> bool:
        """Whether the fast encoder is in use."""
        return self._fast is not None

    def distrust(self) -> None:
        """Give the fast encoder up; the reference encodes from now on."""
        self._fast = None

    def encode(self, texts: Sequence[str], ids: Sequence[str]) -> tuple[IdArray, OffsetArray]:
        """Encode documents: flat token ids uint32 [tokens], offsets int64 [documents + 1].

        `ids` are the documents' ids; their hash decides which documents the reference encodes besides.
        """
        if self._fast is None:
            return self._encode_reference(texts)
        special = {position for position, text in enumerate(texts) if self._has_special(text)}
        joined = self.proof.join([b"" if position in special else text.encode() for position, text in enumerate(texts)])
        flat, offsets, left_out = self._fast.encode(joined)
        expected = special | set(np.flatnonzero(left_out).tolist())
        proved = self.proof.holds(joined, flat, offsets)
        other = sorted(expected | set(np.flatnonzero(~proved).tolist()))
        self._watch(texts, ids, set(other), flat, offsets)
        if self.doubtful:
            return self._encode_reference(texts)
        if not other:
            return flat, offsets
        new, new_offsets = self._encode_reference([texts[position] for position in other])
        for place, position in enumerate(other):
            mine, right = (
                flat[offsets[position] : offsets[position + 1]],
                new[new_offsets[place] : new_offsets[place + 1]],
            )
            if position not in expected and not np.array_equal(mine, right):
                self._drop("the documents")
        return _replace(flat, offsets, other, new, new_offsets)

    def _watch(
        self, texts: Sequence[str], ids: Sequence[str], apart: set[int], flat: IdArray, offsets: OffsetArray
    ) -> None:
        """Compare a few proved documents with the reference."""
        chosen = [position for position, name in enumerate(ids) if position not in apart and _watched(name)]
        short = [position for position in chosen if len(texts[position]) <= CHECKED_CHARACTERS]
        long = [
            texts[position][:CHECKED_CHARACTERS] for position in chosen if len(texts[position]) > CHECKED_CHARACTERS
        ]
        pieces = [
            np.zeros(0, dtype=np.uint32),
            *(flat[offsets[position] : offsets[position + 1]] for position in short),
        ]
        same = self._same(
            [texts[p] for p in short],
            np.concatenate(pieces),
            np.cumsum([len(piece) for piece in pieces]),
            "the documents",
        )
        if same and long and self._fast is not None:
            # The beginning of a text has ids of its own, so it is encoded, and proved, again.
            beginnings = self.proof.join([text.encode() for text in long])
            more, more_offsets, _ = self._fast.encode(beginnings)
            same = not self.proof.holds(beginnings, more, more_offsets).all() or self._same(
                long, more, more_offsets, "the documents"
            )
        self.doubtful = not same

    def _encode_reference(self, texts: Sequence[str]) -> tuple[IdArray, OffsetArray]:
        """The reference's ids, in steps of about `PIECE_CHARACTERS`; long documents are cut where that changes
        nothing.
        """
        pieces: list[str] = []
        owner: list[int] = []
        for position, text in enumerate(texts):
            # SentencePiece needs little memory, and adds scores up over a whole text in 32 bits: cut, one long document of
            # 17,038 came out otherwise.
            whole = len(text) <= PIECE_CHARACTERS or isinstance(self.reference, _SentencePieceReference)
            own = [text] if whole else self._cut(text)
            pieces += own
            owner += [position] * len(own)
        parts = [np.zeros(0, dtype=np.uint32)]
        lengths = np.zeros(len(texts), dtype=np.int64)
        first = 0
        while first < len(pieces):
            last, held = first, 0
            while last < len(pieces) and (last == first or held + len(pieces[last]) <= PIECE_CHARACTERS):
                held += len(pieces[last])
                last += 1
            flat, offsets = _flatten(self.reference.encode(pieces[first:last]))
            parts.append(flat)
            np.add.at(lengths, owner[first:last], np.diff(offsets))
            first = last
        return np.concatenate(parts), np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(lengths)))

    def _cut(self, text: str) -> list[str]:
        """A long text in pieces whose ids end to end are those of the whole.

        Only after a line end between two characters that are no spaces, where every known pre-tokenizer ends a word,
        and only where the reference gives the characters round the place the same ids in one piece and in two
        (SentencePiece, which marks the beginning of a text, does not).
        """
        pieces: list[str] = []
        first = 0
        while len(text) - first > PIECE_CHARACTERS:
            place = next((p for p in self._line_ends(text, first) if self._may_cut(text, first, p)), None)
            if place is None:
                break
            pieces.append(text[first:place])
            first = place
        return [*pieces, text[first:]]

    def _line_ends(self, text: str, first: int, tried: int = 20) -> Iterator[int]:
        """Places to cut at, from `PIECE_CHARACTERS` after `first` on; the first few are enough to see that there are
        none.
        """
        place = first + PIECE_CHARACTERS
        while tried and 0 < (place := text.find("\n", place) + 1) < len(text):
            if not text[place].isspace() and not text[place - 2].isspace():
                tried -= 1
                yield place

    def _may_cut(self, text: str, first: int, place: int) -> bool:
        left, right = text[max(first, place - _NEAR) : place], text[place : place + _NEAR]
        whole, one, two = self.reference.encode([left + right, left, right])
        return whole == [*one, *two]

    def _has_special(self, text: str) -> bool:
        return any(token in text for token in self.tokenizer.special_tokens)

    def _same(self, texts: Sequence[str], flat: IdArray, offsets: OffsetArray, what: str) -> bool:
        """Whether the reference gives these ids; where not, the fast encoder is dropped."""
        expected, expected_offsets = _flatten(self.reference.encode(texts))
        same = np.array_equal(offsets, expected_offsets) and np.array_equal(flat, expected)
        if not same:
            self._drop(what)
        return same

    def _drop(self, what: str) -> None:
        self._fast = None
        self.note = (
            f"the fast encoder gave other ids than the reference for {what} with the tokenizer {self.tokenizer.name}; "
            "it was dropped, and the reference encoder is used."
        )


def _watched(name: str) -> bool:
    return xxhash.xxh3_64_intdigest("check\0" + name) < CHECKED_SHARE * 2**64


def _flatten(encoded: Sequence[Sequence[int]]) -> tuple[IdArray, OffsetArray]:
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(ids) for ids in encoded], out=offsets[1:])
    flat = np.fromiter((token for ids in encoded for token in ids), dtype=np.uint32, count=int(offsets[-1]))
    return flat, offsets


def _replace(
    flat: IdArray, offsets: OffsetArray, positions: Sequence[int], new: IdArray, new_offsets: OffsetArray
) -> tuple[IdArray, OffsetArray]:
    """Put other ids in place of those of some documents."""
    pieces = [flat[offsets[i] : offsets[i + 1]] for i in range(len(offsets) - 1)]
    for place, position in enumerate(positions):
        pieces[position] = new[new_offsets[place] : new_offsets[place + 1]]
    lengths = np.fromiter((len(piece) for piece in pieces), dtype=np.int64, count=len(pieces))
    return np.concatenate(pieces), np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(lengths)))


@lru_cache(maxsize=2)
def encoder_for(tokenizer: Tokenizer) -> Encoder:
    """The encoder of a tokenizer, proved once a process."""
    try:
        return Encoder(tokenizer)
    except Exception as error:  # the libraries raise bare exceptions on damaged files
        raise ConfigError(f"The tokenizer {tokenizer.name} cannot be loaded: {error}.") from error


def describe(folder: Path, name: str, revision: str | None, sha256: str, eos: str | None) -> Tokenizer:
    """What the shards must say about the tokenizer in a local folder.

    `eos` names the end-of-text token; None: the one its configuration names, else `<|endoftext|>`. Raises ConfigError
    when the folder holds no tokenizer, or none with an end-of-text token.
    """
    if (folder / "tokenizer.json").is_file():
        kind = "tokenizer.json"
    elif (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        kind = "vocab+merges"
    elif any((folder / model).is_file() for model in SENTENCEPIECE_NAMES):
        kind = "sentencepiece"
    else:
        raise ConfigError(
            f"tokenizer: {name} holds neither tokenizer.json, nor vocab.json with merges.txt, nor a SentencePiece model "
            f"({', '.join(SENTENCEPIECE_NAMES)})."
        )
    configured = _configured(folder, name)
    bos = configured.get("bos_token")
    named = eos or configured.get("eos_token")
    try:
        find, size, special = _vocabulary(folder, kind)
    except Exception as error:  # the libraries raise bare exceptions on damaged files
        raise ConfigError(f"tokenizer: {name} cannot be loaded ({error}); its files are damaged.") from error
    if named is None and kind == "sentencepiece":
        named = "</s>"
    named = named or "<|endoftext|>"
    eos_id = find(named)
    if eos_id is None:
        raise ConfigError(
            f"tokenizer: {name} has no end-of-text token {named!r}; name one of its tokens with `eos:` in the mix."
        )
    return Tokenizer(
        name=name,
        revision=revision,
        folder=str(folder),
        kind=kind,
        sha256=sha256,
        vocab_size=size,
        eos_token=named,
        eos_id=eos_id,
        bos_id=find(bos) if bos else None,
        special_tokens=tuple(sorted({*special, named, *([bos] if bos else [])})),
    )


def _configured(folder: Path, name: str) -> dict[str, str]:
    """The special tokens that tokenizer_config.json or special_tokens_map.json name."""
    import json

    result: dict[str, str] = {}
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        path = folder / file
        if not path.is_file():
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ConfigError(f"tokenizer: {name}/{file} is not JSON ({error}).") from error
        for key in ("eos_token", "bos_token"):
            value = content.get(key) if isinstance(content, dict) else None
            token = value.get("content") if isinstance(value, dict) else value
            if isinstance(token, str):
                result[key] = token
    return result


def _vocabulary(folder: Path, kind: str) -> tuple[Callable[[str], int | None], int, list[str]]:
    """How to find a token's id, one more than the largest id, and the special tokens' strings."""
    if kind == "sentencepiece":
        import sentencepiece

        model = next(path for name in SENTENCEPIECE_NAMES if (path := folder / name).is_file())
        processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
        size = int(processor.get_piece_size())
        ids = {processor.id_to_piece(index): index for index in range(size)}
        # Control symbols are never produced from text by SentencePiece, so their strings need no special care.
        return ids.get, size, []
    tokenizer = hugging_face_tokenizer(folder, kind)
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values())
    added = tokenizer.get_added_tokens_decoder()
    return tokenizer.token_to_id, int(largest) + 1, [token.content for token in added.values() if token.special]
