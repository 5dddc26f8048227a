"""`ratelab lr-find`: the losses are those of training, the rules those of others, the record complete."""

import csv
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ratelab.commands.lr_find.command import next_command
from ratelab.commands.lr_find.finding import Question, find
from ratelab.commands.lr_find.image import save
from ratelab.commands.lr_find.range_test import RangeTest, range_test, rising_rates
from ratelab.commands.lr_find.suggestions import (
    LossCurve,
    Suggestion,
    divergence,
    loss_curve,
    steepest,
    suggestions,
    valley,
)
from ratelab.config.composing import compose_jobs
from ratelab.config.composing import read_composed as read
from ratelab.data import epoch_order
from ratelab.runs.job_of import batches_of, job_of
from ratelab.tracking import histories, prepare_store
from ratelab.validation import UserError
from support import ROOT

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "80"}
QUICK = ("data=digits", "batch_size=24")


def run(folder, *words):
    command = [sys.executable, "-m", "ratelab", *words]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)


def planned(*overrides):
    return [(read(job), job_of(read(job))) for job in compose_jobs(overrides)]


# The range test


@given(
    lowest=st.floats(1e-8, 1e-2),
    decades=st.floats(0.1, 10),
    steps=st.integers(2, 400),
)
def test_rates_rise_in_equal_ratios_from_end_to_end(lowest, decades, steps):
    rates = rising_rates(lowest, lowest * 10**decades, steps)
    expected = np.geomspace(lowest, lowest * 10**decades, steps)
    np.testing.assert_allclose(rates, expected, rtol=2e-7)
    assert rates[0] == np.float32(lowest)


@pytest.mark.parametrize("steps", [50, 70, 130])  # an epoch has 50
def test_every_loss_equals_softmax_regression_by_hand(tensorflow, steps):
    from ratelab.training.job import build_from_seed

    [(config, job)] = planned(*QUICK, "seed=3")
    rates = rising_rates(0.001, 1, steps)
    test = range_test([job], batches_of(config, len(job.data.train.labels), steps), rates)
    weights_seed, order_seed = np.random.SeedSequence(3).spawn(2)
    weights, bias = (
        v.numpy().astype(np.float64)
        for v in build_from_seed(job.build_model, weights_seed).trainable_variables
    )
    images, labels = job.data.train.images.reshape(-1, 64) / job.data.largest, job.data.train.labels
    expected = []
    for step, rate in enumerate(rates):
        order = epoch_order(order_seed, step // 50, len(labels), 1).ravel()
        rows = order[step % 50 * 24 :][:24]
        x, truth = images[rows], np.eye(10)[labels[rows]]
        logits = x @ weights + bias
        shifted = np.exp(logits - logits.max(1, keepdims=True))
        probabilities = shifted / shifted.sum(1, keepdims=True)
        expected.append(-np.log((probabilities * truth).sum(1)).mean())
        weights -= rate * x.T @ (probabilities - truth) / 24
        bias -= rate * (probabilities - truth).mean(0)
    assert test.losses.shape == (1, steps)
    np.testing.assert_allclose(test.losses[0], expected, rtol=1e-4)  # float32 against float64


def test_each_seed_has_a_row_and_is_the_same_alone(tensorflow):
    (config, first), (_, second) = planned(*QUICK, "seed=0,1")
    batches, rates = batches_of(config, len(first.data.train.labels), 60), rising_rates(0.001, 1, 60)
    both = range_test([first, second], batches, rates)
    assert both.seeds == (0, 1)
    for row, job in zip(both.losses, (first, second), strict=True):
        np.testing.assert_array_equal(row, range_test([job], batches, rates).losses[0])


def test_losses_are_missing_from_where_they_are_not_finite(tensorflow):
    [(config, job)] = planned(*QUICK, "model=mlp", "seed=0")
    rates = rising_rates(1, 1e30, 50)
    [losses] = range_test([job], batches_of(config, len(job.data.train.labels), 50), rates).losses
    missing = np.isnan(losses)
    assert missing.any()
    assert not missing[: int(np.argmax(missing))].any()
    assert missing[int(np.argmax(missing)) :].all()


def test_the_schedule_its_momentum_and_the_test_split_play_no_part(tensorflow):
    [(config, job)] = planned(*QUICK, "optimizer.momentum=0.9", "seed=0")
    [(_, cycled)] = planned(*QUICK, "optimizer.momentum=0.9", "schedule=one_cycle", "seed=0")
    batches, rates = batches_of(config, len(job.data.train.labels), 50), rising_rates(0.001, 1, 50)
    blind = replace(cycled, data=replace(cycled.data, test=cycled.data.test[:1]))
    plain, other = (range_test([one], batches, rates).losses for one in (job, blind))
    np.testing.assert_array_equal(plain, other)


# The rules


def s_curve(rates, middle, low=1.0, high=5.0, broken=None):
    """A loss that falls around `middle` and rises without bound beyond `broken`."""
    losses = low + (high - low) / (1 + (rates / middle) ** 2)
    return losses if broken is None else losses + (rates / broken) ** 4


def test_the_steepest_descent_of_a_curve_that_is_known():
    rates = np.geomspace(1e-5, 100, 701)
    curve = loss_curve(rates, s_curve(rates, 0.01)[None])
    assert steepest(curve) == pytest.approx(0.01, rel=0.03)
    assert not curve.diverged
    assert divergence(curve) == pytest.approx(10)


def test_training_has_broken_where_half_of_the_gain_is_lost():
    rates = np.geomspace(1e-5, 100, 701)
    curve = loss_curve(rates, s_curve(rates, 0.01, broken=3)[None])
    assert curve.diverged
    # the rise, smoothed, is 2 of the 4 gained; Gaussian weights turn exp(ku) into exp(ku + (ks)^2 / 2)
    smoothed = np.exp((4 * np.log(10) * 0.1) ** 2 / 2)
    assert divergence(curve) == pytest.approx(3 * (2 / smoothed) ** (1 / 4) / 10, rel=0.03)


def longest_descent_of_fast_ai(losses):
    """As fast.ai's `valley` counts it, in its two loops."""
    lengths, end = [1] * len(losses), 0
    for i in range(1, len(losses)):
        for j in range(i):
            if losses[i] < losses[j] and lengths[i] < lengths[j] + 1:
                lengths[i] = lengths[j] + 1
            if lengths[end] < lengths[i]:
                end = i
    return end - lengths[end] + 1, end


@given(st.lists(st.floats(0, 10), min_size=2, max_size=60))
def test_the_valley_is_that_of_fast_ai(losses):
    losses = np.array(losses)
    start, end = longest_descent_of_fast_ai(losses)
    third = (end - start) / 3
    place = start + int(third) + int(third / 2)
    assert valley(LossCurve(np.arange(1.0, len(losses) + 1), losses, losses, False)) == place + 1


@given(scale=st.floats(0.01, 100), shift=st.floats(0.01, 100), order=st.permutations(range(4)))
def test_rates_scale_and_neither_units_of_the_loss_nor_the_order_of_seeds_matter(scale, shift, order):
    rates = np.geomspace(1e-4, 10, 300)
    noise = np.random.default_rng(0).normal(1, 0.05, (4, 300))
    losses = s_curve(rates, 0.02, broken=1) * noise
    own = suggestions(RangeTest(rates, losses, (0, 1, 2, 3)))
    other = suggestions(RangeTest(rates * shift, losses[order] * scale, tuple(order)))
    for one, two in zip(own, other, strict=True):
        assert two.rate == pytest.approx(one.rate * shift)
        assert (two.lowest, two.highest) == pytest.approx((one.lowest * shift, one.highest * shift))


def test_smoothing_shifts_nothing_and_keeps_a_straight_line():
    rates = np.geomspace(1e-3, 1, 200)
    line = np.linspace(4, 1, 200)
    curve = loss_curve(rates, line[None])
    np.testing.assert_allclose(curve.losses[40:-40], line[40:-40], rtol=1e-6)
    assert curve.losses[0] == pytest.approx(line[0], rel=0.02)


def test_the_curve_ends_where_one_seed_is_not_finite():
    rates = np.geomspace(1e-3, 1, 100)
    losses = np.vstack([s_curve(rates, 0.01)] * 3)
    losses[1, 80:] = np.nan
    curve = loss_curve(rates, losses)
    assert (len(curve.rates), curve.diverged) == (80, True)


def test_with_few_seeds_nothing_is_said_of_the_spread():
    rates = np.geomspace(1e-4, 10, 100)
    two = RangeTest(rates, np.vstack([s_curve(rates, 0.02)] * 2), (0, 1))
    assert {(one.lowest, one.highest) for one in suggestions(two)} == {(None, None)}


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        (np.linspace(2, 3, 100), "the loss does not fall from 0.0001, --lowest, to 10, --highest"),
        (np.full(100, 2.3), "the loss does not fall"),
        (np.full(100, np.nan), "the loss is not finite at --lowest; give a smaller one"),
    ],
)
def test_a_loss_that_says_nothing_is_refused(losses, message):
    with pytest.raises(UserError, match=re.escape(message)):
        loss_curve(np.geomspace(1e-4, 10, 100), losses[None])


# What it is for: the rates that docs/tutorial_claim.md found with whole trainings on a grid


@pytest.mark.parametrize(("start", "best"), [("normal", 0.316), ("zero", 0.1)])
def test_suggestions_for_the_tutorials_model_are_near_the_best_of_the_grid(tensorflow, start, best):
    question = Question((f"model.start={start}", "device=cpu", "tracking=none"), 1e-5, 100, 500)
    answer = find(question, Console(quiet=True))
    rates = {one.name: one.rate for one in answer.suggested}
    assert best / 3 < rates["steepest"] < best * 3
    assert best / 10 < rates["valley"] < best * 10
    assert best / 3 < rates["divergence"] < best * 3
    assert answer.curve.diverged


# The command


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A range test of 120 steps on the digits; its folder and what was printed."""
    folder = tmp_path_factory.mktemp("lr_find")
    done = run(folder, "lr-find", *QUICK, "seed=0,1,2", "--lowest", "0.001", "--steps", "120")
    assert (done.returncode, done.stderr) == (0, "")
    return folder, done.stdout


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


def test_what_to_do_next_shows_no_password():
    one = Suggestion("steepest", 0.1, None, None, "")
    uri = "tracking.uri=postgresql://me:hush@host/db"
    line = next_command([one], ["model=mlp", "seed=0,1", uri])
    assert line == (
        "python src/train.py experiment=tuned schedule=fixed,exponential model=mlp "
        "'tracking.uri=postgresql://me:***@host/db' "
        "hydra.sweeper.tuning.lowest=0.03 hydra.sweeper.tuning.highest=0.3"
    )


def test_every_rate_and_loss_is_recorded(found):
    folder, printed = found
    client, store, one = recorded_run(folder)
    assert (one.info.status, one.info.run_name) == ("FINISHED", "lr-find")
    assert one.data.tags["kind"] == "lr_find"
    assert (one.data.params["lr_find.steps"], one.data.params["seed"]) == ("120", "0,1,2")
    rates = histories(store, [one.info.run_id], "learning_rate")[one.info.run_id]
    np.testing.assert_array_equal(rates.steps, np.arange(120))
    np.testing.assert_array_equal(rates.values, rising_rates(0.001, 100, 120).astype(np.float64))
    rows = list(csv.DictReader(artifact(client, one, "lr_find.csv").read_text().splitlines()))
    for seed in (0, 1, 2):
        losses = histories(store, [one.info.run_id], f"train_loss_seed_{seed}")[one.info.run_id]
        np.testing.assert_array_equal(losses.steps, np.arange(120))
        assert [float(row[f"loss_seed_{seed}"]) for row in rows] == losses.values.tolist()
    for rule in ("steepest", "valley", "divergence"):
        assert re.search(rf"^{rule} +{one.data.metrics[f'suggested_{rule}']:.3g} ", printed, re.MULTILINE)
    assert artifact(client, one, "lr_find.png").read_bytes() == (folder / "lr_find.png").read_bytes()


def artifact(client, one, name):
    return Path(client.download_artifacts(one.info.run_id, name))


def test_no_comparison_takes_it_for_a_training(found):
    folder, _ = found
    done = run(folder, "compare")
    assert done.returncode == 1
    assert "there is no run of ratelab's in this store" in done.stderr


def test_the_figure_is_the_same_every_time(tmp_path):
    rates = np.geomspace(1e-4, 10, 100)
    test = RangeTest(rates, np.vstack([s_curve(rates, 0.02, broken=1)] * 3), (0, 1, 2))
    curve = loss_curve(test.rates, test.losses)
    for name in ("one.svg", "two.svg"):
        save(test, curve, suggestions(test), "title", tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["schedule=cosine"], "lr-find lets the rate rise in a way of its own and takes no schedule=cosine"),
        (["learning_rate=0.5"], "takes no learning_rate=0.5"),
        (["warmup.steps=5"], "takes no warmup.steps=5"),
        (["optimizer=sgd,adam"], "lr-find takes several values for the seed only"),
        (["batch_size=60000", "--steps", "60"], "batch_size must be at most 55000, the training examples"),
        (["model=mlpp"], "model/mlpp"),
        (
            ["--lowest", "1", "--highest", "0.1"],
            "--lowest must be above 0 and below --highest, got 1 and 0.1",
        ),
        (["--lowest", "0"], "--lowest must be above 0 and below --highest, got 0 and 100"),
        (["--output", "found.gif"], "--output must end in .png or .svg, got 'found.gif'"),
        (["--output", "nowhere/found.png"], "--output must be in a folder that exists"),
    ],
)
def test_a_mistake_is_one_message_and_nothing_is_written(tmp_path, words, message):
    done = run(tmp_path, "lr-find", *words)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_is_found_before_tensorflow_is_imported():
    script = (
        "import sys; from ratelab.commands.lr_find.finding import Question, find\n"
        "from rich.console import Console\n"
        "try: find(Question(('model=softmax', 'model.stat=1'), 1e-5, 1, 50), Console())\n"
        "except Exception as error: print(type(error).__name__, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True)
    assert (done.stdout.split(), done.stderr) == (["UserError", "False"], "")
