"""`src/train.py` with a journal in memory, which is never written: the difference is what its file costs."""

import runpy
import sys
from pathlib import Path

from ratelab.runs.journal import Journal

TRAIN = Path(__file__).parents[2] / "src" / "train.py"

if __name__ == "__main__":
    Journal._open = lambda _: None  # as where the disk takes nothing from the beginning on
    sys.argv[0] = str(TRAIN)
    runpy.run_path(str(TRAIN), run_name="__main__")
