"""`truelift export`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from truelift.cli.say import warn
from truelift.training.export import export as export_network
from truelift.training.trained import restore


def export(
    run: Annotated[Path, Parameter(name="run")],
    /,
    *,
    to: Literal["onnx", "torch-export", "safetensors"],
    out: Path | None = None,
) -> int:
    """Write a run's network for use elsewhere; its outputs are compared with the network's own first.

    Args:
        run: Folder of a finished run, such as runs/train/NAME.
        to: onnx and torch-export: the network with its preprocessing, from pixels to logits. safetensors: its weights.
        out: The file. Default: model.onnx, model.pt2 or model.safetensors in the run's folder.
    """
    trained = restore(run, device="cpu")
    found = export_network(trained, to, out)
    if trained.experiment.evaluation_views != "one":
        warn(
            f"the run was evaluated on several views of each image ({trained.experiment.evaluation_views}); the file's "
            "network sees one."
        )
    print(
        f"{found.path}: outputs as the network's own on {found.images} images, "
        f"largest difference {found.difference:.1g}"
    )
    print(f"classes and preprocessing: {found.description}")
    return 0
