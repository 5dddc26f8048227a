"""What cannot be kept of a run is a warning: runs that trained are FINISHED, those stopped are KILLED."""

import signal

import pytest

from support.programs import ONE_WORKER, begin, finish, so_far, wait_until

SWEEP = ["-m", "experiment=quick", "schedule=fixed,exponential", ONE_WORKER]


@pytest.fixture
def folder(tmp_path):
    """A project in whose place for artifacts nothing can be written, not even by root."""
    (tmp_path / "mlruns" / "artifacts").mkdir(parents=True)
    (tmp_path / "mlruns" / "artifacts" / "ratelab").write_text("a file where a folder is wanted")
    return tmp_path


def test_runs_that_trained_are_finished_with_one_warning_for_all(folder):
    done = finish(begin(folder, *SWEEP), folder)
    assert done.status == 0, done.err
    assert {run.info.status for run in done.runs.values()} == {"FINISHED"}
    assert len(done.runs) == 3
    lost = "the description of the run (config.yaml and others), steps.parquet"
    assert {run.data.tags["not_kept"] for run in done.children.values()} == {lost}
    for run in done.children.values():
        assert len(done.points(run, "learning_rate")[0]) == 250
    warnings = [line for line in done.err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == len(done.err.splitlines())
    kinds = ("the description of the run", "steps.parquet", "report.html")
    for kind in kinds:
        told = [line for line in warnings if kind in line]
        assert 1 <= len(told) <= 2, told
    assert (done.job_folder / "report.html").exists()


def test_runs_that_are_stopped_are_killed_although_their_artifacts_are_lost(folder):
    process = begin(folder, *SWEEP, "epochs=100000", "model=softmax")
    wait_until(lambda: recorded_points(folder) > 0, process)
    process.send_signal(signal.SIGTERM)
    done = finish(process, folder)
    assert done.status == 143, done.err
    assert {run.info.status for run in done.runs.values()} == {"KILLED"}
    assert "Traceback" not in done.err
    assert "steps.parquet could not be kept" in done.err


def recorded_points(folder):
    """How many losses are in the store; none while it is made."""
    if not (folder / "mlruns" / "mlflow.db").exists():
        return 0
    runs = [run for run in so_far(folder).everything if "train_loss" in run.data.metrics]
    return len(runs)
