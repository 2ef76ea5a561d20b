"""Does a study show what was required of it? For programs that act on it."""

from collections.abc import Iterable
from typing import Literal

Requirement = Literal["helps", "not-hurts", "no-effect"]

Met = Literal["holds", "fails", "undecided"]

_HOLDS = {
    "helps": ("helps",),
    "not-hurts": ("helps", "no effect"),
    "no-effect": ("no effect",),
}


def met(requirement: Requirement, verdicts: Iterable[str]) -> Met:
    """Whether every variant is as required.

    Args:
        requirement: helps; not-hurts: helps or no effect; no-effect.
        verdicts: Of all variants but the baseline, at least one.

    Returns:
        fails where one variant has another verdict that is decided, or failed in every run; else undecided where one
        is; else holds.
    """
    allowed = (*_HOLDS[requirement], "undecided")
    found = list(verdicts)
    assert found, "a study has a variant beside its baseline"
    if any(verdict not in allowed for verdict in found):
        return "fails"
    return "undecided" if "undecided" in found else "holds"
