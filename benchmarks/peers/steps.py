"""What the contestants of `train_step.py` share: the work that each does, and the clock around it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

BATCH_SIZE = 100
CLASSES = 10
CONTEXT = 64
DECAY_RATE = 0.9
DECAY_STEPS = 1000
LEARNING_RATE = 0.1
PIXELS = 784
# The arguments of ratelab's own models; the other libraries build the same by hand.
MODELS: dict[str, dict[str, Any]] = {
    "softmax": {},
    "mlp": {"hidden": [128]},
    "cnn": {"filters": [16, 32]},
    "transformer": {"layers": 2, "width": 64, "heads": 4},
}
# An epoch of each takes seconds at most, but for JAX, whose convolutions are slow on a CPU.
EXAMPLES = {"softmax": 55_000, "mlp": 55_000, "cnn": 5_000, "transformer": 2_000}

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Lap:
    """One epoch.

    Attributes:
        seconds: its time.
        steps: its number of updates.
        loss: its mean; None where nothing is learned.
        weights: how many numbers the model has; None where there is none.
    """

    seconds: float
    steps: int
    loss: float | None
    weights: int | None

    @property
    def microseconds(self) -> float:
        """Time of one step."""
        return self.seconds / self.steps * 1e6


@dataclass
class Workload:
    """What every contestant trains on, and in which order and at which rates.

    Attributes:
        model: its name.
        inputs: uint8[examples, 28, 28], or tokens, uint8[examples, context].
        targets: int32[examples], or int32[examples, context].
        classes: of the targets.
        rng: draws the starting weights and every order.
        done: updates of the epochs handed out so far.
    """

    model: str
    inputs: Array
    targets: Array
    classes: int = CLASSES
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    done: int = 0

    @property
    def steps(self) -> int:
        """Updates in one epoch."""
        return len(self.targets) // BATCH_SIZE

    @property
    def arguments(self) -> dict[str, Any]:
        """Of the model."""
        return MODELS[self.model]

    @property
    def are_tokens(self) -> bool:
        """Whether the inputs are no pixels."""
        return self.model == "transformer"

    def prepared(self) -> Array:
        """Return the inputs as a model takes them: pixels as float32, 0 to 1; tokens as int32."""
        if self.are_tokens:
            return self.inputs.astype(np.int32)
        return self.inputs.astype(np.float32) / np.float32(255)

    def weights(self) -> Array:
        """Draw the tutorial's W ~ Normal(0, 1), float32[784, 10]."""
        return self.rng.standard_normal((PIXELS, CLASSES), dtype=np.float32)

    def build_keras(self) -> Any:
        """Return the model as ratelab builds it, which is Keras' own."""
        from ratelab import models

        return getattr(models, self.model)(self.inputs.shape[1:], self.classes, **self.arguments)

    def next_epoch(self) -> tuple[Array, Array]:
        """Return a new order, int32[steps, batch], and the rate of each of these steps, float32[steps]."""
        order = self.rng.permutation(len(self.targets)).astype(np.int32)[: self.steps * BATCH_SIZE]
        steps = np.arange(self.done, self.done + self.steps)
        self.done += self.steps
        rates = LEARNING_RATE * DECAY_RATE ** (steps / DECAY_STEPS)
        return order.reshape(self.steps, BATCH_SIZE), rates.astype(np.float32)

    def head(self, examples: int) -> "Workload":
        """Return the same with only the first examples."""
        return Workload(self.model, self.inputs[:examples], self.targets[:examples], self.classes)


Epoch = Callable[[], Lap]


def clocked(work: Workload, epoch: Callable[[], float | None], weights: int | None = None) -> Epoch:
    """Return `epoch`, which gives a mean loss, with a clock around it."""

    def lap() -> Lap:
        begin = time.perf_counter()
        loss = epoch()
        return Lap(time.perf_counter() - begin, work.steps, loss, weights)

    return lap


def read_workload(model: str = "softmax", *, quick: bool) -> Workload:
    """Return MNIST's training images, or windows of a text; for `quick` a fifth of them."""
    from ratelab.data import mnist, text

    part = 0.15
    if model == "transformer":
        data = text(context=CONTEXT, validation_size=part, test_size=part)
    else:
        data = mnist(validation_size=5000)
    assert data.classes
    work = Workload(model, data.train.inputs, data.train.targets, data.classes)
    return work.head(EXAMPLES[model] // 5 if quick else EXAMPLES[model])
