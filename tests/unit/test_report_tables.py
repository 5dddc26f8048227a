"""One projection: whatever shows a study shows the same rows, headings and words."""

import csv
import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from ratelab.comparison import Digits, study
from ratelab.report import (
    as_csv,
    as_json,
    as_markdown,
    groups_frame,
    pairs_frame,
    print_study,
    sensitivity_frame,
    tuning_frame,
    values,
)
from ratelab.report.projection import make_tables
from support.studies import RMSE, as_regression, plain_study, result, tuned_study

GROUP_FIELDS = [
    *(
        "comparison",
        "metric",
        "group",
        "n",
        "mean",
        "sd",
        "low",
        "high",
        "interval",
        "iqm",
        "worst",
        "worst_seed",
    ),
    *("diverged", "final_rate", "seconds", "target", "reached"),
    *("steps_to_target", "seconds_to_target", "examples_to_target"),
]
PAIR_FIELDS = [
    *("comparison", "metric", "first", "second", "n", "difference", "low", "high", "interval", "p", "p_holm"),
    *("improvement", "effect_size", "verdict", "sentence"),
]
SENSITIVITY_FIELDS = [
    *("metric", "group", "minus", "n", "lost", "lost_low", "lost_high", "width", "width_low", "width_high"),
]
RATE_FIELDS = ["metric", "group", "learning_rate", "n", "mean", "diverged", "best", "edge"]

ACCURACIES = values.Values(Digits())


def tuned_sweep():
    """Two schedules that differ at one base rate for both and, the other way round, each at its best."""
    tried = {"fixed": {0.1: 0.5, 1.0: 0.7, 10.0: 0.6}, "cosine": {0.1: 0.5, 1.0: 0.6, 10.0: 0.9}}
    judged = {("fixed", 0.1): 0.5, ("cosine", 0.1): 0.4, ("fixed", 1.0): 0.7, ("cosine", 10.0): 0.9}
    grid = [
        result(name, seed, accuracy, learning_rate=str(rate), test="False")
        for name, rates in tried.items()
        for rate, accuracy in rates.items()
        for seed in (1000, 1001)
    ]
    final = [
        result(name, seed, accuracy, learning_rate=str(rate))
        for (name, rate), accuracy in judged.items()
        for seed in range(8)
    ]
    return study([*grid, *final])


def uneven_grid():
    """Two schedules that were not tried at the same base rates."""
    rates = {"fixed": ("0.1", "1.0"), "cosine": ("0.0316227", "1.0", "10.0")}
    return study(
        [
            result(name, 0, 0.5 + float(r) / 100, learning_rate=r, test="False")
            for name in rates
            for r in rates[name]
        ]
    )


def printed(made, width=200):
    file = io.StringIO()
    print_study(Console(file=file, width=width), made)
    return file.getvalue().splitlines()


def markdown_cells(made):
    """The rows of all tables, headings included."""
    lines = [line for line in as_markdown(made).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.mark.parametrize(
    ("form", "shown", "text"),
    [
        (values.TEXT, ("fixed [a]",), "fixed [a]"),
        (values.TEXT, ("all equal",), "all equal"),
        (values.COUNT, (2_750_000.0,), "2,750,000"),
        (values.RUNS, (10, 0), "10"),
        (values.RUNS, (10, 2), "10 (2 diverged)"),
        (ACCURACIES.value, (0.91234,), "0.9123"),
        (ACCURACIES.rough, (0.91234,), "0.912"),
        (ACCURACIES.interval, (0.9, 0.92), "0.9000 to 0.9200"),
        (ACCURACIES.span, (0.9, 0.92), "0.9000-0.9200"),
        (ACCURACIES.of_seed, (0.9, 3), "0.9000 (3)"),
        (ACCURACIES.difference, (-0.01,), "-0.0100"),
        (ACCURACIES.differences, (-0.01, 0.02), "-0.0100 to +0.0200"),
        (values.P, (0.04321,), "0.043"),
        (values.SHARE, (0.5,), "0.50"),
        (values.EFFECT, (1.128,), "+1.13"),
        (values.SECONDS, (12.5,), "12.50"),
        (values.RATE, (0.0055166,), "0.00552"),
        (values.BASE_RATE, (0.0316227,), "0.03162"),
        (values.BEST_RATE, (0.1, ""), "0.1"),
        (values.BEST_RATE, (10.0, "highest"), "10 (highest tried)"),
        (values.EDGE, ("lowest",), "yes, the lowest"),
        (values.EDGE, ("",), "no"),
    ],
)
def test_each_kind_of_value_is_written_in_one_way(form, shown, text):
    assert form.write(*shown) == text
    assert form.write(*shown[:-1], None) == "-"


def test_frames_hold_every_number():
    made = tuned_sweep()
    groups, pairs, rates = groups_frame(made), pairs_frame(made), tuning_frame(made)
    ranked = [sorted(one.groups, key=lambda group: group.mean, reverse=True) for one in made.comparisons]
    assert groups["mean"].tolist() == [group.mean for own in ranked for group in own]
    assert groups["low"].tolist() == [group.interval.low for own in ranked for group in own]
    assert pairs["p_holm"].tolist() == [pair.corrected for one in made.comparisons for pair in one.pairs]
    assert pairs["sentence"].tolist() == [pair.sentence for one in made.comparisons for pair in one.pairs]
    assert rates[rates["best"]]["learning_rate"].tolist() == [10.0, 1.0]
    assert rates["edge"].tolist() == ["", "", "highest", "", "", ""]


def test_the_sensitivity_has_a_row_for_each_schedule_and_each_pair():
    """Of seeds that agree: 0.9 - 2/3 and 0.7 - 0.6 are lost, and 0.002 lies within 0.002 / slope."""
    made = tuned_sweep()
    frame = sensitivity_frame(made)
    assert list(frame) == SENSITIVITY_FIELDS
    assert frame[["group", "minus", "n"]].to_numpy().tolist() == [
        ["cosine", "", 2],
        ["fixed", "", 2],
        ["fixed", "cosine", 2],
    ]
    assert frame["lost"].tolist() == pytest.approx([0.9 - 2 / 3, 0.1, 0.1 - (0.9 - 2 / 3)])
    widths = [0.002 / 0.3, 0.002 / 0.2 + 0.002 / 0.1]
    assert frame["width"].tolist() == pytest.approx([*widths, widths[1] - widths[0]])
    assert frame["lost_low"].isna().all()
    assert json.loads(as_json(made))["sensitivity"][2]["lost"] == frame["lost"][2]
    assert as_csv(made, "sensitivity").splitlines()[0] == ",".join(SENSITIVITY_FIELDS)
    assert ["fixed", "-", "cosine", "2", "-0.1333", "-", "0.02", "-"] in [
        line.split() for line in printed(made)
    ]
    assert ["fixed - cosine", "2", "-0.1333", "-", "0.02", "-"] in markdown_cells(made)


def test_where_nothing_was_tuned_there_is_no_sensitivity():
    assert make_tables(plain_study(["a", "b"])).sensitivity is None
    assert sensitivity_frame(plain_study(["a", "b"])).empty


def test_the_best_group_comes_first_in_every_table():
    """Seven groups and a baseline, six and every pair: by the mean, whatever came first."""
    for names in (["d", "fixed", "g", "a", "c", "b", "f"], ["d", "fixed", "a"]):
        section = make_tables(plain_study(names)).sections[0]
        order = names[::-1]  # each is better than the one before
        assert [row["group"] for row in section.groups.rows] == order
        assert [row["group"] for row in section.costs.rows] == order
        pairs = [(row["first"], row["second"]) for row in section.pairs.rows]
        assert pairs == sorted(pairs, key=lambda pair: sorted(map(order.index, pair)))
        first = next(one.sentence for one in section.comparison.conclusions if one.verdict)
        assert first == section.pairs.rows[0]["sentence"]
    tuned = make_tables(tuned_sweep())
    best = [max(row[str(rate)] for rate in (0.1, 1.0, 10.0)) for row in tuned.tuning.rows]
    assert best == sorted(best, reverse=True)
    assert [row["group"] for row in tuned.tried][::3] == [row["group"] for row in tuned.tuning.rows]


def test_the_tables_of_an_error_begin_with_the_lowest_and_name_it_everywhere():
    made = as_regression(plain_study(["d", "fixed", "a"], seeds=range(8)))
    [section] = make_tables(made).sections
    judged = section.comparison.metric, section.comparison.outcome.higher_is_better
    assert judged == ("test_rmse", False)
    assert [row["group"] for row in section.groups.rows] == ["a", "fixed", "d"]
    assert "P(<)" in [column.narrow for column in section.pairs.columns]
    assert section.groups.rows[0]["worst"] == max(made.comparisons[0].groups[2].values)
    assert "Target: rmse 53 on the validation split" in section.costs.caption
    markdown = as_markdown(made)
    assert "**Test rmse, once, after the last step**" in markdown
    assert "rmse -1.00 (95 % interval -1.00 to -1.00), lower in 8 of 8 seeds" in markdown
    assert "accuracy" not in markdown
    comparison = json.loads(as_json(made))["comparisons"][0]
    assert (comparison["metric"], comparison["higher_is_better"]) == ("test_rmse", False)
    assert set(groups_frame(made)["metric"]) == set(pairs_frame(made)["metric"]) == {"test_rmse"}
    tuned = as_regression(tuned_study())
    assert set(tuning_frame(tuned)["metric"]) == {"val_rmse"}
    assert tuning_frame(tuned).query("best")["learning_rate"].tolist() == [0.1, 1.0]
    assert "mean rmse on the validation split" in make_tables(tuned).tuning.title


def test_where_every_run_diverged_and_the_worst_is_not_known_that_is_said():
    fallen = [replace(result("fixed", 0, diverged_step=5), outcome=replace(RMSE, worst=None))]
    assert as_markdown(study(fallen)).startswith(
        "no run gave a value that counts: there is nothing to compare"
    )


@pytest.mark.parametrize(
    ("make", "fields"),
    [
        (groups_frame, GROUP_FIELDS),
        (pairs_frame, PAIR_FIELDS),
        (tuning_frame, RATE_FIELDS),
        (sensitivity_frame, SENSITIVITY_FIELDS),
    ],
)
def test_frames_have_the_columns_that_they_promise(make, fields):
    assert list(make(tuned_sweep()).columns) == fields
    promised = make.__doc__.partition("Columns: ")[2].replace(" (on the validation split)", "")
    assert " ".join(promised.split()) == f"{', '.join(fields)}."


def test_csv_and_json_read_back_as_the_same_numbers():
    made = tuned_sweep()
    rows = list(csv.DictReader(as_csv(made, "pairs").splitlines()))
    assert [float(row["difference"]) for row in rows] == pairs_frame(made)["difference"].tolist()
    read = json.loads(as_json(made))
    assert read["comparisons"][1]["pairs"][0]["p_holm"] == made.comparisons[1].pairs[0].corrected
    assert read["comparisons"][0]["groups"][0]["mean"] == 0.5
    assert len(read["tuning"]) == 6
    assert list(read["comparisons"][0]["groups"][0]) == GROUP_FIELDS
    assert list(read["comparisons"][0]["pairs"][0]) == PAIR_FIELDS
    assert list(read["tuning"][0]) == RATE_FIELDS


def test_nothing_is_nothing_in_every_form():
    empty = study([])
    assert json.loads(as_json(empty)) == {"comparisons": [], "tuning": [], "sensitivity": [], "notes": []}
    assert as_csv(empty, "groups") == "\n"
    assert as_markdown(empty) == "no run has ended yet: there is nothing to compare\n"


@pytest.mark.parametrize("make", [tuned_sweep, tuned_study, lambda: plain_study([*"abcdefgh", "fixed"])])
def test_terminal_and_markdown_show_the_same_cells(make):
    made = make()
    shown = [line.split() for line in printed(made)]
    cells = markdown_cells(made)
    assert cells
    for row in cells:
        assert " ".join(row).replace("**", "").split() in shown


def test_both_end_with_the_same_words():
    made = tuned_sweep()
    words = [line for line in as_markdown(made).splitlines() if line.startswith("* ")]
    sentences = [one.sentence for comparison in made.comparisons for one in comparison.conclusions]
    notes = [note for one in made.comparisons for note in one.notes]
    assert sorted(words) == sorted(
        [f"* {sentence}" for sentence in sentences] + [f"* note: {note}" for note in [*notes, *made.notes]]
    )
    assert [line for line in printed(made, 1000) if line.startswith("* ")] == words


def test_the_best_rate_is_marked_in_its_own_column():
    made = make_tables(uneven_grid()).tuning
    assert [column.heading for column in made.wide[5:]] == ["0.03162", "0.1", "1", "10"]
    cells = [[column.write(row) for column in made.wide[5:]] for row in made.rows]
    assert [[cell == "-" for cell in row] for row in cells] == [
        [False, True, False, False],
        [True, False, False, True],
    ]
    marked = [[made.is_marked(number, column) for column in made.wide] for number in range(2)]
    assert [row.index(True) - 5 for row in marked] == [3, 2]
    assert [sum(row) for row in marked] == [1, 1]


def test_the_terminal_shows_each_accuracy_below_its_rate_whatever_was_tried():
    rows = [line.split() for line in printed(uneven_grid())]
    assert ["fixed", "2", "1", "(highest", "tried)", "-", "0.468", "0.477", "-"] in rows
    assert ["cosine", "3", "10", "(highest", "tried)", "0.467", "-", "0.477", "0.567"] in rows


def test_markdown_marks_the_best_rate():
    assert [[cell for cell in row if "**" in cell] for row in markdown_cells(tuned_study())][1:3] == [
        ["**0.772**"],
        ["**0.772**"],
    ]


def test_a_name_with_a_bar_stays_one_cell_of_markdown():
    lines = as_markdown(plain_study(["a|b", "c"])).splitlines()
    assert any(line.startswith("| a\\|b ") for line in lines)


def test_only_tuning_runs_are_told_wherever_a_study_is_shown():
    words = "only the tuning runs have ended yet: nothing was judged on the test split"
    assert words in printed(uneven_grid())
    assert words in as_markdown(uneven_grid()).splitlines()


def test_a_group_that_all_are_compared_with_is_no_column_where_room_is_scarce():
    [section] = make_tables(plain_study([*"abcdefgh", "fixed"])).sections
    assert section.comparison.reference == "fixed"
    assert section.pairs.title == "Paired differences from fixed, over the seeds of both"
    assert [column.narrow for column in section.pairs.narrow[:2]] == ["schedule", "n"]
    assert [column.heading for column in section.pairs.wide[:2]] == ["first", "second"]


def test_without_a_target_costs_have_none_and_are_left_out_where_room_is_scarce():
    runs = [result("a", seed, diverged_step=5) for seed in range(3)]
    [section] = make_tables(study(runs)).sections
    assert section.comparison.target is None
    assert [column.heading for column in section.costs.wide] == ["group", "seconds a run", "final rate"]
    assert section.costs in section.tables
    assert section.costs not in section.narrow_tables
    assert not any("Until" in line for line in printed(study(runs)))


def test_a_title_is_no_markup():
    made = plain_study(["[mine]", *"abcdefg"], baseline="[mine]")
    assert any("Paired differences from [mine], over" in line for line in printed(made))
    assert "**Paired differences from [mine], over the seeds of both**" in as_markdown(made).splitlines()
