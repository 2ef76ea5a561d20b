"""How many graphs torch.compile makes of the same code."""

import torch


def allow_graphs(needed: int) -> None:
    """Raise torch.compile's limit to so many, and to what else is compiled anew; beyond it, it runs eagerly."""
    config = torch._dynamo.config
    needed += 8  # the limit's own default
    name = "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit"  # as torch 2.6 calls it
    setattr(config, name, max(getattr(config, name), needed))
