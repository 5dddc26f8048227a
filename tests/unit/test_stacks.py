"""How runs are cut into stacks."""

import itertools
import math
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from ratelab.sweeps.stacks import cut
from support.configs import planned_run

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
        run.__dict__["job"] = SimpleNamespace(program_key=kind, batches=SimpleNamespace(steps=50))
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
