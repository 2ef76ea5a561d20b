"""How the margin α, or the weight λ of the likelihood term, moves with the steps. t steps made."""

from collections.abc import Callable
from dataclasses import dataclass

from truelift.errors import real, whole

Schedule = Callable[[int], float]
"""From steps made to a value, at least 0. Those here are plain objects, which can be copied, pickled and compared."""


def constant(value: float) -> Schedule:
    """Always `value`, which must be at least 0 and finite."""
    _check("value", value)
    return _Constant(value)


def doubling(initial: float, *, every_steps: int, cap: float) -> Schedule:
    """min(cap, initial·2^⌊t / every_steps⌋), as the authors' Caffe edition moves the margin: 0.1, 0.2, 0.3, 0.3, ….

    Args:
        initial: At least 0.
        every_steps: At least 1 (5,000 there).
        cap: At least `initial` (0.3 there).

    Raises:
        InputError: An argument is out of range.
    """
    _check("initial", initial)
    _check("cap", cap, least=initial)
    whole("every_steps", every_steps, 1)
    return _Doubling(initial, every_steps, cap)


def ramp(final: float, *, steps: int) -> Schedule:
    """final·min(1, t / steps), as the authors' journal version moves both over its first 30 epochs.

    Args:
        final: At least 0.
        steps: Length of the ramp, at least 1.

    Raises:
        InputError: An argument is out of range.
    """
    _check("final", final)
    whole("steps", steps, 1)
    return _Ramp(final, steps)


@dataclass(frozen=True)
class _Constant:
    value: float

    def __call__(self, steps: int) -> float:
        return self.value


@dataclass(frozen=True)
class _Doubling:
    initial: float
    every_steps: int
    cap: float

    def __call__(self, steps: int) -> float:
        # Beyond 1023 doublings a float has no room.
        return min(self.cap, self.initial * 2.0 ** min(steps // self.every_steps, 1023))


@dataclass(frozen=True)
class _Ramp:
    final: float
    steps: int

    def __call__(self, steps: int) -> float:
        return self.final * min(1.0, steps / self.steps)


def _check(name: str, value: float, least: float = 0) -> None:
    real(name, value, lambda v: least <= v < float("inf"), f"at least {least:g} and finite")
