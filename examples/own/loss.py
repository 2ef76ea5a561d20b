"""A loss of one's own: objective.name = "examples/own/loss.py:CenterLoss"."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CenterLoss(nn.Module):
    """Cross entropy, and α times the distance of each image's features from its class's centre, which is learned too.

    Wen et al., "A Discriminative Feature Learning Approach for Deep Face Recognition", 2016.
    """

    def __init__(self, classes: int, feature_size: int, alpha: float = 0.01) -> None:
        super().__init__()
        self.alpha = alpha
        self.centers = nn.Parameter(torch.zeros(classes, feature_size))

    def forward(self, features: Tensor, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        distance = (features.float() - self.centers[labels]).square().sum(1).mean()
        return {"cross_entropy": F.cross_entropy(logits, labels), "center": self.alpha * distance}
