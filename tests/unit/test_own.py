"""A user's own parts: which files are their source, and what they do to the process."""

import hashlib
from pathlib import Path

import pytest

from truelift import own
from truelift.errors import InputError


@pytest.mark.parametrize("error", [SystemExit, KeyError, ValueError])
def test_whatever_a_part_raises_is_told_as_its_own(error: type[BaseException]) -> None:
    told = rf'policy "my:p" raised {error.__name__}: .*3.* \(test_own.py, line'
    with pytest.raises(InputError, match=told), own.blamed("policy", "my:p"):
        raise error(3)


def test_what_ends_the_run_on_purpose_ends_it() -> None:
    with pytest.raises(KeyboardInterrupt), own.blamed("policy", "my:p"):
        raise KeyboardInterrupt


def written(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("part", "files", "others"),
    [
        # What Python runs before the module itself.
        (
            "pa.losses:f",
            {"pa/losses.py": "import pa.b.scales", "pa/__init__.py": "A = 1", "pa/b/__init__.py": "B = 1"},
            {},
        ),
        (
            "pb.c.losses:f",
            {"pb/c/losses.py": "from . import far", "pb/c/far.py": "", "pb/c/__init__.py": ""},
            {"pb/__init__.py": ""},
        ),
        ("pc:f", {"pc/__init__.py": "from .losses import f", "pc/losses.py": "f = print"}, {}),
        # Packages without __init__.py.
        (
            "na.c.losses:f",
            {"na/c/losses.py": "from na.far import f", "na/far.py": "import nb", "nb.py": ""},
            {"nc.py": ""},
        ),
        # A file runs alone, whatever lies around it.
        ("pd/losses.py:f", {"pd/losses.py": "import far", "pd/far.py": ""}, {"pd/__init__.py": "A = 1"}),
    ],
)
def test_the_sources_are_all_that_importing_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, files: dict[str, str], others: dict[str, str]
) -> None:
    written(tmp_path, files | others)
    monkeypatch.chdir(tmp_path)
    assert own.sources(part, "loss") == sorted(tmp_path / name for name in files)


@pytest.mark.parametrize("files", [{"one.py": "A = 1"}, {"one.py": "import two", "two.py": "A = 1"}], ids=len)
def test_the_digest_of_files_in_one_folder_is_that_of_earlier_versions(tmp_path: Path, files: dict[str, str]) -> None:
    written(tmp_path, files)
    content = b"".join(f"{name}\0{text}\0".encode() for name, text in files.items())
    assert own.digest(f"{tmp_path}/one.py:f", "loss") == hashlib.sha256(content).hexdigest()[:16]
