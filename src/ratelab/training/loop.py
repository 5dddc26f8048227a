"""The functions that are compiled: the updates of a segment, and the evaluation of a split."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ratelab.optimizers import Optimizer
from ratelab.training.network import Network

__all__ = ["Loop", "cross_entropy", "cross_entropy_by_classes", "lift", "mean_of_first"]


@dataclass(frozen=True)
class Loop:
    """The step is written for one job and lifted to many: all of them see the same batch.

    So the products of the first layer, for all jobs, become one larger product. What is stacked has the axis
    of the jobs in front: weights [jobs, ...]; what is given by step has it behind: losses [steps, jobs].

    Attributes:
        network: the model.
        optimizer: the update.
        size: the number of jobs.
        xla: whether the functions will be compiled with XLA.
    """

    network: Network
    optimizer: Optimizer
    size: int
    xla: bool

    def train(
        self,
        images: Any,
        labels: Any,
        order: Any,
        used: tuple[Any, Any] | None,
        rates: Any,
        first_step: Any,
        fixed: dict[str, Any],
        varied: dict[str, Any],
        state: Any,
    ) -> Any:
        """Run one update a row of `order`; return the state after, and the losses [steps, jobs].

        Args:
            images: uint8[examples, pixels].
            labels: int32[examples].
            order: the examples of each batch, int32[steps, width].
            used: how many rows of `order` are updates, int32[], and how many examples each of them has,
                int32[steps]; the rest is padding. None: all.
            rates: float32[steps, jobs].
            first_step: the number of the first update.
            fixed: hyperparameters that do not change, each float32[jobs].
            varied: hyperparameters that do, each float32[steps, jobs].
            state: weights, slots and other variables of the jobs, before.
        """
        import tensorflow as tf

        # The number of updates is an argument and not a part of the program: else segments of one shape, but
        # of different lengths, would each be compiled.
        steps, sizes = (order.shape[0], None) if used is None else used
        gather = self._make_gather(images, first_step)

        def body(t: Any, losses: Any, state: Any) -> Any:
            rows = order[t]
            mean = tf.reduce_mean if sizes is None else partial(mean_of_first, sizes[t])
            step = self._make_step(first_step + t, gather(rows), tf.gather(labels, rows), mean)
            numbers = fixed | {name: values[t] for name, values in varied.items()}
            loss, state = lift(step, self.size)((rates[t], numbers, state))
            return t + 1, losses.write(t, loss), state

        start = (0, tf.TensorArray(tf.float32, order.shape[0]), state)
        # One update at a time: each needs the weights of the one before, so there is nothing to overlap, and
        # more iterations in flight would only hold more buffers.
        _, losses, state = tf.while_loop(lambda t, *_: t < steps, body, start, parallel_iterations=1)
        return state, losses.stack()

    def evaluate(self, images: Any, labels: Any, state: Any) -> Any:
        """Return the sum of the losses and the number of hits, each [jobs], over all chunks of a split.

        Args:
            images: uint8[chunks, batch, pixels].
            labels: int32[chunks, batch]; -1 marks padding.
            state: weights, slots and other variables of the jobs.
        """
        import tensorflow as tf

        def body(i: Any, losses: Any, correct: Any) -> Any:
            pixels, truth = self.network.inputs(images[i]), labels[i]

            def judge(state: Any) -> Any:
                weights, slots, others = state
                weights = self.optimizer.evaluated(weights, slots)
                logits, _, _ = self.network.logits(weights, others, pixels, training=False)
                # The label -1 of the padding is never hit; for the loss it must be a class, and is left out.
                each = tf.where(truth >= 0, cross_entropy(tf.maximum(truth, 0), logits), 0.0)
                hits = tf.equal(tf.argmax(logits, 1, tf.int32), truth)
                return tf.reduce_sum(each), tf.reduce_sum(tf.cast(hits, tf.int32))

            loss, hits = lift(judge, self.size)(state)
            return i + 1, losses + loss, correct + hits

        start = (0, tf.zeros(self.size), tf.zeros(self.size, tf.int32))
        _, losses, correct = tf.while_loop(
            lambda i, *_: i < images.shape[0], body, start, parallel_iterations=1
        )
        return losses, correct

    def _make_step(self, t: Any, batch: Any, labels: Any, mean: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return the update number t of one job, from (rate, hyperparameters, state) to (loss, state)."""
        import tensorflow as tf

        pixels = self.network.inputs(batch)
        each = cross_entropy_by_classes if self.xla else cross_entropy

        def step(arguments: Any) -> Any:
            rate, numbers, (weights, slots, others) = arguments
            with tf.GradientTape() as tape:
                tape.watch(weights)
                logits, others, penalties = self.network.logits(weights, others, pixels, training=True)
                loss = tf.add_n([mean(each(labels, logits)), *penalties])
            # Where rows are looked up, as in an embedding, a gradient comes as those rows alone.
            gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, weights)]
            weights, slots = self.optimizer.update(t, rate, weights, gradients, slots, **numbers)
            return loss, (weights, slots, others)

        return step

    def _make_gather(self, images: Any, first_step: Any) -> Callable[[Any], Any]:
        """Return the function from rows, int32[batch], to their images, uint8[batch, pixels]."""
        import tensorflow as tf

        if not self.xla or tf.config.get_visible_devices("GPU"):
            return lambda rows: tf.gather(images, rows)

        def gather(rows: Any) -> Any:
            # The branch is always taken, but XLA does not know that, and it does not fuse across a branch.
            # Without it, it gathers and converts in one loop over single bytes: a fifth of a step more.
            nothing = tf.zeros((rows.shape[0], images.shape[1]), tf.uint8)
            return tf.cond(first_step >= 0, lambda: tf.gather(images, rows), lambda: nothing)

        return gather


def lift(function: Callable[[Any], Any], size: int) -> Callable[[Any], Any]:
    """Return `function` for `size` jobs at once: arguments and results get the axis of the jobs in front."""
    import tensorflow as tf

    # One job does not go through vectorized_map, which knows no convolution: such models train one by one.
    def one(arguments: Any) -> Any:
        result = function(tf.nest.map_structure(lambda x: tf.squeeze(x, 0), arguments))
        return tf.nest.map_structure(lambda x: tf.expand_dims(x, 0), result)

    # Without the fallback an operation that cannot be vectorized is an error, not a slow loop over the jobs.
    def many(arguments: Any) -> Any:
        return tf.vectorized_map(function, arguments, fallback_to_while_loop=False)

    return one if size == 1 else many


def cross_entropy(labels: Any, logits: Any) -> Any:
    """Return -log softmax(logits)[label] of each example, from int32[batch] and float32[batch, classes]."""
    import tensorflow as tf

    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def cross_entropy_by_classes(labels: Any, logits: Any) -> Any:
    """Return the same as `cross_entropy`, computed on [classes, batch]: the faster form under XLA."""
    import tensorflow as tf

    # XLA cancels this turn against that of a turned dense layer, and both products of the layer stay along
    # rows: a twentieth of a step.
    columns = tf.transpose(logits)
    truth = tf.one_hot(labels, logits.shape[1], axis=0)
    return tf.reduce_logsumexp(columns, 0) - tf.reduce_sum(truth * columns, 0)


def mean_of_first(size: Any, values: Any) -> Any:
    """Return the mean of the first `size` of `values`; the others are padding and get no gradient."""
    import tensorflow as tf

    used = tf.range(values.shape[0]) < size
    return tf.reduce_sum(tf.where(used, values, 0.0)) / tf.cast(size, tf.float32)
