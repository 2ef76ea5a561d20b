"""Where images come from, how they are split and augmented, and how they reach the device."""

from truelift.data.any_images import digest_any, load_any
from truelift.data.augmentations import AugmentationOptions, build_changes
from truelift.data.batch import Batch
from truelift.data.batches import Batches
from truelift.data.dataset import Images, ImageSet, Splits
from truelift.data.digest import DataState
from truelift.data.listing import Listing, Source
from truelift.data.loading import Unlabelled, load, load_unlabelled, state_now
from truelift.data.make import ImageBatches, growing_sides, make_batches
from truelift.data.named import resolve_augmentation
from truelift.data.options import DataOptions, resolve_data
from truelift.data.order import Share
from truelift.data.paired import PairedBatches
from truelift.data.photographs import Photographs
from truelift.data.preprocessing import Preprocess, PreprocessingOptions, fit_preprocessing
from truelift.data.streamed import StreamedBatches
from truelift.data.tasks import pick_task, rotate

__all__ = [
    "AugmentationOptions",
    "Batch",
    "Batches",
    "DataOptions",
    "DataState",
    "ImageBatches",
    "ImageSet",
    "Images",
    "Listing",
    "PairedBatches",
    "Photographs",
    "Preprocess",
    "PreprocessingOptions",
    "Share",
    "Source",
    "Splits",
    "StreamedBatches",
    "Unlabelled",
    "build_changes",
    "digest_any",
    "fit_preprocessing",
    "growing_sides",
    "load",
    "load_any",
    "load_unlabelled",
    "make_batches",
    "pick_task",
    "resolve_augmentation",
    "resolve_data",
    "rotate",
    "state_now",
]
