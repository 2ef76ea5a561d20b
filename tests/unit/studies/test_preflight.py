"""What is looked at before anything runs, and what is said of the data then."""

from collections.abc import Generator, Iterable
from pathlib import Path

import pytest

from truelift.errors import InputError
from truelift.studies.executors.base import Executor, Work
from truelift.studies.executors.local import Local
from truelift.studies.preflight import Looked, look, preflight
from truelift.studies.study_file import read_plan

STUDY = """
question = "?"
baseline = "plain"
seeds = 2
smallest_effect = {effect}
experiment.data.train_images = 60
experiment.data.test_images = 40
experiment.data.validation_fraction = {validation}
experiment.model.name = "small-cnn"
experiment.epochs = 1
experiment.batch_size = 20
[variants.plain]
[variants.smoothed]
objective.label_smoothing = 0.1
"""


@pytest.mark.parametrize(("effect", "validation", "lines"), [(5, 0, 1), (2, 0.1, 2), (0, 0.1, 1)])
def test_the_sizes_of_the_sets_and_what_one_image_is_worth(
    tmp_path: Path, effect: float, validation: float, lines: int
) -> None:
    (tmp_path / "study.toml").write_text(STUDY.format(effect=effect, validation=validation))
    told, needs, _ = preflight(read_plan(tmp_path / "study.toml"))
    sizes = "54 training, 6 validation" if validation else "60 training"
    assert told[0] == f"10 classes; {sizes} and 40 test images"
    assert len(told) == lines
    assert needs.keys() == {"plain", "smoothed"}
    assert all("one test image is 2.5 points" in line for line in told[1:])


class Elsewhere:
    """A cluster."""

    def check(self, study: Path, *, one_by_one: bool = False) -> None:
        """All is well."""

    def run(self, folders: Iterable[Path], work: Work) -> Generator[Path]:
        """None."""
        yield from ()


@pytest.mark.parametrize("executor", [Local(1, 1), Elsewhere()])
def test_a_program_s_inputs_must_be_there_wherever_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: Executor
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("study.toml").write_text(
        'command = "true {seed} {out} {args}"\nmetric = "accuracy"\ninputs = ["data"]\n[variants]\na = {}\n'
        '[variants.b]\nargs = "1"\ninputs = ["data", "other"]\n'
    )
    plan = read_plan(Path("study.toml"))
    for missing in ("data", "other"):
        with pytest.raises(InputError, match=f"inputs must be existing files and folders, got {missing}"):
            look(plan, executor)
        Path(missing).mkdir()
    assert look(plan, executor) == Looked([], {}, {})


def test_an_own_part_that_does_not_fit_is_told_with_its_variant(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def loss(logits, labels, scale=1.0):\n    return scale * logits.sum()\n")
    own = STUDY.format(effect=5, validation=0) + 'objective.name = "own.py:loss"\nobjective.args.skale = 2.0\n'
    (tmp_path / "study.toml").write_text(own)
    with pytest.raises(InputError, match=r'^variant "smoothed": objective ".*own.py:loss" takes no args.skale'):
        preflight(read_plan(tmp_path / "study.toml"))
