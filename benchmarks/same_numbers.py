"""Are the numbers of today's code those of another commit's, to the last bit?

    python benchmarks/same_numbers.py --against COMMIT [--only NAME ...]
    python benchmarks/same_numbers.py --against COMMIT --time 7

Twelve small trainings that cover every seam run through the command line, each with the code of COMMIT and with that of
the working tree. Everything in result.json and metrics.jsonl but times is compared, and every test image's prediction.
Some minutes on two cores. Ends with status 1 where a number differs.

With `--time`, the ones in one piece train a ResNet-20 for some hundred steps instead, as often as it says. Both sides
go on in turn, half a second each, so that a machine whose speed drifts is the same for both. The figure is the median
of the ratios of their processor seconds in training, for each and for all.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
SMALL = (
    "--model resnet8 --model.width 4 --epochs 2 --batch_size 32 --data.train_images 400 --optimizer.lr 0.05 "
    "--precision fp32 --device cpu --seed 3"
)
LONGER = "--model resnet20 --model.width 16 --epochs 40 --batch_size 64"
TIMES = {"train_seconds", "cpu_seconds", "images_per_second"}
# They tell how a run was made, or are named otherwise by design.
OTHERWISE = {"fingerprint", "finished", "evaluation_seconds"}


@dataclass(frozen=True)
class Trial:
    """A small training."""

    name: str
    options: str
    processes: int = 1
    killed: bool = False
    """Killed after its first checkpoint, and gone on with."""


AUXILIARY = "--tasks.main 0 1 2 --tasks.auxiliary 3 4 5 --gradient"
TRIALS = (
    Trial("softmax", "--schedule cosine --schedule.warmup_epochs 0.5 --objective.label_smoothing 0.1"),
    Trial(
        "gaussian-mixture",
        "--objective gaussian-mixture --objective.margin_schedule ramp --objective.schedule_epochs 1 "
        "--objective.covariance diagonal --objective.variances learned --objective.feature_size 2",
    ),
    Trial("weighted", f"{AUXILIARY} weighted --tasks.batch_norm separate"),
    Trial("pcgrad", f"{AUXILIARY} pcgrad --data.train_images 800"),
    Trial("gradvac", f"{AUXILIARY} gradvac --tasks.batch_norm joint"),
    Trial("freezeout", "--freezing freezeout --schedule constant --freezing.t0 0.5 --optimizer.weight_decay 5e-4"),
    Trial("adaptive", "--freezing adaptive-representation --freezing.every_steps 2 --freezing.tolerance 0.9"),
    Trial(
        "cache",
        "--freezing freezeout --schedule constant --freezing.t0 0.3 --freezing.cache host --augmentation.views 1 "
        "--epochs 4",
    ),
    Trial(
        "after",
        "--probe linear-svm --detection.fgsm_epsilon 4 --detection.images 50 --preprocessing mean-image "
        "--optimizer adamw --optimizer.lr 0.001",
    ),
    Trial(
        "until-error-resumed",
        # The milestone comes after the warm-up's end at step 40 of 66, which it would hide.
        "--schedule step --schedule.milestones_percent 80 --schedule.warmup until-error --schedule.warmup_factor 0.1 "
        "--epochs 6 "
        "--schedule.warmup_error_percent 85 --optimizer.decay_norms_and_biases false --batch_norm_momentum dynamic",
        killed=True,
    ),
    Trial(
        "photographs",
        "--data.path {photographs} --data.stream true --data.resize 32 --data.workers 1 --data.train_images 64",
    ),
    Trial("two-processes", "--augmentation.cutout 2 --optimizer.clip_norm 1.0", processes=2),
)


def main() -> None:
    """Run, compare, and print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", required=True, help="a commit")
    names = [trial.name for trial in TRIALS]
    parser.add_argument("--only", nargs="+", default=names, choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--time", type=int, metavar="REPEATS", help="compare the steps' time instead of the numbers")
    given = parser.parse_args()
    chosen = [trial for trial in TRIALS if trial.name in given.only]
    equal = 0
    with tempfile.TemporaryDirectory() as scratch, checked_out(given.against, Path(scratch) / "before") as before:
        photographs = make_photographs(Path(scratch) / "photographs")
        if given.time is not None:
            compare_times(chosen, before, photographs, Path(scratch), given.time)
            return
        for trial in chosen:
            runs = []
            for label, source in (("before", before), ("now", ROOT)):
                folder = Path(scratch) / f"{trial.name}-{label}"
                run(trial, source, folder, photographs)
                runs.append(numbers(folder))
            differing = sorted(name for name in runs[0].keys() | runs[1].keys() if not same(name, *runs))
            equal += not differing
            print(f"{trial.name}: {len(runs[0])} numbers, {len(differing)} differ", flush=True)
            for name in differing[:10]:
                print(f"  {name}: {runs[0].get(name)!s:.200} before, {runs[1].get(name)!s:.200} now")
    print(json.dumps({"experiments": len(chosen), "equal": equal}))
    sys.exit(equal < len(chosen))


@contextlib.contextmanager
def checked_out(commit: str, folder: Path) -> Iterator[Path]:
    """The tree of a commit, in a folder of its own."""
    subprocess.run(["git", "worktree", "add", "--quiet", "--detach", folder, commit], cwd=ROOT, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", folder], cwd=ROOT, check=True)


def make_photographs(folder: Path) -> Path:
    """A hundred JPEG files of noise in two class folders, of different sizes."""
    rng = np.random.default_rng(0)
    for label in range(2):
        (folder / f"class{label}").mkdir(parents=True)
        for number in range(50):
            pixels = rng.integers(0, 256, (40 + number, 60, 3), dtype=np.uint8) // (1 + label)
            Image.fromarray(pixels).save(folder / f"class{label}" / f"{number:02}.jpg")
    return folder


def command_of(trial: Trial, folder: Path, photographs: Path) -> list[str]:
    """The command that trains in `folder`."""
    options = f"{SMALL} {trial.options}".format(photographs=photographs).split()
    seen: dict[str, list[str]] = {}  # an option given twice: the later one
    for token in options:
        if token.startswith("--"):
            seen[token] = []
            last = token
        else:
            seen[last].append(token)
    arguments = [part for option, values in seen.items() for part in (option, *values)]
    module = ["-m", "truelift", "train", *arguments, "--out", str(folder), "--checkpoint_seconds", "0"]
    if trial.processes == 1:
        return [sys.executable, *module]
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={trial.processes}"]
    return [sys.executable, *launcher, *module]


def start(command: list[str], source: Path) -> subprocess.Popen[bytes]:
    """The command, with the code of `source`."""
    environment = {**os.environ, "PYTHONPATH": str(source / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def run(trial: Trial, source: Path, folder: Path, photographs: Path) -> None:
    """Train in `folder` with the code of `source`."""
    command = command_of(trial, folder, photographs)
    if trial.killed:
        begun = start(command, source)
        while not (folder / "checkpoint.pt").exists() and begun.poll() is None:
            time.sleep(0.01)
        time.sleep(0.3)
        begun.send_signal(signal.SIGKILL)
        begun.wait()
        assert not (folder / "result.json").exists(), "it had ended before it was killed"
    assert start(command, source).wait() == 0


def numbers(folder: Path) -> dict[str, Any]:
    """Everything that a run has written down, by name, but times."""
    result = json.loads((folder / "result.json").read_text())
    found = {f"result.{name}": value for name, value in result.items() if name not in {"metrics", *OTHERWISE}}
    found |= {f"metrics.{name}": value for name, value in result["metrics"].items() if name not in TIMES}
    for line in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()):
        place = f"{line.pop('kind')} {line.pop('step')}"
        found |= {f"{place} {name}": value for name, value in line.items() if name not in TIMES}
    with np.load(folder / "predictions.npz") as predictions:
        found |= {f"predictions.{name}": predictions[name].tolist() for name in predictions.files}
    return found


def compare_times(trials: list[Trial], before: Path, photographs: Path, scratch: Path, repeats: int) -> None:
    """Print each training's ratio of processor seconds, and the JSON line."""
    medians = {}
    for trial in trials:
        if trial.processes > 1 or trial.killed or trial.name == "photographs":
            continue  # counted by another process, in two pieces, or decoding for the most part
        longer = replace(trial, options=f"{trial.options} {LONGER}")
        ratios = []
        for repeat in range(repeats):
            sides = {scratch / f"{trial.name}-{repeat}-{n}": source for n, source in enumerate((before, ROOT))}
            in_turn([start(command_of(longer, folder, photographs), source) for folder, source in sides.items()])
            seconds = [json.loads((folder / "result.json").read_text())["metrics"]["cpu_seconds"] for folder in sides]
            ratios.append(seconds[1] / seconds[0])
        medians[trial.name] = float(np.median(ratios))
        print(f"{trial.name}: {medians[trial.name]:.3f} ({min(ratios):.3f} to {max(ratios):.3f})", flush=True)
    figures = {"step_time_over_before": float(np.median(list(medians.values()))), "worst": max(medians.values())}
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


def in_turn(processes: list[subprocess.Popen[bytes]]) -> None:
    """Let one go on at a time, half a second each, until all have ended."""
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    while running := [process for process in processes if process.poll() is None]:
        for process in running:
            process.send_signal(signal.SIGCONT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
            process.send_signal(signal.SIGSTOP)  # nothing, where it has ended
    assert all(process.returncode == 0 for process in processes)


def same(name: str, before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether both have the number, and it is the same to the last bit."""
    if name not in before or name not in now:
        return False
    # As text, so that 0.0 and -0.0 differ and NaN equals NaN; Python writes a float with all that it has.
    return json.dumps(before[name]) == json.dumps(now[name])


if __name__ == "__main__":
    main()
