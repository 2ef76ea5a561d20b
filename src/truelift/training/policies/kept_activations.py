"""Batches that begin behind the frozen layers, whose output is kept."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import nn

from truelift.data import Batch, Batches
from truelift.options import Only, above
from truelift.techniques.freezeout import ActivationCache, Front
from truelift.training.policies.base import Feed, Policy


@dataclass(frozen=True, kw_only=True)
class CacheOptions:
    """Where the output of frozen layers is kept."""

    cache: Literal["none", "device", "host", "file"] = "none"
    """Compute the frozen layers' output once for each image and keep it: on the training's device, in the machine's
    memory, or in a file mapped into it (in TMPDIR). For training without augmentation, or with augmentation.views."""

    cache_gigabytes: Annotated[float, above(0, 1e6), Only("cache", "device", "host", "file")] = 4.0
    """Memory limit of the kept activations, in units of 10⁹ bytes, above 0. Layers whose output does not fit are not
    skipped."""


class CachedBatches:
    """The batches of an epoch as the frozen layers leave them, or the images while none is frozen.

    What is kept goes on where an epoch begins, for the epoch's view of the images. Layers that freeze in its course are
    passed as usual until the next one.

    Args:
        batches: Of images whose changes, if any, are drawn once (`augmentation.views`).
        caches: One for each view.
        autocast: That of the training.
    """

    def __init__(self, batches: Batches, caches: list[ActivationCache], autocast: torch.autocast) -> None:
        self.batches = batches
        self.caches = caches
        self._autocast = autocast
        self._current = caches[0]
        # Behind how many layers each cache was when the checkpoint was written that is gone on from.
        self._resumed: list[int] | None = None

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches that `epoch` yields from its start."""
        return self.batches.batches_per_epoch

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from `start` on: images or activations, and labels."""
        view = self.batches.view(epoch)
        cache = self._current = self.caches[view]
        # In the middle of an epoch: no further than the undisturbed run was.
        upto = self._resumed[view] if start and self._resumed else None
        with self._autocast:
            layer = cache.advance(lambda: self.batches.stored(epoch), upto)
        if layer == 0:
            yield from self.batches.epoch(epoch, start)
            return
        for indices, labels in self.batches.indices(epoch, start):
            yield Batch(cache.take(indices), labels)

    def entrance(self) -> contextlib.AbstractContextManager[None]:
        """Within it the network takes what `epoch` yielded last."""
        return self._current.skipping()

    def state_dict(self) -> dict[str, Any]:
        """Behind how many layers each view's activations are; they themselves are computed anew."""
        return {"layers": [cache.layer for cache in self.caches]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self._resumed = list(state["layers"])


class KeptActivations(Policy):
    """Has the training take `CachedBatches`.

    Args:
        options: Where it is kept, and how much.
        network: The one that freezes.
        freezing: What freezes it.
        views: How often the changes to each image are drawn; these share the memory.
        autocast: That of the training.
    """

    name = "cache"

    def __init__(
        self, options: CacheOptions, network: nn.Module, freezing: Front, views: int, autocast: torch.autocast
    ) -> None:
        self._options = options
        self._network = network
        self._freezing = freezing
        self._views = views
        self._autocast = autocast
        self._cached: CachedBatches | None = None

    def batches(self, batches: Feed) -> CachedBatches:
        """The same batches, from behind the frozen layers."""
        assert isinstance(batches, Batches), "streamed photographs change anew each epoch, which `resolve` refuses"
        where = self._options.cache
        caches = [
            ActivationCache(
                self._network,
                self._freezing,
                samples=batches.images,
                budget_bytes=int(self._options.cache_gigabytes * 1e9 / self._views),
                device="cpu" if where == "host" else None,
                folder=Path(tempfile.gettempdir()) if where == "file" else None,
            )
            for _ in range(self._views)
        ]
        self._cached = CachedBatches(batches, caches, self._autocast)
        return self._cached

    def entrance(self) -> contextlib.AbstractContextManager[None]:
        """Within it the network takes what the batches gave last."""
        return self._batches().entrance()

    def state_dict(self) -> dict[str, Any]:
        """Behind how many layers each view's activations are."""
        return self._batches().state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self._batches().load_state_dict(state)

    def _batches(self) -> CachedBatches:
        assert self._cached is not None, "`batches` comes first"
        return self._cached
