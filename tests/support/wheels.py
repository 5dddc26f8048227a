"""A wheel of ratelab, and a virtual environment for it, with nothing of the repository on any path."""

import os
import subprocess
import sys
import venv

from support import ROOT

# For environments of the tests, that pip takes this wheel, whatever is installed beside it, and no network.
PIP = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_IGNORE_INSTALLED": "1"}
# What would bring the repository back onto a path.
WITHOUT = {"PYTHONPATH": None, "PYTHONHOME": None, "VIRTUAL_ENV": None}
# `make dist` gives the wheel of a release, to be tried alone: with the packages that it asks for itself.
RELEASED = os.environ.get("RATELAB_WHEEL")


def build_wheel(folder, source=ROOT):
    """Build a wheel into a folder and return it."""
    _build("wheel", folder, source)
    [wheel] = folder.glob("*.whl")
    return wheel


def build_sdist(folder):
    """Build an sdist into a folder and return it."""
    _build("sdist", folder, ROOT)
    [sdist] = folder.glob("*.tar.gz")
    return sdist


def _build(kind, folder, source):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", folder], cwd=source, check=True
    )


def make_environment(folder):
    """Make a virtual environment with the other packages of this one; return the folder of its programs."""
    venv.create(folder)
    [packages] = (folder / "lib").glob("python*/site-packages")
    # A line of a .pth file is a path; the .pth files in there, of the editable ratelab, are not read.
    others = [path for path in sys.path if path.endswith("-packages")]
    (packages / "others.pth").write_text("\n".join(others))
    return folder / "bin"


def install(wheel, folder):
    """Make a virtual environment with a wheel; return the folder of its programs.

    Of a release it has what pip finds for it, and no more; else the other packages of this environment.
    """
    if RELEASED:
        venv.create(folder, with_pip=True)
    else:
        make_environment(folder)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
    words = ["--constraint", ROOT / "constraints.txt", wheel]
    subprocess.run([*pip, *words], env=os.environ | ({} if RELEASED else PIP), check=True)
    return folder / "bin"
