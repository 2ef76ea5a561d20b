"""Trains beside others and leaves what this process then holds: `torchrun torchrun_worker.py FOLDER SETTINGS`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from truelift.techniques.exchange import Exchange
from truelift.training import resolve
from truelift.training.build import assemble, load_data
from truelift.training.distributed import joined
from truelift.training.hardware import pick_device
from truelift.training.loop import evaluate, fit
from truelift.training.settings import parse_experiment


def main(folder: Path, settings: str) -> None:
    """Train once, counting what each step exchanges."""
    torch.set_num_threads(1)
    experiment = resolve(parse_experiment(json.loads(settings), "test"))
    exchanged = [0]
    send, finish = Exchange._send, Exchange.finish

    def counted_send(self: Exchange) -> None:
        exchanged[-1] += sum(tensor.numel() for tensor in self._waiting)
        send(self)

    def counted_finish(self: Exchange, tensors: Sequence[torch.Tensor]) -> None:
        finish(self, tensors)
        exchanged.append(0)

    Exchange._send, Exchange.finish = counted_send, counted_finish  # type: ignore[method-assign]
    with joined(pick_device(experiment.device)) as world:
        training = assemble(experiment, load_data(experiment), world)
        lines: list[dict[str, object]] = []
        fit(training, lines.append, folder / "checkpoint.pt", 1000.0)
        predictions = evaluate(training)["test"]
        held = {
            "network": training.network.state_dict(),
            "objective": training.objective.state_dict(),
            "optimizer": training.optimizer.state_dict(),
            "losses": [line["train_loss"] for line in lines if "train_loss" in line],
            "predicted": torch.from_numpy(predictions.predicted),
            "frozen": sum(int(policy.result().get("frozen_layers", 0)) for policy in training.policies),
            "exchanged": exchanged[:-1],
        }
        torch.save(held, folder / f"held-{world.size}-{world.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
