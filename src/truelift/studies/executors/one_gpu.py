"""Several runs on one GPU at once, by NVIDIA's Multi-Process Service.

Without it a GPU gives the processes that use it their turns, so that two small trainings at once are no faster than one
after the other. The service lets their kernels run side by side. A study has one of its own, in a folder of its own,
kept by a process that ends it when the study ends, however that ends: this file, as a program.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

_CONTROL = "nvidia-cuda-mps-control"
_PIPES, _LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
_USUAL_PIPES = Path("/tmp/nvidia-mps")
_BEGIN_SECONDS, _END_SECONDS = 10.0, 10.0


@contextlib.contextmanager
def side_by_side(jobs: int, gpus: Sequence[str]) -> Iterator[dict[str, str]]:
    """Within it runs with this in their environment share a GPU at once.

    It is empty where each run has a GPU to itself, and where the service is not installed, does not begin, or is there
    already (in the environment or in its usual place): then runs use that one by themselves.

    Args:
        jobs: Runs at a time.
        gpus: Those that they share.
    """
    control = shutil.which(_CONTROL)
    if control is None or not gpus or jobs <= len(gpus) or _PIPES in os.environ or (_USUAL_PIPES / "control").exists():
        yield {}
        return
    places = dict.fromkeys((_PIPES, _LOGS), tempfile.mkdtemp(prefix="truelift-mps-"))
    keeper = subprocess.Popen(
        [sys.executable, "-P", __file__, control],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **places},
        start_new_session=True,
    )
    with keeper:  # which closes its pipes, and waits for it
        assert keeper.stdout is not None, "it was asked for"
        yield places if keeper.stdout.readline() else {}


def _keep(control: str) -> None:
    """Have the service in the environment's folder, say so, and end it when standard input ends."""
    folder = Path(os.environ[_PIPES])
    service = subprocess.Popen([control, "-f"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + _BEGIN_SECONDS
        while not (folder / "control").exists() and service.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if (folder / "control").exists() and service.poll() is None:
            print("ready", flush=True)
            sys.stdin.read()
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run([control], input=b"quit -t 1\n", timeout=_END_SECONDS, check=False)
                service.wait(_END_SECONDS)
    finally:
        service.kill()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _keep(sys.argv[1])
