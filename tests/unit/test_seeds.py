import pytest

from truelift.seeds import derive


def test_is_the_same_everywhere() -> None:
    # Frozen values: a change of the derivation would silently change every published run.
    assert [derive(0, "order"), derive(7, "augment", 3, 12)] == [6677151970780885746, 6700504893717252915]


def test_fits_the_generators() -> None:
    values = [derive(seed, "a", i) for seed in (-1, 0, 2**70) for i in range(100)]
    assert all(0 <= value < 2**63 for value in values)
    assert len(set(values)) == len(values)
    assert max(values) > 2**62  # all 63 bits are used


@pytest.mark.parametrize(
    ("one", "other"),
    [((1, "a"), (1, "a", 0)), ((1, 23), (12, 3)), ((0, 3), (0, "3")), ((0, "ab"), (0, "a", "b")), ((0,), (1,))],
)
def test_different_names_differ(one: tuple[int, str], other: tuple[int, str]) -> None:
    assert derive(*one) != derive(*other)
