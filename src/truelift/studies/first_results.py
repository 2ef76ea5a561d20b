"""What a study's first results show to be wrong with how it is measured, before all its runs are made in vain.

A program that lacks the metric lacks it in every run, and whether results are fractions must be said before a verdict.
So no further run begins then, and those that have ended are kept.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from truelift.errors import InputError, did_you_mean
from truelift.records import Run
from truelift.records.own_result import is_own
from truelift.records.predicted import metric_of
from truelift.studies.command import metrics_file
from truelift.studies.plan import PlannedRun, StudyPlan
from truelift.studies.program_metrics import TABLES, read_metrics
from truelift.studies.sources import changed, source_digests
from truelift.verdicts import in_points

_TABLES = (".csv", ".tsv", ".json", ".jsonl")
_MOST_NAMED = 5
"""Of the files that a program has left."""
_WRITES = "a program must write metrics.json into {out} (docs/own-program.md)"


class FirstResults:
    """Looks at the runs that end.

    Args:
        plan: The study's.
        runs: All of it, by their folders.
        pending: The folders of those that are not finished.
    """

    def __init__(self, plan: StudyPlan, runs: Mapping[Path, PlannedRun], pending: Collection[Path]) -> None:
        metrics = (plan.metric, *(guard.metric for guard in plan.guards))
        self._metric = plan.metric.name
        self._guards = [guard.metric.name for guard in plan.guards]
        self._commands = {variant.name: variant.command for variant in plan.variants}
        self._configs = {run.variant: run.config for run in runs.values()}
        self._measured: set[tuple[str, str]] = set()
        """Each command with the metrics that a run of it has left."""
        self._unknown: dict[str, dict[str, list[float]]] = {
            one.name: {variant.name: [] for variant in plan.variants}
            for one in metrics
            if one.in_points and one.scale is None
        }
        """Results by metric and variant, where nobody has said the scale."""
        waiting = set(pending)
        for path, run in runs.items():
            if path not in waiting:
                self._lack(found := Run(run.variant, run.seed, path))
                self._take_up(found)
        self.wrong = self._in_doubt() if pending else None
        """What is wrong, and what to do about it; None where nothing is known to be."""

    def unless_wrong(self, folders: Iterable[Path]) -> Iterator[Path]:
        """The folders, each as it is asked for, as long as nothing is wrong."""
        following = iter(folders)
        while self.wrong is None and (folder := next(following, None)) is not None:
            yield folder

    def ended(self, run: Run) -> None:
        """Take up a run that has ended."""
        if self.wrong is None:
            self._take_up(run)
            self.wrong = self._lack(run) or self._in_doubt()

    def _lack(self, run: Run) -> str | None:
        """What a program has not left that no run of it has left before; None where there is nothing."""
        command = self._commands[run.variant]
        if command is None or run.status == "unfinished":
            return None
        if run.status == "failed":
            if "ran" not in run.failure() or (command, self._metric) in self._measured:
                return None
            return _without(run, self._metric, self._file(run), run.failure()["reason"])
        self._measured.add((command, self._metric))
        for name in self._guards:
            if (command, name) in self._measured:
                continue
            if metric_of(run, name) is None and name not in run.result().get("left_out", ()):
                file = self._file(run)
                return _without(run, name, file, f"{file} has no {name}, which the guards name")
            self._measured.add((command, name))
        return None

    def _file(self, run: Run) -> str:
        return metrics_file(self._configs[run.variant])

    def _take_up(self, run: Run) -> None:
        if run.status == "done":
            written = run.result()["metrics"]
            for name, results in self._unknown.items():
                if name in written:
                    results[run.variant].append(written[name])

    def _in_doubt(self) -> str | None:
        """Why the scale of what there is cannot be told."""
        for name, results in self._unknown.items():
            try:
                in_points(name, results.values(), None)
            except InputError as error:
                return f"{error} No further run begins: the key belongs into the study file, and what has run is kept."
        return None


def refuse_finished_without(plan: StudyPlan, runs: Mapping[Path, PlannedRun], pending: Collection[Path]) -> None:
    """Refuse a metric that no finished run of a program has, where it would be the same program that runs again.

    Args:
        plan: The study's.
        runs: All of it, by their folders.
        pending: The folders of those that do not count as finished.

    Raises:
        InputError: Such a run; the message says what it has.
    """
    name, waiting = plan.metric.name, set(pending)
    have = {run.config["command"] for path, run in runs.items() if run.experiment is None and path not in waiting}
    for path in pending:
        planned = runs[path]
        run = Run(planned.variant, planned.seed, path)
        if planned.experiment is not None or planned.config["command"] in have or run.status != "done":
            continue
        result = run.result()
        before = result.get("sources")
        other = metrics_file(result) != metrics_file(planned.config)
        if not before or other or not is_own(result, planned.config) or name in result.get("left_out", ()):
            continue
        if not changed(before, source_digests(planned.config, path.absolute())):
            there = sorted(result["metrics"])
            raise InputError(
                f"{run.variant} seed {run.seed} has ended, but its program has not left {name}, the study's metric: "
                f"got only {there}.{did_you_mean(name, there)} To make its runs again, give another --out."
            )


def _without(run: Run, name: str, file: str, reason: str) -> str:
    """A sentence of a run that has ended well without a metric."""
    try:
        there = sorted(read_metrics(run.folder / file, tell=lambda line: None)[0])
    except InputError:
        files = [found for found in _tables(run.folder) if found != file]
        hint = f" What lies there: {', '.join(files)};" if files else ""
        table = next((name for name in files if name.endswith(TABLES)), None)
        offered = f', or results = "{table}" in the study file takes the last row there' if table else ""
        hint = f"{hint} {_WRITES}{offered}."
    else:
        hint = f"{did_you_mean(name, there)} With one that is there in the study file, what has run is taken as it is."
    return (
        f"{run.variant} seed {run.seed} ended with status 0, but {reason}.{hint} All runs of its program would end so, "
        "probably: no further run is begun. Once that is mended the same command goes on. Where one run has no result "
        "and others have, the program should end with a status other than 0."
    )


def _tables(folder: Path) -> list[str]:
    """Names of files in which a program may have left its numbers instead."""
    ours = ("environment.json", "failure.json", "result.json")
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix in _TABLES)
    named = [name for name in found if name not in ours and not name.startswith(".")]
    return named[:_MOST_NAMED] + ["…"] * (len(named) > _MOST_NAMED)
