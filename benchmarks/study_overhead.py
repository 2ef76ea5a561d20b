"""What a study costs beyond its training: wall time × jobs over the sum of training and evaluation.

    make bench NAME=study_overhead
    python benchmarks/study_overhead.py --cifar10 FOLDER

Two studies, two jobs at a time with a thread each: the recipe `digits` (15 runs), and 6 runs of a ResNet-20 for one
epoch of CIFAR-10. Without a folder of CIFAR-10 (the hub's parquet files) 60,000 random images in the same form take
its place. The time is the whole command's, from the interpreter's start to the report; what the runs measure
themselves, training and evaluation, is the divisor. So 1 is a study that costs what its training costs. The same
twice: with an empty cache of decoded images, and with what the first left there; the last line has the second. Each
run of the digits, and one of CIFAR-10, is then made again in a fresh process without the cache: every number but the
times must be the same, to the last bit.

Python keeps the bytecode of what it imports, as it does for whoever sets nothing: without, each process would compile
truelift's own modules anew.

`processor` is the same ratio in processor seconds, of the study and all it started over those of its training loops
(with evaluation by wall time's share); other work on the machine changes it less.
"""

import argparse
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from truelift.records import Run, Study

JOBS = 2
CIFAR = """
question = "What does a study of six short runs cost?"
seeds = 3
baseline = "plain"
[experiment]
data.name = "cifar10"
data.path = "{path}"
model.name = "resnet20"
epochs = 1
batch_size = 128
[variants.plain]
[variants.warm]
schedule.warmup_epochs = 0.1
"""
TIMES = {"train_seconds", "cpu_seconds", "images_per_second"}


def main() -> None:
    """Run both studies and print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cifar10", type=Path, help="a folder with the hub's parquet files of CIFAR-10")
    parser.add_argument("--only", choices=("demo", "cifar"))
    given = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    ratios, equal = {}, {}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for study in ("demo", "cifar") if given.only is None else (given.only,):
            source: str | Path = "digits"
            if study == "cifar":
                source = scratch / "cifar.toml"
                path = given.cifar10 or write_images(scratch / "images")
                source.write_text(CIFAR.format(path=path.absolute()))
            for cache in ("empty", "full"):
                folder = scratch / f"{study}-{cache}"
                ratios[study] = measured(f"{study}, {cache} cache", source, folder, scratch / "cache")
            runs = Study.read(folder).runs
            equal[study] = all(is_equal(run, scratch / "again") for run in (runs if study == "demo" else runs[:1]))
            print(f"{study}: numbers equal those of fresh processes: {equal[study]}", flush=True)
    print(json.dumps({**ratios, "bit_equal": all(equal.values())}))
    sys.exit(not all(equal.values()))


def measured(label: str, source: str | Path, folder: Path, cache: Path) -> float:
    """Run a study; its wall time × jobs over the sum of training and evaluation."""
    environment = {**os.environ, "TRUELIFT_CACHE": str(cache)}
    before, began = processor_seconds(), time.perf_counter()
    command = [sys.executable, "-m", "truelift", "study", str(source), "--out", str(folder), "--jobs", str(JOBS)]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    wall, processor = time.perf_counter() - began, processor_seconds() - before
    results = [run.result() for run in Study.read(folder).runs]
    training = sum(result["metrics"]["train_seconds"] for result in results)
    evaluation = sum(result["evaluation_seconds"] for result in results)
    in_training = sum(result["metrics"]["cpu_seconds"] for result in results)
    ratio = wall * JOBS / (training + evaluation)
    of_processor = processor / (in_training * (1 + evaluation / training))
    print(
        f"{label}: {wall:.1f} s for {training:.1f} s of training and {evaluation:.1f} s of evaluation: {ratio:.2f}; "
        f"processor {of_processor:.2f}; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return round(ratio, 2)


def processor_seconds() -> float:
    """Of all processes that this one has started and that have ended, theirs among them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def is_equal(run: Run, folder: Path) -> bool:
    """Whether a run's numbers are those of the same settings in a fresh process, without a cache."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(run.folder / "config.toml", folder)
    environment = {**os.environ, "TRUELIFT_CACHE": "off", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "truelift.studies.worker", str(folder), "30"]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.wait() == 0  # the pipe is open until then
    return numbers(run) == numbers(Run(run.variant, run.seed, folder))


def numbers(run: Run) -> tuple[dict[str, Any], list[dict[str, Any]], bytes]:
    """Everything that a run's records say but the times."""
    metrics = {name: value for name, value in run.result()["metrics"].items() if name not in TIMES}
    lines = [{name: value for name, value in line.items() if name not in TIMES} for line in run.metrics()]
    predictions = run.predictions()
    assert predictions is not None
    return metrics, lines, np.asarray(predictions.probability).tobytes()


def write_images(folder: Path) -> Path:
    """Random images in the form of the hub's CIFAR-10: 50,000 and 10,000 in ten classes, PNG, 32×32."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for split, count in (("train", 50_000), ("test", 10_000)):
        labels = np.arange(count) % 10
        images = []
        for label in labels:
            small = rng.integers(0, 256, (8, 8, 3)) // 2 + 12 * label
            buffer = io.BytesIO()
            Image.fromarray(small.astype(np.uint8)).resize((32, 32)).save(buffer, format="PNG")
            images.append({"bytes": buffer.getvalue(), "path": None})
        table = pa.table({"img": images, "label": labels})
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    return folder


if __name__ == "__main__":
    main()
