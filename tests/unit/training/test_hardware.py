"""CPU threads: what is asked for, else what OMP_NUM_THREADS says, else all cores."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from truelift.errors import InputError
from truelift.processes import available_cores
from truelift.training.hardware import pick_device, pick_precision, slow_precision, use_threads

SHOW = """
import torch
from truelift.training.hardware import use_threads
use_threads({})
print(torch.get_num_threads())
"""


@pytest.mark.parametrize(
    ("asked", "environment", "used"),
    [("None", {"OMP_NUM_THREADS": "1"}, 1), ("2", {"OMP_NUM_THREADS": "1"}, 2), ("None", {}, available_cores())],
)
def test_threads(asked: str, environment: dict[str, str], used: int) -> None:
    inherited = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    shown = subprocess.check_output([sys.executable, "-c", SHOW.format(asked)], env=inherited | environment)
    assert int(shown) == used


def test_none_at_all_is_refused() -> None:
    before = torch.get_num_threads()
    with pytest.raises(InputError, match=r"threads must be at least 1, got 0."):
        use_threads(0)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("wanted", "here", "message"),
    [
        ("cuda", 0, "on which torch finds no CUDA GPU, got cuda."),
        ("cuda:3", 1, "which has 1 GPU, cuda:0, got cuda:3."),
        ("cuda:3", 2, "which has 2 GPUs, cuda:0 to cuda:1, got cuda:3."),
        ("mps", 0, "on which torch finds no Apple GPU, got mps."),
        ("cuda:", 1, "device must be auto, cpu, mps, cuda or cuda:N, got cuda:."),
        ("mps:0", 1, "device must be auto, cpu, mps, cuda or cuda:N, got mps:0."),
        ("tpu", 1, "device must be auto, cpu, mps, cuda or cuda:N, got tpu."),
    ],
)
def test_a_device_that_is_not_here(wanted: str, here: int, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: here)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError) as raised:
        pick_device(wanted)
    assert str(raised.value).endswith(message)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("capability", "chosen"), [((9, 0), "bf16"), ((8, 0), "bf16"), ((7, 5), "fp16"), ((6, 1), "fp32")]
)
def test_the_precision_of_a_gpu(capability: tuple[int, int], chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert pick_precision("auto", "cuda:0") == chosen
    assert pick_precision("fp32", "cuda:0") == "fp32"
    assert (slow_precision("bf16", "cuda:0") is None) == (chosen == "bf16")


def test_a_precision_that_only_costs_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False})
    assert pick_precision("auto", "cpu") == "fp32"
    assert "this processor has no bf16 arithmetic" in str(slow_precision("bf16", "cpu"))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert pick_precision("auto", "cpu") == "bf16"
    assert slow_precision("bf16", "cpu") is None
    assert slow_precision("fp32", "cpu") is None


LARGE_PAGES = """
import resource
import torch
from truelift.training.hardware import keep_pages


def heap():
    kib, asked, inside = 0, True, False
    for line in open("/proc/self/smaps", encoding="utf-8"):
        name, *values = line.split()
        if not name.endswith(":"):
            inside = values[-1] == "[heap]"
        elif inside and name == "Size:":
            kib += int(values[0])
        elif inside and name == "VmFlags:":
            asked = asked and "hg" in values
    return kib, asked


def resident():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


before = resident()
keep_pages()
taken = resident() - before
size, asked = heap()
keep_pages()
print(size, heap()[0], taken, int(asked))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_the_heap_is_in_large_pages_and_takes_no_memory_ahead() -> None:
    size, again, taken, asked = map(int, subprocess.check_output([sys.executable, "-c", LARGE_PAGES]).split())
    assert size >= 3 << 19  # KiB
    assert again == size
    assert taken < 16 << 10
    assert asked or not Path("/sys/kernel/mm/transparent_hugepage").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_a_limit_on_the_heap_leaves_it_as_it_is() -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))\n" + LARGE_PAGES
    shown = subprocess.check_output([sys.executable, "-c", limited])
    assert int(shown.split()[0]) < 1 << 20
