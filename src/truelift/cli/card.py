"""`truelift card`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from truelift.errors import InputError
from truelift.records import read_bytes, write_text
from truelift.report.card import MARK
from truelift.report.card import card as card_of
from truelift.report.card import read as read_records

_MOST_BYTES = 2**24


def card(
    run: Annotated[Path, Parameter(name="run")],
    /,
    *,
    out: Path | None = None,
) -> int:
    """Write a model card of a run, from its records alone: README.md in Hugging Face's form.

    Args:
        run: Folder of a finished run, such as runs/train/NAME.
        out: The file. Default: README.md in the run's folder.
    """
    path = out or run / "README.md"
    if not run.is_dir():
        raise InputError(f"{run} must be the folder of a run, such as runs/train/NAME; there is no such folder.")
    if not (run / "config.toml").exists() and not (run / "study.json").exists():
        raise InputError(f"{run} must be the folder of a run, such as runs/train/NAME: it has no config.toml.")
    if path.exists() and MARK.encode() not in read_bytes(path, _MOST_BYTES):
        raise InputError(f"{path} is there and was not made by this command: choose another --out.")
    write_text(path, card_of(read_records(run)))
    print(f"card: {path}")
    return 0
