"""What shows only when a model is tried on a few examples, before it trains: what it does."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ratelab.data import Dataset
from ratelab.tasks import Task
from ratelab.training.models_accepted import is_by_example
from ratelab.training.network import Network
from ratelab.validation import UserError

EXAMPLES = 16

# Differences above this part of the largest number are no matter of rounding, not in 16 bits either.
ROUNDING = 0.05

# What gives numbers from 0 to 1 at weights of all these sizes cannot do otherwise: logits that only happen to
# be small grow with the weights. More than one size, as a deep model overflows at the large ones.
SIZES = (1.0, 1e3, 1e6)
ABOVE_ONE = 1e-3  # that a probability may be by rounding

Values = npt.NDArray[np.float32]


class Trial:
    """A few examples, and what a model has to do with them to be trained rightly by this loop.

    Args:
        network: of a model that `check_model` accepts.
        data: gives the examples.
        task: gives the loss, and what the outputs must be.
    """

    def __init__(self, network: Network, data: Dataset, task: Task) -> None:
        import tensorflow as tf

        self._network, self._task = network, task
        self._known = is_by_example(network.model)
        examples = _choose_examples(data)
        self._inputs = network.inputs(tf.constant(data.train.inputs[examples].reshape(EXAMPLES, -1)))
        self._targets = tf.constant(data.train.targets[examples])

    def check_model(self) -> None:
        """Raise UserError unless the model of the network gives outputs that can be learned from.

        Keras' global seed may be another one afterwards.
        """
        weights, others = self._network.state_of(self._network.model)
        judged = self._apply(weights, others, training=False)
        self._check_loss(judged)
        self._check_logits(judged, others, training=False)
        # Layers of Keras' own hide nothing: a fifth of a second less before the first step.
        if not self._known:
            half = self._apply(weights, others, training=False, examples=EXAMPLES // 2)
            if _differ(judged[: EXAMPLES // 2], half):
                raise UserError(
                    "model: what it gives for an example depends on the others of its batch, or on "
                    "chance, when it does not train; what is measured would be of no model. Let it do so "
                    "only if `training` is true."
                )
            self._check_training(weights, others)

    def check_twin(self, model: Any) -> None:
        """Raise UserError unless `model`, of another seed, is that of the network but for its weights."""
        import keras

        models = self._network.model, model
        mine, theirs = ([(tuple(v.shape), v.dtype) for v in each.variables] for each in models)
        if mine != theirs:
            raise UserError("model: must have weights of the same shapes for every seed.")
        if self._known:
            return
        with keras.StatelessScope():
            outputs = np.asarray(model(self._network.given(self._inputs), training=False), np.float32)
        if _differ(outputs, self._apply(*self._network.state_of(model), training=False)):
            raise UserError(
                "model: computes something that differs from seed to seed and is not in its weights; keep "
                "what is drawn in weights, as add_weight(trainable=False) makes them."
            )

    def _check_training(self, weights: Sequence[Any], others: Sequence[Any]) -> None:
        """Raise UserError unless the model, when it trains, gives outputs that its variables determine."""
        import keras

        keras.utils.set_random_seed(1)
        trained = self._differentiate(weights, others)
        self._check_logits(trained, others, training=True)
        keras.utils.set_random_seed(2)
        if _differ(trained, self._apply(weights, others, training=True)):
            raise UserError(
                "model: draws random numbers that its own variables do not determine, so that a seed would "
                "not give the same run again; give keras.random a keras.random.SeedGenerator that is kept "
                "in the layer."
            )

    def _differentiate(self, weights: Sequence[Any], others: Sequence[Any]) -> Values:
        """Return what the model gives when it trains; raise UserError for a weight that gets no gradient."""
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(weights)
            outputs, penalties = self._run_model(weights, others, self._inputs, training=True)
            each = self._task.loss(self._targets, outputs)
            loss = tf.add_n([tf.reduce_mean(each), *penalties])
        variables, gradients = self._network.model.trainable_variables, tape.gradient(loss, weights)
        left = [v.path for v, gradient in zip(variables, gradients, strict=True) if gradient is None]
        if left:
            raise UserError(
                f"model: the loss does not depend on {len(left)} of its {len(variables)} weights, {left[0]} "
                "for one; use them, or freeze their layers (trainable=False)."
            )
        return np.asarray(outputs)

    def _apply(
        self, weights: Sequence[Any], others: Sequence[Any], *, training: bool, examples: int = EXAMPLES
    ) -> Values:
        return np.asarray(self._run_model(weights, others, self._inputs[:examples], training=training)[0])

    def _run_model(
        self, weights: Sequence[Any], others: Sequence[Any], inputs: Any, *, training: bool
    ) -> Any:
        """Return outputs, float32[batch, ...], and penalties; raise UserError if it is anything else."""
        import tensorflow as tf

        outputs, _, penalties = self._network.call(weights, others, inputs, training=training)
        seen, shape = _describe(outputs, len(inputs)), self._task.output_shape
        if shape is not None and seen != str((None, *shape)):
            raise UserError(
                f"model: its output must have shape {(None, *shape)}, got {seen}; end it with a layer of "
                "as many units as the argument `outputs` of its function says, or choose another task."
            )
        # Keras leaves masked examples out of the loss, by this attribute of its tensors.
        if getattr(outputs, "_keras_mask", None) is not None:
            raise UserError(
                "model: its output has a mask, and this loop leaves no example out of the loss; end the "
                "mask inside of the model."
            )
        return tf.cast(outputs, tf.float32), penalties

    def _check_loss(self, outputs: Values) -> None:
        """Raise UserError unless the loss and the metrics give a number for each example."""
        import tensorflow as tf

        for name, function in self._task.by_example.items():
            values = tf.convert_to_tensor(function(self._targets, tf.constant(outputs)))
            if values.shape != (EXAMPLES,) or values.dtype != tf.float32:
                raise UserError(
                    f"task: {name} must give one number for each example, float32[{EXAMPLES}] of "
                    f"{EXAMPLES}, got {values.dtype.name}{list(values.shape)}; take the mean over the other "
                    "axes, and none over the batch."
                )

    def _check_logits(self, outputs: Values, others: Sequence[Any], *, training: bool) -> None:
        """Raise UserError if the model can give nothing but numbers from 0 to 1; `outputs` are some."""
        if not self._task.logits:
            return
        random = np.random.default_rng(0)
        shapes = [tuple(variable.shape) for variable in self._network.model.trainable_variables]
        for size in SIZES:
            if not _within_0_and_1(outputs):
                return
            # Divided by the root of what is added up, so that what passes through keeps its size.
            drawn = [random.normal(0, size / np.prod(shape[:-1]) ** 0.5, shape) for shape in shapes]
            weights = self._network.turn([values.astype(np.float32) for values in drawn])
            outputs = self._apply(weights, others, training=training)
        if _within_0_and_1(outputs):
            raise UserError(
                "model: must return logits, and its outputs lie between 0 and 1 whatever its weights are, as "
                "those of a softmax or a sigmoid do; take that away, it is a part of the loss."
            )


def _choose_examples(data: Dataset) -> npt.NDArray[np.int64]:
    """Return the first examples, and where they hold tokens the one with the largest of all as the last."""
    inputs = data.train.inputs
    # The first ones again, should there be fewer.
    examples = np.arange(EXAMPLES) % len(inputs)
    # A token that an embedding has no row for is an error here; XLA takes another row and says nothing. What
    # lies on disk is not read as a whole for this.
    if data.scale is None and inputs.dtype.kind in "iu" and not isinstance(inputs, np.memmap):
        examples[-1] = inputs.reshape(len(inputs), -1).max(axis=1).argmax()
    return examples


def check_repeats(build: Callable[[], Any], model: Any) -> None:
    """Raise UserError unless `build`, with the seed that `model` was built from, makes such a model again."""
    again = build()
    mine, theirs = model.variables, again.variables
    if {id(variable) for variable in mine} & {id(variable) for variable in theirs}:
        raise UserError("model: must be a new one at each call of its function, with new layers.")
    if len(mine) != len(theirs):
        raise UserError(
            f"model: must be the same at each call, got {len(mine)} variables, then {len(theirs)}."
        )
    for first, second in zip(mine, theirs, strict=True):
        if not np.array_equal(first.numpy(), second.numpy(), equal_nan=True):
            raise UserError(
                f"model: must be the same for the same seed, and {first.path} was not; draw from Keras, "
                "TensorFlow, numpy.random or random, whose global seeds are set before each call."
            )


def _describe(outputs: Any, batch: int) -> str:
    """Say what a model gave: a shape, None in front where that is the batch; else of which kind it is."""
    import tensorflow as tf

    if isinstance(outputs, tf.Tensor):
        shape = tuple(outputs.shape)
        return str((None, *shape[1:]) if shape[:1] == (batch,) else shape)
    if isinstance(outputs, dict | list | tuple):
        return f"a {type(outputs).__name__} of {len(outputs)}"
    return type(outputs).__name__


def _differ(first: Values, second: Values) -> bool:
    """Say whether two arrays differ by more than rounding, where both are finite."""
    both = np.isfinite(first) & np.isfinite(second)
    first, second = np.where(both, first, 0), np.where(both, second, 0)
    return bool(np.abs(first - second).max() > ROUNDING * np.abs(first).max())


def _within_0_and_1(values: Values) -> bool:
    """Say whether all that is finite lies in [0, 1]; what is not tells nothing."""
    finite = values[np.isfinite(values)]
    return bool(((finite >= 0) & (finite <= 1 + ABOVE_ONE)).all())
