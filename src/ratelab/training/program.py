"""The compiled program of a stack of jobs, without Python inside, and the programs of a process."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ratelab.training.device_data import EVALUATION_BATCH, DeviceData, Piece
from ratelab.training.job import Hyperparameters, Job, build_from_seed
from ratelab.training.loop import Loop
from ratelab.training.models_accepted import (
    can_stack,
    check_model,
    gains_from_xla,
    is_by_example,
)
from ratelab.training.network import Network
from ratelab.training.trial import Trial, check_repeats
from ratelab.validation import UserError


class CannotStack(Exception):  # noqa: N818 - it names what is the case
    """Runs of this model can only be trained one by one."""


class Program:
    """The compiled training and evaluation functions for a stack of jobs: one model, optimizer, data set.

    It has no state: what training changes goes in as an argument and comes out as a result, so one program
    serves one stack after another. A shape of batches is compiled at its first use.

    Args:
        job: any of the jobs that share its `program_key`.
        size: the number of jobs in the stack.
        data: the tensors of the job's data; None: made here.

    Attributes:
        size: as given.
        xla: whether the functions are compiled with XLA.
        by_example: whether the model maps each example by itself, so that a batch can be padded.
        data: as given.
        seconds_compiling: how long the compilation of `run` has taken until now.

    Raises:
        UserError: if the model does not map a batch of inputs to what the task asks for.
        CannotStack: if `size` is above 1 and the model has layers other than dense ones.
    """

    def __init__(self, job: Job, size: int = 1, data: DeviceData | None = None) -> None:
        import tensorflow as tf

        self._job, self.size = job, size
        # Only for its form: the weights of each run are drawn by `Training`, from the seed of the run.
        build = partial(build_from_seed, job.build_model, np.random.SeedSequence(0))
        model = build()
        check_model(model, job.data)
        if size > 1 and not can_stack(model):
            raise CannotStack
        self.by_example = is_by_example(model)
        self.xla = gains_from_xla(model) if job.xla is None else job.xla
        self._network = Network(model, job.data.scale)
        self._trial = Trial(self._network, job.data, job.task)
        self._trial.check_model()
        check_repeats(build, model)
        optimizer = job.optimizer.for_weights(self._network.weights)
        loop = Loop(self._network, job.task, optimizer, size, self.xla)
        compiler = tf.function(jit_compile=self.xla, autograph=False)
        self._train, self._evaluate = compiler(loop.train), compiler(loop.evaluate)
        self.data = DeviceData(job.data) if data is None else data
        self._shapes: set[tuple[Any, ...]] = set()
        self.seconds_compiling = 0.0

    @property
    def traces(self) -> int:
        """How many times the training function was compiled: once for each shape of a segment."""
        return int(self._train.experimental_get_tracing_count())

    def initial_state(self, model: Any) -> Any:
        """Return weights, optimizer slots and other variables of `model`, [jobs, ...], equal for all jobs.

        Raises:
            UserError: if the model is more than its variables another one than that of the program.
        """
        import tensorflow as tf

        self._trial.check_twin(model)
        weights, others = self._network.state_of(model)
        slots = self._job.optimizer.first_slots(weights)
        # The jobs of a stack have one seed, so the model is drawn once and repeated. Each gets a copy of its
        # own: from the first update on they differ.
        return tf.nest.map_structure(lambda x: tf.repeat(x[None], self.size, 0), (weights, slots, others))

    def flatten(self, state: Any) -> tuple[npt.NDArray[Any], ...]:
        """Return the arrays of a state, in the order in which TensorFlow flattens them."""
        import tensorflow as tf

        return tuple(leaf.numpy() for leaf in tf.nest.flatten(state))

    def restore(self, state: Any, arrays: Sequence[npt.NDArray[Any]]) -> Any:
        """Return the state that these arrays are of.

        Args:
            state: any of the same program.
            arrays: as `flatten` returned them.

        Raises:
            UserError: they are of another program.
        """
        import tensorflow as tf

        leaves = tf.nest.flatten(state)
        forms = [(leaf.dtype.as_numpy_dtype, tuple(leaf.shape)) for leaf in leaves]
        if forms != [(array.dtype.type, array.shape) for array in arrays]:
            raise UserError("resume: the checkpoint is of another model or optimizer; begin anew.")
        return tf.nest.pack_sequence_as(state, [tf.constant(array) for array in arrays])

    def assign(self, state: Any, number: int, model: Any) -> None:
        """Write the weights of job `number` that are to be evaluated into the variables of `model`."""
        import tensorflow as tf

        weights, slots, others = tf.nest.map_structure(lambda x: x[number], state)
        own = self._network.turn(self._job.optimizer.evaluated(weights, slots))
        for variable, value in zip(model.trainable_variables, own, strict=True):
            variable.assign(value)
        for variable, value in zip(model.non_trainable_variables, others, strict=True):
            variable.assign(value)

    def run(
        self,
        state: Any,
        piece: Piece,
        rates: npt.NDArray[np.float32],
        hyperparameters: Hyperparameters,
    ) -> tuple[Any, npt.NDArray[np.float32]]:
        """Do the updates of a segment.

        Args:
            state: of the jobs, before.
            piece: the segment and its examples.
            rates: float32[steps, jobs].
            hyperparameters: of the optimizer.

        Returns:
            The state after, and the losses, float32[steps, jobs].
        """
        import tensorflow as tf

        segment = piece.segment
        rows = len(segment.order)
        varied = hyperparameters.for_segment(segment)
        # Everything is a tensor: a number of Python's would be a part of the program, and a new one compiled.
        train = partial(
            self._train,
            piece.inputs,
            piece.targets,
            piece.order,
            sizes=None if segment.sizes is None else tf.constant(segment.sizes),
            rates=tf.constant(_pad_rows(rates, rows)),
            first_step=tf.constant(segment.first_step),
            fixed={name: tf.constant(values) for name, values in hyperparameters.fixed.items()},
            varied={name: tf.constant(_pad_rows(columns, rows)) for name, columns in varied.items()},
            state=state,
        )
        shape = (*piece.inputs.shape, *piece.order.shape, segment.sizes is None)
        if shape not in self._shapes:
            begin = time.time()
            train(steps=tf.constant(0))  # of no update, which takes no time but that of the compilation
            self._shapes.add(shape)
            self.seconds_compiling += time.time() - begin
        state, losses = train(steps=tf.constant(segment.steps))
        return state, losses.numpy()[: segment.steps]

    def evaluate(self, state: Any, split: str) -> list[dict[str, float]]:
        """Return "loss" and the metrics of each job on "validation" or "test".

        The sums of the program are made into means and metrics here, by the task.
        """
        import tensorflow as tf

        sums = {name: tf.zeros(self.size) for name in self._job.task.by_example}
        for inputs, targets, counts in self.data.chunks(split):
            sums = self._evaluate(inputs, targets, counts, state, sums)
        found = {name: total.numpy() for name, total in sums.items()}
        whole, jobs = getattr(self._job.data, split).targets, range(self.size)
        by_job = [{name: float(total[place]) for name, total in found.items()} for place in jobs]
        return [self._job.task.finish(own, whole) for own in by_job]


class ProgramCache:
    """Makes a program at its first use and keeps it; another kind of job makes it forget all, to save memory.

    A process trains one kind of job after another and hardly returns to one, but it trains stacks of several
    sizes: at the end of a sweep they are smaller.
    """

    def __init__(self) -> None:
        self._key: str | None = None
        self._data: DeviceData | None = None
        self._by_size: dict[int, Program] = {}

    def get(self, job: Job, size: int = 1) -> Program:
        """Return the program for stacks of `size` jobs like `job`.

        Raises:
            UserError: if the model does not map a batch of inputs to what the task asks for.
            CannotStack: as `Program`.
        """
        if job.program_key != self._key:
            # Let the old tensors go before the new ones are made: both at once may not fit.
            self._by_size, self._data = {}, None
            self._data = DeviceData(job.data)
            self._key = job.program_key
        if size not in self._by_size:
            self._by_size[size] = Program(job, size, self._data)
        return self._by_size[size]


def bytes_of_job(job: Job) -> int:
    """Estimate what a job adds to the memory of its stack: weights, slots, their new values, activations."""
    model = build_from_seed(job.build_model, np.random.SeedSequence(0))
    weights = sum(int(np.prod(variable.shape)) for variable in model.variables)
    # A layer that is called twice has no one output; what is left out is small beside what the others give.
    outputs = sum(_count_values(getattr(layer, "output", [])) for layer in model.layers)
    batch = max(int(job.batches.sizes.max()), EVALUATION_BATCH)
    # Weights, gradients and slots, each twice: what an update reads and what it writes exist together.
    state = weights * 2 * (2 + job.optimizer.slots)
    # What the layers give out for a batch, and the gradients of that.
    activations = outputs * batch * 2
    return 4 * (state + activations)  # float32


def _pad_rows(columns: npt.NDArray[np.float32], rows: int) -> npt.NDArray[np.float32]:
    """Return `columns`, [steps, jobs], with zeros behind up to `rows` steps."""
    return np.pad(columns, ((0, rows - len(columns)), (0, 0)))


def _count_values(output: Any) -> int:
    """Return how many values one example has in the output of a layer."""
    outputs = output if isinstance(output, list) else [output]
    return sum(int(np.prod([side or 1 for side in tensor.shape[1:]])) for tensor in outputs)
