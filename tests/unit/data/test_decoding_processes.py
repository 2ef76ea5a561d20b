import gc
import multiprocessing
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.unit.data.image_files import write_photographs

from truelift.data.augmentations import AugmentationOptions
from truelift.data.folder import read_folder
from truelift.data.photographs import Photographs
from truelift.data.streamed import StreamedBatches
from truelift.processes import LINUX

CROP = AugmentationOptions(crop_padding=0, resized_crop_area=0.08, flip=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """23 photographs of two classes."""
    found: Path = write_photographs(tmp_path / "photographs", {"a": 11, "b": 12})
    return found


def training(folder: Path) -> StreamedBatches:
    listing = read_folder(folder).train
    labels = torch.from_numpy(listing.labels)
    images = Photographs(listing, np.arange(len(labels)), labels, side=24, crop=0.875, skip=False, workers=2)
    return StreamedBatches(images, 4, mean=(0.5,) * 3, std=(0.2,) * 3, order_seed=1, augmentation=CROP, augment_seed=2)


def new_children(before: set[int]) -> list[int]:
    return [child.pid for child in multiprocessing.active_children() if child.pid and child.pid not in before]


def test_processes_end_with_batches_that_were_left_in_the_middle_of_an_epoch(folder: Path) -> None:
    before = set(new_children(set()))
    batches = training(folder)
    batches.at(1)
    assert len(new_children(before)) == 2
    began = time.monotonic()
    del batches
    gc.collect()
    assert new_children(before) == []
    assert time.monotonic() - began < 4  # torch waits 5 s for a process that has not heard of its end


@pytest.mark.skipif(not LINUX, reason="elsewhere who sent a signal is not known")
def test_a_process_ends_by_its_trainings_sigterm_alone(folder: Path) -> None:
    before = set(new_children(set()))
    batches = training(folder)
    batches.at(0)
    first, second = new_children(before)
    subprocess.run(["/bin/sh", "-c", f"kill -TERM {first} {second}"], check=True)
    time.sleep(0.3)
    assert new_children(before) == [first, second]
    batches.at(1)
    os.kill(first, signal.SIGTERM)
    deadline = time.monotonic() + 4
    while first in new_children(before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert new_children(before) == [second]
