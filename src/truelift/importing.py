"""Imports without looking for garbage in what they bring, which nobody will throw away."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Within it no garbage is looked for; what is there at its end is never looked through again.

    Importing torch makes hundreds of thousands of objects, and Python looks through all that it has time and again as
    they come: a fifth of the time that it takes. In a process that is to be forked, what is never looked through stays
    shared; the little that is garbage by then stays too.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()
