"""From options to the images of an experiment: find, choose, decode."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from truelift.data.columns import refuse_columns
from truelift.data.dataset import Images, ImageSet, Splits
from truelift.data.decode import Pixels, as_rgb, decode_indices, is_bright, require_bright
from truelift.data.decoded import decode_splits
from truelift.data.digest import DataState, state_of
from truelift.data.digits import read_digits
from truelift.data.folds import fold_numbers
from truelift.data.hub import download
from truelift.data.layouts import read_path
from truelift.data.listing import IntArray, Labels, Listing, Source, strata
from truelift.data.named import NAMED, NamedSet
from truelift.data.options import DIGITS, DataOptions
from truelift.data.photographs import find_photographs
from truelift.data.splits import TEST_SEED, cut, subset
from truelift.errors import InputError, one_line
from truelift.options import check
from truelift.own import is_import_path
from truelift.seeds import derive


def load(options: DataOptions, *, split_seed: int) -> Splits:
    """Finds the images, chooses those of each split, and decodes only them; with `stream`, none yet.

    In this order: with `folds`, one of them is the test set; else without a test set, one is cut off training by a
    fixed seed; `test_images` of it are kept by a fixed seed; `train_images` of the rest are kept by the split seed;
    without a validation set, one is cut off those by the split seed, or as the last `validation_images` of them. So
    nothing but `test_fraction`, `test_images`, `folds` and `fold` changes the test set.

    Args:
        options: Where the images come from and how they are split.
        split_seed: Used where `options.split_seed` is None; any integer.

    Raises:
        InputError: An option is out of range or does not fit the data, or the data cannot be read.
    """
    check(options, "data.")
    source = find_source(options)
    if source.left_out and options.on_error == "stop":
        raise InputError(
            f"{source.left_out[0]}: an image must be {source.belongs}, {len(source.left_out)} are beside them; "
            "--data.on_error skip leaves such out"
        )
    if source.unlabelled is not None and options.unlabelled_test == "stop":
        raise InputError(
            f"{source.unlabelled.place(0)}: the test set has no labels, so that it can be predicted and not judged; "
            "--data.unlabelled_test cut leaves it aside and cuts a test set off training"
        )
    chosen = _choose(source, options, split_seed if options.split_seed is None else options.split_seed)
    if options.stream:
        photographs = {split: find_photographs(*part, options) for split, part in chosen.items()}
        return Splits(
            photographs["train"],
            photographs.get("validation"),
            photographs["test"],
            source.classes,
            len(source.left_out),
            state=state_of(source),
        )
    decoded = decode_splits(chosen, options)
    if not any(is_bright(pixels) for pixels, _ in decoded.values()):
        require_bright(*chosen["train"])
    sets = _image_sets(decoded)
    train = sets["train"]
    _require_decoded(source, source.train.labels[chosen["train"][1]], train.labels.numpy())
    skipped = sum(len(indices) for _, indices in chosen.values()) - sum(map(len, sets.values())) + len(source.left_out)
    return Splits(train, sets.get("validation"), sets["test"], source.classes, skipped, state=state_of(source))


@dataclass(frozen=True)
class Unlabelled:
    """A test set without labels, to be predicted.

    Attributes:
        images: Their labels are −1.
        places: Where each lies, in the same order.
        skipped: How many could not be decoded and were left out.
    """

    images: Images
    places: Sequence[str]
    skipped: int


def load_unlabelled(options: DataOptions) -> Unlabelled:
    """The test set without labels of a data set, decoded as `load` decodes the others.

    Raises:
        InputError: There is none, or it cannot be read.
    """
    check(options, "data.")
    listing = find_source(options).unlabelled
    if listing is None:
        raise InputError(f"data.path must hold a test set without labels, got {options.path or options.name}")
    every = np.arange(len(listing.labels))
    if options.stream:
        return Unlabelled(find_photographs(listing, every, options), [*map(listing.place, every.tolist())], 0)
    pixels, decoded = decode_indices(listing, every, resize=options.resize, on_error=options.on_error)
    images = _image_set(pixels, listing.labels[decoded])
    return Unlabelled(images, [*map(listing.place, decoded.tolist())], len(every) - len(decoded))


def _require_decoded(source: Source, wanted: Labels, decoded: Labels) -> None:
    """Refuse a class none of whose training images can be decoded.

    Raises:
        InputError: There is one.
    """
    if source.several:
        gone = np.flatnonzero(wanted.any(axis=0) & ~decoded.any(axis=0))
    else:
        gone = np.setdiff1d(wanted, decoded)
    if len(gone):
        raise InputError(f'no training image of class "{source.classes[gone[0]]}" can be decoded')


def state_now(options: DataOptions) -> DataState:
    """The state of the data that `load` would read; nothing is decoded.

    Raises:
        InputError: The data cannot be found or read.
    """
    return state_of(find_source(options))


def find_source(options: DataOptions) -> Source:
    """Where the images that `options` name lie, with their labels; nothing is decoded.

    Raises:
        InputError: The data cannot be found or read.
    """
    known = NAMED.find(options.name) if options.path is None else NAMED.get(options.name)
    named = known if isinstance(known, NamedSet) else None
    if options.path is None:
        if is_import_path(options.name):
            from truelift.data.own_source import read_own  # which imports pyarrow

            return read_own(options.name, known, options.args, options)
        if options.name == DIGITS:
            refuse_columns(options, "the digits")
            return read_digits()
        assert named is not None, "what else has been found"
        if named.repository is None:
            raise InputError(f"data.path must be given for {options.name}, which is not on the hub for everybody.")
        path = download(named.repository)
    else:
        if options.name == DIGITS:
            raise InputError(
                "data.name must name what data.path holds (the bundled digits, its default, are not read from a path), "
                'got "digits"'
            )
        path = Path(options.path)
    if not path.exists():
        raise InputError(f"data.path must be an existing file or folder, got {path}")
    try:
        return read_path(path, options, None if named is None else named.label_column)
    except OSError as error:
        raise InputError(f"data.path cannot be read: {one_line(error)}") from error


def _choose(source: Source, options: DataOptions, seed: int) -> dict[str, tuple[Listing, IntArray]]:
    """For each split the listing that its images come from and their indices in it; see `load` for the order."""
    labels = strata(source.train.labels)
    train = np.arange(len(labels))
    if options.folds is not None:
        held_out = fold_numbers(labels, options.folds) == options.fold
        test_listing, train, test = source.train, np.flatnonzero(~held_out), np.flatnonzero(held_out)
    elif source.test is None:
        test_listing = source.train
        train, test = _cut(train, labels, options.test_fraction, "test", TEST_SEED)
    else:
        test_listing, test = source.test, np.arange(len(source.test.labels))
    if options.test_images is not None:
        if options.test_images > len(test):
            raise InputError(f"data.test_images must be at most {len(test)}, all there are, got {options.test_images}")
        test = test[subset(strata(test_listing.labels)[test], options.test_images, seed=TEST_SEED)]
    if options.train_images is not None:
        n_classes = len(np.unique(labels))
        if not n_classes <= options.train_images <= len(train):
            raise InputError(
                f"data.train_images must be in {n_classes}..{len(train)} (one a class, all there are), "
                f"got {options.train_images}"
            )
        train = train[subset(labels[train], options.train_images, seed=derive(seed, "train_images"), least=1)]
    chosen = {"train": (source.train, train), "test": (test_listing, test)}
    if options.validation_images is not None:
        train, validation = _cut_last(source, train, options.validation_images)
        chosen |= {"train": (source.train, train), "validation": (source.train, validation)}
    elif source.validation is not None:
        chosen["validation"] = (source.validation, np.arange(len(source.validation.labels)))
    elif options.validation_fraction > 0:
        train, validation = _cut(train, labels, options.validation_fraction, "validation", derive(seed, "validation"))
        chosen |= {"train": (source.train, train), "validation": (source.train, validation)}
    return chosen


def _cut(indices: IntArray, labels: IntArray, fraction: float, split: str, seed: int) -> tuple[IntArray, IntArray]:
    try:
        kept, off = cut(labels[indices], fraction, seed=seed)
    except InputError as error:
        raise InputError(f"data.{split}_fraction={fraction}: no {split} set in the data, and {error}") from error
    return indices[kept], indices[off]


def _cut_last(source: Source, indices: IntArray, count: int) -> tuple[IntArray, IntArray]:
    """The order of `indices` is the data's."""
    if source.validation is not None:
        raise InputError(f"data.validation_images must be left out where the data has a validation set, got {count}")
    kept, last = indices[:-count], indices[-count:]
    lost = np.setdiff1d(strata(source.train.labels)[indices], strata(source.train.labels)[kept])
    if len(lost):
        raise InputError(
            f"data.validation_images must leave training images of every class (data sorted by class needs "
            f'data.validation_fraction), got {count} of {len(indices)}: none of class "{source.classes[lost[0]]}"'
        )
    return kept, last


def _image_sets(decoded: dict[str, tuple[Pixels, Labels]]) -> dict[str, ImageSet]:
    """The decoded splits as tensors: all RGB where one is, and of one size."""
    sizes = {split: f"{pixels.shape[2]}x{pixels.shape[1]}" for split, (pixels, _) in decoded.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{split} {size}" for split, size in sizes.items())
        raise InputError(f"images must have one size, got {listed} (width x height); set --data.resize")
    channels = max(pixels.shape[3] for pixels, _ in decoded.values())
    return {
        split: _image_set(pixels if pixels.shape[3] == channels else as_rgb(pixels), labels)
        for split, (pixels, labels) in decoded.items()
    }


def _image_set(pixels: Pixels, labels: Labels) -> ImageSet:
    # The permuted view is exactly the channels-last format: no copy.
    return ImageSet(torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.from_numpy(labels))
