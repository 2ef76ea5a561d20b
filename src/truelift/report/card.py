"""A model card of one run, from its records alone: Hugging Face's README.md with a YAML header.

What the records do not hold (licence, intended use, where images come from) is said to be unknown, and not made up.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from truelift.errors import InputError, require
from truelift.metrics import LOGGED
from truelift.records import Inputs, Predictions, Run, Study, predicted, read_config_file
from truelift.report.markdown import table
from truelift.report.plain import markdown_text, visible
from truelift.report.standing import standing
from truelift.verdicts import Comparison

MARK = "<!-- made by truelift card -->"
"""A line of every card: such a file may be written over."""
# Of a machine, not of a run.
_LOCAL = ("path", "outliers")
# A path from the root, from the home folder or from a drive.
_PATH = re.compile(r"""(?<![^\s='"(,])(~|[A-Za-z]:)?[/\\][^\s'",]*""")
_SHOWN = (
    "model",
    "objective",
    "optimizer",
    "schedule",
    "augmentation",
    "preprocessing",
    "freezing",
    "policy",
    "gradient",
)
_WORST = 3


@dataclass(frozen=True)
class Told:
    """What the records say of a run."""

    run: Run
    config: Mapping[str, Any]
    inputs: Inputs | None
    others: tuple[Run, ...]
    """The finished runs of its variant in its study, itself among them; itself alone outside of one."""
    verdict: Comparison | None
    """Of its variant against the study's baseline."""
    study: Study | None

    @property
    def metrics(self) -> Mapping[str, float]:
        """Of its result."""
        found: Mapping[str, float] = self.run.result()["metrics"]
        return found

    @property
    def replicate(self) -> str:
        """What its variant's runs differ in: seed or fold."""
        return "fold" if self.study is not None and self.study.plan.get("folds") else "seed"

    @cached_property
    def predictions(self) -> Predictions | None:
        """Of its test images."""
        return self.run.predictions()


def read(folder: Path) -> Told:
    """The records of a finished run, and of its study where it is one's.

    Raises:
        InputError: It is no folder of a finished run.
    """
    if (folder / "study.json").exists():
        raise InputError(f"{folder} is a study: name one of its runs.")
    config = _without_paths(read_config_file(folder))
    seed = config.get("seed", 0)
    require(f"the seed in {folder / 'config.toml'}", seed, isinstance(seed, int), "a whole number")
    study, run = _in_study(folder) or (None, Run(folder.resolve().parent.name, seed, folder))
    others: tuple[Run, ...] = (run,)
    verdict = None
    if study is not None:
        others = tuple(one for one in study.runs if one.variant == run.variant and one.status == "done")
        verdict = standing(study).comparisons.get(run.variant)
    run.result()  # or there is none
    try:
        inputs = Inputs.read(folder)
    except InputError:
        inputs = None
    return Told(run, config, inputs, others, verdict, study)


def card(told: Told) -> str:
    """The text of README.md."""
    parts = [
        f"---\n{_header(told)}---\n{MARK}",
        f"# {markdown_text(_title(told))}",
        *_what(told),
        "## Results",
        *_results(told),
        "## Data",
        *_data(told),
        "## Training",
        *_training(told),
        "## Limits",
        _list(_limits(told)),
        "## Not in the records",
        "Licence, intended use, who made the images and under which conditions, tests on other data than the test set: "
        "the records do not tell. Add what you know.",
    ]
    return visible("\n\n".join(parts) + "\n")


def _in_study(folder: Path) -> tuple[Study, Run] | None:
    """The study that a run's folder lies in, as STUDY/runs/VARIANT/seed-…, and the run there; None outside of one."""
    place = folder.resolve()
    try:
        study = Study.read(place.parent.parent.parent)
    except InputError:
        return None
    return next(((study, run) for run in study.runs if run.folder.resolve() == place), None)


def _model(told: Told) -> str:
    model = told.config.get("model", {})
    return str(model.get("name", "")) if isinstance(model, Mapping) else ""


def _data_name(told: Told) -> str:
    data = told.config.get("data", {})
    return Path(str(data.get("name", ""))).name if isinstance(data, Mapping) else ""


def _title(told: Told) -> str:
    model = Path(_model(told)).name or told.run.variant
    return f"{model} on {_data_name(told)}" if _data_name(told) else model


def _header(told: Told) -> str:
    """YAML; every value as JSON, which YAML takes as it stands."""
    scores = {name: value for name, value in told.metrics.items() if name.startswith(("test_", "head_test_"))}
    results = [{"type": name.removeprefix("test_"), "name": name, "value": value} for name, value in scores.items()]
    data = _data_name(told) or "unknown"
    index = [
        {
            "name": _title(told),
            "results": [
                {
                    "task": {"type": "image-classification"},
                    "dataset": {"name": data, "type": data, "split": "test"},
                    "metrics": results,
                }
            ],
        }
    ]
    header = {
        "library_name": "truelift",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", *([_model(told)] if _model(told) else [])],
        "model-index": index,
    }
    return "".join(f"{key}: {json.dumps(value, ensure_ascii=True)}\n" for key, value in header.items())


def _what(told: Told) -> Iterator[str]:
    result, inputs = told.run.result(), told.inputs
    parameters = told.metrics.get("parameters")
    size = f" with {int(parameters):,} parameters" if parameters else ""
    network = markdown_text(Path(_model(told)).name) or "A program of the user's"
    classes = len(inputs.classes) if inputs else result.get("classes")
    yield f"An image classifier: {network}{size}{f', for {classes} classes' if classes else ''}."
    if inputs:
        channels, height, width = inputs.shape
        names = ", ".join(markdown_text(name) for name in inputs.classes[:50])
        more = f" and {len(inputs.classes) - 50} more" if len(inputs.classes) > 50 else ""
        yield f"Classes: {names}{more}."
        colours = "gray" if channels == 1 else "red, green, blue"
        yield f"Input: {width}x{height} pixels (width x height), {colours}."
    if told.verdict is not None and told.study is not None:
        baseline = markdown_text(str(told.study.plan["baseline"]))
        question = markdown_text(str(told.study.plan["question"]))
        yield (
            f"It is one run of the variant {markdown_text(told.run.variant)} in a study ({question}). Against the "
            f"baseline {baseline} its variant's verdict is **{told.verdict.verdict}**: "
            f"{markdown_text(told.verdict.reason)}"
        )


def _results(told: Told) -> Iterator[str]:
    count = len(told.others)
    names = [logged.name for logged in LOGGED if logged.name in told.metrics]
    names += [name for name in told.metrics if name not in names]
    rows = []
    for name in names:
        values = [run.result()["metrics"][name] for run in told.others if name in run.result()["metrics"]]
        rows.append((name, _number(told.metrics[name]), *_spread(values, count)))
    of_all = [told.predictions if run == told.run else run.predictions() for run in told.others]
    for name in predicted.METRICS:
        value = None if name in names else _measured(name, told.predictions)
        if value is not None:
            values = [other for read in of_all if (other := _measured(name, read)) is not None]
            rows.append((name, _number(value), *_spread(values, count)))
    if count > 1:
        numbers = ", ".join(str(run.seed) for run in told.others)
        yield table(("metric", "this run", f"mean ± sd over {count} runs", "lowest to highest"), rows)
        if told.replicate == "fold":
            yield f"Each run has another fold ({numbers}) as its test set, this one fold {told.run.seed}."
        else:
            yield f"The runs differ in their seed ({numbers}) alone. This one has seed {told.run.seed}."
    else:
        yield table(("metric", "this run"), rows)
        of = told.replicate
        yield f"One run, {of} {told.run.seed}: how much another {of} would change, the records do not tell."
    yield "Accuracies, errors, F1, recall and the calibration error are in percent; losses are means of −log p."


def _measured(name: str, predictions: Predictions | None) -> float | None:
    if predictions is None:
        return None
    value = predicted.value_or_why(predicted.Measure(name, predicted.METRICS[name]), predictions)
    return value if isinstance(value, float) else None


def _spread(values: Sequence[float], count: int) -> tuple[str, ...]:
    if count < 2:
        return ()
    if len(values) < 2:
        return "–", "–"
    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
    return f"{_number(mean)} ± {_number(sd)}", f"{_number(min(values))} to {_number(max(values))}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _data(told: Told) -> Iterator[str]:
    result, environment = told.run.result(), told.run.environment()
    yield f"Name: {markdown_text(_data_name(told) or 'not recorded')}."
    counts = [
        f"{result[key]:,} {key.removesuffix('_images')}" for key in ("train_images", "test_images") if key in result
    ]
    state = environment.get("data")
    images = [", ".join(counts)] if counts else []
    if state is not None:  # all that it has, of which the run may have taken a part
        whole = ", ".join(f"{number:,} {markdown_text(split)}" for split, number in state["images"].items())
        images += [f"the data set has {whole}"] if [whole] != images else []
    if images:
        yield f"Images: {'; '.join(images)}; {result.get('skipped_images', 0)} could not be decoded and were left out."
    if state is not None:
        yield f"Digest of the data set: `{markdown_text(str(state['digest']))}`."
    if told.inputs:
        figures = [", ".join(f"{value:.4f}" for value in numbers) for numbers in (told.inputs.mean, told.inputs.std)]
        yield f"Training images have the channel means {figures[0]} and standard deviations {figures[1]}, in [0, 1]."


def _training(told: Told) -> Iterator[str]:
    result, environment = told.run.result(), told.run.environment()
    facts: list[tuple[str, Any]] = [(key, result[key]) for key in ("epochs", "steps") if key in result]
    facts += [(key, told.config[key]) for key in ("batch_size", "seed") if key in told.config]
    facts += [
        (f"{group}.{key}", value)
        for group in _SHOWN
        if isinstance(settings := told.config.get(group), Mapping)
        for key, value in settings.items()
        if key in ("name", "names", "lr", "momentum", "weight_decay", "label_smoothing") and value != []
    ]
    for key in ("precision", "device", "torch", "truelift", "commit"):
        if environment.get(key):
            facts.append((key, environment[key]))
    if facts:
        yield table(("setting", "value"), [(key, _shown(value)) for key, value in facts])
    command = told.config.get("command")
    if isinstance(command, str):
        yield f"Command: {markdown_text(command)}"
    try:
        whole = tomli_w.dumps(dict(told.config)).replace("```", "'''")
    except (TypeError, ValueError):
        return
    yield f"<details><summary>All settings</summary>\n\n```toml\n{whole}```\n\n</details>"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _without_paths(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with files' names in place of the paths that lead to them on this machine."""
    return {
        ("own part " + _last(key) if ".py:" in key else key): _without_path(key, value) for key, value in config.items()
    }


def _without_path(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return _without_paths(value)
    if isinstance(value, list):
        return [_without_path(key, one) for one in value]
    if not isinstance(value, str):
        return value
    if key == "command":  # words, some of which may be paths
        return _PATH.sub(lambda found: _last(found[0]), value)
    return _last(value) if key in _LOCAL or ".py:" in value or _PATH.match(value) else value


def _last(path: str) -> str:
    """The name of the file or folder that a path leads to; the path itself where it has none."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2] or path


def _limits(told: Told) -> Iterator[str]:
    predictions = told.predictions
    if predictions is not None and len(predictions.labels) and not predictions.several:
        n = len(predictions.labels)
        share = float(np.mean(predictions.predicted == predictions.labels))
        error = 100 * math.sqrt(share * (1 - share) / n)
        yield (
            f"The test set has {n:,} images: another one of this size would move the accuracy by a standard error of "
            f"{error:.2g} points."
        )
        recalls = {int(c): predicted.recall(predictions, int(c)) for c in np.unique(predictions.labels)}
        worst = sorted(recalls, key=lambda c: recalls[c])[:_WORST]
        shown = ", ".join(f"{_class(told, c)} {recalls[c]:.1f} %" for c in worst)
        yield f"The classes with the lowest recall: {shown}."
        if len(predictions.confidence):
            confidence = 100 * float(predictions.confidence.mean())
            yield (
                f"Its mean confidence on the test set is {confidence:.1f} %, its accuracy {100 * share:.1f} %; "
                f"the expected calibration error is {predicted.calibration_error(predictions):.2g} points."
            )
    if len(told.others) < 3:
        told_of = f"one {told.replicate}" if len(told.others) == 1 else f"two {told.replicate}s"
        yield f"It rests on {told_of}: differences to other networks may be noise of the {told.replicate}."
    yield "The results are of test images of the training images' kind. Nothing here tells of other images."


def _class(told: Told, number: int) -> str:
    named = told.inputs is not None and number < len(told.inputs.classes)
    return markdown_text(told.inputs.classes[number]) if named and told.inputs else f"class {number}"


def _list(lines: Iterator[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
