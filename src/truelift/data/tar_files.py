"""What an uncompressed tar file holds, from its headers."""

import tarfile
from pathlib import Path

from truelift.data.members import Member
from truelift.errors import InputError, one_line

# Looked through at a time behind the end of an archive.
_CHUNK = 1 << 20


def tar_members(file: Path) -> list[Member]:
    """The members of a tar file that are no folders, in its order.

    Raises:
        InputError: It is no uncompressed tar file, is damaged, ends early, or has more behind its end.
    """
    found = []
    try:
        with tarfile.open(file, "r:") as archive:
            end = 0
            for member in archive:
                if member.size < 0 or member.offset_data < end:  # it would be read for ever
                    raise tarfile.ReadError(f"member {member.name} has a size or a place that cannot be")
                end = member.offset_data
                if not member.isdir():
                    regular = member.isfile() and not member.issparse()
                    found.append(Member(member.name, member.offset_data, member.size, regular))
            _require_end(archive)
    # On damaged headers tarfile raises ValueError, OverflowError and others beside its own.
    except (tarfile.TarError, OSError, ValueError, ArithmeticError, RecursionError, EOFError) as error:
        raise InputError(f"cannot read {file} as an uncompressed tar file: {one_line(error)}") from error
    return found


def _require_end(archive: tarfile.TarFile) -> None:
    """Refuse an archive without its end mark, or with more behind it: there was more that nobody has read.

    Raises:
        tarfile.ReadError: It has no end mark, or more behind it.
    """
    file = archive.fileobj
    assert file is not None, "it is open"
    file.seek(archive.offset)
    mark = file.read(tarfile.BLOCKSIZE)
    if len(mark) < tarfile.BLOCKSIZE or any(mark):
        raise tarfile.ReadError("it ends early, or is damaged: there is no end mark behind its last member")
    while rest := file.read(_CHUNK):
        if any(rest):
            raise tarfile.ReadError("there is more behind its end mark")
