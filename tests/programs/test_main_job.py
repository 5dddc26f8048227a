"""Whole programs, from the command line to what MLflow's public API and the user read afterwards."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pytest
import yaml

from ratelab.data import load
from ratelab.validation import UserError
from support import ROOT

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]
TRAIN = [sys.executable, str(ROOT / "src" / "train.py")]
SIX_JOBS = ["schedule=fixed,exponential,staircase", "seed=0,1"]
EVERY_STEP = ["experiment=quick", "tracking.train_loss_every=1"]
NAMES = {f"{schedule} seed={seed}" for schedule in ("fixed", "exponential", "staircase") for seed in (0, 1)}
FORMULAS = {  # of conf/schedule, for a base rate of 0.1
    "fixed": lambda t: np.full(t.shape, 0.1),
    "exponential": lambda t: 0.1 * 0.9 ** (t / 1000),
    "staircase": lambda t: 0.1 * 0.9 ** np.floor(t / 1000),
    "toy": lambda t: 0.1 * 0.5 ** (t / 10),
    "harmonic": lambda t: 0.1 / (1 + t / 100),
}
MY_MODELS = """
import keras
from keras import layers

@keras.saving.register_keras_serializable()
class Unsavable(layers.Dense):
    def save_own_variables(self, store):
        raise RuntimeError("this layer cannot be saved")

def tiny(input_shape, classes):
    head = [keras.Input(input_shape), layers.Flatten(), layers.Dense(16, activation="relu")]
    return keras.Sequential([*head, layers.Dense(classes)])

def broken(input_shape, classes, bad: bool):
    if bad:
        raise RuntimeError("this model cannot be built")
    return tiny(input_shape, classes)

def unsavable(input_shape, classes, bad: bool):
    kind = Unsavable if bad else layers.Dense
    return keras.Sequential([keras.Input(input_shape), layers.Flatten(), kind(classes)])
"""
MY_SCHEDULES = """
import numpy as np

def harmonic(learning_rate, half: int):
    return lambda step: learning_rate / (1 + np.asarray(step) / half)
"""


@dataclass(frozen=True)
class Done:
    """How a command line ended, and the folder that it was called in."""

    folder: Path
    status: int
    out: str
    err: str

    @property
    def client(self):
        from mlflow import MlflowClient

        return MlflowClient(f"sqlite:///{self.folder}/mlruns/mlflow.db")

    @property
    def runs(self):
        """Return all runs of the store by their names."""
        client = self.client
        everything = client.search_runs([e.experiment_id for e in client.search_experiments()])
        named = {run.info.run_name: run for run in everything}
        assert len(named) == len(everything)
        return named

    @property
    def parent(self):
        [parent] = [run for run in self.runs.values() if run.data.tags.get("kind") == "sweep"]
        return parent

    @property
    def children(self):
        return {name: run for name, run in self.runs.items() if run.data.tags.get("kind") != "sweep"}

    @property
    def job_folder(self):
        [folder] = (self.folder / "multirun").glob("*/*")
        return folder

    def points(self, run, key):
        """Return steps and float32 values of a metric, by step."""
        history = self.client.get_metric_history(run.info.run_id, key)
        pairs = sorted((point.step, point.value) for point in history)
        return [step for step, _ in pairs], np.float32([value for _, value in pairs])

    def artifacts(self, run):
        return {item.path for item in self.client.list_artifacts(run.info.run_id)}

    def artifact(self, run, path):
        return Path(self.client.download_artifacts(run.info.run_id, path))

    def steps(self, run):
        """Return the columns of steps.parquet."""
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(self.artifact(run, "steps.parquet"))
        return {name: table[name].to_numpy() for name in table.column_names}


def begin(folder, *arguments, path=""):
    """Start the command line in `folder`, with `path` on PYTHONPATH."""
    return subprocess.Popen(
        [*TRAIN, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process, folder, timeout=120):
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return Done(folder, process.returncode, out, err)


def together(make_folder, *commands, path=""):
    """Run command lines at the same time, each in a fresh folder."""
    folders = [make_folder.mktemp("job") for _ in commands]
    processes = [
        begin(folder, *command, path=path) for folder, command in zip(folders, commands, strict=True)
    ]
    return [finish(process, folder) for process, folder in zip(processes, folders, strict=True)]


def formula(name, steps):
    return FORMULAS[name](np.arange(steps)).astype(np.float32)


def assert_every_step(done, run, key, expected):
    steps, values = done.points(run, key)
    assert steps == list(range(len(expected)))
    np.testing.assert_array_equal(values, expected)


def git(*arguments):
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


# ---------------------------------------------------------------- the tutorial's table, and runs that diverge


@pytest.fixture(scope="module")
def toy_and_diverging(tmp_path_factory):
    """The toy; a sweep of which one job diverges; a single run that diverges."""
    diverging = ["experiment=quick", "model=mlp"]
    return together(
        tmp_path_factory,
        ["experiment=toy"],
        ["-m", *diverging, "learning_rate=0.1,1e30"],
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
    assert tags["data_digest"] == load("digits", validation_size=300).digest
    assert tags["git_dirty"] in {"true", "false"}
    commit = tags["mlflow.source.git.commit"]
    assert bool(commit) == bool(git("rev-parse", "HEAD"))
    assert git("rev-parse", "--verify", f"{commit}^{{commit}}") == commit
    assert params["schedule.decay_rate"] == "0.5"
    assert params["learning_rate"] == "0.1"
    assert params["data.name"] == "digits"
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
    test = load("digits", validation_size=300).test
    logits = model.predict((test.images / 16).astype(np.float32))
    assert logits.shape == (297, 10)
    assert (logits.argmax(1) == test.labels).mean() == toy_run.data.metrics["test_accuracy"]


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


# ------------------------------------------------------------------------------------ a sweep, to the bit


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory):
    """The same six jobs twice, the last of them alone, and the six not in stacks; all at the same time."""
    sweep = ["-m", *EVERY_STEP, *SIX_JOBS]
    alone = [*EVERY_STEP, "schedule=staircase", "seed=1"]
    results = together(tmp_path_factory, sweep, sweep, alone, [*sweep, "hydra.launcher.stack=false"])
    assert [(done.status, done.err) for done in results] == [(0, "")] * 4
    return results


def test_a_sweep_is_one_parent_with_a_run_for_each_job(sweeps):
    done = sweeps[0]
    assert set(done.children) == NAMES
    assert {run.info.status for run in done.runs.values()} == {"FINISHED"}
    parents = {run.data.tags["mlflow.parentRunId"] for run in done.children.values()}
    assert parents == {done.parent.info.run_id}
    assert done.parent.data.params == {"jobs": "6", "varied": "schedule, seed"}


def test_a_sweep_records_every_step_of_every_run(sweeps):
    done = sweeps[0]
    for run in done.children.values():
        assert_every_step(done, run, "learning_rate", formula(run.data.tags["schedule"], 250))
        assert_every_step(done, run, "train_loss", done.steps(run)["train_loss"])
        for key in ("val_loss", "val_accuracy"):
            assert done.points(run, key)[0] == [49, 99, 149, 199, 249]


def test_a_sweep_has_a_folder_for_each_job(sweeps):
    folder = sweeps[0].job_folder
    assert {path.name for path in folder.iterdir()} == {*"012345", "multirun.yaml", "report.html"}
    for number in range(6):
        overrides = yaml.safe_load((folder / f"{number}" / ".hydra" / "overrides.yaml").read_text())
        assert overrides[-1] == f"seed={number % 2}"


def test_a_sweep_prints_the_comparison(sweeps):
    done = sweeps[0]
    for schedule in ("fixed", "exponential", "staircase"):
        accuracies = [
            run.data.metrics["test_accuracy"]
            for run in done.children.values()
            if run.data.tags["schedule"] == schedule
        ]
        cells = [
            schedule,
            "2",
            f"{np.mean(accuracies):.4f}",
            f"{min(accuracies):.4f}-{max(accuracies):.4f}",  # the interval of two values ends at them
            f"{np.std(accuracies, ddof=1):.4f}",
        ]
        assert re.search(r" +".join(map(re.escape, cells)), done.out)
    assert done.out.count("no conclusion is possible from 2 seeds") == 2
    assert "no difference shown between staircase and fixed: equal in all 2 seeds." in done.out


def test_both_links_hold_exactly_the_runs_of_the_sweep(sweeps):
    done = sweeps[0]
    ids = {run.info.run_id for run in done.children.values()}
    runs, curves = re.findall(r"^  (http://127\.0\.0\.1:5000/\S+)$", done.out, re.MULTILINE)
    assert set(re.findall(r"'([0-9a-f]{32})'", unquote(runs))) == ids
    query = parse_qs(urlsplit(urlsplit(curves).fragment).query)
    assert set(json.loads(query["runs"][0])) == ids
    assert json.loads(query["metric"][0]) == "learning_rate"


def results(run):
    """All last values of metrics that are the same whenever the run is computed: not how long it took."""
    return {key: value for key, value in run.data.metrics.items() if key != "train_seconds"}


def test_the_same_sweep_again_gives_the_same_bits(sweeps):
    first, again, *_ = sweeps
    for name in NAMES:
        one, other = first.children[name], again.children[name]
        assert first.points(one, "train_loss")[1].tobytes() == again.points(other, "train_loss")[1].tobytes()
        assert results(one) == results(other)
        assert one.data.tags["config_digest"] == other.data.tags["config_digest"]


def test_a_job_alone_gives_the_same_bits_as_in_a_sweep_without_stacks(sweeps):
    *_, single, sweep = sweeps
    name = "staircase seed=1"
    inside, alone = sweep.children[name], single.runs[name]
    assert sweep.points(inside, "train_loss")[1].tobytes() == single.points(alone, "train_loss")[1].tobytes()
    assert results(inside) == results(alone)


def test_a_job_in_a_stack_gives_the_losses_of_the_same_job_by_itself(sweeps):
    stacked, *_, unstacked = sweeps
    assert set(stacked.children) == set(unstacked.children)
    for name, run in stacked.children.items():
        other = unstacked.children[name]
        losses = [done.points(r, "train_loss")[1] for done, r in ((stacked, run), (unstacked, other))]
        np.testing.assert_allclose(*losses, rtol=1e-5)  # float32, 250 steps
        for key, value in results(run).items():
            assert value == pytest.approx(other.data.metrics[key], rel=1e-5)


def test_runs_differ_exactly_if_their_seeds_or_their_rates_differ(sweeps):
    """In 250 steps `staircase` does not fall yet: it is `fixed` under another name."""
    done = sweeps[0]
    losses = {name: done.steps(run)["train_loss"].tobytes() for name, run in done.children.items()}
    for seed in (0, 1):
        assert losses[f"staircase seed={seed}"] == losses[f"fixed seed={seed}"]
    assert len(set(losses.values())) == 4


# -------------------------------------------------------------------------- code of the user's, good and bad


@pytest.fixture(scope="module")
def own_code(tmp_path_factory):
    """Three sweeps that name functions of a package of the user's."""
    package = tmp_path_factory.mktemp("package")
    (package / "my_models.py").write_text(MY_MODELS)
    (package / "my_schedules.py").write_text(MY_SCHEDULES)
    (package / "conf" / "schedule").mkdir(parents=True)
    own_schedule = "_target_: my_schedules.harmonic\nhalf: 100\n"
    (package / "conf" / "schedule" / "harmonic.yaml").write_text(own_schedule)
    allowed = ["experiment=quick", "allow_targets=[my_models,my_schedules]"]
    folder = ["--config-dir", str(package / "conf")]
    by_target = ["schedule=fixed", "schedule._target_=my_schedules.harmonic", "+schedule.half=100"]
    bad = ["~model.start", "+model.bad=true,false", *by_target]
    names = ("own model", "broken", "unsavable")
    commands = (
        [*folder, "-m", *allowed, "schedule=harmonic,fixed", "model._target_=my_models.tiny", "~model.start"],
        ["-m", *allowed, "model._target_=my_models.broken", *bad],
        ["-m", *allowed, "model._target_=my_models.unsavable", *bad, "tracking.log_model=true"],
    )
    return dict(zip(names, together(tmp_path_factory, *commands, path=package), strict=True))


def test_a_model_and_a_schedule_of_the_users_train_and_are_recorded(own_code):
    done = own_code["own model"]
    assert (done.status, done.err) == (0, "")
    assert set(done.children) == {"harmonic seed=0", "fixed seed=0"}
    for run in done.children.values():
        assert run.info.status == "FINISHED"
        assert run.data.params["model._target_"] == "my_models.tiny"
        assert run.data.metrics["test_accuracy"] > 0.5
        assert_every_step(done, run, "learning_rate", formula(run.data.tags["schedule"], 250))


def test_a_schedule_of_the_users_can_be_named_on_the_command_line(own_code):
    done = own_code["unsavable"]
    for run in done.children.values():
        assert run.data.params["schedule._target_"] == "my_schedules.harmonic"
        assert_every_step(done, run, "learning_rate", formula("harmonic", 250))


def test_a_job_that_fails_inside_its_run_fails_the_sweep_and_no_other_job(own_code):
    done = own_code["unsavable"]
    assert done.status == 1
    assert done.err.count("RuntimeError: this layer cannot be saved") == 1
    ends = {run.data.params["model.bad"]: run for run in done.children.values()}
    assert {bad: run.info.status for bad, run in ends.items()} == {"True": "FAILED", "False": "FINISHED"}
    assert done.parent.info.status == "FAILED"
    for run in (ends["True"], done.parent):
        assert "this layer cannot be saved" in done.artifact(run, "traceback.txt").read_text()
    assert re.search(r"\* note: failed, not counted: \S+ model\.bad=True seed=0$", done.out, re.MULTILINE)


def test_jobs_that_differ_in_an_added_key_are_not_taken_for_repetitions(own_code):
    names = set(own_code["unsavable"].children)
    assert {name.casefold() for name in names} == {
        f"fixed model.bad={bad} seed=0" for bad in ("true", "false")
    }


def test_a_job_whose_model_cannot_be_built_keeps_no_other_job_from_running(own_code):
    done = own_code["broken"]
    assert done.status == 1
    assert done.err.count("RuntimeError: this model cannot be built") == 1
    finished = [run for run in done.children.values() if run.info.status == "FINISHED"]
    assert [run.data.params["model.bad"] for run in finished] == ["False"]
    assert_every_step(done, finished[0], "learning_rate", formula("harmonic", 250))


def test_a_job_whose_model_cannot_be_built_fails_the_sweep(own_code):
    done = own_code["broken"]
    assert done.parent.info.status == "FAILED"
    assert "this model cannot be built" in done.artifact(done.parent, "traceback.txt").read_text()
    assert re.search(r"\* note: failed, not counted: \S+ model\.bad=True seed=0$", done.out, re.MULTILINE)


# --------------------------------------------------------------------------------- told to stop in the middle


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Two sweeps, each told to stop in its second stack, which would take minutes; and how they ended."""
    one_by_one = ["-m", "experiment=quick", "hydra.launcher.workers=1"]
    overrides = [*one_by_one, "epochs=2,50000", "schedule=fixed,exponential"]
    numbers = (signal.SIGINT, signal.SIGTERM)
    folders = {number: tmp_path_factory.mktemp(number.name) for number in numbers}
    processes = {number: begin(folders[number], *overrides) for number in numbers}
    try:
        for number, process in processes.items():
            wait_for_points(folders[number], process, "epochs=50000")
        for number, process in processes.items():
            process.send_signal(number)
        return {number: finish(processes[number], folders[number], timeout=5) for number in numbers}
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def wait_for_points(folder, process, part):
    """Return when a run whose name has `part` has learning rates in the store."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        if (folder / "mlruns" / "artifacts").exists():
            runs = Done(folder, 0, "", "").children
            if any(part in name and "learning_rate" in run.data.metrics for name, run in runs.items()):
                return
        time.sleep(0.1)
    pytest.fail(f"no run {part} came so far: {process.communicate()}")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_sweep_told_to_stop_stores_what_it_has_and_says_so(stopped, number, status):
    done = stopped[number]
    assert done.status == status
    assert (
        done.err == f"Stopped by {number.name}. A run that had begun is KILLED, with what it had computed.\n"
    )
    assert done.parent.info.status == "KILLED"
    assert {name: run.info.status for name, run in done.children.items()} == {
        "fixed epochs=2 seed=0": "FINISHED",
        "exponential epochs=2 seed=0": "FINISHED",
        "fixed epochs=50000 seed=0": "KILLED",
        "exponential epochs=50000 seed=0": "KILLED",
    }
    for run in done.children.values():
        steps = done.steps(run)
        rates = formula(run.data.tags["schedule"], len(steps["step"]))
        assert steps["step"].tolist() == list(range(len(rates)))
        assert_every_step(done, run, "learning_rate", rates)


# ------------------------------------------------------------------------------- two at once; the real thing


@pytest.fixture(scope="module")
def first_starts(tmp_path_factory):
    """Two sweeps started at the same moment in the same empty folder."""
    folder = tmp_path_factory.mktemp("first starts")
    overrides = ["-m", "experiment=quick", "schedule=fixed,exponential"]
    processes = [begin(folder, *overrides, f"seed={seed}") for seed in (0, 1)]
    return [finish(process, folder) for process in processes]


def test_two_sweeps_started_at_once_are_both_recorded(first_starts):
    assert [(done.status, done.err) for done in first_starts] == [(0, "")] * 2
    runs = first_starts[0].runs
    folders = list((first_starts[0].folder / "multirun").glob("*/*"))
    parents = {run.info.run_id for run in runs.values() if run.data.tags.get("kind") == "sweep"}
    assert (len(runs), len(folders), len(parents)) == (6, 2, 2)
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    by_parent = {(run.data.tags["mlflow.parentRunId"], run.data.tags["seed"]) for run in children_of(runs)}
    assert {parent for parent, _ in by_parent} == parents
    assert len(by_parent) == 2
    for run in children_of(runs):
        assert_every_step(first_starts[0], run, "learning_rate", formula(run.data.tags["schedule"], 250))


def children_of(runs):
    return [run for run in runs.values() if run.data.tags.get("kind") != "sweep"]


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    """The main job, two epochs of it."""
    try:
        load("mnist", validation_size=5000)
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
