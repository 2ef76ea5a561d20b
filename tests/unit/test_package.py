"""What the package offers is seen where names are looked for: by completion, and in a misspelt name's hint."""

import truelift


def test_what_is_imported_when_it_is_asked_for_is_listed() -> None:
    assert set(truelift.__all__) <= set(dir(truelift))
