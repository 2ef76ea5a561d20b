"""A user's own part is the same in its copy."""

import sys
from pathlib import Path, PurePath, PureWindowsPath

import pytest

from truelift.own import digest, load, sources
from truelift.training.own_copies import keep_sources, places


def written(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("part", "files"),
    [
        ("net.py", {"net.py": "A = 1"}),
        ("net.py", {"net.py": "import far.near", "far/near.py": "A = 1"}),
        ("pk/sub/mod.py", {"pk/sub/mod.py": "import pk.other", "pk/other.py": "", "pk/__init__.py": ""}),
        ("pk/sub/mod.py", {"pk/sub/mod.py": "import pk.other", "pk/other.py": "", "pk/__init__.py": "B = 1"}),
        ("pk/sub/mod.py", {"pk/sub/mod.py": "import beside", "beside.py": "C = 1", "pk/__init__.py": ""}),
        (
            "pk/sub/mod.py",
            {"pk/sub/mod.py": "from ..other import A", "pk/other.py": "A = 1", "pk/__init__.py": "X = 1"},
        ),
    ],
)
def test_the_digest_of_the_copy_is_that_of_the_original(tmp_path: Path, part: str, files: dict[str, str]) -> None:
    home, own = tmp_path / "home", tmp_path / "own"
    written(home, files | ({"pk/sub/__init__.py": ""} if part.startswith("pk") else {}))
    found = sources(f"{home / part}:f", "model")
    assert home / part in found
    keep_sources(own, [f"{home / part}:f"])
    assert sources(f"{own / part}:f", "model") == [own / source.relative_to(home) for source in found]
    assert digest(f"{own / part}:f", "model") == digest(f"{home / part}:f", "model")


def test_parts_of_several_folders_keep_their_packages(tmp_path: Path) -> None:
    home, own = tmp_path / "home", tmp_path / "own"
    written(home, {"one.py": "", "lib/pk/__init__.py": "", "lib/pk/two.py": "import pk.three", "lib/pk/three.py": ""})
    keep_sources(own, [f"{home}/one.py:f", f"{home}/lib/pk/two.py:f"])
    kept = {path.relative_to(own) for path in own.rglob("*.py")}
    assert kept == {path.relative_to(home) for path in home.rglob("*.py")}


def test_a_copy_imports_its_package_where_the_original_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    home, own = tmp_path / "home", tmp_path / "own"
    inner = "packaged_of_mine/sub/mod.py"
    written(
        home,
        {
            "packaged_of_mine/__init__.py": "",
            "packaged_of_mine/sub/__init__.py": "",
            "packaged_of_mine/other.py": "def f():\n    return 7\n",
            inner: "import packaged_of_mine.other\nf = packaged_of_mine.other.f\n",
        },
    )
    keep_sources(own, [f"{home / inner}:f"])
    home.rename(tmp_path / "elsewhere")
    assert load(f"{own / inner}:f", "model")() == 7


def test_files_on_two_drives_have_a_folder_for_each() -> None:
    paths = [r"C:\a\pk\net.py", r"C:\b.py", r"D:\c\loss.py"]
    roots: dict[PurePath, PurePath] = {
        PureWindowsPath(path): PureWindowsPath(root)
        for path, root in zip(paths, ["C:\\a", "C:\\", r"D:\c"], strict=True)
    }
    found = [place.as_posix() for place in places(roots).values()]
    assert found == ["drive-0/a/pk/net.py", "drive-0/b.py", "drive-1/loss.py"]
