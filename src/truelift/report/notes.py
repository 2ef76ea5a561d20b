"""What a reader should know of the records themselves: what could not be read, and what changed between runs."""

import os
from collections.abc import Iterator, Mapping, Sequence

from truelift.records import Run, Study
from truelift.report.asked import Asked, Earlier

HEADING = "Records"
_ORDINALS = {1: "Second", 2: "Third", 3: "Fourth"}
MOST_AT_ONCE = 20
"""Of what a terminal shows; the files have all."""

_PART_OF_THEM = "unknown, of an earlier version, which may have taken a fifth of them"
"""In place of the digest of a run that has none."""

EARLY = (
    "A look before the end: runs of the plan are still to come. Whoever stops a study at a look, or goes on with more "
    "seeds because of it, finds effects that are not there more often than its p-values say; --until-decided plans "
    "looks."
)
"""Of a study with a fixed number of seeds."""


def notes(study: Study, asked: Asked) -> tuple[str, ...]:
    """A sentence each; files are named as from the study's folder.

    Args:
        study: Of its runs' records, those that were read already are told of.
        asked: Its plan.
    """
    done = [run for run in study.runs if run.status == "done"]
    found = [note.replace(f"{study.folder}{os.sep}", "") for note in study.notes]
    again = second_look(asked)
    return (
        *([again] if again else []),
        *_after_the_fact(asked),
        *found,
        *_without_config(done),
        *_changed_data(done, asked),
        *_changed_outliers(done, asked),
        *_changed_sources(done),
        *_shared_gpus(done),
    )


def _after_the_fact(asked: Asked) -> Iterator[str]:
    """That the metric was chosen when the runs were there."""
    if asked.planned_metric:
        yield (
            f"Judged afterwards by {asked.metric.name}: the study was planned with {asked.planned_metric}. P-values "
            "and intervals hold where this metric was chosen before anybody saw the results, and for one metric: of "
            "several, some decide by chance."
        )


def _without_config(done: Sequence[Run]) -> Iterator[str]:
    """Runs that lost their config.toml; where no run has one, as in tables of other origin, nothing is missing."""
    missing = [run for run in done if not os.path.lexists(run.folder / "config.toml")]
    if len(missing) < len(done):
        for variant, seeds in _seeds(missing).items():
            yield f"{variant}: there is no config.toml of {seeds}: only the folder's name says what ran there."


def _changed_data(done: Sequence[Run], asked: Asked) -> Iterator[str]:
    """Variants of one data set whose runs were not made of the same data."""
    settings = {
        variant.name: tuple((k, str(v)) for k, v in sorted(variant.settings.items()) if k.startswith("data."))
        for variant in asked.variants
    }
    states: dict[tuple[tuple[str, str], ...], dict[str, list[Run]]] = {}
    facts: dict[str, Mapping[str, object]] = {}
    for run in done:
        data = run.environment().get("data")
        if data is not None:
            states.setdefault(settings[run.variant], {}).setdefault(data["digest"], []).append(run)
            facts[data["digest"]] = data
    for by_digest in states.values():
        if len(by_digest) > 1:
            parts = [f"{_data(facts[digest])} in {_runs(runs)}" for digest, runs in by_digest.items()]
            yield f"The data changed between runs, which are not comparable then: {'; '.join(parts)}."


def _changed_outliers(done: Sequence[Run], asked: Asked) -> Iterator[str]:
    """Variants of one set of outliers whose runs were not measured with the same images."""
    settings = {variant.name: str(variant.settings.get("detection.outliers")) for variant in asked.variants}
    versions: dict[str, dict[str, list[Run]]] = {}
    for run in done:
        if "outlier_auroc" in run.result()["metrics"]:
            digest = run.environment().get("outliers", _PART_OF_THEM)
            versions.setdefault(settings[run.variant], {}).setdefault(digest, []).append(run)
    for by_digest in versions.values():
        if len(by_digest) > 1:
            parts = [f"{digest} in {_runs(runs)}" for digest, runs in by_digest.items()]
            yield f"The outliers changed between runs, whose areas are not comparable then: {'; '.join(parts)}."


def _data(facts: Mapping[str, object]) -> str:
    images = facts["images"]
    assert isinstance(images, Mapping), "its reader has checked it"
    counts = ", ".join(f"{count} {split} images" for split, count in images.items())
    left_out = f", {facts['left_out']} left out" if facts["left_out"] else ""
    return f"{counts} of {facts['classes']} classes{left_out} (digest {facts['digest']})"


def _changed_sources(done: Sequence[Run]) -> Iterator[str]:
    """Files of a user's program that were not the same in all runs that name them; what it makes itself is none."""
    versions: dict[str, dict[str, list[Run]]] = {}
    made = {name for run in done for name in run.result().get("made", ())}
    for run in done:
        for name, digest in run.result().get("sources", {}).items():
            versions.setdefault(name, {}).setdefault(digest, []).append(run)
    for name, by_digest in versions.items():
        if len(by_digest) > 1 and name not in made:
            parts = [f"{digest} in {_runs(runs)}" for digest, runs in by_digest.items()]
            yield f"{name} changed between runs, which are not comparable then: {'; '.join(parts)}."


def _shared_gpus(done: Sequence[Run]) -> Iterator[str]:
    """That runs had no GPU to themselves: their times hang on what the others did."""
    at_once = [run.environment().get("runs_a_gpu", 1) for run in done]
    shared = sum(runs > 1 for runs in at_once)
    if shared:
        yield (
            f"{shared} of {len(done)} runs shared their GPU, up to {max(at_once)} at a time: their times hang on what "
            "the others did meanwhile, and compare only roughly."
        )


def _runs(runs: Sequence[Run]) -> str:
    return ", ".join(f"{variant} {seeds}" for variant, seeds in _seeds(runs).items())


def _seeds(runs: Sequence[Run]) -> dict[str, str]:
    found: dict[str, list[int]] = {}
    for run in runs:
        found.setdefault(run.variant, []).append(run.seed)
    return {
        variant: f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"
        for variant, seeds in found.items()
    }


def short_second_look(asked: Asked) -> str:
    """The same in a few words; empty where they were not."""
    if not asked.earlier:
        return ""
    if asked.looks is not None:
        return "Nothing shows that the plan of looks was made before the first results."
    return f"{_ordinal(asked)} look at these results: p-values and intervals hold for one."


def _ordinal(asked: Asked) -> str:
    return _ORDINALS.get(len(asked.earlier), "One more")


def second_look(asked: Asked) -> str | None:
    """That results were looked at before, with other seeds, variants, metric or baseline; None where they were not."""
    if not asked.earlier:
        return None
    if asked.looks is not None:
        return (
            f"This plan of looks was written when {max(one.seeds for one in asked.earlier)} seeds had results, and no "
            "study.json was there that could be read: nothing shows that it was made before."
        )
    before = ", ".join(map(_look_before, asked.earlier))
    seeds = len(asked.seeds)
    told = (
        f"{_ordinal(asked)} look: its results could be judged before, with {before}, and "
        f"are now with {seeds}. Its p-values and intervals hold for one look."
    )
    chosen = [one for one in asked.earlier if one.removed or one.edited or one.metric or one.baseline]
    if chosen:
        told += " Variants, a metric or a baseline chosen after results were seen find effects that are not there."
    if len(chosen) < len(asked.earlier) or any(one.seeds != seeds for one in chosen):
        told += (
            " With five seeds and then the advised number more, 9.9 % of studies without an effect get a verdict in "
            "place of 5 %, and 11.8 % where that is repeated. A study with --until-decided may be looked at while it "
            "grows."
        )
    return told


def _look_before(one: Earlier) -> str:
    seeds = f"{one.seeds} seeds" if one.seeds == one.planned else f"{one.seeds} of {one.planned} seeds"
    others = [
        *([f"of {', '.join(one.edited)} with other settings"] if one.edited else []),
        *([f"of {', '.join(one.removed)} too"] if one.removed else []),
    ]
    words = [
        " and ".join(others),
        f"by {one.metric}" if one.metric else "",
        f"against {one.baseline}" if one.baseline else "",
    ]
    return " ".join((f"{seeds} ({one.last_run[:10]})", *filter(None, words)))
