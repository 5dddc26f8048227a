"""Models and schedules of the user's, good and bad, in a sweep."""

import re

import pytest

from support.packages import MY_MODELS, MY_SCHEDULES
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


def test_a_model_that_returns_probabilities_is_told_in_one_message(tmp_path, tmp_path_factory):
    (tmp_path / "my_models.py").write_text(MY_MODELS)
    own = ["allow_targets=[my_models]", "model._target_=my_models.probabilities", "~model.start"]
    (done,) = together(tmp_path_factory, ["-m", "experiment=quick", ONE_WORKER, *own], path=tmp_path)
    assert done.status == 1
    assert done.err.count("model: must return logits, and its outputs lie between 0 and 1") == 1
    assert "Traceback" not in done.err
    assert {run.info.status for run in done.children.values()} == {"FAILED"}
