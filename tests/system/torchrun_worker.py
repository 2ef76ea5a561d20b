"""Trains beside others and leaves what this process then holds: `torchrun torchrun_worker.py FOLDER SETTINGS`."""

import json
import sys
from pathlib import Path

import torch

from truelift.training import resolve
from truelift.training.assembly import assemble, load_data
from truelift.training.distributed import World, joined
from truelift.training.loop import evaluate, fit
from truelift.training.parsing import parse_experiment


def main(folder: Path, settings: str) -> None:
    """Train once, counting what each step exchanges."""
    torch.set_num_threads(1)
    experiment = resolve(parse_experiment(json.loads(settings), "test"))
    exchanged: list[int] = []
    average = World.average

    def counted(self: World, tensors: list[torch.Tensor]) -> None:
        exchanged.append(sum(tensor.numel() for tensor in tensors))
        average(self, tensors)

    World.average = counted  # type: ignore[method-assign, assignment]
    with joined(experiment.device) as world:
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
            "frozen": 0 if training.freezing is None else training.freezing.frozen,
            "exchanged": exchanged,
        }
        torch.save(held, folder / f"held-{world.size}-{world.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
