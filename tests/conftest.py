"""For all tests."""

import atexit
import os
import shutil
import signal
import tempfile

# What truelift keeps on disk for later runs is none of the user's here.
if "TRUELIFT_CACHE" not in os.environ:
    os.environ["TRUELIFT_CACHE"] = tempfile.mkdtemp(prefix="truelift-cache-")
    atexit.register(shutil.rmtree, os.environ["TRUELIFT_CACHE"], ignore_errors=True)

# A shell starts what it runs in the background with Ctrl-C ignored, which every child inherits. Tests of what it
# does expect what a person at a terminal has.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
