"""The lowest versions that pyproject.toml allows, as pip's constraints: `python .ci/lowest.py hf jpeg > lowest.txt`.

Of the library's own dependencies, and of the extras that are named. Not of all extras at once: what one of them needs
at the least may be more than another allows.
"""

import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

BOUND = re.compile(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?>=([0-9.]+)")


def lowest(project: dict[str, object], extras: Sequence[str] = ()) -> list[str]:
    """`name==version` for each requirement of the form `name>=version`, of the project's table in pyproject.toml."""
    optional = project["optional-dependencies"]
    assert isinstance(optional, dict)
    needs = [one for wanted in (project["dependencies"], *(optional[name] for name in extras)) for one in wanted]  # type: ignore[attr-defined]
    bounds: dict[str, str] = {}
    for found in filter(None, map(BOUND.match, needs)):
        name, version = found.groups()
        bounds[name] = max(bounds.get(name, version), version, key=lambda v: [*map(int, v.split("."))])
    return sorted(f"{name}=={version}" for name, version in bounds.items())


if __name__ == "__main__":
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    print("\n".join(lowest(tomllib.loads(text)["project"], sys.argv[1:])))
