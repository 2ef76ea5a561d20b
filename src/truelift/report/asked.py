"""What a study asked and set, read from its study.json."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from truelift.metrics import Limit, Metric, Scale
from truelift.records import looks_before
from truelift.report.refereed import Referee, read_referee
from truelift.verdicts import Looks, Pooling, PublishedFigure
from truelift.verdicts.comparison import Replicates


@dataclass(frozen=True)
class Variant:
    """What one variant sets."""

    name: str
    command: str | None
    """Of a program of the user's; None for a training of ours."""
    settings: Mapping[str, object]


@dataclass(frozen=True)
class Earlier:
    """A plan before this one whose results could be judged."""

    seeds: int
    """That could be judged."""
    planned: int
    """Seeds."""
    last_run: str
    """When; empty where its study.json was lost."""
    removed: tuple[str, ...] = ()
    """Variants that it had too, with results."""
    edited: tuple[str, ...] = ()
    """Variants that had other settings then."""
    metric: str | None = None
    """By which it was judged, where that was another."""
    baseline: str | None = None
    """Likewise."""


@dataclass(frozen=True)
class Asked:
    """The plan's part of the report."""

    name: str
    question: str
    metric: Metric
    smallest_effect: float
    guards: tuple[Limit, ...]
    """Other metrics that may get worse by a limit at most."""
    pooling: Pooling
    baseline: str
    seeds: tuple[int, ...]
    """All that the plan may run."""
    looks: Looks | None
    """Of a study that runs seeds until it is decided; None for a fixed number."""
    earlier: tuple[Earlier, ...]
    """Plans before this one whose results could be judged, the oldest first."""
    variants: tuple[Variant, ...]
    """In the study file's order."""
    shared: Mapping[str, object]
    """Settings that all variants share."""
    published: Mapping[str, tuple[PublishedFigure, ...]]
    """By variant."""
    changed: tuple[str, ...]
    """Settings in which it departs from the protocol of the published figures."""
    scale: str | None
    """Of the study file; None for the file as it stands."""
    repeat: str
    """The command that repeats the study."""
    paired: bool
    """Whether runs are compared in pairs of one seed; else each variant's runs with all of the baseline's."""
    referee: Referee | None
    """The ledger that gave the variants' levels."""
    started_in: str
    """The folder in which it was given, as from the study's own; empty where that is not recorded."""
    source: str
    """The study file, likewise."""
    folds: int | None
    """Of a study whose replicates are the folds of one data set, how many; None for seeds."""
    planned_metric: str
    """The metric that the study was planned with, where it is judged by another one afterwards; else empty."""
    notes: tuple[str, ...]
    """How runs that were made elsewhere were read, and what a reader should know of it."""
    made_elsewhere: bool
    """Whether its runs were read, and are none of truelift's."""
    scales: Mapping[str, Scale]
    """Of metrics of such runs besides the one that is judged, where that is known."""

    @property
    def replicates(self) -> Replicates:
        """What its pairs are."""
        return "seeds" if self.folds is None else "folds"

    @property
    def guard_names(self) -> dict[str, str]:
        """The metrics' names that programs read, by the words for them."""
        return {self.guard_label(guard.metric): guard.metric.name for guard in self.guards}

    def guard_label(self, metric: Metric) -> str:
        """A guard's metric for a reader; its bare name where two share a label, as "test loss" and "test_loss" do."""
        alike = [guard for guard in self.guards if guard.metric.label == metric.label]
        return metric.name if len(alike) > 1 else metric.label

    @property
    def programs(self) -> bool:
        """Whether a variant is a program of the user's."""
        return any(variant.command is not None for variant in self.variants)

    @property
    def of_function(self) -> bool:
        """Whether a function of the user's made the runs (`truelift.compare`)."""
        return "function" in self.shared

    @property
    def trained_here(self) -> bool:
        """Whether truelift's own trainings made all runs, so that the scale of what they log is known."""
        return not (self.programs or self.made_elsewhere or self.of_function)

    def other(self, name: str) -> Metric:
        """Another metric that the runs have, for the report to show.

        What was said of the judged metric's scale is said of it alone, except in a study file of programs.
        """
        found = Metric.shown(name)
        if not found.in_points:
            return found
        if self.trained_here:
            return found.of_trainings()
        return Metric.named(name, scale=self.metric.scale if self.programs else self.scales.get(name))

    @property
    def reached(self) -> Metric:
        """What a saving of time is set against: the metric, or where that is a time itself the first guard."""
        for guard in self.guards if self.metric.relative else ():
            found = Metric.named(guard.metric.name, guard.metric.higher_is_better, scale=guard.metric.scale)
            if not found.relative:
                return found
        return self.metric

    @property
    def order(self) -> tuple[str, ...]:
        """The variants' names, the baseline first."""
        return (self.baseline, *(v.name for v in self.variants if v.name != self.baseline))

    def other_lengths(self) -> frozenset[str]:
        """The baseline and the variants that differ from it in epochs alone; none for a program of the user's."""
        named = {variant.name: variant for variant in self.variants}
        wanted = _but_for_epochs(named[self.baseline])
        if named[self.baseline].command is not None:
            return frozenset()
        return frozenset(name for name, v in named.items() if v.command is None and _but_for_epochs(v) == wanted)


def _but_for_epochs(variant: Variant) -> dict[str, object]:
    return {key: value for key, value in variant.settings.items() if key != "epochs"}


def read_asked(plan: Mapping[str, Any]) -> Asked:
    """From the content of study.json; docs/records.md lists its keys."""
    found = Asked(
        name=str(plan["name"]),
        question=str(plan["question"]),
        metric=Metric(
            plan["metric"], plan["unit"], plan["higher_is_better"], plan["relative"], scale=plan.get("metric_scale")
        ),
        smallest_effect=float(plan["smallest_effect"]),
        # Studies of earlier versions have no guards, no pooling and no scale.
        guards=tuple(
            Limit(
                Metric(name, g["unit"], g["higher_is_better"], g["relative"], scale=g.get("scale")), float(g["limit"])
            )
            for name, g in plan.get("guards", {}).items()
        ),
        pooling=plan.get("pooling", "none"),
        baseline=plan["baseline"],
        seeds=tuple(plan["seeds"]),
        looks=None if (until := plan.get("until_decided")) is None else Looks(tuple(until["looks"]), until["alpha"]),
        earlier=tuple(
            Earlier(
                len(one["seeds"]),
                one["planned"],
                one["created"],
                tuple(one.get("removed", ())),
                tuple(one.get("edited", ())),
                one.get("metric"),
                one.get("baseline"),
            )
            for one in looks_before(plan)
        ),
        variants=tuple(Variant(name, v["command"], v["settings"]) for name, v in plan["variants"].items()),
        shared=plan["shared"],
        # Studies of earlier versions have none of these.
        published={
            name: tuple(PublishedFigure(**figure) for figure in figures)
            for name, figures in plan.get("published", {}).items()
        },
        changed=tuple(plan.get("changed") or ()),
        scale=plan.get("scale") or None,
        repeat=str(plan["repeat"]),
        paired=bool(plan.get("paired", True)),
        referee=read_referee(plan),
        started_in=str(plan.get("started_in") or ""),
        source=str(plan.get("source") or ""),
        folds=plan.get("folds"),
        planned_metric=str(plan.get("planned_metric") or ""),
        notes=tuple(plan.get("notes", ())),
        made_elsewhere=plan.get("made_elsewhere", False),
        scales=plan.get("scales", {}),
    )
    return replace(found, metric=found.metric.of_trainings()) if found.trained_here else found


def setting(value: object) -> str:
    """A setting's value as a study file has it: true, not True; words without quotation marks."""
    return value if isinstance(value, str) else json.dumps(value)
