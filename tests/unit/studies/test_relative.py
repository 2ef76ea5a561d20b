from pathlib import Path
from typing import Any

import pytest

from truelift.errors import InputError
from truelift.studies.relative import absolute, is_relative, settings_in_full
from truelift.studies.study_file import read_plan

STUDY = """
[experiment]
model = "resnet8"
epochs = 30
[scales.quick]
epochs = 7
[variants.plain]
[variants.shorter]
epochs = "80 %"
"""


@pytest.mark.parametrize(
    ("value", "relative"),
    [
        ("80 %", True),
        ("12.5%", True),
        (" 80  % ", True),
        (".5 %", True),
        ("3. %", True),
        ("9" * 400 + " %", False),
        ("80", False),
        ("-5 %", False),
        ("% 80", False),
        (8, False),
    ],
)
def test_what_is_in_percent(value: Any, relative: bool) -> None:
    assert is_relative(value) == relative


def test_numbers_of_what_is_shared() -> None:
    settings = {"epochs": "50 %", "optimizer.lr": "250 %", "model.width": 8}
    found = absolute(settings, settings_in_full({"epochs": 5, "optimizer.lr": 0.1}))
    assert found == {"epochs": 2, "optimizer.lr": pytest.approx(0.25), "model.width": 8}
    assert isinstance(found["epochs"], int)
    assert absolute({"batch_size": "200 %"}, settings_in_full({})) == {"batch_size": 256}  # the default is 128


def test_the_share_is_kept_at_every_scale_and_length(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(STUDY)

    def epochs(**options: Any) -> list[int]:
        return [run.config["epochs"] for run in read_plan(file, seeds=1, **options).runs()]

    assert epochs() == [30, 24]
    assert epochs(scale="quick") == [7, 6]
    assert epochs(scale="quick", overrides={"epochs": 50}) == [50, 40]
    assert [read_plan(file, scale=scale).name for scale in ("paper", "quick")] == ["mine", "mine-quick"]
    recorded = read_plan(file).record("", "")["variants"]
    assert recorded["shorter"]["settings"] == {"epochs": 24}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('model.last_relu = "80 %"', 'variant "shorter": model.last_relu must be a number .* 80 % of it, got True'),
        ('epoch = "80 %"', 'mine.toml: variant "shorter": Unknown option: --epoch. Did you mean --epochs'),
        ('data.train_images = "80 %"', 'variant "shorter": data.train_images must be a whole number, got "80 %"'),
        ('epochs = "1 %"', 'variant "shorter": epochs must be at least 1, got 0'),
    ],
)
def test_bad_shares(tmp_path: Path, setting: str, message: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(STUDY.replace('epochs = "80 %"', setting))
    with pytest.raises(InputError, match=message):
        read_plan(file)
