"""Our schedules as PyTorch's own kind. PyTorch is no requirement: it is imported when it is asked for."""

import functools
from dataclasses import dataclass
from typing import Any

from ratelab.schedules.interface import Build, build_schedule, tabulate
from ratelab.schedules.plateau import Reactive
from ratelab.validation import UserError, name_of


@dataclass
class Table:
    """What a `LambdaLR` asks for the rate of a step: number t of a table, after its end the last one.

    `LambdaLR.state_dict` saves the table, because it is an attribute; of a function it would save nothing.

    Args:
        rates: of every step.
    """

    rates: list[float]

    def __call__(self, step: int) -> float:
        """Return the rate of a step."""
        return self.rates[min(step, len(self.rates) - 1)]


def as_torch(optimizer: Any, function: Build, steps: int, **options: Any) -> Any:
    """Return a `torch.optim.lr_scheduler.LambdaLR` that gives an optimizer the rates of ours, step by step.

    The base rate is the one that the first parameter group of the optimizer has. The schedule is tabulated
    once, in float32, as where we train: before update t the rate is exactly number t of the table, and after
    its end the last one. A group with another rate keeps its ratio to the first: the ratio, not the rate, is
    what PyTorch then has as `initial_lr`, so that it multiplies the rates of the first group by 1.0.

    `state_dict` holds the table as well, in plain numbers. Who goes on makes the scheduler first and then
    loads both states, as with every scheduler of PyTorch's. Momentum is not moved, whatever the schedule.

    Args:
        optimizer: of PyTorch's, its rate above 0, without another scheduler.
        function: a function of this package, or one of your own.
        steps: the length of the run; call `step()` of what is returned after each update.
        options: what else the function takes; schedules among them as functions or partials of them.

    Raises:
        UserError: if an argument is out of its bounds, for a schedule that waits for losses, and where
            PyTorch is not installed.
    """
    try:
        from torch.optim.lr_scheduler import LambdaLR
    except ImportError as error:
        raise UserError(f"as_torch needs PyTorch ({error}): pip install torch") from error
    base = float(optimizer.param_groups[0]["lr"])
    if not base > 0:
        raise UserError(f"as_torch: the rate of the optimizer must be above 0, got {base}.")
    made = build_schedule(functools.partial(function, **options), base, steps)
    if isinstance(made, Reactive):
        raise UserError(
            f"as_torch: {name_of(function)} waits for validation losses, which a LambdaLR never sees; "
            "take torch.optim.lr_scheduler.ReduceLROnPlateau."
        )
    table = Table(tabulate(made, steps).tolist())
    for group in optimizer.param_groups:
        group["initial_lr"] = float(group["lr"]) / base
    return LambdaLR(optimizer, table)
