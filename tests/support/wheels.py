"""A wheel of ratelab, and a virtual environment for it, with nothing of the repository on any path."""

import subprocess
import sys
import venv

from support import ROOT

# For environments of the tests, that pip takes this wheel, whatever is installed beside it, and no network.
PIP = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_IGNORE_INSTALLED": "1"}
# What would bring the repository back onto a path.
WITHOUT = {"PYTHONPATH": None, "PYTHONHOME": None, "VIRTUAL_ENV": None}


def build_wheel(folder):
    """Build a wheel into a folder and return it."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(build, cwd=ROOT, check=True)
    [wheel] = folder.glob("*.whl")
    return wheel


def make_environment(folder):
    """Make a virtual environment with the other packages of this one; return the folder of its programs."""
    venv.create(folder)
    [packages] = (folder / "lib").glob("python*/site-packages")
    # A line of a .pth file is a path; the .pth files in there, of the editable ratelab, are not read.
    others = [path for path in sys.path if path.endswith("-packages")]
    (packages / "others.pth").write_text("\n".join(others))
    return folder / "bin"
