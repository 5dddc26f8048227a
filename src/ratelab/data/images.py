"""The data sets of images: MNIST and Fashion-MNIST, fetched once and verified always, and the digits."""

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import numpy as np

from ratelab.data import idx
from ratelab.data.datasets import Dataset, Split
from ratelab.data.fetching import cache_folder, contents
from ratelab.data.files import FILES
from ratelab.data.sizes import HeldOut, as_count
from ratelab.runtime.home import expand_home
from ratelab.validation import UserError, checked

CLASSES = 10
DIGITS_TEST = 297


@dataclass(frozen=True, eq=False)
class _Original:
    scale: float
    train: Split
    test: Split
    digest: str


@checked
def mnist(dir: str | None = None, *, validation_size: HeldOut) -> Dataset:  # noqa: A002 - as in data.dir
    """Return MNIST, 60,000 + 10,000 images of 28x28 pixels; fetched at the first use, verified at every use.

    Args:
        dir: a folder of the user's with the four IDX files, raw or .gz; None: the cache, filled from the
            network at the first use.
        validation_size: how many of the training examples, the first ones, or which part of them,
            become the validation split.

    Returns:
        The data set. Asking again in the same process returns the same arrays.

    Raises:
        UserError: for a `validation_size` that leaves nothing to train with, a folder that lacks a file, a
            file that is not the genuine one, or files that are nowhere to be had.

    References:
        LeCun et al. 1998, Gradient-based learning applied to document recognition.

    >>> mnist("nowhere", validation_size=5000)
    Traceback (most recent call last):
    ratelab.validation.UserError: data.dir: .../nowhere does not exist. Put ...
    """
    return _from_idx("mnist", dir, validation_size)


@checked
def fashion_mnist(dir: str | None = None, *, validation_size: HeldOut) -> Dataset:  # noqa: A002 - as in data.dir
    """Return Fashion-MNIST, which has the form of MNIST: arguments, result and errors are those of `mnist`.

    References:
        Xiao et al. 2017, arXiv 1708.07747.

    >>> fashion_mnist("nowhere", validation_size=5000)
    Traceback (most recent call last):
    ratelab.validation.UserError: data.dir: .../nowhere does not exist. Put ...
    """
    return _from_idx("fashion_mnist", dir, validation_size)


@checked
def digits(*, validation_size: HeldOut) -> Dataset:
    """Return the 1,797 images of 8x8 pixels that come with scikit-learn, the last 297 as the test split.

    Args:
        validation_size: how many of the 1,500 training examples, the first ones, or which part of them,
            become the validation split.

    Raises:
        UserError: for a `validation_size` that leaves nothing to train with.

    >>> data = digits(validation_size=300)
    >>> data.train.inputs.shape, data.validation.inputs.shape, data.test.targets.shape
    ((1200, 8, 8), (300, 8, 8), (297,))
    """
    return _hold_out("digits", _digits(), validation_size)


def _from_idx(name: str, directory: str | None, validation_size: int) -> Dataset:
    folder = None if directory is None else expand_home(directory, "data.dir").absolute()
    return _hold_out(name, _idx(name, folder, cache_folder()), validation_size)


def _hold_out(name: str, original: _Original, validation_size: int) -> Dataset:
    train, validation = hold_out(name, original.train, validation_size)
    return Dataset(CLASSES, original.scale, train, validation, original.test, original.digest)


def hold_out(name: str, train: Split, validation_size: int | float) -> tuple[Split, Split]:
    """Return the training examples without the first ones, and the first ones.

    Raises:
        UserError: if nothing is left to train with.
    """
    count = as_count(validation_size, len(train))
    if count >= len(train):
        raise UserError(
            f"{name}: validation_size must be a whole number from 1 to {len(train) - 1}, "
            f"got {validation_size!r}"
        )
    return train[count:], train[:count]


@functools.lru_cache(maxsize=4)
def _idx(name: str, directory: Path | None, cache: Path) -> _Original:
    parts = contents(name, directory, cache)
    names = [f"{name} {file.name}" for file in FILES[name]]
    train, test = (
        Split(idx.images(parts[i], names[i]), idx.labels(parts[i + 1], names[i + 1], CLASSES)) for i in (0, 2)
    )
    digest = _digest(bytes.fromhex(file.sha256) for file in FILES[name])  # which `contents` has verified
    return _Original(1 / 255, train, test, digest)


@functools.lru_cache(maxsize=1)
def _digits() -> _Original:
    # What scikit-learn's `load_digits` reads: to import that takes a second, most of it for SciPy.
    file = distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")
    table = np.loadtxt(str(file), np.uint8, delimiter=",")
    images, labels = table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int32)
    images.flags.writeable = labels.flags.writeable = False
    whole = Split(images, labels)
    digest = _digest(hashlib.sha256(array.tobytes()).digest() for array in (images, labels))
    return _Original(1 / 16, whole[:-DIGITS_TEST], whole[-DIGITS_TEST:], digest)


def _digest(parts: Iterable[bytes]) -> str:
    """Return the SHA-256 of the SHA-256 sums of the parts: a large file is hashed only once."""
    return "sha256:" + hashlib.sha256(b"".join(parts)).hexdigest()
