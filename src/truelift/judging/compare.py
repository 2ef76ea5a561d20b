"""Any training function, over variants and seeds: recorded, resumed and judged."""

import copy
import hashlib
import inspect
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from truelift.errors import FailedError, InputError, known, require
from truelift.judging.judged import Judged
from truelift.judging.metric import Better, named
from truelift.judging.train_source import source_of
from truelift.metrics import Metric, no_result
from truelift.own import raised
from truelift.records import Study, earlier_plans, leased, make_room, now, read_plan, read_result, write_json
from truelift.records.elsewhere.names import METRICS, find
from truelift.report import summarise
from truelift.report.standing import decide
from truelift.seeds import MOST_SEEDS
from truelift.studies.growing import Growing
from truelift.studies.looks import read_looks
from truelift.studies.looks import record as looks_record
from truelift.verdicts import Comparison, Looks
from truelift.verdicts.checks import at_least_zero

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

Train = Callable[..., Mapping[str, float]]
"""`train(seed, **settings)` returns numbers by name."""


@dataclass(frozen=True)
class _Planned:
    variant: str
    seed: int
    settings: Mapping[str, Any]
    folder: str


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
    scale: Literal["points", "none"] | None = None,
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
        scale: points: results from 0 to 100; none: a plain number. Needed where all results of what is called an
            accuracy or an error lie between 0 and 1, which could be fractions.
        question: For the report.
        quiet: Print no line for each run.

    Raises:
        InputError: Bad input, found before anything runs, or `train` returns no dict of numbers.
        FailedError: All runs failed.
    """
    at_least_zero("smallest_effect", smallest_effect)
    home = Path(folder).absolute()  # `train` may change the working directory
    names = _checked_names(variants, baseline)
    for kind, value, choices in (("better", better, Better), ("scale", scale, Literal["points", "none"])):
        if value is not None:
            known(kind, value, get_args(choices))
    given = None if metric is None else named(metric, better)
    asked: dict[str, Any] = {
        "name": home.name,
        "question": question or f"Which of {', '.join(names)} is best?",
        "smallest_effect": smallest_effect,
        "metric_scale": scale,
    }
    plan_of_looks = _looks(until_decided, max_seeds, looks, seeds)
    _refuse_a_study(home)
    if plan_of_looks is not None:
        if given is None:
            raise InputError("until_decided needs metric: what is judged is part of the plan, before the first run.")
        planned = _plan(train, variants, names, _seeds(plan_of_looks.most_seeds))
        by = replace(given, unit="") if scale == "none" and given.in_points else given
        record = _record(folder, train, planned, names, by, {**asked, "until_decided": looks_record(plan_of_looks)})
        with leased(home):
            write_json(home / "study.json", record | {"earlier": earlier_plans(home, record)})
            _until_decided(_Runner(train, home, given, better, quiet), home, planned, given, scale)
        return Judged(summarise(Study.read(home)), folder=home)
    planned = _plan(train, variants, names, _seeds(5 if seeds is None else seeds))
    earlier_plans(home, {"runs": _runs(planned), "seeds": _seeds_of(planned)})  # refuses what was planned otherwise
    with leased(home):
        runner = _Runner(train, home, given, better, quiet)
        for number, run in enumerate(planned, start=1):
            runner.run(run, f"[{number}/{len(planned)}] {run.variant} seed {run.seed}")
        if runner.metric is None or not runner.results:
            raise FailedError(f"all {len(planned)} runs failed; the first: {runner.reasons[0]}")
        judged_by = _scaled(runner.metric, runner.results, scale)
        record = _record(folder, train, planned, names, judged_by, asked)
        write_json(home / "study.json", record | {"earlier": earlier_plans(home, record)})
    return Judged(summarise(Study.read(home)), folder=home)


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


def _until_decided(
    runner: "_Runner",
    home: Path,
    planned: Sequence[_Planned],
    metric: Metric,
    scale: Literal["points", "none"] | None,
) -> None:
    """Run seed by seed what is needed."""
    runs = {home / run.folder: run for run in planned}

    def decide_in_scale(study: Study) -> Mapping[str, Comparison]:
        results = (_result(path) for path in runs)
        there = [found["metrics"][metric.name] for found in results if found and metric.name in found["metrics"]]
        if there:
            _scaled(metric, there, scale)
        return decide(study)

    pending = [path for path in runs if _result(path) is None]
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
    if runner.reasons and all(_result(path) is None for path in runs):
        raise FailedError(f"all {len(runner.reasons)} runs failed; the first: {runner.reasons[0]}")


def _checked_names(variants: Mapping[str, Mapping[str, Any]], baseline: str | None) -> list[str]:
    """The baseline first."""
    if not isinstance(variants, Mapping):
        raise InputError(f"variants must be a dict of settings by name, got {variants!r}.")
    names = list(variants)
    if len(names) < 2:
        raise InputError(f"variants must be the baseline and at least one other, got {', '.join(names) or 'none'}.")
    for name in names:
        holds = isinstance(name, str) and _NAME.fullmatch(name) is not None
        require("a variant's name", repr(name), holds, 'of letters, digits, ".", "_" and "-" alone')
    first = names[0] if baseline is None else baseline
    known("baseline", first, names)
    return [first, *(name for name in names if name != first)]


def _seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(seeds, int) and seeds > MOST_SEEDS:
        raise InputError(f"seeds must be at most {MOST_SEEDS:,}, got {seeds}.")
    several = isinstance(seeds, Iterable) and not isinstance(seeds, str | bytes)
    found = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds) if several else ()
    for seed in found:
        if isinstance(seed, int) and not -(2**63) <= seed < 2**63:
            raise InputError(f"seeds must be numbers of 64 bits, got {seed}.")
    whole = all(isinstance(seed, int) and not isinstance(seed, bool) for seed in found)
    holds = whole and len(found) > 0 and len(set(found)) == len(found) and not isinstance(seeds, bool)
    require("seeds", repr(seeds), holds, "a number of at least 1, or a list of different whole numbers")
    return found


def _plan(
    train: Train, variants: Mapping[str, Mapping[str, Any]], names: Sequence[str], seeds: Sequence[int]
) -> list[_Planned]:
    """All runs, seed by seed, so that what is cut short has complete pairs.

    Raises:
        InputError: `train` does not take a variant's settings, or they are not of JSON.
    """
    source = source_of(train)
    digests = {name: _settings_text(name, variants[name]) for name in names}
    kept = {name: copy.deepcopy(dict(variants[name])) for name in names}
    for name in names:
        try:
            inspect.signature(train).bind(seeds[0], **variants[name])
        except TypeError as error:
            told = f"{error}; the first parameter is the seed"
            raise InputError(f'variant "{name}": train(seed, **settings) does not take them: {told}.') from None
        except ValueError:  # written in C: it is seen when it is called
            continue
    return [
        _Planned(name, seed, kept[name], f"runs/{name}/seed-{seed}-{_digest(source, digests[name])}")
        for seed in seeds
        for name in names
    ]


def _settings_text(name: str, settings: Mapping[str, Any]) -> str:
    if not isinstance(settings, Mapping) or not all(isinstance(key, str) for key in settings):
        raise InputError(f'variant "{name}" must be a dict of settings by name, got {settings!r}.')
    if "seed" in settings:
        raise InputError(f'variant "{name}" must not set seed, which every run is given.')
    try:
        return json.dumps(dict(settings), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f'variant "{name}": settings must be what JSON has, since they name its runs: {error}.'
        ) from None


def _digest(source: str, settings: str) -> str:
    return hashlib.sha256(f"{source}\0{settings}".encode()).hexdigest()[:8]


class _Runner:
    """Runs what is not done, and learns from the first result what is judged."""

    def __init__(self, train: Train, home: Path, metric: Metric | None, better: Better | None, quiet: bool) -> None:
        self.metric = metric
        self.reasons: list[str] = []
        """Why runs failed."""
        self.results: list[float] = []
        """Of what is judged, of all runs that are done."""
        self._train = train
        self._home = home
        self._better = better
        self._quiet = quiet

    def run(self, run: _Planned, told: str) -> None:
        """Run it, unless it is done.

        Raises:
            InputError: What `train` returns is no dict of numbers, or has not what is judged.
        """
        path = self._home / run.folder
        done = _result(path)
        if done is not None:
            found = done["metrics"]
            judged_by = (self.metric or self._learn(found)).name
            if judged_by not in found and self._is_anywhere(judged_by):
                raise InputError(
                    f"{path} has a result without {judged_by}, only {', '.join(found)}: if it was no finite number, "
                    "judge by it in another folder, where such a run counts as failed."
                )
            self.results.append(found[self._learn(found).name])
            return
        for line in make_room(path):
            self.say(line)
        (path / "failure.json").unlink(missing_ok=True)
        try:
            found = self._train(run.seed, **copy.deepcopy(run.settings))  # which it may change in place
        except Exception as error:
            self._fail(path, raised(error), told)
            return
        metrics = _numbers(found)
        judged_by = self._learn(metrics).name
        if (why := no_result(metrics[judged_by])) is not None:
            self._fail(path, f"{judged_by} is {why}", told)
            return
        finite = {name: value for name, value in metrics.items() if no_result(value) is None}
        settings = {"seed": run.seed, "settings": dict(run.settings)}
        write_json(path / "result.json", {"metrics": finite, "finished": now(), **settings})
        self.results.append(metrics[judged_by])
        self.say(f"{told}: {judged_by} {metrics[judged_by]:.4g}")

    def _learn(self, metrics: Mapping[str, float]) -> Metric:
        if self.metric is None:
            self.metric = _metric(metrics, self._better)
        known("metric", self.metric.name, metrics)
        return self.metric

    def _is_anywhere(self, name: str) -> bool:
        """Whether a result of the folder has a metric: it is no misspelt one."""
        results = (_result(path.parent) for path in self._home.glob("runs/*/*/result.json"))
        return any(name in result["metrics"] for result in results if result is not None)

    def _fail(self, path: Path, reason: str, told: str) -> None:
        self.reasons.append(reason)
        write_json(path / "failure.json", {"reason": reason})
        self.say(f"{told}: failed: {reason}")

    def say(self, line: str) -> None:
        """Print a line, unless it is to be quiet."""
        if not self._quiet:
            print(line, flush=True)


def _result(folder: Path) -> dict[str, Any] | None:
    """A run's; None where it is missing or damaged."""
    try:
        return read_result(folder)
    except InputError:
        return None


def _numbers(found: Any) -> dict[str, float]:
    """What `train` returned, as Python's own numbers.

    Raises:
        InputError: It is no dict of numbers.
    """
    if not isinstance(found, Mapping) or not found:
        raise InputError(f"train must return a dict of numbers by name, got {_shown(found)}.")
    numbers = {}
    for name, value in found.items():
        try:
            if isinstance(value, bool | str | bytes):
                raise TypeError
            numbers[str(name)] = float(value)
        except OverflowError:  # a whole number beyond all others
            numbers[str(name)] = math.inf
        except (TypeError, ValueError, RuntimeError):  # a tensor of several numbers
            raise InputError(f"train must return numbers, got {name}: {_shown(value)}.") from None
    return numbers


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:80]} …"


def _metric(metrics: Mapping[str, float], better: Better | None) -> Metric:
    usual = find(METRICS, metrics)
    if not usual and len(metrics) != 1:
        raise InputError(f"metric must name what is judged, one of {', '.join(metrics)}.")
    return named(usual[0] if usual else next(iter(metrics)), better)


def _scaled(metric: Metric, results: Sequence[float], scale: Literal["points", "none"] | None) -> Metric:
    """The metric as it is judged.

    Raises:
        InputError: It is in points by its name, and its results look like fractions.
    """
    if scale is None and metric.in_points and all(0 <= value <= 1 for value in results):
        raise InputError(
            f"results of {metric.name} look like fractions, {min(results):g} to {max(results):g}: let train return "
            '100 times as much, for points; or give scale="points" if they are percent, or scale="none".'
        )
    return replace(metric, unit="") if scale == "none" and metric.in_points else metric


def _record(
    folder: str | Path,
    train: Train,
    planned: Sequence[_Planned],
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
        "seeds": _seeds_of(planned),
        "variants": {run.variant: {"settings": dict(run.settings), "command": None} for run in planned},
        "shared": {"function": function},
        "runs": _runs(planned),
        "repeat": f"truelift.compare({function}, variants={{…}}, folder={str(folder)!r})",
        "created": now(),
    }


def _runs(planned: Sequence[_Planned]) -> list[dict[str, Any]]:
    return [{"variant": run.variant, "seed": run.seed, "folder": run.folder} for run in planned]


def _seeds_of(planned: Sequence[_Planned]) -> list[int]:
    return list(dict.fromkeys(run.seed for run in planned))
