"""A range test: the rate rises from step to step, and the loss of every batch is kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ratelab.batch_sizes import BatchPlan
from ratelab.runtime.signals import held_back
from ratelab.schedules import tabulate
from ratelab.training import Chunk, Job, ProgramCache, Tabulated, Training, prefetch

EPOCHS_AHEAD = 10


@dataclass(frozen=True, eq=False)
class RangeTest:
    """What a range test gave.

    Attributes:
        rates: float32[steps], those applied.
        losses: float64[seeds, steps], of each batch before its update; NaN from the first on that was not
            finite.
        seeds: of the runs.
    """

    rates: npt.NDArray[np.float32]
    losses: npt.NDArray[np.float64]
    seeds: tuple[int, ...]


def rising_rates(lowest: float, highest: float, steps: int) -> npt.NDArray[np.float32]:
    """Return rate(t) = lowest * (highest / lowest) ^ (t / (steps - 1)), rounded once.

    Args:
        lowest: rate of the first step; > 0.
        highest: rate of the last step; > lowest.
        steps: at least 2.

    Returns:
        float32[steps].

    References:
        Smith 2017, arXiv 1506.01186, whose rate rises linearly; equal ratios look at every decade alike.

    >>> rising_rates(0.01, 1, 3)
    array([0.01, 0.1 , 1.  ], dtype=float32)
    """
    return tabulate(lambda step: lowest * (highest / lowest) ** (step / (steps - 1)), steps)


def range_test(
    jobs: Sequence[Job],
    batches: BatchPlan,
    rates: npt.NDArray[np.float32],
    advance: Callable[[Chunk], None] = lambda _chunk: None,
) -> RangeTest:
    """Train each job under the rising rates, in the loop that trains everything, with no other change.

    Args:
        jobs: one for each seed, otherwise equal; their own rates, momenta and batches are not used.
        batches: of every run.
        rates: float32[steps], as many as `batches` has.
        advance: told of every epoch.

    Raises:
        UserError: if the model does not fit the data or the task.
    """
    programs = ProgramCache()
    losses = np.full((len(jobs), len(rates)), np.nan)
    for row, job in zip(losses, jobs, strict=True):
        risen = replace(job, rates=Tabulated(rates), batches=batches, momenta=None, test=False)
        with held_back():  # C++ of TensorFlow's prints, or loses, what is raised inside of it
            training = Training([risen], programs.get(risen))
        with prefetch(training, EPOCHS_AHEAD) as epochs:
            for (chunk,) in epochs:
                assert chunk is not None  # noqa: S101 - the only run of its stack
                done = len(chunk.train_loss)
                row[chunk.first_step : chunk.first_step + done] = chunk.train_loss
                advance(chunk)
    losses[~np.isfinite(losses)] = np.nan
    return RangeTest(rates, losses, tuple(job.seed for job in jobs))
