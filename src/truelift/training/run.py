"""One run in its folder: begin or go on, train, evaluate, and write the result last."""

import json
import math
from pathlib import Path
from typing import Any

import tomli_w
import torch

from truelift.data import Splits
from truelift.errors import InputError
from truelift.records import locked, read_json, read_lines, write_json, write_text
from truelift.training.assembly import Training, assemble, load_data
from truelift.training.detection import detect, load_outliers
from truelift.training.distributed import ALONE, World
from truelift.training.environment import describe, now
from truelift.training.evaluation import scores
from truelift.training.experiment import Experiment, fingerprint, to_dict
from truelift.training.features import planar_features
from truelift.training.hardware import keep_pages
from truelift.training.loop import evaluate, evaluation_line, fit
from truelift.training.operations import counted
from truelift.training.parsing import flatten, parse_experiment, read_toml
from truelift.training.probe import apply_probe
from truelift.training.progress import Reporter


def run(
    experiment: Experiment,
    folder: Path,
    *,
    reporter: Reporter,
    checkpoint_seconds: float = 30.0,
    world: World = ALONE,
) -> dict[str, Any]:
    """Run a resolved experiment in `folder`, or go on with it, and return the content of result.json.

    Of several processes the first writes all that is written, and the others return nothing of a training they made.

    Args:
        experiment: From `resolve`.
        folder: New, or with an earlier beginning of the same experiment. A finished one is not repeated.
        reporter: Told of every line of metrics.
        checkpoint_seconds: Time between checkpoints, at least 0; 0 is one a step.
        world: The processes that train together; each of them makes this call.

    Raises:
        InputError: The data cannot be had, the network does not fit it, the folder holds another experiment or is in
            use. Nothing is written then.
        DivergedError: The loss is infinite or not a number.
    """
    if not checkpoint_seconds >= 0:
        raise InputError(f"checkpoint_seconds must be at least 0, got {checkpoint_seconds}.")
    _refuse_other(folder, experiment)
    if (folder / "result.json").exists():
        return dict(read_json(folder / "result.json"))
    keep_pages()
    splits = load_data(experiment)
    outliers = load_outliers(experiment, splits)
    training = assemble(experiment, splits, world)
    if not world.first:
        _follow(training, folder / "checkpoint.pt")
        return {}
    with locked(folder):
        _begin(folder, training)
        with (folder / "metrics.jsonl").open("a") as metrics:

            def record(line: dict[str, Any]) -> None:
                metrics.write(json.dumps(line, allow_nan=False) + "\n")
                metrics.flush()
                reporter(line, training.steps)

            fit(training, record, folder / "checkpoint.pt", checkpoint_seconds)
            predictions = evaluate(training)
            record(evaluation_line(training, predictions))
        predictions, beside = apply_probe(training, splits, predictions)
        predictions["test"].write(folder / "predictions.npz")
        if (features := planar_features(training, splits)) is not None:
            features.write(folder / "features.npz")
        metrics_by_name = {k: v for split, p in predictions.items() for k, v in scores(p, split).items()}
        metrics_by_name |= beside | detect(training, splits, outliers)
        result = _result(training, splits, metrics_by_name)
        write_json(folder / "result.json", result)
    return result


def _follow(training: Training, checkpoint: Path) -> None:
    """Train beside the process that writes."""
    if checkpoint.exists():
        training.load(checkpoint)
    fit(training, lambda line: None, checkpoint, math.inf)
    evaluate(training)


def read_config(folder: Path) -> Experiment:
    """The experiment that a run's folder is for."""
    path = folder / "config.toml"
    return parse_experiment(flatten(read_toml(path)), str(path))


def write_config(folder: Path, experiment: Experiment) -> None:
    """Write config.toml, from which `read_config` gives the same experiment."""
    write_text(folder / "config.toml", tomli_w.dumps(to_dict(experiment)))


def _refuse_other(folder: Path, experiment: Experiment) -> None:
    if not (folder / "config.toml").exists():
        return
    before, wanted = flatten(to_dict(read_config(folder))), flatten(to_dict(experiment))
    for name in sorted(before.keys() | wanted.keys()):
        if before.get(name) != wanted.get(name):
            raise InputError(
                f"{folder} holds a run with {name} {before.get(name)}, not {wanted.get(name)}: choose another --out."
            )


def _begin(folder: Path, training: Training) -> None:
    """Go on from the checkpoint where there is one, else write down what begins."""
    checkpoint, metrics = folder / "checkpoint.pt", folder / "metrics.jsonl"
    write_config(folder, training.experiment)
    environment, patch = describe(training.experiment.device, torch.get_num_threads(), training.world.size)
    write_json(folder / "environment.json", environment)
    write_text(folder / "code.patch", patch)
    kept = []
    if checkpoint.exists():
        training.load(checkpoint)
        lines = read_lines(metrics) if metrics.exists() else []
        kept = [line for line in lines if _is_before(line, training)]
    # What was recorded after the checkpoint will be made again.
    write_text(metrics, "".join(json.dumps(line) + "\n" for line in kept))


def _is_before(line: dict[str, Any], training: Training) -> bool:
    """Whether a line of metrics was written before the checkpoint, which is ahead of the last evaluation only."""
    step = training.meters.step
    return bool(line["step"] < step or (line["step"] == step and (line["kind"] == "train" or step < training.steps)))


def _result(training: Training, splits: Splits, metrics: dict[str, float]) -> dict[str, Any]:
    meters = training.meters
    images = training.steps * min(training.experiment.batch_size, len(splits.train))
    return {
        "fingerprint": fingerprint(to_dict(training.experiment)),
        "metrics": {
            **metrics,
            **{name: meters.epoch_mean(name) for name in ("train_loss", "train_error")},
            "train_seconds": meters.wall_seconds,
            "cpu_seconds": meters.cpu_seconds,
            "images_per_second": images / meters.wall_seconds,
            "parameters": sum(p.numel() for p in training.network.parameters()),
            **counted(training, splits.train.shape, images),
        },
        "steps": training.steps,
        "epochs": training.epochs,
        "frozen_layers": 0 if training.freezing is None else training.freezing.frozen,
        "classes": len(splits.classes),
        "train_images": len(splits.train),
        "test_images": len(splits.test),
        "skipped_images": splits.skipped_images,
        "finished": now(),
    }
