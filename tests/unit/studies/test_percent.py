"""A number in percent is the same one in a setting, in a guard of a study file, in `--guard`, and to an editor."""

import re

import pytest

from truelift.errors import InputError
from truelift.judging.guards import read
from truelift.metrics import percent
from truelift.studies.guards import read_guards
from truelift.studies.relative import is_relative
from truelift.studies.schema import study_schema


@pytest.mark.parametrize(
    ("text", "number"),
    [("3 %", 3), ("3%", 3), (" .5  % ", 0.5), ("3. %", 3), ("3", None), ("-3 %", None), ("1e3 %", None), ("%", None)],
)
def test_a_number_in_percent(text: str, number: float | None) -> None:
    assert percent(text) == number
    assert is_relative(text) == (number is not None)
    guards = study_schema({})["properties"]["guards"]["additionalProperties"]["anyOf"]
    assert any(re.search(one["pattern"], text) for one in guards if "pattern" in one) == (number is not None)
    if number is not None:
        [of_file] = read_guards({"test_loss": text}, metric="test_error", scale=None, programs=False)
        [given] = read({"test_loss": text}, ["test_loss"], "test_error")
        assert (of_file.most, of_file.metric.relative) == (given.limit, given.relative) == (number, True)
    else:
        with pytest.raises(InputError, match="percent of the baseline"):
            read_guards({"test_loss": text}, metric="test_error", scale=None, programs=False)
