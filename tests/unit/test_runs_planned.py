"""A run is planned once: its labels, its paths, its job, and what of it travels to a worker."""

import copy
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf, open_dict

from ratelab.runs import planned
from ratelab.runs.planned import Labels, plan_run, prepare_run, prepare_store_of
from ratelab.validation import UserError
from support.composing import composed
from support.configs import planned_run


def cfg(*overrides, number="???"):
    """What Hydra composes for the digits; without a number it is a single run."""
    job = composed("data=digits", "tracking=none", *overrides)
    with open_dict(job):
        job.hydra.job.num = number
    return job


def plan(config, *varied):
    return plan_run(config, config.hydra, frozenset(varied))


@pytest.fixture
def count(monkeypatch):
    """The calls of the two functions that a run costs most, in their order."""
    calls, job_of = [], planned.job_of

    def counted(config):
        calls.append("job_of")
        return job_of(config)

    monkeypatch.setattr(planned, "job_of", counted)
    monkeypatch.setattr(planned, "prepare_store", lambda *given: calls.append(("prepare_store", *given)))
    return calls


def test_a_single_run_is_called_after_its_schedule_and_belongs_to_no_sweep():
    run = plan(cfg("schedule=staircase", "seed=3"))
    assert run.labels == Labels(
        choices={
            "batch": "constant",
            "data": "digits",
            "device": "auto",
            "model": "softmax",
            "optimizer": "sgd",
            "schedule": "staircase",
            "task": "auto",
            "warmup": "none",
        },
        group="staircase",
        overrides=("data=digits", "tracking=none", "schedule=staircase", "seed=3"),
        sweep_id=None,
    )
    assert (run.number, run.name, run.environment) == (0, "staircase seed=3", ())


def test_a_run_of_a_sweep_is_called_after_all_that_varies_but_its_seed():
    words = ["schedule=fixed", "seed=1", "learning_rate=0.5", "+schedule.x=1", "epochs=2"]
    config = cfg(*words[:3], "epochs=2", number=7)
    config.hydra.callbacks.preflight.sweep_id = "2026-01-31-12-00-00-0123abcd"
    with open_dict(config):
        config.hydra.overrides.task = [*words, "+optimizer.momentum=0.9"]
    run = plan(config, "schedule", "seed", "learning_rate", "optimizer.momentum")
    assert run.labels.group == "fixed learning_rate=0.5 optimizer.momentum=0.9"
    assert run.name == "fixed learning_rate=0.5 optimizer.momentum=0.9 seed=1"
    assert run.labels.sweep_id == "2026-01-31-12-00-00-0123abcd"
    assert run.number == 7


def test_the_first_job_of_a_sweep_belongs_to_it():
    assert plan(cfg(number=0)).labels.sweep_id is not None


def test_no_password_is_in_the_overrides():
    config = cfg()
    with open_dict(config):
        config.hydra.overrides.task = ["tracking.uri=postgresql://me:secret@host/db"]
    assert plan(config).labels.overrides == ("tracking.uri=postgresql://me:***@host/db",)


def test_all_paths_are_absolute_and_count_from_where_hydra_was_started():
    config = cfg("tracking.uri=sqlite:///a/b.db")
    config.hydra.runtime.cwd = "/project"
    run = plan(config)
    assert run.directory == Path("/project")
    assert run.config.tracking.uri == "sqlite:////project/a/b.db"
    assert "dir" not in run.config.data.arguments


def test_the_folder_of_the_data_is_absolute(monkeypatch):
    asked = []
    monkeypatch.setattr(planned, "job_of", lambda config: asked.append(config.data.arguments["dir"]))
    for folder in ("mine", "/yours"):
        config = cfg("data=mnist", f"data.dir={folder}")
        config.hydra.runtime.cwd = "/project"
        plan(config)
    assert asked == ["/project/mine", "/yours"]


def test_the_environment_is_what_hydra_sets_for_the_run():
    config = cfg()
    with open_dict(config):
        config.hydra.job.env_set = {"A": 1, "B": "${seed}"}
    assert plan(config).environment == (("A", "1"), ("B", "0"))


def test_the_job_is_planned_exactly_once(count):
    run = plan(cfg())
    assert count == ["job_of"]
    assert run.job is run.job
    assert run.steps == len(run.job.batches.sizes) == 50 * 12
    assert run.kind == f"{run.job.program_key} 600"
    assert count == ["job_of"]


def test_what_travels_holds_neither_arrays_nor_the_composed_configuration(count):
    run = plan(cfg("seed=5"))
    travels = pickle.dumps(run)
    assert len(travels) < 10_000
    arrived = pickle.loads(travels)  # noqa: S301 - our own
    assert (arrived, arrived.composed, "job" in vars(arrived)) == (run, None, False)
    assert count == ["job_of"]
    assert arrived.job.seed == arrived.job.seed == 5
    assert count == ["job_of", "job_of"]
    assert "job" in vars(run)  # the one that stayed still has its own


def test_data_that_are_others_where_the_run_is_trained_are_refused(monkeypatch):
    run = plan(cfg())
    travels, job_of = pickle.dumps(run), planned.job_of

    def drawn_anew(config):
        job = job_of(config)
        return replace(job, data=replace(job.data, digest="sha256:other"))

    monkeypatch.setattr(planned, "job_of", drawn_anew)
    arrived = pickle.loads(travels)  # noqa: S301 - our own
    further = pickle.loads(pickle.dumps(arrived))  # noqa: S301 - our own
    for one in (arrived, further):  # a worker sends its runs back, made or not
        with pytest.raises(UserError, match=r"ratelab.data.digits must give the same data at every call"):
            _ = one.job
    assert plan(cfg()).job.data.digest == "sha256:other"  # nothing to compare with where it is planned


def test_a_run_is_of_what_it_was_planned_from_whatever_hydra_adds_to_its_own_part():
    config = cfg()
    run = plan(config)
    assert run.is_of(config)
    alone = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    assert run.is_of(alone)  # what Hydra hands to the function under `@hydra.main`
    later = copy.deepcopy(config)
    later.hydra.runtime.cwd = "/elsewhere"
    assert run.is_of(later)


@pytest.mark.parametrize("change", [{"epochs": 51}, {"data": {"_target_": "ratelab.data.mnist"}}, {"new": 1}])
def test_a_key_that_was_changed_is_seen(change):
    config = cfg()
    run = plan(config)
    changed = copy.deepcopy(config)
    with open_dict(changed):
        changed.merge_with(change)
    assert not run.is_of(changed)


def test_in_another_process_no_run_is_of_anything():
    config = cfg()
    assert not pickle.loads(pickle.dumps(plan(config))).is_of(config)  # noqa: S301 - our own


def test_the_store_is_prepared_once_when_all_else_is_known_to_be_right(count):
    config = cfg("tracking.uri=sqlite:///a.db")
    config.hydra.runtime.cwd = "/project"
    prepare_run(config, config.hydra)
    assert count == ["job_of", ("prepare_store", "sqlite:////project/a.db", Path("/project"), "ratelab")]


@pytest.mark.parametrize("override", ["learning_rate=-1", "batch_size=2000", "model._target_=os.system"])
def test_the_store_is_left_alone_where_anything_is_wrong(count, override):
    config = cfg(override)
    with pytest.raises(UserError):
        prepare_run(config, config.hydra)
    assert [call for call in count if call != "job_of"] == []


@pytest.mark.parametrize(("device", "asked"), [("gpu", ["gpu"]), ("cpu", []), ("auto", [])])
def test_a_gpu_that_was_asked_for_is_looked_for_before_the_job_is_planned(count, monkeypatch, device, asked):
    configured = []
    monkeypatch.setattr(
        planned.devices, "configure", lambda device: configured.append((device.kind, list(count)))
    )
    plan(cfg(f"device={device}"))
    assert configured == [(kind, []) for kind in asked]


@pytest.mark.parametrize(("number", "times"), [(0, 1), (1, 0), (7, 0)])
def test_the_first_run_of_a_sweep_tidies_the_store_and_no_other_does(monkeypatch, number, times):
    monkeypatch.setattr(planned, "prepare_store", lambda *_: "sqlite:////a.db")
    tidied = []
    monkeypatch.setattr(planned, "tidy_store", tidied.append)
    prepare_store_of(planned_run(number))
    assert tidied == ["sqlite:////a.db"] * times
