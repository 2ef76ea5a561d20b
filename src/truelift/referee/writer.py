"""What a ledger's file holds, and one process at a time that appends to it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from truelift.errors import InputError
from truelift.records import appended_file, read_bytes
from truelift.referee import chain as chains
from truelift.referee.chain import MOST_BYTES, Chain
from truelift.referee.entries import Entry
from truelift.referee.state import State


def read(path: Path, file: Path) -> Chain:
    """The lines that are there.

    Args:
        path: The ledger, as messages name it.
        file: The same, absolute.

    Raises:
        InputError: It cannot be read or is damaged.
    """
    head = chains.read_head(file)  # first: the file may grow meanwhile
    return chains.parse(path, read_bytes(file, MOST_BYTES), head)


@contextmanager
def writing(path: Path, file: Path) -> Iterator["Writer"]:
    """Append to a ledger, made where it is missing; paths and errors as for `read`."""
    with appended_file(file) as opened:
        content = _content(opened, path)
        chain = chains.parse(path, content, chains.read_head(file))
        yield Writer(file, opened, chain)


class Writer:
    """A ledger that this process alone may append to."""

    def __init__(self, path: Path, file: int, chain: Chain) -> None:
        self.chain = chain
        self.state = State.of(path, chain.lines)
        self._path = path
        self._file = file

    def following_hash(self) -> str:
        """The hash that the next line will hold: the last line's, or that of the line that ends a cut one."""
        return chains.following(self.chain, {})[1].lines[-1].previous

    def append(self, entry: Entry) -> None:
        """Append a line, once it is known to be right, and have it on the disk before anything else happens."""
        raw, chain = chains.following(self.chain, msgspec.to_builtins(entry))
        if os.fstat(self._file).st_size + len(raw) > MOST_BYTES:
            raise InputError(f"{self._path} would have more than the {MOST_BYTES:,} bytes that it may have.")
        for line in chain.lines[len(self.chain.lines) :]:
            self.state.apply(line)  # what cannot be is not written
        while raw:
            raw = raw[os.write(self._file, raw) :]
        os.fsync(self._file)
        chains.write_head(self._path, chain.lines[-1])
        self.chain = chain


def _content(file: int, path: Path) -> bytes:
    size = os.fstat(file).st_size
    if size > MOST_BYTES:
        raise InputError(f"{path} has {size:,} bytes, more than the {MOST_BYTES:,} that it may have.")
    with open(file, "rb", closefd=False) as stream:  # not os.pread, which Windows has not
        stream.seek(0)
        return stream.read()
