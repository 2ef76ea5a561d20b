"""What the documentation's blocks and docstrings' examples take for granted: a network, its optimizer, some images."""

import ast
import random
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import truelift
from truelift.models.build import ModelOptions, build_model


def surroundings() -> dict[str, Any]:
    """A small network and twenty images of ten classes, under the names that the documentation uses."""
    torch.manual_seed(0)
    network = build_model(ModelOptions(name="resnet8", width=4), classes=10, in_channels=3, image_size=16)
    images, labels = torch.rand(20, 3, 16, 16), torch.arange(20) % 10
    trunk = nn.Sequential(nn.Flatten(), nn.Linear(768, 32), nn.BatchNorm1d(32), nn.ReLU())
    main_head, auxiliary_head = nn.Linear(32, 10), nn.Linear(32, 10)
    hidden = trunk(images)
    auxiliary_labels = (labels + 1) % 10
    loader = [(images[:10], labels[:10]), (images[10:], labels[10:])]
    return {
        "torch": torch, "F": F, "nn": nn, "truelift": truelift,
        "network": network, "optimizer": torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9),
        "images": images, "labels": labels, "some_images": images[:4], "new_images": images,
        "loader": loader, "batches": loader,
        "epochs": 3, "steps": 6, "step": 0, "criterion": nn.CrossEntropyLoss(), "evaluate": lambda network: 50.0,
        "backbone": nn.Sequential(nn.Flatten(), nn.Linear(768, 512)), "features": torch.randn(20, 512),
        "trunk": trunk, "main_head": main_head, "auxiliary_head": auxiliary_head, "auxiliary_images": images,
        "auxiliary_labels": auxiliary_labels, "main_loss": F.cross_entropy(main_head(hidden), labels),
        "auxiliary_loss": F.cross_entropy(auxiliary_head(hidden), auxiliary_labels),
        "propose": lambda number, best: {**best, "alpha": number / 100},
    }  # fmt: skip


def _train(seed: int, alpha: float = 0.0) -> dict[str, float]:
    return {"val_accuracy": 90 + random.Random(seed).random() + 5 * alpha}


# Only where a block asks for them and does not make them itself.
MADE: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "freezeout": lambda have: truelift.FreezeOut(have["network"], have["optimizer"], steps=6),
    "train": lambda have: _train,
}


def around(code: str, earlier: Mapping[str, Any]) -> dict[str, Any]:
    """The names that `code` may use: fresh surroundings, and what earlier blocks of its page have made beside."""
    names = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)]
    stored = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    loaded = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    have = surroundings()
    have |= {name: value for name, value in earlier.items() if name not in have and name not in MADE}
    return have | {name: make(have) for name, make in MADE.items() if name in loaded - stored}
