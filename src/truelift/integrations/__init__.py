"""The techniques in other people's trainers. Nothing here imports one of them; their modules do.

    truelift.integrations.lightning      PyTorch Lightning
    truelift.integrations.transformers   Hugging Face's Trainer
    truelift.integrations.accelerate     Accelerate

What all share needs torch alone: `save_with` and `step_before_forward`.
"""

from truelift.integrations.forward import step_before_forward
from truelift.integrations.saving import save_with

__all__ = ["save_with", "step_before_forward"]
