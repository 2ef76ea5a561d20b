"""Webdataset shards: tar files in which KEY.jpg is an image and KEY.cls, KEY.json or KEY.txt its label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from truelift.data.archives import COMPRESSED_TAR, read_tars, refuse_compressed
from truelift.data.class_names import read_class_names
from truelift.data.columns import ColumnOptions, find_splits, refuse_columns, with_label
from truelift.data.files import files_ending, is_hidden, say
from truelift.data.image_formats import image_endings
from truelift.data.labels import Raw, number_labels
from truelift.data.listing import Labels, Listing, Source, part_of
from truelift.data.members import Member, list_members
from truelift.data.sample_labels import ENDINGS, Sample, read_label, read_splits
from truelift.data.split_columns import SPLITS, Told, Words, divide_and_say, find_told, words_of
from truelift.data.split_names import match_splits
from truelift.data.tar_files import tar_members
from truelift.errors import InputError

_BY_ITSELF = ColumnOptions()


def shard_files(path: Path) -> list[Path]:
    """The tar files at `path`: itself, or those in the folder and its subfolders, sorted; empty where none."""
    if path.is_file():
        refuse_compressed(path)
        return [path] if path.suffix.lower() == ".tar" else []
    found = files_ending(path, (".tar",))
    if found and (others := files_ending(path, COMPRESSED_TAR)):
        raise InputError(f"{others[0]}: a shard must be an uncompressed tar file.")
    return found


def read_shards(path: Path, options: ColumnOptions = _BY_ITSELF, usual_label: str | None = None) -> Source:
    """The images of one shard, or of a folder of them; nothing is extracted.

    Files are matched to splits by their names (see `split_names`), and a key in KEY.json that is named for splits is
    read (see `split_columns`); where labels are in KEY.cls, only if the first KEY.json has such. A key is a member's
    name up to the first dot of its last part. A label is a class number in KEY.cls; where no shard has such or a key is
    wanted, the label in KEY.json (a key named label, class and the like, or the one that is wanted); where none has
    these either, the line in KEY.txt. Class numbers are named by `classes.txt` or `classes.json` beside the shards (see
    `class_names`), otherwise by themselves. Members of other endings are left out. A test set without any label is one
    that can be predicted alone. Tar files whose images have no labels, and of the training set lie in folders, are read
    as these folders (see `archives`).

    Args:
        path: A tar file, or a folder with some.
        options: Which keys of KEY.json hold what, as the user gives them.
        usual_label: The key of the label that the data set's name means.

    Raises:
        InputError: A file is no uncompressed tar file, is cut off, or cannot be matched to a split; a key has an image
            and no label, or the other way round, or one of them twice; a label is none; or there is no image.
    """
    files = shard_files(path)
    by_split = match_splits(path, files)
    members = {file: tar_members(file) for file in files}
    if not any(map(_has_labels, members.values())) and any(_has_folders(members[file]) for file in by_split["train"]):
        refuse_columns(options, "class folders")
        return read_tars(path, members)
    refuse_columns(options, "shards", ("label_column", "label_columns", "label_separator"))
    found = {split: [_samples(file, members[file]) for file in its] for split, its in by_split.items()}
    wanted = options.label_column is not None or options.label_columns is not None
    ending = _label_ending(found["train"], ("json",) if wanted else ENDINGS) or _label_ending(found["train"], ENDINGS)
    if ending in ("cls", "txt"):
        refuse_columns(options, f"labels in KEY.{ending}", ("label_separator",) if ending == "txt" else ())
    options = with_label(options, usual_label)
    read = {split: _read(samples, split, ending or ENDINGS[0], options) for split, samples in found.items()}
    raw = {split: part for split, (part, _) in read.items()}
    if not raw["train"].values:
        raise InputError(f"no image found: {by_split['train'][0]} holds no KEY.jpg with a KEY.cls")
    told = {split: its for split, (_, its) in read.items() if its is not None}
    beside = ending != "json" and len(by_split) > 1
    rows = divide_and_say(str(path), _telling(told) if beside else told, by_split)
    whole = raw["train"]
    raw |= {split: whole.part(numbers) for split, numbers in rows.items()}
    numbered = number_labels(raw, read_class_names(path))
    if ending != "cls":
        say(f"{path}: labels are those in KEY.{ending}, of {len(numbered.classes)} classes")
    listings = {split: _list(samples, numbered.labels[split]) for split, samples in found.items()}
    listings |= {split: part_of(listings["train"], numbers, numbered.labels[split]) for split, numbers in rows.items()}
    return numbered.source(listings)


@dataclass
class _Samples:
    """What one shard holds, by key."""

    file: Path
    images: dict[str, Member] = field(default_factory=dict)
    labels: dict[str, dict[str, Member]] = field(default_factory=lambda: {ending: {} for ending in ENDINGS})
    """By ending."""


def _has_labels(members: Sequence[Member]) -> bool:
    """Whether an image has a file beside it that would be its label."""
    parts = [_key_and_ending(member.name) for member in members]
    images = {key for key, ending in parts if f".{ending}" in image_endings()}
    return any(key in images or ending == "cls" for key, ending in parts if ending in ENDINGS)


def _has_folders(members: Sequence[Member]) -> bool:
    """Whether an image lies in a folder."""
    parts = (_key_and_ending(member.name) for member in members)
    return any("/" in key.removeprefix("./") for key, ending in parts if f".{ending}" in image_endings())


def _key_and_ending(name: str) -> tuple[str, str]:
    """The key is the name up to the first dot of its last part.

    >>> _key_and_ending("a.b/x.seg.PNG")
    ('a.b/x', 'seg.png')
    """
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return folder + slash + stem, ending.lower()


def _samples(file: Path, members: Sequence[Member]) -> _Samples:
    """The images and the label files of one tar file by key."""
    found = _Samples(file)
    for member in members:
        key, ending = _key_and_ending(member.name)
        is_image = f".{ending}" in image_endings()
        if ending.endswith(".cls") and not is_hidden(member.name.rpartition("/")[2]):
            raise InputError(f"{file}: {member.name} must be KEY.cls, with a key that has no dot")
        if not (is_image or ending in ENDINGS):
            continue
        if not member.regular:
            raise InputError(f"{file}: {member.name} must be a regular file, no link or the like")
        place = found.images if is_image else found.labels[ending]
        if key in place:
            kind = "images" if is_image else "classes" if ending == "cls" else f"{ending} files"
            raise InputError(f"{file}: {key} has two {kind}")
        place[key] = member
    return found


def _label_ending(samples: Sequence[_Samples], endings: Sequence[str]) -> str | None:
    """The ending of the files that labels are taken from; None where there are none beside an image."""
    return next((e for e in endings if any(sample.labels[e].keys() & sample.images.keys() for sample in samples)), None)


def _read(samples: Sequence[_Samples], split: str, ending: str, options: ColumnOptions) -> tuple[Raw, Told | None]:
    """The labels of a split in the order of its images, and what is told of their splits."""
    values: list[Any] = []
    splits: list[list[Mapping[str, Any]]] = [[] for _ in samples]
    keys = [(sample.file, key) for sample in samples for key in sample.images]
    bare = split == "test" and not any(sample.labels[ending] for sample in samples)  # no labels: none is missing
    for sample, its in zip(samples, splits, strict=True):
        labels = sample.labels[ending]
        for key in sample.images:
            if key not in labels and not bare:
                raise InputError(f"{sample.file}: {key} has an image but no {key}.{ending}")
            read = Sample(None) if bare else read_label(sample.file, key, ending, labels[key], options)
            values.append(read.label)
            its.append(read.splits)
        # A .txt or .json without an image may be anything; a class may not.
        if ending == "cls" and (lone := labels.keys() - sample.images.keys()):
            raise InputError(f"{sample.file}: {min(lone)} has a class but no image (jpg, png and the like)")

    def place(index: int) -> str:
        return "{} member {}".format(*keys[index])

    splits = splits if ending == "json" else _splits_beside(samples, options)
    return Raw(values, place), find_told([_by_key(its, options) for its in splits], [*map(len, splits)], place)


def _telling(told: Mapping[str, Told]) -> Mapping[str, Told]:
    """What KEY.json tells of splits beside labels in other files; nothing where it means something else by the word."""
    trained = told.get("train")
    row = None if trained is None or not trained.words.tell else trained.words.outside(SPLITS)
    if trained is None or row is None:
        return told
    say(f'{trained.says(row)}: splits are told by the names of the files, not by "{trained.column}"')
    return {}


def _splits_beside(samples: Sequence[_Samples], options: ColumnOptions) -> list[list[Mapping[str, Any]]]:
    """What KEY.json says of the split of each image of each shard, where the labels are in other files.

    To read one more file an image takes a while, which sets whose first says nothing of splits need not wait for.
    """

    def read(sample: _Samples, key: str) -> Mapping[str, Any]:
        member = sample.labels["json"].get(key)
        return {} if member is None else read_splits(sample.file, key, member, options)

    first = next(((sample, key) for sample in samples for key in sample.images if key in sample.labels["json"]), None)
    if first is None or not read(*first):
        return [[{}] * len(sample.images) for sample in samples]
    return [[read(sample, key) for key in sample.images] for sample in samples]


def _by_key(splits: Sequence[Mapping[str, Any]], options: ColumnOptions) -> dict[str, Words]:
    """What a shard's samples say, by the keys that are named for splits."""
    keys = find_splits([*dict.fromkeys(key for said in splits for key in said)], options)
    return {key: words_of([said.get(key) for said in splits]) for key in keys}


def _list(samples: Sequence[_Samples], labels: Labels) -> Listing:
    keys = [key for sample in samples for key in sample.images]
    numbers = [number for number, sample in enumerate(samples) for _ in sample.images]
    members = [member for sample in samples for member in sample.images.values()]
    return list_members([str(sample.file) for sample in samples], keys, numbers, members, labels)
