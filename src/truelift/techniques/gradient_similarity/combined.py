"""What one step of gradient similarity did. T losses, the main one first; A = T − 1 auxiliary ones; G groups."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Combined:
    """What one step did. On the gradients' device, so that reading a number may wait for it."""

    cosines: Tensor
    """cos(main, auxiliary), float64 (G, A); 0 where a gradient is zero, NaN in steps that do not measure it."""
    averages: Tensor
    """Their moving averages, float64 (G, A)."""
    weights: Tensor
    """What each loss's gradient was multiplied by, the main one's first, float64 (G, T)."""
    measuring: bool = True
    """False where all that the cosine was taken of is frozen: no step measures it any more, and the last weights hold
    for what is still shared."""
    sharing: bool = True
    """False where the losses share nothing that trains any more: no weight acts."""

    def logged(self) -> dict[str, Tensor]:
        """Means over the groups, by name: cosine, cosine_average, auxiliary_weight; numbered where there are several.

        Between measurements the average stands for the cosine, so that means over steps stay numbers. What has come to
        its end is left out: the cosines where not `measuring`, the weights where not `sharing`.
        """
        known = torch.where(self.cosines.isnan(), self.averages, self.cosines)
        named = {"cosine": known, "cosine_average": self.averages} if self.measuring else {}
        named |= {"auxiliary_weight": self.weights[:, 1:]} if self.sharing else {}
        if self.cosines.shape[1] == 1:
            return {name: values[:, 0].mean() for name, values in named.items()}
        return {f"{name}_{t + 1}": column.mean() for name, v in named.items() for t, column in enumerate(v.unbind(1))}
