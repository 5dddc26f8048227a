"""Jobs are compared with Hydra's own way to compose them, which takes longer and is always right."""

import functools
import itertools
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException
from hydra.types import HydraContext
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf, open_dict

from ratelab.config import register_resolvers
from ratelab.config.composing import Composer
from ratelab.config.hydra_internals import Callbacks
from support import ROOT
from support.composing import by_hydra, text


@pytest.fixture(scope="module")
def sweep():
    """The context and the configuration of a sweep with overrides of Hydra's own, as a launcher gets them."""
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        own = ["hydra.verbose=true", "hydra.sweep.subdir=a_${hydra.job.num}"]
        config = compose("config", overrides=own, return_hydra_config=True)
        loader = GlobalHydra.instance().hydra.config_loader
        yield SimpleNamespace(context=HydraContext(loader, Callbacks()), config=config, loader=loader)


@pytest.fixture(scope="module")
def shared(sweep):
    """One for many jobs, as a sweep has it."""
    return Composer(sweep.context, sweep.config)


@pytest.fixture
def composer(sweep):
    return Composer(sweep.context, sweep.config)


@pytest.fixture(scope="module")
def theirs(sweep):
    """The text of job 0 as Hydra composes it, each list of overrides once."""
    return functools.cache(lambda *overrides: text(by_hydra(sweep, overrides, 0)))


LISTS = [
    [],
    # plain values
    ["seed=3"],
    ["seed=3", "epochs=7", "learning_rate=0.01"],
    ["learning_rate=1e-3"],
    ["learning_rate=nan"],
    ["learning_rate=-inf"],
    ["print_schedule=true"],
    ["device.xla=false", "device.threads=2"],
    ["tracking.experiment=some words"],
    ["tracking.experiment='quoted, with = and :'"],
    ['data.dir="it\'s"'],
    ["data.dir=''"],
    ["data.dir='???'"],
    ["data.dir='null'"],
    ["data.dir=a/b:c"],
    ["data.dir=int(3.5)", "seed=str(3)"],
    # what is not a number or a word
    ["model=mlp", "model.hidden=[]", "data.dir=null", "schedule=rex"],
    ["model.start={kind: {a: [1, {b: 2}]}}", "model.start.kind.a=[3]"],
    ["allow_targets=[]", "data.dir='[1]'"],
    ["model=mlp", "model.hidden=[64,32]", "model.hidden=[8]"],
    ["seed=???"],
    ["data.dir=null", "seed=1"],
    ["model=mlp", "model.hidden=[64,32]"],
    ["model=mlp", "model.hidden=5"],
    ["model.start={kind: [1]}", "seed=1"],
    ["allow_targets=[one,two]", "seed=1"],
    ["learning_rate=${data.validation_size}", "seed=1"],
    ["data.dir=${oc.env:HOME}", "seed=1"],
    ["data.dir='\\${literal}'"],
    # groups, alone and with the values of what they choose
    ["schedule=fixed"],
    ["schedule=staircase", "schedule.decay_steps=3"],
    ["schedule.decay_steps=3", "schedule=staircase"],
    ["schedule=fixed", "schedule=staircase", "seed=1"],
    ["experiment=quick", "epochs=9"],
    ["epochs=9", "experiment=quick"],
    ["experiment=toy", "schedule=staircase", "seed=2"],
    ["data=digits", "validation_size=100"],
    ["data=digits", "data.validation_size=100"],
    ["tracking=none", "tracking.uri=memory", "seed=1"],
    ["schedule=cosine", "model=mlp", "optimizer=adamw", "data=digits", "model.hidden=[7]", "seed=1"],
    ["experiment=tutorial", "schedule=fixed", "model=mlp"],
    ["experiment=tutorial", "warmup=linear", "batch=growing", "seed=1"],
    ["experiment=toy", "model=mlp", "optimizer=adam", "schedule.decay_rate=0.1"],
    ["experiment=tuned", "schedule=cosine"],
    ["+schedule@extra=fixed", "schedule=rex", "seed=2"],
    ["+schedule.power=2", "schedule=rex", "model=mlp"],
    ["model={start: 1}", "schedule=rex"],
    ["model=mlp", "schedule=fixed", "hydra/job_logging=default"],
    # keys that are added or taken away
    ["+power=2", "seed=1"],
    ["+schedule.power=2", "schedule.decay_steps=3"],
    ["++schedule.power=2", "++seed=1"],
    ["+model.start2={a: 1}", "model.start=zero"],
    ["~print_schedule", "seed=1"],
    ["~model.start", "model._target_=own.model"],
    ["~experiment", "seed=1"],
    # the same key again, and keys that are parts of others
    ["seed=1", "seed=2"],
    ["seed=2", "epochs=3", "seed=2"],
    ["++seed=2", "seed=1"],
    ["seed=1", "++seed=2"],
    ["+extra={a: 1}", "extra.a=2"],
    ["optimizer.momentum=0.5", "optimizer=sgd", "optimizer.nesterov=true"],
    ["data.validation_size=7", "validation_size=8"],
    # Hydra's own part
    ["hydra.sweep.dir=elsewhere", "seed=1"],
    ["hydra.job.name=other", "seed=1"],
    ["hydra.verbose=false", "epochs=2"],
    ["hydra/launcher=basic", "seed=1"],
    ["hydra.job.env_copy=[HOME]", "seed=1"],
    ["+hydra.job.env_set.WORD=1", "seed=1"],
    ["hydra.job.config.override_dirname.exclude_keys=[seed]", "seed=1", "epochs=2"],
    ["seed=1", "hydra.job.config.override_dirname.kv_sep=_", "hydra.job.config.override_dirname.item_sep=+"],
]


@pytest.mark.parametrize("overrides", LISTS, ids=" ".join)
def test_a_job_is_what_hydra_composes_also_the_second_time(composer, theirs, overrides):
    assert [text(composer.job(overrides, 0)) for _ in range(2)] == [theirs(*overrides)] * 2


def test_jobs_composed_one_after_another_do_not_come_into_each_others_way(composer, theirs):
    for overrides in [*LISTS, *reversed(LISTS)]:
        assert text(composer.job(overrides, 0)) == theirs(*overrides)


VALUES = {
    "seed": st.integers(0, 2**32 - 1),
    "learning_rate": st.floats(0, 1e6),
    "epochs": st.integers(1, 10**6),
    "schedule": st.sampled_from(["fixed", "exponential", "staircase"]),
    "data.dir": st.sampled_from(["null", "here", "'1'", "1", "a b", "${data._target_}"]),
}
PAIRS = st.sampled_from(sorted(VALUES)).flatmap(lambda key: st.tuples(st.just(key), VALUES[key]))


@settings(deadline=None, max_examples=30)  # Hydra takes tens of milliseconds for a job
@given(st.lists(st.lists(PAIRS, max_size=6), min_size=1, max_size=3))
def test_jobs_with_any_values_in_any_order_are_what_hydra_composes(sweep, jobs):
    composer = Composer(sweep.context, sweep.config)
    for number, pairs in enumerate(jobs):
        overrides = [f"{key}={value}" for key, value in pairs]
        assert text(composer.job(overrides, number)) == text(by_hydra(sweep, overrides, number))


@settings(deadline=None, max_examples=30)
@given(
    seed=VALUES["seed"], rate=VALUES["learning_rate"], epochs=VALUES["epochs"], schedule=VALUES["schedule"]
)
def test_a_job_has_exactly_the_values_that_were_given(sweep, shared, seed, rate, epochs, schedule):
    overrides = [f"schedule={schedule}", f"seed={seed}", f"learning_rate={rate!r}", f"epochs={epochs}"]
    job = shared.job(overrides, 9)
    assert (job.seed, job.learning_rate, job.epochs) == (seed, rate, epochs)
    assert job.hydra.runtime.choices.schedule == schedule
    assert job.hydra.overrides.task == overrides
    assert job.hydra.job.override_dirname.split(",") == sorted(overrides)
    assert (job.hydra.job.num, job.hydra.job.id) == (9, f"{sweep.config.hydra.job.name}_9")


REFUSED = [
    ["sead=1"],
    ["seed=1", "sead=1"],
    ["device.thread=1", "epochs=2"],
    ["seed.deeper=1"],
    ["model.start.deeper=1", "seed=1"],
    ["model=nothing", "seed=1"],
    ["mode=mlp"],
    ["model=5"],
    ["seed@place=1"],
    ["seed=1,2"],
    ["+seed=1"],
    ["~sead"],
    ["~seed=5", "epochs=1"],
    ["seed=1", "extra.a=2", "+extra={a: 1}"],
    ["schedule=fixed", "schedule.decay_steps=3"],
    ["experiment=null", "seed=1"],
    ["hydra.launcher.largest_stack=many", "seed=1"],
    ["hydra.launcher.nothing=1", "seed=1"],
    ["model=cnn", "model.filters={a: 1}", "schedule=rex"],
    ["schedule=null", "seed=1"],
    ["schedule@model=fixed", "schedule=rex"],
    ["model.start={kind: 1}", "model.start={other: 2}"],
    ["hydra=nothing", "seed=1"],
]


@pytest.mark.parametrize("overrides", REFUSED, ids=" ".join)
def test_what_hydra_refuses_is_refused_with_hydras_own_words(sweep, composer, overrides):
    composer.job(["seed=1"], 0)
    with pytest.raises(Exception) as theirs:  # noqa: PT011 - whatever Hydra raises
        by_hydra(sweep, overrides, 1)
    with pytest.raises(type(theirs.value)) as ours:
        composer.job(overrides, 1)
    assert type(ours.value) is type(theirs.value)
    assert str(ours.value) == str(theirs.value)


def test_a_misspelt_key_is_named_and_a_job_composed_afterwards_has_nothing_of_it(sweep, composer):
    with pytest.raises(ConfigCompositionException, match="Could not override 'sead'"):
        composer.job(["epochs=3", "sead=1"], 0)
    assert text(composer.job(["seed=1"], 1)) == text(by_hydra(sweep, ["seed=1"], 1))


@pytest.mark.parametrize("override", ["seed", "seed=[1"])
def test_what_hydra_cannot_read_is_an_error_of_hydras(composer, override):
    with pytest.raises(HydraException):
        composer.job([override], 0)


@pytest.mark.parametrize("others", [["seed=1"], ["seed=1", "seed=1"]], ids=["copied", "composed"])
def test_a_job_that_is_changed_leaves_the_others_as_they_are(sweep, composer, others):
    one, other = composer.job(others, 0), composer.job(others, 0)
    before = text(other)
    with open_dict(one):
        one.schedule.decay_steps = 5
        one.allow_targets.append("mine")
        one.hydra.overrides.task.append("x=1")
        one.hydra.job.env_set.WORD = "1"
        del one.data._target_
    assert text(other) == before == text(composer.job(others, 0))


def test_composing_leaves_the_configuration_of_the_sweep_as_it_is(sweep, composer):
    before = text(sweep.config)
    composer.job(["seed=1", "schedule=fixed", "+x=1"], 7)
    assert text(sweep.config) == before


def test_all_jobs_of_a_sweep_share_its_folder_and_its_digits(sweep, composer):
    jobs = [composer.job(overrides, n) for n, overrides in enumerate([["seed=1"], ["seed=2"], ["model=mlp"]])]
    folders = {job.hydra.sweep.dir for job in [*jobs, sweep.config, *jobs]}
    assert len(folders) == 1
    assert [job.hydra.sweep.subdir for job in jobs] == ["a_0", "a_1", "a_2"]


def test_a_job_is_as_strict_as_hydras(sweep, composer):
    job = composer.job(["seed=1"], 0)
    for node in ("", "schedule", "hydra", "hydra.job"):
        ours, theirs = (
            OmegaConf.select(c, node) if node else c for c in (job, by_hydra(sweep, ["seed=1"], 0))
        )
        for flag in (OmegaConf.is_struct, OmegaConf.is_readonly):
            assert flag(ours) == flag(theirs)


def test_every_option_of_every_group_is_what_hydra_composes(sweep, shared):
    groups = ("data", "task", "model", "optimizer", "schedule", "warmup", "batch", "device", "tracking")
    options = [
        [f"{group}={path.stem}" for path in (ROOT / "conf" / group).glob("*.yaml")] for group in groups
    ]
    for row in itertools.zip_longest(*options):
        overrides = [override for override in row if override is not None]
        assert text(shared.job(overrides, 0)) == text(by_hydra(sweep, overrides, 0)), overrides
