"""Power of a t-test at the small levels of a referee, where the noncentral t takes seconds or fails."""

import math
import time

import pytest
from scipy import stats

from truelift.verdicts import compare
from truelift.verdicts.student import critical, noncentrality, power_of


@pytest.mark.parametrize("degrees", [1, 2, 3, 4])
@pytest.mark.parametrize("alpha", [1e-3, 1e-4, 1e-6, 1e-9, 1e-12])
def test_the_noncentrality_has_its_power_in_no_time(degrees: int, alpha: float) -> None:
    begun = time.process_time()
    found = noncentrality.__wrapped__(degrees, alpha, 0.8)
    assert time.process_time() - begun < 0.1
    assert power_of(found, degrees, alpha) == pytest.approx(0.8, abs=1e-9)
    # Far out the test fails by the estimate of the noise alone: s < shift / threshold, by the chi-square distribution.
    threshold = critical(degrees, alpha)
    far = float(stats.chi2.cdf(degrees * (found / threshold) ** 2, degrees))
    assert far == pytest.approx(0.8, abs=10 / threshold**2 + 1e-9)


@pytest.mark.parametrize(("degrees", "alpha"), [(1, 0.02), (1, 1e-3), (2, 5e-4), (2, 1e-5), (3, 1e-5), (4, 1e-7)])
@pytest.mark.parametrize("share", [0.3, 1.0, 2.0])
def test_it_is_that_of_the_noncentral_t(degrees: int, alpha: float, share: float) -> None:
    threshold = critical(degrees, alpha)
    shift = share * threshold
    assert threshold > 30 * math.sqrt(degrees)
    lower = float(stats.nct.cdf(-threshold, degrees, shift))  # NaN where it is next to 0
    expected = float(stats.nct.sf(threshold, degrees, shift)) + (0.0 if math.isnan(lower) else lower)
    assert power_of(shift, degrees, alpha) == pytest.approx(expected, abs=1e-9)


def test_a_candidate_with_a_failed_run_among_thousands_is_judged_at_once() -> None:
    begun = time.process_time()
    base = [90.1, 90.4, math.nan]
    found = compare(base, {"try": [91.2, 91.3, 91.6]}, higher_is_better=True, levels={"try": 2e-5})["try"]
    assert time.process_time() - begun < 0.5
    assert found.smallest_detectable is not None
