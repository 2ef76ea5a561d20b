"""From gradients to a step: torch's optimizers from options, in their fastest form, or a user's own."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from torch import nn
from torch.optim import Optimizer

from truelift.errors import InputError
from truelift.options import NONNEGATIVE, POSITIVE, SHARE_BELOW_ONE, Conflict, OneOf, Only, Registry
from truelift.own import call, is_import_path
from truelift.own import parameters as parameters_of
from truelift.techniques import muon
from truelift.training.objectives import ParameterRule
from truelift.training.without_compiler import without_compiler

Groups = list[dict[str, Any]]


_Sgd = without_compiler(torch.optim.SGD)
_AdamW = without_compiler(torch.optim.AdamW)
_RmsProp = without_compiler(torch.optim.RMSprop)
_Adagrad = without_compiler(torch.optim.Adagrad)
_Adadelta = without_compiler(torch.optim.Adadelta)
_Muon = without_compiler(muon.Muon)


class DecoupledSgd(_Sgd):  # type: ignore[misc, valid-type]
    """SGD whose weight decay acts on the weights directly, past gradient and momentum.

    Formula, with learning rate η, decay λ, and v the step that SGD makes of the gradient alone:
        θ ← (1 − η·λ)·θ, then θ ← θ − η·v

    Parameters without a gradient (frozen ones) do not shrink.

    Source:
        Loshchilov, Hutter, "Decoupled Weight Decay Regularization", 2019, arXiv 1711.05101, algorithm 1. Deviation: η
        is the learning rate with its schedule, as in torch's AdamW, where theirs is the schedule's factor alone.
    """

    _step_supports_amp_scaling = False  # scaled losses: a step that overflows is left out whole, with its decay

    def __init__(self, groups: Groups, **options: Any) -> None:
        super().__init__(groups, **options)
        self.__dict__.pop("_step_supports_amp_scaling", None)  # a fused kernel's own

    def step(self, closure: Any = None) -> Any:
        """Make a step."""
        assert closure is None, "the gradient is the gradient rule's"
        decays = [float(group["weight_decay"]) for group in self.param_groups]
        for group, decay in zip(self.param_groups, decays, strict=True):
            moving = [p for p in group["params"] if p.grad is not None]
            if decay and moving:
                with torch.no_grad():
                    torch._foreach_mul_(moving, 1 - float(group["lr"]) * decay)
        try:
            for group in self.param_groups:
                group["weight_decay"] = 0.0
            return super().step()
        finally:
            for group, decay in zip(self.param_groups, decays, strict=True):
                group["weight_decay"] = decay


def _fuses(groups: Groups, devices: Sequence[str] = ("cpu", "cuda", "mps")) -> bool:
    """Whether all parameters lie where torch has a fused kernel."""
    return all(p.device.type in devices for group in groups for p in group["params"])


def _sgd(options: "OptimizerOptions", groups: Groups) -> Optimizer:
    kind = DecoupledSgd if options.decoupled_weight_decay else _Sgd
    return kind(
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
    return _AdamW(groups, lr=options.lr, betas=betas, weight_decay=options.weight_decay, fused=fused)


def _rmsprop(options: "OptimizerOptions", groups: Groups) -> Optimizer:
    return _RmsProp(
        groups,
        lr=options.lr,
        alpha=options.rho,
        momentum=options.momentum,
        weight_decay=options.weight_decay,
        foreach=True,
    )


def _adagrad(options: "OptimizerOptions", groups: Groups) -> Optimizer:
    fused = _fuses(groups, ("cpu",))
    return _Adagrad(groups, lr=options.lr, weight_decay=options.weight_decay, fused=fused)


def _adadelta(options: "OptimizerOptions", groups: Groups) -> Optimizer:
    return _Adadelta(groups, lr=options.lr, rho=options.rho, weight_decay=options.weight_decay, foreach=True)


def _muon(options: "OptimizerOptions", groups: Groups) -> Optimizer:
    return _Muon(
        muon.split(groups, options.muon_lr),
        lr=options.lr,
        momentum=options.momentum,
        nesterov=options.nesterov,
        weight_decay=options.weight_decay,
        orthogonal=False,
    )


OPTIMIZERS: Registry[Callable[..., Any]] = Registry(
    "optimizer",
    {"sgd": _sgd, "muon": _muon, "adamw": _adamw, "rmsprop": _rmsprop, "adagrad": _adagrad, "adadelta": _adadelta},
)


_OFFERED = ("lr", "weight_decay")
"""What an optimizer of a user's own is given, where it takes it."""
_OURS = ("muon_lr", "momentum", "nesterov", "beta2", "rho")
"""What the optimizers of the registry alone are given."""


@dataclass(frozen=True, kw_only=True)
class OptimizerOptions:
    """From gradients to a step."""

    name: Annotated[str, OneOf(OPTIMIZERS)] = "sgd"
    """sgd, adamw, rmsprop, adagrad or adadelta: torch.optim's optimizer of that name. muon: orthogonal steps for
    convolutions' filters, SGD for the rest. Or any other one, as package.module:name or file.py:name
    (torch.optim:NAdam); it is given lr and, if it takes it, weight_decay."""

    args: dict[str, Any] = field(default_factory=dict)
    """Another optimizer's further arguments: --optimizer.args.NAME VALUE."""

    lr: Annotated[float, NONNEGATIVE] = 0.1
    """Learning rate, at least 0; the schedule multiplies it."""

    muon_lr: Annotated[float, NONNEGATIVE, Only("name", "muon")] = 0.02
    """muon: learning rate of the convolutions' filters, at least 0; lr is that of the rest. The schedule multiplies
    both."""

    momentum: Annotated[float, SHARE_BELOW_ONE, Only("name", "sgd", "muon", "rmsprop")] = 0.9
    """SGD's, Muon's and RMSprop's momentum; in [0, 1)."""

    nesterov: Annotated[bool, Only("name", "sgd", "muon")] = True
    """SGD, muon: Nesterov's momentum."""

    beta2: Annotated[float, SHARE_BELOW_ONE, Only("name", "adamw")] = 0.999
    """AdamW: decay of the second moment; in [0, 1). The first moment's is 0.9."""

    rho: Annotated[float, SHARE_BELOW_ONE, Only("name", "adadelta", "rmsprop")] = 0.9
    """Adadelta's decay, or RMSprop's (torch calls it alpha); in [0, 1)."""

    weight_decay: Annotated[float, NONNEGATIVE] = 1e-4
    """Weight decay as torch's optimizer of that name means it (AdamW, muon: decoupled; else added to the gradient)."""

    decoupled_weight_decay: bool = False
    """SGD: shrink the weights by lr·weight_decay before each step, bypassing the momentum, as AdamW does."""

    decay_norms_and_biases: bool = True
    """Whether weight decay also acts on norms and biases, as in He et al."""

    bias_lr_factor: Annotated[float, POSITIVE] = 1.0
    """Learning rate of batch norm's biases, as a multiple of the others'; above 0."""

    clip_norm: Annotated[float | None, POSITIVE] = None
    """Scale the gradient down to this norm if it is larger."""

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between these options."""
        fits = self.name not in ("sgd", "muon") or not self.nesterov or self.momentum > 0
        yield "nesterov", fits, "false where optimizer.momentum is 0"
        sgd = not self.decoupled_weight_decay or self.name == "sgd"
        yield "decoupled_weight_decay", sgd, "false for other optimizers than sgd"


def _norm_biases(modules: Iterable[nn.Module], special: set[int]) -> list[nn.Parameter]:
    """The biases of all batch norms, but for parameters that are treated otherwise anyway."""
    norms = (
        norm for module in modules for norm in module.modules() if isinstance(norm, nn.modules.batchnorm._BatchNorm)
    )
    return [norm.bias for norm in norms if norm.bias is not None and id(norm.bias) not in special]


def _refuse_what_is_not_given(options: OptimizerOptions, found: Callable[..., Any]) -> None:
    """Refuse options, other than their defaults, that do not reach a user's own optimizer.

    Raises:
        InputError: There is one, and it is not 0 for an optimizer that has nothing of that name.
    """
    takes, takes_all = parameters_of(found)
    for name in (*_OFFERED, *_OURS):
        value, default = getattr(options, name), getattr(OptimizerOptions, name)
        has = name in takes or takes_all
        reaches = name in options.args or (name in _OFFERED and name in takes)
        if reaches or value == default or (not has and not value):
            continue
        told = f"takes {name} as optimizer.args.{name} alone" if has else f"takes no {name}"
        rest = "left out" if has or name == "lr" else "0 or left out"
        raise InputError(
            f'optimizer "{options.name}" {told}: optimizer.{name} must be {rest} ({str(default).lower()} counts as '
            f"that), got {str(value).lower()}."
        )


def build(options: OptimizerOptions, modules: Iterable[nn.Module], rules: Sequence[ParameterRule] = ()) -> Optimizer:
    """The optimizer for all parameters of `modules`.

    Vectors and scalars (norms and biases) have a group of their own without weight decay where the options say so,
    batch norm's biases where they have a learning rate of their own, then the parameters of each rule, in this order.
    The fused kernels are used where torch has them for the CPU too (SGD, AdamW, Adagrad).

    Raises:
        InputError: A user's own one cannot be built, is no optimizer, or is not given what the options say.
    """
    modules = list(modules)
    parameters = [p for module in modules for p in module.parameters()]
    special = {id(p) for rule in rules for p in rule.parameters}
    faster = [] if options.bias_lr_factor == 1 else _norm_biases(modules, special)
    special |= {id(p) for p in faster}
    rest = [p for p in parameters if id(p) not in special]
    groups: Groups
    if options.decay_norms_and_biases:
        groups = [{"params": rest}]
    else:
        groups = [
            {"params": [p for p in rest if p.ndim > 1]},
            {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
        ]
    if faster:
        decay = {} if options.decay_norms_and_biases else {"weight_decay": 0.0}
        groups.append({"params": faster, "lr": options.lr * options.bias_lr_factor, **decay})
    for rule in rules:
        group: dict[str, object] = {"params": list(rule.parameters), "lr": options.lr * rule.lr_factor}
        groups.append(group if rule.decay else {**group, "weight_decay": 0.0})
    found = OPTIMIZERS.find(options.name)
    if not is_import_path(options.name):
        built: Optimizer = found(options, groups)
        return built
    _refuse_what_is_not_given(options, found)
    offered = {name: getattr(options, name) for name in _OFFERED}
    made = call("optimizer", options.name, found, options.args, params=groups, **offered)
    if not isinstance(made, Optimizer):
        raise InputError(f'optimizer "{options.name}" must give a torch.optim.Optimizer, got {type(made).__name__}.')
    if parameters_of(made.step)[0].get("closure"):
        raise InputError(
            f'optimizer "{options.name}" must step without a closure: the gradient is the gradient rule\'s.'
        )
    return made
