"""From an experiment and its images to everything that the loop needs."""

import contextlib
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from truelift.data import (
    ImageBatches,
    PairedBatches,
    Preprocess,
    Splits,
    build_changes,
    fit_preprocessing,
    growing_sides,
    load,
    make_batches,
    pick_task,
    rotate,
)
from truelift.errors import InputError, one_line, require
from truelift.models import Classifier, Whole, build_model, check_image_size, initialise, whitening_layers
from truelift.own import is_import_path
from truelift.records import Inputs
from truelift.seeds import derive
from truelift.techniques.exchange import Exchange
from truelift.techniques.gradient_similarity import TaskStatistics
from truelift.training import gradient_rules, objectives, optimizers, policies, schedules
from truelift.training.checkpoint import Stateful, UnusableCheckpointError, load_checkpoint, save_checkpoint
from truelift.training.distributed import ALONE, World
from truelift.training.evaluation import evaluation_batches, make_autocast
from truelift.training.experiment import Experiment
from truelift.training.gradient_rules import GradientRule
from truelift.training.graphs import GraphedPasses, why_not
from truelift.training.hardware import Precision, pick_device, pick_precision
from truelift.training.identity import fingerprint, identity
from truelift.training.meters import Meters
from truelift.training.objectives import Around, AuxiliaryTask, Objective
from truelift.training.objectives.heads import embed
from truelift.training.policies import Policy
from truelift.training.policies.base import Feed
from truelift.training.policies.batch_norm import BatchNormMomentum
from truelift.training.policies.freezing import FreezingPolicy, lengthened_epochs
from truelift.training.policies.kept_activations import KeptActivations
from truelift.training.policies.learning_rate import ScheduledLearningRate
from truelift.training.policies.objective_step import ObjectiveStep
from truelift.training.scaling import LossScale
from truelift.training.several_labels import check_labels
from truelift.training.whether_to_compile import decide

_WHITENED_IMAGES = 5000


@dataclass
class Training:
    """The parts of a training, put together."""

    experiment: Experiment
    device: str
    """Where it runs."""
    precision: Precision
    """fp32, bf16 or fp16."""
    network: Classifier
    objective: Objective
    rule: GradientRule
    optimizer: Optimizer
    policies: list[Policy]
    """In the order in which they are called."""
    batches: Feed
    evaluations: dict[str, ImageBatches]
    """Validation, where there is one, and test."""
    preprocess: Preprocess
    epochs: int
    """The experiment's, or more where freezing makes them cheaper (`freezing.const_time`)."""
    autocast: torch.autocast
    meters: Meters
    world: World
    """The processes that share each batch."""
    exchange: Exchange | None
    """Where there are several."""
    compiled: bool
    """Whether the network is compiled."""
    compiled_why: str
    """In a few words."""
    loss_scale: LossScale | None
    """In fp16."""
    graph: GraphedPasses | None
    """Where the steps' passes are recorded on a GPU."""
    graph_why: str
    """Why they are not; empty where they are."""

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps an epoch."""
        return self.batches.batches_per_epoch

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self.epochs * self.steps_per_epoch

    def entrance(self) -> contextlib.AbstractContextManager[None]:
        """Within it the network takes what `batches` yields: images, or what a policy made of them."""
        entrances = (policy.entrance() for policy in self.policies)
        return next((entrance for entrance in entrances if entrance is not None), contextlib.nullcontext())

    @contextlib.contextmanager
    def judged(self) -> Iterator[None]:
        """Within it the network is as its policies will have it evaluated."""
        with contextlib.ExitStack() as stack:
            for policy in self.policies:
                stack.enter_context(policy.judged())
            yield

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

    def skipped(self) -> dict[str, float]:
        """How many steps were left out, in a training that leaves steps out."""
        leaves_out = self.experiment.on_divergence == "skip-step" or self.loss_scale is not None
        return {"skipped_steps": self.meters.skipped} if leaves_out else {}

    @cached_property
    def run(self) -> str:
        """The run's fingerprint, which every checkpoint has."""
        return fingerprint(identity(self.experiment))

    def save(self, path: Path) -> None:
        """Write a checkpoint, for all processes."""
        if self.world.first:
            save_checkpoint(path, self._stateful(), self.run)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            UnusableCheckpointError: It is damaged, or another run's; the training has to be put together anew.
        """
        load_checkpoint(path, self._stateful(), self.run, self.device)
        if not 0 <= self.meters.step <= self.steps:
            raise UnusableCheckpointError(f"its step is {self.meters.step}, of {self.steps}")

    def _stateful(self) -> dict[str, Stateful]:
        # Policies first: the optimizer's state has a place for the parameters in training only.
        followers = {f"policy {number} {policy.name}": policy for number, policy in enumerate(self.policies)}
        scale: dict[str, Stateful] = {} if self.loss_scale is None else {"loss scale": self.loss_scale}
        return (
            followers
            | scale
            | {
                "network": self.network,
                "objective": self.objective,
                "optimizer": self.optimizer,
                "rule": self.rule,
                "meters": self.meters,
            }
        )


def load_data(experiment: Experiment) -> Splits:
    """The images of an experiment, split by its seed.

    Raises:
        InputError: The data cannot be had (see `truelift.data.load`).
    """
    seed, tasks = derive(experiment.seed, "split"), experiment.tasks
    splits = load(experiment.data, split_seed=seed)
    check_labels(experiment, splits)
    main = pick_task(splits, tasks.main, seed=derive(seed, "main task"))
    if tasks.auxiliary_rotation is not None:
        return replace(main, auxiliary=rotate(main.train, tasks.auxiliary_rotation))
    if tasks.auxiliary:
        return replace(main, auxiliary=pick_task(splits, tasks.auxiliary, seed=derive(seed, "auxiliary task")).train)
    return main


def inputs_of(splits: Splits) -> Inputs:
    """What a network that is trained on these images takes and tells."""
    channels, height, width = splits.train.shape
    return Inputs(splits.classes, (channels, height, width), splits.mean, splits.std)


def assemble(
    experiment: Experiment,
    splits: Splits,
    world: World = ALONE,
    precision: Precision | None = None,
    compiled: bool | None = None,
) -> Training:
    """Put a resolved experiment's parts together, with initial weights, for this machine.

    Args:
        experiment: From `resolve`.
        splits: Its images.
        world: The processes that share each batch.
        precision: In place of the experiment's.
        compiled: What `compile = "auto"` stood for when the run began, where it is known.

    Raises:
        InputError: The network is unknown, or the images do not fit it or its preprocessing; the device is not here;
            or something is wanted that several processes cannot do.
    """
    _check_shared(experiment, len(splits.train), world)
    seed, device = experiment.seed, pick_device(experiment.device)
    precision = pick_precision(precision or experiment.precision, device)
    autocast = make_autocast(device, precision)
    network = build_network(experiment, tuple(splits.train.shape), len(splits.classes), device)
    if min(experiment.batch_size, len(splits.train)) == world.size:
        _check_one_image(network, splits.train.shape[0], _sides(experiment, splits.train.shape[1])[0], device)
    epochs = lengthened_epochs(experiment.epochs, experiment.freezing, network, splits.train.shape)
    preprocess = fit_preprocessing(experiment.preprocessing, splits, device)
    _fit_whitening(network, splits, preprocess, device)
    of_training: dict[str, Any] = {
        "mean": splits.mean,
        "std": splits.std,
        "preprocess": preprocess,
        "augmentation": experiment.augmentation,
        "device": device,
        "share": world.share,
    }
    main = make_batches(
        splits.train,
        experiment.batch_size,
        order_seed=derive(seed, "order"),
        augment_seed=derive(seed, "augmentation"),
        sides=growing_sides(_sides(experiment, splits.train.shape[1]), epochs),
        changes=build_changes(experiment.augmentation, len(splits.classes)),
        sampling=experiment.data.sampling,
        **of_training,
    )
    steps = epochs * main.batches_per_epoch
    decision = decide(
        experiment,
        network,
        tuple(splits.train.shape),
        images=steps * min(experiment.batch_size, len(splits.train)),
        device=device,
        precision=precision,
        processes=world.size,
        earlier=compiled,
    )
    if decision.compiled:
        ours = not is_import_path(experiment.model.name)
        network.compile_features(by_layer=ours and device == "cpu")
    objective = objectives.build(
        experiment.objective,
        Around(
            classes=len(splits.classes),
            feature_size=experiment.objective.feature_size or feature_size(network),
            image_shape=tuple(splits.train.shape),
            steps_per_epoch=main.batches_per_epoch,
            steps=steps,
            device=device,
            seed=derive(seed, "objective"),
            class_counts=splits.class_counts,
        ),
    )
    batches: Feed = main
    if splits.auxiliary is not None and experiment.gradient.name != "single":
        objective, auxiliary = _auxiliary_task(objective, network, experiment, splits, of_training)
        batches = PairedBatches(main, auxiliary)
    objective.to(device)
    rules = objective.parameter_rules(network)
    optimizer = optimizers.build(experiment.optimizer, [network, objective], rules)
    followers = _policies(experiment, network, objective, optimizer, main, steps, autocast, compiled=decision.compiled)
    for policy in followers:
        batches = policy.batches(batches)
    held_out = {"validation": splits.validation, "test": splits.test}
    why_no_graph = why_not(experiment, device, precision, world.size)
    return Training(
        experiment=experiment,
        device=device,
        precision=precision,
        network=network,
        objective=objective,
        rule=gradient_rules.build(experiment.gradient, network, scaled=precision == "fp16"),
        optimizer=optimizer,
        policies=followers,
        batches=batches,
        evaluations={
            name: evaluation_batches(images, splits, preprocess, device)
            for name, images in held_out.items()
            if images is not None
        },
        preprocess=preprocess,
        epochs=epochs,
        autocast=autocast,
        meters=Meters(device, compiled=decision.compiled),
        world=world,
        exchange=Exchange([*network.parameters(), *objective.parameters()]) if world.size > 1 else None,
        compiled=decision.compiled,
        compiled_why=decision.why,
        loss_scale=LossScale(device) if precision == "fp16" else None,
        graph=GraphedPasses([network, objective], compiled=decision.compiled) if why_no_graph is None else None,
        graph_why=why_no_graph or "",
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


def _check_one_image(network: Classifier, channels: int, side: int, device: str) -> None:
    """Refuse batches of one image where a layer needs several, as batch norm does behind the last pooling.

    Raises:
        InputError: A copy of the network refuses one image.
    """
    with torch.no_grad(), torch.random.fork_rng():
        try:
            copy.deepcopy(network).train()(torch.zeros(1, channels, side, side, device=device))
        except ValueError as error:
            told = (
                f"batch_size must be 2 or more in each process, since a layer needs several images: {one_line(error)}"
            )
            raise InputError(f"{told}.") from None


def _sides(experiment: Experiment, side: int) -> tuple[int, ...]:
    """The sides of the training images, in the order of the training."""
    return experiment.data.progressive or (side,)


def build_network(experiment: Experiment, image_shape: tuple[int, ...], classes: int, device: str) -> Classifier:
    """The network with the objective's head and initial weights, on the device.

    Args:
        experiment: From `resolve`.
        image_shape: Of an image, (C, H, W).
        classes: K.
        device: Where it will be.

    Raises:
        InputError: The network is unknown, or the images do not fit it.
    """
    channels, height, width = image_shape
    options = experiment.objective
    with torch.random.fork_rng(devices=[]):  # a user's own network draws its weights by itself
        torch.manual_seed(derive(experiment.seed, "init"))
        network = build_model(experiment.model, classes=classes, in_channels=channels, image_size=(height, width))
    check_image_size(network, height, width)
    smallest = min(_sides(experiment, height))
    if smallest < height:
        check_image_size(network, smallest, smallest)
    if isinstance(network, Whole) and _needs_features(experiment):
        network.features(torch.empty(0))  # which says that there are none
    head = objectives.make_head(options, options.feature_size or feature_size(network) or 0, classes)
    embed(network, options.feature_size, head, classes)
    initialise(network, derive(experiment.seed, "init"))
    network.to(device)
    if experiment.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def _fit_whitening(network: Classifier, splits: Splits, preprocess: Preprocess, device: str) -> None:
    """Fit the layers that whiten to training images without augmentation, evenly from all of the stored order.

    Some thousands give each of the few figures to a hundredth, in about a second.
    """
    for layer in whitening_layers(network, network.kept):
        chosen = torch.linspace(0, len(splits.train) - 1, min(len(splits.train), _WHITENED_IMAGES)).round().long()
        batches = evaluation_batches(splits.train.subset(chosen), splits, preprocess, device)
        layer.fit(batch.images for batch in batches.epoch(0))


def _needs_features(experiment: Experiment) -> bool:
    """Whether anything but logits is wanted of the network."""
    embeds = objectives.needs_features(experiment.objective)
    detects = experiment.detection.outliers is not None or experiment.detection.fgsm_epsilon is not None
    return embeds or detects or experiment.probe.name != "none" or experiment.has_auxiliary_task


def feature_size(network: Classifier) -> int | None:
    """D, of what the network's head takes; None where no head can be told from the network."""
    return None if isinstance(network, Whole) else network.feature_size


def _policies(
    experiment: Experiment,
    network: Classifier,
    objective: Objective,
    optimizer: Optimizer,
    batches: ImageBatches,
    steps: int,
    autocast: torch.autocast,
    *,
    compiled: bool,
) -> list[Policy]:
    """The policies of an experiment, in the order in which they are called."""
    around = policies.Around(network, optimizer, lambda most: batches.at(0).images[:most], steps)
    # Built before the schedule, which reads the optimizer's groups: a user's own freezing may divide them.
    freezing = policies.freezing.build(experiment.freezing, around, compiled=compiled)
    schedule = schedules.build(experiment.schedule, batches.batches_per_epoch, steps)
    found: list[Policy] = [ScheduledLearningRate(optimizer, schedule)]
    if experiment.batch_norm_momentum != 0.1:
        found.append(BatchNormMomentum(network, experiment.batch_norm_momentum))
    found.append(ObjectiveStep(objective))
    if freezing is not None:
        found.append(freezing)
    if experiment.freezing.cache != "none":
        assert isinstance(freezing, FreezingPolicy), "`check` refuses a cache where nothing freezes"
        views = experiment.augmentation.views or 1
        found.append(KeptActivations(experiment.freezing, network, freezing.freezing, views, autocast))
    return found + policies.build(experiment.policy, around)


def _auxiliary_task(
    main: Objective, network: Classifier, experiment: Experiment, splits: Splits, of_training: Mapping[str, Any]
) -> tuple[AuxiliaryTask, ImageBatches]:
    """The objective of both tasks, and the batches of the second."""
    assert splits.auxiliary is not None, "there is a second task"
    seed, tasks, images = experiment.seed, experiment.tasks, splits.auxiliary
    classes = int(images.labels.max()) + 1
    head = nn.Linear(network.feature_size, classes)
    initialise(head, derive(seed, "init", "auxiliary head"))
    batches = make_batches(
        images,
        tasks.auxiliary_batch_size or experiment.batch_size,
        order_seed=derive(seed, "order", "auxiliary"),
        augment_seed=derive(seed, "augmentation", "auxiliary"),
        changes=build_changes(experiment.augmentation, classes),
        **of_training,
    )
    return AuxiliaryTask(main, head, TaskStatistics(network, tasks.batch_norm)), batches
