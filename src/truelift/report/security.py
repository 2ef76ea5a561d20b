"""The page's own rule of what a browser may do with it: run these scripts and no other, and load nothing."""

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files

from markupsafe import Markup


def script(name: str) -> Markup:
    """A script of the templates' folder, which holds nothing of a user's."""
    return Markup(files("truelift.report").joinpath("templates", name).read_text(encoding="utf-8"))


def policy(scripts: Sequence[str], *, served: bool = False) -> str:
    """The Content-Security-Policy: even a text that some form forgot to escape could run nothing.

    Args:
        scripts: Those that may run, as they stand between their tags.
        served: Whether the page may ask the address that it came from whether it has changed.
    """
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    connect = "connect-src 'self'; " if served else ""
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        f"{connect}base-uri 'none'; form-action 'none'"
    )
