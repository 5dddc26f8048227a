"""What is printed: every number whole at 80 columns, every name as it is."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ratelab.comparison import Measured, Result, study
from ratelab.report import as_markdown, print_study, schedule_lines
from ratelab.report.widths import wrap
from ratelab.schedules import exponential, tabulate

RATES = st.lists(st.floats(0, allow_infinity=False, width=32), min_size=1, max_size=20)


def runs(schedule, accuracies, **settings):
    return [
        Result(
            seed=seed,
            choices={"schedule": schedule},
            settings={key.replace("__", "."): str(value) for key, value in settings.items()},
            status="diverged" if accuracy is None else "finished",
            test={} if accuracy is None else {"accuracy": accuracy},
            validation=() if accuracy is None else (Measured(27_499, accuracy, 12.5, 2_750_000),),
            final_rate=0.0055166,
        )
        for seed, accuracy in enumerate(accuracies)
    ]


def printed(results, width=80):
    """The lines, as they leave through a pipe."""
    file = io.StringIO()
    print_study(Console(file=file, width=width), study(results))
    return file.getvalue().splitlines()


TWO = [*runs("fixed", [0.91, 0.92] * 4), *runs("exponential", [0.89, 0.90] * 4)]


def test_a_row_a_group_with_its_numbers():
    rows = [line.split() for line in printed(TWO)]
    assert ["fixed", "8", "0.9150", "0.9093-0.9207", "0.0053", "0.9150", "0.9100", "(0)"] in rows
    assert ["exponential", "8", "0.8950", "0.8893-0.9007", "0.0053", "0.8950", "0.8900", "(0)"] in rows


def test_a_row_a_pair_and_its_verdict():
    lines = printed(TWO)
    pair = "exponential fixed 8 -0.0200 -0.0200 to -0.0200 0.0078 0.00 -"
    assert pair.split() in [line.split() for line in lines]
    text = " ".join(line.strip() for line in lines)
    assert "* exponential is worse than fixed: accuracy -0.0200 (95 % interval -0.0200 to -0.0200)," in text


def test_names_that_do_not_fit_beside_a_pair_are_numbered():
    names = ["fixed batch=growing", "fixed batch=constant"]
    made = [run for name in names for run in runs(name, [0.91, 0.92] * 4)]
    narrow, wide = printed(made), printed(made, width=200)
    assert any(line.startswith("2 - 1 ") for line in narrow)
    assert any(line.startswith("1: fixed ") for line in narrow)
    assert max(map(len, narrow)) <= 80
    assert any("fixed batch=constant" in line and "fixed batch=growing" in line for line in wide[10:20])
    assert not any("2 - 1" in line for line in wide)


def test_a_group_that_all_are_compared_with_is_named_once():
    made = [run for name in ("fixed", "a", "b", "c", "d", "e", "f") for run in runs(name, [0.91, 0.92] * 4)]
    lines = printed(made)
    assert any("Paired differences from fixed, over the seeds of both" in line for line in lines)
    assert ["a", "8", "+0.0000"] in [line.split()[:3] for line in lines]


def test_how_soon_each_group_was_good_enough():
    rows = [line.split() for line in printed(TWO)]
    assert any("Until 0.895 is reached on the validation split (medians)" in line for line in printed(TWO))
    assert ["fixed", "8", "27,500", "2,750,000", "12.50", "12.50", "0.00552"] in rows
    assert ["exponential", "4", "27,500", "2,750,000", "12.50", "12.50", "0.00552"] in rows


def test_diverged_runs_are_told_and_what_is_not_known_is_a_dash():
    lines = printed([*runs("fixed", [0.5]), *runs("wild", [None])])
    assert ["wild", "1", "(1", "diverged)", "0.0000", "-", "-", "0.0000", "0.0000", "(0)"] in [
        line.split() for line in lines
    ]
    assert "* note: diverged, and counted with accuracy 0: wild: 1" in lines


def test_nothing_to_compare_is_said():
    assert printed([]) == ["no run has ended yet: there is nothing to compare"]


@pytest.mark.parametrize("value", ["[mine]", "[/a]", "[128]"])
def test_a_name_with_brackets_is_shown_as_it_is(value):
    sweep = [*runs("fixed", [0.5], learning_rate=value), *runs("fixed", [0.5], learning_rate="x")]
    assert f"learning_rate={value}" in "".join(line for line in printed(sweep, 200))


def test_names_stay_different_and_numbers_whole_in_a_pipe():
    """A pipe counts as 80 columns; what makes two groups different stands at the end of their names."""
    sweep = [
        one
        for steps in (100, 1000)
        for one in runs("exponential", [0.9123, 0.8456] * 4, schedule__decay_steps=steps, schedule__power=12)
    ]
    lines = printed(sweep)
    assert max(map(len, lines)) <= 80
    assert sum("0.8790" in line for line in lines) == 2
    first_column = "".join(line[:22].strip() for line in lines)
    assert "schedule.decay_steps=1000" in first_column.replace(" ", "")


WORDS = st.sampled_from(
    ["exponential", "noisy_linear_cosine", "schedule.decay_steps=1000", "data.dir=/home/me"]
)


@given(st.lists(st.lists(WORDS, min_size=1, max_size=4), min_size=2, max_size=8), st.integers(60, 100))
def test_no_name_breaks_inside_a_word_and_no_number_at_all(names, width):
    made = [run for n, words in enumerate(names) for run in runs(" ".join([*words, f"n={n}"]), [0.91] * 3)]
    lines = printed(made, width)
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    tables = " ".join(line for line in lines if not line.startswith("* "))
    for piece in ("exponential", "noisy_linear_cosine", "decay_steps=", "home/"):
        known = {piece for words in names if piece in " ".join(words)}
        assert all(piece in tables for piece in known)
    assert tables.count("0.9100-0.9100") == len(names)


def tuned(rates, names=("fixed", "exponential", "staircase")):
    """Tuning runs, one at each of the rates."""
    return [
        Result(
            seed=1000,
            choices={"schedule": name},
            settings={"learning_rate": repr(rate), "test": "False"},
            status="finished",
            validation=(Measured(9, 0.5 + place / 1000, 1.0, 1000),),
        )
        for name in names
        for place, rate in enumerate(rates)
    ]


@pytest.mark.parametrize("number", [7, 9, 13, 19])
@pytest.mark.parametrize("width", [60, 80])
def test_the_base_rates_are_whole_however_often_the_grid_has_grown(number, width):
    rates = [float(f"{rate:.3g}") for rate in np.geomspace(1e-4, 1e3, number)]
    lines = printed(tuned(rates), width)
    assert max(map(len, lines)) <= width
    words = [word for line in lines for word in line.split()]
    for place, rate in enumerate(rates):
        assert f"{rate:.3g}" in words
        assert words.count(f"{0.5 + place / 1000:.3f}") == 3
    # each part of the table has its row, and that of the sensitivity one, beside the pair with fixed
    begun = [line for line in lines if line.startswith("exponential ") and "exponential - " not in line]
    assert len(begun) == sum("schedule" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "width", "expected"),
    [
        ("fixed", 8, ["fixed"]),
        ("fixed learning_rate=0.1", 30, ["fixed learning_rate=0.1"]),
        ("fixed learning_rate=0.1", 17, ["fixed", "learning_rate=0.1"]),
        ("fixed learning_rate=0.1", 16, ["fixed", "learning_rate=", "0.1"]),
        ("a.b.c=1 x", 4, ["a.b.", "c=1", "x"]),
        ("model.hidden=[128,64]", 13, ["model.hidden=", "[128,64]"]),
        ("schedule", 3, ["sch", "edu", "le"]),
        ("", 3, [""]),
    ],
)
def test_a_name_breaks_at_blanks_else_behind_signs_else_anywhere(name, width, expected):
    assert wrap(name, width).split("\n") == expected


def test_the_tuning_table_marks_the_best_rate_and_an_edge():
    results = [
        Result(
            seed=1000,
            choices={"schedule": name},
            settings={"learning_rate": str(rate), "test": "False"},
            status="finished",
            validation=(Measured(9, accuracy, 1.0, 1000),),
        )
        for name, accuracies in (("fixed", [0.5, 0.75, 0.25]), ("cosine", [0.25, 0.5, 0.75]))
        for rate, accuracy in zip((0.1, 1.0, 10.0), accuracies, strict=True)
    ]
    rows = [line.split() for line in printed(results)]
    assert ["fixed", "3", "1", "0.500", "0.750", "0.250"] in rows
    assert ["cosine", "3", "10", "(highest", "tried)", "0.250", "0.500", "0.750"] in rows


def test_markdown_has_tables_that_a_page_shows():
    lines = as_markdown(study(TWO)).splitlines()
    assert "**Test accuracy, once, after the last step**" in lines
    heads = [i for i, line in enumerate(lines) if line.startswith("|--")]
    assert len(heads) == 3
    for head in heads:
        assert {line.count("|") for line in lines[head - 1 : head + 3] if line} == {lines[head].count("|")}
        assert lines[head - 2] == ""
    assert sum(line.startswith("* exponential is worse than fixed: ") for line in lines) == 1


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
