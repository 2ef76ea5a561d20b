"""PyTorch Lightning: layers that freeze, as a callback."""

from collections.abc import Callable
from typing import Any

from truelift.errors import InputError, require
from truelift.integrations.forward import begin, submodule
from truelift.integrations.saving import save_with
from truelift.techniques.freezeout import FreezeOut
from truelift.techniques.freezeout.front import Front

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ModuleNotFoundError:  # the same library under its older name
    from pytorch_lightning import Callback, LightningModule, Trainer


class FreezingCallback(Callback):
    """Freezes a module's layers while Lightning trains it; resumes exactly by `ckpt_path`.

    Accumulated gradients count as one step. The state is in the checkpoint with the optimizer's.

    Args:
        technique: `FreezeOut` or `AdaptiveFreezing`.
        network: The name of the submodule that freezes, "network" or "model.backbone"; empty for the whole module.
        optimizer: Number of the optimizer that trains it, from 0, in the order of `configure_optimizers`.
        steps: The optimizer's steps in all. Default: the trainer's `estimated_stepping_batches`.
        options: The technique's others: `layers`, `example`, `t0`, …

    Raises:
        InputError: When the training begins: what the technique refuses; there is no such submodule or optimizer; the
            trainer does not know its number of steps.

    Example:
            callback = FreezingCallback(FreezeOut, network="backbone", layers=["stem", "blocks.*", "head"])
            trainer = Trainer(max_epochs=10, callbacks=[callback])

    With several processes the wrapper must expect parameters that need no gradient any more:
    `Trainer(strategy="ddp_find_unused_parameters_true")`.
    """

    freezing: Front | None
    """The technique, once the training has begun: `callback.freezing.frozen` layers are frozen."""

    def __init__(
        self,
        technique: Callable[..., Front] = FreezeOut,
        *,
        network: str = "",
        optimizer: int = 0,
        steps: int | None = None,
        **options: Any,
    ) -> None:
        self.technique = technique
        self.network = network
        self.optimizer = optimizer
        self.steps = steps
        self.options = options
        self.freezing = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin; Lightning has made the optimizers, and loads their states after this."""
        optimizers = trainer.optimizers
        most = len(optimizers) - 1
        require("optimizer", self.optimizer, 0 <= self.optimizer <= most, f"in 0..{most}, the module's optimizers")
        optimizer = optimizers[self.optimizer]
        steps = trainer.estimated_stepping_batches if self.steps is None else self.steps
        if steps == float("inf"):
            raise InputError("steps must be given where the trainer has no end (max_epochs or max_steps), got none.")
        self.freezing = self.technique(submodule(pl_module, self.network), optimizer, steps=steps, **self.options)
        save_with(optimizer, freezing=self.freezing)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Begin a step, where the batch is the first of one."""
        assert self.freezing is not None, "on_fit_start comes first"
        begin(self.freezing)
