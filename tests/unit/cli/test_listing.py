"""`truelift list` on terminals of any width: the verdict is never cut."""

from pathlib import Path

import pytest
from tests.unit.report.conftest import make_study

from truelift.cli.listing import list_runs

NAMES = {"base": [90.0, 91.0, 92.0], "sharpness-aware": [92.1, 93.0, 94.1], "freezeout": [80.0, 81.2, 81.9]}


@pytest.mark.parametrize(
    ("width", "has"), [(32, ()), (80, ()), (100, ("changed (UTC)",)), (160, ("changed (UTC)", "size"))]
)
def test_the_verdict_survives(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    width: int,
    has: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    make_study(Path("runs/a-study-whose-folder-has-a-long-name"), dict(NAMES), 3)
    monkeypatch.setenv("COLUMNS", str(width))
    assert list_runs(Path("runs")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line.rstrip()) <= width for line in lines)
    at = lines[0].index("verdict")
    end = min((lines[0].index(title) for title in has), default=width)
    words = " ".join(line[at:end].strip() for line in lines[1:]).split()
    assert words[:4] == ["sharpness-aware", "helps,", "freezeout", "hurts"]
    assert [title in lines[0] for title in has] == [True] * len(has)
    if width >= 80:
        assert "a-study-whose-folder-has-a-long-name" in lines[1]
