"""Random erasing: where, how often, with what."""

from typing import Any

import numpy as np
import pytest
import torch

from truelift.errors import InputError
from truelift.techniques.random_erasing import RandomErasing, draw_boxes, erase

LABELS = torch.arange(500)


def test_a_box_by_hand() -> None:
    images, noise = torch.zeros(2, 1, 5, 6), torch.ones(2, 1, 5, 6)
    erased = erase(images, torch.tensor([[1, 3, 2, 2], [0, 0, 1, 4]]), noise)
    expected = torch.zeros(5, 6)
    expected[1:4, 2:4] = 1
    assert torch.equal(erased[0, 0], expected)
    assert torch.equal(erased[1], images[1])  # no rows


def test_how_often_and_how_large() -> None:
    boxes = draw_boxes(4000, 100, 100, 0.5, (0.02, 0.4), torch.Generator().manual_seed(0))
    top, rows, left, columns = boxes.T
    some = rows > 0
    assert 0.47 < some.float().mean() < 0.53
    assert (top + rows <= 100).all()
    assert (left + columns <= 100).all()
    areas = (rows * columns)[some] / 1e4
    assert areas.max() < 0.41
    assert 0.18 < areas.mean() < 0.23  # 0.21, but for boxes that were cut to the side
    ratio = (rows / columns)[some].log()
    assert abs(float(ratio.mean())) < 0.08


def test_noise_is_normal_and_labels_stay() -> None:
    images = torch.full((500, 3, 16, 16), 9.0)
    erased, labels = RandomErasing(1.0, (0.3, 0.3))(images, LABELS, torch.Generator().manual_seed(1))
    noise = erased[erased != 9.0]
    assert 0.27 < len(noise) / erased.numel() < 0.31
    assert abs(float(noise.mean())) < 0.01
    assert float(noise.std()) == pytest.approx(1, abs=0.01)
    assert labels is LABELS
    assert torch.equal(RandomErasing(0.0)(images, LABELS, torch.Generator())[0], images)


@pytest.mark.parametrize("pair", [list, np.array, torch.tensor, lambda area: [np.float32(share) for share in area]])
def test_an_area_of_any_kind_of_pair(pair: Any) -> None:
    images = torch.zeros(20, 1, 8, 8)
    found, expected = (
        RandomErasing(1.0, area)(images, LABELS[:20], torch.Generator().manual_seed(0))[0]
        for area in (pair([0.25, 0.5]), (0.25, 0.5))
    )
    assert torch.equal(found, expected)


@pytest.mark.parametrize(("probability", "area"), [(1.5, (0.1, 0.2)), (0.5, (0.3, 0.2)), (0.5, (0.0, 1.2))])
def test_bad_input(probability: float, area: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="must be"):
        RandomErasing(probability, area)
