"""Options of the tasks: which classes are told apart, and a second task beside them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from truelift.options import Conflict, In, Only, at_least
from truelift.techniques.gradient_similarity import StatisticsRule


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """The main task, where it is not all classes, and an auxiliary one on the same trunk."""

    main: tuple[str, ...] = ()
    """Names of classes: one against as many random others, or several against each other. Default: all classes."""

    auxiliary: tuple[str, ...] = ()
    """The auxiliary task's classes, given in the same way. Default: no auxiliary task."""

    auxiliary_rotation: Annotated[float | None, In("in [-360, 360]", lambda degrees: -360 <= degrees <= 360)] = None
    """Degrees by which training images are turned: the auxiliary task is the main one on these images."""

    auxiliary_batch_size: Annotated[
        int | None, at_least(1, 10_000_000), Only("auxiliary"), Only("auxiliary_rotation")
    ] = None
    """Images of the auxiliary task per step; at least 1. Default: batch_size."""

    batch_norm: Annotated[StatisticsRule, Only("auxiliary"), Only("auxiliary_rotation")] = "main"
    """Which task's batches update the trunk's running statistics: main, joint (both tasks'), or separate ones for
    each."""

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between these options."""
        one = self.auxiliary_rotation is None or not self.auxiliary
        yield "auxiliary_rotation", one, "left out where tasks.auxiliary is given"
