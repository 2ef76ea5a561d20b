"""Kernels that are compiled together compute what they compute alone, and are fewer files."""

import contextlib
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

    kernels_in_one_file()
    torch.testing.assert_close(compiled(*inputs), several(*inputs))
    assert files(folder) == 1


def other(x: Tensor, y: Tensor) -> Tensor:
    """Ends with a kernel that `several` has not."""
    return several(x, y).neg()


def test_graphs_share_files_and_compute_once_these_are_there(folder: Path, inputs: tuple[Tensor, Tensor]) -> None:
    from truelift.training import one_file

    graphs = [torch.compile(function) for function in (several, other)]
    with one_file.without_results():
        dry = [graph(*inputs) for graph in graphs]
        assert files(folder) == 0
    assert files(folder) == 1
    assert not any(found.any() for found in dry)
    for graph, function in zip(graphs, (several, other), strict=True):
        torch.testing.assert_close(graph(*inputs), function(*inputs))
    (source,) = folder.rglob("*.main.cpp")
    bodies = [body.split("extern", 1)[0] for body in source.read_text().split("namespace of_")[1:]]
    assert len({body.split("{", 1)[1] for body in bodies}) == len(bodies) > 3


def test_what_fails_within_leaves_nothing_open(folder: Path, inputs: tuple[Tensor, Tensor]) -> None:
    from truelift.training import one_file

    def fails(x: Tensor, y: Tensor) -> None:
        compiled(x, y)
        raise RuntimeError("of another kind")

    with pytest.raises(RuntimeError, match="of another kind"), one_file.without_results():
        fails(*inputs)
    torch.testing.assert_close(compiled(*inputs), several(*inputs))


@pytest.mark.parametrize("within", ["kernels_in_one_file", "without_results"])
@pytest.mark.parametrize("at_once", [True, False])
def test_what_cannot_be_compiled_together_is_compiled_alone(
    folder: Path, inputs: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch, at_once: bool, within: str
) -> None:
    """Whether that shows as the file is put together, as with another torch, or when the C++ compiler has ended."""
    from truelift.training import one_file

    def fails(kernels: Any) -> Callable[[], Any]:
        def load() -> Any:
            raise RuntimeError("g++: internal error")

        return load() if at_once else load

    monkeypatch.setattr(one_file, "_start", fails)
    with getattr(one_file, within)() or contextlib.nullcontext():
        compiled(*inputs)
    torch.testing.assert_close(compiled(*inputs), several(*inputs))
    assert files(folder) > 1


def test_an_interrupted_wait_leaves_no_zeros(
    folder: Path, inputs: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    from truelift.training import one_file

    def interrupted(kernels: Any) -> Callable[[], Any]:
        def load() -> Any:
            raise KeyboardInterrupt

        return load

    monkeypatch.setattr(one_file, "_start", interrupted)
    with pytest.raises(KeyboardInterrupt), one_file.without_results():
        compiled(*inputs)
    torch.testing.assert_close(compiled(*inputs), several(*inputs))
