"""Hugging Face's Trainer: layers that freeze, and the L-GM loss."""

import warnings
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from truelift.errors import InputError, require
from truelift.integrations.forward import begin, submodule
from truelift.integrations.saving import save_with
from truelift.techniques.freezeout import FreezeOut
from truelift.techniques.freezeout.front import Front
from truelift.techniques.gaussian_mixture import GaussianMixtureHead, GaussianMixtureLoss


class Freezing(TrainerCallback):
    """Begins a step of `freezing` before each of the trainer's; made by `add_freezing`."""

    freezing: Front | None = None
    """The technique, once the training has begun: `freezing.frozen` layers are frozen."""
    network: nn.Module | None = None
    """What freezes, once the training has begun."""
    _handle: RemovableHandle | None = None

    def begin(self, freezing: Front, network: nn.Module) -> None:
        """Take up the technique. The trainer calls `model.train()` before each batch: batch norm must not thaw."""
        self.end()
        self.freezing, self.network = freezing, network
        self._handle = network.register_forward_pre_hook(lambda module, args: freezing.hold())

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin a step."""
        assert self.freezing is not None, "the optimizer is made before the first step"
        begin(self.freezing)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take the hook off the network again."""
        self.end()

    def end(self) -> None:
        """Take the hook off the network, where it is there."""
        if self._handle is not None:
            self._handle.remove()


def add_freezing(
    trainer: Trainer, technique: Callable[..., Front] = FreezeOut, *, network: str = "", **options: Any
) -> Freezing:
    """Have a trainer's layers freeze. Call it before `trainer.train()`, which then resumes exactly too.

    Accumulated gradients count as one step. The state is in a checkpoint's optimizer.pt.

    Args:
        trainer: A `transformers.Trainer`, or a class made from it.
        technique: `FreezeOut` or `AdaptiveFreezing`.
        network: The name of the submodule of the model that freezes; empty for the whole model.
        options: The technique's own but `steps`: `layers`, `example`, `t0`, …

    Returns:
        The callback that it has added.

    Raises:
        InputError: There is no such submodule. In `trainer.train()`: what the technique refuses; or it is the second
            time, with the same model.

    Example:
            trainer = Trainer(model, args, train_dataset=images)
            add_freezing(trainer, FreezeOut, layers=["vit.embeddings", "vit.encoder.layer.*", "classifier"])
            trainer.train()

    With several processes the wrapper must expect parameters that need no gradient any more:
    `TrainingArguments(ddp_find_unused_parameters=True)`.
    """
    submodule(trainer.model, network)  # refused here, not only when the training begins
    arguments = trainer.args
    if arguments.gradient_checkpointing and (arguments.gradient_checkpointing_kwargs or {}).get("use_reentrant"):
        warnings.warn(
            "gradient checkpointing with use_reentrant=True gives the first layer behind the frozen ones no gradient: "
            'give gradient_checkpointing_kwargs={"use_reentrant": False}.',
            stacklevel=2,
        )
    callback, make, of_trainer = Freezing(), trainer.create_optimizer, trainer.optimizer is None

    def create_optimizer(*given: Any, **named: Any) -> Optimizer:
        freezes = submodule(trainer.model, network)  # with `model_init` the trainer has made another one since
        if callback.freezing is not None and callback.network is freezes:
            if not trainer.args.auto_find_batch_size:
                raise InputError(
                    "trainer.train() must be called once after add_freezing, got a second call: make a new trainer "
                    "with a new model."
                )
            if callback.freezing.frozen or not of_trainer:
                raise InputError(
                    "auto_find_batch_size must begin anew before a layer is frozen, with the trainer's own optimizer, "
                    f"got {callback.freezing.frozen} frozen layers and the optimizer of "
                    f"{'the trainer' if of_trainer else 'yours'}: give a new trainer a new model and a smaller "
                    "per_device_train_batch_size."
                )
            trainer.optimizer = None  # the one so far is the first freezing's
        optimizer: Optimizer = make(*given, **named)
        freezing = technique(freezes, optimizer, steps=trainer.state.max_steps, **options)
        save_with(optimizer, freezing=freezing)
        callback.begin(freezing, freezes)
        return optimizer

    trainer.create_optimizer = create_optimizer
    trainer.add_callback(callback)
    return callback


class MixtureLoss(TrainerCallback):
    """The L-GM loss as a trainer's `compute_loss_func`. Give it as a callback too where the margin is a schedule.

    It takes the features from what the head is given in the forward pass. Where gradients are accumulated, its mean is
    over the images of the whole step; with class weights over the batch's weights, times the batch's share of images.

    Args:
        head: The model's last layer.
        criterion: The loss; its `reduction` must be mean.

    Raises:
        InputError: The reduction is another; the model has not called the head, or the batch has no labels.

    Example:
            model.classifier = GaussianMixtureHead(model.config.hidden_size, classes=10)
            loss = MixtureLoss(model.classifier, GaussianMixtureLoss(margin=0.3))
            trainer = Trainer(model, args, train_dataset=images, compute_loss_func=loss, callbacks=[loss])
    """

    def __init__(self, head: GaussianMixtureHead, criterion: GaussianMixtureLoss) -> None:
        require("criterion.reduction", criterion.reduction, criterion.reduction == "mean", "mean")
        self.head = head
        self.criterion = criterion
        self._features: Tensor | None = None
        head.register_forward_pre_hook(self._keep)

    def __call__(self, outputs: Any, labels: Tensor | None, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        """The loss of a batch; with `num_items_in_batch` its share of the step's."""
        features, self._features = self._features, None
        if features is None:
            raise InputError("head must be the one that the model calls, got one without features.")
        if labels is None:
            raise InputError("the batch must have labels, got none.")
        self.criterion.train(self.head.training)
        loss: Tensor = self.criterion.to(features.device)(self.head, features, labels)
        if num_items_in_batch is None:
            return loss
        return loss * (labels != self.criterion.ignore_index).sum() / num_items_in_batch

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The margin after so many steps, in a resumed training too."""
        self.criterion.set_step(state.global_step)

    def _keep(self, head: nn.Module, given: tuple[Tensor, ...]) -> None:
        self._features = given[0]
