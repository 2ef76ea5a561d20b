"""What a command line names: a file where there is one, else a recipe."""

from pathlib import Path

import pytest

from truelift import recipes
from truelift.errors import InputError


def test_a_recipe_is_found_beside_a_folder_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert recipes.study_file("demo") == recipes.find("demo")
    Path("demo").mkdir()  # as --out demo leaves it
    assert recipes.study_file("demo") == recipes.find("demo")


def test_a_file_of_its_name_is_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("demo").write_text("")
    assert recipes.study_file("demo") == Path("demo")
    assert recipes.study_file("not-there.toml") == Path("not-there.toml")
    with pytest.raises(InputError, match='Did you mean "demo"'):
        recipes.study_file("demoo")
