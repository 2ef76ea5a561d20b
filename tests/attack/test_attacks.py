"""A tenth of every family of attacks, in some three minutes; `make attack` runs them all."""

import pytest
from tests.attack.suite import FAMILIES, attack

EVERY, DRAWN = 10, 20


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("family", FAMILIES)
def test_attacks(family: str) -> None:
    outcome = attack(family, DRAWN, every=EVERY)
    assert outcome.cases >= 10
    assert not outcome.faults
