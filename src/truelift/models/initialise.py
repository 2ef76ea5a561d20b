"""Weights drawn module by module, each from a seed derived by the module's name."""

import torch
from torch import nn

from truelift.models.classifier import Classifier
from truelift.models.partly_identity import PartlyIdentity
from truelift.seeds import derive


def initialise(network: nn.Module, seed: int) -> None:
    """Draw every weight anew, in place: convolutions and linear layers as He et al. (2015), norms to 1 and 0.

    A module's weights depend on the seed, the module's name and its shape only. So two variants of a network start
    from the same weights wherever they have the same layers, also where one of them has layers that the other lacks.

    Convolution: normal, standard deviation √(2 / (k²·channels out)), arXiv 1502.01852. Linear: normal, √(1 / inputs),
    bias 0: the logits start at about the size of the features, and no ReLU follows. Others by `reset_parameters`.

    Args:
        network: Its modules must be the standard ones of torch.nn, or have `reset_parameters`. Those of a `Classifier`
            that are `kept` (a user's own network's, and weights that were read from a file) stay as they are.
        seed: Any integer.
    """
    kept = network.kept if isinstance(network, Classifier) else frozenset()
    for name, module in network.named_modules():
        if module in kept or not list(module.parameters(recurse=False)):
            continue
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive(seed, name))  # it alone is drawn from, and kept
            if isinstance(module, nn.Conv2d) and not isinstance(module, PartlyIdentity):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
                nn.init.zeros_(module.bias)
            else:
                module.reset_parameters()
