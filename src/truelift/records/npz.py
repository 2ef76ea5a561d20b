"""NumPy's archives, read with nothing taken on trust: sizes are checked before memory is taken; nothing is unpickled.

Every array of an archive is a member "NAME.npy": a short header that declares type and shape, then the values. An
archive of some kilobytes may declare, or unpack to, many gigabytes.
"""

import io
import math
import os
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from truelift.errors import InputError, one_line
from truelift.records.files import regular_file, whole_file

MOST_BYTES = 2**28
"""Of an archive and of what it unpacks to: predictions of 13 million test images."""
# Of the list of members at the archive's end; ours have some hundreds, and a reader makes an object of each member.
_MOST_DIRECTORY_BYTES = 2**16
_MOST_HEADER_BYTES = 10_000

_DAMAGED = (
    *(ValueError, OSError, EOFError, KeyError, OverflowError, RecursionError, MemoryError, NotImplementedError),
    *(RuntimeError, SyntaxError, TypeError, tokenize.TokenError, zipfile.BadZipFile, zlib.error, UserWarning),
)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name as a compressed archive, whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(arrays))  # type: ignore[arg-type]  # numpy counts its own option among them
    with whole_file(path) as file:
        file.write(buffer.getbuffer())


def read_arrays(path: Path, names: tuple[str, ...], *, optional: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """Read the arrays of these names, and of the optional ones those that are there; others may be there.

    Raises:
        InputError: The file is missing, no regular file, no archive, damaged, too large, or lacks an array.
    """
    with regular_file(path, MOST_BYTES) as file:
        try:
            _check_directory(file)
            with zipfile.ZipFile(file) as archive:
                members = {member.filename: member for member in archive.infolist()}
                missing = [name for name in names if f"{name}.npy" not in members]
                if missing:
                    raise InputError(f"it has no array {missing[0]}")
                there = (name for name in optional if f"{name}.npy" in members)
                wanted = {name: members[f"{name}.npy"] for name in (*names, *there)}
                if sum(member.file_size for member in wanted.values()) > MOST_BYTES:
                    raise InputError(f"it unpacks to more than the {MOST_BYTES:,} bytes that it may have")
                return {name: _array(archive, member) for name, member in wanted.items()}
        except _DAMAGED as error:
            reason = str(error) if isinstance(error, InputError) else f"it is damaged ({one_line(error)})"
            raise InputError(f"{path} cannot be read: {reason}.") from None


def _check_directory(file: BinaryIO) -> None:
    """Refuse an archive whose list of members is long: it would be read whole."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 2**16 - 42))
    end = file.read()
    at = end.rfind(b"PK\5\6")
    if at < 0 or len(end) < at + 22:
        raise InputError("it is no npz file")
    directory = int.from_bytes(end[at + 12 : at + 16], "little")
    # The form for archives above 4 GiB has its sizes elsewhere; none of ours can be one.
    if directory > _MOST_DIRECTORY_BYTES or end[max(0, at - 20) : at].startswith(b"PK\6\7"):
        raise InputError("it has more members than it may have")
    file.seek(0)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    name = member.filename.removesuffix(".npy")
    with archive.open(member) as stream:
        shape, in_columns, kind, begin = _header(stream)
        if kind.hasobject:
            raise InputError(f"the array {name} holds Python objects, which are not read")
        values = math.prod(shape)
        if min(shape, default=0) < 0 or kind.itemsize == 0 or begin + values * kind.itemsize != member.file_size:
            raise InputError(f"the array {name} has another size than its header says")
        content = stream.read()  # no more than the size in the directory, and its checksum is compared
    array = np.frombuffer(content, kind, values)
    return array.reshape(shape, order="F" if in_columns else "C")


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, whether the first axis is the fastest, type, and where the values begin."""
    start = stream.read(8)
    version = np.lib.format.read_magic(io.BytesIO(start))
    width = 2 if version == (1, 0) else 4
    length = stream.read(width)
    count = int.from_bytes(length, "little")
    if version not in ((1, 0), (2, 0)) or count > _MOST_HEADER_BYTES:
        raise ValueError("a header that is none of ours")
    header = io.BytesIO(length + stream.read(count))
    read = np.lib.format.read_array_header_1_0 if width == 2 else np.lib.format.read_array_header_2_0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python 2's headers
            shape, in_columns, kind = read(header)
    except _DAMAGED:  # NumPy's messages repeat the header at length
        raise ValueError("a header that is none of ours") from None
    return shape, in_columns, kind, 8 + width + count
