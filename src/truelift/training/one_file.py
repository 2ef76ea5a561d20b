"""The kernels of a compiled graph in one C++ file or two, in place of a file each.

torch writes each kernel for a processor into a file of its own, and the C++ compiler reads torch's headers for each:
that is most of what it does. Here the kernels of a graph are compiled together. What a kernel computes, and the options
of the C++ compiler, stay torch's.

torch has no setting for it, so two methods of its `AsyncCompile` are replaced. Imported only where something is
compiled. Where another torch lacks a name, the import fails; kernels that cannot be compiled together are compiled as
torch does it. Both leave a slower compiler, and nothing else.
"""

import contextlib
import importlib.util
import os
import re
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from torch._C._dynamo import guards
from torch._inductor.async_compile import AsyncCompile, get_compile_threads
from torch._inductor.codecache import CppPythonBindingsCodeCache as Bindings
from torch._inductor.utils import clear_on_fresh_cache

_INCLUDE = re.compile(r"^[ \t]*#(?:include|define PY_SSIZE_T_CLEAN).*\n", re.MULTILINE)

_KERNELS_A_FILE = 10
"""At least: to read the headers for another file takes as long as so many kernels."""

_torchs, _wait = AsyncCompile.cpp_pybinding, AsyncCompile.wait
_template, _call = Bindings.suffix_template, Bindings.call_entry_function
_pointer = str(guards._torchinductor_pyobject_tensor_data_ptr)  # type: ignore[attr-defined]


class _Kernel:
    """What torch hands over of a kernel: the C types of its arguments, and a file that defines `kernel`."""

    def __init__(self, types: list[str], source: str) -> None:
        self.types, self.source = types, source

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


@clear_on_fresh_cache
class _File(Bindings):
    """How torch compiles a file of several kernels, and where it keeps it."""

    cache: dict[str, Callable[[], Any]] = {}  # noqa: RUF012
    cache_clear = staticmethod(cache.clear)

    @classmethod
    def _get_uncompiled_header(cls, device: str) -> None:
        """No header is precompiled: that takes longer than to read it once or twice."""

    @classmethod
    def _load_library_inner(cls, path: str, key: str) -> Any:
        return SimpleNamespace(path=path)


def _start(kernels: Sequence[_Kernel], submit: Callable[..., Any]) -> Callable[[], list[Any]]:
    """Have a file of kernels compiled, in the background with two cores; what is returned waits for it."""
    code = "".join(kernel.code(number) for number, kernel in enumerate(kernels))
    includes = dict.fromkeys(line.strip() for line in _INCLUDE.findall(code))
    file = _File.load_async("\n".join([*includes, _INCLUDE.sub("", code)]), submit_fn=submit)
    return lambda: [_function(file().path, f"kernel_{number}") for number in range(len(kernels))]


def _function(path: str, name: str) -> Any:
    os.environ["_TORCHINDUCTOR_PYOBJECT_TENSOR_DATA_PTR"] = _pointer  # which the module reads
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "it ends with .so"
    assert spec.loader is not None, "it ends with .so"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


class _Together:
    """Kernels of a generated module that share a file, and stand in for themselves until they are called."""

    later = False
    """Whether to wait for the C++ compiler no sooner than at the first call."""

    def __init__(self, compiler: AsyncCompile, scope: dict[str, Any], names: Sequence[str]) -> None:
        self.compiler, self.scope = compiler, scope
        self.kernels: dict[str, _Kernel] = {name: scope[name] for name in names}
        self.load: Callable[[], list[Any]] = self._one_by_one
        with contextlib.suppress(Exception):  # another torch's templates, say
            self.load = _start(list(self.kernels.values()), compiler.submit)
        for name in names:
            scope[name] = self._first_call(name)
        if not self.later:
            self.take()

    def take(self) -> None:
        """Put the compiled kernels into the module."""
        try:
            found = self.load()
        except Exception:  # the C++ compiler's, of many kinds; if it is not for being together, torch raises it again
            found = self._one_by_one()
        self.scope.update(zip(self.kernels, found, strict=True))

    def _one_by_one(self) -> list[Any]:
        made = [_torchs(self.compiler, kernel.types, kernel.source) for kernel in self.kernels.values()]
        return [kernel.result() if hasattr(kernel, "result") else kernel for kernel in made]

    def _first_call(self, name: str) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            self.take()
            self.scope[name](*arguments)

        return call


def _hand_over(compiler: AsyncCompile, types: list[str], source: str) -> _Kernel:
    return _Kernel(types, source)


def _compile(compiler: AsyncCompile, scope: dict[str, Any]) -> None:
    """What a generated module calls last, with all of its names."""
    names = [name for name, value in scope.items() if isinstance(value, _Kernel)]
    files = max(1, min(get_compile_threads(), len(names) // _KERNELS_A_FILE))
    for number in range(files if names else 0):
        _Together(compiler, scope, names[number::files])
    _wait(compiler, scope)


@contextlib.contextmanager
def kernels_in_one_file() -> Iterator[None]:
    """From here on, in this process, kernels are compiled together; within it, also while torch goes on compiling.

    Behind it the C++ compiler is waited for at once, so that the time it takes counts as compiling.
    """
    AsyncCompile.cpp_pybinding, AsyncCompile.wait = _hand_over, _compile  # type: ignore[assignment, method-assign]
    _Together.later = True
    try:
        yield
    finally:
        _Together.later = False
