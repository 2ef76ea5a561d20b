import pytest

from truelift.errors import InputError
from truelift.metrics import DRAWN, LOGGED, Metric, is_time


@pytest.mark.parametrize(
    ("name", "unit", "higher", "relative"),
    [
        ("test_accuracy", "points", True, False),
        ("error", "points", False, False),
        ("outlier_mahalanobis_auroc", "points", True, False),
        ("test_loss", "", False, False),
        ("cpu_seconds", "percent of baseline", False, True),
        ("images_per_second", "percent of baseline", True, True),  # and no number of seconds
        ("training_operations", "percent of baseline", False, True),
    ],
)
def test_a_name_tells_how_to_compare(name: str, unit: str, higher: bool, relative: bool) -> None:
    assert Metric.named(name) == Metric(name, unit, higher, relative)
    assert Metric.named(name, higher_is_better=not higher).higher_is_better is not higher


@pytest.mark.parametrize("name", ["dice", "myerror", "accuracy_top5"])
def test_another_name_needs_the_direction(name: str) -> None:
    with pytest.raises(InputError, match=f"higher_is_better must be given .*, got {name}"):
        Metric.named(name)
    assert Metric.named(name, higher_is_better=True) == Metric(name, "", True, relative=False)


def test_names_of_other_libraries_are_known() -> None:
    for name in ("eval/F1", "val-accuracy", "valid.AUC", "acc"):
        assert (Metric.named(name).unit, Metric.named(name).higher_is_better) == ("points", True)


def test_times_are_known_as_all_names_are() -> None:
    assert all(map(is_time, ("train_seconds", "Train-Seconds", "eval/images per second", "seconds")))
    assert not any(map(is_time, ("x_nanoseconds", "seconds_left", "test_accuracy", "dice")))


def test_a_scale_that_is_said() -> None:
    expected = Metric("dice", "points", True, relative=False, scale="fraction")
    assert Metric.named("dice", True, scale="fraction") == expected
    assert Metric.named("my_error", scale="none").unit == ""
    assert Metric.named("test_error").of_trainings().scale == "points"
    assert Metric.named("test_balanced_accuracy").of_trainings().scale is None  # a user's own function: looked at
    with pytest.raises(InputError, match='scale must be "none" for train_seconds'):
        Metric.named("train_seconds", scale="fraction")


def test_the_smallest_step() -> None:
    assert Metric.named("test_error").resolution(400) == 0.25
    assert Metric.named("test_error").resolution(None) == 0
    assert Metric.named("validation_accuracy").resolution(400) == 0  # of other images than the test set's
    assert Metric.named("parameters").resolution(None) == 1
    assert Metric.named("train_seconds").resolution(400) == 0


def test_what_trainings_log_is_known() -> None:
    names = [logged.name for logged in LOGGED]
    assert len(names) == len(set(names))
    assert [name for name in names if Metric.named(name).name != name] == []
    assert len({drawn.label for drawn in DRAWN}) == len(DRAWN)


@pytest.mark.parametrize(
    ("name", "meant"), [("test_acuracy", "test_accuracy"), ("val_los", "val_loss"), ("erorr", "error"), ("score", "")]
)
def test_a_misspelt_ending_is_told(name: str, meant: str) -> None:
    with pytest.raises(InputError) as told:
        Metric.named(name)
    assert str(told.value).endswith(f'got {name}. Did you mean "{meant}"?' if meant else f"got {name}.")
