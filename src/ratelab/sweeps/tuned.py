"""A sweep in two parts: each schedule's base rate is chosen, then schedules are judged with fresh seeds."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ratelab.comparison import Result, Tuned, tune
from ratelab.config.overrides import override_key
from ratelab.sweeps.sweep import opened, varied_keys
from ratelab.validation import Positive, UserError, explain

Jobs = list[list[str]]

__all__ = ["Tuning", "sweep_tuned"]


class Tuning(BaseModel):
    """How base rates are chosen; see conf/experiment/tuned.yaml."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    lowest: Positive
    highest: Positive
    points: int = Field(ge=3)
    seeds: list[int] = Field(min_length=1)
    widenings: int = Field(ge=0)

    @property
    def grid(self) -> list[float]:
        """The base rates to begin with: equal ratios, three digits."""
        return [_brief(rate) for rate in np.geomspace(self.lowest, self.highest, self.points)]

    def beyond(self, rates: Sequence[float], edges: set[str]) -> list[float]:
        """Return two more rates at each edge that was the best of a schedule, in the same ratio.

        Args:
            rates: those tried, ascending.
            edges: of "lowest" and "highest".
        """
        ratio = (self.highest / self.lowest) ** (1 / (self.points - 1))
        below = [rates[0] / ratio**2, rates[0] / ratio] if "lowest" in edges else []
        above = [rates[-1] * ratio, rates[-1] * ratio**2] if "highest" in edges else []
        return [_brief(rate) for rate in (*below, *above)]


def sweep_tuned(
    launcher: Any, config: DictConfig, jobs: Jobs, options: Mapping[str, Any]
) -> list[Sequence[JobReturn]]:
    """Choose base rates on the validation split, then compare on the test split, all as one sweep.

    Every schedule is tried at the same base rates with the same tuning seeds. Where the best rate of one is
    an edge of the grid, the grid grows there, for all. Then each schedule runs with the seeds of the sweep,
    at the base rate of the configuration and at its own best.

    Args:
        launcher: our own one.
        config: of the sweep.
        jobs: the overrides of each job, as if nothing was tuned; their seeds judge.
        options: those of `Tuning`.

    Raises:
        UserError: for a mistake in the options or the jobs, before anything is written.
    """
    tuning = _read(options)
    arms, seeds = _arms(launcher, jobs, tuning)
    judged = _crossed(arms, [[f"seed={seed}"] for seed in seeds])
    launcher.check(judged)
    grid = tuning.grid
    launcher.check(_trials(arms, grid, tuning))  # which are then launched first
    folder = Path(str(config.hydra.sweep.dir))
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, folder / "multirun.yaml")
    with opened(config, None, varied_keys(judged) | {"learning_rate"}) as session:
        launcher.session = session
        try:
            return _run(launcher, arms, seeds, tuning)
        finally:
            launcher.session = None


def _run(launcher: Any, arms: Jobs, seeds: Sequence[str], tuning: Tuning) -> list[Sequence[JobReturn]]:
    returns: list[Sequence[JobReturn]] = []
    results: list[list[Result]] = [[] for _ in arms]
    tried: list[float] = []
    new = tuning.grid
    for _ in range(tuning.widenings + 1):
        done = launcher.launch(_trials(arms, new, tuning), sum(map(len, returns)))
        returns.append(done)
        for own, part in zip(results, _parts(done, len(arms)), strict=True):
            own += part
        tried = sorted([*tried, *new])
        best = [_best(own) for own in results]
        new = tuning.beyond(tried, {one.at_edge for one in best if one is not None})
        if not new:
            break
    final = [
        job
        for arm, one in zip(arms, best, strict=True)
        for job in _crossed(
            [_without(arm, "learning_rate")], _judges(_base(arm, launcher.config), one, seeds)
        )
    ]
    returns.append(launcher.launch(final, sum(map(len, returns))))
    return returns


def _judges(base: float, tuned: Tuned | None, seeds: Sequence[str]) -> Jobs:
    """Return what judges a schedule: every seed at the base rate, and at the best one if that is another."""
    rates = dict.fromkeys([base] if tuned is None else [base, tuned.best])
    return [[f"learning_rate={rate!r}", f"seed={seed}"] for rate in rates for seed in seeds]


def _base(arm: Sequence[str], config: DictConfig) -> float:
    return float(_value(arm, "learning_rate", str(config.learning_rate)))


def _read(options: Mapping[str, Any]) -> Tuning:
    plain = OmegaConf.to_container(options) if OmegaConf.is_config(options) else dict(options)
    try:
        tuning = Tuning.model_validate(plain)
    except ValidationError as error:
        raise UserError(explain(error, "hydra.sweeper.tuning")) from None
    if tuning.lowest >= tuning.highest:
        raise UserError(
            f"hydra.sweeper.tuning.lowest must be below highest, got {tuning.lowest} and {tuning.highest}."
        )
    return tuning


def _arms(launcher: Any, jobs: Jobs, tuning: Tuning) -> tuple[Jobs, list[str]]:
    """Return what is compared, each without seed, and the seeds."""
    if not hasattr(launcher, "session"):
        raise UserError("hydra.sweeper.tuning needs hydra/launcher=ratelab or hydra/launcher=ray.")
    if "learning_rate" in varied_keys(jobs):
        raise UserError(
            "learning_rate must be one value: the base rates to try come from hydra.sweeper.tuning; "
            "set its lowest, highest and points."
        )
    seeds = list(dict.fromkeys(_value(job, "seed", "0") for job in jobs))
    if both := sorted(set(seeds) & {str(seed) for seed in tuning.seeds}):
        raise UserError(
            f"hydra.sweeper.tuning.seeds must be other seeds than those that judge, both have {both[0]}."
        )
    return _unique([_without(job, "seed") for job in jobs]), seeds


def _value(job: Sequence[str], key: str, default: str) -> str:
    return next((text.partition("=")[2] for text in job if override_key(text) == key), default)


def _without(job: Sequence[str], *keys: str) -> list[str]:
    return [text for text in job if override_key(text) not in keys]


def _trials(arms: Jobs, rates: Sequence[float], tuning: Tuning) -> Jobs:
    """Return the jobs that try each rate with each tuning seed; they never see the test split."""
    choices = [
        [f"learning_rate={rate!r}", f"seed={seed}", "test=false"] for rate in rates for seed in tuning.seeds
    ]
    return _crossed([_without(arm, "learning_rate", "test") for arm in arms], choices)


def _crossed(arms: Jobs, choices: Jobs) -> Jobs:
    return [[*arm, *choice] for arm, choice in itertools.product(arms, choices)]


def _unique(jobs: Jobs) -> Jobs:
    return [list(job) for job in dict.fromkeys(tuple(job) for job in jobs)]


def _parts(returns: Sequence[JobReturn], number: int) -> list[list[Result]]:
    """Return the results of each arm; jobs that failed have none."""
    size = len(returns) // number
    return [
        [one.return_value for one in returns[first : first + size] if one.status == JobStatus.COMPLETED]
        for first in range(0, len(returns), size)
    ]


def _best(results: Sequence[Result]) -> Tuned | None:
    tuned = tune([result for result in results if result.is_outcome])
    return tuned[0] if tuned else None


def _brief(rate: float) -> float:
    """Return the rate in three digits: it is part of names."""
    return float(f"{rate:.3g}")
