"""Stacks are trained in this process."""

import itertools
import re

import numpy as np
import pytest
import yaml

from ratelab.data import digits
from ratelab.runs.job_of import job_of
from ratelab.sweeps.stacks import Broke
from ratelab.training import Program, Training, bytes_of_job
from support.configs import VALUES, planned_run
from support.stacks import bits, kinds, rates, trained

STEPS = 50


def test_runs_of_a_stack_give_their_epochs_together_and_then_their_results(tensorflow):
    events = trained(*rates(0, 1, 2))
    assert kinds(events) == "0 1 2 0 1 2 0 1 2 0. 1. 2."
    assert {event.worker for event in events} == {7}
    for event in events[:-3]:
        first = event.chunk.epoch * STEPS
        assert event.chunk.steps.tolist() == list(range(first, first + STEPS))
        assert (event.chunk.learning_rate == np.float32(0.1 / (event.number + 1))).all()


def test_weights_come_where_they_were_asked_for_and_give_the_result(tensorflow):
    asked = planned_run(1, learning_rate=0.5, tracking={**VALUES["tracking"], "log_model": True})
    first, second = trained(planned_run(0), asked)[-2:]
    assert first.weights is None
    kernel, bias = (weights.astype(np.float64) for weights in second.weights)
    test = digits(validation_size=300).test
    logits = test.inputs.reshape(-1, 64) / 16 @ kernel + bias
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(logits)), test.targets]
    loss, accuracy = second.test["loss"], second.test["accuracy"]
    assert accuracy == (logits.argmax(1) == test.targets).mean()
    assert loss == pytest.approx(losses.mean(), rel=1e-5)  # float32 against float64


def test_without_memory_every_run_is_trained_by_itself_to_the_same_bits_as_alone(tensorflow):
    members = rates(0, 1, 2)
    events = trained(*members, memory=0)
    assert kinds(events) == "0 0 0 0. 1 1 1 1. 2 2 2 2."
    for one in members:
        assert bits(events, one.number) == bits(trained(one), one.number)


def test_a_stack_is_as_large_as_the_memory_allows(tensorflow):
    members = rates(0, 1, 2, epochs=1)
    needed = 3 * bytes_of_job(job_of(members[0].config))
    assert kinds(trained(*members, memory=needed)) == "0 1 2 0. 1. 2."
    assert kinds(trained(*members, memory=needed - 1)) == "0 1 0. 1. 2 2."


@pytest.mark.parametrize("words", ["cnn, filters: [2]", "mlp, hidden: [8], dropout: 0.5"])
def test_a_model_that_cannot_be_stacked_is_trained_one_by_one(tensorflow, words):
    members = rates(0, 1, 2, model=yaml.safe_load(f"{{_target_: ratelab.models.{words}}}"), epochs=1)
    events = trained(*members)
    assert kinds(events) == "0 0. 1 1. 2 2."
    assert bits(events, 1) == bits(trained(members[1]), 1)


def test_a_mistake_of_the_users_breaks_each_run_without_a_traceback(tensorflow, own_models):
    rule = "give it a keras.Input, or call it once on a batch of shape (1, 8, 8)"
    message = f"model: must be a built keras.Model ({rule}), got str."
    assert trained(*rates(0, 1, 2, model=own_models("string"))) == [
        Broke(7, n, message, "") for n in range(3)
    ]


def test_what_a_users_model_raises_breaks_each_run_with_its_place(tensorflow, own_models, monkeypatch):
    monkeypatch.setenv("RATELAB_WORD", "boom")
    events = trained(*rates(0, 1, 2, model=own_models("word")))
    assert kinds(events) == "0! 1! 2!"
    [message] = {event.message for event in events}
    words = "model: own_models.word(input_shape=(8, 8), classes=10) raised RuntimeError: boom ("
    assert message.startswith(words)
    assert re.search(r"own_models\.py:12\)$", message)
    assert {event.traceback for event in events} == {""}


def test_an_error_of_our_own_breaks_each_run_with_its_traceback(tensorflow, monkeypatch):
    monkeypatch.setattr(Training, "test", lambda _: 1 / 0)
    events = trained(*rates(0, 1, 2))
    assert kinds(events) == "0 1 2 0 1 2 0 1 2 0! 1! 2!"
    broken = events[-3:]
    assert {event.message for event in broken} == {"division by zero"}
    assert all("ZeroDivisionError: division by zero\n" in event.traceback for event in broken)


def test_another_device_setting_than_that_of_the_process_breaks_each_run(tensorflow):
    events = trained(*rates(0, 1, device={**VALUES["device"], "threads": 2}))
    assert kinds(events) == "0! 1!"
    assert {event.traceback for event in events} == {""}
    assert all("one process runs with one device setting" in event.message for event in events)


@pytest.fixture
def exhausted(tensorflow, monkeypatch):
    """Let calls of Program.run fail as on a full device, those of which size and number say so."""

    def fail_where(condition):
        run, calls = Program.run, itertools.count()

        def failing(program, *arguments):
            if condition(program.size, next(calls)):
                raise tensorflow.errors.ResourceExhaustedError(None, None, "out of memory")
            return run(program, *arguments)

        monkeypatch.setattr(Program, "run", failing)

    return fail_where


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (lambda size, call: size > 2, "0 1 0 1 0. 1. 2 3 2 3 2. 3."),
        (lambda size, call: size > 1 and call == 0, "0 1 0 1 0. 1. 2 3 2 3 2. 3."),
        (lambda size, call: size > 1, "0 0 0. 1 1 1. 2 2 2. 3 3 3."),
        (lambda size, call: size > 1 or call == 2, "0! 1 1 1. 2 2 2. 3 3 3."),
        (lambda size, call: call == 1, "0 1 2 3 0! 1! 2! 3!"),
    ],
    ids=["large stacks", "once", "all stacks", "and a single run", "after an epoch"],
)
def test_what_cannot_be_allocated_is_halved_in_the_first_epoch_and_breaks_later(
    exhausted, condition, expected
):
    exhausted(condition)
    events = trained(*rates(0, 1, 2, 3, epochs=2))
    assert kinds(events) == expected
    assert all("ResourceExhaustedError" in event.traceback for event in events if isinstance(event, Broke))


MLP = {"_target_": "ratelab.models.mlp", "hidden": [8]}


def test_an_error_breaks_no_run_that_has_diverged_before(exhausted):
    exhausted(lambda size, call: call == 1)
    events = trained(*rates(0, model=MLP), planned_run(1, model=MLP, learning_rate=1e30))
    assert kinds(events) == "0 1 0!"


def test_a_run_that_diverges_ends_with_that_epoch_and_leaves_the_others_as_they_are(tensorflow):
    wild = [planned_run(number, model=MLP, learning_rate=1e30) for number in (1, 3)]
    events = trained(*rates(0, model=MLP), wild[0], *rates(2, model=MLP))
    assert kinds(events) == "0 1 2 0 2 0 2 0. 2."
    assert events[1].chunk.diverged_step == len(events[1].chunk.train_loss) - 1
    assert kinds(trained(*wild)) == "1 3"
    calm = trained(*rates(0, 1, 2, model=MLP))
    assert [bits(events, number) for number in (0, 2)] == [bits(calm, number) for number in (0, 2)]


def test_a_run_that_is_not_to_be_tested_has_no_result_and_its_neighbour_has(tensorflow):
    chosen, judged = trained(planned_run(0, test=False), planned_run(1, learning_rate=0.5))[-2:]
    assert chosen.test is None
    assert judged.test == trained(planned_run(1, learning_rate=0.5))[-1].test
