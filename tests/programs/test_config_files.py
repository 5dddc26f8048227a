"""Configuration files of the user's: mistakes in one message with file and line, saved ones run again."""

import re

import pytest
import yaml

from ratelab.commands.preview.rates import curves
from ratelab.config.composing import compose_jobs, read_composed
from ratelab.runs import description
from ratelab.runs.planned import plan_run
from ratelab.validation import UserError
from support.in_process import ratelab, train

EXPERIMENT = b"# @package _global_\ndefaults:\n  - override /data: digits\nepochs: 1\nbatch_size: 24\n"


def write(folder, content, name="experiment/mine.yaml"):
    path = folder / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def compose(folder, *overrides, name="config"):
    [job] = compose_jobs(overrides, str(folder), name)
    return read_composed(job)


GOOD = {
    "plain": EXPERIMENT,
    "Windows line endings": EXPERIMENT.replace(b"\n", b"\r\n"),
    "a byte order mark": b"\xef\xbb\xbf" + EXPERIMENT,
    "both": b"\xef\xbb\xbf" + EXPERIMENT.replace(b"\n", b"\r\n"),
    "no last line ending": EXPERIMENT.rstrip(),
    "a comment in front": b"# What I try.\n" + EXPERIMENT,
}


@pytest.mark.parametrize("content", GOOD.values(), ids=GOOD)
def test_an_experiment_of_the_users_is_read_however_it_was_saved(tmp_path, content):
    write(tmp_path, content)
    config = compose(tmp_path, "experiment=mine")
    assert (config.data.target, config.epochs, config.batch_size) == ("ratelab.data.digits", 1, 24)


MISTAKES = {
    "a key twice": (EXPERIMENT + b"epochs: 2\n", "{path}:6: found duplicate key epochs"),
    "indentation": (EXPERIMENT + b" seed: 1\n", "{path}:6: "),
    "a tab": (EXPERIMENT + b"\tseed: 1\n", "{path}:6: found character '\\t' that cannot start any token"),
    "a bracket that stays open": (EXPERIMENT + b"allow_targets: [a\n", "{path}:7: "),
    "a quote that stays open": (EXPERIMENT + b"seed: 'a\n", "{path}:7: "),
    "a colon in a value": (EXPERIMENT + b"tracking: {experiment: a: b}\n", "{path}:6: "),
    "two documents": (EXPERIMENT + b"---\nseed: 1\n", "{path}:6: "),
    "a list": (b"# @package _global_\n- seed: 1\n", "{path}: must hold keys and values"),
    "Latin-1": (EXPERIMENT + b"# \xfcber\n", "{path}: must be text in UTF-8"),
    "no package": (b"epochs: 1\n", "{path}: must begin with the line `# @package _global_`"),
    "no package, but options": (EXPERIMENT.partition(b"\n")[2], "{path}: must begin with the line"),
    "a package after the keys": (b"epochs: 1\n# @package _global_\n", "{path}: must begin with the line"),
}


@pytest.mark.parametrize(("content", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_file_is_one_message_with_its_line(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(UserError) as caught:
        compose(tmp_path, "experiment=mine")
    assert message.format(path=path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_another_group_without_a_package_is_told_how_it_begins(tmp_path):
    write(tmp_path, "epochs: 1\n", "ablation/mine.yaml")
    with pytest.raises(UserError, match=r"each must begin with the line `# @package _global_`"):
        compose(tmp_path, "+ablation=mine")


def test_a_mistake_in_a_file_ends_the_program_before_anything_is_written(tmp_path):
    path = write(tmp_path, MISTAKES["a key twice"][0])
    before = sorted(tmp_path.rglob("*"))
    done = train(tmp_path, "--config-dir", str(tmp_path), "experiment=mine")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(f"{path}:6: found duplicate key epochs; mend the YAML there.\n")
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_in_the_users_folder_comes_before_what_the_project_has(tmp_path):
    write(tmp_path, "_target_: ratelab.schedules.fixed\n", "schedule/cosine.yaml")
    assert compose(tmp_path, "schedule=cosine").schedule.target == "ratelab.schedules.fixed"
    assert compose(tmp_path, "schedule=rex").schedule.target == "ratelab.schedules.rex"


OWN = "defaults: [config, _self_]\nepochs: 7\nschedule: {decay_steps: 5}\n"


def test_a_primary_configuration_of_the_users_extends_that_of_the_project(tmp_path):
    write(tmp_path, OWN, "mine.yaml")
    config = compose(tmp_path, "batch_size=24", name="mine")
    assert (config.epochs, config.batch_size, config.schedule.arguments["decay_steps"]) == (7, 24, 5)
    [curve], _ = curves(["data=digits", "batch_size=24"], None, str(tmp_path), "mine")
    assert len(curve.rates) == 7 * 50
    assert [len(one.rates) for one in curves(["schedule=staircase,exponential"], 9, str(tmp_path), "mine")[0]]


def test_preview_and_train_know_the_same_options(tmp_path):
    write(tmp_path, OWN, "mine.yaml")
    own = ["--config-dir", str(tmp_path), "--config-name", "mine"]
    drawn = ratelab(tmp_path, "preview", *own, "data=digits", "batch_size=24")
    assert (drawn.status, drawn.err) == (0, "")
    assert " 349\n" in drawn.out
    shown = train(tmp_path, *own, "--cfg", "job")
    assert yaml.safe_load(shown.out)["epochs"] == 7


@pytest.mark.parametrize("command", ["preview", "lr-find"])
def test_a_configuration_that_is_not_there_is_one_message(tmp_path, command):
    done = ratelab(tmp_path, command, "--config-name", "nowhere")
    assert done.status == 1
    assert "nowhere" in done.err
    assert "Traceback" not in done.err
    assert ratelab(tmp_path, command, "--config-dir", "nowhere").status == 2


# What was saved

RUNS = {
    "the tutorial's": ["data=digits", "batch_size=24", "epochs=2"],
    "a staircase with warm-up": [
        "data=digits",
        "batch_size=24",
        "schedule=staircase",
        "schedule.decay_steps=7",
        "warmup=linear",
        "optimizer=sgd",
        "optimizer.momentum=0.9",
        "batch=growing",
    ],
    "all else": [
        "experiment=quick",
        "schedule=noisy_linear_cosine",
        "model=mlp",
        "model.hidden=[8,8]",
        "optimizer=adamw",
        "device=cpu",
        "validation_size=100",
    ],
}


def plan(*words):
    [job] = compose_jobs(words)
    return plan_run(job, job.hydra)


@pytest.fixture(params=RUNS.values(), ids=RUNS)
def planned(request):
    return plan(*request.param)


def save_as_hydra(planned, folder):
    """Save what Hydra saves of a run: its configuration, and its own part beside it."""
    from omegaconf import OmegaConf

    composed = planned.composed
    own = OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"])
    write(folder, OmegaConf.to_yaml(own), "config.yaml")
    write(folder, OmegaConf.to_yaml(OmegaConf.masked_copy(composed, ["hydra"])), "hydra.yaml")


def replan(folder, *overrides, name="config"):
    [job] = compose_jobs(overrides, str(folder), name)
    return plan_run(job, job.hydra)


def test_what_hydra_saved_is_the_same_run(planned, tmp_path):
    save_as_hydra(planned, tmp_path)
    again = replan(tmp_path)
    assert (again.config, again.labels.choices, again.name) == (
        planned.config,
        planned.labels.choices,
        planned.name,
    )
    assert replan(tmp_path, "seed=5").config == plan(*planned.labels.overrides, "seed=5").config


def test_the_artifact_of_a_run_is_the_same_run(planned, tmp_path):
    kept = yaml.safe_dump(description._public(planned))
    assert "uri" not in kept
    write(tmp_path, kept, "kept.yaml")
    again = replan(tmp_path, name="kept")
    assert again.config == planned.config
    own_names = {**planned.labels.choices, "schedule": again.labels.choices["schedule"]}
    assert again.labels.choices == own_names
    assert re.fullmatch(again.labels.choices["schedule"], planned.config.schedule.target.rpartition(".")[2])


def test_what_was_saved_has_hydras_settings_of_the_project(planned, tmp_path):
    save_as_hydra(planned, tmp_path)
    [job] = compose_jobs([], str(tmp_path))
    [usual] = compose_jobs([])
    assert job.hydra.callbacks == usual.hydra.callbacks
    assert job.hydra.sweeper == usual.hydra.sweeper
    assert job.hydra.launcher == usual.hydra.launcher
    assert str(job.hydra.run.dir).startswith("multirun/")


def test_a_file_that_lacks_much_says_how_it_begins(tmp_path):
    write(tmp_path, "epochs: 3\n", "mine.yaml")
    with pytest.raises(UserError, match=r"begins with `defaults: \[config, _self_\]`"):
        compose(tmp_path, name="mine")
