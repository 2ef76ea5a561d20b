import pytest
import torch

from truelift.data import Batches, ImageSet, PairedBatches
from truelift.errors import InputError


def batches(n: int, batch_size: int, seed: int) -> Batches:
    """Images that are their labels."""
    pixels = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 1, 2, 2)
    return Batches(ImageSet(pixels.contiguous(), torch.arange(n)), batch_size, mean=(0,), std=(1,), order_seed=seed)


def test_each_batch_has_the_auxiliary_one_of_its_step() -> None:
    main, auxiliary = batches(20, 4, 1), batches(9, 3, 2)  # 5 batches an epoch, and 3
    paired = PairedBatches(main, auxiliary)
    assert (paired.images, paired.batches_per_epoch) == (20, 5)
    # By hand: the auxiliary epochs laid end to end.
    in_order = [batch.labels.tolist() for epoch in range(4) for batch in auxiliary.epoch(epoch)]
    seen = [batch for epoch in range(2) for batch in paired.epoch(epoch)]
    assert [batch.auxiliary.labels.tolist() for batch in seen if batch.auxiliary] == in_order[:10]
    alone = [batch for epoch in range(2) for batch in main.epoch(epoch)]
    assert all(torch.equal(one.images, other.images) for one, other in zip(seen, alone, strict=True))
    part = [*paired.epoch(1, start=2, stop=4)]
    assert [batch.labels.tolist() for batch in part] == [batch.labels.tolist() for batch in seen[7:9]]
    assert [batch.auxiliary.labels.tolist() for batch in part if batch.auxiliary] == in_order[7:9]
    at = paired.at(8)
    assert at.auxiliary is not None
    assert (at.labels.tolist(), at.auxiliary.labels.tolist()) == (seen[8].labels.tolist(), in_order[8])


def test_a_start_out_of_range_is_refused_at_once() -> None:
    with pytest.raises(InputError, match=r"start must be in 0..5, got 6"):
        PairedBatches(batches(20, 4, 1), batches(9, 3, 2)).epoch(0, start=6)
