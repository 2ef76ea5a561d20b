"""Muon: momentum whose steps for convolution filters are made orthogonal. A matrix has m rows and n columns."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from truelift.errors import InputError, real, require, whole

_A, _B, _C = 3.4445, -4.7750, 2.0315
"""Of the quintic; they take small singular values up as fast as can be, and then let them lie between 0.7 and 1.2."""
_ITERATIONS = 5

_TINY = 1e-7
_LARGEST = 10**9


def orthogonalised(matrix: Tensor, iterations: int = _ITERATIONS) -> Tensor:
    """Nearly the nearest matrix with orthogonal rows or columns, by Newton–Schulz iterations.

    Formula, with X₀ = G/‖G‖ (Frobenius norm), and transposed before and after where m > n:
        X ← a·X + (b·A + c·A²)·X,   A = X·Xᵀ,   a = 3.4445, b = −4.7750, c = 2.0315
    For G = U·S·Vᵀ that gives U·S'·Vᵀ, with S' in about [0.7, 1.2] where S is not far below the largest.

    Args:
        matrix: G, (m, n); of a floating-point type, in which it is computed.
        iterations: In 1..100.

    Raises:
        InputError: The iterations are out of range.

    Source:
        Jordan, "Muon: An optimizer for hidden layers in neural networks", 2024. Deviation: float32 stays float32, as
        bfloat16 is slower on most CPUs.
    """
    whole("iterations", iterations, 1, 100)
    x: Tensor = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + _TINY)
    for _ in range(iterations):
        gram = x @ x.T
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


class Muon(Optimizer):
    """Orthogonal steps for the groups that say so, SGD with momentum for the others.

    Formula, with g a gradient, v its momentum (0 in the beginning), η, λ the group's learning rate and weight decay:

        v ← μ·v + g,   u = g + μ·v with Nesterov's momentum, else v
        θ ← (1 − η·λ)·θ − η·s(u)

    where s(u) = u, and in a group with `orthogonal` true s(u) = √max(1, m/n)·`orthogonalised(u)`, a convolution's
    filters (D, C, k, k) taken as a matrix of m = D rows and n = C·k² columns. So the size of such a step is the
    learning rate's alone, not the gradient's. Parameters without a gradient stay as they are.

    Args:
        params: Parameters, or groups; `orthogonal` in a group takes the place of the argument.
        lr: η, in [0, 10⁹].
        momentum: μ, in [0, 1).
        nesterov: Whether the momentum is Nesterov's.
        weight_decay: λ, in [0, 10⁹].
        orthogonal: Needs parameters of two dimensions at least.

    Raises:
        InputError: A value is out of range, in a group too, or a vector's step is to be made orthogonal; in a step, a
            gradient is sparse.

    Source:
        As `orthogonalised`; the scale by the shape, and the decay, are those of its author's later code.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.02,
        momentum: float = 0.95,
        *,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        orthogonal: bool = True,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
        super().__init__(params, {**defaults, "orthogonal": orthogonal})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group.

        Raises:
            InputError: It has a vector whose step is to be made orthogonal, or a value out of range.
        """
        _check_group({**self.defaults, **param_group})
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        least = min((p.ndim for p in group["params"]), default=2)
        if group["orthogonal"] and least < 2:
            self.param_groups.pop()
            raise InputError(f"orthogonal must be false for parameters of fewer than 2 dimensions, got one of {least}.")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Make a step.

        Args:
            closure: Makes the gradients anew and gives the loss, as for torch's optimizers; trainers give one.

        Returns:
            The closure's loss.
        """
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            moving = [p for p in group["params"] if p.grad is not None]
            if not moving:
                continue
            gradients = [p.grad for p in moving]
            if any(gradient.is_sparse for gradient in gradients if gradient is not None):
                raise InputError("gradients must be dense, got a sparse one.")
            for p in moving:
                if "momentum_buffer" not in self.state[p]:
                    self.state[p]["momentum_buffer"] = torch.zeros_like(p)
            momenta = [self.state[p]["momentum_buffer"] for p in moving]
            torch._foreach_mul_(momenta, group["momentum"])
            torch._foreach_add_(momenta, gradients)
            steps = momenta
            if group["nesterov"]:
                steps = list(torch._foreach_add(gradients, momenta, alpha=group["momentum"]))
            if group["orthogonal"]:
                steps = [_orthogonal(step) for step in steps]
            if group["weight_decay"]:
                torch._foreach_mul_(moving, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(moving, steps, alpha=-group["lr"])
        return loss


def _check_group(group: Mapping[str, Any]) -> None:
    real("lr", group["lr"], lambda value: 0 <= value <= _LARGEST, f"in [0, {_LARGEST}]")
    real("momentum", group["momentum"], lambda value: 0 <= value < 1, "in [0, 1)")
    real("weight_decay", group["weight_decay"], lambda value: 0 <= value <= _LARGEST, f"in [0, {_LARGEST}]")


def _orthogonal(step: Tensor) -> Tensor:
    rows = step.flatten(1)
    scale = math.sqrt(max(1, rows.shape[0] / rows.shape[1]))
    return (scale * orthogonalised(rows)).view_as(step)


def split(groups: Iterable[Mapping[str, Any]], lr: float) -> list[dict[str, Any]]:
    """Groups of an optimizer, of which the convolutions' filters are put into groups of orthogonal steps.

    Args:
        groups: Each with `params`, any iterable of parameters; those with a learning rate of their own stay whole.
        lr: Of the filters, in [0, 10⁹].

    Raises:
        InputError: The rate is out of range, or something else than groups is given.
    """
    real("lr", lr, lambda value: 0 <= value <= _LARGEST, f"in [0, {_LARGEST}]")
    found: list[dict[str, Any]] = []
    for group in groups:
        holds = isinstance(group, Mapping) and "params" in group
        require("groups", f"one of type {type(group).__name__}", holds, 'dictionaries with "params"')
        given = group["params"]
        params: list[nn.Parameter] = [given] if isinstance(given, nn.Parameter) else list(given)
        filters = [p for p in params if p.ndim == 4 and "lr" not in group]
        taken = {id(p) for p in filters}
        rest: list[nn.Parameter] = [p for p in params if id(p) not in taken]
        if filters:
            found.append({**group, "params": filters, "orthogonal": True, "lr": lr})
        if rest:
            found.append({**group, "params": rest})
    return found
