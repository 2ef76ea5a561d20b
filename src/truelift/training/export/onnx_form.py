"""ONNX: the whole network with its preprocessing, for ONNX Runtime and others."""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Mapping
from typing import Any

import onnx
import onnxruntime
import onnxscript  # noqa: F401  torch's exporter needs it, and says so late
import torch
from torch import Tensor

from truelift.errors import InputError, one_line
from truelift.training.export.check import Reader
from truelift.training.export.network import Exportable
from truelift.training.trained import Trained

ENDING = ".onnx"


def content(network: Exportable, trained: Trained, told: Mapping[str, Any]) -> bytes:
    """The file's bytes, with the description among its metadata.

    Raises:
        InputError: torch cannot write the network as ONNX.
    """
    example = torch.zeros(2, *trained.inputs.shape, dtype=torch.uint8)
    try:
        with _quiet():
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                input_names=["images"],
                output_names=[output["name"] for output in told["outputs"]],
                dynamic_shapes={"images": {0: torch.export.Dim("images", min=1)}},
                verbose=False,
            )
    except Exception as error:  # whatever the exporter meets in a network
        raise InputError(f"the network cannot be written as ONNX: {one_line(error)}") from None
    assert program is not None, "it is given back where no file is named"
    model = program.model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = "truelift", json.dumps(told)
    onnx.checker.check_model(model)
    found: bytes = model.SerializeToString()
    return found


def reader(content: bytes, trained: Trained) -> Reader:
    """ONNX Runtime on the CPU."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def read(images: Tensor) -> list[Tensor]:
        return [torch.from_numpy(output) for output in session.run(None, {"images": images.numpy()})]

    return read


@contextlib.contextmanager
def _quiet() -> Any:
    """Without what the exporter prints and warns of on its way: the check at the end is what counts."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
