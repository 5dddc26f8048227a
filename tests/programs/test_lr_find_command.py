"""`ratelab lr-find` as a program: what it prints and what it records."""

import csv
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from ratelab.commands.lr_find.range_test import rising_rates
from ratelab.tracking import prepare_store, read_histories
from support.programs import ONE_WORKER, ratelab, train


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A range test of 120 steps on the digits; its folder and what was printed."""
    folder = tmp_path_factory.mktemp("lr_find")
    done = ratelab(
        folder, "lr-find", "data=digits", "batch_size=24", "seed=0,1,2", "--lowest", "0.001", "--steps", "120"
    )
    assert (done.status, done.err) == (0, "")
    return folder, done.out


def recorded_run(folder):
    from mlflow import MlflowClient

    store = prepare_store("sqlite:///mlruns/mlflow.db", folder)
    client = MlflowClient(store)
    [experiment] = [e for e in client.search_experiments() if e.name == "ratelab"]
    [one] = client.search_runs([experiment.experiment_id])
    return client, store, one


def test_it_prints_suggestions_and_what_to_do_next(found):
    _, printed = found
    for rule in ("steepest", "valley", "divergence"):
        assert re.search(rf"^{rule} +[\d.e-]+ +[\d.e-]+ to [\d.e-]+ ", printed, re.MULTILINE)
    assert "figure: lr_find.png" in printed
    command = (
        r"Next: python src/train.py experiment=tuned schedule=fixed,exponential data=digits batch_size=24 "
    )
    assert re.search(command + r"hydra.sweeper.tuning.lowest=\S+ hydra.sweeper.tuning.highest=\S+\n", printed)
    assert max(map(len, printed.partition("Next:")[0].splitlines())) <= 80


def test_what_it_prints_to_do_next_runs_as_printed(found):
    folder, printed = found
    words = shlex.split(printed.partition("Next: python src/train.py ")[2].splitlines()[0])
    small = ["epochs=1", "tracking=none", "seed=0", ONE_WORKER]
    grid = {"points": "3", "seeds": "[9]", "widenings": "0"}
    tuning = [f"hydra.sweeper.tuning.{key}={value}" for key, value in grid.items()]
    done = train(folder, *words, *small, *tuning)
    assert (done.status, done.err) == (0, "")
    assert "base rate" in done.out


def test_every_rate_and_loss_is_recorded(found):
    folder, printed = found
    client, store, one = recorded_run(folder)
    assert (one.info.status, one.info.run_name) == ("FINISHED", "lr-find")
    assert one.data.tags["kind"] == "lr_find"
    assert (one.data.params["lr_find.steps"], one.data.params["seed"]) == ("120", "0,1,2")
    rates = read_histories(store, [one.info.run_id], "learning_rate")[one.info.run_id]
    np.testing.assert_array_equal(rates.steps, np.arange(120))
    np.testing.assert_array_equal(rates.values, rising_rates(0.001, 100, 120).astype(np.float64))
    rows = list(csv.DictReader(artifact(client, one, "lr_find.csv").read_text().splitlines()))
    for seed in (0, 1, 2):
        losses = read_histories(store, [one.info.run_id], f"train_loss_seed_{seed}")[one.info.run_id]
        np.testing.assert_array_equal(losses.steps, np.arange(120))
        assert [float(row[f"loss_seed_{seed}"]) for row in rows] == losses.values.tolist()
    for rule in ("steepest", "valley", "divergence"):
        assert re.search(rf"^{rule} +{one.data.metrics[f'suggested_{rule}']:.3g} ", printed, re.MULTILINE)
    assert artifact(client, one, "lr_find.png").read_bytes() == (folder / "lr_find.png").read_bytes()


def artifact(client, one, name):
    return Path(client.download_artifacts(one.info.run_id, name))


def test_no_comparison_takes_it_for_a_training(found):
    folder, _ = found
    done = ratelab(folder, "compare")
    assert done.status == 1
    assert "there is no run of ratelab's in this store" in done.err


def test_a_mistake_is_one_message_and_nothing_is_written(tmp_path):
    done = ratelab(tmp_path, "lr-find", "learning_rate=0.5")
    assert (done.status, done.out) == (1, "")
    assert "takes no learning_rate=0.5" in done.err
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []
