"""Every family of attacks, briefly; `make attack` runs them at length."""

import os

import pytest
from tests.attack.suite import FAMILIES, attack

# Random cases of each family, beside its table.
CASES = int(os.environ.get("TRUELIFT_ATTACK_CASES", "10"))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("family", FAMILIES)
def test_attacks(family: str) -> None:
    outcome = attack(family, CASES)
    assert outcome.cases >= CASES
    assert not outcome.faults
