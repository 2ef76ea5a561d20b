"""The lowest versions that pyproject.toml allows, as pip's constraints: `python .ci/lowest.py > lowest.txt`.

Only the library's own dependencies and its extras for users; the development tools may be new.
"""

import re
import tomllib
from pathlib import Path

TOOLS = ("dev", "docs")


def lowest(project: dict[str, object]) -> list[str]:
    """`name==version` for each requirement of the form `name>=version`, of the project's table in pyproject.toml."""
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    wanted = [project["dependencies"], *(needs for name, needs in extras.items() if name not in TOOLS)]
    found = (re.match(r"([A-Za-z0-9_.-]+)>=([0-9.]+)", one) for needs in wanted for one in needs)  # type: ignore[attr-defined]
    return sorted({f"{one[1]}=={one[2]}" for one in found if one})


if __name__ == "__main__":
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    print("\n".join(lowest(tomllib.loads(text)["project"])))
