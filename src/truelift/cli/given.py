"""Which of an experiment's options the command line gave: they take the place of a file's."""

from typing import Any, get_args

from cyclopts import Parameter

from truelift.errors import InputError

# Names on the command line are the field names as they stand, and `--no-…` twins would double the help.
OPTION_STYLE = Parameter(name_transform=lambda name: name, negative=(), consume_multiple=True)


class Given:
    """Remembers the names of the options that were given, and the texts of a user's own parts' arguments."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._args: dict[str, str] = {}

    def __call__(self, app: Any, commands: Any, arguments: Any) -> None:
        """What the command line's parser calls with all arguments, before it converts them."""
        self._names, self._args = [], {}
        for argument in arguments:
            name = argument.name.removeprefix("--")
            for token in argument.tokens:
                if token.keys:
                    self._args[".".join((name, *token.keys))] = token.value
                    continue
                _refuse_fraction(name, argument.hint, token.value)
                if name not in self._names:
                    self._names.append(name)

    def under(self, group: str, options: Any) -> dict[str, Any]:
        """The values of a group's options that were given, by name."""
        inside = [name.removeprefix(f"{group}.") for name in self._names if name.startswith(f"{group}.")]
        return {name: getattr(options, name) for name in inside}

    def settings(self, experiment: Any) -> dict[str, Any]:
        """The values of the options of `experiment` that were given, typed, by dotted name."""
        from truelift.training.settings import OPTIONS, literal, value_of

        given = {name: value_of(experiment, name) for name in self._names if name in OPTIONS}
        given = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
        return given | {name: literal(text) for name, text in self._args.items()}


def _refuse_fraction(name: str, hint: Any, text: str) -> None:
    """Refuse a number with a fraction where a whole one is wanted: the parser would round it.

    Raises:
        InputError: It has a fraction.
    """
    if int in (hint, *get_args(hint)) and float not in (hint, *get_args(hint)) and "." in text:
        raise InputError(f"{name} must be a whole number, got {text}.")


GIVEN = Given()
