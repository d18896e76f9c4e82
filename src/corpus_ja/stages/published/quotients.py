"""The quotient all signals are made of."""

import polars as pl


def share(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """The quotient, null where the whole is zero."""
    return pl.when(whole > 0).then(part / whole)
