"""Weights to start a training from: a file's, or those that others have published."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from truelift.errors import InputError
from truelift.models.classifier import Classifier
from truelift.models.external import library
from truelift.models.imagenet_resnet import ImageNetResNet
from truelift.models.published import check_publishable, published_name
from truelift.models.weights import copy_trained, read_tensors
from truelift.own import raised

PUBLISHED = "published"
"""In place of a file: torchvision's newest weights for the network of the same depth."""


def start_from(network: Classifier, weights: str) -> None:
    """Copy trained weights into a network of this package, in place; `initialise` leaves them as they are.

    A file has the network's own names, as `save_weights` writes them, or those of torchvision and timm for a network
    that they publish weights for. A head of another kind (an objective's own), or for another number of classes, is
    left out: the network's is initialised at random.

    Args:
        network: As built.
        weights: A safetensors file or a state dict of torch.save, or `PUBLISHED`.

    Raises:
        InputError: There is no such file, or it does not fit the network, which then is as before.
    """
    if weights == PUBLISHED:
        assert isinstance(network, ImageNetResNet), "`check_start` refuses other networks"
        tensors, source = _published(network), f"torchvision's resnet{network.depth}"
    else:
        tensors, source = read_tensors(path := Path(weights).expanduser()), str(path)
    given_name: Callable[[str], str] = str
    if isinstance(network, ImageNetResNet) and "fc.weight" in tensors:
        check_publishable(network)
        given_name = published_name
    copied_head = copy_trained(network, network.head, tensors, given_name, source)
    head = set(network.head.modules())
    network.keep_weights(module for module in network.modules() if copied_head or module not in head)


def weights_digest(weights: str | None) -> str | None:
    """Sixteen hexadecimal digits that change with the tensors of a file to start from, in whatever order they stand.

    What else a file holds, as metadata, changes its bytes and no training.

    Args:
        weights: As `start_from` takes it; None: none are given.

    Returns:
        None where it is no file, or one that cannot be read.
    """
    if weights is None or weights == PUBLISHED:
        return None
    try:
        tensors = read_tensors(Path(weights).expanduser())
    except InputError:
        return None
    sha = hashlib.sha256()
    for name, tensor in sorted(tensors.items(), key=lambda item: str(item[0])):
        sha.update(repr((name, tensor.dtype, tuple(tensor.shape))).encode())
        sha.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()[:16]


def check_start(weights: str, published: bool, model: str) -> None:
    """Refuse weights that are not there, without reading them.

    Args:
        weights: As `start_from` takes it.
        published: Whether there are published weights for the network.
        model: Its name, for messages.

    Raises:
        InputError: There is no such file, or there are no published weights.
    """
    if weights == PUBLISHED:
        if not published:
            raise InputError(
                f"model.weights must be a file for {model}: published are those of imagenet-resnet18, 34, 50, 101 and "
                f'152, got "{weights}".'
            )
        library("torchvision", 'model.weights "published"')
    elif not Path(weights).expanduser().is_file():
        raise InputError(f'model.weights must be "published" or a file that exists, got "{weights}".')


def _published(network: ImageNetResNet) -> Mapping[str, Tensor]:
    models = library("torchvision", 'model.weights "published"').models
    try:
        newest = models.get_model_weights(f"resnet{network.depth}").DEFAULT
        found: Mapping[str, Tensor] = newest.get_state_dict(progress=False, check_hash=True)
    except Exception as error:
        raise InputError(f'model.weights "published" cannot be had: torchvision {raised(error)}.') from error
    return found
