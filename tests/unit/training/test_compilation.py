"""When a training is compiled, what is left of a compiler that fails, and that a compiled step is a plain one."""

import copy
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from truelift.errors import InputError
from truelift.models import Classifier, ModelOptions, build_model
from truelift.training import Experiment, build, compilation, resolve, run, whether_to_compile
from truelift.training.build import assemble, load_data
from truelift.training.compilation import compile_now, why_impossible
from truelift.training.compile_clock import CompileClock
from truelift.training.loop import fit
from truelift.training.meters import Meters
from truelift.training.settings import parse_experiment
from truelift.training.whether_to_compile import Decision, decide

CIFAR = 50_000


def silent(line: dict[str, Any], steps: int) -> None:
    pass


def small(**settings: Any) -> Experiment:
    base = {"model.name": "resnet8", "model.width": 4, "epochs": 1, "data.train_images": 320, "batch_size": 32}
    return resolve(parse_experiment({**base, "precision": "fp32", "model.stochastic_depth": 0.3, **settings}, "test"))


@pytest.fixture(autouse=True)
def with_amx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whether_to_compile, "multiplies_tiles", lambda: True)


def decided(epochs: int = 200, earlier: bool | None = None, **given: Any) -> Decision:
    settings = {name: value for name, value in given.items() if name not in ("device", "precision", "processes")}
    experiment = parse_experiment({"model.name": "resnet20", "data.name": "cifar10", **settings}, "test")
    return decide(
        experiment,
        build_model(experiment.model, classes=10, in_channels=3),
        (3, 32, 32),
        images=epochs * CIFAR,
        device=given.get("device", "cpu"),
        precision=given.get("precision", "bf16"),
        processes=given.get("processes", 1),
        earlier=earlier,
    )


def test_a_long_training_of_a_narrow_network_is_compiled() -> None:
    found = decided()
    assert found.compiled
    # 10 million images at 1.7e11 operations a second. Each: three times 40.55 million multiplications and additions,
    # but for the first convolution's input, which needs no gradient: 242.4 million. 13 s, and 1 a convolution of the
    # kinds of layers: the first one, a block of each stage, and the two blocks that change the shape.
    assert found.why == "saves some 2,282 s of 14,260 for 24 s of compiling"


def test_it_must_be_earned_back_twice() -> None:
    # 2 · 24 s / 0.16 are 300 s, of which an epoch of ResNet-20 is 71.3.
    assert [decided(epochs).compiled for epochs in (3, 4, 5, 6)] == [False, False, True, True]


def test_without_amx_nothing_is_compiled_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whether_to_compile, "multiplies_tiles", lambda: False)
    assert decided() == Decision(False, "no gain was measured on a processor without AMX")
    assert decided(compile=True).compiled


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"model.name": "wrn-16-8"}, "its convolutions are too wide to gain from it"),
        ({"device": "cuda"}, "too little was measured on this device"),
        ({"precision": "fp32"}, "no gain was measured in fp32"),
        ({"processes": 2}, "several processes train"),
        ({"model.recompute": True}, "activations are recomputed"),
        ({"freezing.name": "freezeout", "epochs": 9}, "the training is too short to earn it back"),
        ({"data.progressive": [16, 32]}, "images grow, and each size would be compiled"),
        ({"batch_norm_momentum": "dynamic"}, "batch norm's momentum is another at each step"),
        (
            {"objective.name": "gaussian-mixture", "gradient.name": "weighted"},
            "the gradient rule needs several backward passes",
        ),
        ({"compile": False}, "as set"),
        ({"earlier": False}, "as when the run began"),
    ],
)
def test_others_are_not(settings: dict[str, Any], why: str) -> None:
    assert decided(**settings) == Decision(False, why)


def test_two_forward_passes_may_be_compiled() -> None:
    settings: dict[str, Any] = {"tasks.auxiliary_rotation": 90.0, "gradient.name": "weighted"}
    assert decided(**settings).compiled


def test_what_was_set_or_decided_before_holds() -> None:
    assert decided(1, compile=True) == Decision(True, "as set")
    assert decided(1, earlier=True) == Decision(True, "as when the run began")
    assert decided(200, earlier=True, compile=False) == Decision(False, "as set")


def test_the_forms_of_layers_that_freeze_are_compiled_too() -> None:
    frozen: dict[str, Any] = {"freezing.name": "freezeout", "schedule.name": "constant"}
    assert not decided(11, **frozen).compiled
    assert decided(12, **frozen).why.endswith("for 68 s of compiling")  # 5 s a convolution


def test_where_few_layers_are_alike_each_freezing_costs_a_compilation() -> None:
    frozen: dict[str, Any] = {"model.name": "densenet40", "freezing.name": "freezeout", "schedule.name": "constant"}
    # 18 layers of two convolutions, two transitions, the first convolution: 39. Each of these 21 layers freezes by
    # itself, and the beginning: 22 times 52 s.
    assert decided(200, **frozen).why.endswith("for 1,144 s of compiling")


def alike(name: str, **options: Any) -> int:
    """How many kinds of layers are compiled once each."""
    experiment = parse_experiment({"model.name": name, "data.name": "cifar10", **options}, "test")
    return len(build_model(experiment.model, classes=10, in_channels=3).kinds_of_layers())


def test_equal_layers_are_compiled_once_where_a_third_repeats_others() -> None:
    assert [alike(name) for name in ("resnet20", "resnet110", "wrn-28-2")] == [6, 6, 7]
    assert [alike(name) for name in ("resnet8", "resnet14", "densenet40", "vgg16", "short-cnn")] == [0] * 5
    # Each block skips another share of the images.
    assert alike("resnet110", **{"model.stochastic_depth": 0.5}) == 0


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert why_impossible("cpu") == "there is no C++ compiler no-such-compiler"


def fails_at_once(features: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def compiled(images: Tensor) -> Tensor:
        raise RuntimeError("g++: internal error")

    return compiled


def fails_in_the_backward_pass(features: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def compiled(images: Tensor) -> Tensor:
        found = features(images)  # which moves running statistics, and draws which blocks are skipped

        def fail(gradient: Tensor) -> Tensor:
            raise RuntimeError("g++: internal error")

        found.register_hook(fail)
        return found

    return compiled


@pytest.mark.parametrize("fails", [fails_at_once, fails_in_the_backward_pass])
def test_a_failing_compiler_leaves_an_eager_run(
    tmp_path: Path, fails: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = run(small(), tmp_path / "plain", reporter=silent)
    monkeypatch.setattr(torch, "compile", fails)
    monkeypatch.setattr(compilation, "why_impossible", lambda device: None)
    monkeypatch.setattr(build, "decide", lambda *_, **__: Decision(True, "saves much"))
    found = run(small(), tmp_path / "run", reporter=silent)
    said = "compile auto: going on without, since torch.compile fails (RuntimeError: g++: internal error)"
    assert said in capsys.readouterr().err
    timed = ("train_seconds", "cpu_seconds", "images_per_second")
    assert found["metrics"].keys() == plain["metrics"].keys()
    for name, value in plain["metrics"].items():
        assert name in timed or found["metrics"][name] == value
    environment = json.loads((tmp_path / "run/environment.json").read_text())
    assert (environment["compiled"], "g++" in environment["compiled_why"]) == (False, True)


def test_a_failing_compiler_that_was_asked_for_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", fails_at_once)
    with pytest.raises(InputError, match=r"compile must be auto or false where torch\.compile fails .*, got true"):
        run(small(compile=True), tmp_path / "run", reporter=silent)
    assert not (tmp_path / "run").exists()


def test_short_runs_are_eager_and_say_so_in_their_records(tmp_path: Path) -> None:
    result = run(small(), tmp_path / "run", reporter=silent)
    environment = json.loads((tmp_path / "run/environment.json").read_text())
    assert environment["compiled"] is False
    assert environment["compiled_why"] == "no gain was measured in fp32"
    assert "compile_seconds" not in result["metrics"]


def test_a_cache_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TRUELIFT_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(torch, "compile", lambda features: features)
    monkeypatch.setattr(compilation, "why_impossible", lambda device: None)
    experiment = small(compile=True)
    training = assemble(experiment, load_data(experiment))
    compile_now(training)
    assert training.compiled
    assert "cannot be written" in capsys.readouterr().err


def test_the_clock_runs_while_torch_compiles() -> None:
    torch.compiler.reset()  # which forgets whom to tell
    clock = CompileClock(running=True)

    def slow(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., Any]:
        time.sleep(0.1)
        return graph.forward

    compiled = torch.compile(lambda x: x * 2, backend=slow)
    compiled(torch.ones(3))
    first = clock.spent()
    assert first.wall >= 0.1
    compiled(torch.ones(3))
    assert clock.spent() == first
    assert CompileClock(running=False).spent() == (0, 0)


vector_header = pytest.mark.skipif(
    os.environ.get("ATEN_CPU_CAPABILITY") == "default" or why_impossible("cpu") is not None,
    reason="torch's compiler does not work here",
)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=vector_header)])
def test_losses_are_those_of_a_plain_loop(tmp_path: Path, compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 steps in fp32 from the same weights on the same batches: contiguous memory, no fused optimizer, no loop."""
    settings = {"compile": compiled, "model.stochastic_depth": 0.0, "epochs": 10, "schedule.name": "constant"}
    settings["data.validation_fraction"] = 0  # 10 batches an epoch
    experiment = small(**settings, **{"optimizer.lr": 0.02, "evaluate_every_epochs": 10})
    training = assemble(experiment, load_data(experiment))
    network = copy.deepcopy(training.network)
    network.forget_compiled()
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    compile_now(training)
    found: list[float] = []
    count = Meters.count

    def counted(meters: Meters, losses: dict[str, Tensor], *rest: Any) -> None:
        found.append(float(next(iter(losses.values()))))
        count(meters, losses, *rest)

    monkeypatch.setattr(Meters, "count", counted)
    fit(training, lambda line: None, tmp_path / "checkpoint.pt", 1e9)
    assert (training.meters.compile_seconds > 0) == compiled

    (group,) = training.optimizer.param_groups
    plain = torch.optim.SGD(
        network.parameters(), 0.02, group["momentum"], 0, group["weight_decay"], group["nesterov"], foreach=False
    )
    expected = []
    network.train()
    for epoch in range(10):
        for images, labels, _ in training.batches.epoch(epoch):
            loss = F.cross_entropy(network(images.contiguous()), labels)
            plain.zero_grad()
            loss.backward()
            plain.step()
            expected.append(float(loss.detach()))
    assert len(expected) == 100
    assert found == pytest.approx(expected, rel=2e-3)
    assert expected[-1] < expected[0] / 2


def test_what_is_compiled_is_kept_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether torch's compiler, which writes its own place down, is imported or not; a user's place stays."""
    from torch._inductor.runtime.cache_dir_utils import cache_dir, default_cache_dir

    for there, kept in ((None, "mine"), (default_cache_dir(), "mine"), (str(tmp_path / "users"), "users")):
        monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
        if there is not None:
            monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", there)
        compilation._keep_in(tmp_path / "mine")
        assert cache_dir() == str(tmp_path / kept)


def a_users() -> Classifier:
    """A network of one's own that is one of ours: who knows what else it does with its layers."""
    return build_model(ModelOptions(name="resnet20", width=2), classes=10, in_channels=1)


@pytest.mark.parametrize(("name", "by_layer"), [("resnet20", True), (f"{__name__}:a_users", False)])
def test_another_network_is_one_graph(name: str, by_layer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda features, **_: features)
    settings = {"model.name": name, "data.train_images": 320, "compile": True}
    experiment = resolve(parse_experiment(settings, "test"))
    network = assemble(experiment, load_data(experiment)).network
    assert network.compiled_by_layer == by_layer
    assert ("features" in vars(network)) != by_layer
