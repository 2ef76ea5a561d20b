"""Readers of the records in JSON. Each checks what the rest of the program relies on; further keys may be there."""

import json
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from truelift.errors import InputError, one_line
from truelift.metrics import Scale
from truelift.records.files import read_bytes

MOST_BYTES = 2**24
"""Of a JSON record; those of a run have some thousands."""
MOST_PLAN_BYTES = 2**26
"""Of study.json; a run takes some 150."""

Shape = TypeVar("Shape", bound=Struct)
Count = Annotated[int, Meta(ge=0)]


class _Result(Struct):
    metrics: dict[str, float]
    fingerprint: str | UnsetType = UNSET
    finished: str | UnsetType = UNSET
    steps: Count | UnsetType = UNSET
    epochs: float | UnsetType = UNSET
    frozen_layers: Count | UnsetType = UNSET
    classes: Count | UnsetType = UNSET
    train_images: Count | UnsetType = UNSET
    test_images: Count | UnsetType = UNSET
    skipped_images: Count | UnsetType = UNSET
    skipped_steps: Count | UnsetType = UNSET
    left_out: list[str] | UnsetType = UNSET
    results: str | UnsetType = UNSET
    sources: dict[str, str] | UnsetType = UNSET
    made: list[str] | UnsetType = UNSET
    wall_seconds: float | UnsetType = UNSET
    peak_bytes: Count | UnsetType = UNSET


class _Ran(Struct):
    sources: dict[str, str]


class _Failure(Struct):
    reason: str
    diverged: bool = False
    ran: _Ran | None = None


class _Data(Struct):
    digest: str
    images: dict[str, Count]
    classes: Count
    left_out: Count


class _Digest(Struct):
    digest: str


class _Environment(Struct):
    truelift: str | UnsetType = UNSET
    torch: str | UnsetType = UNSET
    numpy: str | UnsetType = UNSET
    python: str | UnsetType = UNSET
    platform: str | UnsetType = UNSET
    processor: str | UnsetType = UNSET
    device: str | UnsetType = UNSET
    precision: str | UnsetType = UNSET
    threads: Count | UnsetType = UNSET
    processes: Count | UnsetType = UNSET
    runs_a_gpu: Count | UnsetType = UNSET
    commit: str | UnsetType | None = UNSET
    patched: bool | UnsetType = UNSET
    untracked: list[str] | UnsetType = UNSET
    command: list[str] | str | UnsetType = UNSET
    started: str | UnsetType = UNSET
    steps: Count | UnsetType = UNSET
    from_step: Count | UnsetType = UNSET
    data: _Data | UnsetType = UNSET
    outliers: _Digest | UnsetType = UNSET


class _PlannedRun(Struct):
    variant: str
    seed: int
    folder: str


class _Variant(Struct):
    settings: dict[str, Any]
    command: str | None = None
    results: str | None = None


class _Published(Struct):
    value: float
    source: str
    runs: Annotated[int, Meta(ge=1)] = 1
    sd: float | None = None


class _Guard(Struct):
    limit: Annotated[float, Meta(ge=0)]
    unit: str
    higher_is_better: bool
    relative: bool
    scale: Scale | None = None


class _UntilDecided(Struct):
    max_seeds: Annotated[int, Meta(ge=3, le=200)]
    looks: Annotated[list[Annotated[int, Meta(ge=3)]], Meta(min_length=1)]
    alpha: Annotated[float, Meta(gt=0, le=0.5)]


class _EarlierPlan(Struct):
    seeds: list[int]
    created: str
    folders: dict[str, str]
    judged: list[int] | UnsetType = UNSET
    removed: list[str] | UnsetType = UNSET
    metric: str | UnsetType = UNSET
    baseline: str | UnsetType = UNSET


class _Refereed(Struct):
    number: Count
    level: Annotated[float, Meta(gt=0, lt=0.5)]
    look: Count


class _Referee(Struct):
    ledger: str
    rule: str
    alpha: Annotated[float, Meta(gt=0, lt=1)]
    images: str
    unseen: list[str]
    confirmation: Count
    candidates: dict[str, _Refereed]


class _Plan(Struct):
    name: str
    question: str
    metric: str
    unit: str
    higher_is_better: bool
    relative: bool
    smallest_effect: Annotated[float, Meta(ge=0)]
    baseline: str
    seeds: list[int]
    variants: dict[str, _Variant]
    shared: dict[str, Any]
    runs: list[_PlannedRun]
    repeat: str
    created: str
    scale: str | None = None
    metric_scale: Scale | None = None
    scales: dict[str, Scale] | UnsetType = UNSET
    guards: dict[str, _Guard] | UnsetType = UNSET
    pooling: Literal["none", "guarded"] = "none"
    published: dict[str, list[_Published]] | UnsetType = UNSET
    changed: list[str] | UnsetType = UNSET
    source: str | UnsetType = UNSET
    started_in: str | UnsetType = UNSET
    vary_split: bool | UnsetType = UNSET
    until_decided: _UntilDecided | None = None
    earlier: list[_EarlierPlan] | UnsetType = UNSET
    folds: Annotated[int, Meta(ge=2, le=1000)] | None = None
    referee: _Referee | UnsetType = UNSET


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: The file is missing, is no regular file, is too large, or is not JSON.
    """
    return _decode(path, read_bytes(path, MOST_BYTES))


def read_result(folder: Path) -> dict[str, Any]:
    """The content of a run's result.json; its `metrics` are finite numbers by name.

    Raises:
        InputError: It is missing or damaged.
    """
    return _read(folder / "result.json", _Result, MOST_BYTES)[0]


def read_failure(folder: Path) -> dict[str, Any]:
    """The content of a run's failure.json; its `reason` is one line, `diverged` whether the training did.

    `ran` is what the result of a program's run would have had which has ended well without its metric.

    Raises:
        InputError: It is missing or damaged.
    """
    found, checked = _read(folder / "failure.json", _Failure, MOST_BYTES)
    return {**found, "reason": " ".join(checked.reason.split()), "diverged": checked.diverged}


def read_environment(folder: Path) -> dict[str, Any]:
    """The content of a run's environment.json (docs/records.md lists the keys; any may be missing).

    Raises:
        InputError: It is missing or damaged.
    """
    return _read(folder / "environment.json", _Environment, MOST_BYTES)[0]


def read_plan(folder: Path) -> dict[str, Any]:
    """The content of a study's study.json (docs/records.md lists the keys).

    Raises:
        InputError: It is missing or damaged, names a variant or a seed that it does not list, lists a run twice, or not
            all until it is decided, has other candidates of a ledger than its variants, or a run lies outside the
            study's folder.
    """
    path = folder / "study.json"
    found, plan = _read(path, _Plan, MOST_PLAN_BYTES)
    if plan.baseline not in plan.variants:
        raise InputError(f'{path}: baseline must be one of the variants, got "{plan.baseline}".')
    if len(set(plan.seeds)) < len(plan.seeds):
        raise InputError(f"{path}: seeds must differ, got {plan.seeds}.")
    if plan.referee is not UNSET and plan.referee.candidates.keys() != plan.variants.keys() - {plan.baseline}:
        told = ", ".join(plan.referee.candidates) or "none"
        raise InputError(f"{path}: the ledger's candidates must be the variants but for the baseline, got {told}.")
    _check_looks(path, plan)
    seeds, seen = set(plan.seeds), set()
    for run in plan.runs:
        told = f'{path}: the run of variant "{run.variant}" with seed {run.seed}'
        if run.variant not in plan.variants or run.seed not in seeds:
            raise InputError(f"{told} is none of the study's.")
        if (run.variant, run.seed) in seen:
            raise InputError(f"{told} is listed twice.")
        seen.add((run.variant, run.seed))
        if not _is_inside(run.folder):
            raise InputError(f'{told} must lie in the study\'s folder, got "{run.folder}".')
    if plan.until_decided is not None and len(seen) < len(seeds) * len(plan.variants):
        raise InputError(
            f"{path}: a study until decided must list a run of each variant under each seed, got {len(seen)}."
        )
    return {**found, **msgspec.to_builtins(plan)}  # with what a key that is missing stands for


def _check_looks(path: Path, plan: _Plan) -> None:
    """Refuse looks that do not rise to the number of seeds."""
    until = plan.until_decided
    if until is None:
        return
    rising = all(a < b for a, b in zip(until.looks, until.looks[1:], strict=False))
    if not rising or not until.looks[-1] == until.max_seeds == len(plan.seeds):
        raise InputError(
            f"{path}: looks must rise to max_seeds, {until.max_seeds}, and so many seeds be listed, "
            f"got {until.looks} and {len(plan.seeds)} seeds."
        )


def _is_inside(folder: str) -> bool:
    """Whether a relative path stays below where it starts, on any system."""
    parts = folder.replace("\\", "/").split("/")
    absolute = PurePosixPath(folder).is_absolute() or bool(PureWindowsPath(folder).anchor)
    return bool(folder.strip("./")) and not absolute and ".." not in parts and "\0" not in folder


def _read(path: Path, shape: type[Shape], most: int) -> tuple[dict[str, Any], Shape]:
    """The object in a file, as it is and as it was checked."""
    found = _decode(path, read_bytes(path, most))
    try:
        checked = msgspec.convert(found, shape)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InputError(f"{path} is damaged: {one_line(error)}.") from None
    assert isinstance(found, dict)
    return found, checked


def _decode(path: Path, content: bytes) -> Any:
    content = content.removeprefix(b"\xef\xbb\xbf")  # some programs mark UTF-8
    try:
        return msgspec.json.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON: {_reason(content, error)}.") from None


def _reason(content: bytes, error: Exception) -> str:
    """Why it is not JSON, with the line if that can be told."""
    try:
        text = content.decode()
    except UnicodeDecodeError as bad:
        return f"byte {bad.start} is not UTF-8"
    try:
        json.loads(text, parse_constant=_refuse)
    except RecursionError:
        return "it is nested too deeply"
    except ValueError as bad:
        return one_line(bad)
    return one_line(error)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")
