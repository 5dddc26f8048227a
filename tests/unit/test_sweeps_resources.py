"""How many processes start, and how much memory is left for the runs of their stacks."""

import os

import pytest

from ratelab.sweeps import resources
from ratelab.sweeps.resources import GIB, Resources
from support.stacks import rates, stack

STACKS = [stack(*rates(number)) for number in range(4)]


@pytest.fixture
def started(monkeypatch):
    """Return what would be started: the stacks, the number of workers, the bytes for runs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(3)))
    monkeypatch.setattr(resources, "free_memory", lambda: 8 * GIB)
    monkeypatch.setattr(resources, "Processes", lambda *given: given)
    return lambda **options: Resources(**options).start(STACKS)


@pytest.mark.parametrize(
    ("options", "workers", "memory"),
    [
        ({}, 3, 3.0),  # three quarters of 8 GiB, less one for each process
        ({"workers": 2}, 2, 4.0),
        ({"workers": 9}, 4, 2.0),  # no more than stacks
        ({"memory": 2.5}, 2, 0.5),  # no more than have room for TensorFlow
        ({"memory": 0.5}, 1, 0.0),
    ],
)
def test_as_many_workers_start_as_there_is_room_for(started, options, workers, memory):
    assert started(**options) == (STACKS, workers, int(memory * GIB))
