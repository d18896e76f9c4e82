"""Is a build what its manifest says? Checksums, counts, and the laws, read from the shards alone.

`check` reads every shard once (about as fast as Parquet is decoded) and returns sentences, one a fault, in the order
found; none means the build is whole. A document's pieces stand in one shard a pass, so each shard is judged by itself
and memory is a shard's.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus_ja.storage.manifest import Manifest, Shard, read_manifest, sha256_of
from corpus_ja.storage.tokenizers import sha256_of_files

PIECES = ("seq_lengths", "source_ids", "document_ids", "piece_starts", "epochs")


def check(build: Path) -> list[str]:
    """All faults of a build, as sentences."""
    manifest = read_manifest(build)
    faults = list(_counts(manifest))
    for split, shards in (("train", manifest.train), ("validation", manifest.validation)):
        tokens: Counter[int] = Counter()
        for shard in shards:
            faults += _shard(build / "shards" / shard.name, shard, manifest, split, tokens)
        for number, name in enumerate(manifest.source_names):
            source = manifest.sources[name]
            planned = source.taken.tokens if split == "train" else source.mix.heldout_tokens
            if tokens[number] != planned:
                faults.append(
                    f"The {split} shards hold {tokens[number]:,} tokens of {name}, but {planned:,} were planned."
                )
    if sha256_of_files(build / "tokenizer") != manifest.tokenizer.sha256:
        faults.append("tokenizer/ does not hold the tokenizer that the shards were written with; run the build again.")
    known = {shard.name for shard in [*manifest.train, *manifest.validation]}
    faults += [
        f"shards/{path.name} belongs to no shard of the manifest."
        for path in sorted((build / "shards").glob("*"))
        if path.name not in known
    ]
    return faults


def _counts(manifest: Manifest) -> Iterator[str]:
    for name, source in manifest.sources.items():
        dropped = sum(source.dropped.values())
        if source.read.documents != source.kept.documents + dropped:
            yield (
                f"{name}: {source.read.documents:,} documents were read, but {source.kept.documents:,} kept and {dropped:,} "
                "dropped."
            )


def _shard(path: Path, shard: Shard, manifest: Manifest, split: str, tokens: Counter[int]) -> Iterator[str]:
    where = f"shards/{shard.name}"
    if not path.is_file():
        yield f"{where} is missing; run the build again."
        return
    if sha256_of(path) != shard.sha256:
        yield f"{where} has another SHA-256 than the manifest says: it was changed or damaged; run the build again."
        return
    table = pq.read_table(path)
    described = json.loads((table.schema.metadata or {}).get(b"corpus_ja", b"{}"))
    if described.get("source_names") != manifest.source_names or described.get("eos_id") != manifest.tokenizer.eos_id:
        yield f"{where}: its metadata does not belong to this manifest."
    if table.num_rows != shard.rows:
        yield f"{where} has {table.num_rows:,} rows, the manifest says {shard.rows:,}."
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table is a frame
    held = int(frame["input_ids"].list.len().sum())
    if held != shard.tokens:
        yield f"{where} holds {held:,} tokens, the manifest says {shard.tokens:,}."
    yield from _rows(frame, where, manifest)
    yield from _documents(table, where, manifest, split, tokens)


def _rows(frame: pl.DataFrame, where: str, manifest: Manifest) -> Iterator[str]:
    lengths = frame["input_ids"].list.len()
    if (lengths != frame["seq_lengths"].list.sum()).any():
        yield f"{where}: the lengths of the pieces of a row do not sum to its tokens."
    full = lengths == manifest.sequence_length
    if not full.head(max(0, frame.height - 1)).all() or (lengths > manifest.sequence_length).any():
        yield f"{where}: a row other than the last does not hold {manifest.sequence_length:,} tokens."
    if int(frame["input_ids"].list.max().max() or 0) >= manifest.tokenizer.vocab_size:  # type: ignore[arg-type]
        yield f"{where}: a token id is not in the vocabulary of {manifest.tokenizer.vocab_size:,}."


def _documents(table: pa.Table, where: str, manifest: Manifest, split: str, tokens: Counter[int]) -> Iterator[str]:
    """Every document of the shard is whole: its pieces follow each other from 0 to the end-of-text token."""
    flat = table["input_ids"].combine_chunks().flatten().to_numpy()
    pieces = pl.DataFrame({name: table[name].combine_chunks().flatten() for name in PIECES}).with_columns(
        end=pl.col("seq_lengths").cast(pl.Int64).cum_sum()
    )
    pieces = pieces.with_columns(
        last=pl.Series(flat[pieces["end"].to_numpy() - 1] if pieces.height else [], dtype=pl.UInt32)
    )
    for source, count in pieces.group_by("source_ids").agg(pl.col("seq_lengths").cast(pl.Int64).sum()).rows():
        tokens[int(source)] += int(count)
    ordered = pieces.sort("document_ids", "epochs", "piece_starts").with_columns(
        begins=pl.col("seq_lengths").cast(pl.Int64).cum_sum().over("document_ids", "epochs") - pl.col("seq_lengths"),
        is_last=pl.int_range(pl.len()).over("document_ids", "epochs") == pl.len().over("document_ids", "epochs") - 1,
    )
    torn = ordered.filter(pl.col("begins") != pl.col("piece_starts"))
    if torn.height:
        yield f"{where}: the document {torn['document_ids'][0]!r} is not whole ({torn.height:,} pieces are out of place)."
    ends = (ordered["last"] == manifest.tokenizer.eos_id) == ordered["is_last"]
    wrong = ordered.filter(ordered["is_last"] & ~ends)
    if wrong.height:
        yield f"{where}: the document {wrong['document_ids'][0]!r} does not end with the end-of-text token."
    if split == "validation" and ordered["epochs"].max() not in {0, None}:
        yield f"{where}: a held-out document stands in more than one pass."
