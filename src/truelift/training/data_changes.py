"""Data, weights to start from or outliers that changed while a run was stopped, or since it ended.

What is made of both is the result of neither.
"""

import shlex
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from truelift.data import DataOptions, DataState, Splits, digest_any, state_now
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
    before = _environment(folder).get("data")
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
    before, now = _noted(folder, "weights"), weights_digest(weights)
    if None in (before, now) or before == now:
        return
    checkpoint = shlex.quote(str(folder / "checkpoint.pt"))
    raise InputError(
        f"{folder}: the weights that it began from changed, model.weights {weights}. Put them back as they were, or "
        f"begin anew without the checkpoint: rm {checkpoint}"
    )


def outliers_digest(outliers: str | None) -> str | None:
    """Sixteen hexadecimal digits that change with the images of `detection.outliers`, wherever they lie.

    Returns:
        None where there are none, or they cannot be read.
    """
    try:
        return None if outliers is None else digest_any(Path(outliers))
    except InputError:
        return None


class OtherData:
    """Tells finished runs of other data than an experiment names, from other weights or measured with other outliers.

    Where data lie is no part of a run's identity, so that it is found again where they were moved; of outliers and of
    a table's images the last part of the path is. But a path to others would find it too, and tell the results of the
    old. Of weights the path is a part, and what the file holds is none.
    """

    def __init__(self) -> None:
        self._states: dict[str, DataState | None] = {}
        """As they are now; None where they cannot be read here."""
        self._weights = cache(weights_digest)
        self._outliers = cache(outliers_digest)

    def of(self, folder: Path, experiment: Experiment) -> str | None:
        """What a finished run was made of in place of what an experiment names, in words.

        Args:
            folder: The run's.
            experiment: Resolved.

        Returns:
            None where its data and outliers lay at the same paths, or are the same, and its weights are; and where
            nobody can tell: of a run of an earlier version, or where something cannot be read.
        """
        return (
            self._data(folder, experiment.data)
            or self._began(folder, experiment.model.weights)
            or self._measured(folder, experiment.detection.outliers)
        )

    def _began(self, folder: Path, weights: str | None) -> str | None:
        before, now = _noted(folder, "weights"), self._weights(weights)
        if None in (before, now) or before == now:
            return None
        return f"was trained from other weights than model.weights {weights} holds now"

    def _measured(self, folder: Path, outliers: str | None) -> str | None:
        there = _configured(folder, "detection").get("outliers")
        if there is None or outliers is None or _is_same_place(there, outliers):
            return None
        # Of a run of an earlier version, what lies there now tells it.
        before, now = _noted(folder, "outliers") or self._outliers(there), self._outliers(outliers)
        if None in (before, now) or before == now:
            return None
        return f"was measured with other outliers, {there}, than detection.outliers {outliers}"

    def _data(self, folder: Path, options: DataOptions) -> str | None:
        if options.path is None:
            return None
        there, here = _configured(folder, "data"), {"path": options.path, "image_folder": options.image_folder}
        moved = [name for name in here if there.get(name) and not _is_same_place(there[name], here[name])]
        before = _environment(folder).get("data")
        if before is None or not moved:
            return None
        key = repr(options)
        if key not in self._states:
            self._states[key] = _state(options)
        now = self._states[key]
        if now is None or before["digest"] == now.digest:
            return None
        changed = _told_change(before, now.record())
        name = moved[0]
        return f"was trained on other data, {there[name]}, than data.{name} {here[name]}: {changed}"


def _environment(folder: Path) -> Mapping[str, Any]:
    """The content of environment.json, where it can be read."""
    try:
        return read_environment(folder)
    except InputError:
        return {}


def _noted(folder: Path, name: str) -> str | None:
    """A digest in environment.json, where a run says it."""
    found = _environment(folder).get(name)
    return found if isinstance(found, str) else None


def _configured(folder: Path, group: str) -> Mapping[str, Any]:
    """A group of settings in config.toml, where it can be read."""
    try:
        settings = read_config_file(folder)
    except InputError:
        return {}
    return dict(settings.get(group, {}))


def _is_same_place(there: str, here: str | None) -> bool:
    """Whether a path that a run has recorded is this one; a relative one lay nobody knows where."""
    return here is not None and Path(there) == Path(here).absolute()


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
