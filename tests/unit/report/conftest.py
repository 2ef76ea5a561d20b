"""A study's folder made by code, with every sort of run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from truelift.records import Features, Predictions, Study, write_json
from truelift.report import summarise, write_forms

ACCURACY = {
    "base": [90.0, 91.0, 92.0, 91.0, 90.0],
    "better": [92.1, 93.0, 94.1, 92.9, 92.0],
    "a_b": [90.0, 91.2, 91.9, 91.1, 89.9],
}


def make_study(folder: Path, accuracy: Mapping[str, Sequence[float | None]], seeds: int, **plan: Any) -> Path:
    """`None` for a failed run."""
    runs = []
    rng = np.random.default_rng(0)
    for variant, values in accuracy.items():
        for seed, value in list(enumerate(values))[:seeds]:
            path = folder / "runs" / variant / f"seed-{seed}-00000000"
            runs.append({"variant": variant, "seed": seed, "folder": str(path.relative_to(folder))})
            path.mkdir(parents=True)
            if value is None:
                write_json(path / "failure.json", {"reason": "it <broke> & stopped"})
                continue
            with (path / "metrics.jsonl").open("w") as file:
                for step in range(1, 401):
                    line = {"kind": "train", "step": step, "train_loss": 2 / step + 0.01 * rng.random()}
                    file.write(json.dumps(line) + "\n")
                for step in (200, 400):
                    file.write(json.dumps({"kind": "evaluation", "step": step, "test_error": 100 - value}) + "\n")
            labels = np.arange(1000) % 10
            predicted = np.where(np.arange(1000) < round(10 * value), labels, (labels + 1) % 10)
            Predictions(labels, predicted, np.full(1000, 0.5, np.float32)).write(path / "predictions.npz")
            write_json(path / "environment.json", {"torch": "2", "commit": "abc", "started": str(seed)})
            metrics = {"test_accuracy": value, "test_error": 100 - value, "train_seconds": 10.0 + seed}
            write_json(path / "result.json", {"metrics": metrics})
    settings = {name: {"settings": {"x": "<&>"} if name != "base" else {}, "command": None} for name in accuracy}
    content = {
        "name": "made",
        "question": "Is <b>this</b> & that 100 % _better_?",
        "metric": "test_accuracy",
        "unit": "points",
        "higher_is_better": True,
        "relative": False,
        "smallest_effect": 0.5,
        "baseline": "base",
        "seeds": list(range(seeds)),
        "variants": settings,
        "shared": {"epochs": 3},
        "runs": runs,
        "repeat": "truelift study made.toml",
        "created": "2026-01-01T00:00:00+00:00",
    }
    write_json(folder / "study.json", {**content, **plan})
    return folder


def write_report(folder: Path) -> list[Path]:
    """The forms from the records alone, as `truelift report` writes them; report-runs.csv beside them tells less."""
    *forms, runs = write_forms(summarise(Study.read(folder)))
    assert runs.name == "report-runs.csv"
    return forms


CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck & <van>")


def add_features(run: Path, *, gaussians: bool, a_class: int = 400, classes: tuple[str, ...] = CLASSES) -> Features:
    """Write features.npz into a run's folder: classes around a circle, with their Gaussians or without."""
    rng = np.random.default_rng(1)
    count = len(classes)
    angle = 2 * np.pi * np.arange(count) / count
    means = 8 * np.stack([np.cos(angle), np.sin(angle)], 1)
    labels = np.arange(count * a_class) % count
    noise = rng.normal(size=(len(labels), 2)) * (1.2, 0.8)
    points = means[labels] + noise if gaussians else means[labels] * rng.gamma(4, 0.25, (len(labels), 1)) + 0.5 * noise
    of_gaussians = [means, np.full((count, 2), (1.44, 0.64))] if gaussians else [np.zeros((0, 2)), np.zeros((0, 2))]
    arrays = [array.astype(np.float32) for array in (points, *of_gaussians)]
    features = Features(arrays[0], labels, arrays[1], arrays[2], classes)
    features.write(run / "features.npz")
    return features


@pytest.fixture
def study(tmp_path: Path) -> Path:
    failed: dict[str, Sequence[float | None]] = {**ACCURACY, "broken": [None] * 5}
    return make_study(tmp_path / "made", failed, 5)
