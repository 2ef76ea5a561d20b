"""Hugging Face's Trainer and Accelerate against loops by hand, whole and resumed; skipped where not installed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.integrations.trainer_cases import (
    BATCH,
    IMAGES,
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
from torch import Tensor, nn

from truelift.errors import InputError
from truelift.integrations import save_with
from truelift.techniques.freezeout import AdaptiveFreezing, FreezeOut
from truelift.techniques.gaussian_mixture import GaussianMixtureHead, GaussianMixtureLoss, ramp
from truelift.techniques.gradient_similarity import GradientSimilarity

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
accelerate = pytest.importorskip("accelerate", reason="accelerate is not installed")
from truelift.integrations.accelerate import backward  # noqa: E402
from truelift.integrations.transformers import MixtureLoss, add_freezing  # noqa: E402

EPOCHS = 4
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "freezeout": (FreezeOut, {"t0": 0.5}),
    "adaptive": (AdaptiveFreezing, {"every_steps": 3, "warmup": 0.1}),
}
BOTH = [(kind, accumulated) for kind in KINDS for accumulated in (1, 3)]


class Model(nn.Module):
    """As the Trainer wants it: keyword arguments in, a dictionary out."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        logits = self.network(images)
        return {"logits": logits} if labels is None else {"loss": F.cross_entropy(logits, labels), "logits": logits}


class Images(torch.utils.data.Dataset[dict[str, Tensor]]):
    """A dictionary an image."""

    def __init__(self) -> None:
        self.images, self.labels = make_images()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        return {"images": self.images[number], "labels": self.labels[number]}


def make_trainer(network: Network, folder: Path, accumulated: int, save: int = 0, **options: Any) -> Any:
    kind: Any = options.pop("kind", transformers.Trainer)
    args = transformers.TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=BATCH,
        gradient_accumulation_steps=accumulated,
        train_sampling_strategy="sequential",
        max_grad_norm=0,
        eval_strategy="steps",
        eval_steps=11,
        save_strategy="steps" if save else "no",
        save_steps=save or 500,
        report_to=[],
        use_cpu=True,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        lr_scheduler_type="constant",
        remove_unused_columns=False,
        **options.pop("args", {}),
    )
    data = Images()
    model = None if "model_init" in options else Model(network)
    if model is not None:
        options.setdefault("optimizers", (sgd(model), None))
    return kind(model, args, train_dataset=data, eval_dataset=data, **options)


@pytest.mark.parametrize(("kind", "accumulated"), BOTH)
def test_freezing_is_that_of_the_loop_by_hand_resumed_too(kind: str, accumulated: int, tmp_path: Path) -> None:
    technique, options = KINDS[kind]
    expected = make_network()
    optimizer = sgd(expected)
    steps = EPOCHS * 24 // accumulated
    by_hand = technique(expected, optimizer, steps=steps, layers=LAYERS, **options)
    train(expected, optimizer, by_hand, EPOCHS, accumulated)
    assert by_hand.frozen > 1
    network = make_network()
    trainer = make_trainer(network, tmp_path, accumulated, save=steps // 8)
    callback = add_freezing(trainer, technique, network="network", layers=LAYERS, **options)
    trainer.train()
    assert_equal(network, expected)
    assert callback.freezing is not None
    assert callback.freezing.frozen == by_hand.frozen
    assert not network._forward_pre_hooks
    for number in (1, 3, 6):  # nothing is frozen at the first
        resumed = make_network(seed=9)
        trainer = make_trainer(resumed, tmp_path / "again", accumulated)
        add_freezing(trainer, technique, network="network", layers=LAYERS, **options)
        trainer.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{number * (steps // 8)}"))
        assert_equal(resumed, expected)


def test_the_trainers_own_optimizer_schedule_and_clipping(tmp_path: Path) -> None:
    """AdamW, a rate that falls to zero, gradients clipped."""
    expected, network = make_network(), make_network()
    optimizer = torch.optim.AdamW(expected.parameters(), lr=1e-2, weight_decay=0)
    by_hand = FreezeOut(expected, optimizer, steps=96, layers=LAYERS, t0=0.5)
    for step, (images, labels) in enumerate(make_batches(EPOCHS)):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / 96)
        by_hand.step()
        F.cross_entropy(expected(images), labels).backward()
        nn.utils.clip_grad_norm_(expected.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()
    trainer = make_trainer(network, tmp_path, 1, optimizers=(None, None))
    trainer.args.learning_rate, trainer.args.max_grad_norm = 1e-2, 0.5
    trainer.args.lr_scheduler_type = "linear"
    add_freezing(trainer, network="network", layers=LAYERS, t0=0.5)
    trainer.train()
    assert_equal(network, expected)


def test_a_trainer_that_makes_its_model_when_it_trains(tmp_path: Path) -> None:
    made: list[Network] = []

    def model_init() -> Model:
        made.append(make_network())
        return Model(made[-1])

    trainer = make_trainer(make_network(), tmp_path, 1, model_init=model_init)
    callback = add_freezing(trainer, network="network", layers=LAYERS, t0=0.5)
    for _ in range(2):  # each training has another model
        trainer.train()
        assert callback.freezing is not None
        assert callback.freezing.frozen > 1
        assert not any(p.requires_grad for p in made[-1].blocks[0].parameters())
        assert not made[-1]._forward_pre_hooks


def test_a_second_training_of_one_model_is_refused_or_told(tmp_path: Path) -> None:
    network = make_network()
    trainer = make_trainer(network, tmp_path, 1)
    add_freezing(trainer, network="network", layers=LAYERS)
    trainer.train()
    with pytest.raises(InputError, match="got a second call: make a new trainer with a new model"):
        trainer.train()
    again = make_trainer(network, tmp_path, 1)
    add_freezing(again, network="network", layers=LAYERS)
    with pytest.warns(UserWarning, match="of 4 layers 3 train nothing, the first is layer 0"):
        again.train()


class FitsTwo(Model):
    """Memory runs out at more than two images, at once or after some steps."""

    def __init__(self, network: Network, steps: int) -> None:
        super().__init__(network)
        self.steps = steps

    def forward(self, images: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        if self.training and len(images) > 2:
            if not self.steps:
                raise RuntimeError("CUDA out of memory. Tried to allocate")
            self.steps -= 1
        return super().forward(images, labels)


def batch_found(steps: int, folder: Path, **options: Any) -> Any:
    trainer = make_trainer(make_network(), folder, 1, **options)
    trainer.args.auto_find_batch_size = True
    trainer.model = trainer.model_wrapped = FitsTwo(trainer.model.network, steps)
    callback = add_freezing(trainer, network="network", layers=LAYERS, t0=0.5)
    trainer.train()
    return callback.freezing


def test_a_training_that_begins_anew_with_a_smaller_batch(tmp_path: Path) -> None:
    for steps in (0, 5):
        freezing = batch_found(steps, tmp_path, optimizers=(None, None))
        assert freezing.steps == EPOCHS * IMAGES // 2
        assert freezing.frozen > 1
    with pytest.raises(InputError, match="give a new trainer a new model and a smaller per_device_train_batch_size"):
        batch_found(0, tmp_path)  # its optimizer is the user's, which cannot be made anew
    with pytest.raises(InputError, match="give a new trainer a new model and a smaller per_device_train_batch_size"):
        batch_found(80, tmp_path, optimizers=(None, None))  # frozen layers do not thaw


def test_bad_input(tmp_path: Path) -> None:
    trainer = make_trainer(make_network(), tmp_path, 1)
    with pytest.raises(InputError, match=r"network must be the name of a submodule, got net. Known: network."):
        add_freezing(trainer, network="net", layers=LAYERS)
    add_freezing(trainer, layers=LAYERS)
    with pytest.raises(InputError, match="no module is named like"):
        trainer.train()
    with pytest.raises(InputError, match=r"criterion.reduction must be mean, got sum"):
        MixtureLoss(GaussianMixtureHead(4, 3), GaussianMixtureLoss(reduction="sum"))
    with pytest.raises(InputError, match="head must be the one that the model calls"):
        MixtureLoss(GaussianMixtureHead(4, 3), GaussianMixtureLoss())({}, torch.zeros(2, dtype=torch.int64))


def test_reentrant_checkpointing_is_told(tmp_path: Path) -> None:
    trainer = make_trainer(make_network(), tmp_path, 1)
    trainer.args.gradient_checkpointing = True
    trainer.args.gradient_checkpointing_kwargs = {"use_reentrant": True}
    with pytest.warns(UserWarning, match="use_reentrant=True gives the first layer behind the frozen ones no gradient"):
        add_freezing(trainer, network="network", layers=LAYERS)


@pytest.mark.parametrize("accumulated", [1, 3])
def test_the_gaussian_mixture_loss(accumulated: int, tmp_path: Path) -> None:
    def begun(seed: int = 0) -> tuple[Network, GaussianMixtureLoss]:
        network = make_network(seed)
        network.head = GaussianMixtureHead(4, 3, covariance="diagonal", variances="tracked")
        return network, GaussianMixtureLoss(margin=ramp(0.5, steps=20))

    expected, criterion = begun()
    optimizer = sgd(expected)
    batches = make_batches(EPOCHS)
    for step, start in enumerate(range(0, len(batches), accumulated)):
        criterion.set_step(step)
        for images, labels in batches[start : start + accumulated]:
            (criterion(expected.head, expected.features(images), labels) / accumulated).backward()
        optimizer.step()
        optimizer.zero_grad()
    steps = len(batches) // accumulated
    for resumed in (False, True):
        network, criterion = begun(seed=9 * resumed)
        assert isinstance(network.head, GaussianMixtureHead)
        loss = MixtureLoss(network.head, criterion)
        trainer = make_trainer(network, tmp_path, accumulated, steps // 2, compute_loss_func=loss, callbacks=[loss])
        trainer.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{steps // 2}") if resumed else None)
        assert_equal(network, expected)
        assert float(criterion.margin) == float(ramp(0.5, steps=20)(steps - 1))


@pytest.mark.parametrize("accumulated", [1, 3])
def test_gradient_similarity_in_a_trainer(accumulated: int, tmp_path: Path) -> None:
    similarity = GradientSimilarity(use_average=True)

    class Similar(transformers.Trainer):  # type: ignore[misc, name-defined, unused-ignore]
        def training_step(self, model: Model, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
            model.train()
            losses = two_losses(model.network, **self._prepare_inputs(inputs))
            main, auxiliary = (loss / self.current_gradient_accumulation_steps for loss in losses)
            backward(self.accelerator, similarity, main, auxiliary)
            found: Tensor = main.detach()
            return found

    expected = make_network()
    by_hand = GradientSimilarity(use_average=True)
    train_similar(expected, sgd(expected), by_hand, EPOCHS, accumulated)
    steps = EPOCHS * 24 // accumulated
    network = make_network()
    model_optimizer = sgd(network)
    save_with(model_optimizer, similarity=similarity)
    make_trainer(network, tmp_path, accumulated, steps // 2, kind=Similar, optimizers=(model_optimizer, None)).train()
    assert_equal(network, expected)
    resumed = make_network(seed=9)
    similarity = GradientSimilarity(use_average=True)
    model_optimizer = sgd(resumed)
    save_with(model_optimizer, similarity=similarity)
    trainer = make_trainer(resumed, tmp_path / "again", accumulated, kind=Similar, optimizers=(model_optimizer, None))
    trainer.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{steps // 2}"))
    assert_equal(resumed, expected)
    torch.testing.assert_close(similarity.state_dict(), by_hand.state_dict(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("prepared_first", [True, False])
@pytest.mark.parametrize(("kind", "accumulated"), BOTH)
def test_freezing_under_accelerate(kind: str, accumulated: int, prepared_first: bool, tmp_path: Path) -> None:
    technique, options = KINDS[kind]
    expected = make_network()
    optimizer = sgd(expected)
    steps = EPOCHS * 24 // accumulated
    by_hand = technique(expected, optimizer, steps=steps, layers=LAYERS, **options)
    train(expected, optimizer, by_hand, EPOCHS, accumulated)

    def run(network: Network, first: int, last: int, load: bool) -> Any:
        accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=accumulated)
        optimizer = sgd(network)
        if prepared_first:
            network, optimizer = accelerator.prepare(network, optimizer)
        freezing = technique(network, optimizer, steps=steps, layers=LAYERS, **options)
        save_with(optimizer, freezing=freezing)
        if not prepared_first:
            network, optimizer = accelerator.prepare(network, optimizer)
        if load:
            accelerator.load_state(str(tmp_path))
        for images, labels in batches(accelerator, make_batches(EPOCHS)[first:last], accumulated):
            if not freezing.begun:
                freezing.step()
            accelerator.backward(F.cross_entropy(network(images), labels))
            optimizer.step()
            optimizer.zero_grad()
        return accelerator, freezing

    middle = 2 * 24
    accelerator, _ = run(make_network(), 0, middle, load=False)
    accelerator.save_state(str(tmp_path))
    _, freezing = run(resumed := make_network(seed=9), middle, EPOCHS * 24, load=True)
    assert_equal(resumed, expected)
    assert freezing.frozen == by_hand.frozen


def batches(accelerator: Any, batches: Sequence[tuple[Tensor, Tensor]], accumulated: int) -> Any:
    """Each batch within `accumulate`."""
    for batch in batches:
        with accelerator.accumulate():
            yield batch


@pytest.mark.parametrize("accumulated", [1, 3])
def test_gradient_similarity_under_accelerate(accumulated: int) -> None:
    expected, network = make_network(), make_network()
    similarity = GradientSimilarity()
    train_similar(expected, sgd(expected), similarity, EPOCHS, accumulated)
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=accumulated)
    network, optimizer = accelerator.prepare(network, sgd(network))
    similarity = GradientSimilarity()
    told = []
    for images, labels in batches(accelerator, make_batches(EPOCHS), accumulated):
        losses = two_losses(accelerator.unwrap_model(network), images, labels)
        told.append(backward(accelerator, similarity, *losses) is not None)
        optimizer.step()
        optimizer.zero_grad()
    assert_equal(network, expected)
    assert told == [(number + 1) % accumulated == 0 for number in range(EPOCHS * 24)]
