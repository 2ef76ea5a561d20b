"""A network with its preprocessing, from pixels to logits, as one module.

N images, C channels, H×W pixels, K classes.
"""

from functools import partial

import torch
from torch import Tensor, nn

from truelift.data.preprocessing import MeanImage, Preprocess, Whitening
from truelift.training.objectives.heads import classifier_of, embedded
from truelift.training.trained import Trained


class Scaled(nn.Module):
    """(x − offset)/scale, in gray levels, and where there is a matrix W the product of each image's row with it.

    It is what the preprocessings compute (`truelift.data.preprocessing`), with their figures as buffers.

    Args:
        offset: Broadcasts to (N, C, H, W).
        scale: Likewise, above 0.
        matrix: W, (D, D) with D = H·W·C, a pixel's channels together; None for none.
    """

    offset: Tensor
    scale: Tensor
    matrix: Tensor | None

    def __init__(self, offset: Tensor, scale: Tensor, matrix: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("offset", offset)
        self.register_buffer("scale", scale)
        self.register_buffer("matrix", matrix)

    def forward(self, images: Tensor) -> Tensor:
        """From uint8 (N, C, H, W) to float32."""
        values: Tensor = (images.float() - self.offset) / self.scale
        if self.matrix is None:
            return values
        rows: Tensor = values.permute(0, 2, 3, 1).flatten(1) @ self.matrix
        _, channels, height, width = images.shape
        return rows.reshape(-1, height, width, channels).permute(0, 3, 1, 2)


def scaled(preprocess: Preprocess) -> Scaled:
    """A preprocessing as a module."""
    match preprocess:
        case partial(keywords={"mean": mean, "std": std}):  # of `normalise`, a number for each channel
            return Scaled(*(torch.tensor(numbers).mul(255)[None, :, None, None] for numbers in (mean, std)))
        case MeanImage(mean=mean, scale=scale):
            return Scaled(mean.contiguous(), torch.tensor(scale))
        case Whitening(centre=centre, matrix=matrix):
            return Scaled(centre.mean.contiguous(), torch.tensor(centre.scale), matrix)
    raise AssertionError("there are no others")


class Exportable(nn.Module):
    """From uint8 images (N, C, H, W) to logits (N, K) and, where the head has Gaussians, the log-likelihood (N,).

    Args:
        trained: The network, in inference mode.
    """

    def __init__(self, trained: Trained) -> None:
        super().__init__()
        self.preprocess = scaled(trained.preprocess)
        self.network = trained.network
        self.objective = trained.objective
        self.has_likelihood = trained.has_likelihood

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Logits, and the log-likelihood where there is one."""
        taken = self.preprocess(images)
        if not self.has_likelihood:
            return (self.objective.logits(self.network, taken).float(),)
        features = embedded(self.network, taken)
        likelihood = self.objective.log_likelihood(self.network, features.float())
        assert likelihood is not None, "the head has Gaussians"
        return classifier_of(self.network)(features).float(), likelihood.float()
