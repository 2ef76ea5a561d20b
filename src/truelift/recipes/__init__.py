"""Studies by name: one TOML file each, which opens with its question, what it should show and how long it takes.

The papers' figures that are no studies are in `figures`.
"""

from pathlib import Path

from truelift.errors import unknown_name

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The names of all recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def find(name: str) -> Path:
    """The file of the recipe `name`.

    Raises:
        InputError: There is none; the message names the nearest.
    """
    if name not in names():
        raise unknown_name("study file or recipe", name, names())
    return FOLDER / f"{name}.toml"


def study_file(source: str) -> Path:
    """The study file that a command line names: a path, or a recipe, which a folder of the same name does not hide.

    Raises:
        InputError: It is neither an existing file, nor named like one, nor a recipe.
    """
    path = Path(source)
    there = path.exists() and not (path.is_dir() and source in names())
    return path if path.suffix == ".toml" or there else find(source)
