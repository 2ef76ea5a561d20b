"""Every number of a public function has a range on both sides: what lies outside is one line that names it."""

import inspect
import math
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

import truelift
from truelift.errors import InputError
from truelift.models import WhiteningConvolution
from truelift.techniques import freezeout, gaussian_mixture, gradient_similarity
from truelift.techniques.averaged_weights import AveragedWeights
from truelift.techniques.cutmix import CutMix, cutmix
from truelift.techniques.lookahead import Lookahead
from truelift.techniques.mixup import Mixup, mixup
from truelift.techniques.muon import Muon, orthogonalised
from truelift.techniques.random_erasing import RandomErasing
from truelift.techniques.sharpness_aware import SharpnessAware
from truelift.techniques.trivial_augment import TrivialAugment
from truelift.verdicts import power_paired_t, seeds_needed
from truelift.verdicts.power import detectable_effect


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))


def trained() -> dict[str, Any]:
    of = network()
    return {"network": of, "optimizer": torch.optim.SGD(of.parameters(), 0.1), "steps": 4}


def cached() -> dict[str, Any]:
    freezing = truelift.FreezeOut(**trained())
    return {"network": nn.Sequential(*freezing.layers[0]), "freezing": freezing, "samples": 4, "budget_bytes": 100}


def compared(tmp: Path) -> dict[str, Any]:
    return {"train": lambda seed: {"accuracy": 60.0 + seed}, "variants": {"a": {}, "b": {}}, "folder": tmp / "never"}


def mixed() -> dict[str, Any]:
    return {"images": torch.zeros(2, 3, 4, 4), "labels": torch.tensor([0, 1]), "partners": torch.tensor([1, 0])}


@pytest.fixture(scope="module", autouse=True)
def alone() -> Iterator[None]:
    """torch.distributed with one process, which a sharded head needs."""
    dist.init_process_group("gloo", store=vars(dist)["HashStore"](), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


SIZES = {"features": 4, "classes": 3}
PLANNED = {"sd": 1.0}

FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[[Path], dict[str, Any]]]] = {
    "FreezeOut": (truelift.FreezeOut, lambda _: trained()),
    "AdaptiveFreezing": (truelift.AdaptiveFreezing, lambda _: trained()),
    "ActivationCache": (truelift.ActivationCache, lambda _: cached()),
    "predicted_saving": (truelift.predicted_saving, lambda _: {"network": network(), "images": torch.zeros(2, 3)}),
    "timed_costs": (freezeout.timed_costs, lambda _: {"network": network(), "images": torch.zeros(2, 3)}),
    "freezing_points": (freezeout.freezing_points, lambda _: {"layers": 3, "t0": 0.5, "scaling": "cubic"}),
    "freezing_stages": (freezeout.freezing_stages, lambda _: {"points": [0.5, 1.0], "freeze_every": 1}),
    "GaussianMixtureHead": (truelift.GaussianMixtureHead, lambda _: SIZES),
    "ShardedGaussianMixtureHead": (gaussian_mixture.ShardedGaussianMixtureHead, lambda _: SIZES),
    "FeatureGaussians": (truelift.FeatureGaussians, lambda _: SIZES),
    "GaussianMixtureLoss": (truelift.GaussianMixtureLoss, lambda _: {}),
    "constant": (gaussian_mixture.constant, lambda _: {"value": 1.0}),
    "doubling": (gaussian_mixture.doubling, lambda _: {"initial": 0.1, "every_steps": 3, "cap": 0.3}),
    "ramp": (gaussian_mixture.ramp, lambda _: {"final": 0.1, "steps": 3}),
    "GradientSimilarity": (truelift.GradientSimilarity, lambda _: {}),
    "TaskStatistics": (truelift.TaskStatistics, lambda _: {"network": network()}),
    "multi_task": (gradient_similarity.multi_task, lambda _: {}),
    "GradVac": (gradient_similarity.GradVac, lambda _: {}),
    "AveragedWeights": (AveragedWeights, lambda _: {"network": network()}),
    "SharpnessAware": (SharpnessAware, lambda _: {"climbing": network()}),
    "Lookahead": (Lookahead, lambda _: {"network": network()}),
    "Muon": (Muon, lambda _: {"params": [torch.zeros(2, 2, requires_grad=True)]}),
    "orthogonalised": (orthogonalised, lambda _: {"matrix": torch.ones(2, 2)}),
    "WhiteningConvolution": (WhiteningConvolution, lambda _: {"in_channels": 3}),
    "Mixup": (Mixup, lambda _: {"classes": 3}),
    "CutMix": (CutMix, lambda _: {"classes": 3}),
    "mixup": (mixup, lambda _: mixed() | {"weight": 0.5, "classes": 3}),
    "cutmix": (cutmix, lambda _: mixed() | {"box": (0, 1, 0, 1), "classes": 3}),
    "RandomErasing": (RandomErasing, lambda _: {}),
    "TrivialAugment": (TrivialAugment, lambda _: {}),
    "compare": (truelift.compare, compared),
    "Ledger": (truelift.Ledger, lambda folder: {"path": folder / "ledger.jsonl"}),
    "judge": (truelift.judge, lambda _: {"table": {"variant": ["a", "b"], "accuracy": [1.0, 2.0]}}),
    "power_paired_t": (power_paired_t, lambda _: PLANNED | {"effect": 1.0, "seeds": 5}),
    "seeds_needed": (seeds_needed, lambda _: PLANNED | {"effect": 1.0}),
    "detectable_effect": (detectable_effect, lambda _: PLANNED | {"seeds": 5}),
}

ANY_SIZE = {"compare.smallest_effect", "judge.smallest_effect", "seeds_needed.effect", "power_paired_t.effect"}
"""Of any finite size, in the unit of somebody's metric."""
ANY_SIZE |= {"power_paired_t.sd", "seeds_needed.sd", "detectable_effect.sd"}
ANY_FACTOR = {"constant.value", "doubling.initial", "doubling.cap", "ramp.final", "multi_task.weight"}
"""Of any finite size: what it multiplies is one's own."""
ANY_FACTOR |= {"GaussianMixtureLoss.margin", "GaussianMixtureLoss.likelihood_weight", "SharpnessAware.rho"}
ANY_FACTOR |= {"Mixup.alpha", "CutMix.alpha", "GaussianMixtureHead.initial_variances"}
BOTH_WAYS = {"power_paired_t.effect", "seeds_needed.effect"}
"""A difference, of either sign."""


def kinds(hint: Any) -> set[Any]:
    """The plain types in a hint."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return set().union(*(kinds(one) for one in typing.get_args(hint)))
    return {hint}


def numbers() -> Iterator[tuple[str, str, bool]]:
    """Each function's arguments that are numbers, and whether whole ones."""
    for name, (function, _) in FUNCTIONS.items():
        signature = inspect.signature(function, eval_str=True)
        for argument, parameter in signature.parameters.items():
            found = kinds(parameter.annotation) & {int, float}
            if found:
                yield name, argument, found == {int}


NUMBERS = list(numbers())


def test_all_of_them_are_here() -> None:
    """What is public and takes a number is in the table."""
    public = {name: getattr(truelift, name) for name in truelift.__all__}
    for module in (freezeout, gaussian_mixture, gradient_similarity):
        public |= {name: getattr(module, name) for name in module.__all__ if name[0].isupper()}
    apart = {"Judged", "Front"}  # a result; a base
    for name, thing in public.items():
        if inspect.isclass(thing) and not issubclass(thing, tuple) and "__dataclass_fields__" not in vars(thing):
            hints = inspect.signature(thing, eval_str=True).parameters.values()
            if name not in apart and any(kinds(p.annotation) & {int, float} for p in hints):
                assert name in FUNCTIONS, name
    assert len(NUMBERS) > 50


@pytest.mark.parametrize(("name", "argument", "whole"), NUMBERS, ids=[f"{n}.{a}" for n, a, _ in NUMBERS])
def test_outside_its_range(name: str, argument: str, whole: bool, tmp_path: Path) -> None:
    function, base = FUNCTIONS[name]
    place = f"{name}.{argument}"
    free = ANY_SIZE | ANY_FACTOR
    bad: list[Any] = [math.nan, math.inf, -math.inf, "x", [1.5, "x"]]
    bad += [] if place in BOTH_WAYS else [-(10**30)]
    bad += [] if place in free else [10**30]
    bad += [1.5, True, "3"] if whole else []
    for value in bad:
        with pytest.raises(InputError) as told:
            function(**base(tmp_path) | {argument: value})
        text = str(told.value)
        assert argument in text, f"{value!r}: {text}"
        assert "\n" not in text
    assert list(tmp_path.iterdir()) == []
