"""A job: all that one run needs; and the hyperparameters of the jobs of a stack."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ratelab.batch_sizes import BatchPlan
from ratelab.data import Dataset
from ratelab.optimizers import Optimizer
from ratelab.tasks import Task
from ratelab.training.rates import Rates
from ratelab.training.segments import Segment

Values = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Job:
    """All that one run needs; nothing in it knows where the configuration came from.

    Attributes:
        seed: weights and batch order come from independent streams of it.
        rates: the learning rate of every update of the run.
        batches: the size of the batch of every update.
        build_model: makes the Keras model, its weights drawn from Keras' global seed. A function, since a job
            is made before TensorFlow is imported, and perhaps sent to another process.
        data: the three splits.
        task: what is learned and how it is judged.
        optimizer: the update rule.
        xla: compile the loop with XLA; None: if the model consists of layers that gain from it.
        program_key: jobs with equal keys differ only in seed, rates, momenta, epochs and the hyperparameters
            of the optimizer, and share one compiled program.
        momenta: float32[steps], the momentum of every update; None: that of the optimizer.
        test: look at the test split at the end; a run that is made to choose something does not.
    """

    seed: int
    rates: Rates
    batches: BatchPlan
    build_model: Callable[[], Any]
    data: Dataset
    task: Task
    optimizer: Optimizer
    xla: bool | None
    program_key: str
    momenta: npt.NDArray[np.float32] | None = None
    test: bool = True

    @property
    def hyperparameters(self) -> dict[str, npt.NDArray[np.float32]]:
        """The optimizer's numbers by name: float32[], or float32[steps] where one follows the momenta."""
        numbers = dict(self.optimizer.hyperparameters)
        follow = self.optimizer.numbers_of_momenta
        changing = {} if self.momenta is None or follow is None else follow(self.momenta)
        # Rounded at the end, so that 1 - beta, for one, is taken in float64.
        return {name: np.asarray(value, np.float32) for name, value in {**numbers, **changing}.items()}

    def noise_scale(self, step: int, rate: float) -> float | None:
        """Return rate * N / (batch * (1 - momentum)) at an update, N the number of training examples.

        It is the scale of the noise that a batch adds to the gradient, derived for gradient descent; None
        for other optimizers. Smith & Le 2018, arXiv 1710.06451.
        """
        momentum = self.optimizer.momentum
        if momentum is None:
            return None
        if self.momenta is not None:
            momentum = float(self.momenta[step])
        examples, batch = len(self.data.train), int(self.batches.sizes[step])
        return rate * examples / (batch * (1 - momentum))


class Hyperparameters:
    """The hyperparameters of the optimizers of all jobs of a stack, side by side.

    One that changes in the run of any job becomes a column that the loop reads at each step; one that changes
    in none stays a number for each job.

    Args:
        jobs: for each job, its hyperparameters by name, the same names in all: float32[], or float32[steps]
            where one changes. The steps are those of the whole run.

    Attributes:
        fixed: those that change in no job, each float32[jobs].
        varied: those that change in some job, each float32[steps, jobs].

    >>> momenta = np.float32([0.95, 0.85])
    >>> both = Hyperparameters([{"momentum": momenta}, {"momentum": np.float32(0.9)}])
    >>> both.fixed, both.varied["momentum"].tolist() == np.float32([[0.95, 0.9], [0.85, 0.9]]).tolist()
    ({}, True)
    """

    def __init__(self, jobs: Sequence[Values] = ({},)) -> None:
        # Where one changes in some job and stays in another, the latter gets a column of equal numbers.
        columns = {name: [own[name] for own in jobs] for name in jobs[0]}
        stacked = {name: np.stack(np.broadcast_arrays(*values), -1) for name, values in columns.items()}
        self.fixed = {name: values for name, values in stacked.items() if values.ndim == 1}
        self.varied = {name: values for name, values in stacked.items() if values.ndim == 2}

    def for_segment(self, segment: Segment) -> dict[str, npt.NDArray[np.float32]]:
        """Return those that change, each float32[steps, jobs], for the updates of a segment."""
        return {name: values[segment.place] for name, values in self.varied.items()}


def build_from_seed(build_model: Callable[[], Any], seed: np.random.SeedSequence) -> Any:
    """Build a Keras model, its weights and its dropout drawn from `seed`."""
    import keras

    # Keras draws weights and dropout from one global seed, and no initializer of a user's can be relied on
    # to take another.
    keras.utils.set_random_seed(int(seed.generate_state(1)[0]))
    return build_model()
