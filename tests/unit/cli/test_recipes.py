"""`truelift recipes`: the list, and one recipe's file."""

from pathlib import Path

import pytest

from truelift.cli.recipes import recipes
from truelift.errors import InputError
from truelift.recipes import find, names
from truelift.studies.study_file import read_plan


def test_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert recipes() == 0
    lines = capsys.readouterr().out.splitlines()
    assert set(names()) <= set(lines)


def test_a_printed_recipe_is_the_same_study(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    recipes("gaussian-mixture-94")
    mine = tmp_path / "mine.toml"
    mine.write_text(capsys.readouterr().out, encoding="utf-8")
    printed, own = read_plan(mine), read_plan(find("gaussian-mixture-94"))
    assert printed.variants == own.variants


def test_an_unknown_one_is_refused() -> None:
    with pytest.raises(InputError, match='Did you mean "demo"'):
        recipes("demoo")
