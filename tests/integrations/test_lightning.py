"""Against loops by hand, whole and resumed, by the real library; skipped where it is not installed."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.integrations.trainer_cases import (
    BATCH,
    LAYERS,
    Network,
    assert_equal,
    make_batches,
    make_images,
    make_network,
    sgd,
    train,
    train_similar,
    two_losses,
)
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from truelift.errors import InputError
from truelift.integrations import save_with
from truelift.techniques.freezeout import AdaptiveFreezing, FreezeOut
from truelift.techniques.gaussian_mixture import GaussianMixtureHead, GaussianMixtureLoss, ramp
from truelift.techniques.gradient_similarity import GradientSimilarity

pl = pytest.importorskip("lightning.pytorch", reason="lightning is not installed")
from truelift.integrations.lightning import FreezingCallback  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.. is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The `srun` command is available on your system"),
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks used to create the checkpoint"),
    pytest.mark.filterwarnings("ignore:Found .* module.s. in eval mode at the start of training"),
]
EPOCHS = 4
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "freezeout": (FreezeOut, {"t0": 0.7}),
    "adaptive": (AdaptiveFreezing, {"every_steps": 3, "warmup": 0.3}),
}


class Plain(pl.LightningModule):  # type: ignore[misc, name-defined, unused-ignore]
    """As anybody writes it."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        images, labels = batch
        return F.cross_entropy(self.network(images), labels)

    def validation_step(self, batch: tuple[Tensor, Tensor], number: int) -> None:
        self.network(batch[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return sgd(self.network)


class Similar(Plain):
    """Gradient similarity under manual optimisation."""

    def __init__(self, network: Network, accumulated: int = 1) -> None:
        super().__init__(network)
        self.automatic_optimization = False
        self.similarity = GradientSimilarity(use_average=True)
        self.accumulated = accumulated

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> None:  # type: ignore[override, unused-ignore]
        losses = [loss / self.accumulated for loss in two_losses(self.network, *batch)]
        if (number + 1) % self.accumulated:
            self.similarity.accumulate(*losses)
            return
        self.similarity.backward(*losses)
        self.optimizers().step()
        self.optimizers().zero_grad()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return save_with(sgd(self.network), similarity=self.similarity)


class Mixture(Plain):
    """The L-GM head and loss, with a margin that grows."""

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        network.head = GaussianMixtureHead(4, 3)
        self.criterion = GaussianMixtureLoss(margin=ramp(0.5, steps=60))

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        self.criterion.set_step(self.global_step)
        found: Tensor = self.criterion(self.network.head, self.network.features(batch[0]), batch[1])
        return found


def fit(module: Any, folder: Path, *, callbacks: Any = (), ckpt_path: Path | None = None, **options: Any) -> Any:
    data = DataLoader(TensorDataset(*make_images()), batch_size=BATCH)
    trainer = pl.Trainer(
        **{"max_epochs": EPOCHS, **options},
        accelerator="cpu",
        callbacks=list(callbacks),
        default_root_dir=folder,
        enable_checkpointing=any(isinstance(callback, pl.callbacks.ModelCheckpoint) for callback in callbacks),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, data, data, ckpt_path=ckpt_path, weights_only=True)
    return trainer


def kept(folder: Path) -> Any:
    """A checkpoint at each epoch's end: within one Lightning begins its data anew."""
    return pl.callbacks.ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)


@pytest.mark.parametrize(("kind", "accumulated"), [(kind, accumulated) for kind in KINDS for accumulated in (1, 3)])
def test_freezing_is_that_of_the_loop_by_hand_resumed_too(kind: str, accumulated: int, tmp_path: Path) -> None:
    technique, options = KINDS[kind]
    expected = make_network()
    optimizer = sgd(expected)
    steps = EPOCHS * 24 // accumulated
    by_hand = technique(expected, optimizer, steps=steps, layers=LAYERS, **options)
    train(expected, optimizer, by_hand, EPOCHS, accumulated)
    assert by_hand.frozen > 1

    def callback() -> FreezingCallback:
        return FreezingCallback(technique, network="network", layers=LAYERS, **options)

    module, freezing = Plain(make_network()), callback()
    # A validation in the middle of an epoch, and of a step, thaws nothing.
    common: dict[str, Any] = {"accumulate_grad_batches": accumulated, "val_check_interval": 5}
    fit(module, tmp_path, callbacks=[freezing, kept(tmp_path)], **common)
    assert_equal(module.network, expected)
    assert freezing.freezing is not None
    assert freezing.freezing.frozen == by_hand.frozen

    for epoch in range(EPOCHS - 1):  # nothing is frozen at the first
        resumed, freezing = Plain(make_network(seed=9)), callback()
        checkpoint = tmp_path / f"epoch={epoch}.ckpt"
        fit(resumed, tmp_path, callbacks=[freezing], ckpt_path=checkpoint, **common)
        assert_equal(resumed.network, expected)


def test_the_first_frozen_layer_is_in_a_checkpoint(tmp_path: Path) -> None:
    freezing = FreezingCallback(network="network", layers=LAYERS, t0=0.5)
    fit(Plain(make_network()), tmp_path, callbacks=[freezing, kept(tmp_path)])
    groups = torch.load(tmp_path / "epoch=1.ckpt", weights_only=True)["optimizer_states"][0]["param_groups"]
    assert sum(len(group["params"]) for group in groups) < len(list(make_network().parameters()))


@pytest.mark.parametrize("accumulated", [1, 3])
def test_gradient_similarity_under_manual_optimisation(accumulated: int, tmp_path: Path) -> None:
    expected = make_network()
    similarity = GradientSimilarity(use_average=True)
    train_similar(expected, sgd(expected), similarity, EPOCHS, accumulated)
    module = Similar(make_network(), accumulated)
    fit(module, tmp_path, callbacks=[kept(tmp_path)])
    assert_equal(module.network, expected)
    resumed = Similar(make_network(seed=9), accumulated)
    fit(resumed, tmp_path, ckpt_path=tmp_path / "epoch=1.ckpt")
    assert_equal(resumed.network, expected)
    torch.testing.assert_close(resumed.similarity.state_dict(), similarity.state_dict(), rtol=1e-4, atol=1e-6)


def test_freezing_beside_gradient_similarity(tmp_path: Path) -> None:
    expected = make_network()
    optimizer, similarity = sgd(expected), GradientSimilarity(use_average=True)
    options: dict[str, Any] = {"layers": LAYERS, "max_share": 0.5, "every_steps": 3, "warmup": 0.1}
    by_hand = AdaptiveFreezing(expected, optimizer, steps=EPOCHS * 24, **options)
    for images, labels in make_batches(EPOCHS):
        by_hand.step()
        similarity.backward(*two_losses(expected, images, labels))
        optimizer.step()
        optimizer.zero_grad()
    module = Similar(make_network())
    fit(module, tmp_path, callbacks=[FreezingCallback(AdaptiveFreezing, network="network", **options)])
    assert by_hand.frozen == 2
    assert_equal(module.network, expected)


def test_the_gaussian_mixture_loss_with_a_margin_that_grows(tmp_path: Path) -> None:
    module, expected = Mixture(make_network()), Mixture(make_network())
    expected.load_state_dict(module.state_dict())
    network, optimizer = expected.network, sgd(expected.network)
    for step, (images, labels) in enumerate(make_batches(EPOCHS)):
        expected.criterion.set_step(step)
        expected.criterion(network.head, network.features(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    fit(module, tmp_path, callbacks=[kept(tmp_path)])
    assert_equal(module, expected)
    resumed = Mixture(make_network(seed=9))
    fit(resumed, tmp_path, ckpt_path=tmp_path / "epoch=1.ckpt")
    assert_equal(resumed, expected)


def test_a_second_training_of_what_the_first_has_frozen_is_told(tmp_path: Path) -> None:
    module = Plain(make_network())
    fit(module, tmp_path, callbacks=[FreezingCallback(network="network", layers=LAYERS)])
    with pytest.warns(UserWarning, match="of 4 layers 3 train nothing, the first is layer 0"):
        fit(module, tmp_path, callbacks=[FreezingCallback(network="network", layers=LAYERS)])


@pytest.mark.filterwarnings("ignore:`max_epochs` was not set")
def test_bad_input(tmp_path: Path) -> None:
    def error(*, options: Any = None, **settings: Any) -> str:
        with pytest.raises(InputError) as raised:
            fit(
                Plain(make_network()),
                tmp_path,
                callbacks=[FreezingCallback(layers=LAYERS, **settings)],
                **options or {},
            )
        return str(raised.value)

    assert error(network="net") == "network must be the name of a submodule, got net. Known: network."
    assert error(optimizer=1) == "optimizer must be in 0..0, the module's optimizers, got 1."
    assert "no module is named like" in error()
    assert "steps must be given where the trainer has no end" in error(network="network", options={"max_epochs": -1})
