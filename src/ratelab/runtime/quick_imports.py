"""Large imports in less time."""

import contextlib
import gc
from collections.abc import Iterator

__all__ = ["quick_imports"]


@contextlib.contextmanager
def quick_imports() -> Iterator[None]:
    """Pause the garbage collector for the block, and leave what was imported out of later collections.

    Importing TensorFlow and MLflow makes millions of objects and no garbage; looking for it takes a fifth of
    the time, and again at every later collection.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
