"""Third seam: from training progress to each parameter group's learning rate, and to what else follows the progress.

The loop, the checkpoint and the result ask all policies, and know none by name.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch import Tensor
from torch.optim import Optimizer

from truelift.data import Batch
from truelift.models import Classifier
from truelift.techniques.freezeout import tells_layers


@dataclass(frozen=True)
class Progress:
    """Where the training is before a step."""

    step: int
    """Steps made, from 0."""
    steps_per_epoch: int
    steps: int
    """Steps of the whole training."""
    last_error: Tensor | None = None
    """Percent of the last step's images whose label was not the class with the largest logit; None before the first."""

    @property
    def step_in_epoch(self) -> int:
        """Steps made since the epoch began."""
        return self.step % self.steps_per_epoch


class Feed(Protocol):
    """Where the training's batches come from."""

    @property
    def batches_per_epoch(self) -> int:
        """Steps an epoch."""
        ...

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from `start` on."""
        ...


class Around(NamedTuple):
    """What surrounds a policy that is to be built."""

    network: Classifier
    optimizer: Optimizer
    images: Callable[[int], Tensor]
    """Some training images as the network takes them, at most so many; of several processes all have the same."""
    steps: int
    """Optimizer steps of the whole training."""

    def example(self) -> Tensor | None:
        """Images by which the layers of a network are found that does not tell them itself."""
        return None if tells_layers(self.network) else self.images(2)


class Policy:
    """Called before every step; by itself it does nothing and remembers nothing."""

    name: str
    """Under which its state is kept; each policy of a training has another."""
    whose = "the training itself"
    """Who logs what it logs, for messages."""

    def __call__(self, progress: Progress) -> None:
        """Set what the coming step shall use."""

    def stepped(self) -> None:
        """The optimizer has made its step."""

    def ended(self) -> None:
        """All steps are made or left out; the state is saved after it. A resumed run may call it once more."""

    def batches(self, batches: Feed) -> Feed:
        """What the training shall take in place of `batches`, asked once, when it is put together."""
        return batches

    def entrance(self) -> contextlib.AbstractContextManager[None] | None:
        """Within it the network takes what `batches` gives; None where that is images, as ever."""
        return None

    def judged(self) -> contextlib.AbstractContextManager[None]:
        """Within it the network is as it shall be evaluated."""
        return contextlib.nullcontext()

    def logged(self) -> dict[str, float]:
        """Numbers for a line of metrics, by name."""
        return {}

    def result(self) -> dict[str, float]:
        """Numbers for the run's result, by name."""
        return {}

    def stages(self) -> Sequence[float] | None:
        """Where each layer's training ends, in shares of the training, from the first; None where nothing freezes."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave. It comes before the optimizer's state is loaded."""
