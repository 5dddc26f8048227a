"""The weights of a model outlive its program, to the bit, until the store has the model."""

import errno

import ml_dtypes
import numpy as np
import pytest

from ratelab.runs import models as models_module
from ratelab.runs.models import Models
from support.fakes import FakeModel

WEIGHTS = [
    np.float32([[1.5, -0.0], [np.nan, 1e-45]]),
    np.zeros((0, 3), np.float64),
    np.float16(2.5).reshape(()),
    np.array([1.5, -2.0, 3.0], ml_dtypes.bfloat16),
    np.arange(6, dtype=np.int32).reshape(1, 2, 3),
]


@pytest.fixture
def models(tmp_path):
    return Models(tmp_path)


def plain(arrays):
    return [(array.dtype, array.shape, array.tobytes()) for array in arrays]


def empty():
    return FakeModel(*(np.zeros_like(array) for array in WEIGHTS))


def test_they_come_back_to_the_bit_in_types_that_numpy_does_not_know_too(models):
    models.save("a-3", FakeModel(*WEIGHTS))
    assert plain(models.load("a-3", empty()).weights) == plain(WEIGHTS)


def test_each_is_kept_under_its_key_until_it_is_dropped(models, tmp_path):
    for key in ("a-3", "a-4"):
        models.save(key, FakeModel(*WEIGHTS))
    assert [models.has(key) for key in ("a-3", "a-4", "b-3")] == [True, True, False]
    models.drop("a-3")
    assert [models.has(key) for key in ("a-3", "a-4")] == [False, True]
    models.drop("a-4")
    models.drop("a-4")
    assert [*tmp_path.iterdir()] == []


def test_the_last_one_of_a_run_counts(models):
    models.save("a-3", empty())
    models.save("a-3", FakeModel(*WEIGHTS))
    assert plain(models.load("a-3", empty()).weights) == plain(WEIGHTS)


def test_one_that_is_not_whole_is_refused_and_removed(models, tmp_path):
    models.save("a-3", FakeModel(*WEIGHTS))
    path = tmp_path / "models" / "a-3"
    whole = path.read_bytes()
    cut = [whole[:length] for length in range(len(whole))]
    flipped = [
        whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :] for place in range(len(whole))
    ]
    for content in cut + flipped:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        assert models.has("a-3")
        with pytest.raises(ValueError, match=r"models/a-3 is damaged, and the store has not had the model"):
            models.load("a-3", empty())
        assert not models.has("a-3")


def test_that_one_cannot_be_kept_is_said_and_passes(models, tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(models_module, "write_whole", fail)
    models.save("a-3", FakeModel(*WEIGHTS))
    assert capsys.readouterr().err == (
        f"warning: {tmp_path}/models: No space left on device. A model that the store has not taken is lost "
        "if this program dies.\n"
    )
    assert not models.has("a-3")
