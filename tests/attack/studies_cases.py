"""Study files: read and planned, but for the trainings themselves; and what a plan leaves must be writable."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

from tests.attack.case import Attack, Case, as_command, command
from tests.attack.mutations import HOSTILE_TEXTS, mutated_toml

_OURS = b"""question = "Which is better?"
baseline = "plain"
seeds = 3
metric = "test_accuracy"
smallest_effect = 0.5
takes = "a minute"
[experiment]
epochs = 2
model.name = "resnet8"
data.train_images = 100
[scales.quick]
takes = "seconds"
seeds = [0, 5]
epochs = 1
[variants.plain]
[variants.wide]
model.width = 8
[variants.short]
epochs = "50 %"
[published.plain]
value = 91.25
source = "a paper"
runs = 5
sd = 0.2
"""
_PROGRAM = b"""command = "true --seed {seed} --out {out} {args}"
metric = "val_accuracy"
seeds = 2
[variants.plain]
[variants.other]
args = "--x 1"
"""

# To each key's values of the wrong kind; `seeds` and `args` of the right kind too.
_BAD_KEYS: Mapping[str, tuple[str, ...]] = {
    "question": ("3", "true", "[]", "{}", "2020-01-01"),
    "baseline": ('"nobody"', '""', "3", "true", "[]", "{}", "nan", '"Plain"'),
    "seeds": (
        *("0", "-1", "3.0", '"3"', "true", "[]", "[1, 1]", "[1.5]", '["a"]', "[true, 1]", "[true]", "{}", "nan"),
        *("[-9223372036854775809]", "1" + "0" * 20, "9223372036854775807", "[[1]]", "2020-01-01"),
    ),
    "metric": ("3", "[]", "true", '""'),
    "higher_is_better": ('"yes"', "1", "[]", "{}"),
    "smallest_effect": ('"1"', "-0.5", "nan", "inf", "true", "[]", "-1e300", "2020-01-01"),
    "vary_split": ('"yes"', "1", "[]"),
    "command": ("3", "true", "[]", "{}", '""', '"x"', '"x {seed}"', '"x {out} {seed} {other}"', '"x {seed} {out} {"'),
    "experiment": ("3", "[]", '"x"', "{ seed = 3 }", "{ nothing = 3 }", "{ epochs = '3' }", "{ nothing = {} }"),
    "takes": ("3", "[]"),
    "shows": ("3", "[]"),
    "scales": ("3", "[]", "{ quick = 3 }", "{ paper = {} }", "{ 'a b' = {} }", "{ q = { nothing = 1 } }"),
    "published": ("3", "[]", "{ nobody = {} }", "{ plain = 3 }", "{ plain = { value = nan, source = 'a' } }"),
    "no_such_key": ("3",),
    "Variants": ("{}",),
}
_BAD_VARIANTS = (
    "[variants]",
    "variants = 3",
    "variants = []",
    "[[variants]]",
    "[variants.only]",
    "[variants.a]\n[variants.'../b']",
    "[variants.a]\n[variants.'']",
    "[variants.a]\n[variants.'.']",
    "[variants.a]\n[variants.'a b']",
    "[variants.a]\n[variants.'a\\nb']",
    '[variants.a]\n[variants."\\u001b[2J"]',
    '[variants.a]\n[variants."\\u0000"]',
    "[variants.a]\n[variants.é]",
    f"[variants.a]\n[variants.{'x' * 300}]",
    "[variants.a]\n[variants.A]\nnothing = 3",
    "[variants.a]\n[variants.b]\nseed = 3",
    "[variants.a]\n[variants.b]\nmodel = 3",
    "[variants.a]\n[variants.b]\nmodel = {}\nmodle = {}",
    "[variants.a]\n[variants.b]\nepochs = '0 %'",
    "[variants.a]\n[variants.b]\nepochs = '999999999999 %'",
    "[variants.a]\n[variants.b]\nmodel.name = '50 %'",
    "[variants.a]\n[variants.b]\nmodel.last_relu = '50 %'",
    "[variants.a]\n[variants.b]\nnothing = '50 %'",
    "[variants.a]\n[variants.b]\nargs = '--x'",
    "[variants.a]\n[variants.b]\ncommand = 'x {seed} {out}'\nepochs = 3",
    "[variants.a]\n[variants.b]\ncommand = 'x {seed} {out}'\nargs = 3",
    "[variants.a]\n[variants.b]\ncommand = 'x {seed} {out}'\nargs = []",
    "[variants.a]\n[variants.b]\ncommand = 3",
    "[variants.a]\n[variants.b]\ncommand = 'x {seed!x} {out}'",
    "[variants.a]\n[variants.b]\ncommand = 'x {seed.real} {out}'",
    "[variants.a]\n[variants.b]\ncommand = 'x {seed[0]} {out}'",
    "[variants.a]\n[variants.b]\ncommand = 'x {} {seed} {out}'",
    "[variants.a]\n[variants.b]\ncommand = 'x {seed:999999999999d} {out}'",
    "[variants.a]\n[variants.b]\ncommand = 'x {seed:z} {out}'",
    "[variants.a]\n[variants.b]\ncommand = 'x {seed:{out}} {out}'",
    "[variants.a]\n[variants.b]\ncommand = '''x \"unclosed {seed} {out}'''",
)
_ARGUMENTS: tuple[tuple[tuple[str, ...], bool], ...] = (
    (("--seeds", "0"), True),
    (("--seeds", "-1"), True),
    (("--seeds", "x"), True),
    (("--seeds", "1000000000000"), True),
    (("--jobs", "0"), True),
    (("--jobs", "-3"), True),
    (("--jobs", "1.5"), True),
    (("--scale", "nothing"), True),
    (("--scale", ""), True),
    (("--checkpoint_seconds", "-1"), True),
    (("--checkpoint_seconds", "nan"), True),
    (("--seed", "3"), True),
    (("--model.width", "4"), True),
    (("--epochs", "x"), True),
    (("--nothing", "3"), True),
    (("--out", "study.toml"), True),
    (("--out", "study.toml/inner"), True),
    (("--out", "/dev/null"), True),
    (("--out", "/proc/nothing"), True),
    (("--out", "x" * 300), True),
)


def cases(random: Random, number: int) -> Iterator[Case]:
    """The table, then so many files with some changes each."""
    yield _planned("a sound file of ours", _OURS, False)
    yield _planned("a sound file of a program", _PROGRAM, False)
    for key, values in _BAD_KEYS.items():
        for value in values:
            yield _planned(f"{key} = {value}", _with(key, value), True)
    for text in _BAD_VARIANTS:
        yield _planned(f"variants {text[:60]}", f"seeds = 2\n{text}\n".encode(), True)
    for place, text in enumerate(HOSTILE_TEXTS):
        for key in ("question", "metric", "takes", "shows"):
            yield _planned(f"{key} text {place}", _with(key, text), None)
        yield _planned(f"a figure's source text {place}", _OURS.replace(b'"a paper"', text.encode()), None)
        yield _planned(f"args text {place}", _PROGRAM.replace(b'"--x 1"', text.encode()), None)
        yield _planned(f"a setting's text {place}", _OURS + f"[variants.own]\ndata.path = {text}\n".encode(), None)
    for arguments, bad in _ARGUMENTS:
        yield _study(" ".join(arguments)[:60], _OURS, arguments, bad)
    for i in range(number):
        yield _planned(f"changes {i}", mutated_toml(random.choice((_OURS, _PROGRAM)), random), None)


def _with(key: str, value: str) -> bytes:
    """The sound file with another value of a key, which stands first so that it is in no table."""
    kept, skipping = [], False
    for line in _OURS.decode().splitlines():
        if line.startswith("["):
            skipping = line.startswith((f"[{key}]", f"[{key}."))
        if not skipping and not line.startswith(f"{key} = "):
            kept.append(line)
    return "\n".join((f"{key} = {value}", *kept, "")).encode()


def _planned(name: str, content: bytes, bad: bool | None) -> Case:
    def prepare(folder: Path) -> Attack:
        (folder / "study.toml").write_bytes(content)
        return as_command(_plan)

    return Case(f"studies: {name}", prepare, bad)


def _plan() -> None:
    """What a study does before its first run, but for its data; and nothing that it would write may fail."""
    import json

    import tomli_w

    from truelift.studies.study_file import read_plan

    plan = read_plan(Path("study.toml"))
    plan.equal_variants()
    for run in plan.runs():
        tomli_w.dumps(run.config).encode()
        assert not Path(run.folder).is_absolute()
        assert ".." not in Path(run.folder).parts
        assert all(len(part.encode()) < 256 for part in Path(run.folder).parts)
    json.dumps(plan.record("again", "now"), allow_nan=False).encode()


def _study(name: str, content: bytes, arguments: tuple[str, ...], bad: bool) -> Case:
    def prepare(folder: Path) -> Attack:
        (folder / "study.toml").write_bytes(content)
        return command("study", "study.toml", "--scale", "quick", *arguments)

    return Case(f"studies: the command {name}", prepare, bad, seconds=60)
