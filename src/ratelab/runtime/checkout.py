"""The project's own files: in a checkout of the repository, or in the package as a wheel has installed it."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def find_folder(in_package: str, in_checkout: str) -> Path:
    """Return a folder that a wheel carries in the package; in a checkout it is beside src/.

    Args:
        in_package: its name there.
        in_checkout: its name at the top level of the repository.
    """
    carried = _PACKAGE / in_package
    return carried if carried.is_dir() else _PACKAGE.parents[1] / in_checkout


def name_training() -> str:
    """Return how training is begun: in a checkout by `python src/train.py`, else by `ratelab train`."""
    return "python src/train.py" if (_PACKAGE.parent / "train.py").is_file() else "ratelab train"
