"""A network's layers in order: lists of modules, with the parameters that freeze with each."""

import fnmatch
from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from truelift.errors import InputError, require
from truelift.techniques.freezeout.discovery import discovered
from truelift.techniques.freezeout.layer import Layer, holds_parameters
from truelift.techniques.freezeout.trace import Example

Layers = Sequence[nn.Module | str | Sequence[nn.Module | nn.Parameter]]


def find_layers(network: nn.Module, layers: Layers | None = None, *, example: Example | None = None) -> list[Layer]:
    """The layers of `network`, from the input to the head; every parameter belongs to exactly one.

    Args:
        network: Any network.
        layers: Modules, lists of modules and parameters, or patterns of module names such as "layer1.*", in order. A
            pattern means all modules that match it and are in no other that does, as one layer each, in the network's
            order. Default: what the network's method `layers()` returns, as truelift's own networks have it; else the
            children of a `nn.Sequential` that have parameters, where there are two or more; else what one pass of
            `example` finds.
        example: What the network takes: a tensor, a tuple of arguments or a dictionary of named ones. Two images are
            enough. The layers are then the stem, each residual, dense or transformer block and the head, in the order
            of their first use. A parameter of no inner module (a class token, a position embedding) goes with the
            layer that first uses it, one that the pass does not use with the last layer. The pass changes nothing in
            the network.

    Returns:
        The layers. A parameter that several hold belongs to the last of them, with which it freezes.

    Raises:
        InputError: There are fewer than two layers, they do not hold every parameter that needs a gradient, one module
            is in two, or the network does not take the example or uses no parameter.
    """
    if layers is not None:
        kind = type(layers).__name__
        require("layers", kind, isinstance(layers, Sequence) and not isinstance(layers, str), "a list")
        return _checked(network, _given(network, layers))
    if tells_layers(network):
        return _checked(network, [[module] for module in network.layers()])  # type: ignore[operator]
    plain = getattr(network, "_orig_mod", network)  # what torch.compile has wrapped
    if isinstance(plain, nn.Sequential):
        merged = _merged([[child] for child in plain])
        if len(merged) >= 2 or example is None:
            return _checked(network, merged)
    if example is None:
        raise InputError(
            f"layers or example must be given for a {type(plain).__name__}: modules or name patterns in order from "
            f"the input, or what the network takes."
        )
    return discovered(network, example)


def tells_layers(network: nn.Module) -> bool:
    """Whether a network says itself what its layers are, by a method `layers()`."""
    own = getattr(network, "layers", None)
    return callable(own) and not isinstance(own, nn.Module)


def _checked(network: nn.Module, found: Sequence[Iterable[nn.Module | nn.Parameter]]) -> list[Layer]:
    """The layers with their parameters.

    Raises:
        InputError: As for `find_layers`.
    """
    modules = [[part for part in layer if isinstance(part, nn.Module)] for layer in found]
    if len(modules) < 2:
        raise InputError(f"layers must be at least 2, got {len(modules)}.")
    seen: dict[int, int] = {}
    for number, layer in enumerate(modules):
        for module in layer:
            for inner in module.modules():
                if seen.setdefault(id(inner), number) != number:
                    raise InputError(
                        f"layers must not repeat a module, got {type(inner).__name__} in layers {seen[id(inner)]} and "
                        f"{number}."
                    )
    owner: dict[int, int] = {}
    parameters: dict[int, Tensor] = {}
    for number, parts in enumerate(found):
        for part in parts:
            for parameter in part.parameters() if isinstance(part, nn.Module) else [part]:
                owner[id(parameter)] = number
                parameters[id(parameter)] = parameter
    missing = [name for name, p in network.named_parameters() if p.requires_grad and id(p) not in owner]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise InputError(f"layers must hold every parameter, got none with {', '.join(missing[:3])}{more}.")
    owned: list[list[Tensor]] = [[] for _ in modules]
    for key, number in owner.items():
        owned[number].append(parameters[key])
    return [Layer(parts, its) for parts, its in zip(modules, owned, strict=True)]


def _merged(children: list[list[nn.Module]]) -> list[list[nn.Module]]:
    """Children without parameters go with the one before, the first with the one after; they freeze (dropout!) too."""
    merged: list[list[nn.Module]] = []
    for child in children:
        if merged and not (any(map(holds_parameters, child)) and any(map(holds_parameters, merged[-1]))):
            merged[-1] += child
        else:
            merged.append(child)
    return merged


def _given(network: nn.Module, layers: Layers) -> list[list[nn.Module | nn.Parameter]]:
    found: list[list[nn.Module | nn.Parameter]] = []
    names = {name: module for name, module in network.named_modules() if name}
    for layer in layers:
        if isinstance(layer, nn.Module):
            found.append([layer])
        elif isinstance(layer, str):
            matching = [name for name in names if fnmatch.fnmatchcase(name, layer)]
            outer = [name for name in matching if not any(name.startswith(f"{other}.") for other in matching)]
            if not outer:
                raise InputError(f'layers: no module is named like "{layer}". Known: {", ".join(list(names)[:8])}, ….')
            found += [[names[name]] for name in outer if holds_parameters(names[name])]
        else:
            parts = list(layer) if isinstance(layer, Sequence | nn.ParameterList) else [layer]
            for part in parts:
                holds = isinstance(part, nn.Module | nn.Parameter)
                require("layers", f"one of type {type(part).__name__}", holds, "modules, parameters, names, or lists")
            found.append(parts)
    return found
