"""The command line of a sweep that takes several devices and models."""

import numpy as np
import pytest

from support.programs import is_parent, train


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A sweep over devices, models and schedules, and how it ended."""
    choices = ["device=cpu,auto", "model=softmax,mlp,cnn", "schedule=fixed,exponential"]
    return train(tmp_path_factory.mktemp("mixed"), "-m", "data=digits", "epochs=1", *choices)


def test_one_command_takes_several_devices_and_models(mixed):
    assert (mixed.status, mixed.err) == (0, "")
    children = [run for run in mixed.everything if run.info.status == "FINISHED" and not is_parent(run)]
    kinds = {
        (r.data.params["device.kind"], r.data.params["model._target_"], r.data.tags["schedule"])
        for r in children
    }
    assert len(children) == len(kinds) == 12


def test_the_same_job_on_two_devices_that_are_one_gives_the_same_result(mixed):
    """`auto` is the CPU where there is no GPU."""
    found = {}
    for run in mixed.everything:
        if not is_parent(run):
            place = run.data.params["model._target_"], run.data.tags["schedule"]
            found.setdefault(place, []).append(run.data.metrics["test_loss"])
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("needs a machine without a GPU")
    assert {len(np.unique(losses)) for losses in found.values()} == {1}
