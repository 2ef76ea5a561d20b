"""A run's network for use elsewhere: a file, checked before it is put in place, and a description beside it.

To add a form: a file with its `write` and `read` functions, and its line in `FORMS`.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from truelift.errors import FailedError, InputError, known, one_line, require
from truelift.records import whole_file, write_json
from truelift.training.export.check import LARGEST_DIFFERENCE, compared
from truelift.training.export.described import description
from truelift.training.export.network import Exportable
from truelift.training.trained import Trained

# To a form's name its module, imported when it is wanted: torch's exporters take seconds.
FORMS = {"onnx": "onnx_form", "torch-export": "torch_form", "safetensors": "safetensors_form"}


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    description: Path
    """The JSON file beside it."""
    difference: float
    """The largest between the file's outputs and the network's own, over their largest magnitude (1 at least)."""
    images: int
    """On which that was looked at."""


def export(trained: Trained, form: str, path: Path | None = None) -> Exported:
    """Write a network and the description of what goes in and comes out.

    The file is read again as its reader elsewhere would, its outputs are compared with the network's own on images of
    random pixels, and only then is it put in place, whole.

    Args:
        trained: From `restore`, on the CPU.
        form: onnx, torch-export or safetensors.
        path: The file; by default model.onnx, model.pt2 or model.safetensors in the run's folder.

    Raises:
        InputError: The form is unknown, a package that it needs is not installed, the network cannot be written in it,
            or the file is a folder.
        FailedError: The file's outputs differ from the network's by more than rounding; nothing is put in place.
    """
    known("form of export", form, FORMS)
    module = _module(form)
    path = path or trained.folder / f"model{module.ENDING}"
    require("the file to be written", path, not path.is_dir(), "no folder")
    network = Exportable(trained).eval()
    told = description(trained, form)
    content = module.content(network, trained, told)
    found = compared(network, module.reader(content, trained), trained.inputs.shape)
    if found.difference > LARGEST_DIFFERENCE:
        raise FailedError(
            f"{path} is not written: its outputs differ from the network's own by {found.difference:.2g} of their "
            f"largest magnitude, more than {LARGEST_DIFFERENCE:g}."
        )
    with whole_file(path) as file:
        file.write(content)
    beside = path.with_name(f"{path.name}.json")
    write_json(beside, {**told, "checked": {"images": found.images, "largest_difference": found.difference}})
    return Exported(path, beside, found.difference, found.images)


def _module(form: str) -> ModuleType:
    try:
        return importlib.import_module(f"truelift.training.export.{FORMS[form]}")
    except ImportError as error:
        missing = error.name or one_line(error)
        raise InputError(
            f'{form} needs a package that is not installed ({missing}): pip install "truelift[export]".'
        ) from None
