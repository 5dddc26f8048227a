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
from ratelab.sweeps.jobs import HydraProgram, Overrides, plan_jobs, prepare_jobs, raise_failure
from ratelab.sweeps.naming import name_sweep
from ratelab.sweeps.resources import Resources
from ratelab.sweeps.sweep import open_sweep
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
    arms, first = _find_arms(jobs)
    trial = plan_jobs(program, cross(arms, [[f"seed={first}"]]))
    begun = begun_result(trial.runs[0])  # which refuses a metric that no run has
    assert begun.plan is not None  # noqa: S101 - there is the key, or this was not called
    _check(begun.plan, len(arms))
    prepare_jobs(program, trial)
    returns: list[list[JobReturn]] = []
    name, varied = f"decide {name_sweep(trial)}", trial.varied | {"seed"}
    with open_sweep(program, resources, name, varied, None) as sweep:
        plan = _continue(begun.plan, sweep.past)
        going, told, done = list(range(len(arms))), set[tuple[str, str]](), 0
        for look in itertools.takewhile(lambda seeds: seeds <= plan.most, plan.looks):
            choices = [
                [f"seed={first + place}", f"decide.planned={plan.planned}"] for place in range(done, look)
            ]
            wanted = cross([arms[place] for place in going], choices)
            returns.append(sweep.run(plan_jobs(program, wanted, sum(map(len, returns)), varied)))
            outcomes = [result for result in sweep.results if result.is_outcome]
            if find_worst(outcomes) is None:  # there is nothing to be compared, as the end says
                break
            found, done = compare(outcomes), look
            names = list_going(found.pairs, plan.question)
            program.display.say(*_describe_look(found, told, look, plan, names))
            going = _find_going(going, returns[-1], found, names)
            if not going:
                break
    raise_failure(itertools.chain(*returns))
    return returns


def _find_arms(jobs: Overrides) -> tuple[Arms, int]:
    """Return what is compared, each without seed, and the first seed."""
    arms, seeds = split_arms(jobs)
    if len(seeds) > 1:
        raise UserError(
            f"seed must be one value, the first of those that are added: decide.most says how many; got "
            f"{len(seeds)} values."
        )
    if len(arms) < 2:
        raise UserError("decide compares two schedules or more, got one: give schedule=fixed,exponential.")
    return arms, int(seeds[0])


def _check(plan: Plan, arms: int) -> None:
    tests = arms - 1 if arms > MOST_FOR_ALL_PAIRS else arms * (arms - 1) // 2
    if plan.most < (needed := seeds_needed(tests)):
        pairs = "one pair" if tests == 1 else f"one of {tests} pairs"
        raise UserError(
            f"decide.most must be at least {needed}: fewer seeds cannot decide {pairs}; got {plan.most}."
        )
    refuse_number(arms * plan.most)


def _continue(plan: Plan, past: Past) -> Plan:
    """Return the plan with the looks of the day when the sweep was begun.

    Raises:
        UserError: it was begun with another one.
    """
    tags = [run.begun["tags"] for run in past.runs.values() if run.begun is not None]
    before = next((Plan.read(own.get("decide")) for own in tags), None)
    if before is None:
        return plan
    for key in ("matters", "question", "metric"):
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
