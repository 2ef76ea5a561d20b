"""A user's own parts, by import path: `package.module:name` or `folder/file.py:name`.

Modules and files are found from the folder in which the command was started. Wherever truelift takes the name of a
part, it takes an import path too.
"""

import ast
import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from truelift.errors import InputError, did_you_mean, one_line


def is_import_path(name: str) -> bool:
    """Whether a name is that of a user's own part: it has a colon, which no name of ours has."""
    return ":" in name


def load(path: str, kind: str) -> Any:
    """What an import path names.

    Args:
        path: `package.module:name` or `file.py:name`; `name` may have dots.
        kind: What it is to be, for messages: "model".

    Raises:
        InputError: There is no such module, file or name, importing it raises, or what it names cannot be called.
    """
    module_name, _, names = path.partition(":")
    found: Any = _import(module_name, path, kind)
    for name in names.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            hint = did_you_mean(name, dir(found))
            raise InputError(f'{kind} "{path}": {module_name} has no "{name}".{hint}') from None
        except (Exception, SystemExit) as error:  # a module's own __getattr__, a property
            raise InputError(f'{kind} "{path}": to look for "{name}" {raised(error)}.') from error
    if not callable(found):
        raise InputError(f'{kind} "{path}" must name something that can be called, got {type(found).__name__}.')
    return found


def call(kind: str, path: str, function: Callable[..., Any], args: Mapping[str, Any], **offered: Any) -> Any:
    """Call a user's own part with its `args`, and with those of the offered values that it has parameters for.

    A part with a parameter `classes`, say, is given the number of classes. `args` override what is offered.

    Raises:
        InputError: `args` has a name that the part does not take, one that it needs is missing, or it raises.
    """
    takes, takes_all = parameters(function)
    if not takes_all:
        refuse_unknown(kind, path, args, list(takes))
    given = {name: value for name, value in offered.items() if name in takes} | dict(args)
    missing = [name for name, needed in takes.items() if needed and name not in given]
    if missing:
        told = ", ".join(offered) or "nothing"
        raise InputError(f'{kind} "{path}" needs args.{missing[0]}, which is not given (offered are {told}).')
    with blamed(kind, path):
        return function(**given)


def refuse_unknown(kind: str, path: str, args: Mapping[str, Any], takes: Sequence[str]) -> None:
    """Refuse args that a user's own part does not take.

    Raises:
        InputError: One is not taken; the nearest name is told.
    """
    for name in args:
        if name not in takes:
            told = ", ".join(takes) or "nothing"
            raise InputError(f'{kind} "{path}" takes no args.{name}.{did_you_mean(name, takes)} It takes {told}.')


def parameters(function: Callable[..., Any]) -> tuple[dict[str, bool], bool]:
    """The parameters that can be given by name, each with whether it is required; and whether there is a `**kwargs`."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C
        return {}, True
    kinds = inspect.Parameter
    by_name = (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)
    takes = {p.name: p.default is kinds.empty for p in signature.parameters.values() if p.kind in by_name}
    return takes, any(p.kind is kinds.VAR_KEYWORD for p in signature.parameters.values())


def raised(error: BaseException) -> str:
    """What went wrong in a user's own part and where, on one line: "raised KeyError: 'a' (my.py, line 3)"."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f" ({Path(frame.tb_frame.f_code.co_filename).name}, line {frame.tb_lineno})" if frame else ""
    return f"raised {type(error).__name__}: {one_line(error)}{place}"


@contextlib.contextmanager
def blamed(kind: str, path: str) -> Iterator[None]:
    """Within it what a user's own part raises is told as that part's.

    Raises:
        InputError: It raises.
    """
    try:
        yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # it may be a script's, which ends the process
        raise InputError(f'{kind} "{path}" {raised(error)}.') from error


def sources(path: str, kind: str, module: str = "") -> list[Path]:
    """The source files of a user's own part: its module's, and those that it imports from its package or its folder.

    Installed packages and the standard library are not among them: their versions are in the run's environment.

    Args:
        path: The import path.
        kind: For messages.
        module: The name by which a file is imported, as `python -m` does it; empty where it is loaded as a file.

    Raises:
        InputError: There is no such module or file.
    """
    place = path.partition(":")[0]
    module = module if place.endswith(".py") else place
    first = _locate(place, path, kind)
    if first is None or _is_installed(first):
        return []
    # A package needs no __init__.py: then where it lies is known from the module's name alone.
    depth = module.count(".") + (bool(module) and first.name == "__init__.py")
    roots = _roots(first, depth)
    found: list[Path] = []
    waiting = [first, *_packages(module, roots[: depth + 1][-1])]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.append(file)
        waiting += _imported(file, roots)
    return sorted(found)


def digest(path: str, kind: str) -> str:
    """Sixteen hexadecimal digits that change with the source of a user's own part; empty for an installed one.

    Raises:
        InputError: There is no such module or file.
    """
    files = sources(path, kind)
    if not files:
        return ""
    sha = hashlib.sha256()
    for file in files:
        sha.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return sha.hexdigest()[:16]


def absolute(path: str, kind: str, *folders: Path) -> str:
    """An import path that means the same in every working folder: a file's with its absolute path.

    Args:
        path: The import path.
        kind: For messages.
        folders: Where else to look for the file.

    Raises:
        InputError: There is no such file.
    """
    file, colon, name = path.partition(":")
    if not file.endswith(".py"):
        return path
    for folder in (Path.cwd(), *folders):
        if (candidate := folder / Path(file).expanduser()).is_file():
            return f"{candidate.resolve()}{colon}{name}"
    raise InputError(f'{kind} "{path}": there is no file {file}.')


def import_first(copy: Path, original: Path) -> None:
    """Have what a copy of a file imports be found beside the copy, before what has changed beside the original since.

    Args:
        copy: A file, in its packages.
        original: The file that it is a copy of; it need not be there any more.
    """
    for here, there in zip(_roots(copy.resolve(), 0), original.resolve().parents, strict=False):
        at = next((at for at, entry in enumerate(sys.path) if Path(entry).resolve() == there), None)
        if at is not None and str(here) not in sys.path[:at]:
            sys.path.insert(at, str(here))


def _import(module_name: str, path: str, kind: str) -> ModuleType:
    file = _locate(module_name, path, kind)
    try:
        if not module_name.endswith(".py"):
            return importlib.import_module(module_name)
        assert file is not None, "_locate has found it"
        return _module_of(file)
    except (Exception, SystemExit) as error:
        raise InputError(f'{kind} "{path}" cannot be imported: it {raised(error)}.') from error


def _module_of(file: Path) -> ModuleType:
    """The module in a file, loaded once a process, so that two names from one file share it and can be pickled."""
    name = f"truelift_own_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    for root in map(str, _roots(file, 0)):  # it can import what lies beside it, as a script can, and its own package
        if root not in sys.path:
            sys.path.append(root)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None, "a file that ends in .py has a loader"
    assert spec.loader is not None, "a file that ends in .py has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _locate(module_name: str, path: str, kind: str) -> Path | None:
    """The file of a module; None where it has none, being built in."""
    if not module_name:
        raise InputError(f'{kind} "{path}" must be package.module:name or file.py:name.')
    if module_name.endswith(".py"):
        file = Path(module_name).expanduser()
        if not file.is_file():
            raise InputError(f'{kind} "{path}": there is no file {module_name}.')
        return file.resolve()
    here = str(Path.cwd())
    if here not in sys.path:  # as `python -m` does: the installed command does not
        sys.path.insert(0, here)
    try:
        spec = importlib.util.find_spec(module_name)
    except (ImportError, ValueError, AttributeError):  # a parent that is no package, or is not there
        spec = None
    except Exception as error:  # a parent package that raises
        raise InputError(f'{kind} "{path}" cannot be imported: it {raised(error)}.') from error
    if spec is None:
        raise InputError(f'{kind} "{path}": there is no module {module_name}.')
    return Path(spec.origin) if spec.origin and spec.has_location else None


def _is_installed(file: Path) -> bool:
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return any(file.is_relative_to(place) for place in places if place)


def _roots(file: Path, depth: int) -> list[Path]:
    """The folders from which a module finds others of the user's: its own, and up to the one that holds its package.

    Args:
        file: The module's.
        depth: In how many packages it lies at least.
    """
    roots = [file.parent]
    while (len(roots) <= depth or (roots[-1] / "__init__.py").is_file()) and roots[-1] != roots[-1].parent:
        roots.append(roots[-1].parent)
    return roots


def _packages(module: str, root: Path) -> Iterator[Path]:
    """What runs before a module of this name does: the `__init__.py` of each package around it."""
    names = module.split(".")
    for depth in range(1, len(names)):
        file = root.joinpath(*names[:depth], "__init__.py")
        if file.is_file() and file.stat().st_size:  # an empty one does nothing
            yield file.resolve()


def _imported(file: Path, roots: Sequence[Path]) -> Iterator[Path]:
    """The files that a file imports from the roots, or by a relative import."""
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            places, wanted = roots, [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            places = list(file.parents)[node.level - 1 : node.level] if node.level else roots
            base = node.module or ""
            wanted = [base, *(f"{base}.{alias.name}".lstrip(".") for alias in node.names)]
        else:
            continue
        for name in wanted:
            for root in places:
                place = root.joinpath(*filter(None, name.split(".")))
                candidates = [place / "__init__.py", *([place.with_suffix(".py")] if name else [])]
                yield from (candidate.resolve() for candidate in candidates if candidate.is_file())
                yield from _packages(name, root)
