"""Arrays of the user's, from a .npz file, or from a folder of .npy files that need not fit into memory."""

import difflib
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ratelab.data.accepting import assemble
from ratelab.data.conversion import Array, pieces, to_inputs, to_targets
from ratelab.data.datasets import Dataset
from ratelab.data.reading import find_file
from ratelab.data.sizes import PART, Seed, count_of
from ratelab.data.splitting import cut
from ratelab.validation import UserError, checked
from ratelab.validation.sizes import Size

WHOLE = ("x", "y")
NEEDED = ("x_train", "y_train", "x_test", "y_test")
OPTIONAL = ("x_val", "y_val")
KEYS = (*WHOLE, *NEEDED, *OPTIONAL)

REMEDY = (
    "Give a .npz file with x_train, y_train, x_test, y_test (x_val, y_val) or with x, y, or a folder with "
    "x_train.npy and so on."
)


@checked
def arrays(
    file: str,
    *,
    validation_size: Size | None = None,
    test_size: Size | None = None,
    split_seed: Seed | None = None,
) -> Dataset:
    """Return the arrays of a .npz file, or of a folder of .npy files, as a data set.

    x are the inputs, [n, ...], and y the targets; their types say what they are, as in `as_dataset`. With x
    and y alone they are cut by `split_seed`, with equal parts of each class. With x_train, y_train, x_test
    and y_test they are used as they are; without x_val and y_val the first training examples validate.

    Files of a folder are memory maps: their inputs are read piece by piece and may be larger than memory.
    They need x_train and the others, since a cut by a seed would copy them.

    Args:
        file: the .npz file or the folder.
        validation_size: how many examples validate, or which part of all, or of the training part, where
            that is given; None: 0.15. It is refused where the file says it.
        test_size: how many test, or which part; None: 0.15; the same.
        split_seed: decides which; None: 0. Only where x and y are cut.

    Raises:
        UserError: for a file that is not there, lacks a key or holds pickled objects, which are never
            unpickled; and as in `as_dataset`.

    >>> import os, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> mine = os.path.join(folder.name, "mine.npz")
    >>> np.savez(mine, x=np.arange(40.0).reshape(20, 2), y=np.arange(20) % 2)
    >>> data = arrays(mine)
    >>> data.train.inputs.shape, data.validation.targets.tolist(), data.classes
    ((14, 2), [1, 0, 1], 2)
    >>> folder.cleanup()
    """
    path = find_file(file, REMEDY, folder=True)
    found = _read_folder(path) if path.is_dir() else _read_npz(path)
    _check_keys(found, path)
    name = f"arrays: {path.name}"
    if "x" in found:
        if path.is_dir():
            raise UserError(f"data.file: {path}: x.npy cannot be cut without a copy. {REMEDY}")
        pairs = _cut(found, name, validation_size or PART, test_size or PART, split_seed or 0)
    else:
        given = {"test_size": test_size, "split_seed": split_seed}
        if "x_val" in found:
            given["validation_size"] = validation_size
        _refuse_given(given, path)
        pairs = _pairs(found, validation_size)
    return assemble(pairs, name)


def _read_npz(path: Path) -> dict[str, Array]:
    if not zipfile.is_zipfile(path):
        raise UserError(f"data.file: {path} is no .npz file. {REMEDY}")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(path, error) from None


def _read_folder(path: Path) -> dict[str, Array]:
    found = dict[str, Array]()
    for file in sorted(path.glob("*.npy")):
        try:
            found[file.stem] = np.lib.format.open_memmap(file, mode="r")
        except (ValueError, OSError, EOFError) as error:
            raise _unreadable(file, error) from None
    return found


def _unreadable(path: Path, error: Exception) -> UserError:
    if "allow_pickle" in str(error) or "Python objects" in str(error):  # numpy has no type for it
        return UserError(
            f"data.file: {path} holds pickled Python objects, which are never read, since they can run "
            "anything; save arrays of numbers."
        )
    return UserError(f"data.file: {path} cannot be read ({error}). {REMEDY}")


def _check_keys(found: Mapping[str, Any], path: Path) -> None:
    for key in found:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UserError(f"data.file: {path} holds {key!r}, which is none of {', '.join(KEYS)}.{hint}")
        if not found[key].ndim:
            raise UserError(f"data.file: {path}: {key} must be [n, ...], an array, got one number.")
        if not len(found[key]):
            raise UserError(f"data.file: {path}: {key} is empty; give it an example at least.")
    whole = not found.keys().isdisjoint(WHOLE)
    if whole and len(found) > len(WHOLE):
        raise UserError(
            f"data.file: {path} has {', '.join(found)}: give x and y alone, or x_train and so on."
        )
    needed = [*(WHOLE if whole else NEEDED), *([] if found.keys().isdisjoint(OPTIONAL) else OPTIONAL)]
    lacking = [key for key in needed if key not in found]
    if lacking:
        raise UserError(f"data.file: {path} has no {', '.join(lacking)}. {REMEDY}")


def _refuse_given(given: Mapping[str, Any], path: Path) -> None:
    for key, value in given.items():
        if value is not None:
            raise UserError(
                f"data.{key}: {path.name} says itself which examples are for what; leave it out, got {value}."
            )


def _pairs(found: Mapping[str, Array], size: Size | None) -> list[tuple[Array, Array]]:
    train, test = (found["x_train"], found["y_train"]), (found["x_test"], found["y_test"])
    if "x_val" in found:
        return [train, (found["x_val"], found["y_val"]), test]
    count = count_of(size or PART, len(train[0]), "validation_size")
    rest, first = slice(count, None), slice(count)
    return [(train[0][rest], train[1][rest]), (train[0][first], train[1][first]), test]


def _cut(
    found: Mapping[str, Array], name: str, validation: Size, test: Size, seed: int
) -> list[tuple[Array, Array]]:
    inputs = to_inputs(found["x"], f"{name}: x: inputs")
    targets = to_targets(found["y"], inputs, f"{name}: y: targets")
    if len(inputs) != len(targets):
        raise UserError(f"{name}: x and y must be equally many, got {len(inputs)} and {len(targets)}.")
    # Before the cut, after which an example has another number than in the file.
    for key, array in (("x", inputs), ("y", targets)):
        for _ in pieces(array, f"{name}: {key}"):
            pass  # only looked at
    return [(inputs[part], targets[part]) for part in cut(targets, validation, test, seed)]
