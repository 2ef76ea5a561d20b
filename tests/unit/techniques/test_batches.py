"""What a change to a batch must be given: anything else is refused with the rule, and never taken for something."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from truelift.errors import InputError
from truelift.techniques.cutmix import CutMix
from truelift.techniques.mixup import Mixup
from truelift.techniques.random_erasing import RandomErasing
from truelift.techniques.trivial_augment import TrivialAugment

IMAGES = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
BYTES = (IMAGES.abs() * 50).byte()
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])

MIXING = [Mixup, CutMix]


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("mixing", MIXING)
@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (torch.tensor([0, 1, 2, 4, 0, 1]), r"in 0\.\.3, got 4"),
        (torch.tensor([0, 1, 2, -1, 0, 1]), r"in 0\.\.3, got -1"),
        (F.one_hot(LABELS, 4), r"int64 \(6, 4\)"),
        (F.one_hot(LABELS, 5).float(), r"\(N, 4\), got float32 \(6, 5\)"),
        (LABELS.float(), r"float32 \(6,\)"),
        (LABELS[:, None], r"int64 \(6, 1\)"),
        (LABELS.int(), "int32"),
        (LABELS[:5], "as many as images, 6"),
        (torch.cat([LABELS, LABELS]), "as many as images, 6"),
        (LABELS.tolist(), "labels must be a tensor, got list"),
    ],
)
def test_labels_that_are_neither_numbers_nor_shares_of_the_classes(mixing: Any, labels: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        mixing(4)(IMAGES, labels, _generator())


@pytest.mark.parametrize("mixing", MIXING)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_shares_in_few_bits_are_mixed_in_float32(mixing: Any, dtype: torch.dtype) -> None:
    _, numbers = mixing(4)(IMAGES, LABELS, _generator())
    _, shares = mixing(4)(IMAGES, F.one_hot(LABELS, 4).to(dtype), _generator())
    assert shares.dtype == torch.float32
    assert torch.equal(numbers, shares)


CHANGES = [(Mixup(4), IMAGES, BYTES), (RandomErasing(), IMAGES, BYTES)]
CHANGES.append((TrivialAugment(), BYTES, IMAGES))
TAKING = [*((change, right) for change, right, _ in CHANGES), (CutMix(4), IMAGES)]


@pytest.mark.parametrize(("change", "right", "wrong"), CHANGES, ids=lambda value: type(value).__name__)
def test_takes_its_own_images_alone(change: Any, right: Tensor, wrong: Tensor) -> None:
    assert change(right, LABELS, _generator())[0].shape == right.shape
    with pytest.raises(InputError, match=r"images must be of .*normalisation"):
        change(wrong, LABELS, _generator())


def test_cutmix_takes_images_of_any_type() -> None:
    expected, _ = CutMix(4)(BYTES.float(), LABELS, _generator())
    found, _ = CutMix(4)(BYTES, LABELS, _generator())
    assert found.dtype == torch.uint8
    assert torch.equal(found.float(), expected)
    assert not torch.equal(found, BYTES)


@pytest.mark.parametrize("labels", [None, (LABELS, "boxes"), ["a"] * 6, LABELS[:2]], ids=str)
@pytest.mark.parametrize(("change", "images"), [(RandomErasing(), IMAGES), (TrivialAugment(), BYTES)])
def test_labels_that_are_left_alone_may_be_anything(change: Any, images: Tensor, labels: Any) -> None:
    assert change(images, labels, _generator())[1] is labels


@pytest.mark.parametrize(("change", "right"), TAKING, ids=lambda value: type(value).__name__)
class TestEveryChange:
    def test_refuses_one_image_without_a_batch(self, change: Any, right: Tensor) -> None:
        with pytest.raises(InputError, match=r"\(N, C, H, W\), got \(3, 8, 8\)"):
            change(right[0], LABELS[0], _generator())

    def test_refuses_a_seed_for_a_generator(self, change: Any, right: Tensor) -> None:
        with pytest.raises(InputError, match=r"generator must be a torch.Generator on the CPU, got int"):
            change(right, LABELS, 3)

    def test_takes_one_image_and_none(self, change: Any, right: Tensor) -> None:
        for n in (1, 0):
            assert len(change(right[:n], LABELS[:n], _generator())[0]) == n


@pytest.mark.parametrize("area", [0.5, (0.5, 0.1), (0.1, 0.2, 0.3), ("0.1", "0.2"), (float("nan"), 0.5)])
def test_an_area_is_two_shares(area: Any) -> None:
    with pytest.raises(InputError, match="two ascending shares"):
        RandomErasing(area=area)
