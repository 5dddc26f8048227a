"""The grid of experiment=tuned, and the mistakes that end it before anything is written."""

import pytest

from ratelab.sweeps.tuned import Tuning
from support.in_process import train

SMALL = ["experiment=tuned", "data=digits", "epochs=1", "batch_size=24", "schedule=fixed,exponential"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["learning_rate=0.1,1"], "learning_rate must be one value: the base rates to try come from"),
        (["seed=1000,1"], "tuning.seeds must be other seeds than those that judge, both have 1000"),
        (["hydra.sweeper.tuning.points=2"], "tuning.points must be greater than or equal to 3, got 2"),
        (["hydra.sweeper.tuning.lowest=0"], "hydra.sweeper.tuning.lowest must be greater than 0, got 0"),
        (["hydra.sweeper.tuning.lowest=20"], "hydra.sweeper.tuning.lowest must be below highest, got 20"),
        (["+hydra.sweeper.tuning.pints=3"], "there is no key 'hydra.sweeper.tuning.pints'"),
        (["hydra/launcher=basic"], "hydra.sweeper.tuning needs hydra/launcher=ratelab or hydra/launcher=ray"),
        (["seed=-1"], "seed must be greater than or equal to 0, got -1"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_message_and_nothing_is_written(tmp_path, words, message):
    done = train(tmp_path, *SMALL, *words)
    assert done.status == 1
    assert message in done.err
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


def tuning(**options):
    return Tuning(**{"lowest": 0.01, "highest": 1.0, "points": 3, "seeds": [1], "widenings": 1} | options)


def test_the_grid_has_equal_ratios():
    assert tuning().grid == [0.01, 0.1, 1.0]
    assert tuning(points=5).grid == [0.01, 0.0316, 0.1, 0.316, 1.0]


@pytest.mark.parametrize(
    ("edges", "new"),
    [
        (set(), []),
        ({""}, []),
        ({"", "highest"}, [10.0, 100.0]),
        ({"lowest"}, [0.0001, 0.001]),
        ({"lowest", "highest"}, [0.0001, 0.001, 10.0, 100.0]),
    ],
)
def test_the_grid_grows_at_the_edge_that_was_best(edges, new):
    assert tuning().beyond([0.01, 0.1, 1.0], edges) == new
