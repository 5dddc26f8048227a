"""The compiled programs of a process: one kind of job at a time, in stacks of any size."""

from typing import Any

import numpy as np

from ratelab.training.device_data import EVALUATION_BATCH, DeviceData
from ratelab.training.job import Job, seeded_model
from ratelab.training.program import Program

__all__ = ["Programs", "bytes_of_job"]


class Programs:
    """Compiles a program at its first use; forgets all when another kind of job comes, to save memory."""

    def __init__(self) -> None:
        self._key: str | None = None
        self._data: DeviceData | None = None
        self._by_size: dict[int, Program] = {}

    def get(self, job: Job, size: int = 1) -> Program:
        """Return the program for stacks of `size` jobs like `job`.

        Raises:
            UserError: if the model does not map a batch of images to logits.
            CannotStack: as `Program`.
        """
        if job.program_key != self._key:
            self._by_size, self._data = {}, None
            self._data = DeviceData(job.data)
            self._key = job.program_key
        if size not in self._by_size:
            self._by_size[size] = Program(job, size, self._data)
        return self._by_size[size]


def bytes_of_job(job: Job) -> int:
    """Estimate what a job adds to the memory of its stack: weights, slots, their new values, activations."""
    model = seeded_model(job.build_model, np.random.SeedSequence(0))
    weights = sum(int(np.prod(variable.shape)) for variable in model.variables)
    outputs = sum(_values(layer.output) for layer in model.layers)
    batch = max(int(job.batches.sizes.max()), EVALUATION_BATCH)
    return 4 * (weights * 2 * (2 + job.optimizer.slots) + outputs * batch * 2)


def _values(output: Any) -> int:
    """Return how many values one example has in the output of a layer."""
    outputs = output if isinstance(output, list) else [output]
    return sum(int(np.prod([side or 1 for side in tensor.shape[1:]])) for tensor in outputs)
