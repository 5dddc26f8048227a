"""What could not be kept of a run is told once, with what to do, and the run goes on."""

import errno

import pytest

from ratelab.tracking import Losses, NullRun, StoreError, Tracker, warn_of_loss


@pytest.mark.parametrize(
    ("what", "error", "told"),
    [
        (
            "steps.parquet",
            OSError(errno.ENOSPC, "No space left on device"),
            "[Errno 28] No space left on device. Make room on its disk, or set TMPDIR to a folder with room.",
        ),
        (
            "steps.parquet",
            OSError(errno.ENOSPC, "No space left on device", "/a/steps.parquet"),
            "[Errno 28] No space left on device: '/a/steps.parquet'. Make room there.",
        ),
        (
            "steps.parquet",
            PermissionError(errno.EACCES, "Permission denied", "/a"),
            "[Errno 13] Permission denied: '/a'. See that the folder is there and that you may write in it; "
            "TMPDIR names the one for a moment.",
        ),
        (
            "the model",
            NotImplementedError("Object Mine must override get_config\nin 13 kB\nof lines"),
            "NotImplementedError: Object Mine must override get_config. Give it what Keras needs to save it "
            "(get_config), or set tracking.log_model=false.",
        ),
        ("the model", StoreError("tracking.uri: it does not answer."), "tracking.uri: it does not answer."),
        ("report.html", RuntimeError(""), "RuntimeError: ."),
        (
            "metrics",
            StoreError("tracking.uri: it refuses."),
            "tracking.uri: it refuses. They are in its journal, and the store is given them another time.",
        ),
    ],
    ids=["full", "full file", "permission", "model", "store", "other", "metrics"],
)
def test_a_loss_is_one_line_with_the_cause_and_what_to_do(what, error, told, capfd):
    Losses().add(what, "fixed seed=0", error)
    expected = f"warning: fixed seed=0: {what} could not be kept: {told} The run goes on without it.\n"
    assert capfd.readouterr().err == expected


def test_many_losses_of_a_kind_are_two_lines(capfd):
    losses = Losses()
    for number in range(30):
        losses.add("steps.parquet", f"run {number}", OSError("full"))
    losses.add("the model", "run 3", OSError("full"))
    losses.close()
    losses.close()
    lines = capfd.readouterr().err.splitlines()
    assert [line.partition(" could")[0] for line in lines] == [
        "warning: run 0: steps.parquet",
        "warning: run 3: the model",
        "warning: steps.parquet",
    ]
    assert lines[-1].endswith("of 29 other runs.")


def test_runs_are_counted_and_not_what_each_has_lost(capfd):
    losses = Losses()
    for name in ("a", "b", "a", "b", "b"):
        losses.add("the tag error", name, OSError("full"))
    losses.close()
    assert capfd.readouterr().err.splitlines()[1:] == [
        "warning: the tag error could not be kept of another run."
    ]


def test_the_run_says_what_is_missing_and_finishes(tracker: Tracker, capfd) -> None:
    from mlflow import MlflowClient

    with tracker.run("lossy", params={"a": 1}, tags={}) as run:
        for what in ("steps.parquet", "the model", "steps.parquet"):
            with warn_of_loss(run, what):
                raise OSError("full")
    stored = MlflowClient(tracker.uri).get_run(run.id)
    assert stored.info.status == "FINISHED"
    assert stored.data.tags["not_kept"] == "steps.parquet, the model"
    assert len(capfd.readouterr().err.splitlines()) == 2


def test_an_order_to_stop_is_no_loss() -> None:
    with pytest.raises(KeyboardInterrupt), warn_of_loss(NullRun("a"), "steps.parquet"):
        raise KeyboardInterrupt
