"""Kernels that are compiled together compute what they compute alone, and are fewer files."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from truelift.training.compilation import why_impossible

pytestmark = pytest.mark.skipif(why_impossible("cpu") is not None, reason="torch's compiler does not work here")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    from torch._inductor.async_compile import AsyncCompile

    reason = "this torch lacks what kernels are put together by: they are compiled as torch does it"
    pytest.importorskip("truelift.training.one_file", reason=reason, exc_type=ImportError)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.compiler.reset()
    before = AsyncCompile.cpp_pybinding, AsyncCompile.wait
    yield tmp_path
    AsyncCompile.cpp_pybinding, AsyncCompile.wait = before  # type: ignore[method-assign]
    torch.compiler.reset()


def several(x: Tensor, y: Tensor) -> Tensor:
    """Products between what is fused, so that there are three kernels at least."""
    for number in range(3):
        x = torch.tanh(x @ y + number).softmax(1) + x.exp().sum(0)
    return x


def compiled(x: Tensor, y: Tensor) -> Tensor:
    found: Tensor = torch.compile(several)(x, y)
    return found


def files(folder: Path) -> int:
    return len(list(folder.rglob("*.main.cpp")))


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(17, 17, generator=generator), torch.rand(17, 17, generator=generator)


def test_kernels_of_a_graph_are_one_file(folder: Path, inputs: tuple[Tensor, Tensor]) -> None:
    from truelift.training.one_file import kernels_in_one_file

    with kernels_in_one_file():
        found = compiled(*inputs)
    torch.testing.assert_close(found, several(*inputs))
    assert files(folder) == 1


@pytest.mark.parametrize("at_once", [True, False])
def test_what_cannot_be_compiled_together_is_compiled_alone(
    folder: Path, inputs: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    """Whether that shows as the file is put together, as with another torch, or when the C++ compiler has ended."""
    from truelift.training import one_file

    def fails(kernels: Any, submit: Any) -> Callable[[], Any]:
        def load() -> Any:
            raise RuntimeError("g++: internal error")

        return load() if at_once else load

    monkeypatch.setattr(one_file, "_start", fails)
    with one_file.kernels_in_one_file():
        found = compiled(*inputs)
    torch.testing.assert_close(found, several(*inputs))
    assert files(folder) > 1
