import pytest
import torch

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


@pytest.mark.parametrize("counts", [[60, 20, 10], [5, 5, 5], [1, 1, 97], [3, 0, 4], [7, 2, 2, 2, 2, 2]])
def test_balanced_epochs_by_counting(counts: list[int]) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(3))]
    total, classes = len(labels), sum(count > 0 for count in counts)
    order = EpochOrder(total, 4, seed=1, labels=labels)
    for epoch in range(5):
        shown = order.epoch(epoch)
        assert len(shown) == total
        of_classes = labels[shown].bincount(minlength=len(counts))
        assert {int(of_classes[k]) for k in range(len(counts)) if counts[k]} <= {total // classes, -(-total // classes)}
        times = shown.bincount(minlength=total)
        for k, count in enumerate(counts):
            if count:
                low, high = int(times[labels == k].min()), int(times[labels == k].max())
                assert low == int(of_classes[k]) // count
                assert high <= low + 1
        assert shown.tolist() == EpochOrder(total, 4, seed=1, labels=labels).epoch(epoch).tolist()
        assert shown.tolist() != order.epoch(epoch + 1).tolist()


def test_balanced_epochs_favour_no_image() -> None:
    labels = torch.tensor([0] * 12 + [1] * 4)
    order, times = EpochOrder(16, 4, seed=5, labels=labels), torch.zeros(16)
    for epoch in range(600):
        times += order.epoch(epoch).bincount(minlength=16)
    expected = torch.where(labels == 0, 600 * 8 / 12, 600 * 8 / 4)
    assert bool(((times - expected).abs() < 5 * (600 * 8 / 12 * 4 / 12) ** 0.5).all())


def test_evaluation_shows_each_image_once() -> None:
    assert EpochOrder(4, 2, seed=None, labels=torch.tensor([0, 0, 0, 1])).epoch(0).tolist() == [0, 1, 2, 3]
