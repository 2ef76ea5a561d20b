"""Imports without collections leave the collector as it was."""

import gc

import pytest

from truelift.garbage import uncollected


@pytest.mark.parametrize("collects", [True, False])
def test_the_collector_is_as_before(collects: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if collects else gc.disable)()
        with uncollected():
            assert not gc.isenabled()
        assert gc.isenabled() == collects
        with pytest.raises(KeyError), uncollected():
            raise KeyError
        assert gc.isenabled() == collects
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        (gc.enable if before else gc.disable)()
