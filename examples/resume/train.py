"""A program of one's own that goes on where it was stopped: by a killed process, a lost node, a scheduler's limit.

    truelift study examples/resume/study.toml        (half a minute)

`--out` is the run's folder. It is the same in every try, and what the program leaves there stays, but for metrics.json,
predictions.npz and features.npz. So two habits suffice: write the checkpoint whole, under another name first, and look
for it at the beginning. All that the rest depends on is in it: here the weights, the epoch, and the generator of the
order of images; with another optimizer its state too.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits


def main() -> None:
    """Train a linear classifier of handwritten digits."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=20)
    given = parser.parse_args()

    digits = load_digits()
    images = torch.tensor(digits.data / 16, dtype=torch.float32)
    labels = torch.tensor(digits.target)
    train, test = slice(0, 1200), slice(1200, None)
    generator = torch.Generator().manual_seed(given.seed)
    weights = 0.01 * torch.randn(64, 10, generator=generator)
    begun = 0

    checkpoint = given.out / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        begun, weights = saved["epochs"], saved["weights"]
        generator.set_state(saved["generator"])
        print(f"going on after epoch {begun}", flush=True)

    weights.requires_grad_()
    for epoch in range(begun, given.epochs):
        for batch in torch.randperm(1200, generator=generator).split(50):
            loss = torch.nn.functional.cross_entropy(images[train][batch] @ weights, labels[train][batch])
            (gradient,) = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                weights -= given.lr * gradient
        save(
            checkpoint,
            {"epochs": epoch + 1, "weights": weights.detach().clone(), "generator": generator.get_state()},
        )

    with torch.no_grad():
        accuracy = 100 * ((images[test] @ weights).argmax(1) == labels[test]).float().mean().item()
    (given.out / "metrics.json").write_text(json.dumps({"accuracy": accuracy}))


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a file whole: whoever is killed in the middle leaves the one before."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


if __name__ == "__main__":
    main()
