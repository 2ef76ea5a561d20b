"""A network's layers in order, as lists of modules that together hold every parameter."""

import fnmatch
from collections.abc import Sequence

from torch import nn

from truelift.errors import InputError

Layers = Sequence[nn.Module | str | Sequence[nn.Module]]


def find_layers(network: nn.Module, layers: Layers | None = None) -> list[list[nn.Module]]:
    """The layers of `network`, from the input to the head; each a list of modules.

    Args:
        network: Any network. Without `layers` it must be a `nn.Sequential` (its children with parameters, each a layer)
            or have a method `layers()` that returns them, as truelift's own networks do.
        layers: Modules, lists of modules, or patterns of module names such as "layer1.*", in order. A pattern means all
            modules that match it and are in no other that does, as one layer each, in the network's order.

    Raises:
        InputError: There are fewer than two layers, they do not hold every parameter that needs a gradient, or one
            module is in two.
    """
    found = _given(network, layers) if layers is not None else _own(network)
    if len(found) < 2:
        raise InputError(f"layers must be at least 2, got {len(found)}.")
    seen: dict[int, int] = {}
    for number, layer in enumerate(found):
        for module in layer:
            for inner in module.modules():
                if seen.setdefault(id(inner), number) != number:
                    raise InputError(
                        f"layers must not repeat a module, got {type(inner).__name__} in layers {seen[id(inner)]} and "
                        f"{number}."
                    )
    held = {id(p) for layer in found for module in layer for p in module.parameters()}
    missing = [name for name, p in network.named_parameters() if p.requires_grad and id(p) not in held]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise InputError(f"layers must hold every parameter, got none with {', '.join(missing[:3])}{more}.")
    return found


def _own(network: nn.Module) -> list[list[nn.Module]]:
    if isinstance(network, nn.Sequential):
        return _merged([[child] for child in network])
    own = getattr(network, "layers", None)
    if callable(own):
        return [[module] for module in own()]
    raise InputError(
        f"layers must be given for a {type(network).__name__}: modules or name patterns in order from the input."
    )


def _merged(children: list[list[nn.Module]]) -> list[list[nn.Module]]:
    """Children without parameters go with the one before, the first with the one after; they freeze (dropout!) too."""

    def holds(layer: list[nn.Module]) -> bool:
        return any(True for module in layer for _ in module.parameters())

    merged: list[list[nn.Module]] = []
    for child in children:
        if merged and not (holds(child) and holds(merged[-1])):
            merged[-1] += child
        else:
            merged.append(child)
    return merged


def _given(network: nn.Module, layers: Layers) -> list[list[nn.Module]]:
    found: list[list[nn.Module]] = []
    names = {name: module for name, module in network.named_modules() if name}
    for layer in layers:
        if isinstance(layer, nn.Module):
            found.append([layer])
        elif isinstance(layer, str):
            matching = [name for name in names if fnmatch.fnmatchcase(name, layer)]
            outer = [name for name in matching if not any(name.startswith(f"{other}.") for other in matching)]
            if not outer:
                raise InputError(f'layers: no module is named like "{layer}". Known: {", ".join(list(names)[:8])}, ….')
            found += [[names[name]] for name in outer if any(True for _ in names[name].parameters())]
        else:
            found.append(list(layer))
    return found
