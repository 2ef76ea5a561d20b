"""From the gradients' inner products to the weight of each loss's gradient. T losses, the main one first.

All rules here follow Σ_t c_t·g_t, and c depends on the gradients through their inner products ⟨g_s, g_t⟩ alone: the
Gram matrix (T, T). So a rule is a function from it to c, (T,), and never sees a gradient.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from truelift.errors import real

Rule = Callable[[Tensor], Tensor]
"""From the Gram matrix (T, T), float64, to the weights c, (T,)."""

Weighting = Literal["weighted", "unweighted"]


def cosines(gram: Tensor) -> Tensor:
    """cos(g_1, g_t) for the auxiliary losses t = 2 … T: from (…, T, T) to (…, T − 1); 0 where a gradient is zero.

    cos = ⟨g_main, g_aux⟩ / (‖g_main‖·‖g_aux‖)
    """
    norms = gram.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
    product = norms[..., :1] * norms[..., 1:]
    return torch.where(product > 0, gram[..., 0, 1:] / torch.where(product > 0, product, 1), 0).clamp(-1, 1)


def similarity_weights(cosine: Tensor, rule: Weighting, threshold: float = 0.0) -> Tensor:
    """The auxiliary gradients' weights, from their cosines.

    weighted: the cosine where it is above the threshold, else 0. unweighted: 1 where the cosine is at least the
    threshold, else 0. A zero gradient has cosine 0; whatever its weight, it adds nothing.

    Args:
        cosine: Of any shape, in [−1, 1].
        rule: weighted or unweighted.
        threshold: In [0, 1); the paper's is 0.

    Source:
        Du et al., "Adapting Auxiliary Losses Using Gradient Similarity", arXiv 1812.02224, section 3. It adds the
        auxiliary gradient where cos ≥ 0; so does this, and for the weighted rule the two readings agree.
    """
    if rule == "weighted":
        return torch.where(cosine > threshold, cosine, 0)
    return (cosine >= threshold).to(cosine.dtype)


def multi_task(weight: float = 1.0) -> Rule:
    """The plain sum, the auxiliary losses times `weight`, which must be at least 0 and finite."""
    real("weight", weight, lambda w: 0 <= w < float("inf"), "at least 0 and finite")

    def rule(gram: Tensor) -> Tensor:
        weights = torch.full_like(gram[0], weight)
        weights[0] = 1
        return weights

    return rule


def single_task(gram: Tensor) -> Tensor:
    """The main loss alone; the auxiliary heads still follow theirs."""
    weights = torch.zeros_like(gram[0])
    weights[0] = 1
    return weights


def pcgrad(gram: Tensor) -> Tensor:
    """Each gradient loses its part against every other that it conflicts with, then all are summed.

    For each t, over the others s in turn: if ⟨g'_t, g_s⟩ < 0, g'_t ← g'_t − ⟨g'_t, g_s⟩/‖g_s‖²·g_s.

    Deviation: the others are taken in their order, not in a random one; with two losses there is only one.

    Source:
        Yu et al., "Gradient Surgery for Multi-Task Learning", 2020, arXiv 2001.06782, algorithm 1.
    """
    parts = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)  # row t: g'_t in terms of all gradients
    for t in range(len(gram)):
        for s in range(len(gram)):
            if s != t:
                inner = parts[t] @ gram[s]
                conflict = (inner < 0) & (gram[s, s] > 0)
                parts[t, s] -= torch.where(conflict, inner / torch.where(conflict, gram[s, s], 1), 0)
    return parts.sum(0)


class GradVac:
    """Each gradient is turned towards every other until their cosine is what it has been on average, then all summed.

    For each t, over the others s: with φ the moving average of cos(g_t, g_s) and c = cos(g'_t, g_s) < φ,
    g'_t ← g'_t + ‖g'_t‖·(φ·√(1 − c²) − c·√(1 − φ²)) / (‖g_s‖·√(1 − φ²))·g_s; then φ ← (1 − β)·φ + β·c.

    Args:
        beta: β in (0, 1]; the paper's is 0.01.

    Source:
        Wang et al., "Gradient Vaccine", 2021, arXiv 2010.05874, algorithm 1. As for `pcgrad`, the others are taken in
        their order.
    """

    def __init__(self, beta: float = 0.01) -> None:
        real("beta", beta, lambda b: 0 < b <= 1, "in (0, 1]")
        self.beta = beta
        self.average: Tensor | None = None

    def __call__(self, gram: Tensor) -> Tensor:
        """The weights; moves the averages on."""
        tasks = len(gram)
        if self.average is None:
            self.average = torch.zeros_like(gram)
        average, parts = self.average, torch.eye(tasks, dtype=gram.dtype, device=gram.device)
        finite = gram.isfinite().all()
        for t in range(tasks):
            for s in range(tasks):
                if s == t:
                    continue
                norm, other = (parts[t] @ gram @ parts[t]).clamp(min=0).sqrt(), gram[s, s].clamp(min=0).sqrt()
                there = (norm > 0) & (other > 0)
                cosine = torch.where(there, parts[t] @ gram[s] / torch.where(there, norm * other, 1), 0).clamp(-1, 1)
                target = average[t, s].clamp(max=1 - 1e-6)
                root = (1 - target.square()).sqrt()
                turn = norm * (target * (1 - cosine.square()).sqrt() - cosine * root)
                turn = turn / (torch.where(there, other, 1) * root)
                parts[t, s] += torch.where(there & (cosine < target), turn, 0)
                average[t, s] = torch.where(finite, torch.lerp(average[t, s], cosine, self.beta), average[t, s])
        return parts.sum(0)

    def state_dict(self) -> dict[str, Tensor]:
        """The averages, where there are any yet."""
        return {} if self.average is None else {"average": self.average.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up what `state_dict` gave."""
        self.average = state["average"].clone() if "average" in state else None
