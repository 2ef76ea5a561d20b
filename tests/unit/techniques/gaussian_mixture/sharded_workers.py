"""What each process of a sharded head does; a spawned process imports it by name."""

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

# Imported while a group is there it would keep it for good; the group's threads then may abort the process's end.
import torch.distributed.nn.functional

from truelift.errors import InputError
from truelift.techniques.gaussian_mixture import GaussianMixtureLoss, ShardedGaussianMixtureHead


def work(rank: int, processes: int, folder: str, classes: int, cases: list[dict[str, Any]]) -> None:
    """Each case's loss, gradients and predictions on this process's images, left in `folder`."""
    torch.set_num_threads(1)
    store = Path(folder)
    dist.init_process_group("gloo", init_method=f"file://{store / 'store'}", rank=rank, world_size=processes)
    data = torch.load(store / "data.pt")
    found: dict[str, Any] = {"cases": []}
    head = ShardedGaussianMixtureHead(data["means"].shape[1], classes)
    with torch.no_grad():
        head.means.copy_(data["means"][head.first : head.first + len(head.means)])
    x, labels = (data[name].chunk(processes)[rank] for name in ("features", "labels"))
    for case in cases:
        leaf = x.clone().requires_grad_()
        head.zero_grad()
        options = dict(case)
        with torch.autocast("cpu", torch.bfloat16, enabled=options.pop("autocast", False)):
            loss = GaussianMixtureLoss(0.3, 0.1, **options)(head, leaf, labels)
        loss.backward()
        assert head.means.grad is not None
        found["cases"].append({"loss": loss.detach(), "features": leaf.grad, "means": head.means.grad.clone()})
    found["predicted"] = head.predict(x)
    found["first"], found["share"] = head.first, len(head.means)
    for name, wrong in (
        ("uneven", lambda: GaussianMixtureLoss()(head, x[: len(x) - rank], labels[: len(x) - rank])),
        ("few", lambda: ShardedGaussianMixtureHead(2, processes - 1)),
        ("width", lambda: GaussianMixtureLoss()(head, x[:, 1:], labels)),
    ):
        try:
            wrong()
        except InputError as error:
            found[name] = str(error)
    torch.save(found, store / f"found{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()
