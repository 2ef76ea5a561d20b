"""Networks from elsewhere: a user's own by import path, timm's and torchvision's by their names there."""

import difflib
import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from truelift.errors import InputError
from truelift.models.adapted import Adapted, adapt, with_new_head
from truelift.models.classifier import Classifier
from truelift.own import call, load, parameters, raised, refuse_unknown

LIBRARIES = ("timm", "torchvision")
"""What can stand before the colon in place of a module: `timm:resnet18`."""

# torchvision's networks that must be told the images' side.
_TORCHVISION_SIZED = {"vit_": "image_size", "maxvit": "input_size"}


def is_short_form(path: str) -> bool:
    """Whether a path names one of a library's networks: timm:resnet18."""
    return path.partition(":")[0] in LIBRARIES


def check_external(path: str, args: Mapping[str, Any]) -> None:
    """Refuse a path that names nothing to call, or args it does not take, without building anything.

    Raises:
        InputError: It is to be refused; the nearest name is told.
    """
    source, _, name = path.partition(":")
    if source not in LIBRARIES:
        takes, takes_all = parameters(load(path, "model"))
        if not takes_all:
            refuse_unknown("model", path, args, list(takes))
        return
    module = library(source, f'model "{path}"')
    if source == "timm":
        if ":" in name or module.is_model(name):  # with a colon a name on a hub, which is not listed
            return
        known = module.list_models()
    else:
        known = module.models.list_models(module=module.models)
        if name in known:
            return
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f' Did you mean "{source}:{nearest[0]}"?' if nearest else ""
    raise InputError(f'unknown model "{path}": {source} has no "{name}".{hint}')


def build_external(
    path: str,
    args: Mapping[str, Any],
    *,
    classes: int,
    in_channels: int,
    image_size: tuple[int, int],
    head: str | None = None,
    weights: str | None = None,
) -> Classifier:
    """The network that a path names, with its head apart where it has one.

    A callable `package.module:name` or `file.py:name` is given those of `classes`, `num_classes`, `in_channels`,
    `in_chans` and `image_size` (one number where the images are square, else height and width) that it has parameters
    for. timm's and torchvision's networks are given what they take of it; `args` are theirs: for pretrained weights
    `pretrained = true` (timm) or `weights = "DEFAULT"` (torchvision). A pretrained network for other classes gets a new
    head.

    Its initial weights are its own, and drawn from torch's generator: seed it before.

    Raises:
        InputError: It cannot be built, gives no network, or the network gives no logits.
    """
    source, _, name = path.partition(":")
    check_external(path, args)
    if source == "timm":
        network = _timm(path, name, args, classes, in_channels, image_size)
    elif source == "torchvision":
        network = _torchvision(path, name, args, classes, in_channels, image_size)
    else:
        height, width = image_size
        network = call(
            "model",
            path,
            load(path, "model"),
            args,
            classes=classes,
            num_classes=classes,
            in_channels=in_channels,
            in_chans=in_channels,
            image_size=height if height == width else image_size,
        )
    if not isinstance(network, nn.Module):
        raise InputError(f'model "{path}" must give a torch.nn.Module, got {type(network).__name__}.')
    pretrained = source == "torchvision" and args.get("weights") is not None
    adapted = adapt(
        network,
        path,
        classes=None if pretrained else classes,
        in_channels=in_channels,
        image_size=image_size,
        head=head,
        weights=None if weights is None else Path(weights).expanduser(),
    )
    if pretrained:
        _match_classes(adapted, path, classes)
    return adapted


def _timm(
    path: str, name: str, args: Mapping[str, Any], classes: int, in_channels: int, image_size: tuple[int, int]
) -> Any:
    timm = library("timm", f'model "{path}"')
    given: dict[str, Any] = {"num_classes": classes, "in_chans": in_channels}
    config = None if ":" in name else timm.get_pretrained_cfg(name)
    if getattr(config, "fixed_input_size", False):
        given["img_size"] = image_size
    return call("model", path, timm.create_model, {"model_name": name, **given, **args})


def _torchvision(
    path: str, name: str, args: Mapping[str, Any], classes: int, in_channels: int, image_size: tuple[int, int]
) -> Any:
    torchvision = library("torchvision", f'model "{path}"')
    if in_channels != 3:
        raise InputError(f'model "{path}" takes images of 3 channels, the data have {in_channels}. See timm:{name}.')
    given: dict[str, Any] = {} if args.get("weights") is not None else {"num_classes": classes}
    for start, option in _TORCHVISION_SIZED.items():
        if name.startswith(start):
            given[option] = image_size if option == "input_size" else image_size[0]
    return call("model", path, torchvision.models.get_model, {"name": name, **given, **args})


def _match_classes(network: Classifier, path: str, classes: int) -> None:
    """Give a pretrained network a head for `classes` classes, unless it has one."""
    if isinstance(network, Adapted):
        if getattr(network.head, "out_features", None) != classes:
            with_new_head(network, classes)
        return
    raise InputError(
        f'model "{path}" has pretrained weights, and no linear head that could be put in for other classes.'
    )


def library(name: str, wanted: str) -> Any:
    """An optional package.

    Args:
        name: The package.
        wanted: What needs it, for messages.

    Raises:
        InputError: It is not installed, or cannot be imported.
    """
    if importlib.util.find_spec(name) is None:
        raise InputError(f"{wanted} needs the package {name}, which is not installed: pip install {name}")
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise InputError(f"{wanted} needs the package {name}, which cannot be imported: it {raised(error)}.") from error
