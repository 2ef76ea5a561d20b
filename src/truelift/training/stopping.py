"""SIGTERM between two steps: all processes of a training stop at the same one. R processes."""

import torch
import torch.distributed as dist

from truelift import signals
from truelift.training.distributed import World


class Stop:
    """Whether to stop after a step, as all processes agree.

    One alone stops as soon as it is asked. Of several each may hear of it at another step: after every step they add up
    who has, beside the training, and look at the sum of the step before, for which nobody waits.
    """

    def __init__(self, world: World) -> None:
        self._group = dist.new_group(backend="gloo") if world.size > 1 else None
        self._asked = torch.zeros(1)
        self._work: dist.Work | None = None

    def __call__(self) -> bool:
        """Whether to stop now; each process asks after every step."""
        if self._group is None:
            return signals.preempted()
        stop = self.finish()
        self._asked = torch.tensor([float(signals.preempted())])
        self._work = dist.all_reduce(self._asked, group=self._group, async_op=True)
        return stop

    def finish(self) -> bool:
        """What the sum under way says; afterwards none is."""
        if self._work is None:
            return False
        self._work.wait()
        self._work = None
        return bool(self._asked.item())
