"""What a referee's ledger has to do with a study: the level of each variant, and which metrics are kept unseen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from truelift.verdicts import Comparison

_RULES_TOLD = {
    "spending": "alpha spending: the chance that any passes without being better",
    "lord": "LORD++: the false discovery rate",
    "saffron": "SAFFRON: the false discovery rate",
}


@dataclass(frozen=True)
class Refereed:
    """A variant in the ledger."""

    number: int
    level: float
    """One-sided."""
    look: int


@dataclass(frozen=True)
class Referee:
    """The ledger's part of a study."""

    rule: str
    alpha: float
    unseen: tuple[str, ...]
    """Metrics of images that a confirmation is to be judged by: no report shows them."""
    confirmation: int
    """Its number among the confirmations; 0 where it is none."""
    candidates: Mapping[str, Refereed]

    @property
    def levels(self) -> dict[str, float]:
        """Two-sided, by variant."""
        return {name: 2 * one.level for name, one in self.candidates.items()}


def read_referee(plan: Mapping[str, Any]) -> Referee | None:
    """From the content of study.json; None where no ledger took part."""
    found = plan.get("referee")
    if found is None:
        return None
    return Referee(
        rule=found["rule"],
        alpha=found["alpha"],
        unseen=tuple(found["unseen"]),
        confirmation=found["confirmation"],
        candidates={
            name: Refereed(one["number"], one["level"], one["look"]) for name, one in found["candidates"].items()
        },
    )


def passed(comparison: Comparison) -> bool:
    """Whether a candidate passed at its level, by which it was compared."""
    return comparison.verdict == "helps"


def refereed_line(name: str, referee: Referee, comparison: Comparison) -> str:
    """The level at which a variant was judged, in one sentence."""
    one = referee.candidates[name]
    rule = _RULES_TOLD.get(referee.rule, referee.rule)
    if referee.confirmation:
        kind = f"confirmation {referee.confirmation}, on images that the ledger had never judged by"
    else:
        kind = f"candidate {one.number} of the ledger ({rule} is at most {referee.alpha:g})"
        kind += f", look {one.look} at it" if one.look > 1 else ""
    found = "passed" if passed(comparison) else "not passed"
    p = "no p-value" if comparison.p_value is None else f"two-sided p = {comparison.p_value:.2g}"
    return f"{name}: {found}; {kind}; {p}, held against {2 * one.level:.2g}."
