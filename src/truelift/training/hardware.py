"""What the machine offers: device, precision, threads, and an allocator that keeps its pages."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from typing import Literal

import torch

from truelift.errors import InputError, whole
from truelift.processes import available_cores

Precision = Literal["auto", "fp32", "bf16", "fp16"]


def check_device(wanted: str) -> None:
    """Refuse what names no device, whatever this machine has.

    Raises:
        InputError: Not auto, cpu, mps, cuda or cuda:N.
    """
    kind, colon, index = wanted.partition(":")
    named = wanted in ("auto", "cpu", "mps", "cuda")
    if not named and not (kind == "cuda" and colon and index.isascii() and index.isdigit()):
        raise InputError(f"device must be auto, cpu, mps, cuda or cuda:N, got {wanted}.")


def pick_device(wanted: str) -> str:
    """`auto` as the device it stands for here; any other device checked for being here.

    Raises:
        InputError: Not auto, cpu, mps, cuda or cuda:N, or no such GPU here.
    """
    check_device(wanted)
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = wanted.partition(":")
    if kind == "cuda" and int(index or 0) >= (here := torch.cuda.device_count()):
        there = f"which has {here} GPU{'s' * (here != 1)}" if here else "on which torch finds no CUDA GPU"
        numbered = f", cuda:0 to cuda:{here - 1}" if here > 1 else ", cuda:0" if here else ""
        raise InputError(f"device must be present on this machine, {there}{numbered}, got {wanted}.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise InputError(f"device must be present on this machine, on which torch finds no Apple GPU, got {wanted}.")
    return wanted


def pick_precision(wanted: Precision, device: str) -> Precision:
    """`auto` as bf16 where the device multiplies bfloat16 matrices natively, else fp16 where it has that, else fp32.

    NVIDIA's GPUs have bfloat16 from compute capability 8.0 on (A100), and matrix units for float16 from 7.0 on (V100,
    T4).
    """
    if wanted != "auto":
        return wanted
    return "bf16" if _is_native("bf16", device) else "fp16" if _is_native("fp16", device) else "fp32"


def slow_precision(precision: Precision, device: str) -> str | None:
    """A sentence where the device has no such arithmetic of its own, so that it only costs time; else None."""
    if precision not in ("bf16", "fp16") or _is_native(precision, device):
        return None
    what = "processor" if device == "cpu" else "GPU"
    return (
        f"this {what} has no {precision} arithmetic: numbers are converted for each product, which is slower than "
        "--precision fp32, and no more exact."
    )


def _is_native(precision: Precision, device: str) -> bool:
    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device)[0] >= (8 if precision == "bf16" else 7)
    if device == "mps":
        return precision == "fp16"
    if device != "cpu":
        return False
    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    names = ("avx512_bf16", "amx_bf16", "bf16") if precision == "bf16" else ()
    return any(found.get(name) for name in names)


def multiplies_tiles() -> bool:
    """Whether this processor has AMX, units that multiply bfloat16 matrices: memory is then what a step waits for."""
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", bool)())


def use_threads(threads: int | None) -> None:
    """Set the number of CPU threads of this process.

    Args:
        threads: None for as many as OMP_NUM_THREADS says, or else all cores that this process may use.

    Raises:
        InputError: Below 1, or above 4,096: each takes memory.
    """
    if threads is None:
        if "OMP_NUM_THREADS" in os.environ:  # torch has read it
            return
        threads = available_cores()
    whole("threads", threads, 1, 4096)
    torch.set_num_threads(threads)


@contextlib.contextmanager
def threads_of(threads: int) -> Iterator[None]:
    """Within it this process has so many CPU threads, at least 1."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def draw_from(seed: int, device: str) -> None:
    """Seed what draws without a generator of its own: the CPU's generator, and that of the device.

    `torch.manual_seed` seeds those of every kind of device, and of one that is not in use takes down where it was
    called, which is a millisecond of every step.
    """
    kind, _, index = device.partition(":")
    torch.default_generator.manual_seed(seed)
    if kind == "cuda":
        torch.cuda.default_generators[int(index) if index else torch.cuda.current_device()].manual_seed(seed)
    elif kind == "mps":
        torch.mps.manual_seed(seed)


def visible_gpus() -> tuple[str, ...]:
    """The GPUs that this process may use, each as CUDA_VISIBLE_DEVICES names it; none where there is none."""
    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(named.split(",") if named else map(str, range(count)))[:count]


def keep_pages() -> None:
    """Have glibc keep freed memory for the next step rather than give it back to the kernel, in large pages.

    Each step frees and allocates the same activations. By default glibc maps blocks this large anew each time, and the
    kernel has to clear every page. Pages of 2 MiB, where the kernel gives them on request, save looking up where each
    of 4 KiB lies. Elsewhere than on Linux with glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        libc = ctypes.CDLL("libc.so.6")
        mallopt = libc.mallopt
    except (OSError, AttributeError):  # another C library
        return
    # The numbers are those of <malloc.h>: M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD.
    mallopt(-3, 1 << 30)
    mallopt(-1, (1 << 31) - 1)
    mallopt(-2, 64 << 20)
    _ask_for_large_pages(libc)


# Of the heap, what large pages are asked for ahead: three blocks below the threshold above which glibc maps a block by
# itself, and together less than what it would give back when they are freed.
_BLOCK, _BLOCKS = 512 << 20, 3

_MADV_HUGEPAGE = 14


def _ask_for_large_pages(libc: ctypes.CDLL) -> None:
    """Have the heap grow to `_BLOCKS` blocks of addresses, and the kernel back it with large pages.

    No memory is taken: what was never written has no pages. A limit on addresses, or a kernel without large pages,
    leaves the heap as it is.
    """
    libc.malloc.argtypes, libc.malloc.restype = (ctypes.c_size_t,), ctypes.c_void_p
    libc.free.argtypes = (ctypes.c_void_p,)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    blocks = [libc.malloc(_BLOCK) for _ in range(_BLOCKS)]
    for block in blocks:
        libc.free(block)
    with contextlib.suppress(OSError), open("/proc/self/maps", encoding="utf-8") as maps:
        for line in maps:
            if line.endswith("[heap]\n"):
                first, last = (int(address, 16) for address in line.split()[0].split("-"))
                libc.madvise(first, last - first, _MADV_HUGEPAGE)
