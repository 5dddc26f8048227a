"""`ratelab lr-find`: the losses are those of training."""

from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from ratelab.commands.lr_find.finding import Question, find
from ratelab.commands.lr_find.range_test import range_test, rising_rates
from ratelab.config.composing import compose_jobs
from ratelab.config.composing import read_composed as read
from ratelab.data import epoch_order
from ratelab.runs.job_of import batches_of, job_of

QUICK = ("data=digits", "batch_size=24")


def planned(*overrides):
    return [(read(job), job_of(read(job))) for job in compose_jobs(overrides)]


@pytest.mark.parametrize("steps", [50, 70, 130])  # an epoch has 50
def test_every_loss_equals_softmax_regression_by_hand(tensorflow, steps):
    from ratelab.training.job import build_from_seed

    [(config, job)] = planned(*QUICK, "seed=3")
    rates = rising_rates(0.001, 1, steps)
    test = range_test([job], batches_of(config, len(job.data.train), steps), rates)
    weights_seed, order_seed = np.random.SeedSequence(3).spawn(2)
    weights, bias = (
        v.numpy().astype(np.float64)
        for v in build_from_seed(job.build_model, weights_seed).trainable_variables
    )
    images, labels = (
        job.data.train.inputs.reshape(-1, 64) * np.float32(job.data.scale),
        job.data.train.targets,
    )
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
    batches, rates = batches_of(config, len(first.data.train), 60), rising_rates(0.001, 1, 60)
    both = range_test([first, second], batches, rates)
    assert both.seeds == (0, 1)
    for row, job in zip(both.losses, (first, second), strict=True):
        np.testing.assert_array_equal(row, range_test([job], batches, rates).losses[0])


def test_losses_are_missing_from_where_they_are_not_finite(tensorflow):
    [(config, job)] = planned(*QUICK, "model=mlp", "seed=0")
    rates = rising_rates(1, 1e30, 50)
    [losses] = range_test([job], batches_of(config, len(job.data.train), 50), rates).losses
    missing = np.isnan(losses)
    assert missing.any()
    assert not missing[: int(np.argmax(missing))].any()
    assert missing[int(np.argmax(missing)) :].all()


def test_the_schedule_its_momentum_and_the_test_split_play_no_part(tensorflow):
    [(config, job)] = planned(*QUICK, "optimizer.momentum=0.9", "seed=0")
    [(_, cycled)] = planned(*QUICK, "optimizer.momentum=0.9", "schedule=one_cycle", "seed=0")
    batches, rates = batches_of(config, len(job.data.train), 50), rising_rates(0.001, 1, 50)
    blind = replace(cycled, data=replace(cycled.data, test=cycled.data.test[:1]))
    plain, other = (range_test([one], batches, rates).losses for one in (job, blind))
    np.testing.assert_array_equal(plain, other)


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
