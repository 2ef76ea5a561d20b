"""A small network with several heads, and the rule by separate copies of it, one a loss, in float64."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truelift.techniques.gradient_similarity import Combined, GradientSimilarity

Gradient = dict[str, Tensor]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Net(nn.Module):
    """Two convolutions, a batch norm and a linear layer that all heads share; head 0 is the main one's."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1, bias=False),  # before a batch norm a bias's gradient is rounding alone
            nn.BatchNorm2d(4),
            nn.Tanh(),
            nn.Conv2d(4, 5, 3, stride=2),
            nn.Tanh(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(5, 5),
        )
        self.heads = nn.ModuleList(nn.Linear(5, 3) for _ in range(heads))


def make_net(heads: int) -> Net:
    """Convolutions' weights are large, so that images differ; auxiliary heads are near the main one."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net: Any = Net(heads).double()
        net = net.to(memory_format=torch.channels_last)
    with torch.no_grad():
        for t, head in enumerate(net.heads):
            for p, own in zip(head.parameters(), net.heads[0].parameters(), strict=True):
                p.copy_(own + 0.1 * t * torch.randn(own.shape, generator=generator(t), dtype=own.dtype))
    found: Net = net
    return found


class Batch(NamedTuple):
    """One batch for all losses, or one for each; an auxiliary loss is its sign times the main one's, plus noise."""

    images: list[Tensor]
    labels: Tensor
    signs: Sequence[int]

    def losses(self, net: Net, trunk: Callable[[Tensor], Tensor] | None = None) -> list[Tensor]:
        seen = [(trunk or net.trunk)(images) for images in self.images]
        features = seen if len(seen) > 1 else seen * (1 + len(self.signs))
        return [self._loss(net, t, x) for t, x in enumerate(features)]

    def loss(self, net: Net, t: int) -> Tensor:
        return self._loss(net, t, net.trunk(self.images[min(t, len(self.images) - 1)]))

    def _loss(self, net: Net, t: int, features: Tensor) -> Tensor:
        logits = net.heads[t](features)
        loss = F.cross_entropy(logits, self.labels)
        return loss if t == 0 else self.signs[t - 1] * loss + 0.2 * logits[:, 0].square().mean()


def make_batch(signs: Sequence[int] = (1,), *, separate: bool = False, seed: int = 0, images: int = 6) -> Batch:
    x = torch.randn(images, 3, 6, 6, generator=generator(seed), dtype=torch.float64)
    noise = torch.randn(len(signs), *x.shape, generator=generator(seed + 100), dtype=torch.float64)
    all_images = [x, *(x + 0.3 * n for n in noise)] if separate else [x]
    labels = torch.randint(0, 3, (images,), generator=generator(seed + 200))
    return Batch([i.to(memory_format=torch.channels_last) for i in all_images], labels, signs)


def separate_gradients(net: Net, batch: Batch) -> list[Gradient]:
    """Each loss's gradients from a copy of the network of its own; zeros where it reaches nothing."""
    found = []
    for t in range(1 + len(batch.signs)):
        own = copy.deepcopy(net)
        grads = torch.autograd.grad(batch.loss(own, t), list(own.parameters()), allow_unused=True)
        named = zip(own.named_parameters(), grads, strict=True)
        found.append({name: torch.zeros_like(p) if g is None else g for (name, p), g in named})
    return found


def is_shared(name: str) -> bool:
    return name.startswith("trunk")


def group_name(name: str, granularity: str) -> str:
    return {"global": "", "layer": name.rpartition(".")[0], "tensor": name}[granularity]


def concatenated(gradient: Gradient, names: Sequence[str]) -> Tensor:
    return torch.cat([gradient[name].reshape(-1) for name in names])


def expected_step(
    gradients: Sequence[Gradient],
    rule: str = "weighted",
    *,
    threshold: float = 0.0,
    granularity: str = "global",
    measured: Callable[[str], bool] = is_shared,
) -> tuple[Gradient, list[float]]:
    """What each parameter follows, and the cosines, groups in the order of the network."""
    main, *auxiliary = gradients
    result = {name: g.clone() for name, g in main.items()}
    shared = [name for name in main if is_shared(name)]
    cosines = []
    for group in dict.fromkeys(group_name(name, granularity) for name in shared):
        inside = [name for name in shared if group_name(name, granularity) == group]
        vote = [name for name in inside if measured(name)]
        for other in auxiliary:
            cosine = float(F.cosine_similarity(concatenated(main, vote), concatenated(other, vote), dim=0))
            cosines.append(cosine)
            unweighted = 1.0 if cosine >= threshold else 0.0
            weight = unweighted if rule == "unweighted" else cosine if cosine > threshold else 0.0
            for name in inside:
                result[name] += weight * other[name]
    for other in auxiliary:
        for name in main:
            if not is_shared(name):
                result[name] += other[name]
    return result, cosines


def written(net: nn.Module) -> Gradient:
    found = {}
    for name, p in net.named_parameters():
        assert p.grad is not None, name
        found[name] = p.grad
    return found


def assert_equal(actual: Gradient, expected: Gradient, limit: float = 1e-11) -> None:
    assert actual.keys() == expected.keys()
    for name, g in expected.items():
        torch.testing.assert_close(actual[name], g, rtol=limit, atol=limit * 1e-2, msg=name)


def step(net: Net, batch: Batch, similarity: GradientSimilarity, **options: Any) -> Combined:
    net.zero_grad()
    return similarity.backward(*batch.losses(net), **options)
