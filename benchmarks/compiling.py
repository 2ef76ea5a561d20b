"""What compiling costs before the first step: with nothing on disk, with everything, and of a network of 110 layers.

    make bench NAME=compiling

ResNet-20 and ResNet-110, batch 128, images drawn at random: `compile_now`, which a run calls, to its end. Each
measurement is a process of its own, with torch's temporary folder and the cache its own too, so that a cold one finds
nothing of the C++ compiler's. Seconds are the clock's, with as many cores as the machine has; processor seconds, those
of the C++ compiler among them, are told beside them.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from truelift.data import DataOptions, ImageSet, Splits
from truelift.models import ModelOptions
from truelift.training import Experiment, resolve
from truelift.training.build import assemble
from truelift.training.compilation import compile_now

BATCH = 128


def measured(depth: int, folder: str) -> tuple[float, float]:
    """Clock and processor seconds of a new process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TRUELIFT_CACHE": folder, "TMPDIR": folder}
    environment.pop("TORCHINDUCTOR_CACHE_DIR", None)
    command = [sys.executable, "-P", __file__, "--depth", str(depth)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    wall, cpu = map(float, done.stdout.split()[-2:])
    size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    told = f"{wall:.1f} s, {cpu:.1f} of processors; {size / 2**20:.0f} MiB on disk; load {os.getloadavg()[0]:.1f}"
    print(f"resnet{depth}: {told}", flush=True)
    return wall, cpu


def compile_once(depth: int) -> None:
    torch.set_num_threads(1)
    data = ImageSet(torch.randint(256, (BATCH, 3, 32, 32), dtype=torch.uint8), torch.randint(10, (BATCH,)))
    splits = Splits(data, None, data, tuple(map(str, range(10))), 0)
    options = {"data": DataOptions(name="cifar10"), "model": ModelOptions(name=f"resnet{depth}")}
    training = assemble(resolve(Experiment(**options, batch_size=BATCH, compile=True)), splits)
    wall, before = time.perf_counter(), os.times()
    compile_now(training)
    wall, after = time.perf_counter() - wall, os.times()
    # The C++ compiler's processes count once they have ended; those that torch keeps, with the process itself.
    print(wall, sum(after[:4]) - sum(before[:4]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depths", type=int, nargs="+", default=[20, 110])
    parser.add_argument("--depth", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.depth:
        compile_once(arguments.depth)
        return
    cold, warm = {}, {}
    for depth in arguments.depths:
        with TemporaryDirectory() as folder:
            cold[depth] = measured(depth, folder)[0]
            warm[depth] = measured(depth, folder)[0]
    figures = {"cold_s_resnet20": round(cold[20], 1), "warm_s_resnet20": round(warm[20], 1)}
    if 110 in cold:
        figures["cold_110_over_20"] = round(cold[110] / cold[20], 2)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
