"""How many workers there are and how runs are cut for them: cores, memory, the options of the launcher."""

import math
import os
from types import SimpleNamespace

import psutil
import pytest
from omegaconf import OmegaConf

from hydra_plugins.ratelab_launcher import RatelabLauncherConf
from ratelab.sweeps import resources
from ratelab.sweeps.resources import Resources
from ratelab.validation import UserError
from support.configs import VALUES
from support.stacks import rates


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"largest_stack": 0}, "hydra.launcher.largest_stack must be greater than 0, got 0"),
        ({"largest_stack": None}, "hydra.launcher.largest_stack must be a valid integer, got None"),
        ({"workers": -1}, "hydra.launcher.workers must be greater than 0, got -1"),
        ({"workers": 1.5}, "hydra.launcher.workers must be a valid integer, got 1.5"),
        ({"memory": "x"}, "hydra.launcher.memory must be a valid number, got 'x'"),
        ({"memory": 0.0}, "hydra.launcher.memory must be greater than 0, got 0.0"),
        ({"memory": math.inf}, "hydra.launcher.memory must be a finite number, got inf"),
        ({"stack": "no"}, "hydra.launcher.stack must be a valid boolean, got 'no'"),
        ({"worker": 1}, "there is no key 'hydra.launcher.worker': did you mean 'workers'?"),
    ],
)
def test_a_wrong_option_of_the_launcher_is_named(options, message):
    with pytest.raises(UserError) as caught:
        Resources.read({"_target_": "x", **options})
    assert str(caught.value) == message


def test_all_wrong_options_are_told_at_once():
    with pytest.raises(UserError, match=r"launcher\.workers .*; hydra\.launcher\.memory .*got -1$"):
        Resources.read({"workers": 0, "memory": -1})


def test_the_defaults_of_the_launcher_are_those_of_the_team():
    options = OmegaConf.to_container(OmegaConf.structured(RatelabLauncherConf))
    assert Resources.read(options) == Resources()


def test_without_stacks_every_run_is_by_itself():
    stacks = Resources(stack=False, workers=1).cut(rates(*range(5)))
    assert [stack.numbers for stack in stacks] == [(0,), (1,), (2,), (3,), (4,)]
    assert Resources().cut([]) == []


@pytest.mark.parametrize(("threads", "stacks"), [(1, 6), (2, 3), (4, 2), (9, 2)])
def test_six_runs_are_cut_for_as_many_workers_as_six_cores_have_threads_for(monkeypatch, threads, stacks):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    members = rates(*range(6), device={**VALUES["device"], "threads": threads})
    assert len(Resources(largest_stack=3).cut(members)) == stacks


def test_runs_for_a_gpu_are_cut_for_one_worker(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    stacks = Resources(largest_stack=6).cut(rates(*range(6), device={**VALUES["device"], "kind": "gpu"}))
    assert [stack.numbers for stack in stacks] == [tuple(range(6))]


@pytest.mark.parametrize(("limit", "free"), [("max\n", 5), ("2000\n", 5), ("900\n", 3), (None, 5)])
def test_the_memory_that_is_free_is_that_of_the_machine_or_of_the_container(
    monkeypatch, tmp_path, limit, free
):
    """In hundreds of bytes: 500 are free on the machine, the container uses 600 and caches 50."""
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit)
        (tmp_path / "memory.current").write_text("650\n")
        (tmp_path / "memory.stat").write_text("anon 600\ninactive_file 50\n")
    monkeypatch.setattr(resources, "Path", lambda _: tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=500))
    assert resources.free_memory() == free * 100
