"""Programs killed at any moment go on to exactly what an uninterrupted one leaves: rows, results, weights."""

import os
import random
import signal
import sqlite3
import time
import zipfile
from contextlib import closing, suppress
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote, urlparse

import h5py
import psutil
import pytest

from ratelab.runs.past import read_past
from support.programs import (
    RATELAB,
    begin,
    finish,
    ratelab,
    rows_of,
    so_far,
    train,
    unless_given,
    wait_until,
)
from support.slurm import NO_ACCOUNTS

SWEEP = [
    "-m",
    "experiment=quick",
    "epochs=60",
    "tracking.train_loss_every=1",
    "checkpoint.every=0.05",
    "hydra.launcher.workers=2",
]
OF_OTHERS = [  # launchers, which know nothing of journals: each job has its own
    *[word for word in SWEEP if not word.startswith("hydra.")],
    "epochs=200",
    "schedule=fixed,plateau",
]
PROGRAMS = {
    "a sweep": [
        *SWEEP,
        "schedule=fixed,one_cycle,plateau",
        "seed=0,1",
        "optimizer.momentum=0.9",
        "tracking.log_model=true",
    ],
    "dropout": [*SWEEP, "model=mlp", "model.dropout=0.5", "optimizer=adam", "learning_rate=0.01,0.002"],
    "growing": [
        *SWEEP,
        "batch=growing",
        "batch.decay_steps=300",
        "optimizer=schedule_free_sgd",
        "seed=0,1,2",
    ],
    "tuned": [
        *SWEEP,
        "experiment=[quick,tuned]",
        "epochs=30",
        "schedule=fixed,exponential",
        "seed=0,1",
        "hydra.sweeper.tuning.points=3",
        "hydra.sweeper.tuning.seeds=[1000]",
        "hydra.sweeper.tuning.widenings=1",
    ],
    "one run": ["experiment=quick", "epochs=400", "tracking.train_loss_every=1", "checkpoint.every=0.05"],
    "basic": [*OF_OTHERS, "hydra/launcher=basic", "seed=0,1"],
    "joblib": [*OF_OTHERS, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit": [
        *OF_OTHERS,
        "hydra/launcher=submitit_local",
        "hydra.sweep.subdir=${hydra.job.override_dirname}",
    ],
}
MOMENTS = ["a sweep", "dropout", "growing", "tuned", "one run"]
NEEDED = {"joblib": "hydra_plugins.hydra_joblib_launcher", "submitit": "submitit"}  # packages


def program_of(name):
    """The words of a program; of a key that it gives twice the last one counts."""
    words = {word.partition("=")[0]: word for word in PROGRAMS[name]}
    return [*words.values()]


def weights_of(folder):
    """The bytes of every weight of each model that was kept, by the name of its run.

    A run that was killed just when its model was kept may have kept it twice, with the same weights.
    """
    done = so_far(folder)
    runs = {run.info.run_id: run for run in done.everything}
    found = {}
    for model in done.client.search_logged_models(list({run.info.experiment_id for run in runs.values()})):
        for file in Path(unquote(urlparse(model.artifact_location).path)).rglob("*.keras"):
            weights = read_weights(file)
            name = runs[model.source_run_id].info.run_name
            assert found.setdefault(name, weights) == weights
    return found


def read_weights(path):
    arrays = {}

    def take(name, one):
        if isinstance(one, h5py.Dataset):
            arrays[name] = one[()].tobytes()

    with zipfile.ZipFile(path) as archive, h5py.File(BytesIO(archive.read("model.weights.h5"))) as weights:
        weights.visititems(take)
    return arrays


def steps_of(folder):
    """Every step of each run's table but when it was."""
    done = so_far(folder)
    columns = {}
    for run in done.everything:
        if "steps.parquet" in done.artifacts(run):
            steps = done.steps(run)
            columns[run.info.run_name] = {k: v.tobytes() for k, v in steps.items() if k != "timestamp"}
    return columns


def size_of(folder):
    """How many bytes the journals of a program have, those of its jobs among them."""
    return sum(path.stat().st_size for path in folder.glob("multirun/**/journal"))


class Whole:
    """What uninterrupted programs leave, each trained once."""

    def __init__(self, make_folder):
        self._make, self._left = make_folder, {}

    def of(self, name):
        if name in NEEDED:
            pytest.importorskip(NEEDED[name])
        if name not in self._left:
            folder = self._make.mktemp("whole")
            begun = time.monotonic()
            done = train(folder, *program_of(name))
            assert done.status == 0, done.err
            took = time.monotonic() - begun
            left = rows_of(folder), weights_of(folder), steps_of(folder)
            keeps = name == "one run" or any("log_model=true" in word for word in PROGRAMS[name])
            assert bool(left[1]) is keeps
            self._left[name] = left, size_of(folder), took
        return self._left[name]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return Whole(tmp_path_factory)


def wait_for(process, folder, size):
    """Return when the journals of a program have this size, or the program has ended."""
    while process.poll() is None and size_of(folder) < size:
        time.sleep(0.005)


def kill_at(process, folder, share, size):
    """Kill all of a program when its journals have this share of their size at the end."""
    wait_for(process, folder, share * size)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def has_trained(folder):
    """Whether the journal of a sweep has the end of every run."""
    [journal] = folder.glob("multirun/*/*/journal")
    return all(run.ended for run in read_past(journal.parent).runs.values())


def has_begun(folder):
    """Whether there is a journal that says what was to be done."""
    pasts = [read_past(path.parent) for path in folder.glob("multirun/*/*/journal")]
    return any(past.program for past in pasts)


def has_planned(folder):
    """Whether there is a journal that says of a run what it is to do."""
    pasts = [read_past(path.parent) for path in folder.glob("multirun/*/*/journal")]
    return any(past.runs for past in pasts)


def go_on(folder, name, by):
    """Start it again: with the command of its own, or by the same words."""
    if by == "ratelab resume":
        return finish(begin(folder, "resume", program=RATELAB), folder)
    return train(folder, *program_of(name), "resume=true")


def check_killed(tmp_path, whole, name, shares, by):
    wanted, size, _ = whole.of(name)
    process = begin(tmp_path, *program_of(name))
    kill_at(process, tmp_path, shares[0], size)
    for share in shares[1:]:
        process = begin(tmp_path, *program_of(name), "resume=true")
        kill_at(process, tmp_path, share, size)
    done = go_on(tmp_path, name, by) if has_begun(tmp_path) else train(tmp_path, *program_of(name))
    assert (done.status, done.err) == (0, "")
    rows, weights, steps = wanted
    assert rows_of(tmp_path) == rows
    assert weights_of(tmp_path) == weights
    assert steps_of(tmp_path) == steps
    assert not [*tmp_path.glob("multirun/**/checkpoints"), *tmp_path.glob("multirun/**/models")]


@pytest.mark.parametrize(
    ("name", "shares", "by"),
    [
        ("a sweep", [0.02, 0.3, 0.6, 0.95], "ratelab resume"),
        ("dropout", [0.4], "the same words"),
        ("growing", [0.5, 0.8], "ratelab resume"),
        ("tuned", [0.2, 0.7], "ratelab resume"),
        ("one run", [0.1, 0.5, 0.9], "the same words"),
        ("basic", [0.2, 0.6], "ratelab resume"),
        pytest.param("joblib", [0.5], "the same words", marks=pytest.mark.faults),
        ("submitit", [0.4], "ratelab resume"),
    ],
)
def test_a_program_killed_at_some_moments_leaves_what_an_uninterrupted_one_does(
    tmp_path, whole, name, shares, by
):
    check_killed(tmp_path, whole, name, shares, by)


@pytest.mark.parametrize("is_synced", [False, True])
def test_the_models_of_runs_that_ended_outlive_a_program_whose_store_was_away(tmp_path, whole, is_synced):
    wanted, size, _ = whole.of("a sweep")
    process = begin(tmp_path, *program_of("a sweep"))
    wait_for(process, tmp_path, 0.3 * size)
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db", isolation_level=None)) as holder:
        holder.execute("PRAGMA busy_timeout = 20000")
        holder.execute("BEGIN EXCLUSIVE")
        wait_until(lambda: has_trained(tmp_path), process)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert [*tmp_path.glob("multirun/*/*/models/*")]
    if is_synced:
        done = ratelab(tmp_path, "sync")
        assert (done.status, done.err) == (0, "")
        assert "models not given, for that takes TensorFlow. Go on with: ratelab resume " in done.out
    done = finish(begin(tmp_path, "resume", program=RATELAB), tmp_path)
    assert (done.status, done.err) == (0, "")
    assert (rows_of(tmp_path), weights_of(tmp_path), steps_of(tmp_path)) == wanted
    assert not [*tmp_path.glob("multirun/**/models")]


@pytest.mark.parametrize(("name", "number"), [("dropout", signal.SIGTERM), ("one run", signal.SIGINT)])
def test_a_program_that_is_told_to_stop_keeps_a_checkpoint_and_goes_on_from_there(
    tmp_path, whole, name, number
):
    wanted, size, _ = whole.of(name)
    words = [word for word in program_of(name) if not word.startswith("checkpoint.")]
    process = begin(tmp_path, *words)
    wait_for(process, tmp_path, 0.4 * size)
    process.send_signal(number)
    done = finish(process, tmp_path)
    assert done.status == 128 + number
    kept = [*tmp_path.glob("multirun/*/*/checkpoints/*-?????????")]
    assert kept or name == "one run"  # whose record may have been behind its training
    done = finish(begin(tmp_path, "resume", program=RATELAB), tmp_path)
    assert (done.status, done.err) == (0, "")
    assert (rows_of(tmp_path), weights_of(tmp_path), steps_of(tmp_path)) == wanted


def test_a_job_that_is_preempted_and_begun_again_goes_on_by_itself(tmp_path, whole):
    """Processes of submitit's stand for jobs of Slurm's, which sends both signals."""
    wanted, size, _ = whole.of("submitit")
    words = [word for word in program_of("submitit") if not word.startswith("checkpoint.")]
    process = begin(tmp_path, *words)
    wait_for(process, tmp_path, 0.3 * size)
    jobs = [
        one
        for one in psutil.Process(process.pid).children(recursive=True)
        if "submitit.core._submit" in one.cmdline()
    ]
    for job in jobs:
        job.send_signal(signal.SIGTERM)
        job.send_signal(signal.SIGUSR2)
    _, alive = psutil.wait_procs(jobs, timeout=5.0)
    assert not alive
    done = finish(process, tmp_path)
    assert (done.status, done.err) == (0, "")
    assert (rows_of(tmp_path), weights_of(tmp_path), steps_of(tmp_path)) == wanted
    logs = [path.read_text() for path in tmp_path.glob("multirun/*/*/.submitit/*/*.out")]
    assert sum("steps are kept; the rest goes on." in log for log in logs) > 0


def test_a_job_that_slurm_preempts_and_begins_again_goes_on_by_itself(tmp_path, whole, slurm):
    wanted, size, _ = whole.of("submitit")
    words = [
        word for word in program_of("submitit") if not word.startswith(("checkpoint.", "hydra/launcher="))
    ]
    launcher = ["hydra/launcher=submitit_slurm", f"hydra.launcher.partition={slurm.partition}"]
    process = begin(tmp_path, *words, *launcher, **slurm.environment)
    wait_for(process, tmp_path, 0.3 * size)
    slurm.preempt()
    done = finish(process, tmp_path)
    assert (done.status, NO_ACCOUNTS.sub("", done.err)) == (0, "")
    assert (rows_of(tmp_path), weights_of(tmp_path), steps_of(tmp_path)) == wanted
    logs = [path.read_text() for path in tmp_path.glob("multirun/*/*/.submitit/*/*.out")]
    assert sum("this job is preempted." in log for log in logs) > 0
    assert sum("steps are kept; the rest goes on." in log for log in logs) > 0


LONGER = ["epochs=4000"]  # so that it is killed long before its end


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A run that was killed after it was planned: its words and the folder that it was called in."""
    folder = tmp_path_factory.mktemp("killed")
    words = [*unless_given(program_of("one run"), LONGER), *LONGER]
    process = begin(folder, *words)
    wait_until(lambda: has_planned(folder), process)
    process.kill()
    process.communicate()
    return words, folder


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (["learning_rate=0.2"], "resume: no run of these words has a journal; begin anew without resume"),
        (["resume={folder}", "epochs=4001"], "  epochs: 4000 -> 4001"),
        (["resume={folder}", "data.validation_size=200"], "  data.validation_size: 300 -> 200"),
    ],
)
def test_what_is_another_run_is_refused_with_the_difference(killed, change, told):
    words, folder = killed
    [journal] = folder.glob("multirun/*/*/journal")
    before = read_past(journal.parent).runs
    changes = [word.format(folder=journal.parent) for word in change]
    if not changes[0].startswith("resume="):
        changes.append("resume=true")
    done = train(folder, *unless_given(words, changes), *changes)
    assert done.status == 1
    assert told in done.err
    assert "Traceback" not in done.err
    assert read_past(journal.parent).runs == before


@pytest.mark.faults
@pytest.mark.parametrize("number", range(100))
def test_a_program_killed_at_any_moment_leaves_what_an_uninterrupted_one_does(tmp_path, whole, number):
    chance = random.Random(number)  # noqa: S311 - the same moments whenever it runs
    name = MOMENTS[number % len(MOMENTS)]
    shares = sorted(chance.uniform(0.002, 1.0) for _ in range(chance.choice([1, 1, 2])))
    check_killed(tmp_path, whole, name, shares, chance.choice(["ratelab resume", "the same words"]))
