"""Whether a training is compiled, and the compiling itself, before the first step.

`compile = "auto"` is decided by counted operations, constants and the kind of processor, never by a clock: so all seeds
of a study decide alike on machines of one kind, under whatever load. What was decided stands in environment.json, and
holds when the run goes on, since compiled numbers differ from eager ones by rounding.
"""

import contextlib
import os
import shutil
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from filelock import FileLock, Timeout
from torch import nn

from truelift.data.cache import cache_folder
from truelift.errors import InputError, one_line
from truelift.models import Classifier, Whole
from truelift.own import is_import_path
from truelift.techniques.freezeout import (
    find_layers,
    plain_cost,
    recompilations,
    tells_layers,
)
from truelift.training.experiment import Experiment
from truelift.training.hardware import multiplies_tiles
from truelift.training.identity import fingerprint, identity, without_seed
from truelift.training.policies.freezing import FreezingOptions
from truelift.training.quick_compiler import quick_compiler

if TYPE_CHECKING:  # it imports this module
    from truelift.training.build import Training

# Measured with ResNet-20, batch 128, on one core with AMX: what an eager step makes of its counted operations.
_OPERATIONS_A_SECOND = 170e9

# The part of an eager step that compiling saves there, in networks of narrow convolutions.
_SAVED = 0.2

# Inputs of a convolution's output, as a median over the network, above which memory no longer is what a step waits for.
_NARROW = 600

# Processor seconds with an empty cache, and for each convolution that is compiled. On a busy machine: short-cnn (7) 18,
# ResNet-20 (11 of 19, by layer) 25, the same as one graph (19) 30, DenseNet-40 (39) 49.
_COMPILE_SECONDS, _COMPILE_SECONDS_A_CONVOLUTION = 13.0, 1.0

# The forms of a layer that freezes, each compiled where it first occurs: ResNet-20 67 s in all.
_SECONDS_OF_ALL_FORMS = 5.0

# It must be earned back so many times over: the constants are another machine's.
_EARNED = 2.0

_COMPILED = "TORCHINDUCTOR_CACHE_DIR"
"""Where torch keeps what it has compiled."""

_LOCK_SECONDS = 600.0
"""How long to wait for another process that compiles the same."""


class Decision(NamedTuple):
    """Whether to compile."""

    compiled: bool
    why: str
    """In a few words."""


def decide(
    experiment: Experiment,
    network: Classifier,
    image_shape: tuple[int, ...],
    *,
    images: int,
    device: str,
    precision: str,
    processes: int,
    earlier: bool | None,
) -> Decision:
    """Whether a training is to be compiled.

    Args:
        experiment: Resolved.
        network: Its network.
        image_shape: (C, H, W).
        images: That the whole training passes, each as often as it is passed.
        device: Where it runs.
        precision: fp32, bf16 or fp16.
        processes: That train together.
        earlier: What was decided when the run began, where it is known.
    """
    if experiment.compile != "auto":
        return Decision(experiment.compile, "as set")
    if earlier is not None:
        return Decision(earlier, "as when the run began")
    reason = _not_for(experiment, device, precision, processes)
    if reason is not None:
        return Decision(False, reason)
    weights = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d)]
    if not weights or statistics.median(weight[0].numel() for weight in weights) > _NARROW:
        return Decision(False, "its convolutions are too wide to gain from it")
    short = Decision(False, "the training is too short to earn it back")
    # A convolution uses a weight once a pixel at most, forward and twice backward: mostly this is enough to say no.
    parameters = sum(p.numel() for p in network.parameters())
    if (
        6 * parameters * image_shape[-1] * image_shape[-2] * images / _OPERATIONS_A_SECOND * _SAVED
        < _EARNED * _COMPILE_SECONDS
    ):
        return short
    seconds = plain_cost(network, torch.empty(2, *image_shape)) / 2 * images / _OPERATIONS_A_SECOND
    cost = _cost(experiment.freezing, network)
    if _SAVED * seconds < _EARNED * cost:
        return short
    return Decision(True, f"saves some {_SAVED * seconds:,.0f} s of {seconds:,.0f} for {cost:,.0f} s of compiling")


def _not_for(experiment: Experiment, device: str, precision: str, processes: int) -> str | None:
    """Why an experiment is not compiled by itself, however long it is; none where it may be."""
    reasons = {
        "too little was measured on this device": device != "cpu",
        f"no gain was measured in {precision}": precision != "bf16",
        "nothing was measured for networks of one's own": is_import_path(experiment.model.name),
        "nothing was measured for freezings of one's own": is_import_path(experiment.freezing.name),
        "no gain was measured on a processor without AMX": not multiplies_tiles(),
        "several processes train": processes > 1,
        "images grow, and each size would be compiled": bool(experiment.data.progressive),
        "activations are recomputed": experiment.model.recompute,
        "activations of frozen layers are kept": experiment.freezing.cache != "none",
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _cost(freezing: FreezingOptions, network: Classifier) -> float:
    """Processor seconds that compiling takes: of each kind of layer, or of all layers, anew whenever some freeze."""
    kinds = network.kinds_of_layers()
    convolutions = sum(isinstance(m, nn.Conv2d) for part in kinds or [network] for m in part.modules())
    once, each = _COMPILE_SECONDS, _COMPILE_SECONDS_A_CONVOLUTION * convolutions
    if freezing.name == "none":
        return once + each
    if kinds:
        return once + each * _SECONDS_OF_ALL_FORMS
    layers = len(find_layers(network))
    at_worst = layers  # each by itself
    return (once + each) * (recompilations(freezing.stages(layers)) if freezing.name == "freezeout" else at_worst)


def why_impossible(device: str) -> str | None:
    """What torch.compile lacks on this machine; none where nothing is known to be lacking."""
    try:
        from torch._dynamo.eval_frame import is_dynamo_supported
    except ImportError as error:
        return one_line(error)
    if not is_dynamo_supported():
        return f"torch.compile does not know Python {sys.version_info.major}.{sys.version_info.minor}"
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if device == "cpu" and shutil.which(compiler) is None:
        return f"there is no C++ compiler {compiler}"
    return None


def compile_now(training: "Training") -> None:
    """Compile the network of a training that is to be compiled, on its first batch, before the first step.

    Weights, running statistics and random draws are as before, whether it succeeds or not. Of processes that would
    compile the same, one does, and the others find what it left on disk. Where it cannot be compiled, the training is
    eager from here on.

    Raises:
        InputError: It cannot be compiled, and `compile` is true.
    """
    if not training.compiled:
        return
    lacking = why_impossible(training.device)
    if lacking is None:
        with _one_at_a_time(training), _timed(training):
            try:
                with _compiler(training):
                    _try(training)
            except Exception as error:  # there are dozens, the C++ compiler's among them
                lacking = f"{type(error).__name__}: {one_line(error)[:300]}"
    if lacking is None:
        if training.experiment.compile == "auto":
            _say(f"compile auto: compiled ({training.compiled_why})")
        return
    training.network.forget_compiled()
    if training.experiment.compile is True:
        raise InputError(f"compile must be auto or false where torch.compile fails ({lacking}), got true.")
    _say(f"compile auto: going on without, since torch.compile fails ({lacking})")
    training.compiled, training.compiled_why = False, f"torch.compile fails ({lacking})"


def _compiler(training: "Training") -> contextlib.AbstractContextManager[None]:
    """What the first compilation takes the least time with; on a GPU it was not tried."""
    if training.device != "cpu":
        return contextlib.nullcontext()
    if training.network.kinds_of_layers():
        with contextlib.suppress(ImportError):  # of another torch
            from truelift.training.masks import masks_made_anew

            masks_made_anew()
    # What is another's may keep, of what it computes here, what the run goes on with.
    return quick_compiler(run=not tells_layers(training.network))


def _try(training: "Training") -> None:
    """One forward and backward pass, of which nothing is left but what was compiled."""
    network = training.network
    if training.experiment.freezing.cache != "none":
        return  # what it keeps it makes from the first batch on; so does the compiler
    kept = [(buffer, buffer.clone()) for buffer in network.buffers()]
    was_training, cuda = network.training, training.device.startswith("cuda")
    images = next(iter(training.batches.epoch(0))).images
    try:
        network.train()
        with torch.random.fork_rng(devices=[training.device] if cuda else []), training.autocast, training.entrance():
            output = network(images) if isinstance(network, Whole) else network.features(images)
            output.float().sum().backward()
    finally:
        with torch.no_grad():
            for buffer, before in kept:
                buffer.copy_(before)
        network.zero_grad()
        network.train(was_training)


@contextlib.contextmanager
def _timed(training: "Training") -> Iterator[None]:
    meters = training.meters
    meters.start()
    yield
    meters.stop_compiling()


@contextlib.contextmanager
def _one_at_a_time(training: "Training") -> Iterator[None]:
    """Within it no other process compiles the same variant; what is compiled is kept in truelift's cache.

    Without a folder that can be written it goes into torch's own, in the system's temporary folder.
    """
    cache = cache_folder()
    folder = None if cache is None else cache / "compiled"
    if folder is None or not _is_writable(folder):
        if folder is not None:
            _say(f"the cache {cache} cannot be written: what is compiled is kept in the system's temporary folder")
        yield
        return
    _keep_in(folder)
    alike = without_seed(identity(training.experiment))
    lock = FileLock(folder / f"{fingerprint([alike, training.precision, torch.__version__])}.lock")
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(Timeout, OSError):
            stack.enter_context(lock.acquire(_LOCK_SECONDS))
        yield


def _keep_in(folder: Path) -> None:
    """Have torch keep what it compiles there, unless the user names another place.

    Importing its compiler writes torch's own place into the environment, which is then nobody's choice.
    """
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    if os.environ.get(_COMPILED) in (None, default_cache_dir()):
        os.environ[_COMPILED] = str(folder)


def _is_writable(folder: os.PathLike[str]) -> bool:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _say(message: str) -> None:
    print(f"truelift: {message}", file=sys.stderr)
