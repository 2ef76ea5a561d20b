"""The study as a study file, made again from study.json: what a reader of the page can run."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import tomli_w

from truelift.metrics import PERCENT_OF_BASELINE
from truelift.report.plain import one_line

_KEPT = ("question", "baseline", "metric", "higher_is_better", "smallest_effect", "pooling")


def study_file(plan: Mapping[str, Any]) -> str | None:
    """The text of a study file (docs/studies.md) that plans the same runs, with what the command line and a scale set.

    Args:
        plan: The content of study.json.

    Returns:
        None for runs that were made elsewhere or by a function, and for a ledger's, whose seeds it draws.
    """
    if plan.get("made_elsewhere") or plan.get("referee") or plan.get("paired") is False or not plan.get("source"):
        return None
    tables: dict[str, Any] = {key: plan[key] for key in _KEPT if plan.get(key) is not None}
    if plan.get("metric_scale"):
        tables["scale"] = plan["metric_scale"]
    if plan.get("vary_split") is False:
        tables["vary_split"] = False
    if folds := plan.get("folds"):
        tables |= {"replicates": "folds", "folds": folds}
    elif until := plan.get("until_decided"):
        tables["until_decided"] = {"max_seeds": until["max_seeds"], "looks": until["looks"]}
    else:
        tables["seeds"] = plan["seeds"]
    if guards := plan.get("guards"):
        tables["guards"] = {name: _guard(guard) for name, guard in guards.items()}
    tables["experiment"] = _set(plan["shared"])
    tables["variants"] = {
        name: _set(variant["settings"]) | _set({key: variant.get(key) for key in ("command", "results")})
        for name, variant in plan["variants"].items()
    }
    try:
        return f"# {one_line(plan['name'])}: made again from study.json\n{tomli_w.dumps(tables)}"
    except (TypeError, ValueError):  # a record that was edited may hold what TOML does not
        return None


def _set(settings: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in settings.items() if value is not None}


def _guard(guard: Mapping[str, Any]) -> dict[str, Any]:
    percent = guard["relative"] and guard["unit"] == PERCENT_OF_BASELINE
    found = {"limit": f"{Decimal(repr(guard['limit'])).normalize():f} %" if percent else guard["limit"]}
    found["higher_is_better"] = guard["higher_is_better"]
    return found | ({"scale": guard["scale"]} if guard.get("scale") else {})
