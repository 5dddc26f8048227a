"""Every cell of docs/python.md, in their order, as one program; the page shows all that `ratelab` offers."""

import inspect
import os
import re
import subprocess
import sys

import pytest

import ratelab
from support import ROOT, SRC
from support.programs import HANGS, Done, is_parent

PAGE = (ROOT / "docs" / "python.md").read_text()
CELLS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
CHECKS = """
assert study.groups.n.tolist() == [6, 6] and len(study.pairs) == len(study.verdicts) == 1 and study.notes
assert len(study.runs) == 12 and study.report.exists()
assert momenta.groups.group.str.contains("momentum").all()
assert sorted(own.groups.group) == ["cosine", "fixed", "square_root"]
assert set(own.groups.metric) == {"test_rmse"}
assert one.metric == "accuracy" and 0 < one.value < 1
assert len(one.learning_rate) == len(one.train_loss) and len(one.validation) == 5
assert rates(np.arange(100)).shape == (100,)
"""


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """What a reader has who ran all cells, and what was printed."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "cells.py").write_text("\n".join([*CELLS, CHECKS]))
    done = subprocess.run(
        [sys.executable, "cells.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stderr
    return Done(folder, 0, done.stdout, done.stderr)


def test_every_cell_runs_and_every_run_is_recorded(followed):
    runs = followed.everything
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len([run for run in runs if is_parent(run)]) == 3


def test_the_mistake_of_the_page_is_answered_as_it_says(followed):
    assert followed.out.rstrip().endswith("Did you mean schedule=exponential?")


def test_what_the_page_shows_is_what_is_offered():
    shown = set(re.findall(r"\bratelab\.(\w+)", PAGE)) - {"schedules"}
    assert shown == set(ratelab.__all__)


@pytest.mark.parametrize("name", ratelab.__all__)
def test_what_is_offered_has_a_docstring_and_types(name):
    offered = getattr(ratelab, name)
    assert inspect.getdoc(offered)
    if inspect.isfunction(offered):
        signature = inspect.signature(offered)
        assert signature.return_annotation is not inspect.Signature.empty
        assert all(one.annotation is not one.empty for one in signature.parameters.values())
        assert ">>> import" in offered.__doc__


def test_there_is_nothing_else():
    with pytest.raises(AttributeError, match="no attribute 'sweeep'"):
        _ = ratelab.sweeep
    assert set(ratelab.__all__) <= set(dir(ratelab))
