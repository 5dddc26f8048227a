"""Studies with curves in a store, for the tests of the report."""

from dataclasses import replace

import numpy as np

from ratelab.comparison import Measured, Result, study
from ratelab.schedules import exponential, fixed, tabulate
from ratelab.tasks import Outcome
from ratelab.tracking import Recorded, RecordedRun, now_ms

STEPS, EPOCHS = 60, 3
SCHEDULES = {
    "fixed": fixed(0.1),
    "exponential": exponential(0.1, decay_steps=10, decay_rate=0.5),
    "staircase": exponential(0.1, decay_steps=10, decay_rate=0.5, staircase=True),
}
ORIGIN = {
    "mlflow.source.git.commit": "0123456789abcdef",
    "git_dirty": "true",
    "command": "train.py -m schedule=fixed,staircase data.dir=/home/me/secret/mnist",
    "versions": "python 3.11.0, numpy 2.0.0",
}


def result(group, seed, accuracy=0.5, *, steps=STEPS, run_id="", diverged_step=None, **settings):
    """A run that finished, or diverged in the middle of an epoch."""
    ends = np.arange(1, EPOCHS + 1) * (steps // EPOCHS) - 1
    looks = [
        Measured(int(step), accuracy - 0.1 / (n + 1), n + 1.0, 24 * (int(step) + 1))
        for n, step in enumerate(ends)
    ]
    diverged = diverged_step is not None
    return Result(
        seed=seed,
        choices={"schedule": group, "data": "digits"},
        settings={
            "learning_rate": "0.1",
            "batch_size": "24",
            "test": "True",
            "tracking.train_loss_every": "1",
            "tracking.experiment": "ratelab",
            **settings,
        },
        data_digest="sha256:abcdef",
        origin=ORIGIN,
        run_id=run_id,
        status="diverged" if diverged else "finished",
        test={} if diverged else {"accuracy": accuracy},
        validation=tuple(look for look in looks if not diverged or look.step < diverged_step),
        final_rate=None if diverged else 0.1,
        diverged_step=diverged_step,
    )


def recorded_run(tracker, group, seed, rates, losses, *, accuracy=0.5, diverged_step=None, **settings):
    """A result whose learning rates and losses are in the store."""
    steps = np.arange(len(rates))
    with tracker.run(f"{group} seed={seed}", params={}, tags={}) as run:
        run.metrics("learning_rate", steps, rates, np.full(len(steps), now_ms()))
        run.metrics("train_loss", steps, losses, np.full(len(steps), now_ms()))
    made = {"steps": len(rates), "run_id": run.id, "diverged_step": diverged_step}
    return result(group, seed, accuracy, **made, **settings)


def losses(seed, steps=STEPS):
    return np.random.default_rng(seed).uniform(0.5, 2, steps)


def recorded_study(tracker, seeds=6, **options):
    """Three schedules over six seeds; staircase is better by 0.01 to 0.06, and fixed diverges once."""
    runs = []
    for place, (name, schedule) in enumerate(SCHEDULES.items()):
        for seed in range(seeds):
            diverged = 45 if (name, seed) == ("fixed", 1) else None
            loss = losses(100 * place + seed)
            loss[45:] = np.nan if diverged else loss[45:]
            accuracy = 0.8 + 0.01 * seed * (name == "staircase") + 0.01 * place + seed / 1024
            rates = tabulate(schedule, STEPS)
            runs.append(
                recorded_run(tracker, name, seed, rates, loss, accuracy=accuracy, diverged_step=diverged)
            )
    return study(runs, **options)


RMSE = Outcome("rmse", higher_is_better=False, worst=77.0)


def as_regression(found):
    """The same study with an error of 100 * (1 - accuracy) in the place of the accuracy."""

    def turn(accuracy):
        return 100 * (1 - accuracy)

    return study(
        [
            replace(
                run,
                outcome=RMSE,
                test={"rmse": turn(run.test["accuracy"])} if run.test else {},
                validation=tuple(look._replace(value=turn(look.value)) for look in run.validation),
            )
            for run in found.results
        ]
    )


def plain_study(groups, seeds=(0, 1, 2), **options):
    """Groups without curves in a store."""
    runs = [
        result(name, seed, 0.5 + 0.01 * place + seed / 1024)
        for place, name in enumerate(groups)
        for seed in seeds
    ]
    return study(runs, **options)


def tuned_study():
    """Two schedules over three base rates, the best of the second at the edge, one run diverged there."""
    runs = []
    for name, best in (("fixed", 0.1), ("staircase", 1.0)):
        for rate in (0.01, 0.1, 1.0):
            for seed in (100, 101):
                accuracy = 0.8 - 0.1 * abs(np.log10(rate / best)) + 0.01 * (seed - 100)
                step = 45 if (name, rate, seed) == ("fixed", 1.0, 100) else None
                runs.append(
                    result(name, seed, accuracy, diverged_step=step, learning_rate=str(rate), test="False")
                )
        for rate in {0.1, best}:
            runs += [result(name, seed, 0.8 + seed / 100, learning_rate=str(rate)) for seed in range(6)]
    return study(runs)


def found(sweep_id="2026-01-02-03-04-05-abcd"):
    """What the store says of the runs."""
    runs = (
        RecordedRun("1", "a", "FINISHED", {}, {}, {}, started=1_700_000_000_000, ended=1_700_000_060_000),
    )
    return Recorded("1", runs, f"sweep {sweep_id}", sweep_id)
