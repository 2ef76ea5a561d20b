"""Every block of TOML in the documentation is a study, or a part of one, that plans its runs."""

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from tests.docs.blocks import ALL, ROOT, Block, blocks
from truelift.studies.study_file import KEYS, read_plan

TOML = [block for block in ALL if block.language == "toml" and block.reason is None]
# Files of the reader's own that blocks name, and what stands for them.
OWN = {"my_losses.py": "loss.py"}


def completed(part: dict[str, Any]) -> dict[str, Any]:
    """A part of a study file with what it lacks: settings go into [experiment], and there are two variants."""
    study: dict[str, Any] = {key: value for key, value in part.items() if key in KEYS}
    settings = {key: value for key, value in part.items() if key not in KEYS}
    if settings:
        study["experiment"] = {**study.get("experiment", {}), **settings}
    names = [*study.get("variants", {}), *study.get("published", {})]
    names += [name for scale in study.get("scales", {}).values() for name in scale.get("variants", [])]
    if len(set(names)) < 2:
        names = ["plain", *names, "other"][:2] if names else ["plain", "other"]
    study["variants"] = {name: {} for name in dict.fromkeys(names)} | study.get("variants", {})
    return study


@pytest.mark.parametrize("block", TOML, ids=lambda block: block.name)
def test_it_plans_its_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, example in OWN.items():
        shutil.copy(ROOT / "examples/own" / example, tmp_path / name)
    for other in blocks(block.page):
        if other.language == "python" and other.text.startswith("# ") and ".py\n" in other.text[:40]:
            Path(other.text[2:].split("\n", 1)[0]).write_text(other.text, encoding="utf-8")
    study = completed(tomllib.loads(block.text))
    Path("study.toml").write_text(tomli_w.dumps(study), encoding="utf-8")
    plan = read_plan(Path("study.toml"))
    assert len(plan.runs()) >= 2
    for scale in study.get("scales", {}):
        assert read_plan(Path("study.toml"), scale=scale).runs()


def test_a_misspelt_setting_is_found(tmp_path: Path) -> None:
    """The test above could fail."""
    (tmp_path / "study.toml").write_text(tomli_w.dumps(completed({"model": {"nam": "resnet8"}})), encoding="utf-8")
    with pytest.raises(ValueError, match=r"model\.nam"):
        read_plan(tmp_path / "study.toml")
