"""What a dry run makes of what a probe found."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from truelift.errors import InputError
from truelift.records import write_json
from truelift.studies import cost, probe
from truelift.studies.held import source_from
from truelift.studies.how import How
from truelift.studies.probe import RUN_SECONDS, Probe
from truelift.studies.study_file import read_plan

FOUND = Probe(
    import_seconds=4.0,
    start_seconds=0.5,
    seconds_per_step=0.01,
    evaluation_seconds=0.1,
    end_seconds=0.2,
    steps=100,
    evaluations=10,
    checkpoint_bytes=1,
    prediction_bytes=2,
    peak_bytes=3,
)


@pytest.mark.parametrize(("forks", "imports"), [(True, 0.0), (False, 4.0)])
def test_a_run_imports_by_itself_only_where_it_is_not_forked(
    monkeypatch: pytest.MonkeyPatch, forks: bool, imports: float
) -> None:
    monkeypatch.setattr(probe, "can_fork", lambda: forks)
    assert FOUND.seconds_alone == pytest.approx(4.0 + RUN_SECONDS + 0.5 + 100 * 0.01 + 10 * 0.1 + 0.2)
    assert FOUND.seconds == pytest.approx(imports + RUN_SECONDS + 0.5 + 100 * 0.01 + 10 * 0.1 + 0.2)


@pytest.mark.parametrize(("forks", "begun", "seconds"), [(True, 3.0, 5.5), (True, 5.0, 7.5), (False, 3.0, 4.5)])
def test_a_study_starts_while_its_server_imports_and_writes_a_report(
    monkeypatch: pytest.MonkeyPatch, forks: bool, begun: float, seconds: float
) -> None:
    monkeypatch.setattr(cost, "can_fork", lambda: forks)
    assert cost._beside(begun, [FOUND]) == pytest.approx(seconds)


def test_what_cannot_be_probed_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def probed(config: Mapping[str, Any], threads: int) -> Probe:
        if config["seed"]:
            raise InputError("it fails.")
        return FOUND

    monkeypatch.setattr(probe, "_probe_in_process", probed)
    with pytest.raises(InputError, match=r"^b: it fails\.$"):
        probe.probe_all({"a": {"seed": 0}, "b": {"seed": 1}}, jobs=2, threads=1)


def test_a_dry_run_refuses_the_folder_of_another_study(tmp_path: Path) -> None:
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text(
            'command = "true {seed} {out}"\nmetric = "test_accuracy"\n[variants]\na = {}\nb = {}\n'
        )
    plan, folder = read_plan(tmp_path / "a.toml"), tmp_path / "runs"
    record = plan.record("truelift study a.toml", "2026-01-01T00:00:00+00:00")
    write_json(folder / "study.json", record | {"source": source_from(folder, plan.source)})
    assert cost.study_cost(plan, folder, How(jobs=1)).notes == ()
    with pytest.raises(InputError, match="holds the study of"):
        cost.study_cost(read_plan(tmp_path / "b.toml"), folder, How(jobs=1))
