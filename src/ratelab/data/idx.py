"""IDX, the format of the MNIST files: a magic number, the sizes, then one byte a value."""

import math

import numpy as np
import numpy.typing as npt

from ratelab.validation import UserError

UNSIGNED_BYTE = 0x08


def images(content: bytes, where: str) -> npt.NDArray[np.uint8]:
    """Return the images of an IDX file.

    Args:
        content: the file, uncompressed.
        where: what to call the file in an error.

    Returns:
        Pixels, uint8 [n, height, width], read-only and without a copy.

    Raises:
        UserError: if the magic number is not that of IDX images, or the length is not what the header says.
    """
    return _parse(content, where, dimensions=3)


def labels(content: bytes, where: str, classes: int) -> npt.NDArray[np.int32]:
    """Return the labels of an IDX file.

    Args:
        content: the file, uncompressed.
        where: what to call the file in an error.
        classes: the number of classes; every label is below it.

    Returns:
        Labels, int32 [n], read-only.

    Raises:
        UserError: if the file is no IDX file of labels, or a label is not below `classes`.

    >>> labels(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]), "train-labels", classes=10)
    array([5, 0, 4], dtype=int32)
    """
    found = _parse(content, where, dimensions=1).astype(np.int32)
    wrong = np.flatnonzero(found >= classes)
    if wrong.size:
        raise UserError(
            f"{where}: a label must be below {classes}, the number of classes, "
            f"got {found[wrong[0]]} for example {wrong[0]}"
        )
    found.flags.writeable = False
    return found


def _parse(content: bytes, where: str, dimensions: int) -> npt.NDArray[np.uint8]:
    magic = bytes([0, 0, UNSIGNED_BYTE, dimensions])
    if content[:4] != magic:
        raise UserError(f"{where}: the magic number must be {magic.hex()}, got {content[:4].hex()!r}")
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise UserError(f"{where}: the header must have {header} bytes, got {len(content)}")
    shape = tuple(np.frombuffer(content[4:header], dtype=">u4").tolist())
    if len(content) != header + math.prod(shape):
        raise UserError(
            f"{where}: the sizes {shape} ask for {header + math.prod(shape)} bytes, got {len(content)}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)
