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
        `folders`.

    Raises:
        InputError: The study could be judged before, and was planned until decided with other looks or by another
            metric, or with a fixed number of seeds where it now has none, or the other way round.
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
            f"more. Go on with this plan, or take another folder (--out) for {words(plan)}."
        )
    if plan.get("until_decided") is not None and before["metric"] != plan["metric"] and looked:
        raise InputError(
            f"{folder} was planned until decided by {before['metric']}, and {looked} seeds have results: they stopped "
            f"by that metric. Go on with this plan, or take another folder (--out) for {plan['metric']}."
        )
    if before["seeds"] != list(plan["seeds"]) and looked:
        folders = _folders(_in_both(before, plan))
        kept.append({"seeds": before["seeds"], "created": before["created"], "folders": folders})
    return kept


def looks_before(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of a study.json, the earlier plans that had these variants: the baseline, and one other at least."""
    now = {run["folder"] for run in plan["runs"]}
    found = []
    for one in plan.get("earlier", []):
        same = {name for name, folder in one["folders"].items() if folder in now}
        if plan["baseline"] in same and len(same) > 1:
            found.append(one)
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
    known = frozenset(fingerprint_of(run["folder"]) for run in before["runs"])
    seeds: dict[str, set[int]] = {}
    for run in _in_both(before, plan):
        if Run(run["variant"], run["seed"], folder / run["folder"], known).status == "done":
            seeds.setdefault(run["variant"], set()).add(run["seed"])
    of_baseline = seeds.pop(before["baseline"], set())
    most = max((len(of_baseline & of_variant) for of_variant in seeds.values()), default=0)
    return most if most >= FEWEST_SEEDS else 0


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
