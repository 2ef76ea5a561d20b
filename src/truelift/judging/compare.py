"""Any training function, over variants and seeds: recorded, resumed and judged."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from truelift.errors import FailedError, InputError, known
from truelift.judging.judged import Judged
from truelift.judging.metric import Better, named
from truelift.judging.planned import PlannedRun, Train, checked_names, plan_runs, runs_form, seeds_from, seeds_of
from truelift.judging.runner import Runner, result_in
from truelift.judging.scale import fractions_beside, in_python, scaled
from truelift.metrics import Metric
from truelift.records import Study, earlier_plans, leased, now, read_plan, write_json
from truelift.records.locks import InUseError
from truelift.report import summarise
from truelift.report.standing import decide
from truelift.studies.growing import Growing
from truelift.studies.looks import read_looks
from truelift.studies.looks import record as looks_record
from truelift.verdicts import Comparison, Looks, Scale
from truelift.verdicts.checks import at_least_zero


def compare(
    train: Train,
    *,
    variants: Mapping[str, Mapping[str, Any]],
    seeds: int | Sequence[int] | None = None,
    until_decided: bool = False,
    max_seeds: int | None = None,
    looks: Sequence[int] | None = None,
    folder: str | Path,
    baseline: str | None = None,
    metric: str | None = None,
    smallest_effect: float = 0.0,
    better: Better | None = None,
    scale: Scale | None = None,
    question: str | None = None,
    quiet: bool = False,
) -> Judged:
    """Run `train(seed, **settings)` for every variant under every seed, and judge the results.

    Each result is recorded as soon as it is there. The same call goes on where it was stopped, however that was: what
    is finished is not run again. A run is named by its settings, its seed, the source of `train` and what is bound to
    it (a partial's arguments, numbers of a function around it), so what is changed runs anew; an object's attributes,
    and what `train` calls, are not looked at.

    Args:
        train: Any function that returns a dict of numbers. It should draw everything from `seed`.
        variants: The settings of each, by name. They must be what JSON has: numbers, texts, booleans, lists, dicts.
        seeds: How many, or a list of whole numbers; by default 5.
        until_decided: Judge while it runs, and run no more seeds than a variant needs; then `metric` must be given,
            since the plan is written before the first run.
        max_seeds: Then: seeds of a variant at most.
        looks: Then: at how many seeds to judge; by default at every one from the third.
        folder: Where it is recorded. `truelift report FOLDER` makes its report again.
        baseline: One of the variants; by default the first.
        metric: What is judged; by default the first usual one that `train` returns, or the only one.
        smallest_effect: The smallest difference that matters, at least 0.
        better: higher or lower, for a metric whose name does not say it.
        scale: points: results from 0 to 100; fraction: from 0 to 1, judged in points; none: a plain number. Needed
            where all results of what is called an accuracy or an error lie between 0 and 1, which could be fractions;
            it is asked after the first.
        question: For the report.
        quiet: Print no line for each run.

    Raises:
        InputError: Bad input, found before anything runs, or `train` returns no dict of numbers.
        FailedError: All runs failed.
        InUseError: Another process compares in the same folder.
    """
    at_least_zero("smallest_effect", smallest_effect)
    home = Path(folder).absolute()  # `train` may change the working directory
    names = checked_names(variants, baseline)
    for kind, value, choices in (("better", better, Better), ("scale", scale, Scale)):
        if value is not None:
            known(kind, value, get_args(choices))
    given = None if metric is None else named(metric, better)
    by = None if given is None else scaled(given, (), scale, said=in_python)[0]
    asked: dict[str, Any] = {
        "name": home.name,
        "question": question or f"Which of {', '.join(names)} is best?",
        "smallest_effect": smallest_effect,
        "metric_scale": scale,
    }
    plan_of_looks = _looks(until_decided, max_seeds, looks, seeds)
    _refuse_a_study(home)
    if plan_of_looks is not None:
        if by is None:
            raise InputError("until_decided needs metric: what is judged is part of the plan, before the first run.")
        planned = plan_runs(train, variants, names, seeds_from(plan_of_looks.most_seeds))
        record = _record(folder, train, planned, names, by, {**asked, "until_decided": looks_record(plan_of_looks)})
        with _alone(home):
            record |= {"earlier": earlier_plans(home, record)}
            write_json(home / "study.json", record)
            _until_decided(Runner(train, home, given, better, scale, quiet), home, planned)
            write_json(home / "study.json", record | _scales(home, planned, scale))
        return Judged(summarise(Study.read(home)), folder=home)
    planned = plan_runs(train, variants, names, seeds_from(5 if seeds is None else seeds))
    earlier_plans(home, {"runs": runs_form(planned), "seeds": seeds_of(planned)})  # refuses what was planned otherwise
    with _alone(home):
        runner = Runner(train, home, given, better, scale, quiet)
        for number, run in enumerate(planned, start=1):
            runner.run(run, f"[{number}/{len(planned)}] {run.variant} seed {run.seed}")
        if runner.metric is None or not runner.results:
            raise FailedError(f"all {len(planned)} runs failed; the first: {runner.reasons[0]}")
        judged_by = runner.judged_by()
        asked |= _scales(home, planned, scale)
        record = _record(folder, train, planned, names, judged_by, asked)
        write_json(home / "study.json", record | {"earlier": earlier_plans(home, record)})
    return Judged(summarise(Study.read(home)), folder=home)


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold the folder; where another process has it, say what to do."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(leased(home))
        except InUseError as error:
            raise InUseError(
                f"{str(error).removesuffix('.')}, which compares there now. The same call, when that has ended, takes "
                "its results and runs none again; a search goes on with its next candidate meanwhile."
            ) from None
        yield


def _refuse_a_study(home: Path) -> None:
    """Refuse a folder whose study.json is of `truelift study`: it would be written over."""
    try:
        there = read_plan(home)
    except InputError:  # it is not there, or damaged
        return
    if "function" not in there["shared"]:
        source = there.get("source")
        held = "another study" if source is None else f"the study of {source}"
        raise InputError(f"{home} holds {held}: give this comparison another folder.")


def _looks(
    until_decided: bool, max_seeds: int | None, looks: Sequence[int] | None, seeds: int | Sequence[int] | None
) -> Looks | None:
    """The plan of looks; None for a fixed number of seeds."""
    table = {"max_seeds": max_seeds, "looks": None if looks is None else list(looks)}
    given = {name: value for name, value in table.items() if value is not None}
    if not until_decided:
        if given:
            raise InputError(f"{next(iter(given))} is for until_decided=True.")
        return None
    if seeds is not None:
        raise InputError("seeds fixes their number, and until_decided does not: give max_seeds instead.")
    return read_looks(given)


def _scales(home: Path, planned: Sequence[PlannedRun], scale: Scale | None) -> dict[str, Any]:
    """Where the metric is in fractions, the others that are so too, for study.json."""
    if scale != "fraction":
        return {}
    results: dict[str, list[float]] = {}
    for found in filter(None, (result_in(home / run.folder) for run in planned)):
        for name, value in found["metrics"].items():
            results.setdefault(name, []).append(value)
    return {"scales": dict.fromkeys(fractions_beside(results), "fraction")}


def _until_decided(runner: Runner, home: Path, planned: Sequence[PlannedRun]) -> None:
    """Run seed by seed what is needed."""
    runs = {home / run.folder: run for run in planned}

    def decide_in_scale(study: Study) -> Mapping[str, Comparison]:
        if runner.results:
            runner.judged_by()
        return decide(study)

    pending = [path for path in runs if result_in(path) is None]
    for path in (path for path in runs if path not in pending):
        runner.run(runs[path], "")  # is done: it has what is judged, or it is told
    growing = Growing(
        home,
        {path: (run.variant, run.seed) for path, run in runs.items()},
        pending,
        decide=decide_in_scale,
        prepare=lambda _: None,
        tell=runner.say,
    )
    for path in growing.folders():
        run = runs[path]
        runner.run(run, f"[{growing.runs_ended + 1} of at most {growing.runs_at_most}] {run.variant} seed {run.seed}")
        for line in growing.ended(path):
            runner.say(line)
    if runner.reasons and all(result_in(path) is None for path in runs):
        raise FailedError(f"all {len(runner.reasons)} runs failed; the first: {runner.reasons[0]}")


def _record(
    folder: str | Path,
    train: Train,
    planned: Sequence[PlannedRun],
    names: Sequence[str],
    metric: Metric,
    asked: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of study.json."""
    function = f"{getattr(train, '__module__', '')}.{getattr(train, '__qualname__', type(train).__qualname__)}"
    return {
        "scale": None,
        **asked,
        "metric": metric.name,
        "unit": metric.unit,
        "higher_is_better": metric.higher_is_better,
        "relative": metric.relative,
        "baseline": names[0],
        "seeds": seeds_of(planned),
        "variants": {run.variant: {"settings": dict(run.settings), "command": None} for run in planned},
        "shared": {"function": function},
        "runs": runs_form(planned),
        "repeat": f"truelift.compare({function}, variants={{…}}, folder={str(folder)!r})",
        "created": now(),
    }
