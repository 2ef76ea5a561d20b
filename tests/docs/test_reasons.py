"""docs/verdict.md tells what to do about every reason for which a variant is undecided."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from truelift.verdicts import Looks
from truelift.verdicts.comparison import Ground, Judgement, Rule, WithFailures
from truelift.verdicts.guards import Guarded
from truelift.verdicts.wording import reason

PAGE = Path(__file__).parents[2] / "docs/verdict.md"
DECIDED = {"all failed", "more than noise", "guard kept", "guard broken", "equivalent"}
GUARD: dict[str, Any] = {"metric": "loss", "unit": "", "limit": 1.0, "seeds": 5, "worse": 1.0, "at_most": 2.0}
FACTS: dict[str, Any] = {
    "verdict": "undecided",
    "seeds": 5,
    "difference": 1.0,
    "interval": (-1.0, 3.0),
    "interval_confidence": 0.95,
    "p_value": 0.04,
    "p_adjusted": 0.08,
    "more_seeds": (1, 5),
    "guards": (Guarded(**GUARD, p_value=0.1, p_broken=0.9, holds=False, broken=False),),
    "with_failures": WithFailures(runs=1, difference=0.0, p_adjusted=0.5, verdict="undecided"),
    "all_failed": 5,
}


def said() -> list[re.Pattern[str]]:
    table = PAGE.read_text(encoding="utf-8").split("| the reason says |")[1].split("\n\n")[0]
    cells = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    return [re.compile(".*".join(re.escape(part.strip()) for part in f" {cell} ".split("…"))) for cell in cells]


@pytest.mark.parametrize("ground", [ground for ground in get_args(Ground) if ground not in DECIDED])
def test_a_reason_has_one_row(ground: Ground) -> None:
    looks = Looks((3, 5)) if ground == "no look yet" else None
    told = reason(Judgement(ground=ground, **FACTS), Rule(True, 0.5, 0.95, tests=3, unit="points", looks=looks))
    assert [row.pattern for row in said() if row.search(told)] != [], told
    assert len([row for row in said() if row.search(told)]) == 1, told


def test_a_row_has_a_reason() -> None:
    assert len(said()) == len(get_args(Ground)) - len(DECIDED)
