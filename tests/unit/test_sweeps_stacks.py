"""What a stack is, and how its events are counted by those who collect them."""

import pytest

from ratelab.sweeps.stacks import Broke, Ended, Epoch, Stack, Started, seen_as
from support.configs import VALUES, planned_run
from support.fakes import chunk
from support.stacks import rates

STACK = Stack(tuple(rates(4, 2)))


def test_a_stack_has_the_numbers_of_its_runs():
    assert STACK.numbers == (4, 2)


def test_stacks_of_one_device_and_one_environment_share_a_process():
    threads = {**VALUES["device"], "threads": 2}
    runs = [
        planned_run(0),
        planned_run(1, seed=1),
        planned_run(2, (("A", "1"),)),
        planned_run(3, device=threads),
    ]
    processes = [Stack((run,)).process for run in runs]
    assert processes[0] == processes[1]
    assert len(set(processes)) == 3


@pytest.mark.parametrize(
    "event",
    [
        Started(0, STACK),
        Epoch(0, 2, chunk(), (0, 1, 2)),
        Ended(0, 2, {"loss": 0.5, "accuracy": 0.5}, None),
        Broke(0, 2, "why", "where"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_an_event_is_the_same_but_for_the_number_of_its_worker(event):
    seen = seen_as(event, 5)
    assert type(seen) is type(event)
    assert vars(seen) == {**vars(event), "worker": 5}
