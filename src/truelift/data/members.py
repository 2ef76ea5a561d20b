"""Images within archives: where the bytes of each begin. Nothing is extracted to disk."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from truelift.data.digest import of_files, of_rows
from truelift.data.files import is_hidden
from truelift.data.image_formats import encoded_image
from truelift.data.listing import IntArray, Labels, Listing, Opener
from truelift.errors import InputError


class Member(NamedTuple):
    """A file within an archive."""

    name: str
    offset: int
    """Where it begins: of a tar file its bytes, of a zip file its header."""
    size: int
    """In the archive."""
    regular: bool = True
    """Whether it is a plain file: no link, no device, not sparse."""
    whole_size: int = 0
    """zip: when it is unpacked."""
    method: int = 0
    """zip: how it is packed; 0: it is not."""
    crc: int = 0
    """zip: the checksum of its content."""


Reader = Callable[[str, Member], bytes]
"""Reads a member of the archive of that name."""


def read_plain(file: str, member: Member) -> bytes:
    """The bytes of a member that is not packed."""
    with open(file, "rb") as archive:
        archive.seek(member.offset)
        return archive.read(member.size)


@dataclass(frozen=True)
class Members:
    """The images of several archives: where the bytes of each begin, and how many there are."""

    files: Sequence[str]
    names: Sequence[str]
    file_numbers: IntArray
    numbers: IntArray
    """(N, 6), the fields of each `Member` but its name: a million objects would take far more memory."""
    read: Reader

    def openers(self, indices: IntArray) -> Iterator[Opener]:
        """The opener of each."""
        return (encoded_image(partial(self._read, index)) for index in indices.tolist())

    def place(self, index: int) -> str:
        """The archive and the member."""
        return f"{self.files[self.file_numbers[index]]} member {self.names[index]}"

    def content(self) -> bytes:
        """Changes with the archives' sizes and with the members' places; of small archives with every byte."""
        offsets, sizes = self.numbers[:, 0], self.numbers[:, 1]
        return of_files(self.files) + of_rows(self.names, self.file_numbers, offsets, sizes)

    def _read(self, index: int) -> bytes:
        offset, size, regular, *packed = self.numbers[index].tolist()
        member = Member(self.names[index], offset, size, bool(regular), *packed)
        return self.read(self.files[self.file_numbers[index]], member)


def list_members(
    files: Sequence[str],
    names: Sequence[str],
    file_numbers: Sequence[int],
    members: Sequence[Member],
    labels: Labels,
    read: Reader = read_plain,
) -> Listing:
    """A listing of members.

    Args:
        files: The archives.
        names: What to call each image.
        file_numbers: Which archive each is in.
        members: Where it is there.
        labels: As `Listing` has them.
        read: Reads one.
    """
    numbers = np.array([member[1:] for member in members], dtype=np.int64).reshape(-1, len(Member._fields) - 1)
    listed = Members(files, names, np.array(file_numbers, dtype=np.int64), numbers, read)
    return Listing(labels, listed.openers, listed.place, listed.content, partial(list, files))


def by_parts(file: str, members: Sequence[Member]) -> Mapping[tuple[str, ...], str]:
    """The members' names by their parts, as `ArchiveFolder` has them; without hidden ones.

    Raises:
        InputError: A name begins at the root or leads out of the archive, or comes twice.
    """
    found: dict[tuple[str, ...], str] = {}
    for member in members:
        parts = tuple(part for part in PurePosixPath(member.name).parts if part != ".")
        if not parts or parts[0] == "/" or ".." in parts or "\\" in member.name or ":" in parts[0]:
            raise InputError(f"{file}: a member's name must be a path within the archive, got {member.name!r:.200}")
        if not member.regular:
            raise InputError(f"{file}: {member.name} must be a regular file, no link or the like")
        if parts in found:
            raise InputError(f"{file}: {member.name} must be there once, got it twice")
        if not any(map(is_hidden, parts)):
            found[parts] = member.name
    return found
