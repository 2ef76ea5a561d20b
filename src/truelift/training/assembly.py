"""From an experiment and its images to everything that the loop needs."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer

from truelift.data import Batches, ImageSet, Splits, load, pick_task, rotate
from truelift.models import Classifier, Embedded, build_model, check_image_size, initialise
from truelift.seeds import derive
from truelift.techniques.freezeout import FreezeOut
from truelift.techniques.gradient_similarity import TaskStatistics
from truelift.training.auxiliary import AuxiliaryTask
from truelift.training.checkpoint import Stateful, load_checkpoint, save_checkpoint
from truelift.training.evaluation import make_autocast
from truelift.training.experiment import Experiment, ObjectiveOptions
from truelift.training.freezing import FreezeOutPolicy, lengthened_epochs, make_freezeout
from truelift.training.gradient_rule import GradientRule, make_rule
from truelift.training.meters import Meters
from truelift.training.mixture import make_head, make_mixture
from truelift.training.objective import Objective, Softmax
from truelift.training.optimizers import make_optimizer
from truelift.training.policy import ParameterPolicy, make_policies

# Images a step in evaluation: large enough to keep the device busy, small enough for any memory.
EVALUATION_BATCH = 512


@dataclass
class Training:
    """The parts of a training, put together."""

    experiment: Experiment
    network: Classifier
    objective: Objective
    rule: GradientRule
    optimizer: Optimizer
    policies: list[ParameterPolicy]
    batches: Batches
    evaluations: dict[str, Batches]
    """Validation, where there is one, and test."""
    epochs: int
    """The experiment's, or more where freezing makes them cheaper (`freezing.const_time`)."""
    freezeout: FreezeOut | None
    autocast: torch.autocast
    meters: Meters

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps an epoch."""
        return self.batches.batches_per_epoch

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self.epochs * self.steps_per_epoch

    def _stateful(self) -> dict[str, Stateful]:
        # FreezeOut first: the optimizer's state has a place for the parameters in training only.
        freezing: dict[str, Stateful] = {} if self.freezeout is None else {"freezeout": self.freezeout}
        return freezing | {
            "network": self.network,
            "objective": self.objective,
            "optimizer": self.optimizer,
            "rule": self.rule,
            "meters": self.meters,
        }

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
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


def assemble(experiment: Experiment, splits: Splits) -> Training:
    """Put a resolved experiment's parts together, with initial weights.

    Raises:
        InputError: The network is unknown, or the images do not fit it.
    """
    seed, device = experiment.seed, experiment.device
    channels, height, width = splits.train.images.shape[1:]
    network = build_model(experiment.model, classes=len(splits.classes), in_channels=channels)
    check_image_size(network, height, width)
    _put_head(network, experiment.objective, len(splits.classes))
    initialise(network, derive(seed, "init"))
    epochs = lengthened_epochs(experiment.epochs, experiment.freezing, network, splits.train.images.shape[1:])
    network.to(device)
    if experiment.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if experiment.compile:
        network.compile_features()

    batches = Batches(
        splits.train,
        experiment.batch_size,
        mean=splits.mean,
        std=splits.std,
        order_seed=derive(seed, "order"),
        augmentation=experiment.augmentation,
        augment_seed=derive(seed, "augmentation"),
        device=device,
    )
    objective = _make_objective(experiment.objective, batches.batches_per_epoch)
    if splits.auxiliary is not None and experiment.gradient.name != "single":
        objective = _with_auxiliary_task(objective, network, experiment, splits, splits.auxiliary)
    objective.to(device)
    optimizer = make_optimizer(experiment.optimizer, [network, objective], objective.parameter_rules(network))
    steps = epochs * batches.batches_per_epoch
    # FreezeOut divides the optimizer's groups, so it comes before the schedules.
    freezes = experiment.freezing.name == "freezeout"
    freezeout = make_freezeout(experiment, network, optimizer, steps) if freezes else None
    policies = make_policies(experiment, network, objective, optimizer, batches.batches_per_epoch, steps)
    if freezeout is not None:
        policies.append(FreezeOutPolicy(freezeout))
    held_out = {"validation": splits.validation, "test": splits.test}
    evaluations = {
        name: Batches(images, EVALUATION_BATCH, mean=splits.mean, std=splits.std, device=device)
        for name, images in held_out.items()
        if images is not None
    }
    return Training(
        experiment=experiment,
        network=network,
        objective=objective,
        rule=make_rule(experiment.gradient, network),
        optimizer=optimizer,
        policies=policies,
        batches=batches,
        evaluations=evaluations,
        epochs=epochs,
        freezeout=freezeout,
        autocast=make_autocast(device, experiment.precision),
        meters=Meters(device),
    )


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
    main: Objective, network: Classifier, experiment: Experiment, splits: Splits, images: ImageSet
) -> AuxiliaryTask:
    seed, tasks = experiment.seed, experiment.tasks
    head = nn.Linear(network.feature_size, int(images.labels.max()) + 1)
    initialise(head, derive(seed, "init", "auxiliary head"))
    batches = Batches(
        images,
        tasks.auxiliary_batch_size or experiment.batch_size,
        mean=splits.mean,
        std=splits.std,
        order_seed=derive(seed, "order", "auxiliary"),
        augmentation=experiment.augmentation,
        augment_seed=derive(seed, "augmentation", "auxiliary"),
        device=experiment.device,
    )
    return AuxiliaryTask(main, head, batches, TaskStatistics(network, tasks.batch_norm))
