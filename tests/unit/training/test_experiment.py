import dataclasses
import math
import tomllib
from collections.abc import Iterator
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest
import tomli_w

from truelift.data import DataOptions
from truelift.errors import InputError
from truelift.options import In
from truelift.training import Experiment, fingerprint, resolve, to_dict
from truelift.training.settings import expand_names, flatten, literal, parse_experiment


def test_resolved_experiment_survives_toml() -> None:
    settings = {
        "schedule.name": "step",
        "schedule.milestones_epochs": [1.5, 2],
        "schedule.warmup": "constant",
        "schedule.warmup_epochs": 1,
        "schedule.warmup_factor": 0.1,
        "model.last_relu": False,
        "seed": 7,
        "batch_norm_momentum": "dynamic",
        "optimizer.clip_norm": 1.0,
    }
    experiment = resolve(parse_experiment(settings, "test"))
    text = tomli_w.dumps(to_dict(experiment))
    again = parse_experiment(flatten(tomllib.loads(text)), "test")
    assert again == experiment
    assert resolve(again) == experiment
    assert fingerprint(to_dict(again)) == fingerprint(to_dict(experiment))


def test_every_setting_changes_the_fingerprint() -> None:
    base = fingerprint(to_dict(resolve(Experiment())))
    for change in ({"seed": 1}, {"model.width": 8}, {"data.train_images": 100}, {"optimizer.lr": 0.2}):
        assert fingerprint(to_dict(resolve(parse_experiment(change, "test")))) != base


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"optimizer.lr": -0.1}, r"optimizer.lr must be at least 0, got -0.1"),
        ({"optimizer.lr": float("nan")}, "optimizer.lr"),
        ({"batch_norm_momentum": 0}, "batch_norm_momentum"),
        ({"objective.label_smoothing": 1}, "label_smoothing"),
        ({"optimizer.momentum": 0}, "nesterov must be false where optimizer.momentum is 0"),
        ({"schedule.warmup_steps": 1, "schedule.warmup_epochs": 1}, "same quantity in two units"),
        ({"schedule.warmup": "constant"}, "warmup_factor must be above 0 where schedule.warmup is constant, got 0.0"),
        ({"schedule.warmup": "steps"}, "schedule.warmup"),
        ({"schedule.warmup": "until-error"}, "warmup_factor must be above 0 where schedule.warmup is until-error"),
        (
            {"schedule.warmup": "until-error", "schedule.warmup_factor": 0.1, "schedule.warmup_steps": 400},
            "schedule.warmup must be linear or constant where its length is given, got until-error",
        ),
        ({"schedule.warmup_error_percent": 0}, r"schedule.warmup_error_percent must be in \(0, 100\], got 0"),
        ({"preprocessing": "zac"}, "preprocessing"),
        ({"preprocessing.epsilon": 0}, "preprocessing.epsilon must be above 0, got 0"),
        ({"preprocessing.name": "zca", "detection.fgsm_epsilon": 2}, "preprocessing.name must be other than zca for"),
        ({"probe.c": 0}, "probe.c must be above 0, got 0"),
        ({"probe.images": 0}, "probe.images must be at least 1, got 0"),
        ({"model.recompute": True, "compile": True}, "model.recompute must be false where compile is true"),
        (
            {"objective.name": "gaussian-mixture", "gradient.name": "weighted", "compile": True},
            "compile must be auto or false for gradient.name weighted over losses of one forward pass, got true",
        ),
        (
            {"model.recompute": True, "freezing.name": "freezeout", "freezing.cache": "device"},
            "model.recompute must be false where compile is true or freezing.cache is not none, got true",
        ),
        (
            {"schedule.milestones_epochs": [1]},
            "must be left out for schedule.name cosine: it belongs to step",
        ),
        ({"modle.width": 3}, "Unknown option"),
        ({"model.widht": 3}, "Did you mean --model.width"),
        ({"epochs": "many"}, "epochs"),
        ({"device": "tpu"}, "device must be"),
        ({"optimizer.name": "sdg"}, "sgd"),
        ({"optimizer.name": "mun"}, "muon"),
        ({"optimizer.bias_lr_factor": 0}, "optimizer.bias_lr_factor must be above 0, got 0"),
        ({"evaluation_views": "flips"}, "evaluation_views"),
        ({"model.name": "short-cnn", "model.first_kernel": 4}, "model.first_kernel"),
        ({"model.name": "shrt-cnn"}, 'Did you mean "short-cnn"'),
        ({"model.name": "vgg11", "model.activation": "relu"}, "vgg11 has no option model.activation, got relu"),
        ({"augmentation.crop_padding_mode": "mirror"}, "augmentation.crop_padding_mode"),
        ({"policy.names": ["lookahed"]}, 'Did you mean "lookahead"'),
        ({"policy.lookahead_steps": 0}, "policy.lookahead_steps must be at least 1, got 0"),
        (
            {
                "freezing.name": "freezeout",
                "freezing.cache": "host",
                "augmentation.views": 1,
                "data.progressive": [4, 8],
            },
            r"freezing.cache must be none where images grow \(data.progressive\), got host",
        ),
    ],
)
def test_bad_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve(parse_experiment(settings, "test"))


def numbers(options: type) -> Iterator[tuple[str, list[In]]]:
    """All options that are numbers or hold some, with their ranges."""
    for name, hint in get_type_hints(options, include_extras=True).items():
        kind, *beside = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        if dataclasses.is_dataclass(kind):
            yield from ((f"{name}.{inner}", ranges) for inner, ranges in numbers(kind))  # type: ignore[arg-type]
        elif {int, float} & {kind, *get_args(kind), *(part for one in get_args(kind) for part in get_args(one))}:
            yield name, [one for one in beside if isinstance(one, In)]


def test_every_number_has_a_range_on_both_sides() -> None:
    found = dict(numbers(Experiment))
    assert len(found) > 60
    for name, ranges in found.items():
        for value in (10**30, -(10**30), math.inf, -math.inf, math.nan):
            assert any(not one.holds(value) for one in ranges), f"{name} may be {value}"


@pytest.mark.parametrize(
    "settings",
    [{"epochs": 10**9}, {"model.width": 10**9}, {"objective.margin": 1e300}, {"data.workers": 10**6}, {"seed": 2**63}],
)
def test_numbers_that_no_machine_can_take(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match=rf"^{next(iter(settings))} must be (at most|from)"):
        resolve(parse_experiment(settings, "test"))


def test_a_kind_of_warm_up_is_no_length_of_it() -> None:
    settings = {"schedule.warmup": "constant", "schedule.warmup_factor": 0.1}
    assert resolve(parse_experiment(settings, "test")).schedule.warmup_steps == 0
    given = resolve(parse_experiment({**settings, "schedule.warmup_epochs": 10}, "test")).schedule
    assert (given.warmup, given.warmup_epochs, given.warmup_steps) == ("constant", 10, None)


def test_a_path_names_the_data() -> None:
    resolved = resolve(dataclasses.replace(Experiment(), data=DataOptions(path="some/photos")))
    assert resolved.data.name == "photos"
    assert resolved.augmentation.flip is True  # not the digits' default


def test_short_names_and_flags() -> None:
    given = ["--data", "cifar10", "--model=resnet20", "--model.last_relu", "false", "--data.path", "true"]
    expected = ["--data.name", "cifar10", "--model.name=resnet20", "--model.last_relu=false", "--data.path=true"]
    assert expand_names(given) == expected
    assert flatten({"data": "cifar10", "model": {"width": 8}}) == {"data.name": "cifar10", "model.width": 8}


@pytest.mark.parametrize("text", ["2026-01-01", "07:30:00", "[2026-01-01T07:30:00Z]", "{ a = [07:30:00] }"])
def test_a_date_as_a_parts_argument_is_refused(text: str) -> None:
    """An identity is made of what JSON has."""
    settings = {"objective.name": "mine.py:loss", "objective.args.when": literal(text)}
    with pytest.raises(InputError, match=r"objective\.args\.when must be text in place of a date or time"):
        parse_experiment(settings, "here")
