"""Studies that clusters are tried with, and what is seen of them from outside."""

import subprocess
import sys
from pathlib import Path

from tests.commands.started import Command

TRAININGS = """
[experiment]
model.name = "resnet8"
model.width = 4
epochs = 6
data.train_images = 300
precision = "fp32"
[variants.a]
[variants.b]
model.last_relu = false
"""
# Goes on where it was stopped, and tells how often it was begun.
_PROGRAM = """
import json, pathlib, sys, time
out = pathlib.Path(sys.argv[1])
with (out / "begun").open("a") as begun: begun.write("once\\n")
place = out / "place"
for step in range(int(place.read_text()) if place.exists() else 0, int(sys.argv[3])):
    place.with_suffix(".new").write_text(str(step))
    place.with_suffix(".new").replace(place)  # it may be killed at any moment
    time.sleep(0.1)
(out / "metrics.json").write_text(json.dumps({"accuracy": 80 + int(sys.argv[2]) % 3 + 2 * len(sys.argv)}))
"""


def programs(home: Path, steps: int, seeds: int = 2) -> str:
    """A study of two variants whose runs are programs of so many tenths of a second; its file's name."""
    (home / "program.py").write_text(_PROGRAM)
    (home / "study.toml").write_text(
        f'command = "{sys.executable} program.py {{out}} {{seed}} {steps} {{args}}"\nmetric = "accuracy"\n'
        f'seeds = {seeds}\n[variants.a]\n[variants.b]\nargs = "b"\n'
    )
    return "study.toml"


def ended(process: "Command | subprocess.Popen[str]", status: int = 0, seconds: float = 1200) -> tuple[str, str]:
    """What a command has printed on both its streams, when it has ended with this status."""
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == status, out + err
    return out, err
