import gc
import importlib
import sys

import pytest

from ratelab.runtime.quick_imports import hide_modules, quick_imports


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_paused_and_left_as_it_was(enabled):
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with quick_imports():
            assert not gc.isenabled()
        assert gc.isenabled() is enabled
        assert gc.get_freeze_count() > 0
    finally:
        (gc.enable if before else gc.disable)()
        gc.unfreeze()


def test_the_collector_is_on_again_after_an_import_that_failed():
    with pytest.raises(ImportError), quick_imports():
        raise ImportError
    assert gc.isenabled()
    gc.unfreeze()


def test_a_hidden_module_cannot_be_imported_in_the_block_and_can_be_afterwards(tmp_path, monkeypatch):
    (tmp_path / "a_slow_module.py").write_text("loaded = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    with hide_modules("a_slow_module"), pytest.raises(ModuleNotFoundError, match="a_slow_module"):
        importlib.import_module("a_slow_module")
    assert importlib.import_module("a_slow_module").loaded
    del sys.modules["a_slow_module"]


def test_a_module_that_is_imported_already_is_not_hidden():
    with hide_modules("gc"):
        assert importlib.import_module("gc") is gc
    assert sys.modules["gc"] is gc


def test_modules_are_shown_again_after_an_error():
    with pytest.raises(RuntimeError), hide_modules("a_slow_module"):
        raise RuntimeError
    assert "a_slow_module" not in sys.modules
