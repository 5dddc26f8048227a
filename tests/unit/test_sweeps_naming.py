"""A sweep is called by what varies in it, in few words."""

from dataclasses import replace

import pytest

from ratelab.runs.planned import Labels
from ratelab.sweeps.jobs import Jobs
from ratelab.sweeps.naming import name_sweep
from support.configs import planned_run


def named(varied, *jobs):
    """The name of a sweep whose jobs have these overrides, and seeds as they say."""
    runs = []
    for number, overrides in enumerate(jobs):
        seed = next((int(text.removeprefix("seed=")) for text in overrides if text.startswith("seed=")), 0)
        labels = Labels({"schedule": "fixed"}, "fixed", tuple(overrides), "a-sweep")
        runs.append(replace(planned_run(number, seed=seed), labels=labels))
    return name_sweep(Jobs((), tuple(runs), frozenset(varied)))


def crossed(schedules, seeds):
    return [[f"schedule={one}", f"seed={seed}"] for one in schedules for seed in seeds]


@pytest.mark.parametrize(
    ("varied", "jobs", "name"),
    [
        (["schedule", "seed"], crossed(["fixed", "cosine"], range(10)), "schedule=fixed,cosine seed=0..9"),
        (["schedule"], crossed(["fixed", "cosine"], [7]), "schedule=fixed,cosine seed=7"),
        (["seed"], crossed(["fixed"], [3, 1]), "schedule=fixed seed=1,3"),
        ([], [["epochs=1"]], "schedule=fixed seed=0"),
        (["+a.b"], [["+a.b=1"], ["+a.b=2"]], "schedule=fixed seed=0"),
        (["a.b"], [["+a.b=1", "c=1"], ["+a.b=x=y", "c=1"]], "a.b=1,x=y seed=0"),
        (["a"], [[f"a={n}"] for n in range(20)], "a=0,1,2,3,4,5,... (20) seed=0"),
        (["seed"], crossed(["fixed"], [0, 2, 4, 6, 8, 10, 12]), "schedule=fixed seed=0,2,4,6,8,10,... (7)"),
    ],
)
def test_it_is_called_by_what_varies_and_by_its_seeds(varied, jobs, name):
    assert named(varied, *jobs) == name


def test_a_long_name_is_cut_where_a_store_would_and_keeps_its_seeds():
    name = named(["a"], ["a=" + "x" * 300], ["a=" + "y" * 300])
    assert len(name) == 250
    assert name.startswith("a=xxx")
    assert name.endswith("x... seed=0")
