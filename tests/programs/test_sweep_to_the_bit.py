"""What a sweep records and prints, and that its bits are those of the same jobs in any other way."""

import json
import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import yaml

from ratelab.tracking import comparison_links
from support.programs import (
    QUICK,
    assert_every_step,
    formula,
    together,
)

NAMES = {f"{schedule} seed={seed}" for schedule in ("fixed", "exponential", "staircase") for seed in (0, 1)}


@pytest.fixture(scope="module")
def repetitions(tmp_path_factory):
    """The jobs of the quick sweep again, the last of them alone, and all not in stacks; at the same time."""
    alone = ["experiment=quick", "tracking.train_loss_every=1", "schedule=staircase", "seed=1"]
    results = together(tmp_path_factory, QUICK, alone, [*QUICK, "hydra.launcher.stack=false"])
    assert [(done.status, done.err) for done in results] == [(0, "")] * 3
    return results


def test_a_sweep_is_one_parent_with_a_run_for_each_job(quick):
    assert set(quick.children) == NAMES
    assert {run.info.status for run in quick.runs.values()} == {"FINISHED"}
    parents = {run.data.tags["mlflow.parentRunId"] for run in quick.children.values()}
    assert parents == {quick.parent.info.run_id}
    assert quick.parent.data.params == {"jobs": "6", "varied": "schedule, seed"}


def test_a_sweep_records_every_step_of_every_run(quick):
    for run in quick.children.values():
        assert_every_step(quick, run, "learning_rate", formula(run.data.tags["schedule"], 250))
        assert_every_step(quick, run, "train_loss", quick.steps(run)["train_loss"])
        for key in ("val_loss", "val_accuracy"):
            assert quick.points(run, key)[0] == [49, 99, 149, 199, 249]


def test_a_sweep_has_a_folder_for_each_job(quick):
    folder = quick.job_folder
    assert {path.name for path in folder.iterdir()} == {*"012345", "journal", "multirun.yaml", "report.html"}
    for number in range(6):
        overrides = yaml.safe_load((folder / f"{number}" / ".hydra" / "overrides.yaml").read_text())
        assert overrides[-1] == f"seed={number % 2}"


def test_a_sweep_prints_the_comparison(quick):
    for schedule in ("fixed", "exponential", "staircase"):
        accuracies = [
            run.data.metrics["test_accuracy"]
            for run in quick.children.values()
            if run.data.tags["schedule"] == schedule
        ]
        cells = [
            schedule,
            "2",
            f"{np.mean(accuracies):.4f}",
            "-",  # no interval of a mean from two values
            f"{np.std(accuracies, ddof=1):.4f}",
        ]
        assert re.search(r" +".join(map(re.escape, cells)), quick.out)
    assert quick.out.count("no conclusion is possible from 2 seeds") == 2
    assert "no difference shown between staircase and fixed: equal in all 2 seeds." in quick.out


def test_the_links_hold_exactly_the_runs_of_the_sweep(quick):
    sweep_id = quick.parent.data.tags["sweep_id"]
    command = f"See them side by side in MLflow: ratelab ui --sweep {sweep_id}"
    assert command in quick.out.splitlines()
    ids = [run.info.run_id for run in quick.children.values()]
    experiment = quick.parent.info.experiment_id
    charts, curves = (
        parse_qs(urlsplit(urlsplit(link.address).fragment).query)
        for link in comparison_links("http://host", experiment, ids, sweep_id)
    )
    [order, wanted] = charts["orderByKey"], charts["searchFilter"][0]
    found = quick.client.search_runs([experiment], wanted, order_by=order)
    assert {run.info.run_id for run in found} == set(ids)
    assert [run.data.tags["seed"] for run in found] == ["0"] * 3 + ["1"] * 3
    assert json.loads(curves["runs"][0]) == ids
    assert json.loads(curves["metric"][0]) == "learning_rate"


def test_the_parent_is_called_by_what_was_swept(quick):
    assert quick.parent.info.run_name == "schedule=fixed,exponential,staircase seed=0,1"


def results(run):
    """All last values of metrics that are the same whenever the run is computed: not how long it took."""
    return {key: value for key, value in run.data.metrics.items() if key != "train_seconds"}


def test_the_same_sweep_again_gives_the_same_bits(quick, repetitions):
    first, again = quick, repetitions[0]
    for name in NAMES:
        one, other = first.children[name], again.children[name]
        assert first.points(one, "train_loss")[1].tobytes() == again.points(other, "train_loss")[1].tobytes()
        assert results(one) == results(other)
        assert one.data.tags["config_digest"] == other.data.tags["config_digest"]


def test_a_job_alone_gives_the_same_bits_as_in_a_sweep_without_stacks(repetitions):
    *_, single, sweep = repetitions
    name = "staircase seed=1"
    inside, alone = sweep.children[name], single.runs[name]
    assert sweep.points(inside, "train_loss")[1].tobytes() == single.points(alone, "train_loss")[1].tobytes()
    assert results(inside) == results(alone)


def test_a_job_in_a_stack_gives_the_losses_of_the_same_job_by_itself(quick, repetitions):
    stacked, unstacked = quick, repetitions[-1]
    assert set(stacked.children) == set(unstacked.children)
    for name, run in stacked.children.items():
        other = unstacked.children[name]
        losses = [done.points(r, "train_loss")[1] for done, r in ((stacked, run), (unstacked, other))]
        np.testing.assert_allclose(*losses, rtol=1e-5)  # float32, 250 steps
        for key, value in results(run).items():
            assert value == pytest.approx(other.data.metrics[key], rel=1e-5)


def test_runs_differ_exactly_if_their_seeds_or_their_rates_differ(quick):
    """In 250 steps `staircase` does not fall yet: it is `fixed` under another name."""
    losses = {name: quick.steps(run)["train_loss"].tobytes() for name, run in quick.children.items()}
    for seed in (0, 1):
        assert losses[f"staircase seed={seed}"] == losses[f"fixed seed={seed}"]
    assert len(set(losses.values())) == 4
