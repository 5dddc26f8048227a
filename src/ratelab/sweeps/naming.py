"""How a sweep is called: by what varies in it."""

from collections.abc import Sequence

from ratelab.config.sweeping import override_key
from ratelab.runs.planned import PlannedRun
from ratelab.runtime.clipping import clip
from ratelab.sweeps.jobs import Jobs
from ratelab.tracking.names import NAME_LENGTH

MOST_VALUES = 6  # of a key; of more, the first ones and their number


def name_sweep(jobs: Jobs) -> str:
    """Return what varies between the jobs, and the seeds, as `schedule=fixed,exponential seed=0..9`."""
    values: dict[str, list[str]] = {}
    for run in jobs.runs:
        for key, value in _varied_values(run, jobs.varied - {"seed"}):
            values.setdefault(key, []).append(value)
    words = [f"{key}={_write_values(own)}" for key, own in values.items()]
    seeds = f" seed={_write_numbers([run.config.seed for run in jobs.runs])}"
    name = " ".join(words or [f"schedule={jobs.runs[0].labels.group}"])
    # the seeds stay whole, for they tell apart what a long name has in common
    room = NAME_LENGTH - len(seeds)
    return f"{clip(name, room)}{seeds}"


def _varied_values(run: PlannedRun, keys: frozenset[str]) -> list[tuple[str, str]]:
    overrides = [(override_key(text), text.partition("=")[2]) for text in run.labels.overrides]
    return [(key, value) for key, value in overrides if key in keys]


def _write_values(values: Sequence[str]) -> str:
    """Return different values in a row.

    >>> _write_values(["0.1", "0.2", "0.1"]), _write_values([str(n) for n in range(20)])
    ('0.1,0.2', '0,1,2,3,4,5,... (20)')
    """
    different = list(dict.fromkeys(values))
    more = f",... ({len(different)})" if len(different) > MOST_VALUES else ""
    return ",".join(different[:MOST_VALUES]) + more


def _write_numbers(numbers: Sequence[int]) -> str:
    """Return different numbers in a row, those that follow each other by the first and the last.

    >>> _write_numbers([0, 1, 2, 0, 1, 2]), _write_numbers([3]), _write_numbers([7, 1, 2])
    ('0..2', '3', '1,2,7')
    """
    different = sorted(set(numbers))
    first, last = different[0], different[-1]
    if len(different) > 2 and last - first == len(different) - 1:
        return f"{first}..{last}"
    return _write_values([str(number) for number in different])
