"""Stop studies at random moments, go on each time, and compare with undisturbed ones.

    make bench NAME=crash          # 200 stops, some 15 minutes on two cores
    python benchmarks/crash.py 20  # as many as one likes

Two studies at a time: our own trainings (the bundled digits, a tiny network, a checkpoint every tenth of a second), and
programs of a user's behind `sh`, which count up to a number, keep it in a file, and have a child that does nothing but
run. Seven of ten stops are `kill -9`, sent to the study's process alone; the others SIGTERM and Ctrl-C. The moment is
drawn uniformly from an undisturbed study's time. What still runs ten seconds after a stop is an orphan; the longest
that anything took to end is told as well (`slowest_end_s`: a second on an idle machine). When a study has ended, its
folder is searched for temporary files, and its table must be the undisturbed one's: every
metric but the times, every line of metrics, every test prediction.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from truelift.records import Study

STOPS = 200
END_SECONDS = 10.0
"""What an orphan outlives its study by."""
TRAININGS = """
question = "Is a killed study the same study?"
baseline = "plain"
seeds = 1
experiment.model.name = "resnet8"
experiment.model.width = 4
experiment.data.train_images = 400
experiment.batch_size = 16
experiment.epochs = 20
experiment.precision = "fp32"
[variants.plain]
augmentation.crop_padding = 0
[variants.shifted]
augmentation.crop_padding = 1
"""
PROGRAMS = """
command = "sh {folder}/job.sh {{out}} {{seed}}"
metric = "accuracy"
seeds = 2
[variants.plain]
[variants.other]
"""
PROGRAM = """
import json, pathlib, subprocess, sys, time
out, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2])
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)", str(out)], start_new_session=True)
state = out / "state"
count = int(state.read_text()) if state.exists() else 0
while count < 30:
    time.sleep(0.05)
    count += 1
    (out / "state.new").write_text(str(count))
    (out / "state.new").replace(state)
(out / "metrics.json").write_text(json.dumps({"accuracy": count + seed}))
"""
SIGNALS = [signal.SIGKILL] * 7 + [signal.SIGTERM] * 2 + [signal.SIGINT]


def start(study: Path, out: Path) -> subprocess.Popen[bytes]:
    """A study in a process of its own."""
    command = [sys.executable, "-m", "truelift", "study", str(study), "--out", str(out), "--checkpoint_seconds", "0.1"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def table(folder: Path) -> dict[str, object]:
    """Everything that a report is made of, but times."""
    rows: dict[str, object] = {}
    for run in Study.read(folder).runs:
        metrics = run.result()["metrics"]
        timeless = {k: v for k, v in metrics.items() if "second" not in k}
        curves = [{k: v for k, v in line.items() if "second" not in k} for line in run.metrics()]
        predictions = run.predictions()
        probability = None if predictions is None else np.asarray(predictions.probability).tolist()
        rows[f"{run.variant} seed {run.seed}"] = (timeless, curves, probability)
    return rows


def running(folder: Path) -> int:
    """Processes that have the folder in their command line or environment."""
    found = 0
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and int(process.name) != os.getpid():
            try:
                about = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
                state = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
            except OSError:
                continue
            found += str(folder).encode() in about and state not in "ZX"
    return found


def orphans(folder: Path) -> tuple[int, float]:
    """How many processes still run after their study has ended and they had their time; how long the others took."""
    began = time.monotonic()
    while (left := running(folder)) and time.monotonic() < began + END_SECONDS:
        time.sleep(0.02)
    return left, time.monotonic() - began


class Chain:
    """One kind of study, stopped and gone on with."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        self.study = folder / "study.toml"
        self.study.write_text(text)
        began = time.monotonic()
        assert start(self.study, folder / "undisturbed").wait() == 0
        self.seconds = time.monotonic() - began
        self.expected = table(folder / "undisturbed")
        self.count = 0
        self.found: dict[str, Any] = {"kills": 0, "tables_equal": True, "orphans": 0, "temporary_files": 0}
        self.slowest = 0.0

    def go(self, rng: random.Random, most: int) -> None:
        """Begin a study, and stop it until it has ended, at most so many times."""
        out = self.folder / f"stopped-{self.count}"
        self.count += 1
        for _ in range(most):
            process = start(self.study, out)
            try:
                process.wait(rng.uniform(0.0, self.seconds))
                break
            except subprocess.TimeoutExpired:
                process.send_signal(rng.choice(SIGNALS))
                process.wait()
            self.found["kills"] += 1
            left, seconds = orphans(self.folder)
            self.found["orphans"] += left
            self.slowest = max(self.slowest, seconds)
        assert start(self.study, out).wait() == 0
        self.found["tables_equal"] &= table(out) == self.expected
        self.found["temporary_files"] += len([*out.rglob("*.partial"), *out.rglob(".*.tmp")])


def main(stops: int) -> None:
    """Stop so many times in all."""
    with tempfile.TemporaryDirectory() as temporary:
        folders = [Path(temporary) / name for name in ("trainings", "programs")]
        for folder in folders:
            folder.mkdir()
        (folders[1] / "program.py").write_text(PROGRAM)
        (folders[1] / "job.sh").write_text(f"{sys.executable} {folders[1]}/program.py $1 $2\ntrue\n")
        chains = [Chain(folders[0], TRAININGS), Chain(folders[1], PROGRAMS.format(folder=folders[1]))]
        began = time.monotonic()

        def all_of(chain: Chain, seed: int, most: int) -> None:
            rng = random.Random(seed)
            while (made := chain.found["kills"]) < most:
                chain.go(rng, min(8, most - made))
                print(f"{time.monotonic() - began:.0f} s, {chain.folder.name}: {chain.found}", flush=True)

        with ThreadPoolExecutor(2) as pool:  # as two users of one machine
            halves = (stops - stops // 2, stops // 2)
            for done in [pool.submit(all_of, chain, n, halves[n]) for n, chain in enumerate(chains)]:
                done.result()
    print(f"undisturbed: {chains[0].seconds:.1f} s and {chains[1].seconds:.1f} s")
    one, other = (chain.found for chain in chains)
    total = {name: one[name] + other[name] for name in one}
    total["tables_equal"] = one["tables_equal"] and other["tables_equal"]
    print(json.dumps(total | {"slowest_end_s": round(max(chain.slowest for chain in chains), 2)}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STOPS)
