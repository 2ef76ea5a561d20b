"""Download of a data set's parquet files from the Hugging Face hub. Needs the optional extra `hf`."""

import importlib
from pathlib import Path

from truelift.errors import InputError, one_line


def download(repository: str) -> Path:
    """The local folder with the parquet files of `repository`, such as `uoft-cs/cifar10`.

    Files that are in the hub's cache already are not downloaded again.

    Raises:
        InputError: `huggingface_hub` is not installed, or the download failed.
    """
    try:
        # Only here: everything else works without the package.
        hub = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise InputError(
            f"{repository} comes from the Hugging Face hub, which needs: pip install 'truelift[hf]'. "
            "Or read local files with --data.path"
        ) from error
    try:
        return Path(hub.snapshot_download(repository, repo_type="dataset", allow_patterns="*.parquet"))
    # The client's errors have no common base: its own, those of requests or httpx by version, and OSError.
    except Exception as error:
        reason = one_line(error) or type(error).__name__
        raise InputError(f"cannot download {repository}: {reason}. Or read local files with --data.path") from error
