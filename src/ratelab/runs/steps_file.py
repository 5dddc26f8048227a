"""steps.parquet: a row for every step of a run, written while it runs, so that memory does not grow."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ratelab.training import Chunk

ROWS_IN_MEMORY = 250_000  # some megabytes; most runs are shorter and are written once, at their end


class StepsFile:
    """Collects the chunks of a run in a temporary file, which `close` removes.

    Its columns: step, batch_size, the rest as float32, timestamp in milliseconds; `momentum` where the
    schedule changes it.
    """

    def __init__(self) -> None:
        self._chunks: list[Chunk] = []
        self._rows = 0
        self._stack = contextlib.ExitStack()
        self._path: Path | None = None
        self._writer: Any = None
        self._error: OSError | None = None

    def add(self, chunk: Chunk) -> None:
        """Take a chunk; write those that wait if there are many rows in them."""
        self._chunks.append(chunk)
        self._rows += len(chunk.train_loss)
        if self._rows >= ROWS_IN_MEMORY:
            # A disk that is full now is no reason to end the training: `finish` says so.
            with contextlib.suppress(OSError):
                self._write()

    def finish(self) -> Path | None:
        """Write what waits and return the file; None if there was no chunk.

        Raises:
            OSError: what kept rows from being written, now or before.
        """
        if self._chunks or self._error is not None:
            self._write()
        if self._writer is not None:
            self._writer.close()
        return self._path

    def close(self) -> None:
        """Remove the file."""
        self._stack.close()

    def _write(self) -> None:
        chunks, self._chunks, self._rows = self._chunks, [], 0
        if self._error is not None:  # the file has a gap
            raise self._error
        try:
            self._write_table(_columns(chunks))
        except OSError as error:
            self._error = error
            raise

    def _write_table(self, columns: dict[str, Any]) -> None:
        import pyarrow as pa
        import pyarrow.parquet

        table = pa.table(columns)
        if self._writer is None:
            folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
            self._path = Path(self._stack.enter_context(folder)) / "steps.parquet"
            self._writer = pyarrow.parquet.ParquetWriter(self._path, table.schema, write_page_checksum=True)
        self._writer.write_table(table)


def _columns(chunks: list[Chunk]) -> dict[str, Any]:
    names = ["learning_rate", "train_loss", "batch_size", "timestamps", "steps"]
    if chunks[0].momentum is not None:
        names.append("momentum")
    arrays = {name: np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in names}
    arrays["step"], arrays["timestamp"] = arrays.pop("steps"), arrays.pop("timestamps")
    return arrays
