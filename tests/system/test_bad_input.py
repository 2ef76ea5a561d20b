"""Bad input: one clear line, exit status 2, nothing half-written."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.commands.started import run
from tests.system.conftest import Truelift


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done
    lines = [line for line in done.stderr.splitlines() if not line.startswith("truelift: warning")]
    assert len(lines) == 1, lines
    assert lines[0].startswith("truelift: error: ")
    for word in words:
        assert word in lines[0]


def image_folder(folder: Path, classes: int = 2, size: int = 12, images: int = 20) -> Path:
    rng = np.random.default_rng(0)
    for c in range(classes):
        (folder / f"class{c}").mkdir(parents=True)
        for i in range(images):
            pixels = rng.integers(0, 255, (size, size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"class{c}" / f"{i}.png")
    return folder


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "resnte20"], ["model", "resnet20"]),
        (["--model", "resnet21"], ["6n+2", "21"]),
        (["--data", "cifar11"], ["cifar10"]),
        (["--modle", "resnet20"], ["--modle", "--model"]),
        (["--model.last_rleu", "false"], ["--model.last_relu"]),
        (["--epochs", "0"], ["epochs", "at least 1", "got 0"]),
        (["--optimizer.lr", "-1"], ["optimizer.lr", "at least 0", "-1"]),
        (["--optimizer", "sdg"], ["sgd"]),
        (["--data.path", "missing.parquet"], ["missing.parquet"]),
        (["--augmentation.crop_padding", "8"], ["crop_padding", "8"]),
        (["--config", "missing.toml"], ["missing.toml"]),
        (["--threads", "0"], ["threads", "at least 1"]),
        (["--threads", "0", "--dry-run"], ["threads", "at least 1"]),
        (["--checkpoint_seconds", "-1"], ["checkpoint_seconds"]),
    ],
)
def test_train_refuses(truelift: Truelift, tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    refused(truelift("train", *arguments), *words)
    assert list(tmp_path.iterdir()) == []


def test_data_that_cannot_be_used(truelift: Truelift, tmp_path: Path) -> None:
    one = image_folder(tmp_path / "one", classes=1)
    refused(truelift("train", "--data.path", one), "class")
    mixed = image_folder(tmp_path / "mixed")
    Image.new("RGB", (20, 20)).save(mixed / "class0" / "big.png")
    refused(truelift("train", "--data.path", mixed), "12x12", "20x20", "resize")
    corrupt = image_folder(tmp_path / "corrupt")
    (corrupt / "class1" / "bad.png").write_bytes(b"no image")
    refused(truelift("train", "--data.path", corrupt), "bad.png")
    small = image_folder(tmp_path / "small", size=3)
    refused(truelift("train", "--data.path", small, "--augmentation.crop_padding", "0"), "at least 4 pixels", "3x3")
    cut = tmp_path / "train.parquet"
    pq.write_table(pa.table({"image": [b"x"] * 10, "label": [0, 1] * 5}), cut)
    cut.write_bytes(cut.read_bytes()[:50])
    refused(truelift("train", "--data.path", cut), "train.parquet")
    assert not (tmp_path / "runs").exists()


def test_a_corrupt_image_can_be_skipped_and_is_counted(truelift: Truelift, tmp_path: Path) -> None:
    corrupt = image_folder(tmp_path / "corrupt")
    (corrupt / "class1" / "bad.png").write_bytes(b"no image")
    options = ["--data.on_error", "skip", "--model", "resnet8", "--epochs", "1", "--batch_size", "8"]
    done = truelift("train", "--data.path", corrupt, *options)
    assert done.returncode == 0, done.stderr
    assert "1 image skipped" in done.stdout
    assert "finished before" not in done.stdout
    again = truelift("train", "--data.path", corrupt, *options)
    assert again.stdout.endswith(
        "This run was finished before: nothing was trained. To train it again, remove its folder.\n"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[variants.a]\n[variants.b]\nmodle.width = 3", ["study.toml", 'variant "b"', "--modle"]),
        ("[variants.a]\n[variants.b]\nmodel.name = 'resnet9'", ["6n+2", "9"]),
        ("baseline = 'c'\n[variants.a]\n[variants.b]\nseed = 1", ["baseline", '"c"']),
        ("[variants.a]", ["at least one other variant"]),
    ],
)
def test_study_refuses(truelift: Truelift, tmp_path: Path, text: str, words: list[str]) -> None:
    (tmp_path / "study.toml").write_text(text)
    refused(truelift("study", "study.toml"), *words)
    assert not (tmp_path / "runs").exists()


def test_a_study_of_programs_takes_no_settings_of_trainings(truelift: Truelift, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(
        "command = 'true {args} {seed} {out}'\nmetric = 'accuracy'\n[variants.a]\n[variants.b]\n"
    )
    refused(truelift("study", "study.toml", "--epochs", "3"), "epochs is a setting of truelift's own training", "args")
    refused(truelift("study", "."), ". cannot be read as TOML: it is a folder.")


def test_other_commands_refuse(truelift: Truelift, tmp_path: Path) -> None:
    refused(truelift("study", "building-bloks-20"), "building-blocks-20")
    refused(truelift("report", "nowhere"), "nowhere")
    refused(truelift("plan", "--effect", "0", "--sd", "1"), "effect", "0")
    refused(truelift("trian"), "train")


def test_equal_variants_and_one_seed_are_warned_of(truelift: Truelift, tmp_path: Path) -> None:
    experiment = "[experiment]\nmodel = 'resnet8'\nmodel.width = 4\nepochs = 1\ndata.train_images = 100\n"
    experiment = experiment.replace("model = 'resnet8'", "model.name = 'resnet8'")
    asked = "metric = 'test_accuracy'\nhigher_is_better = false\nguards = { test_loss = 1.0 }\n"
    (tmp_path / "study.toml").write_text(asked + experiment + "[variants.a]\n[variants.b]\n")
    done = truelift("study", "study.toml", "--seeds", "1")
    assert done.returncode == 0, done.stderr
    assert 'warning: variants "a" and "b" have equal settings' in done.stderr
    assert done.stderr.count("its name says the opposite") == 1
    assert "warning: test_accuracy is judged as better where it is lower, as asked" in done.stderr
    assert "warning: one seed decides nothing" in done.stderr
    assert "undecided" in done.stdout


def test_a_disk_that_takes_no_more_is_one_line_and_the_run_goes_on_later(tmp_path: Path) -> None:
    """A limit on the size of files stops the checkpoint's write half-way, as a full disk does."""
    options = ["train", "--model", "resnet8", "--epochs", "1", "--out", "run"]
    command = [sys.executable, "-m", "truelift", *options]
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # noqa: E731
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=250, preexec_fn=limit)
    refused(done, "File too large")
    assert not [path.name for path in (tmp_path / "run").iterdir() if "checkpoint" in path.name]
    again = run(options, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "run" / "checkpoint.pt").stat().st_size > 100_000


def test_a_folder_that_may_not_be_made(truelift: Truelift, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    refused(truelift("train", "--model", "resnet8", "--epochs", "1"), "runs")


def test_a_reader_that_has_read_enough() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "truelift", "recipes"], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")
