"""Files are written whole or not at all, and read only where they can be what they should."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from truelift.errors import InputError
from truelift.records import begin_folder, read_json, whole_file, write_json, write_text, write_unless_there
from truelift.records.files import read_bytes


def test_a_file_is_whole_or_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError), whole_file(path) as file:
        file.writelines([b"half", None])  # type: ignore[list-item]
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_file_that_is_made_anew_leaves_another_ones(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    with pytest.raises(FileExistsError), whole_file(path, anew=True):
        write_text(path, "theirs")
    assert path.read_text() == "theirs"
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]


def test_a_folder_is_begun_once(tmp_path: Path) -> None:
    path = tmp_path / "variant" / "run" / "config.toml"
    assert begin_folder(path, "Straße")
    assert not begin_folder(path, "again")
    assert path.read_bytes() == "Straße".encode()
    assert [p.name for p in path.parent.iterdir()] == ["config.toml"]
    path.unlink()
    assert not begin_folder(path, "again")  # whoever made the folder may be about to write it
    assert not path.exists()


def test_a_folder_is_not_begun_where_files_have_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError(errno.EPERM, "no links")

    monkeypatch.setattr(os, "link", refuse)
    assert not begin_folder(tmp_path / "run" / "config.toml", "x")
    assert list((tmp_path / "run").iterdir()) == []


def test_a_file_that_grows_is_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one of /proc, which says that it has no bytes; and a system may give a part of what was asked for."""
    path = tmp_path / "x"
    path.write_bytes(b"abcdefgh")
    read = os.read
    monkeypatch.setattr(os, "read", lambda file, most: read(file, min(most, 3)))
    assert read_bytes(path, 8) == b"abcdefgh"
    sizes = os.fstat

    def smaller(file: int) -> os.stat_result:
        found = list(sizes(file))
        found[stat.ST_SIZE] = 2
        return os.stat_result(found)

    monkeypatch.setattr(os, "fstat", smaller)
    assert read_bytes(path, 8) == b"abcdefgh"
    with pytest.raises(InputError, match="has more than the 7 bytes"):
        read_bytes(path, 7)


def test_json_refuses_what_it_cannot_say(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_files_have_the_users_umask(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "x.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x.txt").stat().st_mode) == mode


def test_text_is_utf8_whatever_the_locale(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from truelift.records import read_json, write_json, write_text
write_text(Path(sys.argv[1], "x.txt"), "Straße")
Path(sys.argv[1], "x.json").write_bytes('{"a": "Straße"}'.encode())
assert read_json(Path(sys.argv[1], "x.json")) == {"a": "Straße"}
"""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    environment = {**os.environ, **plain}
    subprocess.run([sys.executable, tmp_path / "program.py", tmp_path], check=True, env=environment)
    assert (tmp_path / "x.txt").read_bytes() == "Straße".encode()


def test_only_regular_files_of_a_sane_size_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with pytest.raises(InputError, match=r"x does not exist\.$"):
        read_bytes(path, 10)
    os.mkfifo(path)
    with pytest.raises(InputError, match=r"x is no regular file\.$"):
        read_bytes(path, 10)
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=r"x is no regular file\.$"):
        read_bytes(path, 10)
    with pytest.raises(InputError, match=r"^/dev/zero is no regular file\.$"):
        read_bytes(Path("/dev/zero"), 10)
    path.rmdir()
    path.write_bytes(b"0123456789")
    assert read_bytes(path, 10) == b"0123456789"
    with pytest.raises(InputError, match=r"x has 10 bytes, more than the 9 that it may have\.$"):
        read_bytes(path, 9)
    with pytest.raises(InputError, match=r"x cannot be read: .*File name too long"):
        read_bytes(tmp_path / ("x" * 300), 9)


def test_a_sparse_file_of_terabytes_takes_no_memory(tmp_path: Path) -> None:
    with (tmp_path / "x.json").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(InputError, match="1,099,511,627,776 bytes"):
        read_json(tmp_path / "x.json")


def test_what_is_empty_or_there_already_does_not_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[int] = []
    monkeypatch.setattr(os, "fsync", waited.append)
    write_text(tmp_path / "empty", "")
    assert (tmp_path / "empty").read_bytes() == b""
    assert not waited
    for text in ("a", "a", "b"):
        write_unless_there(tmp_path / "text", text)
        assert (tmp_path / "text").read_text() == text
    assert len(waited) == 2
