"""What goes into an exported network and what comes out, for whoever uses it."""

from typing import Any

from truelift import __version__
from truelift.training.identity import config
from truelift.training.trained import Trained


def description(trained: Trained, form: str) -> dict[str, Any]:
    """The content of the JSON beside an exported file (docs/after-training.md)."""
    channels, height, width = trained.inputs.shape
    name = trained.experiment.preprocessing.name
    shape = ["images", len(trained.inputs.classes)]
    wanted = "sigmoid" if trained.several else "softmax"  # what makes the run's own probabilities of them
    outputs: list[dict[str, Any]] = [{"name": "logits", "type": "float32", "shape": shape, "probabilities": wanted}]
    if trained.has_likelihood:
        outputs.append({"name": "log_likelihood", "type": "float32", "shape": ["images"]})
    whole = form != "safetensors"
    return {
        "schema": 1,
        "kind": "exported network",
        "truelift": __version__,
        "form": form,
        "classes": list(trained.inputs.classes),
        "input": {
            "name": "images",
            "type": "uint8" if whole else "float32",
            "shape": ["images", channels, height, width],
            "colours": "red, green, blue" if channels == 3 else "gray",
            "before": before(trained),
            "preprocessing": {
                "name": name,
                "within": whole,
                **_figures(trained),
            },
        },
        "outputs": outputs,
        "evaluation_views": trained.experiment.evaluation_views,
        "precision_of_the_run": trained.precision,
        "settings": config(trained.experiment)["model"],
        "run": trained.folder.name,
    }


def before(trained: Trained) -> list[str]:
    """What is done to a decoded image before it is the input, a sentence each."""
    _, height, width = trained.inputs.shape
    data = trained.experiment.data
    if data.stream:
        return [
            f"Cut out the centre square whose side is {data.evaluation_crop:g} of the shorter side.",
            f"Resize it to {height}x{width} pixels, bilinear with antialiasing.",
        ]
    if data.resize is not None:
        return [
            f"Resize the shorter side to {data.resize} pixels, bilinear with antialiasing.",
            "Cut out the centre square.",
        ]
    return [f"Nothing: images are {width}x{height} pixels (width x height)."]


def _figures(trained: Trained) -> dict[str, Any]:
    """How pixels from 0 to 255 are normalised, where some numbers say it."""
    match trained.experiment.preprocessing.name:
        case "channels":
            mean, std = list(trained.inputs.mean), list(trained.inputs.std)
            return {"formula": "(x / 255 - mean) / std", "mean": mean, "std": std}
        case "none":
            return {"formula": "x / 255"}
        case _:
            return {"formula": "figures of the training images, as the exported network computes it"}
