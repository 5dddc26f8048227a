"""Figures show the numbers that they say, read well in both modes, and are the same every time."""

import csv
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from ratelab.comparison import study
from ratelab.report import make_report
from ratelab.report.figures import palette
from ratelab.report.figures.curves import Curve, Curves, band, find_changes, read_curves, window_width
from ratelab.report.figures.lines import draw_loss, draw_rates, draw_validation, simplify
from ratelab.report.figures.study_figures import draw_figures
from ratelab.report.figures.svg import make_standalone, style
from ratelab.schedules import exponential, tabulate
from ratelab.tasks import ACCURACY
from ratelab.tracking import History, read_histories, read_windows
from ratelab.tracking.served_reader import average
from support.studies import (
    RMSE,
    SCHEDULES,
    STEPS,
    as_regression,
    found,
    losses,
    plain_study,
    recorded_run,
    recorded_study,
    result,
    tuned_study,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def recorded(tracker):
    """A study, its curves, and its figures by their slugs."""
    made = recorded_study(tracker)
    tracker.flush()
    curves = read_curves(tracker.uri, made)
    return made, curves, by_slug(made, curves)


@pytest.fixture(scope="module")
def tuned(tracker):
    """A study whose base rates were chosen, and its figures."""
    made = tuned_study()
    return made, drawn(made, tracker.uri)


@pytest.fixture(scope="module")
def uneven(tracker):
    """The figures of two schedules with batches of other sizes."""
    runs = [*plain_study(["fixed"]).results, *with_batches(plain_study(["cosine"]), 48)]
    return drawn(study(runs), tracker.uri)


def by_slug(made, curves):
    return {figure.slug: figure for _, own in draw_figures(made, curves) for figure in own}


def drawn(made, uri):
    return by_slug(made, read_curves(uri, made))


def drawn_rates(made, uri):
    """The figure of the learning rates alone."""
    with style():
        return draw_rates(made.comparisons[0], read_curves(uri, made)[0], "learning-rates")


def rows(table):
    return list(csv.DictReader(io.StringIO(table)))


def table(figure):
    return rows(figure.tables[figure.slug])


def texts(svg):
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314 - our own


def outline(svg, slug, number):
    """The points of the line of a group's learning rates, in points of the figure."""
    tree = ET.fromstring(svg)  # noqa: S314 - our own
    group = next(e for e in tree.iter(f"{SVG}g") if e.get("id") == f"{slug}-rate-{number}")
    words = next(group.iter(f"{SVG}path")).get("d")
    return np.array([[float(n) for n in pair] for pair in re.findall(r"[ML] (\S+) (\S+)", words)])


@pytest.mark.parametrize("width", [1, 7, 10, 1000])
def test_windows_are_the_means_that_numpy_finds(tracker, width):
    """NaN, infinities and steps that were not logged included."""
    steps = np.delete(np.arange(100), np.arange(35, 58))
    loss = losses(0, len(steps))
    loss[[3, 20]], loss[8], loss[60:64] = np.nan, np.inf, np.nan
    with tracker.run("windows", params={}, tags={}) as run:
        run.metrics("train_loss", steps, loss, np.zeros(len(steps), int))
    with tracker.run("other", params={}, tags={}) as other:
        other.metrics("train_loss", np.array([5]), np.array([2.0]), np.array([0]))
    tracker.flush()
    read = read_windows(tracker.uri, [run.id, other.id, "none"], "train_loss", width)
    assert set(read) == {run.id, other.id}
    kept = np.isfinite(loss)
    firsts = sorted({step // width * width for step in steps[kept].tolist()})
    expected = [loss[kept & (steps >= first) & (steps < first + width)].mean() for first in firsts]
    assert read[run.id].steps.tolist() == firsts
    np.testing.assert_allclose(read[run.id].values, expected, rtol=1e-13)
    assert (read[other.id].steps, read[other.id].values) == ([5 // width * width], [2.0])
    ours = average(read_histories(tracker.uri, [run.id], "train_loss")[run.id], width)
    assert ours.steps.tolist() == firsts
    np.testing.assert_allclose(ours.values, expected, rtol=1e-13)


def test_windows_hold_equally_many_logged_losses():
    runs = [result("a", 0, steps=27_500 // 3 * 3, **{"tracking.train_loss_every": "10"})]
    assert window_width(runs) % 10 == 0
    assert 150 <= 27_500 / window_width(runs) <= 200
    assert window_width([]) == 1


def test_the_loss_is_the_mean_over_runs_between_the_lowest_and_the_highest(recorded):
    _, _, figures = recorded
    expected = np.array([losses(100 + seed) for seed in range(6)])
    read = [row for row in table(figures["training-loss"]) if row["group"] == "exponential"]
    assert [int(row["first_step"]) for row in read] == list(range(STEPS))
    for name, kind in (("mean", np.mean), ("lowest", np.min), ("highest", np.max)):
        np.testing.assert_allclose([float(row[name]) for row in read], kind(expected, 0), rtol=1e-12)
    assert {row["runs"] for row in read} == {"6"}
    fixed = [row["runs"] for row in table(figures["training-loss"]) if row["group"] == "fixed"]
    assert fixed == ["6"] * 45 + ["5"] * 15


def test_every_step_at_which_a_rate_changes_has_a_row_with_the_exact_rates(recorded):
    _, _, figures = recorded
    expected = {name: tabulate(schedule, STEPS) for name, schedule in SCHEDULES.items()}
    read = table(figures["learning-rates"])
    assert [int(row["step"]) for row in read] == list(range(STEPS))  # exponential changes at every one
    for name, rates in expected.items():
        np.testing.assert_array_equal(np.float32([row[name] for row in read]), rates)


def test_steps_at_which_nothing_changes_have_no_row(tracker):
    made = study([recorded_run(tracker, "staircase", 0, tabulate(SCHEDULES["staircase"], 60), losses(0))])
    tracker.flush()
    read = table(drawn_rates(made, tracker.uri))
    assert [row["step"] for row in read] == ["0", "10", "20", "30", "40", "50"]


def test_the_edges_of_a_staircase_are_vertical(recorded):
    made, _, figures = recorded
    names = [group.name for group in made.comparisons[0].groups]
    points = outline(figures["learning-rates"].svg, "learning-rates", names.index("staircase"))
    moves = np.diff(points, axis=0)
    across, down = moves[0::2], moves[1::2]
    assert len(down) == 5
    assert (across[:, 1] == 0).all()
    assert (down[:, 0] == 0).all()
    assert (down[:, 1] > 0).all()  # y grows downwards
    np.testing.assert_allclose(across[:, 0], across[0, 0], atol=0.02)  # of ten steps each


def test_the_corners_of_a_staircase_stand_at_its_rates(recorded):
    made, _, figures = recorded
    names = [group.name for group in made.comparisons[0].groups]
    points = outline(figures["learning-rates"].svg, "learning-rates", names.index("staircase"))
    rates = np.unique(tabulate(SCHEDULES["staircase"], STEPS))[::-1].astype(float)
    heights = points[::2, 1]
    # 0.1 / 2^5 of 0.1 is under two decades: the axis is linear
    scale = (heights[-1] - heights[0]) / (rates[0] - rates[-1])
    np.testing.assert_allclose(heights, heights[0] + (rates[0] - rates) * scale, atol=0.02)


def test_a_smooth_curve_is_drawn_to_less_than_a_tenth_of_a_point(tracker):
    rates = tabulate(exponential(0.1, decay_steps=1000, decay_rate=0.9), 20_000)
    made = study([recorded_run(tracker, "exponential", 0, rates, losses(0, 20_000))])
    tracker.flush()
    points = outline(drawn_rates(made, tracker.uri).svg, "learning-rates", 0)
    assert len(points) < 300
    x = np.interp(np.arange(20_000), [0, 19_999], points[[0, -1], 0])
    heights = points[0, 1] + (rates[0] - rates) * (points[-1, 1] - points[0, 1]) / (rates[0] - rates[-1])
    np.testing.assert_allclose(np.interp(x, points[:, 0], points[:, 1]), heights, atol=0.1)


def test_a_jump_in_a_smooth_curve_keeps_both_its_ends():
    heights = np.concatenate([np.linspace(1, 0, 1000), np.linspace(1, 0, 1000)])
    assert {999, 1000} <= set(simplify(heights, 1e-6).tolist())


def test_rates_over_more_than_two_decades_have_a_log_axis(tracker):
    def rates_of(*rates):
        histories = [History(np.arange(10), np.full(10, rate)) for rate in rates]
        empty = band([])
        groups = tuple(Curve(f"g{n}", h, 0, empty, empty, empty, ()) for n, h in enumerate(histories))
        with style():
            return draw_rates(plain_study(["g0", "g1"]).comparisons[0], Curves(groups, 1), "rates")

    assert {"0.1", "1", "10"} <= set(texts(rates_of(0.05, 20.0).svg))
    assert "10" not in texts(rates_of(0.5, 2.0).svg)


def test_large_tables_of_rates_come_in_parts_that_browsers_take(tracker, monkeypatch):
    monkeypatch.setattr("ratelab.report.figures.lines.LARGEST_FILE", 100)
    made = recorded_study(tracker, seeds=1)
    tracker.flush()
    tables = drawn_rates(made, tracker.uri).tables
    assert list(tables) == ["learning-rates-1", "learning-rates-2", "learning-rates-3"]
    rates = [
        np.float32([row[name] for row in rows(t)]) for name, t in zip(SCHEDULES, tables.values(), strict=True)
    ]
    np.testing.assert_array_equal(rates[1], tabulate(SCHEDULES["exponential"], STEPS))
    assert len(rates[0]) == 1


def test_the_differences_are_those_of_the_pairs(recorded):
    made, _, figures = recorded
    read = table(figures["paired-differences"])
    assert len(read) == 18
    for pair in made.comparisons[0].pairs:
        own = [row for row in read if (row["first"], row["second"]) == (pair.first, pair.second)]
        assert tuple(int(row["seed"]) for row in own) == pair.seeds
        assert tuple(float(row["difference"]) for row in own) == pair.differences
        ends = (pair.mean, pair.interval.low, pair.interval.high)
        assert {(float(row["mean"]), float(row["low"]), float(row["high"])) for row in own} == {ends}


def test_the_dots_are_the_accuracies_and_diverged_runs_are_named(recorded):
    made, _, figures = recorded
    figure = figures["final-accuracy"]
    for group in made.comparisons[0].groups:
        own = [row for row in table(figure) if row["group"] == group.name]
        assert tuple(float(row["accuracy"]) for row in own) == group.values
        assert {float(row["group_mean"]) for row in own} == {group.mean}
    assert [row["seed"] for row in table(figure) if row["diverged"] != "0"] == ["1"]
    assert "1 of 6 diverged" in " ".join(texts(figure.svg))


@pytest.mark.parametrize("seeds", [2, 3, 8, 9])
def test_no_dot_lies_behind_the_bar_of_its_row(tracker, seeds):
    svg = drawn(plain_study(["a"], range(seeds)), tracker.uri)["final-accuracy"].svg
    marks = list(ET.fromstring(svg).iter(f"{SVG}use"))  # noqa: S314 - our own
    dots, [mean] = (
        [float(mark.get("y")) for mark in marks if f"fill: var(--{tone})" in mark.get("style")]
        for tone in ("series-1", "ink")
    )
    assert len(dots) == seeds
    assert min(abs(dot - mean) for dot in dots) > 1 + 1.8  # points: half of the bar, half of a dot


def test_a_diverged_run_counts_as_0_in_the_validation_curves_from_then_on(recorded):
    _, _, figures = recorded
    read = [row for row in table(figures["validation-accuracy-by-steps"]) if row["group"] == "fixed"]
    assert [int(row["step"]) for row in read] == [19, 39, 59]
    assert [float(row["lowest"]) == 0 for row in read] == [False, False, True]
    assert {row["runs"] for row in read} == {"6"}


def with_batches(made, size):
    """The same runs, their updates of so many examples."""
    return [
        replace(
            run, validation=tuple(look._replace(examples=size * (look.step + 1)) for look in run.validation)
        )
        for run in made.results
    ]


def test_examples_seen_are_the_updates_times_the_batch_size(uneven):
    read = table(uneven["validation-accuracy-by-examples"])
    assert [int(row["examples"]) for row in read if row["group"] == "fixed"] == [20 * 24, 40 * 24, 60 * 24]
    assert [int(row["examples"]) for row in read if row["group"] == "cosine"] == [20 * 48, 40 * 48, 60 * 48]


def test_where_all_batches_have_one_size_the_figure_by_examples_is_that_by_steps(recorded, tracker):
    _, _, figures = recorded
    assert "validation-accuracy-by-examples" not in figures
    larger = study(with_batches(plain_study(["fixed", "cosine"]), 48))
    assert "validation-accuracy-by-examples" not in drawn(larger, tracker.uri)


def test_examples_seen_are_those_that_the_run_has_counted(tracker):
    one = recorded_run(tracker, "fixed", 0, np.full(60, 0.1), losses(0))
    seen = [100, 500, 900]
    looks = tuple(look._replace(examples=n) for look, n in zip(one.validation, seen, strict=True))
    tracker.flush()
    made = study([replace(one, validation=looks)])
    with style():
        [curves] = read_curves(tracker.uri, made)
        read = table(draw_validation(curves, "validation-accuracy-by-examples", by_examples=True))
    assert [int(row["examples"]) for row in read] == seen


def test_the_base_rates_are_those_that_were_tried(tuned):
    made, figures = tuned
    figure = figures["base-rates"]
    read = table(figure)
    assert [float(row["accuracy"]) for row in read] == [
        value for one in made.tuned for values in one.values for value in values
    ]
    assert {(row["group"], row["learning_rate"], row["edge"]) for row in read if row["best"] == "True"} == {
        ("fixed", "0.1", ""),
        ("staircase", "1.0", "highest"),
    }
    assert "staircase: best 1, an edge of the grid" in texts(figure.svg)
    assert "fixed: best 0.1" in texts(figure.svg)


def check_figure(figure):
    tree = ET.fromstring(figure.svg)  # noqa: S314 - our own
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert all(one.startswith(f"{figure.slug}-") for one in ids)
    assert tree.find(f"{SVG}title").text == figure.title
    assert tree.find(f"{SVG}desc").text == figure.caption
    assert tree.get("role") == "img"
    words = texts(figure.svg)
    assert figure.title in words
    labels = ("learning rate", "step (updates, from 0)", "training examples seen", "cross-entropy (nats)")
    more = (
        "accuracy (fraction correct)",
        "difference of accuracies (fraction correct)",
        "base learning rate",
    )
    assert len({*labels, *more} & set(words)) == (
        1 if "every seed" in figure.title or "Paired" in figure.title else 2
    )
    assert not re.findall(r"#0[1-5]0[0-5]\w\w", figure.svg), "a colour that is no variable"
    assert all(len(list(csv.reader(io.StringIO(one)))) > 1 for one in figure.tables.values())


def test_every_figure_has_title_axes_description_and_data(recorded, tuned, uneven):
    _, _, figures = recorded
    assert list(figures) == [
        "learning-rates",
        "training-loss",
        "validation-accuracy-by-steps",
        "final-accuracy",
        "paired-differences",
    ]
    for figure in [*figures.values(), *tuned[1].values(), *uneven.values()]:
        check_figure(figure)


def test_many_groups_get_a_panel_and_a_row_each(tracker):
    names = [f"schedule{n:02}" for n in range(20)]
    made = plain_study(names)
    runs = [recorded_run(tracker, name, 0, tabulate(SCHEDULES["staircase"], 60), losses(0)) for name in names]
    tracker.flush()
    for figures in (drawn(made, tracker.uri), drawn(study(runs), tracker.uri)):
        for figure in figures.values():
            check_figure(figure)
            named = [word for word in texts(figure.svg) if re.search(r"schedule\d\d", word)]
            assert len(named) == (19 if figure.slug == "paired-differences" else 20)


def test_each_of_many_groups_is_beside_the_one_that_all_are_compared_with(tracker):
    names = [*(f"schedule{n:02}" for n in range(9)), "fixed"]
    runs = [recorded_run(tracker, name, 0, tabulate(SCHEDULES["staircase"], 60), losses(0)) for name in names]
    tracker.flush()
    figures = drawn(study(runs), tracker.uri)
    for slug in ("learning-rates", "training-loss", "validation-accuracy-by-steps"):
        assert "Dotted in each panel: fixed." in figures[slug].caption


@pytest.mark.parametrize(("epochs", "cut"), [(50, True), (5, False)])
@pytest.mark.parametrize(("outcome", "side"), [(ACCURACY, "below"), (RMSE, "above")])
def test_the_first_tenth_of_a_run_does_not_set_the_axis(outcome, side, epochs, cut):
    values = np.append(0.1, np.linspace(0.8, 0.9, epochs - 1))
    if not outcome.higher_is_better:
        values = 1 - values
    own = band([History(np.arange(epochs), values)])
    curve = Curve("fixed", History(np.empty(0, np.int64), np.empty(0)), 0, band([]), own, own, ())
    with style():
        figure = draw_validation(Curves((curve,), 1, outcome), "values", by_examples=False)
    assert (f"The axis leaves out what is {side}" in figure.caption) == cut
    assert (("0.2" if side == "below" else "0.8") in texts(figure.svg)) != cut
    assert float(table(figure)[0]["mean"]) == values[0]


def test_what_the_axis_leaves_out_takes_no_room_on_the_other_side():
    values = np.append(200.0, np.linspace(51.0, 49.0, 49))
    own = band([History(np.arange(50), values)])
    curve = Curve("fixed", History(np.empty(0, np.int64), np.empty(0)), 0, band([]), own, own, ())
    with style():
        figure = draw_validation(Curves((curve,), 1, RMSE), "values", by_examples=False)
    numbers = [float(text) for text in texts(figure.svg) if re.fullmatch(r"\d+\.\d+", text)]
    assert 48.5 < min(numbers) < max(numbers) < 51.5


@pytest.mark.parametrize("outcome", [ACCURACY, RMSE])
def test_values_that_never_change_are_drawn(outcome):
    own = band([History(np.arange(5), np.full(5, 0.5))])
    curve = Curve("fixed", History(np.empty(0, np.int64), np.empty(0)), 0, band([]), own, own, ())
    with style():
        figure = draw_validation(Curves((curve,), 1, outcome), "values", by_examples=False)
    assert {"0.50", "0.51"} <= set(texts(figure.svg))


def test_losses_that_are_all_equal_are_drawn_beside_a_run_that_diverged():
    none, over = History(np.empty(0, np.int64), np.empty(0)), band([])
    own = [band([History(np.arange(len(losses)), np.array(losses))]) for losses in ([0.5], [0.5, 9.0])]
    curves = [Curve("a", none, 0, own[0], over, over, ()), Curve("b", none, 0, own[1], over, over, (1,))]
    with style():
        figure = draw_loss(Curves(tuple(curves), 1), "losses")
    assert [row["mean"] for row in table(figure)] == ["0.5", "0.5", "9.0"]


@pytest.mark.parametrize(("groups", "seeds"), [(["a", "b"], [0]), (["a"], [0, 1]), (["a"], [0])])
def test_one_seed_or_one_group_is_drawn(tracker, groups, seeds):
    figures = drawn(plain_study(groups, seeds), tracker.uri)
    assert ("paired-differences" in figures) == (len(groups) > 1)
    for figure in figures.values():
        check_figure(figure)


def test_a_group_that_always_diverged_is_drawn(tracker):
    fallen = [result("fallen", seed, diverged_step=5) for seed in range(3)]
    made = study([*fallen, *(result("fixed", seed) for seed in range(3))])
    figures = drawn(made, tracker.uri)
    assert "fallen: × 3 of 3 diverged, mean 0.0000" in texts(figures["final-accuracy"].svg)  # noqa: RUF001
    assert drawn(study(fallen), tracker.uri)["final-accuracy"]


def test_of_an_error_the_bad_side_is_the_right_one(tracker, recorded):
    made = as_regression(recorded[0])
    figures = drawn(made, tracker.uri)
    assert {"validation-rmse-by-steps", "final-rmse"} < set(figures)
    final, words = figures["final-rmse"], texts(figures["final-rmse"].svg)
    assert (final.title, "rmse" in words) == ("Test rmse of every seed", True)
    assert "A cross at the edge is a run that diverged; it counts as 77." in final.caption
    assert any(word.startswith("fixed: × 1 of 6 diverged, mean 29.") for word in words)  # noqa: RUF001
    assert [float(row["rmse"]) for row in table(final) if row["diverged"] == "1"] == [77.0]
    differences = figures["paired-differences"]
    assert "Left of the line the first is better." in differences.caption
    assert "difference of rmse" in texts(differences.svg)
    validation = figures["validation-rmse-by-steps"]
    assert (validation.title, "A run that diverged counts as 77 from then on." in validation.caption) == (
        "Validation rmse by steps",
        True,
    )
    assert max(float(row["highest"]) for row in table(validation)) == 77.0
    assert "loss" in texts(figures["training-loss"].svg)
    words = [word for figure in figures.values() for word in (figure.caption, *texts(figure.svg))]
    assert not any("accuracy" in word for word in words)


def test_base_rates_are_drawn_with_the_lowest_error_marked(tracker):
    made = as_regression(tuned_study())
    figure = drawn(made, tracker.uri)["base-rates"]
    assert (figure.title, "counts as 77." in figure.caption) == ("Validation rmse by base rate", True)
    read = table(figure)
    assert [float(row["rmse"]) for row in read] == [
        value for one in made.tuned for values in one.values for value in values
    ]
    best = {row["group"]: float(row["learning_rate"]) for row in read if row["best"] == "True"}
    assert best == {"fixed": 0.1, "staircase": 1.0}


def test_names_are_shown_as_they_are(tracker):
    names = ["<b>&amp; $x^2$", 'id="x" #010101']
    figures = drawn(plain_study(names), tracker.uri)
    for figure in figures.values():
        shown = "\n".join(texts(figure.svg))
        assert all(name in shown for name in names)


def test_the_same_study_gives_the_same_figures(recorded):
    made, curves, figures = recorded
    assert by_slug(made, curves) == figures


def test_the_settings_of_the_user_change_nothing(recorded):
    import matplotlib

    made, curves, figures = recorded
    with matplotlib.rc_context({"svg.fonttype": "path", "lines.linewidth": 9, "axes.grid": False}):
        assert by_slug(made, curves) == figures
        assert matplotlib.rcParams["lines.linewidth"] == 9


def contrast(one, other):
    """The contrast ratio of two colours, as WCAG 2 defines it."""

    def luminance(color):
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return np.dot([0.2126, 0.7152, 0.0722], linear)

    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_colours_stand_out_from_the_paper(mode):
    paper = getattr(palette.PAPER, mode)
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for tone in palette.SERIES:
        assert contrast(getattr(tone, mode), paper) >= 3, tone
    for tone in (palette.INK, palette.MUTED):
        assert contrast(getattr(tone, mode), paper) >= 4.5, tone


def test_groups_differ_in_more_than_their_colour():
    looks = [(palette.dash(n), palette.marker(n)) for n in range(8)]
    assert len(set(looks)) == 8


def test_figures_are_written_for_the_documentation(recorded, tracker, tmp_path):
    made, _, figures = recorded
    make_report(made, found(), tracker.uri, tmp_path / "report.html", tmp_path / "figures")
    written = list((tmp_path / "figures").iterdir())
    assert {path.name for path in written} == {
        f"{slug}.{kind}" for slug in figures for kind in ("svg", "csv")
    }
    for path in written:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".svg":
            ET.fromstring(text.encode())  # noqa: S314 - our own
            assert "prefers-color-scheme:dark" in text
            assert text == make_standalone(figures[path.stem].svg)
        else:
            assert text == figures[path.stem].tables[path.stem]


def test_changes_are_the_first_step_and_every_new_rate():
    moved = find_changes(History(np.arange(5), np.array([1.0, 1.0, 0.5, 0.5, 1.0])))
    assert moved.steps.tolist() == [0, 2, 4]
    assert moved.values.tolist() == [1.0, 0.5, 1.0]
