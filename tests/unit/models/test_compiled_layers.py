"""Networks that are compiled layer by layer give the gradients of eager ones, and their copies are eager."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from truelift.models import Classifier, ModelOptions, build_model
from truelift.techniques.compiled_graphs import compile_alike
from truelift.training.compilation import why_impossible
from truelift.training.quick_compiler import quick_compiler

pytestmark = pytest.mark.skipif(why_impossible("cpu") is not None, reason="torch's compiler does not work here")


@pytest.fixture(autouse=True)
def nothing_compiled_before(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    from torch._inductor.async_compile import AsyncCompile

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(AsyncCompile, "wait", AsyncCompile.wait)
    monkeypatch.setattr(AsyncCompile, "cpp_pybinding", AsyncCompile.cpp_pybinding)
    torch.compiler.reset()
    with torch._dynamo.config.patch(skip_nnmodule_hook_guards=True):
        yield
    torch.compiler.reset()


def network(name: str, width: int | None = None) -> Classifier:
    torch.manual_seed(0)
    return build_model(ModelOptions(name=name, width=width), classes=3, in_channels=1).train()


def gradients(of: Classifier, images: Tensor) -> dict[str, Tensor]:
    of.zero_grad()
    of.features(images).square().sum().backward()
    return {name: p.grad.clone() for name, p in of.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("name", "frozen"), [("resnet20", 0), ("resnet20", 2), ("wrn-28-1", 0)])
def test_gradients_and_running_statistics_are_those_of_the_eager_network(name: str, frozen: int) -> None:
    """In float64, which rounds nothing away; `frozen` layers are so before others."""
    eager = network(name).double()
    for layer in eager.layers()[:frozen]:  # type: ignore[operator]
        layer.eval().requires_grad_(False)
    compiled = copy.deepcopy(eager)
    compiled.compile_features(by_layer=True)
    images = torch.rand(4, 1, 8, 8, dtype=torch.float64)
    with quick_compiler(run=False):
        gradients(compiled, images)
    compiled.load_state_dict(eager.state_dict())
    expected, found = gradients(eager, images), gradients(compiled, images)
    assert expected.keys() == found.keys()
    for key in expected:
        torch.testing.assert_close(found[key], expected[key], rtol=1e-8, atol=1e-10, msg=key)
    for key, value in eager.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[key], value, rtol=1e-9, atol=1e-12, msg=key)


@pytest.mark.parametrize("alike", [False, True])
def test_no_mask_is_kept_of_layers_that_are_compiled_alike(alike: bool) -> None:
    """Of others one is, so that this test can fail."""
    compiled = (compile_alike if alike else torch.compile)(lambda layer, x: layer(x))
    layer = network("resnet20", width=2).layers()[1]  # type: ignore[operator]
    kept: list[torch.dtype] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.dtype)
        return tensor

    images = torch.rand(4, 2, 8, 8, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        compiled(layer, images)
    assert len(kept) > 3
    assert (torch.bool in kept) != alike


def test_a_hook_is_heeded_whenever_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, options, **more: real(function, backend="eager", **more))
    of = network("resnet20", width=2)
    of.compile_features(by_layer=True)
    images = torch.rand(2, 1, 8, 8)
    before = of.features(images)
    handle = of.layers()[3].register_forward_hook(lambda module, inputs, output: output * 2)  # type: ignore[operator]
    assert not torch.equal(of.features(images), before)
    handle.remove()


def test_a_kind_of_layer_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs: list[int] = []

    def backend(module: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        graphs.append(1)
        return module.forward

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, options, **more: real(function, backend=backend, **more))
    deep = network("resnet56", width=1)
    deep.compile_features(by_layer=True)
    images = torch.rand(2, 1, 8, 8)
    deep.features(images)
    assert len(graphs) == len(deep.kinds_of_layers()) == 6
    deep.eval()
    deep.features(torch.rand(3, 1, 8, 8))  # evaluation is eager
    assert len(graphs) == 6


def test_copies_are_eager_and_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **options: pytest.fail)
    of = network("resnet20", width=2)
    of.compile_features(by_layer=True)
    copied = copy.deepcopy(of)
    with torch.no_grad():
        for p in copied.parameters():
            p.zero_()
    assert not copied.features(torch.rand(2, 1, 8, 8)).any()
    of.forget_compiled()
    assert of.features(torch.rand(2, 1, 8, 8)).any()
