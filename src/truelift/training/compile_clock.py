"""How long torch's compiler has been at work in this process."""

import time
from typing import NamedTuple


class Spent(NamedTuple):
    """Seconds."""

    wall: float
    cpu: float
    """Of this process; the C++ compiler's processes are not in it."""

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(self.wall - other.wall, self.cpu - other.cpu)


class CompileClock:
    """Runs while torch compiles: before the first step, and whenever a changed network is compiled anew within a step.

    torch calls it as each compilation begins and ends, those of the backward pass too, which come with the first
    backward pass.

    Args:
        running: False: it stands at 0, and nothing of torch's compiler is imported.
    """

    def __init__(self, *, running: bool) -> None:
        self._wall = self._cpu = 0.0
        self._since: Spent | None = None
        if running:
            from torch._dynamo import callback

            callback.on_compile_start(self._start)
            callback.on_compile_end(self._stop)

    def _start(self, *_: object) -> None:
        self._since = Spent(time.perf_counter(), time.process_time())

    def _stop(self, *_: object) -> None:
        if self._since is not None:
            self._wall += time.perf_counter() - self._since.wall
            self._cpu += time.process_time() - self._since.cpu
            self._since = None

    def spent(self) -> Spent:
        """All of it, up to now."""
        return Spent(self._wall, self._cpu)
