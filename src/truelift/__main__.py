"""`truelift`, and `python -m truelift`: Ctrl-C is one line from the first moment on, while torch is imported too."""

import os
import shlex
import sys

from truelift import signals
from truelift.characters import printable_everywhere
from truelift.ending import QuickEnd
from truelift.errors import printable


def main() -> None:
    """Run a command as `truelift.cli.main` does, and end after a signal with one line and its status."""
    kept = sys.argv[1:2] in (["train"], ["study"], ["work"]) and not {"--dry-run", "--dry_run"} & set(sys.argv)
    command = printable(shlex.join(["truelift", *sys.argv[1:]]))
    if sys.argv[1:2] in (["report"], ["status"], ["list"]):
        # As it is imported, numpy's OpenBLAS starts a thread a core: a tenth of a report, which has no use for them.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    signals.take_over(f"{'To go on' if kept else 'Again'}: {command}")
    printable_everywhere()
    end = QuickEnd()
    try:
        from truelift.cli import main as run_command

        run_command()
    except SystemExit as ended:
        if signals.status() is not None:
            signals.end()
        if isinstance(ended.code, int):
            end.here(ended.code)
        raise
    except BaseException:
        # Whatever came out: an exception within an import, or within somebody's code, may have become another.
        if signals.status() is not None:
            signals.end()
        raise


if __name__ == "__main__":
    main()
