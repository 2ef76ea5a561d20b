"""Weights in and out, as safetensors files: names, shapes and numbers, and no code."""

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from truelift.errors import InputError, one_line


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the network's parameters and buffers to a safetensors file, under a temporary name until it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # The format has no channels-last layout; whoever reads the file restores it.
        save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, temporary)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def load_weights(network: nn.Module, path: Path) -> None:
    """Read a network's parameters and buffers, in place, from a file that `save_weights` wrote.

    Raises:
        InputError: The file is missing or no safetensors file, or does not fit the network.
    """
    copy_by_name(network, read_tensors(path), str, str(path))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a state dict that torch.save wrote (.pt, .pth, .bin), by name.

    Raises:
        InputError: The file is missing, or cannot be read as such.
    """
    try:
        if path.suffix not in (".pt", ".pth", ".bin"):
            return load_file(path)
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"there is no file of weights {path}") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} cannot be read as safetensors: {error}") from None
    except Exception as error:  # torch.load raises all kinds for a damaged file, or one that holds more than tensors
        raise InputError(f"{path} cannot be read as a state dict: {one_line(error)[:200]}") from None
    if not isinstance(tensors, Mapping) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise InputError(f"{path} must hold a state dict, tensors by name")
    return dict(tensors)


def copy_trained(
    network: nn.Module,
    head: nn.Module | None,
    tensors: Mapping[str, Tensor],
    given_name: Callable[[str], str],
    source: str,
) -> bool:
    """Copy tensors by name, all but those of a head of another kind or shape; whether the head was copied too.

    Raises:
        InputError: Another tensor does not fit; the network is as before.
    """
    own = network.state_dict(keep_vars=True)
    of_head = set() if head is None else {id(tensor) for tensor in (*head.parameters(), *head.buffers())}
    names = {given_name(name): tensor for name, tensor in own.items() if id(tensor) in of_head}
    differs = any(name in tensors and tensors[name].shape != tensor.shape for name, tensor in names.items())
    # Of a head of another kind, such as an objective's own, further tensors have names that begin as this one's.
    known = {given_name(name) for name in own}
    beginnings = tuple({f"{name.rpartition('.')[0]}." for name in names} - {"."})
    others = {name for name in tensors if name.startswith(beginnings) and name not in known}
    differs = differs or bool(others)
    if differs:
        tensors = {name: tensor for name, tensor in tensors.items() if name not in others}
        tensors = {**tensors, **{name: tensor.detach() for name, tensor in names.items()}}
    copy_by_name(network, tensors, given_name, source)
    return not differs


def copy_by_name(
    network: nn.Module, tensors: Mapping[str, Tensor], given_name: Callable[[str], str], source: str
) -> None:
    """Copy `tensors` into the network, in place, once every one of them is known to fit.

    Batch norm's counters (`num_batches_tracked`), which older files lack, may be missing or left over.

    Args:
        network: Its own device, dtype and memory layout are kept.
        tensors: What to copy.
        given_name: From a tensor's name in the network to its name in `tensors`.
        source: Where the tensors come from, for the error.

    Raises:
        InputError: A tensor is left over or has another shape, or one is missing; the network is as before.
    """
    own = {given_name(name): tensor for name, tensor in network.state_dict().items()}
    for name, tensor in tensors.items():
        if name in own:
            if tensor.shape != own[name].shape:
                shapes = f"{tuple(tensor.shape)}, the network's {tuple(own[name].shape)}"
                raise InputError(f'{source} does not fit the network: the shape of "{name}" is {shapes}')
        elif not _is_counter(name):
            raise InputError(f'{source} does not fit the network: it has "{name}", which the network lacks')
    for name in own:
        if name not in tensors and not _is_counter(name):
            raise InputError(f'{source} does not fit the network: it lacks "{name}"')
    with torch.no_grad():
        for name, tensor in own.items():
            if name in tensors:
                tensor.copy_(tensors[name])


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")
