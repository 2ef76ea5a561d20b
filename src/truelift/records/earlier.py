"""What a study's folder remembers of plans that it had before: a verdict after a second look is not what it says.

A plan counts as looked at where it could have been judged: where three seeds or more have results of the baseline and
of one other variant, and the new plan has the runs of either too. Below three seeds nothing is decided, so nothing was
seen; and what shares no run with the new plan is another study.
"""

from collections.abc import Mapping, Sequence
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
        Each with `seeds`, `judged` (those of them that had results, where some had none), `created` (`LOST` where a
        plan of looks is written anew, over results that are there), `folders` (a run's of each variant that had
        results, which stands for its settings), `metric` and `baseline`. Earlier versions wrote `removed` in place of
        the folders of variants that were removed.

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
    if not looked:
        return kept
    if before.get("until_decided") != plan.get("until_decided"):
        raise InputError(
            f"{folder} was planned with {words(before)}, and {len(looked)} seeds have results: that cannot be changed "
            f"any more. Go on with this plan, or take another folder ({_out(before)}) for {words(plan)}."
        )
    if before.get("until_decided") is not None:
        _refuse_changed(folder, before, plan, len(looked))
    look = {
        "seeds": before["seeds"],
        **({} if len(looked) == len(before["seeds"]) else {"judged": looked}),
        "created": before["created"],
        "folders": _folders(_done(folder, before), plan),
        "metric": before["metric"],
        "baseline": before["baseline"],
    }
    if _differs(look, plan) and _seen(look) not in map(_seen, kept):
        kept.append(look)
    return kept


def looks_before(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of a study.json, the earlier plans that had one of its variants, but for what it has now.

    Returns:
        Each with `seeds` (that could be judged), `planned` (their number) and `created`; and with `removed`, `edited`
        (variants that had other settings), `metric` and `baseline` only where these differ from what the study has now.
    """
    now = _planned(plan)
    return [
        {
            "seeds": one.get("judged", one["seeds"]),
            "planned": len(one["seeds"]),
            "created": one["created"],
            **_changed(one, plan),
        }
        for one in plan.get("earlier", [])
        if not now.isdisjoint(one["folders"].values())
        and (_differs(one, plan) or "judged" in one or one["created"] == LOST)
    ]


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
    looked = [] if plan.get("until_decided") is None else _looked(folder, plan, plan)
    return [{"seeds": looked, "created": LOST, "folders": _folders(plan["runs"], plan)}] if looked else []


def _looked(folder: Path, before: Mapping[str, Any], plan: Mapping[str, Any]) -> list[int]:
    """The seeds with results of the baseline and of another variant; none where the plan has too few of their runs."""
    planned = _planned(plan)
    there: dict[str, dict[int, bool]] = {}
    for run in _done(folder, before):
        there.setdefault(run["variant"], {})[run["seed"]] = run["folder"] in planned
    # A baseline that has no results tells nothing of what was seen of the others.
    baseline = before["baseline"] if before["baseline"] in there else plan.get("baseline", "")
    of_baseline = there.pop(baseline, {})
    found: list[int] = []
    for of_variant in there.values():
        pairs = [seed for seed in of_variant if seed in of_baseline]
        if sum(of_variant[seed] or of_baseline[seed] for seed in pairs) >= FEWEST_SEEDS:
            found = max(found, pairs, key=len)
    return found


def _refuse_changed(folder: Path, before: Mapping[str, Any], plan: Mapping[str, Any], looked: int) -> None:
    """Refuse another choice of variants, or of how they are judged, once a plan of looks was looked at."""
    then, now = _chosen(before), _chosen(plan)
    planned = _planned(plan)
    for run in _done(folder, before):
        if run["folder"] not in planned:
            what = f'settings of variant "{run["variant"]}"'
            then, now = {**then, what: "as they were"}, {**now, what: "as they are"}
            break
    for what, value in then.items():
        if now.get(what, value) != value:
            raise InputError(
                f"{folder} was planned until decided with {what} {value}, and {looked} seeds have results: that cannot "
                f"be changed any more. Go on with this plan, or take another folder ({_out(before)}) for {what} "
                f"{now[what]}."
            )


def _out(plan: Mapping[str, Any]) -> str:
    """What names a study's folder: `truelift.compare` takes it as an argument."""
    return "folder=" if "function" in plan["shared"] else "--out"


def _chosen(plan: Mapping[str, Any]) -> dict[str, str]:
    """What of a plan is fixed before the first look, in words; a scale only where it is given, as it may be later."""
    guards = sorted(plan.get("guards", {}).items())
    scales = {plan["metric"]: plan.get("metric_scale"), **{name: guard.get("scale") for name, guard in guards}}
    return {
        "variants": ", ".join(sorted(plan["variants"])),
        "baseline": plan["baseline"],
        "metric": plan["metric"],
        "higher_is_better": str(plan["higher_is_better"]).lower(),
        "smallest_effect": f"{plan['smallest_effect']:g}",
        "guards": ", ".join(f"{name} {g['limit']:g}{' %' * g['relative']}" for name, g in guards) or "none",
        **{f"higher_is_better of {name}": str(guard["higher_is_better"]).lower() for name, guard in guards},
        **{f"scale of {name}": scale for name, scale in scales.items() if scale is not None},
    }


def _differs(look: Mapping[str, Any], plan: Mapping[str, Any]) -> bool:
    """Whether an earlier plan was another than this one."""
    return look["seeds"] != list(plan["seeds"]) or bool(_changed(look, plan))


def _changed(look: Mapping[str, Any], plan: Mapping[str, Any]) -> dict[str, Any]:
    """What an earlier plan had otherwise."""
    planned, variants = _planned(plan), {run["variant"] for run in plan["runs"]}
    places = set(map(_place, planned))
    gone = {name: folder for name, folder in look["folders"].items() if folder not in planned}
    changed: dict[str, Any] = {
        "removed": [name for name in (*look.get("removed", ()), *gone) if name not in variants],
        "edited": [name for name, folder in gone.items() if _place(folder) in places],
    }
    for key, now in (("metric", plan.get("planned_metric") or plan.get("metric")), ("baseline", plan.get("baseline"))):
        changed[key] = None if look.get(key) == now else look.get(key)
    return {name: value for name, value in changed.items() if value}


def _seen(look: Mapping[str, Any]) -> tuple[Any, ...]:
    """What was seen at a look: one that sees the same again is none."""
    return look.get("judged", look["seeds"]), look["folders"], look.get("metric"), look.get("baseline")


def _done(folder: Path, plan: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A plan's runs that have results."""
    known = frozenset(fingerprint_of(run["folder"]) for run in plan["runs"])
    return [
        run for run in plan["runs"] if Run(run["variant"], run["seed"], folder / run["folder"], known).status == "done"
    ]


def _planned(plan: Mapping[str, Any]) -> set[str]:
    """The folders of a plan's runs."""
    return {run["folder"] for run in plan["runs"]}


def _place(folder: str) -> str:
    """A run's folder but for what stands for its settings."""
    return folder.rpartition("-")[0]


def _folders(runs: Sequence[Mapping[str, Any]], plan: Mapping[str, Any]) -> dict[str, str]:
    """A run's folder of each variant, which stands for all settings that change its results; if it can, of a plan."""
    planned = _planned(plan)
    folders: dict[str, str] = {}
    for run in sorted(runs, key=lambda run: run["folder"] not in planned):
        folders.setdefault(run["variant"], run["folder"])
    return folders
