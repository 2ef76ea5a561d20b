"""Calls a function: `called.py FILE`, where the file has what `started.begin_call` has put there, and is removed."""

import pickle
import sys
from pathlib import Path

if __name__ == "__main__":
    file = Path(sys.argv[1])
    paths, content = pickle.loads(file.read_bytes())
    file.unlink()
    sys.path[:] = paths  # the function's module may be found only there
    work, arguments = pickle.loads(content)
    work(*arguments)
