"""CUDA graphs: a step's passes recorded once, and given to the GPU again as one piece of work.

A small network's step is hundreds of kernels of some microseconds each, which Python gives out more slowly than a GPU
does them. Recorded, they cost one call. What a recording does is fixed but for its tensors' contents: so only steps are
recorded whose Python takes the same path each time, and whatever may turn it is compared before each step (`_key`).
"""

import gc
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from truelift.data import Batch
from truelift.errors import InputError, one_line
from truelift.garbage import no_collection
from truelift.own import is_import_path
from truelift.training.experiment import Experiment

_PRACTICE = 2
"""Passes before the first recording: libraries choose their kernels and take their memory, which cannot be recorded. A
compiled network needs them before each, since it may be compiled anew."""


class Passed(NamedTuple):
    """What a step's forward and backward pass tell; the gradients are in the parameters' `.grad`."""

    losses: dict[str, Tensor]
    """The main one first."""
    error: Tensor
    logged: dict[str, Tensor]
    """What the gradient rule said."""

    def detached(self) -> "Passed":
        """The same, with losses that hold nothing of the passes."""
        return self._replace(losses={name: loss.detach() for name, loss in self.losses.items()})


Passes = Callable[[Batch], Passed]


def why_not(experiment: Experiment, device: str, precision: str, processes: int) -> str | None:
    """Why a training's steps are not recorded; none where they are.

    Args:
        experiment: Resolved.
        device: Where it runs.
        precision: fp32, bf16 or fp16.
        processes: That train together.
    """
    own = [
        experiment.model.name,
        experiment.objective.name,
        experiment.freezing.name,
        experiment.optimizer.name,
        *experiment.policy.names,
        *experiment.augmentation.names,
    ]
    reasons = {
        "cuda_graphs is false": not experiment.cuda_graphs,
        "it is no CUDA GPU": not device.startswith("cuda"),
        "several processes train": processes > 1,
        "losses are scaled": precision == "fp16",
        "a part of one's own may change from step to step": any(map(is_import_path, own)),
        "there are two tasks": experiment.has_auxiliary_task,
        "the gradient rule decides by what it finds": experiment.gradient.name not in ("sum", "sharpness-aware"),
        "freezing reads what it decides by": experiment.freezing.name not in ("none", "freezeout"),
        "activations of frozen layers are kept": experiment.freezing.cache != "none",
        "batch norm's momentum changes from step to step": experiment.batch_norm_momentum == "dynamic",
        "steps may be left out": experiment.on_divergence == "skip-step",
        "activations are recomputed": experiment.model.recompute,
        "blocks are left out at random": experiment.model.stochastic_depth != 0,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


class _Recording(NamedTuple):
    """Passes that were recorded, and the tensors which they read and write."""

    key: tuple[Any, ...]
    """What they take for granted."""
    graph: torch.cuda.CUDAGraph
    batch: Batch
    gradients: list[Tensor | None]
    passed: Passed


class GraphedPasses:
    """Makes a step's passes from a recording, which it makes anew whenever something of `_key` has changed.

    Weights, running statistics and draws are those of the passes themselves: what draws is seeded before each step, and
    a recording draws from the seed of the moment.

    Each step leaves its gradients in the same tensors: what keeps one longer has to copy it.

    Args:
        modules: Whose parameters and buffers the passes use.
        compiled: Whether `torch.compile` makes some of them, anew whenever something has changed.
    """

    def __init__(self, modules: Sequence[nn.Module], *, compiled: bool = False) -> None:
        self._compiled = compiled
        self._modules = [inner for module in modules for inner in module.modules()]
        self._parameters = [p for module in modules for p in module.parameters()]
        self._buffers = [b for module in modules for b in module.buffers()]
        self.recordings = 0
        """How often the passes were recorded."""
        self.failure: str | None = None
        """Why they cannot be; from then on they are made as without."""
        self._recording: _Recording | None = None

    def __call__(self, batch: Batch, passes: Passes, seed: Callable[[], None]) -> Passed:
        """The passes over a batch.

        Args:
            batch: On the GPU, without an auxiliary part.
            passes: Makes them; it neither seeds nor waits.
            seed: Seeds what they draw from.

        Raises:
            InputError: Recording fails, and nothing can be drawn on the GPU after that.
        """
        with torch.cuda.device(batch.images.device):  # which need not be the first
            recording = self._recording_for(batch, passes) if self.failure is None else None
            seed()
            return passes(batch).detached() if recording is None else self._again(recording, batch)

    def _again(self, recording: _Recording, batch: Batch) -> Passed:
        recording.batch.images.copy_(batch.images)
        recording.batch.labels.copy_(batch.labels)
        recording.graph.replay()
        for parameter, gradient in zip(self._parameters, recording.gradients, strict=True):
            parameter.grad = gradient
        losses, error, logged = recording.passed  # which the next step overwrites
        return Passed(
            {name: loss.clone() for name, loss in losses.items()},
            error.clone(),
            {name: value.clone() for name, value in logged.items()},
        )

    def _key(self, batch: Batch) -> tuple[Any, ...]:
        """What a recording takes for granted: shapes, who trains, and where everything lies."""
        return (
            *((part.shape, part.stride(), part.dtype) for part in (batch.images, batch.labels)),
            tuple(module.training for module in self._modules),
            tuple((p.requires_grad, p.data_ptr()) for p in self._parameters),
            tuple(b.data_ptr() for b in self._buffers),
        )

    def _recording_for(self, batch: Batch, passes: Passes) -> _Recording | None:
        """The recording of such a batch; none where recording fails."""
        key = self._key(batch)
        if self._recording is not None and self._recording.key == key:
            return self._recording
        failure = None
        try:
            self._recording = self._record(key, batch, passes)
        except RuntimeError as error:  # too little memory, or what a library does that cannot be recorded
            failure = one_line(error)[:300]
        if failure is not None:  # no sooner: the error's frames held memory
            self._give_up(failure, batch.images.device)
        return self._recording

    def _give_up(self, failure: str, device: torch.device) -> None:
        self.failure = failure
        self._recording = None
        torch.cuda.empty_cache()
        try:
            _renew_generator(device)
        except RuntimeError:
            raise InputError(f"cuda_graphs must be false here, where recording fails ({failure}).") from None
        print(f"truelift: going on without CUDA graphs, since recording fails ({failure})", file=sys.stderr)

    def _record(self, key: tuple[Any, ...], batch: Batch, passes: Passes) -> _Recording:
        """Record the passes; nothing of weights and statistics is changed by that."""
        first = self._recording is None  # the memory of one before is taken over, and for that it must live until then
        if first:
            self._pool = torch.cuda.graph_pool_handle()
            self._stream = torch.cuda.Stream()
        batch = Batch(batch.images.clone(), batch.labels.clone())
        graph = torch.cuda.CUDAGraph()
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        self._drop_gradients()  # so that the backward pass makes them
        try:
            with torch.cuda.stream(self._stream):
                if first or self._compiled:
                    self._practise(batch, passes)
                with no_collection():  # to free an old recording is no part of a new one
                    passed = _capture(graph, self._pool, lambda: passes(batch))
                gradients = [p.grad for p in self._parameters]
        finally:
            self._drop_gradients()
        current.wait_stream(self._stream)
        self.recordings += 1
        return _Recording(key, graph, batch, gradients, passed.detached())

    def _practise(self, batch: Batch, passes: Passes) -> None:
        kept = [buffer.clone() for buffer in self._buffers]
        try:
            for _ in range(_PRACTICE):
                passes(batch)
                self._drop_gradients()
        finally:
            with torch.no_grad():
                for buffer, value in zip(self._buffers, kept, strict=True):
                    buffer.copy_(value)
        # What practice took is not given back while a recording takes as much again.
        torch.cuda.synchronize()
        gc.collect()
        torch.cuda.empty_cache()

    def _drop_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None


def _capture(graph: torch.cuda.CUDAGraph, pool: Any, passes: Callable[[], Passed]) -> Passed:
    graph.capture_begin(pool=pool, capture_error_mode="thread_local")
    try:
        passed = passes()
    except BaseException:
        with suppress(RuntimeError):  # the first error is the one to tell
            graph.capture_end()
        raise
    graph.capture_end()
    return passed


def _renew_generator(device: torch.device) -> None:
    """Draw from a new state: a recording that broke off leaves the old one as if it went on. Each step seeds it anew.

    Raises:
        RuntimeError: Still nothing can be drawn.
    """
    state = torch.Generator(device).graphsafe_get_state()
    torch.cuda.default_generators[device.index].graphsafe_set_state(state)
    torch.rand((), device=device)
