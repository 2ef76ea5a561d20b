"""Two nodes of Ray's on this machine, for the tests.

    python -m tests.system.ray_nodes

Prints where they are as JSON: the address, and the process of the second node's raylet. They run until the standard
input ends.
"""

import contextlib
import importlib.util
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# A node that is lost is noticed within seconds, where Ray's own settings take half a minute.
_QUICK = {
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_raylet_liveness_self_check_interval_ms": "500",
    "RAY_USAGE_STATS_ENABLED": "0",
}
_CORES = 1
"""Of each node."""


def missing() -> str | None:
    """Why there can be no Ray here; none where there can."""
    return None if importlib.util.find_spec("ray") else "not installed: pip install 'truelift[ray]'"


@dataclass
class Nodes:
    """A cluster that runs."""

    address: str
    raylet: int
    """The process that is the second node."""


@contextlib.contextmanager
def nodes() -> Iterator[Nodes]:
    """A cluster of two nodes with a core each, until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.system.ray_nodes"],
        env={**os.environ, **_QUICK},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        told = next(line for line in process.stdout if line.startswith("{"))
        try:
            yield Nodes(**json.loads(told))
        finally:
            process.stdin.close()
            process.wait(60)


def main() -> None:
    """Be the cluster."""
    cluster_utils: Any = importlib.import_module("ray.cluster_utils")
    cluster = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": _CORES, "include_dashboard": False}
    )
    node = cluster.add_node(num_cpus=_CORES, wait=True)
    (raylet,) = node.all_processes["raylet"]
    print(json.dumps({"address": cluster.address, "raylet": raylet.process.pid}), flush=True)
    while not select.select([sys.stdin], [], [], 0.2)[0]:
        raylet.process.poll()  # one that was killed is gone only when its parent has taken notice
    cluster.shutdown()


if __name__ == "__main__":
    main()
