"""Files of settings: each option with values of every other type, out of every range, and files that are no TOML."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from tests.attack.case import Attack, Case, command
from tests.attack.mutations import HOSTILE_TEXTS, mutated_toml

# Of each type, values that no option of that type may have.
_WRONG: Mapping[str, tuple[str, ...]] = {
    "int": ('"3"', "3.5", "true", "[3]", "{ a = 1 }", "2020-01-01", "nan", "-1000000", "1" + "0" * 30, "0x" + "f" * 40),
    "float": ('"0.1"', "true", "[0.1]", "{ a = 1 }", "07:32:00", "nan", "inf", "-inf", "-1e300", "1e300", "1e999"),
    "bool": ('"true"', "1", "0", "0.0", "[true]", "{}", "[]", '""'),
    "str": ("3", "0.5", "true", '["a"]', "{ a = 1 }", "1979-05-27T07:32:00Z", "nan"),
    "literal": ('"no such one"', '""', '"Linear "', "3", "true", '["a"]', '"a\\u0000b"', '"\\u202e"'),
    "tuple": ("3", "true", "{ a = 1 }", "[[1]]", "[nan]", "[true]", "[{}]", "[2020-01-01]", '"a"'),
    "dict": ("3", "true", '"a"', "[1]", "nan"),
}

# What a number of every size may be.
_ANY_NUMBER = ("seed", "data.split_seed")
# Ranges that reach below zero, or above what others have.
_WIDE = {"gradient.threshold": ("-1e300",), "objective.margin": (), "batch_norm_momentum": ()}

_BROKEN_FILES: Mapping[str, tuple[bytes, bool | None]] = {
    "nothing": (b"", False),
    "a comment": (b"# nothing\n", False),
    "a mark of byte order": (b"\xef\xbb\xbfepochs = 3\n", None),
    "UTF-16": ("epochs = 3\n".encode("utf-16"), True),
    "Latin-1": (b'device = "\xe9"\n', True),
    "a NUL": (b"epochs = 3\x00\n", True),
    "a NUL in text": (b'data.path = "a\\u0000b"\n', None),
    "a key twice": (b"epochs = 3\nepochs = 4\n", True),
    "a key as value and table": (b"model = 'resnet8'\nmodel.width = 4\n", True),
    "a name twice in two forms": (b"[model]\nname = 'resnet8'\n[data]\nname = 'digits'\n[model]\nwidth = 4\n", True),
    "an empty key": (b'"" = 3\n', True),
    "a key of spaces": (b'" epochs" = 3\n', True),
    "a key with a dot": (b'"model.width" = 4\n', None),
    "a table for a number": (b"[epochs]\na = 3\n", True),
    "a list of tables": (b"[[model]]\nwidth = 4\n", True),
    "an unknown table": (b"[modle]\nwidth = 4\n", True),
    "an unknown key": (b"epoch = 3\n", True),
    "a key that is an attribute": (b"__class__ = 3\n", True),
    "a key of a property": (b"has_auxiliary_task = true\n", True),
    "a parent's key": (b"model.args.__init__.__globals__ = 3\n", True),
    "a digest of its own": (b'[own]\n"my.py:Loss" = "0000"\n', None),
    "own of a wrong type": (b"own = 3\n", True),
    "own of numbers": (b"[own]\na = 3\n", True),
    "args of a known part": (b"[objective.args]\nalpha = 1\n", True),
    "no value": (b"epochs =\n", True),
    "no key": (b"= 3\n", True),
    "half a line": (b'device = "cp', True),
    "nothing but brackets": (b"[" * 10_000, True),
    "nested lists": (b"a = " + b"[" * 5000 + b"]" * 5000 + b"\n", True),
    "nested tables": (b"a = " + b"{ a = " * 3000 + b"1" + b" }" * 3000 + b"\n", True),
    "a deep dotted key": (b".".join([b"a"] * 20_000) + b" = 1\n", True),
    "a deep dotted key of args": (b"model.args." + b".".join([b"a"] * 20_000) + b" = 1\n", True),
    "a long number": (b"epochs = " + b"1" * 100_000 + b"\n", True),
    "a long hexadecimal number": (b"epochs = 0x" + b"f" * 100_000 + b"\n", True),
    "a long text": (b'device = "' + b"x" * 1_000_000 + b'"\n', True),
    "a long key": (b"x" * 1_000_000 + b" = 1\n", True),
    "a hundred thousand keys": (b"".join(b"key%d = 1\n" % i for i in range(100_000)), True),
    "a hundred thousand milestones": (
        b"schedule.name = 'step'\nschedule.milestones_steps = [" + b"1," * 100_000 + b"]\n",
        None,
    ),
    "a surrogate": (b'device = "\\ud800"\n', True),
    "an escape": (b'device = "\\u001b[2J"\n', True),
    "a line end in a key": (b'"a\\nb" = 1\n', True),
    "carriage returns": (b"epochs = 3\r\nseed = 1\r\n", False),
    "bytes": (bytes(range(256)), True),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), True),
}

_SOUND = b"""# a run
seed = 1
epochs = 3
batch_size = 32
[data]
train_images = 100
validation_fraction = 0.2
[model]
name = "resnet8"
width = 4
last_relu = true
[optimizer]
name = "sgd"
lr = 0.05
[schedule]
name = "step"
milestones_percent = [50.0, 75.0]
[augmentation]
names = ["mixup"]
mixup_alpha = 0.3
"""


def cases(random: Random, number: int) -> Iterator[Case]:
    """The table, then so many files with some changes each."""
    yield _file("a sound file", _SOUND, False)
    for name, (content, bad) in _BROKEN_FILES.items():
        yield _file(name, content, bad)
    for option, hint in _options().items():
        for text in _wrong(option, hint):
            yield _file(f"{option} = {text[:40]}", f"{option} = {text}\n".encode(), True)
        if _kinds(hint) == {"str"}:
            for i, hostile in enumerate(HOSTILE_TEXTS):
                yield _file(f"{option} = text {i}", f"{option} = {hostile}\n".encode(), None)
        group, dot, field = option.rpartition(".")
        yield _file(f"{option} misspelt", f"{group}{dot}{field}_ = 1\n".encode(), True)
    for name, place in _PLACES.items():
        yield Case(f"settings: a file that is {name}", place, bad=True)
    for i in range(number):
        yield _file(f"changes {i}", mutated_toml(_SOUND, random), None)


def _options() -> dict[str, Any]:
    from truelift.training.settings import OPTIONS

    return {name: hint for name, hint in OPTIONS.items() if name != "own"}


def _wrong(option: str, hint: Any) -> list[str]:
    kinds = _kinds(hint)
    allowed = {"-1000000", "-1e300", "1e300"} if option in _ANY_NUMBER else set(_WIDE.get(option, ()))
    taken = {
        "int": {"3"},
        "float": {"0.1", "0.5", "3"},
        "bool": {"true"},
        "str": {'"3"', '"0.1"', '"a"', '"true"', '""'},
        "literal": set(),
        "tuple": {"[3]", "[0.1]", "[1]", '["a"]', "[]"},
        "dict": {"{ a = 1 }", "{}"},
    }
    sound = set().union(*(taken[kind] for kind in kinds)) | allowed
    if NoneType in get_args(hint):
        sound |= {"[]"}
    if kinds == {"tuple"} and option.endswith("names"):
        sound |= {"3"} & set()
    return sorted({text for kind in kinds for text in _WRONG[kind]} - sound)


def _kinds(hint: Any) -> set[str]:
    """What a type is made of, of those in `_WRONG`."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return set().union(*(_kinds(part) for part in get_args(hint) if part is not NoneType))
    if origin is Literal:
        return {"literal"}
    return {(origin or hint).__name__}


def _file(name: str, content: bytes, bad: bool | None) -> Case:
    def prepare(folder: Path) -> Attack:
        (folder / "run.toml").write_bytes(content)
        return command("train", "--config", "run.toml", "--print-config")

    return Case(f"settings: {name}", prepare, bad)


def _missing(folder: Path) -> Attack:
    return command("train", "--config", "run.toml", "--print-config")


def _a_folder(folder: Path) -> Attack:
    (folder / "run.toml").mkdir()
    return _missing(folder)


def _a_pipe(folder: Path) -> Attack:
    import os

    os.mkfifo(folder / "run.toml")
    return _missing(folder)


def _a_device(folder: Path) -> Attack:
    return command("train", "--config", "/dev/zero", "--print-config")


def _a_loop(folder: Path) -> Attack:
    (folder / "run.toml").symlink_to("run.toml")
    return _missing(folder)


def _sparse(folder: Path) -> Attack:
    with (folder / "run.toml").open("wb") as file:
        file.truncate(1 << 40)
    return _missing(folder)


_PLACES = {
    "missing": _missing,
    "a folder": _a_folder,
    "a pipe": _a_pipe,
    "a device": _a_device,
    "a link to itself": _a_loop,
    "of a terabyte": _sparse,
}
