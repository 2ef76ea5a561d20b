"""Commands in forks of an interpreter that has imported torch, and nothing else: `after_torch.py FOLDER COMMANDS`.

FOLDER is the commands' own. COMMANDS is JSON: to each name its arguments. What one prints is in NAME.out and NAME.err
in the folder; the exit statuses are printed, JSON too.
"""

import json
import os
import runpy
import sys
from pathlib import Path


def main(folder: Path, commands: dict[str, list[str]]) -> None:
    """Run one after another."""
    import torch  # noqa: F401 - for the forks

    os.chdir(folder)
    statuses = {}
    for name, arguments in commands.items():
        process = os.fork()
        if process == 0:
            for place, ending in ((1, "out"), (2, "err")):
                os.dup2(os.open(f"{name}.{ending}", os.O_WRONLY | os.O_CREAT), place)
            sys.argv[1:] = [name, *arguments]
            sys.path[0] = str(folder)
            runpy.run_module("truelift", run_name="__main__", alter_sys=True)
            sys.exit("truelift came back")
        statuses[name] = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    print(json.dumps(statuses))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
