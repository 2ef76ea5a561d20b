"""Where a ReLU's output ends a graph, its gradient's mask is made anew in the backward pass, not kept.

torch keeps the smaller of a ReLU's output and its mask for the backward pass, a byte a value in place of two. But the
output is what the next graph is given and keeps anyway, and the processor's kernels that write and read bytes take ten
times as long as those that do not.

Imported only where something is compiled; another torch may lack what it needs.
"""

import torch
from torch._inductor.custom_graph_pass import CustomGraphPass
from torch.utils.checkpoint import CheckpointPolicy


class _MadeAnew(CustomGraphPass):
    def __call__(self, graph: torch.fx.Graph) -> None:
        """Mark the masks of a joint graph, and what they are made of."""
        for node in graph.nodes:
            if node.target is torch.ops.aten.le.Scalar:
                node.meta["recompute"] = CheckpointPolicy.MUST_RECOMPUTE
                node.args[0].meta["recompute"] = CheckpointPolicy.MUST_SAVE

    def uuid(self) -> str:
        """What a compiled graph in the cache was made with."""
        return "masks made anew, 1"


MADE_ANEW = _MadeAnew()
