"""One layer of a network."""

from collections.abc import Iterable

from torch import Tensor, nn


class Layer(list[nn.Module]):
    """Modules that freeze together, and the parameters that freeze with them.

    The parameters are those of the modules without what a later layer has too, and any that belong to no module of a
    layer, such as a class token.
    """

    parameters: list[Tensor]

    def __init__(self, modules: Iterable[nn.Module] = (), parameters: Iterable[Tensor] = ()) -> None:
        super().__init__(modules)
        self.parameters = list(parameters)


def holds_parameters(module: nn.Module) -> bool:
    """Whether a module has any."""
    return any(True for _ in module.parameters())
