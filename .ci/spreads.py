"""The table that `truelift plan --like` reads, made from the records of docs/results.

    python .ci/spreads.py

Every kept study with a test error is a row: the standard deviations of the paired differences, of the variants that
have three pairs or more. Times are left out: they are of their machine.
"""

import json
import tomllib
from pathlib import Path
from typing import Any

from truelift import recipes
from truelift.recipes.spreads import TABLE
from truelift.records import Run, Study
from truelift.records.packed import unpacked
from truelift.verdicts.scatter import scatter

RECORDS = Path(__file__).parents[1] / "docs/results/records"
METRIC = "test_error"
_DIGITS = 4


def row(study: Study) -> dict[str, Any] | None:
    """A study's row but for its name; None where no variant has enough pairs, or where there is no test error."""
    results = {
        (run.variant, run.seed): run.result()["metrics"][METRIC]
        for run in study.runs
        if run.status == "done" and METRIC in run.result()["metrics"]
    }
    baseline, pairs = study.plan["baseline"], []
    for name in study.plan["variants"]:
        both = [seed for seed in study.plan["seeds"] if {(name, seed), (baseline, seed)} <= results.keys()]
        if name != baseline:
            pairs.append([results[name, seed] - results[baseline, seed] for seed in both])
    if (found := scatter(pairs)) is None:
        return None
    config = _config(study)
    width = config["model"].get("width")
    return {
        "network": config["model"]["name"] + (f" of width {width}" if width else ""),
        "built_on": _built_on(study),
        "epochs": config["epochs"],
        "sd": max(round(found.sd, _DIGITS), 10**-_DIGITS),
        "least": round(found.least, _DIGITS),
        "most": round(found.most, _DIGITS),
        "variants": found.variants,
        "seeds": found.seeds,
    }


def _built_on(study: Study) -> str | None:
    """The recipe that the study's recipe extends; None where there is none, or it or its scale changes the training."""
    scale = study.plan.get("scale")
    name = study.plan["name"].removesuffix(f"-{scale}")
    if name not in recipes.names():
        return None
    recipe = tomllib.loads(recipes.find(name).read_text(encoding="utf-8"))
    changed = recipe.get("scales", {}).get(scale, {}).keys() - {"takes", "variants", "seeds"}
    return None if changed or "experiment" in recipe else recipe.get("extends")


def _config(study: Study) -> dict[str, Any]:
    """The settings of a run of the baseline."""
    run: Run = next(run for run in study.runs if run.variant == study.plan["baseline"] and run.status == "done")
    return tomllib.loads((run.folder / "config.toml").read_text(encoding="utf-8"))


def table(records: Path = RECORDS) -> dict[str, dict[str, Any]]:
    """All rows, by DATA/STUDY."""
    rows = {}
    for file in sorted(records.glob("*.json")):
        with unpacked(file) as study:
            if (found := row(study)) is not None:
                rows[f"{_config(study)['data']['name']}/{file.stem}"] = found
    return rows


def written(rows: dict[str, dict[str, Any]]) -> str:
    """The file's text: a row a line."""
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(told)}" for name, told in rows.items())
    return f"{{\n{lines}\n}}\n"


if __name__ == "__main__":
    TABLE.write_text(written(table()), encoding="utf-8")
