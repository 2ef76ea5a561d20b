"""A user's own parts, as a user starts them: each seam's example, by train and in a study that is killed."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from tests.commands.started import begin, run
from tests.system.conftest import Truelift

from truelift.cli import main

EXAMPLES = Path(__file__).parents[2] / "examples" / "own"
SMALL = "--model resnet8 --model.width 4 --epochs 1 --batch_size 32 --data.train_images 320 --optimizer.lr 0.05"

PARTS = {
    "network": f"--model {EXAMPLES}/network.py:Patches --model.args.width 8 --objective gaussian-mixture",
    "loss": f"--objective {EXAMPLES}/loss.py:CenterLoss --objective.args.alpha 0.02",
    "focal": f"--objective {EXAMPLES}/focal.py:focal --objective.args.gamma 1",
    "rule": f"--gradient {EXAMPLES}/rule.py:NormalisedGradient",
    "optimizer": f"--optimizer {EXAMPLES}/optimizer.py:Lion --optimizer.lr 0.003",
    "torch's optimizer": "--optimizer torch.optim:NAdam --optimizer.args.momentum_decay 0.01",
    "schedule": f"--schedule {EXAMPLES}/schedule.py:triangle --schedule.args.peak 0.5",
    "torch's schedule": "--schedule torch.optim.lr_scheduler:OneCycleLR",
    "augmentation": f"--augmentation {EXAMPLES}/augmentation.py:noise --augmentation.args.sd 0.3",
    "policy": f"--policy {EXAMPLES}/policy.py:FreezeFirst --policy.args.after 0.2",
    "metric": f"--metrics {EXAMPLES}/metric.py:balanced_accuracy",
    "data": f"--data {EXAMPLES}/data.py:stripes --data.args.images 120",
}


@pytest.mark.parametrize("part", PARTS)
def test_every_seam_takes_a_part_of_ones_own(truelift: Truelift, tmp_path: Path, part: str) -> None:
    small = SMALL.split()
    given = PARTS[part].split()
    for option in [token for token in given if token in small]:
        del small[small.index(option) : small.index(option) + 2]
    if part in ("network", "data"):
        del small[small.index("--data.train_images") : small.index("--data.train_images") + 2]
    if part == "network":
        del small[small.index("--model.width") : small.index("--model.width") + 2]
    done = truelift("train", *small, *given, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["metrics"]["test_loss"] > 0
    if str(EXAMPLES) in PARTS[part]:
        assert [path.suffix for path in (tmp_path / "run" / "own").iterdir()] == [".py"]
    if part == "metric":
        assert 0 <= result["metrics"]["test_balanced_accuracy"] <= 100
    if part == "policy":
        assert result["frozen_layers"] == 1


STUDY = """
metric = "test_mine"
higher_is_better = true
seeds = 1
[experiment]
model.name = "resnet8"
model.width = 4
data.train_images = 320
batch_size = 32
epochs = 3
metrics.names = ["mine.py:mine"]
[variants.plain]
[variants.own]
objective.name = "mine.py:loss"
objective.args.scale = 0.5
"""
MINE = """
import torch.nn.functional as F
def loss(logits, labels, scale=1.0): return scale * F.cross_entropy(logits, labels)
def mine(labels, predicted): return float((labels == predicted).mean())
"""


def test_a_study_of_ones_own_parts_is_killed_and_goes_on_and_an_edit_is_noticed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "mine.py").write_text(MINE)
    (home / "study.toml").write_text(STUDY)

    def command(out: str) -> list[str]:
        return ["study", str(home / "study.toml"), "--out", out, "--jobs", "2"]

    begun = begin([*command("killed"), "--checkpoint_seconds", "0"], cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("killed/runs/own/*/checkpoint.pt")):
        assert time.monotonic() < deadline
        assert begun.poll() is None, "it ended before it was killed"
        time.sleep(0.02)
    os.kill(begun.pid, signal.SIGKILL)
    begun.wait()

    def results(out: str) -> dict[str, float]:
        done = run(command(out), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        found = {}
        for path in sorted(tmp_path.glob(f"{out}/runs/*/*/result.json")):
            found[str(path.parent.relative_to(tmp_path / out))] = json.loads(path.read_text())["metrics"]["test_loss"]
        return found

    resumed, whole = results("killed"), results("whole")
    assert resumed == whole
    assert len(whole) == 2
    (home / "mine.py").write_text(MINE.replace("return scale", "return 2 * scale"))
    edited = results("whole")
    assert len(edited) == 4  # both use the file: all are other runs now, and the old ones are still there
    assert whole.items() <= edited.items()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("--model nowhere.py:Net", ["model", "nowhere.py:Net", "there is no file nowhere.py"]),
        ("--model no.such.module:Net", ["there is no module no.such.module"]),
        ("--objective torch.nn:CrossEntropyLos", ["torch.nn has no", "Did you mean", "CrossEntropyLoss"]),
        ("--optimizer torch.optim:NAdam --optimizer.args.momentum_dekay 1", ["args.momentum_dekay", "momentum_decay"]),
        ("--optimizer torch.optim:LBFGS", ["must step without a closure"]),
        ("--optimizer math:pi", ["must name something that can be called", "float"]),
        ("--schedule bad.py:raises", ["schedule", "raised KeyError", "bad.py, line 2"]),
        ("--augmentation bad.py:smaller", ["must give images of", "got"]),
        ("--model bad.py:Wrong", ["must give", "logits", "(2, 3)"]),
        (
            "--objective bad.py:three",
            ["must give a loss that is one real number", "as a tensor with its graph, got shape (3,)."],
        ),
        ("--model bad.py:NoHead --objective gaussian-mixture", ["no linear head", "model.head"]),
        ("--optimizer.args.lr 1", ["optimizer.args must be left out"]),
    ],
)
def test_a_part_that_cannot_be_used_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.py").write_text(
        "def raises(step):\n    return {}['a']\n"
        "def smaller(images, generator):\n    return images[:, :, 1:]\n"
        "import torch\n"
        "class Wrong(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.w = torch.nn.Linear(64, 3)\n"
        "    def forward(self, x):\n        return self.w(x.flatten(1))\n"
        "def three(logits, labels):\n    return logits[0, :3]\n"
        "class NoHead(torch.nn.Module):\n"
        "    def __init__(self, classes):\n        super().__init__()\n        self.w = torch.nn.Linear(64, classes)\n"
        "    def forward(self, x):\n        return torch.tanh(self.w(x.flatten(1)))\n"
    )
    small = SMALL.split()
    if "--model " in given:
        del small[:4]
    if "--optimizer " in given:
        del small[-2:]
    with pytest.raises(SystemExit) as ended:
        main(["train", *small, *given.split()])
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    for word in words:
        assert word in lines[0]
    assert not list(tmp_path.glob("runs/train/*/result.json"))
