"""`truelift clean`."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from truelift.cli.amounts import size
from truelift.cli.listing import RUNS
from truelift.cli.say import warn
from truelift.errors import InputError, printable
from truelift.records.catalogue import entries
from truelift.records.leftovers import Leftover, leftovers, remove

_MOST_SHOWN = 20


def clean(
    folder: Annotated[Path, Parameter(name="folder")] = RUNS, /, *, cache: bool = False, yes: bool = False
) -> int:
    """Remove checkpoints of finished runs, and unfinished runs that no plan names. Shows them and asks first.

    Reports can be written again afterwards, and unfinished runs go on. A finished run's checkpoint holds its trained
    weights. What is in use stays.

    Args:
        folder: Studies and runs in it and below.
        cache: Also remove the cache of decoded images (TRUELIFT_CACHE), which is made again when needed.
        yes: Do not ask.
    """
    found = [one for entry in entries(folder) for one in leftovers(entry)]
    if cache:
        found += _cached()
    if not found:
        print(f"nothing to remove in {folder}")
        return 0
    for one in found[:_MOST_SHOWN]:
        print(f"{size(one.bytes):>10}  {one.what}: {printable(str(one.path))}")
    if len(found) > _MOST_SHOWN:
        print(f"{'':>10}  and {len(found) - _MOST_SHOWN:,} more")
    total = f"{len(found):,} {'item' if len(found) == 1 else 'items'}, {size(sum(one.bytes for one in found))}"
    if not yes and not _agreed(f"Remove {total}? [y/N] "):
        print("nothing removed")
        return 0
    freed = 0
    for one in found:
        stays = remove(one)
        if stays is None:
            freed += one.bytes
        else:
            warn(stays)
    print(f"removed {size(freed)}")
    return 0


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise InputError("clean asks before it removes anything: give --yes where nobody can answer.")
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _cached() -> list[Leftover]:
    from truelift.data.cache import kept_files

    return [Leftover(path, "cached images", bytes_, ()) for path, bytes_ in kept_files()]
