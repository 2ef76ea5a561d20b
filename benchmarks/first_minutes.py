"""What a person waits for first: the help, a report, and the first line of a study. `make bench NAME=first_minutes`.

Each is a process of its own, from its start: to its end for the help and the report, to its first line, on whichever
stream, for the study, which is then stopped. The three take turns; each figure is the median of the repeats. The report
is that of `truelift study demo`, which is run once where its folder is missing. The last line is one JSON object.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

COMMAND = (sys.executable, "-P", "-m", "truelift")


def to_its_end(arguments: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run([*COMMAND, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def to_its_first_line(arguments: Sequence[str]) -> float:
    start = time.perf_counter()
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    seconds = time.perf_counter() - start
    process.send_signal(signal.SIGTERM)
    process.stdout.read()
    process.wait()
    assert line, "it ended without a word"
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("runs/demo"), help="of the study that is reported")
    given = parser.parse_args()
    if not (given.folder / "study.json").exists():
        subprocess.run([*COMMAND, "study", "demo", "--out", str(given.folder)], check=True)
    found: dict[str, list[float]] = {"help_s": [], "report_s": [], "first_line_of_a_study_s": []}
    for repeat in range(given.repeats):
        found["help_s"].append(to_its_end(["--help"]))
        found["report_s"].append(to_its_end(["report", str(given.folder)]))
        with tempfile.TemporaryDirectory() as folder:
            found["first_line_of_a_study_s"].append(to_its_first_line(["study", "demo", "--out", f"{folder}/demo"]))
        print(f"{repeat + 1} of {given.repeats}, load {os.getloadavg()[0]:.1f}:", file=sys.stderr, end=" ")
        print({name: round(seconds[-1], 2) for name, seconds in found.items()}, file=sys.stderr)
    print(json.dumps({name: round(statistics.median(seconds), 3) for name, seconds in found.items()}))


if __name__ == "__main__":
    main()
