"""A JSON schema of study files, made from the typed options: what an editor completes and checks while one is written.

It holds what the reader would take: every key, every option's name and type. Ranges stand in the descriptions; what
depends on several keys at once the reader alone knows.
"""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

from truelift.metrics import PERCENT, Scale
from truelift.options import In, bare, hints
from truelift.seeds import FEWEST_SEEDS, MOST_SEEDS
from truelift.studies.command import PROGRAM_KEYS
from truelift.studies.executors.options import EXECUTORS, ExecutorOptions
from truelift.studies.folds import MOST_FOLDS, REPLICATES
from truelift.studies.study_file import KEYS
from truelift.training.experiment import Experiment
from truelift.training.settings import NAMED_GROUPS
from truelift.verdicts import POOLINGS
from truelift.verdicts.sequential import FIRST_LOOK
from truelift.verdicts.sequential import MOST_SEEDS as MOST_LOOK

_NAME = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
_PERCENT = {"type": "string", "pattern": f"^{PERCENT}$"}


def study_schema(told: Mapping[str, str]) -> dict[str, Any]:
    """The schema (draft 2020-12).

    Args:
        told: What each option is for, by dotted name.
    """
    settings = _group(Experiment, "", told)
    del settings["seed"], settings["own"]
    seeds = {
        "description": "How many, or a list of different whole numbers.",
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": MOST_SEEDS},
            {"type": "array", "items": {"type": "integer"}, "minItems": 1, "uniqueItems": True},
        ],
    }
    until = {
        "description": "Run seeds until the variants are decided.",
        "type": "object",
        "properties": {
            "max_seeds": {"type": "integer", "minimum": FIRST_LOOK, "maximum": MOST_LOOK},
            "looks": {"type": "array", "items": {"type": "integer", "minimum": FIRST_LOOK}, "minItems": 1},
        },
        "additionalProperties": False,
    }
    metric_scale = {"description": "Of the metric's results.", "enum": list(get_args(Scale))}
    number_or_percent = {"anyOf": [{"type": "number", "minimum": 0}, _PERCENT]}
    figure = {
        "type": "object",
        "properties": {
            "value": {"type": "number"},
            "sd": {"type": "number"},
            "runs": {"type": "integer", "minimum": 1},
            "source": {"type": "string"},
        },
        "required": ["value", "source"],
        "additionalProperties": False,
    }
    keys: dict[str, Any] = {
        "question": {"description": "In plain words; the report opens with it.", "type": "string"},
        "baseline": {"description": "The variant that the others are compared with.", "type": "string"},
        "seeds": seeds,
        "until_decided": until,
        "metric": {"description": "What decides: a name in a run's results.", "type": "string"},
        "higher_is_better": {"description": "For a metric whose name does not say it.", "type": "boolean"},
        "smallest_effect": {
            "description": "The smallest difference that matters, in the metric's unit.",
            "type": "number",
            "minimum": 0,
        },
        "scale": metric_scale,
        "guards": {
            "description": "Other metrics, and how much worse they may get at most.",
            "type": "object",
            "additionalProperties": {
                "anyOf": [
                    *number_or_percent["anyOf"],
                    {
                        "type": "object",
                        "properties": {
                            "limit": number_or_percent,
                            "higher_is_better": {"type": "boolean"},
                            "scale": metric_scale,
                        },
                        "required": ["limit"],
                        "additionalProperties": False,
                    },
                ]
            },
        },
        "replicates": {
            "description": "Seeds, or the folds of one data set.",
            "enum": list(REPLICATES),
        },
        "folds": {
            "description": 'With replicates = "folds": how many.',
            "type": "integer",
            "minimum": FEWEST_SEEDS,
            "maximum": MOST_FOLDS,
        },
        "pooling": {"description": "guarded: one noise for three variants and more.", "enum": list(POOLINGS)},
        "vary_split": {"description": "Cut validation and training anew for each seed.", "type": "boolean"},
        **PROGRAM_KEYS,
        "extends": {
            "description": "Another study file, or a recipe's name, whose shared settings come before these.",
            "type": "string",
        },
        "experiment": {
            "description": "Settings that all variants share.",
            "type": "object",
            "properties": settings,
            "additionalProperties": False,
        },
        "variants": {
            "description": "A table for each: settings, or a program of your own.",
            "type": "object",
            "minProperties": 2,
            "propertyNames": {"pattern": _NAME},
            "additionalProperties": {
                "type": "object",
                "properties": {**_or_percent(settings), **PROGRAM_KEYS, "args": _ARGS},
                "additionalProperties": False,
            },
        },
        "shows": {"description": "What it should show.", "type": "string"},
        "takes": {"description": "How long it takes, and on what.", "type": "string"},
        "scales": {
            "description": "The study in other sizes.",
            "type": "object",
            "propertyNames": {"pattern": _NAME},
            "additionalProperties": {
                "type": "object",
                "properties": {
                    **settings,
                    "takes": {"type": "string"},
                    "seeds": seeds,
                    "until_decided": until,
                    "variants": {"type": "array", "items": {"type": "string"}, "minItems": 2},
                },
                "additionalProperties": False,
            },
        },
        "published": {
            "description": "What others report, by variant.",
            "type": "object",
            "additionalProperties": {"anyOf": [figure, {"type": "array", "items": figure, "minItems": 1}]},
        },
        "executor": _executor(told),
    }
    assert keys.keys() == set(KEYS), "a study file has these keys"
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A study file of truelift",
        "type": "object",
        "properties": keys,
        "required": ["variants"],
        "additionalProperties": False,
    }


_ARGS = {"description": "Arguments of this variant, in place of {args} in the command.", "type": "string"}


def _group(options: Any, prefix: str, told: Mapping[str, str]) -> dict[str, Any]:
    """A group's options by name; a group within it is a table, or short for its name."""
    found: dict[str, Any] = {}
    for name, hint in hints(options).items():
        dotted, kind = f"{prefix}{name}", bare(hint)
        if dataclasses.is_dataclass(kind):
            table: dict[str, Any] = {
                "type": "object",
                "properties": _group(kind, f"{dotted}.", told),
                "additionalProperties": False,
            }
            short = NAMED_GROUPS.get(dotted)
            found[name] = table if short is None else {"anyOf": [table, table["properties"][short.rpartition(".")[2]]]}
        else:
            ranges = [f"Must be {one.text}." for one in getattr(hint, "__metadata__", ()) if isinstance(one, In)]
            description = " ".join([told.get(dotted, ""), *ranges]).strip()
            found[name] = {**({"description": description} if description else {}), **_type(kind)}
    return found


def _executor(told: Mapping[str, str]) -> dict[str, Any]:
    """Where a study runs: a name, or a table of options, whose absence alone says that the default is wanted."""
    table = _group(ExecutorOptions, "executor.", told)
    for name, option in table.items():
        if "anyOf" in option:
            described = {key: value for key, value in option.items() if key == "description"}
            table[name] = {**described, **option["anyOf"][0]}
    names = {"enum": list(EXECUTORS)}
    return {
        "description": "What runs the study, as --executor does.",
        "anyOf": [names, {"type": "object", "properties": table, "additionalProperties": False}],
    }


def _type(kind: Any) -> dict[str, Any]:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        # An empty list takes back what the others share.
        parts = [{"type": "array", "maxItems": 0} if part is type(None) else _type(part) for part in inner]
        return {"anyOf": parts}
    if origin is Literal:
        return {"enum": list(inner)}
    if origin is tuple:
        return {"type": "array", "items": _type(inner[0])}
    if origin is dict:
        return {"type": "object"}
    return {"type": {int: "integer", float: "number", bool: "boolean", str: "string"}[kind]}


def _or_percent(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same, where each number may also be in percent of the shared one."""

    def both(schema: dict[str, Any]) -> dict[str, Any]:
        if "properties" in schema:
            return {**schema, "properties": {name: both(inner) for name, inner in schema["properties"].items()}}
        if schema.get("type") in ("integer", "number"):
            rest = {key: value for key, value in schema.items() if key == "description"}
            return {**rest, "anyOf": [{"type": schema["type"]}, _PERCENT]}
        if "anyOf" in schema:
            return {**schema, "anyOf": [both(part) for part in schema["anyOf"]]}
        return schema

    return {name: both(schema) for name, schema in settings.items()}
