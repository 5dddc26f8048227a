from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext
from hypothesis import given
from hypothesis import strategies as st

from ratelab.config import register_resolvers
from ratelab.config.hydra_internals import Callbacks
from ratelab.sweeps.jobs import HydraProgram, plan_jobs, varied_keys
from ratelab.validation import UserError
from support import ROOT

KEYS = st.sampled_from(["schedule", "seed", "learning_rate", "model.hidden"])
VALUES = st.sampled_from(["0", "1", "fixed", "[1,2]", "a=b", ""])
JOBS = st.dictionaries(KEYS, st.lists(VALUES, min_size=3, max_size=3))


def jobs_of(columns):
    """Turn {key: its value in each job} into the overrides of each job."""
    return [[f"{key}={values[job]}" for key, values in columns.items()] for job in range(3)]


@given(JOBS)
def test_a_key_varies_exactly_if_its_values_differ(columns):
    assert varied_keys(jobs_of(columns)) == {key for key, values in columns.items() if len(set(values)) > 1}


@given(JOBS, st.randoms())
def test_the_order_of_jobs_and_of_overrides_does_not_matter(columns, random):
    jobs = jobs_of(columns)
    shuffled = [random.sample(job, len(job)) for job in random.sample(jobs, len(jobs))]
    assert varied_keys(shuffled) == varied_keys(jobs)


@given(st.lists(st.tuples(KEYS, VALUES), unique_by=lambda pair: pair[0]))
def test_in_a_single_job_nothing_varies(pairs):
    assert varied_keys([[f"{key}={value}" for key, value in pairs]]) == frozenset()


@pytest.mark.parametrize("sign", ["", "+", "++"])
def test_a_key_is_called_the_same_however_it_is_added(sign):
    jobs = [[f"{sign}schedule.power={power}", "seed=0"] for power in (1, 2)]
    assert varied_keys(jobs) == {"schedule.power"}


def test_a_value_may_hold_an_equals_sign():
    assert varied_keys([["data.dir='a=1'"], ["data.dir='a=2'"]]) == {"data.dir"}
    assert varied_keys([["data.dir='a=1'"], ["data.dir='a=1'"]]) == frozenset()


def test_no_jobs_vary_in_nothing():
    assert varied_keys([]) == frozenset()


@pytest.fixture
def composed(tmp_path, monkeypatch):
    """Compose a configuration with Hydra's own part, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    register_resolvers()

    def compose_from(folder, *overrides):
        with initialize_config_dir(str(folder), version_base="1.3"):
            config = compose("config", overrides=list(overrides), return_hydra_config=True)
            loader = GlobalHydra.instance().hydra.config_loader
        return HydraContext(config_loader=loader, callbacks=Callbacks()), config

    return compose_from


@pytest.fixture
def ours(composed):
    """Check jobs of the digits as the sweeper does: what stands on the command line is part of every job."""
    context, config = composed(ROOT / "conf")

    def check_all(*jobs, tracking="tracking=none"):
        program = HydraProgram(context, lambda cfg, run=None: None, config)
        return plan_jobs(program, [["data=digits", tracking, *job] for job in jobs])

    return check_all


def test_jobs_that_can_run_pass_and_nothing_is_written(ours):
    ours(["schedule=fixed"], ["schedule=exponential", "seed=1"])
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (["learning_rate=-1"], "learning_rate must be greater than or equal to 0, got -1"),
        (["schedule.decay_steps=0"], "decay_steps must be greater than 0, got 0"),
        (["+schedule.x=1"], "there is no 'x'"),
        (["validation_size=1500"], "validation_size"),
        (["data._target_=ratelab.data.cifar"], "cifar"),
    ],
)
def test_one_job_that_cannot_run_refuses_the_sweep(ours, job, message):
    with pytest.raises(UserError, match=message):
        ours(["seed=0"], job)
    assert list(Path.cwd().iterdir()) == []


# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_all_jobs_are_checked_before_the_store_is_made_for_the_first(ours):
    with pytest.raises(UserError, match="seed must be"):
        ours(["seed=0"], ["seed=-1"], tracking="tracking=local")
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    "text", ["x: 0", "x: 0\nschedule: daily", "x: 0\nschedule: {cron: daily}", "x: 0\nschedule: [1]"]
)
def test_a_config_that_is_not_ours_is_left_alone(composed, tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    context, config = composed(tmp_path)
    planned = plan_jobs(HydraProgram(context, lambda cfg: None, config), [["x=1"], ["x=2"]])
    assert planned.runs == ()
    assert [job.x for job in planned.composed] == [1, 2]
