"""Arrays of a user's as training takes them: float32, int32 or uint8; what is no number is refused."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ratelab.validation import UserError, shorten

Array = npt.NDArray[Any]

PIECE = 2**24  # bytes
MOST_OFFERED = 10  # labels in a message

# What cannot be learned from, by numpy's letter of the type, and what to do about it.
REFUSED = {
    "O": "of Python objects; give numbers of one type and rows of one length",
    "c": "complex numbers; give their real and imaginary parts as two columns",
    "M": "dates; give the seconds since one of them",
    "m": "times; give them in seconds",
    "V": "records; give their fields as columns",
}
REFUSED_INPUTS = REFUSED | dict.fromkeys("UST", "texts; give a number for each")


def to_inputs(values: Any, what: str) -> Array:
    """Return inputs as uint8, int32 or float32, [n, ...]; a memory map stays in its own type, uncopied.

    Raises:
        UserError: if they are no numbers, or not at least [n, 1].
    """
    array = _to_array(values, what, REFUSED_INPUTS)
    if array.ndim < 2 or 0 in array.shape[1:]:
        raise UserError(
            f"{what} must be [n, ...], numbers for each example, got the shape {list(array.shape)}; "
            "one number an example is inputs.reshape(-1, 1)."
        )
    # To convert a memory map would be to copy it.
    return array if isinstance(array, np.memmap) else to_own_type(array, what)


def to_targets(values: Any, inputs: Array, what: str) -> Array:
    """Return targets as classes int32 [n], tokens int32 [n, context], or numbers float32 [n, k].

    Whole numbers are classes, one an example, or tokens, one for each input; floating point is numbers.

    Args:
        values: as they were given.
        inputs: of the same examples, as `to_inputs` returns them.
        what: to call them in an error.

    Raises:
        UserError: if they are none of these.
    """
    array = np.asarray(_to_array(values, what, REFUSED))
    if array.dtype.kind not in "buif":
        raise UserError(f"{what} are texts. {offer_mapping(array)}")
    if array.ndim == 0 or 0 in array.shape[1:]:
        raise UserError(
            f"{what} must be [n, ...], one or more for each example, got the shape {list(array.shape)}."
        )
    if array.ndim == 2 and array.shape[1] > 1 and _is_one_hot(array):
        raise UserError(f"{what} are one-hot rows {list(array.shape)}; give classes: targets.argmax(1).")
    array = to_own_type(array.astype(np.int32) if array.dtype in (np.bool, np.uint8) else array, what)
    if array.dtype == np.float32:
        return array if array.ndim > 1 else array.reshape(-1, 1)
    if array.ndim == 2 and is_tokens(inputs, array):
        return array
    if array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    if array.ndim != 1:
        raise UserError(
            f"{what} are whole numbers {list(array.shape)}, neither classes, [n], nor tokens, of the shape "
            f"of whole inputs, which are {inputs.dtype} {list(inputs.shape)}; numbers to be approached are "
            "targets.astype('float32')."
        )
    return array


def to_own_type(array: Array, what: str) -> Array:
    """Return numbers as float32 or int32, read-only; uint8 stays.

    Raises:
        UserError: for whole numbers beyond int32.
    """
    if array.dtype == np.uint8:
        made = array.view()
    elif array.dtype.kind in "fb":
        with np.errstate(over="ignore"):  # what is beyond float32 is found with what is not finite
            made = array.astype(np.float32, copy=False).view()
    else:
        _refuse_large(array, what)
        made = array.astype(np.int32, copy=False).view()
    made.flags.writeable = False
    return made


def pieces(array: Array, what: str) -> Iterator[Array]:
    """Yield an array piece by piece, each as training will see it, in float32, int32 or uint8.

    Of a memory map only a piece at a time is in memory: `PIECE` bytes, or one example.

    Raises:
        UserError: for the first number that is not finite, and for a whole number beyond int32.
    """
    rows = max(1, PIECE // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        piece = to_own_type(np.asarray(array[start : start + rows]), what)
        if piece.dtype == np.float32 and not np.isfinite(piece).all():
            place = np.argwhere(~np.isfinite(piece))[0]
            value = piece[tuple(place)]
            where = ", ".join(str(index) for index in (start + place[0], *place[1:]))
            raise UserError(
                f"{what}[{where}] is {value:g} in float32, and must be finite; mend or remove it."
            )
        yield piece


def is_tokens(inputs: Array, targets: Array) -> bool:
    """Say whether whole numbers are to be learned for each of the inputs, which are whole as well."""
    whole = inputs.dtype.kind in "iu" and targets.dtype.kind in "iu"
    return whole and inputs.ndim == 2 and inputs.shape == targets.shape


def offer_mapping(labels: Array) -> str:
    """Return the sentence that offers a number for each label.

    >>> offer_mapping(np.array(["dog", "cat", "dog"]))
    "Give each a number, {'cat': 0, 'dog': 1}, by numpy.unique(targets, return_inverse=True)[1]."
    """
    different = np.unique(labels).tolist()
    offered = ", ".join(f"{label!r}: {number}" for number, label in enumerate(different[:MOST_OFFERED]))
    more = ", ..." if len(different) > MOST_OFFERED else ""
    by = "numpy.unique(targets, return_inverse=True)[1]"
    return f"Give each a number, {{{offered}{more}}}, by {by}."


def _to_array(values: Any, what: str, refused: Mapping[str, str]) -> Array:
    try:
        array = values if isinstance(values, np.memmap) else np.asarray(values)
    except (TypeError, ValueError) as error:
        raise UserError(f"{what} are no array ({shorten(str(error))}); give rows of one length.") from None
    if array.dtype.kind == "O" and array.size and all(isinstance(value, str) for value in array.flat):
        array = array.astype(str)
    if array.dtype.kind in refused:
        raise UserError(f"{what} are {refused[array.dtype.kind]}, got {array.dtype} {list(array.shape)}.")
    return array


def _refuse_large(array: Array, what: str) -> None:
    if array.size and array.dtype.itemsize >= 4:
        limits = np.iinfo(np.int32)
        if array.min() < limits.min or array.max() > limits.max:
            raise UserError(
                f"{what} are whole numbers beyond int32, from {array.min()} to {array.max()}; "
                "give quantities in floating point."
            )


def _is_one_hot(array: Array) -> bool:
    is_one = array == 1
    return bool(((array == 0) | is_one).all() and (is_one.sum(1) == 1).all())
