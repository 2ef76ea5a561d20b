"""The loop: batch, policies, losses, gradients, optimizer step.

Every draw depends on the seed and the place (epoch, batch number, step), never on what was drawn before. So going on
from a checkpoint, anywhere in an epoch, gives the weights of an undisturbed run, bit for bit on the same machine.
"""

import contextlib
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from torch.nn.utils import clip_grad_norm_

from truelift import signals
from truelift.data import Batch
from truelift.errors import DivergedError
from truelift.records import Predictions
from truelift.seeds import derive
from truelift.training.divergence import Guard, learning_rate
from truelift.training.evaluation import predict, scores
from truelift.training.graphs import Passed
from truelift.training.hardware import draw_from
from truelift.training.objectives import StepLosses, with_graphs
from truelift.training.parts import Training
from truelift.training.policies import Progress
from truelift.training.stopping import Stop

_LINES_PER_EPOCH = 10

Record = Callable[[dict[str, Any]], None]
"""Takes a line of metrics."""


def fit(
    training: Training, record: Record, checkpoint: Path, checkpoint_seconds: float, guard: Guard | None = None
) -> None:
    """Train from the meters' step to the end.

    Args:
        training: From `assemble`, with or without a checkpoint loaded.
        record: Given each line of metrics. The last epoch's evaluation is left to the caller.
        checkpoint: Where to write checkpoints; the last one is written at the end.
        checkpoint_seconds: Time between two of them, at least 0.
        guard: What looks at every step; by default the one that leaves steps out, where the experiment wants it.

    Raises:
        DivergedError: The loss, its gradient or an evaluation is infinite or not a number.
        PreemptedError: SIGTERM has come, the step is finished, and a checkpoint is written.
    """
    if guard is None and training.experiment.on_divergence == "skip-step":
        guard = Guard(training)
    with signals.deferred():
        _fit(training, record, checkpoint, checkpoint_seconds, guard)


def _fit(training: Training, record: Record, checkpoint: Path, checkpoint_seconds: float, guard: Guard | None) -> None:
    t, meters, experiment = training, training.meters, training.experiment
    # One process draws as it would alone; the others differ from it.
    noise_seed = derive(experiment.seed, "noise", *([t.world.rank] if t.world.rank else []))
    steps_per_line = max(1, t.steps_per_epoch // _LINES_PER_EPOCH)
    checkpoint_due = time.monotonic() + checkpoint_seconds
    stop = Stop(t.world)
    stops = False
    checked = not experiment.own
    t.network.train()
    if meters.evaluation_due:  # where it was stopped
        _record_evaluation(training, record, checkpoint)
    meters.start()
    for epoch in range(meters.step // t.steps_per_epoch, t.epochs):
        for batch in t.batches.epoch(epoch, start=meters.step % t.steps_per_epoch):
            if meters.step == epoch * t.steps_per_epoch:
                meters.begin_epoch()
            make_step(t, batch, derive(noise_seed, meters.step), guard)
            if meters.made and not checked:  # a user's own part may make its state in its first step
                meters.stop()
                t.check_states()
                checked = True
                meters.start()

            epoch_ends = meters.step == (epoch + 1) * t.steps_per_epoch
            if meters.line_steps and (epoch_ends or meters.line_steps >= steps_per_line):
                meters.stop()
                if t.loss_scale is not None:
                    t.loss_scale.check(meters.step)
                batch_size = len(batch.labels) * t.world.size
                line = meters.line(batch_size=batch_size, steps_per_epoch=t.steps_per_epoch, logged=t.logged())
                record(line | t.skipped())
                meters.start()
            stops = stop()
            if stops and not epoch_ends:
                meters.stop()
                _end_here(training, checkpoint)
            # At an epoch's end the evaluation comes first, so that no resumed run lacks it.
            if time.monotonic() >= checkpoint_due and not epoch_ends:
                meters.stop()
                meters.check()  # nobody wants to go on from weights that are no numbers
                t.save(checkpoint)
                checkpoint_due = time.monotonic() + checkpoint_seconds
                meters.start()

        meters.stop()
        last = epoch + 1 == t.epochs
        if last:
            for policy in t.policies:
                policy.ended()
        meters.evaluation_due = not last and (epoch + 1) % experiment.evaluate_every_epochs == 0
        if stops:
            _end_here(training, checkpoint)
        if meters.evaluation_due:
            _record_evaluation(training, record, checkpoint)
        if last or time.monotonic() >= checkpoint_due:
            t.save(checkpoint)
            checkpoint_due = time.monotonic() + checkpoint_seconds
        meters.start()
    meters.stop()
    if stop.finish():
        signals.preempt()


def make_step(training: Training, batch: Batch, step_seed: int, guard: Guard | None = None) -> None:
    """One step over a batch. Nothing in it waits for the device, but a guard and what the options say of waiting.

    Args:
        training: Whose step.
        batch: Its images and labels, on the device.
        step_seed: What policies, dropout and the like draw from.
        guard: Looks at losses and gradients before the optimizer does.
    """
    t, meters, experiment = training, training.meters, training.experiment
    draw_from(step_seed, t.device)  # for policies that draw
    progress = Progress(meters.step, t.steps_per_epoch, t.steps, meters.last_error)
    for policy in t.policies:
        policy(progress)

    again = partial(_losses, t, batch, step_seed)
    if guard is not None:
        guard.before()
    if t.graph is not None and guard is None:
        losses, error, logged = t.graph(batch, partial(_passes, t), partial(draw_from, step_seed, t.device))
    else:
        losses, error = again()
        logged = t.rule.backward(losses, again)
        losses = {name: loss.detach() for name, loss in losses.items()}
    if t.exchange is not None:
        t.exchange.finish([*losses.values(), error, *t.shared()])
    if guard is not None and not guard.passes(losses, again):
        t.optimizer.zero_grad()
        meters.leave_out()
        return
    if t.loss_scale is not None:
        logged = t.loss_scale.unscale(t.optimizer, logged)
    if experiment.optimizer.clip_norm is not None:
        everything = (*t.network.parameters(), *t.objective.parameters())  # a loss may have weights of its own
        clip_grad_norm_(everything, experiment.optimizer.clip_norm)
    overflowed = None
    if t.loss_scale is None:
        t.optimizer.step()
    else:
        overflowed = t.loss_scale.step(t.optimizer)
    t.optimizer.zero_grad()
    for policy in t.policies:
        policy.stepped()
    meters.count(losses, error, logged, learning_rate(t), overflowed)


def _end_here(training: Training, checkpoint: Path) -> NoReturn:
    training.meters.check()
    training.save(checkpoint)
    signals.preempt()  # of several processes, this may have been told by another
    raise signals.PreemptedError


def _record_evaluation(training: Training, record: Record, checkpoint: Path) -> None:
    """The evaluation between two epochs. SIGTERM ends one process's at once; of several, none leaves the others."""
    try:
        with signals.not_deferred() if training.world.size == 1 else contextlib.nullcontext():
            predictions = evaluate(training)
    except signals.PreemptedError:
        training.save(checkpoint)
        raise
    training.meters.evaluation_due = False
    record(evaluation_line(training, predictions))


def _passes(training: Training, batch: Batch) -> Passed:
    """The passes of a step that can be recorded; they draw from the seed of the moment."""
    losses, error = _forward(training, batch)
    return Passed(losses, error, training.rule.backward(losses, partial(_forward, training, batch)))


def _losses(training: Training, batch: Batch, step_seed: int) -> StepLosses:
    """The forward pass of a step, the same however often it is made."""
    draw_from(step_seed, training.device)  # for dropout and the like
    return _forward(training, batch)


def _forward(training: Training, batch: Batch) -> StepLosses:
    with training.autocast, training.entrance():
        found, error = training.objective(training.network, batch)
    losses = StepLosses(with_graphs(found), error)
    return losses if training.loss_scale is None else training.loss_scale.losses(losses)


def evaluate(training: Training) -> dict[str, Predictions]:
    """The predictions for each held-out split, of which each process makes a part."""
    network, objective, world = training.network, training.objective, training.world
    found, began = {}, time.perf_counter()
    with training.judged():
        for split, batches in training.evaluations.items():
            views = training.experiment.evaluation_views
            mine = predict(network, objective, batches, training.autocast, world.share, views)
            found[split] = type(mine).joined(world.gathered(mine))
    training.meters.evaluation_seconds += time.perf_counter() - began
    return found


def evaluation_line(training: Training, predictions: dict[str, Predictions]) -> dict[str, Any]:
    """The line of metrics for an evaluation.

    Raises:
        DivergedError: A loss is not finite.
    """
    step = training.meters.step
    line: dict[str, Any] = {"kind": "evaluation", "step": step, "epoch": step / training.steps_per_epoch}
    for split, predicted in predictions.items():
        line |= scores(predicted, split)
    for name, value in line.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise DivergedError(name.replace("_", " "), value, step)
    return line
