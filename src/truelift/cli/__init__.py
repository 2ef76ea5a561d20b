"""The commands. Each is imported when it is called: `truelift report` does not wait for torch."""

import os
import re
import sys
import warnings
from collections.abc import Sequence
from contextlib import nullcontext

from cyclopts import App, CycloptsError
from cyclopts.exceptions import UnusedCliTokensError

from truelift import __version__, signals
from truelift.cli.early import of_seeds, refuse_misspelt
from truelift.cli.given import GIVEN, OPTION_STYLE
from truelift.errors import (
    FailedError,
    InputError,
    is_out_of_memory,
    is_out_of_processes,
    one_line,
    printable,
    shortened,
    shown,
)
from truelift.garbage import uncollected

_HELP = """Does a training technique lift my image classifier, by more than seed noise?

`--data NAME` is short for `--data.name NAME`, and so for every group of options that has a name. Hyphens and
underscores in an option's name are the same: `--batch-size` is `--batch_size`.
"""

# To a command's name where it is, what it does, and whether it takes an experiment's options.
_COMMANDS = {
    "train": ("truelift.cli.train:train", "Train once. The same command goes on where it was stopped.", True),
    "study": (
        "truelift.cli.study:study",
        "Compare variants over paired seeds. The same command goes on where it was stopped.",
        True,
    ),
    "status": ("truelift.cli.status:status", "Say how far a study is, from its folder alone.", False),
    "watch": ("truelift.cli.watch:watch", "Show how far a study is until it ends, with its table so far.", False),
    "cancel": ("truelift.cli.cancel:cancel", "End a study's jobs or tasks on a cluster.", False),
    "work": ("truelift.cli.work:work", "Make runs of a planned study, beside others who do the same.", False),
    "report": ("truelift.cli.report:report", "Write a study's report again, from its records alone.", False),
    "judge": ("truelift.cli.judge:judge", "Give verdicts for runs that you already have.", False),
    "predict": ("truelift.cli.predict:predict", "Say what a run's network sees in images.", False),
    "export": (
        "truelift.cli.export:export",
        "Write a run's network for use elsewhere: ONNX, torch.export, safetensors.",
        False,
    ),
    "card": ("truelift.cli.card:card", "Write a model card of a run, from its records alone.", False),
    "ledger": ("truelift.cli.ledger:ledger", "Begin or show the ledger of a referee for a search.", False),
    "plan": ("truelift.cli.plan:plan", "Say how many seeds a study needs.", False),
    "list": ("truelift.cli.listing:list_runs", "List studies and runs, the last changed first.", False),
    "clean": (
        "truelift.cli.clean:clean",
        "Remove checkpoints of finished runs, and unfinished runs that no plan names. Asks first.",
        False,
    ),
    "options": ("truelift.cli.options:options", "List the settings of an experiment.", True),
    "schema": ("truelift.cli.schema:schema", "Print a JSON schema of study files, for editors.", False),
    "recipes": ("truelift.cli.recipes:recipes", "List the papers' studies and figures.", False),
    "figure": ("truelift.cli.figure:figure", "Draw one of the papers' figures that need no study.", True),
    "speedup": ("truelift.cli.speedup:speedup", "Predict what freezing layers saves, without training.", True),
}

app = App(
    name="truelift",
    help=_HELP,
    help_format="markdown",
    version=__version__,
    default_parameter=OPTION_STYLE,
    config=GIVEN,
)
for _name, (_place, _help, _) in _COMMANDS.items():
    app.command(_place, name=_name, help=_help)
app.register_install_completion_command(help="Install completion for your shell: add lines to its start-up file.")


def prepared(tokens: Sequence[str]) -> list[str]:
    """A command line as the parser takes it: the names of groups (`--model X`, `--executor X`) are written out."""
    if not tokens or tokens[0] not in _COMMANDS or not _COMMANDS[tokens[0]][2]:
        return list(tokens)
    from truelift.training.settings import expand_names

    expanded = expand_names(tokens)
    if tokens[0] == "study":  # as for an experiment's groups
        expanded = [re.sub(r"^--executor(?==|$)", "--executor.name", token) for token in expanded]
    return expanded


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; bad input is one line and status 2, a failed training one line and status 1."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    status: int = 0
    # What an image's reader warns of is no line of ours; an image that it cannot decode is told.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        if "--help-all" in tokens:
            app.help_print(tokens[:1] if tokens[0] in _COMMANDS else [])
            app.help_print(["options"])
            sys.exit(0)
        refuse_misspelt(tokens)
        if tokens and tokens[0] == "study":
            from truelift.cli import ahead

            ahead.begin(tokens[1:])
        # A process of somebody else's keeps its ways.
        with uncollected() if arguments is None else nullcontext():
            tokens = prepared(tokens)
            command, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
        with signals.unwinding():
            status = command(*bound.args, **bound.kwargs) or 0
        sys.stdout.flush()  # what cannot be written is told here, not by the interpreter at its end
    except UnusedCliTokensError as error:
        _fail(f"{tokens[0]} takes no further {', '.join(map(shown, error.unused_tokens or ()))}.{of_seeds(tokens)}")
    except CycloptsError as error:
        told = one_line(error)
        _fail(told + (of_seeds(tokens) if "--seeds" in told else ""))
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the last flush complains
        status = 141  # 128 + SIGPIPE, as a shell tells it: a check that was cut off has not passed
    except (InputError, OSError, MemoryError, RecursionError) as error:  # OSError: a full disk, a folder not writable
        if signals.status() is not None:  # made of a signal's exception, by an import say
            raise
        _refuse_processes(error)
        _fail(one_line(error) or type(error).__name__)
    except FailedError as error:
        print(f"truelift: failed: {printable(shortened(one_line(error)))}", file=sys.stderr)
        status = 1
    except (RuntimeError, SystemError) as error:
        _refuse_processes(error)
        if not is_out_of_memory(error):
            raise
        _fail(f"there is not enough memory: {shortened(one_line(error))}")
    sys.exit(status)


def _refuse_processes(error: BaseException) -> None:
    if is_out_of_processes(error):
        _fail(f"the system allows no further process or thread ({one_line(error)}). Give fewer --jobs, or end others.")


def _fail(message: str) -> None:
    print(f"truelift: error: {printable(shortened(message))}", file=sys.stderr)
    sys.exit(2)
