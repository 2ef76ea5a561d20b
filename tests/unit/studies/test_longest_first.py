"""Of the runs of one seed the longest start first, as far as it is known how long they take."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from truelift.records import write_json
from truelift.records.progress import lay_out
from truelift.studies.longest_first import LongestFirst

SECONDS = {"plain": 2.0, "frozen": 1.0, "twice": 4.0}


def folders(tmp_path: Path, seeds: Sequence[int] = (0, 1, 2)) -> dict[Path, tuple[str, int]]:
    runs = {tmp_path / name / f"seed-{seed}": (name, seed) for seed in seeds for name in SECONDS}
    for path in runs:
        path.mkdir(parents=True)
    return runs


def end(path: Path, seconds: float) -> None:
    write_json(path / "result.json", {"metrics": {"train_seconds": seconds / 2}, "evaluation_seconds": seconds / 2})


def names(runs: dict[Path, tuple[str, int]], found: Iterator[Path]) -> list[tuple[str, int]]:
    return [runs[path] for path in found]


def test_without_knowledge_they_keep_the_plans_order(tmp_path: Path) -> None:
    runs = folders(tmp_path)
    assert names(runs, LongestFirst(runs, list(runs)).folders()) == list(runs.values())


def test_seeds_keep_their_order_and_the_longest_of_each_is_first(tmp_path: Path) -> None:
    runs = folders(tmp_path)
    order, began = LongestFirst(runs, list(runs)), []
    for path in order.folders():
        began.append(runs[path])
        end(path, SECONDS[runs[path][0]])
        order.ended(path)
    assert began[:3] == [("plain", 0), ("frozen", 0), ("twice", 0)]
    assert began[3:] == [(name, seed) for seed in (1, 2) for name in ("twice", "plain", "frozen")]


def test_what_ended_earlier_counts_and_what_nobody_knows_comes_first(tmp_path: Path) -> None:
    runs = folders(tmp_path)
    first = [path for path, (name, seed) in runs.items() if seed == 0 and name != "frozen"]
    for path in first:
        end(path, SECONDS[runs[path][0]])
    (next(path for path, run in runs.items() if run == ("frozen", 0)) / "failure.json").write_text('{"reason": "no"}')
    pending = [path for path, (_, seed) in runs.items() if seed > 0]
    found = names(runs, LongestFirst(runs, pending).folders())
    assert found == [(name, seed) for seed in (1, 2) for name in ("frozen", "twice", "plain")]


@pytest.mark.parametrize(("jobs", "ends", "in_order"), [(2, 11.0, 12.0), (3, 8.0, 9.0)])
def test_the_study_ends_earlier(tmp_path: Path, jobs: int, ends: float, in_order: float) -> None:
    runs = folders(tmp_path)
    for path in list(runs)[:3]:  # as if from an earlier study: all that is to come is ordered
        end(path, SECONDS[runs[path][0]])
    further = {tmp_path / name / f"seed-{seed}": (name, seed) for seed in (3, 4, 5) for name in SECONDS}
    pending = [*further]
    ordered = [further[path] for path in LongestFirst(runs | further, pending).folders()]
    assert lay_out([SECONDS[name] for name, _ in ordered], jobs) == ends
    assert lay_out([SECONDS[name] for name, _ in further.values()], jobs) == in_order
