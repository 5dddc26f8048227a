"""What a sweep compares: the jobs without their seeds, and with others."""

import itertools
from collections.abc import Sequence

from ratelab.config.sweeping import override_key
from ratelab.sweeps.jobs import Overrides

Arms = list[list[str]]


def split_arms(jobs: Overrides) -> tuple[Arms, list[str]]:
    """Return the overrides of what is compared, each once and without its seed, and the seeds.

    >>> split_arms([["schedule=fixed", "seed=1"], ["schedule=fixed", "seed=2"], ["schedule=rex", "seed=1"]])
    ([['schedule=fixed'], ['schedule=rex']], ['1', '2'])
    """
    seeds = list(dict.fromkeys(read_value(job, "seed", "0") for job in jobs))
    arms = dict.fromkeys(tuple(without(job, "seed")) for job in jobs)
    return [list(arm) for arm in arms], seeds


def read_value(job: Sequence[str], key: str, default: str) -> str:
    """Return the value that a job gives a key, or the default."""
    return next((text.partition("=")[2] for text in job if override_key(text) == key), default)


def without(job: Sequence[str], *keys: str) -> list[str]:
    """Return the overrides of a job but those of these keys."""
    return [text for text in job if override_key(text) not in keys]


def cross(arms: Sequence[Sequence[str]], choices: Sequence[Sequence[str]]) -> Arms:
    """Return every arm with every choice, the choices of an arm together.

    >>> cross([["schedule=fixed"], ["schedule=rex"]], [["seed=1"], ["seed=2"]])[1:3]
    [['schedule=fixed', 'seed=2'], ['schedule=rex', 'seed=1']]
    """
    return [[*arm, *choice] for arm, choice in itertools.product(arms, choices)]
