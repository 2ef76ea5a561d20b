"""From gradients to a step: torch's optimizers from options, in their fastest form, or a user's own."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from torch import nn
from torch.optim import Optimizer

from truelift.errors import InputError
from truelift.options import NONNEGATIVE, POSITIVE, SHARE_BELOW_ONE, Conflict, OneOf, Registry
from truelift.own import call, is_import_path
from truelift.own import parameters as parameters_of
from truelift.training.objectives import ParameterRule

Groups = list[dict[str, Any]]


def _fuses(groups: Groups, devices: Sequence[str] = ("cpu", "cuda", "mps")) -> bool:
    """Whether all parameters lie where torch has a fused kernel."""
    return all(p.device.type in devices for group in groups for p in group["params"])


def _sgd(options: "OptimizerOptions", groups: Groups) -> Optimizer:
    return torch.optim.SGD(
        groups,
        lr=options.lr,
        momentum=options.momentum,
        nesterov=options.nesterov,
        weight_decay=options.weight_decay,
        fused=_fuses(groups),
    )


def _adamw(options: "OptimizerOptions", groups: Groups) -> Optimizer:
    betas = (0.9, options.beta2)
    fused = _fuses(groups)
    return torch.optim.AdamW(groups, lr=options.lr, betas=betas, weight_decay=options.weight_decay, fused=fused)


def _rmsprop(options: "OptimizerOptions", groups: Groups) -> Optimizer:
    return torch.optim.RMSprop(
        groups,
        lr=options.lr,
        alpha=options.rho,
        momentum=options.momentum,
        weight_decay=options.weight_decay,
        foreach=True,
    )


def _adagrad(options: "OptimizerOptions", groups: Groups) -> Optimizer:
    fused = _fuses(groups, ("cpu",))
    return torch.optim.Adagrad(groups, lr=options.lr, weight_decay=options.weight_decay, fused=fused)


def _adadelta(options: "OptimizerOptions", groups: Groups) -> Optimizer:
    return torch.optim.Adadelta(groups, lr=options.lr, rho=options.rho, weight_decay=options.weight_decay, foreach=True)


OPTIMIZERS: Registry[Callable[..., Any]] = Registry(
    "optimizer",
    {"sgd": _sgd, "adamw": _adamw, "rmsprop": _rmsprop, "adagrad": _adagrad, "adadelta": _adadelta},
)


@dataclass(frozen=True, kw_only=True)
class OptimizerOptions:
    """From gradients to a step."""

    name: Annotated[str, OneOf(OPTIMIZERS)] = "sgd"
    """sgd, adamw, rmsprop, adagrad or adadelta: torch.optim's optimizer of that name. Or any other one, as
    package.module:name or file.py:name (torch.optim:NAdam); it is given lr and, where it takes it, weight_decay."""

    args: dict[str, Any] = field(default_factory=dict)
    """Another optimizer's further arguments: --optimizer.args.NAME VALUE."""

    lr: Annotated[float, NONNEGATIVE] = 0.1
    """Learning rate, at least 0; the schedule multiplies it."""

    momentum: Annotated[float, SHARE_BELOW_ONE] = 0.9
    """SGD's and RMSprop's momentum; in [0, 1)."""

    nesterov: bool = True
    """SGD: Nesterov's momentum."""

    beta2: Annotated[float, SHARE_BELOW_ONE] = 0.999
    """AdamW: decay of the second moment; in [0, 1). The first moment's is 0.9."""

    rho: Annotated[float, SHARE_BELOW_ONE] = 0.9
    """Adadelta's decay, or RMSprop's (torch calls it alpha); in [0, 1)."""

    weight_decay: Annotated[float, NONNEGATIVE] = 1e-4
    """Weight decay as torch's optimizer of that name means it (AdamW: decoupled; else added to the gradient)."""

    decay_norms_and_biases: bool = True
    """Whether weight decay also acts on norms and biases, as in He et al."""

    clip_norm: Annotated[float | None, POSITIVE] = None
    """Scale the gradient down to this norm where it is larger."""

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between these options."""
        fits = self.name != "sgd" or not self.nesterov or self.momentum > 0
        yield "nesterov", fits, "false where optimizer.momentum is 0"


def build(options: OptimizerOptions, modules: Iterable[nn.Module], rules: Sequence[ParameterRule] = ()) -> Optimizer:
    """The optimizer for all parameters of `modules`.

    Vectors and scalars (norms and biases) have a group of their own without weight decay where the options say so, and
    the parameters of each rule have theirs, in this order. The fused kernels are used where torch has them for the CPU
    too (SGD, AdamW, Adagrad).

    Raises:
        InputError: A user's own one cannot be built, or is no optimizer.
    """
    parameters = [p for module in modules for p in module.parameters()]
    special = {id(p) for rule in rules for p in rule.parameters}
    rest = [p for p in parameters if id(p) not in special]
    groups: Groups
    if options.decay_norms_and_biases:
        groups = [{"params": rest}]
    else:
        groups = [
            {"params": [p for p in rest if p.ndim > 1]},
            {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
        ]
    for rule in rules:
        group: dict[str, object] = {"params": list(rule.parameters), "lr": options.lr * rule.lr_factor}
        groups.append(group if rule.decay else {**group, "weight_decay": 0.0})
    found = OPTIMIZERS.find(options.name)
    if not is_import_path(options.name):
        built: Optimizer = found(options, groups)
        return built
    made = call(
        "optimizer", options.name, found, options.args, params=groups, lr=options.lr, weight_decay=options.weight_decay
    )
    if not isinstance(made, Optimizer):
        raise InputError(f'optimizer "{options.name}" must give a torch.optim.Optimizer, got {type(made).__name__}.')
    if parameters_of(made.step)[0].get("closure"):
        raise InputError(
            f'optimizer "{options.name}" must step without a closure: the gradient is the gradient rule\'s.'
        )
    return made
