"""Every schedule at every step of a run of 1,000, against another program or a formula from the paper."""

import math

import numpy as np
import pytest

from ratelab import schedules
from ratelab.schedules import momentum_of, tabulate
from support import ROOT
from support.schedules import BASE, same_to_float32

STEPS = 1000
STORED = np.load(ROOT / "tests" / "data" / "schedules" / "oracles.npz")


def partial(function, **options):
    return lambda learning_rate, steps: function(learning_rate, steps, **options)


def test_the_noise_is_that_of_tensorflow_1_in_mean_and_variance():
    """Of the documented law: normal, mean 0, variance initial_variance / (1 + t) ** variance_decay."""
    t, options = np.arange(STEPS), {"initial_variance": 0.04, "variance_decay": 0.55, "alpha": 5.0}
    quiet = schedules.linear_cosine(1.0, STEPS, alpha=5.0, beta=0.0)(t)
    wave = (1 + np.cos(np.pi * t / STEPS)) / 2
    noise = [
        (schedules.noisy_linear_cosine(1.0, STEPS, seed=seed, beta=0.0, **options)(t) - quiet) / wave
        for seed in range(200)
    ]
    standard = np.array(noise) / np.sqrt(0.04 / (1 + t) ** 0.55)
    assert abs(standard.mean()) < 4 / math.sqrt(standard.size)
    assert abs(standard.var() - 1) < 4 * math.sqrt(2 / standard.size)
    by_step = standard.var(axis=0)  # of 200 seeds each
    assert abs(by_step - 1).max() < 6 * math.sqrt(2 / 200)
    between = np.corrcoef(standard[:, :-1].ravel(), standard[:, 1:].ravel())[0, 1]
    assert abs(between) < 4 / math.sqrt(standard.size)


def test_noise_below_zero_gives_the_rate_zero_and_nothing_else_changes():
    t = np.arange(STEPS)
    rates = schedules.noisy_linear_cosine(BASE, STEPS, seed=3, initial_variance=4.0, beta=0.0)(t)
    lifted = schedules.noisy_linear_cosine(BASE, STEPS, seed=3, initial_variance=4.0, alpha=50.0, beta=0.0)(t)
    wave = (1 + np.cos(np.pi * t / STEPS)) / 2
    assert (rates == 0).any()
    np.testing.assert_allclose(rates, np.maximum(lifted - 50 * BASE * wave, 0), atol=1e-12)


# PyTorch and transformers, stored


def test_the_stored_rates_say_which_versions_made_them():
    assert str(STORED["versions"]).startswith("torch 2.13.0")
    assert "transformers 5." in str(STORED["versions"])


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
def test_torch_cyclic_has_the_same_rate_at_every_step(mode):
    ours = schedules.cyclic(BASE, STEPS, step_size=125, div_factor=4.0, mode=mode, gamma=0.999)
    same_to_float32(ours, STORED[f"cyclic_{mode}"])


def test_torch_one_cycle_has_the_same_rate_and_momentum_at_every_step():
    ours = schedules.one_cycle(BASE, STEPS)
    same_to_float32(ours, STORED["one_cycle"])
    same_to_float32(momentum_of(ours), STORED["one_cycle_momentum"])


def test_torch_one_cycle_whose_peak_is_between_two_steps():
    options = {"pct_start": 0.5, "div_factor": 10.0, "final_div_factor": 10.0}
    ours = schedules.one_cycle(BASE, 7, **options)
    same_to_float32(ours, STORED["one_cycle_short"])
    same_to_float32(momentum_of(ours), STORED["one_cycle_short_momentum"])


@pytest.mark.parametrize("t_mul", [1, 2])
def test_torch_warm_restarts_have_the_same_rate_at_every_step(t_mul):
    ours = schedules.cosine_restarts(BASE, STEPS, first_decay_steps=100, t_mul=float(t_mul), alpha=0.1)
    same_to_float32(ours, STORED[f"restarts_{t_mul}"])
    lifted = schedules.cosine_restarts(BASE, STEPS, first_decay_steps=100, t_mul=float(t_mul), floor=0.1)
    same_to_float32(lifted, STORED[f"restarts_{t_mul}"])


def test_torch_linear_lr_in_front_of_exponential_lr():
    fall = partial(schedules.exponential, decay_steps=1, decay_rate=0.99)
    ours = schedules.warmup(BASE, STEPS, schedule=fall, warmup_steps=50, start_factor=1 / 3)
    expected = STORED["linear_warmup"]
    # torch multiplies from step to step and adds up rounding of float64
    np.testing.assert_allclose(tabulate(ours, STEPS), expected, rtol=2**-23)


TRANSFORMERS = {
    "inverse_sqrt": partial(schedules.inverse_sqrt, timescale=100),
    "linear": schedules.linear_to_zero,
    "cosine": schedules.cosine,
    "wsd_linear": partial(schedules.wsd, cooldown_steps=200, cooldown="linear"),
    "wsd_1-sqrt": partial(schedules.wsd, cooldown_steps=200, cooldown="1-sqrt"),
    "wsd_cosine": partial(schedules.wsd, cooldown_steps=200, cooldown="cosine"),
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers_has_the_same_rate_at_every_step_with_a_warm_up(name):
    ours = schedules.warmup(BASE, STEPS, schedule=TRANSFORMERS[name], warmup_steps=0.05)
    same_to_float32(ours, STORED[name])


# Formulas of the papers


def test_linear_to_zero_equals_the_formula():
    same_to_float32(schedules.linear_to_zero(BASE, STEPS), [BASE * (STEPS - t) / STEPS for t in range(STEPS)])


def test_rex_equals_the_formula_of_the_paper():
    """Chen et al., equation 1: (1 - t/T) / (1/2 + 1/2 (1 - t/T))."""
    expected = [BASE * (1 - t / STEPS) / (0.5 + 0.5 * (1 - t / STEPS)) for t in range(STEPS)]
    same_to_float32(schedules.rex(BASE, STEPS), expected)


def test_rex_with_d_0_is_the_line():
    same_to_float32(
        schedules.rex(BASE, STEPS, d=0.0), schedules.linear_to_zero(BASE, STEPS)(np.arange(STEPS))
    )


@pytest.mark.parametrize(
    ("cooldown", "f"),
    [
        ("linear", lambda u: 1 - u),
        ("1-sqrt", lambda u: 1 - math.sqrt(u)),
        ("cosine", lambda u: 0.5 * (1 + math.cos(math.pi * u))),
    ],
)
def test_wsd_equals_the_formula_of_the_paper(cooldown, f):
    """Haegele et al., section 3: f(n, N, N_decay) for n > N - N_decay."""
    ours = schedules.wsd(BASE, STEPS, cooldown_steps=0.3, cooldown=cooldown)
    same_to_float32(ours, [BASE * (f((n - 700) / 300) if n > 700 else 1) for n in range(STEPS)])


@pytest.mark.parametrize("cooldown", ["linear", "1-sqrt", "cosine"])
def test_a_floor_of_wsd_equals_min_lr_ratio_of_transformers(cooldown):
    """get_wsd_schedule: factor * (1 - min_lr_ratio) + min_lr_ratio in the cool-down, 1 before it."""
    f = {"linear": lambda u: 1 - u, "1-sqrt": lambda u: 1 - math.sqrt(u)}.get(
        cooldown, lambda u: 0.5 * (1 + math.cos(math.pi * u))
    )
    ours = schedules.wsd(BASE, STEPS, cooldown_steps=0.3, cooldown=cooldown, floor=0.2)
    same_to_float32(ours, [BASE * (0.8 * f(max(n - 700, 0) / 300) + 0.2) for n in range(STEPS)])


def test_warm_up_equals_the_formula():
    """Goyal et al., 2.2: from k times less to the base rate, in equal steps."""
    ours = schedules.warmup(BASE, STEPS, schedule=schedules.fixed, warmup_steps=200, start_factor=1 / 8)
    by_hand = [BASE / 8 + t * (BASE - BASE / 8) / 200 if t < 200 else BASE for t in range(STEPS)]
    same_to_float32(ours, by_hand)
