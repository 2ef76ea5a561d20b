"""A head shared out over processes against the whole head with all images, as DistributedDataParallel would have it."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from tests.commands.started import in_processes
from tests.unit.techniques.gaussian_mixture.mixture_cases import directions, error, generator, make_head
from tests.unit.techniques.gaussian_mixture.sharded_workers import work
from torch import Tensor

from truelift.techniques.gaussian_mixture import GaussianMixtureHead, GaussianMixtureLoss

IMAGES = 6  # a process
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "smoothing": {"label_smoothing": 0.1},
    "weights": {"class_weights": [0.5, 1.0, 2.0, 3.0, 0.1, 1.0, 4.0, 2.0]},
    "smoothing and weights": {
        "label_smoothing": 0.2,
        "class_weights": [0.5, 1.0, 2.0, 3.0, 0.1, 1.0, 4.0, 2.0],
        "ignore_index": 2,
        "reduction": "sum",
    },
    "bfloat16": {"autocast": True},
}


class Run(NamedTuple):
    processes: int
    head: GaussianMixtureHead
    features: Tensor
    labels: Tensor
    found: list[dict[str, Any]]


@pytest.fixture(scope="module", params=[(2, 8), (3, 8)], ids=["2 processes", "3 processes, uneven"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    processes, classes = request.param
    folder: Path = tmp_path_factory.mktemp("sharded")
    means = directions(classes, 5, 4.0)
    labels = torch.randint(0, classes, (processes * IMAGES,), generator=generator(1))
    features = means[labels] + torch.randn(len(labels), 5, generator=generator(2))
    torch.save({"means": means, "features": features, "labels": labels}, folder / "data.pt")
    in_processes(work, (processes, str(folder), classes, list(CASES.values())), processes)
    found = [torch.load(folder / f"found{rank}.pt") for rank in range(processes)]
    return Run(processes, make_head("identity", classes=classes, features=5, means=means), features, labels, found)


@pytest.mark.parametrize("case", CASES)
def test_equals_the_whole_head(run: Run, case: str) -> None:
    options = dict(CASES[case])
    autocast = options.pop("autocast", False)
    limit = 0.01 if autocast else 1e-5
    criterion = GaussianMixtureLoss(0.3, 0.1, **options)
    found = [process["cases"][list(CASES).index(case)] for process in run.found]
    x = run.features.clone().requires_grad_()
    losses = [
        criterion(run.head, part, labels)
        for part, labels in zip(x.chunk(run.processes), run.labels.chunk(run.processes), strict=True)
    ]
    # DistributedDataParallel averages the gradients of parameters; each process's own loss is of its own images.
    grad_means = torch.autograd.grad(sum(losses) / run.processes, run.head.means, retain_graph=True)[0]
    grad_features = torch.autograd.grad(sum(losses), x)[0]
    torch.testing.assert_close(
        torch.stack([f["loss"] for f in found]), torch.stack(losses).detach(), rtol=limit, atol=limit
    )
    assert error(torch.cat([f["means"] for f in found]), grad_means.double()) < limit
    assert error(torch.cat([f["features"] for f in found]), grad_features.double()) < limit


def test_predictions_are_the_largest_logits(run: Run) -> None:
    predicted = torch.cat([process["predicted"] for process in run.found])
    assert predicted.dtype == torch.int64
    assert torch.equal(predicted, run.head(run.features).argmax(1))


def test_classes_are_shared_out_once(run: Run) -> None:
    held = [k for process in run.found for k in range(process["first"], process["first"] + process["share"])]
    assert held == list(range(8))
    shares = [process["share"] for process in run.found]
    assert max(shares) - min(shares) <= 1


def test_bad_input(run: Run) -> None:
    sizes = [IMAGES - rank for rank in range(run.processes)]
    for process in run.found:
        assert process["uneven"] == f"all processes must have batches of one size, got {sizes}."
        assert process["few"] == f"classes must be at least {max(2, run.processes)}, got {run.processes - 1}."
        assert process["width"] == "features must have the shape (N, 5), got (6, 4)."
