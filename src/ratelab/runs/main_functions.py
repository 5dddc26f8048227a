"""Functions of the program itself, of a script or a notebook: they travel to other processes with the runs.

Another process cannot import them: the program's file would begin anew there, and a notebook has none.
"""

import contextlib
import inspect
import sys
from collections.abc import Mapping
from typing import Any

import cloudpickle

from ratelab.config.targets import list_targets, locate
from ratelab.validation import UserError

MAIN = "__main__"


def pack(values: Any) -> dict[str, bytes]:
    """Return the functions that `values` name by `_target_` in `__main__`, with all that they use.

    Args:
        values: plain mappings, lists and scalars.

    Raises:
        UserError: one of them uses what no other process can have, such as an open file.
    """
    return {target.rpartition(".")[2]: _pack(target) for target in _list_own(values)}


def read_sources(values: Any) -> str:
    """Return the text of those functions, which no commit has; empty where there are none."""
    texts = []
    for target in _list_own(values):
        with contextlib.suppress(OSError, TypeError):  # typed into a prompt
            texts.append(inspect.getsource(locate(target)))
    return "\n\n".join(texts)


def unpack(packed: Mapping[str, bytes]) -> None:
    """Put functions where `_target_` finds them in this process."""
    for name, function in packed.items():
        setattr(sys.modules[MAIN], name, cloudpickle.loads(function))


def _list_own(values: Any) -> list[str]:
    return sorted({target for target in list_targets(values) if target.rpartition(".")[0] == MAIN})


def _pack(target: str) -> bytes:
    try:
        packed: bytes = cloudpickle.dumps(locate(target))
    except Exception as error:  # of whatever the function uses, by code of anybody's
        raise UserError(
            f"{target}: the processes that train get it with all that it uses, and of that something cannot "
            f"be sent ({type(error).__name__}: {str(error).strip().splitlines()[0]:.100}); make it inside of "
            "the function, or put the function into a module of its own."
        ) from None
    return packed
