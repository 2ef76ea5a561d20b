"""What a schedule saves: counted, as the paper's authors estimated it, and timed. L layers, b of them frozen."""

import contextlib
import copy
import time
from collections.abc import Callable, Sequence
from statistics import median

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from truelift.errors import InputError, whole
from truelift.techniques.freezeout.counting import OperationCounter
from truelift.techniques.freezeout.layer import Layer
from truelift.techniques.freezeout.layers import Layers, find_layers
from truelift.techniques.freezeout.schedule import Scaling, freezing_points, freezing_stages
from truelift.techniques.small import MOST, is_small


def counted_costs(network: nn.Module, images: Tensor, layers: Layers | None = None) -> list[int]:
    """Operations of a training step with b = 0 … L − 1 layers frozen.

    Counted as by torch's FlopCounterMode, over a real forward and backward pass without data (on torch's meta device),
    or of zeros where the network is small: all matrix products and convolutions, forward, for weights and for inputs.
    So nothing is counted for what does not happen: the weights' gradients of frozen layers, every input gradient before
    the first active layer, and that layer's own. Norms, activations and the optimizer are not counted.

    Args:
        network: Any network; it is copied, and left as it is.
        images: A batch, of which only the shape counts.
        layers: As for `FreezeOut`.

    Returns:
        L counts; a multiplication and addition are two operations.
    """
    network, images = _counted_alone(network, images)
    network.train()
    found = find_layers(network, layers, example=images)
    costs = []
    for frozen in range(len(found)):
        _freeze_first(found, frozen)
        costs.append(_counted_step(network, images))
    return costs


def plain_cost(network: nn.Module, images: Tensor) -> int:
    """Operations of a training step with nothing frozen, counted as in `counted_costs`: its first, of any network."""
    network, images = _counted_alone(network, images)
    return _counted_step(network.train(), images)


def saving(stages: Sequence[float], costs: Sequence[float]) -> float:
    """The share of the plain training's cost that a schedule saves, in [0, 1).

    1 − Σ_b d_b·c_b / c_0, d_b the share of the training with b layers frozen.

    Args:
        stages: Where each of the L layers leaves the training, in [0, 1], rising (`FreezeOut.stages`).
        costs: c_b of a step with b = 0 … L − 1 layers frozen, operations or seconds.

    Raises:
        InputError: The two differ in length.
    """
    if len(stages) != len(costs):
        raise InputError(f"costs must be one for each of the {len(stages)} stages, got {len(costs)}.")
    # With b layers frozen: from where the b-th froze to where the next does; the last one never does.
    ends = [*stages[:-1], 1.0]
    begins = [0.0, *ends[:-1]]
    spent = sum((end - begin) * cost for begin, end, cost in zip(begins, ends, costs, strict=True))
    return 1 - spent / costs[0]


def predicted_saving(
    network: nn.Module,
    images: Tensor,
    layers: Layers | None = None,
    *,
    t0: float = 0.8,
    scaling: Scaling | Callable[[float], float] = "cubic",
    freeze_every: int = 1,
    measure: bool = False,
) -> float:
    """The share of a plain training's cost that FreezeOut with these options will save, in [0, 1).

    In operations (`counted_costs`), or, with `measure`, in seconds of forward and backward here (`timed_costs`).

    Args:
        network: Any network; it is copied, and left as it is.
        images: A batch, with `measure` on the network's device and of the size that the training will have.
        layers: As for `FreezeOut`.
        t0: As for `FreezeOut`.
        scaling: As for `FreezeOut`.
        freeze_every: As for `FreezeOut`.
        measure: Whether to time the network.

    Raises:
        InputError: An argument is out of range, or the layers do not fit the network.
    """
    costs = timed_costs(network, images, layers) if measure else counted_costs(network, images, layers)
    return saving(freezing_stages(freezing_points(len(costs), t0, scaling), freeze_every), costs)


def authors_estimate(
    network: nn.Module, images: Tensor, points: Sequence[float], *, linear: bool, layers: Layers | None = None
) -> float:
    """The saving as the paper's authors estimate it, for comparison.

    1 − Σ_i c_i·(1 + t_i) / (2·Σ_i c_i) with c_i a layer's forward operations: a backward pass as dear as a forward one,
    and the last layer left out; times 1.3 for the linear schedule, which they fitted. Deviation: their code counts a
    DenseNet's layers by a formula; here they are counted as in `counted_costs`, for any network.
    """
    network = _without_data(network).train()
    found = find_layers(network, layers)
    with FlopCounterMode(display=False) as counter, contextlib.ExitStack() as hooks:
        forward = [0.0] * len(found)
        for i, layer in enumerate(found):
            for module in layer:
                _count_forward(module, i, forward, counter, hooks)
        with torch.no_grad():
            network(torch.empty_like(images, device="meta"))
    body = list(zip(forward[:-1], points[:-1], strict=True))
    saved = 1 - sum(c * (1 + t) for c, t in body) / (2 * sum(c for c, _ in body))
    return 1.3 * saved if linear else saved


def timed_costs(
    network: nn.Module, images: Tensor, layers: Layers | None = None, *, probes: int = 9, repeats: int = 7
) -> list[float]:
    """Seconds of a forward and backward pass with b = 0 … L − 1 layers frozen.

    Timed at some b, in turn, and taken between them in a line over the counted operations: operations are not time,
    but between neighbouring stages they are nearly in proportion.

    Args:
        network: Any network on its device; it is copied, and left as it is.
        images: A batch on that device, of the size that the training will have.
        layers: As for `FreezeOut`.
        probes: How many b to time, at least 2.
        repeats: Steps at each; their median counts. At least 1.

    Raises:
        InputError: An argument is out of range.
    """
    whole("probes", probes, 2, 10**6)
    whole("repeats", repeats, 1, 10**6)
    counted = counted_costs(network, images, layers)
    network = copy.deepcopy(network).train()
    found = find_layers(network, layers, example=images[:2])
    last = len(counted) - 1
    at = sorted({round(last * probe / (probes - 1)) for probe in range(probes)})
    seconds: dict[int, list[float]] = {b: [] for b in at}
    for repeat in range(repeats + 1):
        for b in at:
            _freeze_first(found, b)
            took = _timed_step(network, images)
            if repeat:  # the first round warms up
                seconds[b].append(took)
    known = {b: median(times) for b, times in seconds.items()}
    return [_between(b, known, counted) for b in range(last + 1)]


def _counted_alone(network: nn.Module, images: Tensor) -> tuple[nn.Module, Tensor]:
    """A copy whose passes are for counting, and its images: on the meta device, or zeros where it is small."""
    if is_small(network, images.shape):
        return _copied(network, lambda tensor: torch.zeros_like(tensor, device="cpu")), torch.zeros(images.shape)
    return _without_data(network), torch.empty_like(images, device="meta")


def _without_data(network: nn.Module) -> nn.Module:
    """A copy on the meta device; unlike `network.to("meta")`, what is shared stays shared."""
    return _copied(network, lambda tensor: torch.empty_like(tensor, device="meta"))


def _copied(network: nn.Module, made: Callable[[Tensor], Tensor]) -> nn.Module:
    copies: dict[int, object] = {id(b): made(b) for b in network.buffers()}
    for p in network.parameters():
        copies[id(p)] = nn.Parameter(made(p), requires_grad=p.requires_grad)
    return copy.deepcopy(network, copies)


def _counted_step(network: nn.Module, images: Tensor) -> int:
    """Operations of a step of a copy for counting."""
    if not images.is_meta:
        # Anything may go wrong in a network of somebody's own that is given zeros: then it is given nothing at all.
        counter = OperationCounter(6 * MOST)  # two for a multiplication and addition, forward and twice backward
        with contextlib.suppress(Exception), torch.random.fork_rng(devices=[]), counter:
            _step(network, images)
            return int(counter.operations)
        network, images = _without_data(network), torch.empty_like(images, device="meta")
    with FlopCounterMode(display=False) as slower:
        _step(network, images)
    return int(slower.get_total_flops())


def _between(b: int, known: dict[int, float], counted: Sequence[int]) -> float:
    """The time at b, in a line over the operations between the nearest times known."""
    if b in known:
        return known[b]
    before, after = max(k for k in known if k < b), min(k for k in known if k > b)
    span = counted[before] - counted[after]
    share = (counted[before] - counted[b]) / span if span else 0.0
    return known[before] + share * (known[after] - known[before])


def _freeze_first(layers: list[Layer], frozen: int) -> None:
    """As FreezeOut has it with so many layers frozen."""
    for number, layer in enumerate(layers):
        for module in layer:
            module.train(number >= frozen)
        for parameter in layer.parameters:
            parameter.requires_grad_(number >= frozen)


def _step(network: nn.Module, images: Tensor) -> None:
    out: Tensor = network(images)
    torch.autograd.backward(out.float().square().mean())
    network.zero_grad()


def _timed_step(network: nn.Module, images: Tensor) -> float:
    def wait() -> None:
        if images.device.type == "cuda":
            torch.cuda.synchronize(images.device)

    wait()
    began = time.perf_counter()
    _step(network, images)
    wait()
    return time.perf_counter() - began


def _count_forward(
    module: nn.Module, layer: int, forward: list[float], counter: FlopCounterMode, hooks: contextlib.ExitStack
) -> None:
    """Add the operations inside `module`'s forward passes to its layer's; for a mere container, its parts'."""
    if isinstance(module, nn.ModuleList):
        for child in module:
            _count_forward(child, layer, forward, counter, hooks)
        return
    begins: list[int] = []
    before = module.register_forward_pre_hook(lambda *_: begins.append(counter.get_total_flops()))

    def end(*_: object) -> None:
        forward[layer] += counter.get_total_flops() - begins.pop()

    after = module.register_forward_hook(end)
    hooks.callback(before.remove)
    hooks.callback(after.remove)
