"""MNIST-1D: ten short curves, one a digit, each example bent, moved and noisy in its own way."""

import functools
import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from ratelab.data.datasets import Dataset, Split
from ratelab.data.images import hold_out
from ratelab.data.sizes import HeldOut, Seed
from ratelab.validation import checked

Curve = npt.NDArray[np.float64]

# One curve a digit, as the authors drew them.
TEMPLATES = (
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)
EXAMPLES, TRAINING = 5_000, 4_000
FEWEST_ZEROS, MOST_ZEROS = 36, 60  # behind a curve
SCALING = 0.4
LONGEST_MOVE = 48
NOISE_BESIDE, NOISE = 0.25, 0.02
SHEAR = 0.75
POINTS = 40


@checked
def mnist1d(*, validation_size: HeldOut, data_seed: Seed = 42) -> Dataset:
    """Return MNIST-1D, 4,000 + 1,000 examples of 40 numbers in 10 classes, made as in the paper.

    A linear model, a perceptron and a convolutional net differ on it as they do not on MNIST.

    Args:
        validation_size: how many of the 4,000 training examples, the first ones, or which part of them,
            become the validation split.
        data_seed: of all that is random in the examples; 42 gives those of the paper's own program.

    Raises:
        UserError: for a `validation_size` that leaves nothing to train with.

    References:
        Greydanus & Kobak 2024, arXiv 2011.14439; the PyPI package mnist1d.

    >>> data = mnist1d(validation_size=1000)
    >>> data.train.inputs.shape, data.test.inputs.shape, data.classes
    ((3000, 40), (1000, 40), 10)
    """
    whole = _generate(data_seed)
    train, validation = hold_out("mnist1d", whole[:TRAINING], validation_size)
    digest = hashlib.sha256(whole.inputs.tobytes() + whole.targets.tobytes()).hexdigest()
    return Dataset(len(TEMPLATES), None, train, validation, whole[TRAINING:], f"sha256:{digest}")


@functools.lru_cache(maxsize=1)
def _generate(seed: int) -> Split:
    # The older generator, and its calls in the order of the paper's program: the examples are the same.
    generator = np.random.RandomState(seed)
    count = EXAMPLES // len(TEMPLATES)
    curves = np.stack([_transform(curve, generator) for curve in _curves() for _ in range(count)])
    order = generator.permutation(EXAMPLES)
    targets = np.repeat(np.arange(len(TEMPLATES), dtype=np.int32), count)[order]
    curves = curves[order]
    inputs = ((curves - curves.mean()) / curves.std()).astype(np.float32)
    inputs.flags.writeable = targets.flags.writeable = False
    return Split(inputs, targets)


def _curves() -> Curve:
    """Return the templates, float64 [10, 12], each of one size and beginning at 0."""
    curves = np.array(TEMPLATES, np.float64)
    curves -= curves.mean(1, keepdims=True)
    curves /= curves.std(1, keepdims=True)
    return (curves - curves[:, :1]) / 6


def _transform(curve: Curve, generator: np.random.RandomState) -> Curve:
    """Return one example: the curve stretched, scaled, moved, with noise and sheared."""
    from scipy.ndimage import gaussian_filter

    zeros = FEWEST_ZEROS + int(generator.rand() * (MOST_ZEROS - FEWEST_ZEROS + 1))
    # The small number tells the points of the curve from the zeros behind it.
    stretched = _resample(np.concatenate([curve + 1e-8, np.zeros(zeros)]), len(curve) + MOST_ZEROS)
    scaled = stretched * (1 + SCALING * (generator.rand() - 0.5))
    moved = np.roll(scaled, generator.choice(LONGEST_MOVE))
    beside: Any = gaussian_filter(NOISE_BESIDE * generator.randn(len(moved)), 2)
    noisy = np.where(moved != 0, moved, beside) + NOISE * generator.randn(len(moved))
    slope = SHEAR * (generator.rand() - 0.5)
    return _resample(noisy - slope * np.linspace(-0.5, 0.5, len(noisy)), POINTS)


def _resample(curve: Curve, points: int) -> Curve:
    return np.interp(np.linspace(0, 1, points), np.linspace(0, 1, len(curve)), curve)
