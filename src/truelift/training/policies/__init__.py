"""Third seam: what follows the progress of a training.

To add a policy: a file with its options, ranges and class, and its line in `POLICIES`; options of its own join
`PolicyOptions`. Such a file may be a technique's: what is called is described in `policies.own`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any

from truelift.options import Conflict, OneOf, Registry, without_shared_fields
from truelift.own import is_import_path
from truelift.techniques import averaged_weights, lookahead
from truelift.training.policies import own
from truelift.training.policies.base import Around, Policy, Progress

POLICIES: Registry[Any] = Registry("policy", {"averaged-weights": averaged_weights.build, "lookahead": lookahead.build})


@without_shared_fields
@dataclass(frozen=True, kw_only=True)
class PolicyOptions(averaged_weights.AveragedWeightsOptions, lookahead.LookaheadOptions):
    """What else follows the progress of the training, beside schedule and freezing."""

    names: Annotated[tuple[str, ...], OneOf(POLICIES)] = ()
    """Further policies, in this order. averaged-weights: an exponential moving average of the weights (EMA) is
    evaluated. lookahead: every few steps the weights go back part of the way. Or your own, package.module:name or
    file.py:name: a class with FreezeOut's interface, at most one."""

    args: dict[str, Any] = field(default_factory=dict)
    """Your own policy's arguments: --policy.args.NAME VALUE."""

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between these options."""
        yield "names", len(set(self.names)) == len(self.names), "different ones"
        yield "names", sum(map(is_import_path, self.names)) <= 1, "names of which one at most is an import path"


def build(options: PolicyOptions, around: Around) -> list[Policy]:
    """The policies that `options` describe, in order.

    Raises:
        InputError: A user's own one cannot be built.
    """
    built: list[Policy] = []
    for name in options.names:
        found = POLICIES.find(name)
        if is_import_path(name):
            built.append(own.build("policy", name, found, options.args, around._asdict()))
        else:
            built.append(own.OwnPolicy("policy", name, found(options, around)))
    return built


__all__ = ["POLICIES", "Around", "Policy", "PolicyOptions", "Progress", "build"]
