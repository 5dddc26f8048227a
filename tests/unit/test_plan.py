"""`ratelab plan`: what is printed of a pilot, and pilots that tell nothing."""

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from ratelab.commands.plan import print_plan
from ratelab.comparison import study
from ratelab.comparison.power import find_ratio, find_seeds
from ratelab.validation import UserError
from support.studies import RMSE, result

NOISE = {"fixed": np.zeros(8), "cosine": np.random.default_rng(0).normal(0, 0.003, 8).round(4)}
NOISE["wsd"] = 3 * NOISE["cosine"][::-1]


def pilot(*names, seeds=8, **options):
    """Runs of 3 seconds each."""
    return study(
        [result(name, seed, 0.9 + NOISE[name][seed]) for name in names for seed in range(seeds)], **options
    )


def planned(found, difference=0.002, width=80):
    out = io.StringIO()
    print_plan(Console(file=out, width=width), found, difference)
    assert all(len(line) <= width for line in out.getvalue().splitlines())
    return out.getvalue()


def row_of(text, *names):
    [row] = [line.split() for line in text.splitlines() if line.split()[: len(names)] == list(names)]
    return row[len(names) :]


def test_a_pair_has_the_seeds_and_the_minutes_of_both():
    text = planned(pilot("fixed", "cosine"))
    deviation = np.std(NOISE["cosine"], ddof=1)
    few, many = (find_seeds(power, 0.002 / deviation, 1, 8) for power in (0.8, 0.95))
    sees = find_ratio(0.8, 1, 8) * deviation
    costs = [f"{few}", f"{6 * few / 60:.2g}", f"{many}", f"{6 * many / 60:.2g}"]
    assert row_of(text, "cosine", "fixed") == ["8", f"{deviation:.3g}", f"{sees:.3g}", *costs]
    assert "seeds for a difference of 0.002" in " ".join(text.split())
    assert f"* note: 80 % in every pair: {few} seeds, {6 * few / 60:.2g} minutes in all" in text


def test_of_several_pairs_each_group_has_the_seeds_of_its_worst_pair_and_they_share_the_level():
    text = planned(pilot("fixed", "cosine", "wsd", baseline="fixed"), 0.004)
    small, large = (np.std(NOISE[name], ddof=1) for name in ("cosine", "wsd"))
    few, many = (find_seeds(0.8, 0.004 / deviation, 2, 8) for deviation in (small, large))
    assert few < many
    assert [row_of(text, name, "fixed")[3] for name in ("cosine", "wsd")] == [f"{few}", f"{many}"]
    minutes = 3 * (2 * many + few) / 60  # fixed has as many as wsd
    assert f"80 % in every pair: up to {many} seeds of a group, {minutes:.2g} minutes in all" in text


def test_every_pair_is_planned_without_a_baseline():
    text = planned(pilot("fixed", "cosine", "wsd"))
    assert len(row_of(text, "wsd", "cosine")) == 7


def test_a_seed_that_has_several_runs_takes_the_time_of_all():
    runs = [
        result(name, seed, 0.9 + NOISE[name][seed], learning_rate=rate)
        for name in ("fixed", "cosine") for seed in range(8) for rate in ("0.1", "0.2")
    ]  # fmt: skip
    _, _, _, seeds, minutes, *_ = row_of(planned(study(runs, by=["schedule"])), "cosine", "fixed")
    assert minutes == f"{12 * int(seeds) / 60:.2g}"


def test_an_error_is_planned_as_an_accuracy_is():
    runs = [
        replace(result(name, seed), outcome=RMSE, test={"rmse": 50 + 1000 * NOISE[name][seed]})
        for name in ("fixed", "cosine") for seed in range(8)
    ]  # fmt: skip
    text = planned(study(runs), 2.0)
    assert (
        row_of(text, "cosine", "fixed")[3:]
        == row_of(planned(pilot("fixed", "cosine")), "cosine", "fixed")[3:]
    )


def test_seeds_that_can_show_nothing_see_nothing_and_it_is_said_why():
    text = planned(pilot("fixed", "cosine", seeds=5))
    assert row_of(text, "cosine", "fixed")[2] == "-"
    assert "sees, -: the smallest p-value that they can give is 0.062; at least 6 seeds" in " ".join(
        text.split()
    )


def test_more_seeds_than_anybody_trains_are_told_as_such():
    text = planned(pilot("fixed", "cosine"), 1e-7)
    assert row_of(text, "cosine", "fixed")[3:] == ["-", "-", "-", "-"]
    assert "95 % in every pair: more than 100,000 seeds" in text


def test_a_pair_that_tells_nothing_is_named_beside_those_that_do():
    runs = [result(name, seed, 0.9 + NOISE["cosine" if name == "cosine" else "fixed"][seed])
            for name in ("fixed", "rex", "cosine") for seed in range(8)]  # fmt: skip
    text = " ".join(planned(study(runs)).split())
    assert "rex and fixed: differ by the same in all 8 seeds, so the pilot tells no spread." in text
    assert "cosine fixed 8" in text


def test_long_names_fit_in_a_narrow_terminal():
    runs = [
        result("polynomial", seed, 0.9 + NOISE[name][seed], **{"schedule.decay_steps": f"as {name}"})
        for name in ("fixed", "cosine") for seed in range(8)
    ]  # fmt: skip
    assert "polynomial" in planned(study(runs), width=60)


@pytest.mark.parametrize("difference", [0.0, -0.002, float("nan"), float("inf")])
def test_a_difference_that_is_none_is_refused(difference):
    with pytest.raises(UserError, match=f"--difference must be above 0 and finite, got {difference:g}: "):
        planned(pilot("fixed", "cosine"), difference)


def equal(*seeds_of_groups):
    return study([result(name, seed) for name, seeds in seeds_of_groups for seed in seeds])


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (lambda: pilot("fixed", "cosine", seeds=2), "2 seeds tell no spread; a pilot needs 3 at least"),
        (lambda: pilot("fixed", "cosine", seeds=1), "1 seed tells no spread"),
        (lambda: equal(("fixed", range(6)), ("cosine", range(6))), "differ by the same in all 6 seeds"),
        (lambda: equal(("fixed", [0]), ("cosine", [1])), "not compared, they have no seed in common"),
    ],
)
def test_a_pilot_that_tells_nothing_is_one_message(found, message):
    with pytest.raises(UserError, match=f"^plan: cosine and fixed: {message}"):
        planned(found())


@pytest.mark.parametrize("found", [lambda: pilot("fixed"), lambda: study([])], ids=["one group", "no run"])
def test_without_two_groups_there_is_nothing_to_plan(found):
    with pytest.raises(UserError, match=r"^plan: there are no two groups of runs that have ended\.$"):
        planned(found())
