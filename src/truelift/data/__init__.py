"""Where images come from, how they are split and augmented, and how they reach the device."""

from truelift.data.batches import Batches
from truelift.data.dataset import ImageSet, Splits
from truelift.data.loading import load
from truelift.data.named import resolve_augmentation
from truelift.data.options import AugmentationOptions, DataOptions
from truelift.data.tasks import pick_task, rotate

__all__ = [
    "AugmentationOptions",
    "Batches",
    "DataOptions",
    "ImageSet",
    "Splits",
    "load",
    "pick_task",
    "resolve_augmentation",
    "rotate",
]
