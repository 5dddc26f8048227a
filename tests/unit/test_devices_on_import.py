"""`set_up_on_import`: TensorFlow is set up before a function of the user's imports it, and only then."""

import builtins
import sys
from types import ModuleType

import pytest

from ratelab.runtime import devices
from ratelab.runtime.devices import Device, set_up_on_import

DEVICE = Device(kind="cpu", index=0, threads=1, precision="float32", xla=None, deterministic=False)


@pytest.fixture
def configured(monkeypatch):
    """The devices that `configure` was called with, in a process that has not imported TensorFlow."""
    made = []
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setitem(sys.modules, "keras", ModuleType("keras"))
    monkeypatch.setattr(devices, "_configured", None)
    monkeypatch.setattr(devices, "configure", made.append)
    before = builtins.__import__
    yield made
    assert builtins.__import__ is before


def test_without_such_an_import_nothing_is_set_up(configured):
    with set_up_on_import(DEVICE):
        import json  # noqa: F401
    import keras  # noqa: F401

    assert configured == []


def test_the_first_import_sets_it_up_and_later_ones_do_not(configured):
    with set_up_on_import(DEVICE):
        import keras  # noqa: F401
        import keras as again  # noqa: F401

        assert configured == [DEVICE]


def test_it_ends_also_where_the_block_raises(configured):
    with pytest.raises(KeyError), set_up_on_import(DEVICE):
        raise KeyError


def test_what_is_set_up_already_stays(configured, monkeypatch):
    monkeypatch.setattr(devices, "_configured", DEVICE)
    with set_up_on_import(DEVICE):
        import keras  # noqa: F401
    assert configured == []


def test_what_a_program_has_imported_is_set_up_at_once(configured, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", ModuleType("tensorflow"))
    with set_up_on_import(DEVICE):
        assert configured == [DEVICE]
