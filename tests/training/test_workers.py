"""Stacks are trained in this process."""

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
import yaml

from ratelab.data import digits
from ratelab.runs.job_of import job_of
from ratelab.sweeps.stacks import Broke, Ended, Epoch, Started
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


HIDDEN = {"_target_": "ratelab.models.mlp", "hidden": [8]}
TRANSFORMER = {"_target_": "ratelab.models.transformer", "layers": 1, "width": 8, "heads": 2}


@pytest.fixture
def file_of_numbers(tmp_path):
    """A file of numbers to be approached."""
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 5)).astype(np.float32)
    y = x @ random.normal(size=(5, 2)) + 0.1 * random.normal(size=(300, 2))
    np.savez(tmp_path / "numbers.npz", x=x, y=y)
    return tmp_path / "numbers.npz"


def assert_alike(together, alone, number):
    """A stack adds up in another order: the losses are those of the run alone, to rounding."""
    for mine, others in zip(events_of(together, number), events_of(alone, number), strict=True):
        if isinstance(mine, Ended):
            assert mine.test == pytest.approx(others.test, rel=1e-3)
        else:
            np.testing.assert_allclose(mine.chunk.train_loss, others.chunk.train_loss, rtol=1e-4)
            assert mine.chunk.validation == pytest.approx(others.chunk.validation, rel=1e-3)


def events_of(events, number):
    return [event for event in events if not isinstance(event, Started) and event.number == number]


def test_a_stack_of_regressions_gives_what_each_gives_alone(tensorflow, file_of_numbers):
    data = {"_target_": "ratelab.data.arrays", "file": str(file_of_numbers)}
    members = rates(0, 1, model=HIDDEN, data=data, validation_size=None, epochs=2)
    together = trained(*members)
    assert kinds(together) == "0 1 0 1 0. 1."
    assert set(together[-1].test) == {"loss", "rmse", "r2"}
    for one in members:
        assert_alike(together, trained(one), one.number)


def test_a_stack_with_class_weights_gives_what_each_gives_alone(tensorflow):
    task = {
        "_target_": "ratelab.tasks.classification",
        "class_weights": [1.0, 5.0, *[0.5] * 8],
        "label_smoothing": 0.1,
    }
    members = rates(0, 1, model=HIDDEN, task=task, epochs=2)
    together = trained(*members)
    assert kinds(together) == "0 1 0 1 0. 1."
    for one in members:
        assert_alike(together, trained(one), one.number)
    [plain] = [event for event in trained(*rates(1, model=HIDDEN, epochs=1)) if isinstance(event, Epoch)]
    assert (plain.chunk.train_loss != together[1].chunk.train_loss).all()  # the weights count


def test_transformers_are_trained_one_by_one(tensorflow, tmp_path):
    (tmp_path / "mine.txt").write_text("the quick brown fox jumps over the lazy dog. " * 60)
    data = {"_target_": "ratelab.data.text", "file": str(tmp_path / "mine.txt"), "context": 8}
    members = rates(0, 1, model=TRANSFORMER, data=data, validation_size=None, epochs=1)
    events = trained(*members)
    assert kinds(events) == "0 0. 1 1."
    assert bits(events, 1) == bits(trained(members[1]), 1)


def test_data_that_are_drawn_anew_break_each_run_with_one_message(tensorflow):
    members = [replace(run, data_digest="sha256:planned") for run in rates(0, 1)]
    events = trained(*members)
    assert kinds(events) == "0! 1!"
    [message] = {event.message for event in events}
    assert message.startswith("data: ratelab.data.digits must give the same data at every call")
    assert {event.traceback for event in events} == {""}


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
    # The message says it all; what stands between Keras and the user's line is kept beside it.
    assert all(event.is_blamed and "RuntimeError: boom" in event.traceback for event in events)


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


def test_an_error_breaks_no_run_that_has_diverged_before(exhausted):
    exhausted(lambda size, call: call == 1)
    events = trained(*rates(0, model=HIDDEN), planned_run(1, model=HIDDEN, learning_rate=1e30))
    assert kinds(events) == "0 1 0!"


def test_a_run_that_diverges_ends_with_that_epoch_and_leaves_the_others_as_they_are(tensorflow):
    wild = [planned_run(number, model=HIDDEN, learning_rate=1e30) for number in (1, 3)]
    events = trained(*rates(0, model=HIDDEN), wild[0], *rates(2, model=HIDDEN))
    assert kinds(events) == "0 1 2 0 2 0 2 0. 2."
    assert events[1].chunk.diverged_step == len(events[1].chunk.train_loss) - 1
    assert kinds(trained(*wild)) == "1 3"
    calm = trained(*rates(0, 1, 2, model=HIDDEN))
    assert [bits(events, number) for number in (0, 2)] == [bits(calm, number) for number in (0, 2)]


def test_a_run_that_is_not_to_be_tested_has_no_result_and_its_neighbour_has(tensorflow):
    chosen, judged = trained(planned_run(0, test=False), planned_run(1, learning_rate=0.5))[-2:]
    assert chosen.test is None
    assert judged.test == trained(planned_run(1, learning_rate=0.5))[-1].test
