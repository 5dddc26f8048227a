"""The weights of trained models beside the journal, each until the store has taken the model."""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ratelab.runtime.journal_file import read_whole, write_whole

if TYPE_CHECKING:
    import keras

NAME = "models"


class Models:
    """What a death would take of runs that have ended: each model is kept under the key of its run.

    Args:
        folder: of the journal.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / NAME

    def save(self, key: str, model: "keras.Model") -> None:
        """Keep the weights of a model; that this fails is said."""
        arrays = {str(place): array for place, array in enumerate(model.get_weights())}
        try:
            self._folder.mkdir(exist_ok=True)
            write_whole(self._folder / key, "model", {}, arrays)
        except OSError as error:
            sys.stderr.write(
                f"warning: {self._folder}: {error.strerror}. A model that the store has not taken is lost "
                "if this program dies.\n"
            )

    def has(self, key: str) -> bool:
        """Say whether the weights of a model are kept, whole or not."""
        return (self._folder / key).is_file()

    def load(self, key: str, model: "keras.Model") -> "keras.Model":
        """Return `model` with the weights that are kept under a key.

        Raises:
            ValueError: they are not what was kept. They are removed, so that it is said once.
        """
        entry = read_whole(self._folder / key)
        if entry is None:
            self.drop(key)
            raise ValueError(f"{self._folder / key} is damaged, and the store has not had the model")
        # a type that NumPy does not know, such as bfloat16, has come back as so many bytes
        pairs = zip(entry.arrays.values(), model.get_weights(), strict=True)
        model.set_weights([array.view(own.dtype) for array, own in pairs])
        return model

    def drop(self, key: str) -> None:
        """Remove what is kept under a key."""
        with contextlib.suppress(OSError):
            (self._folder / key).unlink()
            self._folder.rmdir()  # if it was the last
