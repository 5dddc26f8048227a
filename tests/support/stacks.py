"""Runs cut into stacks and trained on the digits, in this process or in workers."""

import multiprocessing

from ratelab.sweeps.stacks import Broke, Ended, Epoch, Stack, Started
from ratelab.sweeps.worker import StackTrainer
from support.configs import planned_run

GIB = 2**30


def rates(*numbers, **changes):
    """Runs that differ in their learning rates only."""
    return [planned_run(number, learning_rate=0.1 / (number + 1), **changes) for number in numbers]


def stack(*members):
    return Stack(tuple(members))


def trained(*members, memory=GIB):
    """All events of these runs, trained in this process as one stack."""
    return list(StackTrainer(7, memory).train(stack(*members)))


def process_of(worker):
    [process] = [p for p in multiprocessing.active_children() if p.name == f"ratelab worker {worker}"]
    return process


def kinds(events):
    """Say "1" for an epoch of run 1, "1." for its result, "1!" where it broke, "*" where a stack began."""
    marks = {Epoch: "", Ended: ".", Broke: "!"}
    return " ".join("*" if isinstance(e, Started) else f"{e.number}{marks[type(e)]}" for e in events)


def bits(events, number):
    """All of a run that is equal whenever it is computed in the same way."""
    own = [event for event in events if not isinstance(event, Started) and event.number == number]
    chunks = [event.chunk for event in own if isinstance(event, Epoch)]
    return [
        *((c.first_step, c.learning_rate.tobytes(), c.train_loss.tobytes()) for c in chunks),
        *((c.epoch, c.validation) for c in chunks),
        *(event.test for event in own if isinstance(event, Ended)),
    ]
