"""What a worker does with a stack: what trains together, what is halved, what breaks; training is a fake."""

from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import Mock, create_autospec

import numpy as np
import pytest

from ratelab.runs import planned
from ratelab.sweeps import worker
from ratelab.sweeps.stacks import Broke, Ended, Stack
from ratelab.sweeps.worker import StackTrainer, trainer_of_process
from ratelab.training import CannotStack, ProgramCache, Training
from ratelab.validation import UserError
from support.configs import VALUES, planned_run
from support.fakes import chunk, diverged_chunk
from support.stacks import kinds, rates

EPOCHS = 2


@pytest.fixture
def trained(monkeypatch):
    """Train stacks: `begin` is called with the seeds of the jobs and may raise or return the epochs."""
    fake = SimpleNamespace(
        sizes=[], starts=[], configured=[], bytes=10, begin=lambda _: None, test=lambda size: None
    )

    fake.models = Mock(side_effect=lambda place: SimpleNamespace(get_weights=lambda: [np.array([place])]))

    def make(jobs, program, start):
        fake.starts.append(start)
        fake.sizes.append(len(jobs))
        assert program == f"a program for {len(jobs)}"
        given = fake.begin(jobs)
        training = create_autospec(Training, instance=True)
        epochs = given or [[chunk(epoch) for _ in jobs] for epoch in range(EPOCHS)]
        training.__iter__.side_effect = lambda: iter(epochs)
        training.test.side_effect = lambda: (
            fake.test(len(jobs)) or [{"loss": 0.5, "accuracy": place / 8} for place in range(len(jobs))]
        )
        training.model.side_effect = fake.models
        return training

    programs = create_autospec(ProgramCache, instance=True)
    programs.get.side_effect = lambda job, size: f"a program for {size}"
    monkeypatch.setattr(worker, "ProgramCache", lambda: programs)
    monkeypatch.setattr(worker, "Training", make)
    monkeypatch.setattr(worker, "bytes_of_job", lambda job: fake.bytes)
    monkeypatch.setattr(worker.devices, "configure", fake.configured.append)
    fake.run = lambda *runs, memory=1000: list(StackTrainer(7, memory).train(Stack(runs)))
    return fake


def test_runs_give_their_epochs_together_and_then_their_results(trained):
    runs = rates(0, 1, 2)
    events = trained.run(*runs)
    assert kinds(events) == "0 1 2 0 1 2 0. 1. 2."
    assert {event.worker for event in events} == {7}
    assert [event.test["accuracy"] for event in events[-3:]] == [0.0, 0.125, 0.25]
    assert trained.sizes == [3]
    assert trained.configured == [runs[0].config.device]


def test_only_runs_that_keep_their_model_send_weights(trained):
    asked = planned_run(1, tracking={**VALUES["tracking"], "log_model": True})
    first, second = trained.run(planned_run(0), asked)[-2:]
    assert first.weights is None
    assert [weights.tolist() for weights in second.weights] == [[1]]


@pytest.mark.parametrize(
    ("memory", "sizes"), [(40, [4]), (39, [2, 2]), (19, [1, 1, 1, 1]), (0, [1, 1, 1, 1])]
)
def test_a_stack_is_halved_until_it_fits_into_the_memory_and_a_single_run_always_does(trained, memory, sizes):
    trained.run(*rates(0, 1, 2, 3), memory=memory)
    assert trained.sizes == sizes


def test_what_a_run_takes_is_computed_once_for_each_program(trained, monkeypatch):
    calls = []
    monkeypatch.setattr(worker, "bytes_of_job", lambda job: calls.append(job) or 10)
    trainer = StackTrainer(0, 1000)
    for _ in range(2):
        list(trainer.train(Stack(tuple(rates(0, 1)))))
    assert len(calls) == 1


def test_three_runs_that_fail_together_are_two_and_one(trained):
    def begin(jobs):
        if len(jobs) > 2:
            raise MemoryError

    trained.begin = begin
    assert kinds(trained.run(*rates(0, 1, 2))) == "0 1 0 1 0. 1. 2 2 2."
    assert trained.sizes == [3, 2, 1]


def test_a_model_that_cannot_be_stacked_is_trained_one_by_one_at_once(trained):
    def begin(jobs):
        if len(jobs) > 1:
            raise CannotStack

    trained.begin = begin
    assert kinds(trained.run(*rates(0, 1, 2, 3))) == "0 0 0. 1 1 1. 2 2 2. 3 3 3."
    assert trained.sizes == [4, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("error", "message", "has_traceback"),
    [
        (UserError("no such layer"), "no such layer", False),
        (ValueError("bad shape"), "bad shape", True),
        (MemoryError(), "MemoryError", True),
    ],
)
def test_a_run_that_cannot_begin_by_itself_is_broken(trained, error, message, has_traceback):
    def begin(_):
        raise error

    trained.begin = begin
    [event] = trained.run(planned_run(3))
    assert (event.worker, event.number, event.message) == (7, 3, message)
    assert (type(error).__name__ in event.traceback) is has_traceback
    assert bool(event.traceback) is has_traceback


def test_an_error_in_the_first_epoch_halves_and_one_in_a_later_epoch_breaks(trained):
    def epochs(size, good):
        yield from ([chunk(epoch) for _ in range(size)] for epoch in range(good))
        raise RuntimeError("device lost")

    trained.begin = lambda jobs: epochs(len(jobs), 0 if len(jobs) > 2 else 1)
    assert kinds(trained.run(*rates(0, 1, 2, 3))) == "0 1 0! 1! 2 3 2! 3!"
    assert trained.sizes == [4, 2, 2]


def test_a_run_that_diverged_ends_with_its_epoch(trained):
    trained.begin = lambda jobs: [[chunk(0), diverged_chunk(0)], [chunk(1), None]]
    events = trained.run(*rates(0, 1))
    assert kinds(events) == "0 1 0 0."


def test_where_all_have_diverged_nobody_looks_at_the_test_split(trained):
    def fail(_):
        raise AssertionError

    trained.test = fail
    trained.begin = lambda jobs: [[diverged_chunk(0) for _ in jobs]]
    assert kinds(trained.run(*rates(0, 1))) == "0 1"


def test_an_error_after_the_epochs_breaks_those_that_are_left(trained):
    def fail(_):
        raise RuntimeError("device lost")

    trained.test = fail
    trained.begin = lambda jobs: [[chunk(0), diverged_chunk(0)]]
    events = trained.run(*rates(0, 1))
    assert kinds(events) == "0 1 0!"
    assert events[-1].message == "device lost"


def test_an_error_in_giving_a_model_breaks_no_run_that_has_ended(trained):
    def begin(_):
        trained.models.side_effect = RuntimeError("device lost")

    trained.begin = begin
    asked = [planned_run(n, tracking={**VALUES["tracking"], "log_model": True}) for n in (1, 2)]
    assert kinds(trained.run(planned_run(0), *asked)) == "0 1 2 0 1 2 0. 1! 2!"


def test_a_device_that_cannot_be_set_breaks_each_run(trained, monkeypatch):
    def refuse(_):
        raise UserError("device: there is no GPU")

    monkeypatch.setattr(worker.devices, "configure", refuse)
    assert trained.run(*rates(0, 1)) == [Broke(7, n, "device: there is no GPU", "") for n in (0, 1)]
    assert trained.sizes == []


def test_the_jobs_of_runs_that_have_travelled_are_planned_here_once(trained, monkeypatch):
    calls, job_of = [], planned.job_of
    monkeypatch.setattr(planned, "job_of", lambda config: calls.append(config) or job_of(config))
    runs = rates(0, 1)
    trained.run(*runs)
    trained.run(*runs)
    assert calls == [run.config for run in runs]


def test_a_job_that_cannot_be_planned_here_breaks_each_run(trained, monkeypatch):
    def fail(_):
        raise FileNotFoundError("the data are not on this machine")

    monkeypatch.setattr(planned, "job_of", fail)
    events = trained.run(*rates(0, 1))
    assert kinds(events) == "0! 1!"
    assert "FileNotFoundError" in events[0].traceback


def test_a_run_that_is_not_tested_ends_without_a_result(trained):
    trained.test = lambda size: [None] * size
    assert trained.run(replace(planned_run(0)))[-1] == Ended(7, 0, None, None)


def test_all_tasks_of_a_process_share_one_trainer():
    trainer_of_process.cache_clear()
    assert trainer_of_process(1000) is trainer_of_process(1000)
    trainer_of_process.cache_clear()
