"""A text as tokens, one a character, cut into windows: what follows each character is to be learned."""

import itertools
import sys

import numpy as np

from ratelab.data.accepting import assemble
from ratelab.data.datasets import Dataset
from ratelab.data.reading import find_file
from ratelab.data.sizes import PART, counts_of
from ratelab.validation import Count, UserError, checked
from ratelab.validation.sizes import Size

LARGEST_BYTE = 256
REMEDY = "Give a text in UTF-8, or leave data.file out for the one that comes with Python."


@checked
def text(
    file: str | None = None,
    *,
    context: Count,
    validation_size: Size = PART,
    test_size: Size = PART,
) -> Dataset:
    """Return a text as windows of characters, and for each character the one that follows.

    The windows do not overlap; the last of them test, those before validate, the first train. The tokens are
    all characters of the text in the order of Unicode, so that there is none that a split does not know.

    Args:
        file: in UTF-8; None: the documentation of the language that comes with Python (pydoc_data.topics),
            another in every version of Python.
        context: how many characters are a window.
        validation_size: how many windows validate, or which part of all.
        test_size: how many windows test, or which part of all.

    Returns:
        Inputs uint8 or, of more than 256 characters, int32, [windows, context]; targets int32 of the same
        shape. The labels are the characters.

    Raises:
        UserError: if the file is not there, is no text, or too short.

    References:
        Karpathy 2015, The unreasonable effectiveness of recurrent neural networks.

    >>> data = text(context=64)
    >>> first, following = data.train.inputs[0], data.train.targets[0]
    >>> first[1:].tolist() == following[:-1].tolist(), "".join(data.labels[token] for token in first[:7])
    (True, '...')
    """
    characters, origin = _read_python() if file is None else _read_file(file)
    windows = (len(characters) - 1) // context
    if windows < 3:
        raise UserError(
            f"text: {origin} has {len(characters)} characters, and 3 windows of context={context} need "
            f"{3 * context + 1}; give a longer text or a smaller context."
        )
    points = np.frombuffer(characters.encode("utf-32-le"), np.uint32)[: windows * context + 1]
    known, tokens = np.unique(points, return_inverse=True)
    inputs = tokens.astype(np.uint8 if len(known) <= LARGEST_BYTE else np.int32)
    rows = inputs[:-1].reshape(windows, context), tokens[1:].astype(np.int32).reshape(windows, context)
    validation, test = counts_of(validation_size, test_size, windows)
    ends = [0, windows - test - validation, windows - test, windows]
    pairs = [tuple(array[start:end] for array in rows) for start, end in itertools.pairwise(ends)]
    return assemble(pairs, f"text: {origin}", tuple(chr(point) for point in known), origin)


def _read_python() -> tuple[str, str]:
    from pydoc_data import topics

    version = ".".join(map(str, sys.version_info[:3]))
    return "\n".join(topics.topics[name] for name in sorted(topics.topics)), f"Python {version}"


def _read_file(file: str) -> tuple[str, str]:
    path = find_file(file, REMEDY)
    try:
        return path.read_text(encoding="utf-8-sig"), path.name
    except (UnicodeDecodeError, OSError) as error:
        raise UserError(f"data.file: {path} cannot be read ({error}). {REMEDY}") from None
