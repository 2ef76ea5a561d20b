"""A training's state in one file, written whole.

Randomness needs no place in it: every draw is a function of the seed and the step (see `truelift.seeds`).
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from truelift.records import whole_file


class Stateful(Protocol):
    """What a checkpoint can keep: modules, optimizers, rules, meters."""

    def state_dict(self) -> Any:
        """The state, in tensors and plain values."""
        ...

    def load_state_dict(self, state: Any) -> Any:
        """Take up what `state_dict` gave."""
        ...


def save_checkpoint(path: Path, parts: Mapping[str, Stateful]) -> None:
    """Write the state of all `parts`, whole or not at all."""
    buffer = io.BytesIO()  # torch's writer would hide a full disk's OSError
    torch.save({name: part.state_dict() for name, part in parts.items()}, buffer)
    with whole_file(path) as file:
        file.write(buffer.getbuffer())


def load_checkpoint(path: Path, parts: Mapping[str, Stateful], device: str) -> None:
    """Give all `parts` the state that `save_checkpoint` wrote."""
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
