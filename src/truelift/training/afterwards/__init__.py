"""After the training: what is done with the network, in order.

To add to it: a file with its options, ranges and `build` function; its line in `build` here, and its group in
`Experiment`.
"""

from collections.abc import Sequence

from truelift.data import DataOptions, Splits
from truelift.training.afterwards import detection, own_metrics, probe
from truelift.training.afterwards.base import Afterwards, End
from truelift.training.afterwards.detection import DetectionOptions
from truelift.training.afterwards.operations import operations
from truelift.training.afterwards.own_metrics import MetricsOptions
from truelift.training.afterwards.planar_features import planar
from truelift.training.afterwards.probe import ProbeOptions


def build(
    probe_options: ProbeOptions,
    detection_options: DetectionOptions,
    metrics: MetricsOptions,
    data: DataOptions,
    splits: Splits,
) -> Sequence[Afterwards]:
    """What is done after a training, in order: the probe first, since its predictions are the run's.

    Raises:
        InputError: Something that it needs cannot be had.
    """
    return (
        probe.build(probe_options, splits),
        planar,
        detection.build(detection_options, data, splits),
        operations,
        own_metrics.build(metrics, splits),
    )


__all__ = ["Afterwards", "DetectionOptions", "End", "MetricsOptions", "ProbeOptions", "build"]
