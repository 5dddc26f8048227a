"""Two sweeps in one folder stay two, whoever launches them."""

import csv

import pytest

from ratelab.tracking import find_runs
from support import in_process
from support.files import read_tree
from support.programs import train

SMALL = ["-m", "experiment=quick", "epochs=1", "hydra.launcher.workers=1", "hydra.sweep.dir=it's a/lr"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder, two sweeps: by our launcher, then by Hydra's own sweeper and launcher."""
    folder = tmp_path_factory.mktemp("two sweeps")
    ours = [word.replace("it's a/lr", "'it\\'s a/lr'") for word in SMALL]
    first = train(folder, *ours, "schedule=fixed,cosine")
    before = read_tree(folder / "it's a")
    basic = [word for word in ours if "workers" not in word]
    second = train(
        folder, *basic, "hydra/launcher=basic", "hydra/sweeper=basic", "schedule=wsd,rex", "seed=3"
    )
    for done in (first, second):
        assert (done.status, done.err) == (0, "")
    return folder, before, second


def test_the_first_sweep_keeps_its_files(folder):
    path, before, second = folder
    assert {"lr/report.html", "lr/multirun.yaml", "lr/0/.hydra/config.yaml"} <= before.keys()
    after = read_tree(path / "it's a")
    assert {name: after[name] for name in before} == before
    assert second.out.startswith("it's a/lr holds a sweep already; this one goes to it's a/lr/")


def test_all_jobs_of_a_sweep_have_its_id_and_no_other_sweep_has_it(folder):
    runs = folder[2].everything
    ids = {}
    for run in runs:
        ids.setdefault(run.data.tags["sweep_id"], set()).add(run.data.tags.get("schedule"))
    assert sorted(ids.values(), key=len) == [{"wsd", "rex"}, {"fixed", "cosine", None}]


def test_the_newest_sweep_is_compared_alone(folder):
    done = in_process.ratelab(folder[0], "compare", "--format", "csv")
    assert done.status == 0
    assert [row["group"] for row in csv.DictReader(done.out.splitlines())] == ["wsd", "rex"]
    assert {run.params["seed"] for run in find_runs(folder[2].store).runs} == {"3"}
