"""`ratelab lr-find`: the rules are those of others, and mistakes end before anything is written."""

import re
import shlex

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelab.commands.lr_find.command import next_command
from ratelab.commands.lr_find.finding import Question
from ratelab.commands.lr_find.image import save
from ratelab.commands.lr_find.range_test import RangeTest, rising_rates
from ratelab.commands.lr_find.suggestions import (
    LossCurve,
    Suggestion,
    divergence,
    loss_curve,
    steepest,
    suggestions,
    valley,
)
from ratelab.validation import UserError
from support.in_process import ratelab


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


def test_what_to_do_next_shows_no_password():
    one = Suggestion("steepest", 0.1, None, None, "")
    uri = "tracking.uri=postgresql://me:hush@host/db"
    line = next_command([one], Question(("model=mlp", "seed=0,1", uri), 1e-5, 100, 60))
    assert line == (
        "python src/train.py experiment=tuned schedule=fixed,exponential model=mlp "
        "tracking.uri=postgresql://me@host/db "
        "hydra.sweeper.tuning.lowest=0.03 hydra.sweeper.tuning.highest=0.3"
    )


def test_the_next_command_names_the_users_configuration(tmp_path):
    (tmp_path / "mine.yaml").write_text("defaults: [config, _self_]\nepochs: 3\n")
    question = Question(("data=digits",), 1e-5, 100, 60, str(tmp_path), "mine")
    line = next_command([Suggestion("steepest", 0.1, None, None, "")], question)
    own = shlex.join(["--config-dir", str(tmp_path), "--config-name", "mine"])
    assert line.startswith(
        f"python src/train.py {own} experiment=tuned schedule=fixed,exponential data=digits"
    )


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
        (
            ["data=digits", "batch_size=6000", "--steps", "60"],
            "batch_size must be at most 1200, the training examples",
        ),
        (["model=mlpp"], "model/mlpp"),
        (
            ["--lowest", "1", "--highest", "0.1"],
            "--lowest must be above 0 and below --highest, got 1 and 0.1",
        ),
        (["--lowest", "0"], "--lowest must be above 0 and below --highest, got 0 and 100"),
        (
            ["--lowest", "1e-50"],
            "--lowest must be at least 1e-37, --highest at least twice as much and at most 1e",
        ),
        (["--lowest", "1", "--highest", "1.0000000001"], "at most 1e+38, got 1.0 and 1.0000000001"),
        (["--highest", "1e39"], "at most 1e+38, got 1e-05 and 1e+39"),
        (["--output", "found.gif"], "--output must end in .png or .svg, got 'found.gif'"),
        (["--output", "nowhere/found.png"], "--output must be in a folder that exists"),
    ],
)
def test_a_mistake_is_one_message_and_nothing_is_written(tmp_path, words, message):
    done = ratelab(tmp_path, "lr-find", *words)
    assert done.status == 1
    assert message in done.err
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []
