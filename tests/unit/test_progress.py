import io
import itertools
import re
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ratelab.runtime import progress
from ratelab.runtime.progress import Bars, Lines, Silence, for_terminal

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
CONTROL = re.compile(r"\x1b\[[?\d;]*[A-Za-z]")


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
    """The bars as they were last seen: each time, they are drawn over those before."""
    frames = [CONTROL.sub("", frame).strip() for frame in printed.split("\r")]
    return [frame for frame in frames if "steps/s" in frame][-1].splitlines()


def test_a_terminal_gets_bars_and_a_pipe_gets_lines():
    reporter = for_terminal(Console(file=io.StringIO(), force_terminal=True))
    reporter.close()
    assert isinstance(reporter, Bars)
    assert isinstance(for_terminal(Console(file=io.StringIO())), Lines)


def test_a_single_run_is_told_by_its_name(lines):
    reporter, printed = lines
    reporter.begin(1, 50)
    reporter.start(0, "fixed seed=0", 50)
    assert printed() == ["1 run, 50 steps", "fixed seed=0"]


def test_many_runs_are_told_by_their_number(lines):
    reporter, printed = lines
    reporter.begin(30, 27_500)
    reporter.start(0, "fixed seed=0", 50)
    reporter.start(1, "fixed seed=1", 50)
    assert printed() == ["30 runs, 27,500 steps"]


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 2.0, 4.9375, 5.0]), st.integers(0, 2)), max_size=60))
def test_no_more_than_a_line_every_five_seconds(moves):
    """The times are exact in binary, so the moment of every line can be told exactly."""
    clock, file = Clock(), io.StringIO()
    reporter = Lines(Console(file=file))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "time", SimpleNamespace(monotonic=clock))
        reporter.begin(3, 10**6)
        for worker in range(3):
            reporter.start(worker, "fixed", 10**6)
        told = [clock.now]
        for seconds, worker in moves:
            clock.now += seconds
            before = file.getvalue()
            reporter.advance(worker, 10)
            if file.getvalue() != before:
                told.append(clock.now)
    assert len(file.getvalue().splitlines()) == len(told)
    assert all(later - sooner >= 5 for sooner, later in itertools.pairwise(told))


def test_lines_come_as_soon_as_five_seconds_are_over(lines, clock):
    reporter, printed = lines
    reporter.begin(1, 10_000)
    reporter.start(0, "fixed", 10_000)
    for _ in range(100):
        clock.now += 0.5
        reporter.advance(0, 100)
    assert len(printed()) == 2 + 10


def test_a_line_tells_steps_speed_and_the_time_left(lines, clock):
    reporter, printed = lines
    reporter.begin(1, 50_000)
    reporter.start(0, "fixed", 50_000)
    clock.now += 3
    reporter.advance(0, 10_000)
    clock.now += 5
    reporter.advance(0, 20_000)
    assert printed()[2:] == ["30,000/50,000 steps, 4,000 steps/s, 5 s left"]


def test_speed_is_measured_only_after_the_first_advance(lines, clock):
    """Before it TensorFlow is imported and the loop compiled: the steps that come with it are no measure."""
    reporter, printed = lines
    reporter.begin(1, 1000)
    reporter.start(0, "fixed", 1000)
    clock.now += 60
    reporter.advance(0, 500)
    assert len(printed()) == 2
    clock.now += 10
    reporter.advance(0, 100)
    assert printed()[2:] == ["600/1,000 steps, 10 steps/s, 40 s left"]


def test_a_line_of_a_sweep_tells_the_runs_that_ended_and_the_slowest_worker(lines, clock):
    reporter, printed = lines
    reporter.begin(3, 3000)
    reporter.start(0, "fixed", 1000)
    reporter.start(1, "exponential", 2000)
    reporter.advance(0, 100)
    reporter.advance(1, 100)
    clock.now += 5
    reporter.advance(0, 900)
    reporter.end(0, 0)
    clock.now += 5
    reporter.advance(1, 400)
    everything = "1/3 runs, 1,500/3,000 steps, 140 steps/s, 11 s left"  # 1,400 steps in 10 s, 1,500 to go
    assert printed()[-1] == f"{everything}, slowest worker 38 s with its stack"  # 400 in 10 s, 1,500 to go


def test_a_worker_that_begins_with_another_stack_is_measured_anew(lines, clock):
    reporter, printed = lines
    reporter.begin(2, 4000)
    reporter.start(0, "slow", 2000)
    reporter.advance(0, 1000)
    clock.now += 100
    reporter.advance(0, 1000)
    reporter.start(0, "fast", 2000)
    reporter.advance(0, 500)
    clock.now += 5
    reporter.advance(0, 500)
    assert printed()[-1].endswith(", slowest worker 10 s with its stack")


def test_a_run_that_ends_early_does_not_spoil_the_total(lines, clock):
    reporter, printed = lines
    reporter.begin(2, 2000)
    reporter.start(0, "diverges", 1000)
    reporter.advance(0, 100)
    reporter.end(0, 900)
    reporter.start(0, "fixed", 1000)
    clock.now += 5
    reporter.advance(0, 500)
    assert printed()[-1].startswith("1/2 runs, 600/1,100 steps, 100 steps/s, 5 s left")


def test_no_escape_codes_go_into_a_pipe_and_no_line_is_broken(lines, clock):
    reporter, printed = lines
    reporter.begin(1, 20)
    reporter.start(0, "fixed " + "model.activation=relu " * 20, 20)
    for _ in range(2):
        clock.now += 6
        reporter.advance(0, 10)
    reporter.close()
    assert len(printed()) == 3
    assert "\x1b" not in "".join(printed())


def test_a_single_run_has_one_bar_with_its_name_and_its_speed(bars, clock):
    reporter, printed = bars
    reporter.begin(1, 250)
    reporter.start(0, "fixed seed=0", 250)
    for _ in range(3):
        clock.now += 0.5
        reporter.advance(0, 50)
    reporter.end(0, 0)
    reporter.close()
    [bar] = last_bars(printed())
    assert bar.startswith("fixed seed=0 ")
    assert bar.endswith(" 100 steps/s 0:00:01")


def test_a_sweep_has_a_bar_for_all_runs_and_one_for_each_worker(bars, clock):
    reporter, printed = bars
    reporter.begin(4, 1000)
    reporter.start(0, "fixed seed=0", 250)
    reporter.start(1, "fixed seed=1", 250)
    for _ in range(3):
        clock.now += 1
        reporter.advance(0, 50)
        reporter.advance(1, 25)
    reporter.end(0, 0)
    reporter.close()
    everything, *workers = last_bars(printed())
    assert everything.startswith("1/4 runs ")
    assert [bar.split(" ━")[0] for bar in workers] == ["worker 1: fixed seed=0", "worker 2: fixed seed=1"]
    assert [re.findall(r"[\d,]+ steps/s", bar) for bar in workers] == [["50 steps/s"], ["25 steps/s"]]


def test_a_worker_that_begins_with_another_stack_keeps_its_bar(bars, clock):
    reporter, printed = bars
    reporter.begin(2, 200)
    for name in ("fixed", "exponential"):
        reporter.start(0, name, 100)
        clock.now += 1
        reporter.advance(0, 50)
    reporter.close()
    everything, worker = last_bars(printed())
    assert everything.startswith("0/2 runs ")
    assert worker.startswith("worker 1: exponential ")
    assert worker.endswith(" - steps/s  -:--:--")


@pytest.mark.parametrize("missing", [0, 40])
def test_the_bar_for_all_runs_is_full_when_the_last_run_ends_early_or_not(bars, clock, missing):
    reporter, printed = bars
    reporter.begin(2, 100)
    for _ in range(2):
        reporter.start(0, "fixed", 50)
        clock.now += 1
        reporter.advance(0, 50 - missing)
        reporter.end(0, missing)
    reporter.close()
    everything, _ = last_bars(printed())
    assert everything.startswith("2/2 runs ")
    assert everything.endswith(" 0:00:00")


def test_a_run_that_ends_early_does_not_make_the_sweep_look_fast(bars, clock):
    reporter, printed = bars
    reporter.begin(2, 200_000)
    reporter.start(0, "diverges", 100_000)
    clock.now += 1
    reporter.advance(0, 1000)
    reporter.end(0, 99_000)
    reporter.start(0, "fixed", 100_000)
    for _ in range(3):
        clock.now += 1
        reporter.advance(0, 1000)
    reporter.close()
    everything, worker = last_bars(printed())
    assert " 1,000 steps/s" in everything
    assert " 1,000 steps/s" in worker


def test_a_worker_whose_run_ended_early_is_not_waited_for(lines, clock):
    reporter, printed = lines
    reporter.begin(2, 2000)
    for worker in (0, 1):
        reporter.start(worker, "fixed", 1000)
        reporter.advance(worker, 50)
    clock.now += 1
    reporter.advance(0, 50)
    reporter.end(0, 900)
    for _ in range(3):
        clock.now += 5
        reporter.advance(1, 100)
    assert printed()[-1].endswith("slowest worker 35 s with its stack")  # 650 of 1,000 left, 300 in 16 s


def test_closing_the_bars_takes_them_away_and_shows_the_cursor_again(bars):
    reporter, printed = bars
    reporter.begin(2, 2)
    reporter.start(0, "fixed", 1)
    reporter.close()
    assert printed().count(HIDE_CURSOR) == printed().count(SHOW_CURSOR) == 1
    assert printed().endswith("\x1b[1A\x1b[2K" * 2)


@pytest.mark.parametrize("name", ["fixed data.dir=[red]", "model.layers=[/a]", "model.hidden=[128]"])
@pytest.mark.parametrize(("kind", "runs"), [("lines", 1), ("bars", 1), ("bars", 2)])
def test_a_name_with_brackets_is_shown_as_it_is(kind, runs, name, request):
    reporter, printed = request.getfixturevalue(kind)
    reporter.begin(runs, 1)
    reporter.start(0, name, 1)
    reporter.close()
    assert name in str(printed())


def test_silence_says_nothing(capfd):
    reporter = Silence()
    reporter.begin(1, 1)
    reporter.start(0, "fixed", 1)
    reporter.advance(0, 1)
    reporter.end(0, 0)
    reporter.close()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["lines", "bars"])
def test_closing_twice_changes_nothing(kind, request):
    reporter, printed = request.getfixturevalue(kind)
    reporter.close()
    once = printed()
    reporter.close()
    assert printed() == once
