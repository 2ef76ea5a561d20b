"""Every command in the documentation is understood by the command line: its name, its options, their values."""

import re
import shlex

import pytest

from tests.docs.blocks import ALL, PAGES, ROOT
from truelift.cli import _COMMANDS, app, prepared
from truelift.cli.given import OPTION_STYLE
from truelift.training.settings import NAMED_GROUPS

COMMAND = re.compile(r"(?:^|\s|'|`)(?:truelift|-m truelift) +([a-z][^\n]*)")

MEANT = {"K": "5", "FORM": "onnx"}
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
    """What stands behind `truelift` in a block's lines, without comments; continued lines are one."""
    lines = text.replace("\\\n", " ").splitlines()
    found = [COMMAND.search(line) for line in lines if not line.startswith(("{", "[", "#"))]
    return [re.split(r"\s#|['&|>]| 2>", one[1])[0].strip() for one in found if one]


IN_BLOCKS = [
    (b.name, line) for b in ALL if b.language in ("", "sh", "bash") and not b.reason for line in commands(b.text)
]
IN_LINES = [
    (str(page.relative_to(ROOT)), found.strip())
    for page in PAGES
    for found in re.findall(r"`truelift +([a-z][^`…]*)`", re.sub(FENCE, "", page.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize("command", sorted({line for _, line in IN_BLOCKS}))
def test_a_block_s_command_is_understood(command: str) -> None:
    understood(command)


@pytest.mark.parametrize("command", sorted({" ".join(line.split()) for _, line in IN_LINES}))
def test_a_command_within_a_sentence_is_understood(command: str) -> None:
    """One that is only mentioned, by its name or an option, need not be whole."""
    name, *options = command.split()
    assert name in app
    if len(options) > 1 or (options and not options[0].startswith("-")):
        understood(command)


def test_an_option_is_written_with_hyphens() -> None:
    """In one way: whoever searches for it would find half. An own part's arguments are named as it names them."""
    option = re.compile(r"--(?!\S*\.args\.)[a-z][\w.-]*_[\w.-]*")
    texts = {page.name: page.read_text("utf-8") for page in PAGES if "results" not in page.parts}
    assert [(name, found) for name, text in texts.items() for found in option.findall(text)] == []


def test_an_option_that_is_named_is_one_of_a_command_s() -> None:
    of_commands = [app[name].assemble_argument_collection(default_parameter=OPTION_STYLE) for name in _COMMANDS]
    names = [name for arguments in of_commands for argument in arguments for name in argument.names]
    known = {name.removeprefix("--").replace("-", "_") for name in names}
    texts = {page.name: page.read_text("utf-8") for page in PAGES if "results" not in page.parts}
    named = {(name, found) for name, text in texts.items() for found in re.findall(r"`--([a-z][\w.-]*)", text)}
    unknown = {(name, option) for name, option in named if option.replace("-", "_") not in known | set(NAMED_GROUPS)}
    assert {(name, option) for name, option in unknown if ".args" not in option} == {("glossary.md", "help")}


def test_they_are_found() -> None:
    assert len(IN_BLOCKS) > 20
    assert len(IN_LINES) > 20


def understood(command: str) -> None:
    """Parse it; capital words stand for something of the reader's. They are texts, but for those in `MEANT`."""
    tokens = [MEANT.get(token, token) for token in shlex.split(re.sub(r"\[.*?\]| > .*", "", command))]
    app.parse_args(prepared(tokens), exit_on_error=False, print_error=False)
