"""Functions of the user's, planned as in a run: what they may return, and what is said of their errors."""

import importlib
import re
import signal
import sys

import numpy as np
import pytest

from ratelab.config import read
from ratelab.config.targets import call, locate
from ratelab.runs.job_of import job_of
from ratelab.validation import UserError
from support.configs import VALUES

STEPS = 150
HEAD = """
from __future__ import annotations
import bisect, dataclasses, functools, math, random, sys, warnings
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING
import numpy as np
from ratelab import batch_sizes, optimizers, schedules
from ratelab.validation import Count
if TYPE_CHECKING:
    from nowhere import Rate, Steps
"""
GOOD = """
def branches(learning_rate, steps):
    return lambda step: learning_rate if step < steps // 2 else learning_rate / 10

def maths(learning_rate, steps):
    return lambda step: learning_rate * math.exp(-3 * step / steps)

def looked_up(learning_rate, steps):
    table = {step: learning_rate / (1 + step) for step in range(steps)}
    return lambda step: table[step]

def bisected(learning_rate):
    return lambda step: [learning_rate, 0.0][bisect.bisect([50], step)]

def a_list(learning_rate, steps):
    return [learning_rate / (1 + step) for step in range(steps)]

def an_array(learning_rate, steps):
    return np.linspace(learning_rate, 0, steps)

def fractions(learning_rate):
    return lambda step: Fraction(1, 1 + step if step else 1)

def integers(steps):
    return lambda step: 1 * (step < 10)

def changing(learning_rate):
    def rate(step):
        step += 1
        return learning_rate / step
    return rate

class Instance:
    def __init__(self, learning_rate: Rate, steps: "Steps"):
        self.learning_rate, self.half = learning_rate, steps // 2

    def __call__(self, step):
        return self.learning_rate if step < self.half else 0.0

@dataclasses.dataclass
class Data:
    learning_rate: float
    steps: Count

    def __call__(self, step):
        return np.full(step.shape, self.learning_rate)

def only_for_type_checkers(learning_rate: Rate, *, factor: "Rate" = 0.5):
    return lambda step: np.full(step.shape, learning_rate * factor)

partly = functools.partial(only_for_type_checkers, factor=0.25)

class Factory:
    def __call__(self, learning_rate: float, steps: int):
        return lambda step: np.full(step.shape, learning_rate)

factory = Factory()

def in_front(learning_rate, steps, /):
    return lambda step: np.full(step.shape, learning_rate * steps)

def by_name(*, learning_rate, **others):
    return lambda step: np.full(step.shape, learning_rate * len(others))

def decorate(function):
    @functools.wraps(function)
    def call(*args, **kwargs):
        return function(*args, **kwargs)
    return call

@decorate
def decorated(learning_rate: float):
    return lambda step: np.full(step.shape, learning_rate)

def tuples(*, ends: tuple[float, float], folder: Path, names: set[str]):
    assert (ends, folder, names) == ((2, 3), Path("a"), {"b"})
    return lambda step: np.full(step.shape, 1.0)

def growing_list(*, values: list[int]):
    values.append(3)
    return lambda step: np.full(step.shape, len(values))

def reacting(learning_rate):
    return schedules.Reactive(lambda steps, losses: [learning_rate / (1 + len(losses))] * len(steps))

def cycling(learning_rate, steps):
    def rate(step):
        return np.full(step.shape, learning_rate)
    rate.momentum = lambda step: 0.9 if step < steps // 2 else 0.5
    return rate
"""
BAD = """
def breaks(learning_rate, steps, *, words: list[str] = ()):
    return learning_rate / 0

def breaks_at_seven(learning_rate):
    return lambda step: math.sqrt(-1) if step == 7 else learning_rate

def breaks_inside(learning_rate):
    def deep(number):
        return [][number]
    return lambda step: deep(3)

def misspelt(learning_rate):
    return lambda step: np.where(stp < 3, 1, 2)

def refuses_arrays(learning_rate):
    def rate(step):
        if step.shape == (150,):
            raise ValueError("my own rule")
        return 0.1
    return rate

def exits(learning_rate):
    sys.exit(0)

def exits_later(learning_rate):
    return lambda step: sys.exit("enough")

def interrupts(learning_rate):
    raise KeyboardInterrupt

def stops(learning_rate):
    return lambda step: next(iter([]))

def warns(learning_rate):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.warn("look out")

def recurses(learning_rate):
    return recurses(learning_rate)

def talks(learning_rate):
    raise ValueError("so many words\\n" * 1000)

class Mute(Exception):
    def __str__(self):
        raise RuntimeError

def mute(learning_rate):
    raise Mute

def needs_two(learning_rate, *, first):
    return None

def nothing(learning_rate):
    return None

def number(learning_rate):
    return learning_rate

def generates(learning_rate, steps):
    yield from [learning_rate] * steps

def yields(learning_rate):
    def rate(step):
        yield learning_rate
    return rate

def short(learning_rate, steps):
    return [learning_rate] * (steps - 1)

def column(steps):
    return np.ones((steps, 1))

def words(learning_rate, steps):
    return [learning_rate] * 7 + ["x"] * (steps - 7)

def complexes(learning_rate):
    return lambda step: learning_rate * 1j * step

def truths(learning_rate):
    return lambda step: step < 7

def nones(learning_rate):
    return lambda step: None if step == 7 else learning_rate

def several(learning_rate):
    return lambda step: [learning_rate, math.exp(step)]

def not_a_number(learning_rate):
    return lambda step: math.nan if step == 7 else learning_rate

def negative(learning_rate):
    return lambda step: 7 - 1.0 * step

def too_large(learning_rate):
    return lambda step: 10**400 if step == 7 else math.sqrt(1)

def reacting_badly(learning_rate):
    return schedules.Reactive(lambda steps, losses: losses[7])
"""
OTHERS = """
def size(batch_size):
    return batch_sizes.BatchSize(lambda seen: batch_size / (1 - seen // 48))

def size_of_words(batch_size):
    return batch_sizes.BatchSize(lambda seen: "many")

def no_size():
    raise OSError("no such thing")

def no_optimizer(*, momentum: float = 0.5):
    raise LookupError("no such rule")

def optimizer():
    return optimizers.Optimizer(0, lambda *_: updated(), numbers_of_momenta=lambda momenta: momenta["x"])

def no_model(classes):
    return [].index(classes)

def no_data(*, validation_size):
    raise LookupError("no such data")

def data():
    return [(np.eye(40, 4), np.arange(40) % 2)] * 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The module of the user's, beside which programs are called."""
    (tmp_path / "own_code.py").write_text(HEAD + GOOD + BAD + OTHERS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("own_code", None)


def planned(schedule="ratelab.schedules.fixed", group="schedule", **arguments):
    target = {"_target_": schedule if "." in schedule else f"own_code.{schedule}", **arguments}
    return job_of(read({**VALUES, group: target, "allow_targets": ["own_code"]}))


def refusal(name, group="schedule", **arguments):
    with pytest.raises(UserError) as caught:
        planned(name, group, **arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


def line_of(text):
    """The line of the module that begins so."""
    lines = (HEAD + GOOD + BAD + OTHERS).splitlines()
    [number] = [number for number, line in enumerate(lines, 1) if line.strip().startswith(text)]
    return f"own_code.py:{number}"


T = np.arange(STEPS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("branches", np.where(T < 75, 0.1, 0.01)),
        ("maths", 0.1 * np.exp(-3 * T / STEPS)),
        ("looked_up", 0.1 / (1 + T)),
        ("bisected", np.where(T < 50, 0.1, 0)),
        ("a_list", 0.1 / (1 + T)),
        ("an_array", np.linspace(0.1, 0, STEPS)),
        ("fractions", 1 / (1 + T)),
        ("integers", T < 10),
        ("changing", 0.1 / (1 + T)),
        ("Instance", np.where(T < 75, 0.1, 0)),
        ("Data", np.full(STEPS, 0.1)),
        ("only_for_type_checkers", np.full(STEPS, 0.05)),
        ("partly", np.full(STEPS, 0.025)),
        ("factory", np.full(STEPS, 0.1)),
        ("in_front", np.full(STEPS, 15.0)),
        ("decorated", np.full(STEPS, 0.1)),
    ],
)
def test_whatever_gives_a_rate_for_each_step_is_a_schedule(own, name, expected):
    np.testing.assert_allclose(planned(name).rates.table, expected, rtol=1e-6)


def test_a_schedule_of_one_step_may_have_a_warm_up(own):
    values = {**VALUES, "warmup": {"steps": 50, "start_factor": 0.0}, "allow_targets": ["own_code"]}
    for name in ("branches", "a_list", "looked_up"):
        rates = job_of(read({**values, "schedule": {"_target_": f"own_code.{name}"}})).rates.table
        np.testing.assert_allclose(rates[:51], 0.1 * np.arange(51) / 50, rtol=1e-6)
        assert rates[149] == pytest.approx(0.01 if name == "branches" else 0.001)


def test_schedules_of_one_step_are_joined_and_scaled(own):
    parts = [{"_target_": "own_code.branches"}, {"_target_": "own_code.a_list"}]
    joined = {"_target_": "ratelab.schedules.join", "schedules": parts, "boundaries": [100]}
    scaled = {"_target_": "ratelab.schedules.scale", "schedule": joined, "factor": 0.5}
    values = {**VALUES, "schedule": scaled, "allow_targets": ["own_code"]}
    expected = np.r_[np.full(50, 0.05), np.full(50, 0.005), 0.05 / np.arange(1, 51)]
    np.testing.assert_allclose(job_of(read(values)).rates.table, expected, rtol=1e-6)


def test_what_yaml_cannot_write_is_made_of_what_it_can(own):
    assert planned("tuples", ends=[2, 3], folder="a", names=["b"]).rates.table[0] == 1
    assert "tuples: ends.1 must be a valid number, got 'x'" in refusal(
        "tuples", ends=[2, "x"], folder="a", names=[]
    )


def test_any_keyword_arrives(own):
    assert planned("by_name", first=1, second=2).rates.table[0] == np.float32(0.2)


def test_what_a_function_changes_is_its_own_copy(own):
    for _ in range(2):
        assert planned("growing_list", values=[1]).rates.table[0] == 2


def test_rates_that_are_decided_on_the_way_may_be_a_list(own):
    rates = planned("reacting").rates
    assert rates.segment(slice(0, 3), [1.0]).tolist() == [np.float32(0.05)] * 3


def test_a_momentum_may_be_a_function_of_one_step(own):
    values = {**VALUES, "schedule": {"_target_": "own_code.cycling"}, "allow_targets": ["own_code"]}
    optimizer = {"_target_": "ratelab.optimizers.sgd", "momentum": 0.9}
    momenta = job_of(read({**values, "optimizer": optimizer})).momenta
    np.testing.assert_array_equal(momenta, np.where(T < 75, 0.9, 0.5).astype(np.float32))


RETURNED = "schedule: what own_code."
NEEDED = "must return a function of the step, or a list of rates, got"


@pytest.mark.parametrize(
    ("name", "message", "line"),
    [
        (
            "breaks",
            "own_code.breaks(learning_rate=0.1, steps=150) raised ZeroDivisionError",
            "return learning_rate / 0",
        ),
        (
            "breaks_at_seven",
            f"{RETURNED}breaks_at_seven returned, asked for step 7, raised ValueError",
            "return lambda step: math.sqrt(-1)",
        ),
        (
            "breaks_inside",
            f"{RETURNED}breaks_inside returned, asked for step 0, raised IndexError",
            "return [][number]",
        ),
        (
            "misspelt",
            f"{RETURNED}misspelt returned, asked for step 0, raised NameError: name 'stp'",
            "return lambda step: np.where(stp",
        ),
        (
            "refuses_arrays",
            "asked for all steps at once, raised ValueError: my own rule",
            'raise ValueError("my own rule")',
        ),
        ("exits", "own_code.exits(learning_rate=0.1) raised SystemExit: 0", "sys.exit(0)"),
        ("exits_later", "asked for step 0, raised SystemExit: enough", "return lambda step: sys.exit"),
        ("stops", "asked for step 0, raised StopIteration", "return lambda step: next"),
        ("warns", "raised UserWarning: look out", 'warnings.warn("look out")'),
        ("recurses", "own_code.recurses(learning_rate=0.1) raised RecursionError", "return recurses"),
        ("talks", "raised ValueError: so many words so many words", 'raise ValueError("so many'),
        ("mute", "own_code.mute(learning_rate=0.1) raised Mute", "raise Mute"),
    ],
)
def test_what_a_schedule_raises_is_told_with_what_it_was_given_and_its_line(own, name, message, line):
    said = refusal(name)
    assert message in said
    assert f"({line_of(line)})" in said


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("needs_two", "needs_two: first is required and was not given."),
        ("nothing", f"schedule: own_code.nothing {NEEDED} None"),
        ("number", f"schedule: own_code.number {NEEDED} 0.1"),
        ("generates", f"own_code.generates {NEEDED} <generator"),
        ("yields", f"{RETURNED}yields returned: must return one rate a step, shape (150,), got ()"),
        ("short", f"{RETURNED}short returned: must have one rate a step, 150 of them, got 149"),
        ("column", f"{RETURNED}column returned: must return one rate a step, shape (150,), got (150, 1)"),
        ("words", "the rate must be a real number, got 'x' at step 7"),
        ("complexes", "the rate must be a real number, got 0j at step 0"),
        ("truths", "the rate must be a real number, got True at step 0"),
        ("nones", "the rate must be a real number, got None at step 7"),
        ("several", "must return one rate for step 0, got shape (2,)"),
        ("not_a_number", "own_code.not_a_number: the rate must be finite and >= 0, got nan at step 7"),
        ("negative", "schedule: own_code.negative: the rate must be finite and >= 0, got -1.0 at step 8"),
        ("too_large", "a rate raised OverflowError: int too large"),
    ],
)
def test_what_is_no_rate_is_refused_with_its_step(own, name, message):
    assert message in refusal(name)


def test_what_a_reacting_schedule_raises_is_told_when_it_is_asked(own):
    rates = planned("reacting_badly").rates
    with pytest.raises(UserError, match=r"reacting_badly returned, asked for step 0, raised IndexError"):
        rates.segment(slice(0, 3), [1.0])


def test_an_interrupt_of_the_functions_own_is_told_and_one_from_outside_passes(own, monkeypatch):
    monkeypatch.setattr(signal, "getsignal", lambda _: print)  # as under `plain_endings`
    assert f"raised KeyboardInterrupt ({line_of('raise KeyboardInterrupt')})" in refusal("interrupts")
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        planned("interrupts")


@pytest.mark.parametrize(
    ("name", "group", "message"),
    [
        (
            "size",
            "batch",
            r"batch: own_code.size, asked after 48 examples, raised ZeroDiv.*own_code",
        ),
        (
            "size_of_words",
            "batch",
            "batch: own_code.size_of_words, asked after 0 examples, raised",
        ),
        ("no_size", "batch", r"own_code.no_size\(\) raised OSError: no such thing \(own_code.py:\d+\)"),
        (
            "no_optimizer",
            "optimizer",
            r"own_code.no_optimizer\(\) raised LookupError: no such rule \(own",
        ),
        ("branches", "optimizer", "branches: learning_rate is required and was not given"),
    ],
)
def test_the_other_functions_are_told_of_in_the_same_way(own, name, group, message):
    assert re.search(message, refusal(name, group))


@pytest.mark.parametrize(
    ("name", "group", "key"),
    [
        ("branches", "schedule", "decay_steps"),
        ("no_optimizer", "optimizer", "beta_1"),
        ("size", "batch", "decay_rate"),
        ("no_data", "data", "context"),
    ],
)
def test_what_the_file_of_an_option_sets_for_another_function_is_told_with_what_to_do(own, name, group, key):
    """As `schedule=cosine schedule._target_=mine.ramp` does."""
    said = refusal(name, group, **{key: 3})
    assert said.startswith(f"{name}: there is no '{key}'")
    assert said.endswith(
        "If the file of an option sets it, name your function in a file of its own (docs/your_own.md)."
    )


def test_data_that_cut_themselves_take_no_validation_size(own):
    own_data = {"_target_": "own_code.data"}
    values = {**VALUES, "allow_targets": ["own_code"], "data": own_data}
    with pytest.raises(UserError) as refused:
        job_of(read(values))
    assert str(refused.value) == (
        "validation_size: own_code.data makes its validation split itself and takes no such argument, "
        "got 300; set validation_size=null, or name your function in a file of its own "
        "(docs/your_own_data.md)."
    )
    assert len(job_of(read({**values, "validation_size": None})).data.validation) == 40


def test_what_the_functions_of_an_optimizer_raise_is_told_as_theirs(own):
    optimizer = planned("optimizer", "optimizer").optimizer
    line = line_of("return optimizers.Optimizer")
    with pytest.raises(UserError, match=rf"optimizer: own_code.optimizer: update raised NameE.*\({line}\)"):
        optimizer.update(0, 0.1, [], [], [])
    with pytest.raises(UserError, match=r"optimizer: own_code.optimizer: numbers_of_momenta raised Ind"):
        optimizer.numbers_of_momenta(np.ones(3))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "update must return weights and slots, but to read them raised TypeError: cannot unpack"),
        (([3.0], []), "update must return weights and slots, but to read them raised AttributeError"),
        (([], []), r"of the shapes \[\[\(2,\)\], \[\(2,\)\]\], got \[\[\]\]"),
        (([np.ones(2)], []), r"got \[\[\(2,\)\]\]"),
        (([np.ones(3)], [[np.ones(2)]]), r"got \[\[\(3,\)\], \[\(2,\)\]\]"),
    ],
)
def test_an_update_returns_what_it_was_given(own, monkeypatch, returned, message):
    update = planned("optimizer", "optimizer").optimizer.update
    given = (0, 0.1, [np.ones(2)], [np.ones(2)], [[np.ones(2)]])
    monkeypatch.setattr(sys.modules["own_code"], "updated", lambda: returned, raising=False)
    with pytest.raises(UserError, match=message):
        update(*given)
    monkeypatch.setattr(sys.modules["own_code"], "updated", lambda: (given[2], given[4]))
    assert update(*given) == (given[2], given[4])


def test_what_a_model_raises_is_told_as_its_own(own):
    job = planned("no_model", "model")
    with pytest.raises(UserError, match=r"model: own_code.no_model\(classes=10\) raised ValueError: 10 "):
        job.build_model()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "def f(:",
            r"_target_=faulty.f: import faulty raised SyntaxError: .* \(faulty.py, line 1\)",
        ),
        ("raise OSError(3)", r"_target_=faulty.f: import faulty raised OSError: 3 \(faulty.py:1\)"),
        ("import nowhere", "_target_=faulty.f: No module named 'nowhere'; is its folder on PYTHONPATH"),
        ("f = 3", "_target_=faulty.f: must be a function or a class, got 3"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_with_its_line(own, text, message):
    (own / "faulty.py").write_text(text)
    with pytest.raises(UserError, match=message):
        locate("faulty.f")
    sys.modules.pop("faulty", None)


def test_the_line_in_a_module_beside_the_function_is_told(own, monkeypatch):
    (own / "beside.py").write_text("def halve(x):\n    return x / 0\n")
    (own / "calls.py").write_text("import beside\ndef f(x: int):\n    return beside.halve(x)\n")
    with pytest.raises(UserError, match=r"calls.f\(x=3\) raised ZeroDivisionError: .* \(beside.py:2\)"):
        call(locate("calls.f"), {"x": 3}, {})
    (own / "elsewhere").mkdir()
    monkeypatch.chdir(own / "elsewhere")
    with pytest.raises(UserError, match=rf"\({re.escape(str(own / 'beside.py'))}:2\)"):
        call(locate("calls.f"), {"x": 3}, {})
    for name in ("beside", "calls"):
        sys.modules.pop(name)


def test_a_model_whose_module_is_not_there_is_refused_before_anything_is_imported(own, monkeypatch):
    monkeypatch.setitem(VALUES, "allow_targets", ["nowhere", "own_code"])
    values = {**VALUES, "model": {"_target_": "nowhere.at.all"}}
    with pytest.raises(UserError, match=r"_target_=nowhere.at.all: No module named 'nowhere'; is its folder"):
        job_of(read(values))
    assert job_of(read({**VALUES, "model": {"_target_": "own_code.no_model"}})).data
    assert "own_code" not in sys.modules


def test_a_function_without_a_signature_is_refused():
    with pytest.raises(UserError, match="type: its arguments cannot be read"):
        call(type, {}, {})


def test_a_gradient_is_clipped_for_an_optimizer_of_ones_own_too(own):
    rule = planned("optimizer", "optimizer", clip_norm=0.5).optimizer
    assert rule.hyperparameters == {"clip_norm": 0.5}


def test_an_optimizer_object_of_keras_is_refused_with_the_name_of_ours(own, monkeypatch):
    """By its class alone: here one that says that it is of Keras'."""
    kind = type("Lion", (), {"__module__": "keras.src.optimizers.lion"})
    made = type("Mine", (kind,), {"__module__": "own_code"})()
    monkeypatch.setattr(importlib.import_module("own_code"), "optimizer", lambda: made)
    said = refusal("optimizer", "optimizer")
    assert said.startswith(
        "optimizer: own_code.optimizer returned keras.optimizers.Lion: an optimizer of Keras"
    )
    assert said.endswith("use optimizer=lion, which has its formula and its defaults.")
