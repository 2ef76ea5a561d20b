"""A part of the user's own that was edited: its finished runs are made anew, with a word."""

from pathlib import Path

import pytest

from truelift.cli import main
from truelift.training import Experiment
from truelift.training.identity import edited_parts

PART = "from torch.optim import SGD\n\ndef optimizer(params, lr):\n    return SGD(params, lr=lr, momentum={momentum})\n"
STUDY = """
seeds = 2
[experiment]
data = { name = "digits", train_images = 64, test_images = 32 }
model = { name = "resnet8", width = 4 }
epochs = 1
[variants.plain]
[variants.own]
optimizer.name = "mine.py:optimizer"
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder has the study and its part."""
    monkeypatch.chdir(tmp_path)
    Path("study.toml").write_text(STUDY)
    Path("mine.py").write_text(PART.format(momentum=0.9))


def study(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["study", "study.toml", "--jobs", "1", *arguments])
    assert not ended.value.code
    said = capsys.readouterr()
    return " ".join(said.out.split()), said.err


@pytest.mark.usefixtures("here")
def test_an_edited_part_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert "changed" not in study(capsys)[1]
    Path("mine.py").write_text(PART.format(momentum=0.8))
    told = "own: mine.py:optimizer changed since seed 0, 1 ran, so that these runs are made anew."
    assert told in study(capsys, "--dry-run")[0]
    out, err = study(capsys)
    assert told in err
    assert "plain" not in err
    assert "4/4" in out
    assert len(list(Path("runs/study/runs/own").glob("*/result.json"))) == 4

    Path("mine.py").write_text(PART.format(momentum=0.9))
    out, err = study(capsys)
    assert "changed" not in err
    assert "[" not in out.partition("test_accuracy")[0], "nothing is run again"


@pytest.mark.usefixtures("here")
def test_another_setting_is_no_edited_part(capsys: pytest.CaptureFixture[str]) -> None:
    study(capsys, "--seeds", "1")
    Path("mine.py").write_text(PART.format(momentum=0.8))
    assert "changed" not in study(capsys, "--seeds", "1", "--optimizer.lr", "0.01")[1]


def test_a_hash_in_another_setting_is_no_digest() -> None:
    own = Experiment(own={"folder/mine.py:loss": "0"})
    changed = ("objective.name", "mine.py:loss#1", "mine.py:loss#0")
    assert edited_parts([changed], own) == ["mine.py:loss"]
    assert edited_parts([changed, ("objective.args.colour", "#1", "#0")], own) == []
    assert edited_parts([], own) == []
