"""What the package offers is seen where names are looked for: by completion, in a misspelt name's hint, by mypy."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, assert_type

import torch
from torch import nn

import truelift
from truelift.judging import Judged
from truelift.referee import Ledger
from truelift.techniques import freezeout, gaussian_mixture, gradient_similarity


def test_what_is_imported_when_it_is_asked_for_is_listed() -> None:
    assert set(truelift.__all__) <= set(dir(truelift))


if TYPE_CHECKING:  # `make lint` has mypy look at this: each name has the type it has where it is defined
    assert_type(truelift.ActivationCache, type[freezeout.ActivationCache])
    assert_type(truelift.AdaptiveFreezing, type[freezeout.AdaptiveFreezing])
    assert_type(truelift.FeatureGaussians, type[gaussian_mixture.FeatureGaussians])
    assert_type(truelift.FreezeOut, type[freezeout.FreezeOut])
    assert_type(truelift.GaussianMixtureHead, type[gaussian_mixture.GaussianMixtureHead])
    assert_type(truelift.GaussianMixtureLoss, type[gaussian_mixture.GaussianMixtureLoss])
    assert_type(truelift.GradientSimilarity, type[gradient_similarity.GradientSimilarity])
    assert_type(truelift.Judged, type[Judged])
    assert_type(truelift.Ledger, type[Ledger])
    assert_type(truelift.ShardedGaussianMixtureHead, type[gaussian_mixture.ShardedGaussianMixtureHead])
    assert_type(truelift.TaskStatistics, type[gradient_similarity.TaskStatistics])
    assert_type(truelift.compare(dict, variants={}, folder="runs"), Judged)
    assert_type(truelift.judge("runs", metric="m"), Judged)
    assert_type(truelift.predicted_saving(nn.Linear(1, 1), torch.zeros(1)), float)
    truelift.FreezeOuts  # type: ignore[attr-defined] # noqa: B018


def test_type_checkers_are_told_of_each_name_that_is_there() -> None:
    tree = ast.parse(Path(truelift.__file__).read_text())
    (checking,) = (node for node in tree.body if isinstance(node, ast.If))
    told = [
        (getattr(import_module(node.module or ""), name.name), name.asname or "")
        for node in checking.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    ]
    assert sorted(name for _, name in told) == sorted(truelift.__all__)
    assert all(found is getattr(truelift, name) for found, name in told)


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    code = "import sys, truelift; print(*(name for name in sys.modules if name.startswith(('truelift.', 'torch'))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
