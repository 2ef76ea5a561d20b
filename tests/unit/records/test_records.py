import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from truelift.errors import InputError
from truelift.records import Features, Run, locked, read_json, read_lines, whole_file, write_json


def test_a_file_is_whole_or_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError), whole_file(path) as file:
        file.writelines([b"half", None])  # type: ignore[list-item]
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_json_refuses_what_it_cannot_say(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_a_cut_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert read_lines(path) == [{"step": 1}, {"step": 2}]


@pytest.mark.parametrize("gaussians", [2, 0])
def test_features_come_back_as_they_were(tmp_path: Path, gaussians: int) -> None:
    run = Run("a", 0, tmp_path)
    assert run.features() is None
    points = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    written = Features(points, np.array([0, 1, 1]), points[:gaussians], points[:gaussians] + 1, ("cat", "Straßenbahn"))
    written.write(tmp_path / "features.npz")
    found = run.features()
    assert found is not None
    for name in ("features", "labels", "means", "variances"):
        np.testing.assert_array_equal(getattr(found, name), getattr(written, name), strict=True)
    assert found.class_names == ("cat", "Straßenbahn")


def _try(folder: Path, queue: "multiprocessing.Queue[str]") -> None:
    try:
        with locked(folder):
            queue.put("got it")
    except InputError as error:
        queue.put(str(error))


def test_a_folder_is_held_against_other_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[str] = context.Queue()
    answers = []
    for held in (True, False):
        process = context.Process(target=_try, args=(tmp_path, queue))
        if held:
            with locked(tmp_path):
                process.start()
                answers.append(queue.get(timeout=60))
        else:
            process.start()
            answers.append(queue.get(timeout=60))
        process.join()
    assert answers == [f"{tmp_path} is in use by another process.", "got it"]


def test_a_killed_holders_child_holds_nothing(tmp_path: Path) -> None:
    program = """
import os, sys, time
from pathlib import Path
from truelift.records import locked
with locked(Path(sys.argv[1])):
    if child := os.fork():
        print(child, flush=True)
        os._exit(0)
    time.sleep(60)
"""
    arguments = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        try:
            assert holder.wait() == 0
            with locked(tmp_path):
                os.kill(child, 0)  # is alive
        finally:
            os.kill(child, signal.SIGKILL)
