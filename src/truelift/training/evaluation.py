"""A network's loss and error on images it is not trained on. N images, K classes."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from truelift.data import ImageBatches, Images, Preprocess, Share, Splits, make_batches
from truelift.models import Classifier
from truelift.records import LabelSetPredictions, Predictions
from truelift.training.average_precision import mean_average_precision
from truelift.training.objectives import Objective

Views = Literal["one", "flip", "flip-shift"]
"""What of an image is shown in evaluation."""

# Images a step in evaluation: large enough to keep the device busy, small enough for any memory.
EVALUATION_BATCH = 512

# Pixels a step in evaluation: of large images fewer at a time.
_EVALUATION_PIXELS = 512 * 128 * 128


def evaluation_batch_size(height: int, width: int) -> int:
    """Images of so many pixels that are shown at a time."""
    return max(1, min(EVALUATION_BATCH, _EVALUATION_PIXELS // (height * width)))


def evaluation_batches(images: Images, splits: Splits, preprocess: Preprocess, device: str) -> ImageBatches:
    """Each image once, in stored order and without augmentation."""
    batch_size = evaluation_batch_size(*images.shape[1:])
    return make_batches(images, batch_size, mean=splits.mean, std=splits.std, preprocess=preprocess, device=device)


@torch.inference_mode()
def predict(
    network: Classifier,
    objective: Objective,
    batches: ImageBatches,
    autocast: torch.autocast,
    share: Share,
    views: Views = "one",
) -> Predictions:
    """The label-free predictions for the images of a part of the batches, with batch norm in inference mode."""
    was_training = network.training
    network.eval()
    objective.eval()
    parts: list[tuple[Tensor, ...]] = []
    mine = share.range(batches.batches_per_epoch)
    for images, labels, _ in batches.epoch(0, mine.start, mine.stop):
        with autocast:
            logits = seen(lambda shown: objective.logits(network, shown), images, views)
        if labels.ndim == 2:
            parts.append((labels, logits.float().sigmoid()))
            continue
        log_probability = F.log_softmax(logits.float(), dim=1)
        true = log_probability.gather(1, labels[:, None])[:, 0]
        largest, predicted = log_probability.max(1)
        parts.append((labels, predicted, true, largest, _rank(logits.float(), labels)))
    network.train(was_training)
    objective.train(was_training)
    if not parts:  # fewer batches than processes
        return (LabelSetPredictions if batches.several_labels else Predictions).joined([])
    columns = [torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True)]
    if batches.several_labels:
        return LabelSetPredictions.of(*columns)
    all_labels, all_predicted, log_true, log_largest, rank = columns
    return Predictions(all_labels, all_predicted, np.exp(log_true), np.exp(log_largest), rank)


def _rank(logits: Tensor, labels: Tensor) -> Tensor:
    """How many classes come before the true one, int64 (N,); of equal logits the class of the lower number is first."""
    true = logits.gather(1, labels[:, None])
    lower = torch.arange(logits.shape[1], device=logits.device) < labels[:, None]
    return ((logits > true) | ((logits == true) & lower)).sum(1)


def seen(logits: Callable[[Tensor], Tensor], images: Tensor, views: Views) -> Tensor:
    """Logits averaged over several views of each image (test-time augmentation), (N, K).

    Formula, with f the logits, x̄ the mirrored image and x₋, x₊ the image shifted by one pixel up and left, and down and
    right, its border filled by reflection:

        one:         f(x)
        flip:        g(x) = ½·(f(x) + f(x̄))
        flip-shift:  ½·g(x) + ¼·(g(x₋) + g(x₊))

    Args:
        logits: f, from (N, C, H, W) to (N, K).
        images: As the network takes them, (N, C, H, W); of flip-shift 2×2 pixels at least.
        views: As above.

    Source:
        Averages over mirrored and shifted images: Krizhevsky et al., "ImageNet Classification with Deep Convolutional
        Neural Networks", 2012, section 4.1. These six, with these weights: Jordan, "94% on CIFAR-10 in 3.29 Seconds on
        a Single GPU", 2024, arXiv 2404.00498, section 3.5.
    """
    if views == "one":
        return logits(images)
    mean = (logits(images).float() + logits(images.flip(3)).float()) / 2
    if views == "flip":
        return mean
    _, _, height, width = images.shape
    padded = F.pad(images, (1, 1, 1, 1), "reflect")
    up_left, down_right = padded[:, :, 2:, 2:], padded[:, :, :height, :width]
    return mean / 2 + (seen(logits, up_left, "flip") + seen(logits, down_right, "flip")) / 4


def scores(predictions: Predictions, split: str) -> dict[str, float]:
    """Accuracy and error in percent and, of probabilities, the mean negative log-likelihood, under the split's name.

    The likelihood is floored at the smallest positive float32, so that one hopeless image does not make the mean
    infinite.
    """
    accuracy = 100 * float(np.mean(predictions.predicted == predictions.labels))
    rates = {f"{split}_accuracy": accuracy, f"{split}_error": 100 - accuracy}
    if isinstance(predictions, LabelSetPredictions):
        return _scores_of_sets(predictions, split, rates)
    if len(predictions.probability) == 0:
        return rates
    floored = np.maximum(predictions.probability, np.finfo(np.float32).tiny)
    return {f"{split}_loss": float(-np.log(floored, dtype=np.float64).mean()), **rates}


def _scores_of_sets(predictions: LabelSetPredictions, split: str, rates: dict[str, float]) -> dict[str, float]:
    """The same of several labels: an image is right where all its labels are; and the mean average precision."""
    labels, p = predictions.label_table, predictions.label_probability.astype(np.float64)
    of_truth = np.maximum(np.where(labels, p, 1 - p), np.finfo(np.float32).tiny)
    found = {f"{split}_loss": float(-np.log(of_truth).mean()), **rates}
    area = mean_average_precision(labels, p)
    return found if area is None else found | {f"{split}_mean_average_precision": 100 * area}


def make_autocast(device: str, precision: str) -> torch.autocast:
    """bfloat16 or float16 where the precision says so, else nothing."""
    kind = torch.device(device).type
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(kind, dtype, enabled=precision in ("bf16", "fp16"))
