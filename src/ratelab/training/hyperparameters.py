"""The hyperparameters of a stack: those that stay the same are a number, those that do not a column."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ratelab.training.segments import Segment

Values = Mapping[str, npt.NDArray[np.float32]]

__all__ = ["Hyperparameters"]


class Hyperparameters:
    """Of all jobs of a stack.

    Args:
        jobs: for each job, its hyperparameters: float32[], or float32[steps] where one changes.

    Attributes:
        fixed: those that change in no job, each float32[jobs].
        varied: those that change in some job, each float32[steps, jobs].
    """

    def __init__(self, jobs: Sequence[Values] = ({},)) -> None:
        columns = {name: [own[name] for own in jobs] for name in jobs[0]}
        stacked = {name: np.stack(np.broadcast_arrays(*values), -1) for name, values in columns.items()}
        self.fixed = {name: values for name, values in stacked.items() if values.ndim == 1}
        self.varied = {name: values for name, values in stacked.items() if values.ndim == 2}

    def varied_in(self, segment: Segment) -> dict[str, npt.NDArray[np.float32]]:
        """Return those that change for the updates of a segment."""
        return {name: values[segment.place] for name, values in self.varied.items()}
