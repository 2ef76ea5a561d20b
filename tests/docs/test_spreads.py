"""The table of paired spreads is what the kept records give, and a row is the arithmetic that it says."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.docs.blocks import ci_script
from truelift.errors import InputError
from truelift.recipes import spreads
from truelift.records import Study
from truelift.records.packed import unpack

SCRIPT = ci_script("spreads")
NARROW = "freezeout-short-narrow"


def test_the_table_is_what_the_records_give() -> None:
    assert spreads.TABLE.read_text(encoding="utf-8") == SCRIPT.written(SCRIPT.table())
    assert all(0 <= row.least <= row.sd <= row.most and row.sd > 0 for row in spreads.spreads().values())


def test_a_row_by_hand(tmp_path: Path) -> None:
    study = Study.read(unpack(SCRIPT.RECORDS / f"{NARROW}.json", tmp_path))
    errors = {(r.variant, r.seed): r.result()["metrics"]["test_error"] for r in study.runs if r.status == "done"}
    names = ("shorter-0.8", "cubic-scaled-0.8", "linear-unscaled-0.5")
    seeds = {name: [s for s in range(5) if (name, s) in errors and ("plain", s) in errors] for name in names}
    sds = [np.std([errors[n, s] - errors["plain", s] for s in seeds[n]], ddof=1) for n in names]
    found = spreads.find(f"cifar10/{NARROW}")
    assert found.sd == pytest.approx(np.sqrt(np.mean(np.square(sds))), abs=1e-4)
    assert (found.least, found.most) == pytest.approx((min(sds), max(sds)), abs=1e-4)
    assert (found.variants, found.seeds) == (3, min(map(len, seeds.values())))
    assert (found.network, found.epochs) == ("short-cnn of width 16", 5)


def test_two_pairs_are_too_few(tmp_path: Path) -> None:
    folder = unpack(SCRIPT.RECORDS / f"{NARROW}.json", tmp_path)
    for seed in (2, 3, 4):
        for run in (folder / "runs/plain").glob(f"seed-{seed}-*"):
            shutil.rmtree(run)
    assert SCRIPT.row(Study.read(folder)) is None


def test_a_recipe_without_a_study_of_its_own_has_that_of_one_built_on_it() -> None:
    found = spreads.find("cifar10/short-94-half")
    assert found.built_on == "short-94-half"
    assert found.network == "short-cnn of width 32"
    assert found.sd == max(
        row.sd for row in spreads.spreads().values() if (row.built_on, row.seeds) == (found.built_on, found.seeds)
    )
    assert spreads.find("cifar10/gradient-similarity-few-labels").built_on is None, "it has its own epochs and images"
    assert spreads.find("cifar10/short-94").name == "cifar10/short-94", "its own goes before"


def test_a_study_that_is_built_on_none_gives_no_name() -> None:
    with pytest.raises(InputError) as told:
        spreads.find("cifar10/None")
    assert "/None," not in str(told.value)


def test_the_nearest_name_is_told() -> None:
    with pytest.raises(InputError, match=f'unknown study to be like.*Did you mean "cifar10/{NARROW}"'):
        spreads.find("cifar10/freezeout-short-narow")
