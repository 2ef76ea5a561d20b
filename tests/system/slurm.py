"""A real Slurm on this machine, for the tests: one controller, one node of two slots, in a folder of its own."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

NEEDED = ("slurmctld", "slurmd", "sbatch", "squeue", "munged", "runuser")

_REQUEUE_SECONDS = 10
"""How long a task that is queued again must wait; Slurm's own default is 120."""

_CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld}
SlurmdPort={d}
AuthType=auth/munge
AuthInfo=cred_expire={cred}
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/ctld.pid
SlurmdPidFile={home}/d.pid
SlurmctldLogFile={home}/ctld.log
SlurmdLogFile={home}/d.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MaxArraySize=8
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
KillWait=20
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Why there can be no Slurm here; none where there can."""
    if os.geteuid() != 0:
        return "a Slurm of the tests' own needs root"
    lacking = [name for name in NEEDED if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]
    return f"not installed: {', '.join(lacking)} (slurmctld slurmd slurm-client munge)" if lacking else None


@dataclass
class Cluster:
    """A running one."""

    home: Path
    environment: Mapping[str, str]

    def ask(self, *command: str) -> str:
        """What a command of Slurm's prints."""
        return subprocess.run(
            command, env=self.environment, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    def jobs(self) -> list[str]:
        """The jobs in the queue, as ID_TASK STATE."""
        return self.ask("squeue", "--noheader", "--array", "--format=%F_%K %T").splitlines()

    def start_node(self) -> None:
        """Start slurmd, and wait until the node takes jobs."""
        self._begin("slurmd")
        deadline = time.monotonic() + 60
        while not {"idle", "mix", "alloc", "comp"} & set(self._states()):
            assert time.monotonic() < deadline, self._states()
            time.sleep(0.2)

    def kill_node(self) -> None:
        """Kill slurmd; what it has started goes on."""
        os.kill(int((self.home / "d.pid").read_text()), 9)

    def _states(self) -> list[str]:
        with contextlib.suppress(subprocess.CalledProcessError):
            return [state.rstrip("*~#") for state in self.ask("sinfo", "--noheader", "--format=%t").split()]
        return []

    def _begin(self, daemon: str) -> None:
        subprocess.run([daemon], env=self.environment, check=True, timeout=60, stdin=subprocess.DEVNULL)

    def stop(self) -> None:
        """End it, with all its jobs."""
        with contextlib.suppress(subprocess.SubprocessError):
            self.ask("scancel", "--user=root")
            deadline = time.monotonic() + 30
            while self.jobs() and time.monotonic() < deadline:
                time.sleep(0.2)
        for name in ("d.pid", "ctld.pid"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((self.home / name).read_text()), 15)


@contextlib.contextmanager
def cluster(home: Path) -> Iterator[Cluster]:
    """One that runs until the block ends."""
    for name in ("state", "spool"):
        (home / name).mkdir(parents=True)
    host = socket.gethostname().partition(".")[0]
    ports = [_free_port(), _free_port()]
    (home / "slurm.conf").write_text(
        _CONFIG.format(host=host, home=home, ctld=ports[0], d=ports[1], cred=_REQUEUE_SECONDS)
    )
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SLURM")},
        "PATH": path,
        "SLURM_CONF": str(home / "slurm.conf"),
        "OMP_NUM_THREADS": "1",
    }
    Path("/run/munge").mkdir(exist_ok=True)
    shutil.chown("/run/munge", "munge")
    munged = None
    if subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode:
        munged = subprocess.Popen(["runuser", "-u", "munge", "--", "munged", "--foreground"], env=environment)
        deadline = time.monotonic() + 30
        while subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    running = Cluster(home, environment)
    try:
        running._begin("slurmctld")
        running.start_node()
        yield running
    finally:
        running.stop()
        if munged is not None:
            munged.terminate()
            munged.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
