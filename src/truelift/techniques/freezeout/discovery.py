"""The layers of any network, from one forward pass: stem, blocks and head, in the order of their first use.

A block is a module in which something goes past one of its parts: beside a residual connection, or in another branch.
Any other module is opened, and its parts are looked at in turn.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import nn

from truelift.errors import InputError
from truelift.techniques.freezeout.layer import Layer, holds_parameters
from truelift.techniques.freezeout.trace import Call, Example, Operation, Trace, Value, trace

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def discovered(network: nn.Module, example: Example) -> list[Layer]:
    """The layers that one pass of `example` finds; see `find_layers`.

    A layer begins with something that multiplies by a matrix, a kernel or a table. Norms, activations and parameters
    that are only added (a class token, a position embedding) go with the layer before, but at the beginning of a module
    that is opened its norms go with what follows. Modules of a class of which one is a block are all blocks.

    Raises:
        InputError: The network does not take the example, uses no parameter, or has fewer than two layers.
    """
    passed = _Pass(trace(network, example))
    parameters = {id(p): p for p in network.parameters()}
    if not any(operation.uses for operation in passed.operations):
        raise InputError(f"network must use parameters of its own on the example, got none in {_kind(network)}.")
    opened: set[Call] = {passed.root}
    while True:
        pieces = passed.expanded(passed.root, opened)
        layers = _layers(pieces, parameters)
        closed = [piece.call for piece in pieces if piece.call is not None and len(passed.parts(piece.call)) >= 2]
        if len(layers) >= 2 or not closed:
            break
        opened.update(closed)
    if len(layers) < 2:
        raise InputError(
            f"network must have at least two layers that are used one after the other, got {len(layers)} in "
            f"{_kind(network)}."
        )
    return layers


@dataclass
class _Piece:
    """Something that goes with a layer, or begins one."""

    modules: list[nn.Module] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)
    """Parameters of none of the modules, by which it multiplies."""
    added: list[int] = field(default_factory=list)
    """Those that it uses otherwise."""
    weighs: bool = False
    call: Call | None = None


class _Pass:
    """A trace, with what each call uses."""

    def __init__(self, passed: Trace) -> None:
        self.root = passed.root
        self.operations = passed.operations
        self._own: dict[Call, list[tuple[int, Operation]]] = {}
        self._weighing: set[Call] = set()
        self._reads: dict[Value, list[int]] = {}
        self._made: dict[Value, int] = {}
        for time, operation in enumerate(self.operations):
            self._own.setdefault(operation.call, []).append((time, operation))
            for value in operation.reads:
                self._reads.setdefault(value, []).append(time)
            for value in operation.writes:
                self._made[value] = time
            call: Call | None = operation.call
            while operation.weighs and call is not None:
                self._weighing.add(call)
                call = call.within
        for value in passed.results:
            self._reads.setdefault(value, []).append(len(self.operations))
        self._blocks = {
            type(call.module)
            for call in _calls(self.root)
            if call is not self.root and not isinstance(call.module, _CONTAINERS) and self._bypassed(call)
        }

    def parts(self, call: Call) -> list[tuple[int, int, Call | None]]:
        """What multiplies by weights in a call: when it begins and ends, and the module's call if it is one."""
        within = [(inner.begin, inner.end, inner) for inner in call.calls if inner in self._weighing]
        own = [(time, time + 1, None) for time, operation in self._own.get(call, ()) if operation.weighs]
        return sorted([*within, *own], key=lambda part: part[:2])

    def expanded(self, call: Call, opened: set[Call]) -> list[_Piece]:
        """A call's parts in the order of their use; parts that are opened are replaced by theirs."""
        events: list[tuple[int, int, Call | Operation]] = [(inner.begin, 0, inner) for inner in call.calls]
        events += [(time, 1, operation) for time, operation in self._own.get(call, ()) if operation.uses]
        pieces: list[_Piece] = []
        for _, _, event in sorted(events, key=lambda event: event[:2]):
            if isinstance(event, Operation):
                pieces.append(_piece([event]))
            elif event in opened or self._opens(event):
                pieces += self.expanded(event, opened)
            else:
                pieces.append(_piece(self.operations[event.begin : event.end], event))
        # What stands before the first weights in a module belongs to them, not to the module before.
        first = next((number for number, piece in enumerate(pieces) if piece.weighs), 0)
        leading = [piece for piece in pieces[:first] if piece.modules]
        if leading:
            pieces[first].modules[:0] = [module for piece in leading for module in piece.modules]
            pieces[first].added += [key for piece in leading for key in piece.added]
        return [piece for number, piece in enumerate(pieces) if number >= first or not piece.modules]

    def _opens(self, call: Call) -> bool:
        parts = self.parts(call)
        inner = [part for _, _, part in parts if part is not None]
        if not inner or type(call.module) in self._blocks:
            return False
        if call.within is not self.root and call.within is not None and self._passed_by(call.within, call):
            return False  # a dense block's layers
        return len(parts) > 1 or self._opens(inner[0])

    def _bypassed(self, call: Call) -> bool:
        """Whether something goes past one of a call's parts: beside a residual connection, or in another branch."""
        return any(self._passed_by(call, part) for part in self.parts(call))

    def _passed_by(self, call: Call, part: Call | tuple[int, int, Call | None]) -> bool:
        """Whether a value is there before a part of a call and still needed in the call after it.

        What all parts read, as a mask is, does not count: only what the part itself does not read, or what is used
        after it outside of all parts.
        """
        begin, end = (part.begin, part.end) if isinstance(part, Call) else part[:2]
        within = {time for start, stop, _ in self.parts(call) for time in range(start, stop)}
        for value in self._values(call):
            if self._made.get(value, -1) >= begin:
                continue
            reads = self._reads.get(value, [])
            later = [time for time in reads if end <= time < call.end]
            if self._made.get(value, -1) >= call.begin:
                later += [time for time in reads if time >= call.end]  # the call gives it to others
            here = any(begin <= time < end for time in reads)
            if later and (not here or not within.issuperset(later)):
                return True
        return False

    def _values(self, call: Call) -> set[Value]:
        times = range(call.begin, call.end)
        return {value for time in times for value in (*self.operations[time].reads, *self.operations[time].writes)}


def _piece(operations: list[Operation], call: Call | None = None) -> _Piece:
    own = set() if call is None else {id(p) for p in call.module.parameters()}
    weights = {key for operation in operations if operation.weighs for key in operation.uses} - own
    added = {key for operation in operations for key in operation.uses} - own - weights
    weighs = any(operation.weighs for operation in operations)
    return _Piece([] if call is None else [call.module], sorted(weights), sorted(added), weighs, call)


def _calls(call: Call) -> Iterable[Call]:
    yield call
    for inner in call.calls:
        yield from _calls(inner)


def _layers(pieces: list[_Piece], parameters: dict[int, nn.Parameter]) -> list[Layer]:
    """Pieces put together, with the parameters that freeze with each."""
    last = {id(module): number for number, piece in enumerate(pieces) for module in piece.modules}
    placed: set[int] = set()
    groups: list[_Piece] = []
    before = _Piece()
    for number, piece in enumerate(pieces):
        # A module with parameters stands where it is first used; one without, say a dropout, stays until its last use.
        modules = [m for m in piece.modules if id(m) not in placed and (holds_parameters(m) or last[id(m)] == number)]
        placed.update(id(module) for module in modules)
        if piece.weighs and (modules or piece.weights):
            groups.append(before)
            before = _Piece()
        into = groups[-1] if groups else before
        into.modules += modules
        into.weights += piece.weights
        into.added += piece.added
    return _owned(groups, parameters)


def _owned(groups: list[_Piece], parameters: dict[int, nn.Parameter]) -> list[Layer]:
    """Weights of several groups go to the last of them, what is added to several to the first."""
    owner: dict[int, int] = {}
    for number, group in enumerate(groups):
        held = [id(p) for module in group.modules for p in module.parameters()]
        owner.update(dict.fromkeys((*held, *group.weights), number))
    for number, group in enumerate(groups):
        for key in group.added:
            owner.setdefault(key, number)
    layers: list[Layer] = []
    waiting: list[nn.Module] = []
    for number, group in enumerate(groups):
        own = [p for key, p in parameters.items() if owner.get(key) == number]
        waiting += group.modules
        if own:  # else all that it has is a later group's too
            layers.append(Layer(waiting, own))
            waiting = []
    if layers:
        layers[-1].extend(waiting)
        layers[-1].parameters += [p for key, p in parameters.items() if key not in owner]
    return _apart(layers)


def _apart(layers: list[Layer]) -> list[Layer]:
    """No module in two layers: what several blocks use is in the last, the others are their parts without it."""
    where = {id(m): number for number, layer in enumerate(layers) for module in layer for m in module.modules()}

    def tops(module: nn.Module, number: int) -> list[nn.Module]:
        if all(where[id(inner)] == number for inner in module.modules()):
            return [module]
        return [top for child in module.children() for top in tops(child, number)]

    return [
        Layer([top for module in layer for top in tops(module, number)], layer.parameters)
        for number, layer in enumerate(layers)
    ]


def _kind(network: nn.Module) -> str:
    return f"a {type(network).__name__}"
