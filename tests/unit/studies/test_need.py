"""What a run takes of memory: counted before, and measured."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from truelift.data import DataOptions
from truelift.models import ModelOptions
from truelift.processes import LINUX
from truelift.records import write_json
from truelift.studies.folders import by_folder
from truelift.studies.need import Need, need_of, need_of_programs
from truelift.studies.start import environment_for
from truelift.studies.study_file import read_plan
from truelift.training import Experiment, resolve
from truelift.training.build import assemble, load_data
from truelift.training.identity import write_config

EXPERIMENT = resolve(
    Experiment(
        data=DataOptions(train_images=1000, test_images=200, validation_fraction=0, resize=32),
        model=ModelOptions(name="resnet8"),
        batch_size=1000,
        epochs=1,
        precision="fp32",
        compile=False,
    )
)
RUN = """
import re, sys
from pathlib import Path
from truelift.studies.worker import run_experiment
run_experiment(Path(sys.argv[1]), 1e9)
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""
PROGRAM = """
question = "?"
baseline = "one"
metric = "error"
smallest_effect = 1
seeds = 2
command = "true {seed} {out} {args}"
[variants.one]
[variants.two]
args = "-x"
"""


def counted(experiment: Experiment) -> Need:
    splits = load_data(experiment)
    need = need_of(assemble(experiment, splits), splits)
    assert need is not None
    return need


@pytest.mark.skipif(not LINUX, reason="Linux tells a process's peak")
def test_a_training_s_peak_within_a_factor_of_two(tmp_path: Path) -> None:
    tmp_path.joinpath("run").mkdir()
    write_config(tmp_path / "run", EXPERIMENT)
    command = [sys.executable, "-c", RUN, str(tmp_path / "run")]
    done = subprocess.run(command, env=environment_for(1), capture_output=True, text=True, check=True)
    measured = 1024 * int(done.stdout.split()[-1])
    assert measured / 2 < counted(EXPERIMENT).host < 2 * measured
    # Else what every run takes would be enough to pass.
    assert measured > 2 * counted(replace(EXPERIMENT, batch_size=10)).host


def test_half_precision_keeps_half_and_recomputing_less() -> None:
    base, full = counted(replace(EXPERIMENT, batch_size=10)).host, counted(EXPERIMENT).host
    half = counted(replace(EXPERIMENT, precision="bf16")).host
    assert (half - base) / (full - base) == pytest.approx(0.5, abs=0.03)
    recomputed = counted(replace(EXPERIMENT, model=replace(EXPERIMENT.model, recompute=True))).host
    assert recomputed - base < 0.8 * (full - base)


def test_programs_take_what_they_have_taken(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(PROGRAM)
    runs = by_folder(read_plan(tmp_path / "study.toml"), tmp_path / "out")
    assert need_of_programs(runs) == {}
    for number, folder in enumerate(runs):
        folder.mkdir(parents=True)
        if number < 3:  # both of the first variant, one of the second
            write_json(folder / "result.json", {"metrics": {"error": 1.0}, "peak_bytes": 1000 + number})
    found = need_of_programs(runs)
    taken = {
        variant: [n + 1000 for n, run in enumerate(runs.values()) if run.variant == variant and n < 3]
        for variant in found
    }
    assert found == {variant: Need(max(peaks)) for variant, peaks in taken.items()}
