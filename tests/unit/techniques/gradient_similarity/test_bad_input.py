"""Bad input is refused with one line that names the argument, the rule and the value."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from truelift.errors import InputError
from truelift.techniques.gradient_similarity import GradientSimilarity, GradVac, pcgrad


def make(*args: Any, **options: Any) -> Callable[[], object]:
    return lambda: GradientSimilarity(*args, **options)


def backward(losses: Callable[[nn.Parameter, nn.Parameter], Any], **options: Any) -> Callable[[], object]:
    def run() -> None:
        p, q = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(4))
        both: dict[str, Any] = {"shared": [q]} if options.pop("shared", False) else {}
        similarity = GradientSimilarity(**both, **options)
        try:
            similarity.backward(*losses(p, q))
        finally:
            assert p.grad is None
            assert q.grad is None

    return run


CASES: dict[str, tuple[Callable[[], object], str]] = {
    "rule": (make("weigted"), 'unknown rule "weigted". Did you mean "weighted"? Known: weighted, unweighted.'),
    "granularity": (
        make(granularity="layers"),
        'unknown granularity "layers". Did you mean "layer"? Known: global, layer, tensor.',
    ),
    "measured": (
        make(measured="convolution"),
        'unknown choice of measured parameters "convolution". Did you mean "convolutions"? Known: all, convolutions.',
    ),
    "a rule with other weights": (
        backward(lambda p, q: (p.sum(), p.sum()), rule=lambda gram: torch.ones(5)),
        "what the rule returns must be weights of the shape (2,), one a loss, got (5,).",
    ),
    "a rule that gives nothing": (
        backward(lambda p, q: (p.sum(), p.sum()), rule=lambda gram: None),
        "what the rule returns must be weights of the shape (2,), one a loss, got NoneType.",
    ),
    "a rule that gives NaN": (
        backward(lambda p, q: (p.sum(), p.sum()), rule=lambda gram: torch.tensor([1.0, float("nan")])),
        "what the rule returns must be finite, got [1.0, nan].",
    ),
    "a scaler that is none": (
        lambda: GradientSimilarity().backward(torch.ones(()), torch.ones(()), scaler=True),  # type: ignore[arg-type]
        "scaler must be a GradScaler, got bool.",
    ),
    "threshold 1": (make(threshold=1), "threshold must be in [0, 1), got 1."),
    "threshold below 0": (make(threshold=-0.1), "threshold must be in [0, 1), got -0.1."),
    "threshold nan": (make(threshold=float("nan")), "threshold must be in [0, 1), got nan."),
    "threshold of a function": (
        make(pcgrad, threshold=0.5),
        "threshold must be 0 where the rule is a function, got 0.5.",
    ),
    "averages for a function": (
        make(GradVac(), use_average=True),
        "use_average must be False where the rule is a function, got True.",
    ),
    "every 0 steps": (make(every_steps=0), "every_steps must be at least 1, got 0."),
    "decay 1": (make(average_decay=1.0), "average_decay must be in [0, 1), got 1.0."),
    "shared empty": (make(shared=[]), "shared must be at least one parameter, got []."),
    "layers of no network": (make(granularity="layer"), "network must be given for granularity layer, got None."),
    "layers now and then": (
        make(granularity="tensor", every_steps=2),
        "every_steps must be 1 for one cosine a layer or tensor, got 2.",
    ),
    "layers in one pass": (
        make(granularity="tensor", one_pass=True),
        "one_pass must be False for one cosine a layer or tensor, got True.",
    ),
    "measured layers": (
        make(granularity="tensor", measured="convolutions"),
        "measured must be all for one cosine a layer or tensor, got convolutions.",
    ),
    "no auxiliary loss": (backward(lambda p, q: [p.sum()]), "auxiliary must be at least one loss, got none."),
    "vector": (
        backward(lambda p, q: [p.sum(), p.sum(0)]),
        "the auxiliary 1 loss must be a scalar, got the shape (3,).",
    ),
    "no graph": (
        backward(lambda p, q: [torch.tensor(1.0), p.sum()]),
        "the main loss must have a graph, got a tensor that no parameter led to.",
    ),
    "no graph of the second": (
        backward(lambda p, q: [p.sum(), p.sum(), p.sum().detach()]),
        "the auxiliary 2 loss must have a graph, got a tensor that no parameter led to.",
    ),
    "nothing shared": (
        backward(lambda p, q: [p.sum(), q.sum()]),
        "the losses must share a parameter, got none: compute them from one trunk, or call backward() on each.",
    ),
    "shared not in main": (
        backward(lambda p, q: [p.sum(), p.sum() + q.sum()], shared=True),
        "shared must be in the graphs of both losses, got one of shape (4,) on which the main loss does not depend.",
    ),
    "shared not in auxiliary": (
        backward(lambda p, q: [p.sum() + q.sum(), p.sum()], shared=True),
        "shared must be in the graphs of both losses, got one of shape (4,) on which an auxiliary loss does not "
        "depend.",
    ),
    "no convolution": (
        backward(lambda p, q: [p.sum(), p.sum()], measured="convolutions"),
        "measured must be among the shared parameters that train, got none of the 1 there are: where they are frozen "
        'take measured "all", or as many losses as were measured before.',
    ),
    "no convolution in one pass": (
        backward(lambda p, q: [p.sum(), p.sum()], measured="convolutions", one_pass=True),
        "measured must be among the shared parameters that train, got none of the 1 there are: where they are frozen "
        'take measured "all", or as many losses as were measured before.',
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_messages(case: str) -> None:
    run, message = CASES[case]
    with pytest.raises(InputError) as caught:
        run()
    assert str(caught.value) == message
