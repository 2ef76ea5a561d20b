"""The compiling itself, before the first step, and where what is compiled is kept."""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from truelift.data.cache import cache_folder
from truelift.errors import InputError, one_line
from truelift.models import Whole
from truelift.own import is_import_path
from truelift.training.identity import fingerprint, identity, without_seed
from truelift.training.parts import Training
from truelift.training.quick_compiler import quick_compiler

_COMPILED = "TORCHINDUCTOR_CACHE_DIR"
"""Where torch keeps what it has compiled."""

_LOCK_SECONDS = 600.0
"""How long to wait for another process that compiles the same."""


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


def compile_now(training: Training) -> None:
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


def _compiler(training: Training) -> contextlib.AbstractContextManager[None]:
    """What the first compilation takes the least time with; on a GPU it was not tried."""
    if training.device != "cpu":
        return contextlib.nullcontext()
    # What is another's may keep, of what it computes here, what the run goes on with.
    return quick_compiler(run=is_import_path(training.experiment.model.name))


def _try(training: Training) -> None:
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
def _timed(training: Training) -> Iterator[None]:
    meters = training.meters
    meters.start()
    yield
    meters.stop_compiling()


@contextlib.contextmanager
def _one_at_a_time(training: Training) -> Iterator[None]:
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
