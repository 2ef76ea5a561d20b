"""Which shared parameters have a cosine in common: the groups, and their names."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from truelift.errors import InputError, require

Granularity = Literal["global", "layer", "tensor"]
Measured = Literal["all", "convolutions"] | Sequence[Tensor]
Name = str | Tensor
"""A group's: its module's or its parameter's in the network; the parameter itself where it has none."""


class Groups:
    """The groups that parameters are in.

    Args:
        granularity: As for `GradientSimilarity`, and so are the others.
        measured: Where not all, all have one cosine.
        network: Names modules and parameters.
    """

    def __init__(self, granularity: Granularity, measured: Measured, network: nn.Module | None) -> None:
        self.granularity = granularity
        self.measured = measured
        self._network = network
        self._learn()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._learn()

    def _learn(self) -> None:
        """Learn where the network has its parameters, by their identities, which are others in a copy."""
        network = self._network or nn.Module()
        modules = network.named_modules()
        self._modules: dict[int, str] = {
            id(p): name for name, module in modules for p in module.parameters(recurse=False)
        }
        self._names: dict[int, str] = {id(p): name for name, p in network.named_parameters()}
        self.places = {key: number for number, key in enumerate(self._names)}
        """The number of each of the network's parameters, by its identity."""
        self._given = set() if isinstance(self.measured, str) else {id(p) for p in self.measured}

    def of(self, shared: Sequence[Tensor], *, every: bool = False) -> list[int]:
        """The group of each shared parameter; −1 for one that is not measured, unless `every` is asked for.

        Raises:
            InputError: None is measured, or the network has not got one.
        """
        if self.granularity != "global":
            numbers = {name: number for number, name in enumerate(self.named(shared))}
            return [numbers[self._name(p)] for p in shared]
        groups = [0 if every or self._is_measured(p) else -1 for p in shared]
        if shared and 0 not in groups:
            raise InputError(
                f"measured must be among the shared parameters that train, got none of the {len(shared)} there are: "
                'where they are frozen take measured "all", or as many losses as were measured before.'
            )
        return groups

    def named(self, shared: Sequence[Tensor]) -> list[Name]:
        """The groups' names, in the order of their numbers."""
        return list(dict.fromkeys(self._name(p) for p in shared))

    def among(self, shared: Sequence[Tensor]) -> bool:
        """Whether one of these enters the cosine: layers that freeze may take all that did with them."""
        return any(map(self._is_measured, shared))

    def _name(self, parameter: Tensor) -> Name:
        if self.granularity == "global":
            return ""
        if self.granularity == "tensor":
            return self._names.get(id(parameter), parameter)
        require(
            "network",
            f"one without one of shape {tuple(parameter.shape)}",
            id(parameter) in self._modules,
            "that of the shared parameters for granularity layer",
        )
        return self._modules[id(parameter)]

    def _is_measured(self, parameter: Tensor) -> bool:
        if isinstance(self.measured, str):
            return self.measured == "all" or parameter.ndim >= 3  # a convolution's
        return id(parameter) in self._given


def rows_of(groups: Sequence[Name], known: Mapping[Name, Tensor], like: Tensor) -> Tensor:
    """What is known of each group, in rows as those of `like`; NaN for a group of which nothing of that length is.

    Args:
        groups: Their names.
        known: (A,) by name.
        like: (G, A).
    """
    new = torch.full_like(like[0], torch.nan)
    rows = [known.get(name, new) for name in groups]
    return torch.stack([row.to(like) if row.shape == new.shape else new for row in rows])
