"""The data sets, split into training, validation and test, and the digest that names their content."""

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ratelab.data import idx
from ratelab.data.fetching import cache_folder, contents
from ratelab.data.files import FILES
from ratelab.runtime.home import expand_home
from ratelab.validation import UserError, unknown_key

NAMES = ("digits", *FILES)
CLASSES = 10
DIGITS_TRAINING, DIGITS_TEST = 1500, 297
BYTES_BEFORE_LABELS = 8  # of an IDX file


@dataclass(frozen=True, eq=False)
class Split:
    """Examples for one purpose, read-only.

    Args:
        inputs: numbers of any type, [n, ...]: pixels uint8 [n, height, width], columns float32 [n, columns].
        targets: what is to be learned of each, [n, ...]: classes int32 [n].
    """

    inputs: npt.NDArray[Any]
    targets: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, part: slice) -> "Split":
        """Return some of the examples, without a copy."""
        return Split(self.inputs[part], self.targets[part])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set, ready for training.

    Args:
        name: what `load` was asked for.
        classes: the number of classes, targets are below it; None where targets are no classes.
        scale: the model is given inputs * scale, in float32; None: the inputs as they are, in float32, or in
            int32 where they are whole numbers.
        train: what the weights are fitted to.
        validation: what choices are made with.
        test: looked at once, at the end.
        digest: "sha256:..." of the original data, the same for every split of them.
    """

    name: str
    classes: int | None
    scale: float | None
    train: Split
    validation: Split
    test: Split
    digest: str


@dataclass(frozen=True, eq=False)
class _Original:
    scale: float
    train: Split
    test: Split
    digest: str


def load(name: str, *, directory: str | Path | None = None, validation_size: int) -> Dataset:
    """Return a data set; its files are fetched at the first use and verified at every use.

    Args:
        name: "mnist", "fashion_mnist" or "digits".
        directory: a folder of the user's with the four IDX files, raw or .gz; digits take none.
        validation_size: how many of the training examples, the first ones, become the validation split.

    Returns:
        The data set. Loading it again in the same process returns the same arrays.

    Raises:
        UserError: for an unknown name, a `validation_size` that leaves nothing to train with or to validate
            with, a folder that lacks a file, a file that is not the genuine one, or files that are nowhere
            to be had.

    >>> digits = load("digits", validation_size=300)
    >>> digits.train.inputs.shape, digits.validation.inputs.shape, digits.test.targets.shape
    ((1200, 8, 8), (300, 8, 8), (297,))
    """
    if name not in NAMES:
        raise unknown_key("data", name, NAMES)
    folder = None if directory is None else expand_home(directory, "data.dir").absolute()
    if name == "digits" and folder is not None:
        raise UserError(f"data.dir: the digits come with scikit-learn; leave data.dir out, got '{folder}'.")
    original = _original(name, folder)
    examples = len(original.train)
    if type(validation_size) is not int or not 1 <= validation_size < examples:
        raise UserError(
            f"{name}: validation_size must be a whole number from 1 to {examples - 1}, "
            f"got {validation_size!r}"
        )
    return Dataset(
        name=name,
        classes=CLASSES,
        scale=original.scale,
        train=original.train[validation_size:],
        validation=original.train[:validation_size],
        test=original.test,
        digest=original.digest,
    )


def training_examples(target: str) -> int | None:
    """Return how many training examples our own data have, validation included; None: who knows must load."""
    name = target.removeprefix("ratelab.data.")
    if name == "digits":
        return DIGITS_TRAINING
    return FILES[name][1].size - BYTES_BEFORE_LABELS if name in FILES else None


def _original(name: str, directory: Path | None) -> _Original:
    return _digits() if name == "digits" else _idx(name, directory, cache_folder())


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
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = digits.images.astype(np.uint8), digits.target.astype(np.int32)
    images.flags.writeable = labels.flags.writeable = False
    whole = Split(images, labels)
    digest = _digest(hashlib.sha256(array.tobytes()).digest() for array in (images, labels))
    return _Original(1 / 16, whole[:-DIGITS_TEST], whole[-DIGITS_TEST:], digest)


def _digest(parts: Iterable[bytes]) -> str:
    """Return the SHA-256 of the SHA-256 sums of the parts: a large file is hashed only once."""
    return "sha256:" + hashlib.sha256(b"".join(parts)).hexdigest()


def mnist(dir: str | None = None, *, validation_size: int = 5000) -> Dataset:
    return load("mnist", directory=dir, validation_size=validation_size)


def fashion_mnist(dir: str | None = None, *, validation_size: int = 5000) -> Dataset:
    return load("fashion_mnist", directory=dir, validation_size=validation_size)


def digits(*, validation_size: int = 300) -> Dataset:
    return load("digits", validation_size=validation_size)


def as_dataset(returned: Any, name: str) -> Dataset:
    assert isinstance(returned, Dataset), name
    return returned
