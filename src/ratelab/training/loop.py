"""The functions that are compiled: the updates of a segment, and the evaluation of a split."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ratelab.optimizers import Optimizer
from ratelab.tasks import Task
from ratelab.training.network import Network


@dataclass(frozen=True)
class Loop:
    """The step is written for one job and lifted to many: all of them see the same batch.

    So the products of the first layer, for all jobs, become one larger product. What is stacked has the axis
    of the jobs in front: weights [jobs, ...]; what is given by step has it behind: losses [steps, jobs].

    Attributes:
        network: the model.
        task: the loss and the metrics.
        optimizer: the update.
        size: the number of jobs.
        xla: whether the functions will be compiled with XLA.
    """

    network: Network
    task: Task
    optimizer: Optimizer
    size: int
    xla: bool

    def train(
        self,
        inputs: Any,
        targets: Any,
        order: Any,
        steps: Any,
        sizes: Any,
        rates: Any,
        first_step: Any,
        fixed: dict[str, Any],
        varied: dict[str, Any],
        state: Any,
    ) -> Any:
        """Run one update a row of `order`; return the state after, and the losses [steps, jobs].

        Args:
            inputs: [examples, values].
            targets: [examples, ...].
            order: the examples of each batch, int32[steps, width].
            steps: how many rows of `order` are updates, int32[]; the rest is padding.
            sizes: how many examples each of them has, int32[steps]; None: all.
            rates: float32[steps, jobs].
            first_step: the number of the first update.
            fixed: hyperparameters that do not change, each float32[jobs].
            varied: hyperparameters that do, each float32[steps, jobs].
            state: weights, slots and other variables of the jobs, before.
        """
        import tensorflow as tf

        # The number of updates is an argument and not a part of the program: else segments of one shape, but
        # of different lengths, would each be compiled, and nothing could be compiled without being trained.
        gather = self._make_gather(inputs, first_step)

        def body(t: Any, losses: Any, state: Any) -> Any:
            rows = order[t]
            mean = tf.reduce_mean if sizes is None else partial(mean_of_first, sizes[t])
            step = self._make_step(first_step + t, gather(rows), tf.gather(targets, rows), mean)
            numbers = fixed | {name: values[t] for name, values in varied.items()}
            loss, state = lift(step, self.size)((rates[t], numbers, state))
            return t + 1, losses.write(t, loss), state

        # with the shape of what is written, for a call of no update writes nothing
        losses = tf.TensorArray(tf.float32, order.shape[0], element_shape=(self.size,))
        start = (0, losses, state)
        # One update at a time: each needs the weights of the one before, so there is nothing to overlap, and
        # more iterations in flight would only hold more buffers.
        _, losses, state = tf.while_loop(lambda t, *_: t < steps, body, start, parallel_iterations=1)
        return state, losses.stack()

    def evaluate(self, inputs: Any, targets: Any, counts: Any, state: Any, sums: Any) -> Any:
        """Return the sums over a split of the loss and of what the metrics are made of, each float32[jobs].

        Args:
            inputs: [chunks, batch, values].
            targets: [chunks, batch, ...].
            counts: int32[chunks], how many examples each chunk has; the rest of it is padding.
            state: weights, slots and other variables of the jobs.
            sums: over the parts of the split before, added to.
        """
        import tensorflow as tf

        def body(i: Any, sums: Any) -> Any:
            given, truth = self.network.inputs(inputs[i]), targets[i]
            used = tf.range(truth.shape[0]) < counts[i]

            def judge(state: Any) -> Any:
                weights, slots, others = state
                weights = self.optimizer.evaluated(weights, slots)
                outputs, _, _ = self.network.outputs(weights, others, given, training=False)
                values = {name: function(truth, outputs) for name, function in self.task.by_example.items()}
                return {name: tf.reduce_sum(tf.where(used, value, 0.0)) for name, value in values.items()}

            found = lift(judge, self.size)(state)
            return i + 1, {name: sums[name] + found[name] for name in sums}

        chunks = inputs.shape[0]
        return tf.while_loop(lambda i, *_: i < chunks, body, (0, sums), parallel_iterations=1)[1]

    def _make_step(
        self, t: Any, batch: Any, targets: Any, mean: Callable[[Any], Any]
    ) -> Callable[[Any], Any]:
        """Return the update number t of one job, from (rate, hyperparameters, state) to (loss, state)."""
        import tensorflow as tf

        given, task = self.network.inputs(batch), self.task
        by_example = task.loss_in_xla if self.xla and task.loss_in_xla is not None else task.loss
        # The factors are those of the batch, so they are looked up once for all jobs.
        factors = None if task.weight is None else task.weight(targets)

        def step(arguments: Any) -> Any:
            rate, numbers, (weights, slots, others) = arguments
            with tf.GradientTape() as tape:
                tape.watch(weights)
                outputs, others, penalties = self.network.outputs(weights, others, given, training=True)
                each = by_example(targets, outputs)
                loss = tf.add_n([mean(each if factors is None else factors * each), *penalties])
            # Where rows are looked up, as in an embedding, a gradient comes as those rows alone.
            gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, weights)]
            weights, slots = self.optimizer.update(t, rate, weights, gradients, slots, **numbers)
            return loss, (weights, slots, others)

        return step

    def _make_gather(self, inputs: Any, first_step: Any) -> Callable[[Any], Any]:
        """Return the function from rows, int32[batch], to their inputs, [batch, values]."""
        import tensorflow as tf

        if not self.xla or tf.config.get_visible_devices("GPU"):
            return lambda rows: tf.gather(inputs, rows)

        def gather(rows: Any) -> Any:
            # The branch is always taken, but XLA does not know that, and it does not fuse across a branch.
            # Without it, it gathers and converts in one loop over single bytes: a fifth of a step more.
            nothing = tf.zeros((rows.shape[0], inputs.shape[1]), inputs.dtype)
            return tf.cond(first_step >= 0, lambda: tf.gather(inputs, rows), lambda: nothing)

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


def mean_of_first(size: Any, values: Any) -> Any:
    """Return the mean of the first `size` of `values`; the others are padding and get no gradient."""
    import tensorflow as tf

    used = tf.range(values.shape[0]) < size
    return tf.reduce_sum(tf.where(used, values, 0.0)) / tf.cast(size, tf.float32)
