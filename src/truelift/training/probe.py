"""A linear support vector machine on what the network has learned. N images, D features, K classes."""

import numpy as np
import torch

from truelift.data import ImageBatches, Splits
from truelift.data.splits import subset
from truelift.records import Predictions
from truelift.seeds import derive
from truelift.training.assembly import Training, evaluation_batches
from truelift.training.evaluation import scores

# Ten times scikit-learn's own: what a network has fitted is nearly separable, and then a fit takes longer.
_MOST_ITERATIONS = 10_000


def apply_probe(
    training: Training, splits: Splits, predictions: dict[str, Predictions]
) -> tuple[dict[str, Predictions], dict[str, float]]:
    """What the run is judged by, and metrics beside it: the head's own predictions, or the probe's where one is wanted.

    linear-svm: for each class k, against all others, with z the D features before the head, each less its mean and over
    its standard deviation on the training images (without augmentation), and y_k = 1 for an image of class k, else −1,

        min over w_k, b_k of  ½·(‖w_k‖² + b_k²) + C·Σ over training images of max(0, 1 − y_k·(w_k·z + b_k))²;

    predicted is the class with the largest w_k·z + b_k. There are no probabilities and so no loss.

    Args:
        training: At its end.
        splits: Its images.
        predictions: The head's, for each held-out split.

    Returns:
        The predictions for the same splits, and head_SPLIT_error, head_SPLIT_accuracy and svm_converged: 1, or 0 where
        the fit ended at 10,000 iterations, of which scikit-learn also warns. None of these without a probe.

    Source:
        scikit-learn's LinearSVC (Fan et al., "LIBLINEAR", JMLR 2008), with its own default C = 1.
    """
    options, seed = training.experiment.probe, derive(training.experiment.seed, "probe")
    if options.name == "none":
        return predictions, {}
    # Here, because it takes a second, and every run imports this file.
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    train = splits.train
    if options.images is not None and options.images < len(train):
        chosen = subset(train.labels.numpy(), options.images, seed=seed, least=1)
        train = train.subset(torch.from_numpy(chosen))
    batches = evaluation_batches(train, splits, training.preprocess, training.experiment.device)
    svm = LinearSVC(C=options.c, max_iter=_MOST_ITERATIONS, random_state=seed % 2**32)
    classifier = make_pipeline(StandardScaler(), svm).fit(*_features(training, batches))

    judged, metrics = {}, {"svm_converged": float(svm.n_iter_ < _MOST_ITERATIONS)}
    for split, held_out in training.evaluations.items():
        features, labels = _features(training, held_out)
        judged[split] = Predictions(labels, classifier.predict(features), np.empty(0, np.float32))
        of_head = scores(predictions[split], split)
        metrics |= {f"head_{name}": of_head[name] for name in (f"{split}_accuracy", f"{split}_error")}
    return judged, metrics


@torch.inference_mode()
def _features(training: Training, batches: ImageBatches) -> tuple[np.ndarray, np.ndarray]:
    """The features before the head, float64 (N, D), and the labels, int64 (N,)."""
    training.network.eval()
    parts = []
    for images, labels in batches.epoch(0):
        with training.autocast:
            parts.append((training.network.features(images).double(), labels))
    columns = [torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True)]
    return columns[0], columns[1]
