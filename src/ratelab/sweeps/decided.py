"""A sweep that adds seeds, look by look, until every pair of what it compares is decided."""

import itertools
from collections.abc import Sequence

from hydra.core.utils import JobReturn, JobStatus

from ratelab.comparison import Comparison, compare, find_worst
from ratelab.comparison.deciding import list_going
from ratelab.comparison.plans import Plan
from ratelab.comparison.remarks import MOST_FOR_ALL_PAIRS
from ratelab.comparison.sequential import seeds_needed
from ratelab.config.hydra_internals import refuse_number
from ratelab.runs.course import begun_result
from ratelab.runs.past import Past
from ratelab.sweeps.arms import Arms, cross, split_arms
from ratelab.sweeps.jobs import HydraProgram, Jobs, Overrides, plan_jobs, prepare_jobs, raise_failure
from ratelab.sweeps.naming import name_sweep
from ratelab.sweeps.resources import Resources
from ratelab.sweeps.sweep import Sweep, open_sweep
from ratelab.validation import UserError


def sweep_decided(program: HydraProgram, resources: Resources, jobs: Overrides) -> list[list[JobReturn]]:
    """Train what is compared with more and more seeds; what has been decided gets no more of them.

    Args:
        program: whose jobs they are; the key `decide` of its configuration says when to look and to stop.
        resources: what the workers may take.
        jobs: the overrides of each job; they have one seed, the first of those that are added.

    Raises:
        UserError: for a mistake in the options or the jobs, before anything is written.
    """
    arms, seeds = split_arms(jobs)
    trial = plan_jobs(program, cross(arms, [[f"seed={seeds[0]}"]]))
    plan = check_deciding(trial, arms, seeds)
    prepare_jobs(program, trial)
    name, varied = f"decide {name_sweep(trial)}", trial.varied | {"seed"}
    with open_sweep(program, resources, name, varied, None) as sweep:
        returns = add_seeds(program, sweep, plan, arms, int(seeds[0]), varied)
    raise_failure(itertools.chain(*returns))
    return returns


def check_deciding(trial: Jobs, arms: Arms, seeds: Sequence[str]) -> Plan:
    """Return the plan by which seeds are added until all is decided.

    Args:
        trial: jobs of these arms.
        arms: what is compared, each without seed.
        seeds: that the user gave.

    Raises:
        UserError: these arms cannot be decided with this plan.
    """
    if len(seeds) > 1:
        raise UserError(
            f"seed must be one value, the first of those that are added: decide.most says how many; got "
            f"{len(seeds)} values."
        )
    if len(arms) < 2:
        raise UserError("decide compares two schedules or more, got one: give schedule=fixed,exponential.")
    plan = begun_result(trial.runs[0]).plan  # which refuses a metric that no run has
    assert plan is not None  # noqa: S101 - or this was not called
    tests = len(arms) - 1 if len(arms) > MOST_FOR_ALL_PAIRS else len(arms) * (len(arms) - 1) // 2
    if plan.most < (needed := seeds_needed(tests)):
        pairs = "one pair" if tests == 1 else f"one of {tests} pairs"
        raise UserError(
            f"decide.most must be at least {needed}: fewer seeds cannot decide {pairs}; got {plan.most}."
        )
    refuse_number(len(arms) * plan.most)
    return plan


def add_seeds(
    program: HydraProgram,
    sweep: Sweep,
    plan: Plan,
    arms: Arms,
    first: int,
    varied: frozenset[str],
    before: int = 0,
) -> list[list[JobReturn]]:
    """Train and compare with more and more seeds, until every pair is decided; return the jobs of each look.

    Args:
        program: whose jobs they are.
        sweep: where they run.
        plan: from `check_deciding`.
        arms: what is compared, each without seed.
        first: the seed that all begin with.
        varied: the override keys whose values differ between the runs.
        before: how many jobs the sweep has had.
    """
    plan, returns = _continue(plan, sweep.past), list[list[JobReturn]]()
    going, told, done = list(range(len(arms))), set[tuple[str, str]](), 0
    for look in itertools.takewhile(lambda seeds: seeds <= plan.most, plan.looks):
        choices = [[f"seed={first + place}", f"decide.planned={plan.planned}"] for place in range(done, look)]
        wanted = cross([arms[place] for place in going], choices)
        returns.append(sweep.run(plan_jobs(program, wanted, before + sum(map(len, returns)), varied)))
        outcomes = [result for result in sweep.results if result.is_outcome and not result.is_tuning]
        if find_worst(outcomes) is None:  # there is nothing to be compared, as the end says
            break
        found, done = compare(outcomes), look
        names = list_going(found.pairs, plan.question)
        program.display.say(*_describe_look(found, told, look, plan, names))
        going = _find_going(going, returns[-1], found, names)
        if not going:
            break
    return returns


def _continue(plan: Plan, past: Past) -> Plan:
    """Return the plan with the looks of the day when the sweep was begun.

    Raises:
        UserError: it was begun with another one.
    """
    tags = [run.begun["tags"] for run in past.runs.values() if run.begun is not None]
    before = next((Plan.read(own.get("decide")) for own in tags), None)
    if before is None:
        return plan
    for key in ("matters", "question", "metric", "target"):
        if (was := getattr(before, key)) != getattr(plan, key):
            raise UserError(
                f"resume: decide.{key} was {was} when the sweep was begun; only decide.most may change."
            )
    return plan.model_copy(update={"planned": before.planned})


def _describe_look(
    found: Comparison, told: set[tuple[str, str]], look: int, plan: Plan, names: Sequence[str]
) -> list[str]:
    """Return the lines that say what is decided now, and what goes on; keep in `told` what was said."""
    runs = sum(len(one.runs) for one in found.members)
    decided = [pair for pair in found.pairs if pair.verdict != "open"]
    new = [pair for pair in decided if (pair.first, pair.second) not in told]
    told.update((pair.first, pair.second) for pair in new)
    goes_on = [f"  {', '.join(names)}: go on"] if names and look < plan.most else []
    return [f"after {look} seeds, {runs} runs:", *(f"  {pair.sentence}" for pair in new), *goes_on]


def _find_going(
    going: Sequence[int], returns: Sequence[JobReturn], found: Comparison, names: Sequence[str]
) -> list[int]:
    """Return which of the arms that had runs at this look are in a group that goes on."""
    size = len(returns) // len(going)  # the jobs of an arm stand together, equally many for each
    own = {
        place: [
            one.return_value
            for one in returns[i * size : (i + 1) * size]
            if one.status == JobStatus.COMPLETED
        ]
        for i, place in enumerate(going)
    }
    groups = [group for group in found.members if group.name in names]
    return [
        place
        for place, results in own.items()
        if any(result in group.runs for group in groups for result in results)
    ]
