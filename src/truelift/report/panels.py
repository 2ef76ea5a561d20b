"""Two-dimensional features of the test images, a panel a variant."""

from collections.abc import Sequence
from dataclasses import dataclass

from truelift.records import Features, Run


@dataclass(frozen=True)
class Panel:
    """What one variant shows."""

    variant: str
    seed: int
    features: Features


def panels(runs: Sequence[Run], variants: Sequence[str]) -> tuple[Panel, ...]:
    """A panel for each variant that has features, of its first run that does.

    Args:
        runs: The done ones.
        variants: Their names, in the order of the panels.
    """
    found = []
    for variant in variants:
        for run in runs:
            if run.variant == variant and (features := run.features()) is not None:
                found.append(Panel(variant, run.seed, features))
                break
    return tuple(found)
