"""A model card: what the records say, and nothing else."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from tests.unit.report.test_predicted import study

from truelift.cli import main
from truelift.errors import InputError
from truelift.records import Inputs, Study, predicted, read_result, write_json, write_text
from truelift.report.card import MARK, card, read

CONFIG = """
seed = 1
epochs = 3
batch_size = 32
[model]
name = "resnet8"
[data]
name = "birds"
path = "/home/somebody/birds"
[optimizer]
name = "sgd"
lr = 0.1
"""


def recorded(folder: Path) -> Path:
    """A run of a study with its config.toml."""
    found = study(folder)
    for run in Study.read(found).runs:
        write_text(run.folder / "config.toml", CONFIG.replace("seed = 1", f"seed = {run.seed}"))
    return found / "runs/rare/seed-1-00000001"


def test_the_numbers_are_those_of_the_records(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    text = card(read(folder))
    runs = [run for run in Study.read(tmp_path).runs if run.variant == "rare"]
    accuracies = [run.result()["metrics"]["test_accuracy"] for run in runs]
    mean, sd = np.mean(accuracies), np.std(accuracies, ddof=1)
    [row] = re.findall(r"\| test_accuracy \| (.*) \| (.*) ± (.*) \| (.*) to (.*) \|", text)
    expected = [accuracies[1], mean, sd, min(accuracies), max(accuracies)]
    assert [float(cell) for cell in row] == pytest.approx(expected, rel=1e-3)
    balanced = [predicted.balanced_accuracy(p) for run in runs if (p := run.predictions())]
    [row] = re.findall(r"\| test_balanced_accuracy \| (\S*) \|", text)
    assert float(row) == pytest.approx(balanced[1], rel=1e-3)
    for said in ("resnet8 on birds", "seed (0, 1, 2, 3) alone", "Classes: c0, c1", "The test set has 1,420 images"):
        assert said in text
    assert "Against the baseline plain its variant's verdict is **" in text
    assert "/home/somebody" not in text
    share = accuracies[1] / 100
    error = 100 * np.sqrt(share * (1 - share) / 1420)
    assert f"standard error of {error:.2g} points" in text
    assert text.index("Licence, intended use") > text.index("## Not in the records")


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"train_images": 900, "test_images": 359}, "900 train, 359 test; the data set has 1,797 train"),
        ({"train_images": 1797}, "1,797 train"),
        ({}, "the data set has 1,797 train"),
    ],
)
def test_the_images_are_those_of_the_run(tmp_path: Path, counts: dict[str, int], told: str) -> None:
    folder = recorded(tmp_path)
    result = json.loads((folder / "result.json").read_text())
    write_json(folder / "result.json", {k: v for k, v in result.items() if not k.endswith("_images")} | counts)
    state = {"digest": "e81e02465110df01", "images": {"train": 1797}, "classes": 10, "left_out": 0}
    write_json(folder / "environment.json", {"data": state})
    assert f"Images: {told}; 0 could not be decoded and were left out." in card(read(folder))


def test_no_path_of_the_machine_is_told(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    own = CONFIG.replace('"resnet8"', '"/home/somebody/nets.py:Net"').replace(
        '"birds"', '"/home/somebody/data.py:birds"'
    )
    args = '[data.args]\nroot = "/home/somebody/my birds/"\nshare = "1/2"\nlists = ["/home/somebody/a.txt"]\n'
    augmentation = '[augmentation]\nnames = ["flip", "/home/somebody/noise.py:noise"]\n'
    write_text(folder / "config.toml", own + args + augmentation)
    text = card(read(folder))
    assert "somebody" not in text
    assert 'tags: ["image-classification", "nets.py:Net"]' in text
    assert "| model.name | nets.py:Net |" in text
    assert 'root = "my birds"' in text
    assert 'share = "1/2"' in text


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("python /home/somebody/t.py --root=/home/somebody/d,~/e --out {out}", "python t.py --root=d,e --out {out}"),
        ("python sub/t.py --share 1/2 https://example.org/a '/home/somebody/x'", None),
    ],
)
def test_a_command_is_told_without_paths(tmp_path: Path, command: str, told: str | None) -> None:
    folder = recorded(tmp_path)
    write_text(folder / "config.toml", f'seed = 1\ncommand = "{command}"\nargs = ""\n')
    write_json(folder / "result.json", read_result(folder) | {"command": command, "args": "", "seed": 1})
    text = card(read(folder))
    assert "somebody" not in text
    assert f'command = "{told or command.replace("/home/somebody/", "")}"' in text


def test_the_header_is_yaml(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    folder = recorded(tmp_path)
    write_text(folder / "config.toml", CONFIG.replace('"birds"', '"a: [b] # \\u2028 <b>"'))
    header = yaml.safe_load(card(read(folder)).split("---\n")[1])
    assert header["library_name"] == "truelift"
    assert header["pipeline_tag"] == "image-classification"
    [index] = header["model-index"]
    [result] = index["results"]
    assert result["dataset"]["name"] == "a: [b] # \u2028 <b>"
    values = {one["name"]: one["value"] for one in result["metrics"]}
    assert values["test_accuracy"] == Study.read(tmp_path).runs[5].result()["metrics"]["test_accuracy"]


def test_a_run_alone_claims_no_spread(tmp_path: Path) -> None:
    recorded(tmp_path)
    folder = tmp_path / "runs/rare/seed-1-00000001"
    (tmp_path / "study.json").unlink()
    text = card(read(folder))
    assert "±" not in text.split("## Data")[0]
    assert "It rests on one seed" in text
    (folder / "predictions.npz").unlink()
    (folder / "inputs.json").unlink()
    text = card(read(folder))
    assert "The test set has" not in text
    assert "test_accuracy" in text


def test_runs_over_folds_differ_in_their_test_set(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    plan = json.loads((tmp_path / "study.json").read_text())
    write_json(tmp_path / "study.json", {**plan, "folds": 4})
    text = card(read(folder))
    assert "Each run has another fold (0, 1, 2, 3) as its test set, this one fold 1." in text
    assert "seed (" not in text


def test_a_seed_that_is_none_is_refused(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    write_text(folder / "config.toml", CONFIG.replace("seed = 1", 'seed = "x"'))
    with pytest.raises(InputError, match=r"the seed in .*config.toml must be a whole number, got x"):
        read(folder)


def test_hostile_names_are_harmless(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    names = tuple(f"<script>{i}</script>\x1b[2J" for i in range(8))
    Inputs(names, (3, 8, 8), (0.5,) * 3, (0.5,) * 3).write(folder)
    text = card(read(folder))
    assert "<script>" not in text
    assert "\x1b" not in text


def test_the_command_overwrites_nothing_of_the_user_s(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = recorded(tmp_path)
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            main(["card", str(folder)])
        assert ended.value.code == 0
    assert MARK in (folder / "README.md").read_text()
    (folder / "README.md").write_text("mine")
    for arguments, told in (
        ([str(folder)], "was not made by this command"),
        ([str(tmp_path)], "is a study"),
        ([str(tmp_path / "none")], "there is no such folder"),
        ([str(folder.parent)], "must be the folder of a run, such as runs/train/NAME: it has no config.toml"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["card", *arguments])
        assert ended.value.code == 2
        assert told in capsys.readouterr().err
    assert (folder / "README.md").read_text() == "mine"


def test_an_unfinished_run_has_no_card(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    (folder / "result.json").unlink()
    with pytest.raises(InputError, match="does not exist"):
        read(folder)
    write_json(folder / "result.json", {"metrics": "none"})
    with pytest.raises(InputError, match="damaged"):
        read(folder)
