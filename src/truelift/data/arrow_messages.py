"""What an arrow file's messages declare, read before anything is unpacked: bodies are plain, and rows fit the file.

The layout is that of Arrow's `Message.fbs` and of flatbuffers: a table begins with the distance back to its vtable,
which holds two sizes and then the place of each field, 0 where it is left out.
"""

import struct
from dataclasses import dataclass

import pyarrow as pa

_DICTIONARY, _ROWS = 2, 3
"""Of a message's header: `DictionaryBatch` and `RecordBatch`."""

# Of files of 2020, which say it in the message's own metadata.
_EARLY_COMPRESSION = b"ARROW:experimental_compression"


@dataclass(frozen=True)
class _Table:
    """A flatbuffer's table; its bounds have been checked by whoever read the message."""

    data: bytes
    start: int

    def place(self, field: int) -> int | None:
        """Where a field's value begins; None where it is left out."""
        vtable = self.start - self.number("<i", self.start)
        slot = 4 + 2 * field
        distance = self.number("<H", vtable + slot) if slot < self.number("<H", vtable) else 0
        return self.start + distance if distance else None

    def value(self, form: str, field: int) -> int:
        """A field that is a number; 0 where it is left out."""
        place = self.place(field)
        return 0 if place is None else self.number(form, place)

    def table(self, field: int) -> "_Table":
        """A field that is a table.

        Raises:
            ValueError: It is left out.
        """
        place = self.place(field)
        if place is None:
            raise ValueError("a message lacks its header")
        return _Table(self.data, place + self.number("<I", place))

    def number(self, form: str, place: int) -> int:
        """A number at a place.

        Raises:
            ValueError: It lies outside.
        """
        if not 0 <= place <= len(self.data) - struct.calcsize(form):
            raise ValueError("a message is damaged")
        return int(struct.unpack_from(form, self.data, place)[0])


def check_messages(source: pa.NativeFile, size: int) -> int:
    """Read a stream's messages without their bodies, and say how many batches of rows there are.

    A compressed body may unpack to any size, a row of nothing takes no byte, and each piece that is added to a
    dictionary copies all of it. So the first and the last are refused, and more rows than the file has bytes: an image,
    or the name of its file, takes more than one.

    Args:
        source: At the stream's beginning.
        size: Of the file, in bytes.

    Raises:
        ValueError: One of these, or a message is damaged.
    """
    batches = rows = 0
    for message in pa.ipc.MessageReader.open_stream(source):
        data = message.metadata.to_pybytes()
        declared = _Table(data, _Table(data, 0).number("<I", 0))
        kind = declared.value("<B", 1)
        if kind not in (_DICTIONARY, _ROWS):
            continue
        batch = declared.table(2)
        if kind == _DICTIONARY:
            if batch.value("<B", 2):
                raise ValueError("a dictionary must be written as a whole, not added to")
            batch = batch.table(1)
        if batch.place(3) is not None or _EARLY_COMPRESSION in data:
            raise ValueError("its batches must not be compressed; write them without compression")
        length = batch.value("<q", 0)
        rows += length if kind == _ROWS else 0
        batches += kind == _ROWS
        if length < 0 or max(rows, length) > size:
            raise ValueError(f"{max(rows, length)} rows are declared in {size} bytes")
    return batches
