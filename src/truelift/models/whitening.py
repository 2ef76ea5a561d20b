"""A first layer that whitens small patches of the images. N images, C channels, k×k pixels a patch, P = C·k²."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truelift.errors import real, whole

_EPSILON = 5e-4
"""Added to each variance of a patch whose values have about variance 1; below it lies what JPEG and rounding leave."""


class WhiteningConvolution(nn.Module):
    """A k×k convolution with stride 1 and without padding, whose filters are fitted to images and not trained.

    Formula, with p a patch as a vector of P, eigenvalues λ_i and eigenvectors e_i of Σ = mean of p·pᵀ, i = 1..P from
    the largest λ on, and trained biases b:

        y_i = e_i·p/√(λ_i + ε) + b_i,   y_{P+i} = −e_i·p/√(λ_i + ε) + b_{P+i}

    So that the first P outputs over all patches have the covariance I (but for ε), and a following ReLU or GELU keeps
    both signs. Before `fit` λ = 1 and e_i is the i-th axis.

    Args:
        in_channels: C, in 1..65,536.
        kernel: k, in 1..64.
        epsilon: ε, above 0 and at most 10⁹.

    Attributes:
        out_channels: 2·P.
        weight: The filters, a buffer (2·P, C, k, k).
        bias: Trained, (2·P,), 0 in the beginning.

    Raises:
        InputError: A number is out of range.

    Source:
        Page, "How to Train Your ResNet 8", 2019; with both signs and these ε and biases: Jordan, "94% on CIFAR-10 in
        3.29 Seconds on a Single GPU", 2024, arXiv 2404.00498, section 3.1. Deviation: eigenvectors have a sign, their
        largest part above 0, so that it does not depend on the library.
    """

    weight: Tensor

    def __init__(self, in_channels: int, kernel: int = 2, epsilon: float = _EPSILON) -> None:
        super().__init__()
        whole("in_channels", in_channels, 1, 65_536)
        whole("kernel", kernel, 1, 64)
        real("epsilon", epsilon, lambda value: 0 < value <= 10**9, "above 0 and at most 10⁹")
        self.epsilon = epsilon
        self.kernel = kernel
        size = in_channels * kernel**2
        self.out_channels = 2 * size
        axes = torch.eye(size).view(size, in_channels, kernel, kernel)
        self.register_buffer("weight", torch.cat((axes, -axes)))
        self.bias = nn.Parameter(torch.zeros(self.out_channels))

    def reset_parameters(self) -> None:
        """Put the biases to 0; the filters stay as they were fitted."""
        nn.init.zeros_(self.bias)

    def forward(self, images: Tensor) -> Tensor:
        """From (N, C, H, W) to (N, 2·P, H − k + 1, W − k + 1)."""
        return F.conv2d(images, self.weight, self.bias)

    @torch.no_grad()
    def fit(self, images: Iterable[Tensor]) -> None:
        """Set the filters.

        Args:
            images: Batches as the network takes them, (N, C, H, W) each; one image at least.
        """
        size = self.out_channels // 2
        moments, patches = torch.zeros(size, size, dtype=torch.float64), 0
        for batch in images:
            columns = F.unfold(batch.float(), self.kernel).transpose(0, 1).flatten(1)  # (P, N·places)
            moments += (columns @ columns.T).to("cpu", torch.float64)
            patches += columns.shape[1]
        assert patches > 0, "there are images"
        self.weight.copy_(filters(moments / patches, self.epsilon).view_as(self.weight))


def filters(covariance: Tensor, epsilon: float) -> Tensor:
    """The filters that whiten patches of this covariance, and their negatives.

    Args:
        covariance: Σ, float64 (P, P).
        epsilon: ε, above 0.

    Returns:
        float64 (2·P, P); of each eigenvector the part of the largest size is above 0 in the first P.
    """
    values, vectors = torch.linalg.eigh(covariance)  # ascending; one a column
    values, vectors = values.flip(0).clamp(min=0), vectors.flip(1).T
    largest = vectors.abs().argmax(1, keepdim=True)
    rows = vectors * vectors.gather(1, largest).sign() / (values + epsilon).sqrt()[:, None]
    return torch.cat((rows, -rows))


def whitening_layers(network: nn.Module, kept: Iterable[nn.Module] = ()) -> list[WhiteningConvolution]:
    """The layers of a network that want fitting, but for those `kept` as they are."""
    left = set(kept)
    return [m for m in network.modules() if isinstance(m, WhiteningConvolution) and m not in left]
