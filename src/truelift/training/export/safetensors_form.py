"""safetensors: the network's parameters and buffers alone, by its own names, for a program that builds the network."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from truelift.training.export.check import Reader
from truelift.training.export.network import Exportable
from truelift.training.network import build_network
from truelift.training.trained import Trained

ENDING = ".safetensors"


def content(network: Exportable, trained: Trained, told: Mapping[str, Any]) -> bytes:
    """The file's bytes, with the description among its metadata."""
    # The format knows rows of pixels only; a tensor that two names share is written twice.
    tensors = {name: tensor.contiguous().clone() for name, tensor in network.network.state_dict().items()}
    written: bytes = save(tensors, {"truelift": json.dumps(told)})
    return written


def reader(content: bytes, trained: Trained) -> Reader:
    """A network built anew, with the file's weights."""
    again = build_network(trained.experiment, trained.inputs.shape, len(trained.inputs.classes), "cpu")
    again.load_state_dict(load(content))
    again.eval()
    network = Exportable(trained)
    network.network = again
    network.eval()

    def read(images: Tensor) -> list[Tensor]:
        with torch.no_grad():
            return list(network(images))

    return read
