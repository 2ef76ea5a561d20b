"""The networks that techniques are judged on."""

from truelift.models.build import ModelOptions, build_model, check_image_size
from truelift.models.cifar_resnet import CifarResNet
from truelift.models.classifier import Classifier, Embedded
from truelift.models.initialise import initialise

__all__ = ["CifarResNet", "Classifier", "Embedded", "ModelOptions", "build_model", "check_image_size", "initialise"]
