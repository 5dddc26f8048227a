"""The splits of a data set as tensors."""

from typing import Any

from ratelab.data import Dataset, Split

EVALUATION_BATCH = 1000

__all__ = ["DeviceData"]


class DeviceData:
    """The splits of a data set as tensors, for any number of programs.

    Args:
        data: as loaded.

    Attributes:
        train: uint8[examples, pixels] and int32[examples].
        splits: validation and test, cut into [chunks, batch, ...].
    """

    def __init__(self, data: Dataset) -> None:
        self.train = _on_device(data.train)
        self.splits = {
            "validation": _padded(_on_device(data.validation)),
            "test": _padded(_on_device(data.test)),
        }


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
