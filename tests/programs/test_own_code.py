"""Models and schedules of the user's, good and bad, in a sweep."""

import re

import numpy as np
import pytest

from support.packages import MY_MODELS, MY_SCHEDULES, OTHER_SCHEDULES
from support.programs import ONE_WORKER, assert_every_step, formula, together


@pytest.fixture(scope="module")
def own_code(tmp_path_factory):
    """Three sweeps that name functions of a package of the user's."""
    package = tmp_path_factory.mktemp("package")
    (package / "my_models.py").write_text(MY_MODELS)
    (package / "my_schedules.py").write_text(MY_SCHEDULES)
    (package / "conf" / "schedule").mkdir(parents=True)
    own_schedule = "_target_: my_schedules.harmonic\nhalf: 100\n"
    (package / "conf" / "schedule" / "harmonic.yaml").write_text(own_schedule)
    allowed = ["experiment=quick", ONE_WORKER, "allow_targets=[my_models,my_schedules]"]
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


def test_a_model_that_cannot_be_saved_is_a_warning_of_a_run_that_finished(own_code):
    done = own_code["unsavable"]
    assert done.status == 0
    [warning] = done.err.splitlines()
    name = next(name for name in done.children if name.casefold().startswith("fixed model.bad=true"))
    assert warning == (
        f"warning: {name}: the model could not be kept: RuntimeError: this layer cannot be saved. "
        "Give it what Keras needs to save it (get_config), or set tracking.log_model=false. "
        "The run goes on without it."
    )
    ends = {run.data.params["model.bad"]: run for run in done.children.values()}
    assert {run.info.status for run in [done.parent, *ends.values()]} == {"FINISHED"}
    not_kept = {bad: run.data.tags.get("not_kept") for bad, run in ends.items()}
    assert not_kept == {"True": "the model", "False": None}
    assert "failed, not counted" not in done.out
    models = done.client.search_logged_models([ends["True"].info.experiment_id])
    assert sorted(str(model.status) for model in models) == ["FAILED", "READY"]


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


STEPS = 50
SPAN = np.arange(STEPS)
EXPECTED = {
    "halves": np.where(SPAN < 25, 0.1, 0.05),
    "branches": np.where(SPAN < 25, 0.1, 0.1 * np.exp(-1)),
    "decays": np.float32(0.1) * np.float32(0.5) ** (np.float32(SPAN) / np.float32(STEPS)),
}


@pytest.fixture(scope="module")
def other_schedules(tmp_path_factory):
    """A single run and sweeps whose schedules are computed by TensorFlow, or one step at a time."""
    package = tmp_path_factory.mktemp("package")
    (package / "own.py").write_text(OTHER_SCHEDULES)
    files = package / "conf" / "schedule"
    files.mkdir(parents=True)
    for name in ("halves", "branches"):
        (files / f"{name}.yaml").write_text(f"_target_: own.{name}\n")
    of_keras = "keras.optimizers.schedules.ExponentialDecay"
    options = f"{{initial_learning_rate: 0.1, decay_steps: {STEPS}, decay_rate: 0.5}}"
    (files / "decays.yaml").write_text(f"_target_: {of_keras}\n" + options[1:-1].replace(", ", "\n"))
    given = ["--config-dir", str(package / "conf"), "experiment=quick", "epochs=1", "allow_targets=[own]"]
    broken = ["schedule=fixed", "schedule._target_=own.breaks", "tracking=none"]
    names = ("alone", "swept", "broken")
    commands = (
        [*given, "schedule=halves"],
        ["-m", *given, "schedule=halves,branches,decays"],
        [*given, *broken],
    )
    return dict(zip(names, together(tmp_path_factory, *commands, path=package), strict=True))


def test_a_schedule_of_tensorflow_trains_alone(other_schedules):
    done = other_schedules["alone"]
    assert (done.status, done.err) == (0, "")
    [run] = done.runs.values()
    assert_every_step(done, run, "learning_rate", EXPECTED["halves"].astype(np.float32))


def test_schedules_of_tensorflow_of_keras_and_of_one_step_train_in_a_sweep(other_schedules):
    done = other_schedules["swept"]
    assert (done.status, done.err) == (0, "")
    assert set(done.children) == {f"{name} seed=0" for name in EXPECTED}
    for name, expected in EXPECTED.items():
        steps, values = done.points(done.children[f"{name} seed=0"], "learning_rate")
        assert steps == list(range(STEPS))
        np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_what_breaks_in_tensorflow_is_one_message_and_no_folder_is_made(other_schedules):
    done = other_schedules["broken"]
    assert done.status == 1
    assert re.search(
        r"schedule: what own\.breaks returned, asked for step 0, raised InvalidArgumentError", done.err
    )
    assert re.search(r"\(\S*own\.py:15\)", done.err)
    assert "Traceback" not in done.err
    assert not (done.folder / "multirun").exists()


def test_a_model_that_returns_probabilities_is_told_in_one_message(tmp_path, tmp_path_factory):
    (tmp_path / "my_models.py").write_text(MY_MODELS)
    own = ["allow_targets=[my_models]", "model._target_=my_models.probabilities", "~model.start"]
    (done,) = together(tmp_path_factory, ["-m", "experiment=quick", ONE_WORKER, *own], path=tmp_path)
    assert done.status == 1
    assert done.err.count("model: must return logits, and its outputs lie between 0 and 1") == 1
    assert "Traceback" not in done.err
    assert {run.info.status for run in done.children.values()} == {"FAILED"}
