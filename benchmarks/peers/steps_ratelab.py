"""The contestant of `train_step.py` that is ours: `ratelab.training` as one run of `src/train.py` has it."""

import numpy as np

from peers.steps import BATCH_SIZE, Epoch, Workload, clocked
from ratelab import optimizers
from ratelab.batch_sizes import constant, plan_batches
from ratelab.config import Device
from ratelab.data import Dataset, Split
from ratelab.runtime import devices
from ratelab.tasks import auto
from ratelab.training import Hyperparameters, Job, Program, Segment, Tabulated


def run(work: Workload, threads: int = 1) -> Epoch:
    """Set up the compiled loop."""
    devices.configure(
        Device(kind="cpu", index=0, threads=threads, precision="float32", xla=None, deterministic=False)
    )
    train = Split(work.inputs, work.targets)
    few = train[:BATCH_SIZE]
    data = Dataset(work.classes, None if work.are_tokens else 1 / 255, train, few, few, "")
    task = auto(work.targets, work.classes)
    rates = Tabulated(np.empty(0, np.float32))  # each epoch brings its own
    plan = plan_batches(constant(BATCH_SIZE), len(work.targets), 1)
    program = Program(Job(0, rates, plan, work.build_keras, data, task, optimizers.sgd(), None, ""))
    model = work.build_keras()
    state = program.initial_state(model)

    def epoch() -> float:
        nonlocal state
        first = work.done
        order, rates = work.next_epoch()
        segment = Segment(first, len(order), order)
        [piece] = program.data.pieces(iter([segment]))
        state, losses = program.run(state, piece, rates[:, None], Hyperparameters())
        return float(losses.mean())

    return clocked(work, epoch, model.count_params())
