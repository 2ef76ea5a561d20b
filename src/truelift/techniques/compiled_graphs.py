"""How torch.compile makes graphs of parts of a network."""

import importlib
from collections.abc import Callable
from typing import Any

import torch


def compile_alike(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that is called with one module after the other: equal ones once, each size anew.

    A module with hooks is none that equals one without, whenever they were set.
    """
    torch._dynamo.config.skip_nnmodule_hook_guards = False
    options: dict[str, Any] | None = None
    try:
        from truelift.techniques.masks import MADE_ANEW

        options = {"joint_custom_pre_pass": MADE_ANEW}
    except ImportError:  # another torch: slower steps
        pass
    return torch.compile(function, dynamic=False, options=options)


def allow_graphs(needed: int) -> None:
    """Raise torch.compile's limit to so many, and to what else is compiled anew; beyond it, it runs eagerly."""
    config = torch._dynamo.config
    needed += 8  # the limit's own default
    name = "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit"  # as torch 2.6 calls it
    setattr(config, name, max(getattr(config, name), needed))


def import_compiler() -> None:
    """Import torch's compiler now, for a part that sets its stance, or computes again, in training.

    torch imports it with the first such pass, in seconds that would count as the training's: of this part's alone,
    beside variants without it.
    """
    importlib.import_module("torch._dynamo")
