"""The shape all stages share: what a document frame holds, how chance is drawn, and the check of alignment.

A documents file has the columns of `DOCUMENTS` and any number of source columns after them. Every other stage's file is
a sidecar: the same rows in the same order, so that position joins them; `check_aligned` refuses anything else. Chance
is a hash, never a generator: `draws(seed, purpose, ids)` is the one stream of a purpose, independent of workers, order
and resumption. It costs about 0.5 µs a document. Rejected: a random generator per shard (its draws depend on how files
were cut).
"""

from collections.abc import Iterable

import numpy as np
import polars as pl
import xxhash

from corpus_ja.errors import CorpusError

DOCUMENTS: dict[str, pl.DataType] = {
    "id": pl.String(),
    "repeat": pl.UInt32(),  # 1, or n for the n-th document with the same id; its id ends in ~n
    "text": pl.String(),
    "url": pl.String(),
}

Draws = np.ndarray[tuple[int], np.dtype[np.uint64]]


def draws(seed: int, purpose: str, ids: Iterable[str]) -> Draws:
    r"""One 64-bit number a document: u(purpose, id) × 2**64, uniform over 0 .. 2**64 - 1.

    `xxh3_64(f"{seed}\0{purpose}\0{id}")`; each purpose is a stream of its own, so a 10% sample fills every bucket.
    """
    prefix = f"{seed}\0{purpose}\0".encode()
    digest = xxhash.xxh3_64_intdigest
    return np.fromiter((digest(prefix + name.encode()) for name in ids), dtype=np.uint64)


def below(share: float) -> int:
    """The bound b such that `draws < b` holds for this share of all draws (0 ≤ share ≤ 1); 2**64 for all of them."""
    return min(2**64, round(share * 2**64))


def is_below(drawn: Draws, bound: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which draws are below a bound that may be 2**64 itself, one more than a 64-bit number holds."""
    if bound >= 2**64:
        return np.ones(len(drawn), dtype=np.bool_)
    return np.asarray(drawn < np.uint64(bound))


def raw_ids(ids: pl.Series, repeat: pl.Series) -> pl.Series:
    """The ids before `~n` was added to repeated ones: what held-out membership is drawn from."""
    suffix = pl.lit("~") + pl.col("repeat").cast(pl.String)
    frame = pl.DataFrame({"id": ids, "repeat": repeat})
    return frame.select(
        pl.when(pl.col("repeat") > 1).then(pl.col("id").str.strip_suffix(suffix)).otherwise(pl.col("id")).alias("raw")
    ).to_series()


def check_aligned(name: str, rows: int, expected: int) -> None:
    """Raise if a stage's file does not have exactly the rows of the document file it belongs to."""
    if rows != expected:
        raise CorpusError(
            f"{name} has {rows:,} rows but its documents file has {expected:,}; delete the file and run the build again."
        )
