"""Freezing by what the layers do: the rule, what is frozen, and going on from a state."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.unit.techniques.freezeout.freezeout_cases import STEPS, make_batches, make_network, sgd, train
from torch import nn

from truelift.errors import InputError
from truelift.techniques.freezeout import AdaptiveFreezing, FreezeOut

PROBE = make_batches(1)[0][0]
SIGNALS: dict[str, dict[str, Any]] = {
    "gradient": {"signal": "gradient"},
    "representation": {"signal": "representation", "images": PROBE, "tolerance": 0.6},
}


class Told:
    """A signal that says what it is told to: for each measurement, which of the layers are quiet."""

    def __init__(self, answers: list[list[bool]]) -> None:
        self.answers = answers
        self.added = 0
        self.asked = 0

    def add(self, frozen: int, overflowed: torch.Tensor | None = None) -> None:
        self.added += 1

    def quiet(self, frozen: int) -> list[bool]:
        self.asked += 1
        return self.answers[self.asked - 1][frozen:]

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def told(answers: list[list[bool]], **options: Any) -> tuple[list[tuple[int, list[int]]], AdaptiveFreezing, Told]:
    """At which of 40 steps which layers freeze under those answers, one every five steps."""
    network = make_network()
    freezing = AdaptiveFreezing(network, sgd(network), steps=STEPS, **{"every_steps": 5, "warmup": 0, **options})
    signal = freezing._signal = Told(answers)
    left = []
    for step in range(STEPS):
        fresh = freezing.step()
        freezing.optimizer.step()
        if fresh:
            left.append((step, fresh))
    return left, freezing, signal


Y, N = True, False


@pytest.mark.parametrize(
    ("answers", "options", "expected"),
    [
        # Measured after 5, 10, … 35 steps. From the front on alone, and as many as are quiet.
        ([[N, Y, Y], [Y, N, Y], [Y, Y, Y], [N] * 3, [N] * 3, [N] * 3, [N] * 3], {}, [(10, [0]), (15, [1, 2])]),
        ([[Y] * 3] * 7, {}, [(5, [0, 1, 2])]),
        ([[N, Y, Y]] * 7, {}, []),
        # Patience: so many running, and counted while the layers before are still in training.
        ([[Y, N, N], [N, Y, N], [Y, Y, N], [Y, Y, N], [N] * 3, [N] * 3, [N] * 3], {"patience": 2}, [(20, [0, 1])]),
        # The warm-up: what is quiet in it counts, but nothing freezes before it ends.
        ([[Y] * 3] * 7, {"patience": 3, "warmup": 0.5}, [(20, [0, 1, 2])]),
        ([[Y] * 3] * 7, {"warmup": 0.55}, [(25, [0, 1, 2])]),
        ([[Y] * 3] * 7, {"warmup": 1}, []),
        # Shares of four layers; the last never freezes.
        ([[Y] * 3] * 7, {"max_share": 0.74}, [(5, [0, 1])]),
        ([[Y] * 3] * 7, {"max_share": 0.25}, [(5, [0])]),
        ([], {"max_share": 0.2}, []),
    ],
)
def test_the_rule(answers: list[list[bool]], options: dict[str, Any], expected: list[tuple[int, list[int]]]) -> None:
    left, freezing, signal = told(answers, **options)
    assert left == expected
    stages = [1.0] * 4
    for step, layers in expected:
        for layer in layers:
            stages[layer] = step / STEPS
    assert freezing.stages == stages
    assert freezing.frozen == sum(len(layers) for _, layers in expected)
    if freezing.frozen == freezing.most:  # nothing more to decide, nothing to measure
        last = expected[-1][0] if expected else 0
        assert (signal.asked, signal.added) == (last // 5, last)
    else:
        assert (signal.asked, signal.added) == (7, STEPS)


@pytest.mark.parametrize("name", SIGNALS)
def test_frozen_layers_stay_and_rates_are_left_alone(name: str) -> None:
    network = make_network()
    optimizer = sgd(network, weight_decay=0.1)
    freezing = AdaptiveFreezing(network, optimizer, steps=STEPS, warmup=0, **SIGNALS[name])
    rates: list[set[float]] = []
    optimizer.register_step_pre_hook(lambda o, *_: rates.append({g["lr"] for g in o.param_groups}))
    average = torch.optim.swa_utils.AveragedModel(network)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10, gamma=0.5)
    kept: list[dict[str, torch.Tensor]] = []
    for images, labels in make_batches():
        network.train()  # as users do
        for number in freezing.step():
            kept.append({k: v.clone() for k, v in network[number].state_dict().items()})
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        average.update_parameters(network)
        for number, was in enumerate(kept):
            assert all(torch.equal(v, was[k]) for k, v in network[number].state_dict().items())
            assert not any(p.requires_grad or p in optimizer.state for p in network[number].parameters())
            assert not any(m.training for m in network[number].modules())
        assert network[5].weight.requires_grad
    assert freezing.frozen == len(kept) >= 1
    assert [stage < 1 for stage in freezing.stages] == [number < len(kept) for number in range(4)]
    assert rates == [{0.1 * 0.5 ** (step // 10)} for step in range(STEPS)]


def test_the_gradient_is_seen_as_the_optimizer_uses_it() -> None:
    """Clipped, and summed over the parts of a batch."""
    network = make_network()
    optimizer = sgd(network)
    freezing = AdaptiveFreezing(network, optimizer, steps=STEPS, every_steps=4, max_share=0.25, warmup=1)
    total = torch.zeros_like(network[0][0].weight)
    for images, labels in make_batches(4):
        freezing.step()
        optimizer.zero_grad()
        for x, y in zip(images.chunk(2), labels.chunk(2), strict=True):
            (F.cross_entropy(network(x), y) / 2).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 0.1)
        assert network[0][0].weight.grad is not None
        total += network[0][0].weight.grad
        optimizer.step()
    signal = freezing._signal
    torch.testing.assert_close(signal.sums[0][0], total)  # type: ignore[attr-defined]


def test_layers_without_a_gradient_are_quiet() -> None:
    """The user has frozen the first: it leaves with the first decision; the norms of the others decide on them."""
    network = make_network()
    network[0].requires_grad_(False)
    optimizer = sgd(network)
    freezing = AdaptiveFreezing(network, optimizer, steps=STEPS, every_steps=4, warmup=0)
    train(network, optimizer, freezing, make_batches(9))
    assert freezing.frozen >= 1
    assert freezing.stages[0] == 8 / STEPS


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("cut", [1, 6, 14, 27, 39])
@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_resumed_training_is_bit_identical(name: str, cut: int, kind: str) -> None:
    batches = make_batches()

    def start(seed: int = 0) -> tuple[nn.Sequential, Any, AdaptiveFreezing]:
        network = make_network(seed)
        optimizer = sgd(network) if kind == "sgd" else torch.optim.AdamW(network.parameters(), 0.01)
        options = {"every_steps": 3, "patience": 2 if name == "representation" else 1, **SIGNALS[name]}
        return network, optimizer, AdaptiveFreezing(network, optimizer, steps=STEPS, **options)

    whole, first = start(), start()
    train(*whole, batches)
    assert whole[2].frozen >= 1
    train(*first, batches[:cut])
    network, optimizer, freezing = start(seed=7)
    network.load_state_dict(first[0].state_dict())
    freezing.load_state_dict(first[2].state_dict())
    optimizer.load_state_dict(copy.deepcopy(first[1].state_dict()))
    train(*first, batches[cut:])  # what was loaded is not shared
    train(network, optimizer, freezing, batches[cut:])
    for key, tensor in whole[0].state_dict().items():
        assert torch.equal(network.state_dict()[key], tensor), key
        assert torch.equal(first[0].state_dict()[key], tensor), key
    assert freezing.stages == first[2].stages == whole[2].stages
    with pytest.raises(InputError, match=f"at most {STEPS} times"):
        freezing.step()


@pytest.mark.parametrize(
    "other",
    [{"steps": 41}, {"every_steps": 4}, {"percentile": 40.0}, {"patience": 2}, {"warmup": 0.1}, {"max_share": 0.5}],
)
def test_state_of_other_settings_is_refused(other: dict[str, Any]) -> None:
    donor, network = make_network(), make_network()
    settings: dict[str, Any] = {"steps": STEPS, "warmup": 0, "every_steps": 2}
    optimizer = sgd(donor)
    given = AdaptiveFreezing(donor, optimizer, **{**settings, **other})
    train(donor, optimizer, given, make_batches(30))
    freezing = AdaptiveFreezing(network, sgd(network), **settings)
    with pytest.raises(InputError, match="the state must be of the same settings, got"):
        freezing.load_state_dict(given.state_dict())
    assert freezing.frozen == 0
    assert all(p.requires_grad for p in network.parameters())


def test_an_earlier_state_is_refused() -> None:
    network = make_network()
    freezing = AdaptiveFreezing(network, sgd(network), steps=STEPS)
    state = freezing.state_dict()
    freezing.step()
    with pytest.raises(InputError, match="the state must be of a later step than 1, got 0: nothing thaws"):
        freezing.load_state_dict(state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"signal": "gradients"}, 'unknown signal "gradients". Did you mean "gradient"'),
        ({"every_steps": 0}, "every_steps must be at least 1, got 0"),
        ({"percentile": 101}, r"percentile must be in \[0, 100\], got 101"),
        ({"tolerance": -0.1}, r"tolerance must be in \[0, 1\], got -0.1"),
        ({"patience": 0}, "patience must be at least 1, got 0"),
        ({"warmup": float("nan")}, r"warmup must be in \[0, 1\], got nan"),
        ({"max_share": 1.5}, r"max_share must be in \[0, 1\], got 1.5"),
        ({"images": PROBE}, "images must be given for signal representation alone, got 6 for gradient"),
        ({"signal": "representation"}, "images must be given for signal representation alone, got none"),
        ({"signal": "representation", "images": PROBE[:1]}, "images must be at least 2, got 1"),
    ],
)
def test_bad_arguments_leave_the_optimizer_alone(options: dict[str, Any], message: str) -> None:
    network = make_network()
    optimizer = sgd(network)
    with pytest.raises(InputError, match=message):
        AdaptiveFreezing(network, optimizer, **{"steps": STEPS, **options})
    assert len(optimizer.param_groups) == 1


def test_a_bad_schedule_leaves_the_optimizer_alone() -> None:
    network = make_network()
    optimizer = sgd(network)
    with pytest.raises(InputError, match="t0"):
        FreezeOut(network, optimizer, steps=STEPS, t0=2)
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (torch.randn(4, 1, 5, 5), r"images must be what the network takes, got \(4, 1, 5, 5\) of torch.float32 at"),
        ([torch.randn(2, 5, 5)] * 2, r"images must be a tensor \(B, …\), as the network takes it, got list"),
    ],
)
def test_images_that_the_network_does_not_take_are_told(images: Any, says: str) -> None:
    def trained() -> None:
        network = make_network()
        optimizer = sgd(network)
        freezing = AdaptiveFreezing(network, optimizer, steps=40, signal="representation", images=images)
        train(network, optimizer, freezing, make_batches())

    with pytest.raises(InputError, match=says):
        trained()


def test_a_step_that_overflows_float16_counts_in_no_interval() -> None:
    """A fused optimizer is called in such a step and skips it by itself; one without kernels is not called."""
    found = {}
    for fused in (True, False):
        network = make_network()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.05, fused=fused)
        scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
        freezing = AdaptiveFreezing(network, optimizer, steps=STEPS, every_steps=5, percentile=90, warmup=0.0)
        frozen = []
        for step, (images, labels) in enumerate(make_batches(STEPS)):
            freezing.step()
            frozen.append(freezing.frozen)
            loss = F.cross_entropy(network(images), labels)
            scaler.scale(loss).backward()
            if step % 5 == 2:
                first = next(p for p in network.parameters() if p.requires_grad)
                assert first.grad is not None
                first.grad.fill_(float("inf"))
            scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
        found[fused] = frozen, freezing.state_dict()["signal"]["norms"]
    assert found[True][0] == found[False][0]
    assert found[True][0][-1] > 0
    assert found[True][1] == pytest.approx(found[False][1], rel=1e-4)
