"""Variants whose training losses are different quantities, so that one says nothing of the other."""

from collections.abc import Mapping

from truelift.report.asked import Asked, Variant

LOSS = "train_loss"
"""Of the training alone: test_loss is the same log loss whatever was minimised."""

_MIXED = ("mixup", "cutmix")
"""Changes after which a label is no longer one class."""
_OF_A_STEP = ("means_lr_factor", "variances_lr_factor", "feature_size")
"""Of the objective's options those that leave the loss what it is."""
_DEFAULTS: Mapping[str, object] = {"objective.name": "softmax", "objective.label_smoothing": 0.0}


def other_losses(asked: Asked) -> tuple[str, ...]:
    """The variants whose training loss is another quantity than the baseline's, in the order of the table.

    That is where the objective or one of its options differs, label smoothing among them, or where one mixes labels.
    Programs of the user's are left out: nobody knows what theirs is.
    """
    ours = {v.name: _loss(asked, v) for v in asked.variants if v.command is None and not asked.made_elsewhere}
    wanted = ours.get(asked.baseline)
    return tuple(name for name in asked.order if wanted is not None and ours.get(name, wanted) != wanted)


def _loss(asked: Asked, variant: Variant) -> dict[str, object]:
    """What decides the meaning of a variant's training loss: its options that are not as by default."""
    settings = {**asked.shared, **variant.settings}
    found = {
        name: value
        for name, value in settings.items()
        if name.startswith("objective.") and name.removeprefix("objective.") not in _OF_A_STEP
    }
    changes = settings.get("augmentation.names", ())
    mixed = [name for name in _MIXED if isinstance(changes, list | tuple) and name in changes]
    kept = {name: value for name, value in found.items() if name not in _DEFAULTS or value != _DEFAULTS[name]}
    return kept | ({"mixed": mixed} if mixed else {})


def why_losses_differ(names: tuple[str, ...], *, judged: bool) -> list[str]:
    """Why their training loss has no verdict, or should have none: a sentence, or no sentence.

    Args:
        names: The variants.
        judged: Whether the study is judged by it.
    """
    if not names:
        return []
    shown = "a verdict by it says little" if judged else "the report shows it without a verdict"
    verb = "minimises" if len(names) == 1 else "minimise"
    return [
        f"training loss: {', '.join(names)} {verb} another loss than the baseline does (objective, label smoothing or "
        f"mixed labels), so that the two are no measure of each other: {shown}."
    ]
