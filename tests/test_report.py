import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ratelab.comparison import Group
from ratelab.report import schedule_lines, sweep_table
from ratelab.schedules import exponential, tabulate

RATES = st.lists(st.floats(0, allow_infinity=False, width=32), min_size=1, max_size=20)


def printed(groups, width=120):
    """The lines of the table, as they leave through a pipe."""
    file = io.StringIO()
    Console(file=file, width=width).print(sweep_table(groups))
    return file.getvalue().splitlines()


def rows(groups, width=120):
    """The cells of the table's rows, without its title, its heading and its frame."""
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed(groups, width)]
    return [row for row in cells if row]


def test_the_table_has_a_row_a_group():
    groups = [
        Group("fixed", 3, 0, 0, (0.91236, 0.9, 0.92), 0.1, 2.345),
        Group("exponential", 1, 0, 0, (0.5, 0.5, 0.5), 0.1 * 0.9**27.5, 10.0),
    ]
    assert rows(groups) == [
        ["fixed", "3", "0.9124", "0.9000 to 0.9200", "0.1", "2.35"],
        ["exponential", "1", "0.5000", "0.5000 to 0.5000", "0.00551657", "10.00"],
    ]


def test_the_heading_names_each_column():
    text = "\n".join(printed([]))
    for word in ("schedule", "runs", "mean", "range", "final rate", "seconds"):
        assert word in text


def test_runs_that_diverged_or_failed_are_told():
    groups = [
        Group("a", 3, 1, 0, (0.5, 0.5, 0.5), 0.1, 1.0),
        Group("b", 3, 0, 2, (0.5, 0.5, 0.5), 0.1, 1.0),
        Group("c", 4, 1, 2, (0.5, 0.5, 0.5), 0.1, 1.0),
    ]
    assert [row[1] for row in rows(groups)] == ["3 (1 diverged)", "3 (2 failed)", "4 (1 diverged, 2 failed)"]


def test_what_is_not_known_is_a_dash():
    assert rows([Group("a", 1, 1, 0, None, None, 0.0)]) == [["a", "1 (1 diverged)", "-", "-", "-", "0.00"]]


def test_zero_is_not_taken_for_unknown():
    assert rows([Group("a", 1, 0, 0, (0.0, 0.0, 0.0), 0.0, 0.0)]) == [
        ["a", "1", "0.0000", "0.0000 to 0.0000", "0", "0.00"]
    ]


@pytest.mark.parametrize(
    "name", ["fixed data.dir=[mine]", "fixed model.layers=[/a]", "fixed model.hidden=[128]"]
)
def test_a_name_with_brackets_is_shown_as_it_is(name):
    assert rows([Group(name, 1, 0, 0, None, None, 0.0)])[0][0] == name


def test_names_stay_different_in_a_pipe():
    """A pipe counts as 80 columns; what makes two groups different stands at the end of their names."""
    names = [f"exponential schedule.decay_steps={steps}" for steps in (100, 1000)]
    table = rows([Group(name, 10, 0, 0, (0.5, 0.5, 0.5), 0.1, 1.0) for name in names], width=80)
    text = "".join(row[0] for row in table).replace(" ", "")
    assert text == "".join(names).replace(" ", "")


def test_numbers_stay_whole_where_names_are_long():
    name = "exponential " + "schedule.decay_steps=1000 " * 4
    groups = [Group(name, 3, 1, 0, (0.5, 0.25, 0.75), 0.005, 12.5)]
    text = "\n".join(printed(groups, width=80))
    for number in ("0.5000", "0.2500", "0.7500", "0.005", "12.50"):
        assert number in text


def test_there_is_a_line_a_step_after_the_heading():
    rates = tabulate(exponential(0.1, decay_steps=10, decay_rate=0.5), 50)
    lines = schedule_lines(rates)
    assert len(lines) == 51
    assert lines[0] == "step   learning_rate"
    assert lines[1] == "   0   0.1"
    assert lines[11] == "  10   0.05"
    assert lines[41] == "  40   0.00625"


@given(RATES)
def test_every_printed_rate_reads_back_as_the_same_float32(values):
    rates = np.float32(values)
    read = np.float32([float(line.split()[1]) for line in schedule_lines(rates)[1:]])
    np.testing.assert_array_equal(read, rates)


@pytest.mark.parametrize("steps", [1, 9_999, 10_000, 100_001])
def test_the_columns_are_aligned_however_many_steps_there_are(steps):
    lines = schedule_lines(np.full(steps, 0.25, np.float32))
    assert {line.index("0.25") for line in lines[1:]} == {lines[0].index("learning_rate")}
    assert [int(line.split()[0]) for line in lines[1:]] == list(range(steps))
