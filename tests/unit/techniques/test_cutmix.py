"""CutMix pixel by pixel."""

import pytest
import torch

from truelift.errors import InputError
from truelift.techniques.cutmix import CutMix, cutmix, draw_box

IMAGES = torch.arange(4.0)[:, None, None, None].expand(4, 3, 8, 10).contiguous()
LABELS = torch.tensor([0, 1, 2, 3])


def test_pixels_and_labels_of_a_box() -> None:
    partners = torch.tensor([1, 0, 3, 2])
    images, labels = cutmix(IMAGES, LABELS, (2, 6, 1, 6), partners, 4)
    for n in range(4):
        for row in range(8):
            for column in range(10):
                inside = 2 <= row < 6 and 1 <= column < 6
                assert (images[n, :, row, column] == (partners[n] if inside else n)).all()
    assert labels[0].tolist() == pytest.approx([0.75, 0.25, 0, 0])  # 20 of 80 pixels
    assert torch.equal(IMAGES[0], torch.zeros(3, 8, 10))  # what was given stays


def test_an_empty_box_changes_nothing() -> None:
    images, labels = cutmix(IMAGES, LABELS, (3, 3, 2, 7), torch.tensor([1, 2, 3, 0]), 4)
    assert torch.equal(images, IMAGES)
    assert torch.equal(labels, torch.eye(4))


def test_boxes_lie_in_the_image_and_are_of_their_size_where_they_fit() -> None:
    generator = torch.Generator().manual_seed(0)
    whole = 0
    for _ in range(300):
        top, bottom, left, right = draw_box(0.75, 32, 64, generator)
        assert 0 <= top <= bottom <= 32
        assert 0 <= left <= right <= 64
        assert bottom - top <= 16
        assert right - left <= 32
        whole += (bottom - top, right - left) == (16, 32)
    assert 0.15 < whole / 300 < 0.4  # the centre leaves room for it in a half of either side


def test_labels_are_the_shares_of_the_pixels() -> None:
    mix = CutMix(4)
    for seed in range(20):
        images, labels = mix(IMAGES, LABELS, torch.Generator().manual_seed(seed))
        for n in range(4):
            shares = [float((images[n, 0] == k).float().mean()) for k in range(4)]
            assert labels[n].tolist() == pytest.approx(shares, abs=1e-6)


def test_bad_input() -> None:
    with pytest.raises(InputError, match="alpha must be above 0"):
        CutMix(4, 0)
