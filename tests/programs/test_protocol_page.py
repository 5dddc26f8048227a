"""Every command of docs/protocol.md: its sweeps, made quick, and what looks at one of seconds."""

import shlex
import sys
from pathlib import Path

import pytest

from support import ROOT, in_process
from support.followed import call, read_blocks
from support.programs import ONE_WORKER, train

PAGE, BLOCKS = read_blocks("protocol.md")
SWEEPS = [line for _, block in BLOCKS for line in block.splitlines() if line.startswith("python ")]
# In seconds: the digits, one epoch, one worker, at most two looks at the seeds, three rates.
QUICKER = {
    "python src/train.py": f"python src/train.py data=digits batch_size=24 epochs=1 {ONE_WORKER}",
    "experiment=tuned": "experiment=tuned hydra.sweeper.tuning.points=3 'hydra.sweeper.tuning.seeds=[1000]'",
    "experiment=decide": "experiment=decide decide.most=8",
}
LINES = [line for _, block in BLOCKS for line in block.splitlines() if line.startswith("ratelab ")]
SWEEP = "2026-01-31-12-00-00-0123abcd"
QUICK = ["-m", "experiment=quick", ONE_WORKER, "schedule=fixed,exponential", "seed=range(0,3)"]
RESULTS = """group,seed,value,wer
a,0,0.91,0.09
a,1,0.92,0.08
b,0,0.90,0.10
b,1,0.90,0.09
"""


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """What a reader has who has swept, with results of another program and a store of another program's."""
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("reader")
    done = train(folder, *QUICK)
    assert (done.status, done.err) == (0, "")
    (folder / "results.csv").write_text(RESULTS)
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.create_experiment("resnet", folder.as_uri())
    for schedule in ("cosine", "step"):
        for seed in range(3):
            run = client.create_run(experiment)
            client.log_param(run.info.run_id, "lr_schedule", schedule)
            client.log_param(run.info.run_id, "seed", seed)
            client.log_metric(run.info.run_id, "test_acc", 0.9 + seed / 100 + len(schedule) / 1000)
            client.set_terminated(run.info.run_id)
    return done


@pytest.mark.parametrize("line", LINES)
def test_it_says_what_was_asked(reader, line):
    words = shlex.split(line.replace(SWEEP, reader.parent.data.tags["sweep_id"]), comments=True)[1:]
    words = words[: words.index(">") if ">" in words else None]
    done = in_process.ratelab(reader.folder, *words)
    assert (done.status, done.err) == (0, "")
    assert done.out


@pytest.mark.parametrize("line", SWEEPS)
def test_its_sweeps_end_well(line, tmp_path):
    for name in ("src", "conf"):
        (tmp_path / name).symlink_to(ROOT / name)
    assert "Test accuracy" in call(line, tmp_path, Path(sys.executable).parent, QUICKER)


def test_what_is_put_in_its_place_is_on_the_page():
    assert SWEEP in PAGE
