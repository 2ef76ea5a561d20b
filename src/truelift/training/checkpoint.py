"""A training's state in one file, written whole, and read only where it is the run's and undamaged.

Randomness needs no place in it: every draw is a function of the seed and the step (see `truelift.seeds`).
"""

import io
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from truelift.errors import InputError
from truelift.records import whole_file

_RUN = "run"


class Stateful(Protocol):
    """What a checkpoint can keep: modules, optimizers, rules, policies, meters."""

    def state_dict(self) -> Any:
        """The state, in tensors and plain values."""
        ...

    def load_state_dict(self, state: Any) -> Any:
        """Take up what `state_dict` gave."""
        ...


class UnusableCheckpointError(Exception):
    """A checkpoint that is damaged, or another run's; its message says which."""


def save_checkpoint(path: Path, parts: Mapping[str, Stateful], run: str) -> None:
    """Write the state of all `parts`, whole or not at all.

    Args:
        path: The file.
        parts: By name.
        run: The run's fingerprint.

    Raises:
        InputError: The state of a part would not be read again; then nothing is written.
    """
    states = {name: part.state_dict() for name, part in parts.items()}
    refuse_unreadable(states)
    buffer = io.BytesIO()  # torch's writer would hide a full disk's OSError
    torch.save({_RUN: run, **states}, buffer)
    with whole_file(path) as file:
        file.write(buffer.getbuffer())


def refuse_unreadable(states: Mapping[str, Any]) -> None:
    """Hold states to be of what a checkpoint is read with, tensors and plain values; it takes some milliseconds.

    Args:
        states: Of the parts, by name.

    Raises:
        InputError: One has something else; it names it.
    """
    for name, state in states.items():
        if _is_readable(state):
            continue
        keyed = state.items() if isinstance(state, Mapping) else [("the state", state)]
        bad = [(key, leaf) for key, value in keyed for leaf in tree_leaves(value) if not _is_readable(leaf)]
        key, kind = (bad[0][0], type(bad[0][1])) if bad else ("the state", type(state))
        raise InputError(
            f"{name} must keep its state in tensors and Python's own numbers, text, lists and dictionaries, got {key}: "
            f"{kind.__module__}.{kind.__qualname__}."
        )


def _is_readable(state: Any) -> bool:
    """Whether `weights_only` reads it, tried with the state's plain tensors left out."""
    small = tree_map(lambda leaf: None if type(leaf) in (Tensor, nn.Parameter) else leaf, state)
    buffer = io.BytesIO()
    try:
        torch.save(small, buffer)
        buffer.seek(0)
        torch.load(buffer, weights_only=True)
    except Exception:  # pickle and torch have a dozen
        return False
    return True


def load_checkpoint(path: Path, parts: Mapping[str, Stateful], runs: Collection[str], device: str) -> None:
    """Give all `parts` the state that `save_checkpoint` wrote; after an error they have to be built anew.

    Args:
        path: The file.
        parts: By name.
        runs: The fingerprints of the run: today's, and those of earlier versions.
        device: Where the state goes.

    Raises:
        UnusableCheckpointError: A byte is not what was written, it is another run's, or a part does not take it.
    """
    try:
        with zipfile.ZipFile(path) as file:  # torch itself does not look at the checksums in its files
            damaged = file.testzip()
    except Exception as error:  # zipfile has a dozen for bytes that are no zip file
        raise UnusableCheckpointError(f"it is damaged ({error})") from error
    if damaged is not None:
        raise UnusableCheckpointError("it is damaged")
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        if state.get(_RUN) not in runs:
            raise UnusableCheckpointError("it is another run's, or another version's")
        for name, part in parts.items():
            part.load_state_dict(state[name])
    except UnusableCheckpointError:
        raise
    except Exception as error:
        raise UnusableCheckpointError(f"it does not fit ({type(error).__name__})") from error
