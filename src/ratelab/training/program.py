"""The compiled loop: an epoch a call, no Python inside, the rate of step t read from the array."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ratelab.data import Dataset, Split
from ratelab.training.accepted import check_model, is_dense
from ratelab.training.dense import turn, with_turned_kernels
from ratelab.training.runs import Job, seeded_model

EVALUATION_BATCH = 1000

__all__ = ["CannotStack", "DeviceData", "Program"]


class CannotStack(Exception):  # noqa: N818 - it names what is the case
    """Runs of this model can only be trained one by one."""


class DeviceData:
    """The splits of a data set as tensors, for any number of programs.

    Args:
        data: as loaded.

    Attributes:
        train: uint8[examples, pixels] and int32[examples].
        splits: validation and test, cut into [chunks, batch, ...].
    """

    def __init__(self, data: Dataset) -> None:
        self.train = _on_device(data.train)
        self.splits = {
            "validation": _padded(_on_device(data.validation)),
            "test": _padded(_on_device(data.test)),
        }


class Program:
    """The compiled training and evaluation functions for a stack of jobs: one model, optimizer, batch size.

    The step is written for one job and lifted to many: all of them see the same batch, so that the products
    of the first layer, for all jobs, become one larger product. What is stacked has the axis of the jobs in
    front: weights [jobs, ...], the losses of an epoch [steps, jobs].

    Under XLA on a CPU the batch is gathered in a branch that is always taken, because XLA does not fuse
    across it: gathering and conversion in one loop over single bytes cost a fifth of a step more.

    Args:
        job: any of the jobs that share its `program_key`.
        size: the number of jobs in the stack.
        data: the tensors of the job's data; None: made here.

    Attributes:
        size: as given.
        xla: whether the functions are compiled with XLA.

    Raises:
        UserError: if the model does not map a batch of images to logits.
        CannotStack: if `size` is above 1 and the model has layers other than dense ones.
    """

    def __init__(self, job: Job, size: int = 1, data: DeviceData | None = None) -> None:
        import tensorflow as tf

        self._job, self.size = job, size
        model = seeded_model(job.build_model, np.random.SeedSequence(0))
        check_model(model, job.data)
        if size > 1 and not is_dense(model):
            raise CannotStack
        self._template, self._turned = with_turned_kernels(model)
        self.xla = is_dense(model) if job.xla is None else job.xla
        compiler = tf.function(jit_compile=self.xla, autograph=False)
        self._epoch = compiler(self._build_epoch())
        self._evaluate = compiler(self._build_evaluate())
        self._data = DeviceData(job.data) if data is None else data

    def initial_state(self, model: Any) -> Any:
        """Return weights, optimizer slots and other variables of `model`, the same for each job."""
        import tensorflow as tf

        weights = turn([tf.convert_to_tensor(v) for v in model.trainable_variables], self._turned)
        slots = [[tf.zeros_like(w) for w in weights] for _ in range(self._job.optimizer.slots)]
        others = [tf.convert_to_tensor(v) for v in model.non_trainable_variables]
        return tf.nest.map_structure(lambda x: tf.repeat(x[None], self.size, 0), (weights, slots, others))

    def assign(self, state: Any, number: int, model: Any) -> None:
        """Write the weights of job `number` into the variables of `model`."""
        weights, _, others = state
        own = turn([w[number] for w in weights], self._turned)
        for variable, value in zip(model.trainable_variables, own, strict=True):
            variable.assign(value)
        for variable, values in zip(model.non_trainable_variables, others, strict=True):
            variable.assign(values[number])

    def epoch(
        self,
        state: Any,
        order: npt.NDArray[np.int32],
        rates: npt.NDArray[np.float32],
        first_step: int,
        hyperparameters: Mapping[str, npt.NDArray[np.float32]],
    ) -> tuple[Any, npt.NDArray[np.float32]]:
        """Run one update a row of `order`.

        Args:
            state: of the jobs, before.
            order: the examples of each batch, int32[steps, batch].
            rates: float32[steps, jobs].
            first_step: the number of the first update.
            hyperparameters: of the optimizer, each float32[jobs].

        Returns:
            The state after, and the losses, float32[steps, jobs].
        """
        import tensorflow as tf

        images, labels = self._data.train
        numbers = {name: tf.constant(values) for name, values in hyperparameters.items()}
        state, losses = self._epoch(
            images, labels, tf.constant(order), tf.constant(rates), tf.constant(first_step), numbers, state
        )
        return state, losses.numpy()

    def evaluate(self, state: Any, split: str) -> list[tuple[float, float]]:
        """Return mean loss and accuracy of each job on "validation" or "test"."""
        images, labels = self._data.splits[split]
        losses, correct = self._evaluate(images, labels, state)
        examples = len(getattr(self._job.data, split).labels)
        pairs = zip(losses.numpy().tolist(), correct.numpy().tolist(), strict=True)
        return [(loss / examples, hits / examples) for loss, hits in pairs]

    def _logits(self, weights: list[Any], others: list[Any], pixels: Any, *, training: bool) -> Any:
        """Apply the model to a batch of pixels; return logits, its other variables, its own losses."""
        import tensorflow as tf

        logits, others, penalties = self._template.stateless_call(
            weights, others, pixels, training=training, return_losses=True
        )
        return tf.cast(logits, tf.float32), others, penalties

    def _pixels(self, batch: Any) -> Any:
        """Turn bytes [batch, pixels] into the model's input, from 0 to 1."""
        import tensorflow as tf

        scale = np.float32(1 / self._job.data.largest)
        return tf.reshape(
            tf.cast(batch, tf.float32) * scale, (batch.shape[0], *self._template.input_shape[1:])
        )

    def _build_step(self, t: Any, batch: Any, labels: Any) -> Callable[[Any], Any]:
        """Return the update number t of one job, from (rate, hyperparameters, state) to (loss, state)."""
        import tensorflow as tf

        pixels = self._pixels(batch)
        cross_entropy = _cross_entropy_by_classes if self.xla else _cross_entropy

        def step(arguments: Any) -> Any:
            rate, numbers, (weights, slots, others) = arguments
            with tf.GradientTape() as tape:
                tape.watch(weights)
                logits, others, penalties = self._logits(weights, others, pixels, training=True)
                loss = tf.add_n([tf.reduce_mean(cross_entropy(labels, logits)), *penalties])
            gradients = tape.gradient(loss, weights)
            weights, slots = self._job.optimizer.update(t, rate, weights, gradients, slots, **numbers)
            return loss, (weights, slots, others)

        return step

    def _build_epoch(self) -> Callable[..., Any]:
        import tensorflow as tf

        split = self.xla and not tf.config.get_visible_devices("GPU")

        def epoch(
            images: Any, labels: Any, order: Any, rates: Any, first_step: Any, numbers: Any, state: Any
        ) -> Any:
            steps = order.shape[0]

            def batch(rows: Any) -> Any:
                if not split:
                    return tf.gather(images, rows)
                nothing = tf.zeros((rows.shape[0], images.shape[1]), tf.uint8)
                return tf.cond(first_step >= 0, lambda: tf.gather(images, rows), lambda: nothing)

            def body(t: Any, losses: Any, state: Any) -> Any:
                rows = order[t]
                step = self._build_step(first_step + t, batch(rows), tf.gather(labels, rows))
                loss, state = _lifted(step, self.size)((rates[t], numbers, state))
                return t + 1, losses.write(t, loss), state

            start = (0, tf.TensorArray(tf.float32, steps), state)
            _, losses, state = tf.while_loop(lambda t, *_: t < steps, body, start, parallel_iterations=1)
            return state, losses.stack()

        return epoch

    def _build_evaluate(self) -> Callable[..., Any]:
        import tensorflow as tf

        def evaluate(images: Any, labels: Any, state: Any) -> Any:
            weights, _, others = state

            def body(i: Any, losses: Any, correct: Any) -> Any:
                pixels, truth = self._pixels(images[i]), labels[i]

                def one(variables: Any) -> Any:
                    own, rest = variables
                    logits, _, _ = self._logits(own, rest, pixels, training=False)
                    each = tf.where(truth >= 0, _cross_entropy(tf.maximum(truth, 0), logits), 0.0)
                    hits = tf.equal(tf.argmax(logits, 1, tf.int32), truth)
                    return tf.reduce_sum(each), tf.reduce_sum(tf.cast(hits, tf.int32))

                loss, hits = _lifted(one, self.size)((weights, others))
                return i + 1, losses + loss, correct + hits

            start = (0, tf.zeros(self.size), tf.zeros(self.size, tf.int32))
            _, losses, correct = tf.while_loop(
                lambda i, *_: i < images.shape[0], body, start, parallel_iterations=1
            )
            return losses, correct

        return evaluate


def _lifted(function: Callable[[Any], Any], size: int) -> Callable[[Any], Any]:
    """Return `function` for `size` jobs at once: arguments and results get the axis of the jobs in front."""
    import tensorflow as tf

    def one(arguments: Any) -> Any:
        result = function(tf.nest.map_structure(lambda x: tf.squeeze(x, 0), arguments))
        return tf.nest.map_structure(lambda x: tf.expand_dims(x, 0), result)

    def many(arguments: Any) -> Any:
        return tf.vectorized_map(function, arguments, fallback_to_while_loop=False)

    return one if size == 1 else many


def _cross_entropy(labels: Any, logits: Any) -> Any:
    """Return -log softmax(logits)[label] of each example, from int32[batch] and float32[batch, classes]."""
    import tensorflow as tf

    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def _cross_entropy_by_classes(labels: Any, logits: Any) -> Any:
    """Return the same, computed on [classes, batch].

    XLA cancels the turn against that of a turned dense layer, and both its products stay along rows: a
    twentieth of a step.
    """
    import tensorflow as tf

    columns = tf.transpose(logits)
    truth = tf.one_hot(labels, logits.shape[1], axis=0)
    return tf.reduce_logsumexp(columns, 0) - tf.reduce_sum(truth * columns, 0)


def _on_device(split: Split) -> tuple[Any, Any]:
    """Return uint8[examples, pixels] and int32[examples] on the device."""
    import tensorflow as tf

    return tf.constant(split.images.reshape(len(split.images), -1)), tf.constant(split.labels)


def _padded(split: tuple[Any, Any]) -> tuple[Any, Any]:
    """Cut a split into [chunks, batch, ...]; the last one is filled up with examples of label -1."""
    import tensorflow as tf

    images, labels = split
    batch = min(EVALUATION_BATCH, len(labels))
    missing = -len(labels) % batch
    images = tf.pad(images, [[0, missing], [0, 0]])
    labels = tf.pad(labels, [[0, missing]], constant_values=-1)
    return tf.reshape(images, (-1, batch, images.shape[1])), tf.reshape(labels, (-1, batch))
