"""What memory there is: the machine's, as far as this process may take it, and a GPU's."""

from collections.abc import Iterator
from pathlib import Path

import torch

# Of control groups, versions 2 and 1, by the controller that /proc/self/cgroup names: where they are mounted, the most
# that a group may take, what it takes, and how the pages of files are named that it gives back when it needs them.
_GROUPS = {
    "": ("sys/fs/cgroup", "memory.max", "memory.current", ("inactive_file", "active_file")),
    "memory": (
        "sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_inactive_file", "total_active_file"),
    ),
}


def memory_free(root: Path = Path("/")) -> int | None:
    """Bytes of memory that programs can still get, as Linux tells; None elsewhere.

    The least of what the machine has (MemAvailable) and of what each control group leaves that this process is in, such
    as a container's or a Slurm job's (limit − usage + pages of files).

    Args:
        root: The system's folder; another one in tests.
    """
    return min((*_of_machine(root), *_of_groups(root)), default=None)


def gpu_memory_free(device: str) -> int:
    """Bytes of a GPU's memory that other processes can still get; what torch keeps here without need is given back.

    Args:
        device: cuda or cuda:N. A process that has not used it yet takes some hundred megabytes of it by this call.
    """
    torch.cuda.empty_cache()
    return int(torch.cuda.mem_get_info(device)[0])


def _of_machine(root: Path) -> Iterator[int]:
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _of_groups(root: Path) -> Iterator[int]:
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        group = next((group for name, group in _GROUPS.items() if name in controllers.split(",")), None)
        if group is None:
            continue
        mount, most, used, files = group
        # In a container the path may be that of the machine outside, and only the mount's own folder is there.
        place = root / mount / path.lstrip("/")
        for folder in (place, *place.parents):
            limit, usage = _text(folder / most).strip(), _text(folder / used).strip()
            if limit.isdecimal() and usage.isdecimal():  # not "max"
                stat = dict(line.split() for line in _text(folder / "memory.stat").splitlines())
                yield max(0, int(limit) - int(usage) + sum(int(stat.get(name, 0)) for name in files))
            if folder == root / mount:
                break


def _text(file: Path) -> str:
    """What a file of the system's holds; nothing where it is not there."""
    try:
        return file.read_text()
    except OSError:
        return ""
