"""Each run is composed once and planned once, its store is prepared once: counted in whole programs.

The program and Hydra are the real ones; only training is a fake.
"""

from collections import Counter
from unittest.mock import create_autospec

import pytest

from ratelab.config import hydra_internals
from ratelab.config.composing import Composer
from ratelab.config.hydra_internals import ConfigLoaderImpl
from ratelab.runs import planned, single
from ratelab.sweeps import store
from ratelab.sweeps.resources import Resources
from ratelab.training import ProgramCache, Training
from support.fakes import chunk, fake_tracker, fake_training, fake_workers
from support.in_process import train

SMALL = ["data=digits", "tracking=none", "epochs=2"]


@pytest.fixture
def count(monkeypatch):
    """How often the functions were called that a run costs most, by their names."""
    calls = Counter()

    def watch(owner, name):
        function = getattr(owner, name)

        def counted(*given, **named):
            calls[name] += 1
            return function(*given, **named)

        monkeypatch.setattr(owner, name, counted)

    watch(planned, "job_of")
    watch(planned, "prepare_store")
    watch(Composer, "job")
    watch(ConfigLoaderImpl, "load_sweep_config")
    watch(hydra_internals.BasicSweeper, "split_arguments")
    return calls


@pytest.fixture
def tracker(monkeypatch):
    fake = fake_tracker()
    fake.find_runs.return_value = None  # no report
    for module in (single, store):
        monkeypatch.setattr(module, "open_tracker", lambda *_: fake)
    return fake


@pytest.fixture
def teams(monkeypatch):
    """The numbers of the runs that each team of workers was given, stack by stack."""
    given = []

    def start(_, stacks):
        given.append([stack.numbers for stack in stacks])
        assert all("job" in vars(run) for stack in stacks for run in stack.runs)  # handed on as planned
        return fake_workers(stacks)

    monkeypatch.setattr(Resources, "start", start)
    return given


def test_a_single_run_is_planned_once_and_its_store_prepared_once(tmp_path, count, tracker, monkeypatch):
    training = fake_training(chunk(0, 12), chunk(1, 12))
    made = create_autospec(Training, return_value=training)
    monkeypatch.setattr(single, "Training", made)
    programs = create_autospec(ProgramCache, instance=True)
    monkeypatch.setattr(single, "_programs_of_process", lambda: programs)
    monkeypatch.setattr(single.devices, "configure", create_autospec(single.devices.configure))
    done = train(tmp_path, *SMALL, "schedule=fixed")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[-1] == "test accuracy 0.8750, 1.00 s"
    assert count == {"job_of": 1, "prepare_store": 1}
    assert tracker.ended == {"fixed seed=0": None}


@pytest.mark.parametrize(
    ("words", "runs", "compositions"),
    [
        (["schedule=fixed", "seed=0,1,2"], 3, 1),  # jobs that differ in values alone share one
        (["schedule=fixed,staircase", "seed=0,1"], 4, 1),  # or in options into which nothing else reaches
        (["schedule=fixed", "allow_targets=[mine],[yours]", "seed=0,1"], 4, 2),
    ],
)
def test_each_run_of_a_sweep_is_composed_once_and_planned_once(
    tmp_path, count, tracker, teams, words, runs, compositions
):
    done = train(tmp_path, "-m", *SMALL, *words)
    assert (done.status, done.err) == (0, "")
    assert count == {
        "split_arguments": 1,  # the overrides are split into jobs once
        "job": runs,
        "load_sweep_config": compositions,
        "job_of": runs,
        "prepare_store": 1,
    }
    [team] = teams
    assert sorted(number for stack in team for number in stack) == list(range(runs))
    assert len(tracker.ended) == runs + 1  # the sweep's own run
    assert set(tracker.ended.values()) == {None}


def test_in_a_tuned_sweep_too_each_run_is_planned_once_but_for_those_that_are_only_checked(
    tmp_path, count, tracker, teams
):
    """The runs that judge are checked before the rates are chosen, and planned when they are known."""
    tuning = ["points=3", "seeds=[1000]", "widenings=0", "lowest=0.01", "highest=1.0"]
    words = [f"hydra.sweeper.tuning.{word}" for word in tuning]
    done = train(tmp_path, "experiment=tuned", *SMALL, *words, "schedule=fixed,staircase", "seed=0")
    assert (done.status, done.err) == (0, "")
    trials = 2 * 3
    judged = sum(len(numbers) for numbers in teams[1])
    assert len(teams) == 2
    assert count["job_of"] == count["job"] == 2 + trials + judged
    assert count["prepare_store"] == 1
    assert count["split_arguments"] == 1
    assert len(tracker.ended) == trials + judged + 1
