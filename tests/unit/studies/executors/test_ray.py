"""What is asked of a Ray cluster, and what is refused; a real one is in tests/system."""

import json
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tomli_w

from truelift import __version__
from truelift.errors import InputError
from truelift.records import leased
from truelift.studies.executors import ExecutorOptions, cluster_of, ray, ray_cluster, ray_task

PROGRAM = """
import json, os, sys
told = {"accuracy": 80.0, "threads": float(os.environ["OMP_NUM_THREADS"])}
json.dump(told, open(sys.argv[1] + "/metrics.json", "w"))
open(sys.argv[1] + "/where", "w").write(os.getcwd())
"""


def options(**given: Any) -> ExecutorOptions:
    return ExecutorOptions(name="ray", **given)


def test_without_ray(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    executor = cluster_of(options(), wait=False)
    assert executor is not None
    with pytest.raises(InputError, match=r"executor ray needs Ray: pip install 'truelift\[ray\]'\."):
        executor.check(tmp_path)
    with pytest.raises(InputError, match="wait needs --executor slurm"):
        cluster_of(options(), wait=True)


@pytest.fixture
def answers(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a program that answers with some bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(request.param)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize("answers", [b"\0\0\0\4\0\0\0\0\0"], indirect=True)
def test_what_speaks_as_ray_does(answers: str) -> None:
    ray_cluster._refuse_unreachable(answers)


@pytest.mark.parametrize("answers", [b"SSH-2.0-OpenSSH_9.2\r\n", b""], indirect=True)
def test_another_program_at_the_address(answers: str) -> None:
    with pytest.raises(InputError, match="cannot be reached: another program answers there"):
        ray_cluster._refuse_unreachable(answers)


def test_nobody_at_the_address() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(InputError, match=r"the Ray cluster at 127\.0\.0\.1:\d+ cannot be reached"):
            ray_cluster._refuse_unreachable(f"127.0.0.1:{free.getsockname()[1]}")


@pytest.mark.parametrize("address", ["ray://head:10001", "http://head:8265", "head", "head:x", ":6379", "head:70000"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(InputError, match=r"executor\.address must be HOST:PORT of the cluster's head, or auto, got"):
        ray_cluster._refuse_unreachable(address)


def test_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", "/mine")
    monkeypatch.setenv("TRUELIFT_HEARTBEAT", "2")
    mine = ray_cluster.runtime_env(options())["env_vars"]
    assert (mine["PYTHONPATH"], mine["TRUELIFT_HEARTBEAT"], mine["TRUELIFT_EXECUTOR"]) == ("/mine", "2", "ray")
    assert ray_cluster.directory_of(options()) == str(Path.cwd())
    file = tmp_path / "env.yaml"
    file.write_text(json.dumps({"pip": ["x"], "env_vars": {"TRUELIFT_HEARTBEAT": "5"}}))
    given = ray_cluster.runtime_env(options(runtime_env=str(file), working_dir=str(tmp_path)))
    assert (given["pip"], given["working_dir"]) == (["x"], str(tmp_path))
    assert given["env_vars"]["TRUELIFT_HEARTBEAT"] == "5"
    assert "PYTHONPATH" not in given["env_vars"]  # paths of this machine mean nothing beside a copied folder
    assert ray_cluster.directory_of(options(working_dir=str(tmp_path))) is None


@pytest.mark.parametrize("content", ["[1]", "a: [", "3", '{"env_vars": 3}'])
def test_an_environment_that_is_none(tmp_path: Path, content: str) -> None:
    pytest.importorskip("yaml")
    (tmp_path / "env.yaml").write_text(content)
    with pytest.raises(InputError, match=r"executor\.runtime_env must"):
        ray_cluster.runtime_env(options(runtime_env=str(tmp_path / "env.yaml")))


def test_a_folder_or_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"executor\.working_dir must be an existing folder, got"):
        ray_cluster.runtime_env(options(working_dir=str(tmp_path / "no")))
    with pytest.raises(InputError, match=r"executor\.runtime_env cannot be read"):
        ray_cluster.runtime_env(options(runtime_env=str(tmp_path / "no")))


def cluster(*nodes: dict[str, float]) -> Any:
    """Stands for Ray, with these nodes."""
    there = [{"NodeID": f"n{number}", "Alive": True, "Resources": has} for number, has in enumerate(nodes)]
    there.append({"NodeID": "lost", "Alive": False, "Resources": {"CPU": 100.0, "GPU": 8.0}})
    return SimpleNamespace(nodes=lambda: there)


def test_how_many_runs_fit() -> None:
    made = cluster({"CPU": 8.0, "GPU": 2.0, "memory": 64 * 2.0**30}, {"CPU": 3.0})
    assert ray_cluster.fitting(made, options()) == [("n0", 8), ("n1", 3)]
    assert ray_cluster.fitting(made, options(cpus=2)) == [("n0", 4), ("n1", 1)]
    assert ray_cluster.fitting(made, options(gpus=0.5)) == [("n0", 4)]
    assert ray_cluster.fitting(made, options(memory="16G")) == [("n0", 4)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cpus": 9}, r"executor\.cpus must be at most 8, as the largest node has, got 9\."),
        ({"gpus": 1}, r"executor\.gpus must be at most 0, as the largest node has, got 1\."),
        ({"memory": "128G"}, r"executor\.memory must be at most 64G, as the largest node has, got 128G\."),
        ({"cpus": 8, "memory": "32G"}, r"no node of the cluster has all that a run is to have: CPU 8, memory 32G\."),
    ],
)
def test_more_than_a_node_has(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    made = cluster({"CPU": 8.0, "memory": 16 * 2.0**30}, {"CPU": 2.0, "memory": 64 * 2.0**30})
    with pytest.raises(InputError, match=message):
        ray_cluster.look_at_nodes(made, options(**given), tmp_path)
    ray_cluster.look_at_nodes(made, options(**given, autoscales=True), tmp_path)


def test_what_a_node_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ray_task, "_SEEN_SECONDS", 0.0)
    token = tmp_path / "token"
    token.touch()
    assert ray_task.look(str(token), "/s", str(tmp_path), __version__) is None
    assert "has truelift" in (ray_task.look(str(token), "/s", None, "0.0.1") or "")
    unseen = ray_task.look(str(tmp_path / "no"), "/s", None, __version__)
    assert unseen is not None
    assert unseen.startswith("the study's folder must be one that the nodes see too: node ")
    assert "give --executor.working_dir" in (ray_task.look(str(token), "/s", str(tmp_path / "no"), __version__) or "")


def test_a_run_on_a_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ray_task, "_SEEN_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUELIFT_JOB", "")
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "there").mkdir()
    run = tmp_path / "s" / "runs" / "a"
    run.mkdir(parents=True)
    given = (str(tmp_path / "s"), "runs/a", str(tmp_path / "there"), "01000000", 3, 30.0, "accuracy", 0)
    ended, refused = ray_task.make(*given)
    assert not ended
    assert refused is not None
    assert "does not see" in refused
    config = {"command": f"{sys.executable} {tmp_path}/program.py {{out}}", "args": "", "seed": 0}
    (run / "config.toml").write_text(tomli_w.dumps(config))
    assert ray_task.make(*given) == (True, None)
    assert json.loads((run / "result.json").read_text())["metrics"] == {"accuracy": 80.0, "threads": 3.0}
    assert (run / "where").read_text() == str(tmp_path / "there")


def test_a_command_that_waits_is_told_to_end(tmp_path: Path) -> None:
    assert ray.cancel(tmp_path) == []
    left = tmp_path / "ray" / "20260101-000000-abcd"
    left.mkdir(parents=True)  # of a command that was killed
    with ray._command(tmp_path) as command:
        assert not left.exists()
        assert [holder.host for holder in ray.cancel(tmp_path)] == [socket.gethostname()]
        assert (command / "cancel").exists()
    assert not list(tmp_path.glob("ray/*"))
    with leased(left):
        (holder,) = ray.cancel(tmp_path)
    assert holder.host == socket.gethostname()
