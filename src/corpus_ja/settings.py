"""The base of all settings: frozen, strict, and able to read amounts as people write them.

A setting is a plain field of a pydantic model; unknown keys are errors, and nothing changes after loading. Amounts are
parsed here and nowhere else: `2GB` is 2 × 10⁹ bytes, `2GiB` is 2 × 2³⁰ bytes, `3.9B` is 3.9 × 10⁹ (tokens, documents),
`10%` is 0.1. Rejected: pydantic's ByteSize (no decimal "B" for billions, no percent) and OmegaConf (interpolation is
code).
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_BYTE_UNITS = {
    "": 1,
    "B": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("KMGT", start=1)},
    **{f"{letter}IB": 1024**power for power, letter in enumerate("KMGT", start=1)},
}
_COUNT_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_AMOUNT = re.compile(r"\s*([0-9]+(?:[._][0-9]+)*)\s*([A-Za-z]*)\s*")


class Settings(BaseModel):
    """Base of every settings model: immutable, no unknown keys, no silent conversion of NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="constants")


def _amount(value: object, units: dict[str, int], example: str) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"should be an amount like {example}")
    if isinstance(value, str):
        match = _AMOUNT.fullmatch(value)
        unit = match[2].upper() if match else None
        if match is None or unit not in units:
            raise ValueError(f"should be an amount like {example}, not {value!r}")
        try:
            number = Decimal(match[1].replace("_", "")) * units[unit]
        except InvalidOperation as error:
            raise ValueError(f"should be an amount like {example}, not {value!r}") from error
    else:
        number = Decimal(str(value))
    if not number.is_finite() or number != number.to_integral_value():
        raise ValueError(f"should be a whole amount like {example}, not {value!r}")
    return int(number)


def parse_bytes(value: object) -> object:
    """Read a number of bytes: 2000000000, "2GB" (decimal) or "2GiB" (binary)."""
    return _amount(value, _BYTE_UNITS, "2GB")


def parse_count(value: object) -> object:
    """Read a number of tokens, documents or rows: 3900000000, "3.9B", "500M" or "20k"."""
    return _amount(value, _COUNT_UNITS, "3.9B")


def parse_share(value: object) -> object:
    """Read a share of one: 0.1 or "10%"."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("should be a share like 10% or 0.1")
    if isinstance(value, str):
        text = value.strip()
        try:
            share = Decimal(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except InvalidOperation as error:
            raise ValueError(f"should be a share like 10% or 0.1, not {value!r}") from error
        return float(share)
    return float(value)


Bytes = Annotated[int, BeforeValidator(parse_bytes), Field(gt=0, le=10**18)]
"""A positive number of bytes, at most an exabyte, so that sums of them fit 64 bits."""
Count = Annotated[int, BeforeValidator(parse_count), Field(gt=0, le=10**18)]
"""A positive number of tokens, documents or rows, at most 10^18."""
Share = Annotated[float, BeforeValidator(parse_share), Field(ge=0, le=1)]
"""A share between 0 and 1."""


def plain(settings: BaseModel) -> dict[str, Any]:
    """The settings as JSON-ready values, for fingerprints and manifests."""
    return settings.model_dump(mode="json")
