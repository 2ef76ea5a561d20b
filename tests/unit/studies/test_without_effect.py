"""A setting of something that is not switched on is told before the study, in one line."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from truelift import recipes
from truelift.options import OneOf, Only, bare, hints, without_effect
from truelift.studies.study_file import read_plan
from truelift.toml import read_toml
from truelift.training.experiment import Experiment
from truelift.training.settings import parse_experiment

LENGTHS = "schedule.warmup_percent above 0, schedule.warmup_epochs above 0 or schedule.warmup_steps above 0"
MIXTURE = {"objective.name": "gaussian-mixture"}
RECIPES = [path for path in sorted(Path(recipes.__file__).parent.glob("*.toml")) if "variants" in read_toml(path)]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"augmentation.mixup_alpha": 0.4}, {"augmentation.mixup_alpha": "augmentation.names mixup"}),
        ({"augmentation.mixup_alpha": 0.4, "augmentation.names": ["cutmix", "mixup"]}, {}),
        ({"augmentation.mixup_alpha": 0.2}, {}),  # as by default
        ({"augmentation.cutmix_alpha": 0.4, "augmentation.names": ["my.py:Own"]}, {}),  # which may take any
        ({"freezing.t0": 0.5}, {"freezing.t0": "freezing.name freezeout"}),
        (
            {"freezing.patience": 3, "freezing.name": "freezeout"},
            {"freezing.patience": "freezing.name adaptive-gradient or adaptive-representation"},
        ),
        (
            {"gradient.use_average": True, "gradient.name": "gradvac"},
            {"gradient.use_average": "gradient.name weighted or unweighted"},
        ),
        (
            {"gradient.threshold": 0.5, "gradient.name": "pcgrad"},
            {"gradient.threshold": "gradient.name weighted or unweighted"},
        ),
        ({"objective.margin": 1.0}, {"objective.margin": "objective.name gaussian-mixture"}),
        (
            {"optimizer.nesterov": False, "optimizer.name": "adamw"},
            {"optimizer.nesterov": "optimizer.name sgd or muon"},
        ),
        ({"tasks.batch_norm": "joint"}, {"tasks.batch_norm": "tasks.auxiliary or tasks.auxiliary_rotation"}),
        ({"tasks.batch_norm": "joint", "tasks.auxiliary": ["cat", "dog"]}, {}),
        ({"detection.images": 20, "detection.fgsm_epsilon": 1.0}, {}),
        ({"preprocessing.epsilon": 0.2}, {"preprocessing.epsilon": "preprocessing.name zca"}),
        ({"data.evaluation_crop": 1.0}, {"data.evaluation_crop": "data.stream true"}),
        ({"data.evaluation_crop": 1.0, "data.stream": True}, {}),
        (
            {"augmentation.crop_padding_mode": "reflect", "augmentation.crop_padding": 0},
            {"augmentation.crop_padding_mode": "augmentation.crop_padding above 0"},
        ),
        ({"augmentation.crop_padding_mode": "reflect", "augmentation.crop_padding": 2}, {}),
        (
            {"objective.name": "gaussian-mixture", "objective.margin_cap": 0.5, "objective.schedule_epochs": 3.0},
            {
                "objective.margin_cap": "objective.margin_schedule doubling",
                "objective.schedule_epochs": (
                    "objective.margin_schedule doubling or ramp or objective.likelihood_schedule ramp"
                ),
            },
        ),
        ({"objective.likelihood_schedule": "ramp", "objective.schedule_epochs": 3.0, **MIXTURE}, {}),
        (
            {"schedule.warmup": "constant", "schedule.warmup_factor": 0.1, "schedule.warmup_steps": 0},
            {
                "schedule.warmup": f"schedule.warmup until-error, {LENGTHS}",
                "schedule.warmup_factor": f"schedule.warmup until-error, {LENGTHS}",
            },
        ),
        ({"schedule.warmup": "until-error", "schedule.warmup_factor": 0.1, "schedule.warmup_steps": 0}, {}),
        ({"schedule.warmup": "constant", "schedule.warmup_factor": 0.1, "schedule.warmup_epochs": 0.5}, {}),
    ],
    ids=str,
)
def test_what_belongs_to_something_that_is_off(settings: dict[str, object], told: dict[str, str]) -> None:
    assert without_effect(parse_experiment(settings, "here")) == told


def _hints(options: object) -> Mapping[str, Any]:
    kind: Any = type(options)
    return hints(kind)


def test_every_mark_names_an_option_of_its_group_and_names_that_it_may_have() -> None:
    experiment = parse_experiment({}, "here")
    marks = [
        (getattr(experiment, group), only)
        for group in hints(Experiment)
        if dataclasses.is_dataclass(getattr(experiment, group))
        for hint in _hints(getattr(experiment, group)).values()
        for only in getattr(hint, "__metadata__", ())
        if isinstance(only, Only)
    ]
    assert len(marks) > 40
    for options, only in marks:
        hint = _hints(options)[only.option]  # it is there
        registries = [extra.registry for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, OneOf)]
        kind = bare(hint)
        known = {*(registries[0] if registries else ("true", "false") if kind is bool else get_args(kind))}
        assert set(only.names) <= known
    assert without_effect(experiment) == {}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_no_recipe_has_one(path: Path) -> None:
    for scale in ("paper", *read_toml(path).get("scales", {})):
        assert read_plan(path, scale=scale).without_effect() == []


def test_a_study_tells_of_what_no_variant_uses_and_of_a_variants_own(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(
        '[experiment]\nfreezing.t0 = 0.5\npolicy.ema_decay = 0.9\ndata.name = "digits"\n'
        '[variants.plain]\n[variants.frozen]\nfreezing.name = "freezeout"\n[variants.mixed]\n'
        "augmentation.mixup_alpha = 0.4\n"
    )
    assert read_plan(path).without_effect() == [
        "policy.ema_decay changes nothing here: it has an effect only with policy.names averaged-weights.",
        'variant "mixed": augmentation.mixup_alpha changes nothing here: it has an effect only with '
        "augmentation.names mixup.",
    ]


def test_a_warm_ups_first_factor_needs_a_warm_up_and_a_crop_of_photographs_a_stream() -> None:
    needless = {
        "schedule.warmup_factor": parse_experiment({"schedule.warmup_factor": 0.1, "schedule.warmup_steps": 0}, "here"),
        "preprocessing.epsilon": parse_experiment({"preprocessing.epsilon": 0.2}, "here"),
        "data.evaluation_crop": parse_experiment({"data.evaluation_crop": 0.7}, "here"),
    }
    for name, experiment in needless.items():
        assert [*without_effect(experiment)] == [name]
    for length in ({"schedule.warmup_steps": 5}, {"schedule.warmup_epochs": 1.0}, {"schedule.warmup": "until-error"}):
        assert without_effect(parse_experiment({"schedule.warmup_factor": 0.1} | length, "here")) == {}
    assert without_effect(parse_experiment({"preprocessing.epsilon": 0.2, "preprocessing.name": "zca"}, "here")) == {}
