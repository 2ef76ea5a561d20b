"""A finished run's network, put together again from the run's folder. N images, C channels, H×W pixels, K classes."""

import dataclasses
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truelift.data import Preprocess, fit_preprocessing
from truelift.data.augment import normalise
from truelift.errors import InputError
from truelift.models import Classifier
from truelift.own import digest, import_first, is_import_path
from truelift.records import Inputs, Predictions, read_config_file, read_environment, read_result
from truelift.training import objectives, policies
from truelift.training.build import inputs_of, load_data
from truelift.training.checkpoint import Stateful, UnusableCheckpointError, load_checkpoint
from truelift.training.data_changes import refuse_changed_data
from truelift.training.evaluation import make_autocast, seen
from truelift.training.experiment import Experiment
from truelift.training.hardware import Precision, pick_device, pick_precision
from truelift.training.identity import fingerprints, read_config
from truelift.training.network import build_network, feature_size
from truelift.training.objectives import Around, Objective
from truelift.training.objectives.heads import embedded
from truelift.training.policies import PolicyOptions

# What of an experiment is needed to build its network and to say what it predicts.
_NEEDED = ("data", "preprocessing", "model", "objective", "tasks", "gradient", "policy", "probe")


class Answer(NamedTuple):
    """What the network says of N images."""

    probabilities: Tensor
    """(N, K) float32."""
    log_likelihood: Tensor | None
    """log Σ_k p_k·N(x; μ_k, Σ_k) of the features, (N,) float32; None where the head has no Gaussians."""


@dataclass(frozen=True)
class Trained:
    """A finished run's network, in inference mode, as the run's last evaluation had it."""

    folder: Path
    experiment: Experiment
    inputs: Inputs
    network: Classifier
    objective: Objective
    preprocess: Preprocess
    device: str
    precision: Precision
    several: bool = False
    """Whether an image may have several labels."""

    @property
    def has_likelihood(self) -> bool:
        """Whether the head tells how probable features are: the L-GM loss's Gaussians do."""
        return type(self.objective).log_likelihood is not Objective.log_likelihood

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Answer:
        """What the run's evaluation would say of images, uint8 (N, C, H, W)."""
        taken = self.preprocess(images.to(self.device))
        with make_autocast(self.device, self.precision):
            logits = seen(
                lambda shown: self.objective.logits(self.network, shown), taken, self.experiment.evaluation_views
            )
            features = embedded(self.network, taken) if self.has_likelihood else None
        # Of images that may have several labels each class is a question of its own.
        probabilities = (logits.float().sigmoid() if self.several else F.softmax(logits.float(), dim=1)).cpu()
        likelihood = None if features is None else self.objective.log_likelihood(self.network, features.float())
        return Answer(probabilities, None if likelihood is None else likelihood.float().cpu())


def restore(folder: Path, *, device: str = "auto") -> Trained:
    """The network of a finished run.

    Its weights are those of the last checkpoint, which every training leaves in its folder. The data set is read again
    only where its figures are not in the folder: for `preprocessing.name` mean-image and zca, and for runs that an
    earlier version made.

    Args:
        folder: Of a run.
        device: auto, cpu, mps, cuda or cuda:N: where it shall run.

    Raises:
        InputError: It is no folder of a finished training, its weights are not kept or damaged, or a part of the user's
            own is not there or has changed.
    """
    recorded = _recorded(folder)
    result = read_result(folder)
    checkpoint = folder / "checkpoint.pt"
    if not checkpoint.is_file():
        raise InputError(
            f"{folder} has no weights: its checkpoint.pt is gone, as after `truelift clean`. To have them again, make "
            f"the run anew in another folder: truelift train --config {shlex.quote(str(folder / 'config.toml'))} "
            "--out FOLDER"
        )
    where = pick_device(device)
    experiment = _needed(recorded, folder)
    inputs, preprocess = _inputs(experiment, folder, where)
    network = build_network(experiment, inputs.shape, len(inputs.classes), where)
    objective = objectives.build(experiment.objective, _around(experiment, inputs, network, result, where)).to(where)
    followers = _followers(experiment.policy, network, inputs, where)
    parts: dict[str, Stateful] = {"network": network, "objective": _Main(objective, recorded)}
    parts |= {_name_of(policy.name, checkpoint): policy for policy in followers}
    try:
        load_checkpoint(checkpoint, parts, fingerprints(recorded), where)
    except UnusableCheckpointError as error:
        raise InputError(f"{checkpoint} is of no use: {error}.") from None
    for policy in followers:
        with policy.judged():
            state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        network.load_state_dict(state)
    network.eval()
    objective.eval()
    for parameter in (*network.parameters(), *objective.parameters()):
        parameter.requires_grad_(False)
    return Trained(
        folder,
        experiment,
        inputs,
        network,
        objective,
        preprocess,
        where,
        _precision(folder, recorded, where),
        _several(inputs, folder, result),
    )


def _several(inputs: Inputs, folder: Path, result: Mapping[str, Any]) -> bool:
    """Whether an image may have several labels; where inputs.json does not say it, the run's results do."""
    if inputs.several is not None:
        return inputs.several
    if "test_mean_average_precision" in result["metrics"]:
        return True
    try:
        return Predictions.read(folder / "predictions.npz").several
    except InputError:
        return False


def _recorded(folder: Path) -> Experiment:
    """The experiment as config.toml has it.

    Raises:
        InputError: The folder is not that of a finished training of ours.
    """
    if (folder / "study.json").exists():
        runs = sorted(folder.glob("runs/*/seed-*/result.json"))
        hint = f", such as {runs[0].parent}" if runs else ", none of which is finished"
        raise InputError(f"{folder} is a study: name one of its runs{hint}.")
    if not folder.is_dir():
        raise InputError(f"{folder} must be the folder of a run, such as runs/train/NAME; there is no such folder.")
    if not (folder / "config.toml").exists():
        below = sorted(folder.glob("seed-*/result.json"))
        hint = f" Did you mean {below[0].parent}?" if below else ""
        raise InputError(f"{folder} must be the folder of a run: it has no config.toml.{hint}")
    if "command" in read_config_file(folder):
        raise InputError(f"{folder} is a run of a program of your own, whose network truelift does not know.")
    if not os.path.lexists(folder / "result.json"):
        raise InputError(f"{folder} is not finished: it has no result.json. The command that began it goes on with it.")
    return read_config(folder)


def _needed(recorded: Experiment, folder: Path) -> Experiment:
    """The experiment without what only its training needs, and its own parts as they were then."""
    defaults = Experiment()
    dropped = {
        field.name: getattr(defaults, field.name)
        for field in dataclasses.fields(Experiment)
        if dataclasses.is_dataclass(getattr(defaults, field.name)) and field.name not in _NEEDED
    }

    def planned(name: str, kind: str) -> str:
        return _as_planned(name, kind, recorded.own, folder)

    model, objective, policy = recorded.model, recorded.objective, recorded.policy
    return dataclasses.replace(
        recorded,
        **dropped,
        # The checkpoint's weights take the place of those that it began with.
        model=dataclasses.replace(model, name=planned(model.name, "model"), weights=None),
        objective=dataclasses.replace(objective, name=planned(objective.name, "objective")),
        policy=dataclasses.replace(policy, names=tuple(planned(name, "policy") for name in policy.names)),
    )


def _as_planned(name: str, kind: str, planned: Mapping[str, str], folder: Path) -> str:
    """The import path of a part with the source that the run was made with: the user's file, or the run's copy of it.

    Raises:
        InputError: Neither is there.
    """
    if not is_import_path(name) or name not in planned:
        return name
    file, _, called = name.partition(":")
    paths = [name]
    if file.endswith(".py"):
        copies = [copy for copy in sorted((folder / "own").rglob("*.py")) if copy.name == Path(file).name]
        paths = [f"{place}:{called}" for place in (Path(file), *copies) if place.is_file()]
    for path in paths:
        if digest(path, kind) == planned[name]:
            if path != name:
                import_first(Path(path.partition(":")[0]), Path(file))
            return path
    raise InputError(f"the source of {name} {'has changed' if paths else 'is gone'} since this run was made.")


def _inputs(experiment: Experiment, folder: Path, device: str) -> tuple[Inputs, Preprocess]:
    """What the network takes, and its preprocessing: from the folder, or else from the data set."""
    name = experiment.preprocessing.name
    if name in ("channels", "none") and os.path.lexists(folder / "inputs.json"):
        inputs = Inputs.read(folder)
        channels = inputs.shape[0]
        mean, std = (inputs.mean, inputs.std) if name == "channels" else ((0.0,) * channels, (1.0,) * channels)
        return inputs, partial(normalise, mean=mean, std=std)
    try:
        splits = load_data(experiment)
        refuse_changed_data(folder, splits)
    except InputError as error:
        why = f"preprocessing.name {name}" if name not in ("channels", "none") else "a run without inputs.json"
        raise InputError(f"{why} needs the run's data set again: {error}") from None
    return inputs_of(splits), fit_preprocessing(experiment.preprocessing, splits, device)


def _around(
    experiment: Experiment, inputs: Inputs, network: Classifier, result: Mapping[str, Any], device: str
) -> Around:
    steps, epochs = int(result.get("steps", 1)), int(result.get("epochs", 1))
    return Around(
        classes=len(inputs.classes),
        feature_size=experiment.objective.feature_size or feature_size(network),
        image_shape=inputs.shape,
        steps_per_epoch=max(1, steps // max(1, epochs)),
        steps=steps,
        device=device,
        seed=0,
    )


def _followers(
    options: PolicyOptions, network: Classifier, inputs: Inputs, device: str
) -> list[policies.own.OwnPolicy]:
    """The policies that say how the network shall be evaluated."""
    images = torch.zeros(2, *inputs.shape, device=device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0)  # what they are given; nothing is trained
    built = policies.build(options, policies.Around(network, optimizer, lambda most: images[:most], 1))
    return [p for p in built if isinstance(p, policies.own.OwnPolicy) and hasattr(p.policy, "applied")]


def _name_of(name: str, checkpoint: Path) -> str:
    """The name under which a checkpoint has a policy's state: "policy 2 averaged-weights".

    Raises:
        InputError: It has none.
    """
    try:
        names: list[str] = list(torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True))
    except Exception as error:  # torch raises a dozen kinds for a damaged file
        raise InputError(f"{checkpoint} is of no use: it is damaged ({type(error).__name__}).") from None
    told = name.rpartition("/")[2]  # of a file that is read from the run's own copy
    found = [known for known in names if known.startswith("policy ") and known.endswith(told)]
    if not found:
        raise InputError(f"{checkpoint} is of no use: it has no state of the policy {name}.")
    return found[0]


class _Main:
    """The main objective's part of what a checkpoint has of the objective, which may have a second task."""

    def __init__(self, objective: nn.Module, recorded: Experiment) -> None:
        self.objective = objective
        self.of_two = recorded.has_auxiliary_task and recorded.gradient.name != "single"

    def state_dict(self) -> Any:
        return self.objective.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if self.of_two:
            state = {name.removeprefix("main."): t for name, t in state.items() if name.startswith("main.")}
        self.objective.load_state_dict(dict(state))


def _precision(folder: Path, recorded: Experiment, device: str) -> Precision:
    """The run's own, where the device is of the same kind; else what the experiment says for this one."""
    try:
        there = read_environment(folder)
    except InputError:
        return pick_precision(recorded.precision, device)
    ran_on = str(there.get("device", ""))  # of a GPU its maker's name
    same = (ran_on if ran_on in ("cpu", "mps") else "cuda") == device.partition(":")[0]
    precision: Any = there.get("precision")
    return precision if same and precision in get_args(Precision) else pick_precision(recorded.precision, device)
