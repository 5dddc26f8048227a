"""Scripts of the project that lie in no package, as modules."""

import importlib.util

from support import ROOT


def load_script(name):
    """Return the module that docs/NAME.py is."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
