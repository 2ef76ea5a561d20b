"""`truelift work` sets aside what is in a run's way, as `truelift study` does."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from tests.unit.records.test_leases import elsewhere
from tests.unit.report.conftest import make_study

from truelift.cli.work import work
from truelift.records import write_json
from truelift.studies.executors import Work
from truelift.studies.executors.base import has_ended
from truelift.studies.executors.local import Local

PROGRAM = 'command = "true {seed} {out}"\nargs = ""\nseed = 0\n'
DAMAGED = '{"metrics": {"test_error": 9'
OWN = '{"metrics": {"test_error": 9.0}}'


@pytest.mark.parametrize(("config", "left"), [("seed = 0\n", DAMAGED), (PROGRAM, DAMAGED), (PROGRAM, OWN)])
@pytest.mark.parametrize("held", [False, True])
def test_a_damaged_result_is_set_aside_and_its_run_made(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    config: str,
    left: str,
    *,
    held: bool,
) -> None:
    folder = make_study(tmp_path / "made", {"base": [90.0], "b": [91.0]}, 1)
    run = folder / "runs/b/seed-0-00000000"
    (run / "config.toml").write_text(config)
    (run / "result.json").write_text(left)
    to_make: list[Path] = []

    def made(self: Local, folders: Iterable[Path], work: Work) -> Iterator[Path]:
        to_make.extend(path for path in folders if not has_ended(path))
        yield from ()

    monkeypatch.setattr(Local, "run", made)
    if held:
        elsewhere(run, silent_seconds=1)
        work(folder)
        assert (run / "result.json").read_text() == left
        return
    work(folder)
    assert to_make == [run]
    assert (run / "result.json.unusable").read_text() == left
    assert "the file is result.json.unusable now" in capsys.readouterr().err
    own = {"metrics": {"test_error": 9.0}, "command": "true {seed} {out}", "args": "", "seed": 0}
    write_json(run / "result.json", own)
    work(folder)
    assert to_make == [run]
