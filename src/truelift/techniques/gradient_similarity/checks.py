"""What gradient similarity is given, looked at, and what it says where that is wrong."""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor
from torch.amp import GradScaler

from truelift.errors import InputError, require, whole
from truelift.techniques.devices import answers_at_once


def checked_losses(main: Tensor, auxiliary: Sequence[Tensor], scaler: GradScaler | None) -> list[Tensor]:
    """The losses, scaled where there is a scaler.

    Raises:
        InputError: There is no auxiliary loss, or one is no scalar or has no graph.
    """
    if not auxiliary:
        raise InputError("auxiliary must be at least one loss, got none.")
    a_scaler = scaler is None or hasattr(scaler, "scale")
    require("scaler", type(scaler).__name__, a_scaler, "a GradScaler")
    losses = [main, *auxiliary]
    for t, loss in enumerate(losses):
        if not isinstance(loss, Tensor):
            raise InputError(f"the {_loss_name(t)} loss must be a tensor, got {type(loss).__name__}.")
        if loss.numel() != 1:
            raise InputError(f"the {_loss_name(t)} loss must be a scalar, got the shape {tuple(loss.shape)}.")
        if loss.is_complex():
            raise InputError(f"the {_loss_name(t)} loss must be a real number, got a complex one.")
        if loss.grad_fn is None:
            raise InputError(f"the {_loss_name(t)} loss must have a graph, got a tensor that no parameter led to.")
    return losses if scaler is None else [scaler.scale(loss) for loss in losses]


def weights_of_rule(weights: Any, gram: Tensor) -> Tensor:
    """The weights that a rule of the user's gives, (T,).

    Raises:
        InputError: They are of another form, or, where the device answers at once, not finite though the gradients are.
    """
    wanted = f"weights of the shape ({len(gram)},), one a loss"
    got = tuple(weights.shape) if isinstance(weights, Tensor) else type(weights).__name__
    require("what the rule returns", got, isinstance(weights, Tensor) and weights.shape == gram.shape[:1], wanted)
    weights = weights.to(gram)
    if answers_at_once(gram.device) and not weights.isfinite().all() and gram.isfinite().all():
        raise InputError(f"what the rule returns must be finite, got {weights.tolist()}.")
    return weights  # type: ignore[no-any-return]


def checked_parameters(name: str, given: Any) -> list[Tensor]:
    """The parameters given.

    Raises:
        InputError: They are none, or something else.
    """
    several = isinstance(given, Iterable) and not isinstance(given, Tensor | str)
    require(name, type(given).__name__, several, "a list of parameters")
    found = list(given)
    require(name, found, found != [], "at least one parameter")
    for one in found:
        require(name, f"one of type {type(one).__name__}", isinstance(one, Tensor), "a list of parameters")
    return found


def check_state(state: Any) -> None:
    """Refuse what is no state of `GradientSimilarity`; `by_group` may be left out, which earlier ones have not.

    Raises:
        InputError: It is none.
    """
    require("the state", type(state).__name__, isinstance(state, dict) and "steps" in state, "what state_dict gave")
    whole("the state's steps", state["steps"], 0)
    averages, weights = state.get("averages"), state.get("weights")
    for name, value in (("averages", averages), ("weights", weights)):
        holds = (value is None and averages is weights) or (isinstance(value, Tensor) and value.ndim == 2)
        require(f"the state's {name}", type(value).__name__, holds, "a tensor (G, T), as averages and weights are")
    if averages is not None and weights is not None:
        holds = averages.shape[0] == weights.shape[0] and averages.shape[1] + 1 == weights.shape[1]
        shapes = f"{tuple(averages.shape)} and {tuple(weights.shape)}"
        require("the state's averages and weights", shapes, holds, "of shapes (G, A) and (G, A + 1)")
    by_group = state.get("by_group", {})
    named = isinstance(by_group, dict) and all(isinstance(row, Tensor) for row in by_group.values())
    require("the state's by_group", type(by_group).__name__, named, "a tensor (A,) by each group's name")


def late_error(numbers: Sequence[float]) -> InputError:
    """The error for how many losses, from each on, had gradients that were not finite."""
    following = [*numbers[1:], 0.0]
    return not_finite([t for t, count in enumerate(numbers) if count > following[t]], ", in a call before")


def not_finite(losses: Sequence[int], when: str = "") -> InputError:
    """The error for gradients of these losses, 0 the main one, that were not finite."""
    names = " and the ".join(_loss_name(t) for t in losses)
    return InputError(f"gradients must be finite, got infinite ones or NaN from the {names} loss{when}.")


def _loss_name(t: int) -> str:
    return f"auxiliary {t}" if t else "main"
