"""torch's optimizers from options, in their fastest form."""

from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.optim import Optimizer

from truelift.training.experiment import OptimizerOptions
from truelift.training.objective import ParameterRule


def make_optimizer(
    options: OptimizerOptions, modules: Iterable[nn.Module], rules: Sequence[ParameterRule] = ()
) -> Optimizer:
    """The optimizer for all parameters of `modules`.

    Vectors and scalars (norms and biases) have a group of their own without weight decay where the options say so, and
    the parameters of each rule have theirs, in this order. The fused kernels are used where torch has them for the CPU
    too (SGD, AdamW, Adagrad).
    """
    parameters = [p for module in modules for p in module.parameters()]
    special = {id(p) for rule in rules for p in rule.parameters}
    rest = [p for p in parameters if id(p) not in special]
    groups: list[dict[str, object]]
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
    lr, decay = options.lr, options.weight_decay
    match options.name:
        case "sgd":
            return torch.optim.SGD(
                groups,
                lr=lr,
                momentum=options.momentum,
                nesterov=options.nesterov,
                weight_decay=decay,
                fused=True,
            )
        case "adamw":
            return torch.optim.AdamW(groups, lr=lr, betas=(0.9, options.beta2), weight_decay=decay, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(
                groups, lr=lr, alpha=options.rho, momentum=options.momentum, weight_decay=decay, foreach=True
            )
        case "adagrad":
            # The fused kernel is the CPU's only.
            fused = all(p.device.type == "cpu" for p in parameters)
            return torch.optim.Adagrad(groups, lr=lr, weight_decay=decay, fused=fused)
        case "adadelta":
            return torch.optim.Adadelta(groups, lr=lr, rho=options.rho, weight_decay=decay, foreach=True)
