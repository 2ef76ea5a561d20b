import json
import os
from pathlib import Path

import pytest

from truelift.data.class_names import names_of, read_class_names
from truelift.errors import InputError


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (["cat", "dog"], ("cat", "dog")),
        ({str(i): f"class{i}" for i in sorted(range(12), key=str)}, tuple(f"class{i}" for i in range(12))),
        ({"01": "b", "00": "a"}, ("a", "b")),
        ({"cat": 1, "dog": 0}, ("dog", "cat")),
        ({"cat": "1", "dog": "0"}, ("dog", "cat")),
        ({"0": "a", "3": "d"}, ("a", "1", "2", "d")),
        ({"n02": "cat", "n01": "dog"}, ("cat", "dog")),
        ([1, 2.5], ("1", "2.5")),
        ([], ()),
        ({}, ()),
    ],
)
def test_every_form(named: object, expected: tuple[str, ...]) -> None:
    assert names_of(named) == expected


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"0": 1, "1": 0}, "both sides of the table are numbers"),
        ({"0": "a", "00": "b"}, 'class number 0 has two names, "a" and "b"'),
        ({"cat": 0, "dog": 0}, 'class number 0 has two names, "cat" and "dog"'),
        ({"0": "a", "10000000": "b"}, r"in 0..99999, got 10000000"),
        ({"a": 0, "b": -1}, r"in 0..99999, got -1"),
        ({"0": ["n01", "tench"], "1": ["n02", "fish"]}, "a name must be text, got list"),
        ([{"id": 0}], "a name must be text, got dict"),
        ("cat", "a list or a table of names is wanted, got str"),
        (3, "got int"),
        (["cat", ""], "got an empty one"),
        ({"0": " ", "1": "dog"}, "got an empty one"),
    ],
)
def test_what_names_no_classes(named: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        names_of(named)


def test_an_order_that_is_not_certain_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    names_of({"n02": "cat", "n01": "dog"})
    assert "in the order of their table, whose keys are no numbers: n02, n01" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cat\ndog\n", ("cat", "dog")),
        ("\ufeffcat\r\ndog\r\n\n\n", ("cat", "dog")),
        ("1 dog\n0 grey cat\n", ("grey cat", "dog")),
        ("0: cat\n1: dog", ("cat", "dog")),
        ("3 series\n5 series\n", ("3 series", "5 series")),
        ("Kätzchen\nчай\n", ("Kätzchen", "чай")),
    ],
)
def test_lines(tmp_path: Path, text: str, expected: tuple[str, ...]) -> None:
    (tmp_path / "classes.txt").write_bytes(text.encode())
    assert read_class_names(tmp_path) == expected


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert read_class_names(tmp_path) is None
    table = tmp_path / "classes.json"
    for content, message in (
        (b"{", "cannot read the class names beside"),
        (b"\xff", "cannot read the class names beside"),
        (b"[" * 100_000, "cannot read the class names beside"),
        (json.dumps({"0": 1}).encode(), "both sides of the table"),
    ):
        table.write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_class_names(tmp_path)
    (tmp_path / "classes.txt").write_text("cat\n\ndog\n")
    with pytest.raises(InputError, match=r"line 2 of classes.txt is empty"):
        read_class_names(tmp_path)
    (tmp_path / "classes.txt").unlink()
    table.unlink()
    os.mkfifo(table)
    with pytest.raises(InputError, match=r"classes.json: must be a regular file"):
        read_class_names(tmp_path)
