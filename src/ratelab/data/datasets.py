"""What training is given: three splits, what is known about them, and the digest that names their content."""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Split:
    """Examples for one purpose, read-only.

    Args:
        inputs: numbers of any type, [n, ...]: pixels uint8 [n, height, width], columns float32 [n, columns],
            tokens uint8 or int32 [n, context]; a numpy.memmap, of any of numpy's types of numbers, stays one.
        targets: what is to be learned of each, [n, ...]: classes int32 [n], numbers float32 [n, k], tokens
            int32 [n, context].
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
        classes: the number of classes or of tokens, targets are below it; None where targets are numbers.
        scale: the model is given inputs * scale, in float32; None: the inputs as they are, in float32, or in
            int32 where they are whole numbers.
        train: what the weights are fitted to.
        validation: what choices are made with.
        test: looked at once, at the end.
        digest: "sha256:..." of the content.
        labels: what the classes or the tokens are called, in their order; () where they are only numbers.
    """

    classes: int | None
    scale: float | None
    train: Split
    validation: Split
    test: Split
    digest: str
    labels: tuple[str, ...] = ()
