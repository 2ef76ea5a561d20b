"""What truelift itself costs in a study of many short runs, and how long a plan and a report of very many take.

    python -P benchmarks/scheduling.py [--runs 1000] [--slots 100] [--seconds 1.0] [--planned 10000]

**A thousand runs of a second over a hundred slots.** The whole way of `truelift study` in one process: the plan is
read and checked, each run's folder is made ready, the local executor hands the runs to its slots and tells their ends.
Simulated is the run alone: in place of a worker's process a thread takes the run's lease, sleeps for a second, writes
result.json as a worker does, and lets go. So no Python is started, nothing is trained, and all slots share this
machine's cores, where a cluster's slots have their own.

`overhead_1000_runs` is therefore in processor time: the processor seconds of all this over the seconds that the slots
were taken (runs × seconds). `wall_overhead` is by the clock, 1 − what the runs need at least ÷ from the command's
beginning to the last run's end, on whatever cores are here: with two of them a hundred runs that begin at once wait for
each other, and other work on the machine counts too.

**Lost and doubled.** Besides, four processes that take themselves for four machines (each has a host name of its own,
so that leases alone decide, by heartbeats) share as many runs among them, as `truelift work` does; one of them is
killed in the middle, so that its runs are taken over. `lost` are runs without a result, `doubled` runs whose result was
written more than once, in both parts together; `taken_over` are the killed one's runs that another has made.

**Plan and report.** A file of as many runs of trainings is read (`plan_s`), and the report of as many finished ones,
with 100 lines of metrics each, is written (`report_s`), each in a process of its own, imports included for the report;
`plan_cpu_s` and `report_cpu_s` are the same in processor seconds.
"""

import argparse
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from truelift.records import Study, leased, now, read_config_file, write_json
from truelift.records.leases import check_held, holder_of
from truelift.records.locks import InUseError
from truelift.studies.executors import Work, local
from truelift.studies.executors.local import Local
from truelift.studies.how import How
from truelift.studies.study import run_study
from truelift.studies.study_file import read_plan
from truelift.studies.worker import ELSEWHERE

HOSTS = 4
HEARTBEAT = 1.0
"""Seconds, where machines are simulated: a lease ends after eight."""


class StandIn:
    """In place of a worker's process: holds the run's lease, sleeps, and leaves a result."""

    pid = 0
    seconds = 1.0

    def __init__(self, server: object, arguments: Sequence[str], log: int, environment: Mapping[str, str]) -> None:
        self._folder = Path(arguments[0])

    def wait(self) -> int:
        """Make the run."""
        try:
            with leased(self._folder):
                if (self._folder / "result.json").exists():
                    return 0
                config = read_config_file(self._folder)
                time.sleep(self.seconds)
                metrics = {"accuracy": 80.0 + config["seed"] % 7}
                check_held(self._folder)
                told = {name: config[name] for name in ("command", "args", "seed")}
                write_json(self._folder / "result.json", {"metrics": metrics, **told, "finished": now()})
                with (self._folder / "written").open("a") as written:  # not before: it may be killed in between
                    written.write(f"{socket.gethostname()}\n")
                return 0
        except InUseError:
            return ELSEWHERE

    def send_signal(self, number: int) -> None:
        """A thread cannot be sent one; nothing here is stopped."""


def main() -> None:
    """Measure, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--slots", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--planned", type=int, default=10_000)
    parser.add_argument("--host", nargs=2, help=argparse.SUPPRESS)  # a simulated machine's name, and the study
    given = parser.parse_args()
    StandIn.seconds = given.seconds
    local.start = StandIn  # type: ignore[assignment]
    if given.host:
        be_host(given.host[0], Path(given.host[1]), given.slots)
        return
    with tempfile.TemporaryDirectory() as made:
        figures, lost, doubled = one_command(Path(made) / "one", given.runs, given.slots, given.seconds)
        more = several_hosts(Path(made) / "several", given.runs, given.slots, given.seconds)
        figures |= plan_and_report(Path(made), given.planned)
    told = {"lost": lost + more[0], "doubled": doubled + more[1], "taken_over": more[2]}
    print(json.dumps({**{name: round(value, 4) for name, value in figures.items()}, **told}))
    sys.exit(bool(told["lost"] or told["doubled"]))


def study_of(folder: Path, runs: int, executor: Local) -> Path:
    """A study of so many runs in a folder, given to an executor."""
    folder.mkdir()
    file = folder / "study.toml"
    command = "true {seed} {out} {args}"
    variants = '[variants.a]\n[variants.b]\nargs = "b"\n'
    file.write_text(f'command = "{command}"\nmetric = "accuracy"\nseeds = {runs // 2}\n{variants}')
    run_study(
        read_plan(file),
        folder / "study",
        How(executor=executor),
        repeat="",
        report_run=lambda run, ended, total: None,
        warn=lambda line: None,
    )
    return folder / "study"


def one_command(folder: Path, runs: int, slots: int, seconds: float) -> tuple[dict[str, float], int, int]:
    """The whole study by one command; its figures, and the runs that were lost and doubled."""
    before, began = time.process_time(), time.time()
    study = study_of(folder, runs, Local(slots, 1))
    used = time.process_time() - before
    last = max(path.stat().st_mtime for path in study.glob("runs/*/*/result.json"))
    least = -(-runs // slots) * seconds
    return (
        {"overhead_1000_runs": used / (runs * seconds), "wall_overhead": 1 - least / (last - began)},
        *lost_and_doubled(study),
    )


def several_hosts(folder: Path, runs: int, slots: int, seconds: float) -> tuple[int, int, int]:
    """The same runs shared by simulated machines, one of which is killed; lost, doubled, and taken over."""

    class PlanOnly(Local):
        def run(self, folders: Any, work: Any) -> Any:
            yield from ()

    study = study_of(folder, runs, PlanOnly(1, 1))
    command = [sys.executable, "-P", __file__, "--slots", str(slots // HOSTS), "--seconds", str(seconds)]
    environment = {**os.environ, "TRUELIFT_HEARTBEAT": str(HEARTBEAT)}
    hosts = [
        subprocess.Popen([*command, "--host", f"host-{number}", str(study)], env=environment) for number in range(HOSTS)
    ]
    while len(list(study.glob("runs/*/*/result.json"))) < runs // 3:
        time.sleep(0.1)
        assert any(host.poll() is None for host in hosts), "they ended too soon"
    hosts[0].send_signal(signal.SIGKILL)
    there = {path: holder_of(path) for path in study.glob("runs/*/*")}
    held = [path for path, holder in there.items() if holder is not None and holder.host == "host-0"]
    for host in hosts:
        host.wait()
    taken_over = sum((path / "written").read_text() != "host-0\n" for path in held)
    return *lost_and_doubled(study), taken_over


def lost_and_doubled(study: Path) -> tuple[int, int]:
    """Runs without a result, and runs whose result was written more than once."""
    runs = Study.read(study).runs
    written = [len((run.folder / "written").read_text().split()) for run in runs if (run.folder / "written").exists()]
    return sum(run.status != "done" for run in runs), sum(count > 1 for count in written)


def be_host(name: str, study: Path, slots: int) -> None:
    """Share in a study's runs as a machine of that name."""
    socket.gethostname = lambda: name  # type: ignore[assignment]
    folders = [run.folder for run in Study.read(study).runs]
    for _ in Local(slots, 1).run(folders, Work(study, tell=lambda line: None)):
        pass


def plan_and_report(folder: Path, runs: int) -> dict[str, float]:
    """Seconds of reading a plan, and of writing a report."""
    records = _records()
    records.make_plan(folder / "plan.toml", runs // 10)
    read, plan_s, plan_cpu_s = records.measured(records._READ_PLAN, str(folder / "plan.toml"))
    assert read == runs // 10 * 10
    records.make_study(folder / "wide", variants=10, seeds=runs // 10, lines=100)
    status, report_s, report_cpu_s, _ = records.measured(records._MEASURED, "report", str(folder / "wide"))
    assert status == 0
    found = {"plan_s": plan_s, "plan_cpu_s": plan_cpu_s, "report_s": report_s, "report_cpu_s": report_cpu_s}
    return {name: float(value) for name, value in found.items()}


def _records() -> ModuleType:
    """The benchmark of records, whose studies are made for this one too."""
    spec = importlib.util.spec_from_file_location("benchmark_of_records", Path(__file__).with_name("records.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
