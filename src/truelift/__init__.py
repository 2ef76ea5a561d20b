"""Does a training technique lift my image classifier, by more than seed noise?

The techniques can be had from here, for anybody's PyTorch loop, and verdicts for anybody's runs. They are imported when
they are asked for, because torch takes seconds to import and `truelift report` and `judge` do without it.
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

_TECHNIQUES = {
    "ActivationCache": "freezeout",
    "AdaptiveFreezing": "freezeout",
    "FeatureGaussians": "gaussian_mixture",
    "FreezeOut": "freezeout",
    "GaussianMixtureHead": "gaussian_mixture",
    "GaussianMixtureLoss": "gaussian_mixture",
    "GradientSimilarity": "gradient_similarity",
    "ShardedGaussianMixtureHead": "gaussian_mixture",
    "TaskStatistics": "gradient_similarity",
    "predicted_saving": "freezeout",
}

_REFEREE = ("Ledger",)
_JUDGING = ("Judged", "compare", "judge")

__all__ = [
    "ActivationCache",
    "AdaptiveFreezing",
    "FeatureGaussians",
    "FreezeOut",
    "GaussianMixtureHead",
    "GaussianMixtureLoss",
    "GradientSimilarity",
    "Judged",
    "Ledger",
    "ShardedGaussianMixtureHead",
    "TaskStatistics",
    "compare",
    "judge",
    "predicted_saving",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name in _JUDGING:
        return getattr(import_module("truelift.judging"), name)
    if name in _REFEREE:
        return getattr(import_module("truelift.referee"), name)
    if name not in _TECHNIQUES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"truelift.techniques.{_TECHNIQUES[name]}"), name)
