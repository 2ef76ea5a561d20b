"""The kernels of compiled graphs in a few C++ files, in place of a file each.

torch writes each kernel for a processor into a file of its own, and the C++ compiler reads torch's headers for each:
that is most of what it does. Here kernels are compiled together, equal ones once. What a kernel computes, and the
options of the C++ compiler, stay torch's.

torch has no setting for it, so two methods of its `AsyncCompile` are replaced. Imported only where something is
compiled. Where another torch lacks a name, the import fails; kernels that cannot be compiled together are compiled as
torch does it. Both leave a slower compiler, and nothing else.
"""

import contextlib
import importlib.util
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from torch import Tensor
from torch._C._dynamo import guards
from torch._inductor.async_compile import AsyncCompile
from torch._inductor.codecache import CppPythonBindingsCodeCache as Bindings
from torch._inductor.utils import clear_on_fresh_cache

_INCLUDE = re.compile(r"^[ \t]*#(?:include|define PY_SSIZE_T_CLEAN).*\n", re.MULTILINE)

_KERNELS_A_FILE = 10
"""At least: to read the headers for another file takes as long as so many kernels."""

_torchs, _wait = AsyncCompile.cpp_pybinding, AsyncCompile.wait
_template, _call = Bindings.suffix_template, Bindings.call_entry_function
_pointer = str(guards._torchinductor_pyobject_tensor_data_ptr)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class _Kernel:
    """What torch hands over of a kernel: the C types of its arguments, and a file that defines `kernel`."""

    types: tuple[str, ...]
    source: str

    def code(self, number: int) -> str:
        """The kernel and its Python module `kernel_<number>`, in a namespace, since all are named alike."""
        arguments = (f"parse_arg<{kind.replace('const ', '')}>(args, {n})" for n, kind in enumerate(self.types))
        module = _template.format(
            arg_len=len(self.types),
            call_entry_func=_call.format(", ".join(arguments)),
            entry_func=f"kernel_{number}",
            extra_parse_arg="",
        )
        own = self.source.replace('extern "C"', "")
        return f"namespace of_{number} {{\n{own}\n{module}\n}}\n"

    def fill(self, *arguments: Any) -> None:
        """Stand in for the kernel: what it would write is zeros."""
        for kind, argument in zip(self.types, arguments, strict=True):
            if isinstance(argument, Tensor) and not kind.startswith("const "):
                argument.zero_()

    def alone(self) -> Any:
        """Compiled as torch does it."""
        made = _torchs(AsyncCompile(), list(self.types), self.source)
        return made.result() if hasattr(made, "result") else made

    def late(self, *arguments: Any) -> None:
        """Stand in for the kernel where its file was not waited for: it is compiled alone now."""
        self.alone()(*arguments)


@clear_on_fresh_cache
class _File(Bindings):
    """How torch compiles a file of several kernels, and where it keeps it."""

    cache: dict[str, Callable[[], Any]] = {}  # noqa: RUF012
    cache_clear = staticmethod(cache.clear)

    @classmethod
    def _get_uncompiled_header(cls, device: str) -> None:
        """No header is precompiled: that takes longer than to read it a few times."""

    @classmethod
    def _load_library_inner(cls, path: str, key: str) -> Any:
        return SimpleNamespace(path=path)


def _start(kernels: Sequence[_Kernel]) -> Callable[[], list[Any]]:
    """Have a file of kernels compiled, in the background with two cores; what is returned waits for it."""
    code = "".join(kernel.code(number) for number, kernel in enumerate(kernels))
    includes = dict.fromkeys(line.strip() for line in _INCLUDE.findall(code))
    file = _File.load_async("\n".join([*includes, _INCLUDE.sub("", code)]), submit_fn=AsyncCompile.submit)
    return lambda: [_function(file().path, f"kernel_{number}") for number in range(len(kernels))]


def _function(path: str, name: str) -> Any:
    os.environ["_TORCHINDUCTOR_PYOBJECT_TENSOR_DATA_PTR"] = _pointer  # which the module reads
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "it ends with .so"
    assert spec.loader is not None, "it ends with .so"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


class _Batch:
    """Kernels of generated modules that are compiled together; until `finish`, zeros stand in for their results."""

    def __init__(self) -> None:
        self._places: dict[_Kernel, list[tuple[dict[str, Any], str]]] = {}
        self._waiting: list[_Kernel] = []
        self._files: list[tuple[list[_Kernel], Callable[[], list[Any]]]] = []

    def add(self, scope: dict[str, Any]) -> None:
        """Take up the kernels of a generated module, of which `scope` has all names."""
        for name, kernel in [(name, value) for name, value in scope.items() if isinstance(value, _Kernel)]:
            if kernel not in self._places:
                self._waiting.append(kernel)
            self._places.setdefault(kernel, []).append((scope, name))
            scope[name] = kernel.fill
        if len(self._waiting) >= _KERNELS_A_FILE:
            self._start()

    def finish(self) -> None:
        """Wait for the C++ compiler, and put the kernels into their modules.

        Whatever ends it sooner, no zeros stand in for a kernel any more.
        """
        for kernel in self._places:
            self._put(kernel, kernel.late)
        self._start()
        for kernels, load in self._files:
            try:
                found = load()
            except Exception:  # the C++ compiler's, of many kinds; if each alone has it too, torch raises it again
                found = [kernel.alone() for kernel in kernels]
            for kernel, function in zip(kernels, found, strict=True):
                self._put(kernel, function)

    def _put(self, kernel: _Kernel, function: Any) -> None:
        for scope, name in self._places[kernel]:
            scope[name] = function

    def _start(self) -> None:
        if not self._waiting:
            return
        kernels, self._waiting = self._waiting, []
        load: Callable[[], list[Any]] = lambda: [kernel.alone() for kernel in kernels]  # noqa: E731
        with contextlib.suppress(Exception):  # another torch's templates, say
            load = _start(kernels)
        self._files.append((kernels, load))


_batches: list[_Batch] = []
"""The open one, if there is one."""


def _hand_over(compiler: AsyncCompile, types: list[str], source: str) -> _Kernel:
    return _Kernel(tuple(types), source)


def _compile(compiler: AsyncCompile, scope: dict[str, Any]) -> None:
    """What a generated module calls last, with all of its names."""
    batch = _batches[-1] if _batches else _Batch()
    batch.add(scope)
    if not _batches:
        batch.finish()
    _wait(compiler, scope)


def kernels_in_one_file() -> None:
    """From here on, in this process, the kernels of a graph are compiled together."""
    AsyncCompile.cpp_pybinding, AsyncCompile.wait = _hand_over, _compile  # type: ignore[assignment, method-assign]


@contextlib.contextmanager
def without_results() -> Iterator[None]:
    """Within it compiled graphs are made and not run: what their kernels would write is zeros.

    So the C++ compiler works on the first graphs while torch makes the next, and the kernels of several share files.
    """
    kernels_in_one_file()
    _batches.append(_Batch())
    try:
        yield
    finally:
        _batches.pop().finish()
