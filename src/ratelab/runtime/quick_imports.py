"""Large imports in less time."""

import contextlib
import gc
import sys
from collections.abc import Iterator


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
        # Modules live as long as the process. Frozen, they are not gone through again at each full
        # collection, which stops whatever runs for a moment.
        gc.freeze()
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def hide_modules(*names: str) -> Iterator[None]:
    """Let `import` fail in the block for modules that it is quicker to do without.

    For packages that import another one only to see whether it is there. After the block all can be imported
    again; a module that is imported already stays, since it costs nothing more.

    Args:
        names: of modules, as `import` has them.
    """
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        # None in place of a module is how Python itself is told that there is none: `import` then raises
        # ModuleNotFoundError ("The module cache" in the language reference).
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
