"""The source of a user's own parts, copied into a run's folder so that it is found and imported there as before."""

import shutil
from collections.abc import Collection, Iterable
from pathlib import Path, PurePath
from typing import TypeVar

from truelift.own import sources

P = TypeVar("P", bound=PurePath)


def keep_sources(folder: Path, paths: Iterable[str]) -> None:
    """Copy the source files of parts, each in its packages, into a folder.

    The digest of a part's copy is that of the part: what it imports lies where it did, seen from it.

    Args:
        folder: Made where it is not there.
        paths: The parts' import paths.

    Raises:
        InputError: There is no such module or file.
    """
    roots: dict[Path, Path] = {}
    for path in paths:
        for source in sources(path, "part"):
            packages = _packages(source)
            root = packages[-1].parent if packages else source.parent
            # Empty ones are no source, but without them a folder is no package, and its parent no place to import from.
            roots |= dict.fromkeys((source, *(package / "__init__.py" for package in packages)), root)
    for file, place in places(roots).items():
        copy = folder / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def places(roots: dict[P, P]) -> dict[P, PurePath]:
    """Where files are copied to: as they lie below the common folder of their roots, or of those on the same drive.

    Args:
        roots: For each file the folder that its outermost package lies in.
    """
    drives = sorted({root.anchor for root in roots.values()})
    common = {drive: _common([root for root in roots.values() if root.anchor == drive]) for drive in drives}
    above = {drive: f"drive-{number}" if len(drives) > 1 else "" for number, drive in enumerate(drives)}
    return {file: above[file.anchor] / file.relative_to(common[file.anchor]) for file in roots}


def _common(folders: Collection[P]) -> P:
    """The innermost folder that holds all of these, which are on one drive."""
    first = next(iter(folders))
    return next(outer for outer in (first, *first.parents) if all(folder.is_relative_to(outer) for folder in folders))


def _packages(file: Path) -> list[Path]:
    """The packages that a file lies in, from the innermost."""
    found: list[Path] = []
    for folder in file.parents:
        if not (folder / "__init__.py").is_file():
            break
        found.append(folder)
    return found
