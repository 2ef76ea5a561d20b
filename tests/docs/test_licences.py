"""The licences of what truelift uses: each package on the page, each licence one that goes with Apache-2.0."""

import re
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, ci_script

LICENCES = ci_script("licences")
PAGE = dict(
    re.findall(
        r"^\| (?!package )([a-z0-9-]+) \| .* \| (.*) \|$", (ROOT / "docs/licences.md").read_text(encoding="utf-8"), re.M
    )
)


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Setuptools, once something has imported it, has its own copies of others' packages among those installed."""
    monkeypatch.setattr(sys, "path", [place for place in sys.path if Path(place).name != "_vendor"])


def test_every_installed_package_is_on_the_page() -> None:
    assert sorted(set(LICENCES.rows()) - set(PAGE)) == []
    assert len(PAGE) > 30


def test_every_licence_is_compatible() -> None:
    assert {name: text for name, text in PAGE.items() if not LICENCES.compatible(text)} == {}
    assert {name: text for name, (_, text) in LICENCES.rows().items() if not LICENCES.compatible(text)} == {}


@pytest.mark.parametrize("text", ["GPL-3.0-only", "GNU Affero General Public License v3", "not stated", "Proprietary"])
def test_others_are_refused(text: str) -> None:
    assert not LICENCES.compatible(text)


@pytest.mark.parametrize("text", ["BSD License", "LGPL-2.1-or-later", "MPL-2.0 AND MIT", "GPL-2.0-only OR Apache-2.0"])
def test_these_are_not(text: str) -> None:
    assert LICENCES.compatible(text)
