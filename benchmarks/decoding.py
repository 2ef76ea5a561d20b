"""Photographs a CPU-second: the streamed loader on one core against a plain pipeline, a sample at a time.

    .venv/bin/python -P benchmarks/decoding.py --photographs FOLDER_OF_CLASS_FOLDERS

Both read JPEG files and give normalised float32 batches of 224×224.

    plain      as torchvision's: open, convert, crop, resize (bilinear), mirror, to tensor, normalise, stack; DataLoader
    pillow     StreamedBatches without workers, with the trainer's allocator settings, and without the extra `jpeg`
    truelift   the same with the extra, where it is installed

Evaluation resizes to a shorter side of 256 and crops the centre 224; training is a random resized crop and a mirroring.
Every repeat runs each arm once, in a process of its own, one after the other; the first three passes over the
photographs are not counted: in them the kernel clears the pages of two batches' memory, once in a training. The figures
are medians of the repeats' ratios. The stages are timed apart, on each photograph whole.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from truelift.data import AugmentationOptions, Photographs, StreamedBatches
from truelift.data.crops import random_box
from truelift.data.folder import read_folder
from truelift.training.hardware import keep_pages

SIDE, BATCH, FIRST, PASSES, LEAST_AREA = 224, 64, 3, 10, 0.08
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STAGES = (
    "both: decode",
    "plain: crop and resize",
    "plain: to tensor and normalise",
    "truelift: crop to bytes",
    "truelift: resize",
)
BILINEAR = Image.Resampling.BILINEAR


class Plain(Dataset[Tensor]):
    """One photograph after the other, as torchvision's transforms treat it."""

    def __init__(self, folder: Path, train: bool) -> None:
        self.files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in (".jpg", ".jpeg"))
        self.train = train
        self.random = random.Random(0)
        self.mean, self.std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> Tensor:
        with Image.open(self.files[i]) as opened:
            image = opened.convert("RGB")
        if self.train:
            image = image.crop(random_box(*image.size, LEAST_AREA, self.random)).resize((SIDE, SIDE), BILINEAR)
            if self.random.random() < 0.5:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        else:
            scale = 256 / min(image.size)
            image = image.resize((round(image.width * scale), round(image.height * scale)), BILINEAR)
            left, top = (image.width - SIDE) // 2, (image.height - SIDE) // 2
            image = image.crop((left, top, left + SIDE, top + SIDE))
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        return tensor.sub_(self.mean).div_(self.std)


def plain(folder: Path, train: bool) -> Callable[[int], Iterable[object]]:
    loader = DataLoader(Plain(folder, train), BATCH)
    return lambda number: loader


def truelift(folder: Path, train: bool) -> Callable[[int], Iterable[object]]:
    keep_pages()
    listing = read_folder(folder).train
    n = len(listing.labels)
    photographs = Photographs(
        listing, np.arange(n), torch.from_numpy(listing.labels), side=SIDE, crop=0.875, skip=False, workers=0
    )
    options = AugmentationOptions(crop_padding=0, resized_crop_area=LEAST_AREA, flip=True) if train else None
    seed = 0 if train else None
    batches = StreamedBatches(
        photographs, min(n, BATCH), mean=MEAN, std=STD, order_seed=seed, augmentation=options, augment_seed=seed
    )
    return batches.epoch


def pillow(folder: Path, train: bool) -> Callable[[int], Iterable[object]]:
    sys.modules["simplejpeg"] = None  # type: ignore[assignment]  # importing it then fails
    return truelift(folder, train)


ARMS = {
    f"{name} {part}": (build, part == "training")
    for part in ("training", "evaluation")
    for name, build in (("plain", plain), ("pillow", pillow), ("truelift", truelift))
}


def speed(folder: Path, arm: str) -> float:
    """Photographs a CPU-second over the passes after the first ones."""
    build, train = ARMS[arm]
    epoch = build(folder, train)
    began, seen = 0.0, 0
    for number in range(FIRST + PASSES):
        if number == FIRST:
            began, seen = time.process_time(), 0
        for batch in epoch(number):
            seen += len(batch[0] if isinstance(batch, tuple) else batch)  # type: ignore[arg-type]
    return seen / (time.process_time() - began)


def stages(folder: Path) -> None:
    """Where the time goes, by Pillow's decoder; truelift normalises whole batches, which is not among them."""
    spent: dict[str, float] = {}
    files = Plain(folder, train=True).files * 4
    for file in files:
        marks = [time.process_time()]
        image = Image.open(file).convert("RGB")
        marks.append(time.process_time())
        box = random_box(*image.size, LEAST_AREA, random.Random(file.name))
        cut = image.crop(box).resize((SIDE, SIDE), BILINEAR)
        marks.append(time.process_time())
        torch.from_numpy(np.array(cut)).permute(2, 0, 1).contiguous().float().div(255).sub_(0.5).div_(0.2)
        marks.append(time.process_time())
        pixels = torch.from_numpy(np.array(image.crop(box))).permute(2, 0, 1)[None]
        marks.append(time.process_time())
        F.interpolate(pixels, (SIDE, SIDE), mode="bilinear", antialias=True)
        marks.append(time.process_time())
        for stage, seconds in zip(STAGES, np.diff(marks), strict=True):
            spent[stage] = spent.get(stage, 0) + seconds
    for stage, seconds in spent.items():
        print(f"{stage:40} {1000 * seconds / len(files):.2f} ms")


def measured(folder: Path, arm: str) -> float:
    command = [sys.executable, "-P", __file__, "--photographs", str(folder), "--arm", arm]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{arm} failed:\n{done.stderr}")
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.arm:
        print(speed(arguments.photographs, arguments.arm))
        return
    stages(arguments.photographs)
    rows = []
    for number in range(arguments.repeats):
        rows.append({arm: measured(arguments.photographs, arm) for arm in ARMS})
        print(f"repeat {number + 1}: " + ", ".join(f"{arm} {value:.0f}" for arm, value in rows[-1].items()), flush=True)
    for arm in ARMS:
        print(f"{arm:20} {np.median([row[arm] for row in rows]):5.0f} photographs a CPU-second (median)")
    over = {arm: float(np.median([row[arm] / row["plain " + arm.split()[1]] for row in rows])) for arm in ARMS}
    figures = {
        "images_per_s_over_pil": over["truelift evaluation"],
        "random_crops_per_s_over_pil": over["truelift training"],
        "without_the_extra_jpeg": over["pillow evaluation"],
        "random_crops_without_the_extra_jpeg": over["pillow training"],
    }
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
