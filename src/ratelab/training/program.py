"""The compiled loop: an epoch a call, no Python inside, the rate of step t read from the array."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ratelab.data import Dataset, Split
from ratelab.training.dense import turn, with_turned_kernels
from ratelab.training.runs import Job, seeded_model
from ratelab.validation import UserError

EVALUATION_BATCH = 1000

__all__ = ["Program"]


class Program:
    """The compiled training and evaluation functions for one model, optimizer, batch size and data.

    Under XLA on a CPU the batch is gathered in a branch that is always taken, because XLA does not fuse
    across it: gathering and conversion in one loop over single bytes cost a fifth of a step more.

    Args:
        job: any of the jobs that share its `program_key`.

    Attributes:
        xla: whether the functions are compiled with XLA.

    Raises:
        UserError: if the model does not map a batch of images to logits.
    """

    def __init__(self, job: Job) -> None:
        import tensorflow as tf

        self._job = job
        model = seeded_model(job.build_model, np.random.SeedSequence(0))
        _check_model(model, job.data)
        self._template, self._turned = with_turned_kernels(model)
        self.xla = _gains_from_xla(model) if job.xla is None else job.xla
        compiler = tf.function(jit_compile=self.xla, autograph=False)
        self._epoch = compiler(self._build_epoch())
        self._evaluate = compiler(self._build_evaluate())
        self._train = _on_device(job.data.train)
        self._splits = {
            "validation": _padded(_on_device(job.data.validation)),
            "test": _padded(_on_device(job.data.test)),
        }

    def initial_state(self, model: Any) -> Any:
        """Return weights, optimizer slots and other variables of `model`, as the loop keeps them."""
        import tensorflow as tf

        weights = turn([tf.convert_to_tensor(v) for v in model.trainable_variables], self._turned)
        slots = [[tf.zeros_like(w) for w in weights] for _ in range(self._job.optimizer.slots)]
        return weights, slots, [tf.convert_to_tensor(v) for v in model.non_trainable_variables]

    def assign(self, state: Any, model: Any) -> None:
        """Write a state of the loop into the variables of `model`."""
        weights, _, others = state
        for variable, value in zip(model.trainable_variables, turn(weights, self._turned), strict=True):
            variable.assign(value)
        for variable, value in zip(model.non_trainable_variables, others, strict=True):
            variable.assign(value)

    def epoch(
        self, state: Any, order: npt.NDArray[np.int32], rates: npt.NDArray[np.float32], first_step: int
    ) -> tuple[Any, npt.NDArray[np.float32]]:
        """Run one update a row of `order`, [steps, batch]; return the state and float32[steps] losses."""
        import tensorflow as tf

        images, labels = self._train
        state, losses = self._epoch(
            images, labels, tf.constant(order), tf.constant(rates), tf.constant(first_step), state
        )
        return state, losses.numpy()

    def evaluate(self, state: Any, split: str) -> tuple[float, float]:
        """Return mean loss and accuracy on "validation" or "test"."""
        images, labels = self._splits[split]
        loss, correct = self._evaluate(images, labels, state)
        examples = len(getattr(self._job.data, split).labels)
        return float(loss) / examples, int(correct) / examples

    def _logits(self, weights: list[Any], others: list[Any], batch: Any, *, training: bool) -> Any:
        """Apply the model to a batch of bytes; return logits, its other variables, its own losses."""
        import tensorflow as tf

        scale = np.float32(1 / self._job.data.largest)
        shape = (batch.shape[0], *self._template.input_shape[1:])
        pixels = tf.reshape(tf.cast(batch, tf.float32) * scale, shape)
        logits, others, penalties = self._template.stateless_call(
            weights, others, pixels, training=training, return_losses=True
        )
        return tf.cast(logits, tf.float32), others, penalties

    def _build_epoch(self) -> Callable[..., Any]:
        import tensorflow as tf

        update = self._job.optimizer.update
        cross_entropy = _cross_entropy_by_classes if self.xla else _cross_entropy
        split = self.xla and not tf.config.get_visible_devices("GPU")

        def step(t: Any, rate: Any, batch: Any, labels: Any, state: Any) -> Any:
            weights, slots, others = state
            with tf.GradientTape() as tape:
                tape.watch(weights)
                logits, others, penalties = self._logits(weights, others, batch, training=True)
                loss = tf.add_n([tf.reduce_mean(cross_entropy(labels, logits)), *penalties])
            weights, slots = update(t, rate, weights, tape.gradient(loss, weights), slots)
            return loss, (weights, slots, others)

        def epoch(images: Any, labels: Any, order: Any, rates: Any, first_step: Any, state: Any) -> Any:
            steps = order.shape[0]

            def batch(rows: Any) -> Any:
                if not split:
                    return tf.gather(images, rows)
                nothing = tf.zeros((rows.shape[0], images.shape[1]), tf.uint8)
                return tf.cond(first_step >= 0, lambda: tf.gather(images, rows), lambda: nothing)

            def body(t: Any, losses: Any, state: Any) -> Any:
                rows = order[t]
                loss, state = step(first_step + t, rates[t], batch(rows), tf.gather(labels, rows), state)
                return t + 1, losses.write(t, loss), state

            start = (0, tf.TensorArray(tf.float32, steps), state)
            _, losses, state = tf.while_loop(lambda t, *_: t < steps, body, start, parallel_iterations=1)
            return state, losses.stack()

        return epoch

    def _build_evaluate(self) -> Callable[..., Any]:
        import tensorflow as tf

        def evaluate(images: Any, labels: Any, state: Any) -> Any:
            weights, _, others = state

            def body(i: Any, loss: Any, correct: Any) -> Any:
                logits, _, _ = self._logits(weights, others, images[i], training=False)
                real = labels[i] >= 0
                each = _cross_entropy(tf.maximum(labels[i], 0), logits)
                hits = tf.equal(tf.argmax(logits, 1, tf.int32), labels[i])
                loss += tf.reduce_sum(tf.where(real, each, 0.0))
                return i + 1, loss, correct + tf.reduce_sum(tf.cast(hits, tf.int32))

            _, loss, correct = tf.while_loop(
                lambda i, *_: i < images.shape[0], body, (0, 0.0, 0), parallel_iterations=1
            )
            return loss, correct

        return evaluate


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


def _check_model(model: Any, data: Dataset) -> None:
    """Raise UserError unless the model maps a batch of this data to logits."""
    import keras

    pixels, wanted = int(np.prod(data.train.images.shape[1:])), (None, data.classes)
    if not isinstance(model, keras.Model) or not model.built:
        raise UserError(
            f"model: must be a built keras.Model (give it a keras.Input), got {type(model).__name__}."
        )
    if None in model.input_shape[1:] or np.prod(model.input_shape[1:]) != pixels:
        raise UserError(
            f"model: its input must hold {pixels} values an example, got shape {model.input_shape}."
        )
    if tuple(model.output_shape) != wanted:
        raise UserError(f"model: its output must have shape {wanted}, got {model.output_shape}.")
    if any(variable.constraint is not None for variable in model.trainable_variables):
        raise UserError("model: constraints on weights are not applied by this loop; take them away.")
    if getattr(model.layers[-1], "activation", None) is keras.activations.softmax:
        raise UserError("model: must return logits, its last layer has activation softmax; take it away.")


def _gains_from_xla(model: Any) -> bool:
    """Say whether all layers are of kinds that XLA makes faster on a CPU.

    Convolutions, pooling and random numbers are slower there, up to nine times for a small convolution;
    a layer that is not known may hold operations that XLA refuses.
    """
    from keras import layers

    known = (
        layers.InputLayer,
        layers.Dense,
        layers.Flatten,
        layers.Reshape,
        layers.Activation,
        layers.Rescaling,
    )
    return all(isinstance(layer, known) for layer in model._flatten_layers(include_self=False))


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
