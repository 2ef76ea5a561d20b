import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truelift.data.splits import apportion, cut, subset
from truelift.errors import InputError

class_sizes = st.lists(st.integers(1, 40), min_size=2, max_size=8)


def labels_of(sizes: list[int]) -> np.ndarray:
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))


@pytest.mark.parametrize(
    ("counts", "total", "least", "most", "expected"),
    [
        # Shares 3.5, 2.1, 1.4: floors 3, 2, 1, and the one left goes to the largest remainder.
        ([50, 30, 20], 7, [0, 0, 0], [50, 30, 20], [4, 2, 1]),
        # Shares 1.5 and 1.5: the tie goes to the lower class.
        ([5, 5], 3, [0, 0], [5, 5], [2, 1]),
        # Shares 2.97 and 0.03: the lower bound takes from the class furthest above its share.
        ([99, 1], 3, [1, 1], [99, 1], [2, 1]),
        # Shares 3.6 and 0.9; the upper bounds 3 and 0 leave three.
        ([4, 1], 3, [0, 0], [3, 0], [3, 0]),
        # A class number nobody has gets nothing.
        ([4, 0, 4], 4, [0, 0, 0], [4, 0, 4], [2, 0, 2]),
    ],
)
def test_apportion_by_hand(
    counts: list[int], total: int, least: list[int], most: list[int], expected: list[int]
) -> None:
    given = apportion(np.array(counts), total, least=np.array(least), most=np.array(most))
    assert given.tolist() == expected


@given(sizes=class_sizes, data=st.data())
def test_apportion_is_within_one_of_the_share(sizes: list[int], data: st.DataObject) -> None:
    counts = np.array(sizes)
    total = data.draw(st.integers(0, sum(sizes)))
    amounts = apportion(counts, total, least=np.zeros_like(counts), most=counts)
    assert amounts.sum() == total
    assert (np.abs(amounts - counts * total / counts.sum()) < 1).all()


@given(sizes=class_sizes, fraction=st.floats(0.01, 0.99), seed=st.integers(0, 2**63 - 1))
@settings(deadline=None)
def test_cut_partitions_and_leaves_each_class_one(sizes: list[int], fraction: float, seed: int) -> None:
    labels = labels_of(sizes)
    expected = min(int(np.floor(fraction * len(labels) + 0.5)), len(labels) - len(sizes))
    if expected == 0:
        with pytest.raises(InputError, match="no image can be cut off"):
            cut(labels, fraction, seed=seed)
        return
    kept, off = cut(labels, fraction, seed=seed)
    assert len(off) == expected
    assert sorted([*kept, *off]) == list(range(len(labels)))
    assert (np.bincount(labels[kept], minlength=len(sizes)) >= 1).all()
    again, _ = cut(labels, fraction, seed=seed)
    np.testing.assert_array_equal(kept, again)


def test_cut_is_stratified_exactly_where_it_can_be() -> None:
    _, off = cut(labels_of([20, 40, 10]), 0.1, seed=3)
    assert np.bincount(labels_of([20, 40, 10])[off]).tolist() == [2, 4, 1]


def test_seeds_choose_differently() -> None:
    labels = labels_of([50, 50])
    assert len({tuple(cut(labels, 0.2, seed=seed)[1]) for seed in range(5)}) == 5
    assert len({tuple(subset(labels, 20, seed=seed)) for seed in range(5)}) == 5


@given(sizes=class_sizes, data=st.data())
@settings(deadline=None)
def test_subset_has_the_total_and_every_class(sizes: list[int], data: st.DataObject) -> None:
    labels = labels_of(sizes)
    total = data.draw(st.integers(len(sizes), len(labels)))
    chosen = subset(labels, total, seed=1, least=1)
    assert len(set(chosen.tolist())) == total
    assert (np.diff(chosen) > 0).all()
    assert set(labels[chosen]) == set(labels)


def test_subset_shares_are_kept() -> None:
    labels = labels_of([30, 60])
    assert np.bincount(labels[subset(labels, 30, seed=0)]).tolist() == [10, 20]


@pytest.mark.parametrize(
    ("sizes", "fraction", "reason"), [([1, 1, 1], 0.5, "each class has only one"), ([5, 5], 0.01, "0.01 of 10 is none")]
)
def test_cut_of_nothing_is_refused(sizes: list[int], fraction: float, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        cut(labels_of(sizes), fraction, seed=0)
