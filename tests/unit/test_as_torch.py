"""`as_torch` without PyTorch: what it refuses, and rates with the arithmetic of `LambdaLR`.

tests/training/test_schedules_in_torch.py has PyTorch itself, where it is installed.
"""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from ratelab import schedules
from ratelab.schedules import as_torch, tabulate
from ratelab.validation import UserError


class StandIn:
    """The part of PyTorch's LambdaLR that counts: initial rates are kept, and multiplied at every step."""

    def __init__(self, optimizer, lr_lambda):
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.optimizer, self.lr_lambda, self.last_epoch = optimizer, lr_lambda, -1
        self.step()

    def step(self):
        self.last_epoch += 1
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * self.lr_lambda(self.last_epoch)


@pytest.fixture
def stand_in(monkeypatch):
    for name in ("torch", "torch.optim", "torch.optim.lr_scheduler"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["torch.optim.lr_scheduler"].LambdaLR = StandIn


def optimizer(*rates):
    return SimpleNamespace(param_groups=[{"lr": rate} for rate in rates])


@pytest.mark.parametrize("base", [0.1, 0.3, 1e-3, 3, 7e-5])
def test_the_rates_of_the_first_group_are_those_of_the_table_to_the_bit(stand_in, base):
    trained = optimizer(base, 2 * base)
    scheduler = as_torch(trained, schedules.cosine, 50, alpha=0.01)
    rates = tabulate(schedules.cosine(base, 50, alpha=0.01), 50).tolist()
    for rate in [*rates, rates[-1], rates[-1]]:
        assert [group["lr"] for group in trained.param_groups] == [rate, 2 * rate]
        scheduler.step()


def test_its_state_is_in_plain_numbers(stand_in):
    state = vars(as_torch(optimizer(0.5), schedules.linear_to_zero, 2).lr_lambda)
    assert state == {"rates": [0.5, 0.25]}


def test_where_pytorch_is_not_installed_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "torch.optim.lr_scheduler", raising=False)
    with pytest.raises(UserError, match=r"^as_torch needs PyTorch \(.*\): pip install torch$"):
        as_torch(optimizer(0.1), schedules.fixed, 10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ((optimizer(0.0), schedules.fixed, 10), r"the rate of the optimizer must be above 0, got 0\.0"),
        (
            (optimizer(float("nan")), schedules.fixed, 10),
            "the rate of the optimizer must be above 0, got nan",
        ),
        ((optimizer(0.1), schedules.plateau, 10), "plateau waits for validation losses.*ReduceLROnPlateau"),
        ((optimizer(0.1), schedules.cosine, 0), "cosine: steps must be greater than 0, got 0"),
        ((optimizer(0.1), schedules.fixed, 0), "steps"),
    ],
)
def test_a_mistake_is_refused_and_the_optimizer_stays_as_it_is(stand_in, call, message):
    before = [dict(group) for group in call[0].param_groups]
    with pytest.raises(UserError, match=message):
        as_torch(*call)
    assert repr(call[0].param_groups) == repr(before)
