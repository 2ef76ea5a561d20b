"""Which run comes next: seed by seed, and none for a variant that has stopped."""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from truelift.records import Study, write_json
from truelift.report.standing import decide
from truelift.studies.growing import Growing
from truelift.verdicts import Comparison

NOISE = [0.0, 0.1, -0.1, 0.05, -0.2, 0.15, 0.02, -0.07]
LIFT = {"base": 0.0, "strong": 3.0, "weak": 0.15}


def value(variant: str, seed: int) -> float:
    own = NOISE[(3 * seed + len(variant)) % 8]
    return 90 + NOISE[seed] + (0.0 if variant == "base" else LIFT[variant] + own)


def made(folder: Path, seeds: int = 8) -> dict[Path, tuple[str, int]]:
    """A planned study, and its runs in their order."""
    runs = {folder / f"runs/{name}/seed-{seed}-x": (name, seed) for seed in range(seeds) for name in LIFT}
    content = {
        "name": "s",
        "question": "?",
        "metric": "accuracy",
        "unit": "",
        "higher_is_better": True,
        "relative": False,
        "smallest_effect": 0.0,
        "baseline": "base",
        "seeds": list(range(seeds)),
        "until_decided": {"max_seeds": seeds, "looks": list(range(3, seeds + 1)), "alpha": 0.05},
        "variants": {name: {"settings": {}, "command": None} for name in LIFT},
        "shared": {},
        "runs": [
            {"variant": name, "seed": seed, "folder": path.relative_to(folder).as_posix()}
            for path, (name, seed) in runs.items()
        ],
        "repeat": "",
        "created": "",
    }
    write_json(folder / "study.json", content)
    return runs


def finish(path: Path, run: tuple[str, int], failing: frozenset[tuple[str, int]] = frozenset()) -> None:
    if run in failing:
        write_json(path / "failure.json", {"reason": "broke"})
    else:
        write_json(path / "result.json", {"metrics": {"accuracy": value(*run)}})


def growing(
    folder: Path,
    runs: Mapping[Path, tuple[str, int]],
    decided: Callable[[Study], Mapping[str, Comparison]] = decide,
    told: list[str] | None = None,
) -> Growing:
    pending = [path for path in runs if not (path / "result.json").exists()]
    lines: list[str] = [] if told is None else told
    return Growing(
        folder,
        runs,
        pending,
        decide=decided,
        prepare=lambda path: path.mkdir(parents=True, exist_ok=True),
        tell=lines.append,
    )


def run_all(
    folder: Path,
    runs: Mapping[Path, tuple[str, int]],
    *,
    jobs: int = 1,
    last_first: bool = False,
    most: int = 10_000,
    failing: frozenset[tuple[str, int]] = frozenset(),
) -> tuple[list[tuple[str, int]], list[str]]:
    """Run what is asked for, `jobs` at a time; the run of the first or the last turn ends first.

    Returns:
        The variants and seeds that ran, in their order, and what was told.
    """
    told: list[str] = []
    plan = growing(folder, runs, told=told)
    following = plan.folders()
    under_way: list[Path] = []
    started: list[tuple[str, int]] = []
    while len(started) < most:
        while len(under_way) < jobs and (path := next(following, None)) is not None:
            under_way.append(path)
            started.append(runs[path])
        if not under_way:
            break
        path = under_way.pop(-1 if last_first else 0)
        finish(path, runs[path], failing)
        told += plan.ended(path)
    return started, told


def verdicts(folder: Path) -> dict[str, tuple[str, int, object]]:
    found: dict[str, tuple[str, int, object]] = {}
    for name, c in decide(Study.read(folder)).items():
        assert c.stop is not None
        found[name] = (c.verdict, c.stop.seeds, c.path)
    return found


def test_settled_variants_are_not_run_and_the_baseline_is_while_one_goes_on(tmp_path: Path) -> None:
    runs = made(tmp_path)
    started, told = run_all(tmp_path, runs)
    stops = {name: stop for name, (_, stop, _) in verdicts(tmp_path).items()}
    assert stops["strong"] < stops["weak"]
    wanted = {"base": max(stops.values()), **stops}
    assert started == [(name, seed) for seed in range(8) for name in LIFT if seed < wanted[name]]
    assert [line.split(" settled")[0] for line in told] == ["strong", "weak"]
    assert told[0] == f"strong settled after {stops['strong']} seeds: helps"


@pytest.mark.parametrize("last_first", [False, True])
def test_jobs_run_ahead_and_find_the_same(tmp_path: Path, last_first: bool) -> None:
    alone, ahead = tmp_path / "alone", tmp_path / "ahead"
    run_all(alone, made(alone))
    runs = made(ahead)
    started, _ = run_all(ahead, runs, jobs=4, last_first=last_first)
    assert verdicts(ahead) == verdicts(alone)
    if not last_first:
        needed = sum(
            path.parent.parent.name == "runs" for path in alone.glob("runs/*/*/result.json") for path in [path.parent]
        )
        assert needed <= len(started) <= needed + 3  # of those that were under way when the last variant stopped


@pytest.mark.parametrize("most", [1, 5, 8, 11, 14])
def test_killed_and_started_again_it_finds_the_same(tmp_path: Path, most: int) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run_all(whole, made(whole))
    runs = made(killed)
    run_all(killed, runs, jobs=2, most=most)
    run_all(killed, runs, jobs=2)
    assert verdicts(killed) == verdicts(whole)
    assert run_all(killed, runs)[0] == []


def test_counts_are_truthful(tmp_path: Path) -> None:
    runs = made(tmp_path)
    plan = growing(tmp_path, runs)
    assert (plan.runs_ended, plan.runs_at_most) == (0, 24)
    counts = []
    for path in plan.folders():
        finish(path, runs[path])
        plan.ended(path)
        counts.append((plan.runs_ended, plan.runs_at_most))
    assert [ended for ended, _ in counts] == list(range(1, len(counts) + 1))
    assert counts[-1][0] == counts[-1][1]
    assert all(a >= b for (_, a), (_, b) in itertools.pairwise(counts))


def test_failed_runs_are_tried_again_but_for_those_that_a_verdict_rests_on(tmp_path: Path) -> None:
    runs = made(tmp_path)
    failing = frozenset({("weak", 1), ("base", 7)})
    run_all(tmp_path, runs, failing=failing)
    before = verdicts(tmp_path)
    assert before["strong"][0] == "helps"
    assert before["strong"][1] > 1
    again, _ = run_all(tmp_path, runs)
    # Seed 1 is one of those that strong was judged by, as all variants' p-values are corrected together.
    assert ("weak", 1) not in again
    assert verdicts(tmp_path)["strong"] == before["strong"]


@pytest.mark.parametrize("all_over", [False, True])
def test_a_failed_run_ahead_of_a_settled_variant_stays_as_it_is(
    tmp_path: Path, all_over: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if all_over:
        monkeypatch.setitem(LIFT, "weak", 3.0)
    runs = made(tmp_path)
    run_all(tmp_path, runs, most=3 * 4)
    stops = {name: stop for name, (_, stop, _) in verdicts(tmp_path).items()}
    ahead = [("strong", stops["strong"]), *([("base", max(stops.values()))] if all_over else [])]
    for run in ahead:
        path = next(path for path, one in runs.items() if one == run)
        path.mkdir(parents=True)
        finish(path, run, frozenset(ahead))
    again, told = run_all(tmp_path, runs)
    assert not any("tried again" in line for line in told)
    assert not set(again) & set(ahead)
    assert all((path / "failure.json").exists() for path, run in runs.items() if run in ahead)


def test_where_everything_failed_everything_is_tried_again(tmp_path: Path) -> None:
    runs = made(tmp_path)
    run_all(tmp_path, runs, failing=frozenset(runs.values()))
    assert {stop for _, stop, _ in verdicts(tmp_path).values()} == {8}
    started, _ = run_all(tmp_path, runs)
    assert started[:3] == [("base", 0), ("strong", 0), ("weak", 0)]
    assert verdicts(tmp_path)["strong"][0] == "helps"


def test_nothing_goes_on_past_a_run_without_an_outcome(tmp_path: Path) -> None:
    runs = made(tmp_path)
    plan = growing(tmp_path, runs)
    following = plan.folders()
    path = next(following)
    assert plan.ended(path) == []
    assert next(following, None) is None


def test_a_result_that_is_no_run_of_the_plan_is_not_judged(tmp_path: Path) -> None:
    runs = made(tmp_path)
    run_all(tmp_path, runs)
    stale = next(path for path, run in runs.items() if run == ("strong", 0))
    pending = [stale, *(path for path in runs if not (path / "result.json").exists())]
    cleared: list[Path] = []

    def prepare(path: Path) -> None:
        cleared.append(path)
        (path / "result.json").unlink(missing_ok=True)

    told: list[str] = []
    plan = Growing(tmp_path, runs, pending, decide=decide, prepare=prepare, tell=told.append)
    assert cleared == [stale]
    assert told == []  # nothing is settled without it
    assert next(plan.folders()) == stale
