"""A run's name holds which columns were read, and finished runs of other data are not taken for those of these."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file, save_file
from tests.unit.data.test_tables import write_images

from truelift.errors import InputError
from truelift.models import save_weights
from truelift.models.start import weights_digest
from truelift.records import read_environment, write_json
from truelift.studies.folders import by_folder, refuse_other_data
from truelift.studies.study_file import read_plan
from truelift.training import Experiment, fingerprint, identity, resolve, run
from truelift.training.identity import find_folder, write_config
from truelift.training.network import build_network
from truelift.training.settings import parse_experiment
from truelift.training.trained import restore

TINY = {
    "data.label_column": "coarse",
    "augmentation.crop_padding": 0,
    "model.name": "resnet8",
    "model.width": 4,
    "epochs": 1,
}


def table(folder: Path, shift: int = 0) -> Path:
    names = write_images(folder, 24, first=shift)
    rows = [f"{name},{'ab'[number % 2]},{'wxyz'[number % 4]}" for number, name in enumerate(names)]
    (folder / "table.csv").write_text("\n".join(["file,coarse,fine", *rows]))
    return folder


def experiment(path: Path, **settings: Any) -> Experiment:
    return resolve(parse_experiment({"data.path": str(path), **TINY, **settings}, "test"))


def quietly(line: dict[str, Any], steps: int) -> None:
    """Shows nothing."""


@pytest.mark.parametrize("name", ["data.label_column", "data.image_column"])
def test_another_column_is_another_run(tmp_path: Path, name: str) -> None:
    photos = table(tmp_path / "photos")
    one, other = (experiment(photos, **{name: column}) for column in ("coarse", "fine"))
    assert identity(one) != identity(other)
    # A run that was named before columns belonged to it is found all the same, by its config.toml.
    write_config(tmp_path / "seed-0-0a1b2c3d", one)
    assert find_folder(tmp_path / "seed-0-ffffffff", one).name == "seed-0-0a1b2c3d"
    assert find_folder(tmp_path / "seed-0-ffffffff", other).name == "seed-0-ffffffff"


def test_a_folder_of_images_is_known_by_its_name(tmp_path: Path) -> None:
    one, moved, other = (experiment(tmp_path, **{"data.image_folder": f}) for f in ("/a/raw", "/b/raw", "/a/denoised"))
    assert identity(one) == identity(moved) != identity(other)


def test_a_folder_of_images_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table(tmp_path / "photos")
    (tmp_path / "photos/table.csv").rename(tmp_path / "table.csv")
    monkeypatch.chdir(tmp_path)
    wanted = experiment(Path("table.csv"), **{"data.image_folder": "photos"})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert wanted.data.image_folder == str(tmp_path / "photos")
    assert run(wanted, tmp_path / "run", reporter=quietly)["classes"] == 2
    # A run of a version before has the folder as it was given.
    monkeypatch.chdir(tmp_path / "photos")
    wanted = experiment(Path("../table.csv"), **{"data.image_folder": "."})
    write_config(
        tmp_path / "seed-0-0a1b2c3d",
        dataclasses.replace(wanted, data=dataclasses.replace(wanted.data, image_folder=".")),
    )
    assert find_folder(tmp_path / "seed-0-ffffffff", wanted).name == "seed-0-0a1b2c3d"


def test_a_finished_run_of_other_data_is_none_of_these(tmp_path: Path) -> None:
    here, other = table(tmp_path / "here" / "photos"), table(tmp_path / "other" / "photos", shift=100)
    moved = tmp_path / "moved" / "photos"
    shutil.copytree(here, moved)
    folder = tmp_path / "run"
    result = run(experiment(here), folder, reporter=quietly)
    assert run(experiment(moved), folder, reporter=quietly) == result, "the same data elsewhere"
    with pytest.raises(
        InputError, match=r"run was trained on other data, .*here/photos, than data\.path .*other/photos"
    ):
        run(experiment(other), folder, reporter=quietly)
    shutil.rmtree(here)  # a path that is no more tells nothing of what the data were
    assert run(experiment(moved), folder, reporter=quietly) == result
    shutil.rmtree(moved)
    assert run(experiment(moved), folder, reporter=quietly) == result, "nobody can tell: it is told as it was"


def test_a_finished_run_of_other_images_of_the_same_table_is_none_of_these(tmp_path: Path) -> None:
    """The folders have the same last name, by which the run is known."""
    here, moved, other = (tmp_path / place / "images" for place in ("here", "moved", "other"))
    (table(here) / "table.csv").rename(tmp_path / "table.csv")
    shutil.copytree(here, moved)
    shutil.copytree(here, other)
    for file in other.glob("*.png"):
        ImageOps.invert(Image.open(file)).save(file)

    def of(images: Path) -> dict[str, Any]:
        wanted = experiment(tmp_path / "table.csv", **{"data.image_folder": str(images)})
        return run(wanted, tmp_path / "run", reporter=quietly)

    assert of(here) == of(here) == of(moved)
    with pytest.raises(InputError, match=r"on other data, .*here/images, than data\.image_folder .*other/images: "):
        of(other)


def test_a_run_measured_with_other_outliers_is_none_of_these(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders have the same last name, by which the run is known."""
    here, moved, other = (tmp_path / place / "test" for place in ("here", "moved", "other"))
    for folder, value in ((here, 10), (moved, 10), (other, 20)):
        folder.mkdir(parents=True)
        for number in range(24):
            Image.new("L", (8, 8), value * (number % 8)).save(folder / f"{number}.png")

    def of(outliers: Path) -> dict[str, Any]:
        return run(experiment_of_digits(**{"detection.outliers": str(outliers)}), tmp_path / "run", reporter=quietly)

    def refused(outliers: Path) -> None:
        with pytest.raises(InputError, match=r"run was measured with other outliers, .*here/test, than detection\.out"):
            of(outliers)

    result = of(here)
    assert of(moved) == result
    refused(other)
    monkeypatch.chdir(other)  # the folder's name is no part of what is given
    refused(Path())
    # Of a run of an earlier version, what lies there now tells it.
    environment = read_environment(tmp_path / "run")
    del environment["outliers"]
    write_json(tmp_path / "run" / "environment.json", environment)
    assert of(moved) == result
    refused(other)
    shutil.rmtree(here)
    assert of(other) == result, "nobody can tell: it is told as it was"


def test_a_path_that_was_not_recorded_whole_is_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in records that were made to be kept: the data of today's folder of that name may be others."""
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "photos")
    wanted, folder = experiment(Path("photos")), tmp_path / "run"
    run(wanted, folder, reporter=quietly)
    config = (folder / "config.toml").read_text()
    (folder / "config.toml").write_text(config.replace(str(tmp_path / "photos"), "photos"))
    assert run(wanted, folder, reporter=quietly)
    shutil.rmtree(tmp_path / "photos")
    table(tmp_path / "photos", shift=100)
    with pytest.raises(InputError, match=r"run was trained on other data, photos, than data\.path .*/photos: "):
        run(wanted, folder, reporter=quietly)


def test_a_study_of_other_data_wants_another_folder(tmp_path: Path) -> None:
    here, other = table(tmp_path / "here" / "photos"), table(tmp_path / "other" / "photos", shift=100)
    file = tmp_path / "s.toml"
    settings = "\n".join(
        f"{name} = {str(value).lower() if value is False else repr(value)}" for name, value in TINY.items()
    )
    file.write_text(
        f'metric = "test_accuracy"\nseeds = 1\n[experiment]\ndata.path = "{here}"\n{settings}\n'
        "[variants.a]\n[variants.b]\nmodel.last_relu = false\n"
    )
    plan, study = read_plan(file), tmp_path / "study"
    first = next(iter(by_folder(plan, study)))
    planned = by_folder(plan, study)[first].experiment
    assert planned is not None
    run(planned, first, reporter=quietly)
    runs = by_folder(plan, study)
    refuse_other_data(runs, [path for path in runs if path != first])
    file.write_text(file.read_text().replace(str(here), str(other)))
    runs = by_folder(read_plan(file), study)
    assert first in runs, "where data lie is no part of a run's name"
    refuse_other_data(runs, list(runs))  # none is finished
    with pytest.raises(InputError, match=r"trained on other data, .*Give this study another --out"):
        refuse_other_data(runs, [path for path in runs if path != first])


def test_a_run_of_the_version_before_goes_on_and_is_restored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its checkpoint has the fingerprint of the experiment without its columns."""
    wanted, folder = experiment(table(tmp_path / "photos")), tmp_path / "run"
    result = run(wanted, folder, reporter=quietly)
    checkpoint = folder / "checkpoint.pt"
    before = {name: value for name, value in identity(wanted).items() if name != "data.label_column"}
    torch.save(torch.load(checkpoint) | {"run": fingerprint(before)}, checkpoint)
    assert restore(folder, device="cpu").inputs.classes == ("a", "b")
    (folder / "result.json").unlink()
    assert run(wanted, folder, reporter=quietly)["metrics"]["test_loss"] == result["metrics"]["test_loss"]
    assert "of no use" not in capsys.readouterr().err
    torch.save(torch.load(checkpoint) | {"run": "00000000"}, checkpoint)
    with pytest.raises(InputError, match="another run's"):
        restore(folder, device="cpu")


def weights(path: Path, seed: int) -> Path:
    save_weights(build_network(experiment_of_digits(seed=seed), (1, 8, 8), 10, "cpu"), path)
    return path


def experiment_of_digits(**settings: Any) -> Experiment:
    small = {"model.name": "resnet8", "model.width": 4, "epochs": 1, "data.train_images": 100, "batch_size": 20}
    return resolve(parse_experiment({**small, **settings}, "test"))


def test_a_finished_run_from_other_weights_is_none_of_these(tmp_path: Path) -> None:
    file, folder = weights(tmp_path / "w.safetensors", 0), tmp_path / "run"
    wanted = experiment_of_digits(**{"model.weights": str(file)})
    result = run(wanted, folder, reporter=quietly)
    assert run(wanted, folder, reporter=quietly) == result
    before = file.read_bytes()
    weights(file, 1)
    with pytest.raises(InputError, match=r"run was trained from other weights than .*w\.safetensors holds now"):
        run(wanted, folder, reporter=quietly)
    file.write_bytes(before)
    assert run(wanted, folder, reporter=quietly) == result
    # Of a run of an earlier version nobody can tell: it had none, or one of the file's bytes.
    weights(file, 1)
    environment = read_environment(folder)
    for earlier in ({}, {"weights": "0123456789abcdef"}):
        environment.pop("weights", None)
        environment |= earlier
        write_json(folder / "environment.json", environment)
        assert run(wanted, folder, reporter=quietly) == result


def test_the_same_weights_written_again_are_the_same(tmp_path: Path) -> None:
    file, folder = weights(tmp_path / "w.safetensors", 0), tmp_path / "run"
    wanted = experiment_of_digits(**{"model.weights": str(file)})
    result = run(wanted, folder, reporter=quietly)
    before, tensors = file.read_bytes(), load_file(file)
    save_file(dict(reversed(tensors.items())), file, metadata={"format": "pt", "by": "another program"})
    assert file.read_bytes() != before
    assert run(wanted, folder, reporter=quietly) == result


@pytest.mark.parametrize("change", ["name", "number", "type", "shape"])
def test_a_digest_of_weights_tells_names_shapes_types_and_numbers(tmp_path: Path, change: str) -> None:
    tensors = {"a": torch.zeros(2, 3, dtype=torch.bfloat16), "b": torch.tensor(1), "c": torch.zeros(0)}
    changed = {
        "name": {**tensors, "d": tensors["c"]},
        "number": {**tensors, "b": torch.tensor(2)},
        "type": {**tensors, "a": torch.zeros(2, 3, dtype=torch.float16)},
        "shape": {**tensors, "a": torch.zeros(3, 2, dtype=torch.bfloat16)},
    }[change]
    digests = []
    for number, content in enumerate((tensors, changed)):
        save_file(content, tmp_path / f"{number}.safetensors")
        torch.save(dict(reversed(content.items())), tmp_path / f"{number}.pt")
        one, other = (weights_digest(str(tmp_path / f"{number}.{ending}")) for ending in ("safetensors", "pt"))
        assert one == other
        digests.append(one)
    assert None not in digests
    assert digests[0] != digests[1]


def test_a_run_does_not_go_on_where_its_weights_changed(tmp_path: Path) -> None:
    file, folder = weights(tmp_path / "w.safetensors", 0), tmp_path / "run"
    wanted = experiment_of_digits(**{"model.weights": str(file), "epochs": 3})

    def crash(line: dict[str, Any], steps: int) -> None:
        if line["step"] >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(wanted, folder, reporter=crash, checkpoint_seconds=0)
    before = file.read_bytes()
    weights(file, 1)
    with pytest.raises(InputError, match=r"the weights that it began from changed, .*w\.safetensors.*rm "):
        run(wanted, folder, reporter=quietly)
    file.write_bytes(before)
    run(wanted, folder, reporter=quietly)
