"""A sweep has an id that nobody chose and a folder that no other sweep has, and so has each of its jobs."""

import copy
import re

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext
from omegaconf import OmegaConf

from ratelab.config.composing import Composer
from ratelab.config.hydra_internals import Callbacks
from ratelab.runs.preflight import Preflight
from ratelab.runs.sweep_identity import identify_sweep, sweep_id_of
from support.composing import composer

ID = r"\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-[0-9a-f]{8}"
FOLDERS = [".", "a b", "it's", 'a "quote"', "größe ü", "a=b,c", "x\\y", "a\\'b", "[1]{2}(3)", "100%", "a:b"]


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The configuration of a sweep, in the default folder; Hydra has begun."""
    monkeypatch.chdir(tmp_path)
    loader = composer()._loader
    monkeypatch.setattr(GlobalHydra, "config_loader", lambda _: loader)
    return fresh()


def fresh(*overrides):
    """A configuration of which nothing has been resolved yet."""
    config = copy.deepcopy(composer()._config)
    OmegaConf.clear_cache(config)
    config.hydra.overrides.hydra = list(overrides)
    return config


def jobs_of(config, number=2):
    """As a launcher of any kind composes them: of the overrides."""
    loader = composer()._loader
    quick = Composer(HydraContext(loader, Callbacks()), config)
    jobs = [quick.job([f"seed={seed}"], seed) for seed in range(number)]
    return [*jobs, loader.load_sweep_config(config, ["seed=7"])]


def test_all_jobs_of_a_sweep_have_its_id(config):
    assert identify_sweep(config) == ""
    identity = sweep_id_of(config.hydra)
    assert re.fullmatch(ID, identity)
    assert {sweep_id_of(job.hydra) for job in jobs_of(config)} == {identity}


def test_the_default_folder_has_the_date_and_the_digits_of_the_id(config):
    identify_sweep(config)
    assert config.hydra.sweep.dir.replace("/", "-") == f"multirun-{sweep_id_of(config.hydra)}"


def test_no_two_sweeps_have_one_id_whatever_the_user_says(config):
    ids = set()
    for _ in range(3):
        own = fresh("hydra.callbacks.preflight.sweep_id=mine")
        own.hydra.callbacks.preflight.sweep_id = "mine"
        identify_sweep(own)
        ids |= {sweep_id_of(job.hydra) for job in jobs_of(own)}
    assert len(ids) == 3
    assert "mine" not in ids


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("left", ["multirun.yaml", "report.html"])
def test_a_folder_that_holds_a_sweep_is_left_as_it_is(config, tmp_path, name, left):
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    (folder / left).write_text("of the first")
    config.hydra.sweep.dir = str(folder)
    message = identify_sweep(config)
    own = folder / sweep_id_of(config.hydra)
    assert message == f"{folder} holds a sweep already; this one goes to {own}."
    assert config.hydra.sweep.dir == str(own)
    assert {job.hydra.sweep.dir for job in jobs_of(config)} == {str(own)}
    assert [path.name for path in folder.iterdir()] == [left]


def test_a_folder_without_a_sweep_is_used_as_it_is(config, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    config.hydra.sweep.dir = "."
    assert identify_sweep(config) == ""
    assert config.hydra.sweep.dir == "."


def test_a_folder_that_cannot_be_made_is_left_to_whoever_makes_it(config):
    config.hydra.sweep.dir = "a" * 300
    assert identify_sweep(config) == ""


def test_a_folder_that_cannot_be_resolved_ends_the_program_with_one_message(config):
    config.hydra.sweep.dir = "${nope}"
    with pytest.raises(SystemExit) as end:
        Preflight().on_multirun_start(config)
    assert end.value.code == "hydra.sweep.dir: Interpolation key 'nope' not found; give another one."


def test_without_the_hook_the_folder_is_what_jobs_share(config):
    config.hydra.callbacks = {}
    config.hydra.sweep.dir = "it's a folder/ü"
    first = sweep_id_of(config.hydra)
    assert re.fullmatch(r"sweep-[0-9a-f]{8}", first)
    assert sweep_id_of(config.hydra) == first
    config.hydra.sweep.dir = "another"
    assert sweep_id_of(config.hydra) != first


def test_the_hook_names_the_sweep_and_says_where_it_goes(config, tmp_path, capsys):
    (tmp_path / "multirun.yaml").touch()
    config.hydra.sweep.dir = str(tmp_path)
    Preflight(sweep_id=None).on_multirun_start(config, config_name="config")
    assert capsys.readouterr().out.startswith(f"{tmp_path} holds a sweep already; this one goes to ")
