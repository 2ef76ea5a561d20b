"""The command line: each option of each command, without a value, twice, cut short, with the wrong kind of value."""

from collections.abc import Collection, Iterator
from pathlib import Path
from random import Random

from tests.attack.case import Attack, Case, command

# What comes before the option, so that the command ends soon.
_COMMANDS: dict[str, tuple[str, ...]] = {
    "train": ("train", "--print-config"),
    "speedup": ("speedup", "--model", "resnet8", "--batch_size", "1", "--image_size", "8"),
    "figure": ("figure", "gradient-similarity-concept", "--out", "out"),
}
_WRONG = {
    "int": ("x", "3.5", "", " ", "true", "nan", "-1000000", "1" * 40, "0x", "1_", "1e3x", "٣x", "--", "3 4"),
    "float": ("x", "", " ", "true", "nan", "inf", "-inf", "1e999", "-1e300", "0,5", "1/2", "--"),
    "bool": ("x", "", "2", "-1", "nan", "truefalse"),
    "choice": ("x", "", " ", "-1", "CUBIC!", "none none"),
    "str": (),
}
_TEXTS = ("", " ", "\x1b[2J", "\udcff", "é", "😀", "x" * 5000, "\u202ea", "a\nb", "-", "--", "=", "../..", "\\")
_ANY_NUMBER = ("seed", "data.split_seed")

_LINES: tuple[tuple[tuple[str, ...], bool | None], ...] = (
    ((), False),
    (("--help",), False),
    (("-h",), False),
    (("--version",), False),
    (("",), True),
    (("--",), None),
    (("--nothing",), True),
    (("-x",), True),
    (("trian",), True),
    (("Train",), True),
    (("train\n",), True),
    (("\udcff",), True),
    (("😀",), True),
    (("x" * 100_000,), True),
    (("train", "--help"), False),
    (("train", "extra", "--print-config"), True),
    (("train", "--print-config", "--print-config"), None),
    (("train", "--print-config", "maybe"), True),
    (("train", "--print-config=maybe"), True),
    (("train", "--print-config", "false", "--epochs", "0"), True),
    (("train", "--print-config", "--epochs=3"), False),
    (("train", "--print-config", "--epochs", "=3"), True),
    (("train", "--print-config", "--epochs=3=4"), True),
    (("train", "--print-config", "--epochs", "3", "--epochs", "3"), True),
    (("train", "--print-config", "--model", "resnet8", "--model.name", "resnet20"), True),
    (("train", "--print-config", "--data=digits"), False),
    (("train", "--print-config", "--data.name=digits", "--data", "digits"), True),
    (("train", "--print-config", "--own.x", "1"), True),
    (("train", "--print-config", "--own", "1"), True),
    (("train", "--print-config", "--experiment.epochs", "1"), True),
    (("train", "--print-config", "--model.args.x", "1"), True),
    (("train", "--print-config", "--model.args", "1"), True),
    (("train", "--print-config", "--model.args.", "1"), True),
    (("train", "--print-config", "--model.args.x.y", "1"), True),
    (("train", "--print-config", "--model.", "1"), True),
    (("train", "--print-config", "--.model", "1"), True),
    (("train", "--print-config", "--model..name", "resnet8"), True),
    (("train", "--print-config", "--Model", "resnet8"), True),
    (("train", "--print-config", "---epochs", "3"), True),
    (("train", "--print-config", "-epochs", "3"), True),
    (("train", "--print-config", "—epochs", "3"), True),
    (("train", "--print-config", "--epochs 3"), True),
    (("train", "--print-config", "--data.progressive", "--data.stream"), True),
    (("train", "--print-config", *("--nothing" for _ in range(10_000))), True),
    (("train", "--threads", "0", "--epochs", "1"), True),
    (("train", "--threads", "-1", "--epochs", "1"), True),
    (("train", "--threads", "x"), True),
    (("train", "--threads", "100000000"), True),
    (("train", "--checkpoint_seconds", "-1"), True),
    (("train", "--checkpoint_seconds", "nan"), True),
    (("train", "--checkpoint_seconds", "x"), True),
    (("train", "--out", "/dev/null"), True),
    (("train", "--out", "/proc/nothing"), True),
    (("train", "--out", "x" * 300), True),
    (("train", "--config", ""), True),
    (("train", "--config", "\udcff"), True),
    (("train", "--config", "x" * 5000), True),
    (("train", "--data.path", "/dev/zero"), True),
    (("train", "--data.path", "/proc"), True),
    (("train", "--data.path", "nothing\x1b[2J"), True),
    (("train", "--data.path", ""), True),
    (("study",), True),
    (("study", ""), True),
    (("study", "nothing"), True),
    (("study", "nothing.toml"), True),
    (("study", "\udcff"), True),
    (("study", "/dev/zero"), True),
    (("study", "/"), True),
    (("study", "digits", "digits"), True),
    (("study", "x" * 5000), True),
    (("study", "digits", "--scale", "x"), True),
    (("study", "digits", "--seeds", "0"), True),
    (("study", "digits", "--seeds", "1000000000000"), True),
    (("study", "digits", "--checkpoint_seconds", "1e300"), True),
    (("study", "digits", "--checkpoint_seconds", "inf"), True),
    (("train", "--checkpoint_seconds", "1e300"), True),
    (("study", "digits", "--jobs", "0"), True),
    (("study", "--help"), False),
    (("report",), True),
    (("report", ""), True),
    (("report", "nothing"), True),
    (("report", "/dev/null"), True),
    (("report", "/"), True),
    (("report", "\udcff\x1b[2J"), True),
    (("report", "a", "b"), True),
    (("report", "--epochs", "3", "."), True),
    (("report", "."), True),
    (("report", "x" * 5000), True),
    (("report", ".", "--metric", ""), True),
    (("report", ".", "--metric", "balanced_accuracy"), True),
    (("predict",), True),
    (("predict", "nothing", "x.png"), True),
    (("predict", ".", "x.png"), True),
    (("predict", "/dev/zero", "/dev/zero"), True),
    (("predict", ".", "\udcff", "--top", "0"), True),
    (("export",), True),
    (("export", "."), True),
    (("export", ".", "--to", "x"), True),
    (("export", "nothing\x1b[2J", "--to", "onnx"), True),
    (("export", "/dev/zero", "--to", "safetensors", "--out", "/"), True),
    (("card",), True),
    (("card", "/dev/zero"), True),
    (("card", ".", "--out", "/dev/null"), True),
    (("train", "--print-config", "--tracker", ""), True),
    (("train", "--print-config", "--tracker", "x\x1b[2J"), True),
    (("train", "--print-config", "--tracker", "own.py:Nothing"), True),
    (("recipes",), False),
    (("recipes", "x"), True),
    (("recipes", "--x"), True),
    (("figure",), True),
    (("figure", ""), True),
    (("figure", "nothing"), True),
    (("figure", "gradient-similarity-concept", "--data", "digits"), True),
    (("figure", "gradient-similarity-concept", "--out", "/dev/null"), True),
    (("figure", "gradient-similarity-concept", "--out", "/proc/x"), True),
    (("figure", "gradient-similarity-concept", "--out", "x" * 300), True),
    (("figure", "gradient-similarity-concept", "--epochs", "3"), True),
    (("study",), True),
    (("study", "nothing"), True),
    (("study", "nothing.toml"), True),
    (("study", "digits", "--until-decided"), True),
    (("study", "digits", "--until-decided", "--max-seeds", "2"), True),
    (("study", "digits", "--until-decided", "--max-seeds", "1000000000"), True),
    (("study", "digits", "--until-decided", "--max-seeds", "x"), True),
    (("study", "digits", "--until-decided", "--max-seeds", "9", "--seeds", "5"), True),
    (("study", "digits", "--max-seeds", "9"), True),
    *(
        (("study", "digits", "--until-decided", "--looks", looks), True)
        for looks in ("", "x", "3,", "5,3", "3,3", "2,5", "3,500", "3,5.0", "9" * 5000, "3,-5", ",".join(["3"] * 9999))
    ),
    (("study", "digits", "--again"), True),
    (("study", "digits", "--confirm"), True),
    (("study", "digits", "--ledger", "/dev/null"), True),
    (("study", "digits", "--ledger", "."), True),
    (("study", "digits", "--ledger", "l", "--seeds", "2"), True),
    (("study", "digits", "--ledger", "l", "--until-decided", "--max-seeds", "9"), True),
    (("study", "digits", "--jobs", "1000000000"), True),
    (("ledger",), True),
    (("ledger", "nothing"), True),
    (("ledger", "nothing", "--promote", "1"), True),
    (("ledger", "l", "--rule", "x"), True),
    (("ledger", "l", "--rule", "spending"), False),
    (("ledger", "l", "--rule", "lord", "--candidates", "5"), True),
    *((("ledger", "l", "--alpha", alpha), True) for alpha in ("0", "1", "-1", "nan", "inf", "x", "")),
    *((("ledger", "l", "--candidates", count), True) for count in ("0", "-1", "1.5", "x", "", "9" * 400)),
    (("ledger", "/dev/null", "--rule", "lord"), True),
    (("ledger", "/proc/nothing", "--rule", "lord"), True),
    (("ledger", "x" * 300, "--rule", "lord"), True),
    (("judge",), True),
    (("judge", "nothing.csv"), True),
    (("judge", "/dev/null"), True),
    (("judge", "."), True),
    (("plan",), True),
    (("plan", "digits"), False),
    (("plan", "digits", "--effect", "0.5"), True),
    (("plan", "digits", "--until-decided", "--max-seeds", "9"), False),
    (("plan", "--until-decided", "--max-seeds", "9"), True),
    (("plan", "--effect", "0.5"), True),
    (("plan", "--effect", "0.5", "--sd", "0.25"), False),
    (("plan", "0.5", "0.25"), True),
    (("speedup", "--freezing", "adaptive-gradient"), True),
    (("speedup", "--freezing", "none"), None),
    (("speedup", "--model", "nothing"), True),
    (("speedup", "--data.path", "nothing"), None),
)

_PLAN_NUMBERS = {
    "effect": ("0", "-1", "nan", "inf", "-inf", "x", "", "true", "1e999"),
    "sd": ("0", "-1", "nan", "inf", "-inf", "x", "", "true", "1e999"),
    "power": ("0", "1", "-1", "2", "nan", "inf", "x", ""),
    "alpha": ("0", "1", "-1", "2", "nan", "inf", "x", ""),
}
_EXTREME = ("1e-300", "1e-12", "1e-3", "1", "1e3", "1e12", "1e300")
_SIZES = {
    "image_size": ("0", "-1", "-8", "1000000000", "x", "1.5", "", "9" * 30, "nan", "1"),
    "channels": ("0", "-1", "1000000000", "x", "1.5", "", "9" * 30),
    "classes": ("0", "-1", "1000000000000", "x", "1.5", "", "9" * 30),
    "threads": ("0", "-1", "100000000", "x", ""),
    "measure": ("x", "2", ""),
}


def cases(random: Random, number: int) -> Iterator[Case]:
    """The table, then so many lines of words drawn by chance."""
    for line, bad in _LINES:
        yield _line(line, bad)
    for option, texts in _PLAN_NUMBERS.items():
        for text in texts:
            rest = {"effect": "0.5", "sd": "0.25"} | {option: text}
            yield _line(("plan", *(word for name, value in rest.items() for word in (f"--{name}", value))), True)
    for effect in _EXTREME:
        for sd in _EXTREME:
            yield _line(("plan", "--effect", effect, "--sd", sd), None)
    for power, alpha in (("1e-300", "0.05"), ("0.8", "1e-300"), ("0.9999999999999999", "0.05"), ("0.01", "0.5")):
        yield _line(("plan", "--effect", "1", "--sd", "1", "--power", power, "--alpha", alpha), None)
    for option, texts in _SIZES.items():
        for text in texts:
            # The last of two counts as an error of its own, so the option stands alone.
            yield _line(("speedup", "--model", "resnet8", "--batch_size", "1", f"--{option}", text), True)
    options = _options()
    names = {name for name, _, _ in options}
    for option, kind, optional in options:
        yield from _of_option(option, kind, optional, names)
    for name, source in _OWN.items():
        yield _own(name, source)
    for i in range(number):
        yield _drawn(i, random)


def _options() -> list[tuple[str, str, bool]]:
    from tests.attack.settings_cases import _kinds, _options

    found = []
    for name, hint in _options().items():
        kinds = _kinds(hint)
        if len(kinds) == 1:
            found.append((name, {"literal": "choice"}.get(next(iter(kinds)), next(iter(kinds))), "None" in str(hint)))
    return found


def _of_option(option: str, kind: str, optional: bool, others: Collection[str]) -> Iterator[Case]:
    start = _COMMANDS["train"]
    flag = f"--{option}"
    if kind == "dict":
        return
    if kind != "bool" and kind != "tuple":
        yield _line((*start, flag), True)
    if not option.endswith((".name", ".names")) and option[:-1] not in others:
        yield _line((*start, flag[:-1], "1"), True)
    if kind != "tuple":
        yield _line((*start, flag, "1", flag, "1"), True)
    yield _line((*start, f"--no-{option}"), True)
    yield _line((*start, f"{flag}.x", "1"), True)
    yield _line((*start, flag.upper(), "1"), True)
    for text in _WRONG.get(kind, ()):
        allowed = {"-1000000"} if option in _ANY_NUMBER else {"-1e300"} if option.endswith("threshold") else set()
        if text not in allowed:
            yield _line((*start, flag, text), None if (text == "--" or option == "objective.margin_cap") else True)
    if kind in ("str", "tuple", "choice"):
        for text in _TEXTS:
            yield _line((*start, flag, text), None)
            yield _line((*start, f"{flag}={text}"), None)
    for name in ("speedup", "figure"):
        if kind in ("int", "float"):
            yield _line((*_COMMANDS[name], flag, "x"), True)


_OWN: dict[str, bytes] = {
    "nothing in it": b"",
    "no Python": b"def (",
    "a NUL": b"x = 1\x00",
    "another encoding": b"# \xff\xfe",
    "one that raises": b"raise RuntimeError('a\\nb\\x1b[2J')",
    "one that leaves": b"raise SystemExit(3)",
    "one that stops": b"import sys\nsys.exit('gone')",
    "no callable": b"Part = 3",
    "a class that needs more": b"class Part:\n    def __init__(self, a, b): pass",
    "a name that raises": b"def __getattr__(name): raise RuntimeError('x')",
    "deep brackets": b"Part = " + b"(" * 5000 + b")" * 5000,
    "recursion": b"def f(): return f()\nf()",
}


def _own(name: str, source: bytes) -> Case:
    def prepare(folder: Path) -> Attack:
        file = f"{name.replace(' ', '_')}.py"  # a module is imported once a process
        (folder / file).write_bytes(source)
        return command("train", "--print-config", "--objective", f"{file}:Part")

    return Case(f"command line: own part, {name}", prepare, bad=None if "more" in name else True)


def _drawn(number: int, random: Random) -> Case:
    from tests.attack.settings_cases import _options

    names = list(_options())
    words = ["3", "-1", "x", "", "true", "digits", "resnet8", "nan", "--", "a=b", "--x", "\udc80", "[1]", "0.5", "none"]
    line = [random.choice(("train", "train", "speedup", "report", "recipes", "plan", "figure", "judge", "ledger"))]
    for _ in range(random.randint(1, 6)):
        option = (
            f"--{random.choice(names)}" if random.random() < 0.7 else random.choice(("--out", "--effect", "--data"))
        )
        line.append(option + ("=" + random.choice(words) if random.random() < 0.3 else ""))
        line += random.choices(words, k=random.choice((0, 1, 1, 1, 2)))
    if line[0] == "train":
        line.insert(1, "--print-config")
    elif line[0] == "speedup":
        line.insert(1, "--model=resnet9")  # which there is not: it never comes to a network
    return _line(tuple(line), True if line[0] == "speedup" else None, name=f"drawn {number}: {line!r}")


def _line(words: tuple[str, ...], bad: bool | None, name: str | None = None) -> Case:
    def prepare(folder: Path) -> Attack:
        return command(*words)

    told = " ".join(words)
    return Case(f"command line: {name or told[:150]!a}", prepare, bad, seconds=60)
