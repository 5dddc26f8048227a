"""A sweep in two parts: each schedule's base rate is chosen, then schedules are judged with fresh seeds."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ratelab.comparison import Result, Tuned, find_shared, find_worst, tune
from ratelab.config.hydra_internals import refuse_number
from ratelab.runs import description
from ratelab.sweeps.arms import Arms, cross, read_value, split_arms, without
from ratelab.sweeps.decided import add_seeds, check_deciding
from ratelab.sweeps.jobs import HydraProgram, Overrides, plan_jobs, prepare_jobs, raise_failure, varied_keys
from ratelab.sweeps.naming import name_sweep
from ratelab.sweeps.resources import Resources
from ratelab.sweeps.sweep import Sweep, open_sweep
from ratelab.validation import Positive, UserError, explain


class Tuning(BaseModel):
    """How base rates are chosen; see conf/experiment/tuned.yaml."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    lowest: Positive
    highest: Positive
    points: int = Field(ge=3, le=1000)
    seeds: list[int] = Field(min_length=1)
    widenings: int = Field(ge=0, le=100)

    @property
    def grid(self) -> list[float]:
        """The base rates to begin with: equal ratios, three digits."""
        return [_shorten(rate) for rate in np.geomspace(self.lowest, self.highest, self.points)]

    def beyond(self, rates: Sequence[float], edges: set[str]) -> list[float]:
        """Return two more rates at each edge that had the best mean of a schedule, in the same ratio.

        Args:
            rates: those tried, ascending.
            edges: of "lowest" and "highest".
        """
        ratio = (self.highest / self.lowest) ** (1 / (self.points - 1))
        below = [rates[0] / ratio**2, rates[0] / ratio] if "lowest" in edges else []
        above = [rates[-1] * ratio, rates[-1] * ratio**2] if "highest" in edges else []
        return [_shorten(rate) for rate in (*below, *above)]


def sweep_tuned(
    program: HydraProgram, resources: Resources, jobs: Overrides, options: Mapping[str, Any]
) -> list[list[JobReturn]]:
    """Choose base rates on the validation split, then compare on the test split, all as one sweep.

    Every schedule is tried at the same base rates with the same tuning seeds. Where the best mean of one is
    at an edge of the grid, the grid grows there, for all. Then each schedule runs with the seeds of the
    sweep, at the base rate of the configuration and at its own best; where `decide` says so, at its best
    alone, with seeds that are added until all is decided.

    Args:
        program: whose jobs they are.
        resources: what the workers may take.
        jobs: the overrides of each job, as if nothing was tuned; their seeds judge.
        options: those of `Tuning`.

    Raises:
        UserError: for a mistake in the options or the jobs, before anything is written.
    """
    tuning = _read(options)
    arms, seeds = _find_arms(jobs)
    refuse_number(len(arms) * tuning.points * len(tuning.seeds))
    # Planned to be refused now: what judges runs last, perhaps hours later, and at rates not known yet.
    judged = plan_jobs(program, cross(arms, [[f"seed={seed}"] for seed in seeds]))
    plan = check_deciding(judged, arms, seeds) if program.decides else None
    added = [] if plan is None else [str(int(seeds[0]) + place) for place in range(plan.most)]
    _refuse_shared(tuning, [*seeds, *added])
    trials = plan_jobs(program, _list_trials(arms, tuning.grid, tuning))
    # refused now, for by different metrics nothing could be chosen when the trials have ended
    find_shared(description.outcomes_of(run).judging for run in trials.runs)
    prepare_jobs(program, trials)
    # How many runs there will be is known only when no grid grows any more.
    name, varied = f"tuned {name_sweep(judged)}", judged.varied | {"learning_rate"}
    with open_sweep(program, resources, name, varied, None) as sweep:
        returns = [sweep.run(trials)]
        best = _choose(program, sweep, returns, arms, tuning)
        usual = [float(read_value(arm, "learning_rate", str(program.config.learning_rate))) for arm in arms]
        chosen = [base if one is None else one.best for base, one in zip(usual, best, strict=True)]
        before = sum(map(len, returns))
        if plan is None:
            at_both = _at_rates(arms, [[*dict.fromkeys(rates)] for rates in zip(usual, chosen, strict=True)])
            final = cross(at_both, [[f"seed={seed}"] for seed in seeds])
            returns.append(sweep.run(plan_jobs(program, final, before)))
        else:
            at_best = _at_rates(arms, [[rate] for rate in chosen])
            returns += add_seeds(program, sweep, plan, at_best, int(seeds[0]), varied | {"seed"}, before)
    raise_failure(itertools.chain(*returns))
    return returns


def _choose(
    program: HydraProgram, sweep: Sweep, returns: list[list[JobReturn]], arms: Arms, tuning: Tuning
) -> list[Tuned | None]:
    """Let the grid grow as long as the best mean of an arm is at its edge; return the choice of each arm.

    Args:
        program: whose jobs they are.
        sweep: where further trials run.
        returns: of the trials at the first grid; those of further ones are added.
        arms: what is compared.
        tuning: the options.
    """
    tried, best = tuning.grid, _choose_best(returns, len(arms))
    for _ in range(tuning.widenings):
        # It grows for all arms, also where one has its best mean inside: the same budget for each.
        new = tuning.beyond(tried, {one.at_edge for one in best if one is not None})
        if not new:
            break
        trials = plan_jobs(program, _list_trials(arms, new, tuning), sum(map(len, returns)))
        returns.append(sweep.run(trials))
        tried, best = sorted([*tried, *new]), _choose_best(returns, len(arms))
    return best


def _at_rates(arms: Arms, rates: Sequence[Sequence[float]]) -> Arms:
    """Return each arm at each of its base rates."""
    return [
        [*without(arm, "learning_rate"), f"learning_rate={rate!r}"]
        for arm, own in zip(arms, rates, strict=True)
        for rate in own
    ]


def _read(options: Mapping[str, Any]) -> Tuning:
    plain = OmegaConf.to_container(options) if OmegaConf.is_config(options) else dict(options)
    try:
        tuning = Tuning.model_validate(plain)
    except ValidationError as error:
        raise UserError(explain(error, "hydra.sweeper.tuning", Tuning.model_fields)) from None
    if tuning.lowest >= tuning.highest:
        raise UserError(
            f"hydra.sweeper.tuning.lowest must be below highest, got {tuning.lowest} and {tuning.highest}."
        )
    if len(set(tuning.grid)) < tuning.points:
        raise UserError(
            f"hydra.sweeper.tuning.points must give rates that differ in their first three digits, got "
            f"{tuning.points} from {tuning.lowest} to {tuning.highest}; give fewer, or ends farther apart."
        )
    if len(set(tuning.seeds)) < len(tuning.seeds):
        raise UserError(f"hydra.sweeper.tuning.seeds must differ from each other, got {tuning.seeds}.")
    return tuning


def _find_arms(jobs: Overrides) -> tuple[Arms, list[str]]:
    """Return what is compared, each without seed, and the seeds."""
    if "learning_rate" in varied_keys(jobs):
        raise UserError(
            "learning_rate must be one value: the base rates to try come from hydra.sweeper.tuning; "
            "set its lowest, highest and points."
        )
    return split_arms(jobs)


def _refuse_shared(tuning: Tuning, seeds: Sequence[str]) -> None:
    if both := sorted(set(seeds) & {str(seed) for seed in tuning.seeds}):
        raise UserError(
            f"hydra.sweeper.tuning.seeds must be other seeds than those that judge, both have {both[0]}."
        )


def _list_trials(arms: Arms, rates: Sequence[float], tuning: Tuning) -> Arms:
    """Return the jobs that try each rate with each tuning seed; they never see the test split."""
    choices = [
        [f"learning_rate={rate!r}", f"seed={seed}", "test=false"] for rate in rates for seed in tuning.seeds
    ]
    return cross([without(arm, "learning_rate", "test") for arm in arms], choices)


def _choose_best(returns: Sequence[Sequence[JobReturn]], arms: int) -> list[Tuned | None]:
    """Return the choice of each arm after these trials; None where no run of it has an outcome."""
    found: list[list[Result]] = [[] for _ in range(arms)]
    for trials in returns:
        size = len(trials) // arms  # the jobs of an arm stand together, equally many for each
        for place, one in enumerate(trials):
            # what failed has an exception as its value
            if one.status == JobStatus.COMPLETED and one.return_value.is_outcome:
                found[place // size].append(one.return_value)
    # beside the runs of all arms, as the study of the sweep does: it must find the same rates the best
    worst = find_worst([result for results in found for result in results])
    chosen = [tune(results, worst) for results in found]
    return [own[0] if own else None for own in chosen]


def _shorten(rate: float) -> float:
    """Return the rate in three digits: it is part of names."""
    return float(f"{rate:.3g}")
