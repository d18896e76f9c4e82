"""What a signal is: the one value that `signals` and `published` describe their columns with."""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True)
class Signal:
    """One measurement: its column's type, and what it says in which unit."""

    dtype: type[pl.DataType] | pl.DataType
    description: str
