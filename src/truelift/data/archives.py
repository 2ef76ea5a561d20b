"""Zip and tar files of class folders, with or without splits: as on disk, with nothing extracted."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from truelift.data.files import files_ending, say
from truelift.data.folder import read_splits, read_tree
from truelift.data.image_files import first_image, is_image
from truelift.data.listing import Labels, Listing, Source
from truelift.data.members import Member, Reader, by_parts, list_members, read_plain
from truelift.data.split_names import match_splits, split_of
from truelift.data.tree import ArchiveFolder, descended
from truelift.data.zip_files import read_zipped, zip_members
from truelift.errors import InputError

COMPRESSED_TAR = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
"""Endings of tar files from whose middle nothing can be read."""

_ZIP = (".zip",)


def is_zip(path: Path) -> bool:
    """Whether a file's name says that it is a zip file."""
    return path.name.lower().endswith(_ZIP)


def packed_files(root: Path) -> list[Path]:
    """The zip files and the compressed tar files that belong to the data set in a folder, sorted.

    Those in the folder, and in its subfolders that are named for a split; where there is none in the folder itself,
    those in all of its subfolders. In a folder that holds images at any depth, those in the folder alone: what else
    lies among images is none of the data set.

    Raises:
        InputError: One is no regular file, or as `files_ending`.
    """
    endings = (*_ZIP, *COMPRESSED_TAR)
    top = files_ending(root, endings, levels=0)
    if first_image(root) is not None:
        return top
    found = files_ending(root, endings)
    return [file for file in found if file in top or _of_split(file.parent)] if top else found


def read_zips(path: Path) -> Source:
    """The images of a zip file, or of those in a folder (see `packed_files`); layouts are those of `folder`.

    Several are matched to splits by their names (see `split_names`): `train.zip` and `test.zip`. Those of one split are
    parts of one folder: `train-0.zip` and `train-1.zip`. A folder around all that is named as its file is passed
    through.

    Raises:
        InputError: One cannot be read, a member is none that may be (see `zip_members`, `by_parts`), an image is in
            two, images or compressed tar files lie beside them; or as `match_splits` or `read_tree`.
    """
    if path.is_file():
        return _read(path, {path: zip_members(path)}, read_zipped)
    files = packed_files(path)
    for file in files:
        refuse_compressed(file)
    lone = first_image(path)
    if lone is not None:
        raise InputError(f"data.path must hold images or zip files of them, not both, got {lone} and {files[0]}")
    others = [file for file in files_ending(path, _ZIP) if file not in files]
    if others:
        other = others[0].relative_to(path)
        say(f"{path}: the zip files in the folder itself are read, not {other}; to read it, give it as data.path")
    return _read(path, {file: zip_members(file) for file in files}, read_zipped)


def read_tars(path: Path, members: Mapping[Path, Sequence[Member]]) -> Source:
    """The images of uncompressed tar files of folders, with these members, as `read_zips`.

    Raises:
        InputError: As `read_zips`, where zip files lie beside them.
    """
    packed = packed_files(path) if path.is_dir() else []
    packed = [file for file in packed if file.parent == path or _of_split(file.parent)]
    if packed:
        first = next(iter(members))
        raise InputError(f"data.path must hold tar files or zip files, not both, got {first} and {packed[0]}")
    return _read(path, members, read_plain)


def refuse_compressed(path: Path) -> None:
    """Refuse a tar file that is compressed as a whole: to read one image all before it would be unpacked.

    Raises:
        InputError: Its name ends as that of a compressed tar file.
    """
    if path.name.lower().endswith(COMPRESSED_TAR):
        raise InputError(
            f"{path}: a tar file must be uncompressed, so that images can be read one by one; unpack it, or make a zip "
            "file of it"
        )


def _read(root: Path, members: Mapping[Path, Sequence[Member]], read: Reader) -> Source:
    by_split = match_splits(root, [*members])
    if len(by_split) == 1:
        return read_tree(descended(_tree(root, members, read)))
    return read_splits(
        {
            split: descended(_tree(root, {file: members[file] for file in files}, read, split=split))
            for split, files in by_split.items()
        }
    )


def _tree(
    root: Path, members: Mapping[Path, Sequence[Member]], read: Reader, split: str | None = None
) -> ArchiveFolder:
    """What archives hold as one folder, in which an image is named by its archive and its name there.

    A folder around all that is named as its archive is passed through; of an archive of one class it is the class's.

    Args:
        root: The folder of the archives, or the one archive.
        members: Of each.
        read: Reads one.
        split: That the archives are of, where they are of several: a folder that is named for it is no class.
    """
    files = [*members]
    found: dict[tuple[str, ...], str] = {}
    places: dict[str, tuple[int, Member]] = {}
    for number, file in enumerate(files):
        images = [member for member in members[file] if is_image(member.name)]
        by_name = {member.name: member for member in images}
        known = by_parts(str(file), images)
        around = file != root and _is_around(file.stem, [*known], split)
        for parts, name in known.items():
            inner = parts[1:] if around else parts
            if inner in found:
                first = files[places[found[inner]][0]]
                raise InputError(f"{file}: {name} must be there once, it is in {first} too")
            found[inner] = name if file == root else f"{file.relative_to(root)}/{name}"
            places[found[inner]] = (number, by_name[name])

    def lister(chosen: Sequence[str], labels: Labels) -> Listing:
        numbers, listed = zip(*(places[name] for name in chosen), strict=True) if chosen else ((), ())
        return list_members([*map(str, files)], [member.name for member in listed], numbers, listed, labels, read)

    return ArchiveFolder(str(files[0] if len(files) == 1 else root), found, lister)


def _is_around(name: str, members: Sequence[tuple[str, ...]], split: str | None) -> bool:
    """Whether a folder of that name is around all members, and no class."""
    shortest = min(map(len, members), default=0)
    return all(parts[0] == name for parts in members) and (
        shortest > 2 or (shortest == 2 and split is not None and split_of(name, Path(name)) == split)
    )


def _of_split(folder: Path) -> bool:
    return split_of(folder.name, folder) is not None
