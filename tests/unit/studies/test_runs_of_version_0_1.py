"""The runs of version 0.1 are found and not repeated: each recipe's, at each scale.

runs_of_version_0_1.json holds, for the first seed of every variant, the folder that version named and the settings it
wrote down, as they differ from `base`.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from truelift import recipes
from truelift.studies.study_file import read_plan
from truelift.training.identity import find_folder

KEPT = json.loads(Path(__file__).with_name("runs_of_version_0_1.json").read_text())
BY_PLAN: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
for row in KEPT["runs"]:
    BY_PLAN[row["recipe"], row["scale"]].append(row)


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    for name, value in flat.items():
        group, _, option = name.rpartition(".")
        (tables.setdefault(group, {}) if group else tables)[option] = value
    return tables


@pytest.mark.parametrize(("recipe", "scale"), BY_PLAN, ids=["-".join(key) for key in BY_PLAN])
def test_every_run_is_found(tmp_path: Path, recipe: str, scale: str) -> None:
    for row in BY_PLAN[recipe, scale]:
        flat = {name: value for name, value in KEPT["base"].items() if name not in row.get("left_out", ())}
        folder = tmp_path / row["folder"]
        folder.mkdir(parents=True)
        (folder / "config.toml").write_text(tomli_w.dumps(nested({**flat, **row["settings"]})))
    plan = read_plan(recipes.find(recipe), scale=scale, seeds=None)
    mine = [run for run in plan.runs() if run.seed == plan.seeds[0]]
    assert len(mine) == len(BY_PLAN[recipe, scale])
    for run, row in zip(mine, BY_PLAN[recipe, scale], strict=True):
        assert run.experiment is not None
        found = find_folder(tmp_path / run.folder, run.experiment)
        assert found == tmp_path / row["folder"], row["settings"]


def test_another_run_is_not_taken_for_it(tmp_path: Path) -> None:
    row = BY_PLAN["building-blocks-20", "quick"][0]
    changed = {**KEPT["base"], **row["settings"], "optimizer.lr": 0.123}
    folder = tmp_path / row["folder"]
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(tomli_w.dumps(nested(changed)))
    plan = read_plan(recipes.find("building-blocks-20"), scale="quick")
    run = plan.runs()[0]
    assert run.experiment is not None
    assert find_folder(tmp_path / run.folder, run.experiment) == tmp_path / run.folder
