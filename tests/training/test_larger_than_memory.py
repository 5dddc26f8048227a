"""Data on disk are read a piece ahead of the loop: the same bits as from memory."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from test_tasks import dataset, job_of, numbers, text, three_classes

from ratelab import models
from ratelab.batch_sizes import growing, plan_batches
from ratelab.data import Split, encoding, table
from ratelab.tasks import auto
from ratelab.training import Program, Tabulated, Training, device_data
from ratelab.training.segments import Segments

OURS = {
    "classes": (three_classes, partial(models.cnn, filters=[2])),
    "numbers": (numbers, partial(models.mlp, hidden=[8])),
    "text": (text, partial(models.transformer, layers=1, width=8, heads=2)),
}


def on_disk(data, folder):
    """The same data as memory maps."""
    splits = {}
    for name in ("train", "validation", "test"):
        arrays = {}
        for part in ("inputs", "targets"):
            path = folder / f"{name}_{part}.npy"
            np.save(path, getattr(getattr(data, name), part))
            arrays[part] = np.load(path, mmap_mode="r")
        splits[name] = Split(**arrays)
    return replace(data, **splits)


def bits(job):
    """Whatever a run gives, to the bit."""
    training = Training([job], Program(job))
    chunks = [chunk for [chunk] in training]
    weights = [array.tobytes() for array in training.model().get_weights()]
    return [(c.train_loss.tobytes(), c.validation) for c in chunks], training.test(), weights


@pytest.mark.parametrize("batch", ["constant", "growing"])
@pytest.mark.parametrize("piece", [1, 3000, 2**20])
@pytest.mark.parametrize("kind", OURS)
def test_a_memory_map_gives_the_bits_of_memory(tensorflow, tmp_path, monkeypatch, kind, piece, batch):
    make, build = OURS[kind]
    data = make()
    job = job_of(data, auto(data.train.targets, data.classes), build)
    if batch == "growing":
        size = growing(16, len(data.train), decay_rate=0.7, decay_steps=5, largest=60)
        plan = plan_batches(size, len(data.train), 2)
        job = replace(job, batches=plan, rates=Tabulated(np.full(plan.steps, 0.1, np.float32)))
    monkeypatch.setattr(device_data, "PIECE_BYTES", piece)
    monkeypatch.setattr(device_data, "EVALUATION_BATCH", 32)
    assert bits(replace(job, data=on_disk(data, tmp_path))) == bits(job)


def test_pieces_are_small_and_few_are_read_ahead(tensorflow, tmp_path, monkeypatch):
    inputs = np.random.default_rng(0).normal(size=(470, 50)).astype(np.float32)
    data = dataset(inputs, np.ones((470, 1), np.float32))
    job = job_of(data, auto(data.train.targets, None), models.softmax)
    monkeypatch.setattr(device_data, "PIECE_BYTES", 64 * 204)  # of 64 examples
    held = device_data.DeviceData(on_disk(data, tmp_path))
    assert held.most_examples == 64
    taken = []

    def segments():
        for segment in Segments(job.batches, exact=False, most=held.most_examples).of_epoch(
            0, np.arange(len(data.train), dtype=np.int32)
        ):
            taken.append(segment)
            yield segment

    for number, piece in enumerate(held.pieces(segments())):
        assert piece.inputs.shape == (64, 50)
        assert len(taken) <= number + 3  # this one, one that waits, one in the making
    assert number == 4


def test_a_table_on_the_disk_gives_the_bits_of_memory(tensorflow, tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(700, 5)), columns=list("abcde"))
    frame = frame.assign(word=generator.choice(["red", "blue"], 700), target=frame.sum(axis=1) > 0)
    frame.to_parquet(tmp_path / "mine.parquet", row_group_size=90)
    held = table(str(tmp_path / "mine.parquet"), "target")
    monkeypatch.setattr(encoding, "MOST_IN_MEMORY", 0)
    monkeypatch.setattr(encoding, "BATCH", 3000)
    monkeypatch.setattr(encoding, "FEWEST", 1)
    monkeypatch.setattr(device_data, "PIECE_BYTES", 3000)
    monkeypatch.setattr(device_data, "EVALUATION_BATCH", 32)
    data = table(str(tmp_path / "mine.parquet"), "target")
    assert [type(split.inputs) for split in (data.train, data.validation, data.test)] == [np.memmap] * 3
    job = job_of(data, auto(data.train.targets, data.classes), partial(models.mlp, hidden=[8]))
    assert bits(job) == bits(replace(job, data=held))
