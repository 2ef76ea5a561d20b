"""Hugging Face's Accelerate: gradient similarity. FreezeOut needs no help but `save_with`."""

from accelerate import Accelerator
from torch import Tensor

from truelift.techniques.gradient_similarity import Combined, GradientSimilarity


def backward(
    accelerator: Accelerator, similarity: GradientSimilarity, main: Tensor, *auxiliary: Tensor
) -> Combined | None:
    """In place of `accelerator.backward`: leave in `.grad` what gradient similarity makes of several losses.

    Losses are divided by `accelerator.gradient_accumulation_steps`, as Accelerate does, and scaled where it scales.
    Gradients of all batches but a step's last are collected, and the rule is applied to the sums.

    Args:
        accelerator: Yours. With several processes take the losses from `accelerator.unwrap_model(network)`: gradient
            similarity averages over the processes itself.
        similarity: The rule.
        main: The main loss, a scalar.
        auxiliary: One loss or several, scalars.

    Returns:
        What the step did; None where it only collected.

    Raises:
        InputError: As by `GradientSimilarity.backward`.

    Example:
            with accelerator.accumulate(network):
                backward(accelerator, similarity, main_loss, auxiliary_loss)
                optimizer.step()
                optimizer.zero_grad()
    """
    losses = [loss / accelerator.gradient_accumulation_steps for loss in (main, *auxiliary)]
    if accelerator.sync_gradients:
        return similarity.backward(*losses, scaler=accelerator.scaler)
    similarity.accumulate(*losses, scaler=accelerator.scaler)
    return None
