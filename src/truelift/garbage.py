"""Switch Python's cyclic garbage collection off, or spare it the objects that exist already."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Switch garbage collection off within the block."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """For imports: no garbage collection within the block, and none ever after of the objects that exist at its end.

    Importing torch makes hundreds of thousands of objects, and the collector goes through all of them again and again:
    a fifth of the import's time. In a process that will be forked, pages that the collector never touches stay shared.
    The little garbage among these objects is never freed.
    """
    with no_collection():
        try:
            yield
        finally:
            gc.freeze()
