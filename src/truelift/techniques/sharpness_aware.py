"""Sharpness-aware minimisation (SAM): the gradient from the worst point near the weights. w all weights together."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from torch import Tensor, nn

from truelift.errors import InputError, real, require
from truelift.options import NONNEGATIVE, Only
from truelift.techniques.devices import widest
from truelift.techniques.weights import changed_in_place

Losses = Tensor | Mapping[str, Tensor]
"""One scalar, or several by name, of which the sum counts."""


def ascent(gradients: Sequence[Tensor], rho: float) -> list[Tensor]:
    """ε = ρ·g/‖g‖, the step of length ρ along which the loss grows fastest; 0 where the gradient is.

    Args:
        gradients: The parts of g, of any shapes. The norm is over all of them together, summed in float64.
        rho: ρ, at least 0 and finite.

    Returns:
        The parts of ε, of the same shapes and types.

    Source:
        arXiv 2010.01412, equation 2 with p = 2.
    """
    real("rho", rho, lambda r: 0 <= r < float("inf"), "at least 0 and finite")
    norm = _norm(gradients)
    norm = torch.where(norm > 0, norm, 1)
    # Divided first: ρ/‖g‖ leaves float32's range where the gradient is very small.
    return [g / norm.to(g.device, g.real.dtype) * rho for g in gradients]


class Sharpness(NamedTuple):
    """What one step saw. On the gradients' device, so that reading a number may wait for it."""

    loss: Tensor
    """L(w)."""
    climbed_loss: Tensor
    """L(w + ε)."""
    gradient_norm: Tensor
    """‖∇L(w)‖, float64."""

    def logged(self) -> dict[str, Tensor]:
        """By name: sharpness, L(w + ε) − L(w); gradient_norm."""
        return {"sharpness": self.climbed_loss - self.loss, "gradient_norm": self.gradient_norm}


class SharpnessAware:
    """Leaves in `.grad` the loss's gradient at the worst point within ρ of the weights; two passes a step.

    Formula:
        g = ∇L(w)
        ε = ρ·g/‖g‖
        `.grad` += ∇L(w + ε)

    The weights are afterwards what they were, to the last bit: they are copied, not stepped back. So are all buffers of
    a module that is given, batch norm's running statistics among them: the second forward pass moves none of them.
    There is no state between steps.

    The first gradient fires no hook of a parameter, so that nothing which exchanges gradients between processes sees
    it. Each process climbs along its own part of the batch, and only the second gradient is averaged: the paper does
    so too (section 4.1, "m-sharpness"). Losses may be scaled by a `GradScaler`; ε does not depend on the scale.

    Args:
        climbing: A module, all of whose parameters climb and whose buffers are kept; or several modules; or parameters.
            Parameters that need no gradient, or that the losses do not reach, stay.
        rho: ρ, at least 0 and finite; the paper's default is 0.05. With 0 the gradient is the plain one.

    Raises:
        InputError: ρ is out of range; nothing is given that could climb; a loss is no scalar or reaches no parameter.

    Example:
        >>> sharpness_aware = SharpnessAware(network, rho=0.05)
        >>> for images, labels in batches:
        ...     sharpness_aware.backward(lambda: F.cross_entropy(network(images), labels))
        ...     optimizer.step()
        ...     optimizer.zero_grad()

    Source:
        Foret, Kleiner, Mobahi, Neyshabur, "Sharpness-Aware Minimization for Efficiently Improving Generalization",
        ICLR 2021, arXiv 2010.01412, algorithm 1. Weight decay that the optimizer adds takes no part in ε: in the paper
        too λ‖w‖² stands outside the maximum. Deviations: where g is 0 nothing climbs; the algorithm divides by 0 there.
        Buffers are kept; the paper says nothing of batch norm's running statistics.
    """

    def __init__(self, climbing: nn.Module | Iterable[nn.Module] | Iterable[Tensor], rho: float = 0.05) -> None:
        real("rho", rho, lambda r: 0 <= r < float("inf"), "at least 0 and finite")
        several = isinstance(climbing, Iterable) and not isinstance(climbing, Tensor)
        given = list(climbing) if several and not isinstance(climbing, nn.Module) else [climbing]
        for part in given:
            which = f"one of type {type(part).__name__}"
            require("climbing", which, isinstance(part, nn.Module | Tensor), "a module, or several, or parameters")
        self.rho = rho
        self._modules = [part for part in given if isinstance(part, nn.Module)]
        parameters = [part for part in given if isinstance(part, Tensor)]
        parameters += [parameter for module in self._modules for parameter in module.parameters()]
        self._parameters = list({id(parameter): parameter for parameter in parameters}.values())
        require("climbing", "none", bool(self._parameters), "a module with parameters, or parameters")

    def backward(self, again: Callable[[], Losses], losses: Losses | None = None) -> Sharpness:
        """Add to `.grad` the gradient at w + ε.

        Args:
            again: Makes a forward pass over the step's batch with the weights as they are when it is called. It must
                give the same losses for the same weights, so noise such as dropout's must be seeded within it.
            losses: Those of a forward pass that was made already, which spares the first of two. Its graph is used up.
        """
        require("again", type(again).__name__, callable(again), "a function that makes a forward pass anew")
        first = _checked(again() if losses is None else losses)
        wanted = [parameter for parameter in self._parameters if parameter.requires_grad]
        found = torch.autograd.grad(first, wanted, allow_unused=True) if wanted else ()
        reached = [(p, g.to_dense() if g.is_sparse else g) for p, g in zip(wanted, found, strict=True) if g is not None]
        if not reached:
            raise InputError("losses must depend on a parameter that climbs, got none that does.")
        parameters, gradients = [p for p, _ in reached], [g for _, g in reached]
        norm = _norm(gradients)
        kept = [parameter.detach().clone() for parameter in parameters]
        buffers = [
            (module, name, buffer, buffer.clone())
            for part in self._modules
            for module in part.modules()
            for name, buffer in module.named_buffers(recurse=False)
        ]
        try:
            with torch.no_grad():
                for parameter, step in zip(parameters, ascent(gradients, self.rho), strict=True):
                    parameter.add_(step)
            changed_in_place()
            del found, reached, gradients
            climbed = _checked(again())
            torch.autograd.backward(climbed)
        finally:  # whatever happens: running out of memory and going on with a smaller batch is common
            with torch.no_grad():
                for parameter, before in zip(parameters, kept, strict=True):
                    parameter.copy_(before)
                for module, name, buffer, before in buffers:
                    buffer.copy_(before)
                    setattr(module, name, buffer)
            changed_in_place()
        return Sharpness(_total(first), _total(climbed), norm)


@dataclass(frozen=True, kw_only=True)
class SharpnessAwareOptions:
    """Options of sharpness-aware minimisation."""

    sam_rho: Annotated[float, NONNEGATIVE, Only("name", "sharpness-aware")] = 0.05
    """sharpness-aware: the radius ρ, at least 0; the gradient is that of the worst point within it."""


def build(options: SharpnessAwareOptions, network: nn.Module) -> SharpnessAware:
    """The rule that `options` describe; it takes two passes a step."""
    return SharpnessAware(network, options.sam_rho)


def _norm(gradients: Sequence[Tensor]) -> Tensor:
    """‖g‖, float64 where the device has it, on the first one's device."""
    device = gradients[0].device
    norms = [torch.linalg.vector_norm(g, dtype=_wide(g)) for g in gradients]
    total: Tensor = torch.linalg.vector_norm(torch.stack([norm.to(device) for norm in norms]))
    return total


def _wide(g: Tensor) -> torch.dtype:
    dtype = widest(g.device)
    return dtype.to_complex() if g.is_complex() else dtype


def _checked(losses: Losses) -> list[Tensor]:
    """The losses, each a scalar with a graph."""
    named = losses if isinstance(losses, Mapping) else {"": losses}
    if not named:
        raise InputError("losses must be at least one, got none.")
    for name, loss in named.items():
        which = f"the {name} loss" if name else "the loss"
        require(which, f"something of type {type(loss).__name__}", isinstance(loss, Tensor), "a scalar tensor")
        require(which, tuple(loss.shape), loss.numel() == 1, "a scalar")
        require(which, "a tensor that no parameter led to", loss.requires_grad, "one with a graph")
    return list(named.values())


def _total(losses: Sequence[Tensor]) -> Tensor:
    return torch.stack([loss.detach().reshape(()) for loss in losses]).sum()
