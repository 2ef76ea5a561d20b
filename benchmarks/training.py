"""Images a CPU-second of training: truelift, eager and compiled, against a plain PyTorch script and against Lightning.

    make bench NAME=training                            # images drawn at random; the work does not depend on them
    .venv/bin/python -P benchmarks/training.py --data.path FOLDER_OF_CIFAR10_PARQUET
    .venv/bin/python -P benchmarks/training.py --compile

ResNet-20 (the same module in every arm), batch 128, SGD with Nesterov momentum, crop and flip, one thread each.

    truelift        defaults: bf16, channels-last, resident data, batched augmentation, fused optimizer, allocator
    compiled        the same with `compile = true` (with --compile)
    bare            truelift's parts in a loop by hand: nothing recorded, no policy but the schedule, no checkpoint
    plain fp32      fp32, PIL pipeline a sample at a time, DataLoader without workers, SGD as it comes
    lightning bf16  the same pipeline under Lightning's Trainer with precision="bf16-mixed"

Every repeat runs each arm once, in a process of its own, one after the other; processor seconds of the process are
counted from the tenth step on. The figures are medians of the repeats' ratios.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from truelift.data import DataOptions, ImageSet, Splits, load
from truelift.models import CifarResNet, initialise
from truelift.training import Experiment, resolve
from truelift.training.build import Training, assemble
from truelift.training.compilation import compile_now
from truelift.training.hardware import keep_pages
from truelift.training.loop import fit
from truelift.training.policies import Policy, Progress

WARM_UP, STEPS, BATCH = 10, 30, 128
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def images(path: str | None) -> ImageSet:
    n = (WARM_UP + STEPS) * BATCH
    if path is not None:
        options = DataOptions(name="cifar10", path=path, train_images=n, validation_fraction=0, test_images=100)
        return load(options, split_seed=0).train
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (n, 32, 32, 3), dtype=torch.uint8, generator=generator).permute(0, 3, 1, 2)
    return ImageSet(pixels, torch.randint(10, (n,), generator=generator))


class PilDataset(Dataset[tuple[Tensor, int]]):
    """As torchvision's CIFAR10 with RandomCrop(32, 4), RandomHorizontalFlip, ToTensor and Normalize."""

    def __init__(self, data: ImageSet) -> None:
        self.pixels = data.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = data.labels.tolist()
        self.mean, self.std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        image = ImageOps.expand(Image.fromarray(self.pixels[i]), 4)
        x, y = torch.randint(9, (2,)).tolist()
        image = image.crop((x, y, x + 32, y + 32))
        if torch.rand(()) < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        return tensor.sub_(self.mean).div_(self.std), self.labels[i]


class Clock:
    """Images a CPU-second over the steps after the warm-up."""

    def __init__(self) -> None:
        self.steps = 0
        self.began = 0.0

    def __call__(self) -> None:
        self.steps += 1
        if self.steps == WARM_UP:
            self.began = time.process_time()

    def speed(self) -> float:
        return (self.steps - WARM_UP) * BATCH / (time.process_time() - self.began)


class Counted(Policy):
    """Tells a clock of every step."""

    name = "counted"

    def __init__(self, clock: Clock) -> None:
        self.stepped = clock  # type: ignore[method-assign]


def network() -> CifarResNet:
    net = CifarResNet(20, 10)
    initialise(net, 0)
    return net


def assembled(data: ImageSet, *, compiled: bool = False) -> Training:
    keep_pages()
    splits = Splits(data, None, data.subset(torch.arange(BATCH)), tuple(map(str, range(10))), 0)
    experiment = resolve(Experiment(data=DataOptions(name="cifar10"), epochs=1, batch_size=BATCH, compile=compiled))
    training = assemble(experiment, splits)
    compile_now(training)
    return training


def run_truelift(data: ImageSet, *, compiled: bool = False) -> float:
    training = assembled(data, compiled=compiled)
    clock = Clock()
    training.policies.append(Counted(clock))
    with TemporaryDirectory() as folder:
        fit(training, lambda line: None, Path(folder) / "checkpoint.pt", 1e9)
        return clock.speed()


def run_compiled(data: ImageSet) -> float:
    return run_truelift(data, compiled=True)


def run_bare(data: ImageSet) -> float:
    t, clock = assembled(data), Clock()
    (schedule,) = (policy for policy in t.policies if policy.name == "learning_rate")
    t.network.train()
    for step, batch in enumerate(t.batches.epoch(0)):
        schedule(Progress(step, t.steps_per_epoch, t.steps, None))
        with t.autocast:
            losses, _ = t.objective(t.network, batch)
        losses["cross_entropy"].backward()
        t.optimizer.step()
        t.optimizer.zero_grad()
        clock()
    return clock.speed()


def run_plain(data: ImageSet) -> float:
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    clock = Clock()
    for batch, labels in DataLoader(PilDataset(data), BATCH, shuffle=True, drop_last=True):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(batch), labels)
        loss.backward()
        optimizer.step()
        clock()
    return clock.speed()


def run_lightning(data: ImageSet) -> float:
    warnings.simplefilter("ignore")
    import lightning

    clock = Clock()

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net: nn.Module = network()

        def training_step(self, batch: Any, index: int) -> Tensor:
            return F.cross_entropy(self.net(batch[0]), batch[1])

        def on_train_batch_end(self, *_: Any) -> None:
            clock()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)

    trainer = lightning.Trainer(
        accelerator="cpu", precision="bf16-mixed", max_epochs=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(Module(), DataLoader(PilDataset(data), BATCH, shuffle=True, drop_last=True))
    return clock.speed()


ARMS: dict[str, Callable[[ImageSet], float]] = {
    "truelift": run_truelift,
    "compiled": run_compiled,
    "bare": run_bare,
    "plain fp32": run_plain,
    "lightning bf16": run_lightning,
}


def median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))


def measured(arm: str, path: str | None) -> float:
    command = [sys.executable, "-P", __file__, "--arm", arm, *(["--data.path", path] if path else [])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{arm} failed:\n{done.stderr}")
    return float(done.stdout.split()[-1])


def repeats(n: int, path: str | None, arms: Iterable[str]) -> Iterator[dict[str, float]]:
    for number in range(n):
        speeds = {arm: measured(arm, path) for arm in arms}
        print(f"repeat {number + 1}: " + ", ".join(f"{arm} {speed:.0f}" for arm, speed in speeds.items()), flush=True)
        yield speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data.path", dest="path")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.arm:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        print(ARMS[arguments.arm](images(arguments.path)))
        return
    arms = [arm for arm in ARMS if arguments.compile or arm != "compiled"]
    rows = list(repeats(arguments.repeats, arguments.path, arms))
    for arm in arms:
        print(f"{arm:15} {median(row[arm] for row in rows):6.0f} images a CPU-second (median)")
    over_plain = median(row["truelift"] / row["plain fp32"] for row in rows)
    over_lightning = median(row["truelift"] / row["lightning bf16"] for row in rows)
    figures = {"eager_over_plain_fp32": round(over_plain, 2), "over_lightning_bf16": round(over_lightning, 2)}
    figures["loop_overhead"] = round(median(row["bare"] / row["truelift"] for row in rows), 3)
    if arguments.compile:
        figures["over_plain_fp32"] = round(median(row["compiled"] / row["plain fp32"] for row in rows), 2)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
