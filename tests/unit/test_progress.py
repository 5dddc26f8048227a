import io
import itertools
import re
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ratelab.runtime import pace as pace_module
from ratelab.runtime import progress
from ratelab.runtime.pace import Pace
from ratelab.runtime.progress import Bars, Lines, for_terminal

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
LOOK = "val 0.9000"
CONTROL = re.compile(r"\x1b\[[?\d;]*[A-Za-z]")


def epoch(steps, seconds=1.0, *, number=1):
    """An epoch of a run; by default not the first one, which is slower than those that follow."""
    return SimpleNamespace(epoch=number, train_loss=range(steps), seconds=seconds)


def alike(runs, steps):
    """Runs of one kind, as `begin` takes them."""
    return [("softmax", steps)] * runs


class Clock:
    """A clock that stands still until it is told to move."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=clock))
    return clock


@pytest.fixture
def lines(clock):
    """A reporter into a pipe, and what it has printed so far."""
    file = io.StringIO()
    return Lines(Console(file=file, width=40)), lambda: file.getvalue().splitlines()


@pytest.fixture
def bars(clock):
    """A reporter on a terminal, and what it has printed so far; closed at the end."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=160, get_time=clock, color_system=None)
    reporter = Bars(console)
    yield reporter, file.getvalue
    reporter.close()


def last_bars(printed):
    """The bars as they were last seen: each time, they are drawn over those before; "|" for a bar itself."""
    frames = [CONTROL.sub("", frame).strip() for frame in printed.split("\r")]
    lines = [frame for frame in frames if ":" in frame][-1].splitlines()
    return [re.sub(r"[━╸╺\s]*[━╸╺][━╸╺\s]*|\s{5,}", " | ", line.strip()) for line in lines]


def test_a_terminal_gets_bars_and_a_pipe_gets_lines():
    reporter = for_terminal(Console(file=io.StringIO(), force_terminal=True))
    reporter.close()
    assert isinstance(reporter, Bars)
    assert isinstance(for_terminal(Console(file=io.StringIO())), Lines)


def test_a_single_run_is_told_by_its_name(lines):
    reporter, printed = lines
    reporter.begin(alike(1, 50))
    reporter.start(0, "fixed seed=0", "softmax", 50)
    assert printed() == ["1 run, 50 steps; compiling first", "fixed seed=0"]


def test_many_runs_are_told_by_their_number(lines):
    reporter, printed = lines
    reporter.begin(alike(30, 1000))
    reporter.start(0, "fixed seed=0", "softmax", 50)
    reporter.start(1, "fixed seed=1", "softmax", 50)
    assert printed() == ["30 runs, 30,000 steps; compiling first"]


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 2.0, 4.9375, 5.0]), st.integers(0, 2)), max_size=60))
def test_no_more_than_a_line_every_five_seconds(moves):
    """The times are exact in binary, so the moment of every line can be told exactly."""
    clock, file = Clock(), io.StringIO()
    reporter = Lines(Console(file=file))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "time", SimpleNamespace(monotonic=clock))
        reporter.begin(alike(3, 10**6))
        for worker in range(3):
            reporter.start(worker, "fixed", "softmax", 10**6)
        told = [clock.now]
        for seconds, worker in moves:
            clock.now += seconds
            before = file.getvalue()
            reporter.advance(worker, epoch(10), LOOK)
            if file.getvalue() != before:
                told.append(clock.now)
    assert len(file.getvalue().splitlines()) == len(told)
    assert all(later - sooner >= 5 for sooner, later in itertools.pairwise(told))


def test_lines_come_as_soon_as_five_seconds_are_over(lines, clock):
    reporter, printed = lines
    reporter.begin(alike(1, 10_000))
    reporter.start(0, "fixed", "softmax", 10_000)
    for _ in range(100):
        clock.now += 0.5
        reporter.advance(0, epoch(100), LOOK)
    assert len(printed()) == 2 + 10


def test_a_line_tells_steps_accuracy_speed_and_the_time_left(lines, clock):
    reporter, printed = lines
    reporter.begin(alike(1, 50_000))
    reporter.start(0, "fixed", "softmax", 50_000)
    reporter.advance(0, epoch(10_000, 3.0, number=0), "val 0.5000")
    clock.now += 5
    reporter.advance(0, epoch(20_000, 5.0), "val 0.9123")
    assert printed()[2:] == ["30,000/50,000 steps, val 0.9123, 4,000 steps/s, 5 s left"]


def test_the_first_epoch_of_a_program_is_no_measure(lines, clock):
    reporter, printed = lines
    reporter.begin(alike(1, 1000))
    reporter.start(0, "fixed", "softmax", 1000)
    clock.now += 60
    reporter.advance(0, epoch(500, 60.0, number=0), LOOK)
    assert printed()[2:] == ["500/1,000 steps, val 0.9000"]
    clock.now += 10
    reporter.advance(0, epoch(100, 10.0), LOOK)
    assert printed()[3:] == ["600/1,000 steps, val 0.9000, 10 steps/s, 40 s left"]


def test_epochs_that_waited_and_come_all_at_once_do_not_look_fast(lines, clock):
    """A million steps a second was told where the store was opened while training went on."""
    reporter, printed = lines
    reporter.begin(alike(1, 27_500))
    reporter.start(0, "fixed", "softmax", 27_500)
    clock.now += 6
    for number in range(40):
        reporter.advance(0, epoch(550, 0.125, number=number), LOOK)
    clock.now += 6
    reporter.advance(0, epoch(550, 0.125), LOOK)
    assert printed()[-1] == "22,550/27,500 steps, val 0.9000, 4,400 steps/s, 1 s left"


def test_nothing_is_said_of_the_pace_after_a_few_milliseconds(lines, clock):
    reporter, printed = lines
    reporter.begin(alike(1, 27_500))
    reporter.start(0, "fixed", "softmax", 27_500)
    clock.now += 6
    for number in range(2):
        reporter.advance(0, epoch(550, 0.0005, number=number), LOOK)
    clock.now += 6
    reporter.advance(0, epoch(550, 0.0005, number=2), LOOK)
    assert printed()[2:] == ["550/27,500 steps, val 0.9000", "1,650/27,500 steps, val 0.9000"]


def test_the_time_left_is_that_of_the_slowest_worker(lines, clock):
    reporter, printed = lines
    reporter.begin([("softmax", 1000), ("softmax", 1000), ("softmax", 1000)])
    reporter.start(0, "fixed", "softmax", 1000)
    reporter.start(1, "exponential, staircase", "softmax", 2000)
    for _ in range(10):
        reporter.advance(0, epoch(100, 1.0), LOOK)
    reporter.end(0, 0)
    clock.now += 5
    reporter.advance(1, epoch(400, 4.0), LOOK)
    # 1,600 steps at 100 a second: one worker has them all, though half would be the share of each
    assert printed()[-1] == "1/3 runs, 1,400/3,000 steps, val 0.9000, 100 steps/s, 16 s left"


def test_slow_and_fast_models_are_weighed_by_what_was_measured_of_each():
    """The mean over all steps said 80 s, then 11 hours, for model=softmax,mlp,cnn."""
    pace = Pace([("softmax", 1000), ("mlp", 1000), ("cnn", 1000)])
    pace.start(0, "softmax", 1000)
    pace.advance(0, epoch(500, 1.0))
    assert pace.speed() == 500
    assert pace.seconds_left(0) == 1.0
    assert (pace.seconds_left(), pace.unmeasured) == (None, 2)  # nothing rather than something wrong
    pace.start(1, "cnn", 1000)
    pace.advance(1, epoch(10, 10.0))
    assert (pace.seconds_left(), pace.unmeasured) == (None, 1)
    pace.advance(0, epoch(500, 1.0))
    pace.end(0, 0)
    pace.start(0, "mlp", 1000)
    pace.advance(0, epoch(100, 1.0))
    assert pace.unmeasured == 0
    assert pace.seconds_left(0) == 9.0
    assert pace.seconds_left(1) == 990.0
    assert pace.seconds_left() == 990.0
    assert pace.speed() == 101


def test_what_waits_is_shared_by_the_workers():
    pace = Pace([("softmax", 1000)] * 10)
    for worker in (0, 1):
        pace.start(worker, "softmax", 1000)
        pace.advance(worker, epoch(500, 5.0))
    assert pace.seconds_left() == 9000 * 0.01 / 2


def test_what_short_runs_take_beside_their_training_is_counted_too(monkeypatch):
    """Sixty runs of a hundredth of a second were told to be over in 0 s, and each took a whole one."""
    clock = Clock()
    monkeypatch.setattr(pace_module, "time", SimpleNamespace(monotonic=clock))
    pace = Pace(alike(60, 100))
    for _ in range(10):
        pace.start(0, "softmax", 100)
        clock.now += 1
        pace.advance(0, epoch(100, 0.125))
        pace.end(0, 0)
    assert pace.seconds_left() == pytest.approx(50)
    assert pace.speed(0) == pytest.approx(100)


def test_a_kind_that_nothing_is_left_of_need_not_be_measured():
    pace = Pace([("toy", 10), ("mlp", 1000)])
    pace.start(0, "toy", 10)
    pace.advance(0, epoch(10, 0.001, number=0))
    pace.end(0, 0)
    pace.start(0, "mlp", 1000)
    pace.advance(0, epoch(100, 1.0))
    assert pace.seconds_left() == 9.0


def test_a_line_says_of_how_many_models_nothing_is_known(lines, clock):
    reporter, printed = lines
    reporter.begin([("softmax", 1000), ("cnn", 1000)])
    reporter.start(0, "fixed", "softmax", 1000)
    clock.now += 5
    reporter.advance(0, epoch(500, 1.0), LOOK)
    unknown = "time left not known: 1 of 2 kinds of run not measured yet"
    assert printed()[-1] == f"0/2 runs, 500/2,000 steps, val 0.9000, 500 steps/s, {unknown}"


def test_a_worker_compiles_a_program_once():
    pace = Pace(alike(3, 100))
    assert not pace.is_compiling()
    pace.start(0, "softmax", 100)
    pace.start(1, "softmax", 100)
    assert pace.is_compiling()
    pace.advance(0, epoch(100, 9.0, number=0))
    pace.end(0, 0)
    assert (pace.is_compiling(), pace.is_compiling(0), pace.is_compiling(1)) == (False, False, True)
    pace.start(0, "softmax", 100)
    assert not pace.is_compiling(0)
    pace.advance(0, epoch(100, 1.0, number=0))  # of a program that had run before: a measure
    assert pace.speed(0) == 100


def test_a_process_in_the_place_of_one_that_died_compiles_anew():
    pace = Pace(alike(1, 100))
    pace.start(0, "softmax", 100)
    pace.advance(0, epoch(50))
    pace.start(0, "softmax", 50)
    assert pace.is_compiling(0)


def test_a_run_that_ends_early_does_not_spoil_the_total(lines, clock):
    reporter, printed = lines
    reporter.begin(alike(2, 1000))
    reporter.start(0, "diverges", "softmax", 1000)
    reporter.advance(0, epoch(100, 1.0), LOOK)
    reporter.end(0, 900)
    reporter.start(0, "fixed", "softmax", 1000)
    clock.now += 5
    reporter.advance(0, epoch(500, 5.0), LOOK)
    assert printed()[-1] == "1/2 runs, 600/1,100 steps, val 0.9000, 100 steps/s, 5 s left"


def test_no_escape_codes_go_into_a_pipe_and_no_line_is_broken(lines, clock):
    reporter, printed = lines
    reporter.begin(alike(1, 20))
    reporter.start(0, "fixed " + "model.activation=relu " * 20, "softmax", 20)
    for _ in range(2):
        clock.now += 6
        reporter.advance(0, epoch(10), LOOK)
    reporter.close()
    assert len(printed()) == 4
    assert "\x1b" not in "".join(printed())


def test_a_single_run_has_one_bar_with_its_name_its_accuracy_and_its_speed(bars, clock):
    reporter, printed = bars
    reporter.begin(alike(1, 250))
    reporter.start(0, "fixed seed=0", "softmax", 250)
    for number in range(3):
        clock.now += 0.5
        reporter.advance(0, epoch(50, 0.5, number=number), f"val {0.5 + number / 8:.4f}")
    reporter.end(0, 0)
    reporter.close()
    assert last_bars(printed()) == ["fixed seed=0 | val 0.7500 100 steps/s 0:00:01"]


def test_bars_that_stand_still_say_why(bars):
    reporter, printed = bars
    reporter.begin(alike(2, 250))
    reporter.close()
    assert last_bars(printed()) == ["0/2 runs | starting -:--:--"]


def test_bars_that_wait_for_a_compilation_say_so(bars):
    reporter, printed = bars
    reporter.begin(alike(2, 250))
    reporter.start(0, "fixed", "softmax", 250)
    reporter.close()
    assert last_bars(printed()) == ["0/2 runs | compiling -:--:--", "1: fixed | compiling -:--:--"]


def test_a_sweep_has_a_bar_for_all_runs_and_one_for_each_worker(bars, clock):
    reporter, printed = bars
    reporter.begin(alike(4, 250))
    reporter.start(0, "fixed seed=0", "softmax", 250)
    reporter.start(1, "cosine seed=1", "softmax", 250)
    for _ in range(3):
        clock.now += 1
        reporter.advance(0, epoch(50), "val 0.7500")
        reporter.advance(1, epoch(25), "val 0.5000")
    reporter.end(0, 0)
    reporter.close()
    assert last_bars(printed()) == [
        "1/4 runs | 75 steps/s 0:00:10",  # 775 steps of 37.5 a second and worker
        "1: fixed seed=0 | val 0.7500 38 steps/s 0:00:03",
        "2: cosine seed=1 | val 0.5000 38 steps/s 0:00:05",
    ]


def test_the_time_left_runs_down_between_two_epochs(bars, clock):
    reporter, printed = bars
    reporter.begin(alike(1, 1000))
    reporter.start(0, "fixed", "softmax", 1000)
    reporter.advance(0, epoch(100, 10.0), LOOK)
    clock.now += 30
    reporter.close()
    assert last_bars(printed())[0].endswith(" 0:01:00")


def test_names_are_cut_and_numbers_whole_in_eighty_columns(clock):
    file = io.StringIO()
    reporter = Bars(Console(file=file, force_terminal=True, width=80, get_time=clock, color_system=None))
    reporter.begin(alike(2, 10**6))
    reporter.start(0, "seed=0: " + "exponential schedule.decay_steps=100, " * 4, "softmax", 10**6)
    reporter.advance(0, epoch(123_456), LOOK)
    reporter.close()
    frame = [CONTROL.sub("", one).strip() for one in file.getvalue().split("\r") if "━" in one][-1]
    assert [len(line) <= 80 for line in frame.splitlines()] == [True, True]
    assert frame.splitlines()[1].startswith("1: seed=0: exponential")
    assert last_bars(file.getvalue())[1].endswith("… | val 0.9000 123,456 steps/s 0:00:07")


def test_a_worker_that_begins_with_another_stack_keeps_its_bar(bars):
    reporter, printed = bars
    reporter.begin([("softmax", 50), ("cnn", 100)])
    reporter.start(0, "fixed", "softmax", 50)
    reporter.advance(0, epoch(50), LOOK)
    reporter.end(0, 0)
    reporter.start(0, "exponential", "cnn", 100)
    reporter.close()
    everything, worker = last_bars(printed())
    assert everything.startswith("1/2 runs ")
    assert worker == "1: exponential | compiling -:--:--"


@pytest.mark.parametrize("missing", [0, 40])
def test_the_bar_for_all_runs_is_full_when_the_last_run_ends_early_or_not(bars, clock, missing):
    reporter, printed = bars
    reporter.begin(alike(2, 50))
    for _ in range(2):
        reporter.start(0, "fixed", "softmax", 50)
        clock.now += 1
        reporter.advance(0, epoch(50 - missing), LOOK)
        reporter.end(0, missing)
    reporter.close()
    everything, _ = last_bars(printed())
    assert everything.startswith("2/2 runs ")
    assert everything.endswith(" 0:00:00")


def test_a_run_that_ends_early_does_not_make_the_sweep_look_fast(bars):
    reporter, printed = bars
    reporter.begin(alike(2, 100_000))
    reporter.start(0, "diverges", "softmax", 100_000)
    reporter.advance(0, epoch(1000), LOOK)
    reporter.end(0, 99_000)
    reporter.start(0, "fixed", "softmax", 100_000)
    for _ in range(3):
        reporter.advance(0, epoch(1000), LOOK)
    reporter.close()
    everything, worker = last_bars(printed())
    assert " 1,000 steps/s" in everything
    assert " 1,000 steps/s" in worker


def test_a_worker_whose_run_ended_early_is_not_waited_for():
    pace = Pace(alike(2, 1000))
    for worker in (0, 1):
        pace.start(worker, "softmax", 1000)
        pace.advance(worker, epoch(50, 1.0))
    pace.end(0, 950)
    assert (pace.seconds_left(0), pace.seconds_left(1), pace.seconds_left()) == (0.0, 19.0, 19.0)


def test_closing_the_bars_takes_them_away_and_shows_the_cursor_again(bars):
    reporter, printed = bars
    reporter.begin(alike(2, 1))
    reporter.start(0, "fixed", "softmax", 1)
    reporter.close()
    assert printed().count(HIDE_CURSOR) == printed().count(SHOW_CURSOR) == 1
    assert printed().endswith("\x1b[1A\x1b[2K" * 2)


@pytest.mark.parametrize("name", ["fixed data.dir=[red]", "model.layers=[/a]", "model.hidden=[128]"])
@pytest.mark.parametrize(("kind", "runs"), [("lines", 1), ("bars", 1), ("bars", 2)])
def test_a_name_with_brackets_is_shown_as_it_is(kind, runs, name, request):
    reporter, printed = request.getfixturevalue(kind)
    reporter.begin(alike(runs, 1))
    reporter.start(0, name, "softmax", 1)
    reporter.close()
    assert name in str(printed())


@pytest.mark.parametrize("kind", ["lines", "bars"])
def test_closing_twice_changes_nothing(kind, request):
    reporter, printed = request.getfixturevalue(kind)
    reporter.close()
    once = printed()
    reporter.close()
    assert printed() == once
