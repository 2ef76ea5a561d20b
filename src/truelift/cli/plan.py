"""`truelift plan`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from truelift.errors import InputError, require
from truelift.records import shown_looks
from truelift.seeds import FEWEST_SEEDS
from truelift.studies.looks import GivenLooks
from truelift.verdicts import Looks, seeds_needed
from truelift.verdicts.checks import positive
from truelift.verdicts.student import critical

if TYPE_CHECKING:
    from truelift.studies.plan import StudyPlan
    from truelift.verdicts.scatter import Scatter

CORRELATIONS = (0.0, 0.5, 0.75)
"""Of paired results, for which seeds are told."""


def plan(
    source: str | None = None,
    /,
    *,
    scale: str = "paper",
    seeds: int | None = None,
    until_decided: bool = False,
    max_seeds: int | None = None,
    looks: str | None = None,
    effect: float | None = None,
    sd: float | None = None,
    like: str | None = None,
    power: float | None = None,
    alpha: float | None = None,
    json: bool = False,
) -> int:
    """Say how many seeds a study needs, or what a study file plans.

    Args:
        source: A study file, or the name of a recipe, whose plan of runs is shown. Without one, give --effect and --sd
            or --like.
        scale: Of the study file.
        seeds: As for truelift study.
        until_decided: Likewise.
        max_seeds: Likewise.
        looks: Likewise.
        effect: The smallest difference that matters, in the metric's unit; above 0.
        sd: Standard deviation of one variant's results over seeds, in the same unit; above 0.
        like: Instead of --sd: the folder of a study that ran here; or one whose differences in test error were
            measured, such as cifar10/usual-techniques-94, or the recipe that one is built on, cifar10/short-94-half.
            --effect is then in the unit of the study's differences, mostly points.
        power: Chance to find such an effect; in (0, 1). Default: 0.8.
        alpha: Chance to find one where there is none; in (0, 1). Default: 0.05.
        json: Print it as JSON (docs/json.md).
    """
    given = GivenLooks(until_decided, max_seeds, looks)
    if source is None:
        if sd is not None and like is not None:
            raise InputError("sd and like exclude each other: like has a measured one.")
        for name, value in {"effect": effect, "sd": sd if like is None else like}.items():
            if value is None:
                raise InputError(f"plan needs a study file, or --effect and --sd or --like: --{name} is missing.")
        if seeds is not None or given != GivenLooks() or scale != "paper":
            raise InputError("scale, seeds and looks are of a study: give its file.")
        assert effect is not None
        power, alpha = 0.8 if power is None else power, 0.05 if alpha is None else alpha
        if like is not None:
            return _needed_like(like, effect, power, alpha, json=json)
        assert sd is not None
        return _needed(effect, sd, power, alpha, json=json)
    for name, value in {"effect": effect, "sd": sd, "like": like, "power": power, "alpha": alpha}.items():
        if value is not None:
            raise InputError(f"{name} is for the number of seeds alone: give it without a study file.")
    # Here, because they take the time that PyTorch takes, which --effect does not need.
    from truelift import recipes
    from truelift.studies.study_file import read_plan

    found = read_plan(recipes.study_file(source), scale=scale, seeds=seeds, looks=given)
    if json:
        from truelift.report.json_form import study_plan_form, to_json

        print(to_json(study_plan_form(found.record("", ""))))
    else:
        print("\n".join(_told(found)))
    return 0


def _told(found: "StudyPlan") -> list[str]:
    """What a study will run, and where it is judged."""
    runs = len(found.seeds) * len(found.variants)
    names = ", ".join(variant.name for variant in found.variants)
    lines = [found.question, f"variants: {names}; the baseline is {found.baseline}"]
    if found.looks is None:
        replicates = "seeds" if found.folds is None else "folds"
        return [*lines, f"{len(found.seeds)} {replicates} each, {runs} runs, judged once"]
    lines.append(
        f"until decided: at most {found.looks.most_seeds} seeds each, {runs} runs at most; "
        f"looks at {shown_looks(found.looks.seeds)} pairs, {found.looks.alpha:.0%} false verdicts over all looks"
    )
    # Holm's first step is the strictest: of the rest a variant is asked less, as the others are decided.
    strictest = Looks(found.looks.seeds, found.looks.alpha / (len(found.variants) - 1))
    lines += ["pairs  p must reach  |t| must reach", *(_look(strictest.level(k), k) for k in strictest.seeds)]
    if len(found.variants) > 2:
        lines.append(f"(of the first of {len(found.variants) - 1} variants to be decided; of the others less)")
    return lines


def _look(level: float, pairs: int) -> str:
    return f"{pairs:>5}  {level:>12.5f}  {critical(pairs - 1, level):>14.2f}"


def _needed(effect: float, sd: float, power: float, alpha: float, *, json: bool) -> int:
    require("effect", effect, effect > 0, "above 0")
    positive("sd", sd)
    # Paired results correlate, and pairing takes the shared part of the noise out: sd of a difference = sd·√(2(1 − r)).
    needed = [
        (correlation, _enough(effect, sd * (2 * (1 - correlation)) ** 0.5, power, alpha))
        for correlation in CORRELATIONS
    ]
    if json:
        from truelift.report.json_form import plan_form, to_json

        print(to_json(plan_form(effect, sd, power, alpha, needed)))
        return 0
    for correlation, seeds in needed:
        print(f"{seeds} seeds per variant where paired results correlate by {correlation:g}")
    print(
        f"to find a difference of {effect:g} between variants whose results have a standard deviation of {sd:g} "
        f"over seeds, {power:.0%} of the time, at a {alpha:.0%} level. Long trainings on one split correlate "
        "hardly at all; short ones, or with the split varied by the seed, by 0.5 to 0.9."
    )
    return 0


def _enough(effect: float, sd: float, power: float, alpha: float) -> int:
    """The seeds that the test needs, and at least as many as decide anything."""
    return max(FEWEST_SEEDS, seeds_needed(effect, sd, power=power, alpha=alpha))


def _needed_like(like: str, effect: float, power: float, alpha: float, *, json: bool) -> int:
    require("effect", effect, effect > 0, "above 0")
    noise = _of_study(Path(like)) if (Path(like) / "study.json").is_file() else _of_table(like)
    # The differences are paired already, so no correlation has to be supposed.
    found = noise.found
    needed, most = (_enough(effect, sd, power, alpha) for sd in (found.sd, found.most))
    if json:
        from truelift.report.json_form import plan_like_form, to_json

        form = plan_like_form(noise.of, noise.metric, effect, found.sd, found.most, power, alpha, needed, most)
        print(to_json(form))
        return 0
    unit = f" {noise.unit}" if noise.unit else ""
    print(f"{needed} seeds per variant, or {most} with the noise of the variant that had the most")
    print(
        f"to find a difference in {noise.metric.replace('_', ' ')} of {effect:g}{unit}, {power:.0%} of the time, at a "
        f"{alpha:.0%} level. In {noise.of} ({noise.how}) the paired differences have a standard deviation of "
        f"{found.sd:.2g}{unit}, from {found.least:.2g} to {found.most:.2g}."
    )
    return 0


@dataclass(frozen=True, kw_only=True)
class _Noise:
    """Of a study's paired differences, in their unit."""

    of: str
    """The study."""
    how: str
    """What is told of it."""
    metric: str
    unit: str
    found: "Scatter"


def _of_table(name: str) -> _Noise:
    """Of a kept study."""
    from truelift.recipes import spreads

    found = spreads.find(name)
    how = f"{found.network}, {found.epochs} epochs, {_counts(found)}"
    return _Noise(of=found.name, how=how, metric="test_error", unit="points", found=found)


def _of_study(folder: Path) -> _Noise:
    """Of a study that ran here, by its own metric."""
    from truelift.records import Study
    from truelift.report import summarise
    from truelift.verdicts.scatter import FEWEST_PAIRS, scatter

    summary = summarise(Study.read(folder))
    found = scatter(one.differences for one in summary.comparisons.values())
    if found is None:
        raise InputError(f"like must be a study with {FEWEST_PAIRS} complete pairs of a variant or more, got {folder}.")
    if found.sd == 0:
        raise InputError(
            f"like must be a study whose differences scatter, got {folder}, where each variant has equal ones."
        )
    metric = summary.metric
    return _Noise(of=str(folder), how=_counts(found), metric=metric.name, unit=metric.unit, found=found)


def _counts(found: "Scatter") -> str:
    return f"{found.variants} variant{'' if found.variants == 1 else 's'}, {found.seeds} seeds"
