"""A study file that takes the shared settings of another one: `extends = "short-94"`."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from truelift.errors import InputError, of_kind, unknown_name
from truelift.toml import read_toml
from truelift.training.settings import flatten

RECIPES = Path(__file__).parents[1] / "recipes"
"""Recipes are files of the package, found here by name."""

_MOST_FILES = 10
"""One after the other; more would be a circle, or nobody could follow them."""


def shared_settings(tables: Mapping[str, Any], home: Path, keys: Collection[str]) -> dict[str, Any]:
    """The settings that all variants of a study file share, by dotted name.

    Those of its [experiment], before them those of the file that it extends, and so on. Of a file that is extended
    nothing else is taken: no question, no variants, no scales.

    Args:
        tables: The study file.
        home: Its folder, from which a path is taken.
        keys: Those of a study file.

    Raises:
        InputError: A file that is extended does not exist, is no recipe, has an unknown key or an [experiment] that is
            no table, or is one of more than ten.
    """
    chain = [_experiment(tables)]
    while "extends" in tables:
        file = _file(tables["extends"], home)
        tables, home = read_toml(file), file.parent
        if len(chain) > _MOST_FILES:
            raise InputError(f"extends must lead through at most {_MOST_FILES} files, got more, the last {file}.")
        for key in tables:
            if key not in keys:  # a misspelt [experiment] would leave its settings out in silence
                raise InputError(f"{file}: {unknown_name('key', key, keys)}")
        chain.append(_experiment(tables))
    return {name: value for settings in reversed(chain) for name, value in settings.items()}


def _experiment(tables: Mapping[str, Any]) -> dict[str, Any]:
    found = tables.get("experiment", {})
    of_kind("experiment", found, dict)
    return flatten(found)


def _file(named: Any, home: Path) -> Path:
    if not isinstance(named, str) or not named:
        raise InputError(f"extends must be the name of a recipe or the path of a study file, got {named!r}.")
    if named.endswith(".toml"):
        return home / named
    known = sorted(path.stem for path in RECIPES.glob("*.toml"))
    if named not in known:
        raise unknown_name("recipe to extend", named, known)
    return RECIPES / f"{named}.toml"
