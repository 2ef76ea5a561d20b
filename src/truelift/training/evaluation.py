"""A network's loss and error on images it is not trained on. N images, K classes."""

import numpy as np
import torch
import torch.nn.functional as F

from truelift.data import ImageBatches, Images, Preprocess, Share, Splits, make_batches
from truelift.models import Classifier
from truelift.records import Predictions
from truelift.training.objectives import Objective

# Images a step in evaluation: large enough to keep the device busy, small enough for any memory.
EVALUATION_BATCH = 512

# Pixels a step in evaluation: of large images fewer at a time.
_EVALUATION_PIXELS = 512 * 128 * 128


def evaluation_batches(images: Images, splits: Splits, preprocess: Preprocess, device: str) -> ImageBatches:
    """Each image once, in stored order and without augmentation."""
    _, height, width = images.shape
    batch_size = max(1, min(EVALUATION_BATCH, _EVALUATION_PIXELS // (height * width)))
    return make_batches(images, batch_size, mean=splits.mean, std=splits.std, preprocess=preprocess, device=device)


@torch.inference_mode()
def predict(
    network: Classifier, objective: Objective, batches: ImageBatches, autocast: torch.autocast, share: Share
) -> Predictions:
    """The label-free predictions for the images of a part of the batches, with batch norm in inference mode."""
    was_training = network.training
    network.eval()
    objective.eval()
    parts = []
    mine = share.range(batches.batches_per_epoch)
    for images, labels, _ in batches.epoch(0, mine.start, mine.stop):
        with autocast:
            logits = objective.logits(network, images)
        log_probability = F.log_softmax(logits.float(), dim=1)
        true = log_probability.gather(1, labels[:, None])[:, 0]
        parts.append((labels, log_probability.argmax(1), true))
    network.train(was_training)
    objective.train(was_training)
    if not parts:  # fewer batches than processes
        return Predictions.joined([])
    all_labels, predicted, log_true = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
    return Predictions(all_labels, predicted, np.exp(log_true))


def scores(predictions: Predictions, split: str) -> dict[str, float]:
    """Accuracy and error in percent and, of probabilities, the mean negative log-likelihood, under the split's name.

    The likelihood is floored at the smallest positive float32, so that one hopeless image does not make the mean
    infinite.
    """
    accuracy = 100 * float(np.mean(predictions.predicted == predictions.labels))
    rates = {f"{split}_accuracy": accuracy, f"{split}_error": 100 - accuracy}
    if len(predictions.probability) == 0:
        return rates
    floored = np.maximum(predictions.probability, np.finfo(np.float32).tiny)
    return {f"{split}_loss": float(-np.log(floored, dtype=np.float64).mean()), **rates}


def make_autocast(device: str, precision: str) -> torch.autocast:
    """bfloat16 or float16 where the precision says so, else nothing."""
    kind = torch.device(device).type
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(kind, dtype, enabled=precision in ("bf16", "fp16"))
