"""From an experiment and its images to everything that the loop needs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from truelift.data import (
    ImageBatches,
    PairedBatches,
    Splits,
    build_changes,
    fit_preprocessing,
    growing_sides,
    load,
    make_batches,
    pick_task,
    rotate,
)
from truelift.errors import require
from truelift.models import Classifier, initialise
from truelift.own import is_import_path
from truelift.records import Inputs
from truelift.seeds import derive
from truelift.techniques.exchange import Exchange
from truelift.techniques.gradient_similarity import TaskStatistics
from truelift.training import gradient_rules, objectives, optimizers, policies, schedules
from truelift.training.distributed import ALONE, World
from truelift.training.evaluation import evaluation_batches, make_autocast
from truelift.training.experiment import Experiment
from truelift.training.graphs import GraphedPasses, why_not
from truelift.training.hardware import Precision, pick_device, pick_precision
from truelift.training.meters import Meters
from truelift.training.network import build_network, check_one_image, feature_size, fit_whitening, sides
from truelift.training.objectives import Around, AuxiliaryTask, Objective
from truelift.training.objectives.own import OwnLoss
from truelift.training.parts import Training
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
    several = splits.train.labels.ndim == 2
    return Inputs(splits.classes, (channels, height, width), splits.mean, splits.std, several)


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
        check_one_image(network, splits.train.shape[0], sides(experiment, splits.train.shape[1])[0], device)
    epochs = lengthened_epochs(experiment.epochs, experiment.freezing, network, splits.train.shape)
    preprocess = fit_preprocessing(experiment.preprocessing, splits, device)
    fit_whitening(network, splits, preprocess, device)
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
        sides=growing_sides(sides(experiment, splits.train.shape[1]), epochs),
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
        rule=gradient_rules.build(experiment.gradient, network),
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
    # The same in all processes: what is measured with them is in a checkpoint, which the first process writes for all.
    around = policies.Around(network, optimizer, lambda most: batches.first_share().at(0).images[:most], steps)
    # Built before the schedule, which reads the optimizer's groups: a user's own freezing may divide them.
    freezing = policies.freezing.build(experiment.freezing, around, compiled=compiled)
    schedule = schedules.build(experiment.schedule, batches.batches_per_epoch, steps)
    found: list[Policy] = [ScheduledLearningRate(optimizer, schedule)]
    if experiment.batch_norm_momentum != 0.1:
        found.append(BatchNormMomentum(network, experiment.batch_norm_momentum))
    found.append(ObjectiveStep(objective))
    if freezing is not None:
        found.append(freezing)
    if (cache := experiment.freezing.cache) != "none":
        has_images = not (isinstance(objective, OwnLoss) and objective.takes_images)
        require("freezing.cache", cache, has_images, "none where the loss takes images, which are no longer there")
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
