import pytest

from truelift.data.order import EpochOrder, Share
from truelift.errors import InputError


def test_a_shuffled_epoch_drops_the_partial_batch() -> None:
    order = EpochOrder(10, 4, seed=1)
    epoch = order.epoch(0)
    assert sorted(epoch.tolist()) == list(range(10))
    assert order.batches == 2
    assert [order.batch(epoch, n).tolist() for n in range(2)] == [epoch[:4].tolist(), epoch[4:8].tolist()]
    assert order.epoch(1).tolist() != epoch.tolist()
    assert EpochOrder(10, 4, seed=1).epoch(0).tolist() == epoch.tolist()


def test_stored_order_keeps_every_image() -> None:
    order = EpochOrder(10, 4, seed=None)
    assert [order.batch(order.epoch(7), n).tolist() for n in range(order.batches)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9],
    ]
    assert EpochOrder(3, 4, seed=1).batches == 1


def test_bad_arguments() -> None:
    with pytest.raises(InputError, match="batch_size must be at least 1, got 0"):
        EpochOrder(3, 0, seed=None)
    with pytest.raises(InputError, match="at least one image, got 0"):
        EpochOrder(0, 3, seed=None)
    with pytest.raises(InputError, match=r"start must be in 0..3, got 4"):
        EpochOrder(10, 4, seed=None).numbers(4, None)
    with pytest.raises(InputError, match=r"start must be in 0..1, got 2"):
        EpochOrder(10, 4, seed=None).numbers(2, 1)
    with pytest.raises(InputError, match=r"stop must be in 0..3, got 4"):
        EpochOrder(10, 4, seed=None).numbers(0, 4)


def test_parts_of_an_epoch() -> None:
    order = EpochOrder(10, 4, seed=None)
    assert [list(order.numbers(*ends)) for ends in ((0, None), (1, 2), (3, 3))] == [[0, 1, 2], [1], []]
    shares = [Share(part, 3).range(10) for part in range(3)]
    assert [len(share) for share in shares] == [3, 3, 4]
    assert [place for share in shares for place in share] == list(range(10))
