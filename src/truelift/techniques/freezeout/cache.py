"""Training behind the frozen layers: their output is computed once for each image and kept. N images, L layers."""

import contextlib
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.hooks import RemovableHandle

from truelift.errors import InputError, require, whole
from truelift.techniques.compiled_graphs import import_compiler
from truelift.techniques.freezeout.draws import Draws
from truelift.techniques.freezeout.front import Front
from truelift.techniques.freezeout.kept import Form, alike
from truelift.techniques.freezeout.place import behind, behind_each, called, passing_on
from truelift.techniques.freezeout.restoring import restoring


class ActivationCache:
    """Keeps what the frozen layers make of each image, so that a step needs no forward pass through them either.

    Frozen layers are in inference mode: what they give for an image should depend on that image alone and never change.
    So as long as the images themselves do not change (no augmentation, or views of them drawn once), a step may begin
    at the first active layer. What is kept goes on from layer to layer as they freeze: in all of the training each
    frozen layer sees each image once.

    That it does depend on the image alone is tried, on two images in two different batches, before anything is kept,
    and that it has not changed at each later `advance`: layers that go by their batch's statistics, or draw at random
    though frozen, whatever comes out of it, are refused. What a layer returns may be a tensor or tuples, lists and
    dictionaries of tensors and other things, with the images along one axis of each tensor, whichever.

    Of the boundaries behind the frozen layers the last one is used whose activations fit the budget. One piece of
    memory is taken, as large as the largest of those that may be used, and each image's activations are replaced in
    their place.

    Args:
        network: The network. A step can begin behind a layer where the network passes on what it is given, unchanged,
            to the next layer when the frozen ones do nothing. Places where it does more are left out.
        freezing: A `FreezeOut` or `AdaptiveFreezing` of that network.
        samples: N.
        budget_bytes: Memory for the activations, above 0.
        device: Where they are kept; default: where the images are.
        folder: Keep them in a nameless file there, mapped into memory, instead; it ends with the process.
        example: Some images as the network takes them, to find those places now and not at the first `advance`.

    Raises:
        InputError: An argument is out of range; there is no place to begin; frozen layers give different things for an
            image in different batches, or have changed; the network is given what `take` gave outside of `skipping`.

    Example:
        >>> cache = ActivationCache(network, freezeout, samples=len(images), budget_bytes=2**31)
        >>> for epoch in range(epochs):
        ...     cache.advance(lambda: images.split(256))  # always in the same order
        ...     for indices in torch.randperm(len(images)).split(128):
        ...         freezeout.step()
        ...         batch = cache.take(indices) if cache.layer else images[indices]
        ...         with cache.skipping():
        ...             loss = criterion(network(batch), labels[indices])

    To go on from a checkpoint, save `layer` and give it to the first `advance` as `upto`: the activations are computed
    anew, to the same bits.

    Source:
        The idea is Liu et al., "AutoFreeze", arXiv 2102.01386, section 4, and Wang et al., "Egeria", arXiv 2201.06227.
    """

    def __init__(
        self,
        network: nn.Module,
        freezing: Front,
        *,
        samples: int,
        budget_bytes: int,
        device: torch.device | str | None = None,
        folder: Path | None = None,
        example: Tensor | None = None,
    ) -> None:
        whole("samples", samples, 1)
        whole("budget_bytes", budget_bytes, 1, 1 << 60)
        require("device", device, device is None or folder is None, "left out where folder is given")
        import_compiler()
        self.network = network
        self.freezing = freezing
        self.samples = samples
        self.budget_bytes = budget_bytes
        self._watch: RemovableHandle | None = None
        self._inside = 0  # of `skipping`
        self.layer = 0
        """How many layers, from the first, the kept activations have passed; 0 while there are none."""
        self._device = device
        self._folder = folder
        self._batch_size = 0
        # Of the activations behind so many layers, from 1 on, where a step can begin.
        self._forms: dict[int, Form] = {}
        self._rows = torch.empty(samples, 0, dtype=torch.uint8)
        self._probe = torch.empty(0)
        # Behind so many layers it first matters which batch an image is in; none where it does not.
        self._dependent: int | None = None
        if example is not None:
            with self._passing():
                self._find_places(example)

    def advance(self, images: Callable[[], Iterable[Tensor]], upto: int | None = None) -> int:
        """Take the activations behind the layers that are frozen by now; call it between two steps, say each epoch.

        Args:
            images: Gives all N images in batches of one size (but for the last), in the order of their indices, always
                the same; called only where nothing is kept yet. With autocast, call `advance` under it.
            upto: Behind so many layers at most; default: all that are frozen.

        Returns:
            `layer`, as it is then.

        Raises:
            InputError: What the class says, or there are not N images.
        """
        frozen = self.freezing.frozen if upto is None else min(upto, self.freezing.frozen)
        with self._passing():
            if frozen and self._batch_size == 0:
                first = _a_batch(next(iter(images()), None))
                self._batch_size, self._probe = len(first), first[:2].clone()
                if not self._forms:
                    self._find_places(first)
            self._check_alone(frozen)
            fitting = [layer for layer in self._forms if layer <= frozen and self._fits(layer) and self._still(layer)]
            if fitting and fitting[-1] > self.layer:
                self._move(images, fitting[-1])
            if self.layer:
                self._check_unchanged()
        return self.layer

    def take(self, indices: Tensor) -> Any:
        """The activations of some images, int64 (B,), on the images' device; of the form that the layer returned.

        Raises:
            InputError: Nothing is kept.
        """
        require("layer", self.layer, self.layer > 0, "above 0 (nothing is kept before a layer is frozen)")
        taken = self._rows_of(indices)
        self._unwatch()
        if not self._inside:
            self._watch = self.network.register_forward_pre_hook(_Refusing(taken), with_kwargs=True)
        return taken

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.remove()
            self._watch = None

    def _rows_of(self, indices: Tensor) -> Any:
        form = self._forms[self.layer]
        return form.unpack(self._rows[:, : form.size].index_select(0, indices.to(self._rows.device)))

    @contextlib.contextmanager
    def skipping(self, layers: int | None = None) -> Iterator[None]:
        """Within it the network takes activations for images: the layers that they have passed do nothing.

        These are exchanged for modules that pass on what they are given, so do not save the network within it.

        Args:
            layers: So many, from the first; default: `layer`.
        """
        self._unwatch()
        self._inside += 1
        try:
            with self._skipping(layers):
                yield
        finally:
            self._inside -= 1

    def _skipping(self, layers: int | None = None) -> contextlib.AbstractContextManager[None]:
        return passing_on(self.network, self.freezing.layers[: self.layer if layers is None else layers])

    @contextlib.contextmanager
    def _passing(self) -> Iterator[None]:
        """Within it layers are in inference mode, as in training when frozen, and what is around them in training.

        What torch.compile has made is for training: it would compile once more for each of these few passes.
        """
        modes = [(module, module.training) for module in self.network.modules()]
        inside = {id(m) for layer in self.freezing.layers for module in layer for m in module.modules()}
        try:
            with torch.no_grad(), torch.compiler.set_stance("force_eager"):
                self.network.eval()
                for module, _ in modes:
                    if id(module) not in inside:
                        module.training = True
                yield
        finally:
            for module, mode in modes:
                module.training = mode

    def _find_places(self, images: Tensor) -> None:
        """Find the layers behind which a step can begin, with the form of what is kept there.

        Raises:
            InputError: There is no such layer.
        """
        images = images[:2]
        others = _others(images)
        layers = [called(layer) for layer in self.freezing.layers]
        unkept: list[str] = []
        with restoring(self.network), torch.no_grad():
            large, _ = behind_each(self.network, others, layers)
            self.network.eval()  # nothing at random, to compare with; what draws all the same draws the same
            drawn = torch.get_rng_state()
            small, wanted = behind_each(self.network, images, layers)
            for number, value in small.items():
                form = Form.of(value, large.get(number), (len(images), len(others)))
                if form is None:
                    unkept.append(type(value).__name__)
                    continue
                if not alike(value, form.last(large[number], len(images))):
                    self._dependent = number
                    break
                torch.set_rng_state(drawn)
                if self._begins(number, form.unpack(form.pack(value)), wanted):
                    self._forms[number] = form
        if not self._forms and self._dependent is None and unkept:
            raise InputError(
                f"layers must return dense tensors with the images along one axis, or structures of them, to be kept, "
                f"got {unkept[0]} behind the first."
            )
        if not self._forms and self._dependent is None:
            raise InputError("layers must follow each other directly, got something between the first and the second.")

    def _begins(self, number: int, x: Any, wanted: Any) -> bool:
        """Whether the network gives what is wanted from `x`, what is behind so many layers."""
        try:
            with self._skipping(number):
                return alike(wanted, self.network(x))
        except torch.OutOfMemoryError:
            raise
        except Exception:  # the network does something else with it, whatever that says
            return False

    def _check_alone(self, frozen: int) -> None:
        """Refuse layers that do not give the same for an image whatever its batch.

        Raises:
            InputError: So many first layers do not.
        """
        if self._dependent is not None and frozen >= self._dependent:
            raise InputError(
                f"frozen layers must give the same for an image whatever its batch, to be kept, got another behind the "
                f"first {self._dependent}: is there a norm that takes the batch's own statistics, or dropout that "
                f"stays on?"
            )

    def _check_unchanged(self) -> None:
        """Refuse layers that give something else than when it was kept.

        Raises:
            InputError: They do.
        """
        kept = self._rows_of(torch.arange(len(self._probe)))
        draws = Draws()
        with restoring(self.network), draws.watching():
            now = self._behind(self._probe, 0, self.layer)
        if draws.seen:
            first, self.layer = self.layer, 0
            raise InputError(
                f"frozen layers must not draw at random, for what they give to be kept, got a draw in the first "
                f"{first}, or around them: is there dropout or an augmentation that stays on?"
            )
        if not alike(kept, now):
            raise InputError(
                f"frozen layers must stay as they are while their activations are kept, got a change in the first "
                f"{self.layer}: make a new ActivationCache after loading weights."
            )

    def _still(self, number: int) -> bool:
        """Whether nothing in the first so many layers is trained any longer, as what a later one shares still is."""
        later = {id(p) for layer in self.freezing.layers[number:] for module in layer for p in module.parameters()}
        modules = [module for layer in self.freezing.layers[:number] for module in layer]
        return not any(p.requires_grad and id(p) in later for module in modules for p in module.parameters())

    def _fits(self, layer: int) -> bool:
        return self.samples * self._forms[layer].size <= self.budget_bytes

    def _move(self, images: Callable[[], Iterable[Tensor]], target: int) -> None:
        """Replace what is kept by the activations behind `target` layers."""
        before, begin = self.layer, 0
        if before == 0:
            batches: Iterable[Any] = images()
            later = [form.size for layer, form in self._forms.items() if layer >= target and self._fits(layer)]
            self._allocate(max(later))
        else:
            parts = torch.split(self._rows[:, : self._forms[before].size], self._batch_size)
            batches = (self._forms[before].unpack(part) for part in parts)
        for batch in batches:
            if before == 0:
                _a_batch(batch)
            rows = self._forms[target].pack(self._behind(batch, before, target))
            if before == 0:
                require("rows of kept activations", len(rows), len(rows) == len(batch), f"{len(batch)}, one an image")
            most = self.samples - begin
            require("images", f"{begin + len(rows)} or more", len(rows) <= most, f"as many as samples, {self.samples}")
            # Each image's own place: what stood there has just been read.
            self._rows[begin : begin + len(rows), : rows.shape[1]] = rows
            begin += len(rows)
        require("images", begin, begin == self.samples, f"as many as samples, {self.samples}")
        self.layer = target

    def _allocate(self, size: int) -> None:
        shape = (self.samples, size)
        if self._folder is None:
            device = next(iter(self._forms.values())).device if self._device is None else self._device
            self._rows = torch.empty(shape, dtype=torch.uint8, device=device)
            return
        with tempfile.NamedTemporaryFile(dir=self._folder) as file:
            whole = torch.from_file(file.name, shared=True, size=self.samples * size, dtype=torch.uint8)
        self._rows = whole.view(shape)

    def _behind(self, x: Any, begin: int, end: int) -> Any:
        layers = [called(layer) for layer in self.freezing.layers]
        with self._skipping(begin):
            return behind(self.network, x, layers[end - 1], [module for later in layers[end:] for module in later])


class _Refusing:
    """A hook that refuses what was taken: where widths agree, frozen layers would run on their own output unseen.

    Copied or pickled with its network it knows of nothing any more: what was taken belongs to this network alone.
    """

    def __init__(self, taken: Any = ()) -> None:
        self._known = [weakref.ref(leaf) for leaf in tree_leaves(taken) if isinstance(leaf, Tensor)]

    def __call__(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        given = {id(leaf) for leaf in tree_leaves((args, kwargs))}
        if any(id(leaf) in given for leaf in (reference() for reference in self._known) if leaf is not None):
            raise InputError("what take gave must be given to the network within skipping(), got it outside of it.")

    def __reduce__(self) -> tuple[type["_Refusing"], tuple[()]]:
        return _Refusing, ()


def _a_batch(batch: Any) -> Tensor:
    """Refuse what is no batch of images.

    Raises:
        InputError: It is none, as where a loader gives labels too, or one tensor of all images is given.
    """
    given = "none" if batch is None else f"{type(batch).__name__} in place of one"
    require("images", given, isinstance(batch, Tensor), "batches of images alone, each a tensor")
    shape = tuple(batch.shape)
    require("images", f"one of shape {shape}", len(shape) > 1, "batches, such as images.split(256)")
    return batch  # type: ignore[no-any-return]


def _others(images: Tensor) -> Tensor:
    """A batch that ends with the images and begins with quite different ones, one more than them.

    So the images stand at odd places where they stood at even ones, in a batch of odd size where they were in an even.
    """
    others = 2 * images + 1 if images.is_floating_point() else images.flip(0)
    return torch.cat([others, others[:1], images])
