"""Whether layers' outputs still change, by the similarities of some images. B images, L layers."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from truelift.errors import InputError
from truelift.techniques.compiled_graphs import import_compiler
from truelift.techniques.exchange import processes
from truelift.techniques.freezeout.signals import Signal

_SMOOTHING = 0.5
"""Weight of the newest distance in the moving average."""


def similarities(activations: Tensor) -> Tensor:
    """G, the similarity of each image to each: A·Aᵀ for activations A (B, …) laid out in rows, each row scaled to 1."""
    rows = activations.flatten(1)
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    return F.normalize(rows @ rows.T)


def distance(before: Tensor, now: Tensor) -> Tensor:
    """‖G before − G now‖²_F / B², a scalar in [0, 4/B]."""
    return (before - now).square().mean()


class RepresentationSignal(Signal):
    """A layer is quiet where its output for some fixed images moves little, by its own measure.

    Formula, A_l a layer's output for B images in inference mode, a row an image:

        G_l = A_l·A_lᵀ, each row scaled to length 1
        d_l = ‖G_l before − G_l now‖²_F / B²,  s_l = ½·s_l before + ½·d_l
        quiet where s_l < tolerance · the largest s_l so far

    It costs one forward pass of the images an interval. Where a process group is there, the first process's d_l
    count for all: it is the one whose state is kept.

    Args:
        network: The network.
        layers: Its layers, each a list of modules, of which the last must be called once in a forward pass.
        images: B of them, at least 2, as the network takes them, on its device.
        tolerance: In [0, 1].

    Raises:
        InputError: At the first measurement, a layer's last module is not called, or the network does not take the
            images.

    Source:
        Wang, Sun, Chen, Lai, Chowdhury, "Egeria: Efficient DNN Training with Knowledge-Guided Layer Freezing", arXiv
        2201.06227, whose plasticity is this distance (Tung and Mori, "Similarity-Preserving Knowledge Distillation",
        arXiv 1907.09682), averaged over the past. Deviations: there the reference is a quantised copy of the network,
        renewed now and then, and the images are the training's; here it is the same images' last measurement, so that
        the distance itself is a movement, and no second network is kept. There the slope of the plasticity is held
        against a tolerance.
    """

    def __init__(self, network: nn.Module, layers: Sequence[list[nn.Module]], images: Tensor, tolerance: float) -> None:
        import_compiler()
        self.network = network
        self.layers = layers[:-1]
        self.images = images
        self.tolerance = tolerance
        self.before: list[Tensor] = []
        self.averages: list[float | None] = [None] * len(self.layers)
        self.largest = [0.0] * len(self.layers)

    def add(self, frozen: int, overflowed: Tensor | None = None) -> None:
        """The gradients do not matter."""

    def quiet(self, frozen: int) -> list[bool]:
        """Compare the outputs with those measured last; nothing is quiet at the first measurement."""
        first, now = not self.before, self._measure(frozen)
        before, self.before = self.before[-len(now) :], now
        if first or not now:
            return [False] * len(now)
        distances = _of_first_process(torch.stack([distance(b, n) for b, n in zip(before, now, strict=True)]))
        quiet = []
        for layer, moved in enumerate(distances.tolist(), frozen):
            past = self.averages[layer]
            average = moved if past is None else (1 - _SMOOTHING) * past + _SMOOTHING * moved
            self.averages[layer], self.largest[layer] = average, max(self.largest[layer], average)
            quiet.append(average < self.tolerance * self.largest[layer])
        return quiet

    def state_dict(self) -> dict[str, Any]:
        """The similarities measured last, the moving averages, and their largest values."""
        return {"before": self.before, "averages": self.averages, "largest": self.largest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.before = [matrix.to(self.images.device) for matrix in state["before"]]
        self.averages, self.largest = list(state["averages"]), list(state["largest"])

    def _measure(self, frozen: int) -> list[Tensor]:
        """G of each layer in training but the last."""
        found: dict[int, Tensor] = {}
        numbers = range(frozen, len(self.layers))
        with contextlib.ExitStack() as stack:
            for number in numbers:

                def keep(module: nn.Module, args: Any, output: Any, number: int = number) -> None:
                    # At once: what follows may work in place.
                    found[number] = similarities(_rows(output, len(self.images)))

                stack.callback(self.layers[number][-1].register_forward_hook(keep).remove)
            stack.enter_context(torch.no_grad())
            stack.enter_context(_evaluating(self.network))
            # A compiled network does not heed new hooks.
            stack.enter_context(torch.compiler.set_stance("force_eager"))
            try:
                self.network(self.images)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                reason = (str(error).strip().splitlines() or [""])[0]
                raise InputError(
                    f"images must be what the network takes, got {tuple(self.images.shape)} of {self.images.dtype} at "
                    f"which it says {type(error).__name__}: {reason}"
                ) from error
        for number in numbers:
            if number not in found:
                kind = type(self.layers[number][-1]).__name__
                raise InputError(f"layers must each end in a module that is called, got {kind} in layer {number}.")
        return [found[number] for number in numbers]


@contextlib.contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """All of the network in inference mode, then each module as it was."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _rows(output: Any, images: int) -> Tensor:
    """What a layer gives, a row an image: of a tuple or dictionary all numbers that come by images."""
    tensors = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    return torch.cat([tensor.flatten(1) for tensor in tensors if tensor.dim() > 1 and len(tensor) == images], 1)


def _of_first_process(values: Tensor) -> Tensor:
    """The first process's, where there are several: all decide alike, and as a run does that goes on from its state."""
    if processes() > 1:
        dist.broadcast(values, 0)
    return values
