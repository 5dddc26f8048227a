"""Performance profiles over several tasks, held against values that are worked out by hand."""

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ratelab.comparison import Measured, Result, compare, list_profiles, study
from ratelab.comparison.outcomes import TIMES
from ratelab.comparison.profiles import FARTHEST, Profile
from ratelab.report import as_json, print_study

NEVER = 99
TIMES_OF = {  # epochs until each of three seeds shows 0.9, by task and schedule
    "a": {"fixed": (4, 4, 9), "cosine": (2, 2, 2), "rex": (3, 3, 1)},
    "b": {"fixed": (5, 5, 5), "cosine": (5, NEVER, NEVER), "rex": (10, 10, 10)},
    "c": {"fixed": (NEVER, NEVER, NEVER), "cosine": (NEVER, NEVER, NEVER), "rex": (1, NEVER, NEVER)},
    "d": {"fixed": (6, 7, 8), "cosine": (7, 7, 7), "rex": (7, 7, 7), "wsd": (1, 1, 1)},
}


def runs(times):
    return [
        Result(
            seed=seed,
            choices={"schedule": schedule, "model": "softmax"},
            settings={"seed": str(seed)},
            data_digest=f"sha256:{task}",
            status="finished",
            test={"accuracy": 0.5},
            validation=tuple(
                Measured(10 * n + 9, 0.9 if n + 1 >= first else 0.1, 1.0 * n, 100 * n) for n in range(10)
            ),
        )
        for task, schedules in times.items()
        for schedule, firsts in schedules.items()
        for seed, first in enumerate(firsts)
    ]


def profiles(times, time=TIMES[0]):
    return list_profiles(compare(runs(times), time=time, target=0.9).members)


def test_ratios_are_to_the_fastest_of_those_that_were_tried_in_every_task():
    found = {one.name: one.ratios for one in profiles(TIMES_OF)}
    # in c half of no schedule's runs reach it, so it tells nothing; wsd was not tried everywhere
    assert found == {
        "fixed": (2.0, 1.0, 1.0),
        "cosine": (1.0, np.inf, 1.0),
        "rex": (1.5, 2.0, 1.0),
    }


def test_the_best_score_is_first_and_is_the_area_below_the_shares():
    found = profiles(TIMES_OF)
    assert [one.name for one in found] == ["fixed", "rex", "cosine"]
    for one in found:
        middles = 1 + (FARTHEST - 1) * (np.arange(30_000) + 0.5) / 30_000
        assert one.score == pytest.approx(np.mean([one.share(factor) for factor in middles]), abs=1e-4)


@pytest.mark.parametrize(
    "times",
    [
        {"a": TIMES_OF["a"]},
        {task: {"fixed": (1, 2, 3)} for task in "ab"},
        {"a": TIMES_OF["a"], "c": TIMES_OF["c"]},
        {"a": {"fixed": (1, 1), "cosine": (1, 1)}, "b": {"fixed": (1, 1), "rex": (1, 1)}},
    ],
    ids=["one task", "one schedule", "one task that tells", "one schedule in both"],
)
def test_there_is_none_without_two_tasks_and_two_schedules(times):
    assert profiles(times) == []
    assert (
        json.loads(as_json(study(runs(times), time=TIMES[0], target=0.9)))["comparisons"][0]["profile"] == []
    )


def test_there_is_none_where_no_time_judges():
    assert list_profiles(compare(runs(TIMES_OF)).members) == []


ratios = st.lists(st.floats(1, 1e6) | st.just(np.inf), min_size=1, max_size=9)


@given(ratios, st.floats(1, FARTHEST), st.floats(1, FARTHEST))
def test_a_share_grows_with_the_factor_and_bounds_the_score(ratios, one, other):
    profile, (low, high) = Profile("rex", tuple(ratios)), sorted((one, other))
    assert 0 <= profile.share(low) <= profile.share(high) <= 1
    assert profile.score <= profile.share(FARTHEST) + 1e-12
    assert (profile.score > 1 - 1e-12) == (max(ratios) <= 1 + 1e-11)


def test_it_is_shown_where_the_rest_is():
    made = study(runs(TIMES_OF), time=TIMES[0], target=0.9)
    file = io.StringIO()
    print_study(Console(file=file, width=80), made)
    lines = file.getvalue().splitlines()
    words = " ".join(" ".join(lines).split())
    assert "Share of the tasks within so many times the time of the fastest" in words
    assert ["rex", "3", "0.33", "0.67", "1.00", "1.00", "0.83"] in [line.split() for line in lines]
    [comparison] = json.loads(as_json(made))["comparisons"]
    assert comparison["profile"][0]["group"] == "fixed"
    assert comparison["profile"][0]["within_2"] == 1.0
