"""The table of `truelift predict`."""

from types import SimpleNamespace
from typing import Any

import pytest

from truelift.cli.predict import _print_table
from truelift.training.prediction import Choice, Predicted


def test_a_long_name_stays_whole_where_no_terminal_asks_for_a_width(capsys: pytest.CaptureFixture[str]) -> None:
    name = f"album/{'holiday-' * 20}1.jpg"
    choices = tuple(Choice(number, "class " + 40 * "x", 0.3) for number in range(3))
    trained: Any = SimpleNamespace(has_likelihood=False)
    _print_table(trained, [Predicted(name, choices, None)])
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["image", "class", "probability", "next"]
    assert row.startswith(f"{name}  ")
    assert max(len(header), len(row)) < 500
