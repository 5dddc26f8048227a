"""Whole programs, from the command line to what MLflow's public API and the user read afterwards."""

import re
import subprocess

import numpy as np
import pytest
import yaml

import ratelab.data
from ratelab.data import digits
from ratelab.validation import UserError
from support import ROOT
from support.programs import (
    ONE_WORKER,
    assert_every_step,
    begin,
    finish,
    formula,
    is_parent,
    together,
)


def git(*arguments):
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def toy_and_diverging(tmp_path_factory):
    """The toy; a sweep of which one job diverges; a single run that diverges."""
    diverging = ["experiment=quick", "model=mlp"]
    return together(
        tmp_path_factory,
        ["experiment=toy"],
        ["-m", *diverging, "learning_rate=0.1,1e30", ONE_WORKER],
        [*diverging, "learning_rate=1e30"],
    )


@pytest.fixture(scope="module")
def toy(toy_and_diverging):
    done = toy_and_diverging[0]
    assert (done.status, done.err) == (0, "")
    return done


@pytest.fixture(scope="module")
def toy_run(toy):
    return toy.runs["exponential seed=0"]


def test_the_toy_prints_the_rate_of_every_step(toy):
    rows = re.findall(r"^ +(\d+)   (\S+)$", toy.out, re.MULTILINE)
    assert [int(step) for step, _ in rows] == list(range(50))
    np.testing.assert_array_equal(np.float32([rate for _, rate in rows]), formula("toy", 50))


def test_a_single_run_has_a_job_folder(toy):
    config = yaml.safe_load((toy.job_folder / ".hydra" / "config.yaml").read_text())
    assert config["schedule"]["decay_steps"] == 10
    assert config["print_schedule"] is True


def test_the_rate_of_every_step_is_recorded(toy, toy_run):
    assert list(toy.runs) == ["exponential seed=0"]
    assert toy_run.info.status == "FINISHED"
    assert_every_step(toy, toy_run, "learning_rate", formula("toy", 50))


def test_the_result_is_recorded_at_the_last_step_and_printed(toy, toy_run):
    for key in ("val_loss", "val_accuracy", "test_loss", "test_accuracy"):
        assert toy.points(toy_run, key)[0] == [49]
    assert f"test accuracy {toy_run.data.metrics['test_accuracy']:.4f}, " in toy.out


def test_a_run_says_where_it_comes_from(toy, toy_run):
    tags, params = toy_run.data.tags, toy_run.data.params
    assert (tags["schedule"], tags["seed"]) == ("exponential", "0")
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", tags["config_digest"])
    assert tags["data_digest"] == digits(validation_size=300).digest
    assert tags["git_dirty"] in {"true", "false"}
    commit = tags["mlflow.source.git.commit"]
    assert bool(commit) == bool(git("rev-parse", "HEAD"))
    assert git("rev-parse", "--verify", f"{commit}^{{commit}}") == commit
    assert params["schedule.decay_rate"] == "0.5"
    assert params["learning_rate"] == "0.1"
    assert params["data._target_"] == "ratelab.data.digits"
    assert "tracking.uri" not in params


def test_a_run_keeps_its_configuration_and_its_environment(toy, toy_run):
    wanted = {"config.yaml", "overrides.txt", "packages.txt", "steps.parquet"}
    diff = {"git.diff"} if toy_run.data.tags["git_dirty"] == "true" else set()
    assert toy.artifacts(toy_run) == wanted | diff
    assert yaml.safe_load(toy.artifact(toy_run, "config.yaml").read_text())["schedule"]["decay_steps"] == 10
    assert toy.artifact(toy_run, "overrides.txt").read_text() == "experiment=toy\n"
    assert re.search(r"^tensorflow==", toy.artifact(toy_run, "packages.txt").read_text(), re.MULTILINE)


def test_the_file_of_steps_has_every_rate_and_every_loss(toy, toy_run):
    steps = toy.steps(toy_run)
    assert steps["step"].tolist() == list(range(50))
    np.testing.assert_array_equal(steps["learning_rate"], formula("toy", 50), strict=True)
    assert steps["train_loss"].dtype == np.float32
    assert np.isfinite(steps["train_loss"]).all()
    assert (np.diff(steps["timestamp"]) >= 0).all()


@pytest.mark.filterwarnings("ignore:.*Any type hint:UserWarning")  # mlflow.pyfunc has such hints itself
def test_the_logged_model_gives_the_logits_that_were_tested(toy, toy_run, tensorflow):
    import mlflow

    [logged] = toy_run.outputs.model_outputs
    location = toy.client.get_logged_model(logged.model_id).artifact_location
    model = mlflow.pyfunc.load_model(location)
    test = digits(validation_size=300).test
    logits = model.predict((test.inputs / 16).astype(np.float32))
    assert logits.shape == (297, 10)
    assert (logits.argmax(1) == test.targets).mean() == toy_run.data.metrics["test_accuracy"]


def test_a_sweep_goes_on_after_a_run_that_diverged(toy_and_diverging):
    done = toy_and_diverging[1]
    assert (done.status, done.err) == (0, "")
    assert "1 (1" in done.out
    assert "diverged)" in done.out
    assert done.parent.info.status == "FINISHED"
    ends = {run.data.params["learning_rate"]: run.info.status for run in done.children.values()}
    assert ends == {"0.1": "FINISHED", "1e+30": "FAILED"}


def test_a_run_that_diverged_has_every_step_up_to_that_one(toy_and_diverging):
    for done in toy_and_diverging[1:]:
        [run] = [r for r in done.children.values() if r.info.status == "FAILED"]
        last = int(run.data.tags["diverged_step"])
        expected = (1e30 * 0.9 ** (np.arange(last + 1) / 1000)).astype(np.float32)
        assert_every_step(done, run, "learning_rate", expected)
        losses = done.steps(run)["train_loss"]
        assert len(losses) == last + 1
        assert np.isfinite(losses[:-1]).all()
        assert "test_accuracy" not in run.data.metrics


def test_a_single_run_that_diverges_ends_with_one_message(toy_and_diverging):
    done = toy_and_diverging[2]
    [run] = done.runs.values()
    step = run.data.tags["diverged_step"]
    assert (done.status, run.info.status) == (1, "FAILED")
    assert done.err.count(f"exponential: the loss was not finite at step {step}; ") == 1
    assert "Traceback" not in done.err


@pytest.fixture(scope="module")
def first_starts(tmp_path_factory):
    """Two sweeps started at the same moment in the same empty folder."""
    folder = tmp_path_factory.mktemp("first starts")
    overrides = ["-m", "experiment=quick", "schedule=fixed,exponential", ONE_WORKER]
    processes = [begin(folder, *overrides, f"seed={seed}") for seed in (0, 1)]
    return [finish(process, folder) for process in processes]


def test_two_sweeps_started_at_once_are_both_recorded(first_starts):
    assert [(done.status, done.err) for done in first_starts] == [(0, "")] * 2
    runs = first_starts[0].runs
    folders = list((first_starts[0].folder / "multirun").glob("*/*"))
    parents = {run.info.run_id for run in runs.values() if is_parent(run)}
    assert (len(runs), len(folders), len(parents)) == (6, 2, 2)
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    by_parent = {(run.data.tags["mlflow.parentRunId"], run.data.tags["seed"]) for run in children_of(runs)}
    assert {parent for parent, _ in by_parent} == parents
    assert len(by_parent) == 2
    for run in children_of(runs):
        assert_every_step(first_starts[0], run, "learning_rate", formula(run.data.tags["schedule"], 250))


def children_of(runs):
    return [run for run in runs.values() if not is_parent(run)]


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    """The main job, two epochs of it."""
    try:
        ratelab.data.mnist(validation_size=5000)
    except UserError as error:
        pytest.skip(f"MNIST is nowhere to be had: {error}")
    [done] = together(tmp_path_factory, ["-m", "schedule=fixed,exponential", "epochs=2"])
    assert (done.status, done.err) == (0, "")
    return done


def test_the_main_job_records_and_compares_two_schedules_on_mnist(mnist):
    assert set(mnist.children) == {"fixed seed=0", "exponential seed=0"}
    assert {run.info.status for run in mnist.runs.values()} == {"FINISHED"}
    for run in mnist.children.values():
        assert_every_step(mnist, run, "learning_rate", formula(run.data.tags["schedule"], 1100))
        assert mnist.points(run, "train_loss")[0] == list(range(0, 1100, 10))
        assert 0.75 < run.data.metrics["test_accuracy"] < 0.92
