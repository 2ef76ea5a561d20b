"""For all tests. `TRUELIFT_TEST_DEVICE` names the device that tests of devices run on: cpu, cuda, cuda:N or mps."""

import atexit
import os
import shutil
import signal
import tempfile

import pytest

# What truelift keeps on disk for later runs is none of the user's here.
if "TRUELIFT_CACHE" not in os.environ:
    os.environ["TRUELIFT_CACHE"] = tempfile.mkdtemp(prefix="truelift-cache-")
    atexit.register(shutil.rmtree, os.environ["TRUELIFT_CACHE"], ignore_errors=True)

# A shell starts what it runs in the background with Ctrl-C ignored, which every child inherits. Tests of what it
# does expect what a person at a terminal has.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, so that no worker is left with one of them while the other has nothing to do."""
    items.sort(key=lambda item: not item.nodeid.startswith(("tests/system/", "tests/attack/")))


@pytest.fixture
def device() -> str:
    """The device that the environment names; by default the processor. One that is not here fails the test."""
    from truelift.training.hardware import pick_device  # after the cache's folder is set

    return pick_device(os.environ.get("TRUELIFT_TEST_DEVICE", "cpu"))
