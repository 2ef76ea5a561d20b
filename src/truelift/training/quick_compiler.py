"""torch's compiler with the settings under which a first compilation takes the least time."""

import contextlib
import contextvars
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from truelift.garbage import no_collection


@contextlib.contextmanager
def quick_compiler(*, run: bool) -> Iterator[None]:
    """Within it a network's first compilation takes the least time; what is compiled is as without it.

    - The kernels of a graph, or of all graphs, are a few C++ files (`one_file`).
    - The backward pass is compiled at once behind the forward pass.
    - The C++ compiler is taken to know the processor's vector instructions; others are tried at the side.
    - Nothing is collected as garbage, which takes a tenth of the time, before the end.

    A torch that lacks one of it does without.

    Args:
        run: Whether what is compiled also computes; without, it gives zeros, and the C++ compiler is waited for at the
            end.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ImportError, AttributeError):
            from truelift.training import one_file

            if run:
                one_file.kernels_in_one_file()
            else:
                stack.enter_context(one_file.without_results())
        with contextlib.suppress(ImportError, AttributeError):
            stack.enter_context(_vector_instructions())
        with contextlib.suppress(ImportError, AttributeError):
            import torch._dynamo.config as dynamo
            import torch._functorch.config as functorch

            stack.enter_context(_set(functorch, "force_non_lazy_backward_lowering", True))
            stack.enter_context(_set(dynamo, "run_gc_after_compile", False))
        stack.enter_context(no_collection())
        yield


@contextlib.contextmanager
def _set(config: Any, name: str, value: object) -> Iterator[None]:
    if not hasattr(config, name):
        yield
        return
    with config.patch({name: value}):
        yield


@contextlib.contextmanager
def _vector_instructions() -> Iterator[None]:
    """Within it torch asks a thread which vector instructions the C++ compiler knows, which compiles small files.

    AVX2 and AVX-512 it is taken to know, where the user has not said otherwise: every compiler of C++17 does, and torch
    needs such a one.
    """
    from torch._inductor import config, cpu_vec_isa

    if config.cpp.vec_isa_ok is not None:
        yield
        return
    find = cpu_vec_isa.valid_vec_isa_list
    with config.patch({"cpp.vec_isa_ok": True}), ThreadPoolExecutor(1) as pool:
        found = pool.submit(contextvars.copy_context().run, find)
        cpu_vec_isa.valid_vec_isa_list = found.result  # type: ignore[assignment]
        try:
            yield
        finally:
            cpu_vec_isa.valid_vec_isa_list = find
