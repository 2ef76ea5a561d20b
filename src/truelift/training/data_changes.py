"""Data that changed while a run was stopped: half of a training on either would be the result of neither."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from truelift.data import Splits
from truelift.errors import InputError
from truelift.records import read_environment


def refuse_changed_data(folder: Path, splits: Splits) -> None:
    """Refuse to go on from a run's checkpoint with other data than it was made of.

    Args:
        folder: The run's. Where it does not say of which data it is, as those of earlier versions, nothing is refused.
        splits: The images as they are now.

    Raises:
        InputError: They changed; the message says what, and what to do.
    """
    try:
        before = read_environment(folder).get("data")
    except InputError:
        return
    if before is None or splits.state is None or before["digest"] == splits.state.digest:
        return
    checkpoint = shlex.quote(str(folder / "checkpoint.pt"))
    raise InputError(
        f"{folder}: the data changed since its checkpoint was written: {_told_change(before, splits.state.record())}. "
        f"Put them back as they were, or begin anew without the checkpoint: rm {checkpoint}"
    )


def _told_change(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between two states of a data set, in words."""
    counts = dict.fromkeys((*before["images"], *now["images"]))
    facts = [(f"{split} images", before["images"].get(split, 0), now["images"].get(split, 0)) for split in counts]
    facts += [(name.replace("_", " "), before[name], now[name]) for name in ("classes", "left_out")]
    told = [f"{name} {there}, now {here}" for name, there, here in facts if there != here]
    return ", ".join(told) or "the same numbers of images, but other names, sizes, labels or contents"
