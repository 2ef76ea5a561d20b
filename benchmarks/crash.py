"""Kill a study ten times at random moments, go on each time, and compare with an undisturbed one.

    make bench NAME=crash

The study: the bundled digits, three variants, two seeds, a checkpoint every tenth of a second, so that nearly every
kill falls into the middle of an epoch. `kill -9` is sent to the study's process alone; its runs must end by themselves.
The tables are equal when every metric but the times and every test prediction is the same number.
"""

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from truelift.records import Study

KILLS = 10
STUDY = """
question = "Is a killed study the same study?"
baseline = "plain"
seeds = 2
experiment.model.name = "resnet8"
experiment.epochs = 60
experiment.precision = "fp32"
[variants.plain]
augmentation.crop_padding = 0
[variants.shifted]
augmentation.crop_padding = 1
[variants.no-last-relu]
model.last_relu = false
"""


def start(study: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "truelift", "study", str(study), "--out", str(out), "--checkpoint_seconds", "0.1"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def table(folder: Path) -> dict[str, object]:
    rows: dict[str, object] = {}
    for run in Study.read(folder).runs:
        metrics = run.result()["metrics"]
        timeless = {k: v for k, v in metrics.items() if "second" not in k}
        curves = [{k: v for k, v in line.items() if "second" not in k} for line in run.metrics()]
        predictions = run.predictions()
        assert predictions is not None
        probability = np.asarray(predictions.probability).tolist()
        rows[f"{run.variant} seed {run.seed}"] = (timeless, curves, probability)
    return rows


def main() -> None:
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as temporary:
        study = Path(temporary) / "crash.toml"
        study.write_text(STUDY)
        began = time.monotonic()
        assert start(study, Path(temporary) / "undisturbed").wait() == 0
        whole = time.monotonic() - began
        expected = table(Path(temporary) / "undisturbed")
        kills, equal = 0, True
        while kills < KILLS:
            out = (
                Path(temporary) / f"killed-from-{kills}"
            )  # a study that ends before the last kill is followed by another
            while kills < KILLS:
                process = start(study, out)
                try:
                    process.wait(rng.uniform(3.0, 8.0))
                    break
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                kills += 1
                done = len(list(out.glob("runs/*/*/result.json")))
                begun = len(list(out.glob("runs/*/*/checkpoint.pt"))) - done
                print(f"kill {kills}: {done} of 6 runs done, {begun} in the middle", flush=True)
            assert start(study, out).wait() == 0
            equal = equal and table(out) == expected
    print(f"an undisturbed study took {whole:.0f} s; {kills} kills, tables equal: {equal}")
    print(json.dumps({"kills": kills, "tables_equal": equal}))


if __name__ == "__main__":
    main()
