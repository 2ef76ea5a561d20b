"""Cost and exactness of the L-GM head and loss against a linear layer and cross entropy.

    make bench NAME=gaussian_mixture

Forward and backward, identity covariance, alternating repeats in one process, medians of the repeats' ratios; float32,
all cores. At 1,000 classes both run eagerly; at 100,000 also compiled by torch.compile, and the compiled ratio counts.
Memory is the peak above the parameters of one step under bfloat16 autocast with a million classes, each arm in a
process of its own. The gradient error is the largest, over features and means, of |difference| / |reference| under
bfloat16 autocast against float64, over the covariances and squared norms of the means of 1, 1,000 and 1,000,000, with
features near their own means.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truelift.techniques.gaussian_mixture import Covariance, GaussianMixtureHead, GaussianMixtureLoss
from truelift.training.hardware import available_cores, keep_pages

Step = Callable[[], Tensor]


def softmax_step(n: int, classes: int, features: int) -> tuple[nn.Module, Step]:
    layer = nn.Linear(features, classes)
    x, y = batch(n, classes, features)
    return layer, lambda: F.cross_entropy(layer(x).float(), y)


def mixture_step(n: int, classes: int, features: int) -> tuple[nn.Module, Step]:
    head = GaussianMixtureHead(features, classes)
    criterion = GaussianMixtureLoss(0.3, 0.1)
    x, y = batch(n, classes, features)
    return head, lambda: criterion(head, x, y)


def batch(n: int, classes: int, features: int) -> tuple[Tensor, Tensor]:
    return torch.randn(n, features, requires_grad=True), torch.randint(classes, (n,))


ARMS = {"softmax": softmax_step, "mixture": mixture_step}


def cost(n: int, classes: int, features: int, *, repeats: int, compiled: bool, bf16: bool) -> float:
    """The median ratio of seconds a step, mixture to softmax."""
    steps: dict[str, Callable[[], None]] = {}
    for name, make in ARMS.items():
        module, loss = make(n, classes, features)
        loss = torch.compile(loss) if compiled else loss

        def step(loss: Step = loss, module: nn.Module = module) -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                value = loss()
            value.backward()
            module.zero_grad()

        steps[name] = step
        for _ in range(3):
            step()
    seconds = [{name: timed(step) for name, step in steps.items()} for _ in range(repeats)]
    ratio = median(row["mixture"] / row["softmax"] for row in seconds)
    form = f"{'compiled' if compiled else 'eager'} {'bf16' if bf16 else 'fp32'}"
    times = ", ".join(f"{name} {1e3 * median(row[name] for row in seconds):.1f} ms" for name in steps)
    print(f"{n} x {classes:,} x {features} {form:14} {times}, ratio {ratio:.2f}", flush=True)
    return ratio


def timed(step: Callable[[], None]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def peak(arm: str) -> int:
    """Bytes above the parameters at the peak of one step with a million classes."""
    module, loss = ARMS[arm](128, 1_000_000, 512)
    # Gradients are there before and after: what is counted is what the loss needs besides.
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = resident()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss()
    value.backward()
    return resident() - before


def resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def gradient_errors() -> Iterator[tuple[Covariance, float, float]]:
    """Covariance, squared norm of the means, relative error of the gradients under bfloat16 autocast."""
    covariances: tuple[Covariance, ...] = ("identity", "isotropic", "shared-diagonal", "diagonal")
    for covariance in covariances:
        for norm in (1.0, 1e3, 1e6):
            torch.manual_seed(0)
            n, classes, features = 64, 1000, 128
            means = torch.randn(classes, features) * (norm / features) ** 0.5
            head = GaussianMixtureHead(features, classes, covariance=covariance, means=means)
            y = torch.randint(classes, (n,))
            x = means[y] + 0.4 * torch.randn(n, features)
            wide = GaussianMixtureHead(features, classes, covariance=covariance, means=means).double()
            reference = gradients(wide, x.double(), y, bf16=False)
            found = gradients(head, x, y, bf16=True)
            error = max(float((a - b).norm() / b.norm()) for a, b in zip(found, reference, strict=True))
            print(f"bf16 gradient error, {covariance:16} squared norm {norm:9,.0f}: {error:.1e}", flush=True)
            yield covariance, norm, error


def gradients(head: GaussianMixtureHead, x: Tensor, y: Tensor, *, bf16: bool) -> tuple[Tensor, ...]:
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = GaussianMixtureLoss(0.3, 0.1)(head, x, y)
    return torch.autograd.grad(loss, (x, head.means))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--peak", choices=ARMS, help="measure this arm's memory in this process")
    arguments = parser.parse_args()
    torch.set_num_threads(available_cores())
    torch.manual_seed(0)
    if arguments.peak:
        print(peak(arguments.peak))
        return
    peaks = {}
    for arm in ARMS:
        command = [sys.executable, "-P", __file__, "--peak", arm]
        peaks[arm] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"memory above parameters at 1,000,000 classes, {arm}: {peaks[arm] / 2**20:,.0f} MiB", flush=True)
    keep_pages()
    small = [cost(256, 1000, 512, repeats=5 * arguments.repeats, compiled=False, bf16=bf16) for bf16 in (False, True)]
    cost(256, 1000, 512, repeats=5 * arguments.repeats, compiled=True, bf16=False)
    cost(128, 100_000, 512, repeats=arguments.repeats, compiled=False, bf16=False)
    large = [cost(128, 100_000, 512, repeats=arguments.repeats, compiled=True, bf16=bf16) for bf16 in (False, True)]
    worst = max(error for _, _, error in gradient_errors())
    figures = {
        "cost_1k_over_softmax": round(max(small), 2),
        "cost_100k_over_softmax": round(max(large), 2),
        "memory_1m_over_softmax": round(peaks["mixture"] / peaks["softmax"], 2),
        "worst_gradient_error_bf16": round(worst, 5),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
