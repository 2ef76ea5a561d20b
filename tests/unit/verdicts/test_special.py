"""SciPy's functions by the short way are those of the long way, and nobody notices which was taken."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from scipy import special

from truelift.verdicts.median import median
from truelift.verdicts.special import special_functions

USED = ("chdtri", "gammaln", "hyp1f1", "nctdtr", "ndtr", "ndtri", "stdtr", "stdtrit")


def in_a_new_process(code: str) -> None:
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), *USED], check=True)


def test_they_are_the_same_objects() -> None:
    found = special_functions()
    assert all(getattr(found, name) is getattr(special, name) for name in USED)


def test_the_package_is_not_imported_and_can_be_afterwards() -> None:
    in_a_new_process(
        """
        import sys
        from truelift.verdicts.special import special_functions
        found = special_functions()
        assert not {"scipy.special", "numpy.f2py", "numpy.ma"} & set(sys.modules)
        import scipy.special, scipy.stats
        assert scipy.special.logsumexp([0.0]) == 0
        assert all(getattr(found, name) is getattr(scipy.special, name) for name in sys.argv[1:])
        """
    )


@pytest.mark.parametrize(
    "before",
    [
        "import threading; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        "import scipy; sys.modules['scipy.special._ufuncs'] = None",  # as where it is not there
    ],
)
def test_else_it_is_the_package_itself(before: str) -> None:
    in_a_new_process(
        f"""
        import importlib, sys, time
        from truelift.verdicts import special
        {before}
        special.import_module = lambda name: importlib.import_module(name) if name != "scipy.special" else "itself"
        assert special.special_functions() == "itself"
        assert "scipy.special" not in sys.modules
        """
    )


def test_the_median_is_numpys() -> None:
    draws = np.random.default_rng(3)
    for count in range(1, 40):
        values = draws.normal(size=count) * 10.0 ** draws.integers(-12, 12)
        assert median(values) == np.median(values)
