"""How the margin α, or the weight λ of the likelihood term, moves with the steps. t steps made."""

from collections.abc import Callable

from truelift.errors import InputError

Schedule = Callable[[int], float]
"""From steps made to a value, at least 0."""


def constant(value: float) -> Schedule:
    """Always `value`, which must be at least 0 and finite."""
    _check("value", value)
    return lambda _: value


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
    _check("every_steps", every_steps, least=1)
    # Beyond 1023 doublings a float has no room.
    return lambda t: min(cap, initial * 2.0 ** min(t // every_steps, 1023))


def ramp(final: float, *, steps: int) -> Schedule:
    """final·min(1, t / steps), as the authors' journal version moves both over its first 30 epochs.

    Args:
        final: At least 0.
        steps: Length of the ramp, at least 1.

    Raises:
        InputError: An argument is out of range.
    """
    _check("final", final)
    _check("steps", steps, least=1)
    return lambda t: final * min(1.0, t / steps)


def _check(name: str, value: float, least: float = 0) -> None:
    if not least <= value < float("inf"):
        raise InputError(f"{name} must be at least {least:g} and finite, got {value}.")
