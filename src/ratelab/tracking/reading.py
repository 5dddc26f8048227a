"""What a store already holds: runs that belong together, and their metrics in bulk."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ratelab.runtime.checkout import name_training
from ratelab.tracking.client import Client
from ratelab.tracking.left_running import tidy_store
from ratelab.tracking.patience import Patience
from ratelab.tracking.recorded import History, Reader, Recorded, RecordedRun
from ratelab.tracking.served_reader import ServedReader
from ratelab.tracking.servers import check_server
from ratelab.tracking.sql_reader import check_postgresql, open_sql
from ratelab.tracking.sqlite import prepare_sqlite
from ratelab.tracking.uris import is_served, kind_of, resolve_store, sqlite_path
from ratelab.validation import UserError, unknown_key

# A run of ours has both from the moment it is made; another program may have a tag `schedule`, too.
OURS = {"schedule": None, "config_digest": None}


def find_store(uri: str, directory: Path) -> str:
    """Return the absolute URI of a store that is there and can be read; where there is none, none is made.

    What dead programs have left RUNNING there is KILLED from now on, which is said.

    Args:
        uri: as `tracking.uri`.
        directory: what a relative SQLite path counts from.

    Raises:
        UserError: there is none, or it cannot be used.
    """
    store = resolve_store(uri, directory)
    assert store is not None  # noqa: S101 - only None resolves to None
    if is_served(store):
        check_server(store)
    elif kind_of(store) == "sqlite":
        path = sqlite_path(store, directory)
        if not path.exists():
            raise UserError(
                f"there is no store at {path}; run `{name_training()}` here first, or give --uri."
            )
        prepare_sqlite(path, store)
    else:
        check_postgresql(store)
    tidy_store(store)
    return store


@contextmanager
def _open_reader(uri: str) -> Iterator[Reader]:
    """Read a store in the block."""
    if is_served(uri):
        yield ServedReader(Client(uri, Patience(uri)))
    else:
        with open_sql(uri) as reader:
            yield reader


def find_runs(
    uri: str, sweep_id: str | None = None, *, experiment: str | None = None, run_ids: Sequence[str] = ()
) -> Recorded:
    """Return the runs of a sweep, of an experiment, or those named; by default of the newest sweep.

    Among them may be runs of other programs, and such as cannot be read: the newest sweep is that of the
    newest run of ours, but whatever has the tag `schedule` in it is returned.

    Args:
        uri: what `prepare_store` or `find_store` returned.
        sweep_id: the tag of that name.
        experiment: the name of an experiment, all of whose runs are meant.
        run_ids: MLflow's ids, of one experiment.

    Raises:
        UserError: if the store holds no such run, or cannot be read.
    """
    with _open_reader(uri) as reader:
        if run_ids:
            return _find_named(reader, run_ids)
        if experiment is not None:
            return _find_experiment(reader, experiment)
        return _find_newest(reader) if sweep_id is None else _find_sweep(reader, sweep_id)


def _find_newest(reader: Reader) -> Recorded:
    """Return the runs of the newest sweep, or the newest run if it is of none."""
    newest = reader.runs(OURS, newest=True)
    if not newest:
        raise UserError(f"there is no run of ratelab's in this store; make one with `{name_training()}`.")
    [run] = newest
    if "sweep_id" in run.tags:
        return _find_sweep(reader, run.tags["sweep_id"])
    return Recorded(run.experiment_id, (run,), f"run {run.name}")


def _find_sweep(reader: Reader, sweep_id: str) -> Recorded:
    members = reader.runs({"sweep_id": sweep_id})
    if not members:
        raise UserError(
            f"there is no run of sweep {sweep_id!r} in this store; make one with `{name_training()}`."
        )
    # Where ids were made from folders, two sweeps may share one; those of the newest's experiment are meant.
    whole = [run for run in members if run.tags.get("kind") == "sweep"]
    experiment_id = (whole or members)[-1].experiment_id
    members = [run for run in members if run.experiment_id == experiment_id]
    parents = [run for run in whole if run.experiment_id == experiment_id]
    runs = sorted((run for run in members if "schedule" in run.tags), key=_number)
    return Recorded(
        experiment_id,
        tuple(runs),
        f"sweep {sweep_id}",
        sweep_id,
        parents[0].run_id if parents else None,
        max(0, _count_jobs(parents) - len(runs)),
    )


def _count_jobs(parents: Sequence[RecordedRun]) -> int:
    """Return how many runs a sweep has, by its own runs; 0 where one does not say it."""
    texts = [run.params.get("jobs", "") for run in parents]
    return sum(map(int, texts)) if all(text.isdecimal() for text in texts) else 0


def _number(run: RecordedRun) -> int:
    """Return the number of a job in its sweep; what has none comes first."""
    text = run.tags.get("job", "")
    return int(text) if text.isdecimal() else -1


def _find_experiment(reader: Reader, name: str) -> Recorded:
    experiments = reader.experiments()
    runs = reader.runs({"schedule": None}, experiments[name]) if name in experiments else []
    if not any(_is_ours(run) for run in runs):
        known = ", ".join(sorted(experiments))
        raise UserError(f"--experiment: {name!r} has no run of ratelab's here. Known: {known}.")
    return Recorded(experiments[name], tuple(runs), f"experiment {name}")


def find_any_runs(uri: str, experiment: str) -> list[RecordedRun]:
    """Return all runs of an experiment, oldest first, whatever program has logged them.

    Args:
        uri: what `find_store` returned.
        experiment: its name.

    Raises:
        UserError: if there is no such experiment, or the store cannot be read.
    """
    with _open_reader(uri) as reader:
        experiments = reader.experiments()
        if experiment not in experiments:
            raise unknown_key("--experiment", experiment, experiments)
        return reader.runs({}, experiments[experiment])


def _is_ours(run: RecordedRun) -> bool:
    return run.tags.keys() >= OURS.keys()


def _find_named(reader: Reader, run_ids: Sequence[str]) -> Recorded:
    runs = []
    for run_id in dict.fromkeys(run_ids):
        run = _find_one(reader, run_id)
        if "schedule" not in run.tags:
            raise UserError(f"{run_id} is not a run that trained; name its children, or give --sweep.")
        runs.append(run)
    runs.sort(key=lambda run: run.started or 0)
    return Recorded(runs[0].experiment_id, tuple(runs), f"{len(runs)} runs")


def find_run(uri: str, run_id: str) -> RecordedRun:
    """Return a run of whatever kind, by MLflow's id.

    Raises:
        UserError: if the store holds none, or cannot be read.
    """
    with _open_reader(uri) as reader:
        return _find_one(reader, run_id)


def _find_one(reader: Reader, run_id: str) -> RecordedRun:
    run = reader.run(run_id)
    if run is None:
        raise UserError(f"{run_id!r} is not the id of a run in this store.")
    return run


def count_looks_at_test(uri: str, experiment_id: str, digest: str) -> int:
    """Return how many sweeps, and runs of none, have looked at the test split of some data.

    Args:
        uri: what `prepare_store` or `find_store` returned.
        experiment_id: MLflow's, of the experiment in which they are.
        digest: of the data.
    """
    with _open_reader(uri) as reader:
        return len(reader.looks_at_test(experiment_id, digest))


def read_histories(
    uri: str, run_ids: Sequence[str], key: str, at: Sequence[int] | None = None
) -> dict[str, History]:
    """Return one metric of many runs, by the id of the run; runs without it are left out.

    A database answers one query for 500 runs; a server is asked run by run.

    Args:
        uri: what `prepare_store` or `find_store` returned.
        run_ids: which runs.
        key: the name of the metric.
        at: the steps that are wanted; None: every point.
    """
    with _open_reader(uri) as reader:
        return _without_empty(reader.histories(run_ids, key, at))


def read_windows(uri: str, run_ids: Sequence[str], key: str, width: int) -> dict[str, History]:
    """Return one metric of many runs, averaged over windows of steps, by the id of the run.

    A database averages, so that no more than the means are read; of a server's points this program does.
    Values that are not finite do not count; a window without others, and a run without windows, is left out.

    Args:
        uri: what `prepare_store` or `find_store` returned.
        run_ids: which runs.
        key: the name of the metric.
        width: steps of a window, at least 1; window w holds the steps from w * width to (w + 1) * width - 1.

    Returns:
        Of each run the first step of each window, ascending, and the mean over the points in it.
    """
    with _open_reader(uri) as reader:
        return _without_empty(reader.windows(run_ids, key, width))


def read_full_params(uri: str, run_id: str) -> dict[str, str]:
    """Return the parameters that the store had cut, in full.

    Args:
        uri: what `prepare_store` or `find_store` returned.
        run_id: of the run.

    Raises:
        UserError: they were not kept, or cannot be read.
    """
    client = Client(uri, Patience(uri))
    try:
        path = client.read(client.mlflow.download_artifacts, run_id, "params_full.json")
        read = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise UserError(str(error).partition("\n")[0]) from None
    return {str(key): str(value) for key, value in dict(read).items()}


def read_artifacts(uri: str, run_id: str, names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Copy files from the top of a run's artifacts; return those that it has, by name.

    Args:
        uri: what `prepare_store` or `find_store` returned.
        run_id: of the run.
        names: of the files.
        folder: where they are copied to; it exists.

    Raises:
        UserError: one that is there cannot be read.
    """
    client = Client(uri, Patience(uri))
    try:
        there = {item.path for item in client.read(client.mlflow.list_artifacts, run_id)}
        return {
            name: Path(client.read(client.mlflow.download_artifacts, run_id, name, str(folder)))
            for name in names
            if name in there
        }
    except OSError as error:
        raise UserError(f"the artifacts of run {run_id}: {str(error).partition(chr(10))[0]}") from None


def _without_empty(found: dict[str, History]) -> dict[str, History]:
    return {run_id: history for run_id, history in found.items() if len(history.steps)}
