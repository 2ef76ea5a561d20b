"""TensorBoard's event files, read by TensorBoard itself (`pip install 'truelift[judge]'`)."""

from pathlib import Path
from typing import Any

from truelift.errors import InputError
from truelift.records.elsewhere.cells import finite_or_nan
from truelift.records.elsewhere.flat_yaml import read_flat_yaml
from truelift.records.elsewhere.run_table import Fact, RunTable, Wanted
from truelift.records.elsewhere.tracked import TrackedRun, name_of, series_of, table_of

KIND = "TensorBoard runs"
_HPARAMS = "_hparams_/session_start_info"


def event_folders(folder: Path) -> list[Path]:
    """Folders with event files, in the order of their names."""
    return sorted({path.parent for path in folder.rglob("*tfevents*") if path.is_file()})


def read_tensorboard(folder: Path, wanted: Wanted) -> RunTable:
    """A run a folder of event files, named by its path; hyperparameters of the HParams plugin are its settings.

    Raises:
        InputError: TensorBoard is not installed.
    """
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        raise InputError(f"{folder} holds TensorBoard's event files: pip install tensorboard to read them.") from None
    runs = []
    for path in event_folders(folder):
        events = EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0})
        events.Reload()
        points = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
        points |= {tag: found for tag in events.Tags()["tensors"] if (found := _scalars(events, tag))}
        series = {
            tag: series_of((float(step), finite_or_nan(value)) for step, value in found)
            for tag, found in points.items()
        }
        facts = {**_hparams(events), **(read_flat_yaml(hparams) if (hparams := path / "hparams.yaml").exists() else {})}
        if series:
            runs.append(TrackedRun(name_of(path, folder), series, facts))
    return table_of(str(folder), KIND, _joined(runs), wanted)


def _joined(runs: list[TrackedRun]) -> list[TrackedRun]:
    """Runs with what `add_hparams` and `add_scalars` put into folders below theirs taken in.

    PyTorch's writer puts hyperparameters, and the metrics given with them, into a folder named by the time.
    """
    by_name = {run.name: run for run in runs}
    for run in runs:
        above, _, below = run.name.rpartition("/")
        if above in by_name and below.replace(".", "").isdigit():
            upper = by_name[above]
            by_name[above] = TrackedRun(above, {**run.series, **upper.series}, {**run.facts, **upper.facts})
            del by_name[run.name]
    return list(by_name.values())


def _scalars(events: Any, tag: str) -> list[tuple[int, float]]:
    """The points of a tensor series that holds single numbers, as TensorFlow 2 and JAX write them."""
    from tensorboard.util.tensor_util import make_ndarray

    found = []
    for event in events.Tensors(tag):
        value = make_ndarray(event.tensor_proto)
        if value.size != 1 or value.dtype.kind not in "fiu":
            return []
        found.append((event.step, float(value.reshape(()))))
    return found


def _hparams(events: Any) -> dict[str, Fact]:
    """What the HParams plugin holds of the run."""
    from tensorboard.plugins.hparams import plugin_data_pb2

    content = events.SummaryMetadata(_HPARAMS).plugin_data.content if _HPARAMS in events.summary_metadata else b""
    if not content:
        return {}
    data = plugin_data_pb2.HParamsPluginData.FromString(content)
    values = data.session_start_info.hparams.items()
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in values if value.WhichOneof("kind")}
