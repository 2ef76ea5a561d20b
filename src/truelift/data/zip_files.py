"""Zip files of folders of images: members are read one by one, within limits, and nothing is extracted."""

import stat
import struct
import zipfile
import zlib
from pathlib import Path

from truelift.data.members import Member
from truelift.errors import InputError, one_line

_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 1
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")

LARGEST_MEMBER = 1 << 28
"""Bytes of an unpacked image: more than any of `image_formats.LARGEST_PIXELS` has as a rule."""


def zip_members(file: Path) -> list[Member]:
    """The members of a zip file that are no folders, in its order.

    Raises:
        InputError: It is no zip file, or a member is encrypted, packed by another method than deflate, or claims to be
            larger than any image.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error, EOFError) as error:
        raise InputError(f"cannot read {file} as a zip file: {one_line(error)}") from error
    return [_member(file, info) for info in infos if not info.is_dir()]


def _member(file: Path, info: zipfile.ZipInfo) -> Member:
    name = info.filename
    if info.flag_bits & _ENCRYPTED:
        raise InputError(f"{file}: {name} must not be encrypted")
    if info.compress_type not in (_STORED, _DEFLATED):
        raise InputError(f"{file}: {name} must be stored or deflated, got method {info.compress_type}")
    if not 0 <= info.file_size <= LARGEST_MEMBER or not 0 <= info.compress_size <= LARGEST_MEMBER:
        raise InputError(f"{file}: {name} must have {LARGEST_MEMBER} bytes at most, got {info.file_size}")
    kind = stat.S_IFMT(info.external_attr >> 16)
    return Member(
        name,
        offset=info.header_offset,
        size=info.compress_size,
        regular=kind in (0, stat.S_IFREG),
        whole_size=info.file_size,
        method=info.compress_type,
        crc=info.CRC,
    )


def read_zipped(file: str, member: Member) -> bytes:
    """The content of a member, unpacked; its own header says where it begins.

    Raises:
        ValueError: It is damaged, or not as large as it claims to be.
        OSError: The file cannot be read.
    """
    with open(file, "rb") as archive:
        archive.seek(member.offset)
        header = archive.read(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
            raise ValueError("the archive is damaged: a member does not begin where it should")
        *_, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        archive.seek(name_length + extra_length, 1)
        packed = archive.read(member.size)
    try:
        # One byte more than it claims, so that a larger one is noticed and no memory is taken for it.
        content = (
            packed
            if member.method == _STORED
            else zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, member.whole_size + 1)
        )
    except zlib.error as error:
        raise ValueError(f"the archive is damaged: {one_line(error)}") from error
    if len(content) != member.whole_size:
        raise ValueError(f"the archive is damaged: a member has not the {member.whole_size} bytes that it claims")
    if zlib.crc32(content) != member.crc:
        raise ValueError("the archive is damaged: a member's checksum is wrong")
    return content
