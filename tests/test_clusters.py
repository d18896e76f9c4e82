"""Nothing leaves without a partner that stays; the outcome does not depend on the order of the input."""

import tracemalloc
from dataclasses import dataclass

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_ja.stages import clusters


@dataclass(frozen=True)
class World:
    """A handful of documents: their rank, exact group, address, near pairs and standing."""

    rank: list[int]
    exact: list[int]
    url: list[int]
    pairs: list[tuple[int, int]]
    held_out: list[bool]
    removable: list[bool]
    eligible: list[bool]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    documents = draw(st.integers(1, 10))
    some = st.integers(0, documents - 1)

    def groups() -> list[int]:
        labels = draw(st.lists(some, min_size=documents, max_size=documents))
        return [labels.index(label) for label in labels]

    def flags() -> list[bool]:
        return draw(st.lists(st.booleans(), min_size=documents, max_size=documents))

    held_out = flags()
    shuffled = draw(st.permutations(range(documents)))
    first_held = sorted(shuffled, key=lambda document: not held_out[document])
    rank = [first_held.index(document) for document in range(documents)]
    return World(rank, groups(), groups(), draw(st.lists(st.tuples(some, some))), held_out, flags(), flags())


def decide(world: World) -> clusters.Clusters:
    return clusters.survivors(
        np.array(world.rank, dtype=np.uint32),
        np.array(world.exact, dtype=np.int64),
        np.array(world.pairs, dtype=np.int64).reshape(-1, 2),
        url=np.array(world.url, dtype=np.int64),
        held_out=np.array(world.held_out),
        removable=np.array(world.removable),
        eligible=np.array(world.eligible),
    )


def related(world: World, a: int, b: int) -> set[str]:
    """In which ways two documents are duplicates of each other."""
    near = {frozenset((world.exact[left], world.exact[right])) for left, right in world.pairs}
    ways = {
        "exact": world.exact[a] == world.exact[b],
        "url": world.url[a] == world.url[b],
        "near": world.exact[a] != world.exact[b] and frozenset((world.exact[a], world.exact[b])) in near,
    }
    return {way for way, holds in ways.items() if holds}


def may_leave(world: World, document: int, survivor: int) -> bool:
    return world.removable[document] or (world.held_out[survivor] and not world.held_out[document])


@given(worlds())
@settings(max_examples=500, deadline=None)
def test_what_leaves_has_a_better_partner_that_stays_and_what_stays_has_none(world: World) -> None:
    found = decide(world)
    documents = range(len(world.rank))
    stays = [found.representative[document] == document for document in documents]
    for document in documents:
        survivor = int(found.representative[document])
        kind = clusters.KINDS[found.kind[document]]
        if not world.eligible[document]:
            assert (survivor, kind, found.size[document]) == (-1, None, 0)
            continue
        assert world.eligible[survivor]
        assert stays[survivor]
        if kind is not None:
            assert kind in related(world, document, survivor)
            assert world.rank[survivor] < world.rank[document]
            assert may_leave(world, document, survivor)
        else:
            assert survivor == document
            for other in documents:
                if stays[other] and world.rank[other] < world.rank[document] and related(world, document, other):
                    assert not may_leave(world, document, other)


@given(worlds())
@settings(max_examples=200, deadline=None)
def test_a_cluster_is_as_large_as_the_documents_it_stands_for(world: World) -> None:
    found = decide(world)
    for document, survivor in enumerate(found.representative):
        if survivor >= 0:
            assert found.size[document] == (found.representative == survivor).sum()


@given(worlds(), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_the_order_of_the_documents_changes_nothing(world: World, chance: object) -> None:
    documents = len(world.rank)
    order = list(range(documents))
    chance.shuffle(order)  # type: ignore[attr-defined]
    place = {document: at for at, document in enumerate(order)}

    def regrouped(labels: list[int]) -> list[int]:
        moved = [labels[document] for document in order]
        return [moved.index(label) for label in moved]

    shuffled = World(
        rank=[world.rank[document] for document in order],
        exact=regrouped(world.exact),
        url=regrouped(world.url),
        pairs=[(place[b], place[a]) for a, b in reversed(world.pairs)],
        held_out=[world.held_out[document] for document in order],
        removable=[world.removable[document] for document in order],
        eligible=[world.eligible[document] for document in order],
    )
    before, after = decide(world), decide(shuffled)
    for document in range(documents):
        survivor = before.representative[document]
        assert after.representative[place[document]] == (place[survivor] if survivor >= 0 else -1)
        assert after.kind[place[document]] == before.kind[document]
        assert after.size[place[document]] == before.size[document]


def survive(pairs: list[tuple[int, int]], documents: int = 3, **flags: list[bool]) -> list[int]:
    found = clusters.survivors(
        np.arange(documents, dtype=np.uint32),
        np.arange(documents),
        np.array(pairs),
        **{name: np.array(values) for name, values in flags.items()},
    )
    return [int(document) for document in found.representative]


def test_a_chain_does_not_pull_in_a_document_that_its_survivor_is_not_near() -> None:
    assert survive([(0, 1), (1, 2)]) == [0, 0, 2]


def test_a_document_dropped_by_a_rule_is_nobodys_survivor() -> None:
    assert survive([(0, 1), (1, 2), (0, 2)], eligible=[False, True, True]) == [-1, 1, 1]


def test_a_protected_document_stays_unless_the_duplicate_is_held_out() -> None:
    assert survive([(0, 1), (1, 2), (0, 2)], removable=[True, False, True]) == [0, 1, 0]
    assert survive([(0, 1)], removable=[True, False, True], held_out=[True, False, False]) == [0, 0, 2]


def test_a_document_that_leaves_for_the_same_text_only_stays_beside_a_near_one() -> None:
    near_removable = [True, False, False]
    assert survive([(0, 1), (1, 2)], near_removable=near_removable) == [0, 1, 2]
    assert survive([(0, 1)], near_removable=near_removable, held_out=[True, False, False]) == [0, 0, 2]
    found = clusters.survivors(
        np.arange(3, dtype=np.uint32),
        np.array([0, 1, 1]),
        np.array([[1, 0]]),
        near_removable=np.array([True, True, False]),
    )
    # 1 leaves for 0, which it is near; 2 is the text of 1, but 1 is gone and 0 is only near.
    assert found.representative.tolist() == [0, 0, 2]


def test_members_of_an_exact_group_share_their_near_pairs() -> None:
    # 1 and 2 are the same text; only 1 was compared with 0.
    found = clusters.survivors(np.arange(3, dtype=np.uint32), np.array([0, 1, 1]), np.array([[1, 0]]))
    assert found.representative.tolist() == [0, 0, 0]
    assert found.verdicts().to_list() == [None, "duplicate.near", "duplicate.near"]


def test_the_kinds_are_told_apart() -> None:
    found = clusters.survivors(
        np.arange(4, dtype=np.uint32), np.array([0, 0, 2, 3]), np.array([[3, 0]]), url=np.array([0, 1, 0, 3])
    )
    assert found.verdicts().to_list() == [None, "duplicate.exact", "duplicate.url", "duplicate.near"]
    assert found.size.tolist() == [4, 4, 4, 4]


def test_the_best_document_is_held_out_then_of_the_first_source_then_long_then_first_by_id() -> None:
    rank = clusters.preference(
        pl.Series([False, False, True, False, False]),
        pl.Series([1, 0, 1, 0, 0]),
        pl.Series([9, 5, 1, 7, 5]),
        pl.Series(["a/1", "b/2", "a/3", "b/4", "b/1"]),
    )
    assert rank.tolist() == [4, 3, 0, 1, 2]


@given(st.lists(st.one_of(st.none(), st.integers(0, 3)), max_size=12))
@settings(deadline=None)
def test_groups_are_named_by_their_first_row_and_nulls_stand_alone(labels: list[int | None]) -> None:
    keys = pl.Series(labels, dtype=pl.UInt64)
    expected = [at if label is None else labels.index(label) for at, label in enumerate(labels)]
    assert clusters.groups(keys).tolist() == expected
    halves = pl.DataFrame({"high": keys.fill_null(9), "low": keys.fill_null(9)}).to_struct("key")
    assert clusters.groups(halves).tolist() == [labels.index(label) for label in labels]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.integers(1, 4), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_each_member_of_a_bucket_is_paired_with_the_best_of_it(buckets: list[int], most: int, chance: object) -> None:
    order = list(range(len(buckets)))
    chance.shuffle(order)  # type: ignore[attr-defined]
    # High and low bits both differ, and 0 means no signature.
    band = np.array([bucket and bucket * (2**61 + 1) for bucket in buckets], dtype=np.uint64)
    proposed = clusters.candidate_pairs(band, np.array(order, dtype=np.uint32), most)
    found = proposed.pairs
    expected = set()
    unfinished = 0
    for member, bucket in enumerate(buckets):
        mates = [other for other, theirs in enumerate(buckets) if bucket and theirs == bucket]
        best = sorted(mates, key=lambda other: order[other])[:most]
        expected |= {(member, other) for other in best if order[other] < order[member]}
        unfinished += sum(order[other] < order[member] for other in mates) > most
    assert sorted(map(tuple, found.tolist())) == sorted(expected)
    assert proposed.unfinished == unfinished
    # Further rounds propose the rest, each pair once.
    seen = sorted(expected)
    while proposed.unfinished:
        proposed = clusters.candidate_pairs(band, np.array(order, dtype=np.uint32), most, clusters.packed([found]))
        assert not set(map(tuple, proposed.pairs.tolist())) & set(seen)
        seen += map(tuple, proposed.pairs.tolist())
        found = clusters.unpacked(clusters.packed([found, proposed.pairs]))
    every = {
        (a, b)
        for a, one in enumerate(buckets)
        for b, two in enumerate(buckets)
        if one and one == two and order[b] < order[a]
    }
    assert sorted(seen) == sorted(every)


def test_hashes_that_differ_only_where_the_rank_is_packed_are_told_apart() -> None:
    band = np.array([8, 9, 8, 10, 9], dtype=np.uint64) + np.uint64(2**63)
    found = clusters.candidate_pairs(band, np.arange(5, dtype=np.uint32), 1).pairs
    assert sorted(map(tuple, found.tolist())) == [(2, 0), (4, 1)]


def test_pairs_of_all_bands_are_kept_once() -> None:
    first = np.array([[3, 1], [2, 0]], dtype=np.uint32)
    second = np.array([[3, 1], [3, 0]], dtype=np.uint32)
    assert clusters.unique_pairs([first, second]).tolist() == [[2, 0], [3, 0], [3, 1]]
    assert clusters.unique_pairs([]).shape == (0, 2)
    assert clusters.unique_pairs([np.empty((0, 2), dtype=np.uint32)]).shape == (0, 2)


def test_all_documents_in_one_bucket_cost_a_few_comparisons_each() -> None:
    documents = 20_000
    band = np.full(documents, 7, dtype=np.uint64)
    found = clusters.candidate_pairs(band, np.arange(documents, dtype=np.uint32), 8)
    assert len(found.pairs) <= 8 * documents
    assert found.unfinished == documents - 9


def test_a_band_is_gathered_in_a_stated_number_of_bytes_a_document() -> None:
    documents = 300_000
    chance = np.random.default_rng(0)
    band = chance.integers(1, 2**63, documents).astype(np.uint64)
    rank = chance.permutation(documents).astype(np.uint32)
    clusters.candidate_pairs(band[:2], np.arange(2, dtype=np.uint32), 8)  # compiled outside the measurement
    tracemalloc.start()
    try:
        clusters.candidate_pairs(band, rank, 8)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak / documents < 26


@given(worlds())
@settings(max_examples=100, deadline=None)
def test_the_best_living_document_of_each_exact_group_is_compared(world: World) -> None:
    found = clusters.to_compare(np.array(world.exact), np.array(world.rank, dtype=np.uint32), np.array(world.eligible))
    for group in set(world.exact):
        living = [at for at, label in enumerate(world.exact) if label == group and world.eligible[at]]
        compared = [at for at, label in enumerate(world.exact) if label == group and found[at]]
        assert compared == ([min(living, key=lambda at: world.rank[at])] if living else [])
