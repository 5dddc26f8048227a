"""The jobs of a launcher: numbered, named by what varies, refused together, before anything is written."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ratelab.runs import planned
from ratelab.runs.planned import PlannedRun
from ratelab.sweeps.jobs import Jobs, plan_jobs, prepare_jobs, save_sweep_config
from ratelab.validation import UserError
from support.composing import hydra_program
from support.configs import planned_run

SMALL = ["data=digits", "tracking=none", "epochs=1"]


def task(cfg, run=None):
    """Do what a function under `@hydra.main` does that takes results from workers."""
    return run(cfg)


def foreign(cfg):
    """Take none."""


@pytest.fixture
def program(tmp_path):
    return hydra_program(tmp_path / "2026-01-31" / "12-00-00", task)


@pytest.fixture
def prepared(monkeypatch):
    """The stores that were prepared."""
    calls = []
    monkeypatch.setattr(planned, "prepare_store", lambda *given: calls.append(given))
    return calls


def test_the_folder_of_a_sweep_is_that_of_its_configuration(program, tmp_path):
    assert program.folder == tmp_path / "2026-01-31" / "12-00-00"


def test_jobs_are_numbered_from_the_first_and_each_is_planned_from_what_was_composed(program):
    planned = plan_jobs(program, [[*SMALL, f"seed={seed}"] for seed in (5, 6)], first=3)
    assert [run.number for run in planned.runs] == [3, 4]
    assert [run.config.seed for run in planned.runs] == [5, 6]
    assert [job.hydra.job.num for job in planned.composed] == [3, 4]
    assert all(run.composed is job for run, job in zip(planned.runs, planned.composed, strict=True))
    assert {run.labels.sweep_id for run in planned.runs} == {"2026-01-31-12-00-00"}
    assert not program.folder.exists()


def test_runs_are_called_after_what_varies_between_the_jobs(program):
    words = [["schedule=fixed", "learning_rate=0.1"], ["schedule=staircase", "learning_rate=0.2"]]
    planned = plan_jobs(program, [[*SMALL, *own] for own in words])
    assert planned.varied == {"schedule", "learning_rate"}
    assert [run.name for run in planned.runs] == [
        "fixed learning_rate=0.1 seed=0",
        "staircase learning_rate=0.2 seed=0",
    ]


@pytest.mark.parametrize("key", ["tracking.experiment=a,b", "tracking.uri=sqlite:///a.db,sqlite:///b.db"])
def test_runs_of_several_stores_are_refused(program, key):
    name, _, values = key.partition("=")
    with pytest.raises(UserError) as raised:
        plan_jobs(program, [[*SMALL, f"{name}={value}"] for value in values.split(",")])
    assert str(raised.value) == (
        "tracking: all runs of a sweep are recorded in one store; start one sweep for each."
    )


def test_a_sweep_without_jobs_has_none(program):
    assert plan_jobs(program, []) == Jobs((), (), frozenset())


def test_the_store_is_prepared_once_for_all_runs(program, prepared):
    planned = plan_jobs(program, [[*SMALL, f"seed={seed}"] for seed in range(3)])
    prepare_jobs(program, planned)
    assert prepared == [(None, planned.runs[0].directory, "ratelab")]


def test_a_function_that_takes_no_results_is_refused_before_the_store_is_made(program, prepared):
    own = replace(program, task=foreign)
    with pytest.raises(UserError) as raised:
        prepare_jobs(own, plan_jobs(own, [SMALL]))
    assert str(raised.value) == (
        "foreign: in a sweep the runs are trained by workers, so foreign must take an argument `run` and "
        "call it: `def foreign(cfg, run=run_single): return run(cfg)`, see docs/your_own.md; "
        "or choose hydra/launcher=basic."
    )
    assert prepared == []


def test_the_jobs_of_another_program_need_neither_store_nor_argument(program, prepared):
    own = replace(program, task=foreign)
    prepare_jobs(own, Jobs((planned_run(0).composed,), (), frozenset()))
    assert prepared == []


def test_the_configuration_of_a_sweep_is_kept_where_hydra_keeps_it(program):
    save_sweep_config(program)
    save_sweep_config(program)  # the folder may be there
    assert [path.name for path in program.folder.iterdir()] == ["multirun.yaml"]
    kept = yaml.safe_load((program.folder / "multirun.yaml").read_text())
    assert Path(kept["hydra"]["sweep"]["dir"]) == program.folder
    assert kept["epochs"] == 50


def test_a_folder_that_another_sweep_has_claimed_since_is_not_written_to(program):
    program.folder.mkdir(parents=True)
    path = program.folder / "multirun.yaml"
    path.write_text("of another sweep")
    with pytest.raises(UserError, match=r"hydra\.sweep\.dir: .*12-00-00 holds another sweep; start again"):
        save_sweep_config(program)
    assert path.read_text() == "of another sweep"


def test_another_program_writes_over_its_own_as_hydra_does(program):
    program.config.hydra.callbacks = {}
    program.config.hydra.overrides.hydra = []
    save_sweep_config(program)
    (program.folder / "multirun.yaml").write_text("of its sweep before")
    save_sweep_config(program)
    assert yaml.safe_load((program.folder / "multirun.yaml").read_text())["epochs"] == 50


def test_what_is_planned_is_a_run(program):
    [run] = plan_jobs(program, [SMALL]).runs
    assert isinstance(run, PlannedRun)
    assert "job" in vars(run)
