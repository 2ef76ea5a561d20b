"""What a study's folder remembers of plans that it had before: a verdict after a second look is not what it says.

A plan counts as looked at where it could have been judged: where three seeds or more have results of the baseline and
of one other variant, and the new plan has these runs too. Below three seeds nothing is decided, so nothing was seen.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from truelift.errors import InputError
from truelift.records.json_files import read_plan
from truelift.records.run import Run, fingerprint_of
from truelift.seeds import FEWEST_SEEDS

LOST = ""
"""In place of a time: study.json was lost."""


def earlier_plans(folder: Path, plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the new study.json has to remember: numbers of seeds that were looked at before, the oldest first.

    Args:
        folder: The study's, which need not be there.
        plan: The content that study.json is to have.

    Returns:
        Each with `seeds`, `created` (`LOST` where a plan of looks is written anew, over results that are there) and
        `folders`; where they were others, `removed` (variants that have results and are no part of it any more),
        `metric` and `baseline`.

    Raises:
        InputError: The study could be judged before, and was planned until decided with other looks, other variants or
            another way to judge them, or with a fixed number of seeds where it now has none, or the other way round.
    """
    try:
        before = read_plan(folder)
    except InputError:  # it is not there, or damaged, which somebody else says
        return _lost(folder, plan)
    kept = list(before.get("earlier", []))
    looked = _looked(folder, before, plan)
    if before.get("until_decided") != plan.get("until_decided") and looked:
        raise InputError(
            f"{folder} was planned with {words(before)}, and {looked} seeds have results: that cannot be changed any "
            f"more. Go on with this plan, or take another folder ({_out(before)}) for {words(plan)}."
        )
    if before.get("until_decided") is not None and looked:
        _refuse_changed(folder, before, plan, looked)
    changed = _chosen_again(folder, before, plan) if looked else {}
    if (before["seeds"] != list(plan["seeds"]) and looked) or changed:
        folders = _folders(_in_both(before, plan))
        kept.append({"seeds": before["seeds"], "created": before["created"], "folders": folders, **changed})
    return kept


def looks_before(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of a study.json, the earlier plans that had these variants: the baseline, and one other at least.

    Returns:
        Each with `removed`, `metric` and `baseline` only where these differ from what the study has now.
    """
    now = {run["folder"] for run in plan["runs"]}
    metric = plan.get("planned_metric") or plan["metric"]
    found = []
    for one in plan.get("earlier", []):
        same = {name for name, folder in one["folders"].items() if folder in now}
        if plan["baseline"] not in same or len(same) < 2:
            continue
        changed = {
            "removed": [name for name in one.get("removed", ()) if name not in plan["variants"]],
            "metric": None if one.get("metric") == metric else one.get("metric"),
            "baseline": None if one.get("baseline") == plan["baseline"] else one.get("baseline"),
        }
        differs = {name: value for name, value in changed.items() if value}
        others = {name: value for name, value in one.items() if name not in changed}
        if differs or others == one or one["seeds"] != list(plan["seeds"]):  # else it is as it was then
            found.append({**others, **differs})
    return found


def words(plan: Mapping[str, Any]) -> str:
    """A study.json's plan of seeds, for a sentence."""
    until = plan.get("until_decided")
    if until is None:
        return f"a fixed number of {len(plan['seeds'])} seeds"
    return f"at most {until['max_seeds']} seeds until decided, looks at {shown_looks(until['looks'])}"


def shown_looks(looks: Sequence[int]) -> str:
    """Numbers of seeds: 3 to 12, or 3, 5, 8, 12."""
    every = len(looks) > 2 and list(looks) == list(range(looks[0], looks[-1] + 1))
    return f"{looks[0]} to {looks[-1]}" if every else ", ".join(map(str, looks))


def _lost(folder: Path, plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of a plan of looks that is written when there are results: nothing shows that it was made before."""
    looked = 0 if plan.get("until_decided") is None else _looked(folder, plan, plan)
    if not looked:
        return []
    return [{"seeds": list(plan["seeds"])[:looked], "created": LOST, "folders": _folders(plan["runs"])}]


def _looked(folder: Path, before: Mapping[str, Any], plan: Mapping[str, Any]) -> int:
    """The seeds with results of the baseline and of another variant that both plans have; 0 below three."""
    both = {run["folder"] for run in plan["runs"]}
    seeds: dict[str, set[int]] = {}
    for run in _done(folder, before):
        if run["folder"] in both:
            seeds.setdefault(run["variant"], set()).add(run["seed"])
    # A baseline that is no part of it any more tells nothing of what was seen of the others.
    baseline = before["baseline"] if before["baseline"] in seeds else plan.get("baseline", "")
    of_baseline = seeds.pop(baseline, set())
    most = max((len(of_baseline & of_variant) for of_variant in seeds.values()), default=0)
    return most if most >= FEWEST_SEEDS else 0


def _refuse_changed(folder: Path, before: Mapping[str, Any], plan: Mapping[str, Any], looked: int) -> None:
    """Refuse another choice of variants, or of how they are judged, once a plan of looks was looked at."""
    then, now = _chosen(before), _chosen(plan)
    planned = {run["folder"] for run in plan["runs"]}
    edited = [run["variant"] for run in _done(folder, before) if run["folder"] not in planned]
    if then == now and edited:
        what = f'settings of variant "{edited[0]}"'
        then, now = {what: "as they were"}, {what: "as they are"}
    for what, value in then.items():
        if now[what] != value:
            raise InputError(
                f"{folder} was planned until decided with {what} {value}, and {looked} seeds have results: that cannot "
                f"be changed any more. Go on with this plan, or take another folder ({_out(before)}) for {what} "
                f"{now[what]}."
            )


def _out(plan: Mapping[str, Any]) -> str:
    """What names a study's folder: `truelift.compare` takes it as an argument."""
    return "folder=" if "function" in plan["shared"] else "--out"


def _chosen(plan: Mapping[str, Any]) -> dict[str, str]:
    """What of a plan is fixed before the first look, in words."""
    guards = (f"{name} {guard['limit']:g}" for name, guard in sorted(plan.get("guards", {}).items()))
    return {
        "variants": ", ".join(sorted(plan["variants"])),
        "baseline": plan["baseline"],
        "metric": plan["metric"],
        "higher_is_better": str(plan["higher_is_better"]).lower(),
        "smallest_effect": f"{plan['smallest_effect']:g}",
        "guards": ", ".join(guards) or "none",
    }


def _chosen_again(folder: Path, before: Mapping[str, Any], plan: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan of a fixed number of seeds had otherwise, where results could be seen; none where it is the same."""
    variants = {run["variant"] for run in plan["runs"]}
    removed = dict.fromkeys(run["variant"] for run in _done(folder, before) if run["variant"] not in variants)
    found: dict[str, Any] = {"removed": list(removed)} if removed else {}
    return found | {key: before[key] for key in ("metric", "baseline") if plan.get(key, before[key]) != before[key]}


def _done(folder: Path, plan: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A plan's runs that have results."""
    known = frozenset(fingerprint_of(run["folder"]) for run in plan["runs"])
    return [
        run for run in plan["runs"] if Run(run["variant"], run["seed"], folder / run["folder"], known).status == "done"
    ]


def _in_both(before: Mapping[str, Any], plan: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The runs of the earlier plan that the new one has too."""
    both = {run["folder"] for run in plan["runs"]}
    return [run for run in before["runs"] if run["folder"] in both]


def _folders(runs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """A run's folder of each variant, which stands for all settings that change its results."""
    folders: dict[str, str] = {}
    for run in runs:
        folders.setdefault(run["variant"], run["folder"])
    return folders
