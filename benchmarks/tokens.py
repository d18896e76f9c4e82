"""How fast are tokens made, packed and read, and are they the right ones? One core, beside Hugging Face `tokenizers`
and gigatoken in the same run.

    .venv/bin/python benchmarks/tokens.py                       # encoding, packing, random reads: a minute
    .venv/bin/python benchmarks/tokens.py --all                 # ids of every document of the shared data, three
    tokenizers: two minutes .venv/bin/python benchmarks/tokens.py --vocabulary 8000     # what a vocabulary for
    Japanese is worth: three minutes

Encoding is what a build does, proof included, on the Japanese prose of the shared data that it has not seen (a fresh
encoder), and on its English; `tokenizers` encodes a sample of the same documents. Packing is `pack`, shuffle and
gathering of the real documents' lengths; random reads are rows of 1,024 tokens out of shards written to disk, read as
docs/shards.md shows, with an order drawn beforehand. Processor seconds are the measure, because machines are shared.
"""

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq
import zstandard

from corpus_ja.stages import packing, vocabulary
from corpus_ja.stages.bpe import PieceEncoder
from corpus_ja.stages.tokens import Encoder, Tokenizer, describe, hugging_face_tokenizer
from corpus_ja.storage.shards import shard_schema, write_shard
from corpus_ja.storage.tokenizers import find_tokenizer
from corpus_ja.tasks.shards import _gather

DATA = Path(os.environ.get("CORPUS_JA_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
TOKENIZERS = ("gpt2", "llm-jp-v2.2-code10K_en20K_ja30K", "rinna-gpt2-ja")
ROW = 1024


def texts_of(*patterns: str) -> list[str]:
    """The documents of files of the shared data."""
    found = []
    for pattern in patterns:
        for path in sorted(DATA.glob(pattern)):
            with zstandard.open(path, "rb") as lines:
                found += [orjson.loads(line)["text"] for line in lines.read().split(b"\n") if line]
    return found


def tokenizer_of(name: str) -> Tokenizer:
    """One of the shared tokenizers."""
    found = find_tokenizer(str(DATA / "tokenizers" / name), None, Path("/"))
    return describe(found.folder, found.name, found.revision, found.sha256, None)


def size_of(texts: Sequence[str]) -> int:
    """UTF-8 bytes."""
    return sum(len(text.encode()) for text in texts)


def seconds(work: Callable[[Any], object], given: Iterable[Any] = (None,)) -> float:
    """Processor seconds of some work on each of what is given."""
    began = time.process_time()
    for one in given:
        work(one)
    return time.process_time() - began


def batches(texts: Sequence[str], size: int = 8_000_000) -> list[list[str]]:
    """Documents in batches of about as many bytes as a build's."""
    result: list[list[str]] = [[]]
    held = 0
    for text in texts:
        if held > size:
            result.append([])
            held = 0
        result[-1].append(text)
        held += len(text.encode())
    return result


def peer(tokenizer: Tokenizer) -> Any:
    """A fresh encoder of the package gigatoken, which is installed for this alone."""
    import gigatoken

    return gigatoken.Tokenizer.from_json(hugging_face_tokenizer(Path(tokenizer.folder), tokenizer.kind).to_str())


def encoding(folder: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Speed of encoding by language; the Japanese documents' lengths in tokens."""
    lengths = np.zeros(0, dtype=np.int64)
    tokenizer = tokenizer_of(folder)
    warm = Encoder(tokenizer)
    warm.encode(["温める。"], ["d"])
    for language, pattern in (("Japanese", "prose_ja/*.jsonl.zst"), ("English", "prose_en/*.jsonl.zst")):
        texts = texts_of(pattern)
        random.Random(0).shuffle(texts)  # noqa: S311 - not a secret
        parts = batches(texts)
        encoder = Encoder(tokenizer)
        began = time.process_time()
        results = [encoder.encode(part, [str(n) for n in range(len(part))]) for part in parts]
        ours = time.process_time() - began
        data = [[text.encode() for text in part] for part in parts]
        proof = Encoder(tokenizer).proof
        joining = seconds(proof.join, data)
        joined = [proof.join(part) for part in data]
        bare = seconds(PieceEncoder(proof).encode, joined)
        began = time.process_time()
        for part, result in zip(joined, results, strict=True):
            proof.holds(part, *result)
        proving = time.process_time() - began
        beside = seconds(partial(peer(tokenizer).encode_batch, parallel=False), data)
        sample = texts[: len(texts) // 20]
        reference = seconds(encoder.reference.encode, [sample])
        size = size_of(texts) / 1e6
        theirs = size_of(sample) / 1e6 / reference
        print(
            f"encoding {language}, {tokenizer.name}, {size:.0f} MB: {size / ours:.1f} MB/s proved (joining {size / joining:.0f}, "
            f"pieces {size / bare:.1f}, proof {size / proving:.1f}); gigatoken, unproved {size / beside:.1f}; "
            f"tokenizers {theirs:.2f} MB/s, of which ours is {size / ours / theirs:.1f} times"
        )
        assert encoder.fast, encoder.note
        lengths = np.concatenate((np.concatenate([np.diff(offsets) for _, offsets in results]) + 1, lengths))
    return lengths


def packed(lengths: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    """Speed of packing and of reading rows at random."""
    flat = np.random.default_rng(0).integers(0, 50_257, int(lengths.sum()), dtype=np.uint32)
    starts = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(lengths)))[:-1]
    few = packing.pack(lengths[:100], ROW, "best_fit")
    _gather(flat, starts[few.document] + few.start, few.length)
    began = time.process_time()
    pieces = packing.shuffle_rows(packing.pack(lengths, ROW, "best_fit"), ROW, 1)
    tokens = _gather(flat, starts[pieces.document] + pieces.start, pieces.length)
    took = time.process_time() - began
    short = lengths <= ROW
    ways: tuple[packing.Packing, ...] = ("best_fit", "concat")
    for way in ways:
        own = packing.pack(lengths, ROW, way)
        cut = (np.bincount(own.document, minlength=len(lengths))[short] > 1).mean()
        print(
            f"{way}: {own.rows:,} rows, {lengths.sum() / own.rows / ROW:.3%} full, {len(own.row) / own.rows:.2f} pieces a row, {cut:.2%} of documents that fit cut"
        )
    print(f"packing: {len(flat) / took / 1e6:.0f} M tokens/s (plan, shuffle, gather), {len(flat):,} tokens")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train-00000-of-00001.parquet"
        rows = pieces.rows
        row_offsets = np.concatenate(
            (np.zeros(1, dtype=np.int64), np.cumsum(np.bincount(pieces.row, pieces.length, rows).astype(np.int64)))
        )
        piece_offsets = np.concatenate(
            (np.zeros(1, dtype=np.int64), np.cumsum(np.bincount(pieces.row, minlength=rows).astype(np.int64)))
        )
        columns = {
            "input_ids": tokens.astype(np.uint16),
            "seq_lengths": pieces.length.astype(np.int32),
            "source_ids": np.zeros(len(pieces.row), dtype=np.uint16),
            "document_ids": ["d"] * len(pieces.row),
            "piece_starts": pieces.start.astype(np.uint32),
            "epochs": np.zeros(len(pieces.row), dtype=np.uint16),
        }
        writing = seconds(lambda _: write_shard(path, shard_schema(np.uint16, {}), row_offsets, piece_offsets, columns))
        print(f"writing shards: {len(flat) / writing / 1e6:.0f} M tokens/s")
        table = pq.read_table(path, columns=["input_ids", "seq_lengths"], use_threads=False)
        order = np.random.default_rng(1).permutation(table.num_rows).tolist()
        opening = seconds(lambda _: pq.read_table(path, columns=["input_ids", "seq_lengths"], use_threads=False))
        column = table["input_ids"].combine_chunks()
        values, offsets = column.values.to_numpy(), column.offsets.to_numpy()
        reading = seconds(lambda _: [values[offsets[row] : offsets[row + 1]].astype(np.int64) for row in order])
        shown = seconds(lambda _: [table["input_ids"][row].values.to_numpy().astype(np.int64) for row in order])
        print(
            f"reading rows at random: {len(flat) / reading / 1e6:.0f} M tokens/s by offsets, {len(flat) / shown / 1e6:.0f} as docs/shards.md shows; "
            f"opening {len(flat) / opening / 1e6:.0f} M tokens/s"
        )


def every_document() -> None:
    """Are the ids of every document those of the reference?"""
    texts = texts_of("prose_*/*.jsonl.zst", "noisy/*.jsonl.zst", "other/*.jsonl.zst")
    for name in TOKENIZERS:
        encoder = Encoder(tokenizer_of(name))
        equal = 0
        for part in batches(texts, 4_000_000):
            flat, offsets = encoder.encode(part, [str(n) for n in range(len(part))])
            expected = encoder.reference.encode(part)
            equal += sum(np.array_equal(flat[offsets[n] : offsets[n + 1]], ids) for n, ids in enumerate(expected))
        print(
            f"{name}: {equal:,} of {len(texts):,} documents have the reference's ids ({'proved, ' if encoder.fast else ''}{encoder.note or 'no note'})"
        )
        assert equal == len(texts)


def learned(add: int, megabytes: float) -> None:
    """What `add` entries learnt from the shared data's Japanese save on Wikipedia articles that taught nothing, and on
    English.
    """
    tokenizer = tokenizer_of("gpt2")
    taught, held = [], []
    for path in sorted(DATA.glob("prose_ja/*.jsonl.zst")):
        size = 0
        for number, text in enumerate(texts_of(f"prose_ja/{path.name}")):
            if path.name == "wikipedia_jaquad.jsonl.zst" and number % 5 == 0:
                held.append(text)
            elif size < megabytes * 1e6:
                taught.append(text)
                size += len(text.encode())
    began = time.process_time()
    extended = vocabulary.extend(tokenizer, taught, add)
    took = time.process_time() - began
    print(
        f"{add:,} entries from {size_of(taught) / 1e6:.1f} MB, {sum(map(len, taught)) / 1e6:.1f} M characters: {took:.0f} s of processor time"
    )
    for name, texts in (
        ("held-out Japanese Wikipedia", held),
        ("English novels", texts_of("prose_en/standardebooks.jsonl.zst")[::10]),
        ("English documentation", texts_of("prose_en/techdocs.jsonl.zst")[::10]),
    ):
        found = vocabulary.measure(tokenizer, extended, texts)
        print(
            f"{name}: {found.before / found.characters:.4f} tokens a character before, {found.after / found.characters:.4f} after "
            f"({found.after / found.before - 1:+.3%} tokens)"
        )


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="compare the ids of every document with the reference's")
    parser.add_argument("--vocabulary", type=int, metavar="ENTRIES", help="extend GPT-2's vocabulary and measure it")
    parser.add_argument("--megabytes", type=float, default=8.0, help="of each file, to learn from (default 8)")
    parser.add_argument("--tokenizer", default="gpt2", help="encode with this one: a folder, or a shared one's name")
    arguments = parser.parse_args()
    print(json.dumps({"cores": os.cpu_count(), "load": os.getloadavg()[0]}))
    if arguments.all:
        every_document()
    elif arguments.vocabulary:
        learned(arguments.vocabulary, arguments.megabytes)
    else:
        packed(encoding(arguments.tokenizer))


if __name__ == "__main__":
    main()
