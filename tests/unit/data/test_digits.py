"""The digits are read as scikit-learn reads them, and nothing else is taken for them."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from truelift.data.digits import _numbers, _rows


def test_they_are_scikit_learns() -> None:
    digits = load_digits()
    assert np.array_equal(_rows(), np.column_stack([digits.data, digits.target]))


def test_numbers_of_one_and_two_digits() -> None:
    found = _numbers(b"0,16,9\n10,5,0\n")
    assert found is not None
    assert found.tolist() == [0, 16, 9, 10, 5, 0]
    assert found.dtype == np.float64


@pytest.mark.parametrize(
    "text", [b"", b"1", b"1,2", b",1\n", b"1,,2\n", b"1\n\n", b"100,\n", b"1.5\n", b"-1\n", b"a\n"]
)
def test_anything_else_is_left_to_scikit_learn(text: bytes) -> None:
    assert _numbers(text) is None
