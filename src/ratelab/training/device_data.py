"""The data as the compiled functions take them: tensors made once, or pieces read while the loop runs."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ratelab.data import Dataset, Split
from ratelab.data.conversion import to_own_type
from ratelab.training.background import prefetch
from ratelab.training.segments import Segment

# Examples in one step of an evaluation: so many that the loop costs nothing beside them, and so few that the
# activations of a convolution fit where those of a whole split would not.
EVALUATION_BATCH = 1000

# Of a memory map: what is read at a time. Up to three such pieces are there at once, each perhaps twice: the
# one that the loop works on, one that waits, one that is being read.
PIECE_BYTES = 32 * 2**20


class Piece(NamedTuple):
    """What one call of the training function takes: the examples, and which of them each update uses."""

    segment: Segment
    inputs: Any
    targets: Any
    order: Any


class DeviceData:
    """The splits of a data set as the compiled functions take them, for any number of programs.

    Inputs stay of the type that they have, as bytes a quarter of what float32 would need, and are converted
    batch by batch. Those in memory become tensors, once. A memory map is read piece by piece, the next one
    while the loop works on the one before: the same examples in the same order, so the same bits.

    Args:
        data: as loaded.

    Attributes:
        most_examples: of a segment; None: all.
    """

    def __init__(self, data: Dataset) -> None:
        self._data = data
        on_disk = _is_on_disk(data.train)
        self.most_examples = max(1, PIECE_BYTES // _bytes_of_example(data.train)) if on_disk else None
        self._train = None if on_disk else _to_tensors(data.train)
        splits = {"validation": data.validation, "test": data.test}
        self._chunks = {
            name: None if _is_on_disk(split) else [_cut_into_chunks(split, _batch_of(split))]
            for name, split in splits.items()
        }

    def pieces(self, segments: Iterator[Segment]) -> Iterator[Piece]:
        """Yield what the training function takes for each segment."""
        import tensorflow as tf

        if self._train is not None:
            for segment in segments:
                yield Piece(segment, *self._train, tf.constant(segment.order))
            return
        with prefetch(map(self._gather, segments), depth=1) as pieces:
            yield from pieces

    def chunks(self, name: str) -> Iterator[tuple[Any, Any, Any]]:
        """Yield what the evaluation function takes for each part of a split.

        Args:
            name: "validation" or "test".

        Returns:
            Inputs [chunks, batch, values], targets [chunks, batch, ...] and how many examples each chunk has,
            int32[chunks]; the last chunk of the split is filled up.
        """
        held = self._chunks[name]
        if held is not None:
            yield from held
            return
        split: Split = getattr(self._data, name)
        batch = _batch_of(split)
        most = max(batch, PIECE_BYTES // _bytes_of_example(split) // batch * batch)
        parts = (split[first : first + most] for first in range(0, len(split), most))
        with prefetch((_cut_into_chunks(part, batch) for part in parts), depth=1) as chunks:
            yield from chunks

    def _gather(self, segment: Segment) -> Piece:
        """Read the examples of a segment, each where an update needs it."""
        import tensorflow as tf

        rows = segment.order.ravel()
        # Read in the order of the file, which a disk likes better, then put into that of the updates.
        places, back = np.unique(rows, return_inverse=True)
        part = Split(self._data.train.inputs[places][back], self._data.train.targets[places][back])
        order = np.arange(len(rows), dtype=np.int32).reshape(segment.order.shape)
        return Piece(segment, *_to_tensors(part), tf.constant(order))


def _is_on_disk(split: Split) -> bool:
    return isinstance(split.inputs, np.memmap) or isinstance(split.targets, np.memmap)


def _bytes_of_example(split: Split) -> int:
    return max(1, sum(int(one[:1].nbytes) for one in (split.inputs, split.targets)))


def _to_tensors(split: Split) -> tuple[Any, Any]:
    """Return inputs [examples, values], whose rows a batch is gathered from, and targets."""
    import tensorflow as tf

    return tf.constant(_flatten(split.inputs)), tf.constant(split.targets)


def _flatten(inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    # What a memory map holds is of any type of numbers; `as_dataset` has looked at all of it.
    return to_own_type(np.asarray(inputs), "inputs").reshape(len(inputs), -1)


def _batch_of(split: Split) -> int:
    return min(EVALUATION_BATCH, len(split))


def _cut_into_chunks(split: Split, batch: int) -> tuple[Any, Any, Any]:
    """Cut a split, or a part of one, into chunks of `batch` examples, and say how many each has.

    The last one is filled up.
    """
    import tensorflow as tf

    examples = len(split)
    # Filled up with examples that are there: what a model or a loss makes of zeros is not known.
    places = np.arange(math.ceil(examples / batch) * batch) % examples
    plain = _flatten(split.inputs), np.asarray(split.targets)
    filled = [values if len(places) == examples else values[places] for values in plain]
    parts = [tf.constant(values.reshape(-1, batch, *values.shape[1:])) for values in filled]
    counts = np.minimum(batch, examples - np.arange(0, len(places), batch)).astype(np.int32)
    return parts[0], parts[1], tf.constant(counts)
