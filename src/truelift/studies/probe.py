"""What a training costs, found by making some of its steps in a process of its own that leaves nothing behind.

    python -m truelift.studies.probe FOLDER

FOLDER holds a config.toml and is thrown away by whoever made it. The result is a line of JSON on the standard output.
"""

import contextlib
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import tomli_w

from truelift.errors import DivergedError, InputError, named, one_line
from truelift.garbage import uncollected
from truelift.studies.fork_server import PRELOADED
from truelift.studies.start import can_fork, environment_for

RUN_SECONDS = 0.07
"""Of a run beside what is measured here: its process begins and ends, and copies the pages that it writes to."""
_KIB = 1024
_TIMES = ("_seconds", "_per_step")


@dataclass(frozen=True)
class Probe:
    """What one training costs."""

    import_seconds: float
    """What a run imports; where runs are forked, their server does so once for all."""
    start_seconds: float
    """Until the steps are as fast as they get: data, network, records, and what the first steps take longer."""
    seconds_per_step: float
    evaluation_seconds: float
    """Of one evaluation on all held-out images."""
    end_seconds: float
    """The checkpoint, the count of operations and the records at the end."""
    steps: int
    evaluations: int
    checkpoint_bytes: int
    prediction_bytes: int
    peak_bytes: int
    """Memory of the process."""

    @property
    def seconds(self) -> float:
        """Of a whole run of a study."""
        return self.seconds_alone - (self.import_seconds if can_fork() else 0.0)

    @property
    def seconds_alone(self) -> float:
        """Of a training by itself."""
        made = self.steps * self.seconds_per_step + self.evaluations * self.evaluation_seconds
        return self.import_seconds + RUN_SECONDS + self.start_seconds + made + self.end_seconds

    @property
    def disk_bytes(self) -> int:
        """Of a run's folder."""
        return self.checkpoint_bytes + self.prediction_bytes


def probe_all(configs: Mapping[str, Mapping[str, Any]], *, jobs: int, threads: int) -> list[Probe]:
    """Probe several trainings, as many at a time as a study would run, so that they share the machine as its runs do.

    Args:
        configs: What config.toml holds of each, by what it is called where it cannot be probed.
        jobs: Processes at a time, at least 1.
        threads: CPU threads of each.

    Raises:
        InputError: One of them cannot be probed; the message has its name and its last line.
    """
    if not configs:
        return []
    # A last one alone would have the machine to itself, as its runs have not.
    count = math.ceil(len(configs) / jobs) * jobs
    with ThreadPoolExecutor(jobs) as pool:
        made = list(pool.map(lambda one: _named(one[0], one[1], threads), islice(cycle(configs.items()), count)))
    return [_together(made[at :: len(configs)]) for at in range(len(configs))]


def _together(probes: Sequence[Probe]) -> Probe:
    """Several probes of the same as one: their mean, of bytes the most."""
    numbers = {field.name: [getattr(one, field.name) for one in probes] for field in fields(Probe)}
    return Probe(**{name: sum(n) / len(n) if name.endswith(_TIMES) else max(n) for name, n in numbers.items()})


def _named(name: str, config: Mapping[str, Any], threads: int) -> Probe:
    with named(name):
        return _probe_in_process(config, threads)


def _probe_in_process(config: Mapping[str, Any], threads: int) -> Probe:
    with tempfile.TemporaryDirectory(prefix="truelift-probe-") as folder:
        (Path(folder) / "config.toml").write_text(tomli_w.dumps(dict(config)), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "truelift.studies.probe", folder],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment_for(threads),
        )
    last = next((line for line in reversed(done.stdout.splitlines()) if line.startswith("{")), None)
    if done.returncode or last is None:
        why = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), f"status {done.returncode}")
        raise InputError(f"its first steps, tried for the time that they take, failed: {' '.join(why.split())}")
    return Probe(**json.loads(last))


def probe(folder: Path) -> Probe:
    """Make some steps of the training that a folder's config.toml describes.

    Args:
        folder: A run's records are written there.

    Raises:
        InputError: As the training would.
        DivergedError: Likewise.
    """
    with uncollected():
        for name in PRELOADED:
            import_module(name)
    from truelift.data import Share
    from truelift.records import write_json
    from truelift.studies.need import need_of
    from truelift.studies.probe_clock import Clock, EnoughError
    from truelift.training import resolve
    from truelift.training.afterwards import End
    from truelift.training.afterwards.operations import operations
    from truelift.training.build import assemble, load_data
    from truelift.training.evaluation import predict
    from truelift.training.hardware import keep_pages
    from truelift.training.identity import read_config
    from truelift.training.loop import fit

    records = import_module("truelift.training.run")  # the package has a function of that name
    experiment = resolve(read_config(folder))
    splits = load_data(experiment)
    need_of(assemble(experiment, splits), splits)  # the study does so, and its server imports what that has imported
    del splits  # one data set is held at a time, as in a run
    imported, import_seconds = time.perf_counter(), time.process_time()
    keep_pages()
    splits = load_data(experiment)
    training = assemble(experiment, splits)
    records.begin_records(folder, training, splits)

    lines: list[dict[str, Any]] = []
    clock = Clock(training)
    training.policies.append(clock)
    with contextlib.suppress(EnoughError):
        fit(training, lines.append, folder / "checkpoint.pt", math.inf)
    per_step = clock.seconds_per_step()
    evaluations = sum(line["kind"] == "evaluation" for line in lines)
    evaluation, predictions = 0.0, {}
    with training.judged():
        for split, batches in training.evaluations.items():
            parts = max(1, math.ceil(batches.batches_per_epoch / 4))  # of them one, and the others in proportion
            at = time.perf_counter()
            predictions[split] = predict(
                training.network,
                training.objective,
                batches,
                training.autocast,
                Share(0, parts),
                experiment.evaluation_views,
            )
            evaluation += (time.perf_counter() - at) * parts
    if evaluations:  # whole ones
        evaluation = training.meters.evaluation_seconds / evaluations
    at = time.perf_counter()
    training.save(folder / "checkpoint.pt")
    ended = time.perf_counter() - at
    at = time.perf_counter()
    predictions["test"].write(folder / "predictions.npz")
    with contextlib.suppress(DivergedError, KeyError, ValueError):  # of so few steps not all is known
        with training.judged():
            end = operations(End(training, splits, predictions))
        write_json(folder / "result.json", records.result_of(end))
    ended += time.perf_counter() - at
    return Probe(
        import_seconds=import_seconds,
        start_seconds=clock.first - imported + clock.warm_up(per_step),
        seconds_per_step=per_step,
        evaluation_seconds=evaluation,
        end_seconds=ended,
        steps=training.steps,
        evaluations=(training.epochs - 1) // experiment.evaluate_every_epochs + 1,
        checkpoint_bytes=(folder / "checkpoint.pt").stat().st_size,
        prediction_bytes=24 * len(splits.test),
        peak_bytes=_peak(training.device),
    )


def _peak(device: str) -> int:
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_reserved(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB


def main(folder: Path) -> None:
    """Probe, and print what was found."""
    from truelift.training.hardware import use_threads

    use_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    try:
        print(json.dumps(asdict(probe(folder))), flush=True)
    except (InputError, RuntimeError, OSError) as error:
        print(one_line(error), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
