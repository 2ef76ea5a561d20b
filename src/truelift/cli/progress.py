"""How far a study is, as a table and in a line: for whoever runs it, and for whoever watches it from its records."""

from datetime import datetime

from rich.table import Table
from rich.text import Text

from truelift.cli.amounts import time
from truelift.records.progress import RunProgress, State, StudyProgress

_NOT_DONE: tuple[State, ...] = ("failed", "running", "waiting", "not needed")


def progress_table(progress: StudyProgress, now: float, most_rows: int = 20) -> Table:
    """The runs that run, a row each: step, images a second, time left, and where their leases say they run.

    Args:
        progress: From `study_progress` or `seen_from_outside`.
        now: The time in seconds.
        most_rows: At most so many; the last row counts the rest.
    """
    table = Table(box=None, pad_edge=False, header_style="dim", expand=False)
    table.add_column("run", overflow="ellipsis", no_wrap=True, max_width=40)
    for title in ("step", "", "images/s", "left"):
        table.add_column(title, justify="right", no_wrap=True)
    running = progress.of("running")
    told_where = any(run.holder is not None for run in running)
    if told_where:
        table.add_column("where", overflow="ellipsis", no_wrap=True)
    shown = running if len(running) <= most_rows else running[: max(0, most_rows - 1)]
    for run in shown:
        table.add_row(Text(name(run)), *_cells(run), *([Text(where(run, now))] if told_where else []))
    if len(shown) < len(running):
        table.add_row(f"and {len(running) - len(shown)} more")
    return table


def where(run: RunProgress, now: float) -> str:
    """On which machine, by which job and since when a run runs; empty where its lease was not asked.

    Args:
        run: One that runs.
        now: The time in seconds.
    """
    if run.holder is None:
        return ""
    job = f", job {run.holder.job}" if run.holder.job else ""
    try:
        seconds = now - datetime.fromisoformat(run.holder.since).timestamp()
    except ValueError:
        return f"on {run.holder.host}{job}"
    return f"on {run.holder.host}{job} for {time(seconds)}"


def progress_line(progress: StudyProgress, *, until_decided: bool = False) -> str:
    """The whole study: how many runs are in each state, and the time left."""
    total = len(progress.runs)
    parts = [f"{progress.count('done')} of {'at most ' if until_decided else ''}{total} runs done"]
    counts = {state: progress.count(state) for state in _NOT_DONE}
    parts += [f"{count} {state}" for state, count in counts.items() if count]
    if progress.seconds_left is not None and (counts["running"] or counts["waiting"]):
        parts.append(f"{'at most ' if until_decided else 'about '}{time(progress.seconds_left)} left")
    return ", ".join(parts)


def begun_line(done: int, resumed: int, total: int, jobs: int) -> str:
    """What a study begins with."""
    if done == total:
        return f"all {total} runs are done"
    at_a_time = f"{jobs} at a time" if jobs > 1 else "one at a time"
    if not done and not resumed:
        return f"{total} runs, {at_a_time}"
    goes_on = (
        f", {resumed} {'goes' if resumed == 1 else 'go'} on from {'a checkpoint' if resumed == 1 else 'checkpoints'}"
    )
    return f"{done} of {total} runs are done{goes_on if resumed else ''}; {at_a_time}"


def name(run: RunProgress) -> str:
    """A run's name in a line."""
    return f"{run.run.variant} seed {run.run.seed}"


def _cells(run: RunProgress) -> tuple[str, str, str, str]:
    if run.step is None or not run.steps:
        waiting = "" if run.seconds is None else f"for {time(run.seconds)}"
        return ("starts" if run.steps is None and run.seconds is None else "", "", "", waiting)
    speed = "" if run.images_per_second is None else f"{run.images_per_second:,.0f}"
    left = "" if run.seconds_left is None else time(run.seconds_left)
    return f"{run.step:,}/{run.steps:,}", f"{run.step / run.steps:.0%}", speed, left
