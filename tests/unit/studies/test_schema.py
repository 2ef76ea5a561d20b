"""The JSON schema of study files takes what the reader takes, and refuses what it would refuse."""

from typing import Any

import pytest

from truelift import recipes
from truelift.studies.schema import study_schema
from truelift.toml import parse_toml, read_toml
from truelift.training.settings import OPTIONS

jsonschema = pytest.importorskip("jsonschema")


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = study_schema({"model.width": "Channels."})
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe(validator: Any, name: str) -> None:
    assert [error.message for error in validator.iter_errors(read_toml(recipes.find(name)))] == []


TWO = "[variants.a]\n[variants.b]\n"


@pytest.mark.parametrize(
    "text",
    [
        "experiment.data = 'cifar10'\nexperiment.model.name = 'resnet20'\n" + TWO,
        "seeds = [3, 5]\nguards = { test_accuracy = '3 %', x_loss = { limit = 1, higher_is_better = false } }\n" + TWO,
        "[until_decided]\nmax_seeds = 9\n[variants.a]\nepochs = '80 %'\n[variants.b]\ndata.progressive = []\n",
        "command = 'a {seed} {out} {args}'\ninputs = ['x']\ntimeout = 3.5\nretries = 2\n" + TWO + "args = '-x'\n",
        "experiment.objective.name = 'my.py:Loss'\nexperiment.objective.args.alpha = 0.5\n" + TWO,
        "extends = 'short-94'\nexecutor = 'slurm'\n" + TWO,
        "executor = { name = 'slurm', partition = 'gpu', time = '4h', retries = 2 }\n" + TWO,
        "[scales.quick]\nseeds = 3\nepochs = 2\nvariants = ['a', 'b']\n" + TWO,
    ],
)
def test_what_is_taken(validator: Any, text: str) -> None:
    assert [error.message for error in validator.iter_errors(parse_toml(text))] == []


@pytest.mark.parametrize(
    "text",
    [
        "sedes = 3\n" + TWO,
        "seeds = 0\n" + TWO,
        "seeds = '3'\n" + TWO,
        "experiment.epochs = '3'\n" + TWO,
        "experiment.epochs = 2.5\n" + TWO,
        "experiment.model.widht = 4\n" + TWO,
        "experiment.precision = 'fp8'\n" + TWO,
        "experiment.seed = 1\n" + TWO,
        "experiment.epochs = '80 %'\n" + TWO,
        "retries = -1\n" + TWO,
        "scale = 'percent'\n" + TWO,
        "extends = 3\n" + TWO,
        "executor = 'slrum'\n" + TWO,
        "executor = { name = 'slurm', retries = [] }\n" + TWO,
        "executor = { partitoin = 'gpu' }\n" + TWO,
        "[variants.a]\n",
        "question = 'no variants'\n",
        "[variants.'a b']\n[variants.c]\n",
    ],
)
def test_what_is_refused(validator: Any, text: str) -> None:
    assert not validator.is_valid(parse_toml(text))


def test_it_has_every_option() -> None:
    settings = study_schema({"model.width": "Channels."})["properties"]["experiment"]["properties"]

    def names(properties: dict[str, Any], prefix: str = "") -> set[str]:
        found = set()
        for name, schema in properties.items():
            table = next((part for part in schema.get("anyOf", [schema]) if "properties" in part), None)
            found |= {f"{prefix}{name}"} if table is None else names(table["properties"], f"{prefix}{name}.")
        return found

    assert names(settings) == set(OPTIONS) - {"seed", "own"}
    width = next(part for part in settings["model"]["anyOf"] if "properties" in part)["properties"]["width"]
    assert width["description"] == "Channels. Must be at least 1."
