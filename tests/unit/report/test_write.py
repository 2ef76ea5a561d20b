"""What steers a terminal, an editor or a browser stands in no form of a report."""

import pytest

from truelift.report.plain import visible


@pytest.mark.parametrize("code", [0x00, 0x07, 0x1B, 0x7F, 0x9B, 0x200F, 0x202E, 0x2066, 0x2069])
def test_what_steers_is_written_out(code: int) -> None:
    text = visible(f"a{chr(code)}b")
    assert chr(code) not in text
    assert f"{code:x}" in text
    assert (text[0], text[-1]) == ("a", "b")


def test_everything_else_stays() -> None:
    text = "a\tb\r\nc é 😀 \u00a0 −"
    assert visible(text) == text
