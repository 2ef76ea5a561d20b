"""For all tests."""

import signal

# A shell starts what it runs in the background with Ctrl-C ignored, which every child inherits. Tests of what it
# does expect what a person at a terminal has.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
