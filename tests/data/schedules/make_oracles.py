"""Write oracles.npz: rates at every step as PyTorch and transformers compute them, with their versions.

In an environment of its own:

    pip install torch==2.13.0 transformers
    python tests/data/schedules/make_oracles.py
"""

from pathlib import Path

import numpy as np
import torch
import transformers
from torch.optim import SGD, lr_scheduler

STEPS = 1000
PEAK = 0.1


def optimizer(rate=PEAK):
    return SGD([torch.zeros(1, requires_grad=True)], lr=rate, momentum=0.9)


def walk(sgd, scheduler, key="lr", steps=STEPS):
    """The value of every step: what the optimizer holds when it makes update t."""
    values = []
    for _ in range(steps):
        values.append(sgd.param_groups[0][key])
        sgd.step()
        scheduler.step()
    return np.array(values, np.float64)


def cyclic(mode):
    sgd = optimizer()
    limits = {"base_lr": PEAK / 4, "max_lr": PEAK, "step_size_up": 125}
    return walk(sgd, lr_scheduler.CyclicLR(sgd, **limits, mode=mode, gamma=0.999, cycle_momentum=False))


def one_cycle(key, steps=STEPS, **options):
    sgd = optimizer()
    # one step more than there are rates would be an error: the last call of step() comes after the last rate
    scheduler = lr_scheduler.OneCycleLR(sgd, max_lr=PEAK, total_steps=steps, **options)
    head = walk(sgd, scheduler, key, steps - 1)
    return np.append(head, sgd.param_groups[0][key])


def restarts(t_mul):
    sgd = optimizer()
    return walk(sgd, lr_scheduler.CosineAnnealingWarmRestarts(sgd, T_0=100, T_mult=t_mul, eta_min=0.01))


def linear_warmup():
    """torch's LinearLR in front of its ExponentialLR."""
    sgd = optimizer()
    rise = lr_scheduler.LinearLR(sgd, start_factor=1 / 3, total_iters=50)
    fall = lr_scheduler.ExponentialLR(sgd, gamma=0.99)
    return walk(sgd, lr_scheduler.SequentialLR(sgd, [rise, fall], milestones=[50]))


def of_transformers(name, **options):
    sgd = optimizer()
    return walk(sgd, getattr(transformers, name)(sgd, **options))


def main():
    wsd = {"num_warmup_steps": 50, "num_stable_steps": 750, "num_decay_steps": 200}
    arrays = {
        "cyclic_triangular": cyclic("triangular"),
        "cyclic_triangular2": cyclic("triangular2"),
        "cyclic_exp_range": cyclic("exp_range"),
        "one_cycle": one_cycle("lr"),
        "one_cycle_momentum": one_cycle("momentum"),
        "one_cycle_short": one_cycle("lr", 7, pct_start=0.5, div_factor=10.0, final_div_factor=10.0),
        "one_cycle_short_momentum": one_cycle("momentum", 7, pct_start=0.5),
        "restarts_1": restarts(1),
        "restarts_2": restarts(2),
        "linear_warmup": linear_warmup(),
        "inverse_sqrt": of_transformers("get_inverse_sqrt_schedule", num_warmup_steps=50, timescale=100),
        "linear": of_transformers(
            "get_linear_schedule_with_warmup", num_warmup_steps=50, num_training_steps=STEPS
        ),
        "cosine": of_transformers(
            "get_cosine_schedule_with_warmup", num_warmup_steps=50, num_training_steps=STEPS
        ),
        "wsd_linear": of_transformers("get_wsd_schedule", **wsd, decay_type="linear"),
        "wsd_1-sqrt": of_transformers("get_wsd_schedule", **wsd, decay_type="1-sqrt"),
        "wsd_cosine": of_transformers("get_wsd_schedule", **wsd, decay_type="cosine"),
    }
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    path = Path(__file__).with_name("oracles.npz")
    np.savez_compressed(path, versions=np.array(versions), **arrays)


if __name__ == "__main__":
    main()
