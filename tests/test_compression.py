"""zlib's size without zlib: what `published.compression` reckons is what `zlib.compress(…, 9)` writes, to the byte."""

import random
import zlib

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_ja.stages.published.compression import deflated_bytes, of_zlib

pytestmark = pytest.mark.skipif(
    "ng" in zlib.ZLIB_RUNTIME_VERSION,
    reason=f"This Python's zlib is {zlib.ZLIB_RUNTIME_VERSION}, whose sizes are its own; use one built with zlib.",
)


def reckoned(texts: list[bytes]) -> list[int]:
    offsets = np.cumsum([0, *map(len, texts)])
    return deflated_bytes(np.frombuffer(b"".join(texts) + bytes(16), dtype=np.uint8), offsets).tolist()  # type: ignore[no-any-return]


def written(texts: list[bytes]) -> list[int]:
    return [len(zlib.compress(text, 9)) for text in texts]


def copied(chance: random.Random, size: int) -> bytes:
    """Bytes that are copies of earlier ones, of all lengths, with new ones between them."""
    text = bytearray(chance.randbytes(4))
    while len(text) < size:
        place, length = chance.randrange(len(text)), chance.choice([3, 4, 5, 6, 7, 8, 33, 257, 258, 300])
        text += text[place : place + length] if chance.random() < 0.7 else chance.randbytes(chance.randrange(1, 5))
    return bytes(text)


def japanese(chance: random.Random, size: int) -> bytes:
    letters = [chr(chance.choice([0x3041, 0x30A1, 0x4E00]) + chance.randrange(80)) for _ in range(300)]
    return "".join(letters[min(int(chance.expovariate(0.03)), 299)] for _ in range(size // 3)).encode()


def at_the_farthest(chance: random.Random, size: int) -> bytes:
    """A pattern that comes back just within, at and just beyond 32,506 bytes, with faults in it."""
    pattern = chance.randbytes(32_506 + chance.randrange(-2, 3))
    text = bytearray(pattern * 3)
    for _ in range(size // 100):
        text[chance.randrange(len(text))] = chance.randrange(256)
    return bytes(text)


def crowded(chance: random.Random, size: int) -> bytes:
    """So few different bytes that a search of zlib's ends before it has passed all places with the same three."""
    return bytes(chance.choices(b"abc", weights=(20, 2, 1), k=size))


def steep(chance: random.Random, size: int) -> bytes:
    """Each byte half as frequent as the one before: codes longer than RFC 1951 allows, which zlib must shorten."""
    return bytes(min(int(chance.expovariate(0.7)), 255) for _ in range(size))


@settings(deadline=None)
@given(st.lists(st.binary(max_size=400), max_size=8))
def test_random_bytes_have_the_size_that_zlib_gives_them(texts: list[bytes]) -> None:
    assert reckoned(texts) == written(texts)


@settings(deadline=None)
@given(st.text(st.sampled_from("あのaの、\n"), max_size=600), st.integers(1, 60))
def test_repeated_text_has_the_size_that_zlib_gives_it(text: str, times: int) -> None:
    texts = [text.encode() * times, text.encode()]
    assert reckoned(texts) == written(texts)


@pytest.mark.parametrize(
    "made", [random.Random.randbytes, copied, japanese, at_the_farthest, crowded, steep], ids=lambda made: made.__name__
)
def test_long_texts_of_every_kind_have_the_size_that_zlib_gives_them(made) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    chance = random.Random(5)  # noqa: S311 - reproducible, not secret
    texts = [made(chance, int(10 ** chance.uniform(2, 5.2))) for _ in range(12)]
    assert reckoned(texts) == written(texts)


def test_a_text_is_measured_alone_whatever_stands_before_it() -> None:
    text = "吾輩は猫である。名前はまだ無い。".encode() * 9
    assert reckoned([text, text, b"", text]) == [*written([text]) * 2, 8, *written([text])]


def test_the_ratio_is_of_the_utf_8_bytes_and_null_for_empty_text() -> None:
    texts = ["猫" * 40, "", "a", "どこで生れたかとんと見当がつかぬ。"]
    expected = [len(zlib.compress(text.encode(), 9)) / len(text.encode()) if text else None for text in texts]
    assert of_zlib(pl.Series(texts))["zlib_ratio"].to_list() == expected
    sliced = pl.Series(["x" * 99, *texts, "y"]).slice(1, len(texts))
    assert of_zlib(sliced)["zlib_ratio"].to_list() == expected
    assert of_zlib(pl.Series([], dtype=pl.String)).height == 0


def test_texts_without_room_behind_them_are_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes must follow"):
        deflated_bytes(np.zeros(20, dtype=np.uint8), np.array([0, 5]))
