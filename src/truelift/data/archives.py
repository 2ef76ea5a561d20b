"""A zip or tar file of class folders, with or without splits: as on disk, with nothing extracted."""

from collections.abc import Sequence
from pathlib import Path

from truelift.data.folder import read_tree
from truelift.data.image_files import is_image
from truelift.data.listing import Labels, Listing, Source
from truelift.data.members import Member, Reader, by_parts, list_members, read_plain
from truelift.data.tree import ArchiveFolder, descended
from truelift.data.zip_files import read_zipped, zip_members
from truelift.errors import InputError

COMPRESSED_TAR = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
"""Endings of tar files from whose middle nothing can be read."""


def is_zip(path: Path) -> bool:
    """Whether a file's name says that it is a zip file."""
    return path.suffix.lower() == ".zip"


def read_zip(path: Path) -> Source:
    """The images of a zip file; layouts are those of `folder`.

    Raises:
        InputError: It cannot be read, a member is none that may be (see `zip_members`, `by_parts`), or as `read_tree`.
    """
    return _read(path, zip_members(path), read_zipped)


def read_tar(path: Path, members: Sequence[Member]) -> Source:
    """The images of an uncompressed tar file of folders with these members, as `read_zip`."""
    return _read(path, members, read_plain)


def refuse_compressed(path: Path) -> None:
    """Refuse a tar file that is compressed as a whole: to read one image all before it would be unpacked.

    Raises:
        InputError: It is such a one.
    """
    if path.name.lower().endswith(COMPRESSED_TAR):
        raise InputError(
            f"{path}: a tar file must be uncompressed, so that images can be read one by one; unpack it, or make a zip "
            "file of it"
        )


def _read(path: Path, members: Sequence[Member], read: Reader) -> Source:
    images = [member for member in members if is_image(member.name)]
    by_name = {member.name: member for member in images}
    known = by_parts(str(path), images)

    def lister(chosen: Sequence[str], labels: Labels) -> Listing:
        found = [by_name[name] for name in chosen]
        return list_members([str(path)], chosen, [0] * len(found), found, labels, read)

    return read_tree(descended(ArchiveFolder(str(path), known, lister)))
