"""The layers of any network, from one forward pass: stem, blocks and head, in the order of their first use.

A block is a module whose parts do not simply follow each other: at some place between two of them more than one value
is on its way, as beside a residual connection or in parallel branches. A module whose parts do follow each other is
opened, and its parts are looked at in turn.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import nn

from truelift.errors import InputError
from truelift.techniques.freezeout.layer import Layer
from truelift.techniques.freezeout.trace import Call, Example, Operation, Trace, trace

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
    loose: list[int] = field(default_factory=list)
    weighs: bool = False
    call: Call | None = None


class _Pass:
    """A trace, with what each call uses."""

    def __init__(self, passed: Trace) -> None:
        self.root = passed.root
        self.operations = passed.operations
        self._own: dict[Call, list[tuple[int, Operation]]] = {}
        self._weighing: set[Call] = set()
        self._reads: dict[object, list[int]] = {}
        self._made: dict[object, int] = {}
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
        calls = list(_calls(self.root))
        self._called = {id(call.module) for call in calls}
        self._blocks = {
            type(call.module)
            for call in calls
            if call is not self.root and not isinstance(call.module, _CONTAINERS) and not self._chain(call)
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
                pieces.append(self._loose(event))
            elif event in opened or self._opens(event):
                pieces += self.expanded(event, opened)
            else:
                pieces.append(_Piece([event.module], weighs=event in self._weighing, call=event))
        # What stands before the first weights in a module belongs to them, not to the module before.
        first = next((number for number, piece in enumerate(pieces) if piece.weighs), 0)
        leading = [piece for piece in pieces[:first] if piece.modules]
        if leading:
            pieces[first].modules[:0] = [module for piece in leading for module in piece.modules]
        return [piece for number, piece in enumerate(pieces) if number >= first or not piece.modules]

    def _loose(self, operation: Operation) -> _Piece:
        return _Piece(loose=sorted(operation.uses), weighs=operation.weighs)

    def _opens(self, call: Call) -> bool:
        parts = self.parts(call)
        inner = [part for _, _, part in parts if part is not None]
        if len(parts) == 1 and inner:
            return self._opens(inner[0])
        if not inner:
            return False
        return isinstance(call.module, _CONTAINERS) or (type(call.module) not in self._blocks and self._chain(call))

    def _chain(self, call: Call) -> bool:
        """Whether there is a place between any two parts of a call at which one value alone is on its way."""
        parts = self.parts(call)
        if len(parts) < 2:
            return True
        lives = self._lives(call)
        for (_, end, _), (begin, _, _) in zip(parts[:-1], parts[1:], strict=True):
            counts = [sum(made < time <= last for made, last in lives) for time in range(end, begin + 1)]
            if not counts or min(counts) > 1:
                return False
        return True

    def _lives(self, call: Call) -> list[tuple[int, int]]:
        """For each value in a call: the operation that made it, and the last that reads it."""
        times = range(call.begin, call.end)
        values = {value for time in times for value in (*self.operations[time].reads, *self.operations[time].writes)}
        lives = []
        for value in values:
            made, reads = self._made.get(value, -1), self._reads.get(value, [])
            last = max((time for time in reads if time < call.end), default=-1)
            if made >= call.begin and reads and reads[-1] >= call.end:
                last = call.end  # the call gives it to others
            lives.append((made, last))
        return lives


def _calls(call: Call) -> Iterable[Call]:
    yield call
    for inner in call.calls:
        yield from _calls(inner)


def _layers(pieces: list[_Piece], parameters: dict[int, nn.Parameter]) -> list[Layer]:
    """Pieces put together, with the parameters that freeze with each."""
    last = {id(module): number for number, piece in enumerate(pieces) for module in piece.modules}
    placed: set[int] = set()
    groups: list[_Group] = []
    before = _Group()
    for number, piece in enumerate(pieces):
        # A module with parameters stands where it is first used; one without, say a dropout, stays until its last use.
        modules = [m for m in piece.modules if id(m) not in placed and (_holds(m) or last[id(m)] == number)]
        placed.update(id(module) for module in modules)
        if piece.weighs and (modules or piece.loose):
            groups.append(before)
            before = _Group()
        into = groups[-1] if groups else before
        into.modules += modules
        (into.weights if piece.weighs else into.added).extend(piece.loose)
    return _owned(groups, parameters)


@dataclass
class _Group:
    """A layer in the making."""

    modules: list[nn.Module] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)
    """Parameters of no module that is called, by which it multiplies."""
    added: list[int] = field(default_factory=list)
    """Those that it uses otherwise."""


def _owned(groups: list[_Group], parameters: dict[int, nn.Parameter]) -> list[Layer]:
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


def _holds(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())


def _kind(network: nn.Module) -> str:
    return f"a {type(network).__name__}"
