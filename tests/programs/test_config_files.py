"""Configuration files of the user's: mistakes in one message with file and line, saved ones run again."""

import re
import sys

import pytest
import yaml
from omegaconf import OmegaConf

from ratelab.commands.preview.rates import curves
from ratelab.config.composing import compose_jobs, read_composed
from ratelab.config.search_path import CONF
from ratelab.runs import description
from ratelab.runs.planned import plan_run
from ratelab.runtime.provenance import flatten
from ratelab.validation import UserError
from support import ROOT
from support.in_process import ratelab, train
from support.programs import HINT

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


SPELLINGS = [
    "--config-dir mine",
    "--config-dir=mine",
    "-cd mine",
    "-cd=./mine/",
    "--config-d ../{folder.name}/mine",
    "--config-dir {folder}/mine",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_however_a_folder_is_named_its_option_comes_before_ours_and_hydra_says_so(tmp_path, spelling):
    write(tmp_path, "_target_: ratelab.schedules.rex\n", "mine/schedule/cosine.yaml")
    own = spelling.format(folder=tmp_path).split()
    shown = yaml.safe_load(train(tmp_path, *own, "schedule=cosine", "--cfg", "all").out)
    assert shown["schedule"]["_target_"] == "ratelab.schedules.rex"
    sources = shown["hydra"]["runtime"]["config_sources"]
    assert [one["path"] for one in sources if one["schema"] == "ratelab"] == [
        str(tmp_path / "mine"),
        str(CONF),
    ]


@pytest.mark.parametrize("words", [["-cd", "mine", "-cn", "own"], ["-cd=mine", "-cn=own"]])
def test_preview_and_lr_find_know_the_short_names_of_the_options(tmp_path, words):
    write(tmp_path, OWN, "mine/own.yaml")
    drawn = ratelab(tmp_path, "preview", *words, "data=digits", "batch_size=24")
    assert (drawn.status, drawn.err) == (0, "")
    assert " 349\n" in drawn.out
    refused = ratelab(tmp_path, "lr-find", *words, "sead=1")
    assert refused.err.startswith("Could not override 'sead'")


def called(folder, command, *words):
    """Call one of the commands that take a folder of the user's."""
    program, *own = command.split()
    return train(folder, *own, *words) if program == "train" else ratelab(folder, program, *words)


COMMANDS = ["train", "train -m", "preview", "lr-find"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["nowhere", "file", ""])
def test_a_folder_that_is_not_there_is_one_message(tmp_path, command, name):
    (tmp_path / "file").touch()
    done = called(tmp_path, command, "--config-dir", name)
    assert done.status == (1 if "train" in command else 2)
    assert "--config-dir" in done.err
    assert name in done.err
    assert len(done.err) < 250
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_configuration_that_is_not_there_is_one_message_with_those_that_are(tmp_path, command):
    write(tmp_path, OWN, "mine/own.yaml")
    done = called(tmp_path, command, "--config-name", "nowhere")
    said = f"--config-name: there is no 'nowhere' in {CONF}; there are config.\n"
    assert (done.status, done.err.removesuffix(HINT)) == (1, said)
    done = called(tmp_path, command, "--config-dir", "mine", "--config-name", "owm", "seed=1")
    said = f"--config-name: there is no 'owm' in {tmp_path}/mine or {CONF}; there are config, own.\n"
    assert (done.status, done.err.removesuffix(HINT)) == (1, said)


LACKING = {
    "keys alone": ("own", []),
    "an override of a key": ("own", ["seed=1"]),
    "an override of a group": ("own", ["data=digits"]),
    "an option": ("schedule/own", ["model=mlp"]),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("name", "words"), LACKING.values(), ids=LACKING)
def test_a_configuration_that_lacks_much_is_told_how_it_begins_whatever_is_overridden(
    tmp_path, command, name, words
):
    write(tmp_path, "epochs: 3\n", f"{name}.yaml")
    before = sorted(tmp_path.rglob("*"))
    done = called(tmp_path, command, "--config-dir", ".", "--config-name", name, *words)
    assert (done.status, done.out) == (1, "")
    assert done.err.removesuffix(HINT) == (
        f"{name}: the configuration lacks most of its keys; one of your own begins with "
        "`defaults: [config, _self_]`.\n"
    )
    assert sorted(tmp_path.rglob("*")) == before


START = """
defaults:
  - config
  - override data: digits
  - override model: mlp
  - _self_
epochs: 7
batch_size: 24
"""
FAR = """# @package _global_
defaults:
  - override /data: mnist1d
  - override /hydra/launcher: basic
epochs: 3
"""


def compose_start(folder, *overrides, name="start"):
    """Compose on top of a primary configuration that has options and keys which an experiment has, too."""
    write(folder, START, "start.yaml")
    write(folder, FAR, "experiment/far.yaml")
    write(folder, FAR, "ablation/far.yaml")
    [job] = compose_jobs(overrides, str(folder), name)
    chosen = job.hydra.runtime.choices
    return job.epochs, job.batch_size, chosen.data, chosen.model, chosen["hydra/launcher"]


ON_TOP = {
    "nothing": ([], (7, 24, "digits", "mlp", "ratelab")),
    "an experiment": (["experiment=far"], (3, 24, "mnist1d", "mlp", "basic")),
    "a list": (["experiment=[quick,far]"], (3, 24, "mnist1d", "mlp", "basic")),
    "a list the other way round": (["experiment=[far,quick]"], (5, 24, "digits", "mlp", "basic")),
    "one of another group": (["+ablation=far"], (3, 24, "mnist1d", "mlp", "basic")),
    "an experiment and a value": (["experiment=far", "epochs=9"], (9, 24, "mnist1d", "mlp", "basic")),
    "an experiment and options": (
        ["experiment=far", "data=text", "model=cnn", "hydra/launcher=ratelab"],
        (3, 24, "text", "cnn", "ratelab"),
    ),
}


@pytest.mark.parametrize(("overrides", "expected"), ON_TOP.values(), ids=ON_TOP)
def test_what_the_command_line_chooses_is_on_top_of_the_users_primary_configuration(
    tmp_path, overrides, expected
):
    assert compose_start(tmp_path, *overrides) == expected


def test_experiments_of_the_project_that_init_writes_set_what_they_say():
    conf = ROOT / "examples" / "project" / "conf"
    files = sorted((conf / "experiment").glob("*.yaml"))
    assert files
    for file in files:
        [job] = compose_jobs([f"experiment={file.stem}"], str(conf), "start")
        wanted = yaml.safe_load(file.read_text())
        wanted.pop("defaults", None)
        assert flatten(wanted).items() <= flatten(OmegaConf.to_container(job)).items()
    [job] = compose_jobs(["experiment=quick"], str(conf), "start")
    assert (job.data["_target_"], job.epochs, job.model["_target_"]) == (
        "ratelab.data.digits",
        5,
        "mine.two_layers",
    )


def test_over_an_experiment_of_its_own_a_primary_configuration_has_the_last_word(tmp_path):
    write(tmp_path, START.replace("- config\n", "- config\n  - override experiment: far\n"), "own.yaml")
    assert compose_start(tmp_path, name="own") == (7, 24, "digits", "mlp", "basic")
    assert compose_start(tmp_path, "experiment=quick", name="own") == (5, 24, "digits", "mlp", "ratelab")


def test_an_experiment_on_top_brings_the_files_that_it_extends(tmp_path):
    write(
        tmp_path, "# @package _global_\ndefaults: [far, _self_]\nbatch_size: 12\n", "experiment/farther.yaml"
    )
    assert compose_start(tmp_path, "experiment=farther") == (3, 12, "mnist1d", "mlp", "basic")


NAMES = ["little", "two-words", "deeper/little", "v1.2", "a+b"]


@pytest.mark.parametrize("name", NAMES)
def test_experiments_of_the_users_are_on_top_of_each_other_in_the_order_given(tmp_path, name):
    write(tmp_path, "# @package _global_\nepochs: 2\nseed: 5\n", f"experiment/{name}.yaml")
    write(tmp_path, EXPERIMENT)
    later, earlier = (compose(tmp_path, f"experiment=[{one}]") for one in (f"mine,{name}", f"{name}, mine"))
    assert [(one.epochs, one.batch_size, one.seed) for one in (later, earlier)] == [(2, 24, 5), (1, 24, 5)]


@pytest.mark.parametrize("names", ["[mine,2024]", "[mine,true]", "[mine,[quick]]", "[[mine,quick]]", "[1]"])
def test_what_is_no_name_in_a_list_of_experiments_is_refused(tmp_path, names):
    with pytest.raises(UserError, match=r"experiment=\[.*: must be the name of an option\."):
        compose(tmp_path, f"experiment={names}")


def test_a_misspelt_name_in_a_list_of_experiments_has_a_suggestion(tmp_path):
    write(tmp_path, EXPERIMENT)
    done = train(tmp_path, "--config-dir", str(tmp_path), "experiment=[quick,mime]")
    assert done.err.endswith("Did you mean experiment=mine?\n")


def test_the_words_of_a_program_that_is_not_ours_name_no_folder(tmp_path, monkeypatch):
    write(tmp_path, "_target_: ratelab.schedules.rex\n", "schedule/cosine.yaml")
    monkeypatch.setattr(sys, "argv", ["analysis.py", "--config-dir", str(tmp_path), "-c", "what they like"])
    [job] = compose_jobs(["schedule=cosine"])
    assert job.schedule["_target_"] == "ratelab.schedules.cosine"


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
