"""Hydra's plugins of ours only hand on: overrides to jobs, jobs to a sweep, options to resources."""

from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

# as modules: Hydra executes them again when it looks for plugins, which makes new classes
from hydra_plugins import ratelab_launcher, ratelab_ray_launcher, ratelab_sweeper
from ratelab.sweeps import jobs as jobs_module
from ratelab.sweeps import sweep, tuned
from ratelab.sweeps.ray import RayResources
from ratelab.sweeps.resources import Resources
from ratelab.validation import UserError
from support.composing import hydra_program

SMALL = ["data=digits", "tracking=none", "epochs=1"]
SPLIT = [[*SMALL, "seed=0"], [*SMALL, "seed=1"]]


@pytest.fixture
def program(tmp_path):
    return hydra_program(tmp_path / "2026-01-31" / "12-00-00", lambda cfg, run=None: run(cfg))


def setup(plugin, program):
    plugin.setup(hydra_context=program.context, task_function=program.task, config=program.config)
    return plugin


def sweeper(program, launcher, monkeypatch, **options):
    """Set the sweeper up with a launcher."""
    plugins = SimpleNamespace(instantiate_launcher=lambda **_: launcher)
    monkeypatch.setattr("hydra_plugins.ratelab_sweeper.Plugins.instance", lambda: plugins)
    return setup(ratelab_sweeper.RatelabSweeper(**options), program)


def done(value):
    return JobReturn(status=JobStatus.COMPLETED, _return_value=value)


def test_a_launcher_plans_prepares_and_runs_its_jobs_from_the_first_number(program, monkeypatch):
    prepared = []
    run_jobs = create_autospec(sweep.run_jobs, return_value=["returned"])
    monkeypatch.setattr(sweep, "run_jobs", run_jobs)
    monkeypatch.setattr(jobs_module, "prepare_jobs", lambda *given: prepared.append(given))
    launcher = setup(ratelab_launcher.RatelabLauncher(workers=2), program)
    assert launcher.launch(SPLIT, 5) == ["returned"]
    given, resources, jobs = run_jobs.call_args.args
    assert (given, resources) == (program, Resources(workers=2))
    assert [run.number for run in jobs.runs] == [5, 6]
    assert prepared == [(program, jobs)]


@pytest.mark.parametrize(
    ("module", "name", "resources"),
    [
        (ratelab_launcher, "RatelabLauncher", Resources),
        (ratelab_ray_launcher, "RayLauncher", RayResources),
    ],
)
def test_a_launcher_reads_its_options_when_it_needs_them(program, module, name, resources):
    kind = getattr(module, name)
    assert type(kind(workers=2).read_resources()) is resources
    wrong = setup(kind(workers=0), program)  # says nothing yet
    with pytest.raises(UserError, match=r"hydra.launcher.workers must be greater than 0, got 0"):
        wrong.launch(SPLIT, 0)


def test_the_sweeper_gives_our_launcher_the_jobs_and_nothing_else(program, monkeypatch):
    launcher = create_autospec(ratelab_launcher.RatelabLauncher, instance=True)
    launcher.launch.return_value = [done(1), done(2)]
    plugin = sweeper(program, launcher, monkeypatch, params={"seed": "0,1"})
    assert plugin.sweep(SMALL) == [launcher.launch.return_value]
    launcher.launch.assert_called_once_with([["seed=0", *SMALL], ["seed=1", *SMALL]], initial_job_idx=0)
    assert not program.folder.exists()


def test_before_another_launcher_the_jobs_are_checked_and_the_folder_is_made(program, monkeypatch):
    launcher = create_autospec(Launcher, instance=True)
    launcher.launch.return_value = [done(1)]
    plugin = sweeper(program, launcher, monkeypatch)
    with pytest.raises(UserError, match="epochs must be greater than 0, got 0"):
        plugin.sweep([*SMALL, "epochs=1,0"])
    launcher.launch.assert_not_called()
    assert not program.folder.exists()
    plugin.sweep(SMALL)
    assert (program.folder / "multirun.yaml").exists()


def test_what_made_a_job_fail_is_raised_when_all_have_run(program, monkeypatch, capsys):
    failed = JobReturn(overrides=["seed=0"], status=JobStatus.FAILED, _return_value=RuntimeError("boom"))
    launcher = create_autospec(ratelab_launcher.RatelabLauncher, instance=True)
    launcher.launch.return_value = [done(1), failed]
    with pytest.raises(RuntimeError, match="boom"):
        sweeper(program, launcher, monkeypatch).sweep(SMALL)
    assert capsys.readouterr().err == "Error executing job with overrides: ['seed=0']\n"


def test_with_tuning_the_sweep_is_a_tuned_one(program, monkeypatch):
    sweep_tuned = create_autospec(tuned.sweep_tuned, return_value=[["returned"]])
    monkeypatch.setattr(tuned, "sweep_tuned", sweep_tuned)
    launcher = create_autospec(ratelab_launcher.RatelabLauncher, instance=True)
    launcher.read_resources.return_value = Resources(workers=2)
    plugin = sweeper(program, launcher, monkeypatch, tuning={"points": 3})
    assert plugin.sweep([*SMALL, "seed=0,1"]) == [["returned"]]
    sweep_tuned.assert_called_once_with(program, Resources(workers=2), SPLIT, {"points": 3})
    launcher.launch.assert_not_called()


def test_tuning_needs_a_launcher_of_ours(program, monkeypatch):
    plugin = sweeper(program, create_autospec(Launcher, instance=True), monkeypatch, tuning={"points": 3})
    with pytest.raises(UserError) as raised:
        plugin.sweep(SMALL)
    assert str(raised.value) == "hydra.sweeper.tuning needs hydra/launcher=ratelab or hydra/launcher=ray."
