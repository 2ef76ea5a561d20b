"""An index of all studies below a folder: question, verdicts, seeds and time of each, from the records alone."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from truelift.errors import InputError
from truelift.records import Study, write_text
from truelift.records.catalogue import places
from truelift.records.files import is_regular
from truelift.report.plain import visible
from truelift.report.standing import standing
from truelift.report.summary import answered
from truelift.verdicts import Verdict
from truelift.verdicts.wording import Headline, decided_first

_MARK = '<meta name="generator" content="truelift report --all">'


@dataclass(frozen=True)
class Overview:
    """One study."""

    name: str
    """Its folder, as from the one that is given."""
    link: str | None
    """Its report's address from there; None where none is written."""
    question: str = ""
    answer: str = ""
    verdicts: tuple[tuple[str, Verdict], ...] = ()
    """By variant, the baseline left out; the decided ones first."""
    seeds: int = 0
    runs: str = ""
    """Done of planned."""
    created: str = ""
    """When its study.json was written, ISO 8601."""
    problem: str = ""
    """Why nothing else is said of it."""


def overviews(folder: Path) -> list[Overview]:
    """All studies below a folder, the newest first.

    Raises:
        InputError: It is no folder, or as `places`.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder.")
    found = [_overview(place, folder) for place, kind in places(folder) if kind == "study"]
    return sorted(found, key=lambda one: (one.created, one.name), reverse=True)


def write_index(folder: Path) -> tuple[Path, int]:
    """Write index.html into a folder, with a line for each study below it.

    Returns:
        The page's path, and how many studies it lists.

    Raises:
        InputError: It is no folder, no study is below it, or it has an index.html that is another program's.
    """
    from truelift.report.page import index_page  # matplotlib and the templates take a while

    found = overviews(folder)
    if not found:
        raise InputError(f"{folder} has no study below it: none of its folders has a study.json.")
    path = folder / "index.html"
    if os.path.lexists(path) and not _is_ours(path):
        raise InputError(f"{path} is not written over: it is none that truelift wrote.")
    write_text(path, visible(index_page(found, _MARK)))
    return path, len(found)


def _is_ours(path: Path) -> bool:
    if not is_regular(path):
        return False
    with path.open("rb") as file:
        return _MARK.encode() in file.read(4096)


def _overview(folder: Path, root: Path) -> Overview:
    name = folder.relative_to(root).as_posix()
    link = quote(f"{name}/report.html") if is_regular(folder / "report.html") else None
    try:
        return _judged(Study.read(folder), name, link)
    except InputError as error:
        return Overview(name, link, problem=str(error))


def _judged(study: Study, name: str, link: str | None) -> Overview:
    found = standing(study)
    asked, planned = found.asked, len(found.statuses)
    done = [run for run, status in found.statuses if status == "done"]
    headlines = decided_first(Headline(variant, c.verdict, c.reason) for variant, c in found.comparisons.items())
    return Overview(
        name=name,
        link=link,
        question=asked.question,
        answer=answered(asked, headlines, so_far=found.goes_on) if headlines else "",
        verdicts=tuple((one.variant, one.verdict) for one in headlines),
        seeds=len({run.seed for run in done}),
        runs=f"{len(done)} of {'' if asked.looks is None else 'at most '}{planned}",
        created=str(study.plan["created"]),
    )
