"""Can the trained network tell images it was made for from others? N images, K classes, D features.

Two kinds of others: images of no class (`DetectionOptions.outliers`), and test images moved by the fast gradient sign
method so that they are mistaken. Three scores, each larger for an image more like the training images:

    confidence   the largest class probability
    likelihood   log Σ_k p_k·N(x; μ_k, Σ_k) under the Gaussians that the network was trained with, where it was
    mahalanobis  the relative Mahalanobis score under Gaussians fitted to the training images' features afterwards

What is measured is the area under the ROC curve in percent: the chance that a test image has a higher score than one of
the others.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from truelift.data import Batch, DataOptions, Images, ImageSet, Splits, load_any
from truelift.errors import InputError
from truelift.options import PLACE, Only, above, at_least
from truelift.techniques.gaussian_mixture import FeatureGaussians
from truelift.training.afterwards.base import Afterwards, End, require_every_class
from truelift.training.evaluation import evaluation_batches
from truelift.training.objectives.heads import classifier_of, embedded

if TYPE_CHECKING:  # its settings name what is here
    from truelift.training.parts import Training


@dataclass(frozen=True, kw_only=True)
class DetectionOptions:
    """After training: how well test images can be told from images of another kind, as area under the ROC curve."""

    outliers: Annotated[str | None, PLACE] = None
    """Images that belong to no class, with labels or without: a parquet file, or a folder of such, or of images at any
    depth. A run is known by its name, wherever it lies."""

    fgsm_epsilon: Annotated[float | None, above(0, 255)] = None
    """FGSM: how far each pixel of a test image moves along the sign of the loss's gradient, in 1/255; above 0."""

    images: Annotated[int, at_least(2, 1_000_000_000), Only("outliers"), Only("fgsm_epsilon")] = 2000
    """Largest number of test images, and of images of the other kind; at least 2."""


def build(options: DetectionOptions, data: DataOptions, splits: Splits) -> Afterwards:
    """What measures the areas that `options` ask for.

    Args:
        options: Resolved.
        data: How the images of `splits` were decoded.
        splits: The experiment's images.

    Raises:
        InputError: The outliers cannot be read, or do not fit; or a class has no training images to fit a Gaussian to.
    """
    if options.outliers is not None or options.fgsm_epsilon is not None:  # a Gaussian is fitted to each class
        require_every_class(splits, "detection.outliers" if options.outliers is not None else "detection.fgsm_epsilon")
    outliers = load_outliers(options, data, splits)

    def detection(end: End) -> End:
        return replace(end, metrics=end.metrics | detect(options, end.training, end.splits, outliers))

    return detection


def load_outliers(options: DetectionOptions, data: DataOptions, splits: Splits) -> Images | None:
    """The images of no class, as evaluation sees the test images; none where the options ask for none.

    Of more than `DetectionOptions.images` so many evenly from all. Gray ones are made colour where those of training
    are.

    Raises:
        InputError: They cannot be read, or are in colour and the training images are not.
    """
    if options.outliers is None:
        return None
    channels, side, width = splits.train.shape
    if side != width:
        raise InputError(f"detection.outliers needs square training images, got {width}x{side}.")
    found = load_any(Path(options.outliers), replace(data, resize=side), most=options.images)
    if isinstance(found, ImageSet) and (found.shape[0], channels) == (1, 3):
        colour = found.images.repeat(1, 3, 1, 1).contiguous(memory_format=torch.channels_last)
        return ImageSet(colour, found.labels)
    if found.shape[0] != channels:
        raise InputError(
            f"detection.outliers must have {channels} channels, as the training images, got {found.shape[0]}."
        )
    return found


def detect(
    options: DetectionOptions, training: "Training", splits: Splits, outliers: Images | None
) -> dict[str, float]:
    """The areas under the curve, as KIND_SCORE_auroc, and KIND_auroc for the objective's own score.

    KIND is outlier or fgsm. The own score is the likelihood for Gaussians, the confidence for softmax. fgsm_accuracy is
    the accuracy on the moved images. Nothing is measured that the experiment does not ask for.
    """
    if outliers is None and options.fgsm_epsilon is None:
        return {}
    training.network.eval()
    training.objective.eval()
    scorer = _Scorer(training, splits)
    test = _some(splits.test, options.images)
    clean = scorer(_batches(training, splits, test))
    metrics: dict[str, float] = {}
    if outliers is not None:
        metrics |= _areas("outlier", clean, scorer(_batches(training, splits, outliers)), scorer.own)
    if options.fgsm_epsilon is not None:
        moved = scorer(_attacked(training, splits, test, options.fgsm_epsilon / 255))
        metrics |= _areas("fgsm", clean, moved, scorer.own)
        metrics["fgsm_accuracy"] = 100 * float(moved.right.mean())
    return metrics


def fgsm(logits: Tensor, images: Tensor, labels: Tensor, step: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """X + step·sign(∂ cross entropy / ∂x), clamped to [low, high].

    Args:
        logits: (N, K), with a graph that reaches `images`.
        images: x, (N, C, H, W).
        labels: int64 (N,).
        step: Broadcasts to x; above 0.
        low: The darkest pixel, broadcasts to x.
        high: The brightest one.

    Source:
        Goodfellow, Shlens, Szegedy, "Explaining and Harnessing Adversarial Examples", 2015, arXiv 1412.6572.
    """
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits.float(), labels, reduction="sum"), images)
    return torch.clamp(images.detach() + step * gradient.sign(), low, high)


@dataclass(frozen=True)
class _Scored:
    """What the scorer says of N images."""

    scores: dict[str, np.ndarray]
    """Each score, (N,)."""
    right: np.ndarray
    """(N,), whether the class with the largest logit is the label."""


class _Scorer:
    def __init__(self, training: "Training", splits: Splits) -> None:
        self.training = training
        self.own = "confidence" if training.objective.gaussians(training.network) is None else "likelihood"
        self.fitted: FeatureGaussians | None = None
        for images, labels, _ in _batches(training, splits, splits.train):
            features = self._features(images)
            if self.fitted is None:
                self.fitted = FeatureGaussians(features.shape[1], len(splits.classes))
            self.fitted.partial_fit(features, labels)

    def __call__(self, batches: Iterable[Batch]) -> _Scored:
        """Every image scored, in one pass through the network."""
        parts = [self._scored(images, labels) for images, labels, _ in batches]
        names = parts[0].scores
        return _Scored(
            {name: np.concatenate([part.scores[name] for part in parts]) for name in names},
            np.concatenate([part.right for part in parts]),
        )

    @torch.no_grad()
    def _scored(self, images: Tensor, labels: Tensor) -> _Scored:
        assert self.fitted is not None
        network = self.training.network
        with self.training.autocast:
            seen = embedded(network, images)
            logits = classifier_of(network)(seen).float()
        features = seen.float()
        scores = {
            "confidence": F.log_softmax(logits, 1).amax(1),
            "mahalanobis": -self.fitted.relative_mahalanobis(features),
        }
        likelihood = self.training.objective.log_likelihood(network, features)
        if likelihood is not None:
            scores["likelihood"] = likelihood
        right = (logits.argmax(1) == labels).cpu().numpy()
        return _Scored({name: values.double().cpu().numpy() for name, values in scores.items()}, right)

    @torch.no_grad()
    def _features(self, images: Tensor) -> Tensor:
        with self.training.autocast:
            return embedded(self.training.network, images).float()


def _attacked(training: "Training", splits: Splits, images: Images, epsilon: float) -> Iterator[Batch]:
    """The moved images; `epsilon` in units of the brightest pixel."""
    # The preprocessing treats each pixel by itself (`experiment.check`), so a step there is a share of black to white.
    one = torch.empty(1, *splits.train.shape, dtype=torch.uint8, device=training.device)
    low, high = (training.preprocess(torch.full_like(one, value)) for value in (0, 255))
    for batch, labels, _ in _batches(training, splits, images):
        x = batch.requires_grad_()
        with training.autocast:
            logits = training.objective.logits(training.network, x)
        yield Batch(fgsm(logits, x, labels, epsilon * (high - low), low, high), labels)


def _areas(kind: str, clean: _Scored, others: _Scored, own: str) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score  # here, because it takes a second, and every run imports this file

    truth = np.repeat([1, 0], [len(clean.right), len(others.right)])
    areas = {
        name: 100 * roc_auc_score(truth, np.concatenate([scores, others.scores[name]]))
        for name, scores in clean.scores.items()
    }
    return {f"{kind}_auroc": areas[own]} | {f"{kind}_{name}_auroc": area for name, area in areas.items()}


def _batches(training: "Training", splits: Splits, images: Images) -> Iterator[Batch]:
    return evaluation_batches(images, splits, training.preprocess, training.device).epoch(0)


def _some(images: Images, most: int) -> Images:
    """`most` images evenly from all of them, in their order: stored sets are often sorted by class."""
    if len(images) <= most:
        return images
    return images.subset(torch.linspace(0, len(images) - 1, most).round().long())
