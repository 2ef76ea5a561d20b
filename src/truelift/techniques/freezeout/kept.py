"""The form of what a layer returns, a tensor or a structure of them, so that it can be kept as a row of bytes an image.

B images; a tensor (B, C, H, W) is kept as it lies in memory.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten


@dataclass(frozen=True)
class _Kind:
    """One tensor's form."""

    axis: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    channels_last: bool
    device: torch.device

    @property
    def size(self) -> int:
        """Bytes an image."""
        return torch.Size(self.shape).numel() * self.dtype.itemsize

    def pack(self, x: Tensor) -> Tensor:
        """To uint8 (B, size)."""
        stored = x.permute(0, 2, 3, 1) if self.channels_last else x.movedim(self.axis, 0)
        return stored.reshape(len(stored), -1).contiguous().view(torch.uint8)

    def unpack(self, rows: Tensor) -> Tensor:
        """From uint8 (B, size), anywhere, to the tensor on its device."""
        flat = rows.to(self.device).contiguous().view(self.dtype)
        if not self.channels_last:
            return flat.view(len(rows), *self.shape).movedim(0, self.axis)
        channels, height, width = self.shape
        return flat.view(len(rows), height, width, channels).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Form:
    """The form of what a layer returns; what does not come by images is the same for all and kept once."""

    structure: TreeSpec
    parts: tuple[Any, ...]

    @classmethod
    def of(cls, small: Any, large: Any, images: tuple[int, int]) -> "Form | None":
        """From what it returns for two batches of different sizes; none where that cannot be kept by images."""
        (few, structure), (many, other) = tree_flatten(small), tree_flatten(large)
        if structure != other:
            return None
        parts: list[Any] = []
        for one, two in zip(few, many, strict=True):
            if any(
                isinstance(part, Tensor) and (part.is_nested or part.layout != torch.strided) for part in (one, two)
            ):
                return None
            if not isinstance(one, Tensor) or not isinstance(two, Tensor) or one.shape == two.shape:
                parts.append(one)
                continue
            axes = [axis for axis, sizes in enumerate(zip(one.shape, two.shape, strict=False)) if len({*sizes}) > 1]
            if one.dim() != two.dim() or len(axes) != 1 or (one.shape[axes[0]], two.shape[axes[0]]) != images:
                return None
            axis = axes[0]
            channels_last = axis == 0 and one.dim() == 4 and one.is_contiguous(memory_format=torch.channels_last)
            shape = (*one.shape[:axis], *one.shape[axis + 1 :])
            parts.append(_Kind(axis, shape, one.dtype, channels_last, one.device))
        form = cls(structure, tuple(parts))
        return form if form.size else None

    @property
    def size(self) -> int:
        """Bytes an image."""
        return sum(part.size for part in self.parts if isinstance(part, _Kind))

    @property
    def device(self) -> torch.device:
        """Where the first tensor is."""
        device: torch.device = next(part.device for part in self.parts if isinstance(part, _Kind))
        return device

    def pack(self, value: Any) -> Tensor:
        """To uint8 (B, size)."""
        leaves, _ = tree_flatten(value)
        kinds = zip(self.parts, leaves, strict=True)
        rows = [part.pack(leaf) for part, leaf in kinds if isinstance(part, _Kind)]
        return rows[0] if len(rows) == 1 else torch.cat(rows, 1)

    def unpack(self, rows: Tensor) -> Any:
        """From uint8 (B, size), anywhere, to what the layer returned."""
        leaves, begin = [], 0
        for part in self.parts:
            if isinstance(part, _Kind):
                leaves.append(part.unpack(rows[:, begin : begin + part.size]))
                begin += part.size
            else:
                leaves.append(part)
        return tree_unflatten(leaves, self.structure)

    def last(self, value: Any, images: int) -> Any:
        """The same of the last so many images of a batch alone."""
        leaves, structure = tree_flatten(value)
        chosen = [
            leaf.narrow(part.axis, leaf.shape[part.axis] - images, images) if isinstance(part, _Kind) else leaf
            for part, leaf in zip(self.parts, leaves, strict=True)
        ]
        return tree_unflatten(chosen, structure)


def alike(one: Any, other: Any) -> bool:
    """Whether two structures hold the same, up to rounding: in numbers half of their digits."""
    (leaves, structure), (others, another) = tree_flatten(one), tree_flatten(other)
    return structure == another and all(_alike(a, b) for a, b in zip(leaves, others, strict=True))


def _alike(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return type(one) is type(other) and _equal(one, other)
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not (one.is_floating_point() or one.is_complex()):
        return torch.equal(one, other)
    finite = one.isfinite()
    if not torch.equal(finite, other.isfinite()):
        return False
    difference = (one - other)[finite].abs()
    return not difference.numel() or bool(difference.max() <= _precision(one) ** 0.5 * one[finite].abs().max())


def _equal(one: Any, other: Any) -> bool:
    """Whether two things, which may be arrays, are equal."""
    same = one == other
    if hasattr(same, "all"):
        return getattr(one, "shape", ()) == getattr(other, "shape", ()) and bool(same.all())
    return bool(same)


def _precision(x: Tensor) -> float:
    """The relative step of the numbers that a layer computes with."""
    steps = [torch.finfo(x.dtype).eps]
    if torch.is_autocast_enabled(x.device.type):
        steps.append(torch.finfo(torch.get_autocast_dtype(x.device.type)).eps)
    if x.device.type == "cuda":
        steps.append(2.0**-11)  # TensorFloat-32's
    return max(steps)
