"""The parts of a training, put together, and their checkpoint."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from truelift.data import ImageBatches, Preprocess
from truelift.errors import InputError
from truelift.models import Classifier
from truelift.techniques.exchange import Exchange
from truelift.training.checkpoint import (
    Stateful,
    UnusableCheckpointError,
    load_checkpoint,
    refuse_unreadable,
    save_checkpoint,
)
from truelift.training.distributed import World
from truelift.training.experiment import Experiment
from truelift.training.gradient_rules import GradientRule
from truelift.training.graphs import GraphedPasses
from truelift.training.hardware import Precision
from truelift.training.identity import fingerprint, fingerprints, identity
from truelift.training.meters import Meters
from truelift.training.objectives import Objective
from truelift.training.policies import Policy
from truelift.training.policies.base import Feed
from truelift.training.scaling import LossScale


@dataclass
class Training:
    """The parts of a training, put together."""

    experiment: Experiment
    device: str
    """Where it runs."""
    precision: Precision
    """fp32, bf16 or fp16."""
    network: Classifier
    objective: Objective
    rule: GradientRule
    optimizer: Optimizer
    policies: list[Policy]
    """In the order in which they are called."""
    batches: Feed
    evaluations: dict[str, ImageBatches]
    """Validation, where there is one, and test."""
    preprocess: Preprocess
    epochs: int
    """The experiment's, or more where freezing makes them cheaper (`freezing.const_time`)."""
    autocast: torch.autocast
    meters: Meters
    world: World
    """The processes that share each batch."""
    exchange: Exchange | None
    """Where there are several."""
    compiled: bool
    """Whether the network is compiled."""
    compiled_why: str
    """In a few words."""
    loss_scale: LossScale | None
    """In fp16."""
    graph: GraphedPasses | None
    """Where the steps' passes are recorded on a GPU."""
    graph_why: str
    """Why they are not; empty where they are."""

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps an epoch."""
        return self.batches.batches_per_epoch

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self.epochs * self.steps_per_epoch

    def entrance(self) -> contextlib.AbstractContextManager[None]:
        """Within it the network takes what `batches` yields: images, or what a policy made of them."""
        entrances = (policy.entrance() for policy in self.policies)
        return next((entrance for entrance in entrances if entrance is not None), contextlib.nullcontext())

    @contextlib.contextmanager
    def judged(self) -> Iterator[None]:
        """Within it the network is as its policies will have it evaluated."""
        with contextlib.ExitStack() as stack:
            for policy in self.policies:
                stack.enter_context(policy.judged())
            yield

    def shared(self) -> list[Tensor]:
        """What the processes have to agree on after a step's backward pass: gradients, and what the batch has moved."""
        parts = (self.network, self.objective)
        gradients = [p.grad for part in parts for p in part.parameters() if p.grad is not None]
        return gradients + [
            buffer
            for part in parts
            for module in part.modules()
            if module.training  # a frozen layer's running statistics stay
            for buffer in module.buffers(recurse=False)
            if buffer.is_floating_point()
        ]

    def logged(self) -> dict[str, float]:
        """What the policies log for a line of metrics.

        Raises:
            InputError: Two parts log under one name.
        """
        rule = f'gradient rule "{self.experiment.gradient.name}"'
        of_rule = dict.fromkeys(self.meters.of_rule, rule)
        whose = dict.fromkeys(self.meters.line_sums, Policy.whose) | of_rule
        found: dict[str, float] = {}
        for policy in self.policies:
            for name, value in policy.logged().items():
                if name in whose:
                    raise InputError(
                        f"{name} is logged by {whose[name]} and by {policy.whose}: a part of your own must log under "
                        "names of its own."
                    )
                found[name], whose[name] = value, policy.whose
        return found

    def skipped(self) -> dict[str, float]:
        """How many steps were left out, in a training that leaves steps out."""
        leaves_out = self.experiment.on_divergence == "skip-step" or self.loss_scale is not None
        return {"skipped_steps": self.meters.skipped} if leaves_out else {}

    @cached_property
    def run(self) -> str:
        """The run's fingerprint, which every checkpoint of today has."""
        return fingerprint(identity(self.experiment))

    def check_states(self) -> None:
        """Hold the parts' states to be such as a checkpoint can have.

        Before the first step a part that raises is passed over, since it may make its state in that step.

        Raises:
            InputError: A user's own part has something else in its own, or raises.
        """
        states = {}
        for name, part in self._stateful().items():
            try:
                states[name] = part.state_dict()
            except Exception:
                if self.meters.made:
                    raise
        refuse_unreadable(states)

    def save(self, path: Path) -> None:
        """Write a checkpoint, for all processes.

        Raises:
            InputError: As for `check_states`; then nothing is written.
        """
        if self.world.first:
            save_checkpoint(path, self._stateful(), self.run)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            UnusableCheckpointError: It is damaged, or another run's; the training has to be put together anew.
        """
        load_checkpoint(path, self._stateful(), fingerprints(self.experiment), self.device)
        if not 0 <= self.meters.step <= self.steps:
            raise UnusableCheckpointError(f"its step is {self.meters.step}, of {self.steps}")

    def _stateful(self) -> dict[str, Stateful]:
        # Policies first: the optimizer's state has a place for the parameters in training only.
        followers = {f"policy {number} {policy.name}": policy for number, policy in enumerate(self.policies)}
        scale: dict[str, Stateful] = {} if self.loss_scale is None else {"loss scale": self.loss_scale}
        return (
            followers
            | scale
            | {
                "network": self.network,
                "objective": self.objective,
                "optimizer": self.optimizer,
                "rule": self.rule,
                "meters": self.meters,
            }
        )
