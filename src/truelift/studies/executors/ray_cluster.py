"""The way to a Ray cluster: reached within seconds or refused, and looked at before anything is written."""

import contextlib
import importlib
import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from truelift import __version__
from truelift.errors import InputError, one_line, shortened
from truelift.studies.executors import ray_task
from truelift.studies.executors.options import ExecutorOptions

LOCAL = "local"
"""The address of a cluster that is begun for this command, and ends with it."""

_REACH_SECONDS = 5.0
_LOOK_SECONDS, _SETUP_SECONDS = 180.0, 900.0
"""What nodes may take to answer; the second where they have an environment to install first."""
_MOST_LOOKED_AT = 32
"""Of the nodes: the others are most likely like them, and each run looks again."""

# HTTP/2, which Ray speaks: the client's preface with empty settings; the answer begins with settings, frame type 4.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def imported() -> Any:
    """Ray.

    Raises:
        InputError: It is not installed.
    """
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise InputError("executor ray needs Ray: pip install 'truelift[ray]'.") from None


def address_of(options: ExecutorOptions) -> str:
    """Where the cluster is, as it was said or as Ray's own variable has it."""
    return options.address or os.environ.get("RAY_ADDRESS") or LOCAL


_ours = threading.Event()
"""Set while there is a connection that this process has made for a study: it is left when the study is over."""


@contextlib.contextmanager
def connected(options: ExecutorOptions, *, stay: bool = False) -> Iterator[Any]:
    """Ray, connected within the block. A connection that somebody else has made in this process stays.

    Args:
        options: Of the executor.
        stay: Stay connected for the next block, unless this one fails.

    Raises:
        InputError: Ray is not installed, or the cluster cannot be reached.
    """
    ray = imported()
    if not ray.is_initialized():
        _ours.clear()
        _connect(ray, address_of(options), runtime_env(options))
        _ours.set()
    try:
        yield ray
    except BaseException:
        stay = False
        raise
    finally:
        if _ours.is_set() and not stay:
            _ours.clear()
            ray.shutdown()


def _connect(ray: Any, address: str, environment: Mapping[str, Any]) -> None:
    _refuse_unreachable(address)
    # Ray reports how it is used to its makers unless told not to: nothing here does so unasked.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A small store, since records are files; and no dashboard for the length of one command.
    alone = {"include_dashboard": False, "object_store_memory": 80 * 2**20} if address == LOCAL else {}
    ours = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(
            address=address,
            runtime_env=dict(environment),
            log_to_driver=False,
            logging_level="ERROR",
            **alone,
        )
    except Exception as error:
        raise InputError(f"the Ray cluster at {address} cannot be reached: {_short(error)}.") from None
    finally:
        for number, handler in ours.items():  # Ray sets its own
            signal.signal(number, handler)


def _refuse_unreachable(address: str) -> None:
    """Refuse an address where no Ray answers: Ray itself would try for minutes.

    Raises:
        InputError: It is none of Ray's addresses, or nothing answers there.
    """
    if address in (LOCAL, "auto"):
        return
    host, colon, port = address.rpartition(":")
    if not colon or not host or "/" in host or not port.isdecimal() or int(port) > 65535:
        raise InputError(
            f"executor.address must be HOST:PORT of the cluster's head, or auto, got {address}. From outside a "
            "cluster, have the whole command run in it: ray job submit."
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _REACH_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0") != "0":
                return
            connection.settimeout(_REACH_SECONDS)
            connection.sendall(_PREFACE)
            if connection.recv(9)[3:4] != b"\4":
                raise InputError(f"the Ray cluster at {address} cannot be reached: another program answers there.")
    except OSError as error:
        raise InputError(f"the Ray cluster at {address} cannot be reached: {one_line(error)}.") from None


def runtime_env(options: ExecutorOptions) -> dict[str, Any]:
    """What Ray prepares on each node before a run: the user's runtime environment, and what truelift's runs need.

    Raises:
        InputError: The file cannot be read, or holds no table; or the folder is not there.
    """
    found: dict[str, Any] = {}
    if options.runtime_env is not None:
        try:
            told = importlib.import_module("yaml").safe_load(Path(options.runtime_env).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"executor.runtime_env cannot be read: {one_line(error)}.") from None
        except Exception as error:  # the parser's own, one of many
            raise InputError(f"executor.runtime_env must be YAML or JSON, got {_short(error)}.") from None
        if not isinstance(told, dict) or not isinstance(told.get("env_vars", {}), dict):
            raise InputError(f"executor.runtime_env must hold a table, as Ray's runtime_env, got {told!r}.")
        found = {str(name): value for name, value in told.items()}
    if options.working_dir is not None:
        if not Path(options.working_dir).is_dir():
            raise InputError(f"executor.working_dir must be an existing folder, got {options.working_dir}.")
        found["working_dir"] = os.path.abspath(options.working_dir)
    own = {name: value for name, value in os.environ.items() if name.startswith("TRUELIFT_")}
    if "working_dir" not in found and "PYTHONPATH" in os.environ:  # the nodes see the same folders
        own["PYTHONPATH"] = os.environ["PYTHONPATH"]
    own["TRUELIFT_EXECUTOR"] = "ray"
    return found | {"env_vars": {**own, **found.get("env_vars", {})}}


def directory_of(options: ExecutorOptions) -> str | None:
    """Where runs shall be on the nodes: here, unless Ray copies a folder there."""
    return None if "working_dir" in runtime_env(options) else os.getcwd()


def asked(options: ExecutorOptions) -> dict[str, float]:
    """What a run has of a node, by Ray's names."""
    wanted = {"CPU": float(options.cpus), "GPU": float(options.gpus), "memory": float(options.memory_bytes or 0)}
    return {name: amount for name, amount in wanted.items() if amount}


def fitting(ray: Any, options: ExecutorOptions) -> list[tuple[str, int]]:
    """The nodes that a run fits on, with how many it holds at a time."""
    nodes = (node for node in ray.nodes() if node["Alive"])
    wanted = asked(options)
    rooms = (
        (node["NodeID"], min(int(node["Resources"].get(name, 0) / amount) for name, amount in wanted.items()))
        for node in nodes
    )
    return [(node, room) for node, room in rooms if room]


def look_at_nodes(ray: Any, options: ExecutorOptions, study: Path) -> None:
    """Refuse a cluster on which no run of the study could be made.

    Raises:
        InputError: No node has what a run is to have, or truelift, or sees the study's folder.
    """
    nodes = [node for node, _ in fitting(ray, options)]
    if not nodes:
        if not options.autoscales:
            raise InputError(_too_much(ray, options))
        return
    with _token(study) as token:
        refused = _looks(ray, options, nodes[:_MOST_LOOKED_AT], token, study)
    if refused is not None:
        raise InputError(refused)


def _looks(ray: Any, options: ExecutorOptions, nodes: Sequence[str], token: Path, study: Path) -> str | None:
    """What the first node says that does not fit."""
    strategies = importlib.import_module("ray.util.scheduling_strategies")
    remote = ray.remote(ray_task.look)
    arguments = (str(token), os.path.abspath(study), directory_of(options), __version__)
    there = []
    for node in nodes:
        on_node = strategies.NodeAffinitySchedulingStrategy(node, soft=False)
        there.append(remote.options(num_cpus=0, scheduling_strategy=on_node).remote(*arguments))
    seconds = _LOOK_SECONDS if options.runtime_env is None and options.working_dir is None else _SETUP_SECONDS
    try:
        return next((told for told in ray.get(there, timeout=seconds) if told is not None), None)
    except ray.exceptions.GetTimeoutError:
        return f"a node of the Ray cluster does not answer within {seconds:.0f} s."
    except ray.exceptions.RayTaskError as error:
        if "No module named" in str(error):
            return f"truelift must be installed on the nodes too, in the Python that runs Ray: {_last_line(error)}."
        raise
    except ray.exceptions.RayError as error:
        return f"a node of the Ray cluster makes no runs: {_short(error)}."


@contextlib.contextmanager
def _token(study: Path) -> Iterator[Path]:
    """A file in the study's folder, or in the nearest one above that is there, until the block ends."""
    place = Path(os.path.abspath(study))
    while not place.is_dir():
        place = place.parent
    token = place / f".truelift-{secrets.token_hex(4)}.partial"
    try:
        token.touch()
    except OSError as error:
        raise InputError(f"{place} cannot be written to: {one_line(error)}.") from None
    try:
        yield token
    finally:
        with contextlib.suppress(OSError):
            token.unlink()


def _too_much(ray: Any, options: ExecutorOptions) -> str:
    there = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    told = {"CPU": options.cpus, "GPU": options.gpus, "memory": options.memory}
    for name, amount in asked(options).items():
        most = max((node.get(name, 0.0) for node in there), default=0.0)
        if amount > most:
            shown = f"{most / 2**30:.3g}G" if name == "memory" else f"{most:g}"
            option = {"CPU": "cpus", "GPU": "gpus", "memory": "memory"}[name]
            return f"executor.{option} must be at most {shown}, as the largest node has, got {told[name]}."
    wanted = ", ".join(f"{name} {told[name]}" for name in asked(options))
    return f"no node of the cluster has all that a run is to have: {wanted}."


def _last_line(error: BaseException) -> str:
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)


def _short(error: BaseException) -> str:
    return shortened(one_line(error)).rstrip(".")
