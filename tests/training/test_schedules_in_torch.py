"""`as_torch`: PyTorch's own scheduler gives our rates to the bit, applies them, goes on from its state."""

import functools
import io

import numpy as np
import pytest

from ratelab import schedules
from ratelab.schedules import as_torch, tabulate
from ratelab.schedules.interface import build_schedule
from support.schedules import BASE, OPTIONS, read_option

torch = pytest.importorskip(
    "torch", reason="PyTorch is no requirement: these run where `pip install torch` was called"
)

STEPS = 2500
MADE = {name: read_option(name) for name in OPTIONS if name != "plateau"} | {
    "warmup": (schedules.warmup, {"schedule": schedules.cosine, "warmup_steps": 0.1}),
    "join": (schedules.join, {"schedules": [schedules.fixed, schedules.rex], "boundaries": [0.5]}),
    "scale": (schedules.scale, {"schedule": schedules.linear_to_zero, "factor": 0.3}),
}


def made_of(name, base=BASE):
    function, options = MADE[name]
    rates = tabulate(build_schedule(functools.partial(function, **options), base, STEPS), STEPS)
    return function, options, rates


def sgd(*groups, **options):
    weight = torch.nn.Parameter(torch.zeros(()))
    return torch.optim.SGD([{"params": [weight]}, *groups], **options)


def update(optimizer):
    """One step of SGD on a loss whose gradient is 1."""
    for group in optimizer.param_groups:
        for weight in group["params"]:
            weight.grad = torch.ones(())
    optimizer.step()


def rates_of(optimizer, scheduler, count, group=0):
    seen = []
    for _ in range(count):
        seen.append(optimizer.param_groups[group]["lr"])
        assert scheduler.get_last_lr()[group] == seen[-1]
        update(optimizer)
        scheduler.step()
    return seen


@pytest.mark.parametrize("name", MADE)
def test_the_rate_of_every_step_is_that_of_the_table_to_the_bit_and_after_the_end_the_last(name):
    function, options, rates = made_of(name)
    optimizer = sgd(lr=BASE)
    scheduler = as_torch(optimizer, function, STEPS, **options)
    assert isinstance(scheduler, torch.optim.lr_scheduler.LambdaLR)
    seen = rates_of(optimizer, scheduler, STEPS + 3)
    assert seen[:STEPS] == rates.tolist()
    assert seen[STEPS:] == [rates[-1]] * 3


def test_the_rates_are_applied():
    """After t updates the weight has moved by the sum of t rates."""
    function, options, rates = made_of("warmup")
    optimizer = sgd(lr=BASE)
    rates_of(optimizer, as_torch(optimizer, function, STEPS, **options), STEPS)
    moved = -optimizer.param_groups[0]["params"][0].item()
    assert moved == pytest.approx(rates.sum(dtype=float), rel=1e-4)


def test_groups_with_other_rates_keep_their_ratio_and_the_first_its_bits():
    function, options, rates = made_of("cosine", 0.3)
    other = {"params": [torch.nn.Parameter(torch.zeros(()))], "lr": 0.03}
    optimizer = sgd(other, lr=0.3)
    scheduler = as_torch(optimizer, function, STEPS, **options)
    assert scheduler.base_lrs == [1.0, 0.03 / 0.3]
    found = []
    for _ in range(STEPS):
        found.append(scheduler.get_last_lr())
        update(optimizer)
        scheduler.step()
    first, second = np.array(found).T
    assert first.tolist() == rates.tolist()
    np.testing.assert_allclose(second, 0.1 * rates.astype(float), rtol=1e-15)


@pytest.mark.parametrize("stop", [1, 700, STEPS])
def test_it_goes_on_from_what_was_saved_in_the_middle(stop):
    function, options, rates = made_of("noisy_linear_cosine")
    optimizer = sgd(lr=BASE)
    scheduler = as_torch(optimizer, function, STEPS, **options)
    rates_of(optimizer, scheduler, stop)
    file = io.BytesIO()
    torch.save([optimizer.state_dict(), scheduler.state_dict()], file)
    file.seek(0)
    again = sgd(lr=BASE)
    goes_on = as_torch(again, schedules.fixed, STEPS)  # the state has the rates too
    for made, state in zip((again, goes_on), torch.load(file, weights_only=True), strict=True):
        made.load_state_dict(state)
    left = rates_of(again, goes_on, STEPS + 2 - stop)
    assert left == [*rates[stop:].tolist(), rates[-1], rates[-1]]


def test_a_rate_in_a_tensor_stays_one_and_has_the_same_bits():
    function, options, _ = made_of("cosine")
    optimizer = sgd(lr=torch.tensor(BASE), foreach=False)
    scheduler = as_torch(optimizer, function, STEPS, **options)
    held = optimizer.param_groups[0]["lr"]
    seen = []
    for _ in range(STEPS):
        seen.append(held.item())
        update(optimizer)
        scheduler.step()
    assert seen == tabulate(build_schedule(function, float(np.float32(BASE)), STEPS), STEPS).tolist()
