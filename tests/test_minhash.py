"""Signatures keep the promise of the band formula; Jaccard is that of Python sets."""

import random

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpus_ja.stages import minhash
from corpus_ja.stages.exact import normal_form
from corpus_ja.stages.minhash import NearDuplicates

DEFAULT = NearDuplicates()
KANA = "".join(chr(point) for point in range(0x3041, 0x3094))
KANJI = "".join(chr(point) for point in range(0x4E00, 0x4E00 + 600))


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - no secret is made of it


def shingles(text: str, characters: int = 5, most: int = 200_000) -> set[str]:
    text = text[:most]
    return {text[at : at + characters] for at in range(len(text) - characters + 1)}


def jaccard(a: str, b: str, characters: int = 5, most: int = 200_000) -> float:
    left, right = shingles(a, characters, most), shingles(b, characters, most)
    return len(left & right) / len(left | right) if left | right else 0.0


def sentence(chance: random.Random, length: int) -> str:
    # Kana come often and kanji seldom, as in prose.
    return "".join(chance.choice(KANA if chance.random() < 0.6 else KANJI) for _ in range(length))


def edited(chance: random.Random, text: str, edits: int) -> str:
    letters = list(text)
    for _ in range(edits):
        at = chance.randrange(len(letters))
        kind = chance.randrange(3)
        if kind == 0:
            letters[at] = chance.choice(KANJI)
        elif kind == 1:
            letters.insert(at, chance.choice(KANA))
        else:
            del letters[at]
    return "".join(letters)


def pairs_of(chance: random.Random, count: int, edits: float) -> tuple[list[str], list[str]]:
    """Pairs of 100 to 1,500 characters that differ by about `edits` per character."""
    left = [sentence(chance, chance.randrange(100, 1500)) for _ in range(count)]
    right = [edited(chance, text, max(1, round(len(text) * edits))) for text in left]
    return left, right


def meets(
    left: list[str], right: list[str], settings: NearDuplicates = DEFAULT
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    a, b = (minhash.signatures(pl.Series(side), settings) for side in (left, right))
    found: np.ndarray[tuple[int], np.dtype[np.bool_]] = ((a == b) & (a != 0)).any(axis=1)
    return found


def test_the_default_is_twenty_bands_of_eight_rows() -> None:
    assert DEFAULT.shape == (20, 8)
    assert minhash.found(0.8, 20, 8) == pytest.approx(0.9746, abs=5e-5)
    assert minhash.found(0.8, 14, 8) == pytest.approx(0.924, abs=5e-4)


@given(st.floats(0.05, 1))
def test_derived_bands_find_the_pairs_at_the_threshold_with_few_hashes(threshold: float) -> None:
    bands, rows = NearDuplicates(threshold=threshold).shape
    assert minhash.found(threshold, bands, rows) >= minhash.FOUND_AT_THRESHOLD
    assert bands * rows <= 200


def test_bands_or_rows_alone_are_completed() -> None:
    assert NearDuplicates(rows=8).shape == (20, 8)
    assert NearDuplicates(bands=20).shape == (20, 8)


def test_bands_that_cannot_reach_the_threshold_are_refused_with_the_one_they_reach() -> None:
    with pytest.raises(ValidationError, match=r"14 bands of 8 rows find only 92.4%.*reach a threshold of 0.832"):
        NearDuplicates(bands=14, rows=8)
    assert NearDuplicates(threshold=0.832, bands=14, rows=8).shape == (14, 8)
    with pytest.raises(ValidationError, match="threshold"):
        NearDuplicates(threshold=0.001)


def test_nearly_all_pairs_over_nine_tenths_meet() -> None:
    left, right = pairs_of(seeded(1), 600, 0.007)
    near = [jaccard(a, b) >= 0.9 for a, b in zip(left, right, strict=True)]
    assert sum(near) >= 300
    assert meets(left, right)[near].mean() >= 0.995


@pytest.mark.parametrize("edits", [0.018, 0.03, 0.06])
def test_pairs_meet_as_often_as_the_band_formula_says(edits: float) -> None:
    left, right = pairs_of(seeded(2), 400, edits)
    expected = np.array([minhash.found(jaccard(a, b), 20, 8) for a, b in zip(left, right, strict=True)])
    deviation = np.sqrt((expected * (1 - expected)).sum())
    assert abs(meets(left, right).sum() - expected.sum()) <= 4 * deviation + 1


def test_unlike_texts_do_not_meet() -> None:
    chance = seeded(3)
    left = [sentence(chance, 500) for _ in range(300)]
    assert not meets(left, left[1:] + left[:1]).any()


@given(st.lists(st.text("あいうab1", max_size=40), min_size=2, max_size=8), st.integers(1, 7), st.integers(64, 80))
@settings(max_examples=100, deadline=None)
def test_jaccard_is_that_of_python_sets(texts: list[str], characters: int, most: int) -> None:
    texts = [text * 3 for text in texts]
    chosen = NearDuplicates(characters=characters, max_characters=most)
    pairs = np.array([(a, b) for a in range(len(texts)) for b in range(len(texts))])
    found = minhash.jaccard(minhash.shingle_sets(pl.Series(texts), chosen), pairs)
    expected = [jaccard(texts[a], texts[b], characters, most) for a, b in pairs]
    assert found == pytest.approx(expected)


def test_shingle_sets_are_sorted_and_hold_each_shingle_once() -> None:
    sets = minhash.shingle_sets(pl.Series(["あいあいあいあい", "abcd", "", "漢字と🍣😀かな"]), DEFAULT)
    assert np.diff(sets.offsets).tolist() == [2, 0, 0, 3]
    for begin, end in zip(sets.offsets[:-1], sets.offsets[1:], strict=True):
        assert (np.diff(sets.hashes[begin:end].astype(object)) > 0).all()


def test_documents_shorter_than_a_shingle_have_no_signature_and_no_likeness() -> None:
    normal = pl.Series(["猫", "", "猫", "吾輩は猫"])
    assert not minhash.signatures(normal, DEFAULT).any()
    assert minhash.jaccard(minhash.shingle_sets(normal, DEFAULT), np.array([[0, 2]])).tolist() == [0.0]
    assert (minhash.signatures(pl.Series(["吾輩は猫で"]), DEFAULT) != 0).all()


def test_a_signature_does_not_depend_on_the_neighbours() -> None:
    chance = seeded(4)
    texts = [sentence(chance, chance.choice([0, 3, 5, 50, 3000])) for _ in range(60)]
    texts[7] = sentence(chance, 300_000)  # more than a batch holds with the others
    whole = minhash.signatures(pl.Series(texts), DEFAULT)
    for at in range(0, 60, 7):
        assert (minhash.signatures(pl.Series([texts[at]]), DEFAULT) == whole[at]).all()
    assert (minhash.signatures(pl.Series(texts).slice(5, 10), DEFAULT) == whole[5:15]).all()
    assert minhash.signatures(pl.Series([], dtype=pl.String), DEFAULT).shape == (0, 20)


def test_signatures_do_not_change() -> None:
    # Stored signatures would silently stop meeting new ones: raise VERSION together with these numbers.
    signature = minhash.signatures(normal_form(pl.Series(["吾輩は猫である。名前はまだ無い。"])), DEFAULT)
    assert signature[0, :2].tolist() == [9297974966518524924, 7111578909635984120]
    assert minhash.VERSION == 1


def test_what_stands_behind_the_cap_is_not_read() -> None:
    chosen = NearDuplicates(max_characters=100)
    text = sentence(seeded(5), 100)
    left, right = pl.Series([text + "あ" * 50]), pl.Series([text])
    assert (minhash.signatures(left, chosen) == minhash.signatures(right, chosen)).all()
    assert minhash.jaccard(minhash.shingle_sets(pl.concat([left, right]), chosen), np.array([[0, 1]])).tolist() == [1.0]


def test_one_character_ten_million_times_is_read_to_the_cap_only() -> None:
    normal = normal_form(pl.Series(["あ" * 10_000_000, "あ" * 6]))
    assert (minhash.signatures(normal, DEFAULT)[0] == minhash.signatures(normal, DEFAULT)[1]).all()
    sets = minhash.shingle_sets(normal, DEFAULT)
    assert np.diff(sets.offsets).tolist() == [1, 1]


def test_texts_that_differ_behind_the_cap_are_not_near_and_those_that_do_not_are() -> None:
    chosen = NearDuplicates(max_characters=2000)
    chance = seeded(6)
    head = sentence(chance, 2000)
    tails = [sentence(chance, 30_000), sentence(chance, 30_000)]
    texts = [head + tails[0], head + tails[1], edited(chance, head, 20) + edited(chance, tails[0], 300), head, tails[0]]
    normal = pl.Series(texts)
    pairs = np.array([(0, 1), (0, 2), (0, 3), (1, 2), (0, 4), (0, 0)])
    found = minhash.similarity(normal, chosen, pairs)
    for pair, value in zip(pairs, found, strict=True):
        a, b = (texts[at] for at in pair)
        # A sample of 1,000 to 2,000 shingles: three standard deviations are below 0.05.
        assert value == pytest.approx(min(jaccard(a, b, most=2000), jaccard(a, b)), abs=0.05)
    assert found[0] < 0.3
    assert found[1] > 0.8
    assert found[5] == 1.0


@given(st.lists(st.text("あいab🍣é1", max_size=60), min_size=2, max_size=6))
@settings(max_examples=100, deadline=None)
def test_below_the_cap_similarity_is_the_jaccard(texts: list[str]) -> None:
    normal = pl.Series(texts)
    pairs = np.array([(a, b) for a in range(len(texts)) for b in range(len(texts))])
    assert (
        minhash.similarity(normal, DEFAULT, pairs).tolist()
        == minhash.jaccard(minhash.shingle_sets(normal, DEFAULT), pairs).tolist()
    )


@given(st.integers(0, 2**32), st.integers(1000, 9000), st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_a_sample_of_shingles_is_the_lowest_of_their_hashes(seed: int, length: int, halvings: int) -> None:
    normal = pl.Series([sentence(seeded(seed), length) + "🍣😀éabc12"])
    every = minhash.shingle_sets(normal, DEFAULT).hashes.tolist()
    lowest = [value for value in every if value < 2 ** (64 - halvings)]
    assert minhash._sample_shingles(minhash.utf8(normal)[0], 5, np.uint64(halvings)).tolist() == lowest
    capped = NearDuplicates(max_characters=length // 2 ** (halvings or 1))
    sample, halved = minhash._sampled_sets(normal, capped, normal.str.len_chars().to_numpy().astype(np.int64))
    assert sample.hashes.tolist() == [value for value in every if value < 2 ** (64 - int(halved[0]))]
    assert len(sample.hashes) >= min(minhash._LEAST_SAMPLE, len(every))


def test_long_texts_of_few_distinct_shingles_are_compared_by_all_of_them() -> None:
    chosen = NearDuplicates(max_characters=100)
    normal = pl.Series(["あ" * 5000, "あ" * 4000, "あ" * 200 + "い" * 4000, "あいうえおか" * 700])
    pairs = np.array([(0, 1), (0, 2), (0, 3), (3, 3)])
    assert minhash.similarity(normal, chosen, pairs).tolist() == [1.0, 1 / 6, 0.0, 1.0]
