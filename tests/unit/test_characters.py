"""No output's encoding makes a traceback of what is printed."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.report.conftest import ACCURACY, make_study

from truelift.characters import printable_everywhere


def printed(text: str, encoding: str, errors: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What reaches a stream with that encoding."""
    content = io.BytesIO()
    stream = io.TextIOWrapper(content, encoding=encoding, errors=errors)
    monkeypatch.setattr(sys, "stdout", stream)
    printable_everywhere()
    print(text, end="", flush=True)
    return content.getvalue()


def test_what_an_encoding_lacks_is_printed_as_its_likeness_or_its_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed("80 ± 1 – ü", "latin-1", "strict", monkeypatch) == b"80 \xb1 1 - \xfc"
    assert printed("80 ± 1", "ascii", "strict", monkeypatch) == b"80 +- 1"
    assert printed("80 ± 1 \udcfc", "utf-8", "strict", monkeypatch) == "80 ± 1 \\udcfc".encode()
    assert printed("80 ± 1", "ascii", "replace", monkeypatch) == b"80 ? 1"
    names = json.dumps({"größe": "😀"}, ensure_ascii=False)
    assert json.loads(printed(names, "ascii", "strict", monkeypatch)) == {"größe": "😀"}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_report_is_printed_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    make_study(tmp_path / "größe", ACCURACY, 5)
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    for more in ((), ("--json",)):
        command = [sys.executable, "-m", "truelift", "report", "größe", *more]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        assert b"better" in done.stdout
