import numpy as np
import pytest
import torch

from truelift.data.dataset import ImageSet, Splits


def image_set(n: int, channels: int = 3, seed: int = 0) -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (n, 6, 5, channels), dtype=torch.uint8, generator=generator)
    return ImageSet(pixels.permute(0, 3, 1, 2), torch.arange(n))


def splits(train: ImageSet) -> Splits:
    return Splits(train, None, train, ("a", "b"), 0)


@pytest.mark.parametrize(("n", "channels"), [(1, 3), (300, 3), (257, 1)])  # 256 are counted at a time
def test_mean_and_std_against_numpy(n: int, channels: int) -> None:
    train = image_set(n, channels)
    reference = train.images.numpy().astype(np.float64) / 255
    np.testing.assert_allclose(splits(train).mean, reference.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(splits(train).std, reference.std(axis=(0, 2, 3)), rtol=1e-12)


def test_std_of_a_constant_channel_is_one_gray_level() -> None:
    images = image_set(4).images.clone()
    images[:, 1] = 200
    result = splits(ImageSet(images, torch.arange(4)))
    assert result.mean[1] == pytest.approx(200 / 255)
    assert result.std[1] == pytest.approx(1 / 255)
    assert result.std[0] > 0.1


def test_subset_keeps_order_labels_and_format() -> None:
    whole = image_set(7)
    part = whole.subset(torch.tensor([5, 0, 5]))
    assert part.labels.tolist() == [5, 0, 5]
    assert torch.equal(part.images, whole.images[[5, 0, 5]])
    assert part.images.is_contiguous(memory_format=torch.channels_last)
    assert len(part) == 3


def test_to_copies_nothing_on_the_same_device() -> None:
    whole = image_set(2)
    assert whole.to("cpu").images.data_ptr() == whole.images.data_ptr()
