"""What a user has edited since runs ended: a program, whose runs are kept, or a part, whose runs are made anew."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from truelift.records import Run
from truelift.studies.plan import PlannedRun
from truelift.studies.sources import changed, source_digests
from truelift.training import Experiment
from truelift.training.identity import beside, edited_parts


def edited(runs: Mapping[Path, PlannedRun], pending: Sequence[Path]) -> list[str]:
    """A sentence for each variant of which finished runs have seen another source than there is now.

    Args:
        runs: The study's, by their folders.
        pending: The folders of those that have no result.
    """
    return [*_programs(runs, pending), *_parts(runs, pending)]


def _programs(runs: Mapping[Path, PlannedRun], pending: Sequence[Path]) -> list[str]:
    seeds: dict[tuple[str, str], list[int]] = {}
    waiting = set(pending)
    done = {path: run for path, run in runs.items() if run.experiment is None and path not in waiting}
    there = {path: Run(run.variant, run.seed, path) for path, run in done.items()}
    results = {path: run.result() for path, run in there.items() if run.status == "done"}
    made = {name for result in results.values() for name in result.get("made", ())}
    for path, result in results.items():
        before = result.get("sources")
        if before:
            files = changed(before, source_digests(runs[path].config, path.absolute()))
            _note(seeds, runs[path], [name for name in files if name not in made])
    return [
        f"{told} ran. Finished runs are kept: to make them again, give another --out." for told in _sentences(seeds)
    ]


def _parts(runs: Mapping[Path, PlannedRun], pending: Sequence[Path]) -> list[str]:
    seeds: dict[tuple[str, str], list[int]] = {}
    for path in pending:
        experiment = runs[path].experiment
        if experiment is not None and experiment.own and not path.exists():
            _note(seeds, runs[path], _parts_edited(path, experiment))
    return [
        f"{told} ran, so that these runs are made anew. The earlier ones are kept, and count again if it is as it was."
        for told in _sentences(seeds)
    ]


def _parts_edited(path: Path, experiment: Experiment) -> list[str]:
    """The own parts in whose source alone a finished run beside this one differs from it."""
    finished = (found for folder, found in beside(path, experiment) if (folder / "result.json").is_file())
    return next((parts for found in finished if (parts := edited_parts(found, experiment))), [])


def _note(seeds: dict[tuple[str, str], list[int]], run: PlannedRun, files: Sequence[str]) -> None:
    if files:
        seeds.setdefault((run.variant, ", ".join(files)), []).append(run.seed)


def _sentences(seeds: Mapping[tuple[str, str], Sequence[int]]) -> list[str]:
    return [
        f"{variant}: {files} changed since seed {', '.join(map(str, which))}"
        for (variant, files), which in seeds.items()
    ]
