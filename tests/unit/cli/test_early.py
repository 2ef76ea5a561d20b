"""What is misspelt is refused without torch, in the parser's words, and nothing else is."""

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from truelift.cli import ahead, app, main, prepared
from truelift.cli.ahead import _study_file
from truelift.cli.early import TABLE, refuse_misspelt
from truelift.cli.option_table import option_table
from truelift.errors import InputError, one_line

MISSPELT = [
    ("train", "--optimizr.lr", "1"),
    ("train", "--optimizer.lr", "much"),
    ("train", "--epochs=many"),
    ("train", "--epochs", "1.5"),
    ("train", "--batch-size", "x"),
    ("train", "--evaluation_views", "flop"),
    ("train", "--Epochs", "3"),
    ("study", "digits", "--sed", "3"),
    ("study", "digits", "--executor", "slrum"),
    ("study", "digits", "--jobs", "2", "--freezing.cash", "none"),
]
RIGHT = [
    ("train", "--help", "--nonsense"),
    ("train", "--batch-size", "3", "--batch_norm_momentum", "dynamic"),
    ("train", "--no-cuda-graphs", "--no-compile"),
    ("train", "--objective", "my.py:Loss", "--objective.args.alpha", "0.5", "--optimizer", "my.own:Sgd"),
    ("train", "--model", "resnet20", "--augmentation", "flip", "crop", "--seed", "-3"),
    ("study", "digits", "--executor", "slurm", "--executor.partition", "gpu", "--quiet"),
    ("study", "digits", "--executor", "slurm", "--executor.args", "--constraint=a100 --exclude=node3"),
    ("study", "digits", "--", "--nonsense"),
    ("judge", "x.csv", "--nonsense"),
]


def test_the_table_is_that_of_the_parser() -> None:
    there = json.loads(files("truelift.cli").joinpath(TABLE).read_text(encoding="utf-8"))
    assert there == json.loads(json.dumps(option_table())), "give: python -m truelift.cli.option_table"


@pytest.mark.parametrize("tokens", MISSPELT, ids=" ".join)
def test_what_is_refused_is_what_the_parser_refuses_in_its_words(tokens: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as early:
        refuse_misspelt(tokens)
    with pytest.raises(Exception, match=r".") as late:
        app.parse_args(prepared(tokens), exit_on_error=False, print_error=False)
    assert str(early.value) == one_line(late.value)


def test_what_stands_in_a_study_file_is_said_to_stand_there() -> None:
    with pytest.raises(
        InputError, match=r"^Unknown option: --smallest-effect\. It stands in the study file: smallest_"
    ):
        refuse_misspelt(["study", "digits", "--smallest-effect", "2"])
    with pytest.raises(InputError, match=r"^Unknown option: --metric\. Did you mean --metrics\?"):
        refuse_misspelt(["train", "--metric", "test_error"])


@pytest.mark.parametrize("seeds", [("1,2,3",), ("0", "1", "2")], ids=" ".join)
def test_a_list_of_seeds_is_told_where_it_stands(seeds: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["study", "digits", "--seeds", *seeds])
    told = capsys.readouterr().err
    assert told.endswith("--seeds is how many; a list of seeds stands in the study file: seeds = [3, 4, 5].\n")
    assert "Tokens" not in told


@pytest.mark.parametrize("tokens", RIGHT, ids=" ".join)
def test_what_is_not_certain_is_left_to_the_parser(tokens: tuple[str, ...]) -> None:
    refuse_misspelt(tokens)


@pytest.mark.parametrize(
    "options",
    [
        ("--out", "digits", "mine.toml"),
        ("--seeds=3", "mine.toml", "--executor.working-dir", "digits"),
        ("--quiet", "mine.toml"),
        ("--model.last-relu", "false", "--no-compile", "mine.toml"),
        ("--scale", "quick", "--", "mine.toml"),
    ],
)
def test_a_value_of_an_option_is_not_taken_for_the_study(options: tuple[str, ...], tmp_path: Path) -> None:
    tokens = [str(tmp_path / token) if token.endswith(".toml") else token for token in options]
    (tmp_path / "mine.toml").write_text('question = "Mine?"')
    assert _study_file(tokens) == (tmp_path / "mine.toml", {"question": "Mine?"})


@pytest.mark.parametrize(
    ("option", "out", "err"),
    [
        ("--json", False, False),
        ("--json=true", False, False),
        ("--quiet=True", False, False),
        ("--json=false", True, False),
        ("--dry-run=1", False, True),
        ("--dry_run", False, True),
        ("--no-json", True, False),
    ],
)
def test_no_heading_stands_before_what_a_program_reads(
    option: str, out: bool, err: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('question = "Mine?"\ncommand = "true"\n')
    ahead.begin([str(file), option])
    said = capsys.readouterr()
    assert (said.out, said.err) == ("mine: Mine?\n" * out, "mine: Mine?\n" * err)


def test_a_name_that_a_registry_lacks_is_refused_as_when_the_experiment_is_checked() -> None:
    with pytest.raises(InputError, match=r'^unknown optimizer "sgdd". Did you mean "sgd"\? Known: sgd, '):
        refuse_misspelt(["train", "--optimizer", "sgdd"])


def test_nothing_large_is_imported_before() -> None:
    program = (
        "import sys\nfrom truelift.cli import main\n"
        "try: main(['train', '--optimizr.lr', '1'])\nexcept SystemExit as end: status = end.code\n"
        "assert status == 2, status\nassert not {'torch', 'numpy', 'scipy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "truelift: error: Unknown option: --optimizr.lr. Did you mean --optimizer.lr?\n"


def test_a_studys_first_line_waits_for_no_large_library() -> None:
    code = "import sys, truelift.cli.ahead; print({'torch', 'numpy', 'pyarrow', 'matplotlib'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
