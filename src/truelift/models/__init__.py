"""The networks that techniques are judged on."""

from truelift.models.adapted import Adapted, Whole, adapt
from truelift.models.build import ModelOptions, build_model, canonical, check_image_size, check_model, earlier_meaning
from truelift.models.cifar_resnet import CifarResNet
from truelift.models.classifier import Classifier, Embedded
from truelift.models.densenet import DenseNet
from truelift.models.external import is_short_form
from truelift.models.imagenet_resnet import ImageNetResNet
from truelift.models.initialise import initialise
from truelift.models.published import load_published
from truelift.models.short_cnn import ShortCnn
from truelift.models.small_cnn import SmallCnn
from truelift.models.vgg import Vgg
from truelift.models.weights import load_weights, save_weights
from truelift.models.whitening import WhiteningConvolution, whitening_layers
from truelift.models.wide_resnet import WideResNet

__all__ = [
    "Adapted",
    "CifarResNet",
    "Classifier",
    "DenseNet",
    "Embedded",
    "ImageNetResNet",
    "ModelOptions",
    "ShortCnn",
    "SmallCnn",
    "Vgg",
    "WhiteningConvolution",
    "Whole",
    "WideResNet",
    "adapt",
    "build_model",
    "canonical",
    "check_image_size",
    "check_model",
    "earlier_meaning",
    "initialise",
    "is_short_form",
    "load_published",
    "load_weights",
    "save_weights",
    "whitening_layers",
]
