"""Stacks are cut, trained in this process, and trained in real processes, some of which are killed."""

import contextlib
import itertools
import math
import multiprocessing
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from hydra_plugins.ratelab_launcher import RatelabLauncherConf
from ratelab.data import load
from ratelab.runs.job_of import job_of
from ratelab.sweeps import resources
from ratelab.sweeps.processes import Processes
from ratelab.sweeps.resources import Resources
from ratelab.sweeps.stacks import Broke, Ended, Epoch, Stack, Started, cut
from ratelab.sweeps.worker import StackTrainer
from ratelab.training import Program, bytes_of_job
from ratelab.validation import UserError
from support.configs import VALUES, planned_run

GIB, EPOCHS, STEPS = 2**30, 3, 50
OWN_MODELS = '''
import contextlib, os, socket
from ratelab import models

def gated(input_shape, classes, gate: int):
    """Wait at the gate, a port, as long as somebody keeps it."""
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", gate)).recv(1)
    return models.softmax(input_shape, classes)

def word(input_shape, classes):
    raise RuntimeError(os.environ["RATELAB_WORD"])

def string(input_shape, classes):
    return "no model"
'''


def rates(*numbers, **changes):
    """Runs that differ in their learning rates only."""
    return [planned_run(number, learning_rate=0.1 / (number + 1), **changes) for number in numbers]


def stack(*members):
    return Stack(tuple(members))


@pytest.fixture
def own_models(tmp_path, monkeypatch):
    """A module of the user's, for this process and for workers."""
    (tmp_path / "own_models.py").write_text(OWN_MODELS)
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda name, **arguments: {"_target_": f"own_models.{name}", **arguments}
    sys.modules.pop("own_models", None)


# --------------------------------------------------------------------------------------------------- cutting

BASE = planned_run(0)
DEVICES = [BASE.config.device.model_copy(update={"xla": xla}) for xla in (None, True, False)]
PLACES = st.tuples(
    st.sampled_from(DEVICES), st.sampled_from([(), (("A", "1"),)]), st.sampled_from("ab"), st.integers(0, 2)
)


def members_at(places):
    runs = []
    for number, (device, environment, kind, seed) in enumerate(places):
        config = BASE.config.model_copy(update={"device": device, "seed": seed})
        run = replace(BASE, number=number, config=config, environment=environment)
        # what cutting asks of a job, so that none has to be planned
        run.__dict__["job"] = SimpleNamespace(program_key=kind, batches=SimpleNamespace(steps=STEPS))
        runs.append(run)
    return runs


def place(member):
    return member.config.device, member.environment, member.kind, member.config.seed


few_places = st.lists(PLACES, min_size=1, max_size=3)
any_members = few_places.flatmap(lambda few: st.lists(st.sampled_from(few), max_size=30)).map(members_at)
any_cut = given(any_members, st.integers(1, 9), st.integers(1, 9))


@any_cut
def test_every_run_is_in_exactly_one_stack_of_its_kind_its_seed_and_its_process(members, largest, workers):
    stacks = cut(members, largest, workers)
    assert sorted(number for stack in stacks for number in stack.numbers) == list(range(len(members)))
    assert all(len({place(member) for member in stack.runs}) == 1 for stack in stacks)


@any_cut
def test_there_are_as_few_stacks_as_the_largest_allows_or_else_one_for_each_worker(members, largest, workers):
    stacks = cut(members, largest, workers)
    groups = Counter(map(place, members))
    needed = sum(math.ceil(runs / largest) for runs in groups.values())
    assert len(stacks) == max(needed, min(workers, len(members)))
    assert all(1 <= len(stack.runs) <= largest for stack in stacks)
    for group in groups:
        sizes = [len(stack.runs) for stack in stacks if place(stack.runs[0]) == group]
        assert max(sizes) - min(sizes) <= 1


@any_cut
def test_the_stacks_of_a_process_follow_each_other_and_a_cut_is_always_the_same(members, largest, workers):
    stacks = cut(members, largest, workers)
    changes = [process for process, _ in itertools.groupby(stack.process for stack in stacks)]
    assert len(changes) == len({place(member)[:2] for member in members})
    assert cut(members, largest, workers) == stacks


# ---------------------------------------------------------------------------------- training in this process


def trained(*members, memory=GIB):
    return list(StackTrainer(7, memory).train(stack(*members)))


def kinds(events):
    """Say "1" for an epoch of run 1, "1." for its result, "1!" where it broke, "*" where a stack began."""
    marks = {Epoch: "", Ended: ".", Broke: "!"}
    return " ".join("*" if isinstance(e, Started) else f"{e.number}{marks[type(e)]}" for e in events)


def bits(events, number):
    """All of a run that is equal whenever it is computed in the same way."""
    own = [event for event in events if not isinstance(event, Started) and event.number == number]
    chunks = [event.chunk for event in own if isinstance(event, Epoch)]
    return [
        *((c.first_step, c.learning_rate.tobytes(), c.train_loss.tobytes()) for c in chunks),
        *((c.epoch, c.val_loss, c.val_accuracy) for c in chunks),
        *(event.test for event in own if isinstance(event, Ended)),
    ]


def test_runs_of_a_stack_give_their_epochs_together_and_then_their_results(tensorflow):
    events = trained(*rates(0, 1, 2))
    assert kinds(events) == "0 1 2 0 1 2 0 1 2 0. 1. 2."
    assert {event.worker for event in events} == {7}
    for event in events[:-3]:
        first = event.chunk.epoch * STEPS
        assert event.chunk.steps.tolist() == list(range(first, first + STEPS))
        assert (event.chunk.learning_rate == np.float32(0.1 / (event.number + 1))).all()


def test_weights_come_where_they_were_asked_for_and_give_the_result(tensorflow):
    asked = planned_run(1, learning_rate=0.5, tracking={**VALUES["tracking"], "log_model": True})
    first, second = trained(planned_run(0), asked)[-2:]
    assert first.weights is None
    kernel, bias = (weights.astype(np.float64) for weights in second.weights)
    test = load("digits", validation_size=300).test
    logits = test.images.reshape(-1, 64) / 16 @ kernel + bias
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(logits)), test.labels]
    loss, accuracy = second.test
    assert accuracy == (logits.argmax(1) == test.labels).mean()
    assert loss == pytest.approx(losses.mean(), rel=1e-5)  # float32 against float64


def test_without_memory_every_run_is_trained_by_itself_to_the_same_bits_as_alone(tensorflow):
    members = rates(0, 1, 2)
    events = trained(*members, memory=0)
    assert kinds(events) == "0 0 0 0. 1 1 1 1. 2 2 2 2."
    for one in members:
        assert bits(events, one.number) == bits(trained(one), one.number)


def test_a_stack_is_as_large_as_the_memory_allows(tensorflow):
    members = rates(0, 1, 2, epochs=1)
    needed = 3 * bytes_of_job(job_of(members[0].config))
    assert kinds(trained(*members, memory=needed)) == "0 1 2 0. 1. 2."
    assert kinds(trained(*members, memory=needed - 1)) == "0 1 0. 1. 2 2."


@pytest.mark.parametrize("words", ["cnn, filters: [2]", "mlp, hidden: [8], dropout: 0.5"])
def test_a_model_that_cannot_be_stacked_is_trained_one_by_one(tensorflow, words):
    members = rates(0, 1, 2, model=yaml.safe_load(f"{{_target_: ratelab.models.{words}}}"), epochs=1)
    events = trained(*members)
    assert kinds(events) == "0 0. 1 1. 2 2."
    assert bits(events, 1) == bits(trained(members[1]), 1)


def test_a_mistake_of_the_users_breaks_each_run_without_a_traceback(tensorflow, own_models):
    message = "model: must be a built keras.Model (give it a keras.Input), got str."
    assert trained(*rates(0, 1, 2, model=own_models("string"))) == [
        Broke(7, n, message, "") for n in range(3)
    ]


def test_any_other_error_breaks_each_run_with_its_traceback(tensorflow, own_models, monkeypatch):
    monkeypatch.setenv("RATELAB_WORD", "boom")
    events = trained(*rates(0, 1, 2, model=own_models("word")))
    assert kinds(events) == "0! 1! 2!"
    assert {event.message for event in events} == {"boom"}
    assert all("own_models.py" in e.traceback and "RuntimeError: boom\n" in e.traceback for e in events)


def test_another_device_setting_than_that_of_the_process_breaks_each_run(tensorflow):
    events = trained(*rates(0, 1, device={**VALUES["device"], "threads": 2}))
    assert kinds(events) == "0! 1!"
    assert {event.traceback for event in events} == {""}
    assert all("one process runs with one device setting" in event.message for event in events)


@pytest.fixture
def exhausted(tensorflow, monkeypatch):
    """Let calls of Program.run fail as on a full device, those of which size and number say so."""

    def fail_where(condition):
        run, calls = Program.run, itertools.count()

        def failing(program, *arguments):
            if condition(program.size, next(calls)):
                raise tensorflow.errors.ResourceExhaustedError(None, None, "out of memory")
            return run(program, *arguments)

        monkeypatch.setattr(Program, "run", failing)

    return fail_where


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (lambda size, call: size > 2, "0 1 0 1 0. 1. 2 3 2 3 2. 3."),
        (lambda size, call: size > 1 and call == 0, "0 1 0 1 0. 1. 2 3 2 3 2. 3."),
        (lambda size, call: size > 1, "0 0 0. 1 1 1. 2 2 2. 3 3 3."),
        (lambda size, call: size > 1 or call == 2, "0! 1 1 1. 2 2 2. 3 3 3."),
        (lambda size, call: call == 1, "0 1 2 3 0! 1! 2! 3!"),
    ],
    ids=["large stacks", "once", "all stacks", "and a single run", "after an epoch"],
)
def test_what_cannot_be_allocated_is_halved_in_the_first_epoch_and_breaks_later(
    exhausted, condition, expected
):
    exhausted(condition)
    events = trained(*rates(0, 1, 2, 3, epochs=2))
    assert kinds(events) == expected
    assert all("ResourceExhaustedError" in event.traceback for event in events if isinstance(event, Broke))


MLP = {"_target_": "ratelab.models.mlp", "hidden": [8]}


def test_an_error_breaks_no_run_that_has_diverged_before(exhausted):
    exhausted(lambda size, call: call == 1)
    events = trained(*rates(0, model=MLP), planned_run(1, model=MLP, learning_rate=1e30))
    assert kinds(events) == "0 1 0!"


def test_a_run_that_diverges_ends_with_that_epoch_and_leaves_the_others_as_they_are(tensorflow):
    wild = [planned_run(number, model=MLP, learning_rate=1e30) for number in (1, 3)]
    events = trained(*rates(0, model=MLP), wild[0], *rates(2, model=MLP))
    assert kinds(events) == "0 1 2 0 2 0 2 0. 2."
    assert events[1].chunk.diverged_step == len(events[1].chunk.train_loss) - 1
    assert kinds(trained(*wild)) == "1 3"
    calm = trained(*rates(0, 1, 2, model=MLP))
    assert [bits(events, number) for number in (0, 2)] == [bits(calm, number) for number in (0, 2)]


# ------------------------------------------------------------------------------------- training in processes


def process_of(worker):
    [process] = [p for p in multiprocessing.active_children() if p.name == f"ratelab worker {worker}"]
    return process


@pytest.fixture(autouse=True, scope="module")
def patience():
    """Tests that wait for a process for ever end after a quarter of an hour."""

    def give_up(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(900)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def no_worker_is_left():
    """Whatever a test does with workers, none outlives their context."""
    yield
    assert multiprocessing.active_children() == []


@pytest.fixture
def gate():
    """A port at which the model `gated` waits; hands over the connection that keeps it waiting."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(120)
        yield server


@pytest.fixture
def gated(own_models, gate):
    return own_models("gated", gate=gate.getsockname()[1])


@pytest.fixture
def half_done(gated):
    """Two runs trained one after the other; the second begins when the gate says so."""
    return stack(*rates(0), *rates(1, model=gated))


@pytest.fixture(scope="module")
def session():
    """One worker with four stacks that need three processes: events, and the processes at each start."""
    xla = {**VALUES["device"], "xla": False}
    word = {"_target_": "own_models.word"}
    stacks = [
        stack(*rates(0, 1)),
        stack(*rates(2, 3, seed=1)),
        stack(*rates(4, 5, device=xla)),
        stack(planned_run(6, (("RATELAB_WORD", "a secret of this environment"),), device=xla, model=word)),
    ]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "own_models.py").write_text(OWN_MODELS)
        patch.syspath_prepend(folder)
        with Processes(stacks, 1, GIB) as processes:
            seen = [(event, process_of(0).pid) for event in processes]
    return stacks, seen


def test_all_events_of_all_stacks_arrive_each_in_its_order(session):
    stacks, seen = session
    events = [event for event, _ in seen]
    pairs = ["{0} {1} {0} {1} {0} {1} {0}. {1}.".format(*numbers) for numbers in ((0, 1), (2, 3), (4, 5))]
    assert kinds(events) == f"* {pairs[0]} * {pairs[1]} * {pairs[2]} * 6!"
    assert [event.stack for event in events if isinstance(event, Started)] == stacks


def test_a_process_serves_one_device_setting_and_one_environment_only(session):
    _, seen = session
    first, second, third, fourth = [pid for event, pid in seen if isinstance(event, Started)]
    assert first == second
    assert len({second, third, fourth, os.getpid()}) == 4


def test_the_environment_of_a_run_is_that_of_its_process(session):
    _, seen = session
    assert seen[-1][0].message == "a secret of this environment"
    assert "own_models.py" in seen[-1][0].traceback


def test_a_process_computes_the_bits_that_this_one_computes(session, tensorflow):
    stacks, seen = session
    here = trained(*stacks[1].runs)
    for number in (2, 3):
        assert bits([event for event, _ in seen], number) == bits(here, number)


def test_a_stack_whose_process_is_killed_is_trained_again_to_the_same_bits(half_done, gate):
    events, again = [], False
    with Processes([half_done], 1, 0) as processes:
        for event in processes:
            events.append(event)
            if kinds([event]) == "0." and not again:
                again = True
                with gate.accept()[0]:
                    gate.close()  # for the next process the way is free
                    process_of(0).kill()
    assert kinds(events) == "* 0 0 0 0. * 0 0 0 0. 1 1 1 1."
    assert bits(events[:5], 0) == bits(events[5:], 0)
    assert bits(events, 1) == bits(trained(half_done.runs[1]), 1)


def test_only_runs_without_a_result_break_when_their_process_dies_twice(half_done, gate):
    events = []
    with Processes([half_done, stack(planned_run(2))], 1, 0) as processes:
        for event in processes:
            events.append(event)
            if kinds([event]) == "0.":
                with gate.accept()[0]:
                    process_of(0).kill()
    assert kinds(events) == "* 0 0 0 0. * 0 0 0 0. 1! * 2 2 2 2."
    assert events[10].message == "its worker process died twice (exit status -9)"


def test_a_stack_whose_processes_all_die_leaves_the_other_worker_alone(tensorflow):
    doomed = stack(*rates(0, 1))
    events = []
    with Processes([doomed, stack(planned_run(2))], 2, GIB) as processes:
        for event in processes:
            events.append(event)
            if isinstance(event, Started) and event.stack == doomed:
                process_of(event.worker).kill()
    assert kinds(events[:2]) == "* *"
    assert sorted(kinds(events).split()) == ["*", "*", "*", "0!", "1!", "2", "2", "2", "2."]
    assert bits(events, 2) == bits(trained(planned_run(2)), 2)


def test_workers_told_to_stop_hand_over_what_they_have_computed_and_nothing_more(gated, gate):
    """The first run has more epochs than fit into the pipe: the most of them wait in the worker."""
    long = stack(*rates(0, epochs=600), *rates(1, epochs=600, model=gated))
    with Processes([long, stack(planned_run(2))], 1, 0) as processes:
        events = iter(processes)
        assert kinds(itertools.islice(events, 2)) == "* 0"
        process = process_of(0)
        with gate.accept()[0]:  # the second run is about to begin: all of the first has been computed
            assert kinds(processes.stop()) == "0 " * 599 + "0."
            assert list(processes.stop()) == []
            process.join(60)
    assert process.exitcode == 0


def test_workers_told_to_stop_before_their_first_epoch_have_nothing(tensorflow):
    with Processes([stack(planned_run(0)), stack(planned_run(1))], 2, 0) as processes:
        assert list(processes.stop()) == []


def test_a_ctrl_c_in_the_terminal_is_for_the_parent_alone(half_done, gate):
    events = []
    with Processes([half_done], 1, 0) as processes:
        for event in processes:
            events.append(event)
            if kinds([event]) == "0.":
                with gate.accept()[0]:
                    gate.close()
                    os.kill(process_of(0).pid, signal.SIGINT)
                    os.kill(process_of(0).pid, signal.SIGHUP)
    assert kinds(events) == "* 0 0 0 0. 1 1 1 1."


def test_leaving_in_the_middle_ends_the_processes(half_done, gate):
    with contextlib.suppress(KeyError), Processes([half_done], 1, 0), gate.accept()[0]:
        process = process_of(0)
        raise KeyError
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


PARENT = """
import multiprocessing, sys
sys.path[:0] = {path!r}
from test_workers import GIB, Epoch, Processes, rates, stack
with Processes([stack(*rates(number, epochs=2000)) for number in (0, 1)], 2, GIB) as processes:
    busy = set()
    for event in processes:
        busy |= {{event.worker}} if isinstance(event, Epoch) else set()
        if len(busy) == 2:
            print(*(process.pid for process in multiprocessing.active_children()), flush=True)
            sys.stdin.read()
"""


def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = PARENT.format(path=[p for p in sys.path if p])
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        workers = [os.pidfd_open(pid) for pid in pids]
        parent.kill()
    try:
        assert len(workers) == 2
        for worker in workers:
            assert select.select([worker], [], [], 60)[0] == [worker]  # readable once the process has ended
    finally:
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(worker, signal.SIGKILL)
            os.close(worker)


# ------------------------------------------------------------------------------------- how many there are


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
        ({"worker": 1}, "there is no key 'hydra.launcher.worker': remove it or mend its name"),
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


@pytest.mark.parametrize(
    ("options", "stacks", "number"),
    [
        ({"workers": 4, "memory": 9}, 2, 2),
        ({"workers": 2, "memory": 9}, 3, 2),
        ({"workers": 3, "memory": 2.5}, 3, 2),
        ({"workers": 3, "memory": 0.1}, 3, 1),
        ({"workers": 3}, 3, 3),
        ({"workers": 3}, 0, 0),
    ],
)
def test_no_more_workers_begin_than_there_are_stacks_and_room(monkeypatch, options, stacks, number):
    monkeypatch.setattr(resources, "_free_memory", lambda: 4 * GIB)
    with Resources(**options).start([stack(one) for one in rates(*range(stacks))]):
        assert len(multiprocessing.active_children()) == number


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
    assert resources._free_memory() == free * 100


def test_a_run_that_is_not_to_be_tested_has_no_result_and_its_neighbour_has(tensorflow):
    chosen, judged = trained(planned_run(0, test=False), planned_run(1, learning_rate=0.5))[-2:]
    assert chosen.test is None
    assert judged.test == trained(planned_run(1, learning_rate=0.5))[-1].test
