"""With schedulers, clipping, accumulation, an average of the weights, a gradient scaler and torch.compile."""

import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.unit.techniques.freezeout.freezeout_cases import STEPS, make_batches, make_network, sgd, train
from torch import Tensor, nn

from truelift.techniques.freezeout import FreezeOut, allow_recompilations


class Recurrent(nn.Module):
    """Two recurrent layers with dropout between them."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.inner = nn.GRU(4, 4, 2, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(x)[0]
        return out


EARLY: dict[str, Any] = {"t0": 0.2, "scaling": "linear"}


@pytest.mark.parametrize("kind", ["lambda", "step"])
def test_schedulers_move_the_rate_that_freezeout_multiplies(kind: str) -> None:
    network = make_network()
    optimizer = sgd(network)
    freezeout = FreezeOut(network, optimizer, steps=STEPS, **EARLY)
    seen: list[list[float]] = []
    optimizer.register_step_pre_hook(lambda o, *_: seen.append([g["lr"] for g in o.param_groups]))
    scheduler: Any
    if kind == "lambda":
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
        expected = [0.1 / (1 + step) for step in range(STEPS)]
    else:
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 15, gamma=0.5)
        expected = [0.1 * 0.5 ** (step // 15) for step in range(STEPS)]
    for step, (images, labels) in enumerate(make_batches()):
        freezeout.step()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()
        shown = [group["lr"] for group in optimizer.param_groups]
        assert shown == pytest.approx([expected[step]])
        assert seen[-1] == pytest.approx([expected[step] * f for f in freezeout.factors()[freezeout.frozen :]])
        scheduler.step()
    assert freezeout.frozen == 3


def test_clipping_counts_the_active_layers_alone() -> None:
    network = make_network()
    optimizer = sgd(network)
    freezeout = FreezeOut(network, optimizer, steps=STEPS, **EARLY)
    for images, labels in make_batches():
        freezeout.step()
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        active = [p.grad for layer in network[freezeout.frozen :] for p in layer.parameters() if p.grad is not None]
        expected = torch.cat([grad.flatten() for grad in active]).norm()
        norm = nn.utils.clip_grad_norm_(network.parameters(), 1e-3)
        torch.testing.assert_close(norm, expected)
        optimizer.step()
    assert freezeout.frozen == 3


def test_accumulated_gradients_equal_a_larger_batch() -> None:
    """Without batch norm, whose statistics are those of a part."""
    results = []
    for parts in (1, 3):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(4, 3))
        network.double()
        optimizer = sgd(network)
        freezeout = FreezeOut(network, optimizer, steps=STEPS, **EARLY)
        for images, labels in make_batches():
            freezeout.step()
            optimizer.zero_grad()
            for x, y in zip(images.chunk(parts), labels.chunk(parts), strict=True):
                (F.cross_entropy(network(x), y) / parts).backward()
            optimizer.step()
        results.append([p.detach() for p in network.parameters()])
    for one, three in zip(*results, strict=True):
        torch.testing.assert_close(one, three, rtol=1e-9, atol=1e-12)


def test_average_of_the_weights_meets_the_frozen_ones() -> None:
    network = make_network()
    optimizer = sgd(network)
    freezeout = FreezeOut(network, optimizer, steps=STEPS, **EARLY)
    average: Any = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.2)
    )
    for batch in make_batches():
        train(network, optimizer, freezeout, [batch])
        average.update_parameters(network)
    torch.testing.assert_close(average.module[0][0].weight, network[0][0].weight, rtol=1e-6, atol=1e-9)
    assert not torch.equal(average.module[5].weight, network[5].weight)


def test_gradient_scaler_changes_nothing() -> None:
    results = []
    for scaled in (False, True):
        network = make_network().float()
        optimizer = sgd(network)
        freezeout = FreezeOut(network, optimizer, steps=STEPS, **EARLY)
        scaler = torch.amp.GradScaler("cpu", enabled=scaled, init_scale=2.0**8)
        for images, labels in make_batches():
            freezeout.step()
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(network(images.float()), labels)).backward()
            scaler.step(optimizer)
            scaler.update()
        assert freezeout.frozen == 3
        results.append([p.detach() for p in network.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))  # a power of two


def test_a_skipped_step_leaves_the_rates() -> None:
    network = make_network().float()
    optimizer = sgd(network)
    freezeout = FreezeOut(network, optimizer, steps=STEPS, **EARLY)
    scaler = torch.amp.GradScaler("cpu")
    freezeout.step()
    scaler.scale(network(torch.full((2, 2, 5, 5), float("inf"))).sum()).backward()
    before = network[5].weight.clone()
    scaler.step(optimizer)
    assert torch.equal(network[5].weight, before)
    assert {group["lr"] for group in optimizer.param_groups} == {0.1}


def test_closures_see_the_same_rates() -> None:
    network, other = make_network(), make_network()
    optimizer = sgd(network)
    freezeout = FreezeOut(network, optimizer, steps=STEPS, **EARLY)
    for images, labels in make_batches():
        freezeout.step()

        def closure(images: torch.Tensor = images, labels: torch.Tensor = labels) -> torch.Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(network(images), labels)
            loss.backward()
            return loss

        optimizer.step(closure)
    plain = sgd(other)
    train(other, plain, FreezeOut(other, plain, steps=STEPS, **EARLY), make_batches())
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))


def test_compiled_network_is_compiled_anew_and_equals_the_eager_one() -> None:
    torch._dynamo.reset()
    steps, batches = 4, make_batches(4)
    graphs = 0

    def backend(module: Any, inputs: Any) -> Any:
        nonlocal graphs
        graphs += 1
        return torch._dynamo.lookup_backend("aot_eager")(module, inputs)

    eager, network = make_network(), make_network()
    options: dict[str, Any] = {"steps": steps, "t0": 0.3, "scaling": "linear", "freeze_every": 2}
    optimizer = sgd(eager)
    train(eager, optimizer, FreezeOut(eager, optimizer, **options), batches)
    optimizer = sgd(network)
    freezeout = FreezeOut(network, optimizer, **options)
    train(network, optimizer, freezeout, batches, called=torch.compile(network, backend=backend))
    assert freezeout.frozen == 2
    assert graphs == 2
    for name, tensor in eager.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], tensor, rtol=1e-9, atol=1e-12, msg=name)


def test_the_limit_of_recompilations_is_only_raised() -> None:
    config = torch._dynamo.config
    name = "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit"  # as torch 2.6 calls it
    before = getattr(config, name)
    try:
        setattr(config, name, 8)  # as it is where nothing was compiled before
        allow_recompilations([0.5, 1.0])
        assert getattr(config, name) == 10
        allow_recompilations([*(i / 50 for i in range(50)), 1.0])
        assert getattr(config, name) == 59
        allow_recompilations([0.5, 1.0])
        assert getattr(config, name) == 59
    finally:
        setattr(config, name, before)


def test_training_mode_between_step_and_the_optimizers_is_told_once_and_held_it_is_not() -> None:
    def trained(held: bool) -> list[str]:
        network = make_network()
        optimizer = sgd(network)
        freezeout = FreezeOut(network, optimizer, steps=STEPS)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for images, labels in make_batches():
                freezeout.step()
                network.train()
                if held:
                    freezeout.hold()
                optimizer.zero_grad()
                F.cross_entropy(network(images), labels).backward()
                optimizer.step()
        return [str(warning.message) for warning in told]

    assert trained(held=True) == []
    (message,) = trained(held=False)
    assert message.startswith("frozen layers were in training mode")


@pytest.mark.parametrize(
    ("module", "told"),
    [
        (nn.ReLU(), 0),
        (nn.Dropout(0.0), 0),
        (nn.BatchNorm1d(4, track_running_stats=False), 0),
        (nn.Dropout(0.1), 1),
        (nn.BatchNorm1d(4), 1),
        (nn.Sequential(nn.Unflatten(1, (2, 2)), nn.InstanceNorm1d(2), nn.Flatten()), 0),
        (nn.Sequential(nn.Unflatten(1, (2, 2)), nn.InstanceNorm1d(2, track_running_stats=True), nn.Flatten()), 1),
        (Recurrent(0.0), 0),
        (Recurrent(0.1), 1),
    ],
    ids=str,
)
def test_training_mode_is_told_where_frozen_layers_go_by_it(module: nn.Module, told: int) -> None:
    network = nn.Sequential(nn.Sequential(nn.Linear(4, 4), module), nn.Linear(4, 4), nn.Linear(4, 3))
    optimizer = sgd(network)
    freezeout = FreezeOut(network, optimizer, steps=10, **EARLY)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for _ in range(10):
            freezeout.step()
            network.train()
            optimizer.zero_grad()
            network(torch.randn(6, 4)).sum().backward()
            optimizer.step()
    assert freezeout.frozen > 0
    assert len(warned) == told
