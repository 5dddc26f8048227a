"""A run repeated from what was saved of it: the same run under the same name, twice the same bits."""

import numpy as np
import pytest

from support.programs import begin, finish

NAME = "exponential seed=1"


@pytest.fixture(scope="module")
def repeated(quick, tmp_path_factory):
    """A run of the recorded sweep, repeated from what Hydra saved and from its artifact."""
    [job] = [
        path
        for path in (quick.folder / "multirun").glob("*/*/*/.hydra")
        if "seed=1" in (path / "overrides.yaml").read_text()
        and "schedule=exponential" in (path / "overrides.yaml").read_text()
    ]
    saved = [job, quick.artifact(quick.children[NAME], "config.yaml").parent]
    folders = [tmp_path_factory.mktemp("repeated") for _ in saved]
    processes = [
        begin(folder, "--config-dir", str(one), "--config-name", "config")
        for folder, one in zip(folders, saved, strict=True)
    ]
    return [finish(*one) for one in zip(processes, folders, strict=True)]


@pytest.mark.parametrize("number", [0, 1], ids=["from .hydra", "from the artifact"])
def test_a_run_repeated_from_what_was_saved_is_the_same_run_under_the_same_name(quick, repeated, number):
    done = repeated[number]
    assert (done.status, done.err) == (0, "")
    [(name, run)] = done.runs.items()
    first = quick.children[NAME]
    assert name == NAME
    assert run.data.params == first.data.params
    assert run.data.tags["config_digest"] == first.data.tags["config_digest"]
    columns, before = done.steps(run), quick.steps(first)
    np.testing.assert_array_equal(columns["learning_rate"], before["learning_rate"])
    # the first was trained in a stack, which is the same to rounding
    np.testing.assert_allclose(columns["train_loss"], before["train_loss"], rtol=1e-5)


def test_both_ways_to_repeat_it_give_the_same_bits(repeated):
    one, other = (done.steps(done.runs[NAME]) for done in repeated)
    assert one.keys() == other.keys()
    np.testing.assert_array_equal(one["train_loss"], other["train_loss"])
