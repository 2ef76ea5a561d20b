"""The end of log.txt: bounded, and nothing in it steers a terminal or a page."""

import os
from pathlib import Path

import pytest

from truelift.records import ANOTHER_TRY, log_tail


def test_the_last_lines(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("".join(f"line {i}\n" for i in range(100)) + "\n\n")
    assert log_tail(tmp_path, 3) == ("line 97", "line 98", "line 99")


def test_lines_of_a_try_before_are_left_out(tmp_path: Path) -> None:
    before = f"first\n\n{ANOTHER_TRY}\nsecond\n\n{ANOTHER_TRY}\n"
    (tmp_path / "log.txt").write_text(f"{before}third\n")
    assert log_tail(tmp_path) == ("third",)
    (tmp_path / "log.txt").write_text(before)  # it has printed nothing yet
    assert log_tail(tmp_path) == ()


def test_a_huge_log_is_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "log.txt").open("wb") as file:
        file.truncate(2**33)  # a hole: nothing of it is on the disk
        file.seek(0, os.SEEK_END)
        file.write(b"\nthe end\n")
    assert log_tail(tmp_path, 1) == ("the end",)


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"10 %\r50 %\r100 %\n", "100 %"),
        (b"\x1b[31mred\x1b[0m\n", "red"),
        (b"\x1b]0;title\x07told\n", "told"),
        (b"a\x00b\x9bc\n", "a\\x00b\ufffdc"),
        ("a\u202eb\n".encode(), "a\\u202eb"),
        (b"x" * 5000, "x" * 400 + "…"),
        (b"ended\r\n", "ended"),
    ],
)
def test_what_is_printed_is_harmless(tmp_path: Path, content: bytes, shown: str) -> None:
    (tmp_path / "log.txt").write_bytes(content)
    assert log_tail(tmp_path) == (shown,)


def test_what_is_no_log_has_no_lines(tmp_path: Path) -> None:
    assert log_tail(tmp_path) == ()
    os.mkfifo(tmp_path / "log.txt")  # which nobody writes to: it must not be waited for
    assert log_tail(tmp_path) == ()
