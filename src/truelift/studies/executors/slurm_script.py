"""The script of a study's job array: text alone, so that it can be shown, kept and tested without a cluster."""

import os
import shlex
import sys
from pathlib import Path

from truelift.errors import InputError
from truelift.studies.executors.base import Work
from truelift.studies.executors.options import ExecutorOptions

LEAD_SECONDS = 90
"""Before the end of its time a task is told to end, so that it can write a checkpoint."""


def script(options: ExecutorOptions, work: Work, folder: Path, tasks: int, why: str = "") -> str:
    """What sbatch is given.

    A task that is told to end has its run write a checkpoint and end; then it has itself queued again. So has one whose
    process was killed. One that somebody cancels, or that Slurm itself has queued again, has another state by then.

    Args:
        options: Of the executor.
        work: What is the same in all runs.
        folder: The submission's, with tasks.json.
        tasks: How many.
        why: Of so many, for whoever reads it.

    Raises:
        InputError: A path cannot stand in a script of sbatch's.
    """
    study, folder = work.study.absolute(), folder.absolute()
    for path in (study, Path.cwd()):
        if any(character in str(path) for character in '"\\\n%'):
            raise InputError(f'the folder must be without ", \\, % and line ends for Slurm, got {str(path)!r}.')
    at_once = "" if options.at_once is None else f"%{options.at_once}"
    lead = LEAD_SECONDS if options.seconds is None else max(1, min(LEAD_SECONDS, options.seconds // 4))
    asked = {
        "job-name": f"truelift-{study.name}".replace(" ", "-"),
        "array": f"0-{tasks - 1}{at_once}",
        "output": f'"{folder}/%a.txt"',
        "chdir": f'"{Path.cwd()}"',
        "open-mode": "append",
        "signal": f"B:TERM@{lead}",
        "ntasks": 1,
        "cpus-per-task": options.cpus,
        "partition": options.partition,
        "account": options.account,
        "qos": options.qos,
        "time": None if options.seconds is None else _time(options.seconds),
        "mem": options.memory,
        "gres": f"gpu:{options.gpus:g}" if options.gpus else None,
    }
    lines = [f"#SBATCH --{name}={value}" for name, value in asked.items() if value is not None]
    if options.args:
        lines.append(f"#SBATCH {options.args}")
    command = [
        *(sys.executable, "-m", "truelift", "work", str(study)),
        *("--tasks", str(folder / "tasks.json"), "--threads", str(options.cpus)),
        *("--checkpoint_seconds", f"{work.checkpoint_seconds:g}"),
        *("--retries", str(1 if options.retries is None else options.retries)),
    ]
    heartbeat = os.environ.get("TRUELIFT_HEARTBEAT")
    return _SCRIPT.format(
        lines="\n".join(["#SBATCH --requeue", *lines, *([f"# {why}."] if why else [])]),
        command=f'{shlex.join(command)} --task "$SLURM_ARRAY_TASK_ID"',
        requeues=options.requeues,
        heartbeat=f"export TRUELIFT_HEARTBEAT={shlex.quote(heartbeat)}\n" if heartbeat else "",
    )


def _time(seconds: int) -> str:
    """As Slurm has it: days-hours:minutes:seconds."""
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    return f"{day}-{hour:02}:{minute:02}:{second:02}"


_SCRIPT = """\
#!/bin/bash
{lines}
# A task makes its runs of tasks.json, one after the other. What has ended is not made again.
export TRUELIFT_EXECUTOR=slurm
{heartbeat}worker=
stop() {{ [ -z "$worker" ] || kill -TERM "$worker"; }}
trap stop TERM
{command} &
worker=$!
while :; do
    wait "$worker"
    status=$?
    kill -0 "$worker" 2>/dev/null || break  # else a signal has ended the wait
done
# Told to end, or killed: its runs go on from their checkpoints when it is queued again. It is not where somebody has
# cancelled it, or where Slurm itself has queued it again: its state is another then.
if [ "$status" -ge 128 ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {requeues} ]; then
    task="${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"  # the number alone may be the whole array's
    case "$(squeue --noheader --jobs="$task" --format=%T)" in
        RUNNING | PREEMPTED) scontrol requeue "$task" && sleep 300 ;;
    esac
fi
exit "$status"
"""
