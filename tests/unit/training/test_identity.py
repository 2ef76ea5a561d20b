"""What makes a run another run, and what does not."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from truelift import own
from truelift.errors import InputError
from truelift.options import OneOf, hints
from truelift.training import Experiment, fingerprint, identity, resolve
from truelift.training.identity import (
    DEFAULTS_VERSION,
    OPERATIONAL_OPTIONS,
    config,
    differences,
    find_folder,
    fingerprints,
    read_config,
    write_config,
)
from truelift.training.own_parts import PARTS
from truelift.training.settings import OPTIONS, flatten, parse_experiment, to_dict

# Each version has its own. Where a default has changed, raise DEFAULTS_VERSION and write the file of the new version;
# a new option that changes nothing by default needs neither.
KEPT = Path(__file__).with_name(f"defaults_of_version_{DEFAULTS_VERSION}.json")


def experiment(**settings: Any) -> Experiment:
    return resolve(parse_experiment(settings, "test"))


def test_the_defaults_are_those_of_their_version() -> None:
    defaults = flatten(to_dict(Experiment()))
    kept = json.loads(KEPT.read_text())
    assert {name: defaults.get(name) for name in kept} == kept
    assert len(kept) > 80


def test_only_what_differs_from_the_defaults_is_part_of_it() -> None:
    found = identity(experiment(**{"optimizer.lr": 0.2, "model.width": 8}))
    assert found["optimizer.lr"] == 0.2
    assert found["model.width"] == 8
    assert "epochs" not in found
    assert found["defaults_version"] == DEFAULTS_VERSION
    assert identity(experiment(**{"optimizer.lr": 0.1})) == identity(experiment())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data.path", "."),
        ("data.on_error", "skip"),
        ("model.recompute", True),
        ("evaluate_every_epochs", 5),
        ("channels_last", False),
        ("compile", True),
        ("device", "cpu"),
    ],
)
def test_how_and_where_a_run_runs_is_no_part_of_it(name: str, value: Any) -> None:
    plain = experiment(**{"data.name": "cifar10"})
    assert identity(experiment(**{"data.name": "cifar10", name: value})) == identity(plain)
    assert name in OPERATIONAL_OPTIONS


def test_images_are_known_by_their_last_name_wherever_they_lie(tmp_path: Path) -> None:
    here, there, other = tmp_path / "noise", tmp_path / "elsewhere" / "noise", tmp_path / "clouds"
    for folder in (here, there, other):
        folder.mkdir(parents=True)
    first, moved, third = (experiment(**{"detection.outliers": str(folder)}) for folder in (here, there, other))
    assert identity(first) == identity(moved)
    assert identity(first)["detection.outliers"] == "noise"
    assert identity(first) != identity(third)
    # A run is found that was named by the whole path.
    old = tmp_path / "seed-0-0a1b2c3d"
    write_config(old, first)
    assert find_folder(tmp_path / f"seed-0-{fingerprint(identity(moved))}", moved) == old


def test_a_checkpoint_of_the_version_before_is_this_run_s() -> None:
    """That version counted columns as no part of a run, and outliers by their whole path; the digits are its own."""
    columns = {"data.label_column": "coarse", "data.image_column": "file", "data.image_folder": "/a/raw"}
    read = experiment(**{"data.name": "photos", "data.path": "/a/photos", "epochs": 3, **columns})
    assert fingerprints(read) == {fingerprint(identity(read)), "38858530"}
    judged = dataclasses.replace(read, detection=dataclasses.replace(read.detection, outliers="/a/noise"))
    assert fingerprints(judged) == {fingerprint(identity(judged)), "ab60ccb5"}
    assert fingerprints(experiment(epochs=3)) == {fingerprint(identity(experiment(epochs=3)))}


@pytest.mark.parametrize("name", sorted(OPERATIONAL_OPTIONS))
def test_operational_options_exist(name: str) -> None:
    assert name in OPTIONS


def test_an_option_that_is_added_orphans_no_run(tmp_path: Path) -> None:
    """A run of a version that lacked an option has no line for it."""
    wanted = experiment(epochs=3)
    write_config(tmp_path / "seed-0-aaaaaaaa", wanted)
    text = (tmp_path / "seed-0-aaaaaaaa" / "config.toml").read_text()
    (tmp_path / "seed-0-aaaaaaaa" / "config.toml").write_text(text.replace("mixup_alpha = 0.2\n", ""))
    assert read_config(tmp_path / "seed-0-aaaaaaaa") == wanted
    assert find_folder(tmp_path / f"seed-0-{fingerprint(identity(wanted))}", wanted).name == "seed-0-aaaaaaaa"


def test_other_defaults_are_another_run(tmp_path: Path) -> None:
    wanted = experiment(epochs=3)
    write_config(tmp_path, wanted)
    assert differences(tmp_path, wanted) == []
    text = (tmp_path / "config.toml").read_text()
    newer = text.replace(f"defaults_version = {DEFAULTS_VERSION}", f"defaults_version = {DEFAULTS_VERSION + 1}")
    (tmp_path / "config.toml").write_text(newer)
    assert differences(tmp_path, wanted) == [("defaults_version", DEFAULTS_VERSION + 1, DEFAULTS_VERSION)]
    assert config(wanted)["defaults_version"] == DEFAULTS_VERSION


def test_a_study_planned_without_a_gpu_is_the_same_study(monkeypatch: pytest.MonkeyPatch) -> None:
    here = experiment()
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert experiment() == here
    assert here.device == here.precision == "auto"


LOSS = "def loss(logits, labels, weight=1.0):\n    return (logits.sum() - labels.sum()) * weight\n"


def test_the_source_of_ones_own_part_belongs_to_it_and_its_folder_does_not(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(LOSS)
    first, again = (experiment(**{"objective.name": f"{tmp_path / folder}/mine.py:loss"}) for folder in ("a", "b"))
    assert identity(first) == identity(again)
    assert identity(first)["objective.name"].startswith("mine.py:loss#")
    (tmp_path / "b" / "mine.py").write_text(LOSS + "# otherwise\n")
    assert identity(experiment(**{"objective.name": f"{tmp_path}/b/mine.py:loss"})) != identity(first)
    with pytest.raises(InputError, match=r"the source of .*b/mine.py:loss has changed since this run was planned"):
        resolve(again)


def test_what_it_imports_from_beside_it_belongs_to_it(tmp_path: Path) -> None:
    (tmp_path / "mine_helper.py").write_text("SCALE = 1.0\n")
    (tmp_path / "mine2.py").write_text("from mine_helper import SCALE\n" + LOSS)
    settings = {"objective.name": f"{tmp_path}/mine2.py:loss"}
    first = identity(experiment(**settings))
    (tmp_path / "mine_helper.py").write_text("SCALE = 2.0\n")
    assert identity(experiment(**settings)) != first


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("mine3", "from ..scales import SCALE"),
        ("mine4", "from mine4.scales import SCALE"),
        ("mine5", "from .. import scales"),
        ("mine6", "import mine6.scales"),
    ],
)
def test_what_it_imports_of_its_package_belongs_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, line: str
) -> None:
    for folder in (tmp_path / package, tmp_path / package / "losses"):
        folder.mkdir()
        (folder / "__init__.py").write_text("")
    (tmp_path / package / "scales.py").write_text("SCALE = 1.0\n")
    (tmp_path / package / "losses/of_mine.py").write_text(f"{line}\n{LOSS}")
    monkeypatch.chdir(tmp_path)
    names = [f"{package}.losses.of_mine:loss", f"{package}/losses/of_mine.py:loss"]
    digests = [own.digest(names[0], "objective")]
    (tmp_path / package / "scales.py").write_text("SCALE = 2.0\n")
    digests += [own.digest(name, "objective") for name in names]
    assert digests[0] != digests[1] == digests[2] != ""


FROM_A_REGISTRY = [
    name for name, hint in OPTIONS.items() if any(isinstance(e, OneOf) for e in getattr(hint, "__metadata__", ()))
]


@pytest.mark.parametrize("name", sorted({*FROM_A_REGISTRY} - OPERATIONAL_OPTIONS))
def test_the_source_of_every_own_part_belongs_to_a_run_or_the_part_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine.py").write_text("def part(): ...\n")
    part, list_of = f"{tmp_path}/mine.py:part", isinstance(flatten(to_dict(Experiment()))[name], list)
    settings = {name: [part] if list_of else part}
    if name in PARTS:
        assert set(experiment(**settings).own) == {part}
        return
    with pytest.raises(InputError, match=f"{name} must be one of .*, none of your own, got"):
        experiment(**settings)


def test_every_option_has_a_type_that_toml_can_hold() -> None:
    assert all(dataclasses.is_dataclass(type(getattr(Experiment(), group))) for group in ("data", "model", "policy"))
    assert set(hints(Experiment)) >= {"epochs", "seed"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": "30"}, 'test: epochs must be a whole number, got "30"'),
        ({"epochs": 30.0}, "test: epochs must be a whole number, got 30.0"),
        ({"epochs": True}, "test: epochs must be a whole number, got true"),
        ({"model.last_relu": "no"}, 'test: model.last_relu must be true or false, got "no"'),
        ({"optimizer.lr": "0.1"}, 'test: optimizer.lr must be a number, got "0.1"'),
        ({"tasks.main": "cat"}, 'test: tasks.main must be a list, each item text, got "cat"'),
        ({"data.test_fraction": 7}, r"data.test_fraction must be in \(0, 1\), got 7"),
        ({"data.train_images": -3}, "data.train_images must be at least 1, got -3"),
        ({"model.name": "nonsense"}, 'unknown model "nonsense"'),
        ({"data.name": "cifar11"}, 'unknown data set "cifar11". Did you mean "cifar10"'),
        ({"epochs": 10**9}, "epochs must be at most 1000000, got 1000000000"),
        (
            {"objective.covariance": "diagnal"},
            'unknown value of objective.covariance "diagnal". Did you mean "diagonal"',
        ),
    ],
)
def test_everything_is_checked_before_anything_runs(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        experiment(**settings)


def test_a_number_is_a_number() -> None:
    assert identity(experiment(**{"optimizer.lr": 0.10})) == identity(experiment())
    assert parse_experiment({"optimizer.lr": 1}, "test").optimizer.lr == 1.0


def test_a_run_from_before_resnet50_was_imagenets_is_none_of_it(tmp_path: Path) -> None:
    """Its config.toml says resnet50, as no version since does."""
    new, cifar = experiment(**{"model.name": "resnet50"}), experiment(**{"model.name": "cifar-resnet50"})
    assert identity(new)["model.name"] == "imagenet-resnet50"
    old = tmp_path / "seed-0-aaaaaaaa"
    write_config(old, cifar)
    text = (old / "config.toml").read_text()
    assert '"cifar-resnet50"' in text
    (old / "config.toml").write_text(text.replace('"cifar-resnet50"', '"resnet50"'))
    assert read_config(old) == cifar
    assert [name for name, _, _ in differences(old, new)] == ["model.name"]
    assert find_folder(tmp_path / f"seed-0-{fingerprint(identity(new))}", new).name != old.name
    assert find_folder(tmp_path / f"seed-0-{fingerprint(identity(cifar))}", cifar) == old


def test_two_names_of_one_network_are_one_run() -> None:
    assert identity(experiment(**{"model.name": "cifar-resnet20"})) == identity(experiment())
    short, long = experiment(**{"model.name": "resnet34"}), experiment(**{"model.name": "imagenet-resnet34"})
    assert short == long
