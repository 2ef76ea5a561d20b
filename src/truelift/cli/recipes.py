"""`truelift recipes`."""

from truelift.recipes import find, names
from truelift.recipes.figures import FIGURES
from truelift.toml import read_toml


def recipes() -> int:
    """List the papers' studies and figures; `truelift study NAME` runs one, `truelift figure NAME` draws one."""
    for name in names():
        recipe = read_toml(find(name))
        print(f"{name}\n  {recipe['question']}\n  Shows: {recipe['shows']}\n  Takes: {recipe['takes']}")
        for scale, offered in recipe.get("scales", {}).items():
            print(f"  With --scale {scale}: {offered['takes']}")
        print()
    for drawn in FIGURES.values():
        print(f"truelift figure {drawn.name}\n  {drawn.title}")
    return 0
