"""timm's own training script as a program of a study, with FreezeOut where it is asked for.

    python examples/timm/run.py --seed 0 --out FOLDER [--freezeout 0.8 --steps 400] [timm's own arguments]

It needs timm and torchvision, and timm's train.py in the folder where it is started:
https://github.com/huggingface/pytorch-image-models. A run that was ended goes on from its last epoch.
"""

import argparse
import csv
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import timm.optim
import torch
from torch import nn

from truelift import FreezeOut
from truelift.integrations import save_with, step_before_forward


def freeze_out(t0: float, steps: int, pixels: int) -> None:
    """Have the optimizer that train.py asks timm for freeze its network's layers."""
    make = timm.optim.create_optimizer_v2

    def create(network: nn.Module, **options: Any) -> torch.optim.Optimizer:
        optimizer = make(network, **options)
        freezeout = FreezeOut(network, optimizer, steps=steps, t0=t0, example=torch.zeros(2, 3, pixels, pixels))
        step_before_forward(freezeout, network)
        return save_with(optimizer, freezing=freezeout)

    timm.optim.create_optimizer_v2 = create


def main() -> None:
    """Train, and leave the last epoch's numbers where a study finds them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--freezeout", type=float, help="t0: where the first layer freezes, before it is cubed")
    parser.add_argument("--steps", type=int, help="of the optimizer in the whole training")
    parser.add_argument("--img-size", type=int, default=224)
    given, theirs = parser.parse_known_args()
    if given.freezeout is not None:
        freeze_out(given.freezeout, given.steps, given.img_size)
    folder = given.out / "timm"
    checkpoint = folder / "last.pth.tar"
    resumed = ["--resume", str(checkpoint)] if checkpoint.exists() else []
    ours = ["--seed", str(given.seed), "--output", str(given.out), "--experiment", "timm"]
    sys.argv = ["train.py", *theirs, "--img-size", str(given.img_size), *ours, *resumed]
    runpy.run_path("train.py", run_name="__main__")
    with (folder / "summary.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    metrics = {"test_accuracy": float(last["eval_top1"]), "test_loss": float(last["eval_loss"])}
    (given.out / "metrics.json").write_text(json.dumps(metrics))


if __name__ == "__main__":
    main()
