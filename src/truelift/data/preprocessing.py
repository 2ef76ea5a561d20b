"""From pixels to the network's input. N images, C channels, H×W pixels, D = C·H·W.

Every preprocessing maps uint8 (N, C, H, W) to float32 of the same shape, channels-last. What it needs to know of the
data it takes from the training images, before augmentation; validation and test images are treated by the same figures.
It comes after the augmentation, so that a padded crop's black border is black before it.
"""

import hashlib
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from truelift.data.augment import normalise
from truelift.data.cache import kept
from truelift.data.dataset import Splits
from truelift.data.photographs import Photographs
from truelift.errors import InputError, require
from truelift.options import POSITIVE, Conflict, OneOf, Only, Registry

Preprocess = Callable[[Tensor], Tensor]
"""From uint8 (N, C, H, W) to float32 (N, C, H, W), channels-last."""

LARGEST_WHITENED = 4096
"""Values an image above which whitening is refused: D² numbers are kept, and D³ operations fit them."""

# Images at a time: the temporaries stay some megabytes.
_CHUNK = 256


class MeanImage:
    """(x/255 − m)/s, m the training images' mean image, s one standard deviation for all pixels.

    Formula: s² = mean over images, pixels and channels of (x/255 − m)², at least (1/255)².

    Args:
        images: uint8 (N, C, H, W), N at least 1.
        device: Where batches will be.

    Source:
        He et al., "Deep Residual Learning for Image Recognition", 2016, section 4.2, subtract the mean image and say
        nothing of a scale; one standard deviation for all is gcr/torch-residual-networks'. Both subtract before the
        random crop, so that the mean image moves with it, and pad with 0.
    """

    def __init__(self, images: Tensor, device: torch.device | str = "cpu") -> None:
        total = torch.zeros(images.shape[1:], dtype=torch.int64)
        squares = 0
        for chunk in torch.split(images, _CHUNK):
            values = chunk.cpu().long()
            total += values.sum(0)
            squares += int(values.square().sum())
        mean = total.double() / len(images)
        variance = squares / images.numel() - mean.square().mean()
        # In gray levels, as the images are.
        self.mean = mean.float()[None].contiguous(memory_format=torch.channels_last).to(device)
        self.scale = float(variance.clamp(min=1).sqrt())

    def __call__(self, images: Tensor) -> Tensor:
        """From uint8 (N, C, H, W) to float32, channels-last."""
        values = images.to(torch.float32, memory_format=torch.channels_last)
        return values.sub_(self.mean).div_(self.scale)


class Whitening:
    """ZCA: y = (Σ + ε·I)^(−1/2)·z, z an image by `MeanImage` as a vector of D, Σ mean of z·zᵀ over training images.

    The mean variance of z's D values is 1, so that ε is relative to it: directions of far larger variance come out with
    variance 1, those of far smaller variance, mostly noise, stay small.

    Fitting takes N·D² and about 10·D³ operations in float64 on the CPU; 3,072 values (CIFAR): seconds to a minute. So
    the matrix is kept in the cache on disk for other runs with the same training images.

    Args:
        images: uint8 (N, C, H, W), N at least 1.
        epsilon: ε, above 0.
        device: Where batches will be.

    Raises:
        InputError: D is above 4,096.

    Source:
        Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, appendix A; ε = 0.1 is that of
        pylearn2's whitened CIFAR-10 (Goodfellow et al., "Maxout Networks", 2013), which also scales each image to the
        same contrast; here it is one scale for all.
    """

    def __init__(self, images: Tensor, epsilon: float, device: torch.device | str = "cpu") -> None:
        size = images[0].numel()
        if size > LARGEST_WHITENED:
            raise InputError(
                f"preprocessing.name zca needs images of at most {LARGEST_WHITENED} values, "
                f"got {' x '.join(map(str, images.shape[1:]))}; see --data.resize."
            )
        centre = MeanImage(images)
        fitted = kept(_about(images, epsilon), lambda: {"matrix": _fit(images, epsilon, centre)})
        matrix = torch.from_numpy(fitted["matrix"])
        self.centre = MeanImage(images, device) if torch.device(device).type != "cpu" else centre
        self.matrix = matrix.to(device)

    def __call__(self, images: Tensor) -> Tensor:
        """From uint8 (N, C, H, W) to float32, channels-last."""
        n, channels, height, width = images.shape
        white: Tensor = _rows(self.centre(images)) @ self.matrix  # which is symmetric
        return white.view(n, height, width, channels).permute(0, 3, 1, 2)


def _fit(images: Tensor, epsilon: float, centre: MeanImage) -> npt.NDArray[np.float32]:
    """(Σ + ε·I)^(−1/2), (D, D)."""
    size = images[0].numel()
    covariance = torch.zeros(size, size, dtype=torch.float64)
    for chunk in torch.split(images, _CHUNK):
        z = _rows(centre(chunk.cpu())).double()
        covariance.addmm_(z.T, z)
    variances, directions = torch.linalg.eigh(covariance.div_(len(images)))
    # An eigenvalue that is 0 comes out as one a little below it.
    matrix = directions / (variances.clamp(min=0) + epsilon).sqrt() @ directions.T
    fitted: npt.NDArray[np.float32] = matrix.float().numpy()
    return fitted


def _about(images: Tensor, epsilon: float) -> dict[str, Any]:
    """Everything that the fit depends on, to its last bit: how many threads sum up, and on which machine."""
    pixels = images.cpu().permute(0, 2, 3, 1).contiguous()
    return {
        "kind": "whitening",
        "images": [*pixels.shape, hashlib.sha256(pixels.numpy().data).hexdigest()],
        "epsilon": epsilon,
        "threads": torch.get_num_threads(),
        "library": [torch.__version__, torch.backends.cpu.get_cpu_capability(), platform.node()],
    }


def _none(options: "PreprocessingOptions", splits: Splits, device: torch.device | str) -> Preprocess:
    channels = splits.train.shape[0]
    return partial(normalise, mean=(0.0,) * channels, std=(1.0,) * channels)


def _channels(options: "PreprocessingOptions", splits: Splits, device: torch.device | str) -> Preprocess:
    return partial(normalise, mean=splits.mean, std=splits.std)


def _mean_image(options: "PreprocessingOptions", splits: Splits, device: torch.device | str) -> Preprocess:
    return MeanImage(_in_memory(options, splits), device)


def _zca(options: "PreprocessingOptions", splits: Splits, device: torch.device | str) -> Preprocess:
    return Whitening(_in_memory(options, splits), options.epsilon, device)


PREPROCESSINGS: Registry[Callable[["PreprocessingOptions", Splits, torch.device | str], Preprocess]] = Registry(
    "preprocessing", {"channels": _channels, "none": _none, "mean-image": _mean_image, "zca": _zca}
)


@dataclass(frozen=True, kw_only=True)
class PreprocessingOptions:
    """From pixels to the network's input, by figures of the training images."""

    name: Annotated[str, OneOf(PREPROCESSINGS)] = "channels"
    """channels: each channel minus its mean, divided by its standard deviation. none: pixels/255. mean-image: minus the
    mean image, divided by one standard deviation. zca: the same, then whitened."""

    epsilon: Annotated[float, POSITIVE, Only("name", "zca")] = 0.1
    """zca: added to every variance, in units of the mean variance of a pixel; above 0."""

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between these options."""
        yield "name", self.name in PREPROCESSINGS, f"one of {', '.join(PREPROCESSINGS)}, none of your own"


def fit_preprocessing(options: PreprocessingOptions, splits: Splits, device: torch.device | str = "cpu") -> Preprocess:
    """The preprocessing that `options` describe, fitted on the training images, for batches on `device`.

        none        x/255
        channels    (x/255 − mean)/std, of each channel
        mean-image  see `MeanImage`
        zca         see `Whitening`

    Raises:
        InputError: The name is unknown; the images are too large to be whitened; or mean-image or zca is to be fitted
            on streamed ones.
    """
    return PREPROCESSINGS.find(options.name)(options, splits, device)


def _in_memory(options: PreprocessingOptions, splits: Splits) -> Tensor:
    train = splits.train
    streamed = isinstance(train, Photographs)
    require("preprocessing.name", options.name, not streamed, "channels or none with data.stream")
    assert not isinstance(train, Photographs)
    return train.images


def _rows(images: Tensor) -> Tensor:
    """Each image as a row, (N, D), in the order of memory: row by row of pixels, the channels of a pixel together."""
    return images.permute(0, 2, 3, 1).flatten(1)
