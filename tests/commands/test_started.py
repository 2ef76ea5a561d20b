"""Commands that work with each other, one of which fails, and what is left behind by tests that fail."""

import os
from pathlib import Path

import pytest

from tests.commands import started, workers
from tests.commands.started import FORKS, PIPE, all_done, begin, begin_call, in_processes
from tests.system.processes import running, until

pytestmark = pytest.mark.timeout(250)


def test_the_first_that_fails_ends_all_and_says_why() -> None:
    with pytest.raises(AssertionError) as raised:
        in_processes(workers.one_fails, (0.5,), 2, timeout=500)
    first, _, second = str(raised.value).partition("command 1: status 1\n")
    assert first == "command 0: ran on and was killed\nwaits for the other\n\n"
    assert second.startswith("Traceback")
    assert second.rstrip().endswith("ValueError: nobody comes")


def test_none_waits_for_its_stream_to_be_read(tmp_path: Path) -> None:
    work, arguments = workers.all_fill_their_streams, (str(tmp_path / "done"),)
    told = all_done([begin_call(work, (rank, *arguments), stderr=PIPE) for rank in range(2)], 60)
    assert [(out, err.splitlines()) for out, err in told] == [("", workers.LINES)] * 2


def test_what_runs_on_is_killed() -> None:
    both = [begin_call(workers.waits, (rank,), stderr=PIPE) for rank in range(2)]
    with pytest.raises(AssertionError) as raised:
        all_done(both, 2)
    assert str(raised.value).startswith("command 0: ran on and was killed\n")
    assert [command.poll() for command in both] == [-9, -9]


@pytest.mark.skipif(not FORKS, reason="commands are new interpreters here")
def test_what_a_failed_test_leaves_behind_ends_with_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what it has started."""
    monkeypatch.setattr(started, "_servers", [])
    script = tmp_path / "script.py"
    sleeps = "import time; time.sleep(600)"
    script.write_text(
        f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {sleeps!r}, {str(tmp_path)!r}])\n{sleeps}\n"
    )
    left = begin([], cwd=tmp_path, script=script)
    assert until(lambda: running(tmp_path), 60)
    assert left.poll() is None
    (server,) = started._servers
    server.close()
    assert until(lambda: not running(tmp_path), 20)
    with pytest.raises(ProcessLookupError):
        os.kill(left.pid, 0)
