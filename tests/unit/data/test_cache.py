"""What is kept on disk is what was made, whatever happens to the files; without a folder everything is made."""

import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from truelift.data import cache, decoded, load, preprocessing
from truelift.data.cache import Arrays, kept
from truelift.data.dataset import ImageSet
from truelift.data.options import DataOptions
from truelift.data.preprocessing import Whitening
from truelift.errors import InputError
from tests.unit.data.image_files import *  # noqa: F403


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, in which everything is kept that was made at all."""
    monkeypatch.setenv("TRUELIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TRUELIFT_CACHE_GIB", raising=False)
    monkeypatch.setattr(cache, "WORTH_SECONDS", 0.0)
    monkeypatch.setattr(cache, "_told", set())
    return tmp_path / "cache"
