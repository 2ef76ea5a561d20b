"""The typed experiment: every choice of one training, checked and resolved before anything runs.

Each group's options stand in the file of what they are for, with their ranges. Here they are put together, and here
are the rules that reach from one group into another. Units are in the names: epochs, steps (one optimizer step),
percent (of the whole training). The same quantity given in two units is refused.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from truelift.data import AugmentationOptions, DataOptions, PreprocessingOptions, resolve_augmentation, resolve_data
from truelift.errors import InputError
from truelift.models import ModelOptions, canonical, check_model
from truelift.options import OPERATIONAL, Conflict, In, OneOf, at_least, check, refuse
from truelift.trackers import TRACKERS, check_tracker
from truelift.training.afterwards import DetectionOptions, MetricsOptions, ProbeOptions
from truelift.training.evaluation import Views
from truelift.training.gradient_rules import GradientOptions
from truelift.training.hardware import Precision, check_device
from truelift.training.objectives import ObjectiveOptions
from truelift.training.optimizers import OptimizerOptions
from truelift.training.own_parts import with_sources
from truelift.training.policies import PolicyOptions
from truelift.training.policies.freezing import FreezingOptions
from truelift.training.schedules import ScheduleOptions
from truelift.training.tasks import TaskOptions

_sections = count(10)


def _section(title: str) -> Parameter:
    """The section of `--help` that a group's options stand in, in the order of the groups."""
    return Parameter(group=Group(title, sort_key=next(_sections)))


_MOMENTUM = In("in (0, 1] or dynamic", lambda value: isinstance(value, str) or 0 < value <= 1)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One training."""

    data: Annotated[DataOptions, _section("Data")] = field(default_factory=DataOptions)
    augmentation: Annotated[AugmentationOptions, _section("Augmentation")] = field(default_factory=AugmentationOptions)
    preprocessing: Annotated[PreprocessingOptions, _section("Preprocessing")] = field(
        default_factory=PreprocessingOptions
    )
    model: Annotated[ModelOptions, _section("Network")] = field(default_factory=ModelOptions)
    objective: Annotated[ObjectiveOptions, _section("Loss")] = field(default_factory=ObjectiveOptions)
    tasks: Annotated[TaskOptions, _section("Tasks")] = field(default_factory=TaskOptions)
    gradient: Annotated[GradientOptions, _section("Gradients of several losses")] = field(
        default_factory=GradientOptions
    )
    optimizer: Annotated[OptimizerOptions, _section("Optimizer")] = field(default_factory=OptimizerOptions)
    schedule: Annotated[ScheduleOptions, _section("Learning rate")] = field(default_factory=ScheduleOptions)
    freezing: Annotated[FreezingOptions, _section("Freezing layers")] = field(default_factory=FreezingOptions)
    policy: Annotated[PolicyOptions, _section("Policies of your own")] = field(default_factory=PolicyOptions)
    detection: Annotated[DetectionOptions, _section("Detection")] = field(default_factory=DetectionOptions)
    probe: Annotated[ProbeOptions, _section("Probe")] = field(default_factory=ProbeOptions)
    metrics: Annotated[MetricsOptions, _section("Metrics of your own")] = field(default_factory=MetricsOptions)

    epochs: Annotated[int, at_least(1, 1_000_000)] = 30
    """Passes over the training images; at least 1."""

    batch_size: Annotated[int, at_least(1, 10_000_000)] = 128
    """Images per step; at least 1."""

    batch_norm_momentum: Annotated[float | Literal["dynamic"], _MOMENTUM] = 0.1
    """Weight of the newest batch in the running statistics, in (0, 1]; dynamic: 1/(1+n), n = 0 at an epoch's start.
    0.1 leaves your own network's momentum as it is."""

    on_divergence: Literal["stop", "skip-step"] = "stop"
    """What to do if a loss or gradient is not finite. stop: the training ends, and says at which step and in which
    layer. skip-step: the step is skipped and counted (skipped_steps); after 10 in a row the training ends all the
    same."""

    evaluate_every_epochs: Annotated[int, at_least(1, 1_000_000), OPERATIONAL] = 1
    """Epochs between two evaluations on validation and test images, for the curves; nothing is chosen by them. The last
    epoch is always evaluated."""

    evaluation_views: Views = "one"
    """The views of an image over which evaluation averages the logits. one: the image itself. flip: itself and its
    mirror image. flip-shift: these, and both shifted by a pixel to two sides. Detection and probe see the image
    itself."""

    precision: Precision = "auto"
    """bf16: matrix products and convolutions in bfloat16, weights in float32. fp16: in float16, with losses scaled and
    steps that overflow skipped. auto: bf16 if the device has it, else fp16 on a GPU, fp32 on a processor."""

    channels_last: Annotated[bool, OPERATIONAL] = True
    """Keep images and weights channels-last in memory; faster on nearly every device."""

    compile: Annotated[bool | Literal["auto"], Parameter(negative="--no-compile"), OPERATIONAL] = "auto"
    """Compile the network with torch.compile: 15 s or more on a CPU before the first step, faster steps after it. auto:
    if a training is long enough to earn that back, as far as can be foreseen."""

    cuda_graphs: Annotated[bool, Parameter(negative="--no-cuda_graphs"), OPERATIONAL] = True
    """On a CUDA GPU: record a step's passes once and replay them, if a step's Python takes the same path each time (not
    with two tasks, adaptive freezing or parts of your own): small networks train several times as fast. false:
    never."""

    device: Annotated[str, OPERATIONAL] = "auto"
    """auto, cpu, mps, cuda or cuda:N; auto: the GPU if there is one."""

    tracker: Annotated[str, OneOf(TRACKERS), OPERATIONAL] = "none"
    """Where curves are sent besides metrics.jsonl: tensorboard, wandb, trackio or mlflow, if installed; or your own,
    package.module:name or file.py:name (docs/trackers.md)."""

    seed: Annotated[int, In("from -2⁶³ to 2⁶³ − 1", lambda seed: -(2**63) <= seed < 2**63)] = 0
    """The run's seed. Initialisation, order of the data, augmentation and split each derive their own from it."""

    own: Annotated[dict[str, str], Parameter(parse=False)] = field(default_factory=dict)
    """For each part of your own, by its import path, a digest of its source. Found by itself."""

    @property
    def has_auxiliary_task(self) -> bool:
        """Whether there is a second task."""
        return bool(self.tasks.auxiliary) or self.tasks.auxiliary_rotation is not None

    @property
    def backward_twice(self) -> bool:
        """Whether a step goes backwards through one forward pass several times, for the gradient of each of its losses.

        torch's compiler gives what such a pass keeps away in the first backward pass, and refuses the second.
        """
        apart = self.gradient.name in _APART or self.gradient.auxiliary_weight != 1
        return apart and self.objective.name not in _OF_ONE_LOSS

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between options of different groups."""
        f, g = self.freezing, self.gradient
        several = self.has_auxiliary_task or self.objective.name not in _OF_ONE_LOSS
        enough = self.has_auxiliary_task if g.name == "single" else several
        fits = g.name not in ("single", *_APART) or enough
        yield "gradient.name", fits, "sum where there is no auxiliary task (tasks.auxiliary)"
        weighs = g.auxiliary_weight == 1 or (g.name == "sum" and several)
        yield "gradient.auxiliary_weight", weighs, "1 for other rules than sum and for a single loss"
        kept = f.cache == "none" or not self.has_auxiliary_task
        yield "freezing.cache", kept, "none where there is an auxiliary task"
        same = f.cache == "none" or not self.data.progressive
        yield "freezing.cache", same, "none where images grow (data.progressive)"
        once = f.cache == "none" or self.data.sampling == "shuffle"
        yield "freezing.cache", once, "none where images come several times an epoch (data.sampling)"
        by_pixel = self.preprocessing.name != "zca" or self.detection.fgsm_epsilon is None
        yield (
            "preprocessing.name",
            by_pixel,
            "other than zca for detection.fgsm_epsilon, which moves each pixel by itself",
        )
        plain = not self.model.recompute or not (self.compile is True or f.cache != "none")
        yield "model.recompute", plain, "false where compile is true or freezing.cache is not none"
        once = self.compile is not True or not self.backward_twice
        yield "compile", once, f"auto or false for gradient.name {g.name} over losses of one forward pass"
        constant = self.compile is not True or self.batch_norm_momentum != "dynamic"
        yield "compile", constant, "auto or false for batch_norm_momentum dynamic, another at each step"


# Rules that take the gradient of each loss by itself.
_APART = ("weighted", "unweighted", "pcgrad", "gradvac")

_OF_ONE_LOSS = ("softmax", "binary-cross-entropy")


def resolve(experiment: Experiment, *folders: Path) -> Experiment:
    """`experiment` with every default that depends on a name replaced by its value, and checked.

    A network that has several names gets the one that a run's identity holds.

    What depends on the machine (device, precision) stays open until the run is there: a study planned on a machine
    without a GPU is the same study.

    Args:
        experiment: As given.
        folders: Where to look for the files of a user's own parts, beside the folder the command was started in.

    Raises:
        InputError: An option is out of range, a name is unknown, one quantity is given in two units, or a part of the
            user's own cannot be found.
    """
    model = dataclasses.replace(experiment.model, name=canonical(experiment.model.name))
    experiment = with_sources(dataclasses.replace(experiment, model=model), *folders)
    check(experiment)
    check_model(experiment.model)
    check_device(experiment.device)
    check_tracker(experiment.tracker)
    data = resolve_data(experiment.data)
    schedule = experiment.schedule
    if schedule.name == "step" and not schedule.given("milestones"):
        schedule = dataclasses.replace(schedule, milestones_percent=(50.0, 75.0))
    if not schedule.given("warmup"):
        schedule = dataclasses.replace(schedule, warmup_steps=0)
    augmentation = resolve_augmentation(experiment.augmentation, data.name, stream=data.stream)
    changes = experiment.freezing.cache == "none" or not augmentation.anew
    rule = "none where images change anew each epoch (give augmentation.views, or turn augmentation off)"
    refuse(experiment, [("freezing.cache", changes, rule)])
    return dataclasses.replace(
        experiment,
        data=data,
        augmentation=augmentation,
        schedule=schedule,
        detection=_resolve_detection(experiment.detection),
    )


def _resolve_detection(options: DetectionOptions) -> DetectionOptions:
    if options.outliers is None:
        return options
    outliers = Path(options.outliers).expanduser().absolute()
    if not outliers.exists():
        raise InputError(f"detection.outliers must be an existing file or folder, got {outliers}.")
    return dataclasses.replace(options, outliers=str(outliers))
