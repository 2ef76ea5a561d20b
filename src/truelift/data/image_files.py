"""Image files by name as a listing, and where the files lie that a table names."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from truelift.data.columns import UnclearError
from truelift.data.digest import of_files
from truelift.data.files import is_hidden, say, subfolders, walk
from truelift.data.image_formats import encoded_file, image_endings
from truelift.data.listing import IntArray, Labels, Listing, Opener
from truelift.data.split_names import split_of
from truelift.errors import InputError

# How many of a table's file names are looked for to decide which folder they begin from.
_LOOKED_FOR = 20

_USUAL_FOLDERS = ("images", "imgs", "img", "photos", "pictures", "data", "jpg", "jpeg", "png")


@dataclass(frozen=True)
class ImageFiles:
    """Image files by name: a million path objects would take several times the memory."""

    names: Sequence[str]

    def openers(self, indices: IntArray) -> Iterator[Opener]:
        """The opener of each."""
        return (encoded_file(self.names[i]) for i in indices)

    def place(self, index: int) -> str:
        """Its name."""
        return self.names[index]

    def content(self) -> bytes:
        """Changes with names and sizes, of small sets with every byte."""
        return of_files(self.names)


def list_files(names: Sequence[str], labels: Labels) -> Listing:
    """A listing of files."""
    listed = ImageFiles(names)
    return Listing(labels, listed.openers, listed.place, listed.content, partial(list, names))


def is_image(name: str | Path) -> bool:
    """Whether a name ends as an image file's does."""
    return os.path.splitext(name)[1].lower() in image_endings()


def first_image(folder: Path) -> Path | None:
    """The image that is found first in a folder, at any depth; None where there is none."""
    return next(filter(is_image, walk(folder)), None)


def find_files(
    names: Sequence[str], table: Path, split: str | None, folder: Path | None, root: Path | None, rows: Sequence[int]
) -> list[str]:
    """The absolute paths of the image files that a table names.

    They begin from `folder`, or else from the first of these that has one of the first names: the table's folder; the
    folder there that is named as the table is, or for its split; one named images or the like; the only one. Names
    without an image's ending are those of the files without it.

    Args:
        names: As the table has them.
        table: The table's file.
        split: That the names are of, where one is known.
        folder: As the user says.
        root: The data set's folder, where the table is deeper in it.
        rows: Of the table, from 0, that have these names.

    Raises:
        InputError: A name is empty or none of a file, or two files could be meant.
    """
    names = [_slashes(name) for name in names]
    for row, name in zip(rows, names, strict=True):
        if not name or "\0" in name:
            raise InputError(f"{table} row {row + 1}: a file name must be given, got {name!r:.50}")
    if not names:
        return []
    by_stem = not any(is_image(name) for name in names[:_LOOKED_FOR])
    places = [folder] if folder is not None else [*_folders(table, split), *([] if root is None else [root])]
    for place in places:
        known = _stems(place) if by_stem else None
        if any(_exists(place, name, known) for name in names[:_LOOKED_FOR]):
            if place != table.parent:
                say(f"{table}: its file names begin from {place}")
            return [_path(place, name, known) for name in names]
    where = table.parent if folder is None else folder
    raise UnclearError(
        f"{table} row {rows[0] + 1}: there is no image file {names[0]!r:.200} in {where}",
        "name the folder that the file names begin from with --data.image_folder",
    )


def find_named(
    root: Path,
    by_split: Mapping[str, Sequence[Path]],
    names: Mapping[Path, Sequence[str]],
    divided: Mapping[str, IntArray],
    folder: str | None,
) -> dict[str, list[str]]:
    """By split the absolute paths of the image files that files of rows name, as `find_files`.

    Args:
        root: What the user gave: one of the files, or their folder.
        by_split: The files.
        names: The image files that each names, a row each from row 0.
        divided: Of the training files the rows of each split, numbered through, where a column tells them; else empty.
        folder: As the user says.

    Raises:
        InputError: As `find_files`, or an image is named twice.
    """
    given = None if folder is None else Path(folder).expanduser()
    within = root if root.is_dir() else None
    found: dict[str, list[str]] = {}
    rows: list[tuple[Path, int]] = []
    for files_for, its in by_split.items():
        starts = np.cumsum([0, *(len(names[file]) for file in its)]).tolist()
        every = {files_for: np.arange(starts[-1])}
        for split, mine in (divided if divided and files_for == "train" else every).items():
            found[split] = []
            for file, start, end in zip(its, starts, starts[1:], strict=False):
                chosen = (mine[(mine >= start) & (mine < end)] - start).tolist()
                its_folder = split if len(by_split) == 1 else files_for
                mine_here = [names[file][row] for row in chosen]
                found[split] += find_files(mine_here, file, its_folder, given, within, chosen)
                rows += [(file, row) for row in chosen]
    refuse_twice([name for its in found.values() for name in its], lambda i: "{} row {}".format(*rows[i]))
    return found


def refuse_twice(files: Sequence[str], place: Callable[[int], str]) -> None:
    """Refuse an image that two rows name: it could be in two splits, or have two labels.

    Args:
        files: Of all splits.
        place: Says which row a file is in.

    Raises:
        InputError: There is one.
    """
    seen: dict[str, int] = {}
    for number, file in enumerate(files):
        first = seen.setdefault(file, number)
        if first != number:
            raise InputError(f"{place(number)}: {file} must be named once, it is in {place(first)} too")


def beside(names: Sequence[str]) -> tuple[str, ...]:
    """The image files that lie in the folders of these and are none of them, sorted."""
    known = set(names)
    found = []
    for folder in sorted({os.path.dirname(name) for name in names}):
        try:
            entries = sorted(os.listdir(folder))
        except OSError:  # decoding its images reports it
            continue
        for entry in entries:
            path = os.path.join(folder, entry)
            if is_image(entry) and not is_hidden(entry) and path not in known and not os.path.isdir(path):
                found.append(path)
    return tuple(found)


def _slashes(name: str) -> str:
    """A name as Windows writes it, as other systems do."""
    name = name.strip()
    return name.replace("\\", "/") if "\\" in name and "/" not in name else name


def _folders(table: Path, split: str | None) -> list[Path]:
    """Where a table's file names may begin."""
    root = table.parent
    inner = subfolders(root)
    named = [folder for folder in inner if folder.name == table.stem]
    for_split = [folder for folder in inner if split is not None and _tells(folder) == split]
    usual = [folder for name in _USUAL_FOLDERS for folder in inner if folder.name.lower() == name]
    return [root, *named, *for_split, *usual, *(inner if len(inner) == 1 else ())]


def _tells(folder: Path) -> str | None:
    try:
        return split_of(folder.name, folder)
    except InputError:  # it tells two
        return None


def _stems(folder: Path) -> dict[str, str]:
    """The image files in a folder by their names without the ending; an empty one where it is of several."""
    found: dict[str, str] = {}
    for name in os.listdir(folder) if folder.is_dir() else ():
        if is_image(name) and not is_hidden(name):
            stem = os.path.splitext(name)[0]
            found[stem] = "" if stem in found else name
    return found


def _exists(place: Path, name: str, known: dict[str, str] | None) -> bool:
    return os.path.isfile(os.path.join(place, name)) if known is None else name in known


def _path(place: Path, name: str, known: dict[str, str] | None) -> str:
    if known is not None:
        if known.get(name) == "":
            raise InputError(f'{place}: "{name}" must be the name of one image, there are several with other endings')
        name = known.get(name, name)  # decoding reports one that is not there
    return os.path.abspath(os.path.join(place, name))
