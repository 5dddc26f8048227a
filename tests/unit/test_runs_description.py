"""What a run says about itself: every key, what it is found and grouped by, and where it comes from."""

import math
from dataclasses import replace
from pathlib import Path
from unittest.mock import create_autospec

import pytest
import yaml

from ratelab.runs import description
from ratelab.runs.planned import Labels
from ratelab.runtime.machine import describe_machine, write_machine
from ratelab.runtime.program_identity import this_program
from ratelab.runtime.provenance import Provenance
from ratelab.tracking import Run
from support.configs import VALUES, planned_run

ORIGIN = Provenance("0123abcd", "diff --git", "numpy==2.0.0\nother==1", "train.py seed=1")
OUTCOMES = (
    '{"judge":"accuracy","metrics":{"accuracy":{"higher_is_better":true,"worst":0.0},'
    f'"loss":{{"higher_is_better":false,"worst":{math.log(10)}}}}}}}'
)
SECRET = {**VALUES["tracking"], "uri": "postgresql://me:secret@host/db"}


@pytest.fixture(autouse=True)
def _known_origin(monkeypatch):
    monkeypatch.setattr(description.provenance, "collect", lambda: ORIGIN)


def kept_files(planned):
    """The names and texts that are logged for a run, all in one call while they are there."""
    run, texts = create_autospec(Run, instance=True), {}

    def artifact(folder, *others):
        assert others == ()  # at the top of the artifacts
        texts.update({path.name: path.read_text() for path in folder.iterdir()})

    run.artifact.side_effect = artifact
    description.log_files(run, description.files(planned))
    run.artifact.assert_called_once()
    assert not Path(run.artifact.call_args.args[0]).exists()
    return texts


def test_params_are_all_keys_flat_but_the_uri_of_the_store():
    params = description.params(planned_run(0, tracking=SECRET))
    assert params == {
        "seed": 0,
        "epochs": 3,
        "batch_size": 24,
        "learning_rate": 0.1,
        "validation_size": 300,
        "test": True,
        "print_schedule": False,
        "allow_targets": ["own_models"],
        "schedule._target_": "ratelab.schedules.fixed",
        "warmup.steps": 0,
        "warmup.start_factor": 0.0,
        "model._target_": "ratelab.models.softmax",
        "optimizer._target_": "ratelab.optimizers.sgd",
        "optimizer.clip_norm": None,
        "batch._target_": "ratelab.batch_sizes.constant",
        "data._target_": "ratelab.data.digits",
        "data.validation_size": 300,
        "task._target_": "ratelab.tasks.auto",
        "device.kind": "cpu",
        "device.index": 0,
        "device.threads": 1,
        "device.precision": "float32",
        "device.xla": None,
        "device.deterministic": False,
        "tracking.experiment": "x",
        "tracking.train_loss_every": 1,
        "tracking.learning_rate_every": 1,
        "tracking.log_model": None,
    }


def test_tags_are_the_options_the_seed_the_digests_the_sweep_and_the_origin():
    planned = planned_run(3, seed=5)
    tags = description.tags(planned)
    assert len(tags.pop("config_digest")) >= 16
    groups = ("batch", "device", "model", "optimizer", "schedule", "task", "warmup")
    assert all(len(tags.pop(f"{group}_digest")) >= 16 for group in groups)
    assert tags == {
        "schedule": "fixed",
        "seed": "5",
        "data_digest": planned.job.data.digest,
        "outcomes": OUTCOMES,
        "sweep_id": "a-sweep",
        "job": "3",
        "program": this_program(None).write(),
        "machine": write_machine(describe_machine(planned.config.device, {})),
        **ORIGIN.tags,
    }


def test_two_schedules_have_two_digests_and_one_model_has_one():
    fixed, other = (
        description.tags(planned_run(0, schedule={"_target_": f"ratelab.schedules.{name}"}, seed=seed))
        for name, seed in (("fixed", 0), ("linear_to_zero", 1))
    )
    assert fixed["schedule_digest"] != other["schedule_digest"]
    assert fixed["model_digest"] == other["model_digest"]


def test_a_single_run_is_no_job_of_a_sweep():
    alone = replace(planned_run(0), labels=Labels({"schedule": "fixed"}, "fixed", (), None))
    assert description.tags(alone).keys().isdisjoint({"sweep_id", "job"})


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ({}, True),
        ({"tracking": SECRET}, True),
        ({"data": {"_target_": "ratelab.data.mnist", "dir": "/elsewhere", "validation_size": 5000}}, True),
        ({"seed": 1}, False),
        ({"schedule": {"_target_": "ratelab.schedules.fixed"}, "learning_rate": 0.2}, False),
    ],
)
def test_the_digest_of_a_configuration_is_of_what_is_trained_not_of_where_things_lie(change, is_same):
    here = {"_target_": "ratelab.data.mnist", "dir": "/here", "validation_size": 5000}
    same = {"data": here} if "data" in change else {}
    before, after = planned_run(0, **same), planned_run(0, **change)
    for one in (before, after):  # no folder of the data is looked for
        one.__dict__["job"] = planned_run(0).job
    digests = {description.tags(planned)["config_digest"] for planned in (before, after)}
    assert (len(digests) == 1) is is_same


def test_the_files_say_what_made_the_run():
    words = ("seed=1", "schedule=fixed")
    planned = replace(planned_run(0, tracking=SECRET), labels=Labels({}, "fixed", words, None))
    texts = kept_files(planned)
    config = yaml.safe_load(texts.pop("config.yaml"))
    assert config == {
        **VALUES,
        "tracking": {key: value for key, value in SECRET.items() if key != "uri"},
    }
    assert texts == {
        "overrides.txt": "seed=1\nschedule=fixed\n",
        "packages.txt": "numpy==2.0.0\nother==1",
        "git.diff": "diff --git",
    }


def test_without_local_changes_there_is_no_file_of_them(monkeypatch):
    monkeypatch.setattr(description.provenance, "collect", lambda: replace(ORIGIN, diff=""))
    assert kept_files(planned_run(0)).keys() == {"config.yaml", "overrides.txt", "packages.txt"}
