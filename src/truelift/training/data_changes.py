"""Data, or weights to start from, that changed while a run was stopped, or since it ended.

What is made of both is the result of neither.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from truelift.data import DataOptions, DataState, Splits, state_now
from truelift.errors import InputError
from truelift.models.start import weights_digest
from truelift.records import read_config_file, read_environment
from truelift.training.experiment import Experiment


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


def refuse_changed_weights(folder: Path, weights: str | None) -> None:
    """Refuse to go on from a run's checkpoint where the file of weights that it began from has changed.

    Args:
        folder: The run's. Where it does not say with which weights it began, nothing is refused.
        weights: `model.weights`.

    Raises:
        InputError: They changed.
    """
    before, now = _began_from(folder), weights_digest(weights)
    if None in (before, now) or before == now:
        return
    checkpoint = shlex.quote(str(folder / "checkpoint.pt"))
    raise InputError(
        f"{folder}: the weights that it began from changed, model.weights {weights}. Put them back as they were, or "
        f"begin anew without the checkpoint: rm {checkpoint}"
    )


class OtherData:
    """Tells finished runs that were trained on other data than an experiment names, or from other weights.

    Where data lie is no part of a run's identity, so that it is found again where they were moved. But a path to other
    data would find it too, and tell the results of the old. Of weights the path is a part, and what the file holds is
    none.
    """

    def __init__(self) -> None:
        self._states: dict[str, DataState | None] = {}
        """As they are now; None where they cannot be read here."""
        self._weights: dict[str, str | None] = {}
        """The digest of what each file of weights holds."""

    def of(self, folder: Path, experiment: Experiment) -> str | None:
        """What a finished run was trained on or from in place of what an experiment names, in words.

        Args:
            folder: The run's.
            experiment: Resolved.

        Returns:
            None where its data lay at the same path, or are the same, and its weights are; and where nobody can tell:
            of a run of an earlier version, or where data or weights cannot be read.
        """
        return self._data(folder, experiment.data) or self._began(folder, experiment.model.weights)

    def _began(self, folder: Path, weights: str | None) -> str | None:
        if weights is None:
            return None
        if weights not in self._weights:
            self._weights[weights] = weights_digest(weights)
        before, now = _began_from(folder), self._weights[weights]
        if None in (before, now) or before == now:
            return None
        return f"was trained from other weights than model.weights {weights} holds now"

    def _data(self, folder: Path, options: DataOptions) -> str | None:
        if options.path is None:
            return None
        try:
            there = read_config_file(folder).get("data", {}).get("path")
            if there is None or Path(there).absolute() == Path(options.path).absolute():
                return None
            before = read_environment(folder).get("data")
        except InputError:
            return None
        if before is None:
            return None
        key = repr(options)
        if key not in self._states:
            self._states[key] = _state(options)
        now = self._states[key]
        if now is None or before["digest"] == now.digest:
            return None
        changed = _told_change(before, now.record())
        return f"was trained on other data, {there}, than data.path {options.path}: {changed}"


def _began_from(folder: Path) -> str | None:
    """The digest of the weights that a run began from, where it says it; earlier versions said it of a file's bytes."""
    try:
        found = read_environment(folder).get("weights")
    except InputError:
        return None
    return found.get("digest") if isinstance(found, Mapping) else None


def _state(options: DataOptions) -> DataState | None:
    try:
        return state_now(options)
    except InputError:
        return None


def _told_change(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between two states of a data set, in words."""
    counts = dict.fromkeys((*before["images"], *now["images"]))
    facts = [(f"{split} images", before["images"].get(split, 0), now["images"].get(split, 0)) for split in counts]
    facts += [(name.replace("_", " "), before[name], now[name]) for name in ("classes", "left_out")]
    told = [f"{name} {there}, now {here}" for name, there, here in facts if there != here]
    return ", ".join(told) or "the same numbers of images, but other names, sizes, labels or contents"
