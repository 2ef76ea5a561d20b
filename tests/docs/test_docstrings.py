"""Every example in a docstring runs: what it says comes out, comes out."""

import doctest
import importlib.util
import pkgutil
from pathlib import Path

import pytest

import truelift
from tests.docs.surroundings import around

MODULES = [m.name for m in pkgutil.walk_packages(truelift.__path__, "truelift.") if not m.name.endswith("__main__")]


class Checker(doctest.OutputChecker):
    """An example after which nothing stands has to run; what it would show does not matter."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return not want or super().check_output(want, got, optionflags)


def with_examples(name: str) -> bool:
    """Whether a module's source has an example: most are not imported for nothing."""
    found = importlib.util.find_spec(name)
    return found is not None and found.origin is not None and ">>> " in Path(found.origin).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in MODULES if with_examples(name)])
def test_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    told: list[str] = []
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        if test.examples:
            code = "".join(example.source for example in test.examples)
            test.globs = {**around(code, {}), **vars(module)}
            runner = doctest.DocTestRunner(Checker(), verbose=False, optionflags=doctest.ELLIPSIS)
            runner.run(test, out=told.append)
    assert not told, "\n".join(told)


def test_no_example_is_skipped() -> None:
    folder = Path(truelift.__file__).parent
    assert [path for path in folder.rglob("*.py") if "doctest: +SKIP" in path.read_text(encoding="utf-8")] == []
