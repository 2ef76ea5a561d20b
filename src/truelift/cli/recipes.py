"""`truelift recipes`."""

from truelift.recipes import find, names
from truelift.recipes.figures import FIGURES
from truelift.toml import read_toml


def recipes(name: str | None = None, /) -> int:
    """List the papers' studies and figures; `truelift study NAME` runs one, `truelift figure NAME` draws one.

    Args:
        name: Print this study's file instead, for you to change: truelift recipes NAME > mine.toml
    """
    if name is not None:
        print(find(name).read_text(encoding="utf-8"), end="")
        return 0
    for each in names():
        recipe = read_toml(find(each))
        print(f"{each}\n  {recipe['question']}\n  Shows: {recipe['shows']}\n  Takes: {recipe['takes']}")
        for scale, offered in recipe.get("scales", {}).items():
            print(f"  With --scale {scale}: {offered['takes']}")
        print()
    for drawn in FIGURES.values():
        print(f"truelift figure {drawn.name}\n  {drawn.title}")
    return 0
