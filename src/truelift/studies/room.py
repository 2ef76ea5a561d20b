"""How many of a study's runs fit into memory at a time, and the sentence that says so."""

from collections.abc import Iterable
from dataclasses import dataclass

from truelift.studies.memory import gpu_memory_free, memory_free
from truelift.studies.need import Need

_GIB = 2**30


@dataclass(frozen=True)
class Room:
    """Memory of one kind: what runs take of it, and what there is."""

    takes: int
    """Bytes of a run beside what it shares with others, of the variant that takes the most."""
    free: int
    """Bytes; of GPUs those of each."""
    kind: str = "memory"
    places: int = 1
    """GPUs that there are."""

    @property
    def fits(self) -> int:
        """Runs at a time that there is room for; at least 1, since one is always tried."""
        return max(1, self.free // max(1, self.takes) * self.places)

    def said(self, jobs: int, *, asked: bool) -> str | None:
        """A sentence where fewer fit than are to run at a time; None where all do.

        Args:
            jobs: Runs that are to be at a time, at least 1.
            asked: Whether somebody asked for so many, who has them then.
        """
        if jobs <= self.fits and self.takes <= self.free:
            return None
        each = f"a run takes about {self.takes / _GIB:.1f} GiB of {self.kind}, {self.free / _GIB:.1f} GiB are free"
        fit = f"{self.fits} at a time would fit" if self.takes <= self.free else "not even one would fit"
        if asked and jobs > self.fits:
            return f"{each}: {fit}; {jobs} run all the same, as --jobs says, and may run out of it"
        if self.takes > self.free:
            return f"{each}: {fit}; one is tried"
        return f"{each}: {'one runs' if self.fits == 1 else f'{self.fits} run'} at a time, not {jobs}"


def room_for(needs: Iterable[Need], gpus: int) -> Room | None:
    """The memory of which there is the least for these runs; None where nothing is known of it.

    Args:
        needs: What each variant's runs take.
        gpus: That the runs share out among them, 0 for none. All are taken to be as free as the first.
    """
    every = list(needs)
    rooms = []
    free = memory_free()
    if every and free is not None:
        rooms.append(Room(max(need.own for need in every), free))
    for device in {need.device for need in every if need.gpu}:
        takes = max(need.gpu for need in every if need.device == device)
        rooms.append(Room(takes, gpu_memory_free(device), "GPU memory", max(1, gpus)))
    return min(rooms, key=lambda room: room.fits, default=None)
