"""A user's own loss as an objective, by import path. N images, D features, K classes.

Any of these:

    def focal(logits, labels, gamma=2.0): ...            # a function of a batch; args.gamma
    class CenterLoss(nn.Module):                         # a module: built once, its parameters are trained too
        def __init__(self, classes, feature_size, alpha=0.5): ...
        def forward(self, features, logits, labels): ... # a loss, or a dictionary of losses, the main one first
    class Mine(Objective): ...                           # truelift's own protocol

A loss is given what it names: `logits` (or `input`), `features`, `labels` (or `target`, `targets`), `images`,
`network`. One that names none of these is given logits and labels, in this order, as torch's own losses are.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from truelift.data import Batch
from truelift.errors import InputError
from truelift.models import Classifier
from truelift.own import blamed, call, parameters, refuse_unknown
from truelift.training.objectives.base import Around, Objective, StepLosses, error_percent

_KIND = "objective"
_NAMES = {
    "logits": "logits",
    "input": "logits",
    "features": "features",
    "labels": "labels",
    "target": "labels",
    "targets": "labels",
    "images": "images",
    "network": "network",
}


class OwnLoss(Objective):
    """A user's own loss over the network's logits or features.

    Args:
        path: Its import path, for messages.
        loss: Called with what it names.
        args: Further arguments of each call.
    """

    def __init__(self, path: str, loss: Callable[..., Any], args: Mapping[str, Any]) -> None:
        super().__init__()
        self.path = path
        self.loss = loss  # as a submodule, where it is a module
        self._args = dict(args)
        function = loss.forward if isinstance(loss, nn.Module) else loss
        self._takes = {name: _NAMES[name] for name in parameters(function)[0] if name in _NAMES}

    @property
    def takes_images(self) -> bool:
        """Whether the loss is given the batch's images."""
        return "images" in self._takes.values()

    def forward(self, network: Classifier, batch: Batch) -> StepLosses:
        """What the loss gives: {"own": …}, or its own dictionary."""
        wanted = set(self._takes.values())
        if "features" in wanted:
            features = network.features(batch.images)
            logits = network.head(features)
        else:
            features, logits = None, network(batch.images)
        logits = logits.float()  # the logarithm of a sum loses digits in bfloat16
        there = {
            "features": features,
            "logits": logits,
            "labels": batch.labels,
            "images": batch.images,
            "network": network,
        }
        with blamed(_KIND, self.path):
            if self._takes:
                given = {name: there[what] for name, what in self._takes.items()}
                found = self.loss(**given, **self._args)
            else:
                found = self.loss(logits, batch.labels, **self._args)
        return StepLosses(self._checked(found), error_percent(logits, batch.labels))

    def _checked(self, found: Any) -> dict[str, Tensor]:
        several = isinstance(found, Mapping)
        losses = dict(found) if several else {"own": found}
        for name, loss in losses.items():
            if not isinstance(loss, Tensor) or loss.ndim or not loss.is_floating_point():
                told = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
                told = f"{name}: {told}" if several else told
                raise InputError(
                    f'{_KIND} "{self.path}" must give a loss that is one real number, as a tensor with its graph, '
                    f"got {told}."
                )
        if not losses or not next(iter(losses.values())).requires_grad:
            raise InputError(f'{_KIND} "{self.path}" must give a loss that depends on the network, got {found}.')
        return losses


def build(path: str, found: Callable[..., Any], args: Mapping[str, Any], around: Around) -> Objective:
    """The objective that an import path names.

    Args:
        path: The import path.
        found: What it names: a loss, a class of losses, a function that builds one, or a class of objectives.
        args: The user's.
        around: What a class or function may ask for by name: classes, feature_size, image_shape, steps, …

    Raises:
        InputError: It does not take these args, raises, or gives no loss.
    """
    is_loss = not inspect.isclass(found) and any(_NAMES.get(name) == "labels" for name in parameters(found)[0])
    if is_loss:
        takes, takes_all = parameters(found)
        if not takes_all:
            refuse_unknown(_KIND, path, args, [name for name in takes if name not in _NAMES])
        return OwnLoss(path, found, args)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(around.seed)
        made = call(
            _KIND, path, found, args, **{name: value for name, value in vars(around).items() if value is not None}
        )
    if isinstance(made, Objective):
        return made
    if not callable(made):
        raise InputError(f'{_KIND} "{path}" must give a loss that can be called, got {type(made).__name__}.')
    return OwnLoss(path, made, {})
