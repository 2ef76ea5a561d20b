"""What trackers leave, made by hand as small as it can be; test_real_libraries.py has the libraries' own files."""

import contextlib
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from truelift.errors import InputError
from truelift.judging import judge
from truelift.records.elsewhere import RunTable, Wanted, read_runs

PLAIN = Wanted(baseline="plain")
RUNS = [("plain", 0), ("plain", 1), ("mixup", 0), ("mixup", 1)]


def last(table: RunTable, metric: str = "val_accuracy") -> dict[tuple[str, object], float]:
    return {(run.variant, run.seed): float(run.series[metric].values[-1]) for run in table.runs}


def value(variant: str, seed: int, step: int = 1) -> float:
    return 80.0 + seed + step + (variant == "mixup")


EXPECTED = {run: value(*run) for run in RUNS}


def test_mlflow_files(tmp_path: Path) -> None:
    home = tmp_path / "mlruns" / "7"
    for i, (variant, seed) in enumerate([*RUNS, ("mixup", 5)]):
        run = home / f"{i}abc"
        for kind in ("metrics/val", "params", "tags"):
            (run / kind).mkdir(parents=True)
        stage = "deleted" if seed == 5 else "active"
        (run / "meta.yaml").write_text(f"lifecycle_stage: {stage}\nrun_name: r{i}\nstatus: {4 if i == 3 else 3}\n")
        (run / "params" / "method").write_text(variant)
        (run / "params" / "seed").write_text(str(seed))
        (run / "tags" / "mlflow.user").write_text("somebody")
        lines = [f"1700000000000 {value(variant, seed, step)} {step}" for step in (1, 0)]  # in any order
        (run / "metrics" / "val" / "accuracy").write_text("\n".join(lines) + "\n")
    (home / "meta.yaml").write_text("name: augmentation\n")
    table = read_runs(tmp_path / "mlruns", PLAIN)
    assert last(table, "val/accuracy") == EXPECTED
    assert table.runs[0].facts == {"experiment": "augmentation", "method": "plain", "seed": "0"}
    assert [run.failed for run in table.runs] == [None, None, None, "MLflow says FAILED"]
    assert last(read_runs(home, PLAIN), "val/accuracy") == EXPECTED  # one experiment's folder
    (home / "0abc" / "metrics" / "val" / "accuracy").write_text("nonsense\n")
    with pytest.raises(InputError, match="no metric of MLflow's"):
        read_runs(home, PLAIN)


def test_mlflow_database(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(
            """
            CREATE TABLE experiments (experiment_id INTEGER, name TEXT);
            CREATE TABLE runs (run_uuid TEXT, name TEXT, status TEXT, experiment_id INTEGER, lifecycle_stage TEXT,
                               start_time INTEGER);
            CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
            CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
            CREATE TABLE metrics (key TEXT, value REAL, timestamp INTEGER, run_uuid TEXT, step INTEGER, is_nan BOOLEAN);
            INSERT INTO experiments VALUES (1, 'augmentation');
            """
        )
        for variant, seed in RUNS:
            run = f"{variant}-seed-{seed}"
            database.execute("INSERT INTO runs VALUES (?, ?, 'FINISHED', 1, 'active', 0)", (run, run))
            for step in (0, 1):
                row = ("val_accuracy", value(variant, seed, step), step, run, step, False)
                database.execute("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", row)
            database.execute("INSERT INTO metrics VALUES ('loss', 0, 0, ?, 0, 1)", (run,))
            database.execute("INSERT INTO metrics VALUES ('ratio', 1.7976931348623157e308, 0, ?, 0, 0)", (run,))
        database.commit()
    for source in (path, f"sqlite:///{path}"):
        table = read_runs(source, PLAIN)
        assert last(table) == EXPECTED
        assert table.variant_from == table.seed_from == "the runs' names"
        assert np.isnan(table.runs[0].series["loss"].values[0])
        assert np.isnan(table.runs[0].series["ratio"].values[0])  # what stands for infinity


def test_trackio_database(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "p.db")) as database:
        database.execute("CREATE TABLE metrics (id INTEGER PRIMARY KEY, run_name TEXT, step INTEGER, metrics TEXT)")
        database.execute("CREATE TABLE configs (run_name TEXT, config TEXT)")
        for variant, seed in RUNS:
            config = {"random_state": seed, "_Group": variant, "opt": {"lr": 0.1}}
            database.execute("INSERT INTO configs VALUES (?, ?)", (f"{variant}{seed}", json.dumps(config)))
            for step in (0, 1):
                logged = json.dumps({"val_accuracy": value(variant, seed, step), "loss": "NaN", "note": "x"})
                row = (f"{variant}{seed}", step, logged)
                database.execute("INSERT INTO metrics (run_name, step, metrics) VALUES (?, ?, ?)", row)
        database.commit()
    table = read_runs(tmp_path / "p.db", PLAIN)
    assert last(table) == EXPECTED
    assert table.runs[0].facts == {"random_state": 0, "opt.lr": 0.1, "group": "plain"}
    assert set(table.metrics) == {"val_accuracy", "loss"}


def test_another_database(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "x.sqlite")) as database:
        database.execute("CREATE TABLE users (name TEXT)")
    with pytest.raises(InputError, match=r"no database of MLflow or Trackio: its tables are users\."):
        read_runs(tmp_path / "x.sqlite", PLAIN)


def lightning_run(folder: Path, hparams: str | None, rows: str) -> None:
    folder.mkdir(parents=True)
    (folder / "metrics.csv").write_text("epoch,step,train_loss,val_accuracy\n" + rows)
    if hparams is not None:
        (folder / "hparams.yaml").write_text(hparams)


def test_lightning_versions(tmp_path: Path) -> None:
    for i, (variant, seed) in enumerate(RUNS):
        rows = f"0,0,1.5,\n0,1,,{value(variant, seed, 0)}\n1,2,inf,\n1,3,,{value(variant, seed, 1)}\n"
        lightning_run(tmp_path / f"version_{i}", f"method: {variant}\nseed: {seed}\n", rows)
    table = read_runs(tmp_path, PLAIN)
    assert last(table) == EXPECTED
    assert table.runs[0].series["val_accuracy"].steps.tolist() == [1, 3]
    assert np.isnan(table.runs[0].series["train_loss"].values[-1])


def test_lightning_folders_say_the_variant_where_hparams_do_not(tmp_path: Path) -> None:
    for variant, seed in RUNS:
        lightning_run(tmp_path / variant / f"version_{seed}", None, f"0,1,,{value(variant, seed)}\n")
    judged = judge(tmp_path, baseline="plain", metric="val_accuracy")
    assert judged.notes[0].endswith("variant from the runs' names, seed from nowhere.")
    assert not judged.summary.asked.paired


def test_the_newest_state_of_a_trainer_counts(tmp_path: Path) -> None:
    for variant, seed in RUNS:
        for step in (9, 10):  # checkpoint-10 is the newer, though "9" sorts behind "1"
            folder = tmp_path / f"{variant}_seed{seed}" / f"checkpoint-{step}"
            folder.mkdir(parents=True)
            history = [
                {"loss": float("nan"), "step": 1},
                {"eval_accuracy": value(variant, seed, step - 9), "step": step},
            ]
            (folder / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    table = read_runs(tmp_path, PLAIN)
    assert last(table, "eval_accuracy") == EXPECTED
    assert np.isnan(table.runs[0].series["loss"].values[0])


@pytest.mark.parametrize("named", ["checkpoint-9", "checkpoint-9/trainer_state.json"])
def test_one_checkpoint_of_a_trainer_is_the_run_that_it_is_of(tmp_path: Path, named: str) -> None:
    folder = tmp_path / "plain_seed3" / "checkpoint-9"
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": [{"eval_accuracy": 0.5, "step": 9}]}))
    table = read_runs(tmp_path / "plain_seed3" / named, PLAIN)
    assert [(run.variant, run.seed) for run in table.runs] == [("plain", 3)]


def test_an_exported_chart(tmp_path: Path) -> None:
    names = [f"{variant}-seed-{seed}" for variant, seed in RUNS]
    header = ["Step", *(f"{name} - val_accuracy{end}" for name in names for end in ("", "__MIN", "__MAX"))]
    lines = [
        [str(step), *(str(value(*run, step) + offset) for run in RUNS for offset in (0, -9, 9))] for step in (0, 1)
    ]
    path = tmp_path / "chart.csv"
    path.write_text("\n".join(",".join(f'"{cell}"' for cell in line) for line in [header, *lines]))
    table = read_runs(path, PLAIN)
    assert last(table) == EXPECTED
    assert table.steps_from == "Step"


def test_a_seed_that_all_runs_share_pairs_nothing(tmp_path: Path) -> None:
    for i, (variant, _) in enumerate(RUNS):
        lightning_run(tmp_path / f"version_{i}", f"method: {variant}\nseed: 42\n", f"0,1,,{80 + i}\n0,2,,{81 + i}\n")
    assert read_runs(tmp_path, PLAIN).seed_from == "nowhere"


def test_no_runs_and_no_variant(tmp_path: Path) -> None:
    lightning_run(tmp_path / "version_0", "method: plain\n", "0,1,,80\n")
    lightning_run(tmp_path / "version_1", "lr: 1\n", "0,1,,80\n")
    with pytest.raises(InputError, match=r'run "version_1" has no variant in the setting method'):
        read_runs(tmp_path, PLAIN)


def test_a_run_that_a_tracker_has_twice(tmp_path: Path) -> None:
    for i, (variant, seed) in enumerate([*RUNS, RUNS[3]]):
        lightning_run(
            tmp_path / f"v{i}", f"method: {variant}\nseed: {seed}\nlr: {0.1 * i}\nwd: 0\n", f"0,1,,{80 + i}\n"
        )
    message = r'"mixup", seed 1 is there twice, in run "v3" and run "v4": a variant has one run a seed\.'
    with pytest.raises(InputError, match=message + " If it was run again, leave one of the two out"):
        judge(tmp_path, baseline="plain", metric="val_accuracy")
    for name, wd in (("v4", 1), ("v3", 2), ("v2", 2)):
        path = tmp_path / name / "hparams.yaml"
        path.write_text(path.read_text().replace("wd: 0", f"wd: {wd}"))
    with pytest.raises(InputError, match=message + r" They differ in wd: make it part of the variant \(--variant\)"):
        judge(tmp_path, baseline="plain", metric="val_accuracy")


def test_an_empty_setting_that_is_named_is_a_variant(tmp_path: Path) -> None:
    for i, (variant, seed) in enumerate(RUNS):
        setting = f"aug: {variant}\n" if variant == "mixup" else ""
        lightning_run(tmp_path / f"v{i}", f"{setting}seed: {seed}\n", f"0,1,,{value(variant, seed)}\n")
    table = read_runs(tmp_path, Wanted(variant=("aug",)))
    assert last(table) == {
        ("none" if variant == "plain" else variant, seed): x for (variant, seed), x in EXPECTED.items()
    }
    assert table.notes == ('Runs without a value of aug are the variant "none".',)
    with pytest.raises(InputError, match=r"every variant has one run, with the variants from the runs' names.*\(aug\)"):
        judge(tmp_path)


def test_settings_come_before_names(tmp_path: Path) -> None:
    for i, (variant, seed) in enumerate(RUNS):
        lightning_run(tmp_path / f"plain-{i}", f"method: {variant}\nseed: {seed}\n", f"0,1,,{value(variant, seed)}\n")
    assert last(read_runs(tmp_path, PLAIN)) == EXPECTED
    for i in range(len(RUNS)):
        (tmp_path / f"plain-{i}" / "hparams.yaml").unlink()
    (tmp_path / "plain-3").rename(tmp_path / "mixup-3")
    found = read_runs(tmp_path, PLAIN)
    assert [(run.variant, run.seed) for run in found.runs] == [("mixup", 3), ("plain", 0), ("plain", 1), ("plain", 2)]
