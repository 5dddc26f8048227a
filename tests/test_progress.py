import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from ratelab import progress
from ratelab.progress import Bar, Lines, Silence, for_terminal

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def last_state(printed):
    """The bar as it was last seen: the last line before it is taken away."""
    return printed.rpartition("\n")[0].splitlines()[-1]


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
def bar(clock):
    """A reporter on a terminal, and what it has printed so far; closed at the end."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=160, get_time=clock, color_system=None)
    reporter = Bar(console)
    yield reporter, file.getvalue
    reporter.close()


def test_a_terminal_gets_a_bar_and_a_pipe_gets_lines():
    reporter = for_terminal(Console(file=io.StringIO(), force_terminal=True))
    reporter.close()
    assert isinstance(reporter, Bar)
    assert isinstance(for_terminal(Console(file=io.StringIO())), Lines)


def test_a_line_tells_which_run_begins(lines):
    reporter, printed = lines
    reporter.start("fixed seed=0", 2, 30, 50, 27_500)
    assert printed() == ["run 2/30 fixed seed=0: 50 epochs, 27,500 steps"]


def test_no_more_than_a_line_every_five_seconds(lines, clock):
    reporter, printed = lines
    reporter.start("fixed", 1, 1, 100, 10_000)
    for epoch in range(100):
        clock.now += 0.5
        reporter.advance(epoch + 1, 100)
    assert len(printed()) == 1 + 10


def test_a_line_tells_epoch_speed_and_the_time_left(lines, clock):
    reporter, printed = lines
    reporter.start("fixed", 1, 1, 5, 50_000)
    clock.now += 4.9
    reporter.advance(1, 10_000)
    clock.now += 0.1
    reporter.advance(2, 10_000)
    assert printed()[1:] == ["run 1/1 fixed: epoch 2/5, 4,000 steps/s, 8 s left in this run"]


def test_each_run_has_its_own_speed(lines, clock):
    reporter, printed = lines
    reporter.start("slow", 1, 2, 2, 20)
    clock.now += 100
    reporter.advance(1, 10)
    reporter.start("fast", 2, 2, 2, 2000)
    clock.now += 10
    reporter.advance(1, 1000)
    assert printed()[-1] == "run 2/2 fast: epoch 1/2, 100 steps/s, 10 s left in this run"


def test_a_long_line_is_not_broken(lines):
    reporter, printed = lines
    reporter.start("fixed " + "model.activation=relu " * 20, 1, 1, 1, 1)
    assert len(printed()) == 1


def test_no_escape_codes_go_into_a_pipe(lines, clock):
    reporter, printed = lines
    reporter.start("fixed", 1, 1, 2, 20)
    clock.now += 6
    reporter.advance(1, 10)
    reporter.close()
    assert "\x1b" not in "".join(printed())


@pytest.mark.parametrize(
    "name", ["fixed data.dir=[mine]", "fixed model.layers=[/a]", "fixed model.hidden=[128]"]
)
@pytest.mark.parametrize("kind", ["lines", "bar"])
def test_a_name_with_brackets_is_shown_as_it_is(kind, name, request):
    reporter, printed = request.getfixturevalue(kind)
    reporter.start(name, 1, 1, 1, 1)
    reporter.close()
    assert name in str(printed())


def test_the_bar_shows_run_epoch_and_speed(bar, clock):
    reporter, printed = bar
    reporter.start("fixed seed=0", 2, 3, 5, 250)
    for epoch in (1, 2):
        clock.now += 0.5
        reporter.advance(epoch, 50)
    reporter.close()
    last = last_state(printed())
    assert "run 2/3 fixed seed=0" in last
    assert "epoch 2/5" in last
    assert "100 steps/s" in last


def test_the_bar_is_full_when_the_last_run_ends(bar, clock):
    reporter, printed = bar
    for number in (1, 2):
        reporter.start("fixed", number, 2, 1, 50)
        clock.now += 1
        reporter.advance(1, 50)
    reporter.close()
    assert "0:00:00" in printed()


def test_a_run_that_ends_early_does_not_look_fast(bar, clock):
    reporter, printed = bar
    reporter.start("diverges", 1, 2, 100, 100_000)
    clock.now += 1
    reporter.advance(1, 1000)
    reporter.start("fixed", 2, 2, 100, 100_000)
    for epoch in (1, 2):
        clock.now += 1
        reporter.advance(epoch, 1000)
    reporter.close()
    assert "1,000 steps/s" in last_state(printed())


def test_closing_the_bar_takes_it_away_and_shows_the_cursor_again(bar):
    reporter, printed = bar
    reporter.start("fixed", 1, 1, 1, 1)
    reporter.close()
    assert printed().count(HIDE_CURSOR) == printed().count(SHOW_CURSOR) == 1
    assert printed().endswith("\x1b[1A\x1b[2K")


def test_silence_says_nothing(capfd):
    reporter = Silence()
    reporter.start("fixed", 1, 1, 1, 1)
    reporter.advance(1, 1)
    reporter.close()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["lines", "bar"])
def test_closing_twice_changes_nothing(kind, request):
    reporter, printed = request.getfixturevalue(kind)
    reporter.close()
    once = printed()
    reporter.close()
    assert printed() == once
