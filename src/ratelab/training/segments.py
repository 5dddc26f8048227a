"""A run cut into segments: updates whose batches fit one shape, so that few programs are compiled."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ratelab.batch_sizes import BatchPlan
from ratelab.validation import UserError

MOST_SHAPES = 64  # each is compiled by itself, which takes time and memory


@dataclass(frozen=True)
class Segment:
    """What one call of the compiled loop trains on.

    Attributes:
        first_step: the number of its first update.
        steps: how many updates it has.
        order: int32[rows, width], the examples of each batch; what is beyond `steps` rows, and in a row
            beyond its size, is padding.
        sizes: int32[rows], how many examples each batch has; None: there is no padding.
    """

    first_step: int
    steps: int
    order: npt.NDArray[np.int32]
    sizes: npt.NDArray[np.int32] | None = None

    @property
    def place(self) -> slice:
        """Which updates of the run it has."""
        return slice(self.first_step, self.first_step + self.steps)


class Segments:
    """Cuts every epoch of a run into segments of a few shapes, the same throughout the run.

    With batches of one size a segment is an epoch, without padding. Else consecutive batches of one width are
    a segment, padded to the most updates that any epoch has of that width.

    Args:
        plan: the sizes of all batches.
        exact: pad no batch, as layers need that look across the batch: a shape for every size.
        most: examples in a segment, padding included; None: as many as an epoch has.

    Raises:
        UserError: if `exact` and there are more than 64 sizes.
    """

    def __init__(self, plan: BatchPlan, *, exact: bool, most: int | None = None) -> None:
        self._plan, self._most = plan, most
        # Equal batches in epochs of unequal length, as in a run that is cut to a number of steps, are padded.
        self._whole = plan.is_constant and len(set(np.diff(plan.first_steps).tolist())) == 1
        self._widths = plan.sizes if self._whole or exact else _choose_widths(plan.sizes)
        if len(np.unique(self._widths)) > MOST_SHAPES:
            raise UserError(
                "batch: this model has layers that look across the batch, so that every size is compiled "
                f"by itself; there must be at most {MOST_SHAPES} sizes, got {len(np.unique(self._widths))}. "
                "Lower batch.largest or batch.decay_rate."
            )
        self._bounds = [self._cut(epoch) for epoch in range(plan.epochs)]
        # One number of rows for each width, the largest of all epochs: so each width is compiled once.
        self._rows: dict[int, int] = {}
        for first, end in itertools.chain(*map(itertools.pairwise, self._bounds)):
            width = int(self._widths[first])
            self._rows[width] = max(self._rows.get(width, 0), end - first)

    @property
    def shapes(self) -> set[tuple[int, int]]:
        """The shapes [rows, width] of all segments."""
        return {(rows, width) for width, rows in self._rows.items()}

    def of_epoch(self, epoch: int, examples: npt.NDArray[np.int32]) -> Iterator[Segment]:
        """Yield the segments of an epoch that visits `examples`, int32[examples], in this order."""
        for first, end in itertools.pairwise(self._bounds[epoch]):
            sizes, width = self._plan.sizes[first:end], int(self._widths[first])
            used = examples[: sizes.sum()]
            examples = examples[len(used) :]
            if self._whole:
                yield Segment(first, end - first, used.reshape(-1, width))
            else:
                missing = self._rows[width] - len(sizes)
                order = np.pad(_pad_batches(used, sizes, width), ((0, missing), (0, 0)))
                # The loop does not reach the rows that are missing; 1 is a size that could be divided by.
                yield Segment(first, end - first, order, np.pad(sizes, (0, missing), constant_values=1))

    def _cut(self, epoch: int) -> list[int]:
        """Return where the segments of an epoch begin, and where the last one ends."""
        first, end = self._plan.first_steps[epoch : epoch + 2].tolist()
        changes = first + 1 + np.flatnonzero(np.diff(self._widths[first:end]))
        bounds = [first, *changes.tolist(), end]
        if self._most is None:
            return bounds
        cuts = (range(a, b, self._limit_rows(a)) for a, b in itertools.pairwise(bounds))
        return [*itertools.chain(*cuts), end]

    def _limit_rows(self, step: int) -> int:
        """Return how many batches of the width at a step a segment may have."""
        assert self._most is not None  # noqa: S101 - else nothing is cut
        return max(1, self._most // int(self._widths[step]))


def _choose_widths(sizes: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return a width for every batch: the largest size of its class; each class is an octave above the first.

    So there are at most ceil(log2(largest / smallest)) + 1 widths, and less than half of a batch is padding.

    >>> _choose_widths(np.int32([10, 11, 15, 20, 21, 40]))
    array([10, 20, 20, 20, 40, 40], dtype=int32)
    """
    # Octaves and not, say, tens: fewer widths would pad more than half of a batch, more would be compiled for
    # little. The class of a ratio r is ceil(log2(r)); frexp gives it without rounding, so 2 and 4 fall right.
    mantissas, exponents = np.frexp(sizes / sizes.min())
    octaves = np.where(mantissas == 0.5, exponents - 1, exponents)
    widths = np.empty_like(sizes)
    for octave in np.unique(octaves):
        widths[octaves == octave] = sizes[octaves == octave].max()
    return widths


def _pad_batches(
    examples: npt.NDArray[np.int32], sizes: npt.NDArray[np.int32], width: int
) -> npt.NDArray[np.int32]:
    """Return int32[steps, width]: consecutive examples, the rest of each row filled with its first one.

    >>> _pad_batches(np.arange(5, dtype=np.int32), np.int32([2, 3]), 4)
    array([[0, 1, 0, 0],
           [2, 3, 4, 2]], dtype=int32)
    """
    # The padding is masked out of the loss, but a mask does not stop what is not finite: 0 * inf is nan in
    # the gradient. An example of the same batch is not finite only where the batch is not.
    firsts = np.cumsum(sizes) - sizes
    places = np.arange(width)
    within = np.where(places < sizes[:, None], places, 0)
    rows: npt.NDArray[np.int32] = examples[firsts[:, None] + within]
    return rows
