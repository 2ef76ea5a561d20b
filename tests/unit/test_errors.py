"""What counts as memory that was refused."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from truelift import cli
from truelift.errors import InputError, is_out_of_memory, named, one_line


def test_an_error_of_the_system_s_is_its_reason_and_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file") as told:
        (tmp_path / "none" / "x").open("x")
    assert one_line(told.value) == f"No such file or directory: {tmp_path / 'none' / 'x'}"
    partial = OSError(28, "No space left on device", str(tmp_path / ".report.html.0123abcd.partial"))
    assert one_line(partial) == f"No space left on device: {tmp_path / 'report.html'}"
    assert one_line(OSError("Invalid magic number")) == "Invalid magic number"
    assert one_line(OSError(5, "Input/output error")) == "Input/output error"


def refused() -> None:
    torch.empty(2**58, dtype=torch.uint8)


def test_memory_that_torch_refuses() -> None:
    with pytest.raises(RuntimeError) as told:
        refused()
    assert is_out_of_memory(told.value)
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_the_command_line_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bound = SimpleNamespace(args=(), kwargs={})
    monkeypatch.setattr(cli, "app", SimpleNamespace(parse_args=lambda *tokens, **options: (refused, bound, None)))
    with pytest.raises(SystemExit) as ended:
        cli.main(["recipes"])
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("truelift: error: there is not enough memory: ")


@pytest.mark.parametrize(
    ("place", "message", "told"),
    [
        ("a", "data must be a number", "a: data must be a number"),  # it has the place in it by chance
        ("a", "all is wrong", "a: all is wrong"),
        ("a.csv", "a.csv does not exist.", "a.csv does not exist."),
        ("runs", "runs/x.csv: line 3 has no number", "runs/x.csv: line 3 has no number"),
        ('variant "a"', 'variant "a": lr must be above 0', 'variant "a": lr must be above 0'),
    ],
)
def test_where_it_stands_is_said_once(place: str, message: str, told: str) -> None:
    with pytest.raises(InputError) as raised, named(place):
        raise InputError(message)
    assert str(raised.value) == told
