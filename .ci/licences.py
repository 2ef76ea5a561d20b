"""docs/licences.md: the licence of each package that truelift or one of its extras needs, from its own metadata.

`python .ci/licences.py > docs/licences.md`, where they are installed. A test compares the page with what is installed,
and refuses a licence that is not known to be compatible with Apache-2.0.
"""

import re
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAD = """# Licences of what it uses

truelift is under the Apache License 2.0. It copies no code of the packages below; it imports them. Each is installed by
`pip`, under its own licence, as its metadata states it. All of these may be used together with Apache-2.0.

Made by `.ci/licences.py` from the packages that are installed; their own dependencies are among them.

| package | needed by | licence |
|---|---|---|
"""
COMPATIBLE = (
    "apache", "bsd", "mit", "isc", "psf", "python software foundation", "python-2.0", "cnri-python", "hpnd", "mit-cmu",
    "zlib", "unlicense", "0bsd", "cc0-1.0", "mpl", "mozilla public license", "bsl-1.0", "lgpl", "ncsa", "cmu", "llvm",
    "gcc runtime",
)  # fmt: skip
"""Words of licences under which a package may be imported by a program under Apache-2.0. MPL and LGPL bind changes to
the package itself, not what imports it."""


def wanted(project: dict[str, object]) -> dict[str, list[str]]:
    """To each part ("truelift" itself, or an extra's name) the names of the packages that it asks for."""
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    lists = {"truelift": project["dependencies"], **extras}
    return {
        part: [normal(name) for name in names(needs) if normal(name) != "truelift"]
        for part, needs in lists.items()
        if isinstance(needs, list)
    }


def names(requirements: Iterable[str]) -> list[str]:
    """The names in requirements, those with a marker of an extra left out."""
    kept = (one for one in requirements if "extra ==" not in one and "extra==" not in one)
    found = (re.match(r"[A-Za-z0-9._-]+", one) for one in kept)
    return [one[0] for one in found if one]


def normal(name: str) -> str:
    """A name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def reached(roots: Iterable[str]) -> set[str]:
    """The installed packages among `roots` and what they need in turn."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        waiting += [normal(one) for one in names(needs)]
    return found


def licence(name: str) -> str:
    """What the metadata of a package states, in a line."""
    about = metadata.metadata(name)
    if expression := about.get("License-Expression"):
        return expression
    classes = [c.split(" :: ")[-1] for c in about.get_all("Classifier") or [] if c.startswith("License ::")]
    classes = [c for c in classes if c != "OSI Approved"]
    text = (about.get("License") or "").strip().split("\n")[0]
    return "; ".join(classes) or text[:80] or "not stated"


def rows() -> dict[str, tuple[str, str]]:
    """To each package who needs it, and its licence."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    parts = {part: reached(roots) for part, roots in wanted(project).items()}
    own = parts.pop("truelift")
    found = {name: ("truelift", licence(name)) for name in own}
    for part, packages in parts.items():
        for name in packages - own:
            users = f"{found[name][0]}, `{part}`" if name in found else f"`{part}`"
            found[name] = (users, licence(name))
    return found


def compatible(text: str) -> bool:
    """Whether a licence is of a kind that goes with Apache-2.0."""
    lower = text.lower()
    if re.search(r"(?<!l)(?<!lesser )gpl", lower) and not re.search(r"lgpl|gcc|exception|\bor\b", lower):
        return False
    return any(word in lower for word in COMPATIBLE)


def page() -> str:
    """docs/licences.md."""
    found = rows()
    return HEAD + "".join(f"| {name} | {found[name][0]} | {found[name][1]} |\n" for name in sorted(found))


def absent() -> list[str]:
    """Packages that truelift or an extra asks for and that are not installed here: the page would lack them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {name for roots in wanted(project).values() for name in roots}
    return sorted(asked - rows().keys())


if __name__ == "__main__":
    if missing := absent():
        sys.exit(f"Install every extra first; not here: {', '.join(missing)}.")
    print(page(), end="")
