"""Arrays that were costly to make, kept on disk for all runs: decoded images, fitted preprocessings.

A file is named by a digest of everything that the arrays depend on, so that nothing in it is ever out of date. It holds
a line of JSON (what it is, where each array lies, a digest of the rest) and the arrays, and is mapped into memory:
processes that read the same file share its pages. Files are written under another name and renamed, so that any number
of processes may write at once; one that is damaged is noticed and made again. Above a limit, those that were not used
for longest go. Without a folder that can be written everything is made as if there were no cache.

- `TRUELIFT_CACHE`: the folder, or `off`. By default `$XDG_CACHE_HOME/truelift`, or `~/.cache/truelift`.
- `TRUELIFT_CACHE_GIB`: the limit of all files together, by default 10.
"""

import contextlib
import hashlib
import json
import math
import mmap
import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from truelift.data.files import is_regular, say
from truelift.errors import one_line, require

Arrays = dict[str, np.ndarray[Any, Any]]

VERSION = 1
"""Of the files' form and of how arrays are made; another version reads none of these."""

WORTH_SECONDS = 0.25
"""What was made in less is not kept: it would be made again in about the time that reading takes."""

_ENDING, _PARTIAL = ".arrays", ".partial"
_PAGE = 4096
_LONGEST_HEADER = 2**16
_DEFAULT_GIB = 10.0
_LEFT_SECONDS = 86_400.0
"""Age above which a temporary file's writer must have been killed."""

_told: set[str] = set()


def kept(about: Mapping[str, Any], make: Callable[[], Arrays], holds: Callable[[], bool] = lambda: True) -> Arrays:
    """The arrays that `make` makes: from the cache, or made and kept there for the next run.

    Args:
        about: Everything that the arrays depend on, in plain values.
        make: Makes them, by name; not called where the cache has them.
        holds: Called once they are made: whether `about` still describes what they were made from.

    Returns:
        The arrays. Those from the cache may be written to: that changes this process's copy alone.

    Raises:
        InputError: TRUELIFT_CACHE_GIB is no number of at least 0.
    """
    folder, most = cache_folder(), _limit()
    if folder is None or most == 0:
        return make()
    described = json.dumps({"version": VERSION, **about}, sort_keys=True)
    path = folder / f"{hashlib.sha256(described.encode()).hexdigest()[:32]}{_ENDING}"
    found = _read(path, described)
    if found is not None:
        return found
    began = time.monotonic()
    made = make()
    if time.monotonic() - began < WORTH_SECONDS or not holds():
        return made
    try:
        _write(path, described, made, most)
    except OSError as error:
        _say_once(f"the cache {folder} cannot be written ({one_line(error)}); going on without it")
        return made
    return _read(path, described) or made  # the file's pages are shared, and `made` can be given back


def kept_files() -> list[tuple[Path, int]]:
    """The files of the cache, with their bytes; none where there is no cache. A file that is removed is made again."""
    folder = cache_folder()
    found = []
    for path in sorted(folder.glob(f"*{_ENDING}")) if folder is not None and folder.is_dir() else ():
        with contextlib.suppress(OSError):  # another process has removed it
            found.append((path, path.stat().st_size))
    return found


def cache_folder() -> Path | None:
    """The folder of the cache, which may not exist yet; None where it is off, or there is no home folder."""
    named = os.environ.get("TRUELIFT_CACHE", "")
    if named == "off":
        return None
    if named:
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "truelift"
    except RuntimeError:  # no home folder
        return None


def _limit() -> int:
    """Bytes of all files together."""
    named = os.environ.get("TRUELIFT_CACHE_GIB")
    try:
        most = _DEFAULT_GIB if named is None else float(named)
    except ValueError:
        most = math.nan
    require("TRUELIFT_CACHE_GIB", named, 0 <= most < math.inf, "a number of at least 0")
    return int(most * 2**30)


def _read(path: Path, described: str) -> Arrays | None:
    """The arrays of a file, mapped into memory; None where it is missing, or damaged, in which case it is removed."""
    try:
        if not is_regular(path):
            return None
        with path.open("rb") as file:
            line = file.readline(_LONGEST_HEADER)
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except (OSError, ValueError):
        return None
    try:
        header = json.loads(line)
        start = _start(line)
        whole = header["about"] == described and hashlib.sha256(memoryview(mapped)[start:]).hexdigest() == header["sha"]
        arrays = {name: _array(mapped, start, *place) for name, place in header["arrays"].items()} if whole else None
    except (ValueError, TypeError, KeyError, AttributeError):
        arrays = None
    with contextlib.suppress(OSError):
        if arrays is None:
            _say_once(f"a file of the cache was damaged and is made again: {path}")
            path.unlink()
        else:
            os.utime(path)  # used last
    return arrays


def _array(mapped: mmap.mmap, start: int, kind: str, shape: list[int], offset: int) -> np.ndarray[Any, Any]:
    count = math.prod(shape)
    return np.frombuffer(mapped, dtype=np.dtype(kind), count=count, offset=start + offset).reshape(shape)


def _write(path: Path, described: str, arrays: Arrays, most: int) -> None:
    """Write a file, and remove others so that all stay below `most` bytes; nothing where it would be too large.

    Raises:
        OSError: The folder cannot be written, or the disk is full.
    """
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    parts = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    places, size = {}, 0
    for name, part in parts.items():
        places[name] = (part.dtype.str, part.shape, size)
        size += _up(part.nbytes)
    if size > most or size > shutil.disk_usage(folder).free // 2:
        return
    sha = hashlib.sha256()
    for part in parts.values():
        for piece in _pieces(part):
            sha.update(piece)
    line = json.dumps({"about": described, "arrays": places, "sha": sha.hexdigest()}).encode() + b"\n"
    if len(line) > _LONGEST_HEADER:
        return
    temporary = folder / f".{path.name}.{secrets.token_hex(4)}{_PARTIAL}"
    try:
        with temporary.open("xb") as file:
            file.write(line.ljust(_start(line), b"\0"))
            for part in parts.values():
                for piece in _pieces(part):
                    file.write(piece)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _make_room(folder, path, most)


def _pieces(part: np.ndarray[Any, Any]) -> tuple[memoryview, bytes]:
    """An array's bytes, and what fills its last page."""
    content = part.reshape(-1).view(np.uint8)
    return content.data, bytes(_up(part.nbytes) - part.nbytes)


def _up(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


def _start(line: bytes) -> int:
    """Where the arrays begin behind a header."""
    return _up(len(line))


def _make_room(folder: Path, last: Path, most: int) -> None:
    """Remove the files that were used longest ago, but for the one written last."""
    found: list[tuple[float, int, str]] = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # another process has removed it
                about = entry.stat(follow_symlinks=False)
                left = entry.name.endswith(_PARTIAL) and time.time() - about.st_mtime > _LEFT_SECONDS
                if left:
                    os.unlink(entry.path)
                elif entry.name.endswith(_ENDING):
                    found.append((about.st_mtime, about.st_size, entry.path))
    size = sum(each for _, each, _ in found)
    for _, each, path in sorted(found):
        if size <= most:
            return
        if path != str(last):
            with contextlib.suppress(OSError):
                os.unlink(path)
            size -= each


def _say_once(message: str) -> None:
    if message not in _told:
        _told.add(message)
        say(message)
