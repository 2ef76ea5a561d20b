"""One run in its folder: begin or go on, train, evaluate, and write the result last."""

import json
import math
import os
import sys
from pathlib import Path
from typing import Any, get_args

import torch

from truelift.data import Splits
from truelift.errors import DivergedError, InputError, check_seconds
from truelift.models.start import weights_digest
from truelift.records import (
    MetricLines,
    clear_way,
    leased,
    now,
    read_environment,
    read_result,
    set_aside,
    told_with,
    whole_file,
    write_json,
    write_text,
)
from truelift.training import afterwards
from truelift.training.afterwards import End
from truelift.training.build import assemble, inputs_of, load_data
from truelift.training.cautions import cautions
from truelift.training.checkpoint import UnusableCheckpointError
from truelift.training.compilation import compile_now
from truelift.training.data_changes import OtherData, outliers_digest, refuse_changed_data, refuse_changed_weights
from truelift.training.distributed import ALONE, World
from truelift.training.divergence import Guard, NotFoundError
from truelift.training.environment import describe
from truelift.training.evaluation import scores
from truelift.training.experiment import Experiment
from truelift.training.hardware import Precision, keep_pages
from truelift.training.identity import differences, fingerprint, identity, write_config
from truelift.training.loop import evaluate, evaluation_line, fit
from truelift.training.own_copies import keep_sources
from truelift.training.parts import Training
from truelift.training.progress import Reporter
from truelift.training.tracking import tracking

_LINES = json.JSONEncoder(allow_nan=False)


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
    check_seconds("checkpoint_seconds", checkpoint_seconds)
    _refuse_other(folder, experiment)
    finished = _finished(folder)
    if finished is not None:
        if (told := OtherData().of(folder, experiment)) is not None:
            raise InputError(f"{folder} {told}. Give this run another --out.")
        return finished
    keep_pages()
    splits = load_data(experiment)
    after = afterwards.build(experiment.probe, experiment.detection, experiment.metrics, experiment.data, splits)
    precision, compiled = _earlier_choices(folder, experiment)
    training = assemble(experiment, splits, world, precision, compiled)
    training.check_states()  # not only when the first checkpoint is due; in all processes, so that none waits
    if world.first:
        for caution in cautions(training, splits):
            print(f"truelift: {caution}", file=sys.stderr)
    compile_now(training)
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        refuse_changed_data(folder, splits)
        refuse_changed_weights(folder, experiment.model.weights)
    if not world.first:
        training = _taken_up(training, splits, checkpoint)
        fit(training, lambda line: None, checkpoint, math.inf)
        evaluate(training)
        return {}
    with leased(folder):
        finished = _finished(folder)
        if finished is not None:  # by another process, while this one began
            return finished
        _clear(folder)
        write_config(folder, experiment)
        training = _taken_up(training, splits, checkpoint)
        begin_records(folder, training, splits)
        lines = folder / "metrics.jsonl"
        tracked = tracking(experiment, folder, training.meters.step)
        with lines.open("a", encoding="utf-8") as metrics, tracked as tracker:

            def record(line: dict[str, Any]) -> None:
                with told_with(lines):
                    metrics.write(_LINES.encode(line) + "\n")
                    metrics.flush()
                reporter(line, training.steps)
                tracker.line(line)

            try:
                fit(training, record, checkpoint, checkpoint_seconds)
            except DivergedError as error:
                raise _traced(error, training, splits, checkpoint) from error
            _end_recording(folder, training)
            predictions = evaluate(training)
            record(evaluation_line(training, predictions))
            end = End(training, splits, predictions)
            with training.judged():
                for step in after:
                    end = step(end)
            end.predictions["test"].write(folder / "predictions.npz")
            for name, file in end.files.items():
                file.write(folder / name)
            result = result_of(end)
            write_json(folder / "result.json", result)
            tracker.result(result["metrics"], training.steps)
    return result


def _finished(folder: Path) -> dict[str, Any] | None:
    """The result, where there is one that can be read."""
    try:
        return read_result(folder) if os.path.lexists(folder / "result.json") else None
    except InputError:  # it is set aside before another is written
        return None


def _clear(folder: Path) -> None:
    """Set aside a damaged result, and what else would be in the way."""
    told = clear_way(folder)
    result = folder / "result.json"
    if result.exists():
        told.append(f"{result} cannot be read. It is {set_aside(result).name} now, and is made again.")
    for line in told:
        print(f"truelift: {line}", file=sys.stderr)


def _earlier_choices(folder: Path, experiment: Experiment) -> tuple[Precision, bool | None]:
    """What an earlier beginning of the run chose by itself: the precision, or else the experiment's, and to compile."""
    if not (folder / "checkpoint.pt").exists():
        return experiment.precision, None
    try:
        there = read_environment(folder)
    except InputError:  # nobody needs it to go on
        return experiment.precision, None
    precision, compiled = there.get("precision", "auto"), there.get("compiled", False)
    if experiment.precision != "auto" or precision not in get_args(Precision):
        precision = experiment.precision
    return precision, compiled if isinstance(compiled, bool) else None


def _taken_up(training: Training, splits: Splits, checkpoint: Path) -> Training:
    """The training as the checkpoint has it, where there is one; one that is of no use is set aside."""
    if not checkpoint.exists():
        return training
    try:
        training.load(checkpoint)
    except UnusableCheckpointError as error:
        if training.world.first:
            aside = set_aside(checkpoint)
            print(f"truelift: {checkpoint} is of no use: {error}. It is {aside.name} now.", file=sys.stderr)
        # Anew, since a part of it may have taken up its state.
        return assemble(training.experiment, splits, training.world, training.precision, training.compiled)
    return training


def _traced(error: DivergedError, training: Training, splits: Splits, checkpoint: Path) -> DivergedError:
    """The error with the place where it began, found by making the steps since the last checkpoint again."""
    if error.place is not None or training.world.size > 1:  # several would have to do it together
        return error
    try:
        again = assemble(training.experiment, splits, training.world, training.precision, training.compiled)
        if checkpoint.exists():
            again.load(checkpoint)
        fit(again, lambda line: None, checkpoint, math.inf, Guard(again, until=error.step))
    except DivergedError as found:
        return found
    except (NotFoundError, UnusableCheckpointError, MemoryError, RuntimeError):
        return error  # what is known is enough
    return error


def _refuse_other(folder: Path, experiment: Experiment) -> None:
    if not (folder / "config.toml").exists():
        if (folder / "result.json").exists():
            raise InputError(f"{folder} holds the result of a run but no config.toml: choose another --out.")
        return
    for name, there, wanted in differences(folder, experiment):
        raise InputError(f"{folder} holds a run with {name} {there}, not {wanted}: choose another --out.")


def begin_records(folder: Path, training: Training, splits: Splits) -> None:
    """Write down what begins or goes on, and keep of the metrics what was before the checkpoint."""
    metrics = folder / "metrics.jsonl"
    environment, patch = describe(training.device, training.precision, torch.get_num_threads(), training.world.size)
    environment |= {"steps": training.steps, "from_step": training.meters.step}
    environment |= {"compiled": training.compiled, "compiled_why": training.compiled_why}
    if training.device.startswith("cuda"):
        environment["cuda_graphs"] = training.graph_why or True
    if splits.state is not None:
        environment["data"] = splits.state.record()
    digests = {
        "weights": weights_digest(training.experiment.model.weights),
        "outliers": outliers_digest(training.experiment.detection.outliers),
    }
    environment |= {name: digest for name, digest in digests.items() if digest is not None}
    write_json(folder / "environment.json", environment)
    write_text(folder / "code.patch", patch)
    inputs_of(splits).write(folder)
    keep_sources(folder / "own", training.experiment.own)
    lines = MetricLines(metrics) if training.meters.step and metrics.exists() else ()
    with whole_file(metrics) as file:  # line by line, since there may be millions
        for line in lines:
            if _is_before(line, training):  # what was recorded after the checkpoint will be made again
                file.write(json.dumps(line).encode() + b"\n")


def _end_recording(folder: Path, training: Training) -> None:
    """Give what a recording holds of the GPU's memory back; where recording failed, write that down."""
    graph, training.graph = training.graph, None
    if graph is not None and graph.failure is not None:
        write_json(folder / "environment.json", read_environment(folder) | {"cuda_graphs": graph.failure})


def _is_before(line: dict[str, Any], training: Training) -> bool:
    """Whether a line of metrics was written before the checkpoint, which is ahead of the last evaluation only."""
    step = training.meters.step
    here = line["step"] == step and (line.get("kind") == "train" or step < training.steps)
    return bool(line["step"] < step or here)


def result_of(end: End) -> dict[str, Any]:
    """What result.json is to hold."""
    training, splits = end.training, end.splits
    meters = training.meters
    images = training.steps * min(training.experiment.batch_size, len(splits.train))
    metrics = {k: v for split, p in end.predictions.items() for k, v in scores(p, split).items()}
    return {
        "fingerprint": fingerprint(identity(training.experiment)),
        "metrics": {
            **metrics,
            **end.metrics,
            **{name: meters.epoch_mean(name) for name in ("train_loss", "train_error")},
            "train_seconds": meters.wall_seconds,
            "cpu_seconds": meters.cpu_seconds,
            **({"compile_seconds": meters.compile_seconds} if training.compiled else {}),
            "images_per_second": images / meters.wall_seconds,
            "parameters": sum(p.numel() for p in training.network.parameters()),
        },
        "evaluation_seconds": meters.evaluation_seconds,
        "steps": training.steps,
        "epochs": training.epochs,
        "frozen_layers": 0,
        **training.skipped(),
        **{name: value for policy in training.policies for name, value in policy.result().items()},
        "classes": len(splits.classes),
        "train_images": len(splits.train),
        "test_images": len(splits.test),
        "skipped_images": splits.skipped_images,
        "finished": now(),
    }
