"""How long the report of large records takes: a file of 5 million lines, a study of 1,000 runs, a plan of 1,000 runs.

    python benchmarks/records.py [--repeats 3] [--lines 5000000] [--runs 1000]

Each measurement is a process of its own, imports included; the measurements take turns, and the median of each is told.
Beside wall-clock seconds stand processor seconds, which other work on the machine disturbs less. On two cores of a
shared machine it takes some three minutes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from truelift.records import Predictions, write_json

_MEASURED = """
import json, resource, sys, time
from truelift.cli import main
began = time.perf_counter()
try:
    main(sys.argv[1:])
except SystemExit as ended:
    status = ended.code
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([status, time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20]))
"""
_READ_PLAN = """
import json, resource, sys, time
from pathlib import Path
from truelift.studies.study_file import read_plan
began, used = time.perf_counter(), time.process_time()
runs = [run.folder for run in read_plan(Path(sys.argv[1])).runs()]
print(json.dumps([len(runs), time.perf_counter() - began, time.process_time() - used]))
"""


def main() -> None:
    """Make the files, measure, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--lines", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        long, wide, plan = Path(made) / "long", Path(made) / "wide", Path(made) / "plan.toml"
        make_study(long, variants=2, seeds=1, lines=options.lines // 2)
        make_study(wide, variants=10, seeds=options.runs // 10, lines=100)
        make_plan(plan, options.runs // 10)
        found: dict[str, list[list[float]]] = {"long": [], "wide": [], "plan": []}
        for _ in range(options.repeats):
            found["long"].append(measured(_MEASURED, "report", str(long)))
            found["wide"].append(measured(_MEASURED, "report", str(wide)))
            found["plan"].append(measured(_READ_PLAN, str(plan)))
    middle = {name: np.median(rows, axis=0).tolist() for name, rows in found.items()}
    assert middle["plan"][0] == options.runs // 10 * 10, middle
    assert middle["long"][0] == middle["wide"][0] == 0, middle
    figures = {
        "report_5m_lines_s": middle["long"][1],
        "report_5m_lines_cpu_s": middle["long"][2],
        "report_5m_lines_gib": middle["long"][3],
        "report_1000_runs_s": middle["wide"][1],
        "report_1000_runs_cpu_s": middle["wide"][2],
        "report_1000_runs_gib": middle["wide"][3],
        "plan_1000_runs_s": middle["plan"][1],
        "plan_1000_runs_cpu_s": middle["plan"][2],
    }
    told: dict[str, Any] = {name: round(value, 3) for name, value in figures.items()}
    print(json.dumps({**told, "lines": options.lines, "runs": options.runs, "repeats": options.repeats}))


def measured(program: str, *arguments: str) -> list[float]:
    """What a program prints on its last line, with its whole wall-clock time in place of its own."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], check=True, capture_output=True, text=True, env=os.environ
    )
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    if program is _MEASURED:
        found[1] = time.perf_counter() - began
    return found


def make_study(folder: Path, *, variants: int, seeds: int, lines: int) -> None:
    """A finished study with all that a run of ours leaves."""
    rng = np.random.default_rng(0)
    names = [f"variant-{number}" for number in range(variants)]
    runs = []
    labels = np.arange(1000) % 10
    for name in names:
        for seed in range(seeds):
            run = folder / "runs" / name / f"seed-{seed}-{len(runs):08x}"
            runs.append({"variant": name, "seed": seed, "folder": run.relative_to(folder).as_posix()})
            run.mkdir(parents=True)
            (run / "config.toml").write_text('seed = 0\nepochs = 30\n[optimizer]\nname = "sgd"\nlr = 0.1\n')
            write_metrics(run / "metrics.jsonl", lines)
            accuracy = 90 + float(rng.normal())
            predicted = np.where(rng.random(1000) < accuracy / 100, labels, (labels + 1) % 10)
            Predictions(labels, predicted, np.full(1000, 0.5, np.float32)).write(run / "predictions.npz")
            write_json(run / "environment.json", {"torch": "2", "python": "3", "device": "cpu", "threads": 1})
            metrics = {"test_accuracy": accuracy, "test_error": 100 - accuracy, "train_seconds": 10 + rng.random()}
            write_json(run / "result.json", {"metrics": metrics, "fingerprint": f"{len(runs) - 1:08x}"})
    plan = {
        "name": "made",
        "question": "How long does it take?",
        "metric": "test_accuracy",
        "unit": "points",
        "higher_is_better": True,
        "relative": False,
        "smallest_effect": 0.5,
        "baseline": names[0],
        "seeds": list(range(seeds)),
        "variants": {name: {"settings": {}, "command": None} for name in names},
        "shared": {},
        "runs": runs,
        "repeat": "truelift study made.toml",
        "created": "2026-01-01T00:00:00+00:00",
    }
    write_json(folder / "study.json", plan)


def write_metrics(path: Path, lines: int) -> None:
    """Lines as our trainings write them, an evaluation every hundredth."""
    with path.open("w") as file:
        for step in range(1, lines + 1):
            if step % 100:
                file.write(
                    f'{{"kind": "train", "step": {step}, "epoch": {step / 100}, "train_loss": {1 + 2 / step:.6f}, '
                    f'"train_error": {50 + 40 / step:.4f}, "learning_rate": 0.1, "images_per_second": 812.0}}\n'
                )
            else:
                file.write(
                    f'{{"kind": "evaluation", "step": {step}, "epoch": {step / 100}, "test_loss": 1.5, '
                    f'"test_accuracy": 44.8, "test_error": {55 + 10 / step:.4f}}}\n'
                )


def make_plan(path: Path, seeds: int) -> None:
    """A study file of ten variants of ours."""
    variants = "".join(f"[variants.v{number}]\noptimizer.lr = {0.01 * (number + 1)}\n" for number in range(10))
    path.write_text(f"seeds = {seeds}\n[experiment]\nepochs = 3\n{variants}")


if __name__ == "__main__":
    main()
