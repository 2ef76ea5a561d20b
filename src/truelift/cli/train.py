"""`truelift train`."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import tomli_w
import torch
from cyclopts import Group, Parameter

from truelift.cli.given import GIVEN
from truelift.cli.options import ExperimentOptions
from truelift.errors import InputError
from truelift.options import without_effect, without_effect_told
from truelift.toml import read_toml
from truelift.training import Experiment, fingerprint, identity, resolve, run
from truelift.training.distributed import joined
from truelift.training.hardware import pick_device, use_threads
from truelift.training.identity import as_recorded, find_folder
from truelift.training.identity import config as config_of
from truelift.training.progress import BarReporter, PlainReporter, QuietReporter, Reporter, is_terminal
from truelift.training.settings import flatten, parse_experiment

_THIS = Parameter(group=Group("This command", sort_key=1))


def train(
    *,
    config: Annotated[Path | None, _THIS] = None,
    out: Annotated[Path | None, _THIS] = None,
    threads: Annotated[int | None, _THIS] = None,
    checkpoint_seconds: Annotated[float, _THIS] = 30.0,
    print_config: Annotated[bool, _THIS] = False,
    dry_run: Annotated[bool, _THIS] = False,
    quiet: Annotated[bool, _THIS] = False,
    verbose: Annotated[bool, _THIS] = False,
    experiment: ExperimentOptions = Experiment(),  # noqa: B008
) -> int:
    """Train once. The same command goes on where it was stopped.

    Args:
        config: A TOML file of settings; options on the command line override them.
        out: Folder of the run. Default: runs/train/MODEL-DATA-seed-SEED-FINGERPRINT.
        threads: CPU threads. Default: OMP_NUM_THREADS, or all cores.
        checkpoint_seconds: Seconds between checkpoints.
        print_config: Print what would run, as TOML, and stop.
        dry_run: Say what it will cost, from some steps, and stop. Nothing is written except the cache of decoded
            images.
        quiet: Say nothing while it trains.
        verbose: A line for every line of metrics.jsonl.
        experiment: The experiment's options.
    """
    if quiet and verbose:
        raise InputError("quiet and verbose exclude each other.")
    given, home = GIVEN.settings(experiment), Path()
    of_file: dict[str, Any] = {}
    if config is not None:
        of_file, home = flatten(read_toml(config)), config.parent
        if of_file.pop("defaults_version", None) is not None:  # a run's own config.toml
            of_file = as_recorded(of_file)
    resolved = resolve(parse_experiment({**of_file, **given}, str(config or "the command line")), home)
    if print_config:
        print(_visible(tomli_w.dumps(config_of(resolved))), end="")
        return 0
    parts = (Path(part.replace(":", "-")).name for part in (resolved.model.name, resolved.data.name))
    name = f"{'-'.join(parts)}-seed-{resolved.seed}-{fingerprint(identity(resolved))}"
    folder = out or find_folder(Path("runs/train") / name, resolved)
    if os.environ.get("RANK", "0") == "0":
        for option, only in without_effect(resolved).items():
            print(f"truelift: warning: {without_effect_told(option, only)}", file=sys.stderr)
    use_threads(threads)
    if dry_run:
        from truelift.cli.dry_run import show_training_cost  # the report and all of studies, which no training needs
        from truelift.studies.cost import disk_free
        from truelift.studies.probe import probe_all

        [cost] = probe_all({"this training": config_of(resolved)}, jobs=1, threads=torch.get_num_threads())
        return show_training_cost(cost, folder, disk_free(folder))
    written = _written(folder / "result.json")
    bar = is_terminal() and not quiet and not verbose
    plain: Reporter = QuietReporter() if quiet else PlainReporter(verbose=verbose)
    with (
        joined(pick_device(resolved.device)) as world,
        BarReporter() if bar and world.first else contextlib.nullcontext(plain) as reporter,
    ):
        result = run(resolved, folder, reporter=reporter, checkpoint_seconds=checkpoint_seconds, world=world)
    if not world.first:  # which tells it
        return 0
    skipped = (
        f", {result['skipped_images']} {'image' if result['skipped_images'] == 1 else 'images'} skipped"
        if result["skipped_images"]
        else ""
    )
    metrics = result["metrics"]
    print(f"test accuracy {metrics['test_accuracy']:.2f} %, {metrics['train_seconds']:.1f} s of training{skipped}")
    print(f"records: {folder}")
    if written is not None and _written(folder / "result.json") == written:
        print("This run was finished before: nothing was trained. To train it again, remove its folder.")
    return 0


def _written(result: Path) -> int | None:
    """When it was written, in nanoseconds; None where there is none."""
    return result.stat().st_mtime_ns if result.exists() else None


def _visible(toml: str) -> str:
    """TOML in which everything that is not visible is an escape: a text in it may hold what steers a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\U{ord(c):08x}" for c in toml)
