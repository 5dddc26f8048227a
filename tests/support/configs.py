"""A small configuration that is complete: softmax on the digits, three epochs."""

from pathlib import Path

import yaml

from ratelab.config import read
from ratelab.runs.planned import Labels, PlannedRun

VALUES = yaml.safe_load("""
{seed: 0, epochs: 3, batch_size: 24, learning_rate: 0.1, validation_size: 300, test: true,
 print_schedule: false, schedule: {_target_: ratelab.schedules.fixed}, warmup: {steps: 0, start_factor: 0.0},
 model: {_target_: ratelab.models.softmax},
 optimizer: {_target_: ratelab.optimizers.sgd, clip_norm: null},
 batch: {_target_: ratelab.batch_sizes.constant},
 data: {_target_: ratelab.data.digits, validation_size: 300}, task: {_target_: ratelab.tasks.auto},
 device: {kind: cpu, index: 0, threads: 1, precision: float32, xla: null, deterministic: false},
 tracking: {uri: null, experiment: x, train_loss_every: 1, log_model: null,
  learning_rate_every: 1}, allow_targets: [own_models]}
""")


def planned_run(number, environment=(), **changes):
    """A run of that configuration with some keys changed; its job is made when it is asked for."""
    config = read({**VALUES, **changes})
    labels = Labels({"schedule": "fixed"}, "fixed", (), "a-sweep")
    return PlannedRun(number, config, labels, Path("/nowhere"), environment)
