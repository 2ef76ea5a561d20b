"""Folders of images, on disk or within an archive, from which a layout of class folders is read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from truelift.data.files import is_hidden, subfolders, walk
from truelift.data.image_files import is_image, list_files
from truelift.data.listing import Labels, Listing


class Folder(Protocol):
    """A folder; its text is its place, for messages."""

    @property
    def name(self) -> str:
        """The last part of its place."""
        ...

    def subfolders(self) -> Sequence["Folder"]:
        """The folders in it that are not hidden, sorted by name."""
        ...

    def images(self) -> list[str]:
        """The image files in it, sorted."""
        ...

    def all_images(self) -> list[str]:
        """The image files in it at any depth, sorted."""
        ...

    def listing(self, images: Sequence[str], labels: Labels) -> Listing:
        """A listing of images of this tree, as `images` and `all_images` give them."""
        ...


@dataclass(frozen=True)
class DiskFolder:
    """A folder on disk."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.name

    def subfolders(self) -> Sequence["DiskFolder"]:
        """As `Folder` says."""
        return [*map(DiskFolder, subfolders(self.path))]

    def images(self) -> list[str]:
        """As `Folder` says."""
        there = (file for file in self.path.iterdir() if is_image(file) and not is_hidden(file.name))
        return [*map(str, sorted(file for file in there if not file.is_dir()))]

    def all_images(self) -> list[str]:
        """As `Folder` says; a folder that a link leads back to comes once."""
        return [*map(str, sorted(file for file in walk(self.path) if is_image(file)))]

    def listing(self, images: Sequence[str], labels: Labels) -> Listing:
        """Files by name."""
        return list_files(images, labels)


Lister = Callable[[Sequence[str], Labels], Listing]
"""Makes a listing of an archive's members, by name."""


@dataclass(frozen=True)
class ArchiveFolder:
    """A folder within an archive, known by its members' names.

    Attributes:
        place: Of the folder, for messages.
        members: Each image's name in the archive, by its parts from this folder on; of those that are not hidden.
        lister: Makes a listing of members.
    """

    place: str
    members: Mapping[tuple[str, ...], str]
    lister: Lister

    def __str__(self) -> str:
        return self.place

    @property
    def name(self) -> str:
        """The last part of its place."""
        return self.place.rpartition("/")[2]

    @cached_property
    def _inner(self) -> Sequence["ArchiveFolder"]:
        found: dict[str, dict[tuple[str, ...], str]] = {}
        for (first, *rest), member in self.members.items():
            if rest:
                found.setdefault(first, {})[tuple(rest)] = member
        return [ArchiveFolder(f"{self.place}/{name}", found[name], self.lister) for name in sorted(found)]

    def subfolders(self) -> Sequence["ArchiveFolder"]:
        """As `Folder` says; folders without images are not known."""
        return self._inner

    def images(self) -> list[str]:
        """As `Folder` says."""
        return [self.members[parts] for parts in sorted(self.members) if len(parts) == 1]

    def all_images(self) -> list[str]:
        """As `Folder` says."""
        return [self.members[parts] for parts in sorted(self.members)]

    def listing(self, images: Sequence[str], labels: Labels) -> Listing:
        """Members by name."""
        return self.lister(images, labels)


def descended(root: Folder) -> Folder:
    """The folder in which an archive's content begins: one that holds everything is passed through.

    `photos.zip` holds as a rule one folder `photos`, and class folders or splits in it.
    """
    while not root.images() and len(inner := root.subfolders()) == 1 and inner[0].subfolders():
        root = inner[0]
    return root
