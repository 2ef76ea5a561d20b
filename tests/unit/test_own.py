"""A user's own parts: what they do to the process."""

import pytest

from truelift import own
from truelift.errors import InputError


@pytest.mark.parametrize("error", [SystemExit, KeyError, ValueError])
def test_whatever_a_part_raises_is_told_as_its_own(error: type[BaseException]) -> None:
    told = rf'policy "my:p" raised {error.__name__}: .*3.* \(test_own.py, line'
    with pytest.raises(InputError, match=told), own.blamed("policy", "my:p"):
        raise error(3)


def test_what_ends_the_run_on_purpose_ends_it() -> None:
    with pytest.raises(KeyboardInterrupt), own.blamed("policy", "my:p"):
        raise KeyboardInterrupt
