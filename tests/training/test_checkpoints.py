"""A stack that goes on from a checkpoint gives the bits of one that never stopped, whatever it trains."""

from dataclasses import replace

import numpy as np
import pytest
import yaml

from ratelab.runs.checkpoints import Checkpoints
from ratelab.runs.past import digest_of
from ratelab.sweeps.stacks import Ended, Epoch, Saved, Stack
from ratelab.sweeps.worker import StackTrainer
from ratelab.training import Program, Training
from ratelab.validation import UserError
from support.configs import planned_run
from support.fakes import fake_journals

EPOCHS = 4
CASES = {
    "plain": {},
    "momentum that moves": {
        "optimizer": "sgd, momentum: 0.9",
        "schedule": "one_cycle, pct_start: 0.3",
    },
    "plateau": {"schedule": "plateau, patience: 1, factor: 0.5, min_delta: 10.0"},
    "growing batches": {"batch": "growing, decay_steps: 30, decay_rate: 0.5"},
    "schedule-free": {"optimizer": "schedule_free_adamw"},
    "dropout and adam": {"model": "mlp, hidden: [8], dropout: 0.5", "optimizer": "adam"},
    "convolutions, no XLA": {"model": "cnn, filters: [2], dropout: 0.5"},
    "muon": {"model": "mlp, hidden: [8]", "optimizer": "muon"},
}
PLACES = {"optimizer": "optimizers", "schedule": "schedules", "batch": "batch_sizes", "model": "models"}


def changes_of(case):
    """The configuration of a case, each function named as in YAML: its name, then its arguments."""
    found = {"epochs": EPOCHS}
    for group, words in CASES[case].items():
        target, _, arguments = words.partition(", ")
        values = yaml.safe_load(f"{{_target_: ratelab.{PLACES[group]}.{target}, {arguments}}}")
        found[group] = {**values, **({"clip_norm": None} if group == "optimizer" else {})}
    return found


def weights(training, jobs):
    return [[w.tobytes() for w in training.model(place).get_weights()] for place in range(jobs)]


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path, fake_journals())


@pytest.mark.parametrize(("case", "after"), [*((case, 2) for case in CASES), ("plain", 1), ("plain", EPOCHS)])
def test_the_rest_of_a_run_has_the_same_bits_in_its_losses_and_weights(tensorflow, checkpoints, case, after):
    size = 1 if "dropout" in str(CASES[case]) else 2
    members = [planned_run(n, learning_rate=0.02 / (n + 1), **changes_of(case)) for n in range(size)]
    jobs = [run.job for run in members]
    program = Program(jobs[0], size)
    whole, epochs = Training(jobs, program), []
    for chunks in whole:
        epochs.append(chunks)
        if len(epochs) == after:
            checkpoints.save(range(size), whole.checkpoint())
    start = checkpoints.load(range(size), after)
    rest = Training(jobs, program, start)
    again = list(rest)
    assert len(again) == EPOCHS - after
    for before, chunks in zip(epochs[after:], again, strict=True):
        assert [digest_of(one) for one in chunks] == [digest_of(one) for one in before]
        assert [one.epoch for one in chunks] == [one.epoch for one in before]
    assert rest.test() == whole.test()
    assert weights(rest, size) == weights(whole, size)


def test_a_run_that_diverged_before_stays_out(tensorflow, checkpoints):
    members = [planned_run(0), replace(planned_run(1, learning_rate=1e38), number=1)]
    jobs = [run.job for run in members]
    program = Program(jobs[0], 2)
    whole = iter(training := Training(jobs, program))
    first = next(whole)
    assert first[1].diverged_step is not None
    checkpoints.save((0, 1), training.checkpoint())
    rest = Training(jobs, program, checkpoints.load((0, 1), 1))
    again = list(rest)
    assert [chunks[1] for chunks in again] == [None, None]
    for before, chunks in zip(whole, again, strict=True):
        assert digest_of(chunks[0]) == digest_of(before[0])


def test_one_of_another_model_is_refused(tensorflow, checkpoints):
    training = Training([planned_run(0).job], Program(planned_run(0).job))
    next(iter(training))
    other = planned_run(0, **changes_of("muon")).job
    with pytest.raises(
        UserError, match="resume: the checkpoint is of another model or optimizer; begin anew"
    ):
        Training([other], Program(other), training.checkpoint())


def test_what_may_be_taken_at_any_time_is_behind_what_was_passed_on(tensorflow):
    job = planned_run(0).job
    training = Training([job], Program(job))
    seen = []
    for _ in training:
        seen.append(None if training.passed is None else training.passed.epochs)
    assert seen == [None, 1, 2]
    assert training.passed.epochs == 3


def test_a_worker_sends_one_behind_the_epochs_that_it_goes_on_from_and_begins_there(tensorflow):
    members = [
        planned_run(number, learning_rate=0.1 / (number + 1), checkpoint={"every": 1e-9}) for number in (0, 1)
    ]
    events = list(StackTrainer(7, 2**30).train(Stack(tuple(members))))
    kinds = "".join({Epoch: "e", Saved: "s", Ended: "."}[type(event)] for event in events)
    assert kinds == "eeseesees.."
    saved = [event for event in events if isinstance(event, Saved)]
    assert [(event.members, event.checkpoint.epochs) for event in saved] == [((0, 1), n) for n in (1, 2, 3)]
    rest = list(StackTrainer(7, 2**30).train(Stack(tuple(members), saved[1].checkpoint)))

    def chunks(events):
        return [(one.number, digest_of(one.chunk)) for one in events if isinstance(one, Epoch)]

    assert chunks(rest) == chunks(events)[4:]
    assert [one.test for one in rest[-2:]] == [one.test for one in events[-2:]]


def test_without_an_interval_there_are_none(tensorflow):
    run = planned_run(0, checkpoint={"every": None})
    events = list(StackTrainer(7, 2**30).train(Stack((run,))))
    assert not any(isinstance(event, Saved) for event in events)
    np.testing.assert_equal(len(events), 4)
