"""The commands."""

import contextlib
import dataclasses
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from truelift import __version__
from truelift.data import DataOptions
from truelift.errors import InputError
from truelift.records import Run, Study
from truelift.training.experiment import Experiment, FreezingOptions
from truelift.training.meters import DivergedError
from truelift.training.parsing import (
    OPTION_STYLE,
    ExperimentOptions,
    expand_names,
    flatten,
    one_line,
    parse_experiment,
    read_toml,
)

_HELP = """Does a training technique lift my image classifier, by more than seed noise?

`--data NAME` is short for `--data.name NAME`, and so for model, objective, optimizer and schedule.
"""


def _names(options: Any, prefix: str = "") -> set[str]:
    """The dotted names of all fields of nested dataclasses."""
    if not dataclasses.is_dataclass(options):
        return {prefix.removesuffix(".")}
    return set().union(*(_names(getattr(options, f.name), f"{prefix}{f.name}.") for f in dataclasses.fields(options)))


_OPTIONS = _names(Experiment())


class _Given:
    """Remembers which of an experiment's options the command line gave: they take the place of a file's."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def __call__(self, app: Any, commands: Any, arguments: Any) -> None:
        self.settings = {}
        for argument in arguments:
            name = argument.name.removeprefix("--")
            if argument.tokens and name in _OPTIONS:
                values = ["true" if token.implicit_value is True else token.value for token in argument.tokens]
                self.settings[name] = values[0] if len(values) == 1 else values


_given = _Given()
app = App(
    name="truelift",
    help=_HELP,
    help_format="markdown",
    version=__version__,
    default_parameter=OPTION_STYLE,
    config=_given,
)


@app.command
def train(
    *,
    config: Path | None = None,
    out: Path | None = None,
    threads: int | None = None,
    checkpoint_seconds: float = 30.0,
    print_config: bool = False,
    experiment: ExperimentOptions = Experiment(),  # noqa: B008
) -> int:
    """Train once. The same command goes on where it was stopped.

    Args:
        config: A TOML file of settings; options on the command line take their place.
        out: Folder of the run. Default: runs/train/MODEL-DATA-seed-SEED-FINGERPRINT.
        threads: CPU threads. Default: OMP_NUM_THREADS, or all cores.
        checkpoint_seconds: Seconds between checkpoints.
        print_config: Print what would run, as TOML, and stop.
        experiment: The experiment's options.
    """
    import tomli_w

    from truelift.training import fingerprint, resolve, run, to_dict
    from truelift.training.distributed import joined
    from truelift.training.hardware import use_threads
    from truelift.training.progress import BarReporter, PlainReporter, is_terminal

    if config is not None:
        experiment = parse_experiment({**flatten(read_toml(config)), **_given.settings}, str(config))
    resolved = resolve(experiment)
    settings = to_dict(resolved)
    if print_config:
        print(tomli_w.dumps(settings), end="")
        return 0
    name = f"{resolved.model.name}-{resolved.data.name}-seed-{resolved.seed}-{fingerprint(settings)}"
    folder = out or Path("runs/train") / name
    use_threads(threads)
    with (
        joined(resolved.device) as world,
        BarReporter() if is_terminal() and world.first else contextlib.nullcontext(PlainReporter()) as reporter,
    ):
        result = run(resolved, folder, reporter=reporter, checkpoint_seconds=checkpoint_seconds, world=world)
    if not world.first:  # which tells it
        return 0
    skipped = f", {result['skipped_images']} images skipped" if result["skipped_images"] else ""
    metrics = result["metrics"]
    print(f"test accuracy {metrics['test_accuracy']:.2f} %, {metrics['train_seconds']:.1f} s of training{skipped}")
    print(f"records: {folder}")
    return 0


@app.command
def study(
    source: Annotated[str, Parameter(name="source")],
    /,
    *,
    scale: str = "paper",
    seeds: int | None = None,
    jobs: int | None = None,
    out: Path | None = None,
    checkpoint_seconds: float = 30.0,
    experiment: ExperimentOptions = Experiment(),  # noqa: B008
) -> int:
    """Compare variants over paired seeds. The same command goes on where it was stopped.

    Args:
        source: A study file (TOML), or the name of a recipe.
        scale: One of the file's scales, a shorter form most likely; paper: the file as it stands.
        seeds: Run seeds 0 to SEEDS-1, whatever the file says.
        jobs: Runs at a time, cores and GPUs shared out among them. Default: one a GPU, or one a core.
        out: Folder of the study. Default: runs/NAME, or runs/NAME-SCALE.
        checkpoint_seconds: Seconds between a run's checkpoints.
        experiment: Settings shared by all variants, in place of the file's.
    """
    from truelift import recipes
    from truelift.studies.plan import read_plan
    from truelift.studies.study import run_study
    from truelift.training.distributed import started_by_torchrun

    if started_by_torchrun():
        raise InputError("study starts its own processes, --jobs at a time: give it without torchrun.")
    path = Path(source)
    if path.suffix != ".toml" and not path.exists():
        path = recipes.find(source)
    plan = read_plan(path, scale=scale, seeds=seeds, overrides=_given.settings)
    for first, second in plan.equal_variants():
        _warn(f'variants "{first}" and "{second}" have equal settings: they compare a thing with itself.')
    if len(plan.seeds) == 1:
        _warn("one seed decides nothing: noise over seeds cannot be told from an effect. Give at least --seeds 3.")

    def report_run(run: Run, ended: int, total: int) -> None:
        if run.status == "done":
            value = run.result()["metrics"].get(plan.metric.name)
            outcome = "metric missing" if value is None else f"{plan.metric.name} {value:.4g}"
        elif run.status == "failed":
            outcome = f"failed: {run.failure()['reason']}"
        else:
            outcome = "interrupted"
        print(f"[{ended}/{total}] {run.variant} seed {run.seed}: {outcome}", flush=True)

    folder = out or Path("runs") / plan.name
    repeat = shlex.join(["truelift", *sys.argv[1:]])
    records = run_study(
        plan, folder, repeat=repeat, report_run=report_run, jobs=jobs, checkpoint_seconds=checkpoint_seconds
    )
    _show(records)
    return 1 if any(run.status == "failed" for run in records.runs) else 0


@app.command
def report(folder: Annotated[Path, Parameter(name="folder")], /) -> int:
    """Write a study's report again, from its records alone.

    Args:
        folder: The study's folder.
    """
    _show(Study.read(folder))
    return 0


@app.command
def plan(*, effect: float, sd: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Say how many seeds a study needs.

    Args:
        effect: The smallest difference that matters, in the metric's unit; above 0.
        sd: Standard deviation of one variant's results over seeds, in the same unit; above 0.
        power: Chance to find such an effect; in (0, 1).
        alpha: Chance to find one where there is none; in (0, 1).
    """
    from truelift.studies.statistics import seeds_needed

    # Paired results correlate, and pairing takes the shared part of the noise out: sd of a difference = sd·√(2(1 − r)).
    for correlation in (0.0, 0.5, 0.75):
        needed = seeds_needed(effect, sd * (2 * (1 - correlation)) ** 0.5, power=power, alpha=alpha)
        print(f"{needed} seeds a variant where paired results correlate by {correlation:g}")
    print(
        f"to find a difference of {effect:g} between variants whose results have a standard deviation of {sd:g} "
        f"over seeds, {power:.0%} of the time, at a {alpha:.0%} level. Long trainings on one split correlate "
        "hardly at all; short ones, or with the split varied by the seed, by 0.5 to 0.9."
    )
    return 0


@app.command
def figure(
    name: Annotated[str, Parameter(name="name")],
    /,
    *,
    out: Path = Path("runs/figures"),
    data: DataOptions = DataOptions(),  # noqa: B008
) -> int:
    """Draw one of the papers' figures that are no studies, as SVG and PNG.

    Args:
        name: One of those that `truelift recipes` lists.
        out: Folder of the pictures.
        data: Where a figure of images finds them, in place of its study's own.
    """
    from truelift.recipes import figures
    from truelift.training.hardware import use_threads

    use_threads(1)  # gradients of two numbers: threads would only wait for each other
    print(figures.write(name, out, _given.settings))
    return 0


@app.command
def speedup(
    *,
    image_size: int = 32,
    channels: int = 3,
    classes: int = 10,
    measure: bool = False,
    threads: int | None = None,
    experiment: ExperimentOptions = Experiment(freezing=FreezingOptions(name="freezeout")),  # noqa: B008
) -> int:
    """Predict what freezing layers saves, without training: --model, --freezing.t0, --freezing.scaling and so on.

    Args:
        image_size: Pixels on each side.
        channels: 1 for grey, 3 for colour.
        classes: Of the head.
        measure: Also time the network here, at this batch size and precision, some seconds to minutes.
        threads: CPU threads for --measure. Default: OMP_NUM_THREADS, or all cores.
        experiment: The experiment's options; data and epochs do not matter.
    """
    from truelift.training import resolve
    from truelift.training.freezing import predict_saving
    from truelift.training.hardware import use_threads

    use_threads(threads)
    for line in predict_saving(resolve(experiment), (channels, image_size, image_size), classes, measure=measure):
        print(line)
    return 0


@app.command(name="recipes")
def list_recipes() -> int:
    """List the papers' studies and figures; `truelift study NAME` runs one, `truelift figure NAME` draws one."""
    from truelift import recipes
    from truelift.recipes.figures import FIGURES

    for name in recipes.names():
        recipe = read_toml(recipes.find(name))
        print(f"{name}\n  {recipe['question']}\n  Shows: {recipe['shows']}\n  Takes: {recipe['takes']}")
        for scale, offered in recipe.get("scales", {}).items():
            print(f"  With --scale {scale}: {offered['takes']}")
        print()
    for drawn in FIGURES.values():
        print(f"truelift figure {drawn.name}\n  {drawn.title}")
    return 0


def _show(records: Study) -> None:
    """Write a study's report and print its table."""
    from truelift.report import print_summary, summarise, write_forms

    summary = summarise(records)
    pages = write_forms(summary)
    print_summary(summary, Console())
    print(f"report: {pages[0]}")


def _warn(message: str) -> None:
    print(f"truelift: warning: {message}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; bad input is one line and status 2, a failed training one line and status 1."""
    tokens = sys.argv[1:] if arguments is None else arguments
    status: int = 0
    try:
        status = app(expand_names(tokens), exit_on_error=False, print_error=False) or 0
        sys.stdout.flush()  # what cannot be written is told here, not by the interpreter at its end
    except CycloptsError as error:
        _fail(one_line(error))
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the last flush complains
    except (InputError, OSError) as error:  # OSError: a full disk, a folder that may not be written
        _fail(one_line(error))
    except KeyboardInterrupt:
        print("truelift: stopped; the same command goes on from here.", file=sys.stderr)
        status = 130
    except DivergedError as error:
        print(f"truelift: failed: {one_line(error)}", file=sys.stderr)
        status = 1
    sys.exit(status)


def _fail(message: str) -> None:
    print(f"truelift: error: {message}", file=sys.stderr)
    sys.exit(2)
