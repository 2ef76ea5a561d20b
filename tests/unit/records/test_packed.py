"""A study's small records in one file, and out of it again."""

import os
from pathlib import Path

import pytest
from tests.unit.report.conftest import make_study

from truelift.errors import InputError
from truelift.records import Study
from truelift.records.packed import pack, records_of, unpack


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return make_study(tmp_path / "made", {"base": [90.0, 91.0], "better": [92.0, None]}, 2)


def test_what_is_packed_comes_out_again(study: Path, tmp_path: Path) -> None:
    file = tmp_path / "made.json"
    pack(records_of(study), file)
    folder = unpack(file, tmp_path / "elsewhere")
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {Path(place).name for place in found} == {"study.json", "environment.json", "result.json", "failure.json"}
    assert len(found) == 1 + 3 * 2 + 1, "no curve and no prediction"
    assert all((folder / place).read_bytes() == (study / place).read_bytes() for place in found)
    assert [run.status for run in Study.read(folder).runs] == [run.status for run in Study.read(study).runs]


def test_a_folder_that_is_there_is_left_alone(study: Path, tmp_path: Path) -> None:
    pack(records_of(study), tmp_path / "made.json")
    with pytest.raises(InputError, match="not there yet"):
        unpack(tmp_path / "made.json", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[1]", "must hold records"),
        ('{"study.json": 1}', "must hold records"),
        ('{"../study.json": ""}', "alone, got ../study.json"),
        ('{"/tmp/study.json": ""}', "alone, got /tmp/study.json"),
        ('{"study.json": "", "x/checkpoint.pt": ""}', "alone, got x/checkpoint.pt"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(InputError, match=message):
        unpack(tmp_path / "other.json", tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_a_damaged_record_is_named(study: Path) -> None:
    file = next(study.rglob("result.json"))
    file.write_bytes(b'{"metrics": {"\xff": 1}}')
    with pytest.raises(InputError, match=r"result\.json cannot be read: byte 14 is not UTF-8"):
        records_of(study)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(InputError, match="regular file"):
        records_of(study)
