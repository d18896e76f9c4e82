"""How far zlib compresses a text: at level 9 its search for matches costs more than all other published signals."""

import zlib

import polars as pl

from corpus_ja.stages.measurement import Signal


def of_zlib(text: pl.Series) -> pl.DataFrame:
    """The signals of `ZLIB_SIGNALS`; the texts' bytes are taken as they lie."""
    ratios = [len(zlib.compress(one, 9)) / len(one) if one else None for one in text.cast(pl.Binary)]
    return pl.DataFrame({"zlib_ratio": pl.Series(ratios, dtype=pl.Float64)})


ZLIB_SIGNALS = {"zlib_ratio": Signal(pl.Float64, "bytes after zlib at level 9, of UTF-8 bytes; null for empty text")}
