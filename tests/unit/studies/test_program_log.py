"""A log that a program cannot make larger than it should be."""

import os
import re
import sys
from pathlib import Path

import pytest

from truelift.studies import program_log
from truelift.studies.program_log import HEAD_BYTES, MOST_BYTES, BoundedLog


def printed(path: Path, content: bytes) -> bytes:
    """What log.txt holds after a program has printed this, where this process prints there too."""
    path.touch()
    file, before = os.open(path, os.O_WRONLY | os.O_APPEND), os.dup(1)
    sys.stdout.flush()
    os.dup2(file, 1)
    try:
        reading, writing = os.pipe()
        log = BoundedLog(reading, path)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(writing, rest) :]
        os.close(writing)
        log.finish()
    finally:
        os.dup2(before, 1)
        os.close(before)
        os.close(file)
    return path.read_bytes()


def test_a_short_output_is_kept_as_it_is(tmp_path: Path) -> None:
    assert printed(tmp_path / "log.txt", b"a\nb\xff") == b"a\nb\xff"
    assert printed(tmp_path / "log.txt", b"\nc") == b"a\nb\xff\nc"


def test_of_a_long_one_the_beginning_and_the_end_are_kept(tmp_path: Path) -> None:
    lines = [b"line %07d of a program that talks a great deal\n" % number for number in range(400_000)]
    content = b"".join(lines)
    assert len(content) > 2 * MOST_BYTES
    kept = printed(tmp_path / "log.txt", content)
    assert len(kept) <= MOST_BYTES + 2**17
    assert kept.startswith(content[: HEAD_BYTES // 2])
    assert kept.endswith(content[-(2**20) :])
    told = re.findall(rb"truelift: (\d+) bytes are left out here\n", kept)
    assert told
    others = [line for line in kept.splitlines(keepends=True) if not line.startswith(b"truelift")]
    assert set(others) <= set(lines)  # no line is cut


def test_a_line_without_an_end_is_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("MOST_BYTES", 4000), ("HEAD_BYTES", 2000), ("TAIL_BYTES", 1000)):
        monkeypatch.setattr(program_log, name, size)
    kept = printed(tmp_path / "log.txt", b"x" * 10**6 + b"end")
    assert kept.endswith(b"end")
    assert len(kept) < 2**17 + 4000
