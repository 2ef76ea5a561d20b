"""Users' TOML: what would take the parser hours is refused, and nothing takes longer than its length asks for."""

import time

import pytest

from truelift.toml import parse_toml


@pytest.mark.parametrize("blanks", [" ", "\t ", "[ ", ". "])
def test_a_line_of_blanks_takes_no_longer_than_its_length_asks_for(blanks: str) -> None:
    begun = time.process_time()
    assert parse_toml(f'x = """\n{blanks * 20_000}"""\n') == {"x": blanks * 20_000}
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("deep", ["{} = 1", " \t{} = 1", "[{}]", "[[{}]]"])
@pytest.mark.parametrize("part", ["x.", '"x" . ', "'x'\t.\t"])
def test_a_key_of_more_than_a_hundred_parts_is_refused(deep: str, part: str) -> None:
    with pytest.raises(ValueError, match=r"^a key must have a hundred parts at most$"):
        parse_toml("a = 1\n" + deep.format(part * 100 + "x"))


def test_a_hundred_parts_are_taken() -> None:
    assert list(parse_toml("x." * 99 + "x = 1")) == ["x"]
