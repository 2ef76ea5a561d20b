"""Changes by name: ours (added to the registry for a test) and a user's own, by import path."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from image_files import write_photographs
from torch import Tensor

from truelift.data import (
    AUGMENTATIONS,
    AugmentationOptions,
    Batch,
    Batches,
    ImageSet,
    Photographs,
    Share,
    StreamedBatches,
    resolve_augmentation,
)
from truelift.data.augment import augment
from truelift.data.augmentations.base import Around
from truelift.data.folder import read_folder
from truelift.data.order import WHOLE
from truelift.errors import InputError
from truelift.seeds import derive

IDENTITY = {"mean": (0.0,) * 3, "std": (1 / 255,) * 3}
STANDARD = AugmentationOptions(crop_padding=2, flip=True, cutout=3)


def image_set(n: int = 40) -> ImageSet:
    pixels = torch.randint(0, 256, (n, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return ImageSet(pixels.permute(0, 3, 1, 2), torch.arange(n) % 4)


def batches(options: AugmentationOptions, **changes: object) -> Batches:
    settings = {**IDENTITY, "order_seed": 1, "augmentation": options, "augment_seed": 2, **changes}
    return Batches(image_set(), 8, **settings)  # type: ignore[arg-type]


class Mixing:
    """Mean of each image and the one before it; labels likewise."""

    stage = "inputs"

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        shares = torch.nn.functional.one_hot(labels, self.classes).float()
        return (images + images.roll(1, 0)) / 2, (shares + shares.roll(1, 0)) / 2


class Adding:
    """A number below 50 to each image, 255 + 1 = 0."""

    stage = "pixels"

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        images += torch.randint(0, 50, (len(images), 1, 1, 1), generator=generator).byte()  # in place, as is allowed
        return images, labels


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def mixing(options: AugmentationOptions, around: Around) -> Mixing:
        assert around.image_shape[0] == 3
        return Mixing(around.classes)

    monkeypatch.setitem(AUGMENTATIONS, "mixing", mixing)
    monkeypatch.setitem(AUGMENTATIONS, "adding", lambda options, around: Adding())


@pytest.fixture
def own(tmp_path: Path) -> Callable[[str], str]:
    def write(source: str) -> str:
        file = tmp_path / f"my{len(list(tmp_path.glob('*.py')))}.py"
        file.write_text(source)
        return str(file)

    return write


def added(images: Tensor, *place: int, name: str = "adding", most: int = 50) -> Tensor:
    drawn = torch.Generator().manual_seed(derive(2, *place, name))
    return images + torch.randint(0, most, (len(images), 1, 1, 1), generator=drawn).byte()


@pytest.mark.usefixtures("ours")
def test_changes_come_after_the_standard_ones_and_leave_their_draws() -> None:
    data = image_set()
    fill = torch.zeros(3, dtype=torch.uint8)
    order = torch.Generator()
    for number, (x, y, _) in enumerate(batches(replace(STANDARD, names=("adding",))).epoch(3)):
        order.manual_seed(derive(1, 3))
        indices = torch.randperm(40, generator=order)[number * 8 :][:8]
        standard = augment(
            data.subset(indices).images, STANDARD, fill, torch.Generator().manual_seed(derive(2, 3, number))
        )
        assert torch.equal(x, added(standard, 3, number).float())
        assert torch.equal(y, data.labels[indices])


@pytest.mark.usefixtures("ours")
def test_inputs_are_changed_after_normalisation_and_labels_become_shares() -> None:
    plain, mixed = batches(STANDARD), batches(replace(STANDARD, names=("mixing",)), classes=5)
    for one, other in zip(plain.epoch(1), mixed.epoch(1), strict=True):
        images, labels = Mixing(5)(one.images, one.labels, torch.Generator())
        assert torch.equal(other.images, images)
        assert torch.equal(other.labels, labels)
        assert other.labels.shape == (8, 5)
        assert other.images.is_contiguous(memory_format=torch.channels_last)
    whole = list(mixed.epoch(1))
    shares = [list(batches(replace(STANDARD, names=("mixing",)), share=Share(part, 2)).epoch(1)) for part in range(2)]
    for batch, one, other in zip(whole, *shares, strict=True):
        assert torch.equal(torch.cat((one.images, other.images)), batch.images)
        assert torch.equal(torch.cat((one.labels, other.labels)), batch.labels[:, :4])


@pytest.mark.usefixtures("ours")
def test_several_in_order_and_resumed(own: Callable[[str], str]) -> None:
    file = own("def double(images, generator):\n    return images * 2\n")
    path = f"{file}:double"
    forwards, backwards = (batches(replace(STANDARD, names=names)) for names in (("adding", path), (path, "adding")))
    plain = next(batches(STANDARD).epoch(0)).images.byte()
    assert torch.equal(next(forwards.epoch(0)).images, (added(plain, 0, 0) * 2).float())
    assert torch.equal(next(backwards.epoch(0)).images, added(plain * 2, 0, 0).float())
    whole = list(forwards.epoch(1))
    assert torch.equal(next(forwards.epoch(1, start=3)).images, whole[3].images)
    assert torch.equal(forwards.at(5 + 3).images, whole[3].images)


def test_own_ones_of_every_form(own: Callable[[str], str]) -> None:
    source = """
import torch
def function(images, labels, generator, most=50):
    drawn = torch.randint(0, most, (len(images), 1, 1, 1), generator=generator).byte()
    return images + drawn, labels
class Kind:
    def __init__(self, classes, most=50):
        assert classes == 4
        self.most = most
    def __call__(self, images, generator):
        return function(images, None, generator, self.most)[0]
def factory(image_shape, most):
    assert image_shape == (3, 8, 8)
    return lambda images, generator: function(images, None, generator, most)[0]
"""
    file = own(source)
    plain = next(batches(STANDARD).epoch(0)).images.byte()
    for name, args, most in (("function", {}, 50), ("Kind", {"most": 9}, 9), ("factory", {"most": 5}, 5)):
        options = replace(STANDARD, names=(f"{file}:{name}",), args=args)
        batch = next(batches(options).epoch(0))
        expected = added(plain, 0, 0, name=f"{Path(file).name}:{name}", most=most)  # wherever the file lies
        assert torch.equal(batch.images, expected.float())
        assert batch.labels.dtype == torch.int64


@pytest.mark.parametrize(
    ("source", "args", "message"),
    [
        (
            "def f(images): return images[:, :1]",
            {},
            r"must give images as it gets them, uint8 \(8, 3, 8, 8\)",
        ),
        ("def f(images): return images.float()", {}, r"got float32 \(8, 3, 8, 8\) on cpu"),
        ("def f(images): return 3", {}, r"must return images, or \(images, labels\), got int"),
        ("def f(images, labels): return images, labels + 1", {}, r"must give labels in 0..3\."),
        (
            "def f(images, labels): return images, labels.int()",
            {},
            r"must give labels, int64 \(8,\) of 0..3",
        ),
        ("def f(images, labels): return images, labels.new_ones((8, 4)).float()", {}, "shares of the classes, .*sum 1"),
        ("def f(images): return 1 / 0", {}, r'"\S+:f" raised ZeroDivisionError: division by zero \(my0.py, line 1\)'),
        ("def f(images, most): return images", {"mots": 1}, r'takes no args.mots. Did you mean "most"\?'),
        ("def f(images, most): return images", {}, "needs args.most"),
        ("def f(classes): return 3", {}, "must give something that can be called, got int"),
        ("def f(classes): return lambda picture: picture", {}, "must take images, .*it takes picture"),
        ("def f(images): return images\nf.stage = 'after'", {}, "stage must be pixels or inputs, got after"),
    ],
)
def test_bad_own_ones_are_refused_when_the_training_is_put_together(
    own: Callable[[str], str], source: str, args: dict[str, object], message: str
) -> None:
    options = replace(STANDARD, names=(f"{own(source)}:f",), args=args)
    with pytest.raises(InputError, match=message):
        batches(options)


@pytest.mark.usefixtures("ours")
def test_options(own: Callable[[str], str]) -> None:
    path = f"{own('def f(images): return images')}:f"
    wrong = [
        ({"names": ("addnig",)}, 'unknown augmentation "addnig". Did you mean "adding"'),
        ({"names": ("adding", "adding")}, "augmentation.names must be different names, each once"),
        ({"names": ("adding",), "args": {"a": 1}}, "augmentation.args must be left out where .*none of your own"),
        ({"names": (path, path + ".x"), "args": {"a": 1}}, 'has no "x"|several of your own'),
        ({"views": 0}, "augmentation.views must be at least 1 and at most 100000, got 0"),
    ]
    for changes, message in wrong:
        with pytest.raises(InputError, match=message):
            resolve_augmentation(AugmentationOptions(**changes), "digits")  # type: ignore[arg-type]
    none = AugmentationOptions(crop_padding=0, flip=False)
    assert not none.anew
    assert replace(none, names=("adding",)).anew
    assert not replace(none, names=("adding",), views=2).anew


@pytest.mark.usefixtures("ours")
def test_views_take_changes_of_pixels_alone(own: Callable[[str], str]) -> None:
    options = AugmentationOptions(crop_padding=0, flip=False, names=("adding",), views=2)
    seen = batches(options)
    first, again = (torch.cat(list(seen.stored(epoch))) for epoch in (0, 2))
    assert torch.equal(first, again)
    seed = derive(2, "view", 0)
    drawn = torch.Generator().manual_seed(derive(seed, 0, "adding"))
    expected = image_set().images + torch.randint(0, 50, (40, 1, 1, 1), generator=drawn).byte()
    assert torch.equal(first, expected.float())
    assert not torch.equal(torch.cat(list(seen.stored(1))), first)
    with pytest.raises(InputError, match=r"augmentation.views must be left out with mixing, made after normalisation"):
        batches(replace(options, names=("mixing",)))
    path = f"{own('def f(images, labels): return images, labels * 0')}:f"
    with pytest.raises(InputError, match=r"augmentation.views must be left out with \S+:f, which changes labels too"):
        batches(replace(options, names=(path,)))


@pytest.mark.usefixtures("ours")
def test_streamed_photographs_are_changed_too(tmp_path: Path) -> None:
    listing = read_folder(write_photographs(tmp_path, {"a": 6, "b": 6})).train
    images = Photographs(
        listing, np.arange(12), torch.from_numpy(listing.labels), side=16, crop=0.875, skip=False, workers=0
    )

    def streamed(*names: str, share: Share = WHOLE) -> list[Batch]:
        options = AugmentationOptions(crop_padding=0, flip=True, resized_crop_area=0.08, names=names)
        return list(
            StreamedBatches(
                images,
                4,
                **IDENTITY,
                order_seed=1,
                augmentation=options,
                augment_seed=2,
                share=share,  # type: ignore[arg-type]
            ).epoch(1)
        )

    plain = streamed()
    for number, (one, other) in enumerate(zip(plain, streamed("adding"), strict=True)):
        assert torch.equal(other.images, added(one.images.byte(), 1, number).float())
    for one, other in zip(plain, streamed("mixing"), strict=True):
        mixed, shares = Mixing(2)(one.images, one.labels, torch.Generator())
        assert torch.equal(other.images, mixed)
        assert torch.equal(other.labels, shares)
    for number, (one, other) in enumerate(
        zip(streamed(share=Share(1, 2)), streamed("adding", share=Share(1, 2)), strict=True)
    ):
        assert torch.equal(other.images, added(one.images.byte(), 1, number, 1, name="adding").float())
