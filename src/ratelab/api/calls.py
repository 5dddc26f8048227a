"""The functions that `import ratelab` offers; the numbers are those that the command line gives."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ratelab.api.display import Kept
from ratelab.api.hydra_calls import call_hydra
from ratelab.api.objects import as_given
from ratelab.api.results import Run, Study
from ratelab.config.composing import compose_jobs, read_composed
from ratelab.runs.display import Places
from ratelab.runs.job_of import make_schedule
from ratelab.schedules import Reactive, Schedule
from ratelab.tracking.links import STORE
from ratelab.validation import UserError


def run(
    overrides: Sequence[str] = (),
    /,
    *,
    config_dir: str | None = None,
    config_name: str = "config",
    **settings: Any,
) -> Run:
    """Do one run in this process, as `ratelab train` does, and return what it gave.

    Args:
        overrides: words of the command line, such as "schedule=cosine" and "optimizer.momentum=0.9".
        config_dir: a folder of configurations of your own, as `--config-dir`.
        config_name: of the primary configuration, as `--config-name`.
        settings: keys of the configuration with one value each; see `sweep`.

    Raises:
        UserError: for a mistake, and for a run that diverged; one message.
        KeyboardInterrupt: it was interrupted; the run is KILLED, with what it had computed.

    >>> import ratelab
    >>> first = ratelab.run(data="digits", epochs=2)  # doctest: +SKIP
    >>> first.metric, first.value, first.learning_rate.dtype  # doctest: +SKIP
    ('accuracy', 0.9, dtype('float32'))
    """
    display = _call(overrides, settings, config_dir, config_name, many=False)
    assert display.result is not None  # noqa: S101 - else that it is not there was raised
    return Run(display.result, display.chunks)


def sweep(
    overrides: Sequence[str] = (),
    /,
    *,
    config_dir: str | None = None,
    config_name: str = "config",
    **settings: Any,
) -> Study:
    """Run a sweep, as `ratelab train -m` does, and return the comparison of its runs.

    The runs are trained in processes of their own, whatever this one has done with TensorFlow.

    Args:
        overrides: words of the command line, such as "schedule=fixed,cosine" and "seed=range(0,10)".
        config_dir: a folder of configurations of your own, as `--config-dir`.
        config_name: of the primary configuration, as `--config-name`.
        settings: keys of the configuration: a value, or a list or range of values to compare. A function
            stands for an option of its group, as model=build. `data` takes arrays: (x, y), or
            ((x_train, y_train), (x_test, y_test)), or a mapping with the keys of `ratelab.data.arrays`; or a
            data frame, with "data.target=COLUMN" among the overrides.

    Raises:
        UserError: for a mistake, before anything is trained; where no run gave a value.
        KeyboardInterrupt: it was interrupted; the sweep is KILLED, with what it had computed.

    >>> import ratelab
    >>> study = ratelab.sweep(schedule=["fixed", "cosine"], seed=range(6), data="digits")  # doctest: +SKIP
    >>> study.verdicts  # doctest: +SKIP
    ['cosine is better than fixed: ...']
    """
    display = _call(overrides, settings, config_dir, config_name, many=True)
    if display.study is None:
        raise display.lack
    return Study(display.study, display.places, display.report)


def compare(
    run_ids: Sequence[str] = (),
    /,
    *,
    uri: str = STORE,
    sweep: str | None = None,
    experiment: str | None = None,
    by: Sequence[str] | None = None,
    baseline: str | None = None,
    metric: str | None = None,
    target: float | str | None = None,
) -> Study:
    """Compare recorded runs, as `ratelab compare` does; the store is never made, nor written but as follows.

    Runs that a program of this machine left RUNNING when it died are KILLED from now on, which is said.

    Args:
        run_ids: of MLflow's; without them, those of a sweep or of an experiment.
        uri: of the store, as in `tracking.uri`.
        sweep: the id of the sweep; None: the newest.
        experiment: all runs of an experiment of MLflow's.
        by: keys that make the groups; None: all that varied.
        baseline: a group that every other is compared with.
        metric: that judges, "test_NAME" or "val_NAME", or "steps_to_target", "examples_to_target",
            "seconds_to_target"; None: that of the task.
        target: the value in validation to reach, or a share as "5%": the best mean made worse by it.

    Raises:
        UserError: there is no such store or run, or the runs cannot be compared in this way.

    >>> import ratelab
    >>> ratelab.compare(by=["schedule"]).groups  # doctest: +SKIP
    """
    from ratelab.commands.recorded_study import read_study
    from ratelab.tracking import find_store

    if sum(map(bool, (run_ids, sweep, experiment))) > 1:
        raise UserError("run_ids, sweep, experiment: give one of them.")
    store = find_store(uri, Path.cwd())
    _, found = read_study(
        store,
        sweep,
        experiment=experiment,
        run_ids=run_ids,
        by=by,
        baseline=baseline,
        metric=metric,
        target=target,
    )
    return Study(found, Places(store, sweep, ()))


def schedule(name: str, /, *, learning_rate: float, steps: int, **arguments: Any) -> Schedule | Reactive:
    """Return a schedule as a configuration would make it: a function from steps to rates.

    Args:
        name: of an option, as "cosine"; docs/schedules.md shows all.
        learning_rate: the base rate, > 0.
        steps: the length of the run, in updates, > 0.
        arguments: of the option, in the place of those of its file.

    Returns:
        A function of an array of steps, counted from 0; of `plateau`, which decides while it sees validation
        losses, a `ratelab.schedules.Reactive`.

    Raises:
        UserError: there is no such option, or an argument is wrong.

    >>> import numpy as np, ratelab
    >>> ratelab.schedule("linear_to_zero", learning_rate=0.5, steps=4)(np.arange(4))
    array([0.5  , 0.375, 0.25 , 0.125])
    """
    if not isinstance(steps, int | np.integer) or steps < 1:
        raise UserError(f"steps must be a whole number above 0, got {steps!r}.")
    # a list stands for the values to compare, of which there is one
    settings = {"schedule": [name], "learning_rate": [learning_rate]}
    settings |= {f"schedule.{key}": [value] for key, value in arguments.items()}
    jobs = compose_jobs(as_given([], settings).words)
    if len(jobs) > 1:
        raise UserError(f"schedule: one at a time, got {name!r:.80}.")
    return make_schedule(read_composed(jobs[0]), int(steps))


def _call(
    overrides: Sequence[str],
    settings: Mapping[str, Any],
    config_dir: str | None,
    config_name: str,
    *,
    many: bool,
) -> Kept:
    """Run what was given, and return what that gave.

    What went wrong with some of it is a warning: as the command line shows the comparison, then says that.
    """
    display = Kept(many=many)
    try:
        call_hydra(as_given(overrides, settings), display, config_dir, config_name, many=many)
    except Exception as error:
        if not display.has_answer:
            raise
        warnings.warn(str(error), RuntimeWarning, stacklevel=3)
    return display
