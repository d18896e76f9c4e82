"""Wishes are met within one document, from below, nested, whole epochs first; contradictions carry both numbers."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_ja.errors import MixError
from corpus_ja.stages.mixing import Share, Supply, Wish, cluster_weights, plan, times_taken


def supply(tokens: list[int], seed: int = 0) -> Supply:
    counts = np.array(tokens, dtype=np.int64)
    sample = np.random.default_rng(seed).integers(0, 2**64, len(tokens), dtype=np.uint64)
    return Supply(sample, counts, counts * 3)


def taken_tokens(share: Share, source: Supply) -> int:
    return int((times_taken(share, source.sample) * source.tokens).sum())


documents = st.lists(st.integers(1, 50), min_size=1, max_size=60)


@settings(deadline=None, max_examples=200)
@given(documents, documents, st.integers(1, 4000), st.floats(0.1, 5), st.floats(0.1, 5), st.floats(1, 4))
def test_a_plan_is_met_within_one_document_and_never_exceeds_what_exists(
    ja: list[int], en: list[int], budget: int, first: float, second: float, passes: float
) -> None:
    sources = {"ja": supply(ja, 1), "en": supply(en, 2)}
    wishes = {"ja": Wish(weight=first, max_epochs=passes), "en": Wish(weight=second, max_epochs=passes)}
    refused = ""
    try:
        shares = plan(sources, wishes, budget, "error")
    except MixError as error:
        refused = str(error)
        shares = plan(sources, wishes, budget, "shrink")
    assert not refused or "available" in refused or "can give" in refused
    for name, share in shares.items():
        assert share.tokens == taken_tokens(share, sources[name])
        assert 0 <= share.asked - share.tokens < sources[name].tokens.max() + (share.asked == 0)
        meant = Fraction(passes).limit_denominator(10**9)  # passes are read to nine digits: 0.1 is a tenth
        assert share.tokens <= meant * int(sources[name].tokens.sum())
        times = times_taken(share, sources[name].sample)
        assert times.max() - times.min() <= 1


@given(documents, st.integers(1, 500), st.integers(0, 500))
def test_a_smaller_budget_is_a_subset_of_a_larger_one(tokens: list[int], small: int, more: int) -> None:
    source = {"ja": supply(tokens)}
    few = plan(source, {"ja": Wish()}, small, "shrink")["ja"]
    many = plan(source, {"ja": Wish()}, small + more, "shrink")["ja"]
    assert (times_taken(few, source["ja"].sample) <= times_taken(many, source["ja"].sample)).all()


def test_without_a_budget_every_document_is_taken_once() -> None:
    source = {"ja": supply([5, 6, 7])}
    assert list(times_taken(plan(source, {"ja": Wish()}, None, "error")["ja"], source["ja"].sample)) == [1, 1, 1]


def test_epochs_repeat_every_document_before_any_stands_a_third_time() -> None:
    source = {"ja": supply([10] * 10)}
    share = plan(source, {"ja": Wish(epochs=2.5)}, None, "error")["ja"]
    assert sorted(times_taken(share, source["ja"].sample)) == [2] * 5 + [3] * 5
    assert share.epochs == 2.5


def test_max_documents_and_max_bytes_cut_the_pool() -> None:
    source = {"ja": supply([10] * 10)}
    assert plan(source, {"ja": Wish(max_documents=4)}, None, "error")["ja"].documents == 4
    assert plan(source, {"ja": Wish(max_bytes=65)}, None, "error")["ja"].documents == 2


def test_a_budget_larger_than_what_exists_names_both_numbers() -> None:
    with pytest.raises(MixError, match=r"1,000 tokens.*hold 18"):
        plan({"ja": supply([5, 6, 7])}, {"ja": Wish()}, 1000, "error")


def test_a_weighted_source_that_runs_dry_is_named() -> None:
    sources = {"ja": supply([5, 6, 7]), "en": supply([100] * 10, 1)}
    wishes = {"ja": Wish(weight=1), "en": Wish(weight=1)}
    with pytest.raises(MixError, match=r"100 tokens of the source `ja`.*can give 18"):
        plan(sources, wishes, 200, "error")
    filled = plan(sources, wishes, 200, "fill")
    assert filled["ja"].asked == 18
    assert filled["en"].asked == 182
    shrunk = plan(sources, wishes, 200, "shrink")
    assert (shrunk["ja"].asked, shrunk["en"].asked) == (18, 18)


def test_a_source_without_a_weight_beside_weighted_ones_is_refused_unless_it_says_how_much() -> None:
    sources = {"ja": supply([5, 6, 7]), "en": supply([10] * 10, 1)}
    with pytest.raises(MixError, match="`en` has none"):
        plan(sources, {"ja": Wish(weight=1), "en": Wish()}, 20, "error")
    served = plan(sources, {"ja": Wish(weight=1), "en": Wish(max_tokens=50)}, 60, "error")
    assert (served["ja"].asked, served["en"].asked) == (10, 50)


def test_weights_by_cluster_size_are_those_of_fineweb_2() -> None:
    sizes = np.array([1, 2, 3, 4, 5, 99, 100, 999, 1000, 10**6])
    weights = cluster_weights(sizes, Wish(cluster_weights="fineweb-2").steps)
    assert weights.tolist() == [1, 2, 3, 3, 5, 5, 8, 8, 1, 1]
    assert cluster_weights(sizes, Wish().steps).tolist() == [1] * 10
    own = Wish.model_validate({"cluster_weights": {10: 4, 3: 2}})
    assert cluster_weights(sizes[:6], own.steps).tolist() == [1, 1, 2, 2, 2, 4]
