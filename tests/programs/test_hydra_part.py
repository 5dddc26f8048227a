"""Hydra's own part of a configuration: what it would run is refused before anything is made of it."""

import os

import pytest

from ratelab.validation import UserError
from support.composing import composed

NODE = "{_target_: os.mkdir, path: made}"


def refusal(*overrides):
    with pytest.raises(UserError) as caught:
        composed(*overrides)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 300
    return message


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder, which stays empty."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


CREATE = "'${oc.create:{_target_:os.mkdir,path:made}}'"
JOB_LOG, FILE_LOG = "hydra.job_logging", "hydra.job_logging.handlers.file.filename"
HYDRA_LOG = "hydra.hydra_logging.handlers.x.class"


@pytest.mark.parametrize(
    ("place", "overrides"),
    [
        ("hydra.callbacks.x._target_", [f"+hydra.callbacks.x={NODE}"]),
        ("hydra.callbacks.x._target_", ["+hydra.callbacks.x._target_=os.mkdir", "+hydra.callbacks.x.path=x"]),
        ("hydra.callbacks.x.deep[0]._target_", [f"+hydra.callbacks.x={{deep: [{NODE}]}}"]),
        ("hydra.callbacks.preflight._target_", ["hydra.callbacks.preflight._target_=os.mkdir"]),
        ("hydra.callbacks.x._target_", ["+hydra.callbacks.x._target_=ratelab.config.targets.sys.exit"]),
        ("hydra.callbacks.x._target_", [f"+node={NODE}", "+hydra.callbacks.x=${node}"]),
        ("hydra.callbacks.x._target_", [f"+hydra.callbacks.x={CREATE}"]),
        ("hydra.callbacks.x._target_", ["+word=os.mkdir", "+hydra.callbacks.x._target_=${word}"]),
        ("hydra.launcher._target_", ["hydra.launcher._target_=os.mkdir"]),
        ("hydra.launcher.x._target_", [f"+hydra.launcher.x={NODE}"]),
        ("hydra.sweeper._target_", ["hydra.sweeper._target_=os.mkdir"]),
        ("hydra.sweeper.x._target_", [f"+hydra.sweeper.x={NODE}"]),
        ("hydra.sweeper.custom_search_space", ["+hydra.sweeper.custom_search_space=os.getcwd"]),
        (f"{JOB_LOG}.handlers.x.class", [f"+{JOB_LOG}.handlers.x.class=os.mkdir"]),
        (f"{JOB_LOG}.handlers.x.class", [f"+{JOB_LOG}.handlers.x.class=logging.handlers.SMTPHandler"]),
        (f"{JOB_LOG}.formatters.simple.format", [f"{JOB_LOG}.formatters.simple.format=ext://os.system"]),
        (f"{FILE_LOG} must end in .log", ["hydra/job_logging=default", f"{FILE_LOG}=bashrc"]),
        (f"{FILE_LOG} must end in .log", [f"{FILE_LOG}=${{hydra.job.name}}"]),
        (HYDRA_LOG, ["hydra/hydra_logging=default", f"+{HYDRA_LOG}=os.mkdir"]),
        ("hydra.output_subdir must be a plain name or null", ["hydra.output_subdir=../other"]),
        ("hydra.output_subdir must be a plain name or null", ["hydra.output_subdir=.."]),
    ],
)
def test_what_would_act_is_refused_with_its_place(folder, place, overrides):
    assert refusal(*overrides).startswith(place)


@pytest.mark.parametrize(
    "name", ["LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHON_GIL", "PATH", "BASH_ENV", "GIT_DIR"]
)
def test_a_variable_that_says_which_code_is_loaded_is_refused(name):
    assert refusal(f"+hydra.job.env_set.{name}=x").startswith(f"hydra.job.env_set.{name}: ")


@pytest.mark.parametrize(
    "overrides",
    [
        ["+hydra.callbacks.x._target_=hydra.experimental.callbacks.LogJobReturnCallback"],
        ["+hydra.callbacks.x._target_=mine.Notes", "allow_targets=[mine]"],
        ["+hydra.callbacks.x._target_=os.mkdir", "allow_targets=[os]"],
        ["hydra/launcher=basic", "hydra/sweeper=basic"],
        ["hydra/launcher=submitit_local"],
        ["+hydra.callbacks.x=${hydra.callbacks}"],  # which OmegaConf refuses, when it is read
        ["+hydra.sweeper.sampler={_target_: optuna.samplers.TPESampler, seed: 1}"],
        ["hydra/job_logging=default", "hydra/hydra_logging=default"],
        ["+hydra.job_logging.handlers.x={class: logging.StreamHandler, stream: 'ext://sys.stderr'}"],
        ["hydra.job_logging.handlers.file.filename=/somewhere/else.log"],
        ["+hydra.job.env_set.OMP_NUM_THREADS=1", "+hydra.job.env_set.WORD=x"],
        ["hydra.output_subdir=null"],
        ["hydra.output_subdir=notes"],
        ["hydra.run.dir=/anywhere/at all", "hydra.sweep.dir=."],
    ],
)
def test_what_is_hydras_or_ours_or_allowed_composes(overrides):
    assert "hydra" in composed(*overrides)


def test_a_variable_may_be_handed_on_as_it_is():
    assert os.environ["PATH"] == composed("hydra.job.env_copy=[PATH]").hydra.job.env_set.PATH


# Who may set `allow_targets`


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """A folder of configurations of somebody else's, beside a module of the user's own."""
    (tmp_path / "experiment").mkdir()
    (tmp_path / "own_package_of_mine.py").touch()
    monkeypatch.syspath_prepend(tmp_path)

    def words(text):
        (tmp_path / "experiment" / "theirs.yaml").write_text(f"# @package _global_\n{text}\n")
        return f"hydra.searchpath=[file://{tmp_path}]", "experiment=theirs"

    return words


@pytest.mark.parametrize("package", ["os", "builtins", "subprocess", "numpy", "hydra", "ratelab", "os.path"])
def test_a_file_may_not_allow_what_is_installed(theirs, package):
    message = refusal(*theirs(f"allow_targets: [{package}]"))
    assert message.startswith(f"allow_targets: {package} is not your own code")
    assert f"give 'allow_targets=[{package}]' on the command line" in message


@pytest.mark.parametrize("part", ["hydra_logging", "job_logging"])
def test_a_file_may_not_name_a_factory_for_logging(theirs, part):
    words = theirs(f"hydra: {{{part}: {{filters: {{x: {{'()': os.mkdir, path: made}}}}}}}}")
    assert refusal(*words).startswith(f"hydra.{part}.filters.x.(): ")


def test_a_file_may_allow_what_lies_beside_it(theirs):
    words = theirs("allow_targets: [own_package_of_mine, not_there]")
    assert composed(*words).allow_targets == ["own_package_of_mine", "not_there"]


def test_the_command_line_may_allow_anything():
    assert composed("allow_targets=[os]").allow_targets == ["os"]
