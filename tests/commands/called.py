"""Calls a function: `called.py FILE RANK`, where the file has what `started.in_processes` has put there."""

import pickle
import sys
from pathlib import Path

if __name__ == "__main__":
    paths, content = pickle.loads(Path(sys.argv[1]).read_bytes())
    sys.path[:] = paths  # the function's module may be found only there
    work, arguments = pickle.loads(content)
    work(int(sys.argv[2]), *arguments)
