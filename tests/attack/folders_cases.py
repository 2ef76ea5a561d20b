"""Folder trees: layouts that can be read in two ways, links in circles, pipes, names of every kind, empty folders."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from tests.attack.case import Attack, Case, command
from tests.attack.images_cases import encoded, loaded

# To each tree the folders that hold three sound images, and whether it must be refused.
_TREES: tuple[tuple[tuple[str, ...], bool | None], ...] = (
    (("cat", "dog"), False),
    (("train/cat", "train/dog", "test/cat", "test/dog"), False),
    (("Training/cat", "Training/dog", "Testing/cat", "Testing/dog"), False),
    (("train_set/cat", "train_set/dog", "val_set/cat", "val_set/dog", "test_set/cat", "test_set/dog"), False),
    ((), True),
    (("cat",), True),
    (("",), True),
    (("train/cat",), True),
    (("train", "test"), True),
    (("train/cat", "train/dog", "test"), True),
    (("test/cat", "test/dog"), True),
    (("valid/cat", "valid/dog"), True),
    (("train/cat", "train/dog", "test/cat", "test/bird"), True),
    (("train/cat", "train/dog", "training/cat", "training/dog"), True),
    (("train/cat", "train/dog", "extra/cat", "extra/dog"), True),
    (("train/cat", "train/dog", "val/cat", "val/dog", "valid/cat", "valid/dog"), True),
    (("cat/train", "cat/test", "dog/train", "dog/test"), True),
    (("cat", "dog", "train"), None),
    (("cat", "dog", "test"), None),
    (("cat", "dog", ".cache"), False),
    (("cat", "dog", "cat/.thumbs"), False),
    (("cat", "dog", "__MACOSX/cat"), False),
    (("cat", "dog", ""), True),
    (("cat/a/b/c/d", "dog/e"), False),
    (("a\nb", "dog"), False),
    (("\x1b[2J", "dog"), False),
    (("\u202ecat", "dog"), False),
    (("\udcff", "dog"), None),
    (("=1+1", "<b>x</b>"), False),
    (("é", "e\u0301"), False),
    (("cat", "Cat"), False),
    (("0", "00"), False),
    (("x" * 255, "dog"), False),
    (tuple(f"class{i}" for i in range(300)), None),
)
_NAMES = ("train", "test", "val", "cat", "dog", "Train", "training_set", "images", "data", ".hidden", "a b", "1", "é")


def cases(random: Random, number: int) -> Iterator[Case]:
    """The table, then so many trees drawn by chance."""
    for tree, bad in _TREES:
        told = ", ".join(tree[:6])
        yield _tree(f"{told!a:.150}", tree, bad)
        yield _tree(f"{told!a:.150}, streamed", tree, bad, resize=4, stream=True, workers=0)
    for name, make in _ODD.items():
        yield Case(f"folders: {name}", _prepared(make), bad=name not in _SOUND)
        yield Case(f"folders: train on {name}", _trained(make), bad=name not in _SOUND or None, seconds=60)
    for options in _OPTIONS:
        yield _tree(f"options {options}", ("cat", "dog"), True, **options)
    for i in range(number):
        depth = random.choice((1, 2, 2, 3))
        tree = tuple("/".join(random.choices(_NAMES, k=depth)) for _ in range(random.randint(1, 6)))
        yield _tree(f"drawn {i}: {tree!a:.120}", tree, None)


_OPTIONS: tuple[dict[str, object], ...] = (
    {"train_images": 10**6},
    {"train_images": 1},
    {"test_images": 10**6},
    {"validation_images": 10**6},
    {"validation_images": 3},
    {"test_fraction": 0.0},
    {"test_fraction": 1.0},
    {"test_fraction": 1e-9},
    {"resize": 0},
    {"resize": 10**9},
    {"stream": True},
    {"stream": True, "resize": 4, "progressive": ()},
    {"stream": True, "resize": 4, "progressive": (0,)},
    {"workers": 3},
    {"evaluation_crop": 0.0, "stream": True, "resize": 4},
)


def _tree(name: str, folders: tuple[str, ...], bad: bool | None, **options: object) -> Case:
    def prepare(folder: Path) -> Attack:
        data = folder / "data"
        data.mkdir()
        for inner in folders:
            (data / inner).mkdir(parents=True, exist_ok=True)
            for i in range(3):
                (data / inner / f"{i}.png").write_bytes(encoded())
        return loaded(**options)

    return Case(f"folders: {name}", prepare, bad, seconds=60)


def _images(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(3):
        (folder / f"{i}.png").write_bytes(encoded())


def _circle(data: Path) -> None:
    _images(data / "cat")
    _images(data / "dog")
    (data / "cat" / "again").symlink_to(data, target_is_directory=True)


def _self_link(data: Path) -> None:
    _images(data / "cat")
    _images(data / "dog")
    (data / "bird").symlink_to("bird")


def _class_pipe(data: Path) -> None:
    _images(data / "cat")
    os.mkfifo(data / "dog")


def _all_pipe(data: Path) -> None:
    os.mkfifo(data)


def _a_file(data: Path) -> None:
    data.write_bytes(encoded())


def _to_root(data: Path) -> None:
    data.symlink_to("/proc/self/fd")


def _empty_file(data: Path) -> None:
    data.write_bytes(b"")


def _deep(data: Path) -> None:
    _images(data / "dog")
    _images(data / "cat" / Path(*["a"] * 400))


def _linked_classes(data: Path) -> None:
    _images(data.parent / "elsewhere" / "x")
    _images(data.parent / "elsewhere" / "y")
    data.mkdir()
    (data / "cat").symlink_to(data.parent / "elsewhere" / "x")
    (data / "dog").symlink_to(data.parent / "elsewhere" / "y")


def _mixed(data: Path) -> None:
    _images(data / "cat")
    _images(data / "dog")
    (data / "train.parquet").write_bytes(b"no parquet")


def _text_only(data: Path) -> None:
    for name in ("cat", "dog"):
        (data / name).mkdir(parents=True)
        (data / name / "x.txt").write_text("x")


def _pickle(data: Path) -> None:
    data.write_bytes(b"cos\nsystem\n(S'touch /tmp/attack-has-run'\ntR.")


_ODD: dict[str, Callable[[Path], None]] = {
    "a circle of links": _circle,
    "a class that is a link to itself": _self_link,
    "a class that is a pipe": _class_pipe,
    "data that are a pipe": _all_pipe,
    "data that are one image": _a_file,
    "data that are an empty file": _empty_file,
    "data that are a pickle": _pickle,
    "a folder of the system": _to_root,
    "deep folders": _deep,
    "classes that are links": _linked_classes,
    "a parquet file beside classes": _mixed,
    "classes without images": _text_only,
}
_SOUND = ("a circle of links", "a class that is a link to itself", "deep folders", "classes that are links")


def _prepared(make: Callable[[Path], None]) -> Callable[[Path], Attack]:
    def prepare(folder: Path) -> Attack:
        make(folder / "data")
        return loaded()

    return prepare


def _trained(make: Callable[[Path], None]) -> Callable[[Path], Attack]:
    def prepare(folder: Path) -> Attack:
        make(folder / "data")
        # Of one image a batch: what is sound comes to its network, and is refused there without a training.
        return command("train", "--data.path", "data", "--model", "resnet8", "--batch_size", "1", "--epochs", "1")

    return prepare
