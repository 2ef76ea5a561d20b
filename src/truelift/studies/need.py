"""What memory a run takes at its peak, counted before it runs. B images a batch, of C channels, H rows, W columns.

A forward pass on torch's meta device, which computes nothing, or for a small network one of zeros, shows what autograd
keeps for the backward pass. The constants are what is added to that, as measured (Linux, CPU, torch 2.13): nine
trainings, of small and wide, residual and densely connected networks, fp32 and bf16, took 0.83 to 1.14 times what is
counted here. Counting took 5 to 74 ms.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from truelift.data import ImageSet, Splits
from truelift.data.photographs import Photographs
from truelift.errors import InputError
from truelift.models import Classifier
from truelift.own import is_import_path
from truelift.records import Run
from truelift.studies.plan import PlannedRun
from truelift.studies.start import can_fork
from truelift.techniques.small import is_small
from truelift.training.evaluation import evaluation_batch_size
from truelift.training.parts import Training

_MIB = 2**20

_IMPORTED = 460 * _MIB
"""Of a run that trains next to nothing: 350 imported, the rest for reading data, and the allocator's reserve."""

_SHARED = 280 * _MIB
"""Of it what runs share that are forked from a server which has imported it."""

_SHARED_AT_LEAST = 190 * _MIB
"""The same of runs of small networks: torch's compiler is imported in none of them."""

_BACKWARD, _EVALUATION = 8, 4
"""Tensors as large as the largest of the network that live at a time, beside what is kept for the backward pass: a
step's gradients and what convolutions rearrange, and those of an evaluation. The allocator keeps both."""

_DECODER, _BATCHES_AHEAD = 120 * _MIB, 2
"""Of a process that decodes photographs, and batches that it is ahead. Not measured."""

_CONTEXT = 700 * _MIB
"""Of a GPU's memory before anything is on it: the driver's, the libraries' workspaces. Not measured."""


@dataclass(frozen=True)
class Need:
    """What a run takes at its peak, in bytes."""

    host: int
    """Of the machine's memory, what it shares with others too (VmHWM)."""
    shared: int = 0
    """Of it, what is there already when a run begins."""
    gpu: int = 0
    """Of its GPU's memory."""
    device: str = "cpu"
    """Where it trains."""

    @property
    def own(self) -> int:
        """What each further run takes of the machine's memory."""
        return max(0, self.host - self.shared)


def need_of(training: Training, splits: Splits) -> Need | None:
    """What a training will take, or None where its network cannot be run without data.

    With A the bytes that autograd keeps of a batch, a those of the largest tensor in it, P the weights', n their copies
    (weights, gradients, the optimizer's state, averages; in half precision half a copy more) and E the images of a step
    of evaluation:  A + 8·a + 4·a·E/B + n·P + images + what is imported.

    Not counted: what follows a training (probe, detection), compiling, and what a user's own parts keep.

    Args:
        training: Put together for this alone: afterwards its network may be without data.
        splits: Its images.
    """
    experiment, parts = training.experiment, (training.network, training.objective)
    weights = sum(tensor.nbytes for part in parts for tensor in part.state_dict().values())
    channels, height, width = splits.train.shape
    side = max(experiment.data.progressive or (height,))
    batch = min(experiment.batch_size, len(splits.train))
    halves = training.precision != "fp32"
    try:
        of_step = (batch, channels, side, side * width // height)
        # A network of the user's own may enlarge images, so that little weights say nothing of a small pass.
        computes = is_small(training.network, of_step) and not is_import_path(experiment.model.name)
        kept, largest = _kept(training.network, of_step, halves, "cpu" if computes else "meta")
    except Exception:  # a network of the user's own may look at its numbers
        return None
    held_out = [part for part in (splits.validation, splits.test) if part is not None]
    shown = min(evaluation_batch_size(height, width), max(map(len, held_out)))
    states = 1 if isinstance(training.optimizer, torch.optim.SGD) else 2
    copies = 2 + states + len(experiment.policy.names) + halves / 2
    tasks = 1 + experiment.has_auxiliary_task
    step = tasks * kept + largest * (_BACKWARD + _EVALUATION * shown / batch)
    everything = [part for part in (splits.train, splits.auxiliary, *held_out) if part is not None]
    images = sum(part.images.nbytes for part in everything if isinstance(part, ImageSet))
    of_training = int(step + copies * weights) + images
    host = _IMPORTED + _decoding(everything, batch)
    shared = _SHARED if can_fork() else 0
    if training.device.startswith("cuda"):
        return Need(host + images, shared, _CONTEXT + of_training, training.device)
    return Need(host + of_training, shared)


def need_of_probe(peak_bytes: int, device: str) -> Need:
    """What a training takes whose peak a probe has measured: of its GPU's memory, or else of the machine's."""
    shared = _SHARED_AT_LEAST if can_fork() else 0
    if device.startswith("cuda"):
        return Need(_IMPORTED, shared, _CONTEXT + peak_bytes, device)
    return Need(peak_bytes, shared)


def need_of_programs(runs: Mapping[Path, PlannedRun]) -> dict[str, Need]:
    """What runs of the user's programs have taken at most, by variant, as far as one has ended.

    Args:
        runs: Of a study, by their folders.
    """
    found: dict[str, Need] = {}
    for path, run in runs.items():
        if run.experiment is None:
            try:
                peak = Run(run.variant, run.seed, path).result().get("peak_bytes", 0)
            except InputError:  # it has none
                continue
            found[run.variant] = Need(max(peak, found.get(run.variant, Need(0)).host))
    return found


def _kept(network: Classifier, shape: tuple[int, ...], halves: bool, device: str) -> tuple[int, int]:
    """Bytes that autograd keeps of a forward pass of images (B, C, H, W), weights left out, and its largest part's."""
    network.forget_compiled()
    network.to(device).train()
    weights = {tensor.untyped_storage()._cdata for tensor in (*network.parameters(), *network.buffers())}
    kept: dict[int, int] = {}
    alive: list[Tensor] = []  # so that no storage takes another's place

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            # Under autocast, which meta tensors know nothing of, they would be halves.
            kept[storage._cdata] = storage.nbytes() // (2 if halves and tensor.dtype == torch.float32 else 1)
            alive.append(tensor)
        return tensor

    images = torch.zeros(shape, device=device).contiguous(memory_format=torch.channels_last)
    with torch.random.fork_rng(devices=[]), saved_tensors_hooks(keep, lambda tensor: tensor):
        output = network(images)
    del output
    return sum(kept.values()), max(kept.values(), default=0)


def _decoding(parts: Iterable[object], batch: int) -> int:
    """What the processes take that decode a run's photographs."""
    streamed = [part for part in parts if isinstance(part, Photographs)]
    if not streamed:
        return 0
    bytes_ahead = _BATCHES_AHEAD * batch * streamed[0].shape.numel()
    return max(part.workers for part in streamed) * (_DECODER + bytes_ahead)
