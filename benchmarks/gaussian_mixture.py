"""Cost and exactness of the L-GM head and loss against a linear layer and cross entropy.

    make bench NAME=gaussian_mixture

Forward and backward, identity covariance, both arms in turn in one process, all cores: the median of the repeats'
ratios, and of those the median over several processes, because a process runs at one of two speeds with 100,000
classes. 1,000 classes eagerly, 100,000 compiled by torch.compile; float32 counts, bfloat16 autocast is printed beside
it.

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
from collections.abc import Callable, Iterator, Sequence
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truelift.processes import available_cores
from truelift.techniques.gaussian_mixture import Covariance, GaussianMixtureHead, GaussianMixtureLoss
from truelift.training.hardware import keep_pages

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
    return median(row["mixture"] / row["softmax"] for row in seconds)


def cost_by_process(shape: Sequence[int], arguments: argparse.Namespace, *forms: str) -> float:
    """The median over fresh processes of their median ratios."""
    options = ["--cost", *shape, "--repeats", arguments.repeats, "--forms", *forms]
    ratios = [apart(*options) for _ in range(arguments.processes)]
    found = ", ".join(f"{ratio:.2f}" for ratio in sorted(ratios))
    name = " x ".join(f"{size:,}" for size in shape)
    print(f"{name:22} {' '.join(forms):20} ratio {median(ratios):.2f} of {found}", flush=True)
    return median(ratios)


def apart(*options: object) -> float:
    """What this file measures with these options, in a fresh process."""
    command = [sys.executable, "-P", __file__, *map(str, options)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


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
    parser.add_argument("--repeats", type=int, default=15, help="of both arms in a process")
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--cost", type=int, nargs=3, help="measure images x classes x features in this process")
    parser.add_argument("--forms", nargs="+", default=[], help="fp32 or bf16, and compiled")
    parser.add_argument("--peak", choices=ARMS, help="measure this arm's memory in this process")
    arguments = parser.parse_args()
    torch.set_num_threads(available_cores())
    torch.manual_seed(0)
    if arguments.peak:
        print(peak(arguments.peak))
        return
    if arguments.cost:
        keep_pages()
        repeats = arguments.repeats * (1 if arguments.cost[1] > 10_000 else 5)
        compiled, bf16 = (form in arguments.forms for form in ("compiled", "bf16"))
        print(cost(*arguments.cost, repeats=repeats, compiled=compiled, bf16=bf16))
        return
    peaks = {}
    for arm in ARMS:
        peaks[arm] = apart("--peak", arm)
        print(f"memory above parameters at 1,000,000 classes, {arm}: {peaks[arm] / 2**20:,.0f} MiB", flush=True)
    small = cost_by_process((256, 1000, 512), arguments, "fp32")
    cost_by_process((256, 1000, 512), arguments, "fp32", "compiled")
    cost_by_process((256, 1000, 512), arguments, "bf16")
    cost_by_process((128, 100_000, 512), arguments, "fp32")
    large = cost_by_process((128, 100_000, 512), arguments, "fp32", "compiled")
    cost_by_process((128, 100_000, 512), arguments, "bf16", "compiled")
    worst = max(error for _, _, error in gradient_errors())
    figures = {
        "cost_1k_over_softmax": round(small, 2),
        "cost_100k_over_softmax": round(large, 2),
        "memory_1m_over_softmax": round(peaks["mixture"] / peaks["softmax"], 2),
        "worst_gradient_error_bf16": round(worst, 5),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
