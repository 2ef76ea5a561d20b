"""A linear support vector machine on what the network has learned. N images, D features, K classes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch

from truelift.data import ImageBatches, Splits
from truelift.data.splits import subset
from truelift.errors import require
from truelift.options import POSITIVE, Conflict, OneOf, Only, Registry, at_least
from truelift.records import Predictions
from truelift.seeds import derive
from truelift.training.afterwards.base import Afterwards, End, require_every_class
from truelift.training.evaluation import evaluation_batches, scores

if TYPE_CHECKING:  # its settings name what is here
    from truelift.training.parts import Training

# Ten times scikit-learn's own: what a network has fitted is nearly separable, and then a fit takes longer.
_MOST_ITERATIONS = 10_000


def linear_svm(
    options: "ProbeOptions", training: "Training", splits: Splits, predictions: dict[str, Predictions]
) -> tuple[dict[str, Predictions], dict[str, float]]:
    """The predictions of a linear support vector machine on the features, and metrics beside them.

    For each class k, against all others, with z the D features before the head, each less its mean and over
    its standard deviation on the training images (without augmentation), and y_k = 1 for an image of class k, else −1,

        min over w_k, b_k of  ½·(‖w_k‖² + b_k²) + C·Σ over training images of max(0, 1 − y_k·(w_k·z + b_k))²;

    predicted is the class with the largest w_k·z + b_k. There are no probabilities and so no loss.

    Args:
        options: C, and how many images it is fitted on.
        training: At its end.
        splits: Its images.
        predictions: The head's, for each held-out split.

    Returns:
        The predictions for the same splits, and head_SPLIT_error, head_SPLIT_accuracy and svm_converged: 1, or 0 where
        the fit ended at 10,000 iterations, of which scikit-learn also warns.

    Source:
        scikit-learn's LinearSVC (Fan et al., "LIBLINEAR", JMLR 2008), with its own default C = 1.
    """
    seed = derive(training.experiment.seed, "probe")
    # Here, because it takes a second, and every run imports this file.
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    train = splits.train
    if options.images is not None and options.images < len(train):
        chosen = subset(train.labels.numpy(), options.images, seed=seed, least=1)
        train = train.subset(torch.from_numpy(chosen))
    batches = evaluation_batches(train, splits, training.preprocess, training.device)
    svm = LinearSVC(C=options.c, max_iter=_MOST_ITERATIONS, random_state=seed % 2**32)
    classifier = make_pipeline(StandardScaler(), svm).fit(*_features(training, batches))

    judged, metrics = {}, {"svm_converged": float(svm.n_iter_ < _MOST_ITERATIONS)}
    for split, held_out in training.evaluations.items():
        features, labels = _features(training, held_out)
        judged[split] = Predictions(labels, classifier.predict(features), np.empty(0, np.float32))
        of_head = scores(predictions[split], split)
        metrics |= {f"head_{name}": of_head[name] for name in (f"{split}_accuracy", f"{split}_error")}
    return judged, metrics


Probe = Callable[["ProbeOptions", "Training", Splits, dict[str, Predictions]], Any]

PROBES: Registry[Probe | None] = Registry("probe", {"none": None, "linear-svm": linear_svm})


@dataclass(frozen=True, kw_only=True)
class ProbeOptions:
    """After training: another classifier on the features that the network has learned."""

    name: Annotated[str, OneOf(PROBES)] = "none"
    """linear-svm: a linear support vector machine takes the head's place; its errors and predictions are the run's."""

    c: Annotated[float, POSITIVE, Only("name", "linear-svm")] = 1.0
    """The weight of its errors against that of the margin, scikit-learn's C; above 0."""

    images: Annotated[int | None, at_least(1, 1_000_000_000), Only("name", "linear-svm")] = None
    """Largest number of training images to fit on, at least 1. Default: all."""

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between these options."""
        yield "name", self.name in PROBES, f"one of {', '.join(PROBES)}, none of your own"


def build(options: ProbeOptions, splits: Splits) -> Afterwards:
    """What puts the probe's predictions in the head's place, where there is a probe.

    Raises:
        InputError: It would be fitted on fewer images than there are classes.
    """
    classes, probe = len(splits.classes), PROBES.find(options.name)
    fits = options.images is None or options.images >= classes
    require("probe.images", options.images, fits, f"at least {classes}, one a class")
    if probe is not None:
        require_every_class(splits, "probe")

    def probed(end: End) -> End:
        if probe is None:
            return end
        predictions, beside = probe(options, end.training, end.splits, end.predictions)
        return replace(end, predictions=predictions, metrics=end.metrics | beside)

    return probed


@torch.inference_mode()
def _features(training: "Training", batches: ImageBatches) -> tuple[np.ndarray, np.ndarray]:
    """The features before the head, float64 (N, D), and the labels, int64 (N,)."""
    training.network.eval()
    parts = []
    for images, labels, _ in batches.epoch(0):
        with training.autocast:
            parts.append((training.network.features(images).double(), labels))
    columns = [torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True)]
    return columns[0], columns[1]
