"""A step passes over each activation as seldom as it can: an operation more is time that no result pays for."""

from collections import Counter

import torch
from torch.profiler import ProfilerActivity, profile

from truelift.models import CifarResNet
from truelift.training.evaluation import make_autocast
from truelift.training.hardware import pick_precision

IMAGES = 16
SMALLEST_MAP = IMAGES * 64 * 8 * 8
"""Numbers in an activation of the last stage; no weight of the network, and no batch of images, has as many."""


def test_no_activation_is_copied_converted_or_added_beside_its_place() -> None:
    network = CifarResNet(8, 10).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randn(IMAGES, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    assert max(x.numel() for x in (images, *network.parameters())) < SMALLEST_MAP
    autocast = make_autocast("cpu", pick_precision("auto", "cpu"))
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen, autocast:
        network(images).float().sum().backward()
    blocks, narrowing, layers = 3, 2, 7
    found = Counter(
        event.name.removeprefix("aten::")
        for event in seen.events()
        if event.input_shapes and torch.Size(event.input_shapes[0]).numel() >= SMALLEST_MAP
    )
    assert found["native_batch_norm"] == found["native_batch_norm_backward"] == layers
    assert found["clamp_min_"] == found["threshold_backward"] == layers  # the first is what a ReLU in place calls
    assert found["add_"] == 2 * blocks  # shortcuts, and on the way back the gradients of what has two uses
    assert found["copy_"] == 2 * narrowing  # padded shortcuts, forward and backward
    assert not {"add", "relu", "clamp_min", "_to_copy", "mul"} & set(found)
