"""Metrics in bulk: the caller hands arrays over and goes on, a thread stores them."""

import contextlib
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from ratelab.tracking.environment import open_client
from ratelab.tracking.names import metric_name
from ratelab.tracking.patience import Patience
from ratelab.tracking.sinks import Rows, sink_for

_BATCH_ROWS = 25_000  # a transaction of about 0.2 s: short enough for the other writers
_CAPACITY_ROWS = 250_000  # what a run that is told to stop can still store within seconds
_PAUSE_SECONDS = 0.1
_CONNECTIONS = 4  # to a server, which has some processes; each sends the rows of one run


class MetricWriter:
    """Stores metrics in the background, in the order written; what the store does not take is tried again.

    Any thread may write. A run whose metrics cannot be stored, after all patience, loses those that wait, and
    takes no more: the next `write` or `flush` of that run raises why. The metrics of other runs are stored.

    Args:
        uri: what `prepare_store` returned.
        patience: with this store, which others may share.
    """

    def __init__(self, uri: str, patience: Patience | None = None) -> None:
        self._sink = sink_for(open_client(uri))
        self._patience = patience or Patience(uri)
        self._changed = threading.Condition()
        self._waiting: deque[Rows] = deque()
        self._held = 0  # rows waiting or being stored
        self._storing = False
        self._errors: dict[str, Exception] = {}  # by the run that they are of
        self._told: set[str] = set()
        self._closing = self._abandoned = False
        # a daemon: a program that was told to stop twice does not wait for a store that is gone
        self._thread = threading.Thread(target=self._run, name="metric-writer", daemon=True)
        self._thread.start()

    def write(
        self, run_id: str, key: str, steps: np.ndarray, values: np.ndarray, timestamps: np.ndarray
    ) -> None:
        """Hand points over; return at once, or, if very many wait already, when there is room again.

        Args:
            run_id: an existing run.
            key: the metric.
            steps: integers, one a point.
            values: numbers, one a point; NaN and infinities are stored as MLflow stores them.
            timestamps: milliseconds since 1970, one a point. With the same ones, writing twice is harmless.

        Raises:
            ValueError: the arrays do not belong together, or MLflow would refuse the name.
            RuntimeError: the writer has been closed.
            Exception: what kept earlier points of this run from being stored.
        """
        for rows in _split(_copy_rows(run_id, key, steps, values, timestamps)):
            with self._changed:
                self._changed.wait_for(
                    lambda: run_id in self._errors or self._closing or self._held < _CAPACITY_ROWS
                )
                self._raise_error(run_id)
                if self._closing:
                    raise RuntimeError("the metric writer is closed")
                self._waiting.append(rows)
                self._held += len(rows)
                self._changed.notify_all()

    def flush(self, run_id: str | None = None) -> None:
        """Return when nothing waits any more, which may take minutes if the store is held.

        Args:
            run_id: whose error is raised; None: of any run, if nobody was told yet.

        Raises:
            Exception: what kept metrics of the run from being stored.
        """
        with self._changed:
            try:
                self._changed.wait_for(lambda: not (self._waiting or self._storing))
            except BaseException:  # Ctrl-C: the store may be gone for minutes, so `close` must not wait again
                self._abandoned = True
                raise
            for one in [run_id] if run_id else [*self._errors.keys() - self._told]:
                self._raise_error(one)

    def close(self) -> None:
        """Store the rest and stop, as `flush` does; an error that was raised before is not raised again.

        Once a `flush` has been broken off, it returns at once.
        """
        try:
            if not (self._closing or self._abandoned):
                self.flush()
        finally:
            with self._changed:
                self._closing = True
                self._changed.notify_all()
            if not self._abandoned:
                self._thread.join()

    def forgive(self, run_id: str) -> None:
        """Take metrics of a run again that were lost before: it is given all of them once more."""
        with self._changed:
            self._errors.pop(run_id, None)
            self._told.discard(run_id)

    def abandon(self) -> None:
        """Let `close` return at once."""
        self._abandoned = True

    def has_lost(self, run_id: str) -> bool:
        """Say whether metrics of this run could not be stored."""
        return run_id in self._errors

    def _raise_error(self, run_id: str) -> None:
        """Raise what the thread has met with a run; the caller holds the lock."""
        if run_id in self._errors:
            self._told.add(run_id)
            raise self._errors[run_id]

    def _run(self) -> None:
        """Store batch after batch until the end; this is the thread."""
        while batch := self._take():
            self._finish(batch, self._store(batch))

    def _store(self, batch: list[Rows]) -> dict[str, Exception]:
        """Store a batch, over several connections where its sink allows it.

        Returns:
            By their ids what kept runs from being stored.
        """
        waiting, errors = deque(self._sink.cut(batch)), {}

        def store_next() -> None:
            with contextlib.suppress(IndexError):  # when nothing waits any more
                while True:
                    errors.update(self._store_in_turn(waiting.popleft()))

        # daemons, for the same reason as the writer's own
        others = [
            threading.Thread(target=store_next, daemon=True)
            for _ in range(min(_CONNECTIONS, len(waiting)) - 1)
        ]
        for other in others:
            other.start()
        store_next()
        for other in others:
            other.join()
        return errors

    def _store_in_turn(self, parts: Sequence[Sequence[Rows]]) -> dict[str, Exception]:
        """Store part after part, at worst run by run: what is wrong with one must not affect the others."""
        try:
            for part in parts:
                self._patience.ask("metrics", partial(self._sink.store, part), _PAUSE_SECONDS)
        except Exception as error:
            runs = dict.fromkeys(rows.run_id for part in parts for rows in part)
            if len(runs) == 1:
                return dict.fromkeys(runs, error)
            errors: dict[str, Exception] = {}
            for run_id in runs:
                errors |= self._store([rows for part in parts for rows in part if rows.run_id == run_id])
            return errors
        return {}

    def _take(self) -> list[Rows]:
        """Wait for rows and return the next batch, of many small writes; empty when there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            batch: list[Rows] = []
            room = _BATCH_ROWS
            while self._waiting and (not batch or len(self._waiting[0]) <= room):
                batch.append(self._waiting.popleft())
                room -= len(batch[-1])
            self._storing = bool(batch)
            return batch

    def _finish(self, batch: list[Rows], errors: dict[str, Exception]) -> None:
        """Wake those who wait for room, or for a batch; drop what lost runs have written since."""
        with self._changed:
            self._errors |= errors
            dropped = [rows for rows in self._waiting if rows.run_id in errors]
            if dropped:
                self._waiting = deque(rows for rows in self._waiting if rows.run_id not in errors)
            self._held -= sum(map(len, [*batch, *dropped]))
            self._storing = False
            self._changed.notify_all()


def _copy_rows(run_id: str, key: str, steps: np.ndarray, values: np.ndarray, timestamps: np.ndarray) -> Rows:
    """Return the points as arrays of our own: the caller may use its buffers again."""
    columns = (
        np.array(steps, np.int64, ndmin=1),
        np.array(values, np.float64, ndmin=1),
        np.array(timestamps, np.int64, ndmin=1),
    )
    if len({column.shape for column in columns}) > 1 or columns[0].ndim > 1:
        shapes = ", ".join(str(column.shape) for column in columns)
        raise ValueError(f"metric {key!r}: steps, values and timestamps must be equally long, got {shapes}")
    return Rows(run_id, metric_name(key), *columns)


def _split(rows: Rows) -> Iterator[Rows]:
    """Return the rows in parts that a transaction can hold."""
    for start in range(0, len(rows), _BATCH_ROWS):
        yield rows[start : start + _BATCH_ROWS]
