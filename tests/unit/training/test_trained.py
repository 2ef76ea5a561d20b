"""A run's network out of its folder says what the run's evaluation said."""

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from truelift.data.pictures import Unreadable
from truelift.errors import InputError
from truelift.records import Inputs, Run
from truelift.training import Experiment, resolve, run
from truelift.training.build import load_data
from truelift.training.export import export
from truelift.training.network import build_network
from truelift.training.prediction import Predicted, predict_files
from truelift.training.settings import parse_experiment
from truelift.training.trained import restore

MIXTURE = {"objective.name": "gaussian-mixture", "objective.covariance": "diagonal", "objective.variances": "tracked"}


def silent(line: dict[str, Any], steps: int) -> None:
    pass


def small(**settings: Any) -> Experiment:
    base = {"model.name": "small-cnn", "epochs": 1, "data.train_images": 200, "batch_size": 50, "optimizer.lr": 0.02}
    return resolve(parse_experiment({**base, "precision": "fp32", **settings}, "test"))


def trained(folder: Path, **settings: Any) -> Experiment:
    experiment = small(**settings)
    run(experiment, folder, reporter=silent)
    return experiment


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {**MIXTURE, "policy.names": ["averaged-weights"], "policy.ema_decay": 0.5},
        {"objective.feature_size": 2},
        {"preprocessing.name": "none", "evaluation_views": "flip-shift"},
        {"preprocessing.name": "mean-image", "precision": "bf16"},
        {"preprocessing.name": "zca"},
        {"tasks.main": ["3", "5"], "tasks.auxiliary": ["1", "7", "8"], "tasks.batch_norm": "separate"},
        {"model.name": "resnet8", "model.width": 4, "freezing.name": "freezeout", "schedule.name": "constant"},
    ],
    ids=["softmax", "mixture-ema", "embedded", "none-flip", "mean-image-bf16", "zca", "tasks", "frozen"],
)
def test_the_network_says_what_the_evaluation_said(tmp_path: Path, settings: dict[str, Any]) -> None:
    experiment = trained(tmp_path / "run", **settings)
    said = Run("v", 0, tmp_path / "run").predictions()
    assert said is not None
    again = restore(tmp_path / "run")
    test = load_data(experiment).test
    answer = again(test.images)  # type: ignore[union-attr]
    assert answer.probabilities.argmax(1).tolist() == said.predicted.tolist()
    of_true = answer.probabilities[torch.arange(len(said.labels)), torch.from_numpy(said.labels)]
    np.testing.assert_allclose(of_true.numpy(), said.probability, rtol=1e-5, atol=1e-7)
    assert (answer.log_likelihood is not None) == ("objective.name" in settings)


def test_the_score_is_the_mixture_of_the_head_s_gaussians(tmp_path: Path) -> None:
    experiment = trained(tmp_path, **MIXTURE)
    network = restore(tmp_path)
    test: Any = load_data(experiment).test
    images = test.images[:5]
    head: Any = network.network.head
    features = network.network.features(network.preprocess(images)).double()
    means, variance = head.means.double(), head.variance().double()
    gaussian = torch.distributions.MultivariateNormal
    each = [gaussian(means[k], torch.diag(variance.expand_as(means)[k])).log_prob(features) for k in range(len(means))]
    expected = torch.stack(each).logsumexp(0) - np.log(len(means))
    torch.testing.assert_close(network(images).log_likelihood, expected.float(), rtol=1e-4, atol=1e-3)


def test_files_of_all_kinds(tmp_path: Path) -> None:
    experiment = trained(tmp_path / "run")
    test = load_data(experiment).test
    pictures = tmp_path / "pictures"
    (pictures / "deeper").mkdir(parents=True)
    pixels = [test.images[i, 0].numpy() for i in range(4)]  # type: ignore[union-attr]
    Image.fromarray(pixels[0]).save(pictures / "a.png")
    Image.fromarray(pixels[1]).convert("RGB").save(pictures / "deeper" / "b.PNG")
    (pictures / "c.jpg").write_bytes(b"no image")
    Image.fromarray(pixels[2]).resize((16, 24)).save(pictures / "d.png")
    (pictures / "notes.txt").write_text("none of these")
    (tmp_path / "empty").mkdir()
    network = restore(tmp_path / "run")

    found = list(predict_files(network, [pictures, tmp_path / "empty", tmp_path / "gone.png"], top=99))
    told = {Path(one.file if isinstance(one, Predicted) else one.path).name: one for one in found}
    assert list(told) == ["a.png", "c.jpg", "d.png", "b.PNG", "empty", "gone.png"]
    expected = network(test.images[:2]).probabilities  # type: ignore[union-attr]
    for name, row in (("a.png", expected[0]), ("b.PNG", expected[1])):
        one = told[name]
        assert isinstance(one, Predicted)
        assert len(one.top) == 10
        assert [choice.number for choice in one.top] == row.argsort(descending=True).tolist()
        assert one.top[0].probability == pytest.approx(float(row.max()), rel=1e-5)
        assert sum(choice.probability for choice in one.top) == pytest.approx(1, abs=1e-5)
    reasons = {name: one.reason for name, one in told.items() if isinstance(one, Unreadable)}
    assert reasons.keys() == {"c.jpg", "d.png", "empty", "gone.png"}
    assert "16x24 pixels (width x height), and the network takes 8x8: --fit" in reasons["d.png"]
    assert "cannot identify" in reasons["c.jpg"]

    [fitted] = predict_files(network, [pictures / "d.png"], top=3, fit=True)
    assert isinstance(fitted, Predicted)
    assert len(fitted.top) == 3


def test_photographs_are_cut_as_in_evaluation(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 6)):
        for name in ("cat", "dog"):
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                size = (int(generator.integers(20, 40)), int(generator.integers(20, 40)), 3)
                Image.fromarray(generator.integers(0, 256, size, dtype=np.uint8)).save(folder / f"{i}.png")
    settings = {"data.path": str(tmp_path / "data"), "data.resize": 16, "data.stream": True, "data.workers": 0}
    trained(tmp_path / "run", **settings, **{"data.train_images": None, "batch_size": 10})
    said = Run("v", 0, tmp_path / "run").predictions()
    assert said is not None
    found = list(predict_files(restore(tmp_path / "run"), [tmp_path / "data" / "test"], top=2))
    assert [one.top[0].number for one in found if isinstance(one, Predicted)] == said.predicted.tolist()
    for one, label, probability in zip(found, said.labels, said.probability, strict=True):
        assert isinstance(one, Predicted)
        [true] = [choice.probability for choice in one.top if choice.number == label]
        assert true == pytest.approx(float(probability), rel=1e-4)


def test_what_cannot_be_restored_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        restore(tmp_path / "none")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "study.json").write_text("{}")
    with pytest.raises(InputError, match="is a study: name one of its runs"):
        restore(tmp_path / "study")
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "config.toml").write_text('command = "x"\nargs = ""\nseed = 0\n')
    with pytest.raises(InputError, match="a program of your own"):
        restore(tmp_path / "program")
    folder = tmp_path / "my run"
    trained(folder)
    whole = (folder / "checkpoint.pt").read_bytes()
    (folder / "checkpoint.pt").write_bytes(whole[:-3000] + bytes(2000) + whole[-1000:])
    with pytest.raises(InputError, match="of no use"):
        restore(folder)
    (folder / "checkpoint.pt").unlink()
    with pytest.raises(InputError, match=r"has no weights: .*truelift clean.*--config '.*/my run/config.toml' --out"):
        restore(folder)
    (folder / "result.json").unlink()
    with pytest.raises(InputError, match="is not finished"):
        restore(folder)


def test_an_earlier_run_asks_its_data_again(tmp_path: Path) -> None:
    trained(tmp_path)
    before = Inputs.read(tmp_path)
    (tmp_path / "inputs.json").unlink()
    again = restore(tmp_path)
    assert again.inputs == before


@pytest.mark.parametrize(("damage", "told"), [("{", "damaged"), ('{"classes": ["a"]}', "damaged")])
def test_damaged_inputs_are_told(tmp_path: Path, damage: str, told: str) -> None:
    (tmp_path / "inputs.json").write_text(damage)
    with pytest.raises(InputError, match=told):
        Inputs.read(tmp_path)


def test_own_network_as_it_was_when_the_run_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "net_of_mine.py"
    text = (
        "from torch import nn\n"
        "def net(classes, in_channels):\n"
        "    return nn.Sequential(nn.Conv2d(in_channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),"
        " nn.Linear(4, classes))\n"
    )
    source.write_text(text)
    monkeypatch.chdir(tmp_path)
    trained(tmp_path / "run", **{"model.name": f"{source}:net"})
    said = Run("v", 0, tmp_path / "run").predictions()
    assert said is not None
    images = load_data(small()).test.images  # type: ignore[union-attr]
    for change in (text, text.replace("4", "5"), None):  # as it was, changed, gone
        if change is None:
            source.unlink()
        else:
            source.write_text(change)
        assert restore(tmp_path / "run")(images).probabilities.argmax(1).tolist() == said.predicted.tolist()
    (tmp_path / "run" / "own" / source.name).unlink()
    with pytest.raises(InputError, match="is gone since this run was made"):
        restore(tmp_path / "run")


def test_own_files_of_one_name_in_two_folders_are_both_kept(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "deeper").mkdir(parents=True)
    (home / "width_of_mine.py").write_text("WIDTH = 4\n")
    (home / "deeper/width_of_mine.py").write_text("KERNEL = 3\n")
    (home / "net_of_two.py").write_text(
        "from torch import nn\nfrom width_of_mine import WIDTH\nfrom deeper.width_of_mine import KERNEL\n"
        "def net(classes, in_channels):\n"
        "    return nn.Sequential(nn.Conv2d(in_channels, WIDTH, KERNEL), nn.AdaptiveAvgPool2d(1), nn.Flatten(),"
        " nn.Linear(WIDTH, classes))\n"
    )
    trained(tmp_path / "run", **{"model.name": f"{home}/net_of_two.py:net"})
    kept = {path.relative_to(home): path.read_text() for path in home.rglob("*.py")}
    shutil.rmtree(home)
    assert {path.relative_to(tmp_path / "run/own"): path.read_text() for path in tmp_path.rglob("*.py")} == kept
    restore(tmp_path / "run")


def test_an_own_network_within_packages_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    (home / "widths_of_mine/deeper").mkdir(parents=True)
    (home / "widths_of_mine/__init__.py").touch()
    (home / "widths_of_mine/deeper/__init__.py").touch()
    (home / "widths_of_mine/four.py").write_text("WIDTH = 4\n")
    (home / "widths_of_mine/deeper/net.py").write_text(
        "from torch import nn\nimport widths_of_mine.four\n"
        "def net(classes, in_channels):\n"
        "    width = widths_of_mine.four.WIDTH\n"
        "    return nn.Sequential(nn.Conv2d(in_channels, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),"
        " nn.Linear(width, classes))\n"
    )
    trained(tmp_path / "run", **{"model.name": f"{home}/widths_of_mine/deeper/net.py:net"})
    with (home / "widths_of_mine/deeper/net.py").open("a") as file:
        file.write("# edited\n")
    restore(tmp_path / "run")
    # Nor is what it imports that of today, which is found from the folder in which a command is started.
    (home / "widths_of_mine/four.py").write_text("WIDTH = 16\n")
    for name in [name for name in sys.modules if "widths_of_mine" in name or name.startswith("truelift_own_net_")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    monkeypatch.chdir(home)
    restore(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(home)
    restore(tmp_path / "run")


@pytest.mark.parametrize("preprocessing", ["channels", "zca"])
def test_exported_weights_give_the_network_s_outputs(tmp_path: Path, preprocessing: str) -> None:
    from safetensors.torch import load_file

    trained(tmp_path / "run", **{"preprocessing.name": preprocessing})
    network = restore(tmp_path / "run", device="cpu")
    found = export(network, "safetensors")
    assert found.path == tmp_path / "run" / "model.safetensors"
    assert found.difference == 0
    for name, tensor in load_file(found.path).items():
        assert torch.equal(tensor, network.network.state_dict()[name]), name
    with pytest.raises(InputError, match=f"the file to be written must be no folder, got {tmp_path}"):
        export(network, "safetensors", tmp_path)
    (tmp_path / "mine" / "log.txt").mkdir(parents=True)  # what lies beside the file stays as it is
    export(network, "safetensors", tmp_path / "mine" / "a.safetensors")
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        "a.safetensors",
        "a.safetensors.json",
        "log.txt",
    ]
    # The same weights start another training.
    continued = small(**{"model.weights": str(found.path), "data.train_images": 100})
    assert continued.model.weights is not None
    run(continued, tmp_path / "continued", reporter=silent)


@pytest.mark.parametrize(
    "settings", [{}, MIXTURE, {"preprocessing.name": "mean-image"}], ids=["softmax", "lgm", "mean"]
)
def test_the_exported_module_computes_what_the_run_does(tmp_path: Path, settings: dict[str, Any]) -> None:
    from truelift.training.export.network import Exportable

    experiment = trained(tmp_path, **settings)
    network = restore(tmp_path, device="cpu")
    images = load_data(experiment).test.images[:9]  # type: ignore[union-attr]
    outputs = Exportable(network).eval()(images)
    answer = network(images)
    torch.testing.assert_close(outputs[0].softmax(1), answer.probabilities, rtol=1e-4, atol=1e-6)
    if answer.log_likelihood is not None:
        torch.testing.assert_close(outputs[1], answer.log_likelihood, rtol=1e-4, atol=1e-3)


def test_a_file_with_other_outputs_is_not_put_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from truelift.errors import FailedError
    from truelift.training.export import safetensors_form

    trained(tmp_path / "run")
    read = safetensors_form.reader

    def off(content: bytes, network: Any) -> Any:
        inner = read(content, network)
        return lambda images: [output + 0.1 for output in inner(images)]

    monkeypatch.setattr(safetensors_form, "reader", off)
    with pytest.raises(FailedError, match="is not written: its outputs differ"):
        export(restore(tmp_path / "run", device="cpu"), "safetensors")
    assert not list((tmp_path / "run").glob("model*"))


@pytest.mark.parametrize("settings", [MIXTURE, {"objective.feature_size": 2}], ids=["mixture", "embedded"])
def test_an_exported_network_starts_another(tmp_path: Path, settings: dict[str, Any]) -> None:
    trained(tmp_path / "run", **settings)
    export(restore(tmp_path / "run"), "safetensors", tmp_path / "w.safetensors")
    weights = {"model.weights": str(tmp_path / "w.safetensors")}
    before = restore(tmp_path / "run").network.state_dict()
    for objective in (settings, {}):  # of which the one has that head, and the other has another
        again = build_network(small(**objective, **weights), (1, 8, 8), 10, "cpu").state_dict()
        of_trunk = [name for name in again if not name.startswith("head.")]
        assert len(of_trunk) == 4
        assert all(torch.equal(again[name], before[name]) for name in of_trunk)
