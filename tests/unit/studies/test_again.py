"""Runs that failed are tried again, and nothing of them is lost where nobody takes them."""

import json
import sys
from collections.abc import Generator, Iterable
from pathlib import Path

import pytest

from truelift.errors import InputError
from truelift.records import Run, Study
from truelift.report.standing import decide
from truelift.studies.executors import Work
from truelift.studies.executors.base import Executor
from truelift.studies.executors.local import Local
from truelift.studies.how import How
from truelift.studies.study import run_study
from truelift.studies.study_file import read_plan

PROGRAM = """
import json, pathlib, sys
out, seed, variant = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if variant == "b" and seed > 0: raise SystemExit("out of luck")
(out / "metrics.json").write_text(json.dumps({"accuracy": 80 + seed}))
"""


class Refusing:
    """A cluster that takes no run."""

    def check(self, study: Path, *, one_by_one: bool = False) -> None:
        """All is well."""

    def run(self, folders: Iterable[Path], work: Work) -> Generator[Path]:
        """Refuse the first."""
        yield from ()
        raise InputError(f"Slurm refuses: {next(iter(folders)).name}.")


@pytest.mark.parametrize("seeds", ["seeds = 2", "until_decided = { max_seeds = 3 }"])
def test_where_nobody_takes_them_failed_runs_keep_their_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeds: str
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    file, folder = tmp_path / "study.toml", tmp_path / "out"
    command = f"{sys.executable} {tmp_path / 'program.py'} {{out}} {{seed}} {{args}}"
    file.write_text(
        f'{seeds}\ncommand = {json.dumps(command)}\nmetric = "accuracy"\n'
        '[variants.a]\nargs = "a"\n[variants.b]\nargs = "b"\n'
    )
    plan = read_plan(file)

    def run(executor: Executor) -> Study:
        return run_study(
            plan,
            folder,
            How(executor=executor),
            repeat="",
            report_run=lambda run, ended, total: None,
            warn=print,
            tell=print,
            decide=decide,
        )

    def failed() -> list[tuple[str, int, str]]:
        runs = (Run(run.variant, run.seed, run.folder) for run in Study.read(folder).runs)
        return [(run.variant, run.seed, run.failure()["reason"]) for run in runs if run.status == "failed"]

    run(Local(1, 1))
    before = failed()
    assert [(variant, seed) for variant, seed, _ in before] == [("b", seed) for seed in range(1, len(plan.seeds))]
    with pytest.raises(InputError, match="Slurm refuses"):
        run(Refusing())
    assert failed() == before

    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("truelift.studies.written.write_config_file", full)
    with pytest.raises(OSError, match="No space left"):
        run(Local(1, 1) if plan.looks is None else Refusing())
    assert failed() == before
