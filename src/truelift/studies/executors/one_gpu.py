"""Several runs on one GPU at once, by NVIDIA's Multi-Process Service.

Without it a GPU gives the processes that use it their turns, so that two small trainings at once are no faster than one
after the other. The service lets their kernels run side by side. A study has one of its own, in a folder of its own,
kept by a process that ends it when the study ends, however that ends: this file, as a program.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_CONTROL = "nvidia-cuda-mps-control"
_PIPES, _LOGS, _VISIBLE = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY", "CUDA_VISIBLE_DEVICES"
_USUAL_PIPES = Path("/tmp/nvidia-mps")
_BEGIN_SECONDS, _END_SECONDS = 10.0, 10.0

_TRY = """
import ctypes
cuda, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
raise SystemExit(cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)) or count.value != 1)
"""
"""Ends with 0 where CUDA begins and shows one GPU."""


@contextlib.contextmanager
def side_by_side(jobs: int, gpus: Sequence[str]) -> Iterator[dict[str, str]]:
    """Within it runs with this in their environment share a GPU at once.

    It is empty where each run has a GPU to itself, and where the service is not installed, does not begin, shows not
    each of the GPUs, or is there already (in the environment or in its usual place): then runs use that one.

    Args:
        jobs: Runs at a time.
        gpus: Those that they share, each as CUDA_VISIBLE_DEVICES names it.
    """
    control = shutil.which(_CONTROL)
    if control is None or not gpus or jobs <= len(gpus) or _PIPES in os.environ or (_USUAL_PIPES / "control").exists():
        yield {}
        return
    places = dict.fromkeys((_PIPES, _LOGS), tempfile.mkdtemp(prefix="truelift-mps-"))
    # Without the variable the service has all GPUs, and their names mean to its clients what they mean without it.
    environment = {name: value for name, value in os.environ.items() if name != _VISIBLE} | places
    keeper = subprocess.Popen(
        [sys.executable, "-P", __file__, control],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    with keeper:  # which closes its pipes, and waits for it
        assert keeper.stdout is not None, "it was asked for"
        ready = bool(keeper.stdout.readline()) and all(_shows(gpu, environment) for gpu in gpus)
        yield places if ready else {}


def _shows(gpu: str, environment: Mapping[str, str]) -> bool:
    """Whether a process has that GPU through the service: where it has not, a training would take the processor."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        tried = subprocess.run(
            [sys.executable, "-c", _TRY],
            env={**environment, _VISIBLE: gpu},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_BEGIN_SECONDS,
            check=False,
        )
        return tried.returncode == 0
    return False


def _keep(control: str) -> None:
    """Have the service in the environment's folder, say so, and end it when standard input ends.

    Signals that go to all processes of a job, as a scheduler sends them, end neither: runs still write checkpoints.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # which the service inherits
    folder = Path(os.environ[_PIPES])
    service = subprocess.Popen(
        [control, "-f"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        deadline = time.monotonic() + _BEGIN_SECONDS
        while not (folder / "control").exists() and service.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if (folder / "control").exists() and service.poll() is None:
            print("ready", flush=True)
            sys.stdin.read()
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(
                    [control], input=b"quit -t 1\n", stdout=subprocess.DEVNULL, timeout=_END_SECONDS, check=False
                )
                service.wait(_END_SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(service.pid, signal.SIGKILL)  # with what it has started
        service.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _keep(sys.argv[1])
