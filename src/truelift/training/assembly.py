"""From an experiment and its images to everything that the loop needs."""

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from truelift.data import (
    ImageBatches,
    Images,
    Preprocess,
    Splits,
    fit_preprocessing,
    growing_sides,
    load,
    make_batches,
    pick_task,
    rotate,
)
from truelift.errors import require
from truelift.models import Classifier, Embedded, build_model, check_image_size, initialise
from truelift.seeds import derive
from truelift.techniques.freezeout import Front
from truelift.techniques.gradient_similarity import TaskStatistics
from truelift.training.auxiliary import AuxiliaryTask
from truelift.training.cached import CachedBatches, cache_front
from truelift.training.checkpoint import Stateful, load_checkpoint, save_checkpoint
from truelift.training.distributed import ALONE, World
from truelift.training.evaluation import make_autocast
from truelift.training.exchange import Exchange
from truelift.training.experiment import Experiment, ObjectiveOptions
from truelift.training.freezing import FreezingPolicy, lengthened_epochs, make_freezing
from truelift.training.gradient_rule import GradientRule, make_rule
from truelift.training.meters import Meters
from truelift.training.mixture import make_head, make_mixture
from truelift.training.objective import Objective, Softmax
from truelift.training.optimizers import make_optimizer
from truelift.training.policy import ParameterPolicy, Schedule, UntilError, make_policies, make_schedule

# Images a step in evaluation: large enough to keep the device busy, small enough for any memory.
EVALUATION_BATCH = 512

# Pixels a step in evaluation: of large images fewer at a time.
_EVALUATION_PIXELS = 512 * 128 * 128


@dataclass
class Training:
    """The parts of a training, put together."""

    experiment: Experiment
    network: Classifier
    objective: Objective
    rule: GradientRule
    optimizer: Optimizer
    policies: list[ParameterPolicy]
    batches: ImageBatches | CachedBatches
    evaluations: dict[str, ImageBatches]
    """Validation, where there is one, and test."""
    preprocess: Preprocess
    epochs: int
    """The experiment's, or more where freezing makes them cheaper (`freezing.const_time`)."""
    freezing: Front | None
    warmup: UntilError | None
    """Where the warm-up's end depends on the training error."""
    autocast: torch.autocast
    meters: Meters
    world: World
    """The processes that share each batch."""
    exchange: Exchange | None
    """Where there are several."""

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps an epoch."""
        return self.batches.batches_per_epoch

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self.epochs * self.steps_per_epoch

    def entrance(self) -> contextlib.AbstractContextManager[None]:
        """Within it the network takes what `batches` yields: images, or what frozen layers made of them."""
        return self.batches.entrance() if isinstance(self.batches, CachedBatches) else contextlib.nullcontext()

    def shared(self) -> list[Tensor]:
        """What the processes have to agree on after a step's backward pass: gradients, and what the batch has moved."""
        parts = (self.network, self.objective)
        gradients = [p.grad for part in parts for p in part.parameters() if p.grad is not None]
        return gradients + [
            buffer
            for part in parts
            for module in part.modules()
            if module.training  # a frozen layer's running statistics stay
            for buffer in module.buffers(recurse=False)
            if buffer.is_floating_point()
        ]

    def _stateful(self) -> dict[str, Stateful]:
        # Freezing first: the optimizer's state has a place for the parameters in training only.
        parts: dict[str, Stateful] = {} if self.freezing is None else {"freezing": self.freezing}
        if isinstance(self.batches, CachedBatches):
            parts["cache"] = self.batches
        if self.warmup is not None:
            parts["warmup"] = self.warmup
        return parts | {
            "network": self.network,
            "objective": self.objective,
            "optimizer": self.optimizer,
            "rule": self.rule,
            "meters": self.meters,
        }

    def save(self, path: Path) -> None:
        """Write a checkpoint, for all processes."""
        if self.world.first:
            save_checkpoint(path, self._stateful())

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        load_checkpoint(path, self._stateful(), self.experiment.device)


def load_data(experiment: Experiment) -> Splits:
    """The images of an experiment, split by its seed.

    Raises:
        InputError: The data cannot be had (see `truelift.data.load`).
    """
    seed, tasks = derive(experiment.seed, "split"), experiment.tasks
    splits = load(experiment.data, split_seed=seed)
    main = pick_task(splits, tasks.main, seed=derive(seed, "main task"))
    if tasks.auxiliary_rotation is not None:
        return replace(main, auxiliary=rotate(main.train, tasks.auxiliary_rotation))
    if tasks.auxiliary:
        return replace(main, auxiliary=pick_task(splits, tasks.auxiliary, seed=derive(seed, "auxiliary task")).train)
    return main


def assemble(experiment: Experiment, splits: Splits, world: World = ALONE) -> Training:
    """Put a resolved experiment's parts together, with initial weights.

    Raises:
        InputError: The network is unknown, or the images do not fit it, its preprocessing or its probe; or something is
            wanted that several processes cannot do.
    """
    _check_shared(experiment, len(splits.train), world)
    seed, device = experiment.seed, experiment.device
    channels, height, width = splits.train.shape
    network = build_model(experiment.model, classes=len(splits.classes), in_channels=channels)
    check_image_size(network, height, width)
    sides = experiment.data.progressive or (height,)
    if min(sides) < height:
        check_image_size(network, min(sides), min(sides))
    classes, probed = len(splits.classes), experiment.probe.images
    require("probe.images", probed, probed is None or probed >= classes, f"at least {classes}, one a class")
    _put_head(network, experiment.objective, classes)
    initialise(network, derive(seed, "init"))
    epochs = lengthened_epochs(experiment.epochs, experiment.freezing, network, splits.train.shape)
    network.to(device)
    if experiment.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if experiment.compile:
        network.compile_features()

    preprocess = fit_preprocessing(experiment.preprocessing, splits, device)
    batches = make_batches(
        splits.train,
        experiment.batch_size,
        mean=splits.mean,
        std=splits.std,
        preprocess=preprocess,
        order_seed=derive(seed, "order"),
        augmentation=experiment.augmentation,
        augment_seed=derive(seed, "augmentation"),
        sides=growing_sides(sides, epochs),
        device=device,
        share=world.share,
    )
    objective = _make_objective(experiment.objective, batches.batches_per_epoch)
    if splits.auxiliary is not None and experiment.gradient.name != "single":
        objective = _with_auxiliary_task(objective, network, experiment, splits, splits.auxiliary, preprocess, world)
    objective.to(device)
    optimizer = make_optimizer(experiment.optimizer, [network, objective], objective.parameter_rules(network))
    steps = epochs * batches.batches_per_epoch
    # Freezing divides the optimizer's groups, so it comes before the schedules.
    freezing = make_freezing(experiment, network, optimizer, batches, steps)
    schedule: Schedule = make_schedule(experiment.schedule, batches.batches_per_epoch, steps)
    warmup = None
    if experiment.schedule.warmup == "until-error":
        options = experiment.schedule
        warmup = schedule = UntilError(
            schedule, objective, factor=options.warmup_factor, error_percent=options.warmup_error_percent
        )
    policies = make_policies(experiment, network, objective, optimizer, schedule)
    if freezing is not None:
        policies.append(FreezingPolicy(freezing))
    held_out = {"validation": splits.validation, "test": splits.test}
    evaluations = {
        name: evaluation_batches(images, splits, preprocess, device)
        for name, images in held_out.items()
        if images is not None
    }
    autocast = make_autocast(device, experiment.precision)
    return Training(
        experiment=experiment,
        network=network,
        objective=objective,
        rule=make_rule(experiment.gradient, network),
        optimizer=optimizer,
        policies=policies,
        batches=batches if freezing is None else cache_front(experiment, batches, network, freezing, autocast),
        evaluations=evaluations,
        preprocess=preprocess,
        epochs=epochs,
        freezing=freezing,
        warmup=warmup,
        autocast=autocast,
        meters=Meters(device),
        world=world,
        exchange=Exchange([*network.parameters(), *objective.parameters()]) if world.size > 1 else None,
    )


def _check_shared(experiment: Experiment, images: int, world: World) -> None:
    """Refuse what several processes cannot do, or not as one would.

    Raises:
        InputError: It is wanted.
    """
    if world.size == 1:
        return
    main, auxiliary, cache = experiment.batch_size, experiment.tasks.auxiliary_batch_size, experiment.freezing.cache
    for name, batch in (("batch_size", min(main, images)), ("tasks.auxiliary_batch_size", auxiliary or main)):
        require(name, batch, batch % world.size == 0, f"a multiple of the {world.size} processes that share it")
    require("freezing.cache", cache, cache == "none", f"none where {world.size} processes share a batch")


def evaluation_batches(images: Images, splits: Splits, preprocess: Preprocess, device: str) -> ImageBatches:
    """Each image once, in stored order and without augmentation."""
    _, height, width = images.shape
    batch_size = max(1, min(EVALUATION_BATCH, _EVALUATION_PIXELS // (height * width)))
    return make_batches(images, batch_size, mean=splits.mean, std=splits.std, preprocess=preprocess, device=device)


def _put_head(network: Classifier, options: ObjectiveOptions, classes: int) -> None:
    """Give the network the head that the objective needs."""
    size = options.feature_size or network.feature_size
    if options.name == "gaussian-mixture":
        network.head = make_head(options, size, classes)
    elif options.feature_size is not None:
        network.head = nn.Linear(size, classes)
    if options.feature_size is not None:
        network.head = Embedded(network.feature_size, size, network.head)


def _make_objective(options: ObjectiveOptions, steps_per_epoch: int) -> Objective:
    if options.name == "gaussian-mixture":
        return make_mixture(options, steps_per_epoch)
    return Softmax(options.label_smoothing)


def _with_auxiliary_task(
    main: Objective,
    network: Classifier,
    experiment: Experiment,
    splits: Splits,
    images: Images,
    preprocess: Preprocess,
    world: World,
) -> AuxiliaryTask:
    seed, tasks = experiment.seed, experiment.tasks
    head = nn.Linear(network.feature_size, int(images.labels.max()) + 1)
    initialise(head, derive(seed, "init", "auxiliary head"))
    batches = make_batches(
        images,
        tasks.auxiliary_batch_size or experiment.batch_size,
        mean=splits.mean,
        std=splits.std,
        preprocess=preprocess,
        order_seed=derive(seed, "order", "auxiliary"),
        augmentation=experiment.augmentation,
        augment_seed=derive(seed, "augmentation", "auxiliary"),
        device=experiment.device,
        share=world.share,
    )
    return AuxiliaryTask(main, head, batches, TaskStatistics(network, tasks.batch_norm))
