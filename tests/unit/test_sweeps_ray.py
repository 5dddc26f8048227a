"""Tasks on a cluster: what they ask for, when they begin again, what they report; Ray itself is a fake."""

import itertools
import os
import signal
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from ratelab.runtime import signals
from ratelab.sweeps import ray as on_ray
from ratelab.sweeps import worker
from ratelab.sweeps.ray import RayResources, RayTasks
from ratelab.sweeps.resources import GIB
from ratelab.sweeps.stacks import Broke, Ended, Epoch, Stack, Started
from ratelab.validation import UserError
from support.configs import VALUES, planned_run
from support.fakes import chunk
from support.stacks import kinds, rates, stack

SRC = str(Path(on_ray.__file__).parents[2])
LOST = "the node died"


class RayError(Exception):
    """As Ray's."""


class FakeRay:
    """Begins a task by taking the next of `outcomes`: the items that it gives, an error where one is lost."""

    def __init__(self):
        self.outcomes, self.tasks, self.cancelled = [], [], []
        self.exceptions = SimpleNamespace(RayError=RayError)
        self.init, self.shutdown = Mock(), Mock()
        self.dead = []

    def remote(self, **options):
        def begin(_, *given):
            self.tasks.append((options, *given))
            return iter(self.outcomes.pop(0))

        return lambda function: SimpleNamespace(remote=lambda *given: begin(function, *given))

    def wait(self, tasks, num_returns, timeout):
        return tasks[:num_returns], tasks[num_returns:]

    def get(self, item):
        if isinstance(item, Exception):
            raise item
        return item

    def cancel(self, task):
        self.cancelled.append(task)

    def nodes(self):
        return [{"NodeID": name, "Alive": name not in self.dead} for name in ("here", "there")]


@pytest.fixture
def ray(monkeypatch):
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_DEDUP_LOGS_SKIP_REGEX"):
        monkeypatch.setenv(name, os.environ.get(name, "0"))  # put back at the end
    return fake


def item(*events, process="a", node="here"):
    return process, node, list(events)


def ended(number):
    return Ended(0, number, {"loss": 0.5, "accuracy": 0.5}, None)


def events_of(ray, stacks, *outcomes, **options):
    """All events of tasks that come out like this."""
    ray.outcomes = list(outcomes)
    with RayTasks(stacks, RayResources(**options)) as tasks:
        return list(tasks)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cpus": 0.0}, "hydra.launcher.cpus must be greater than 0, got 0.0"),
        ({"gpus": -1.0}, "hydra.launcher.gpus must be greater than or equal to 0, got -1.0"),
        ({"retries": -1}, "hydra.launcher.retries must be greater than or equal to 0, got -1"),
        ({"address": 1}, "hydra.launcher.address must be a valid string, got 1"),
        ({"largest_stack": 0}, "hydra.launcher.largest_stack must be greater than 0, got 0"),
    ],
)
def test_a_wrong_option_is_named(options, message):
    with pytest.raises(UserError) as raised:
        RayResources.read({"_target_": "x", **options})
    assert str(raised.value) == message


def test_there_are_as_many_stacks_as_workers_were_asked_for_whatever_this_machine_has():
    runs = rates(*range(4))
    assert [len(one.runs) for one in RayResources().cut(runs)] == [4]
    assert sorted(len(one.runs) for one in RayResources(workers=3).cut(runs)) == [1, 1, 2]


def test_without_ray_the_user_is_told_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)  # import fails
    with pytest.raises(UserError) as raised:
        RayResources().start([])
    assert str(raised.value) == "hydra/launcher=ray needs Ray; install it with: pip install '.[ray]'"


def test_nothing_is_connected_before_the_context_is_entered(ray):
    assert isinstance(RayResources().start([stack(*rates(0))]), RayTasks)
    ray.init.assert_not_called()


def test_a_cluster_of_our_own_is_started_quietly_and_shut_down(ray):
    before = signal.getsignal(signal.SIGTERM)
    ray.init.side_effect = lambda *_, **__: signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert events_of(ray, []) == []
    ray.init.assert_called_once_with(
        "local", log_to_driver=False, logging_level="ERROR", include_dashboard=False
    )
    ray.shutdown.assert_called_once()
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_address_at_which_something_listens_is_connected_to(ray):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        events_of(ray, [], address=address)
    ray.init.assert_called_once_with(address, log_to_driver=False, logging_level="ERROR")


@pytest.mark.parametrize("error", [ConnectionError, RayError])
def test_a_cluster_that_lets_nobody_in_is_one_message(ray, error):
    ray.init.side_effect = error("It needs a token. Note: more of it")
    with pytest.raises(
        UserError, match=r"^hydra.launcher.address: It needs a token\. .* RAY_AUTH_MODE=token\.$"
    ):
        events_of(ray, [])


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:x", "127.0.0.1:1"])
def test_an_address_at_which_nothing_listens_is_refused_at_once(ray, address):
    with pytest.raises(UserError, match=f"must be host:port of a Ray cluster, got '{address}' .*ray start"):
        events_of(ray, [], address=address)
    ray.init.assert_not_called()


@pytest.mark.parametrize(
    ("options", "cpus", "gpus", "memory"),
    [
        ({}, 2, 0.0, GIB),
        ({"cpus": 0.5, "gpus": 0.25, "memory": 3.0}, 0.5, 0.25, 2 * GIB),
    ],
)
def test_a_task_asks_for_what_its_device_or_the_user_says(ray, options, cpus, gpus, memory):
    one = stack(planned_run(0, device={**VALUES["device"], "threads": 2}))
    events_of(ray, [one], [item()], **options)
    [(asked, given, bytes_for_runs)] = ray.tasks
    assert (given, bytes_for_runs) == (one, memory)
    assert asked.pop("runtime_env")["env_vars"].keys() == {"PYTHONPATH", "RATELAB_PROCESS"}
    assert asked == {"num_cpus": cpus, "num_gpus": gpus, "max_retries": 0}


def test_a_task_finds_our_sources_and_those_of_the_user(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/mine", "", SRC]))
    found = on_ray._environment(stack(planned_run(0, environment=(("A", "1"),))))
    assert (found["A"], found["PYTHONPATH"]) == ("1", f"{SRC}{os.pathsep}/mine")


def test_tasks_share_a_process_only_where_device_and_variables_agree():
    runs = [planned_run(0), planned_run(1, seed=1), planned_run(2, environment=(("A", "1"),))]
    first, second, third = (on_ray._environment(stack(run))["RATELAB_PROCESS"] for run in runs)
    assert first == second != third


def test_a_stack_begins_with_the_first_word_of_its_task_and_its_worker_has_a_number(ray):
    stacks = [stack(*rates(0)), stack(*rates(1))]
    events = events_of(
        ray,
        stacks,
        [item(process="b"), item(Epoch(0, 0, chunk(), (0, 1, 2)), ended(0), process="b")],
        [item(process="a"), item(ended(1), process="a")],
    )
    assert kinds(events) == "* 0 0. * 1."
    assert [event.worker for event in events] == [0, 0, 0, 1, 1]
    assert [event.stack for event in events if isinstance(event, Started)] == stacks


def test_a_stack_that_was_lost_begins_again_and_its_events_come_again(ray):
    one = stack(*rates(0))
    events = events_of(
        ray,
        [one],
        [item(), item(Epoch(0, 0, chunk(), (0, 1, 2))), RayError(LOST)],
        [item(process="b"), item(Epoch(0, 0, chunk(), (0, 1, 2)), ended(0), process="b")],
    )
    assert kinds(events) == "* 0 * 0 0."
    assert len(ray.tasks) == 2


def test_a_stack_that_was_lost_too_often_is_broken(ray):
    lost = [RayError(f"{LOST}\nin detail")]
    events = events_of(ray, [stack(*rates(0, 1))], lost, lost, lost, retries=2)
    message = f"lost 3 times on the cluster, the last time: {LOST}"
    assert events == [Broke(0, 0, message, ""), Broke(0, 1, message, "")]


def test_a_loss_without_a_word_is_called_by_its_kind(ray):
    [event] = events_of(ray, [stack(*rates(0))], [RayError()], retries=0)
    assert event.message == "lost 1 times on the cluster, the last time: RayError"


def test_a_machine_that_hangs_is_left_when_ray_gives_it_up(ray, monkeypatch):
    monkeypatch.setattr(on_ray, "LOOK_EVERY", -1.0)
    ray.dead = ["there"]
    events = events_of(
        ray, [stack(*rates(0))], [item(node="there"), item(ended(0))], [item(), item(ended(0))]
    )
    assert kinds(events) == "* * 0."


def test_what_has_arrived_is_taken_when_training_stops_and_the_rest_is_cancelled(ray):
    ray.outcomes = [[item(), item(ended(0))], [item()]]
    with RayTasks([stack(*rates(0)), stack(*rates(1))], RayResources()) as tasks:
        assert kinds(tasks.stop()) == "* 0. *"
        assert list(tasks.stop()) == []
    assert ray.cancelled == []
    ray.outcomes = [[item()]]
    with RayTasks([stack(*rates(0))], RayResources()):
        assert ray.cancelled == []  # until the end of the block, which stops what nobody has waited for
    assert len(ray.cancelled) == 1


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, signals.Terminated), (None, KeyboardInterrupt)]
)
def test_a_signal_while_ray_waits_is_told_as_what_it_was(ray, monkeypatch, number, error):
    state = signals._State()
    monkeypatch.setattr(signals, "_state", state)

    def interrupt(*_, **__):
        state.told = number
        raise KeyboardInterrupt

    ray.wait = interrupt
    with pytest.raises(KeyboardInterrupt) as raised:
        events_of(ray, [stack(*rates(0))], [item()])
    assert raised.type is error
    ray.shutdown.assert_called_once()


def test_a_signal_that_ray_has_swallowed_ends_the_sweep_at_the_next_look(ray, monkeypatch):
    monkeypatch.setattr(signals, "_state", signals._State(told=signal.SIGTERM))
    with pytest.raises(signals.Terminated, match="SIGTERM"):
        events_of(ray, [stack(*rates(0))], [item()])


def test_a_task_says_where_it_is_and_then_sends_what_happened_twice_a_second(ray, monkeypatch):
    ticks = itertools.count(0.0, 0.2)  # each look at the clock, one before the first event, then one for each
    trainer = SimpleNamespace(train=lambda _: [Epoch(0, 0, chunk(epoch), (0, 1, 2)) for epoch in range(7)])
    monkeypatch.setattr(worker, "trainer_of_process", lambda memory: trainer)
    monkeypatch.setattr(on_ray, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    ray.get_runtime_context = lambda: SimpleNamespace(get_worker_id=lambda: "a", get_node_id=lambda: "here")
    items = list(on_ray._train(Stack(tuple(rates(0))), 1000))
    assert {one[:2] for one in items} == {("a", "here")}
    sent = [[event.chunk.epoch for event in events] for *_, events in items]
    assert sent[0] == []
    assert [epoch for part in sent for epoch in part] == list(range(7))
    assert sent[1] == [0, 1, 2]
