"""What a function named by `data._target_` returned, as a data set; each mistake is one message."""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ratelab.data.conversion import Array, is_tokens, offer_mapping, pieces, to_inputs, to_targets
from ratelab.data.datasets import Dataset, Split
from ratelab.validation import Positive, UserError, check_value, shorten

PARTS = ("training", "validation", "test")
PIXEL = 1 / 255
PROMISED = {
    "classes": Annotated[int, Field(ge=2)] | None,
    "scale": Positive | None,
    "digest": Annotated[str, Field(min_length=1)],
    "labels": tuple[str, ...],
}


def as_dataset(returned: Any, name: str) -> Dataset:
    """Return a data set of what a user's function returned.

    Three pairs (inputs, targets) are taken by the types of their arrays. Inputs: uint8 are pixels, given to
    the model times 1/255; other whole numbers are names, such as tokens, given as int32; floating point and
    booleans are given as float32. Targets: whole numbers are classes, or tokens where the inputs are whole
    and of the same shape; floating point is numbers. A numpy.memmap of inputs is read in pieces, and never
    copied.

    Args:
        returned: a `Dataset`, or pairs (inputs, targets) of training, validation and test.
        name: what to call the function in an error.

    Raises:
        UserError: naming the split, the rule and what was found.

    >>> pair = [[0.0], [1.0]], [0, 1]
    >>> as_dataset([pair, pair, pair], "mine.data").classes
    2
    >>> as_dataset([pair, ([[np.nan], [1.0]], [0, 1]), pair], "mine.data")
    Traceback (most recent call last):
    ratelab.validation.UserError: mine.data: validation inputs[0, 0] is nan in float32, and must ...
    """
    if isinstance(returned, Dataset):
        return _check_dataset(returned, name)
    if not isinstance(returned, Sequence) or len(returned) != len(PARTS) or not all(map(_is_pair, returned)):
        raise UserError(
            f"{name} must return a ratelab.data.Dataset, or three pairs (inputs, targets), of training, "
            f"validation and test, got {_describe(returned)}."
        )
    return assemble(returned, name)


def assemble(pairs: Sequence[Any], name: str, labels: tuple[str, ...] = (), origin: str = "") -> Dataset:
    """Return a data set of three pairs (inputs, targets).

    Args:
        pairs: as in `as_dataset`.
        name: what to call them in an error.
        labels: as in `Dataset`.
        origin: what else tells these data from others; a part of the digest.

    Raises:
        UserError: as in `as_dataset`.
    """
    splits = [
        _to_split(inputs, targets, f"{name}: {part}")
        for part, (inputs, targets) in zip(PARTS, pairs, strict=True)
    ]
    _compare(splits, name)
    train, validation, test = splits
    tokens = train.targets.ndim > 1 and is_tokens(train.inputs, train.targets)
    digest = _read_through(splits, name, f"{labels}{origin}")
    scale = PIXEL if train.inputs.dtype == np.uint8 and not tokens else None
    return Dataset(
        _count_classes(splits, tokens, name, labels), scale, train, validation, test, digest, labels
    )


def _is_pair(pair: object) -> bool:
    return isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 2


def _describe(returned: Any) -> str:
    kind = type(returned).__name__
    if not isinstance(returned, Sequence) or isinstance(returned, str):
        return kind
    return f"a {kind} of {len(returned)}: {shorten([type(one).__name__ for one in returned])}"


def _to_split(inputs: Any, targets: Any, what: str) -> Split:
    own = to_inputs(inputs, f"{what} inputs")
    return Split(own, to_targets(targets, own, f"{what} targets"))


def _check_dataset(data: Dataset, name: str) -> Dataset:
    """Return a data set that a user's function made whole, once it keeps what `Dataset` promises."""
    for key, hint in PROMISED.items():
        check_value(f"{name}: {key} of a Dataset", hint, getattr(data, key))
    splits = [data.train, data.validation, data.test]
    for part, split in zip(PARTS, splits, strict=True):
        if not isinstance(split, Split):
            raise UserError(
                f"{name}: {part} of a Dataset must be a ratelab.data.Split, got {_describe(split)}."
            )
        again = _to_split(split.inputs, split.targets, f"{name}: {part}")
        for key in ("inputs", "targets"):
            given, wanted = getattr(split, key), getattr(again, key)
            if (given.dtype, given.shape) != (wanted.dtype, wanted.shape):
                raise UserError(
                    f"{name}: {part} {key} of a Dataset must be {wanted.dtype} {list(wanted.shape)}, got "
                    f"{given.dtype} {list(given.shape)}; return pairs, and they are converted."
                )
        for _ in pieces(split.inputs, f"{name}: {part} inputs"):
            pass  # only looked at
    _compare(splits, name)
    _check_classes(data, name)
    return data


def _check_classes(data: Dataset, name: str) -> None:
    splits = [data.train, data.validation, data.test]
    whole = data.train.targets.dtype == np.int32
    if whole != (data.classes is not None):
        raise UserError(
            f"{name}: classes of a Dataset must be their number where targets are int32, and None where they "
            f"are float32, got {data.classes} and {data.train.targets.dtype}."
        )
    if data.classes is None:
        return
    for part, split in zip(PARTS, splits, strict=True):
        low, high = int(split.targets.min()), int(split.targets.max())
        if low < 0 or high >= data.classes:
            raise UserError(
                f"{name}: {part} targets must be from 0 to {data.classes - 1}, below the number of classes, "
                f"got {low} to {high}."
            )
    if data.train.targets.ndim == 1:
        # What the others have of it is the choice of who made them: built-in sets may validate with one.
        found = np.unique(np.concatenate([split.targets for split in splits]))
        _refuse_lack(data.train.targets, found, "training", name)


def _compare(splits: Sequence[Split], name: str) -> None:
    """Raise UserError unless inputs and targets are equally many in each split, and alike in all."""
    first = splits[0]
    for part, split in zip(PARTS, splits, strict=True):
        if len(split.inputs) != len(split.targets):
            raise UserError(
                f"{name}: {part} inputs and targets must be equally many, got {len(split.inputs)} and "
                f"{len(split.targets)}."
            )
        if not len(split):
            raise UserError(f"{name}: the {part} split is empty; give it an example at least.")
        for key in ("inputs", "targets"):
            own, wanted = (_form(getattr(one, key)) for one in (split, first))
            if own != wanted:
                raise UserError(
                    f"{name}: {part} {key} must be as in training, {wanted} for each example, got {own}."
                )


def _form(array: Array) -> str:
    """Return what all splits must share: the kind of the numbers and their shape."""
    kinds = {"u": "whole numbers", "i": "whole numbers", "f": "floating point", "b": "booleans"}
    kind = "uint8" if array.dtype == np.uint8 else kinds[array.dtype.kind]
    return f"{kind} {list(array.shape[1:])}"


def _count_classes(
    splits: Sequence[Split], tokens: bool, name: str, labels: tuple[str, ...] = ()
) -> int | None:
    targets = [split.targets for split in splits]
    if targets[0].dtype != np.int32:
        return None
    if tokens:
        arrays = [*targets, *(split.inputs for split in splits)]
        if (low := min(int(array.min()) for array in arrays)) < 0:
            raise UserError(f"{name}: tokens must be whole numbers from 0, got {low}.")
        return 1 + max(int(array.max()) for array in arrays)
    found = np.unique(np.concatenate(targets))
    if not np.array_equal(found, np.arange(len(found))):
        raise UserError(
            f"{name}: targets that are whole numbers are classes, which must be 0 to {len(found) - 1}, got "
            f"{shorten(found.tolist())}. {offer_mapping(found)} "
            "Numbers to be approached are targets.astype('float32')."
        )
    if len(found) < 2:
        raise UserError(
            f"{name}: targets must be of 2 classes at least, got only the class {_call_classes([0], labels)}."
        )
    for part, own in zip(PARTS, targets, strict=True):
        _refuse_lack(own, found, part, name, labels)
    return len(found)


def _refuse_lack(targets: Array, classes: Array, part: str, name: str, labels: tuple[str, ...] = ()) -> None:
    lacking = np.setdiff1d(classes, targets).tolist()
    if lacking:
        which = f"{'class' if len(lacking) == 1 else 'the classes'} {_call_classes(lacking, labels)}"
        raise UserError(
            f"{name}: the {part} split, of {len(targets)}, has no example of {which}; "
            "shuffle the examples before they are cut, make this split larger, or leave the class out. "
            "Quantities are floating point."
        )


def _call_classes(classes: Sequence[int], labels: tuple[str, ...]) -> str:
    """Return what a user calls the classes: by their labels, if they have any."""
    named: list[str | int] = [labels[number] if labels else number for number in classes]
    return repr(named[0]) if len(named) == 1 else shorten(named)


def _read_through(splits: Sequence[Split], name: str, origin: str) -> str:
    """Return the digest of all splits; refuse numbers that are not finite on the way, in one reading."""
    content = hashlib.sha256(origin.encode())
    for part, split in zip(PARTS, splits, strict=True):
        for key in ("inputs", "targets"):
            array = getattr(split, key)
            content.update(f"{part} {key} {_form(array)} {len(array)}".encode())
            for piece in pieces(array, f"{name}: {part} {key}"):
                content.update(np.ascontiguousarray(piece).data)
    return f"sha256:{content.hexdigest()}"
