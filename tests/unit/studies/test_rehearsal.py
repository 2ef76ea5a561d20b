"""The rehearsal of the process that runs are forked from leaves everything as a run would find it without."""

import os
import subprocess
import sys

import pytest
import torch

from truelift.data import digits
from truelift.studies import start
from truelift.studies.rehearsal import rehearse


def test_it_reads_the_digits_and_leaves_torch_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("is_available", "device_count", "current_device", "get_device_capability", "_lazy_init"):
        monkeypatch.setattr(torch.cuda, name, lambda *_: pytest.fail("a GPU was looked for"))
    digits._images.cache_clear()
    there, threads = torch.get_rng_state(), torch.get_num_threads()
    rehearse()
    assert torch.equal(torch.get_rng_state(), there)
    assert torch.get_num_threads() == threads
    assert digits._images.cache_info().currsize == 1


@pytest.mark.skipif(not start.can_fork(), reason="runs are forked on Linux alone")
@pytest.mark.parametrize("threads", ["1", "4"])
def test_a_process_can_be_forked_after_it(threads: str) -> None:
    code = "\n".join(
        (
            "import sys",
            "from truelift.studies import fork_server, rehearsal",
            "rehearsal.rehearse()",
            "sys.exit(not fork_server._can_be_forked())",
        )
    )
    environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
