"""When Python looks for garbage: not at all, or never again in what is there."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Within it no garbage is looked for; behind it as before."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """For imports: within it no garbage is looked for, and what is there at its end is never looked through again.

    Importing torch makes hundreds of thousands of objects, and Python looks through all that it has time and again as
    they come: a fifth of the time that it takes. In a process that is to be forked, what is never looked through stays
    shared; the little that is garbage by then stays too.
    """
    with no_collection():
        try:
            yield
        finally:
            gc.freeze()
