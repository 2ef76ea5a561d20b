"""NumPy's archives, read with nothing taken on trust: sizes are checked before memory is taken; nothing is unpickled.

Every array of an archive is a member "NAME.npy": a short header that declares type and shape, then the values. An
archive of some kilobytes may declare, or unpack to, many gigabytes.
"""

import io
import math
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from truelift.errors import InputError, one_line
from truelift.records.files import read_bytes, whole_file

MOST_BYTES = 2**28
"""Of an archive and of what it unpacks to: predictions of 13 million test images."""
# Of the list of members at the archive's end; ours have some hundreds, and a reader makes an object of each member.
_MOST_DIRECTORY_BYTES = 2**16
_MOST_HEADER_BYTES = 10_000
# Of a header's length, by how an array begins: formats 1.0 and 2.0.
_WIDTHS = {b"\x93NUMPY\1\0": 2, b"\x93NUMPY\2\0": 4}

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
    content = read_bytes(path, MOST_BYTES)
    try:
        _check_directory(content)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {member.filename: member for member in archive.infolist()}
            missing = [name for name in names if f"{name}.npy" not in members]
            if missing:
                raise InputError(f"it has no array {missing[0]}")
            there = (name for name in optional if f"{name}.npy" in members)
            wanted = {name: members[f"{name}.npy"] for name in (*names, *there)}
            if sum(member.file_size for member in wanted.values()) > MOST_BYTES:
                raise InputError(f"it unpacks to more than the {MOST_BYTES:,} bytes that it may have")
        return {name: _array(name, _unpacked(content, member)) for name, member in wanted.items()}
    except _DAMAGED as error:
        reason = str(error) if isinstance(error, InputError) else f"it is damaged ({one_line(error)})"
        raise InputError(f"{path} cannot be read: {reason}.") from None


def _check_directory(content: bytes) -> None:
    """Refuse an archive whose list of members is long: an object is made of each."""
    at = content.rfind(b"PK\5\6", max(0, len(content) - 2**16 - 42))
    if at < 0 or len(content) < at + 22:
        raise InputError("it is no npz file")
    directory = int.from_bytes(content[at + 12 : at + 16], "little")
    # The form for archives above 4 GiB has its sizes elsewhere; none of ours can be one.
    if directory > _MOST_DIRECTORY_BYTES or content[max(0, at - 20) : at].startswith(b"PK\6\7"):
        raise InputError("it has more members than it may have")


def _unpacked(archive: bytes, member: zipfile.ZipInfo) -> bytes:
    """A member's bytes, as many as the directory says and no more: zipfile would inflate all of them first.

    A report of ten thousand runs reads thirty thousand members, for which zipfile's streams take twice as long.
    """
    names = int.from_bytes(archive[member.header_offset + 26 : member.header_offset + 28], "little")
    extra = int.from_bytes(archive[member.header_offset + 28 : member.header_offset + 30], "little")
    begin = member.header_offset + 30 + names + extra
    packed = archive[begin : begin + member.compress_size]
    if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{member.filename} is encrypted, or compressed in a way that NumPy does not write")
    if member.compress_type == zipfile.ZIP_DEFLATED:
        packed = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, member.file_size + 1)
    if len(packed) != member.file_size or zlib.crc32(packed) != member.CRC:
        raise zipfile.BadZipFile(f"{member.filename} is not what the directory says")
    return packed


def _array(name: str, content: bytes) -> np.ndarray:
    shape, in_columns, kind, begin = _header(content)
    if kind.hasobject:
        raise InputError(f"the array {name} holds Python objects, which are not read")
    values = math.prod(shape)
    if min(shape, default=0) < 0 or kind.itemsize == 0 or begin + values * kind.itemsize != len(content):
        raise InputError(f"the array {name} has another size than its header says")
    array = np.frombuffer(content, kind, values, begin)
    return array.reshape(shape, order="F" if in_columns else "C")


def _header(content: bytes) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, whether the first axis is the fastest, type, and where the values begin."""
    width = _WIDTHS.get(content[:8], 0)
    begin = 8 + width + int.from_bytes(content[8 : 8 + width], "little")
    if not width or begin > _MOST_HEADER_BYTES:
        raise ValueError("a header that is none of ours")
    return *_read_header(content[8:begin], width), begin


@lru_cache(maxsize=64)  # the runs of a study have the same few, and to read one evaluates a Python expression
def _read_header(header: bytes, width: int) -> tuple[tuple[int, ...], bool, np.dtype]:
    read = np.lib.format.read_array_header_1_0 if width == 2 else np.lib.format.read_array_header_2_0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python 2's headers
            shape, in_columns, kind = read(io.BytesIO(header))
    except _DAMAGED:  # NumPy's messages repeat the header at length
        raise ValueError("a header that is none of ours") from None
    return shape, in_columns, kind
