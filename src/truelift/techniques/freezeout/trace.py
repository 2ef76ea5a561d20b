"""One forward pass of a network, written down: which module called which, and what was computed from what."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from truelift.errors import InputError
from truelift.techniques.freezeout.restoring import restoring

Example = Tensor | tuple[Any, ...] | dict[str, Any]

# Parts of the names of operations that multiply by a matrix, a kernel or a table; a norm, a sum or a product by
# elements is none.
_WEIGHING = (
    "mm",
    "mv",
    "conv",
    "linear",
    "embedding",
    "attention",
    "encoder_layer",
    "rnn",
    "lstm",
    "gru",
    "dot",
)


class Value(NamedTuple):
    """What a piece of memory holds until it is written to again."""

    memory: int
    version: int


@dataclass(eq=False)
class Call:
    """A module at work, from operation `begin` up to operation `end`."""

    module: nn.Module
    within: "Call | None"
    begin: int
    end: int = 0
    calls: list["Call"] = field(default_factory=list)


class Operation(NamedTuple):
    """An operation on data, that is, on something computed from the example."""

    call: Call
    reads: frozenset[Value]
    writes: frozenset[Value]
    uses: frozenset[int]
    """The identities of the parameters that it uses, or something computed from them alone."""
    weighs: bool
    """Whether it multiplies by a matrix, a kernel or a table."""


class Trace(NamedTuple):
    """A forward pass."""

    root: Call
    operations: list[Operation]
    results: frozenset[Value]
    """What the network returned."""


def trace(network: nn.Module, example: Example) -> Trace:
    """Pass `example` through the network, in inference mode, and write down what happens; the network stays as it was.

    Raises:
        InputError: The network does not take the example.
    """
    lazy = [name for name, p in network.named_parameters() if torch.nn.parameter.is_lazy(p)]
    if lazy:
        raise InputError(f"network must be initialised by a pass of its own first, got {lazy[0]} without a shape.")
    args, kwargs = _arguments(example)
    with contextlib.ExitStack() as stack:
        stack.enter_context(restoring(network))
        network.eval()
        recorder = _Recorder(network, [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)])
        stack.enter_context(recorder.calls(network))
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(recorder)
        try:
            result = network(*args, **kwargs)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            reason = str(error).strip().splitlines() or [""]
            raise InputError(
                f"example must be what the network takes, got one at which it says {type(error).__name__}: {reason[0]}"
            ) from error
    return recorder.trace(result)


def _arguments(example: Example) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(example, Tensor):
        return (example,), {}
    if isinstance(example, dict):
        return (), example
    if isinstance(example, tuple):
        return example, {}
    raise InputError(f"example must be a tensor, a tuple or a dictionary, got {type(example).__name__}.")


class _Recorder(TorchDispatchMode):
    """Sees each operation below autograd, whoever calls it."""

    def __init__(self, network: nn.Module, inputs: list[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._network = network
        self._operations: list[Operation] = []
        self._alive: list[Any] = []  # so that no memory, and no identity, is used twice
        self._versions: dict[int, int] = {}
        self._data: set[int] = set()
        self._origins: dict[int, set[int]] = {}
        # Parameters may be parts of one piece of memory, as those of a recurrent layer are: where each lies in it.
        self._places: dict[int, list[tuple[int, int, int]]] = {}
        for parameter in network.parameters():
            self._places.setdefault(self._memory(parameter), []).append((*_extent(parameter), id(parameter)))
        self._data.update(self._memory(tensor) for tensor in inputs)
        self._root: Call | None = None
        self._current: Call | None = None

    @contextlib.contextmanager
    def calls(self, network: nn.Module) -> Iterator[None]:
        """Within it the modules tell of their calls."""

        def begin(module: nn.Module, args: Any) -> None:
            call = Call(module, self._current, len(self._operations))
            if self._current is not None:
                self._current.calls.append(call)
            elif self._root is None:
                self._root = call
            self._current = call

        def end(module: nn.Module, args: Any, output: Any) -> None:
            assert self._current is not None
            assert self._current.module is module
            self._current.end = len(self._operations)
            self._current = self._current.within

        with contextlib.ExitStack() as stack:
            for module in network.modules():
                if not isinstance(module, torch.jit.ScriptModule):
                    stack.callback(module.register_forward_pre_hook(begin, prepend=True).remove)
                    stack.callback(module.register_forward_hook(end).remove)
            yield

    def trace(self, result: Any) -> Trace:
        """What was written down."""
        root = self._root or Call(self._network, None, 0, len(self._operations))
        results = [self._value(leaf) for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        return Trace(root, self._operations, frozenset(results))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        reads = {self._value(tensor) for tensor in inputs if self._memory(tensor) in self._data}
        uses = {origin for tensor in inputs for origin in self._parameters(tensor)}
        result = func(*args, **kwargs)
        written = [leaf for value in _mutated(func, args, kwargs) for leaf in tree_leaves(value)]
        written = [leaf for leaf in written if isinstance(leaf, Tensor)]
        known = {self._memory(tensor) for tensor in inputs}
        fresh = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        fresh = [leaf for leaf in fresh if self._memory(leaf) not in known]
        for tensor in written:
            self._versions[self._memory(tensor)] = self._versions.get(self._memory(tensor), 0) + 1
        if not reads:
            for tensor in (*written, *fresh):
                self._origins.setdefault(self._memory(tensor), set()).update(uses)
            return result
        self._data.update(self._memory(tensor) for tensor in (*written, *fresh))
        weighs = bool(uses) and any(part in func._schema.name.split("::")[-1] for part in _WEIGHING)
        writes = frozenset(self._value(tensor) for tensor in (*written, *fresh))
        call = self._current or self._root
        if call is not None:
            self._operations.append(Operation(call, frozenset(reads), writes, frozenset(uses), weighs))
        return result

    def _parameters(self, tensor: Tensor) -> set[int]:
        """The parameters that a tensor is, or is computed from alone."""
        memory = self._memory(tensor)
        if memory in self._data:
            return set()
        begin, end = _extent(tensor)
        own = {p for start, stop, p in self._places.get(memory, ()) if start < end and begin < stop}
        return own | self._origins.get(memory, set())

    def _value(self, tensor: Tensor) -> Value:
        memory = self._memory(tensor)
        return Value(memory, self._versions.get(memory, 0))

    def _memory(self, tensor: Tensor) -> int:
        try:
            storage = tensor.untyped_storage()
        except (NotImplementedError, RuntimeError):  # a sparse or nested tensor has none
            self._alive.append(tensor)
            return id(tensor)
        key: int = storage._cdata
        if key not in self._versions:
            self._versions[key] = 0
            self._alive.append(storage)
        return key


def _extent(tensor: Tensor) -> tuple[int, int]:
    """Where a tensor begins and ends in its memory, in elements."""
    try:
        begin = int(tensor.storage_offset())
        length = 1 + sum(
            (int(size) - 1) * int(stride) for size, stride in zip(tensor.shape, tensor.stride(), strict=True)
        )
    except (NotImplementedError, RuntimeError):
        return 0, 1
    return begin, begin + max(length, 1)


def _mutated(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """The arguments that an operation writes to."""
    found = []
    for number, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            found.append(args[number] if number < len(args) else kwargs.get(argument.name))
    return found
