"""`truelift speedup`."""

from truelift.cli.given import GIVEN
from truelift.cli.options import ExperimentOptions
from truelift.errors import require
from truelift.training import Experiment, resolve
from truelift.training.hardware import use_threads
from truelift.training.policies.freezing import FreezingOptions
from truelift.training.predicted_saving import predict_saving
from truelift.training.settings import parse_experiment


def speedup(
    *,
    image_size: int = 32,
    channels: int = 3,
    classes: int = 10,
    measure: bool = False,
    threads: int | None = None,
    experiment: ExperimentOptions = Experiment(freezing=FreezingOptions(name="freezeout")),  # noqa: B008
) -> int:
    """Predict what freezing layers saves, without training: --model, --freezing.t0, --freezing.scaling and so on.

    Args:
        image_size: Pixels on each side; at least 1.
        channels: 1 for grey, 3 for colour; at least 1.
        classes: Of the head; at least 1.
        measure: Also time the network here, at this batch size and precision, some seconds to minutes.
        threads: CPU threads for --measure. Default: OMP_NUM_THREADS, or all cores.
        experiment: The experiment's options; data and epochs do not matter.
    """
    for name, value, most in (
        ("image_size", image_size, 65_536),
        ("channels", channels, 65_536),
        ("classes", classes, 10_000_000),
    ):
        require(name, value, 1 <= value <= most, f"from 1 to {most:,}")
    use_threads(threads)
    for line in predict_saving(
        resolve(parse_experiment({"freezing.name": "freezeout", **GIVEN.settings(experiment)}, "the command line")),
        (channels, image_size, image_size),
        classes,
        measure=measure,
    ):
        print(line)
    return 0
