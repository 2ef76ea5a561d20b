"""The one error that a user's input can cause, and the nearest valid name for a misspelt one."""

import contextlib
import difflib
import numbers
import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeGuard


class InputError(ValueError):
    """Bad input. Its message is one line that names the argument, the rule and the value received.

    The command line prints it and exits with status 2; a library user catches `ValueError`. It may quote names of files
    and other text that came from elsewhere: what would steer a terminal is written out (see `printable`).
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(shortened(message)))


class FailedError(RuntimeError):
    """A valid request has failed, such as a training that diverged; the message is one line.

    The command line prints it and exits with status 1.
    """


class DivergedError(FailedError):
    """The loss, its gradient or another number of the training is not finite.

    Args:
        what: That number: "loss".
        value: inf or NaN.
        step: The first step with it, counted from 1.
        learning_rate: Of that step, where known.
        place: Where in that step it began: "the output of layer conv1".
        skipped: How many steps right before it were left out.
    """

    def __init__(
        self,
        what: str,
        value: float,
        step: int,
        learning_rate: float | None = None,
        place: str | None = None,
        *,
        skipped: int = 0,
    ) -> None:
        self.step, self.learning_rate, self.place = step, learning_rate, place
        message = f"the training diverged: the {what} is {value} at step {step}"
        message += f" with learning rate {learning_rate:.4g}" if learning_rate is not None else ""
        message += f", first in {place}" if place is not None else ""
        super().__init__(message + (f"; the {skipped} steps before it were left out" if skipped else ""))


# In messages of torch, which on a CPU has no exception class for it.
_NO_MEMORY = (
    "without setting an exception",
    "error return without exception set",
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "Storage size calculation overflowed",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: in Python, or in torch, whose error is a `RuntimeError`.

    An import that runs out of memory may also end in a `SystemError`: "… returned NULL without setting an exception".
    """
    told = isinstance(error, RuntimeError | SystemError) and any(words in str(error) for words in _NO_MEMORY)
    return isinstance(error, MemoryError) or told


def is_out_of_processes(error: BaseException) -> bool:
    """Whether the system refused another process or thread."""
    thread = isinstance(error, RuntimeError) and "can't start new thread" in str(error)
    return thread or (isinstance(error, BlockingIOError) and error.filename is None)  # EAGAIN, of a fork


# A file's name while `records.files` writes it.
_WHILE_WRITTEN = re.compile(r"(^|/)\.([^/]+)\.[0-9a-f]{8}\.partial$")


def printable(text: str) -> str:
    r"""`text` with everything that is not visible, line ends and control characters among it, written as escapes.

    >>> print(printable("a\x1b[2Jb\nc é"))
    a\x1b[2Jb\nc é
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


# Of a message. The longest of our own, which list all known names, have some hundreds.
_MOST_CHARACTERS = 2000


def shortened(text: str) -> str:
    """`text` without its middle where it is too long to be read: a value in it may have any length.

    >>> len(shortened("x" * 10**6)) < 3000, shortened("short")
    (True, 'short')
    """
    if len(text) <= _MOST_CHARACTERS:
        return text
    half = _MOST_CHARACTERS // 2
    return f"{text[:half]} … {len(text) - 2 * half} characters more … {text[-half:]}"


def one_line(error: BaseException) -> str:
    """An error's message on one line: of one of the system's its reason and the file, in words without its number.

    >>> one_line(OSError(28, "No space left on device", "runs/.report.html.0a1b2c3d.partial"))
    'No space left on device: runs/report.html'
    """
    if isinstance(error, OSError) and error.strerror and type(error).__str__ is OSError.__str__:
        given = (name for name in (error.filename, error.filename2) if isinstance(name, str | bytes | os.PathLike))
        files = dict.fromkeys(_WHILE_WRITTEN.sub(r"\1\2", os.fsdecode(name)) for name in given)
        return " ".join(": ".join([error.strerror, *([" and ".join(files)] if files else [])]).split())
    return " ".join(str(error).split())


@contextlib.contextmanager
def named(place: str) -> Iterator[None]:
    """Have bad input found in the block say where it stands, unless it begins with that.

    Raises:
        InputError: "PLACE: MESSAGE".
    """
    try:
        yield
    except InputError as error:
        begins = re.match(rf"{re.escape(place)}(?!\w)", str(error))
        raise InputError(str(error) if begins else f"{place}: {error}") from None


def require(name: str, value: object, holds: bool, rule: str) -> None:
    """Refuse `value` unless `holds`.

    Raises:
        InputError: "NAME must be RULE, got VALUE."
    """
    if not holds:
        raise InputError(f"{name} must be {rule}, got {value}.")


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value of a file is a whole number; a truth value is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value of a file is a number; a truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


MOST = 10**12
"""Above any count of steps, images or classes that there will be, and far below where a number overflows."""


def whole(name: str, value: object, least: int, most: int = MOST) -> None:
    """Refuse what is no whole number from `least` to `most`; a truth value is none.

    Raises:
        InputError: "NAME must be RULE, got VALUE."
    """
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        require(name, shown(value), False, f"a whole number of at least {least}")
    number: Any = value
    require(name, value, number >= least, f"at least {least}")
    require(name, value, number <= most, f"at most {most}")


def real(name: str, value: object, holds: Callable[[float], bool], rule: str) -> None:
    """Refuse what is no number, or one for which `holds` does not hold; a tensor of one number is a number.

    Raises:
        InputError: "NAME must be RULE, got VALUE."
    """
    number: Any = value
    try:
        as_float = float("nan") if isinstance(value, bool | str | bytes) else float(number)
    except OverflowError:  # a whole number beyond all others
        as_float = float("inf") if number > 0 else float("-inf")
    except (TypeError, ValueError, RuntimeError):
        as_float = float("nan")
    require(name, shown(value), holds(as_float), rule)


def check_seconds(name: str, value: object) -> None:
    """Refuse what is no time in seconds: below 0, or longer than any training.

    Raises:
        InputError: "NAME must be RULE, got VALUE."
    """
    real(name, value, lambda seconds: seconds >= 0, "at least 0")
    real(name, value, lambda seconds: seconds <= 10**9, "at most 1000000000")


def shown(value: object) -> str:
    """A value in a message: a text in quotes, so that it is not taken for the number in it."""
    return repr(value) if isinstance(value, str | bytes) else str(value)


_KINDS = {dict: "a table", list: "a list", str: "text", bool: "true or false", int: "a whole number", float: "a number"}


def of_kind(name: str, value: object, *kinds: type) -> None:
    """Refuse a value of a TOML file that is of none of some types. True and false are no numbers.

    Args:
        name: The key's.
        value: It.
        kinds: Among dict, list, str, bool, int and float; float takes whole numbers too.

    Raises:
        InputError: "NAME must be a table, got VALUE."
    """
    taken = (*kinds, int) if float in kinds else kinds
    if not isinstance(value, taken) or (isinstance(value, bool) and bool not in kinds):
        raise InputError(f"{name} must be {' or '.join(_KINDS[kind] for kind in kinds)}, got {shown(value)}.")


def known(kind: str, name: object, names: Iterable[str]) -> None:
    """Refuse what is none of the `names` of a `kind`.

    Raises:
        InputError: It is none; the nearest is told.
    """
    names = list(names)
    if not isinstance(name, str):
        require(kind, shown(name), False, f"one of {', '.join(names)}")
    elif name not in names:
        raise unknown_name(kind, name, names)


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a `name` that is not among the `known` names of a `kind`.

    >>> str(unknown_name("model", "resnet21x", ["resnet20", "vgg16"]))
    'unknown model "resnet21x". Did you mean "resnet20"? Known: resnet20, vgg16.'
    """
    known = list(known)
    return InputError(f'unknown {kind} "{name}".{did_you_mean(name, known)} Known: {", ".join(known)}.')


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The question that follows an unknown name, with a space before it; empty where no known name is near.

    Near is a name that is spelt alike, or that begins with the unknown one.

    >>> did_you_mean("resnet21x", ["resnet20", "vgg16"])
    ' Did you mean "resnet20"?'
    >>> did_you_mean("shared", ["identity", "shared-diagonal"])
    ' Did you mean "shared-diagonal"?'
    >>> did_you_mean("diagram", ["identity", "learned"])
    ''
    """
    known = list(known)
    nearest = difflib.get_close_matches(name[:100], known, n=1, cutoff=0.6)  # a name may have any length
    nearest += [whole for whole in known if len(name) > 2 and whole.startswith(name)]
    return f' Did you mean "{nearest[0]}"?' if nearest else ""
