"""Auxiliary losses by gradient similarity. T losses, the main one first; A = T − 1 auxiliary ones; G groups."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.amp import GradScaler

from truelift.errors import InputError, known, real, require, whole
from truelift.techniques.devices import Late, answers_at_once
from truelift.techniques.exchange import agree, processes
from truelift.techniques.gradient_similarity.agreement import Fingerprints
from truelift.techniques.gradient_similarity.checks import (
    check_state,
    checked_losses,
    checked_parameters,
    late_error,
    not_finite,
    weights_of_rule,
)
from truelift.techniques.gradient_similarity.combined import Combined
from truelift.techniques.gradient_similarity.gradients import Gradients, gradients_of
from truelift.techniques.gradient_similarity.graph import Reach, of_one_compiled_graph, overlaps, reach, weights_among
from truelift.techniques.gradient_similarity.groups import Granularity, Groups, Measured, Name, rows_of
from truelift.techniques.gradient_similarity.rules import Rule, Weighting, cosines, similarity_weights


class GradientSimilarity:
    """Adds an auxiliary loss's gradient as far as it points where the main loss's does.

    Formula, with θ the parameters that both losses depend on:

        weighted:    θ follows g_main + max(0, cos(g_main, g_aux))·g_aux
        unweighted:  θ follows g_main + g_aux where cos(g_main, g_aux) ≥ 0, else g_main
        a private parameter follows its own loss

    Several auxiliary losses are each held against the main one. Gradients are added to `.grad`, as `backward()` does.
    A loss depends on what any part of the batch reaches (`accumulate`), whatever the order of the parts. Tensors that
    need a gradient and are no `nn.Parameter`, images for instance, take no part where there are parameters: they follow
    the plain sum. Sparse gradients and complex parameters count as the dense and real ones that they stand for.
    Shared parameters that freeze (`requires_grad` is False) take no part. Where all that were measured are frozen, the
    last weights hold for what is still shared; where nothing is any more, each loss goes on with its own parameters.

    Args:
        rule: weighted or unweighted; or a function from the Gram matrix of the gradients, float64 (T, T), to the weight
            of each, (T,): `multi_task`, `single_task`, `pcgrad`, `GradVac`, or a weighting of TorchJD.
        threshold: The cosine that an auxiliary loss must reach, in [0, 1); 0 where the rule is a function.
        granularity: One cosine for all shared parameters (global), for each module that holds some (layer; needs
            `network`), or for each parameter (tensor).
        measured: Which shared parameters enter the cosine: all; convolutions, those of three dimensions and more; or
            the parameters given. The weight then holds for all shared parameters.
        one_pass: Take the gradients of the measured parameters alone first, and those of all others in one backward
            pass of the weighted losses. The same result; cheaper where the measured ones are the trunk's last.
        every_steps: Steps between two measurements of the cosines, at least 1. In between the last weights hold, and
            one pass is enough.
        average_decay: Of the cosines' moving averages, in [0, 1).
        use_average: Weigh by the moving average, not by the step's own cosine; False where the rule is a function,
            which sees the step's gradients alone.
        shared: The parameters that the rule is for. Default: found in each step from the losses' graphs. Must be given
            where trunk and heads are one compiled graph, in which every loss reaches every parameter, and is refused
            there otherwise.
        network: Names the modules for granularity layer, and puts parameters in one order for all processes.
        process_group: Where torch.distributed runs, each loss's gradients are averaged over its processes before the
            cosine is taken; None is all processes. Give DistributedDataParallel's `module` the images, not the wrapper:
            the averaging is done here, one collective a loss, while the next loss works backwards. Before it a few
            bytes tell whether all processes reach the same parameters with the same weights; where not, all refuse.
        check_values: Refuse gradients that are not finite. On a GPU, where reading the answer would wait for the
            device, or everywhere with late: they are written, no average moves, and the error comes in a later call, or
            from `check`, which waits. False: as with a `GradScaler`, no error.

    Raises:
        InputError: An argument is out of range; a loss is no scalar, has no graph, or is not finite backwards; the
            losses never shared a parameter; a parameter given is in no graph; a parameter is sharded; the parts of a
            batch have different numbers of losses; processes reach different parameters.

    Example:
        >>> similarity = GradientSimilarity()
        >>> similarity.backward(main_loss, auxiliary_loss)
        >>> optimizer.step()

    Source:
        Du, Czarnecki, Jayakumar, Farajtabar, Pascanu, Lakshminarayanan, "Adapting Auxiliary Losses Using Gradient
        Similarity", arXiv 1812.02224. Thresholds, groups, averages and several auxiliary losses are not in it.
    """

    def __init__(
        self,
        rule: Weighting | Rule = "weighted",
        *,
        threshold: float = 0.0,
        granularity: Granularity = "global",
        measured: Measured = "all",
        one_pass: bool = False,
        every_steps: int = 1,
        average_decay: float = 0.99,
        use_average: bool = False,
        shared: Iterable[Tensor] | None = None,
        network: nn.Module | None = None,
        process_group: dist.ProcessGroup | None = None,
        check_values: bool | Literal["late"] = True,
    ) -> None:
        if not callable(rule):
            known("rule", rule, get_args(Weighting))
        known("granularity", granularity, get_args(Granularity))
        if isinstance(measured, str):
            known("choice of measured parameters", measured, ("all", "convolutions"))
        else:
            measured = checked_parameters("measured", measured)
        real("threshold", threshold, lambda t: 0 <= t < 1, "in [0, 1)")
        whole("every_steps", every_steps, 1)
        real("average_decay", average_decay, lambda d: 0 <= d < 1, "in [0, 1)")
        a_network = network is None or isinstance(network, nn.Module)
        require("network", type(network).__name__, a_network, "a torch.nn.Module")
        grouped = granularity != "global"
        require("network", network, granularity != "layer" or network is not None, "given for granularity layer")
        require("every_steps", every_steps, not grouped or every_steps == 1, "1 for one cosine a layer or tensor")
        require("threshold", threshold, isinstance(rule, str) or threshold == 0, "0 where the rule is a function")
        require(
            "use_average", use_average, isinstance(rule, str) or not use_average, "False where the rule is a function"
        )
        remembers = not isinstance(rule, str) and hasattr(rule, "state_dict")
        require("granularity", granularity, not (grouped and remembers), "global for a rule with a memory of its own")
        require("one_pass", one_pass, not (grouped and one_pass), "False for one cosine a layer or tensor")
        require("measured", measured, not grouped or measured == "all", "all for one cosine a layer or tensor")
        require("check_values", check_values, check_values in (True, False, "late"), "True, False or late")
        self.rule = rule
        self.threshold = threshold
        self.granularity = granularity
        self.measured = measured
        self.one_pass = one_pass
        self.every_steps = every_steps
        self.average_decay = average_decay
        self.use_average = use_average
        self._shared = None if shared is None else checked_parameters("shared", shared)
        self._groups = Groups(granularity, measured, network)
        self._fingerprints = Fingerprints()
        self._group = process_group
        self.check_values = check_values
        self._late = Late(late_error)
        self._steps = 0
        self._averages: Tensor | None = None
        self._weights: Tensor | None = None
        self._by_group: dict[Name, Tensor] = {}
        """The averages of each group that was ever measured, (A,)."""
        self._pending: Gradients | None = None

    def backward(self, main: Tensor, *auxiliary: Tensor, scaler: GradScaler | None = None) -> Combined:
        """Leave in `.grad` what the rule says, and take up what `accumulate` collected before.

        Args:
            main: The main loss, a scalar.
            auxiliary: One loss or several, scalars.
            scaler: Scales all losses alike. Gradients that are not finite are then written, so that `scaler.step` skips
                the step, and no average moves; without a scaler they are an error, and nothing is written.
        """
        losses = checked_losses(main, auxiliary, scaler)
        reaches = self._reaches(losses)
        gradients = self._pending_for(losses)
        in_parts, self._pending = self._pending is not None, None
        # Each once, in the order in which they came.
        leaves = [
            list({id(leaf): leaf for leaf in (*gradients.reached(t), *found.leaves)}.values())
            for t, found in enumerate(reaches)
        ]
        shared, weights = self._agree(leaves, losses[0].device)
        known_for = None if self._weights is None else self._weights.shape[1]  # so many losses
        due = self._steps % self.every_steps == 0 and self._groups.among(shared)
        measuring = due or known_for != len(losses)
        if not in_parts and (self.one_pass or not measuring):
            return self._in_one_pass(losses, reaches, shared, weights, measuring, scaler)
        for t, (loss, found) in enumerate(zip(losses, reaches, strict=True)):
            gradients.add(t, found.leaves, gradients_of(loss, found.leaves, keep=overlaps(reaches, t)))
            gradients.start_averaging(t, weights[t])
        gradients.wait()
        if measuring:
            combined = self._weigh(gradients.gram(shared, self._groups.of(shared)), self._groups.named(shared), scaler)
        else:
            combined = self._kept_weights(shared)
        gradients.write(shared, self._groups.of(shared, every=True), combined.weights)
        return combined

    def accumulate(self, main: Tensor, *auxiliary: Tensor, scaler: GradScaler | None = None) -> None:
        """Collect the gradients of a part of the batch; `backward` with the last part applies the rule to the sums."""
        losses = checked_losses(main, auxiliary, scaler)
        reaches = self._reaches(losses)
        gradients = self._pending_for(losses)
        # All of them before any is added: a part that raises, as when memory runs out, leaves the others' sums alone.
        found = [
            gradients_of(loss, reached.leaves, keep=overlaps(reaches, t))
            for t, (loss, reached) in enumerate(zip(losses, reaches, strict=True))
        ]
        for t, (reached, of_loss) in enumerate(zip(reaches, found, strict=True)):
            gradients.add(t, reached.leaves, of_loss)
        self._pending = gradients

    def state_dict(self) -> dict[str, Any]:
        """Steps, averages and weights of the last, averages by group; the rule's own state where it has one."""
        state: dict[str, Any] = {"steps": self._steps}
        if self._averages is not None and self._weights is not None:
            state |= {"averages": self._averages, "weights": self._weights}
        named = {name: row for name, row in self._by_group.items() if isinstance(name, str)}
        if named and self.granularity != "global":
            state["by_group"] = named
        if not isinstance(self.rule, str) and hasattr(self.rule, "state_dict"):
            state["rule"] = self.rule.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave; what `accumulate` has collected is dropped.

        Raises:
            InputError: It is no such state; nothing is changed then.
        """
        check_state(state)
        self._steps, self._pending = int(state["steps"]), None
        self._averages, self._weights = state.get("averages"), state.get("weights")
        self._by_group = dict(state.get("by_group", {}))
        if "rule" in state and not isinstance(self.rule, str) and hasattr(self.rule, "load_state_dict"):
            self.rule.load_state_dict(state["rule"])

    def _reaches(self, losses: Sequence[Tensor]) -> list[Reach]:
        """What each loss reaches.

        Raises:
            InputError: A compiled graph hides it.
        """
        reaches = [reach(loss) for loss in losses]
        if self._shared is None and of_one_compiled_graph(reaches):
            raise InputError(
                "shared must be given where losses come from different results of one compiled graph, in which each "
                "reaches every parameter: name the trunk's parameters, or compile the trunk alone."
            )
        return reaches

    def _pending_for(self, losses: Sequence[Tensor]) -> Gradients:
        """The sums so far, or new ones."""
        if self._pending is None:
            return Gradients(len(losses), self._group)
        before = self._pending.losses
        require("losses", len(losses), len(losses) == before, f"{before}, as in the parts of the batch before")
        return self._pending

    def _agree(
        self, leaves: Sequence[Sequence[Tensor]], device: torch.device
    ) -> tuple[list[Tensor], list[list[Tensor]]]:
        """The shared weights, and the weights that each loss reaches, in an order that all processes have.

        Raises:
            InputError: The losses share none; or the processes reach different ones, and then in all of them.
        """
        known = weights_among(leaves, self._shared or [])
        weights = [[leaf for leaf in of_loss if id(leaf) in known] for of_loss in leaves]
        places = self._groups.places
        ordered = [sorted(of_loss, key=lambda p: places.get(id(p), len(places))) for of_loss in weights]
        problem, shared = None, list[Tensor]()
        try:
            shared = self._find_shared(weights)
        except InputError as error:
            problem = error  # which must not leave the other processes waiting
        same = True
        if processes(self._group) > 1:
            same = agree(0 if problem else self._fingerprints.of(ordered), device, self._group)
        if problem:
            raise problem
        if not same:
            hint = "" if places else " Where only their order differs, give network."
            raise InputError(
                f"all processes must reach the same parameters with equal weights, got different ones.{hint}"
            )
        return shared, ordered

    def _find_shared(self, weights: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """The shared weights in training; none where all that were there before are frozen now.

        Raises:
            InputError: There never were any, or one that is given is in too few graphs.
        """
        in_main = {id(p) for p in weights[0]}
        in_auxiliary = {id(p) for of_loss in weights[1:] for p in of_loss}
        if self._shared is not None:
            shared = [p for p in self._shared if p.requires_grad]
            for p in shared:
                for ids, which in ((in_main, "the main loss"), (in_auxiliary, "an auxiliary loss")):
                    if id(p) not in ids:
                        raise InputError(
                            f"shared must be in the graphs of both losses, got one of shape {tuple(p.shape)} on which "
                            f"{which} does not depend."
                        )
        else:
            shared = [p for p in weights[0] if id(p) in in_auxiliary]
        before = self._weights is not None and self._weights.shape[1] == len(weights)
        if not shared and not before:
            raise InputError(
                "the losses must share a parameter, got none: compute them from one trunk, or call backward() on each."
            )
        return shared

    def _in_one_pass(
        self,
        losses: Sequence[Tensor],
        reaches: Sequence[Reach],
        shared: list[Tensor],
        weights: Sequence[Sequence[Tensor]],
        measuring: bool,
        scaler: GradScaler | None,
    ) -> Combined:
        """Private and measured parameters loss by loss; all others from the weighted sum."""
        shared_ids = {id(p) for p in shared}
        measured = [p for p, g in zip(shared, self._groups.of(shared), strict=True) if g >= 0] if measuring else []
        taken = {id(p) for p in measured}
        gradients = Gradients(len(losses), self._group)
        for t, (loss, found) in enumerate(zip(losses, reaches, strict=True)):
            wanted = [p for p in found.leaves if id(p) in taken or id(p) not in shared_ids]
            gradients.add(t, wanted, gradients_of(loss, wanted, keep=True))
            gradients.start_averaging(t, [p for p in weights[t] if id(p) in taken or id(p) not in shared_ids])
        gradients.wait()
        if measuring:
            combined = self._weigh(gradients.gram(measured, [0] * len(measured)), self._groups.named(measured), scaler)
        else:
            combined = self._kept_weights(shared)
        rest = [p for p in weights[0] if id(p) in shared_ids - taken]
        joint = Gradients(1, self._group)
        outputs = [torch.ones_like(loss) * w.to(loss) for w, loss in zip(combined.weights[0], losses, strict=True)]
        if rest:
            joint.add(0, rest, torch.autograd.grad(losses, rest, outputs, allow_unused=True))
            joint.start_averaging(0, rest)
        joint.wait()
        gradients.write(measured, [0] * len(measured), combined.weights)
        joint.write([], [], combined.weights[:, :1])
        return combined

    def _kept_weights(self, shared: Sequence[Tensor]) -> Combined:
        """What holds in a step that does not measure."""
        assert self._averages is not None
        assert self._weights is not None
        self._steps += 1
        cosines = torch.full_like(self._averages, torch.nan)
        return Combined(cosines, self._averages, self._weights, self._groups.among(shared), bool(shared))

    def _weigh(self, gram: Tensor, groups: Sequence[Name], scaler: GradScaler | None) -> Combined:
        """Cosines, averages and weights from the groups' Gram matrices (G, T, T); averages move where it is finite."""
        finite = gram.diagonal(dim1=1, dim2=2).isfinite().all(0)
        if self.check_values == "late" or not answers_at_once(gram.device):
            return self._weigh_unawaited(gram, groups, finite, scaler)
        if scaler is None and self.check_values and not finite.all():
            raise not_finite((~finite).nonzero()[:, 0].tolist())
        cosine = cosines(gram)
        averages = self._moved(self._before(groups, cosine), cosine)
        weights = self._by_rule(gram, averages if self.use_average else cosine)
        if bool(finite.all()):
            self._remember(groups, averages, weights)
        return Combined(cosine, averages, weights)

    def _before(self, groups: Sequence[Name], cosine: Tensor) -> Tensor:
        """The groups' averages, (G, A), NaN for those that are new. Layers that freeze take no other's with them."""
        last = self._averages
        if not self._by_group and last is not None and last.shape == cosine.shape:
            return last.to(cosine)  # of a state without names: by their places
        return rows_of(groups, self._by_group, cosine)

    def _moved(self, before: Tensor, cosine: Tensor) -> Tensor:
        return torch.where(before.isnan(), cosine, torch.lerp(cosine, before, self.average_decay))

    def _remember(self, groups: Sequence[Name], averages: Tensor, weights: Tensor) -> None:
        self._averages, self._weights = averages, weights
        self._by_group |= zip(groups, averages.unbind(), strict=True)
        self._steps += 1

    def _by_rule(self, gram: Tensor, cosine: Tensor) -> Tensor:
        """The weights, (G, T)."""
        if callable(self.rule):
            return torch.stack([weights_of_rule(self.rule(one), one) for one in gram])
        return torch.cat([torch.ones_like(cosine[:, :1]), similarity_weights(cosine, self.rule, self.threshold)], 1)

    def _weigh_unawaited(
        self, gram: Tensor, groups: Sequence[Name], finite: Tensor, scaler: GradScaler | None
    ) -> Combined:
        """As `_weigh`, without reading a number. Averages are NaN until gradients were finite for the first time."""
        if self.check_values and scaler is None:
            # Counts of this loss and all after it: the first is 0 where none has a fault.
            self._late.add((~finite).to(torch.float32).flip(0).cumsum(0).flip(0))
        every = finite.all()
        cosine = cosines(gram)
        before, weights_before = self._before(groups, cosine), self._weights
        if weights_before is None or weights_before.shape != gram.shape[:2]:
            weights_before = torch.eye(1, gram.shape[1], dtype=gram.dtype, device=gram.device).expand(len(gram), -1)
        moving = self._moved(before, cosine)
        weights = self._by_rule(gram, moving if self.use_average else cosine)
        averages = torch.where(every, moving, before)
        self._remember(groups, averages, torch.where(every, weights, weights_before.to(gram)))
        return Combined(cosine, averages, weights)

    def check(self) -> None:
        """Where gradients are checked late: wait for the device, and refuse what was found since the last time.

        Raises:
            InputError: Gradients were not finite.
        """
        self._late.check()
