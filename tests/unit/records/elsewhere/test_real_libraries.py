"""Files written by the real libraries, each in a process of its own; skipped where a library is not installed."""

import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from truelift.errors import InputError
from truelift.judging import judge
from truelift.records.elsewhere import RunTable, Wanted, read_runs

# Two variants' results by seed and step: plain 80 + seed + step, mixup about one more.
LOOP = """
RUNS = [(v, s) for v in ("plain", "mixup") for s in (0, 1, 2)]
def value(variant, seed, step):
    return 80.0 + seed + step + (variant == "mixup") * (1 + 0.1 * seed)
"""
EXPECTED = {(v, s): 80.0 + s + 2 + (v == "mixup") * (1 + 0.1 * s) for v in ("plain", "mixup") for s in (0, 1, 2)}
PLAIN = Wanted(baseline="plain")


def write(folder: Path, library: str, script: str, **environment: str) -> None:
    """Run a script in the folder, or skip."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    process = subprocess.run(
        [sys.executable, "-c", LOOP + textwrap.dedent(script)],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert process.returncode == 0, process.stderr[-2000:]


def last(table: RunTable, metric: str = "val_accuracy") -> dict[tuple[str, object], float]:
    return {(run.variant, run.seed): float(run.series[metric].values[-1]) for run in table.runs}


MLFLOW = """
import mlflow, os
mlflow.set_tracking_uri(os.environ["STORE"])
mlflow.set_experiment("augmentation")
for v, s in RUNS:
    with mlflow.start_run(run_name=f"{v}-{s}"):
        mlflow.log_params({"method": v, "seed": s, "lr": 0.1})
        for step in range(3):
            mlflow.log_metrics({"val_accuracy": value(v, s, step), "val/loss": float("nan")}, step=step)
try:
    with mlflow.start_run(run_name="lost"):
        mlflow.log_params({"method": "mixup", "seed": 9})
        mlflow.log_metric("val_accuracy", 1.0)
        raise ValueError
except ValueError:
    pass
"""


@pytest.mark.parametrize("store", ["mlruns", "sqlite:///mlflow.db"])
def test_mlflow(tmp_path: Path, store: str) -> None:
    uri = store if store.startswith("sqlite") else (tmp_path / store).as_uri()
    write(tmp_path, "mlflow", MLFLOW, STORE=uri, MLFLOW_ALLOW_FILE_STORE="true", MLFLOW_DISABLE_TELEMETRY="true")
    path = tmp_path / store.removeprefix("sqlite:///")
    table = read_runs(path, PLAIN)
    assert last(table) == {**EXPECTED, ("mixup", 9): 1.0}
    assert table.told.endswith("variant from the setting method, seed from the setting seed, steps from step")
    assert [run.failed for run in table.runs if run.seed == 9] == ["MLflow says FAILED"]
    assert np.isnan(table.runs[0].series["val/loss"].values).all()
    judged = judge(path, baseline="plain")
    assert judged.verdicts == {"mixup": "helps"}
    assert judged.summary.problems[0] == "mixup, seed 9: failed: MLflow says FAILED"


def test_tensorboard(tmp_path: Path) -> None:
    script = """
    from torch.utils.tensorboard import SummaryWriter
    for v, s in RUNS:
        writer = SummaryWriter(f"logs/{v}/seed-{s}")
        for step in range(3):
            writer.add_scalar("val/accuracy", value(v, s, step), step)
        writer.add_hparams({"lr": 0.1, "name": v}, {"best": 1.0})
        writer.close()
    """
    write(tmp_path, "tensorboard", script)
    table = read_with_foreign_warnings(tmp_path / "logs")
    assert last(table, "val/accuracy") == pytest.approx(EXPECTED)
    assert table.seed_from == "the runs' names"
    assert len(table.runs) == 6
    assert table.runs[0].facts["lr"] == pytest.approx(0.1)


def test_tensors_of_tensorboard(tmp_path: Path) -> None:
    script = """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    for v, s in RUNS:
        writer = EventFileWriter(f"logs/{v}_seed{s}")
        for step in range(3):
            writer.add_event(Event(step=step, wall_time=1.0, summary=scalar_pb("val_accuracy", value(v, s, step))))
        writer.close()
    """
    write(tmp_path, "tensorboard", script)
    assert last(read_with_foreign_warnings(tmp_path / "logs")) == pytest.approx(EXPECTED)


def test_weights_and_biases_offline(tmp_path: Path) -> None:
    script = """
    import wandb
    for v, s in RUNS:
        run = wandb.init(project="p", name=f"{v}-{s}", group=v, config={"seed": s, "opt": {"lr": 0.1}})
        for step in range(3):
            run.log({"val_accuracy": value(v, s, step), "loss": float("inf")})
        run.finish(exit_code=int((v, s) == ("mixup", 2)))
    """
    write(tmp_path, "wandb", script, WANDB_MODE="offline", WANDB_SILENT="true", WANDB_DIR=str(tmp_path))
    table = read_with_foreign_warnings(tmp_path / "wandb")
    assert last(table) == pytest.approx(EXPECTED)
    assert "variant from the setting group, seed from the setting seed" in table.told
    assert [run.failed for run in table.runs if run.failed] == ["it ended with status 1"]
    assert table.runs[0].facts["opt.lr"] == 0.1
    log = next((tmp_path / "wandb").glob("*/*.wandb"))
    content = bytearray(log.read_bytes())
    content[60] ^= 1
    log.write_bytes(content)
    with pytest.raises(InputError, match="wrong checksum"):
        read_runs(tmp_path / "wandb", PLAIN)


def test_weights_and_biases_offline_gone_on(tmp_path: Path) -> None:
    """A run that was stopped after two steps, and went on from its second under the same id: two logs, one run."""
    script = """
    import wandb
    for v, s in RUNS:
        for first, last in ((0, 2), (1, 3)):
            run = wandb.init(project="p", name=f"{v}-{s}", id=f"{v}{s}", config={"seed": s, "variant": v})
            for step in range(first, last):
                run.log({"val_accuracy": value(v, s, step)}, step=step)
            run.finish(exit_code=143 * (first == 0))
    """
    write(tmp_path, "wandb", script, WANDB_MODE="offline", WANDB_SILENT="true", WANDB_DIR=str(tmp_path))
    table = read_with_foreign_warnings(tmp_path / "wandb")
    assert last(table) == pytest.approx(EXPECTED)
    assert not any(run.failed for run in table.runs)
    assert [run.series["val_accuracy"].steps.tolist() for run in table.runs] == [[0, 1, 2]] * 6


def test_trackio(tmp_path: Path) -> None:
    script = """
    import trackio
    for v, s in RUNS:
        trackio.init(project="p", name=f"{v}-{s}", config={"seed": s, "method": v}, embed=False)
        for step in range(3):
            trackio.log({"val_accuracy": value(v, s, step), "loss": float("nan")})
        trackio.finish()
    """
    write(tmp_path, "trackio", script, TRACKIO_DIR=str(tmp_path / "trackio"), TRACKIO_SHOW_DASHBOARD="0")
    for path in (tmp_path / "trackio", tmp_path / "trackio" / "p.db"):
        table = read_runs(path, PLAIN)
        assert last(table) == pytest.approx(EXPECTED)
        assert np.isnan(table.runs[0].series["loss"].values).all()


def test_lightning(tmp_path: Path) -> None:
    script = """
    import torch, lightning
    from lightning.pytorch.loggers import CSVLogger
    class Net(lightning.LightningModule):
        def __init__(self, method, seed):
            super().__init__()
            self.save_hyperparameters()
            self.layer = torch.nn.Linear(1, 1)
        def training_step(self, batch, index):
            self.log("train_loss", self.layer(batch).sum())
            return self.layer(batch).sum()
        def validation_step(self, batch, index):
            self.log("val_accuracy", value(self.hparams.method, self.hparams.seed, self.current_epoch))
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)
    data = torch.utils.data.DataLoader(torch.ones(4, 1))
    for v, s in RUNS:
        trainer = lightning.Trainer(
            max_epochs=3, logger=CSVLogger("."), enable_progress_bar=False, log_every_n_steps=1, accelerator="cpu",
            enable_checkpointing=False, enable_model_summary=False, num_sanity_val_steps=0)
        trainer.fit(Net(v, s), data, data)
    """
    write(tmp_path, "lightning", script)
    table = read_runs(tmp_path / "lightning_logs", PLAIN)
    assert last(table) == pytest.approx(EXPECTED)
    assert "variant from the setting method, seed from the setting seed" in table.told
    assert len(table.runs[0].series["train_loss"].steps) == 12
    assert judge(tmp_path / "lightning_logs", baseline="plain").verdicts == {"mixup": "helps"}


def test_trainer(tmp_path: Path) -> None:
    script = """
    import torch, transformers
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)
        def forward(self, x, labels=None):
            return {"loss": self.layer(x).pow(2).mean(), "logits": self.layer(x)}
    data = [{"x": torch.ones(1), "labels": torch.zeros(1)} for _ in range(4)]
    for v, s in RUNS:
        arguments = transformers.TrainingArguments(
            f"out/{v}/seed-{s}", num_train_epochs=3, eval_strategy="epoch", save_strategy="epoch", logging_steps=1,
            save_only_model=True, report_to=[], seed=s, use_cpu=True, disable_tqdm=True)
        steps = iter(range(9))
        trainer = transformers.Trainer(
            Net(), arguments, train_dataset=data, eval_dataset=data,
            compute_metrics=lambda _: {"accuracy": value(v, s, next(steps))})
        trainer.train()
    """
    write(tmp_path, "transformers", script, HF_HUB_OFFLINE="1")
    table = read_runs(tmp_path / "out", PLAIN)
    assert last(table, "eval_accuracy") == pytest.approx(EXPECTED)
    assert table.seed_from == "the runs' names"
    assert judge(tmp_path / "out", baseline="plain").verdicts == {"mixup": "helps"}


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames(library: str) -> None:
    module = pytest.importorskip(library, reason=f"{library} is not installed")
    rows = {"method": [v for v, _ in EXPECTED], "seed": [s for _, s in EXPECTED], "acc": list(EXPECTED.values())}
    frame = module.DataFrame(rows)
    assert last(read_runs(frame, PLAIN), "acc") == EXPECTED
    if library == "pandas":
        assert last(read_runs(frame.set_index(["method", "seed"]), PLAIN), "acc") == EXPECTED
        missing = module.DataFrame({"method": ["plain"], "seed": module.array([None], "Int64"), "acc": [1.0]})
        with pytest.raises(InputError, match="row 1, seed must be a seed"):
            read_runs(missing, PLAIN)


def test_a_missing_number_of_pandas_is_an_empty_cell() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    seeds = {"seed": range(4), "plain": [90.1, 90.4, 90.2, 90.6], "mixup": [91.2, None, 91.5, 91.4]}
    wide = pandas.DataFrame(seeds)
    tall = wide.melt(id_vars="seed", var_name="method", value_name="acc")
    for frame in (wide, tall, dict(tall.items())):
        judged = judge(frame, baseline="plain", metric="acc")
        assert judged["mixup"].with_failures is None
        assert judged["mixup"].seeds == 3
    epochs = [
        {"method": v, "seed": s, "epoch": e, "loss": 1.0 / e, "acc": x + s if e % 2 else float("nan")}
        for (v, s), x in EXPECTED.items()
        for e in (1, 2, 3, 4)
    ]
    assert last(read_runs(pandas.DataFrame(epochs), PLAIN), "acc") == {key: x + key[1] for key, x in EXPECTED.items()}


def read_with_foreign_warnings(path: Path) -> RunTable:
    """The libraries' own warnings, when they are imported, are no concern of ours."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_runs(path, PLAIN)


@pytest.mark.parametrize("name", [None, "seed"])
def test_a_row_of_means_in_a_frame_s_index_is_no_run(name: str | None) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"plain": [90.1, 90.4], "mixup": [91.2, 91.6]}).rename_axis(name)
    assert judge(frame, baseline="plain", metric="accuracy").summary.asked.paired == bool(name)
    frame.loc["mean"] = frame.mean()
    with pytest.raises(InputError, match=r'the table, row 3: "mean" is no run'):
        judge(frame, baseline="plain", metric="accuracy")
