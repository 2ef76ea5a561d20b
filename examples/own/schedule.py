"""A schedule of one's own: schedule.name = "examples/own/schedule.py:triangle".

torch's go too, as "torch.optim.lr_scheduler:OneCycleLR".
"""


def triangle(progress: float, peak: float = 0.3) -> float:
    """From 0 up to 1 at `peak` of the training, and down to 0."""
    return progress / peak if progress < peak else (1 - progress) / (1 - peak)
