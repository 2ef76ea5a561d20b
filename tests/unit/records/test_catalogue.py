"""What lies below a folder, and what of it may go."""

import json
from pathlib import Path

import pytest
from tests.unit.records.test_leases import elsewhere

from truelift.errors import InputError
from truelift.records import leased, write_json
from truelift.records.catalogue import entries
from truelift.records.leftovers import leftovers, remove


def plan(folder: Path, runs: dict[str, str], **others: object) -> None:
    seeds = sorted({int(run.split("-")[1]) for run in runs})
    write_json(
        folder / "study.json",
        {
            "name": folder.name,
            "question": "Is b better?",
            "metric": "x_loss",
            "unit": "",
            "higher_is_better": False,
            "relative": False,
            "smallest_effect": 0,
            "baseline": "a",
            "seeds": seeds,
            "variants": {"a": {"settings": {}}, "b": {"settings": {}}},
            "shared": {},
            "runs": [
                {"variant": v, "seed": int(run.split("-")[1]), "folder": f"runs/{v}/{run}"}
                for run in runs
                for v in ("a", "b")
            ],
            "repeat": "",
            "created": "2026-01-01T00:00:00+00:00",
            **others,
        },
    )
    for run, state in runs.items():
        for variant in ("a", "b"):
            make(folder / "runs" / variant / run, state)


def make(folder: Path, state: str) -> None:
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("epochs = 1\n" if "program" not in state else 'command = "x"\n')
    (folder / "checkpoint.pt").write_bytes(bytes(1000))
    if "done" in state:
        write_json(folder / "result.json", {"metrics": {"x_loss": 1.0}})


def names(folder: Path) -> set[str]:
    return {left.path.relative_to(folder).as_posix() for entry in entries(folder) for left in leftovers(entry)}


def test_what_is_there(tmp_path: Path) -> None:
    plan(tmp_path / "deep" / "s", {"seed-0-aaaaaaaa": "done", "seed-1-aaaaaaaa": "begun"})
    make(tmp_path / "train" / "resnet8-digits-seed-7-bbbbbbbb", "done")
    write_json(tmp_path / "train" / "resnet8-digits-seed-7-bbbbbbbb" / "environment.json", {})
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "study.json").write_text("{")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "config.toml").write_text("somebody's own")
    found = {entry.folder.name: entry for entry in entries(tmp_path)}
    assert found.keys() == {"s", "resnet8-digits-seed-7-bbbbbbbb", "bad"}
    study = found["s"]
    assert (study.kind, study.count("done"), study.count("unfinished"), study.running) == ("study", 2, 2, False)
    assert study.bytes == sum(path.stat().st_size for path in (tmp_path / "deep").rglob("*") if path.is_file())
    assert found["resnet8-digits-seed-7-bbbbbbbb"].runs[0].seed == 7
    assert "study.json" in found["bad"].note
    with leased(tmp_path / "deep" / "s"):
        assert next(entry for entry in entries(tmp_path) if entry.kind == "study" and not entry.note).running
    with pytest.raises(InputError, match="folder must be an existing folder"):
        entries(tmp_path / "missing")


def test_the_last_changed_comes_first(tmp_path: Path) -> None:
    import os

    for number, name in enumerate(("old", "older", "newest")):
        make(tmp_path / name, "done")
        for path in (tmp_path / name).iterdir():
            os.utime(path, (0, [2e9, 1e9, 3e9][number]))
    assert [entry.folder.name for entry in entries(tmp_path)] == ["newest", "old", "older"]


def test_what_may_go(tmp_path: Path) -> None:
    plan(tmp_path / "s", {"seed-0-aaaaaaaa": "done", "seed-1-aaaaaaaa": "begun"})
    make(tmp_path / "s" / "runs" / "a" / "seed-0-cccccccc", "begun")
    make(tmp_path / "s" / "runs" / "a" / "seed-7-aaaaaaaa", "done")  # of a plan that had more seeds
    make(tmp_path / "s" / "runs" / "gone" / "seed-2-dddddddd", "begun")
    (tmp_path / "s" / "runs" / "a" / "my notes").mkdir()
    wanted = {
        "s/runs/a/seed-0-aaaaaaaa/checkpoint.pt",
        "s/runs/b/seed-0-aaaaaaaa/checkpoint.pt",
        "s/runs/a/seed-0-cccccccc",
        "s/runs/gone/seed-2-dddddddd",
    }
    assert names(tmp_path) == wanted
    for entry in entries(tmp_path):
        for left in leftovers(entry):
            assert left.bytes >= 1000
            assert remove(left) is None
    assert names(tmp_path) == set()
    assert (tmp_path / "s/runs/a/seed-1-aaaaaaaa/checkpoint.pt").exists()  # it goes on from there
    assert (tmp_path / "s/runs/a/seed-0-aaaaaaaa/result.json").exists()
    assert (tmp_path / "s/runs/a/my notes").exists()
    assert (tmp_path / "s/runs/a/seed-7-aaaaaaaa/result.json").exists()


def test_what_stays(tmp_path: Path) -> None:
    """Programs' files, earlier plans' runs, studies whose plan cannot be read, links."""
    plan(
        tmp_path / "s",
        {"seed-0-aaaaaaaa": "done program"},
        earlier=[{"seeds": [0], "created": "x", "folders": {"a": "runs/a/seed-0-eeeeeeee"}}],
    )
    make(tmp_path / "s" / "runs" / "a" / "seed-0-eeeeeeee", "done")
    plan(tmp_path / "bad", {"seed-0-aaaaaaaa": "done"})
    content = json.loads((tmp_path / "bad" / "study.json").read_text())
    write_json(tmp_path / "bad" / "study.json", content | {"baseline": "none"})
    make(tmp_path / "elsewhere" / "seed-9-ffffffff", "done")
    (tmp_path / "s" / "runs" / "linked").symlink_to(tmp_path / "elsewhere")
    plan(tmp_path / "t", {})
    make(tmp_path / "elsewhere" / "a" / "seed-9-ffffffff", "begun")
    (tmp_path / "t" / "runs").symlink_to(tmp_path / "elsewhere")
    assert {name for name in names(tmp_path) if not name.startswith("elsewhere")} == set()


def test_what_is_held_stays(tmp_path: Path) -> None:
    plan(tmp_path / "s", {"seed-0-aaaaaaaa": "done"})
    make(tmp_path / "s" / "runs" / "a" / "seed-0-cccccccc", "begun")
    with leased(tmp_path / "s"):
        assert names(tmp_path) == set()
    with leased(tmp_path / "s" / "runs" / "a" / "seed-0-cccccccc"):
        assert "s/runs/a/seed-0-cccccccc" not in names(tmp_path)
    found = [left for entry in entries(tmp_path) for left in leftovers(entry)]
    held = next(left for left in found if left.path.name == "seed-0-cccccccc")
    with leased(tmp_path / "s"), pytest.raises(InputError, match="in use by this process"):
        remove(held)  # it began after the look
    assert held.path.exists()


def test_what_another_machine_holds_stays(tmp_path: Path) -> None:
    plan(tmp_path / "s", {"seed-0-aaaaaaaa": "done", "seed-1-aaaaaaaa": "begun"})
    unnamed = tmp_path / "s" / "runs" / "a" / "seed-0-cccccccc"
    make(unnamed, "begun")
    found = [left for entry in entries(tmp_path) for left in leftovers(entry)]
    (held,) = (left for left in found if left.path == unnamed)
    elsewhere(unnamed, silent_seconds=1)
    assert unnamed.relative_to(tmp_path).as_posix() not in names(tmp_path)
    told = remove(held)  # it was taken up after the look
    assert told is not None
    assert "process 4711 on node7" in told
    assert (unnamed / "checkpoint.pt").exists()
    elsewhere(tmp_path / "s" / "runs" / "b" / "seed-1-aaaaaaaa", silent_seconds=1)
    assert entries(tmp_path)[0].running
    assert names(tmp_path) == set()
    elsewhere(tmp_path / "s" / "runs" / "b" / "seed-1-aaaaaaaa", silent_seconds=100)  # its machine is gone
    assert not entries(tmp_path)[0].running


def test_what_a_study_has_taken_up_since_stays(tmp_path: Path) -> None:
    plan(tmp_path / "s", {"seed-0-aaaaaaaa": "done"})
    unnamed = tmp_path / "s" / "runs" / "a" / "seed-0-cccccccc"
    make(unnamed, "begun")
    found = {left.path.name: left for entry in entries(tmp_path) for left in leftovers(entry)}
    content = json.loads((tmp_path / "s" / "study.json").read_text())
    content["runs"].append({"variant": "a", "seed": 0, "folder": "runs/a/seed-0-cccccccc"})
    write_json(tmp_path / "s" / "study.json", content)
    (found["checkpoint.pt"].path.parent / "result.json").unlink()
    for left in found.values():
        assert str(remove(left)).endswith("stays: its study has taken it up again.")
        assert left.path.exists()
    assert not list(tmp_path.rglob(".lease-*"))
