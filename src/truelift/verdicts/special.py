"""SciPy's special functions, without what `import scipy.special` imports beside them.

That package wraps its functions for other array libraries and imports all of numpy for it, f2py and numpy's tests
included: as long as a third of a report of a small study. The functions themselves lie in a module of their own, and
are the same objects by either way.
"""

import sys
import threading
from functools import cache
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import Any

_PACKAGE, _FUNCTIONS = "scipy.special", "scipy.special._ufuncs"


@cache
def special_functions() -> Any:
    """A module with `stdtr`, `ndtr`, `gammaln` and the others: `scipy.special` itself where that is the only way."""
    # While its module is imported the package is there empty, which another thread might find.
    if _PACKAGE not in sys.modules and threading.active_count() == 1:
        try:
            return _alone()
        except (ImportError, AttributeError):  # another SciPy may have them elsewhere
            pass
    return import_module(_PACKAGE)


def _alone() -> Any:
    spec = find_spec(_PACKAGE)
    if spec is None:
        raise ImportError(_PACKAGE)
    sys.modules[_PACKAGE] = module_from_spec(spec)
    try:
        return import_module(_FUNCTIONS)
    finally:
        del sys.modules[_PACKAGE]  # whoever wants the whole package gets it
