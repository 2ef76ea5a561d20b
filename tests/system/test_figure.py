"""`truelift figure` as a user starts it."""

import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from tests.system.conftest import Truelift

from truelift import recipes


def assert_written(folder: Path, name: str) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [f"{name}.png", f"{name}.svg"]
    with Image.open(folder / f"{name}.png") as picture:
        picture.load()
        assert picture.width > 500
    assert ElementTree.parse(folder / f"{name}.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gradient-similarity-concept", "+1 at θ = −20, −1 at θ = 5"),
        ("gradient-similarity-trajectories", "(gradient similarity)"),
    ],
)
def test_figures_of_formulas(truelift: Truelift, tmp_path: Path, name: str, words: str) -> None:
    done = truelift("figure", name)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    assert words in line
    assert f"runs/figures/{name}.svg" in line
    assert_written(tmp_path / "runs/figures", name)


def test_pairs_of_a_folder(truelift: Truelift, tmp_path: Path) -> None:
    variants = tomllib.loads(recipes.find("gradient-similarity-cosines").read_text())["variants"]
    classes = {name for v in variants.values() for task in ("main", "auxiliary") for name in v["tasks"][task]}
    for number, name in enumerate(sorted(classes)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(7):
            Image.new("RGB", (16, 16), (10 * number, 30 * i, 90)).save(tmp_path / "data" / name / f"{i}.png")
    done = truelift("figure", "gradient-similarity-pairs", "--data.path", "data", "--out", "pictures")
    assert (done.returncode, done.stderr) == (0, "")
    assert "7 pairs" in done.stdout
    assert_written(tmp_path / "pictures", "gradient-similarity-pairs")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gradient-similarity-concpt"], 'Did you mean "gradient-similarity-concept"?'),
        (["gradient-similarity-concept", "--data", "mnist"], "reads no data, got --data.name"),
        (["gradient-similarity-pairs", "--data", "digits"], 'unknown class "tabby"'),
        (["gradient-similarity-pairs", "--data.path", "missing"], "missing"),
    ],
)
def test_bad_input_is_one_line(truelift: Truelift, tmp_path: Path, arguments: list[str], words: str) -> None:
    done = truelift("figure", *arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert words in line
    assert list(tmp_path.iterdir()) == []


def test_recipes_lists_the_figures(truelift: Truelift) -> None:
    assert "truelift figure gradient-similarity-pairs\n" in truelift("recipes").stdout
