"""What a dry run makes of what a probe found."""

import pytest

from truelift.studies import cost, probe
from truelift.studies.probe import RUN_SECONDS, Probe

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
