"""Does a training technique lift my image classifier, by more than seed noise?

The techniques can be had from here, for anybody's PyTorch loop, and verdicts for anybody's runs. They are imported when
they are asked for, because torch takes seconds to import and `truelift report` and `judge` do without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_MODULES = {
    "ActivationCache": "techniques.freezeout",
    "AdaptiveFreezing": "techniques.freezeout",
    "FeatureGaussians": "techniques.gaussian_mixture",
    "FreezeOut": "techniques.freezeout",
    "GaussianMixtureHead": "techniques.gaussian_mixture",
    "GaussianMixtureLoss": "techniques.gaussian_mixture",
    "GradientSimilarity": "techniques.gradient_similarity",
    "Judged": "judging",
    "Ledger": "referee",
    "ShardedGaussianMixtureHead": "techniques.gaussian_mixture",
    "TaskStatistics": "techniques.gradient_similarity",
    "compare": "judging",
    "judge": "judging",
    "predicted_saving": "techniques.freezeout",
}

__all__ = list(_MODULES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if TYPE_CHECKING:  # the same names, whose types nobody could see otherwise
    from truelift.judging import Judged as Judged
    from truelift.judging.compare import compare as compare
    from truelift.judging.judge import judge as judge
    from truelift.referee import Ledger as Ledger
    from truelift.techniques.freezeout import ActivationCache as ActivationCache
    from truelift.techniques.freezeout import AdaptiveFreezing as AdaptiveFreezing
    from truelift.techniques.freezeout import FreezeOut as FreezeOut
    from truelift.techniques.freezeout import predicted_saving as predicted_saving
    from truelift.techniques.gaussian_mixture import FeatureGaussians as FeatureGaussians
    from truelift.techniques.gaussian_mixture import GaussianMixtureHead as GaussianMixtureHead
    from truelift.techniques.gaussian_mixture import GaussianMixtureLoss as GaussianMixtureLoss
    from truelift.techniques.gaussian_mixture import ShardedGaussianMixtureHead as ShardedGaussianMixtureHead
    from truelift.techniques.gradient_similarity import GradientSimilarity as GradientSimilarity
    from truelift.techniques.gradient_similarity import TaskStatistics as TaskStatistics
else:

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"truelift.{_MODULES[name]}"), name)
