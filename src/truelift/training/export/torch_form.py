"""torch.export: the whole network with its preprocessing, for PyTorch without any of its Python code."""

import io
import json
import warnings
from collections.abc import Mapping
from typing import Any

import torch

from truelift.errors import InputError, one_line
from truelift.training.export.check import Reader
from truelift.training.export.network import Exportable
from truelift.training.trained import Trained

ENDING = ".pt2"


def content(network: Exportable, trained: Trained, told: Mapping[str, Any]) -> bytes:
    """The file's bytes, with the description as the extra file "truelift.json".

    Raises:
        InputError: torch cannot export the network.
    """
    example = torch.zeros(2, *trained.inputs.shape, dtype=torch.uint8)
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(
                network, (example,), dynamic_shapes={"images": {0: torch.export.Dim("images", min=1)}}
            )
            torch.export.save(program, buffer, extra_files={"truelift.json": json.dumps(told)})
    except Exception as error:  # whatever the exporter meets in a network
        raise InputError(f"the network cannot be exported by torch.export: {one_line(error)}") from None
    return buffer.getvalue()


def reader(content: bytes, trained: Trained) -> Reader:
    """The program as `torch.export.load` gives it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.export.load(io.BytesIO(content)).module()
    return lambda images: list(module(images))
